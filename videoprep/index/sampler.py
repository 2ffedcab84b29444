"""`BucketBatchSampler`: batches of one bucket, the same on all ranks. Imports no torch."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from functools import cached_property
from itertools import chain, islice
from numbers import Integral
from typing import Any, Generic, TypeVar, get_args

from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket
from videoprep.index.caption_draws import CaptionDraws, Captions, ClipDraw
from videoprep.index.epochs import Cut, EpochPlan, Tail
from videoprep.index.regularization import regularized_digest, with_regularization
from videoprep.index.shuffle import key_of
from videoprep.index.streams import LAST_EPOCH, Bucketed, make_streams
from videoprep.text import counted

_VERSION = 1
_VERSION_APART = 2
"""That of a state whose batches keep clips apart that lack different components. Version 1 knows no
such batches: all clips of a bucket go together."""
_STATE_TYPES: dict[str, tuple[type, ...]] = {
    "version": (int,),
    "digest": (str,),
    "seed": (int,),
    "tail": (str,),
    "batch_size": (int, type(None)),
    "max_tokens": (int, type(None)),
    "world_size": (int,),
    "global_batches": (str,),
    "epoch": (int,),
    "batch": (int,),
    "weights": (str,),
    "regularization": (float, int),
}
_OPTIONAL = frozenset({"weights", "regularization"})
"""What only states have whose items do not all come once an epoch."""

Batch = TypeVar("Batch")


class BucketBatchSampler:
    """Yields lists of item numbers, each list from one bucket. For ``batch_sampler`` of a loader.

    A pure function of the data's digest, the seed, the epoch and the global batch: each bucket is
    shuffled and cut into global batches, the batches are shuffled, and each rank takes its slice
    of every one. So at each step all ranks have the same bucket, and what a clip lacks that others
    have, such as latents of sound, all clips of its batch lack.

    ``len()`` is the number of batches of the whole current epoch, also after a resume.

    An epoch whose last batch was yielded is over: the next iteration yields the next epoch. One
    that is broken off is yielded again from where it began. `state_dict` counts what was yielded,
    which with worker processes is more than the training loop got: then iterate over `count`.

    Args:
        data: what is sampled.
        batch_size: items in a batch of one rank; or else ``max_tokens``.
        rank: which slice is yielded. None: those of all ranks in turn, for a loader that deals
            batches out to processes itself, as that of accelerate does.
        world_size: how many slices there are.
        seed: makes another order.
        tail: what becomes of the items left when a bucket is cut. ``pad`` fills the last batch
            with items of the same bucket again; ``drop`` leaves them out of this epoch; ``carry``
            has them come first in the next one.
        max_tokens: latent tokens in a batch of one rank: each bucket has as many items in a batch
            as fit.
        mix_absent: whether a batch may have clips that lack a component beside clips that have it.
            `collate` refuses such batches.
        captions: which caption goes with a clip that has several: ``random``: each equally often;
            ``first``: the first; or weights by position, such as ``(2, 1, 1)``. Captions without a
            weight are never drawn; if none of a clip's has one, it is the first. The numbers that
            are yielded are then `ClipDraw`: what is drawn is decided by the digest, the seed and
            the epoch, whatever the number of ranks, workers and restarts.
        regularization: clips of datasets for regularization for each other clip of an epoch; by
            default there are none among several datasets.

    Attributes:
        batch_size: as given; None with ``max_tokens``.
        max_tokens, rank, world_size, seed, tail, mix_absent, regularization: as given.

    Raises:
        PlanError: an argument is illegal, there are no items, or no batch can be filled.
    """

    def __init__(
        self,
        data: Bucketed,
        batch_size: int | None = None,
        *,
        rank: int | None = 0,
        world_size: int = 1,
        seed: int = 0,
        tail: Tail = "pad",
        max_tokens: int | None = None,
        mix_absent: bool = False,
        captions: Captions = "random",
        regularization: float = 0.0,
    ) -> None:
        _check_arguments(batch_size, max_tokens, rank, world_size, seed, tail)
        self._plain_digest = data.digest
        data = with_regularization(data, regularization)
        self.regularization = float(regularization)
        # Plain numbers, also where numpy's are given: the state is written as JSON.
        self.batch_size = None if batch_size is None else int(batch_size)
        self.max_tokens = None if max_tokens is None else int(max_tokens)
        self.rank = None if rank is None else int(rank)
        self.world_size = int(world_size)
        self.seed = int(seed)
        self.tail: Tail = tail
        self.mix_absent = bool(mix_absent)
        self._digest = data.digest
        self._captions = CaptionDraws.of(getattr(data, "caption_counts", None), captions)
        self._streams = make_streams(data, seed, self._captions, mix_absent=self.mix_absent)
        buckets = [stream.bucket for stream in self._streams]
        if batch_size is None:
            parts = _fitting(data, buckets, max_tokens or 0)
        else:
            parts = [batch_size] * len(buckets)
        self._sizes = [part * world_size for part in parts]  # of each stream's global batch
        self._check_filled()
        self._epoch = 0
        self._start = 0  # where the next iteration begins
        self._done: int | None = None  # where the latest one is; None before it
        self._loaded = False  # a state that no iteration has taken up yet
        self._handing_over = False  # a counted loader is taking up the batches
        self._known_cuts: tuple[int, tuple[Cut, ...]] | None = None

    def _check_filled(self) -> None:
        if self.tail != "drop":
            return
        if all(s.most() < size for s, size in zip(self._streams, self._sizes, strict=True)):
            raise PlanError(
                f"no bucket fills a global batch of {min(self._sizes)}, so no batch is left",
                remedy='use tail="pad" or "carry", a smaller batch, or fewer buckets',
            )

    # What an epoch holds

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._epoch

    @property
    def sampler(self) -> BucketBatchSampler:
        """Itself: where Lightning and accelerate look for what to call `set_epoch` on."""
        return self

    @property
    def steps(self) -> int:
        """Global batches of the current epoch: the batches that each rank gets."""
        return self._steps(self._epoch)

    @property
    def dropped(self) -> int:
        """Items left out of the current epoch; 0 unless ``tail`` is ``drop``."""
        return sum(cut.dropped for cut in self._cuts(self._epoch))

    @property
    def repeated(self) -> int:
        """Places filled with items again in the current epoch; 0 unless ``tail`` is ``pad``."""
        return sum(cut.repeated for cut in self._cuts(self._epoch))

    @property
    def carried(self) -> int:
        """Items that the current epoch leaves to the next; 0 unless ``tail`` is ``carry``."""
        return sum(cut.carried for cut in self._cuts(self._epoch))

    def describe(self) -> str:
        """What the current epoch holds, and what becomes of the items left, in some lines."""
        cuts = self._cuts(self._epoch)
        tails = {
            "pad": f"pad: {self.repeated:,} places of last batches are filled with items again"
            f"{self._told_of_padding()}",
            "drop": f"drop: {self.dropped:,} items are left out of this epoch",
            "carry": f"carry: {self.carried:,} items are left to the next epoch",
        }
        lines = [
            f"epoch {self._epoch}: {sum(cut.items for cut in cuts):,} items, {self.steps:,} steps "
            f"of {counted(self.world_size, 'rank')}",
            f"tail {tails[self.tail]}",
        ]
        if self._captions is not None:
            lines.append(f"captions {self._captions.state}")
        for stream, cut in zip(self._streams, cuts, strict=True):
            lines.append(
                f"  {stream.name}: {cut.items:,} items, {cut.batches:,} steps of "
                f"{cut.size // self.world_size} × {self.world_size}"
            )
        return "\n".join(lines)

    def _told_of_padding(self) -> str:
        """How much more often than asked for items come, which padding does in small buckets."""
        if not self.repeated:
            return ""
        cuts = zip(self._cuts(self._epoch), self._streams, strict=True)
        factors = [(cut.batches * cut.size / cut.items, one.name) for cut, one in cuts if cut.items]
        most, name = max(factors, key=lambda one: one[0])
        return f", so that those of {name} come {most:.2f} times as often as their weights say"

    def _cuts(self, epoch: int) -> tuple[Cut, ...]:
        """What an epoch makes of each stream; those of the latest epoch are kept."""
        if self._known_cuts is None or self._known_cuts[0] != epoch:
            cuts = [
                Cut(stream.came(epoch), stream.came(epoch + 1), size, self.tail)
                for stream, size in zip(self._streams, self._sizes, strict=True)
            ]
            self._known_cuts = epoch, tuple(cuts)
        return self._known_cuts[1]

    def _steps(self, epoch: int) -> int:
        return sum(cut.batches for cut in self._cuts(epoch))

    @property
    def _ranks(self) -> Sequence[int]:
        return range(self.world_size) if self.rank is None else (self.rank,)

    # Iterating

    def __len__(self) -> int:
        return self.steps * len(self._ranks)

    def __iter__(self) -> Iterator[list[int] | list[ClipDraw]]:
        if self._handing_over:
            yield from self._batches()
        else:
            yield from self._counted(self._batches, len(self._ranks))

    def set_epoch(self, epoch: int) -> None:
        """Starts another epoch at its beginning; the current one stays where it is.

        A loader given to `count` is not heard if it calls this while it starts: some number their
        epochs from 0 in each process, which would undo `load_state_dict`.

        Raises:
            PlanError: there is no such epoch.
        """
        if self._handing_over:
            return
        self._close_finished_epoch()
        if epoch == self._epoch:
            return
        if not _is_whole(epoch) or not 0 <= epoch <= LAST_EPOCH:
            raise PlanError(f"there is no epoch {epoch}", remedy="number epochs from 0")
        if self._loaded and epoch < self._epoch:
            warnings.warn(
                f"set_epoch({epoch}) discards the loaded state: epoch {self._epoch}, batch "
                f"{self._start}. If the loader calls it, iterate over sampler.count(loader)",
                stacklevel=2,
            )
        self._move_to(int(epoch), 0)

    def count(self, loader: Iterable[Batch]) -> CountedLoader[Batch]:
        """The loader, with the batches counted that it delivers, not those that workers draw.

        Args:
            loader: any loader that takes its batches from this sampler.

        Raises:
            PlanError: the loader has another number of batches than each rank should get.
        """
        if isinstance(loader, Sized) and len(loader) != self.steps:
            raise PlanError(
                f"the loader delivers {len(loader)} batches an epoch, not {self.steps}",
                remedy="give it this sampler as batch_sampler; where it deals batches out to "
                f"processes itself, make the sampler with rank=None and their number as "
                f"world_size (now {self.world_size})",
            )
        return CountedLoader(self, loader)

    def _counted(self, start: Callable[[], Iterator[Batch]], to_a_step: int) -> Iterator[Batch]:
        """Iterates over the current epoch; so many batches make a step."""
        self._close_finished_epoch()
        self._loaded = False
        begin = self._done = self._start
        for number, batch in enumerate(start(), start=1):
            self._done = begin + number // to_a_step
            yield batch
        self._close_finished_epoch()

    def _batches(self) -> Iterator[list[int] | list[ClipDraw]]:
        """The rest of the current epoch."""
        plan = EpochPlan.of(self._streams, self._cuts(self._epoch), self._epoch)
        return plan.slices(self._ranks, self.world_size, self._start)

    def _hand_over(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """A loader's batches. It has taken up this sampler's when it gives its first."""
        self._handing_over = True
        try:
            batches = iter(loader)
            first = list(islice(batches, 1))
        finally:
            self._handing_over = False
        return chain(first, batches)

    def _close_finished_epoch(self) -> None:
        if self._done is not None and self._done >= self.steps:
            self._move_to(self._epoch + 1, 0)

    def _move_to(self, epoch: int, start: int) -> None:
        self._epoch, self._start, self._done, self._loaded = epoch, start, None, False

    # State

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch is, as JSON values of a fixed size; equal on all ranks."""
        epoch, batch = self._epoch, self._start if self._done is None else self._done
        if self._done is not None and self._done >= self.steps:
            epoch, batch = epoch + 1, 0
        return {
            "version": self._version,
            "digest": self._digest,
            "seed": self.seed,
            "tail": self.tail,
            "batch_size": self.batch_size,
            "max_tokens": self.max_tokens,
            "world_size": self.world_size,
            "global_batches": self._global_batches(),
            "epoch": epoch,
            "batch": batch,
            # Only if they are drawn: a state of other data is what it was before there were any.
            **({} if self._captions is None else {"captions": self._captions.state}),
            **self._told_of_weights(),
        }

    def _told_of_weights(self) -> dict[str, Any]:
        """What of the digest can be told apart. Nothing if all items come once."""
        told: dict[str, Any] = {}
        if any(one.weights is not None for one in self._streams):
            told["weights"] = self._weights_digest
        if self.regularization:
            told["regularization"] = self.regularization
        return told

    @cached_property
    def _weights_digest(self) -> str:
        digest = hashlib.sha256()
        for one in self._streams:
            digest.update(b"1" if one.weights is None else one.weights.tobytes())
        return digest.hexdigest()[:16]

    @property
    def _version(self) -> int:
        """That of its state: what older versions of videoprep can go on with, they may read."""
        return _VERSION_APART if any(one.lacks for one in self._streams) else _VERSION

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on at the next batch of a state, on as many ranks as one likes.

        Raises:
            PlanError: the state is malformed, or of other data, another seed or tail, or other
                global batches.
        """
        _check_state(state)
        if state["digest"] != self._digest:
            raise self._other_data(state)
        for name, own in (("seed", self.seed), ("tail", self.tail)):
            if state[name] != own:
                raise _refused(
                    f"was saved with {name} {state[name]!r}, this sampler has {own!r}",
                    f"make the sampler with {name}={state[name]!r}",
                )
        if state["version"] != self._version:
            raise self._other_mixture(state["version"])
        saved, drawn = state.get("captions", "first"), self._captions
        own_captions = "first" if drawn is None else drawn.state
        if saved != own_captions:
            raise _refused(
                f"was saved with captions {saved!r}, this sampler draws {own_captions!r}",
                f"make the sampler with captions={saved!r}",
            )
        if state["global_batches"] != self._global_batches():
            raise self._other_batches(state)
        epoch, batch = state["epoch"], state["batch"]
        if not 0 <= epoch <= LAST_EPOCH or not 0 <= batch < max(1, self._steps(epoch)):
            raise _malformed(f"has no batch {batch} of epoch {epoch}")
        self._move_to(epoch, batch)
        self._loaded = True

    def _global_batches(self) -> str:
        """Stands for the size of each bucket's global batch."""
        pairs = zip(self._streams, self._sizes, strict=True)
        return f"{key_of(*(f'{stream.name} {size}' for stream, size in pairs)):016x}"

    def _other_data(self, state: Mapping[str, Any]) -> PlanError:
        """What differs, as far as the state tells."""
        share = state.get("regularization", 0.0)
        if state["digest"] == regularized_digest(self._plain_digest, share):
            return _refused(
                f"was saved with regularization={share:g}, this sampler has "
                f"regularization={self.regularization:g}",
                f"make the sampler with regularization={share:g}",
            )
        digests = f"digest {state['digest']}, here {self._digest}"
        own = self._told_of_weights()
        if share == self.regularization and state.get("weights") != own.get("weights"):
            return _refused(
                f"was saved with other weights or repeats of clips or datasets, or with other "
                f"clips: {digests}",
                "give the data the weights that they had, or start anew without the state",
            )
        return _refused(
            f"was saved with other data: {digests}. It is of other clips, or in another order",
            "load it with the data it was saved with, or start anew without it",
        )

    def _other_mixture(self, version: int) -> PlanError:
        if version == _VERSION:
            return _refused(
                "was saved with batches that mix clips which lack a component with those that have "
                "it, this sampler keeps them apart",
                "make the sampler with mix_absent=True, or start anew without the state",
            )
        return _refused(
            "was saved with clips that lack a component in batches of their own, this sampler has "
            "none",
            "make the sampler without mix_absent, of data with all components",
        )

    def _other_batches(self, state: Mapping[str, Any]) -> PlanError:
        saved, own = _said(state), _said(self.__dict__)
        remedy = f"make the sampler with {saved}"
        if saved == own:
            remedy = "clips have other numbers of latent tokens now; start anew without the state"
        elif state["batch_size"] is not None:
            size, rest = divmod(state["batch_size"] * state["world_size"], self.world_size)
            if not rest:
                remedy = f"use batch_size={size} with world_size={self.world_size}"
        return _refused(f"was saved with {saved}; {own} makes other global batches", remedy)


class CountedLoader(Generic[Batch]):
    """A loader whose delivered batches its sampler counts; made by `BucketBatchSampler.count`.

    ``len()`` is the number of batches of the whole current epoch.

    Attributes:
        sampler: that which counts.
        loader: that which delivers.
    """

    def __init__(self, sampler: BucketBatchSampler, loader: Iterable[Batch]) -> None:
        self.sampler = sampler
        self.loader = loader

    def __len__(self) -> int:
        return self.sampler.steps

    def __iter__(self) -> Iterator[Batch]:
        return self.sampler._counted(lambda: self.sampler._hand_over(self.loader), 1)

    def state_dict(self) -> dict[str, Any]:
        """The sampler's."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Has the sampler go on at the next batch of a state."""
        self.sampler.load_state_dict(state)


def _check_arguments(
    batch_size: int | None,
    max_tokens: int | None,
    rank: int | None,
    world_size: int,
    seed: int,
    tail: str,
) -> None:
    sizes = {"batch_size": batch_size, "max_tokens": max_tokens}
    given = {name: size for name, size in sizes.items() if size is not None}
    if len(given) != 1:
        raise PlanError(
            f"{' and '.join(given) or 'neither batch_size nor max_tokens'} given: it must be one",
            remedy="give batch_size=4, or max_tokens=20_000",
        )
    [(name, size)] = given.items()
    slice_of = 0 if rank is None else rank
    whole = all(_is_whole(number) for number in (size, slice_of, world_size, seed))
    if not whole or size < 1 or not 0 <= slice_of < world_size or seed < 0:
        raise PlanError(
            f"{name} {size}, rank {rank}, world_size {world_size}, seed {seed} do not fit",
            remedy=f"use whole numbers: {name} ≥ 1, 0 ≤ rank < world_size and seed ≥ 0",
        )
    if tail not in get_args(Tail):
        raise PlanError(
            f"there is no tail {tail!r}", remedy=f"use one of {', '.join(get_args(Tail))}"
        )


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def _fitting(data: Bucketed, buckets: Sequence[Bucket], max_tokens: int) -> list[int]:
    """How many clips of each bucket have at most ``max_tokens`` latent tokens together."""
    count = getattr(data, "latent_tokens", None)
    if count is None:
        raise PlanError(
            "max_tokens is given, but the data does not tell how many tokens a clip has",
            remedy="give the data a method latent_tokens(bucket) -> int, or use batch_size",
        )
    tokens = [int(count(bucket)) for bucket in buckets]
    named = [f"{bucket} has {n} latent tokens" for bucket, n in zip(buckets, tokens, strict=True)]
    for name, number in zip(named, tokens, strict=True):
        if number < 1:
            raise PlanError(f"a clip of {name}", remedy="leave it out, or use batch_size")
        if number > max_tokens:
            raise PlanError(
                f"max_tokens is {max_tokens}, but a clip of {name}",
                remedy=f"use max_tokens={max(tokens)} or more, or leave this bucket out",
            )
    return [max_tokens // number for number in tokens]


def _check_state(state: object) -> None:
    if not isinstance(state, Mapping):
        raise _malformed(f"is of the type {type(state).__name__}")
    version = state.get("version")
    if type(version) is int and version > _VERSION_APART:
        raise _refused(
            f"has version {version}; this videoprep reads up to {_VERSION_APART}",
            "upgrade videoprep",
        )
    for name, types in _STATE_TYPES.items():
        if name not in state and name not in _OPTIONAL:
            raise _malformed(f"has no {name!r}")
        if (
            name in state and type(state[name]) not in types
        ):  # not isinstance: True is no number here
            raise _malformed(f"has {name} {state[name]!r}")


def _said(arguments: Mapping[str, Any]) -> str:
    """The arguments that decide how large global batches are."""
    names = ("batch_size", "max_tokens", "world_size")
    return ", ".join(f"{name}={arguments[name]}" for name in names if arguments[name] is not None)


def _refused(message: str, remedy: str) -> PlanError:
    return PlanError(f"the sampler's state {message}", remedy=remedy)


def _malformed(message: str) -> PlanError:
    return _refused(message, "load what state_dict() gave, or start anew without a state")
