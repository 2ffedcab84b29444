"""The caption journal: what models and people wrote about clips, kept beside the dataset.

One file of JSON Lines a stage, to which lines are only ever added. `docs/caption-journal.md`
documents them. A clip is known by its contents and its range, so that renaming or moving a file
loses nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import xxhash
from pydantic import Field, TypeAdapter

from videoprep.errors import VideoprepError
from videoprep.fs.atomic import lock_alone, unlock
from videoprep.fs.fingerprint import open_regular
from videoprep.spec.sample import Extras

FOLDER = "videoprep-captions"
"""The folder of the journal, beside the dataset's lists or its videos."""

Stage = Literal["caption", "refine", "review"]
"""Who writes: a captioner, a refiner, or a person."""

Outcome = Literal[
    "ok", "cut_off", "refused", "blocked", "malformed", "empty", "too_long", "unfaithful", "failed"
]
"""How asking for a caption ended. Only ``ok`` gives a caption."""

Verdict = Literal["keep", "drop", "edit", "reset"]
"""What a person decided about a clip. ``reset`` takes back all that was decided before."""

MOST_CHARACTERS = 100_000
"""Captions are not longer; raw answers are cut there before they are written."""

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]

logger = logging.getLogger(__name__)


def digest(*parts: object) -> str:
    """Return a hash of some values, 32 hexadecimal digits."""
    return xxhash.xxh3_128(json.dumps(parts).encode()).hexdigest()


def clip_key(fingerprint: str, extras: Extras, time_zero: str) -> str:
    """Return the key of a clip: what is in its file, and the range that is trained on.

    Args:
        fingerprint: that of the file's contents.
        extras: of the sample; its start and end count.
        time_zero: where times in seconds count from.
    """
    if extras.start is None and extras.end is None:
        return digest(fingerprint)
    zero = time_zero if extras.unit == "seconds" else ""
    return digest(fingerprint, extras.start, extras.end, extras.unit, zero)


@dataclass(frozen=True, slots=True)
class Run:
    """One way of asking: a model, its prompt and all settings on which the answers depend."""

    stage: Stage
    model: Text
    """The model as the user names it: a folder, a hub id, or the name on a server."""
    identity: Text
    """What the model is told by: a hash of its weights, or the server's address and its name."""
    prompt: Text
    """The instruction, with the places in which a clip's own context comes."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Everything else on which answers depend, such as how frames are chosen."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The options of the command that began it, as they were given, for people who want to run it
    again. Answers do not depend on how they are written."""

    @property
    def id(self) -> str:
        """Return what tells this way of asking from others, 16 hexadecimal digits."""
        return digest(self.stage, self.identity, self.prompt, sorted(self.settings.items()))[:16]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking about one clip once."""

    clip: Hash
    """See `clip_key`."""
    run: Hash
    """See `Run.id`."""
    outcome: Outcome
    caption: Text = ""
    """The cleaned text; empty unless the outcome is ``ok``."""
    raw: Text = ""
    """The answer as it came."""
    reason: Text = ""
    """Why there is no caption, in a sentence."""
    own: Text = ""
    """Hash of the captions that the dataset itself had then, of the first alone if that is what was
    rewritten; empty if it had none."""
    own_captions: int = 0
    """How many captions ``own`` is of; 0 stands for the first one, of however many: so it is where
    a text was rewritten, and in journals of earlier versions."""
    of: Text = ""
    """Hash of the text that was rewritten; empty if frames were described."""
    context: Text = ""
    """Hash of what was known about the clip and told with the question; empty for nothing."""
    video: Text = ""
    """The video as the dataset wrote it then, for people who read the journal."""
    start: float | None = None
    """The range as the dataset wrote it then."""
    end: float | None = None
    frames: tuple[float, ...] = ()
    """Times of the frames that were shown, in seconds from the clip's first frame."""
    cleaning: tuple[str, ...] = ()
    """Names of the cleaning rules that changed the text."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What a structured answer said, by its keys."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    """How long the answer took."""
    left_out: tuple[Text, ...] = ()
    """Fields of the requests that were not sent, since the server does not know them; the run's
    settings say what was to be sent."""
    at: Text = ""
    """When, as ISO 8601 in UTC."""


def uses_journal(folder: Path, named: str | None) -> bool:
    """Return whether captions are looked for in a journal.

    Args:
        folder: of the dataset's lists, or of its videos.
        named: the journal's folder in it as the user names it; empty for none.
    """
    return named != "" and (named is not None or CaptionJournal(folder / FOLDER).exists())


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one clip."""

    clip: Hash
    """See `clip_key`."""
    verdict: Verdict
    caption: Text = ""
    """The person's text, if the verdict is ``edit``."""
    video: Text = ""
    """The video as the dataset wrote it then, for people who read the journal."""
    reason: Text = ""
    at: Text = ""
    """When, as ISO 8601 in UTC."""
    by: Text = ""
    """Who, if they gave a name."""
    undo: bool = False
    """Whether it restores what was before another decision; a ``reset`` comes first."""


Record = Run | Answer | Decision
"""One line of a journal file."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A record with the line of its file, counted from 1."""

    line: int
    record: Record


class CaptionJournal:
    """The files in a journal's folder.

    Any number of processes may add to them and read them at a time.

    Args:
        folder: where they lie; made when the first line is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Return whether there is such a folder; a link is none: it may be a stranger's."""
        return self.folder.is_dir() and not self.folder.is_symlink()

    def file(self, stage: Stage) -> Path:
        """Return the file of a stage."""
        return self.folder / f"{stage}.jsonl"

    def append(
        self, stage: Stage, records: Sequence[Record], after: Position | None = None
    ) -> bool:
        """Add records to a stage's file, all of them or none, and wait until they are on disk.

        Args:
            stage: whose file.
            records: the new ones.
            after: how far the file was read by whoever decided what to add. If others have added
                something since, nothing is added.

        Returns:
            Whether they were added.

        Raises:
            VideoprepError: they cannot be written, such as to a full disk.
        """
        path = self.file(stage)
        written = [_line(record) for record in records]
        if any(len(line) > _LONGEST for line in written):
            raise VideoprepError(
                f"a record is longer than {_LONGEST:,} bytes", where=str(path), remedy="shorten it"
            )
        lines = b"".join(written)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.folder.is_symlink():
                raise OSError(None, "the folder is a link")
            return _append(path, lines, None if after is None else after.offset)
        except OSError as error:
            raise VideoprepError(
                f"the caption journal cannot be written: {error.strerror or error}",
                where=str(path),
                remedy="make room or allow writing there, and run the same command again: what is "
                "in the journal stays",
            ) from error

    def read(self, stage: Stage, begin: Position | None = None) -> Iterator[Placed]:
        """Yield a stage's records in the order in which they were written.

        A line that is no record is told in a warning and skipped. A last line without its end is
        being written.

        Args:
            stage: whose file.
            begin: where to begin; moved along to where the next reading begins.
        """
        at = begin if begin is not None else Position()
        try:
            file = open_regular(self.file(stage))
        except FileNotFoundError:
            return
        except OSError as error:
            raise VideoprepError(
                f"the caption journal cannot be read: {error.strerror or error}",
                where=str(self.file(stage)),
                remedy="make it readable, or move it away",
            ) from error
        with file, os.fdopen(os.dup(file.fileno()), "rb") as lines:
            if os.fstat(file.fileno()).st_size < at.offset:  # another file took its place
                at.offset = at.line = 0
            lines.seek(at.offset)
            while (line := _next_line(lines)) is not None:
                at.offset = lines.tell()
                at.line += 1
                record = _record(line, stage)
                if record is not None:
                    yield Placed(at.line, record)
                elif line.strip():
                    logger.warning(
                        "%s:%d is no record of a caption journal, and is skipped",
                        self.file(stage), at.line,
                    )  # fmt: skip


@dataclass(slots=True)
class Position:
    """How far a journal file has been read."""

    offset: int = 0
    line: int = 0


# Longer lines come of no caption: raw text is cut before it is written.
_LONGEST = 1 << 22


def _next_line(file: BinaryIO) -> bytes | None:
    """Return the next line, or None if it has no end yet. Of one that is too long, its end."""
    line = file.readline(_LONGEST)
    while len(line) == _LONGEST and not line.endswith(b"\n"):  # such as zeros after a crash
        line = b"-" + file.readline(_LONGEST)[-_LONGEST + 1 :]
    return line if line.endswith(b"\n") else None


def _append(path: Path, lines: bytes, after: int | None = None) -> bool:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    number = os.open(path, flags, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(None, "not a regular file")
        lock_alone(number)
        size = os.fstat(number).st_size
        if after is not None and _has_line(number, after, size):
            return False
        if size and os.pread(number, 1, size - 1) != b"\n":  # a writer was killed in mid-line
            lines = b"\n" + lines
        try:
            _write(number, lines)
            os.fsync(number)
        except OSError:
            with contextlib.suppress(OSError):  # the first error is what counts
                os.ftruncate(number, size)
            raise
        unlock(number)
        return True
    finally:
        os.close(number)


def _has_line(number: int, start: int, end: int) -> bool:
    """Return whether a part of a file ends a line; one without an end was cut off by a kill."""
    if end < start:  # the file is another one than was read
        return True
    while start < end:
        part = os.pread(number, min(_LONGEST, end - start), start)
        if not part or b"\n" in part:
            return bool(part)
        start += len(part)
    return False


def _write(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


_KINDS: Mapping[str, TypeAdapter[Any]] = {
    "run": TypeAdapter(Run),
    "answer": TypeAdapter(Answer),
    "decision": TypeAdapter(Decision),
}
_NAMES = {Run: "run", Answer: "answer", Decision: "decision"}


def _line(record: Record) -> bytes:
    name = _NAMES[type(record)]
    values = _KINDS[name].dump_python(record, mode="json", exclude_defaults=True)
    named = {"type": name, **({"id": record.id} if isinstance(record, Run) else {}), **values}
    return json.dumps(named).encode() + b"\n"


def _record(line: bytes, stage: Stage) -> Record | None:
    """Return the record of a line, or None: the file may be damaged, or a stranger's."""
    try:
        values = json.loads(line)
        record: Record = _KINDS[values.pop("type")].validate_python(values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if _belongs(record, stage) else None


def _belongs(record: Record, stage: Stage) -> bool:
    """Return whether a record may stand in the file of a stage."""
    if isinstance(record, Run):
        return record.stage == stage
    return isinstance(record, Decision) == (stage == "review")
