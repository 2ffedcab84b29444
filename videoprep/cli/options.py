"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli import completion

if TYPE_CHECKING:
    from videoprep.spec.dataset import DatasetSpec

# Options whose values the ancestor writes one after the other: --height_buckets 256 320 384.
_LISTS = ("--height-buckets", "--width-buckets", "--frame-buckets", "--buckets")
_NUMBERS = re.compile(r"\d+(x\d+x\d+)?(,\d+(x\d+x\d+)?)*,?")


class OutputFormat(str, Enum):
    """For people, or for machines."""

    rich = "rich"
    json = "json"


class ReshapeMode(str, Enum):
    """May clips be fitted into buckets, and how."""

    none = "none"
    center_crop = "center-crop"
    random_crop = "random-crop"
    resize = "resize"
    pad = "pad"


class Mode(str, Enum):
    """Which parts of a video become clips."""

    head = "head"
    middle = "middle"
    uniform = "uniform"
    chunk = "chunk"
    slide = "slide"
    all_frames_stride = "all-frames-stride"


class Unit(str, Enum):
    """What times are in."""

    seconds = "seconds"
    frames = "frames"


class Missing(str, Enum):
    """What becomes of samples whose video is not there."""

    error = "error"
    skip = "skip"


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


def _place(text: str | Path) -> Path:
    """A path, or the one that stands for a URL: ``pathlib`` would make ``s3:/`` of ``s3://``."""
    from videoprep.mirror import local_path

    return local_path(text)


_BUCKET = re.compile(r"[1-9]\d{0,6}(x[1-9]\d{0,6}){2}")

Path_ = Annotated[
    Path,
    typer.Argument(
        parser=_place,
        metavar="PATH",
        help="Dataset folder, CSV or TSV file, or the URL of one, such as s3://bucket/dataset.",
        show_default="this folder",
    ),
]
Format = Annotated[
    OutputFormat, typer.Option("--output-format", help="rich or json.", metavar="FORMAT")
]
OnMissing = Annotated[
    Missing,
    typer.Option(
        "--on-missing", help="Videos that are gone: error, or skip and list them.", metavar="HOW"
    ),
]
_Text = str | None


@dataclass(frozen=True, slots=True)
class _Shared:
    """One shared option: its type for typer, and its default."""

    type: Any
    default: Any = None


def _option(kind: Any, text: str, default: Any = None, **more: Any) -> _Shared:
    return _Shared(Annotated[kind, typer.Option(help=text, **more)], default)


_PLACE = {"parser": _place, "metavar": "PATH"}

_DATASET = {
    "path": _Shared(Path_, Path()),
    "data_root": _option(
        Path | None, "Folder that video paths are relative to; or its URL.", **_PLACE
    ),
    "dataset_file": _option(Path | None, "CSV or TSV file with the samples; or its URL.", **_PLACE),
    "caption_column": _option(_Text, "Caption file, or the table's caption column."),
    "video_column": _option(_Text, "File of video paths, or the table's video column."),
    "start_column": _option(_Text, "The table's column of where clips begin; '': none."),
    "end_column": _option(_Text, "The table's column of where clips end, exclusive; '': none."),
    "time_unit": _option(
        Unit | None, "What both are in: seconds or frames. Default: seconds.", metavar="UNIT"
    ),
    "split_column": _option(_Text, "The table's column of splits; '': none."),
    "weight_column": _option(_Text, "The table's column of weights; '': none."),
    "repeats_column": _option(_Text, "The table's column of repeats in an epoch; '': none."),
    "id_token": _option(_Text, "Put before every caption."),
    "profile": _option(
        _Text,
        "Rules for sizes and frame counts: default, or a family's name.",
        autocompletion=completion.profiles,
    ),
    "reshape": _option(
        ReshapeMode | None,
        "May clips be fitted into buckets: none, center-crop, random-crop, resize or pad. "
        "Default: none; center-crop with --buckets auto.",
        metavar="MODE",
    ),
    "allow_upscale": _Shared(
        Annotated[
            bool | None, typer.Option("--allow-upscale", help="Clips may be enlarged to fit.")
        ],
    ),
    "crop_seed": _option(int | None, "Other places for random-crop. Default: 0.", min=0),
    "buckets": _option(
        _Text,
        "Frames × height × width, such as 49x480x704,81x480x704; or auto: chosen from the "
        "dataset's own sizes.",
        metavar="LIST",
    ),
    "num_buckets": _option(int | None, "How many auto may choose at most.", min=1),
    "max_pixels": _option(
        int | None, "Height × width of chosen buckets, and of clips' own sizes, at most.", min=1
    ),
    "height_buckets": _option(_Text, "Allowed heights, such as 256,480.", metavar="LIST"),
    "width_buckets": _option(_Text, "Allowed widths, such as 384,704.", metavar="LIST"),
    "frame_buckets": _option(_Text, "Allowed frame counts, such as 17,49.", metavar="LIST"),
    "max_num_frames": _Shared(
        Annotated[
            int | None,
            typer.Option(
                "--max-num-frames",
                "--max-frames",
                help="No clip is longer. Default: the longest frame bucket, or 49.",
                min=1,
            ),
        ]
    ),
    "target_fps": _option(float | None, "Take frames at this rate. Default: the file's own."),
    "clip_mode": _option(
        Mode | None,
        "Which parts of a video become clips: head, middle, uniform, chunk, slide or "
        "all-frames-stride. Default: head.",
        metavar="MODE",
    ),
    "clips_per_video": _option(int | None, "Clips of each sample at most.", min=1),
    "min_gap": _option(
        float | None,
        "Seconds between a clip's end and the next one's start; for slide from start to start.",
        min=0,
    ),
    "split": _option(
        _Text, "Shares by name, such as train=0.95,val=0.05; by content.", metavar="SHARES"
    ),
    "allow_outside_root": _Shared(
        Annotated[
            bool | None,
            typer.Option("--allow-outside-root", help="Accept videos outside the data root."),
        ],
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
    for name in ("reshape", "clip_mode", "time_unit"):
        if name in given:
            given[name] = given[name].value
    if "buckets" in given:
        given["buckets"] = _buckets(given["buckets"])
    if "split" in given:
        given["split"] = _shares(given["split"])
    return given


def as_options(dataset: Mapping[str, Any]) -> list[str]:
    """What a command got as ``dataset``, as it is written on a command line."""
    words = []
    for name, value in dataset.items():
        if name not in _DATASET:  # an option of that command alone
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, dict):
            value = [f"{key}={share:g}" for key, share in value.items()]
        if isinstance(value, tuple | list):
            value = ",".join(map(str, value))
        words += [option] if value is True else [option, _written(value)]
    return words


def _written(value: Any) -> str:
    """A path as it was given: a URL is not the path that stands for it."""
    from videoprep.mirror import shown

    return shown(value) if isinstance(value, Path) else str(value)


def _buckets(text: str) -> str | tuple[str, ...]:
    """Reads ``auto``, or ``49x480x704,81×480×704``."""
    if text.strip().lower() == "auto":
        return "auto"
    parts = tuple(part.lower().replace("×", "x") for part in text.replace(",", " ").split())
    for part in parts or ("",):
        if not _BUCKET.fullmatch(part):
            raise typer.BadParameter(f"{part!r} is neither auto nor a bucket such as 49x480x704")
    return parts


def _shares(text: str) -> dict[str, float]:
    """Reads ``train=0.95,val=0.05``."""
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.partition("=")
        try:
            number = float(share)
        except ValueError:
            number = 0.0
        if not equals or not name.strip() or not 0 < number <= 1 or name.strip() in shares:
            raise typer.BadParameter(f"{part!r} is no share such as train=0.95, or is given twice")
        shares[name.strip()] = number
    return shares


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
