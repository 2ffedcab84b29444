"""What is wrong with a command line, and what was meant, in the style of all other errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from typer.exceptions import TyperException

from videoprep.cli.spelling import flags_of, spelled
from videoprep.errors import VideoprepError
from videoprep.options import example_of, meant_choice, nearest_option
from videoprep.spec.dataset import DatasetSpec

# What a command needs at least.
_EXAMPLES = {
    "encode": "videoprep encode dataset/ -o latents --model THUDM/CogVideoX-2b",
    "split": "videoprep split films/ -o dataset",
    "status": "videoprep status latents",
    "verify": "videoprep verify latents",
    "export": "videoprep export latents --to musubi -o exported",
    "import": "videoprep import cached/ --from cogvideox-factory --model MODEL -o latents",
    "train": "videoprep train latents --model THUDM/CogVideoX-2b -o lora",
}

# Guesses that typer adds: there is a better place for them. And what it says of its insides.
_NOT_SAID = re.compile(r" \((Possible options|Did you mean).*\)| Did you mean .*|Value error, ")
_COMMAND = re.compile(r"No such command '(.*)'")
_ALIKE = 0.7  # names of options that share less only look a little alike
_CHOICE = re.compile(r"'([^']*)' is not one of (.*)")


def explained(error: TyperException) -> VideoprepError:
    """The same error, with what to do."""
    message = _NOT_SAID.sub("", error.format_message()).rstrip(".")
    return VideoprepError(message, remedy=_remedy(error, message))


def _remedy(error: TyperException, message: str) -> str:
    context: Any = getattr(error, "ctx", None)  # of errors of the command line, which most are
    path = context.command_path if context is not None else "videoprep"
    help_ = f"`{path} --help`"
    if command := _COMMAND.match(message):
        close = _nearest(command[1], context.command.list_commands(context))
        return f"did you mean `videoprep {close}`?" if close else f"{help_} lists the commands"
    if message.startswith("No such option"):
        close = _nearest_flag(str(getattr(error, "option_name", "")), context.command)
        if close is None:
            return f"{help_} lists the options"
        example = _example(close, context.command)
        return f"did you mean {close}?" + (f" For instance: {example}" if example else "")
    if choice := _CHOICE.search(message):
        known = re.findall(r"'([^']*)'", choice[2])
        close = meant_choice(choice[1], known) or _nearest(choice[1], known)
        return f"did you mean {close}?" if close else "choose one of them"
    example = _EXAMPLES.get(path.rpartition(" ")[2])
    if message.startswith("Missing") and example is not None:
        return f"for instance: {example}"
    if "extra argument" in message:
        return f"put a name with spaces into quotes; {help_} says what is expected"
    return f"{help_} says what is expected"


def _nearest_flag(wrong: str, command: Any) -> str | None:
    """The option that is most alike, or the one that other programs call so.

    Hyphens at the start are alike in all of them, and do not count.
    """
    names: list[str] = [name for one in command.params for name in one.opts]
    flags = {name.lstrip("-"): name for name in names}
    asked = wrong.lstrip("-").replace("_", "-").lower()
    close = difflib.get_close_matches(asked, flags, n=1, cutoff=_ALIKE)
    if close:
        return flags[close[0]]
    other = nearest_option(asked, DatasetSpec)
    return flags_of(command.params).get(other) if other is not None else None


def _example(flag: str, command: Any) -> str | None:
    """An option of a dataset with a valid value."""
    names = (str(one.name) for one in command.params if flag in one.opts)
    name = next((one for one in names if one in DatasetSpec.model_fields), None)
    example = example_of(name, DatasetSpec) if name is not None else None
    return spelled(example, flags_of(command.params)) if example is not None else None


def _nearest(wrong: str, known: Iterable[str]) -> str | None:
    """The name that is most alike, or the first that has the wrong one in it."""
    names, asked = list(known), wrong.replace("_", "-").lower()
    close = difflib.get_close_matches(asked, names, n=1)
    close = close or [name for name in names if len(asked) > 2 and asked in name]
    return close[0] if close else None
