"""`CaptionOptions`: who describes clips, what is asked, and which frames are shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from videoprep.captions.backends import CaptionerChoice
from videoprep.captions.endpoint import AUTO, EndpointOptions, RequestChoice
from videoprep.captions.frames import FrameSampling
from videoprep.captions.prompts import Preset
from videoprep.errors import VideoprepError
from videoprep.options import Cli, checked

Only = Literal["missing", "stale", "failed"]

Dtype = Literal["fp32", "fp16", "bf16"]

_FRAMES = 16
_MOST_FRAMES = 1024
_NAMES = frozenset({"model", "messages", "response_format", "stream", "n"})


class BackendOptions(BaseModel):
    """Who is asked: a server, a model in this process, or a plugin."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
    _of_endpoint: ClassVar[tuple[str, ...]] = ("model_name", "concurrency", "timeout", "retries")

    endpoint: Annotated[str | None, Cli(metavar="URL", alike=("url", "base_url", "api_base"))] = (
        None
    )
    """URL of an OpenAI-compatible server, such as `http://127.0.0.1:8000/v1`. Its key is read from
    the environment: `VIDEOPREP_API_KEY`, or `OPENAI_API_KEY`."""
    model: Annotated[str | None, Cli(metavar="MODEL")] = None
    """Model that runs in this process: a folder in the layout of transformers, or a hub id."""
    captioner: Annotated[str | None, Cli(metavar="NAME")] = None
    """Captioner of an installed plugin, by its name; it gets `model`."""
    model_name: Annotated[str, Field(min_length=1, max_length=300), Cli(metavar="NAME")] = AUTO
    """Name of the model on the server; `auto` is the only one that it lists."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 takes the most likely token each time; above that, tokens are drawn."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Random seed of the tokens that are drawn."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 8
    """Number of questions that a server is asked at a time."""
    timeout: Annotated[float, Field(gt=0, le=86_400), Cli(metavar="SECONDS")] = 600.0
    """Seconds that an answer of a server may take."""
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    """How often a server is asked again that gives no answer."""
    request_fields: Annotated[str | None, Cli(metavar="JSON", alike=("extra_body",))] = None
    """Further fields of each request to a server, as a JSON object, such as
    `{"chat_template_kwargs": {"enable_thinking": false}}`."""
    device: Annotated[str, Cli(completion="devices")] = "auto"
    """Device of a model that runs in this process: `auto`, `cpu`, `cuda`, or a name that torch
    knows."""
    dtype: Dtype | None = None
    """Number format of a model that runs in this process. Default: `fp32` on a CPU, `bf16`
    elsewhere."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 4
    """Number of questions that a model in this process answers at a time."""

    @field_validator("request_fields")
    @classmethod
    def _is_object(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            fields = json.loads(value)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise ValueError("it is no JSON object")
        taken = sorted(_NAMES & fields.keys())
        if taken:
            raise ValueError(f"{', '.join(taken)} cannot be set here")
        return value

    def choice(self) -> CaptionerChoice:
        """Return who is asked.

        Raises:
            VideoprepError: Nobody is named, or several are.
        """
        if self.captioner is not None and self.endpoint is None:
            return CaptionerChoice("plugin", self.model or "", {"name": self.captioner})
        if (self.endpoint is None) == (self.model is None):
            wrong = "are named" if self.endpoint else "is named"
            raise VideoprepError(
                f"{'a server and a model' if self.endpoint else 'no server and no model'} {wrong}",
                remedy="name a server with `endpoint`, or a model that runs here with `model`",
                option="endpoint",
            )
        sampling = {"temperature": self.temperature, "seed": self.seed}
        if self.endpoint is None:
            how: dict[str, Any] = {"dtype": self.dtype, "batch_size": self.batch_size}
            return CaptionerChoice(
                "local", self.model or "", {"device": self.device, **how, **sampling}
            )
        fields = {name: getattr(self, name) for name in self._of_endpoint}
        extra = json.loads(self.request_fields) if self.request_fields else {}
        return CaptionerChoice("endpoint", self.endpoint, {**fields, **sampling, "extra": extra})

    def endpoint_options(self) -> EndpointOptions:
        """Return how the server is asked."""
        return EndpointOptions(self.choice().model, **self.choice().options)


class CaptionOptions(BackendOptions):
    """Who describes clips, what is asked, and which frames are shown."""

    _of_endpoint: ClassVar[tuple[str, ...]] = (*BackendOptions._of_endpoint, "request")

    preset: Preset = "dense"
    """What is asked: `dense` for all there is to be seen, `short` for a sentence or two,
    `structured` for a JSON object that is kept beside the caption, `motion` for image-to-video."""
    prompt: Annotated[Path | None, Cli(metavar="FILE")] = None
    """File with a prompt of your own, which is asked instead. `{context}` in it stands for what
    `context_column` says."""
    context_column: Annotated[str | None, Cli(metavar="COLUMN")] = None
    """Table column with context for each clip, such as a title. The prompt says that it may be
    wrong."""
    trigger: str | None = None
    """Text put before every caption that is written, with a space, such as a trigger word."""
    frames: Annotated[
        Annotated[int, Field(ge=1, le=_MOST_FRAMES)] | None, Cli(alike=("num_frames",), example=16)
    ] = None
    """Number of frames that are shown of a clip, from its first to its last, at even times.
    Default: 16."""
    fps: Annotated[Annotated[float, Field(gt=0, le=1000)] | None, Cli(example=2)] = None
    """Frames a second that are shown, instead of a number of them."""
    most_frames: Annotated[int, Field(ge=1, le=_MOST_FRAMES)] = 128
    """Maximum number of frames with `fps`; a longer clip is shown at a lower rate."""
    long_side: Annotated[int, Field(ge=16, le=8192)] = 448
    """Longer side of the frames that are shown, in pixels. Smaller ones are not enlarged."""
    window: Annotated[float, Field(ge=0), Cli(metavar="SECONDS")] = 60.0
    """Maximum length of a clip that is asked about at once, in seconds. A longer clip is cut into
    windows, and their captions are joined; 0 disables this."""
    max_tokens: Annotated[int, Field(ge=1, le=131_072)] = 512
    """Maximum number of tokens of an answer. A longer one is cut off there, and counts as
    failed."""
    request: Annotated[RequestChoice, Cli(metavar="SHAPE")] = "images"
    """How frames are sent to a server: as numbered images with their times; as the frames of one
    video or as a video file, if a probe shows that it takes them; auto is the best of these."""
    all_clips: Annotated[bool, Cli(also=("all",))] = False
    """Also ask about clips that have a caption in the dataset; the new one is used instead."""
    only: Annotated[Only | None, Cli(metavar="WHICH")] = None
    """Ask only about clips without any caption (`missing`), those whose caption another prompt,
    model or setting made (`stale`), or those that failed (`failed`)."""
    limit: Annotated[Annotated[int, Field(ge=1)] | None, Cli(example=20)] = None
    """Maximum number of clips to ask about."""

    def choice(self) -> CaptionerChoice:
        """Return who is asked; a model that runs here has to look at frames."""
        choice = super().choice()
        if choice.kind != "local":
            return choice
        return replace(choice, options={**choice.options, "sees_frames": True})

    def rule(self) -> FrameSampling:
        """Return how frames are chosen.

        Raises:
            VideoprepError: A number of frames and a rate are given.
        """
        if self.fps is not None and self.frames is not None:
            raise VideoprepError(
                "frames are chosen by their number or by their rate, not by both",
                remedy="leave out `frames` or `fps`",
                option="fps",
            )
        frames = None if self.fps is not None else self.frames or _FRAMES
        return FrameSampling(
            frames, self.fps, self.most_frames, self.long_side, self.window or None
        )


_Options = TypeVar("_Options", bound=BackendOptions)


def checked_options(model: type[_Options], given: Mapping[str, Any]) -> _Options:
    """Check options; None stands for the default.

    Args:
        model: their fields.
        given: their values.

    Raises:
        VideoprepError: One is unknown or out of bounds.
    """
    values = {name: value for name, value in given.items() if value is not None}
    return checked(model, values, VideoprepError)


class BackendKeywords(TypedDict, total=False):
    """The fields of `BackendOptions`, for editors and mypy. None stands for the default."""

    endpoint: str | None
    model: str | None
    captioner: str | None
    model_name: str | None
    temperature: float | None
    seed: int | None
    concurrency: int | None
    timeout: float | None
    retries: int | None
    request_fields: str | None
    device: str | None
    dtype: Dtype | None
    batch_size: int | None


class CaptionKeywords(BackendKeywords, total=False):
    """The fields of `CaptionOptions`, likewise."""

    preset: Preset | None
    prompt: str | Path | None
    context_column: str | None
    trigger: str | None
    frames: int | None
    fps: float | None
    most_frames: int | None
    long_side: int | None
    window: float | None
    max_tokens: int | None
    request: RequestChoice | None
    all_clips: bool | None
    only: Only | None
    limit: int | None
