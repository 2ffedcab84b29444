"""Which columns of a table hold what: those that are named, and those that are recognized."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from videoprep.errors import Code, Problem, SpecError

CAPTION_COLUMNS = ("caption", "captions", "prompt", "prompts", "text")
"""Column names taken for the caption when none is named, in order of preference."""

VIDEO_COLUMNS = ("video", "videos", "video_path", "file_name", "filename", "path", "file")
"""Column names taken for the video when none is named, in order of preference."""

TIME_COLUMNS = {"seconds": ("start", "end"), "frames": ("start_frame", "end_frame")}
"""Column names taken for a time range when none is named, by the unit that they stand for."""

DEFAULTS = {"caption_column": CAPTION_COLUMNS[0], "video_column": VIDEO_COLUMNS[0]}
"""Those of a table whose header cannot be read."""

_TIME_FIELDS = ("start_column", "end_column")
_BOTH = "give --start-column and --end-column"


def guess(header: Sequence[str], named: Mapping[str, Any], path: Path) -> dict[str, str]:
    """The fields of a spec that name columns, as far as ``named`` does not; ``""`` names none.

    Raises:
        SpecError: no column could be the caption or the video, or several could be something.
    """
    found = {}
    for what, known in (("caption", CAPTION_COLUMNS), ("video", VIDEO_COLUMNS)):
        column = str(named.get(f"{what}_column") or "") or _first(header, known, path, what)
        if column is None:
            raise _missing(f"no column looks like the {what}", header, path, what)
        found[f"{what}_column"] = column
    # A column has one meaning: where it holds the captions it is no split, whatever its name.
    left = [name for name in header if name not in found.values()]
    for what in ("split", "weight", "repeats"):
        if named.get(f"{what}_column") is None and (column := _first(left, (what,), path, what)):
            found[f"{what}_column"] = column
    return {**found, **_guess_times(left, named, path)}


def find(header: Sequence[str], name: str, path: Path, what: str) -> int:
    """The position of a column.

    Raises:
        SpecError: there is none of that name, or several.
    """
    if header.count(name) > 1:
        raise SpecError(
            f"{header.count(name)} columns are called {name!r}",
            where=str(path),
            remedy="give each column a name of its own",
            code=Code.DUPLICATE_COLUMN,
        )
    if name in header:
        return header.index(name)
    raise _missing(f"there is no column {name!r}", header, path, what, name)


def other_duplicates(header: Sequence[str], used: Collection[str], path: Path) -> list[Problem]:
    """Remarks on columns that share a name, and are not used."""
    twice = [name for name, count in Counter(header).items() if count > 1 and name not in used]
    return [
        Problem(
            Code.DUPLICATE_COLUMN,
            f"several columns are called {name!r}; they are not used",
            "give each column a name of its own",
            str(path),
            1,
        )
        for name in twice
        if name
    ]


def _first(header: Sequence[str], known: Sequence[str], path: Path, what: str) -> str | None:
    """The column with the first of the known names that there is, in whatever case."""
    for name in known:
        alike = sorted({column for column in header if column.lower() == name})
        if len(alike) > 1:
            raise SpecError(
                f"several columns could be the {what}: {', '.join(alike)}",
                where=str(path),
                code=Code.DUPLICATE_COLUMN,
                remedy=f"name it with --{what}-column",
            )
        if alike:
            return alike[0]
    return None


def _guess_times(header: Sequence[str], named: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Where time ranges begin and end, and their unit, which the columns' names tell."""
    found = {unit: _times_in(unit, header, named, path) for unit in TIME_COLUMNS}
    there = [unit for unit in found if found[unit]]
    asked = named.get("time_unit")
    if asked is None and len(there) > 1:
        both = ", ".join(column for unit in there for column in found[unit].values())
        raise SpecError(
            f"are time ranges in seconds or in frames? There are both: {both}",
            where=str(path),
            remedy=f"choose with --time-unit, or {_BOTH}",
            code=Code.DUPLICATE_COLUMN,
        )
    if asked is None:
        return (
            {**found[there[0]], "time_unit": there[0]} if there == ["frames"] else found["seconds"]
        )
    if str(asked) not in TIME_COLUMNS:
        return {}  # it is refused when the spec is checked
    # A column called start may hold frames where this is said; start_frame holds no seconds.
    times = found.get(asked) or (found["seconds"] if asked == "frames" else {})
    if not times and all(named.get(field) is None for field in _TIME_FIELDS):
        raise _missing(f"no column holds times in {asked}", header, path, "start")
    return times


def _times_in(
    unit: str, header: Sequence[str], named: Mapping[str, Any], path: Path
) -> dict[str, str]:
    """The columns of that unit, also those that are named; a name that is not known is seconds'."""
    of_frames = TIME_COLUMNS["frames"]
    found = {}
    for field, name in zip(_TIME_FIELDS, TIME_COLUMNS[unit], strict=True):
        chosen = named.get(field)
        if chosen is None:
            column = _first(header, (name,), path, field.removesuffix("_column"))
        else:
            in_frames = str(chosen).lower() in of_frames
            column = str(chosen) if in_frames == (unit == "frames") else None
        if column:
            found[field] = column
    return found


def _missing(
    message: str, header: Sequence[str], path: Path, what: str, name: str | None = None
) -> SpecError:
    close = difflib.get_close_matches(name, header[:100], n=1) if name else []
    hint = f"did you mean {close[0][:100]!r}? " if close else ""
    which = "the column" if name else "it"
    return SpecError(
        f"{message}; the columns are: {_shown(header)}",
        where=str(path),
        remedy=f"{hint}name {which} with --{what}-column",
        code=Code.MISSING_LIST,
    )


def _shown(header: Sequence[str]) -> str:
    """Column names for a message; a stranger's table may have thousands."""
    return ", ".join(name[:100] for name in header[:20]) + (", …" if len(header) > 20 else "")
