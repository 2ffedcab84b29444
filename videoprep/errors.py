"""One family of errors: what is wrong, where, and how to mend it.

Every error that videoprep raises on purpose is a :class:`VideoprepError`. The
command line prints it without a traceback and exits with ``exit_code``. All of
them can be pickled, so that they survive the way back from a worker process.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from videoprep.text import counted


class Code(str, Enum):
    """Reasons a sample or clip can be refused. A number is never used for a second meaning.

    0xx: the lists and columns; 1xx: the media; 2xx: the captions; 3xx: the plan; 4xx: encoding;
    9xx: rules that cannot do their work. The code of what a rule alone reports is in its file.
    """

    MISSING_LIST = "VP001"
    UNEQUAL_COUNTS = "VP002"
    BLANK_LINE = "VP003"
    NOT_UTF8 = "VP004"
    MISSING_VIDEO = "VP005"
    OUTSIDE_ROOT = "VP006"
    NOT_A_FILE = "VP007"
    MALFORMED_ROW = "VP008"
    EMPTY_VIDEO = "VP009"
    BYTE_ORDER_MARK = "VP010"
    LINE_ENDS = "VP011"
    UNUSUAL_SEPARATOR = "VP012"
    NUL_BYTE = "VP014"
    NOT_A_TABLE = "VP015"
    DUPLICATE_COLUMN = "VP016"
    EMPTY_DATASET = "VP017"
    BAD_VALUE = "VP018"
    PASSED_OVER = "VP019"
    UNUSED_COLUMN = "VP020"
    CONVERTED_LIST = "VP021"
    MISSING_MEDIA = "VP022"
    DROPPED = "VP023"
    SEVERAL_MEDIA = "VP024"
    CONFIG_KEY = "VP025"
    SIZE_NOT_DIVISIBLE = "VP101"
    FRAME_COUNT = "VP102"
    UNREADABLE = "VP103"
    NO_VIDEO_STREAM = "VP104"
    TIME_LIMIT = "VP105"
    DECODER_CRASH = "VP106"
    MEMORY_LIMIT = "VP107"
    STILL_IMAGE = "VP108"
    TRUNCATED = "VP109"
    NON_SQUARE_PIXELS = "VP113"
    INTERLACED = "VP115"
    HIGH_DYNAMIC_RANGE = "VP116"
    TOO_LARGE = "VP121"
    NO_SOUND = "VP133"
    SHORT_SOUND = "VP134"
    EMPTY_CAPTION = "VP201"
    SEVERAL_CAPTIONS = "VP209"
    TOO_SMALL = "VP301"
    TOO_SHORT = "VP302"
    NO_EXACT_BUCKET = "VP303"
    RANGE_OUTSIDE = "VP310"
    FEW_PIXELS = "VP313"
    LITTLE_KEPT = "VP314"
    NOT_SPANNED = "VP315"
    OTHER_ASPECT = "VP316"
    DECODE_FAILED = "VP401"
    NOT_FINITE = "VP402"
    SOURCE_CHANGED = "VP403"
    OUT_OF_MEMORY = "VP404"
    KILLS_ITS_PROCESS = "VP405"
    NOT_IMPORTABLE = "VP406"
    DAMAGED_FRAMES = "VP407"
    CHANGES_MIDWAY = "VP408"
    DAMAGED_SOUND = "VP409"
    PLUGIN_BROKEN = "VP901"
    PLUGIN_COLLIDES = "VP902"
    RULE_FAILED = "VP903"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a dataset's lists, at one place."""

    code: Code
    message: str
    remedy: str
    file: str
    line: int | None = None
    """Line of the file, counted from 1; None if the problem has no line."""
    row: int | None = None
    """Row of a file whose rows are not told by lines, counted from 1."""
    number: int | None = None
    """Number of the sample in its dataset, counted from 1; None if it concerns more than one."""
    severity: Literal["error", "warning", "note"] | None = None
    """How bad it is here; None: as bad as its rule says."""
    video: str | None = None
    """The sample's video as the dataset writes it, if that is known."""

    @property
    def where(self) -> str:
        """``file:line``, or the file alone if no line is meant."""
        return place_of(self.file, self.line, self.row)


def place_of(file: str, line: int | None, row: int | None) -> str:
    """Return a place in a list as text: ``file:line``, ``file, row 3``, or both."""
    place = file if line is None else f"{file}:{line}"
    return place if row is None else f"{place}, row {row}"


def listed(video: str, file: str, line: int | None, more: str = "") -> str:
    """Return a sample as text: its video and where it is listed, such as ``a.mp4 (list.csv:3)``.

    Args:
        video: as the dataset writes it.
        file: what names the sample; the video itself if no list does, which has no lines.
        line: the line in it, or None.
        more: follows the place, in the brackets.
    """
    name = file.rpartition("/")[2]
    place = "" if name == video.rpartition("/")[2] else place_of(name, line, None)
    inside = ", ".join(filter(None, (place, more)))
    return f"{video} ({inside})" if inside else video


class VideoprepError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: what is wrong, in one sentence.
        where: the path, or ``file:line``, that it is about.
        remedy: what to do next.
        option: the argument that is to blame, by its name in Python.

    Message and remedy write an option as Python does, in backticks: ```reshape='center-crop'```.
    The command line spells it as its own option where it prints the error.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        option: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.remedy = remedy
        self.option = option

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  → {self.remedy}" if self.remedy else text


def _rebuild(
    cls: type[VideoprepError], args: tuple[Any, ...], state: dict[str, Any]
) -> VideoprepError:
    error = cls.__new__(cls)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


class SpecError(VideoprepError):
    """The dataset cannot be described: a folder, file or column is missing or ambiguous.

    ``code`` says why where it is the dataset's fault and not the caller's; `validate` then reports
    it as a finding.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        code: Code | None = None,
        option: str | None = None,
    ) -> None:
        super().__init__(message, where=where, remedy=remedy, option=option)
        self.code = code


class ListError(VideoprepError):
    """The lists can be read but hold mistakes; ``problems`` has every one of them."""

    exit_code = 1
    _SHOWN = 20

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"the dataset's lists have {counted(len(problems), 'problem')}")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [self.message]
        for problem in self.problems[: self._SHOWN]:
            lines.append(f"{problem.where}: {problem.code.value} {problem.message}")
            lines.append(f"  → {problem.remedy}")
        hidden = len(self.problems) - self._SHOWN
        if hidden > 0:
            lines.append(f"… and {hidden} more; `videoprep validate` lists all of them")
        return "\n".join(lines)


class MediaError(VideoprepError):
    """A video file cannot be used; ``code`` says why in a stable word."""

    exit_code = 1

    def __init__(
        self, message: str, *, code: Code, where: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.code = code


class SourceError(VideoprepError):
    """A video is gone, unreadable or another one than was planned: the plan no longer holds."""


class PlanError(VideoprepError):
    """No plan can be made: an illegal bucket, or no clip that fits."""


class EmptyPlanError(PlanError):
    """Every sample was skipped; the reasons are in the message."""

    exit_code = 1


class ModelError(VideoprepError):
    """The model folder is missing, incomplete, or of no known family."""


class StoreError(VideoprepError):
    """The store is missing, damaged, or belongs to another model or recipe."""


class FailuresError(VideoprepError):
    """More clips failed than was allowed: the run was stopped. All that was made stays."""

    exit_code = 1


class TrainError(VideoprepError):
    """Training cannot start or go on."""


def nearest(name: str, known: Iterable[str], there_are: str) -> str:
    """What to do about a name that is none: the nearest one, and all that there are."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}{there_are}: {', '.join(names)}"
