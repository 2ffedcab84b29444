"""Captions to embeddings: each distinct caption once, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from videoprep.device import free_memory, is_out_of_memory
from videoprep.encoding.unit_work import UnitBatch, UnitWork, WorkerContext
from videoprep.encoding.writer import Writer
from videoprep.engine.micro_batch import MicroBatches
from videoprep.errors import Code
from videoprep.failpoints import reach
from videoprep.families.contract import TextEncoder
from videoprep.store.receipt import Failure

_MOST = 64


def encode_text(rank: WorkerContext, works: Iterator[UnitWork], encoder: TextEncoder) -> None:
    """Encodes and commits units of captions.

    Raises:
        OSError: a unit cannot be written.
    """
    most = 1 if rank.device.type == "cpu" else rank.options.batch_size or _MOST
    sizes: MicroBatches[str] = MicroBatches(most)
    with Writer(rank) as writer:
        for work in works:
            _encode_unit(rank, work, encoder, sizes, writer)
            writer.put(work)


def _encode_unit(
    rank: WorkerContext,
    work: UnitWork,
    encoder: TextEncoder,
    sizes: MicroBatches[str],
    writer: Writer,
) -> None:
    waiting = list(range(len(work.keys)))
    while waiting:
        rank.check()
        writer.check()
        failure = work.kills(waiting[0])
        if failure is not None:
            _set_aside(rank, work, failure)
            waiting.pop(0)
            continue
        size = 1 if work.claim.careful else sizes.size("text")
        batch, waiting = waiting[:size], waiting[size:]
        rank.announce(work, batch[0])
        encoded = _encode_batch(rank, work, encoder, batch)
        rank.acquit(work, work.sent[-1].landing if encoded else None)
        if not encoded:
            sizes.failed("text", len(batch))
            if len(batch) > 1:
                waiting = batch + waiting
                continue
            reason = "memory does not suffice for this caption alone"
            _set_aside(rank, work, work.failure(batch[0], Code.OUT_OF_MEMORY, reason))
            continue
        sizes.succeeded("text", len(batch))
        reach("clip.encoded", work.keys[batch[-1]])


def _set_aside(rank: WorkerContext, work: UnitWork, failure: Failure) -> None:
    work.failures.append(failure)
    rank.tally.settle(work.unit.component, 0, 1, work.pixels, 0)


def _encode_batch(
    rank: WorkerContext, work: UnitWork, encoder: TextEncoder, batch: Sequence[int]
) -> bool:
    """Sends the embeddings of some captions on their way; False where memory does not suffice."""
    captions = [work.clips[at].caption for at in batch]
    keys = [work.keys[at] for at in batch]
    encoded = False
    try:
        what = f"encoding {len(batch)} captions of {work.unit.name}"
        with rank.watchdog.watching(what), rank.lanes.working():
            reach("clip.encoding", " ".join(keys))
            _forward(rank, work, encoder, keys, captions)
            encoded = True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    if not encoded:  # only here does nothing hold what there was any more
        free_memory(rank.device)
        return False
    for key, caption in zip(keys, captions, strict=True):
        if encoder.count_tokens(caption) > encoder.limit:
            work.truncated.append(key)
    rank.tally.settle(work.unit.component, len(batch), 0, work.pixels, 0)
    return True


def _forward(
    rank: WorkerContext,
    work: UnitWork,
    encoder: TextEncoder,
    keys: Sequence[str],
    captions: Sequence[str],
) -> None:
    """Sends embeddings on their way, those of one shape together."""
    dtype = getattr(torch, rank.job.settings.dtype)
    embeds = encoder.encode(captions)
    for shape in dict.fromkeys(embed.shape for embed in embeds):
        alike = [at for at, embed in enumerate(embeds) if embed.shape == shape]
        together = torch.stack([embeds[at] for at in alike]).to(dtype)
        work.sent.append(
            UnitBatch(rank.lanes.down(together), {n: keys[at] for n, at in enumerate(alike)})
        )
