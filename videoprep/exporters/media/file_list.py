"""What a list of exported files is, for trainers that read one. One file a trainer defines one."""

from __future__ import annotations

import csv
import io
import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any, ClassVar

from videoprep.index.bucket import Bucket
from videoprep.spec.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """An exported clip."""

    path: str
    """Its file, relative to the export."""
    captions: Sequence[str]
    """All its captions, each on one line."""
    bucket: Bucket
    """Its frames and pixels."""
    rate: Fraction | None
    """Frames a second; None of a still image."""
    has_sound: bool
    """Whether its file has sound."""
    beside: Mapping[Role, str]
    """The files that it has beside it, relative to the export, by role."""

    @property
    def caption(self) -> str:
        """The first caption."""
        return self.captions[0]

    @property
    def seconds(self) -> float:
        """How long its frames last; 0 of a still image."""
        return 0.0 if self.rate is None else float(self.bucket.frames / self.rate)


@dataclass(frozen=True, slots=True)
class ListedColumns:
    """The columns that a list has: those that each of its clips has something for."""

    beside: Mapping[Role, str]
    """The columns of media beside clips, by role."""
    sound: bool
    """Whether all clips have sound."""


class FileList(ABC):
    """A list of the exported files, as a trainer reads it with its own preprocessing.

    Attributes:
        name: the trainer's.
        file: the file name of the list.
        columns: the column for each kind of role that it has one for, such as ``control``.
        stills: whether it takes still images.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    columns: ClassVar[Mapping[str, str]] = {}
    stills: ClassVar[bool] = True

    def takes(self, file: ListedFile) -> bool:
        """Return whether a clip is listed."""
        return self.stills or file.rate is not None

    def columns_of(self, files: Iterable[ListedFile]) -> ListedColumns:
        """Return the columns of a list: trainers want a file in each row of a column.

        Of several roles of a kind the first one has the column.
        """
        roles: set[Role] | None = None
        sound = True
        for file in filter(self.takes, files):
            own = {role for role in file.beside if role.kind.name in self.columns}
            roles = own if roles is None else roles & own
            sound = sound and file.has_sound
        named: dict[Role, str] = {}
        for role in sorted(roles or ()):
            column = self.columns[role.kind.name]
            if column not in named.values():
                named[role] = column
        return ListedColumns(named, sound and roles is not None)

    @abstractmethod
    def lines(self, files: Iterable[ListedFile], columns: ListedColumns) -> Iterator[str]:
        """Yield the lines of the list, without line breaks at their ends.

        Args:
            files: those that it takes, in the order of the plan.
            columns: what `columns_of` returned for them.
        """

    @abstractmethod
    def command(self, root: str, columns: ListedColumns) -> str:
        """Return the command that reads the list.

        Args:
            root: the folder of the export, absolute.
            columns: those that the list has.
        """


def json_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of a JSON array, a row each."""
    before = "["
    for row in rows:
        yield before + json.dumps(row, ensure_ascii=False)
        before = ","
    yield "]" if before == "," else "[]"


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a CSV table. Cells hold no line breaks."""
    for row in chain([header], rows):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(row)
        yield line.getvalue()


def words_of(*words: object) -> str:
    """Return a command line of these words."""
    return shlex.join(str(word) for word in words)
