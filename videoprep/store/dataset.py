"""`LatentDataset`: a store as a map-style dataset of tensors."""

from __future__ import annotations

import html
import operator
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray
from torch.utils.data import Dataset

from videoprep.errors import StoreError
from videoprep.families.component import Component, ordered
from videoprep.families.registry import get_profile
from videoprep.fs import Files, is_url
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.multiplicity import (
    digest_of,
    is_for_regularization,
    multiplicity_of,
    splits_trained_on,
)
from videoprep.index.numbers import from_text
from videoprep.index.presence import ComponentPresence
from videoprep.shell import command_line
from videoprep.store.clip_table import ClipTable, Filters, open_catalogue
from videoprep.store.empty_caption import read_empty_caption
from videoprep.store.layout import CATALOGUE, Store, StoreInfo
from videoprep.store.shard_reader import ShardReader

if TYPE_CHECKING:
    import torch

_BUCKET = re.compile(r"\s*(\d+)\s*[x×]\s*(\d+)\s*[x×]\s*(\d+)\s*", re.ASCII)

_SHOWN_BUCKETS = 12

# What a copy or another process makes anew: millions of rows, maps, open files, connections.
_OWN = ("_clips", "_reader", "buckets", "presence")


class LatentDataset(Dataset[dict[str, Any]]):
    """The encoded clips of a store. Reads tensors only; imports no VAE and no text encoder.

    An item is a dict: each component's tensor (``video_latents`` ``[2 × C, F', H', W']``,
    ``image_latents`` ``[2 × C, 1, H', W']``, ``prompt_embeds`` ``[tokens, features]``; other
    families have others, see ``docs/families.md``), ``caption``, ``metadata`` and ``absent``.
    Latents are unscaled moments, mean first and log variance after. ``absent`` names the components
    that the clip does without, such as latents of sound if it has none: nothing stands for them.

    Tensors may be kept, changed in place and handed to other processes; the files never change by
    it. Large ones are not copied: they are parts of a private map of their shard, whose pages are
    read when they are first touched, and which lives as long as any of them. So:

    - One that torch changed in place (``mul_``, ``out=``) is read from the file anew the next time.
    - Two of the same clip that are held at once share their memory, and torch does not see what is
      written through ``.numpy()`` or ``.data``, so that this process may read it again: ``clone()``
      first.
    - A shard must not be cut off or written into while it is read from, which would kill the
      process. Replacing or removing it, as videoprep does, is safe.

    It can be used in workers of a ``DataLoader``, forked or spawned. A pickle of it holds no rows:
    it opens the store again, which must still have the same catalogue.

    Args:
        path: the store: a path, or a URL such as ``s3://bucket/latents``, from which each tensor
            is read by itself.
        split: only the clips of this split, or of these; None: all.
        buckets: only the clips of these, one or several: `Bucket`, or text such as
            ``"49x480x720"``; None: all.
        components: read these only, one or several; None: all that the store has.
        required: of these, one or several, each item has a tensor. A clip that does without one,
            such as a still image without ``image_latents``, is no item, and counts as incomplete.
        verify: compare each tensor that is read with its hash in the catalogue. Costs a pass over
            its bytes.

    Attributes:
        info: what the store holds and how it was made.
        components: the tensors that items have, but for those that an item names as ``absent``.
        split: the split that was asked for, or those.
        required: the components that were required.
        verify: whether tensors are compared with their hashes.
        buckets: the bucket of each clip.
        incomplete: clips, of those asked for, that lack one of the components and are therefore
            no items.

    Raises:
        StoreError: there is no store, it has no catalogue yet or a damaged one, or there is no such
            split, bucket or component. When an item is read: its shard is missing or damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        split: str | Sequence[str] | None = None,
        buckets: Bucket | str | Iterable[Bucket | str] | None = None,
        components: str | Iterable[str] | None = None,
        required: str | Iterable[str] = (),
        verify: bool = False,
    ) -> None:
        # Absolute, since shards are opened later and by other processes, from other folders.
        self._location = str(path) if is_url(path) else os.path.abspath(path)
        self._filters = Filters(
            (split,) if isinstance(split, str) else None if split is None else tuple(split),
            None if buckets is None else _to_buckets(buckets, self._location),
            None if components is None else _to_components(components, self._location),
            verify,
            required=frozenset(_to_components(required, self._location)),
        )
        self._load()

    def _load(self) -> None:
        store = Store.open(self._location)
        self.info: StoreInfo = store.read_info()
        data = _read_catalogue(store)
        self._fingerprint = xxhash.xxh3_128_hexdigest(data)
        try:
            recipes = self.info.recipes.values()
            lacking = frozenset(one.component for one in recipes if one.source.may_lack)
            filters = replace(self._filters, optional=lacking - self._filters.required)
            self._clips = ClipTable(open_catalogue(data), filters, self._location)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(store.files, error) from error
        self._reader = ShardReader(self._location)
        self.components: tuple[Component, ...] = self._clips.components
        self.buckets: BucketColumn = self._clips.buckets
        chosen = self._filters.split
        self.split = chosen[0] if chosen is not None and len(chosen) == 1 else chosen
        self.verify = self._filters.checked
        self.required: tuple[Component, ...] = ordered(self._filters.required)
        self.incomplete: int = self._clips.incomplete

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]:
        number = operator.index(index)
        count = len(self)
        if not -count <= number < count:
            raise IndexError(f"clip {number} of {count}")
        number %= count
        caption = getattr(index, "caption", 0)  # of a `ClipDraw`
        metadata = self._clips.row(number)
        text = self._clips.caption(number, caption) if caption else metadata["caption"]
        item: dict[str, Any] = {
            component: self._reader.read(place)
            for component, place in self._clips.places(number, caption).items()
        }
        metadata["frame_indices"] = self._frame_indices(metadata["frame_indices"])
        item["caption"], item["caption_number"] = text, caption
        item["metadata"] = metadata
        item["absent"] = [name for name in self.components if name not in item]
        return item

    def clips_without(self, component: str) -> int:
        """Return how many of the clips do without a component, such as one of control media."""
        keys = self._clips.table[f"{component}_key"] if len(self) else None
        return 0 if keys is None else int(keys.null_count)

    @property
    def location(self) -> str:
        """The store: a path, absolute, or a URL."""
        return self._location

    def absent(self, number: int) -> list[Component]:
        """Return the components that a clip does without, without reading a tensor."""
        there = self._clips.places(number)
        return [name for name in self.components if name not in there]

    def row(self, number: int) -> dict[str, Any]:
        """A clip's columns of the catalogue, without reading a tensor."""
        return self._clips.row(number)

    def numbers_of(self, videos: Iterable[str]) -> list[int]:
        """The numbers of the clips of some videos, called as the dataset names them."""
        wanted = pa.array(list(videos), pa.string())
        if not len(self):
            return []
        found = pc.is_in(self._clips.table["video"], value_set=wanted)
        numbers: list[int] = np.flatnonzero(found.to_numpy()).tolist()
        return numbers

    def __getitems__(self, indices: Sequence[SupportsIndex]) -> list[dict[str, Any]]:
        """Several items; a ``DataLoader`` fetches a batch by this."""
        return [self[index] for index in indices]

    def empty_caption(self) -> dict[Component, torch.Tensor]:
        """What the text encoders make of the empty caption, by component; of one clip each.

        Raises:
            StoreError: the store has none yet, or a damaged one.
        """
        files = Store.open(self._location).files
        return {
            component: read_empty_caption(files, self.info.recipes[component])
            for component in self.components
            if not self.info.recipes[component].source.media
        }

    @property
    def multiplicity(self) -> NDArray[np.float64]:
        """Float64 ``[clips]``: how often each comes in an epoch; see `multiplicity_of`."""
        return self.draws()

    def draws(self, regularization: float = 0.0) -> NDArray[np.float64]:
        """Float64 ``[clips]``: the same, with datasets for regularization; see `multiplicity_of`.

        Args:
            regularization: clips for regularization for each other clip of an epoch.
        """
        return multiplicity_of(self._clips.table, regularization)

    @property
    def splits_trained_on(self) -> tuple[str, ...] | None:
        """The splits without those that are held out of training; None if there are none such."""
        return splits_trained_on(self._clips.table, self.splits)

    @property
    def has_regularization(self) -> bool:
        """Whether some clips are those of datasets for regularization."""
        return bool(is_for_regularization(self._clips.table).any())

    @property
    def caption_counts(self) -> NDArray[np.int64] | None:
        """Int64 ``[clips]``: how many captions each has; None if each has one."""
        return self._clips.caption_counts

    @cached_property
    def presence(self) -> ComponentPresence | None:
        """Which components each clip does without; None if all do without the same, or none."""
        return ComponentPresence.of(self._clips.there())

    @cached_property
    def digest(self) -> str:
        """Stands for the clips, their order and their weights: 32 hexadecimal digits."""
        if not len(self):
            return digest_of(self._clips.table, ())
        return digest_of(*self._clips.digested())

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the clips are in, in alphabetical order."""
        return self._clips.splits()

    def latent_tokens(self, bucket: Bucket) -> int:
        """How many tokens the family's transformer sees of a clip of the bucket."""
        profile = get_profile(self.info.family)
        return profile.latent_tokens(bucket.frames, bucket.height, bucket.width)

    def _frame_indices(self, text: str) -> list[int]:
        try:
            return list(from_text(text))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"the catalogue is damaged: {text!r} are no frame numbers",
                where=self._location,
                remedy=f"run `{command_line('verify', self._location, repair=True)}`",
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OWN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._load()
        if self._fingerprint != state["_fingerprint"]:
            raise StoreError(
                "the catalogue is another one than when the dataset was opened",
                where=self._location,
                remedy="open the dataset again, after encoding has finished",
            )

    def __repr__(self) -> str:
        chosen = "" if self.split is None else f" of split {self.split!r}"
        lacking = f", {self.incomplete:,} more incomplete" if self.incomplete else ""
        return (
            f"LatentDataset({self._location!r}: {len(self):,} clips{chosen} in "
            f"{len(self.buckets.kinds)} buckets{lacking}; {', '.join(self.components)})"
        )

    def _repr_html_(self) -> str:
        counts = list(self.buckets.counts().items())
        rows = "".join(
            f"<tr><td>{html.escape(str(bucket))}</td><td>{count:,}</td></tr>"
            for bucket, count in counts[:_SHOWN_BUCKETS]
        )
        if hidden := len(counts) - _SHOWN_BUCKETS:
            rows += f"<tr><td>… {hidden} more</td><td></td></tr>" if hidden > 0 else ""
        return (
            f"<p>{html.escape(repr(self))}</p>"
            f"<table><tr><th>frames×height×width</th><th>clips</th></tr>{rows}</table>"
        )


def _read_catalogue(store: Store) -> bytes:
    try:
        return store.files.read(CATALOGUE)
    except FileNotFoundError as error:
        raise store.unfinished("the store has no catalogue") from error
    except OSError as error:
        raise _unreadable(store.files, error) from error


def _unreadable(files: Files, error: Exception) -> StoreError:
    return StoreError(
        f"the catalogue cannot be read: {error}",
        where=files.where(CATALOGUE),
        remedy=f"run `{command_line('verify', files.location, repair=True)}`, or the same "
        "`videoprep encode` command again: it writes the catalogue anew",
    )


def _to_buckets(given: Bucket | str | Iterable[Bucket | str], where: str) -> tuple[Bucket, ...]:
    several = (given,) if isinstance(given, (Bucket, str)) else given
    return tuple(b if isinstance(b, Bucket) else _parse_bucket(b, where) for b in several)


def _parse_bucket(text: str, where: str) -> Bucket:
    match = _BUCKET.fullmatch(text)
    if match is None:
        raise StoreError(
            f"{text!r} is no bucket",
            where=where,
            remedy="write frames, height and width, such as 49x480x720",
        )
    frames, height, width = map(int, match.groups())
    return Bucket(frames, height, width)


def _to_components(given: str | Iterable[str], where: str) -> tuple[Component, ...]:
    names = [given] if isinstance(given, str) else list(given)
    return ordered(names)
