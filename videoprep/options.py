"""Options are fields of a pydantic model: what stands beside a field, and errors in plain words.

A field with its docstring is the whole definition of an option. The Python argument, the option of
the command line, the key of ``videoprep.yaml`` and the table in the documentation follow from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from videoprep.errors import VideoprepError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

_Model = TypeVar("_Model", bound=BaseModel)

_SHOWN = 5
_LONGEST = 60
# The least similarity of a name that is proposed. Below it lie names that share only some letters.
_ALIKE = 0.7
# What torch and others call the values of options.
_OTHERWISE = {
    "float32": "fp32", "float": "fp32", "full": "fp32", "float16": "fp16", "half": "fp16",
    "bfloat16": "bf16",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cli:
    """How an option is written on a command line, as far as its type does not say.

    Put it beside the field: ``split: Annotated[dict[str, float], Cli(metavar="SHARES")] = {}``.
    """

    name: str | None = None
    """The option's name, if it is not the field's."""
    also: tuple[str, ...] = ()
    """Further names."""
    metavar: str | None = None
    """What stands for the value in the help."""
    completion: str | None = None
    """The function of `videoprep.cli.completion` that lists values."""
    command: str | None = None
    """The only command that takes it; by default every command that takes the model."""
    repeat: bool = False
    """Whether it may be given several times."""
    alike: tuple[str, ...] = ()
    """Names that other programs have for it, to propose the option to who tries them."""
    example: Any = None
    """A valid value, for errors; by default a number's own default."""


@dataclass(frozen=True, slots=True)
class ValueKind:
    """What the values of a type are called in messages, beside the type itself."""

    one: str
    many: str


def cli_of(field: FieldInfo) -> Cli:
    """Return what a field says about its option on the command line."""
    return next((one for one in field.metadata if isinstance(one, Cli)), Cli())


def nearest_option(name: str, model: type[BaseModel]) -> str | None:
    """Return the option that was probably meant by a name that the model does not have."""
    asked = name.replace("-", "_").lower()
    known = {one: one for one in model.model_fields}
    for field_name, field in model.model_fields.items():
        cli = cli_of(field)
        names = (*cli.alike, *cli.also, *filter(None, [cli.name]))
        known |= dict.fromkeys(names, field_name)
    close = difflib.get_close_matches(asked, known, n=1, cutoff=_ALIKE)
    return known[close[0]] if close else None


def unknown_option(
    name: str, model: type[BaseModel], quoted: Callable[[str], str]
) -> tuple[str, str]:
    """Return the message and the remedy for an option that a model does not have.

    Args:
        name: what was given.
        model: what has the options.
        quoted: writes an option's name in the message.
    """
    close = nearest_option(name, model)
    known = ", ".join(model.model_fields)
    remedy = f"did you mean {quoted(close)}?" if close else f"the options are: {known}"
    return f"unknown option {quoted(name)}", remedy


def example_of(name: str, model: type[BaseModel]) -> str | None:
    """Return an option with a valid value, as an argument in backticks; None if there is none."""
    field = model.model_fields[name]
    example = cli_of(field).example
    if example is None and type(field.default) in (int, float):
        example = field.default
    return None if example is None else f"`{name}={example!r}`"


def meant_choice(value: str, choices: Collection[str]) -> str | None:
    """Return the one of some words that was probably meant by another word."""
    other = _OTHERWISE.get(value.lower())
    return other if other in choices else None


def another_value(error: ValidationError, name: str, model: type[BaseModel]) -> str:
    """Return the remedy for a wrong value: what was meant, or an example.

    Args:
        error: of the model.
        name: the option; "" stands for the model as a whole.
        model: what has the options.
    """
    errors = [one for one in error.errors(include_url=False) if one["loc"][:1] == (name,)]
    own = any(one["type"] == "value_error" for one in errors)  # which says itself what is valid
    if not errors or own or name not in model.model_fields:
        return "give another value"
    kind, value = bare(model.model_fields[name].annotation)[0], errors[0]["input"]
    if get_origin(kind) is Literal and isinstance(value, str):
        meant = meant_choice(value, get_args(kind))
        if meant is not None:
            return f"did you mean `{name}={meant!r}`?"
    example = example_of(name, model)
    return "give another value" + (f", such as {example}" if example else "")


def as_argument(name: str) -> str:
    """Write an option in a message as Python code; the command line spells it as its own option."""
    return f"`{name}`"


def as_key(name: str) -> str:
    """Write an option in a message as a key of ``videoprep.yaml``."""
    return repr(name)


def checked(
    model: type[_Model], options: Mapping[str, Any], failure: type[VideoprepError]
) -> _Model:
    """Return a model of options that are given as arguments.

    Args:
        model: what has the options.
        options: the arguments.
        failure: what is raised if one is unknown or out of bounds; it blames that argument.
    """
    try:
        return model(**options)
    except ValidationError as error:
        unknown = next((name for name in options if name not in model.model_fields), None)
        if unknown is not None:
            message, remedy = unknown_option(unknown, model, as_argument)
            raise failure(message, remedy=remedy, option=unknown) from error
        wrong = wrong_values(error, model, as_argument)
        first = next(iter(wrong))  # "" stands for the model as a whole
        remedy = another_value(error, first, model)
        raise failure(joined(wrong.values()), remedy=remedy, option=first or None) from error


def wrong_values(
    error: ValidationError, model: type[BaseModel], quoted: Callable[[str], str]
) -> dict[str, str]:
    """Return a plain sentence for each option whose value a model refuses.

    Args:
        error: of the model.
        model: what has the options.
        quoted: writes an option's name in the sentence.
    """
    by_name: dict[str, list[Any]] = {}
    for one in error.errors(include_url=False):
        by_name.setdefault(str(one["loc"][0]) if one["loc"] else "", []).append(one)
    return {name: _sentence(name, found, model, quoted) for name, found in by_name.items()}


def joined(sentences: Iterable[str]) -> str:
    """Join the first sentences, and say how many more there are."""
    every = list(sentences)
    more = f"; and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return "; ".join(every[:_SHOWN]) + more


def _sentence(
    name: str, errors: list[Any], model: type[BaseModel], quoted: Callable[[str], str]
) -> str:
    own = [one["ctx"]["error"] for one in errors if one["type"] == "value_error"]
    if own:  # a validator's own words
        return f"{quoted(name)}: {own[0]}" if name else str(own[0])
    if name not in model.model_fields:
        return unknown_option(name, model, quoted)[0]
    field = model.model_fields[name]
    expected = described(field.annotation, field.metadata)
    return (
        f"{quoted(name)}: expected {expected}, got {_short(_culprit(errors))}{_key(field, errors)}"
    )


def _key(field: FieldInfo, errors: list[Any]) -> str:
    """Which entry of a mapping is meant, if it is a single one."""
    keys = {one["loc"][1] for one in errors if len(one["loc"]) > 1}
    is_mapping = get_origin(bare(field.annotation)[0]) is dict
    return f" for {keys.pop()!r}" if is_mapping and len(keys) == 1 else ""


def _culprit(errors: list[Any]) -> Any:
    """The element that is wrong, or the whole value if several are.

    Of a union each member has an error; the one that looks furthest into the value is meant.
    """
    deepest = max(len(one["loc"]) for one in errors)
    wrong = [one for one in errors if len(one["loc"]) == deepest]
    if len(wrong) == 1:
        return wrong[0]["input"]
    whole = [one for one in errors if len(one["loc"]) < deepest]
    return whole[0]["input"] if whole else tuple(one["input"] for one in wrong[:_SHOWN])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def described(annotation: Any, metadata: Collection[Any] = (), *, many: bool = False) -> str:
    """Say in words which values a type takes, such as ``a whole number of 1 or more``.

    Args:
        annotation: the type.
        metadata: constraints that stand beside it.
        many: in the plural.
    """
    annotation, inner = bare(annotation)
    metadata = [*inner, *metadata]
    kind = next((one for one in metadata if isinstance(one, ValueKind)), None)
    if kind is not None:
        return kind.many if many else kind.one
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(described(one) for one in args if one is not NoneType)
    if origin is Literal:
        *most, last = map(repr, args)
        return f"{', '.join(most)} or {last}" if most else last
    if origin is tuple:
        return described(args[0], many=True)
    if origin is dict:
        return f"a mapping of names to {described(args[1], many=True)}"
    return _scalar(annotation, _flat(metadata), many=many)


def bare(annotation: Any) -> tuple[Any, list[Any]]:
    """Return a type without ``None`` and without what is annotated to it, and the latter."""
    if get_origin(annotation) is Annotated:
        inner, more = bare(get_args(annotation)[0])
        return inner, [*more, *annotation.__metadata__]
    if get_origin(annotation) in (Union, UnionType):
        args = [one for one in get_args(annotation) if one is not NoneType]
        if len(args) == 1:
            return bare(args[0])
    return annotation, []


def _flat(metadata: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in metadata:
        nested = getattr(one, "metadata", None)  # a `Field` that is annotated
        found |= _flat(nested) if nested is not None else {}
        for name in ("ge", "gt", "le", "lt", "min_length", "pattern"):
            value = getattr(one, name, None)
            if value is not None:
                found[name] = value
    return found


def _scalar(kind: Any, limits: Mapping[str, Any], *, many: bool) -> str:
    if kind is bool:
        return "True or False"
    if kind in (int, float):
        noun = "whole number" if kind is int else "number"
        return f"{noun}s{_range(kind, limits)}" if many else f"a {noun}{_range(kind, limits)}"
    if isinstance(kind, type) and issubclass(kind, Path):
        return "paths" if many else "a path"
    if kind is str:
        empty = " that is not empty" if limits.get("min_length") else ""
        return "texts" if many else f"text{empty}"
    return "values" if many else "a value"


def _range(kind: type, limits: Mapping[str, Any]) -> str:
    """The range in words: ``from 1 to 5``, ``of 1 or more``, ``above 0``."""
    least, above, most = limits.get("ge"), limits.get("gt"), limits.get("le")
    if kind is int and above is not None:
        least, above = above + 1, None
    if least is not None:
        return f" from {least:,} to {most:,}" if most is not None else f" of {least:,} or more"
    if above is not None:
        return f" above {above:,}" + (f", at most {most:,}" if most is not None else "")
    return f" of at most {most:,}" if most is not None else ""
