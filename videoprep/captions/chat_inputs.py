"""Turns questions into what a model of transformers takes: a prompt and exactly these frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from videoprep.errors import ModelError

if TYPE_CHECKING:
    from videoprep.captions.local_folder import CaptionModelFolder
    from videoprep.captions.protocol import CaptionRequest

Shown = Literal["video", "images", "text"]
"""How a question's frames are handed over: as one video, as numbered images, or there are none."""

# Frames are told apart by whole ticks, from which processors work out seconds again.
_TICKS = 1000

# What processors call cutting a picture into tiles.
_TILES = ("do_image_splitting", "crop_to_patches", "do_pan_and_scan")

_INSTRUCT = "give `model` one that was tuned to follow instructions"


class ChatInputs:
    """A model's processor, or the tokenizer of a model of text alone.

    Args:
        folder: where it is read from. No weights are read.

    Raises:
        ModelError: It cannot be read, or has no chat template.
    """

    def __init__(self, folder: CaptionModelFolder) -> None:
        self._where, self._folder = folder.name, folder
        self._processor = _load(folder)
        self.tokenizer = self._processor.tokenizer if folder.reads_frames else self._processor
        self._template = str(self._processor.chat_template or "")
        if not self._template:
            raise ModelError("the model has no chat template", where=folder.name, remedy=_INSTRUCT)
        self.tokenizer.padding_side = "left"  # answers begin where prompts end
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self._controls = self._control_tokens()
        self.frames: Shown = self._way_of_frames() if folder.reads_frames else "text"

    @property
    def settings(self) -> Mapping[str, Any]:
        """How it hands things over, as far as answers depend on it."""
        told: dict[str, Any] = {"frames": self.frames}
        if self._thinks:
            told["thinking"] = False
        return told

    @property
    def _thinks(self) -> bool:
        """Whether the template can ask the model not to think aloud: that is slow, and invents."""
        return "enable_thinking" in self._template

    def shown(self, request: CaptionRequest) -> Shown:
        """Return how the frames of a question are handed over.

        Raises:
            ModelError: There are frames, and the model takes none.
        """
        if not len(request.frames):
            return "text"
        self.require_eyes()
        # A single picture is no video: several models refuse one of less than two frames.
        is_single = len(request.frames) == 1 and self._has("image_processor")
        return "images" if is_single else self.frames

    def require_eyes(self) -> None:
        """Refuse a model that cannot look at frames.

        Raises:
            ModelError: It reads text alone.
        """
        if self.frames != "text":
            return
        kind = self._folder.architecture
        is_blind = not self._folder.reads_frames
        raise ModelError(
            f"the model is a {kind}, which reads text alone and cannot look at frames"
            if is_blind
            else f"the processor and the chat template of the {kind} have no place for pictures: "
            "it reads text alone and cannot look at frames",
            where=self._where,
            remedy="give `model` a vision-language model, such as Qwen/Qwen3-VL-8B-Instruct"
            if is_blind
            else "download the model again, with preprocessor_config.json and the chat template "
            "of the processor; or give `model` another vision-language model",
            option="model",
        )

    def make(self, requests: Sequence[CaptionRequest]) -> Any:
        """Return the tensors of questions whose frames are handed over in the same way."""
        shown = self.shown(requests[0])
        prompts = [self._prompt(request, shown) for request in requests]
        begun = self.tokenizer.bos_token
        common = {
            "text": prompts,
            "padding": True,
            "return_tensors": "pt",
            "add_special_tokens": not (begun and prompts[0].startswith(begun)),
        }
        if shown == "video":
            return self._processor(**common, **self._videos(requests))
        if shown == "images":
            return self._processor(**common, **self._images(requests))
        if self._processor is self.tokenizer:
            return self.tokenizer(**common, return_token_type_ids=False)
        return self._processor(**common)

    def _videos(self, requests: Sequence[CaptionRequest]) -> dict[str, Any]:
        taken = getattr(self._processor.video_processor, "valid_kwargs", None)
        names = getattr(taken, "__annotations__", {})
        # Else a short clip may cost as many tokens as a long one, by release.
        more = {"cap_pixels_per_frame": True} if "cap_pixels_per_frame" in names else {}
        return {
            "videos": [[np.stack(list(request.frames))] for request in requests],
            "video_metadata": [_metadata(request) for request in requests],
            "do_sample_frames": False,
            **more,
        }

    def _images(self, requests: Sequence[CaptionRequest]) -> dict[str, Any]:
        from PIL import Image

        # Pictures in tiles cost many times the tokens, and detail is not what several are for.
        switches = {
            name: False for name in _TILES if hasattr(self._processor.image_processor, name)
        }
        images = [[Image.fromarray(frame) for frame in one.frames] for one in requests]
        return {"images": images, **switches}

    def _prompt(self, request: CaptionRequest, shown: Shown) -> str:
        text = self._harmless(request.instruction)
        if self._processor is self.tokenizer:
            return self._render(text)
        parts: list[dict[str, str]] = []
        if shown == "video":
            parts.append({"type": "video"})
        elif shown == "images":
            for number, when in enumerate(_times(request), 1):
                parts.append({"type": "text", "text": f"Frame {number}, {when:.1f} s: "})
                parts.append({"type": "image"})
        return self._render([*parts, {"type": "text", "text": text}])

    def _render(self, content: str | list[dict[str, str]]) -> str:
        from jinja2 import TemplateError

        switches = {"enable_thinking": False} if self._thinks else {}
        turns = [{"role": "user", "content": content}]
        try:
            return str(
                self._processor.apply_chat_template(
                    turns, tokenize=False, add_generation_prompt=True, **switches
                )
            )
        except (TemplateError, KeyError, TypeError) as error:
            raise ModelError(
                f"the model's chat template fails: {type(error).__name__}: {error}",
                where=self._where,
                remedy="download the model again, or a newer revision of it",
                option="model",
            ) from error

    def _harmless(self, text: str) -> str:
        """Break up what the model would take for the end of a turn, or for a picture."""
        return self._controls.sub(lambda found: f"{found[0][:1]} {found[0][1:]}", text)

    def _control_tokens(self) -> re.Pattern[str]:
        added = self.tokenizer.added_tokens_decoder.values()
        tokens = {str(token) for token in added if token.special}
        tokens.update(map(str, self.tokenizer.all_special_tokens))
        for name in ("image_token", "video_token", "audio_token"):
            token = getattr(self._processor, name, None)
            tokens.update([token] if isinstance(token, str) else [])
        longest_first = sorted(filter(None, tokens), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def _way_of_frames(self) -> Shown:
        """As a video if the processor and the template know one, else as images."""
        if self._has("video_processor") and self._writes("video"):
            return "video"
        return "images" if self._has("image_processor") and self._writes("image") else "text"

    def _has(self, name: str) -> bool:
        return getattr(self._processor, name, None) is not None

    def _writes(self, kind: str) -> bool:
        """Whether the template has a place for such a part of a message."""
        text = {"type": "text", "text": "What is there?"}
        try:
            return self._render([{"type": kind}, text]) != self._render([text])
        except (ModelError, ValueError):
            return False


def _times(request: CaptionRequest) -> list[float]:
    """When each frame is shown; spread over the clip if nobody says."""
    count = len(request.frames)
    if len(request.times) == count:
        return [float(time) for time in request.times]
    return [request.duration * number / count for number in range(count)]


def _metadata(request: CaptionRequest) -> dict[str, Any]:
    """What a processor is told of a video, so that it names the times that the frames have.

    Frames chosen at any time do not lie on a grid of the video's own rate: the grid is of
    milliseconds.
    """
    ticks = [round(time * _TICKS) for time in _times(request)]
    total = max(round(request.duration * _TICKS), ticks[-1] + 1)
    height, width = request.frames[0].shape[:2]
    return {
        "total_num_frames": total,
        "fps": float(_TICKS),
        "duration": total / _TICKS,
        "frames_indices": ticks,
        "height": height,
        "width": width,
    }


def _load(folder: CaptionModelFolder) -> Any:
    from transformers import AutoProcessor, AutoTokenizer

    kind = AutoProcessor if folder.reads_frames else AutoTokenizer
    try:
        loaded = kind.from_pretrained(folder.path, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        missing = isinstance(error, ImportError)
        raise ModelError(
            f"the model's processor cannot be loaded: {first_line(error)}",
            where=str(folder.path),
            remedy="pip install 'videoprep[caption]', or what the message names"
            if missing
            else "download the model again, with its tokenizer and processor",
            option="model",
        ) from error
    if folder.reads_frames and getattr(loaded, "tokenizer", None) is None:
        raise ModelError(
            "the model has no processor of both pictures and text",
            where=str(folder.path),
            remedy="download the model again, with processor_config.json or "
            "preprocessor_config.json",
            option="model",
        )
    return loaded


def first_line(error: BaseException) -> str:
    """Return what an error says first: those of transformers go on with links and advice."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
