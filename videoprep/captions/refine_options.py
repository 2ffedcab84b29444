"""`RefineOptions`: who rewrites captions, how, and how long they may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from videoprep.captions.options import BackendKeywords, BackendOptions
from videoprep.captions.refine_prompts import RefineMode
from videoprep.options import Cli

OnlyRefined = Literal["missing", "stale", "failed"]


class RefineOptions(BackendOptions):
    """Who rewrites captions, how, and how long they may be."""

    max_tokens: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000)] | None, Cli(alike=("limit_tokens",), example=226)
    ] = None
    """Maximum number of tokens of a caption, counted by `tokenizer`. A longer answer is sent back
    to be shortened. Default: what the model of `tokenizer` takes."""
    tokenizer: Annotated[str | None, Cli(metavar="MODEL", alike=("target", "target_model"))] = None
    """Model that will be trained, whose own tokenizer counts: a diffusers folder or hub id, or the
    folder of a tokenizer alone. Default: captions may have any length."""
    style: Annotated[str | None, Cli(completion="profiles", metavar="PROFILE")] = None
    """Model family whose style is asked for, by its profile. Default: that of `tokenizer`, or of
    the dataset's `profile`."""
    creative: bool = False
    """Make up details, to expand short prompts for inference. Captions for training invent nothing
    without it."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Maximum share of new words in a refined text. Above it, the caption stays as it is; 1 turns
    this off."""
    lost_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Maximum share of the caption's words that a refined text may lack, unless the caption had to
    be shortened; 1 turns this off."""
    tries: Annotated[int, Field(ge=1, le=100)] = 4
    """How often a model is asked about a caption until its answer is short enough."""
    answer_tokens: Annotated[int, Field(ge=1, le=131_072)] = 1024
    """Maximum number of tokens of an answer, those of thinking included."""
    prompt: Annotated[Path | None, Cli(metavar="FILE")] = None
    """File with a prompt of your own, which is asked instead. `{caption}` in it stands for the
    caption, `{style}` for the style, and `{length}` for how long the answer may be."""
    trigger: Annotated[str | None, Cli(metavar="TEXT")] = None
    """Text with which captions begin, such as a trigger word: it is kept, and no model sees it.
    What `videoprep caption` put before captions is kept without it."""
    only: Annotated[OnlyRefined | None, Cli(metavar="WHICH")] = None
    """Refine only captions without a refined text (`missing`), those whose refined text another
    prompt, model or setting made (`stale`), or those that failed (`failed`)."""
    limit: Annotated[Annotated[int, Field(ge=1)] | None, Cli(example=20)] = None
    """Maximum number of captions to refine."""

    @property
    def mode(self) -> RefineMode:
        """Whether details are made up."""
        return "creative" if self.creative else "faithful"


class RefineKeywords(BackendKeywords, total=False):
    """The fields of `RefineOptions`, for editors and mypy. None stands for the default."""

    max_tokens: int | None
    tokenizer: str | None
    style: str | None
    creative: bool | None
    share: float | None
    lost_share: float | None
    tries: int | None
    answer_tokens: int | None
    prompt: str | Path | None
    trigger: str | None
    only: OnlyRefined | None
    limit: int | None
