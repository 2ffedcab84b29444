"""Options that several commands share, and how the options of a command follow from a model."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from rich.markup import escape

from videoprep.cli import completion
from videoprep.cli.spelling import flag_of, spelled
from videoprep.options import Cli, bare, cli_of
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import Datasets, open_datasets

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_NUMBERS = re.compile(r"\d+(x\d+x\d+)?(,\d+(x\d+x\d+)?)*,?")

_NESTED = "NAME.OPTION=VALUE"
_METAVARS = {int: "N", float: "NUMBER"}

OutputFormat = Literal["rich", "json"]


def _place(text: str | Path) -> Path:
    """A path, or the one that stands for a URL: ``pathlib`` would make ``s3:/`` of ``s3://``."""
    from videoprep.spec.path_hints import dataset_path

    return dataset_path(text)


def path_argument(help_: str, default: str | bool = "this folder") -> Any:
    """Return the argument PATH with its help, and what the help says of its default."""
    return typer.Argument(parser=_place, metavar="PATH", help=help_, show_default=default)


Path_ = Annotated[
    Path,
    path_argument(
        "Dataset folder, list (CSV, JSON, JSON Lines, Parquet), or the URL of one, such as "
        "s3://bucket/dataset; or a dataset config of another trainer."
    ),
]
Format = Annotated[
    OutputFormat, typer.Option("--output-format", help="rich or json.", metavar="FORMAT")
]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="Progress as JSON lines on standard error.")
]
OnMissing = Annotated[
    Literal["error", "skip"] | None,
    typer.Option(
        help="Videos that are missing or have changed: error, or skip and list them. Default: skip "
        "in a dataset, error in a finished plan.",
        metavar="HOW",
    ),
]


def options_from(
    model: type[BaseModel], *, command: str | None = None, leave_out: Iterable[str] = ()
) -> dict[str, inspect.Parameter]:
    """Return a parameter for typer for each field of a model, by the field's name.

    The help is the first paragraph of the field's docstring. An option that is not given is None,
    so that another source may say it; `read` turns those that are given into the model's values.

    Args:
        model: fields with docstrings, and `Cli` beside those whose type does not say all.
        command: the command that gets them; fields for another command are omitted.
        leave_out: further fields that it does not take.
    """
    taken = {
        name: field
        for name, field in model.model_fields.items()
        if name not in leave_out and cli_of(field).command in (None, command)
    }
    flags = {name: flag_of(cli_of(field).name or name) for name, field in taken.items()}
    return {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_option(name, field, flags),
        )
        for name, field in taken.items()
    }


def read(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given, as a model takes them; the model checks the values."""
    return {
        name: _value(model.model_fields[name], value)
        for name, value in values.items()
        if value is not None and value != []
    }


def _option(name: str, field: FieldInfo, flags: Mapping[str, str]) -> Any:
    """The type of an option, annotated with what typer has to know."""
    cli, kind = cli_of(field), bare(field.annotation)[0]
    names = [flags[name], *map(flag_of, cli.also)]
    more: dict[str, Any] = {"help": _help(field, flags), "metavar": cli.metavar}
    if cli.completion is not None:
        more["autocompletion"] = getattr(completion, cli.completion)
    if kind is bool:
        names = [f"{names[0]}/{flag_of(f'no_{name}')}"] if field.default is True else names
    elif kind in _METAVARS:  # the model says what is wrong with a number, in plainer words
        more["metavar"] = cli.metavar or _METAVARS[kind]
        kind = str
    elif isinstance(kind, type) and issubclass(kind, Path):
        more |= {"parser": _place, "metavar": cli.metavar or "PATH"}
    elif get_origin(kind) is Literal:
        more["metavar"] = cli.metavar or name.rpartition("_")[2].upper()
    elif kind is not str:
        more["metavar"] = cli.metavar or "A,B,…"
        kind = list[str] if cli.repeat else str
    return Annotated[kind | None, typer.Option(*names, **more)]


def _help(field: FieldInfo, flags: Mapping[str, str]) -> str:
    meaning, default = documented(field)
    text = f"{meaning} Default: {default}." if default else meaning
    return escape(spelled(text, flags).replace("`", ""))


def documented(field: FieldInfo) -> tuple[str, str]:
    """Return what an option means and what its default is, by its docstring's first paragraph.

    Values and default are added from the type if the docstring does not name them.
    """
    text = " ".join((field.description or "").partition("\n\n")[0].split())
    meaning, _, default = text.partition(" Default: ")
    kind = bare(field.annotation)[0]
    choices = [f"`{choice}`" for choice in get_args(kind)] if get_origin(kind) is Literal else []
    if not all(choice.strip("`") in meaning for choice in choices):
        meaning = f"{meaning} One of {', '.join(choices[:-1])} and {choices[-1]}."
    if not default and _is_shown(field.default):
        default = f"`{field.default}`"
    return meaning, default.rstrip(".")


def _is_shown(default: Any) -> bool:
    """Whether a default has to be named: nothing, an empty list and a flag that is off have not."""
    return isinstance(default, str | int | float) and not isinstance(default, bool)


def _value(field: FieldInfo, value: Any) -> Any:
    """A value as the model takes it: text becomes what the field's type says."""
    if not isinstance(value, str | list):
        return value
    given = [value] if isinstance(value, str) else value
    kind = bare(field.annotation)[0]
    if kind in _METAVARS:
        return _number(kind, str(value))
    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for one in members:
        if get_origin(one) is tuple:
            return _list(given, members)
        if get_origin(one) is dict:
            nested = get_origin(bare(get_args(one)[1])[0]) is dict
            return _nested(given, cli_of(field)) if nested else _pairs(given, cli_of(field))
    return value


def _number(kind: type, text: str) -> Any:
    """A number, or the text as it is, which the model refuses."""
    with suppress(ValueError):
        return kind(text)
    return text


def _list(given: Iterable[str], members: Iterable[Any]) -> str | tuple[str, ...]:
    """Reads ``256,320``, or a single word that may stand for a list, such as ``auto``."""
    words = tuple(word for text in given for word in text.replace(",", " ").split())
    alone = [word for one in members if get_origin(one) is Literal for word in get_args(one)]
    return words[0].lower() if len(words) == 1 and words[0].lower() in alone else words


def _pairs(given: Iterable[str], cli: Cli) -> dict[str, str]:
    """Reads ``train=0.95,val=0.05``."""
    pairs: dict[str, str] = {}
    for part in (part for text in given for part in text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            example = ",".join(f"{key}={one}" for key, one in (cli.example or {}).items())
            form = (cli.metavar or "NAME=VALUE") + (f", such as {example}" if example else "")
            raise typer.BadParameter(f"{part!r} is not of the form {form}")
        if name.strip() in pairs:
            raise typer.BadParameter(f"{name.strip()!r} is given twice")
        pairs[name.strip()] = value.strip()
    return pairs


def _nested(given: Iterable[str], cli: Cli) -> dict[str, dict[str, str]]:
    """Reads ``VP306.share=0.1``."""
    found: dict[str, dict[str, str]] = {}
    for text in given:
        left, equals, value = text.partition("=")
        group, dot, name = left.partition(".")
        if not (equals and dot and name):
            raise typer.BadParameter(f"{text!r} is not of the form {cli.metavar or _NESTED}")
        found.setdefault(group.strip(), {})[name.strip().replace("-", "_")] = value.strip()
    return found


def dataset_options(
    command: Callable[..., Any] | None = None, *, only: Collection[str] | None = None
) -> Callable[..., Any]:
    """Gives a command PATH and the options that describe a dataset.

    The command gets them as ``path`` and ``dataset``, a dict of what was given. An annotation and a
    default of its own for ``path`` stay, and so does its place among the arguments.

    Args:
        command: the command.
        only: the options that it takes; None: all.
    """
    if command is None:
        return functools.partial(dataset_options, only=only)
    leave_out = () if only is None else DatasetSpec.model_fields.keys() - only
    made = with_options(DatasetSpec, "dataset", leave_out=leave_out)(command)
    parameters = dict(inspect.signature(made).parameters)
    path = parameters["path"]
    if get_origin(path.annotation) is not Annotated:
        path = path.replace(annotation=Path_)
    if path.default is inspect.Parameter.empty:
        path = path.replace(default=Path())
    _set_parameters(made, list({**parameters, "path": path}.values()))
    return made


def with_options(
    model: type[BaseModel], parameter: str, *, leave_out: Iterable[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of a model, in the place of a parameter.

    Args:
        model: see `options_from`.
        parameter: the name of the parameter, which gets what was given as a dict.
        leave_out: fields that the command does not take.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        shared = options_from(model, command=command.__name__, leave_out=leave_out)
        parameters: list[inspect.Parameter] = []
        for name, one in inspect.signature(command, eval_str=True).parameters.items():
            own = one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            parameters += shared.values() if name == parameter else [own]

        @functools.wraps(command)
        def wrapper(**values: Any) -> Any:
            given = read(model, {name: values.pop(name) for name in shared})
            return command(**{parameter: given}, **values)

        _set_parameters(wrapper, parameters)
        return wrapper

    return decorate


def _set_parameters(command: Any, parameters: list[inspect.Parameter]) -> None:
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}


def as_options(given: Mapping[str, Any], model: type[BaseModel] = DatasetSpec) -> list[str]:
    """Return what a command got of a model's options, as it is written on a command line.

    Options that only one command has are omitted.
    """
    words = []
    for name, value in given.items():
        cli = cli_of(model.model_fields[name])
        if cli.command is not None:
            continue
        if isinstance(value, dict):
            value = [f"{key}={one}" for key, one in value.items()]
        if isinstance(value, tuple | list):
            value = ",".join(map(str, value))
        flag = flag_of(cli.name or name)
        words += [flag] if value is True else [flag, _written(value)]
    return words


def _written(value: Any) -> str:
    """A path as it was given: a URL is not the path that stands for it."""
    from videoprep.fs.mirror import shown

    return shown(value) if isinstance(value, Path) else str(value)


def join_values(arguments: list[str]) -> list[str]:
    """Joins values written one after the other: ``--frame-buckets 17 33`` becomes ``17,33``.

    The ancestor writes them so: ``--height_buckets 256 320 384``.
    """
    joined: list[str] = []
    in_list = False
    for argument in arguments:
        follows = in_list and _NUMBERS.fullmatch(argument) is not None
        if follows and _NUMBERS.fullmatch(joined[-1].rpartition("=")[2]):
            joined[-1] = f"{joined[-1].rstrip(',')},{argument}"
        else:
            joined.append(argument)
        name, _, _ = argument.partition("=")
        in_list = follows or name.replace("_", "-") in _lists()
    return joined


@functools.cache
def _lists() -> frozenset[str]:
    """The options that take a list."""
    fields = DatasetSpec.model_fields.items()
    return frozenset(flag_of(name) for name, field in fields if isinstance(field.default, tuple))


def named_path(path: Path, dataset: dict[str, Any]) -> Path:
    """The dataset that is meant: a data root alone names its folder."""
    root = dataset.get("data_root")
    return root if root is not None and path == Path() else path


def make_datasets(path: Path, dataset: dict[str, Any]) -> Datasets:
    """The dataset that path and options describe, or several that are one.

    Raises:
        SpecError: there is no dataset there, or an option has a wrong value.
    """
    return open_datasets(named_path(path, dataset), **dataset)


def make_spec(path: Path, dataset: dict[str, Any]) -> DatasetSpec:
    """The spec that path and options describe.

    Raises:
        SpecError: there is no dataset there, or an option has a wrong value.
    """
    return DatasetSpec.from_path(named_path(path, dataset), **dataset)
