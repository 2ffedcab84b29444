"""Which columns of a table hold what: those that are named, and those that are recognized."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from videoprep.errors import Code, Problem, SpecError
from videoprep.spec.cells import BadCellError, as_paths, as_range
from videoprep.spec.extras import EXTRAS
from videoprep.spec.roles import LISTED, ROLES, VIDEO, has_own_option, role_called
from videoprep.spec.video_lookup import is_address

OPTIONAL = (*EXTRAS, *LISTED)
"""What a table may say of a sample beside its video and caption, each in a column of its own."""

COLUMNS = ("caption", "video", *OPTIONAL)
"""What columns are read for, if an option called ``WHAT_column`` can name one. Beside these, they
are read for the roles of the option ``roles``."""

CAPTION_COLUMNS = ("caption", "captions", "prompt", "prompts", "text", "cap")
"""Column names taken for the caption if none is named, in order of preference."""

VIDEO_COLUMNS = ROLES[VIDEO].columns
"""Column names taken for the video if none is named, in order of preference."""

TIME_COLUMNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "seconds": (
        ("start", "start_time", "start_timestamp", "start_sec", "start_secs", "start_second",
         "start_seconds", "start_s", "clip_start", "clip_start_time", "segment_start",
         "time_start", "begin", "begin_time"),
        ("end", "end_time", "end_timestamp", "end_sec", "end_secs", "end_second", "end_seconds",
         "end_s", "clip_end", "clip_end_time", "segment_end", "time_end", "stop", "stop_time"),
    ),
    "frames": (
        ("start_frame", "frame_start", "start_frame_idx", "start_frame_index", "begin_frame"),
        ("end_frame", "frame_end", "end_frame_idx", "end_frame_index", "stop_frame"),
    ),
}  # fmt: skip
"""Column names taken for where a time range begins and ends, by the unit that they stand for."""

RANGE_COLUMNS = (
    "timestamp", "timestamps", "time_range", "timerange", "range", "segment", "clip_range",
    "start_end",
)  # fmt: skip
"""Column names taken for a time range of two elements, if that is what the column holds."""

OTHER_COLUMNS: dict[str, tuple[str, ...]] = {
    "split": ("split",),
    "weight": ("weight",),
    "repeats": ("repeats", "num_repeats"),
    **{role: role.kind.columns for role in LISTED},
}
"""Column names taken for these if none is named."""

# What an unused column may be meant for. A pattern is matched against the normalized name.
_MEANINGS = {
    "a time": re.compile(
        r"(clip|shot|scene|segment|time|video)?_?(start|begin|end|stop)(_?(time|timestamp|sec|secs|"
        r"seconds|s|ms|frame|frames|idx|index|pts))*|(in|out)_point|timestamps?|time_?range|segment"
        r"|(frame|time)_(start|end)"
    ),
    "a duration": re.compile(r"(clip_|video_)?duration(_s|_sec|_seconds|_ms)?"),
    "a caption": re.compile(
        r"(.*_)?(captions?|prompts?|description)(_.*)?|caption\d+|text|cap|title"
    ),
    **{
        label: re.compile("|".join(kind.alike for kind in ROLES.values() if kind.label == label))
        for label in dict.fromkeys(kind.label for kind in ROLES.values() if kind.alike)
    },
    "a split": re.compile(r"subset|fold|partition"),
    "a weight": re.compile(r"(sample_?)?weights?|repeats?|num_repeats"),
}

_TIMES = ("a time", "a duration")
_TIME_FIELDS = ("start_column", "end_column")
_BOTH = "name `start_column` and `end_column`"
_LOOKED_AT = 20  # rows of a column that may hold ranges, or values of one that may hold paths
# A path has an ending that begins with a letter, but for a few: 0.5 and 44.1kHz are none.
_PATH = re.compile(r".*\.([A-Z][A-Z0-9]{0,4}|3G[2AP]|3GPP2?)", re.DOTALL | re.IGNORECASE | re.ASCII)

Rows = Sequence[Sequence[Any]]


def normalized(name: str) -> str:
    """Return a column's name as its words in lower case: ``Start Time`` is ``start_time``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s\-_.]+", "_", words).lower()


def as_fields(columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a spec that name columns, or files and folders, by what they hold."""
    fields: dict[str, Any] = {
        f"{what}_column": name for what, name in columns.items() if has_own_option(what)
    }
    roles = {what: name for what, name in columns.items() if not has_own_option(what)}
    return {**fields, "roles": roles} if roles else fields


def of_fields(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the inverse of `as_fields`; fields that name no columns are left out."""
    columns = {
        field.removesuffix("_column"): str(value)
        for field, value in fields.items()
        if field.endswith("_column") and value is not None
    }
    roles = fields.get("roles")
    named = roles.items() if isinstance(roles, Mapping) else ()
    return columns | {str(role): str(name) for role, name in named}


def guess(
    header: Sequence[str], named: Mapping[str, Any], path: Path, rows: Rows = ()
) -> dict[str, Any]:
    """Return the fields of a spec that name columns, as far as ``named`` does not.

    Of ``roles``, which is one field, those that are named are among them.

    Args:
        header: the names of the columns.
        named: fields that are given; ``""`` means that there is no such column.
        path: the table, for messages.
        rows: its first rows, with a value for each column.

    Raises:
        SpecError: no column could be the caption or the video, or several could be something.
    """
    found: dict[str, Any] = {}
    usual: dict[str, tuple[str, ...]] = {"caption": CAPTION_COLUMNS, "video": VIDEO_COLUMNS}
    for what, known in usual.items():
        column = str(named.get(f"{what}_column") or "") or _first(header, known, path, what)
        if column is None:
            raise _missing(f"no column looks like the {what}", header, path, what)
        found[f"{what}_column"] = column
    # A column has one meaning: if it holds the captions it is not a split, whatever its name.
    left = [name for name in header if name not in found.values()]
    for what, known in OTHER_COLUMNS.items():
        if named.get(f"{what}_column") is not None:
            continue
        names = _columns_of_paths(header, left, known, rows) if what in LISTED else left
        if column := _first(names, known, path, what):
            found[f"{what}_column"] = column
    asked = named.get("roles")
    roles = _guess_roles(header, left, asked if isinstance(asked, Mapping) else {}, rows)
    if roles:
        found["roles"] = roles
    times = _guess_times(left, named, path)
    if not times and not any(named.get(field) for field in _TIME_FIELDS):
        times = _guess_range(header, left, named, rows)
    return {**found, **times}


def _guess_roles(
    header: Sequence[str], left: Sequence[str], named: Mapping[str, str], rows: Rows
) -> dict[str, str]:
    """The columns of roles, by role: those that are named, and those that are called like one."""
    found: dict[str, list[str]] = {}
    free = [name for name in left if name not in named.values() and header.count(name) == 1]
    for kind in ROLES.values():
        if not kind.several:
            continue
        usual = _columns_of_paths(header, free, kind.columns, rows)
        by_place = sorted(usual, key=lambda name: kind.columns.index(normalized(name)))
        found |= {kind.name: by_place[:1]} if by_place else {}
    for name in free:
        role = None if _has_usual_name(name) else role_called(normalized(name))
        if role is not None and _holds_paths(header, name, rows):
            found.setdefault(role, []).append(name)
    sure = {str(role): names[0] for role, names in found.items() if len(names) == 1}
    return {**sure, **named}


def _has_usual_name(name: str) -> bool:
    """Whether a column is called like a role without a suffix."""
    return any(normalized(name) in kind.columns for kind in ROLES.values())


def looks_like_a_dataset(header: Collection[str], named: Mapping[str, Any]) -> bool:
    """Return whether some column could be the video and another the caption, by name."""
    words = {normalized(name) for name in header}
    usual = {"video": VIDEO_COLUMNS, "caption": CAPTION_COLUMNS}
    return all(
        name in header if (name := named.get(f"{what}_column")) else not words.isdisjoint(known)
        for what, known in usual.items()
    )


def find(header: Sequence[str], name: str, path: Path, what: str) -> int:
    """Return the position of a column.

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
    """Return remarks on columns that share a name, and are not used."""
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


def unused(
    header: Sequence[str], used: Mapping[str, str], off: Collection[str], path: Path
) -> Iterator[Problem]:
    """Yield remarks on columns that look meaningful and are not used.

    Args:
        header: the names of the columns.
        used: the columns in use, by what they hold.
        off: what the user has said that no column holds, such as ``split``.
        path: the table.
    """
    has_range = "range" in used or ("start" in used and "end" in used)
    for name in dict.fromkeys(header):
        meaning = _meaning(name) if name not in used.values() else None
        if meaning is None or _is_off(normalized(name), off):
            continue
        if meaning in _TIMES and has_range:
            continue
        mild = meaning == "a duration" and "start" not in used
        yield Problem(
            Code.UNUSED_COLUMN,
            f"the column {name[:100]!r} looks like {meaning}, and is not used",
            _remedy(meaning, name),
            str(path),
            severity="note" if mild else "warning",
        )


def _meaning(name: str) -> str | None:
    words = normalized(name)
    return next((what for what, known in _MEANINGS.items() if known.fullmatch(words)), None)


def _is_off(words: str, off: Collection[str]) -> bool:
    """Return whether the column is one that was turned off."""
    names = {
        "start": [name for starts, _ in TIME_COLUMNS.values() for name in starts],
        "end": [name for _, ends in TIME_COLUMNS.values() for name in ends],
        "range": RANGE_COLUMNS,
        **OTHER_COLUMNS,
        **{kind.name: kind.columns for kind in ROLES.values()},
    }
    if role_called(words) in off:
        return True
    return any(words in names.get(what, ()) for what in off)


def _remedy(meaning: str, name: str) -> str:
    words = normalized(name)
    if meaning in _TIMES and words.endswith("_ms"):
        return "times in milliseconds are not read: write them in seconds"
    if meaning in _TIMES:
        return (
            "if samples are parts of their videos, name the columns with `start_column` and "
            "`end_column`, or with `range_column`; if not, ignore this rule"
        )
    fields = {"a caption": "caption_column", "a split": "split_column"}
    fields["a weight"] = "weight_column` or `repeats_column"
    fields |= {role.kind.label: f"{role}_column" for role in LISTED}
    if meaning in fields:
        return f"name it with `{fields[meaning]}` if it is meant, or ignore this rule"
    if meaning in _OF_ROLES:
        role = role_called(words) or _likely_role(words)
        plain = len(name) <= _PLAIN and "`" not in name
        column = repr(name) if plain else "…"
        option = f"`roles={{{str(role)!r}: {column}}}`"
        return f"name it with {option} if it is meant, or ignore this rule"
    return "nothing is made of it; if training needs it, it has to come from elsewhere"


_PLAIN = 100
_OF_ROLES = {kind.label for kind in ROLES.values() if kind.several}


def _likely_role(words: str) -> str:
    """The role that a column may be meant for, such as ``control:depth`` for ``depth_path``."""
    kinds = (kind for kind in ROLES.values() if kind.several)
    kind = next(one for one in kinds if re.fullmatch(one.alike, words))
    if kind.name in words.split("_") or words in kind.columns:
        return kind.name
    return role_called(f"{kind.name}_{words}") or kind.name


def _first(header: Sequence[str], known: Sequence[str], path: Path, what: str) -> str | None:
    """The column with the first of the known names that there is, in whatever spelling."""
    spelled: dict[str, list[str]] = {}
    for column in dict.fromkeys(header):
        spelled.setdefault(normalized(column), []).append(column)
    for name in known:
        alike = sorted(spelled.get(name, ()))
        if len(alike) > 1:
            raise SpecError(
                f"several columns could be the {what}: {', '.join(alike)}",
                where=str(path),
                code=Code.DUPLICATE_COLUMN,
                remedy=f"name it with `{what}_column`",
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
            remedy=f"choose with `time_unit`, or {_BOTH}",
            code=Code.DUPLICATE_COLUMN,
        )
    if asked is None:
        return (
            {**found[there[0]], "time_unit": there[0]} if there == ["frames"] else found["seconds"]
        )
    if str(asked) not in TIME_COLUMNS:
        return {}  # it is refused when the spec is checked
    # A column called start may hold frames if this is said; start_frame holds no seconds.
    times = found.get(asked) or (found["seconds"] if asked == "frames" else {})
    fields = (*_TIME_FIELDS, "range_column")
    if not times and all(named.get(field) is None for field in fields):
        raise _missing(f"no column holds times in {asked}", header, path, "start")
    return times


def _times_in(
    unit: str, header: Sequence[str], named: Mapping[str, Any], path: Path
) -> dict[str, str]:
    """The columns of that unit, also those that are named; a name that is not known is seconds'."""
    of_frames = {name for names in TIME_COLUMNS["frames"] for name in names}
    found = {}
    for field, names in zip(_TIME_FIELDS, TIME_COLUMNS[unit], strict=True):
        chosen = named.get(field)
        if chosen is None:
            column = _first(header, names, path, field.removesuffix("_column"))
        else:
            in_frames = normalized(str(chosen)) in of_frames
            column = str(chosen) if in_frames == (unit == "frames") else None
        if column:
            found[field] = column
    return found


def _guess_range(
    header: Sequence[str], left: Sequence[str], named: Mapping[str, Any], rows: Rows
) -> dict[str, str]:
    """A column of ranges, if its first values are ranges: ``timestamp`` is often a date."""
    if named.get("range_column") is not None:
        return {}
    for name in left:
        if normalized(name) not in RANGE_COLUMNS:
            continue
        values = _values(header, name, rows[:_LOOKED_AT])
        if values and all(as_range(value) is not None for value in values):
            return {"range_column": name}
    return {}


def _columns_of_paths(
    header: Sequence[str], left: Sequence[str], known: Sequence[str], rows: Rows
) -> list[str]:
    """Those of the known names that hold paths, without those that leave open which is meant.

    Nobody has asked for them, so that doubt is no error: what is not used is pointed out.
    """
    called = [name for name in left if normalized(name) in known and header.count(name) == 1]
    holding = [name for name in called if _holds_paths(header, name, rows)]
    spellings = Counter(map(normalized, holding))
    return [name for name in holding if spellings[normalized(name)] == 1]


def _holds_paths(header: Sequence[str], name: str, rows: Rows) -> bool:
    """Whether a column holds values, and the first are paths: ``sound`` may be yes or no."""
    texts = [text for value in _values(header, name, rows) for text in _paths_in(value)]
    return bool(texts) and all(map(_is_path, texts[:_LOOKED_AT]))


def _paths_in(value: Any) -> list[str | None]:
    """The paths in a cell; None if it holds something else."""
    try:
        return [name.strip() for name in as_paths(value)]
    except BadCellError:
        return [None]


def _is_path(text: str | None) -> bool:
    """Whether a text looks like a path; media are not downloaded, so that an address does not."""
    return text is not None and _PATH.fullmatch(text) is not None and not is_address(text)


def _values(header: Sequence[str], name: str, rows: Rows) -> list[Any]:
    """The values of a column in some rows, as far as cells hold any."""
    at = header.index(name)
    return [row[at] for row in rows if at < len(row) and row[at] not in ("", None)]


def _missing(
    message: str, header: Sequence[str], path: Path, what: str, name: str | None = None
) -> SpecError:
    close = difflib.get_close_matches(name, header[:100], n=1) if name else []
    hint = f"did you mean {close[0][:100]!r}? " if close else ""
    which = "the column" if name else "it"
    return SpecError(
        f"{message}; the columns are: {_shown(header)}",
        where=str(path),
        remedy=f"{hint}name {which} with {_option_of(what)}",
        code=Code.MISSING_LIST,
    )


def _option_of(what: str) -> str:
    """The option that names the column of something, in backticks."""
    return f"`{what}_column`" if has_own_option(what) else f"`roles={{{what!r}: …}}`"


def _shown(header: Sequence[str]) -> str:
    """Column names for a message; a table from elsewhere may have thousands."""
    return ", ".join(name[:100] for name in header[:20]) + (", …" if len(header) > 20 else "")
