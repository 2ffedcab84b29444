"""Clips and first frames to latents: decode → encode → commit, each beside the other."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from videoprep.device import free_memory, is_out_of_memory
from videoprep.encoding.micro_batch import MicroBatches
from videoprep.encoding.posterior import reduce_moments
from videoprep.encoding.rank import Rank, Sent, Work
from videoprep.encoding.writer import Writer
from videoprep.errors import Code, MediaError, ModelError, SourceError
from videoprep.failpoints import reach
from videoprep.families.contract import VideoEncoder
from videoprep.media.clip import ClipPixels, normalize
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.staging import Staging
from videoprep.store.receipt import Failure

_MOST = 8
_MOST_WORKERS = 8

_FETCHERS = 4

Shape = tuple[int, ...]
Request = tuple[tuple[Work, int], ClipPixels]
"""A clip to decode, and of which unit and place in it it is."""


def decode_pool(rank: Rank) -> DecodePool:
    """The processes that decode for this rank."""
    effort = rank.effort
    size = effort.decode_workers or _workers(rank)
    return DecodePool(
        rank.job.settings.decoder,
        size=size,
        memory=effort.decode_memory,
        limits=effort.limits,
        ahead=max(2 * size, _micro_batch(rank)),
        check=rank.check,
    )


def _micro_batch(rank: Rank) -> int:
    """How many clips are encoded together at most."""
    return 1 if rank.device.type == "cpu" else rank.effort.batch_size or _MOST


def _workers(rank: Rank) -> int:
    """As many as this rank's share of the machine; on a CPU the model needs a part of it."""
    cores = len(os.sched_getaffinity(0)) // rank.coordinator.local_world_size
    if rank.device.type == "cpu":
        cores //= 2
    return max(1, min(cores, _MOST_WORKERS))


def encode_video(
    rank: Rank, works: Iterator[Work], encoder: VideoEncoder, pool: DecodePool
) -> None:
    """Encodes and commits units of clips and first frames.

    Raises:
        SourceError: a video is gone or another one than was planned.
        ModelError: the VAE gives latents of another shape than its family says.
        OSError: a unit cannot be written.
    """
    with Writer(rank) as writer:
        run = _VideoPass(rank, encoder, writer)
        staging = Staging.of(rank.job.index.data_root)
        answers = pool.run(_brought(_requests(rank, works, writer), staging))
        while True:
            asked = time.monotonic()
            place, answer = next(answers, (None, None))
            rank.tally.add_decode(time.monotonic() - asked)
            if place is None or answer is None:
                break
            work, at = place
            staging.done(work.clips[at].pixels.frames.path)
            rank.check()
            writer.check()
            run.take(work, at, answer)


def _requests(rank: Rank, works: Iterator[Work], writer: Writer) -> Iterator[Request]:
    """What is to be decoded. Pulling it claims units, when they are needed."""
    for work in works:
        first = work.unit.component == "image_latents"
        asked = False
        for at, clip in enumerate(work.clips):
            failure = work.kills(at)
            if failure is not None:
                work.failures.append(failure)
                rank.tally.settle(work.unit.component, 0, 1, work.pixels, 0)
                continue
            asked = True
            pixels = clip.pixels
            if first:
                pixels = replace(pixels, frames=pixels.frames.first())
            yield (work, at), pixels
        if not asked:
            writer.put(work)


def _brought(requests: Iterator[Request], staging: Staging) -> Iterator[Request]:
    """Videos that lie elsewhere are brought here a little ahead."""
    if not staging.is_remote:
        yield from requests
        return
    ahead: deque[tuple[Request, Future[None]]] = deque()
    with ThreadPoolExecutor(_FETCHERS) as fetchers:
        for request in requests:
            ahead.append((request, fetchers.submit(staging.fetch, request[1].frames.path)))
            if len(ahead) > _FETCHERS:
                yield _here(*ahead.popleft())
        while ahead:
            yield _here(*ahead.popleft())


def _here(request: Request, fetched: Future[None]) -> Request:
    fetched.result()
    return request


@dataclass(slots=True)
class _VideoPass:
    """Gathers decoded clips into micro-batches, and units into commits."""

    rank: Rank
    encoder: VideoEncoder
    writer: Writer
    sizes: MicroBatches[Shape] = field(init=False)
    batch: list[tuple[int, Decoded]] = field(default_factory=list)
    expected: dict[Shape, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes = MicroBatches(_micro_batch(self.rank))

    def take(self, work: Work, at: int, answer: Decoded | MediaError | SourceError) -> None:
        """Takes the next answer; answers come in order, so the last of a unit ends it."""
        if isinstance(answer, SourceError):
            raise answer
        if isinstance(answer, MediaError):
            self._set_aside(work, work.failure(at, answer.code, answer.message))
        else:
            self.batch.append((at, answer))
        last = _last(work)
        if self.batch and (at == last or len(self.batch) >= self._size(work)):
            self._encode(work)
        if at == last:
            self.writer.put(work)

    def _size(self, work: Work) -> int:
        if work.claim.careful:
            return 1
        return self.sizes.size(tuple(self.batch[0][1].pixels.shape))

    def _encode(self, work: Work) -> None:
        """Encodes what has gathered; where memory does not suffice in halves, down to one clip."""
        batch, self.batch = self.batch, []
        kind = tuple(batch[0][1].pixels.shape)
        pieces = [batch]
        while pieces:
            piece = pieces.pop(0)
            if work.claim.careful:
                self.rank.claims.announce(work.claim, [work.keys[piece[0][0]]])
            if self._encode_piece(work, piece):
                self.sizes.succeeded(kind, len(piece))
            elif len(piece) > 1:
                self.sizes.failed(kind, len(piece))
                half = len(piece) // 2
                pieces[:0] = [piece[:half], piece[half:]]
            else:
                self.sizes.failed(kind, 1)
                self._encode_sparingly(work, *piece[0])

    def _encode_piece(
        self, work: Work, piece: list[tuple[int, Decoded]], *, in_tiles: bool = False
    ) -> bool:
        """Sends the latents of some clips on their way; False where memory does not suffice."""
        rank = self.rank
        keys = [work.keys[at] for at, _ in piece]
        what = f"encoding {len(piece)} of {work.unit.name}, from {work.clips[piece[0][0]].video}"
        try:
            with rank.watchdog.watching(what), rank.lanes.working():
                reach(
                    "clip.encoding", " ".join([*keys, *(work.clips[at].video for at, _ in piece)])
                )
                sent = self._forward(keys, piece)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            sent = None
        if sent is None:  # only here does nothing hold what there was any more
            free_memory(rank.device)
            return False
        work.sent.append(sent)
        for _, decoded in piece:
            decoded.release()
        if in_tiles:
            work.tiled += keys
        rank.tally.settle(work.unit.component, len(piece), 0, work.pixels, work.frames)
        reach("clip.encoded", keys[-1])
        return True

    def _forward(self, keys: Sequence[str], piece: Sequence[tuple[int, Decoded]]) -> Sent:
        pixels = self.rank.lanes.up([decoded.pixels for _, decoded in piece])
        frames, _, height, width = pixels.shape[1:]
        moments = self.encoder.encode(normalize(pixels).permute(0, 2, 1, 3, 4))
        self._require_shape(tuple(moments.shape[1:]), (frames, height, width))
        stored = reduce_moments(moments, self.rank.job.settings.posterior, keys)
        return Sent(keys, self.rank.lanes.down(stored))

    def _encode_sparingly(self, work: Work, at: int, decoded: Decoded) -> None:
        """One clip for which memory does not suffice: in slices, in tiles, or not at all."""
        always = self.rank.job.settings.tiling
        for tiling in (False, True):
            self.encoder.save_memory(slicing=True, tiling=tiling or always)
            in_tiles = tiling and not always
            done = self._encode_piece(work, [(at, decoded)], in_tiles=in_tiles)
            self.encoder.save_memory(slicing=False, tiling=always)
            if done:
                return
        decoded.release()
        reason = "memory does not suffice for this clip alone, not even in tiles"
        self._set_aside(work, work.failure(at, Code.OUT_OF_MEMORY, reason))

    def _set_aside(self, work: Work, failure: Failure) -> None:
        work.failures.append(failure)
        self.rank.tally.settle(work.unit.component, 0, 1, work.pixels, 0)

    def _require_shape(self, found: Shape, clip: Shape) -> None:
        expected = self.expected.get(clip)
        if expected is None:  # the family reads the model's config for it
            frames, height, width = clip
            expected = self.rank.family.latent_shape(self.rank.job.model, frames, height, width)
            self.expected[clip] = expected
        if found != expected:
            raise ModelError(
                f"the VAE gave latents {found} where {expected} was expected",
                where=str(self.rank.job.model.path),
                remedy=f"the family {self.rank.family.name!r} does not describe this VAE: report "
                "it",
            )


def _last(work: Work) -> int:
    """The place of the last clip of a unit that is decoded."""
    places = range(len(work.keys) - 1, -1, -1)
    return next(at for at in places if not work.claim.kills(work.keys[at]))
