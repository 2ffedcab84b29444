"""A JSON object in a model's answer, also one that is broken or ends in the middle."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from videoprep.validators.phrases import JSON_SHELL

CAPTION_KEYS = (
    "caption",
    "description",
    "video_caption",
    "video_description",
    "detailed_caption",
    "refined_caption",
    "prompt",
    "text",
    "answer",
    "output",
    "response",
    "result",
    "content",
    "summary",
)
"""The keys under which models write the caption, the likeliest first."""

_DEEPEST = 16
_NESTED = 3
_DECODER = json.JSONDecoder(strict=False)
_SPACES = re.compile(r"[\s,]*")
_KEY = re.compile(r"\s*(?:[\"'“]([^\"'”\n]{1,60})[\"'”]|(\w[\w -]{0,59}))\s*:\s*")
_BARE = re.compile(r"[^,}\]\n]*")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")
_QUOTES = {'"': '"', "'": "'", "“": "”"}
# A quotation mark ends a value if the next key, the end of the object or of the answer follows.
# Others are part of the text: {"caption": "A sign says "Open" on a door."}
_AFTER_FIELD = re.compile(
    r"\s*(?:[}\]]|\Z|,\s*(?:[}\]]|\Z|[\"'“][^\"'”\n]{1,60}[\"'”]\s*:|\w{1,40}\s*:)"
    r"|\n\s*[\"'“][^\"'”\n]{1,60}[\"'”]\s*:)"
)
_AFTER_ITEM = re.compile(r"\s*(?:[}\]]|\Z|,\s*(?:[\[{\"'“\]}]|\Z))")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_HALF_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "", "f": " "}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "None": None}


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """What a JSON object says."""

    fields: Mapping[str, Any]
    """Its keys and values."""
    whole: bool
    """Whether it is valid JSON."""

    def caption(self, keys: Sequence[str] = CAPTION_KEYS) -> str:
        """Return the text under the first of the keys that is there, or the only text, or ``""``.

        A list of texts is joined; an object in the object is looked into.
        """
        return _caption(self.fields, keys, _NESTED)


def parse_answer(text: str) -> JsonAnswer | None:
    """Return the object at the beginning of a text, or None if there is none.

    Of a list of objects, the first is taken. What follows the object is left. Missing quotation
    marks, commas and brackets, single quotation marks, bare keys and line breaks are put up with;
    a text that ends in the middle gives what is there.
    """
    text = text.lstrip()
    if not JSON_SHELL.match(text):
        return None
    text = text[text.index("{") :]
    try:
        value, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        fields = _TolerantReader(text).object(0)
        return JsonAnswer(fields, whole=False) if fields else None
    return JsonAnswer(value, whole=True) if value else None


def _caption(fields: Mapping[str, Any], keys: Sequence[str], depth: int) -> str:
    by_name = {_plain(key): value for key, value in fields.items()}
    named = [by_name[_plain(key)] for key in keys if _plain(key) in by_name]
    for value in named:
        text = _text(value)
        if text:
            return text
    inner = [value for value in (named or fields.values()) if isinstance(value, Mapping)]
    if inner and depth:
        return _caption(inner[0], keys, depth - 1)
    texts = [text for value in fields.values() if (text := _text(value))]
    return texts[0] if len(texts) == 1 else ""


def _plain(key: str) -> str:
    return key.casefold().replace("_", "").replace("-", "").replace(" ", "")


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return value if isinstance(value, str) else ""


class _TolerantReader:
    """Reads one object in one pass; ``at`` never goes back."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def object(self, depth: int) -> dict[str, Any]:
        self.at += 1  # the brace
        fields: dict[str, Any] = {}
        while self._more("}"):
            key = _KEY.match(self.text, self.at)
            if key is None:
                self.at = len(self.text)
                break
            self.at = key.end()
            fields[(key[1] or key[2]).strip()] = self._value(depth, _AFTER_FIELD)
        return fields

    def _list(self, depth: int) -> list[Any]:
        self.at += 1
        items = []
        while self._more("]"):
            before = self.at
            items.append(self._value(depth, _AFTER_ITEM))
            if self.at == before:  # a stray bracket
                self.at += 1
        return items

    def _more(self, end: str) -> bool:
        """Pass spaces and commas; return whether another value follows."""
        found = _SPACES.match(self.text, self.at)
        self.at = found.end() if found else self.at
        if self.text[self.at : self.at + 1] == end:
            self.at += 1
            return False
        return self.at < len(self.text)

    def _value(self, depth: int, after: re.Pattern[str]) -> Any:
        first = self.text[self.at : self.at + 1]
        if first in _QUOTES:
            return self._string(_QUOTES[first], after)
        if first in ("{", "["):
            if depth >= _DEEPEST:
                self.at = len(self.text)
                return None
            return self.object(depth + 1) if first == "{" else self._list(depth + 1)
        bare = _BARE.match(self.text, self.at)
        self.at = bare.end() if bare else self.at
        word = bare.group().strip() if bare else ""
        return _WORDS.get(word, float(word) if _NUMBER.fullmatch(word) else word)

    def _string(self, quote: str, after: re.Pattern[str]) -> str:
        start = at = self.at + 1
        while True:
            at = self.text.find(quote, at)
            if at < 0:  # the answer ends in the middle
                self.at = len(self.text)
                return _unescaped(_HALF_ESCAPE.sub("", self.text[start:]).rstrip("}] \n"))
            if not _is_escaped(self.text, at) and after.match(self.text, at + 1):
                self.at = at + 1
                return _unescaped(self.text[start:at])
            at += 1


def _is_escaped(text: str, at: int) -> bool:
    before = at
    while before and text[before - 1] == "\\":
        before -= 1
    return (at - before) % 2 == 1


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    found = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _CONTROLS.get(m[2], m[2]), text)
    # Two escapes may be the halves of one character.
    return found.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
