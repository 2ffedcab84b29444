"""What a captioner is: a model that answers to frames and an instruction, wherever it runs.

The built-in ones and those of third parties (entry points ``videoprep.captioners``) are made alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Finish = Literal["stop", "length", "filtered"]
"""Why a model stopped: it was done, it came to the limit of tokens, or its answer was withheld."""


@dataclass(frozen=True, slots=True, eq=False)
class CaptionRequest:
    """One question: an instruction, and the frames that it is about."""

    instruction: str
    """What to do, with the clip's own context filled in."""
    frames: Sequence[NDArray[np.uint8]] = ()
    """RGB ``[H, W, 3]``, upright, all of one size; none if a text is to be rewritten."""
    times: Sequence[float] = ()
    """When each frame is shown, in seconds from the clip's first frame."""
    duration: float = 0.0
    """How long the clip is, in seconds."""
    max_tokens: int = 512
    """The answer ends there."""
    schema: Mapping[str, Any] | None = None
    """The JSON schema of the answer, for captioners that can keep to one; None for plain text."""


@dataclass(frozen=True, slots=True)
class CaptionReply:
    """What a model answered."""

    text: str
    finish: Finish = "stop"
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    """How long it took, of a batch its share."""
    left_out: tuple[str, ...] = ()
    """Fields of the request without which it was asked, since the server does not know them."""


@dataclass(frozen=True, slots=True)
class CaptionFailure:
    """Why there is no answer. What is asked about next may well get one."""

    reason: str
    """In a sentence, without the clip's name."""


class Captioner(Protocol):
    """A model that answers to frames and an instruction. Its methods are called from one thread.

    An error that concerns every question, such as a server that is not there, is raised as a
    `VideoprepError`; one that concerns a single question is a `CaptionFailure`.
    """

    model: str
    """As the user names it, or as the server does."""
    identity: str
    """What tells it from other models: a hash of its weights, or the server's address and model."""
    settings: Mapping[str, Any]
    """All else on which its answers depend, such as a dtype or a temperature."""
    ahead: int
    """How many questions it works on at a time."""

    def ask(
        self, requests: Iterator[tuple[T, CaptionRequest]]
    ) -> Iterator[tuple[T, CaptionReply | CaptionFailure]]:
        """Yield the answer to each question, in any order, each with what came with its question.

        Takes the next question only when there is room for it: at most `ahead` of them, beside
        those whose answers were yielded, are held.
        """

    def close(self) -> None:
        """Let go of the model, the server's connections and all threads."""
