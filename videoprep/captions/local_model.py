"""A captioner that runs in this process: a model of transformers, from a folder or the hub."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, TypeVar

import xxhash

from videoprep.captions.chat_inputs import ChatInputs, first_line
from videoprep.captions.local_folder import CaptionModelFolder, open_caption_folder
from videoprep.captions.protocol import CaptionFailure, CaptionReply, CaptionRequest
from videoprep.captions.token_choice import REPETITION_PENALTY, FiniteScores, SeededChoice
from videoprep.device import choose_device, free_memory, is_out_of_memory
from videoprep.errors import ModelError, VideoprepError
from videoprep.library_logging import quiet_libraries

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

BATCH_SIZE = 4
"""Questions that are answered at a time, if nobody says."""

_LIBRARIES = ("transformers",)
_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}

_Asked = tuple[T, CaptionRequest]


def open_local_captioner(
    model: str,
    *,
    device: str = "auto",
    dtype: str | None = None,
    batch_size: int = BATCH_SIZE,
    temperature: float = 0.0,
    seed: int = 0,
    sees_frames: bool = False,
) -> LocalCaptioner:
    """Return a captioner that runs a model in this process; `ask` loads its weights.

    Args:
        model: A folder in the layout of transformers, or a hub id.
        device: ``auto``, ``cpu``, ``cuda`` or any name that torch knows.
        dtype: ``fp32``, ``fp16`` or ``bf16``; by default fp32 on a CPU and bf16 elsewhere.
        batch_size: How many questions are answered at a time. It is halved if memory does not
            suffice.
        temperature: 0 takes the most likely token each time; above that, tokens are drawn.
        seed: What draws begin with. A question's draws depend on it and the question alone.
        sees_frames: Whether it has to look at frames: one that cannot is refused.

    Raises:
        ModelError: There is no such model, it cannot be loaded without running code of its own, or
            it cannot look at frames.
        VideoprepError: The device or the dtype is none.
    """
    if batch_size < 1:
        raise VideoprepError("must be at least 1", where="batch_size", option="batch_size")
    with quiet_libraries(_LIBRARIES):
        folder = open_caption_folder(model)
        chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
        dtype = _dtype(dtype, chosen)
        made = LocalCaptioner(folder, chosen, dtype, batch_size, temperature, seed)
        if sees_frames:
            made.require_eyes()
        return made


def _dtype(asked: str | None, device: torch.device) -> str:
    if asked in (None, "auto"):
        return "float32" if device.type == "cpu" else "bfloat16"
    if asked not in _DTYPES:
        raise VideoprepError(
            f"{asked!r} is no dtype",
            remedy=f"use one of auto, {', '.join(_DTYPES)}",
            option="dtype",
        )
    return _DTYPES[asked]


class LocalCaptioner:
    """A `Captioner` of one model on one device: see `open_local_captioner`."""

    def __init__(
        self,
        folder: CaptionModelFolder,
        device: torch.device,
        dtype: str,
        batch_size: int,
        temperature: float,
        seed: int,
    ) -> None:
        self.model = folder.name
        self.identity = folder.identity
        self.ahead = batch_size
        self._folder = folder
        self._device = device
        self._dtype = dtype
        self._fits = batch_size
        self._temperature = temperature
        self._seed = seed
        self._inputs = ChatInputs(folder)
        self._loaded: Any = None
        self.settings: Mapping[str, Any] = {
            "class": folder.architecture,
            "dtype": dtype,
            "temperature": temperature,
            **({"seed": seed} if temperature > 0 else {}),
            "repetition_penalty": REPETITION_PENALTY,
            **self._inputs.settings,
        }

    def ask(
        self, requests: Iterator[tuple[T, CaptionRequest]]
    ) -> Iterator[tuple[T, CaptionReply | CaptionFailure]]:
        """Yield the answers, batch by batch.

        Raises:
            ModelError: The weights cannot be loaded, or the model takes no frames and got some.
        """
        while batch := list(islice(requests, self._fits)):
            for group in self._alike(batch):
                yield from self._answers(group)

    def require_eyes(self) -> None:
        """Refuse a model that cannot look at frames. No weights are read.

        Raises:
            ModelError: It reads text alone.
        """
        self._inputs.require_eyes()

    def close(self) -> None:
        """Let go of the model and its memory."""
        self._loaded = None
        free_memory(self._device)

    def _alike(self, batch: Iterable[_Asked[T]]) -> Iterator[list[_Asked[T]]]:
        """Questions with as many frames, handed over in the same way.

        Processors fill shorter videos up, refuse them, or tell the model the longest one's length.
        """

        def way(asked: _Asked[T]) -> tuple[str, int]:
            return self._inputs.shown(asked[1]), len(asked[1].frames)

        for _, group in groupby(sorted(batch, key=way), key=way):
            yield list(group)

    def _answers(
        self, batch: Sequence[_Asked[T]]
    ) -> Iterator[tuple[T, CaptionReply | CaptionFailure]]:
        """Answer a batch; in halves, if it is refused or does not fit, down to single questions."""
        made = self._try([request for _, request in batch])
        if not isinstance(made, CaptionFailure):
            yield from zip((who for who, _ in batch), made, strict=True)
        elif len(batch) == 1:
            yield batch[0][0], made
        else:
            half = len(batch) // 2
            yield from self._answers(batch[:half])
            yield from self._answers(batch[half:])

    def _try(
        self, requests: Sequence[CaptionRequest]
    ) -> list[CaptionReply | CaptionFailure] | CaptionFailure:
        """Answer all, or say why that is not possible."""
        try:
            with quiet_libraries(_LIBRARIES):
                return self._generate(requests)
        except (RuntimeError, MemoryError, ValueError) as error:
            if isinstance(error, ValueError):
                return CaptionFailure(f"the model does not take the question: {first_line(error)}")
            if not is_out_of_memory(error):
                raise ModelError(
                    f"the model failed: {type(error).__name__}: {first_line(error)}",
                    where=self.model,
                    remedy="see whether another `dtype` or `device='cpu'` helps",
                ) from error
        # Only here does nothing refer to what the batch has taken.
        free_memory(self._device)
        self._fits = max(1, min(self._fits, len(requests) // 2))
        return CaptionFailure(_too_large(requests[0]))

    def _generate(self, requests: Sequence[CaptionRequest]) -> list[CaptionReply | CaptionFailure]:
        import torch

        began = time.monotonic()
        model = self._model()
        inputs = self._inputs.make(requests)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        too_long = [
            _too_long(length, request.max_tokens, self._context)
            for length, request in zip(lengths, requests, strict=True)
        ]
        if any(too_long) and len(requests) > 1:
            # Each alone: padding to the longest would take as much as it does.
            return [self._generate([request])[0] for request in requests]
        if too_long[0] is not None and len(requests) == 1:
            return [CaptionFailure(too_long[0])]
        inputs = self._placed(inputs)
        begins = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            made = model.generate(
                **inputs,
                max_new_tokens=max(request.max_tokens for request in requests),
                logits_processor=self._choice(requests, begins),
            )
        taken = (time.monotonic() - began) / len(requests)
        return [
            self._reply(tokens, request.max_tokens, length, taken)
            for tokens, request, length in zip(
                made[:, begins:].tolist(), requests, lengths, strict=True
            )
        ]

    def _placed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The tensors on the device; pictures in the model's dtype, token numbers as they are."""
        import torch

        dtype = getattr(torch, self._dtype)

        def place(value: Any) -> Any:
            if isinstance(value, list):
                return [place(one) for one in value]
            if not isinstance(value, torch.Tensor):
                return value
            return value.to(self._device, dtype if value.is_floating_point() else None)

        return {name: place(value) for name, value in inputs.items()}

    def _reply(
        self, tokens: Sequence[int], limit: int, prompt_tokens: int, seconds: float
    ) -> CaptionReply:
        """What one question got of a batch, which goes on until the last is answered."""
        tokens = tokens[:limit]
        end = next((n for n, token in enumerate(tokens) if token in self._ends), None)
        return CaptionReply(
            text=str(self._inputs.tokenizer.decode(tokens[:end], skip_special_tokens=True)),
            finish="length" if end is None else "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=len(tokens) if end is None else end + 1,
            seconds=seconds,
        )

    def _choice(self, requests: Sequence[CaptionRequest], begins: int) -> list[Any]:
        from transformers import RepetitionPenaltyLogitsProcessor

        # The prompt does not count: the padding of a batch would be part of it.
        penalty = RepetitionPenaltyLogitsProcessor(REPETITION_PENALTY, prompt_ignore_length=begins)
        choice: list[Any] = [FiniteScores(), penalty]
        if self._temperature > 0:
            seeds = [_seed_of(request, self._seed) for request in requests]
            choice.append(SeededChoice(self._temperature, seeds))
        return choice

    @property
    def _ends(self) -> frozenset[int]:
        return frozenset(self._model().generation_config.eos_token_id or ())

    @property
    def _context(self) -> int | None:
        """How many tokens of prompt and answer the model was made for."""
        text = self._model().config.get_text_config()
        return getattr(text, "max_position_embeddings", None)

    def _model(self) -> Any:
        """The model, loaded once."""
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> Any:
        import torch
        import transformers
        from safetensors import SafetensorError

        # Weights of fewer bits cannot be moved or cast once they are loaded.
        placed = {"device_map": {"": self._device}} if self._folder.quantized else {}
        try:
            model, report = getattr(transformers, self._folder.auto_class).from_pretrained(
                self._folder.path,
                dtype=getattr(torch, self._dtype),
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                **placed,
            )
            if not placed:
                model = model.to(self._device)
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            ImportError,
            SafetensorError,
        ) as error:
            raise self._cannot_load(error) from error
        missing = sorted(report["missing_keys"])
        if missing:
            raise ModelError(
                f"weights are missing, such as {missing[0]}: {len(missing)} in all",
                where=str(self._folder.path),
                remedy="download the model again",
                option="model",
            )
        model.generation_config = self._generation_config(model)
        return model.eval().requires_grad_(False)

    def _cannot_load(self, error: Exception) -> ModelError:
        is_full = is_out_of_memory(error)
        return ModelError(
            f"the memory of {self._device} does not suffice for the model"
            if is_full
            else f"the model cannot be loaded: {type(error).__name__}: {first_line(error)}",
            where=str(self._folder.path),
            remedy="take a smaller or a quantized model, or serve it on several GPUs and give its "
            "address as `endpoint`"
            if is_full
            else "download the model again; if a package is named, install it",
            option="model",
        )

    def _generation_config(self, model: Any) -> Any:
        """Only where answers end: what else a model's makers propose would change by release."""
        from transformers import GenerationConfig

        tokenizer = self._inputs.tokenizer
        proposed = model.generation_config.eos_token_id
        ends = [*proposed] if isinstance(proposed, (list, tuple)) else [proposed]
        known = {end for end in [*ends, tokenizer.eos_token_id] if end is not None}
        return GenerationConfig(
            do_sample=False, eos_token_id=sorted(known), pad_token_id=tokenizer.pad_token_id
        )


def _seed_of(request: CaptionRequest, seed: int) -> int:
    """From the question itself, so that its answer depends on no other and on no rank."""
    digest = xxhash.xxh3_64(request.instruction.encode(), seed=seed % 2**64)
    for frame in request.frames:
        digest.update(memoryview(frame.tobytes()))
    return digest.intdigest() % 2**63


def _too_long(prompt: int, answer: int, context: int | None) -> str | None:
    if context is None or prompt + answer <= context:
        return None
    return (
        f"the question takes {prompt} tokens and the answer may take {answer}, and the model was "
        f"made for {context}: ask with fewer or smaller frames, or for a shorter answer"
    )


def _too_large(request: CaptionRequest) -> str:
    if not len(request.frames):
        return "the device's memory does not suffice for the question"
    height, width = request.frames[0].shape[:2]
    count = len(request.frames)
    return (
        f"the device's memory does not suffice for {count} frames of {width}×{height}: ask with "
        "fewer or smaller frames"
    )
