"""`DatasetSpec`: where a dataset's samples are, the rules they must keep, how clips are shaped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from videoprep.errors import Code, ListError, Problem, SpecError
from videoprep.spec.csv_file import CAPTION_COLUMNS, VIDEO_COLUMNS, read_csv, read_header
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.line_files import read_line_files
from videoprep.spec.sample import Listing, Location, Sample

Reshape = Literal["none", "center-crop", "resize"]
"""May clips be fitted into buckets? ``none``: no; ``center-crop``: by cutting; ``resize``: by
changing their aspect ratio."""

PROMPTS = "prompt.txt"
VIDEOS = "videos.txt"
TABLE_SUFFIXES = (".csv", ".tsv")


class DatasetSpec(BaseModel):
    """Where a dataset's samples are, the rules they must keep, and how clips are cut and shaped.

    Without ``dataset_file`` the columns name two line files in ``data_root``, paired by line
    number. With it they name two columns of that CSV or TSV file.

    Attributes:
        data_root: the folder that video paths are relative to.
        dataset_file: a CSV or TSV file, absolute or relative to ``data_root``.
        caption_column: caption file, or the table's caption column.
        video_column: file of video paths, or the table's video column.
        id_token: put before each caption, with a space.
        profile: name of the rules for sizes and frame counts: ``default`` or a family's name.
        reshape: whether clips may be fitted into buckets, and how.
        height_buckets: allowed heights in pixels; all pairs with ``width_buckets`` are buckets.
            Where both are empty each clip keeps its own size, cut down to a legal one.
        width_buckets: allowed widths in pixels.
        frame_buckets: allowed frame counts; empty means every count that the profile allows.
        max_num_frames: no clip is longer than this.
        target_fps: sample frames at this rate; ``None`` keeps each file's own.
        allow_outside_root: accept videos that lie outside ``data_root``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    data_root: Path
    dataset_file: Path | None = None
    caption_column: str = Field(default=PROMPTS, min_length=1)
    video_column: str = Field(default=VIDEOS, min_length=1)
    id_token: str | None = None
    profile: str = "default"
    reshape: Reshape = "none"
    height_buckets: tuple[PositiveInt, ...] = ()
    width_buckets: tuple[PositiveInt, ...] = ()
    frame_buckets: tuple[PositiveInt, ...] = ()
    max_num_frames: PositiveInt = 49
    target_fps: Annotated[float, Field(ge=0.1, le=1000, allow_inf_nan=False)] | None = None
    allow_outside_root: bool = False

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], **options: Any) -> DatasetSpec:
        """Finds out how the dataset at ``path`` is written.

        A table file is read with the usual column names. A folder is looked through for
        ``prompt.txt`` + ``videos.txt``, then for exactly one CSV or TSV file. Whatever is named
        in ``options`` is taken as it is.

        Raises:
            SpecError: there is no such path, or nothing in it that looks like a dataset.
        """
        chosen = {key: value for key, value in options.items() if value is not None}
        root, table = _locate(Path(path), chosen)
        if table is None:
            lists = _line_files(Path(path), root, chosen)
            return cls(**{"data_root": root, **chosen, **lists})
        header = read_header(table)
        guessed = {
            "data_root": root,
            "dataset_file": table,
            "caption_column": _guess(header, CAPTION_COLUMNS, table, "caption", chosen),
            "video_column": _guess(header, VIDEO_COLUMNS, table, "video", chosen),
        }
        return cls(**{**guessed, **chosen, "dataset_file": table})

    @classmethod
    def of(cls, dataset: DatasetSpec | str | os.PathLike[str], **options: Any) -> DatasetSpec:
        """A spec as it is, or the one at a path; with some fields replaced."""
        if isinstance(dataset, DatasetSpec):
            return cls(**{**dataset.model_dump(), **options})
        return cls.from_path(dataset, **options)

    def listing(self) -> Listing:
        """Reads the lists and looks every video up on disk. Opens no video.

        Raises:
            SpecError: a list file, a column or the data root is missing.
        """
        _require_folder(self.data_root)
        found = self._entries()
        root = self.data_root.resolve()
        samples: list[Sample] = []
        problems = list(found.problems)
        for entry in found.entries:
            problem = _check_video(entry, root, self.allow_outside_root)
            if problem is None:
                samples.append(self._sample(entry))
            else:
                problems.append(problem)
        return Listing(tuple(samples), tuple(problems), found.total)

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

    def empty_error(self) -> SpecError:
        """The error for lists that name no sample at all."""
        where = self.dataset_file or self.data_root / self.video_column
        return SpecError(
            "the dataset is empty", where=str(where), remedy="write at least one caption and video"
        )

    def _entries(self) -> Entries:
        if self.dataset_file is not None:
            table = _table_path(self.dataset_file, self.data_root)
            _require_known_suffix(table)
            try:
                return read_csv(table, self.caption_column, self.video_column)
            except UnicodeDecodeError as error:  # the file changed since its header was read
                raise SpecError(str(error), where=str(table)) from error
        return read_line_files(
            self.data_root / self.caption_column, self.data_root / self.video_column
        )

    def _sample(self, entry: Entry) -> Sample:
        token = self.id_token.strip() if self.id_token else ""
        caption = f"{token} {entry.caption}" if token else entry.caption
        return Sample(entry.video, caption, self.data_root, Location(entry.file, entry.line))


def _locate(path: Path, options: dict[str, Any]) -> tuple[Path, Path | None]:
    """The data root, and the table file or None for two line files."""
    kind = _kind(path)
    if kind == "file":
        _require_known_suffix(path)
        return Path(options.get("data_root", path.parent)), path
    root = Path(options.get("data_root", path))
    if options.get("dataset_file") is not None:
        return root, _table_path(Path(options["dataset_file"]), root)
    line_files = [options.get("caption_column", PROMPTS), options.get("video_column", VIDEOS)]
    missing = [name for name in line_files if not (path / name).exists()]
    if not missing:
        return root, None
    tables = sorted(p for p in path.iterdir() if p.suffix.lower() in TABLE_SUFFIXES)
    if len(tables) == 1:
        return root, tables[0]
    raise _nothing_found(path, missing, tables)


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
            remedy="check the path",
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
    return {
        column: str((path / options.get(column, name)).absolute())
        for column, name in defaults.items()
    }


def _nothing_found(path: Path, missing: list[str], tables: list[Path]) -> SpecError:
    if tables:
        return SpecError(
            f"several tables could be the dataset: {', '.join(t.name for t in tables)}",
            where=str(path),
            remedy="name one with --dataset-file",
        )
    return SpecError(
        f"no dataset here: {' and '.join(missing)} not found, and no CSV or TSV file",
        where=str(path),
        remedy=f"write {PROMPTS} (a caption a line) and {VIDEOS} (a video path a line), "
        "or name other files with --caption-column and --video-column",
    )


def _guess(
    header: list[str], known: tuple[str, ...], table: Path, what: str, options: dict[str, Any]
) -> str:
    if f"{what}_column" in options:
        return str(options[f"{what}_column"])
    by_lower = {name.lower(): name for name in header}
    for name in known:
        if name in by_lower:
            return by_lower[name]
    raise SpecError(
        f"no column looks like the {what}; the columns are: {', '.join(header)}",
        where=str(table),
        remedy=f"name it with --{what}-column",
    )


def _table_path(path: Path, root: Path) -> Path:
    """A table named without its folder is looked for in the data root first, as the videos are."""
    inside = root / path
    return inside if inside.exists() else path


def _require_folder(path: Path) -> None:
    if not path.exists():
        raise SpecError("the data root does not exist", where=str(path), remedy="check --data-root")
    if not path.is_dir():
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
            remedy=f"give a folder, or a file ending in {' or '.join(TABLE_SUFFIXES)}",
        )


def _check_video(entry: Entry, root: Path, allow_outside: bool) -> Problem | None:
    """Looks one video up; `root` is resolved. Opens nothing, so a FIFO cannot block it."""

    def problem(code: Code, message: str, remedy: str) -> Problem:
        return Problem(code, message, remedy, entry.file, entry.line)

    if "\0" in entry.video:
        return problem(Code.MALFORMED_ROW, "the path holds a NUL byte", "write the path anew")
    path = root / entry.video
    try:
        resolved = path.resolve(strict=True)
        mode = resolved.stat().st_mode
    except FileNotFoundError:
        return problem(
            Code.MISSING_VIDEO,
            f"no such file: {entry.video}",
            f"paths are relative to {root}; correct the path or remove the sample",
        )
    except (OSError, RuntimeError) as error:
        return problem(
            Code.NOT_A_FILE, f"cannot look up {entry.video}: {error}", "correct the path"
        )
    if not allow_outside and not resolved.is_relative_to(root):
        return problem(
            Code.OUTSIDE_ROOT,
            f"{entry.video} leads outside the data root",
            "move the video inside, or allow it with --allow-outside-root",
        )
    if not stat.S_ISREG(mode):
        return problem(Code.NOT_A_FILE, f"{entry.video} is not a regular file", "name a video file")
    return None
