"""Command lines of videoprep as they are typed into a shell, for messages that say what to run."""

from __future__ import annotations

import re
import shlex

# shlex puts quotes around everything that is not ASCII, such as the ellipsis of an example.
_AS_IT_IS = re.compile(r"[\w@%+=:,./…][\w@%+=:,./…-]*")


_SHORT = {"output": "-o"}


def command_line(command: str, *arguments: object, **options: object) -> str:
    """Return a command line; an option is given by its name in Python.

    ``command_line("verify", "a store", repair=True)`` is ``videoprep verify 'a store' --repair``.

    Args:
        command: such as ``encode``.
        arguments: paths; ``…`` and words in capitals are for the user to fill in.
        options: values by name; True for an option without a value, False for its negation.
    """
    words = ["videoprep", command, *(quoted(str(one)) for one in arguments)]
    for name, value in options.items():
        flag = f"{'no-' if value is False else ''}{name.replace('_', '-')}"
        words.append(_SHORT.get(name, f"--{flag}"))
        words += [] if isinstance(value, bool) else [quoted(str(value))]
    return " ".join(words)


def quoted(word: str) -> str:
    """Return a word as a shell takes it, and as no option if it begins with a hyphen."""
    if _AS_IT_IS.fullmatch(word):
        return word
    return shlex.quote(f"./{word}" if word.startswith("-") else word)
