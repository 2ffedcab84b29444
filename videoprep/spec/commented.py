"""The text of a ``videoprep.yaml`` that explains itself: every option, with what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.spec_file import spec_text
from videoprep.spec.yaml_lines import EXPLAINS, YamlLines
from videoprep.text import escape_unprintable

_WIDTH = 96

MARK = f"{EXPLAINS} The settings of a dataset, which every videoprep command reads."
"""The first line of a file that explains itself."""

_HEAD = (
    "Options on the command line override what is set here. A line without # sets an option. A "
    "commented-out option shows its default or a proposal: remove the # to set it. The lines that "
    "begin with ## are explanations, which `videoprep init` writes again each time it runs; it "
    "keeps your settings and your own comments, which begin with a single #."
)

# What this file cannot say of itself, see `read_spec_file`.
_NOT_SHOWN = ("allow_outside_root",)

_PARTS = {
    "data_root": "Where the samples are",
    "profile": "Which clips are legal, and how they are fitted",
    "clip_mode": "Which parts of a video become clips",
    "select": "What `videoprep validate` looks for",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value that an option might have, and why."""

    value: Any
    why: str


@dataclass(frozen=True, slots=True)
class Comments:
    """What is said beside the options' meanings.

    Attributes:
        top: paragraphs at the top.
        proposed: by option, values that are shown but not set.
        own: what a person wrote. The lines of a setting are used as they are if it is set.
    """

    top: tuple[str, ...] = ()
    proposed: Mapping[str, Proposal] = field(default_factory=dict)
    own: YamlLines = field(default_factory=YamlLines)


def commented_text(fields: Mapping[str, Any], comments: Comments) -> str:
    """The file's text.

    Args:
        fields: what is set, by option.
        comments: what is known beside.
    """
    return "\n".join(_lines(fields, comments)) + "\n"


def explanations() -> set[str]:
    """Return every line that explains an option or shows its default."""
    return {line for line in _lines({}, Comments()) if line.startswith("#")}


def _lines(fields: Mapping[str, Any], comments: Comments) -> Iterator[str]:
    yield from comments.own.top
    yield MARK
    yield from _comment(_HEAD)
    for paragraph in comments.top:
        yield EXPLAINS
        yield from _comment(paragraph)
    for name in DatasetSpec.model_fields:
        if name in _PARTS:
            yield ""
            yield f"{EXPLAINS} ── {_PARTS[name]} ──"
        if name not in _NOT_SHOWN:
            yield from _option(name, fields, comments)
    others = [name for name in fields if name in _NOT_SHOWN or name not in DatasetSpec.model_fields]
    for name in others:
        yield ""
        yield from comments.own.above.get(name, ())
        yield from comments.own.settings.get(name) or _setting(name, fields[name])
    if comments.own.end:
        yield ""
        yield from comments.own.end


def _option(name: str, fields: Mapping[str, Any], comments: Comments) -> Iterator[str]:
    """An option with its meaning, after a blank line. Own comments come before the meaning."""
    yield ""
    yield from comments.own.above.get(name, ())
    yield from _comment(_meaning(DatasetSpec.model_fields[name].description or ""))
    proposal = comments.proposed.get(name)
    if proposal is not None:
        yield from _comment(
            proposal.why if name in fields else f"Proposed, not set: {proposal.why}"
        )
    if name in fields:
        yield from comments.own.settings.get(name) or _setting(name, fields[name])
    else:
        shown = _default(name) if proposal is None else proposal.value
        yield from (f"# {line}" for line in _setting(name, shown))


def _default(name: str) -> Any:
    if name == "data_root":
        return "."
    return DatasetSpec(data_root=".").model_dump(mode="json")[name]


def _setting(name: str, value: Any) -> list[str]:
    return spec_text({name: value}).splitlines()


def _meaning(text: str) -> str:
    """A docstring as prose in YAML, where nothing is called None."""
    return " ".join(text.split()).replace("`", "").replace("None", "null")


def _comment(text: str) -> Iterator[str]:
    """Lines of comment; no name in it can end the comment or steer a terminal."""
    shown = yaml.reader.Reader.NON_PRINTABLE.sub("\ufffd", escape_unprintable(text, keep=""))
    for line in textwrap.wrap(shown, _WIDTH, break_on_hyphens=False):
        yield f"{EXPLAINS} {line}"
