"""Text files as lists: what is odd about their bytes, and reading them line by line.

A list is read twice, in pieces: first the bytes are looked through, so that whatever is wrong is
said with its line, then the lines are read. Only the newline ends a line: a caption may hold
U+2028 and its like, at which `str.splitlines` would cut it in two and shift every caption after it.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from videoprep.errors import Code, Problem, SpecError
from videoprep.fs.mirror import remote_of
from videoprep.spec.encoding import (
    chunks,
    count_lines,
    guess_encoding,
    is_certain,
    open_utf8,
    wide_encoding,
)

MAX_LINE = 1 << 17
"""Characters that a line may have; a longer one is no caption, and would have to fit in memory."""

_ODD = re.compile("\r(?!\n)|[\v\f\x1c-\x1e\x85\u2028\u2029]|\0+|[\udc80-\udcff]+")
_NAMES = {
    "\v": "a vertical tab",
    "\f": "a form feed",
    "\x1c": "a file separator (0x1C)",
    "\x1d": "a group separator (0x1D)",
    "\x1e": "a record separator (0x1E)",
    "\x85": "a next-line character (U+0085)",
    "\u2028": "a line separator (U+2028)",
    "\u2029": "a paragraph separator (U+2029)",
}

_NEVER = (*_NAMES, "\0")


@dataclass(slots=True)
class Survey:
    """What a text file's bytes are like.

    Attributes:
        problems: what is wrong with it.
        remarks: what is odd and may be meant.
        lines: how many lines it has, also where it cannot be read.
        fatal: whether no line of it can be relied on.
    """

    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    lines: int = 0
    fatal: bool = False


def require_list(path: Path) -> None:
    """Checks that a list is there and can be opened.

    Raises:
        SpecError: it is missing, is not a regular file, or may not be read.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SpecError(
            "the list file does not exist",
            where=str(path),
            remedy=_siblings(path),
            code=Code.MISSING_LIST,
        ) from error
    except (OSError, ValueError) as error:  # a loop of links, an overlong name, a NUL byte in it
        reason = getattr(error, "strerror", None) or error
        raise SpecError(
            f"the list file cannot be looked up: {reason}",
            where=str(path),
            remedy="check the path",
            code=Code.MISSING_LIST,
        ) from error
    if not stat.S_ISREG(mode):  # a FIFO or a device would never end
        raise SpecError(
            "the list is not a regular file",
            where=str(path),
            remedy="name a text file instead",
            code=Code.MISSING_LIST,
        )
    try:
        path.open("rb").close()
    except OSError as error:
        raise SpecError(
            f"the list file cannot be read: {error.strerror}",
            where=str(path),
            remedy="check its permissions",
        ) from error


def survey(path: Path, *, table: bool = False) -> Survey:
    """Looks through a list's bytes: encoding, line ends, odd characters, overlong lines.

    Args:
        path: the list.
        table: whether it is a CSV or TSV file, in which a quoted cell may hold line ends.

    Raises:
        SpecError: see `require_list`; the file is taken away while it is read.
    """
    require_list(path)
    found = Survey()
    try:
        wide = wide_encoding(path)
        if wide and not is_certain(path, wide):
            found.lines = count_lines(path, wide)
            found.problems.append(_not_utf8(path, 1, f"it looks like {wide}", wide))
            found.fatal = True
        else:
            if wide:
                found.remarks.append(_marked(path, wide))
            _Surveyor(path, found, table).run()
    except OSError as error:
        raise changed(path, error) from error
    return found


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines without their ends; a byte order mark at the start is dropped.

    Bytes that are not UTF-8 become lone surrogates, as `os.fsdecode` makes them.

    Raises:
        SpecError: the file changed since its `survey`.
    """
    try:
        with open_utf8(path) as data:
            text = io.TextIOWrapper(data, "utf-8-sig", "surrogateescape", newline="\n")
            for line in text:
                yield line.rstrip("\n")
    except (UnicodeDecodeError, OSError) as error:
        raise changed(path, error) from error


def changed(path: Path, error: Exception) -> SpecError:
    """The error for a list that another process writes while it is read."""
    return SpecError(
        f"changed while it was read: {error}", where=str(path), remedy="run the command again"
    )


def is_text(text: str) -> bool:
    """Return whether a text can be written as UTF-8: it holds no lone surrogates."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def in_shell(path: str | os.PathLike[str]) -> str:
    """A path as a shell takes it, and as no option of a program.

    Of a remote file, its name once it is downloaded.
    """
    name = os.fspath(path)
    if isinstance(path, Path) and remote_of(path.parent) is not None:
        name = path.name
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


class _Surveyor:
    """Goes through the file once; keeps the number of the line it is in."""

    def __init__(self, path: Path, found: Survey, table: bool) -> None:
        self._path = path
        self._found = found
        self._table = table
        self._line = 1
        self._length = 0
        self._crlf = 0
        self._returns = 0
        self._first_return = 0
        self._last = "\n"
        self._guessed = False
        self._encoding: str | None = None
        self._seen: set[tuple[Code, int]] = set()

    def run(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        held = ""
        with open_utf8(self._path) as file:
            start = file.read(len(codecs.BOM_UTF8))
            if start == codecs.BOM_UTF8:
                self._found.remarks.append(_bom(self._path))
                start = b""
            for chunk in chain([start] if start else [], chunks(file), [b""]):
                text = held + decoder.decode(chunk, final=not chunk)
                # A carriage return at the end: only the next piece tells what follows it.
                held = "\r" if chunk and text.endswith("\r") else ""
                self._take(text.removesuffix(held))
                if self._found.fatal:
                    self._found.lines = count_lines(self._path)
                    return
        self._finish()

    def _take(self, text: str) -> None:
        at = 0
        crlf = text.count("\r\n")
        self._crlf += crlf
        # Looking for one character after the other is ten times as fast as the pattern.
        odd = any(char in text for char in _NEVER) or text.count("\r") > crlf or not is_text(text)
        for match in _ODD.finditer(text) if odd else ():
            self._advance(text, at, match.start())
            at = match.end()
            self._odd(match.group())
        self._advance(text, at, len(text))
        self._last = text[-1:] or self._last

    def _advance(self, text: str, start: int, end: int) -> None:
        """Takes up what lies between two odd characters."""
        first = text.find("\n", start, end)
        if first < 0:
            self._grow(end - start)
            return
        self._grow(first - start)
        at, last = first, text.rindex("\n", start, end)
        while at < last:  # from each newline to the last one that lies as far off as is allowed
            to = text.rfind("\n", at + 1, min(at + MAX_LINE + 2, end))
            if to < 0:
                self._overlong(self._line + text.count("\n", start, at + 1))
                break
            at = to
        self._line += text.count("\n", start, end)
        self._length = 0
        self._grow(end - last - 1)

    def _grow(self, length: int) -> None:
        self._length += length
        if self._length > MAX_LINE:
            self._overlong(self._line)

    def _overlong(self, line: int) -> None:
        if not self._found.fatal:
            self._found.fatal = True
            self._found.problems.append(
                Problem(
                    Code.MALFORMED_ROW,
                    f"the line has more than {MAX_LINE} characters",
                    "look whether this is a text file, and whether its line ends were lost",
                    str(self._path),
                    line,
                )
            )

    def _odd(self, chars: str) -> None:
        if chars == "\r":
            self._returns += 1
            self._first_return = self._first_return or self._line
            self._length = 0  # in a file without newlines these are the ends of lines
            return
        self._grow(len(chars))
        if chars[0] >= "\udc80" and chars[0] <= "\udcff":
            self._undecodable(chars)
        elif chars[0] == "\0":
            self._once(
                self._found.problems,
                Code.NUL_BYTE,
                "the line holds a NUL byte",
                "write the line anew; many of them mean that the file was cut off by a crash",
            )
        else:
            self._once(
                self._found.remarks,
                Code.UNUSUAL_SEPARATOR,
                f"{_NAMES[chars]} inside a line: it does not end the line here",
                "replace it with a space; if two lines were meant, separate them by a newline",
            )

    def _finish(self) -> None:
        newlines = self._line - 1
        self._found.lines = newlines + (self._last != "\n")
        if self._returns and not newlines:
            self._found.lines = self._returns + (self._last != "\r")
            self._returns_alone()
        elif self._table:
            return  # a quoted cell may hold any line end; between rows the reader finds it
        elif self._returns:
            self._return_inside()
        elif 0 < self._crlf < newlines:
            self._found.remarks.append(_mixed_ends(self._path, self._crlf, newlines))

    def _returns_alone(self) -> None:
        name, new = in_shell(self._path), in_shell(self._path.with_stem("new"))
        message = "its lines end in a carriage return alone, as on an old Macintosh"
        remedy = f"convert it, for instance: tr '\\r' '\\n' < {name} > {new}"
        problem = Problem(Code.LINE_ENDS, message, remedy, str(self._path), 1)
        self._found.problems.append(problem)
        self._found.fatal = True

    def _return_inside(self) -> None:
        name, new = in_shell(self._path), in_shell(self._path.with_stem("new"))
        self._found.problems.append(
            Problem(
                Code.LINE_ENDS,
                f"a carriage return inside a line, {self._returns} of them in all: "
                "is it one line or two?",
                "delete it, or make it a line end, for instance: "
                f"sed -e 's/\\r*$//' -e 's/\\r/\\n/g' {name} > {new}",
                str(self._path),
                self._first_return,
            )
        )
        self._found.fatal = True

    def _undecodable(self, chars: str) -> None:
        if not self._guessed:  # once for the whole file
            self._guessed, self._encoding = True, guess_encoding(self._path)
        byte = ord(chars[0]) - 0xDC00
        named = f"it looks like {self._encoding}" if self._encoding else "no other encoding either"
        joint = "; " if self._encoding else ", and "
        problem = _not_utf8(
            self._path, self._line, f"byte 0x{byte:02x}{joint}{named}", self._encoding
        )
        self._once(self._found.problems, problem.code, problem.message, problem.remedy)

    def _once(self, into: list[Problem], code: Code, message: str, remedy: str) -> None:
        """One of a kind a line is enough."""
        if (code, self._line) not in self._seen:
            self._seen.add((code, self._line))
            into.append(Problem(code, message, remedy, str(self._path), self._line))


def _not_utf8(path: Path, line: int, what: str, encoding: str | None) -> Problem:
    files = f"{in_shell(path)} > {in_shell(path.with_stem('new'))}"
    remedy = f"save the file as UTF-8, for instance: iconv -f {encoding} -t UTF-8 {files}"
    if encoding is None:
        remedy = (
            "look whether this is a text file; if it is, write the damaged lines anew, or leave "
            f"the damaged bytes out, for instance: iconv -c -f UTF-8 -t UTF-8 {files}"
        )
    return Problem(Code.NOT_UTF8, f"not UTF-8: {what}", remedy, str(path), line)


def _marked(path: Path, encoding: str) -> Problem:
    files = f"{in_shell(path)} > {in_shell(path.with_stem('new'))}"
    return Problem(
        Code.NOT_UTF8,
        f"the file is {encoding}, as its byte order mark says; it is read so",
        "other programs may not: save it as UTF-8, for instance: "
        f"iconv -f {encoding} -t UTF-8 {files}",
        str(path),
        1,
    )


def _bom(path: Path) -> Problem:
    return Problem(
        Code.BYTE_ORDER_MARK,
        "the file starts with a byte order mark; it is skipped here, other programs may not",
        f"save the file without it, for instance: sed -i '1s/^\\xef\\xbb\\xbf//' {in_shell(path)}",
        str(path),
        1,
    )


def _mixed_ends(path: Path, crlf: int, newlines: int) -> Problem:
    return Problem(
        Code.LINE_ENDS,
        f"{crlf} of {newlines} lines end in CR LF and the others in LF",
        f"make all lines end alike, for instance: sed -i 's/\\r$//' {in_shell(path)}",
        str(path),
        None,
    )


def _siblings(path: Path) -> str:
    """What lies beside a list that is not there: one of it may be meant."""
    try:
        with os.scandir(path.parent) as found:
            names = sorted(islice((item.name for item in found if item.is_file()), 1000))
    except OSError:
        return "check the path"
    if not names:
        return f"the folder {path.parent} holds no files"
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"the folder holds: {shown}"
