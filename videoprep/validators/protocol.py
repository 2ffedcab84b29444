"""What a rule is. The built-in rules and those of third parties are made alike.

A rule is pure: it looks at a `Subject`, which the engine has filled, and yields findings. It opens
no file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from videoprep.index.placement import LeftOut, Placement
from videoprep.index.policy import Policy
from videoprep.media.probe import MediaInfo
from videoprep.spec.sample import Sample


class Severity(str, Enum):
    """How bad a finding is. Only errors make a dataset fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found.

    Attributes:
        code: the rule's code.
        severity: how bad it is here.
        message: what is wrong, with figures.
        remedy: what to do next.
        file: the list that names the sample.
        line: the line in that list, or None where no line is meant.
        video: the video's path as the dataset writes it, or None.
        data: the figures, for machines.
    """

    code: str
    severity: Severity
    message: str
    remedy: str
    file: str
    line: int | None
    video: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """One sample as a rule sees it.

    Attributes:
        sample: caption, video and where they are written.
        media: what is in the file.
        policy: the profile and how clips may be fitted.
        place: where the clip will go, or why it is left out.
    """

    sample: Sample
    media: MediaInfo
    policy: Policy
    place: Placement | LeftOut

    def finding(
        self, rule: Validator, severity: Severity, message: str, remedy: str, **data: Any
    ) -> Finding:
        """A finding of ``rule`` on this sample."""
        source = self.sample.source
        return Finding(
            rule.code, severity, message, remedy, source.file, source.line, self.sample.name, data
        )


class RuleOptions(BaseModel):
    """Options of a rule; a rule with options subclasses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Validator(ABC):
    """A rule.

    Attributes:
        code: ``VP`` and three digits; third parties use letters of their own.
        name: a short name in words, joined by hyphens.
        summary: what it demands, in one sentence.
        Options: the type of ``options``.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[RuleOptions]] = RuleOptions

    def __init__(self, options: RuleOptions | None = None) -> None:
        self.options = options or self.Options()

    @abstractmethod
    def check(self, subject: Subject) -> Iterator[Finding]:
        """Yields what is wrong with one sample."""
