"""What a server says about a request that it does not take: every kind of server in its own words.

What is told in fields counts first (``code``, ``param``, ``loc``), then what the message says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_ABOUT_FIELDS = frozenset({400, 422, 500, 501})

_UNKNOWN_FIELD = frozenset(
    {
        *("unsupported_parameter", "unknown_parameter", "unrecognized_parameter"),
        *("unsupported_field", "unknown_field"),
    }
)
_WRONG_VALUE = frozenset(
    {
        *("context_length_exceeded", "unsupported_value", "invalid_value"),
        *("integer_above_max_value", "integer_below_min_value", "string_above_max_length"),
    }
)
_UNKNOWN_MODEL = frozenset({"model_not_found", "invalid_model", "unknown_model"})
_FORBIDDEN = frozenset({"extra_forbidden", "value_error.extra"})

_KINDS = "field|name|key|param|parameter|arg|argument|property|properties|option"
_NOT = r"(?:doesn't|does not|do not|don't|cannot|can't)"
# Of a limit that is too high, too, some servers say that it is not supported.
_NO_VALUE = (
    r"(?![\"'`\]]*\s*(?:of|above|over|beyond|greater|larger|more|less|values?|[=<>:]?\s*\d))"
)

_BEFORE = (
    r"(?:unknown|unsupported|unrecogni[sz]ed|unexpected)\s(?:request\s|json\s|keyword\s)?"
    rf"(?:{_KINDS})s?(?:\s(?:supplied|provided|found))?[\s:=]*[\W]{{0,3}}\bNAME\b{_NO_VALUE}",
    rf"{_NOT}\ssupport\s(?:the\s|these\s)?(?:(?:{_KINDS})s?)?[\s:]*[\"'`]?\bNAME\b{_NO_VALUE}",
    rf"{_NOT}\ssupport\s(?:the\s|these\s)?(?:{_KINDS})s?[\s:]*[\[({{][^\])}}]*[\"'`]NAME[\"'`]",
)
_AFTER = (
    rf"\bNAME\b[\"'`]?(?:\sof\stype\s\W?\w+\W?|\stype|\s(?:{_KINDS}))?\W{{0,2}}\s?(?:is\s|was\s)?"
    r"(?:not\s(?:currently\s|yet\s)?(?:supported|permitted|allowed|recogni[sz]ed|available|"
    r"implemented|accepted)|unsupported|unknown|unrecogni[sz]ed|unavailable|unexpected)\b"
    r"(?!\s(?:to|above|over|beyond|for\svalues?|value))",
    r"\bNAME\b\W{0,4}(?:extra|additional)\s(?:inputs?|fields?|properties)\s(?:are\s)?not\s"
    r"(?:permitted|allowed)",
    r"(?:extra|additional)\s(?:inputs?|fields?)\s(?:are\s)?not\s(?:permitted|allowed)\W{1,3}"
    r"(?:field\W{1,3})?\bNAME\b",
)
_PATTERNS = (*_BEFORE, *_AFTER)

# How pydantic's list of errors looks in a message.
_WRITTEN_LOC = re.compile(r"extra_forbidden[\"'],\s*[\"']loc[\"']:\s*[(\[]([^)\]]*)[)\]]")
_QUOTED = re.compile(r"[\"']([\w.-]+)[\"']")

_NO_MODEL = re.compile(
    r"(?:unknown|invalid|no such) model|does not exist|not found|not a valid model", re.IGNORECASE
)
_NO_PICTURES = re.compile(
    r"not a (?:multi-?modal|vision)|at most 0 (?:image|video)|"
    rf"{_NOT} support (?:\w+ )?(?:image|vision|multi-?modal)(?:s| inputs?| content)?"
    r"(?=$|[^\w\s]|\s(?:for|with|by|in)\b)|"
    r"(?:images?|vision|multi-?modal) (?:inputs? |content )?(?:is|are) not supported",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ServerError:
    """An answer that is none, as far as it can be read."""

    status: int
    message: str = ""
    """As it came, in one line."""
    code: str = ""
    """What kind of error it is, in lower case; empty if that is not told."""
    param: str = ""
    """The field of the request that is wrong; empty if that is not told."""
    forbidden: tuple[str, ...] = ()
    """The fields of the request that may not be there."""

    @classmethod
    def read(cls, status: int, body: bytes) -> ServerError:
        """Return what an answer says, which a stranger may have written."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return cls(status)
        told = _unwrapped(data)
        entries = [*_entries(told)]
        message = _message(told, entries)
        return cls(
            status,
            message,
            _word(told, "code").lower(),
            _field(_word(told, "param")),
            (*_locs(entries), *_written_locs(message)),
        )

    def lacking(self, names: Sequence[str]) -> str | None:
        """Return the first of some fields of a request of which this says that it is not known."""
        if self.status not in _ABOUT_FIELDS or self.code in _WRONG_VALUE:
            return None
        named = self.forbidden
        if self.code in _UNKNOWN_FIELD and self.param:
            named = (*named, self.param)
        if named:
            return next((name for name in names if name in named), None)
        return next((name for name in names if _says_unknown(self.message, name)), None)

    def is_about_model(self, model: str) -> bool:
        """Return whether the server has no such model."""
        if self.code in _UNKNOWN_MODEL:
            return True
        is_named = self.param == "model" or model.lower() in self.message.lower()
        return self.status in (400, 422) and is_named and bool(_NO_MODEL.search(self.message))

    @property
    def is_about_pictures(self) -> bool:
        """Whether the model reads text alone."""
        return self.status in _ABOUT_FIELDS and bool(_NO_PICTURES.search(self.message))


def _says_unknown(message: str, name: str) -> bool:
    ways = (pattern.replace("NAME", re.escape(name)) for pattern in _PATTERNS)
    return any(re.search(way, message, re.IGNORECASE) for way in ways)


def _unwrapped(data: object) -> object:
    """The innermost of what errors are wrapped in: lists of one, and ``error``."""
    for _ in range(4):
        if isinstance(data, list) and len(data) == 1 and isinstance(data[0], dict):
            if "loc" in data[0]:
                return data
            data = data[0]
        elif isinstance(data, dict) and isinstance(data.get("error"), (dict, list, str)):
            data = data["error"]
        else:
            break
    return data


def _entries(told: object) -> Iterator[Mapping[str, Any]]:
    """The errors of single fields, as pydantic lists them."""
    for _ in range(3):
        if isinstance(told, list):
            yield from (one for one in told if isinstance(one, dict))
            return
        if not isinstance(told, dict):
            return
        told = told.get("detail", told.get("message"))


def _message(told: object, entries: Sequence[Mapping[str, Any]]) -> str:
    if entries:
        parts = (f"{'.'.join(_loc(one))}: {one.get('msg', '')}" for one in entries)
        return "; ".join(parts)
    for _ in range(3):
        if not isinstance(told, dict):
            break
        told = told.get("message", told.get("detail", ""))
    return " ".join(str(told).split()) if isinstance(told, (str, list)) else ""


def _locs(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in entries:
        if one.get("type") in _FORBIDDEN:
            yield from (part for part in _loc(one)[:1])


def _loc(entry: Mapping[str, Any]) -> list[str]:
    """Where in the request it is, from the outermost field on."""
    loc = entry.get("loc")
    parts = [str(part) for part in loc] if isinstance(loc, list) else []
    return parts[1:] if parts[:1] == ["body"] else parts


def _written_locs(message: str) -> Iterator[str]:
    for written in _WRITTEN_LOC.findall(message):
        parts = [part for part in _QUOTED.findall(written) if part != "body"]
        yield from parts[:1]


def _word(told: object, name: str) -> str:
    value = told.get(name) if isinstance(told, dict) else None
    return value if isinstance(value, str) else ""


def _field(param: str) -> str:
    """The field of the request in which a parameter is, such as ``response_format.type``."""
    return re.split(r"[.\[]", param.removeprefix("body."))[0]
