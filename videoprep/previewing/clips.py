"""The clips that can be looked at: those of a store, or those of a plan alone."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from videoprep.errors import PlanError, StoreError
from videoprep.families.component import Component
from videoprep.index.bucket import BucketColumn
from videoprep.index.clip import Clip
from videoprep.index.table import BucketIndex, require_inside
from videoprep.mirror import shown
from videoprep.store.dataset import LatentDataset
from videoprep.store.layout import CATALOGUE, Store, StoreInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

Source = BucketIndex | LatentDataset | str | os.PathLike[str]
"""What has clips: an index or its path, a store or its path or URL, or a dataset's folder."""

# Rows of a plan that are Python's own objects at a time.
_ROWS = 256

_LATENTS: tuple[Component, ...] = ("video_latents", "image_latents")
"""What is decoded: a whole clip, and its first frame alone."""


class Clips(ABC):
    """Clips, numbered from 0 in the order of the plan.

    Attributes:
        where: what they are clips of, for people.
        buckets: the bucket of each.
        incomplete: clips of the plan that are not among them, since they have no latents.
        info: how their latents were made; None where there are none.
    """

    where: str
    buckets: BucketColumn
    incomplete: int = 0
    info: StoreInfo | None = None

    def __len__(self) -> int:
        return len(self.buckets)

    @property
    @abstractmethod
    def data_root(self) -> Path:
        """The folder of the videos, or what stands for it."""

    @abstractmethod
    def take(self, numbers: Sequence[int]) -> Iterator[tuple[int, Clip]]:
        """Clips and their numbers, which have to ascend.

        Raises:
            PlanError: a video lies outside of the data root.
            StoreError: the plan does not fit the catalogue.
        """

    @abstractmethod
    def latents(self, number: int) -> Mapping[Component, torch.Tensor]:
        """What is stored of a clip, ``[C or 2 × C, F', H', W']`` each; nothing in a plan alone.

        Raises:
            StoreError: its shard is missing or damaged.
        """

    @abstractmethod
    def _numbers_of(self, videos: Iterable[str]) -> list[int]:
        """The numbers of the clips of some videos."""

    def of_videos(self, videos: Sequence[str]) -> list[int]:
        """The numbers of the clips of some videos, called as the dataset names them.

        Raises:
            PlanError: one has no clips here.
        """
        for video in videos:
            if not self._numbers_of([video]):
                raise PlanError(
                    f"there is no clip of {video!r}",
                    where=self.where,
                    remedy="name a video as the dataset's list names it",
                )
        return self._numbers_of(videos)


class PlanClips(Clips):
    """The clips of a plan.

    Args:
        index: the plan.
        where: what it is called.
    """

    def __init__(self, index: BucketIndex, where: str) -> None:
        index.require_clips()
        self.where = where
        self.buckets = index.buckets
        self._index = index
        self._rows = np.flatnonzero(pc.is_null(index.table["left_out_code"]).to_numpy())

    @property
    def data_root(self) -> Path:
        return self._index.data_root

    def take(self, numbers: Sequence[int]) -> Iterator[tuple[int, Clip]]:
        for start in range(0, len(numbers), _ROWS):
            some = numbers[start : start + _ROWS]
            table = self._index.table.take(self._rows[list(some)])
            part = BucketIndex(table, self.data_root, self._index.policy)
            yield from zip(some, _clips_inside(part), strict=True)

    def latents(self, number: int) -> Mapping[Component, torch.Tensor]:
        del number
        return {}

    def _numbers_of(self, videos: Iterable[str]) -> list[int]:
        named = self._index.table["video"].take(self._rows)
        wanted = set(videos)
        return [number for number, video in enumerate(named.to_pylist()) if video in wanted]


class StoreClips(Clips):
    """The clips of a store that have latents. Of the plan no more than is looked at is held.

    Args:
        store: its path or URL.
        data_root: the folder of the videos, where the dataset was moved.

    Raises:
        StoreError: there is no store, or it is not finished.
    """

    def __init__(
        self, store: str | os.PathLike[str], data_root: str | os.PathLike[str] | None = None
    ) -> None:
        recipes = Store.open(store).read_info().recipes
        latents = [name for name in _LATENTS if name in recipes]
        # Compared with their hashes: what is damaged must not pass for what was encoded badly.
        self._data = LatentDataset(store, components=latents, verify=True)
        self.where = self._data.location
        self.buckets = self._data.buckets
        self.incomplete = self._data.incomplete
        self.info = self._data.info
        if not len(self._data):
            raise StoreError(
                "no clip of it has latents",
                where=self.where,
                remedy=f"see `videoprep status {self.where}`",
            )
        self._store = Store.open(store)
        self._root = data_root

    @property
    def data_root(self) -> Path:
        with self._store.index_file() as path:
            return BucketIndex.data_root_of(path, self._root)

    def take(self, numbers: Sequence[int]) -> Iterator[tuple[int, Clip]]:
        rows = (self._data.row(number) for number in numbers)
        ids = ((row["sample"], row["clip"]) for row in rows)
        coming = iter(numbers)
        with self._store.index_file() as path:
            for part in BucketIndex.excerpts(path, ids, data_root=self._root):
                for clip in _clips_inside(part):
                    number = next(coming)
                    if clip.pixels.fingerprint != self._data.row(number)["fingerprint"]:
                        raise self._unfit()
                    yield number, clip
        if next(coming, None) is not None:
            raise self._unfit()

    def latents(self, number: int) -> Mapping[Component, torch.Tensor]:
        item = self._data[number]
        return {name: item[name] for name in self._data.components}

    def _numbers_of(self, videos: Iterable[str]) -> list[int]:
        return self._data.numbers_of(videos)

    def _unfit(self) -> StoreError:
        return StoreError(
            f"the {CATALOGUE} and the plan beside it are not of one run",
            where=self.where,
            remedy="run the same `videoprep encode` command again: it writes both anew",
        )


def open_clips(source: Source, data_root: str | os.PathLike[str] | None = None) -> Clips:
    """The clips of whatever has some.

    Args:
        source: see `Source`. A dataset that is no store is planned, as its ``videoprep.yaml`` or
            the defaults say.
        data_root: the folder of the videos, where they were moved.

    Raises:
        StoreError, PlanError, SpecError, ListError: there are none.
    """
    if isinstance(source, LatentDataset):
        return StoreClips(source.location, data_root)
    if isinstance(source, BucketIndex):
        return PlanClips(source.moved(data_root), shown(source.data_root))
    if _is_index(source):
        return PlanClips(BucketIndex.load(source, data_root=data_root), shown(source))
    if _is_store(source):
        return StoreClips(shown(source), data_root)
    return PlanClips(BucketIndex.build(source).moved(data_root), shown(source))


def is_made(source: str | os.PathLike[str]) -> bool:
    """Whether a path or URL is that of a store or an index, and not of a dataset."""
    return _is_index(source) or _is_store(source)


def _is_index(source: str | os.PathLike[str]) -> bool:
    named = os.fspath(source).endswith(".parquet") and not os.path.isdir(source)
    return named or BucketIndex.is_index(source)


def _is_store(source: str | os.PathLike[str]) -> bool:
    """One that lacks its ``store.json`` is a store, too: the message is to be about that."""
    store = Store.open(shown(source))
    return store.exists() or store.files.size(CATALOGUE) is not None


def _clips_inside(part: BucketIndex) -> Iterator[Clip]:
    clips = list(part.clips())
    if not part.policy.get("allow_outside_root"):
        require_inside((clip.video for clip in clips), part.data_root)
    yield from clips
