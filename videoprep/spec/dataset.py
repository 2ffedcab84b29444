"""`DatasetSpec`: where a dataset's samples are, the rules they must keep, how clips are shaped."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from videoprep.collection import no_collection
from videoprep.errors import Code, ListError, SpecError
from videoprep.mirror import local_path
from videoprep.place import instead_of_a_dataset, kind_of, nowhere
from videoprep.spec.csv_file import guess_columns, read_csv
from videoprep.spec.entries import Entries
from videoprep.spec.extras import EXTRAS, TimeUnit
from videoprep.spec.line_files import read_line_files
from videoprep.spec.remote_lists import (
    bring_again,
    bring_lists,
    bring_named,
    remote_errors,
    with_urls,
)
from videoprep.spec.remote_lookup import lookup_in
from videoprep.spec.sample import Listing, Location, Sample
from videoprep.spec.spec_file import NAME, read_spec_file
from videoprep.spec.text_file import in_shell
from videoprep.spec.video_lookup import is_inside

Reshape = Literal["none", "center-crop", "random-crop", "resize", "pad"]
"""May clips be fitted into buckets? ``none``: no; ``center-crop``: by cutting; ``random-crop``: by
cutting elsewhere than in the middle; ``resize``: by changing their aspect ratio; ``pad``: by adding
black bars."""

ClipMode = Literal["head", "middle", "uniform", "chunk", "slide", "all-frames-stride"]
"""Which parts of a video, or of a sample's time range, become clips."""

BucketText = Annotated[str, Field(pattern=r"^[1-9]\d{0,6}x[1-9]\d{0,6}x[1-9]\d{0,6}$")]
"""Frames, height and width: ``49x480x704``."""

Side = Annotated[int, Field(gt=0, le=65_536)]
FrameCount = Annotated[int, Field(gt=0, le=10_000_000)]

PROMPTS = "prompt.txt"
VIDEOS = "videos.txt"
TABLE_SUFFIXES = (".csv", ".tsv")

_SHOWN = 5


class DatasetSpec(BaseModel):
    """Where a dataset's samples are, the rules they must keep, and how clips are cut and shaped.

    Without ``dataset_file`` the columns name two line files in ``data_root``, paired by line
    number. With it they name two columns of that CSV or TSV file.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )

    data_root: Path
    """The folder that video paths are relative to."""
    dataset_file: Path | None = None
    """A CSV or TSV file, absolute or relative to ``data_root``."""
    caption_column: str = Field(default=PROMPTS, min_length=1)
    """Caption file, or the table's caption column."""
    video_column: str = Field(default=VIDEOS, min_length=1)
    """File of video paths, or the table's video column."""
    start_column: str | None = None
    """The table's column of where samples begin in their videos. For this and the columns that
    follow ``None`` or empty: there is none; `from_path` looks for one where it is ``None``."""
    end_column: str | None = None
    """The table's column of where they end, exclusive."""
    time_unit: TimeUnit | None = None
    """What both are in; ``None``: seconds."""
    split_column: str | None = None
    """The table's column of the splits that samples belong to."""
    weight_column: str | None = None
    """The table's column of how often samples come in an epoch on average."""
    repeats_column: str | None = None
    """The table's column of how often they come in an epoch; the weight is multiplied by it."""
    id_token: str | None = None
    """Put before each caption, with a space."""
    profile: str = "default"
    """Name of the rules for sizes and frame counts: ``default`` or a family's name."""
    reshape: Reshape | None = None
    """Whether clips may be fitted into buckets, and how; ``None``: ``center-crop`` with
    ``buckets="auto"``, else ``none``."""
    allow_upscale: bool = False
    """Clips may be enlarged to fit."""
    crop_seed: Annotated[int, Field(ge=0)] = 0
    """Makes other places for ``random-crop``."""
    buckets: Literal["auto"] | tuple[BucketText, ...] = ()
    """Such as ``49x480x704``; or ``auto``: chosen from the dataset's own sizes."""
    num_buckets: PositiveInt | None = None
    """How many ``auto`` may choose; ``None``: as few as do well."""
    max_pixels: Annotated[int, Field(gt=0, le=2**32)] | None = None
    """Height × width of no bucket is above this, where they are not listed."""
    height_buckets: tuple[Side, ...] = ()
    """Allowed heights in pixels; all pairs with ``width_buckets`` are buckets. Where no buckets are
    given each clip keeps its own size, cut down to a legal one."""
    width_buckets: tuple[Side, ...] = ()
    """Allowed widths in pixels."""
    frame_buckets: tuple[FrameCount, ...] = ()
    """Allowed frame counts; empty means every count that the profile allows."""
    max_num_frames: FrameCount | None = None
    """No clip is longer than this; ``None``: the longest of the frame buckets that are given, else
    49."""
    target_fps: Annotated[float, Field(ge=0.1, le=1000, allow_inf_nan=False)] | None = None
    """Sample frames at this rate; ``None`` keeps each file's own."""
    clip_mode: ClipMode = "head"
    """Which parts of a video become clips."""
    clips_per_video: PositiveInt | None = None
    """At most so many of each sample; ``None``: one for ``head``, ``middle`` and
    ``all-frames-stride``, else as many as there are."""
    min_gap: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Seconds between one clip's end and the next one's start; for ``slide`` from start to
    start."""
    split: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """Shares of the dataset by name, such as ``{"train": 0.95, "val": 0.05}``."""
    allow_outside_root: bool = False
    """Accept lists and videos that lie outside ``data_root``."""
    select: tuple[str, ...] = ()
    """The rules that `validate` applies: codes, starts of codes, names, ``default`` or ``all``;
    empty: ``default``, which is all that need not decode whole videos."""
    ignore: tuple[str, ...] = ()
    """Rules that are left out of these."""
    severity: dict[str, Literal["error", "warning", "note"]] = {}
    """Other severities of rules, by code or name."""
    fail_on: Literal["error", "warning"] = "error"
    """The severity from which on a dataset is not ok."""
    rule_options: dict[str, dict[str, Any]] = {}
    """Options of rules, by code or name, then by the option's name."""

    @field_validator("data_root", "dataset_file", mode="before")
    @classmethod
    def _without_urls(cls, value: Any) -> Any:
        """A URL becomes the path that stands for it."""
        return local_path(value) if isinstance(value, str) else value

    @field_validator("buckets", mode="before")
    @classmethod
    def _as_on_the_command_line(cls, value: Any) -> Any:
        """Accepts ``49x480x704,81x480x704`` as text."""
        if isinstance(value, str) and value != "auto":
            return tuple(value.replace(",", " ").split())
        return value

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], **options: Any) -> DatasetSpec:
        """Finds out how the dataset at ``path`` is written.

        The path may be a URL that fsspec knows, such as ``s3://bucket/dataset``; see `mirror`.

        A table file is read with the usual column names. A folder is looked through for
        ``videoprep.yaml``, then ``prompt.txt`` + ``videos.txt``, then exactly one CSV or TSV file.
        Whatever is named in ``options`` is taken as it is.

        Raises:
            SpecError: there is no such path, or nothing in it that looks like a dataset.
        """
        chosen = {key: value for key, value in options.items() if value is not None}
        for name in ("data_root", "dataset_file"):
            if name in chosen:
                chosen[name] = local_path(chosen[name])
        with remote_errors():
            return cls._found(local_path(path), chosen)

    @classmethod
    def _found(cls, path: Path, chosen: dict[str, Any]) -> DatasetSpec:
        bring_lists(path, chosen)
        saved = _saved_spec(path)
        if saved is not None:
            bring_named(saved, read_spec_file(saved))
            chosen = {**read_spec_file(saved), **chosen}
            path = saved.parent
        root, table = _locate(path, chosen)
        if table is None:
            lists = _line_files(path, root, chosen)
            return cls._checked({"data_root": root, **chosen, **lists}, saved)
        allowed = bool(chosen.get("allow_outside_root"))
        _require_inside(_table_path(table, root), table, root, allowed)
        guessed = guess_columns(_table_path(table, root), chosen)
        return cls._checked({"data_root": root, **guessed, **chosen, "dataset_file": table}, saved)

    @classmethod
    def _checked(cls, fields: dict[str, Any], saved: Path | None) -> DatasetSpec:
        try:
            return cls(**fields)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            wrong = "; ".join(_wrong(e, cls) for e in errors[:_SHOWN])
            wrong += f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
            raise SpecError(
                f"an option has a wrong value: {wrong}",
                where=str(saved) if saved is not None else None,
                remedy="correct it; `videoprep validate --help` lists the options",
            ) from error

    @classmethod
    def of(cls, dataset: DatasetSpec | str | os.PathLike[str], **options: Any) -> DatasetSpec:
        """A spec as it is, or the one at a path; with some fields replaced."""
        if isinstance(dataset, DatasetSpec):
            return cls._checked({**dataset.model_dump(), **options}, None)
        return cls.from_path(dataset, **options)

    def saved_fields(self) -> dict[str, Any]:
        """What differs from the defaults, as plain values; the data root is the file's folder."""
        fields = self.model_dump(mode="json", exclude_defaults=True, exclude={"data_root"})
        return {name: value for name, value in fields.items() if name != "allow_outside_root"}

    def listing(self) -> Listing:
        """Reads the lists and looks every video up on disk. Opens no video.

        Raises:
            SpecError: a list file, a column or the data root is missing.
        """
        with remote_errors():
            bring_again(self.data_root, self._list_files())
            _require_folder(self.data_root)
            with no_collection():
                return self._listing()

    def samples(self) -> Iterator[Sample]:
        """The samples, in the order in which they are written.

        Raises:
            SpecError: a list file, a column or the data root is missing, or the lists are empty.
            ListError: the lists hold mistakes; it names all of them.
        """
        listing = self.listing()
        if listing.problems:
            raise ListError(listing.problems)
        if not listing.samples:
            raise self.empty_error()
        return iter(listing.samples)

    @property
    def list_file(self) -> Path:
        """The file that names the videos."""
        if self.dataset_file is not None:
            return _table_path(self.dataset_file, self.data_root)
        return self.data_root / self.video_column

    def empty_error(self) -> SpecError:
        """The error for lists that name no sample at all."""
        return SpecError(
            "the dataset is empty",
            where=str(self.list_file),
            remedy="write at least one caption and video",
            code=Code.EMPTY_DATASET,
        )

    def _listing(self) -> Listing:
        found = self._entries()
        found = with_urls(found)
        lookup = lookup_in(self.data_root, found.video_file, self.allow_outside_root)
        token = f"{self.id_token.strip()} " if self.id_token and self.id_token.strip() else ""
        samples: list[Sample] = []
        unusable: list[Sample] = []
        for video, caption, line, extras in found.entries:
            problem = lookup.check(video, line)
            if problem is not None:
                found.problems.append(problem)
            source = Location(found.video_file, line)
            sample = Sample(
                video, token + caption, self.data_root, source, found.caption_file, token, extras
            )
            (unusable if problem else samples).append(sample)
        return Listing(
            tuple(samples),
            tuple(unusable),
            tuple(found.problems),
            tuple(found.remarks),
            found.total,
            lookup.identities(),
        )

    def _entries(self) -> Entries:
        if self.dataset_file is not None:
            table = self.list_file
            _require_inside(table, self.dataset_file, self.data_root, self.allow_outside_root)
            _require_known_suffix(table)
            used = {"caption": self.caption_column, "video": self.video_column}
            return read_csv(table, {**used, **self._extra_columns()}, self.time_unit or "seconds")
        self._require_no_extras()
        captions, videos = self.data_root / self.caption_column, self.list_file
        for path, written in ((captions, self.caption_column), (videos, self.video_column)):
            _require_inside(path, written, self.data_root, self.allow_outside_root)
        return read_line_files(captions, videos)

    def _list_files(self) -> list[Path]:
        if self.dataset_file is not None:
            return [self.list_file]
        return [self.data_root / self.caption_column, self.list_file]

    def _extra_columns(self) -> dict[str, str]:
        """The names of the columns beside caption and video, by what they hold."""
        names = {what: getattr(self, f"{what}_column") for what in EXTRAS}
        return {what: name for what, name in names.items() if name}

    def _require_no_extras(self) -> None:
        for what in self._extra_columns():
            raise SpecError(
                f"{what}_column names a table's column, and the dataset is two line files",
                where=str(self.data_root),
                remedy="write videos, captions and this column into one CSV file",
            )


def _wrong(error: Any, cls: type[BaseModel]) -> str:
    """One of pydantic's errors in words; a name that does not exist may be misspelt."""
    name = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        return f"{name}: {error['msg']}"
    close = difflib.get_close_matches(name, cls.model_fields, 1)
    return f"there is no {name}" + (f", did you mean {close[0]}?" if close else "")


def _saved_spec(path: Path) -> Path | None:
    """The ``videoprep.yaml`` that is named, or lies in the folder that is named."""
    if path.suffix.lower() in (".yaml", ".yml") and not os.path.isdir(path):
        return path
    inside = path / NAME
    if not os.path.isfile(inside):
        return None
    _require_inside(inside, NAME, path, allow_outside=False)
    return inside


def _locate(path: Path, options: dict[str, Any]) -> tuple[Path, Path | None]:
    """The data root, and the table file or None for two line files."""
    kind = _kind(path)
    if kind == "file":
        _require_known_suffix(path)
        return Path(options.get("data_root", path.parent)), path.absolute()
    root = Path(options.get("data_root", path))
    if options.get("dataset_file") is not None:
        return root, Path(options["dataset_file"])
    line_files = [options.get("caption_column", PROMPTS), options.get("video_column", VIDEOS)]
    missing = [str(name) for name in line_files if not os.path.exists(path / str(name))]
    if not missing:
        return root, None
    tables = _tables(path)
    if len(tables) != 1:
        raise _nothing_found(path, missing, tables)
    # Found and not named: it has to lie in the folder, as the videos do.
    _require_inside(tables[0], tables[0].name, path, bool(options.get("allow_outside_root")))
    return root, Path(tables[0].name) if path == root else tables[0].absolute()


def _tables(folder: Path) -> list[Path]:
    """The folder's tables; hidden files are those of editors and archivers."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in TABLE_SUFFIXES)
    return sorted(p for p in found if not p.name.startswith(".") and os.path.isfile(p))


def _kind(path: Path) -> Literal["file", "folder"]:
    """What lies at the path, without opening it.

    Raises:
        SpecError: nothing, or something that is neither a file nor a folder.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise SpecError(
            "no such file or folder" if missing else f"cannot be looked up: {error}",
            where=str(path),
            remedy=nowhere(path, "check the path") if missing else "check the path",
        ) from error
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    raise SpecError(
        "is neither a file nor a folder", where=str(path), remedy="name a dataset's folder"
    )


def _line_files(path: Path, root: Path, options: dict[str, Any]) -> dict[str, str]:
    """Where the line files lie: in the folder that was named, also when videos lie elsewhere."""
    if path == root:
        return {}
    defaults = {"caption_column": PROMPTS, "video_column": VIDEOS}
    found = {}
    for column, name in defaults.items():
        written = str(options.get(column, name))
        allowed = bool(options.get("allow_outside_root"))
        _require_inside(path / written, written, path, allowed)
        found[column] = str((path / written).absolute())
    return found


def _nothing_found(path: Path, missing: list[str], tables: list[Path]) -> SpecError:
    kind = kind_of(path)
    if kind is not None and kind != "dataset":
        return SpecError(
            "this is no dataset", where=str(path), remedy=instead_of_a_dataset(path, "name another")
        )
    if tables:
        return SpecError(
            f"several tables could be the dataset: {', '.join(t.name for t in tables)}",
            where=str(path),
            remedy="name one with --dataset-file",
        )
    return SpecError(
        f"no dataset here: {' and '.join(missing)} not found, and no CSV or TSV file",
        where=str(path),
        code=Code.MISSING_LIST,
        remedy=f"{_above(path)}write {PROMPTS} (a caption a line) and {VIDEOS} (a video path a "
        "line), or name other files with --caption-column and --video-column; or let `videoprep "
        f"init {in_shell(str(path))}` find out how it is written",
    )


def _above(path: Path) -> str:
    """A hint where the folder is one of a dataset's, such as that of its videos."""
    folder = path.parent if path.name else path / ".."
    return f"did you mean {folder}, the folder above? " if kind_of(folder) == "dataset" else ""


def _table_path(path: Path, root: Path) -> Path:
    """A table named without its folder is looked for in the data root first, as the videos are."""
    inside = root / path
    return inside if os.path.exists(inside) else path


def _require_inside(path: Path, written: str | Path, root: Path, allow_outside: bool) -> None:
    """A list may be a link that a stranger has put there; an absolute path is the user's own.

    Raises:
        SpecError: it leads outside the data root.
    """
    if allow_outside or os.path.isabs(written):
        return
    try:
        inside = is_inside(os.path.realpath(path), os.path.realpath(root))
    except ValueError:  # no path at all: a NUL byte in it
        inside = False
    if not inside:
        raise SpecError(
            "the list leads outside the data root",
            where=str(path),
            remedy="name it by its absolute path, or allow it with --allow-outside-root",
            code=Code.OUTSIDE_ROOT,
        )


def _require_folder(path: Path) -> None:
    if not os.path.exists(path):
        raise SpecError("the data root does not exist", where=str(path), remedy="check --data-root")
    if not os.path.isdir(path):
        raise SpecError(
            "the data root is not a folder",
            where=str(path),
            remedy="name the folder that the video paths are relative to",
        )


def _require_known_suffix(path: Path) -> None:
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise SpecError(
            "this kind of file cannot be read as a dataset",
            where=str(path),
            remedy=_other_file(path),
        )


def _other_file(path: Path) -> str:
    """What to do with a file that is no table."""
    if path.suffix.lower() == ".jsonl":
        return f"make a table of it: videoprep init {in_shell(str(path))}"
    give = f"give a folder, or a file ending in {' or '.join(TABLE_SUFFIXES)}"
    inside = f"give the folder that it lies in: {in_shell(str(path.parent))}"
    return instead_of_a_dataset(path, inside if path.suffix.lower() == ".txt" else give)
