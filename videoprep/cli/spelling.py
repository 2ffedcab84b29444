"""Spells options as the command line does, in texts of the library.

The library writes an option as Python does, in backticks: ```reshape='center-crop'```. Here that
becomes ``--reshape center-crop`` if there is such an option; all else stays.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from videoprep.shell import quoted

if TYPE_CHECKING:
    import typer

    from videoprep.errors import VideoprepError

_TICKED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_PYTHON = re.compile(r"[a-z_][\w.]*(\s*=|$|,)")

# Arguments of Python functions that the command line names otherwise.
_OTHERWISE = {"limits.seconds": "time_limit", "limits.memory_mib": "memory_limit"}

_running: dict[str, str] = {}
_others: dict[str, str] = {}


class Command(TyperCommand):
    """A command that remembers its options while it runs, for the texts that it prints."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remember the options before anything can go wrong."""
        _running.clear()
        _running.update(flags_of(self.params))
        _others.clear()
        _others.update(_of_all(ctx.parent.command if ctx.parent is not None else ctx.command))
        return super().parse_args(ctx, args)


class Formatter(logging.Formatter):
    """Writes the library's warnings in the spelling of the command line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text."""
        return spelled(super().format(record))


def flag_of(name: str) -> str:
    """Return the option of the command line for the name of an argument."""
    return f"--{name.replace('_', '-')}"


def flags_of(parameters: Iterable[Any]) -> dict[str, str]:
    """Return the first long option of each of a command's parameters, by its name in Python."""
    found = {}
    for one in parameters:
        flags = [flag for flag in one.opts if flag.startswith("--")]
        if flags and one.name is not None:
            found[str(one.name)] = str(flags[0])
    for python, name in _OTHERWISE.items():
        if name in found:
            found[python] = found[name]
    return found


def all_flags(app: typer.Typer) -> dict[str, str]:
    """Return the options of all commands, for pages that are about none of them."""
    from typer.main import get_command

    return _of_all(get_command(app))


def _of_all(group: Any) -> dict[str, str]:
    commands = getattr(group, "commands", {}).values()
    return {name: flag for one in commands for name, flag in flags_of(one.params).items()}


def spelled(text: str, flags: Mapping[str, str] | None = None, *, ticks: bool = False) -> str:
    """Return a text of the library with its options as they are written on the command line.

    Args:
        text: options stand in it in backticks, with or without values.
        flags: options by their names in Python. By default, those of the running command, and then
            those of the other commands, which a text may mention: "encode again with …".
        ticks: keep the backticks around options, for Markdown.
    """
    if "`" not in text:
        return text
    known = {**_others, **_running} if flags is None else flags

    def write(match: re.Match[str]) -> str:
        words = _words(match[1], known)
        if words is None:
            return match[0]
        return f"`{words}`" if ticks else words

    return _TICKED.sub(write, text)


def flag_to_blame(error: VideoprepError) -> str | None:
    """Return the option of the running command that an error blames, if it blames one."""
    return None if error.option is None else _running.get(error.option)


def _words(code: str, flags: Mapping[str, str]) -> str | None:
    """Arguments of a call as options: ``split, reshape='pad'``; None if they are anything else."""
    if not _PYTHON.match(code):
        return None
    try:
        # Of the two ways to write an ellipsis Python knows one.
        call = ast.parse(f"f({code.replace('…', '...')})", mode="eval").body
    except SyntaxError:
        return None
    if not isinstance(call, ast.Call):
        return None
    options: list[tuple[str, ast.expr | None]] = [(ast.unparse(one), None) for one in call.args]
    options += [(one.arg or "", one.value) for one in call.keywords]
    if not options or any(name not in flags for name, _ in options):
        return None
    return " ".join(_option(flags[name], value) for name, value in options)


def _option(flag: str, value: ast.expr | None) -> str:
    if value is None or (isinstance(value, ast.Constant) and value.value is True):
        return flag
    return f"{flag} {_text(value)}"


def _text(value: ast.expr) -> str:
    """A value as the command line takes it; a bare name is for the user to fill in."""
    if isinstance(value, ast.Constant) and value.value is ...:
        return "…"
    if isinstance(value, ast.Constant):
        return quoted(str(value.value))
    if isinstance(value, ast.BoolOp):
        *most, last = map(_text, value.values)
        return f"{', '.join(most)} or {last}"
    if isinstance(value, ast.Tuple | ast.List):
        return ",".join(map(_text, value.elts))
    if isinstance(value, ast.Dict):
        return ",".join(_pair(key, one) for key, one in zip(value.keys, value.values, strict=True))
    return ast.unparse(value)


def _pair(key: ast.expr | None, value: ast.expr) -> str:
    name = "" if key is None else _text(key)
    return f"{name}.{_text(value)}" if isinstance(value, ast.Dict) else f"{name}={_text(value)}"
