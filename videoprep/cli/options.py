"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from videoprep.spec.dataset import DatasetSpec

# Options whose values the ancestor writes one after the other: --height_buckets 256 320 384.
_LISTS = ("--height-buckets", "--width-buckets", "--frame-buckets")
_NUMBERS = re.compile(r"\d+(,\d+)*,?")


class OutputFormat(str, Enum):
    """For people, or for machines."""

    rich = "rich"
    json = "json"


class ReshapeMode(str, Enum):
    """May clips be fitted into buckets, and how."""

    none = "none"
    center_crop = "center-crop"
    resize = "resize"


def join_values(arguments: list[str]) -> list[str]:
    """Joins values written one after the other: ``--frame-buckets 17 33`` becomes ``17,33``."""
    joined: list[str] = []
    in_list = False
    for argument in arguments:
        follows = in_list and _NUMBERS.fullmatch(argument) is not None
        if follows and _NUMBERS.fullmatch(joined[-1].rpartition("=")[2]):
            joined[-1] = f"{joined[-1].rstrip(',')},{argument}"
        else:
            joined.append(argument)
        name, _, _ = argument.partition("=")
        in_list = follows or name.replace("_", "-") in _LISTS
    return joined


def _numbers(text: str | None) -> tuple[int, ...] | None:
    """Reads ``256,320`` into numbers."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 256,320") from error


Path_ = Annotated[
    Path, typer.Argument(help="Dataset folder, CSV or TSV file.", show_default="this folder")
]
Format = Annotated[
    OutputFormat, typer.Option("--output-format", help="rich or json.", metavar="FORMAT")
]
_Text = str | None


@dataclass(frozen=True, slots=True)
class _Shared:
    """One shared option: its type for typer, and its default."""

    type: Any
    default: Any = None


def _option(kind: Any, text: str, default: Any = None, **more: Any) -> _Shared:
    return _Shared(Annotated[kind, typer.Option(help=text, **more)], default)


_DATASET = {
    "path": _Shared(Path_, Path()),
    "data_root": _option(Path | None, "Folder that video paths are relative to."),
    "dataset_file": _option(Path | None, "CSV or TSV file with the samples."),
    "caption_column": _option(_Text, "Caption file, or the table's caption column."),
    "video_column": _option(_Text, "File of video paths, or the table's video column."),
    "id_token": _option(_Text, "Put before every caption."),
    "profile": _option(_Text, "Rules for sizes and frame counts: default, or a family's name."),
    "reshape": _option(
        ReshapeMode | None,
        "May clips be fitted into buckets: none, center-crop or resize. Default: none.",
        metavar="MODE",
    ),
    "height_buckets": _option(_Text, "Allowed heights, such as 256,480.", metavar="LIST"),
    "width_buckets": _option(_Text, "Allowed widths, such as 384,704.", metavar="LIST"),
    "frame_buckets": _option(_Text, "Allowed frame counts, such as 17,49.", metavar="LIST"),
    "max_num_frames": _option(int | None, "No clip is longer. Default: 49.", min=1),
    "target_fps": _option(float | None, "Take frames at this rate. Default: the file's own."),
    "allow_outside_root": _Shared(
        Annotated[
            bool,
            typer.Option("--allow-outside-root", help="Accept videos outside the data root."),
        ],
        default=False,
    ),
}


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options that describe a dataset, in front of its own.

    The command gets them as ``path`` and ``dataset``, a dict of what was given.
    """
    own = inspect.signature(command, eval_str=True).parameters
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.type
        )
        for name, option in _DATASET.items()
    ]
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.items()
        if name not in ("path", "dataset")
    ]

    @functools.wraps(command)
    def wrapper(**values: Any) -> Any:
        dataset = {name: values.pop(name) for name in _DATASET}
        path = dataset.pop("path")
        return command(path=path, dataset=_given(dataset), **values)

    parameters = [*shared, *kept]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _given(values: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in values.items() if value is not None}
    for name in ("height_buckets", "width_buckets", "frame_buckets"):
        if name in given:
            given[name] = _numbers(given[name])
    if "reshape" in given:
        given["reshape"] = given["reshape"].value
    return given


def named_path(path: Path, dataset: dict[str, Any]) -> Path:
    """The dataset that is meant: a data root alone names its folder."""
    root = dataset.get("data_root")
    return root if root is not None and path == Path() else path


def make_spec(path: Path, dataset: dict[str, Any]) -> DatasetSpec:
    """The spec that path and options describe.

    Raises:
        SpecError: there is no dataset there, or an option has a wrong value.
    """
    from videoprep.spec.dataset import DatasetSpec

    return DatasetSpec.from_path(named_path(path, dataset), **dataset)
