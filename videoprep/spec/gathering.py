"""Lists that are written as a table first: JSON lines, Parquet, text files beside the videos."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from videoprep.errors import Code, SpecError
from videoprep.spec.table_kind import VIDEO_ENDING

LIST = "videoprep-list.csv"
"""What such a table is called."""

_VIDEO = re.compile(rf"{VIDEO_ENDING}$")
_MOST_VIDEOS = 1_000_000
_GLANCE = 20_000  # names of a folder, and of those in it, in which a caption is looked for
_MOST_TEXT = 1 << 16  # bytes of one caption file
_MOST_LINE = 1 << 22  # bytes of one line of JSON
_HEADER_LINES = 100  # lines of JSON whose keys make the columns

Rows = Callable[[], Iterator[list[str]]]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A table that is not a file yet.

    Attributes:
        source: what it is made of.
        what: that in words.
        header: its columns.
        rows: gives its rows, one by one, as often as it is called.
        name: what its file is called.
    """

    source: Path
    what: str
    header: list[str]
    rows: Rows
    name: str = LIST

    def write(self, file: BinaryIO) -> None:
        """Writes it as CSV, row by row."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for row in chain([self.header], self.rows()):
            writer.writerow(row)
            file.write(text.getvalue().encode("utf-8", "surrogateescape"))
            text.seek(0)
            text.truncate()


def is_ours(name: str) -> bool:
    """Whether a file is one that videoprep has written as a list, here or with ``--fix``."""
    return name == LIST or re.fullmatch(r"videoprep(-\d+)?\.csv", name) is not None


def from_json_lines(path: Path) -> Gathered:
    """A table of a JSON object a line; its columns are the keys of the first lines.

    Raises:
        SpecError: a line is no JSON object; it names the line.
    """
    header: dict[str, None] = {}
    for entry in islice(_objects(path), _HEADER_LINES):
        header |= dict.fromkeys(name for name, value in entry.items() if _is_cell(value))
    if not header:
        raise SpecError("it holds no samples", where=str(path), remedy="write a JSON object a line")

    def rows() -> Iterator[list[str]]:
        for entry in _objects(path):
            yield [_cell(entry.get(name)) for name in header]

    return Gathered(path, f"{path.name}, a JSON object a line", list(header), rows)


def from_parquet(path: Path) -> Gathered:
    """A table of a Parquet file's columns of text and numbers.

    Raises:
        SpecError: it cannot be read, or is an index made by videoprep.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise SpecError(
            f"cannot be read as Parquet: {' '.join(str(error).split())[:200]}",
            where=str(path),
            remedy="write it anew, or as CSV",
            code=Code.NOT_A_TABLE,
        ) from error
    if b"videoprep.index" in (schema.metadata or {}):
        raise SpecError(
            "this is a plan, and no dataset",
            where=str(path),
            remedy=f"encode it: videoprep encode {path} -o latents --model MODEL",
        )
    header = [field.name for field in schema if _is_plain(field.type)]

    def rows() -> Iterator[list[str]]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000, columns=header):
                for entry in batch.to_pylist():
                    yield [_cell(entry[name]) for name in header]

    return Gathered(path, f"{path.name}, a Parquet file", header, rows)


def _is_plain(kind: object) -> bool:
    import pyarrow.types as types

    tests = (types.is_string, types.is_large_string, types.is_integer, types.is_floating)
    return any(test(kind) for test in tests)


def has_sidecars(folder: Path) -> bool:
    """Whether a video with a text file beside it is among the first files of a folder."""
    return any(path.with_suffix(".txt").is_file() for path in some_videos(folder))


def some_videos(folder: Path) -> list[Path]:
    """The first videos in a folder, and in the folders in it."""
    return list(islice(_videos(folder), _GLANCE))


def from_sidecars(folder: Path) -> Gathered:
    """A table of the videos in a folder, and in the folders in it; captions are the files beside.

    A video without one gets no caption, which `validate` then names.
    """

    def rows() -> Iterator[list[str]]:
        for number, path in enumerate(_videos(folder, _MOST_VIDEOS)):
            if number == _MOST_VIDEOS:
                raise _too_many(folder)
            yield [path.relative_to(folder).as_posix(), _caption_beside(path)]

    what = "videos with their captions in text files beside them"
    return Gathered(folder, what, ["video", "caption"], rows)


def _videos(folder: Path, most: int = _GLANCE) -> Iterator[Path]:
    """The videos, folder by folder in order; hidden ones are left out, links not followed.

    No folder is read beyond ``most`` videos and as many captions.
    """
    with os.scandir(folder) as found:
        entries = sorted(islice(found, 2 * most + 1), key=lambda entry: entry.name)
    if most == _MOST_VIDEOS and len(entries) > 2 * most:
        raise _too_many(folder)
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in entries:
        if _VIDEO.search(entry.name) and entry.is_file():
            yield Path(entry.path)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _videos(Path(entry.path), most)


def _too_many(folder: Path) -> SpecError:
    return SpecError(
        f"more than {_MOST_VIDEOS:,} videos",
        where=str(folder),
        remedy="write a CSV file with the columns video and caption",
    )


def _caption_beside(video: Path) -> str:
    beside = video.with_suffix(".txt")
    if not beside.is_file():  # a FIFO would never end
        return ""
    with beside.open("rb") as file:
        text = file.read(_MOST_TEXT).decode("utf-8-sig", "surrogateescape")
    return " ".join(text.replace("\0", "").split())


def _objects(path: Path) -> Iterator[dict[str, object]]:
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE), b""), 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _no_object(path, number, f"is no JSON: {error}") from error
            if not isinstance(entry, dict):
                raise _no_object(path, number, "is no JSON object")
            yield entry


def _no_object(path: Path, line: int, what: str) -> SpecError:
    return SpecError(
        f"the line {what}",
        where=f"{path}:{line}",
        remedy='write an object a line: {"video": "a.mp4", "caption": "…"}',
        code=Code.MALFORMED_ROW,
    )


def _is_cell(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _cell(value: object) -> str:
    """The text of a value; half a character, which JSON can hold, is for `validate` to name."""
    text = str(value) if _is_cell(value) else ""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
