"""The clips that can be looked at: those of a store, or those of a plan alone."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from typing_extensions import Unpack

from videoprep.errors import PlanError, StoreError
from videoprep.families.component import Component
from videoprep.families.component import Source as ComponentSource
from videoprep.fs.mirror import shown
from videoprep.index.bucket import BucketColumn
from videoprep.index.builder import OnProgress
from videoprep.index.clip import Clip
from videoprep.index.table import BucketIndex, require_inside
from videoprep.sources import Source, kind_of, name_of, open_index, refuse_options
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.spec.path_hints import dataset_path
from videoprep.spec.roles import VIDEO
from videoprep.store.dataset import LatentDataset
from videoprep.store.layout import CATALOGUE, Store, StoreInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

# Rows of a plan that are Python's own objects at a time.
_ROWS = 256


class Clips(ABC):
    """Clips, numbered from 0 in the order of the plan.

    Attributes:
        where: what they are clips of, for people.
        buckets: the bucket of each.
        incomplete: clips of the plan that are not among them, since they have no latents.
        info: how their latents were made; None where there are none.
        sources: what of a clip each kind of its latents was made from.
    """

    where: str
    buckets: BucketColumn
    incomplete: int = 0
    info: StoreInfo | None = None
    sources: Mapping[Component, ComponentSource] = MappingProxyType({})

    def __len__(self) -> int:
        return len(self.buckets)

    @property
    @abstractmethod
    def data_root(self) -> Path:
        """The folder of the videos, or what stands for it."""

    @property
    @abstractmethod
    def policy(self) -> Mapping[str, Any]:
        """How they were planned; see `BucketIndex.policy`."""

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

    @property
    def policy(self) -> Mapping[str, Any]:
        return self._index.policy

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
        # Latents of noisy pixels come back as noise.
        self.sources = {
            name: recipe.source
            for name, recipe in recipes.items()
            if recipe.is_of_vae and "noise" not in recipe.fields and recipe.source.role == VIDEO
        }
        # Compared with their hashes: what is damaged must not pass for what was encoded badly.
        self._data = LatentDataset(store, components=[*self.sources], verify=True)
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

    @property
    def policy(self) -> Mapping[str, Any]:
        with self._store.index_file() as path:
            return BucketIndex.policy_of(path)

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
        return {name: item[name] for name in self._data.components if name in item}

    def _numbers_of(self, videos: Iterable[str]) -> list[int]:
        return self._data.numbers_of(videos)

    def _unfit(self) -> StoreError:
        return StoreError(
            f"the {CATALOGUE} and the plan beside it are not of one run",
            where=self.where,
            remedy="run the same `videoprep encode` command again: it writes both anew",
        )


def open_clips(
    source: Source | LatentDataset,
    on_progress: OnProgress | None = None,
    **options: Unpack[DatasetOptions],
) -> Clips:
    """The clips of whatever has some.

    Args:
        source: a store, whose clips have latents; or an index or a dataset.
        on_progress: called with how many samples of a dataset are planned, and how many there are.
        options: see `open_index`.

    Raises:
        StoreError, PlanError, SpecError, ListError: there are none.
    """
    if isinstance(source, LatentDataset):
        return StoreClips(source.location, options.get("data_root"))
    if kind_of(source) == "store":
        assert isinstance(source, (str, os.PathLike))  # noqa: S101
        refuse_options(source, options)
        return StoreClips(shown(dataset_path(source)), options.get("data_root"))
    where = shown(source.data_root) if isinstance(source, BucketIndex) else name_of(source)
    index = open_index(source, on_progress=on_progress, check_videos=False, **options)
    return PlanClips(index, where)


def _clips_inside(part: BucketIndex) -> Iterator[Clip]:
    clips = list(part.clips())
    if not part.policy.get("allow_outside_root"):
        names = ([clip.video, *(one.name for one in clip.beside)] for clip in clips)
        require_inside(chain.from_iterable(names), part.data_root)
    yield from clips
