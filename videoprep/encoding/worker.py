"""Encoding one unit: decode → encode → commit, on one device."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError

from videoprep.encoding.recipes import Settings
from videoprep.encoding.units import Unit
from videoprep.errors import Code, MediaError, ModelError
from videoprep.families.contract import Family, TextEncoder, VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.index.clip import Clip
from videoprep.media.clip import load_clip, normalize
from videoprep.media.source import SourceGuard
from videoprep.store.commit import commit_unit
from videoprep.store.receipt import Failure
from videoprep.store.recipe import Component

_DECODE_THREADS = 2

OnDone = Callable[[int, int], None]
"""Called after each micro-batch with how many artifacts are encoded, and how many set aside."""


@dataclass(slots=True)
class _Results:
    """What becomes of a unit's artifacts."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)

    def keep(self, key: str, tensor: torch.Tensor) -> bool:
        """Takes an artifact over to the host; one that is not finite is set aside."""
        finite = bool(torch.isfinite(tensor).all())
        if finite:
            self.tensors[key] = tensor.to("cpu", copy=True)
        else:
            reason = "the model gave values that are not finite"
            self.failures.append(Failure(key, Code.NOT_FINITE.value, reason))
        return finite


@dataclass(slots=True)
class Worker:
    """One rank's models and settings. At most one of the two models is loaded at a time.

    Attributes:
        family: what is being encoded for.
        model: where its weights are.
        settings: dtype, decoder, tiling.
        device: where it runs.
        batch_size: clips in a micro-batch; on a CPU always 1, since batching changes a VAE's
            result in the last bits.
    """

    family: Family
    model: ModelFolder
    settings: Settings
    device: torch.device
    batch_size: int
    _sources: SourceGuard = field(default_factory=SourceGuard)
    _text: TextEncoder | None = None
    _video: VideoEncoder | None = None

    def load(self, component: Component) -> None:
        """Loads the model that a component needs, if it is not loaded."""
        if component == "prompt_embeds":
            self._text_encoder()
        else:
            self._video_encoder()

    def run(self, unit: Unit, clips: Sequence[Clip], folder: Path, on_done: OnDone) -> None:
        """Encodes a unit and commits it."""
        results = _Results()
        if unit.component == "prompt_embeds":
            self._encode_text(unit, clips, results, on_done)
        else:
            self._encode_video(unit, clips, results, on_done)
        commit_unit(folder, unit.name, results.tensors, results.failures, results.truncated)

    def release(self) -> None:
        """Frees the loaded model's memory."""
        self._text = self._video = None
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _encode_text(
        self, unit: Unit, clips: Sequence[Clip], results: _Results, on_done: OnDone
    ) -> None:
        encoder = self._text_encoder()
        for start in range(0, len(clips), self._micro_batch):
            captions = [clip.caption for clip in clips[start : start + self._micro_batch]]
            keys = unit.keys[start : start + self._micro_batch]
            embeds = encoder.encode(captions)
            for key, caption, embed in zip(keys, captions, embeds, strict=True):
                kept = results.keep(key, embed)
                if encoder.count_tokens(caption) > embed.shape[0]:
                    results.truncated.append(key)
                on_done(int(kept), int(not kept))

    def _encode_video(
        self, unit: Unit, clips: Sequence[Clip], results: _Results, on_done: OnDone
    ) -> None:
        encoder = self._video_encoder()
        batch: list[tuple[str, torch.Tensor]] = []
        decoded = self._decode_ahead(clips, first_frame_only=unit.component == "image_latents")
        for key, pixels in zip(unit.keys, decoded, strict=True):
            if isinstance(pixels, MediaError):
                results.failures.append(Failure(key, pixels.code.value, pixels.message))
                on_done(0, 1)
                continue
            batch.append((key, pixels))
            if len(batch) == self._micro_batch:
                self._encode_batch(encoder, batch, results, on_done)
                batch = []
        if batch:
            self._encode_batch(encoder, batch, results, on_done)

    def _encode_batch(
        self,
        encoder: VideoEncoder,
        batch: Sequence[tuple[str, torch.Tensor]],
        results: _Results,
        on_done: OnDone,
    ) -> None:
        pixels = torch.stack([clip for _, clip in batch]).to(self.device)  # [B, F, 3, H, W]
        frames, _, height, width = pixels.shape[1:]
        moments = encoder.encode(normalize(pixels).permute(0, 2, 1, 3, 4))
        expected = self.family.latent_shape(self.model, frames, height, width)
        if tuple(moments.shape[1:]) != expected:
            raise ModelError(
                f"the VAE gave latents {tuple(moments.shape[1:])} where {expected} was expected",
                where=str(self.model.path),
                remedy=f"the family {self.family.name!r} does not describe this VAE: report it",
            )
        for (key, _), moment in zip(batch, moments, strict=True):
            kept = results.keep(key, moment)
            on_done(int(kept), int(not kept))

    def _decode_ahead(
        self, clips: Sequence[Clip], *, first_frame_only: bool
    ) -> Iterator[torch.Tensor | MediaError]:
        """The clips' pixels in order, uint8 ``[F, 3, H, W]``, decoded a few clips ahead.

        A clip that does not decode gives its error instead: it costs itself, not its unit.
        """

        def load(clip: Clip) -> torch.Tensor | MediaError:
            pixels = clip.pixels
            if first_frame_only:
                pixels = replace(pixels, frames=pixels.frames.first())
            # Before and after: a file that is written while it is decoded is noticed, too.
            self._sources.require(pixels.frames.path, pixels.fingerprint)
            try:
                loaded: torch.Tensor | MediaError = load_clip(pixels, self.settings.decoder)
            except MediaError as error:
                loaded = error
            self._sources.require(pixels.frames.path, pixels.fingerprint)
            return loaded

        with ThreadPoolExecutor(max_workers=_DECODE_THREADS) as pool:
            ahead: deque[Future[torch.Tensor | MediaError]] = deque()
            for clip in clips:
                ahead.append(pool.submit(load, clip))
                if len(ahead) > _DECODE_THREADS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    @property
    def _micro_batch(self) -> int:
        return 1 if self.device.type == "cpu" else self.batch_size

    def _text_encoder(self) -> TextEncoder:
        if self._text is None:
            self.release()
            with _loading(self.model, "text encoder"):
                self._text = self.family.load_text_encoder(self.model, self.device, self._dtype)
        return self._text

    def _video_encoder(self) -> VideoEncoder:
        if self._video is None:
            self.release()
            with _loading(self.model, "VAE"):
                self._video = self.family.load_video_encoder(
                    self.model, self.device, self._dtype, tiling=self.settings.tiling
                )
        return self._video

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.settings.dtype)
        return dtype


@contextmanager
def _loading(model: ModelFolder, what: str) -> Iterator[None]:
    """Says which model failed to load; the libraries' own errors often do not."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the {what} cannot be loaded: {type(error).__name__}: {error}",
            where=str(model.path),
            remedy="download the model again; if memory ran out, use another device or dtype",
        ) from error
