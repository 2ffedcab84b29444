"""Captions to embeddings: each distinct caption once, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from videoprep.device import free_memory, is_out_of_memory
from videoprep.encoding.unit_work import EncodeContext, UnitBatch, UnitWork
from videoprep.engine.device_stream import MicroBatches
from videoprep.errors import Code
from videoprep.failpoints import reach
from videoprep.families.component import Component
from videoprep.families.contract import TextEncoder

_MOST = 64


class TextPass:
    """Encodes units of captions, one after the other."""

    def __init__(self, context: EncodeContext, encoder: TextEncoder) -> None:
        most = 1 if context.device.type == "cpu" else context.options.batch_size or _MOST
        self._context = context
        self._encoder = encoder
        self._sizes: MicroBatches[str] = MicroBatches(most)
        self._dtype = getattr(torch, context.job.settings.dtype)

    def encode_empty(self, component: Component) -> torch.Tensor:
        """Return what is stored of the empty caption: its embedding ``[L, C]``, or its mask."""
        (made,) = self._made(component, [""])
        return made

    def encode(self, work: UnitWork) -> None:
        """Encode the captions of a unit; those that do not fit into memory fail."""
        waiting = list(range(len(work.keys)))
        while waiting:
            self._context.rank.check()
            if work.is_deadly(waiting[0]):
                waiting.pop(0)
                continue
            size = 1 if work.careful else self._sizes.size("text")
            batch, waiting = waiting[:size], waiting[size:]
            if not self._encode_batch(work, batch):
                self._sizes.failed("text", len(batch))
                if len(batch) > 1:
                    waiting = batch + waiting
                    continue
                reason = "memory does not suffice for this caption alone"
                work.fail(batch[0], Code.OUT_OF_MEMORY, reason)
                continue
            self._sizes.succeeded("text", len(batch))
            reach("clip.encoded", work.keys[batch[-1]])

    def _encode_batch(self, work: UnitWork, batch: Sequence[int]) -> bool:
        """Send the embeddings of captions on their way; False if memory does not suffice."""
        context = self._context
        captions = [work.clips[at].caption for at in batch]
        keys = [work.keys[at] for at in batch]
        encoded = False
        with work.claimed.doing(keys[0]):
            try:
                what = f"encoding {len(batch)} captions of {work.name}"
                with context.rank.watchdog.watching(what), context.stream.working():
                    reach("clip.encoding", " ".join(keys))
                    self._forward(work, keys, captions)
                    encoded = True
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if encoded and work.careful:
                work.sent[-1].landing.wait()
        if not encoded:  # only here does nothing hold what there was any more
            free_memory(context.device)
            return False
        if not self._is_mask(work.component):  # whose captions are counted as those of embeddings
            work.truncated += [
                key
                for key, caption in zip(keys, captions, strict=True)
                if self._encoder.count_tokens(caption) > self._encoder.limit
            ]
        work.settle(len(batch))
        return True

    def _forward(self, work: UnitWork, keys: Sequence[str], captions: Sequence[str]) -> None:
        """Send embeddings on their way, those of one shape together."""
        embeds = self._made(work.component, captions)
        for shape in dict.fromkeys(embed.shape for embed in embeds):
            alike = [at for at, embed in enumerate(embeds) if embed.shape == shape]
            together = torch.stack([embeds[at] for at in alike]).to(self._context.device)
            landing = self._context.stream.down(together)
            work.sent.append(UnitBatch(landing, {n: keys[at] for n, at in enumerate(alike)}))

    def _made(self, component: Component, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        """What is stored of captions, in the type in which it is stored."""
        if self._is_mask(component):
            return self._encoder.mask(captions)
        made = self._encoder.encode_for(component, captions)
        return [embeds.to(self._dtype) for embeds in made]

    def _is_mask(self, component: Component) -> bool:
        return self._context.job.specs[component].mask
