"""The text of a ``videoprep.yaml`` that explains itself: every option, with what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from videoprep.plain import plain
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.spec_file import spec_text

_WIDTH = 96

_HEAD = (
    "Every videoprep command that is given this folder reads this file; what is written on the "
    "command line counts more. A line without a # is set. The others show what holds without them: "
    "take the # away, and write what you want."
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
    """

    top: tuple[str, ...] = ()
    proposed: Mapping[str, Proposal] = field(default_factory=dict)


def commented_text(fields: Mapping[str, Any], comments: Comments) -> str:
    """The file's text.

    Args:
        fields: what is set, by option.
        comments: what is known beside.
    """
    return "\n".join(_lines(fields, comments)) + "\n"


def _lines(fields: Mapping[str, Any], comments: Comments) -> Iterator[str]:
    yield from _comment(_HEAD)
    for paragraph in comments.top:
        yield "#"
        yield from _comment(paragraph)
    for name, option in DatasetSpec.model_fields.items():
        if name in _NOT_SHOWN:
            continue
        if name in _PARTS:
            yield ""
            yield f"# ── {_PARTS[name]} ──"
        yield ""
        yield from _comment(_meaning(option.description or ""))
        proposal = comments.proposed.get(name)
        if proposal is not None:
            yield from _comment(
                proposal.why if name in fields else f"Proposed, not set: {proposal.why}"
            )
        if name in fields:
            yield from _setting(name, fields[name])
        elif proposal is not None:
            yield from (f"# {line}" for line in _setting(name, proposal.value))
        else:
            yield from (f"# {line}" for line in _setting(name, _default(name)))


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
    shown = yaml.reader.Reader.NON_PRINTABLE.sub("\ufffd", plain(text, keep=""))
    for line in textwrap.wrap(shown, _WIDTH, break_on_hyphens=False):
        yield f"# {line}"
