"""Text of JSON read piece by piece: what readers of arrays and of objects that stream share."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, BinaryIO

from videoprep.spec.readers.json_objects import DECODER, MAX_OBJECT
from videoprep.spec.text_file import is_text

DEEP = 1 << 18
"""Characters that count as tried for a value that is nested too deeply."""

_CHUNK = 1 << 16  # an error costs time for all that was read and lies before it
_MOST_TRIED = 1 << 26  # characters, beside a few times those of the file, decoded in vain
_END = 16  # characters before the end of what was read in which an error may be the end's

_SPACE = re.compile(r"\s*")


class LostError(ValueError):
    """So much of the file is broken that looking for its next sample takes too long."""

    def __init__(self, line: int) -> None:
        super().__init__("too much of the file is not JSON")
        self.line = line


class TooLargeError(ValueError):
    """A value is longer than any that is a sample."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_OBJECT:,} characters")


class Pieces:
    """Goes through the text of a file; never holds more than one large value."""

    def __init__(self, file: BinaryIO, decoder: json.JSONDecoder = DECODER) -> None:
        self._file = file
        self._decode = decoder.raw_decode
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False
        self._sound = True  # whether all that was read is UTF-8
        self._tried = 0
        self._read = 0

    def _value(self) -> Any:
        """Decode the value that begins here, and move behind it.

        Returns:
            The value, or the exception that says why it is not JSON: then nothing is moved, but
            for a `UnicodeError`.
        """
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as broken:
                self._tried += broken.pos - self._at
                if self._may_go_on(broken):
                    if len(self._text) - self._at > MAX_OBJECT:
                        return TooLargeError()
                    if self._grow():
                        continue
                return ValueError(broken.msg.removesuffix(" at"))
            except (RecursionError, ValueError) as other:  # too deep, or a number of many digits
                self._tried += min(DEEP, len(self._text) - self._at)
                return other
            if end == len(self._text) and not isinstance(value, dict) and self._grow():
                continue  # a number may continue
            if not self._sound and not is_text(self._text[self._at : end]):
                value = UnicodeError("not UTF-8")
            self._move(end)
            return value

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether the error may be one of the piece that was read, not of the file."""
        if self._ended:
            return False
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _END

    def _require_hope(self) -> None:
        """Check that not too much was decoded in vain.

        Raises:
            LostError: so much was broken already that the rest is not looked through.
        """
        if self._tried > _MOST_TRIED + 4 * self._read:
            raise LostError(self._line)

    def _skip(self, between: re.Pattern[str] = _SPACE) -> None:
        while True:
            match = between.match(self._text, self._at)
            self._move(match.end() if match else self._at)
            if self._at < len(self._text) or not self._grow():
                return

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _move(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _grow(self) -> bool:
        """Read on; what lies behind is let go. Return whether there was more."""
        while not self._ended:
            data = self._file.read(max(_CHUNK, len(self._text) - self._at))
            self._read += len(data)
            self._ended = not data
            more = self._decoder.decode(data, final=not data)
            if more:
                self._sound = self._sound and is_text(more)
                self._text = self._text[self._at :] + more
                self._at = 0
                return True
        return False
