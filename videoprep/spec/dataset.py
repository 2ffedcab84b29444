"""`DatasetSpec`: where a dataset's samples are, the rules they must keep, how clips are shaped."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Unpack

from videoprep.errors import Code, ListError, Problem, SpecError, VideoprepError
from videoprep.fs.mirror import remote_of, shown
from videoprep.gc_pause import gc_paused
from videoprep.options import (
    Cli,
    ValueKind,
    another_value,
    as_argument,
    as_key,
    joined,
    unknown_option,
    wrong_values,
)
from videoprep.shell import command_line
from videoprep.spec.caption_journal import FOLDER as JOURNAL
from videoprep.spec.caption_journal import Answer, CaptionJournal, clip_key, uses_journal
from videoprep.spec.columns import COLUMNS
from videoprep.spec.configs.contract import TrainerDataset, Treatment
from videoprep.spec.current_captions import CaptionState, CurrentCaptions
from videoprep.spec.current_captions import usable as usable_samples
from videoprep.spec.dataset_options import (
    ClipMode,
    DatasetOptions,
    FailOn,
    Reshape,
    SeverityWord,
)
from videoprep.spec.entries import Entries, Reading
from videoprep.spec.extras import TimeUnit, TimeZero
from videoprep.spec.live_captions import LiveCaptions
from videoprep.spec.locate import CONVERTED, locate, request_of, require_inside, require_table
from videoprep.spec.path_hints import dataset_path
from videoprep.spec.readers import reader_of
from videoprep.spec.readers.base import (
    CaptionLines,
    FolderReader,
    ReadRequest,
    TableReader,
    header_of,
)
from videoprep.spec.readers.caption_files import passed_over
from videoprep.spec.readers.line_files import READER as LINE_FILES
from videoprep.spec.readers.line_files import names_of
from videoprep.spec.remote_lists import (
    bring_again,
    bring_lists,
    bring_named,
    remote_errors,
    with_urls,
)
from videoprep.spec.remote_lookup import lookup_in
from videoprep.spec.role_folders import add_from_folders, named_folders
from videoprep.spec.roles import Media, Role, has_own_option
from videoprep.spec.sample import Listing, Location, Sample
from videoprep.spec.sound_beside import add_sounds_beside
from videoprep.spec.spec_file import DATASETS, NAME, read_spec_file
from videoprep.spec.text_file import in_shell
from videoprep.spec.unlisted import unlisted_videos
from videoprep.spec.video_lookup import is_inside
from videoprep.text import escape_unprintable

BucketText = Annotated[
    str,
    Field(pattern=r"^[1-9]\d{0,6}x[1-9]\d{0,6}x[1-9]\d{0,6}$"),
    ValueKind(
        "a bucket, frames x height x width, such as '49x480x704'",
        "buckets, frames x height x width, such as '49x480x704'",
    ),
]
"""Frames, height and width: ``49x480x704``."""

_ALIKE = 0.85  # from here on a key is meant for the list of several datasets

# Options that say into which buckets clips go and which parts of videos they are. If one of them
# is given, what a trainer's config says of that does not hold.
_PLANNED = (
    *("buckets", "num_buckets", "height_buckets", "width_buckets", "frame_buckets"),
    *("max_num_frames", "max_pixels", "image_max_pixels", "multi_bucket"),
    *("clip_mode", "clips_per_video", "min_gap"),
)

Side = Annotated[int, Field(gt=0, le=65_536)]
FrameCount = Annotated[int, Field(gt=0, le=10_000_000)]
Color = Annotated[
    str,
    StringConstraints(pattern=r"(?i)^#[0-9a-f]{6}$", to_lower=True),
    ValueKind("a colour such as #ffffff", "colours"),
]
PixelCount = Annotated[
    int,
    Field(gt=0, le=2**32),
    ValueKind("height × width as one number from 1 to 4,294,967,296", "numbers of pixels"),
]

REFERENCE_MAX_PIXELS = 1280 * 720
"""Height × width of a reference is not above it, unless it is asked for."""


class DatasetSpec(BaseModel):
    """Where a dataset's samples are, the rules they must keep, and how clips are cut and shaped.

    With ``dataset_file`` the columns name columns of that table. Without it the samples are in two
    line files, ``prompt.txt`` and ``videos.txt``, unless ``format`` says otherwise.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )

    data_root: Path
    """Folder that video paths are relative to, or its URL."""
    dataset_file: Path | None = None
    """Table of the samples, or its URL: CSV, TSV, JSON, JSON Lines or Parquet. A relative path is
    looked up in `data_root` first."""
    format: str | None = None
    """Format of a dataset that is not a table, such as `caption-files`; the documentation lists the
    formats. Default: what is found."""
    caption_column: Annotated[str, Field(min_length=1)] | None = None
    """Table column with captions, file of captions, or folder of caption files. Default: what is
    found by its usual name."""
    video_column: Annotated[str, Field(min_length=1)] | None = None
    """Table column with the video paths, file of video paths, or folder of videos. Default: what is
    found by its usual name."""
    start_column: str | None = None
    """Table column with the start of each sample in its video. Default: a column named 'start' or
    'start_frame', if there is one; an empty name turns it off."""
    end_column: str | None = None
    """Table column with the end of each sample, exclusive. Default: a column named 'end' or
    'end_frame', if there is one; an empty name turns it off."""
    range_column: str | None = None
    """Table column with time ranges of two elements, such as `[1.5, 4]`. An empty name turns it
    off."""
    time_unit: TimeUnit | None = None
    """Unit of the start and end columns. Default: what the columns' names say, or seconds."""
    time_zero: TimeZero = "container"
    """Where start and end times in seconds count from: `container`, as players do, from where the
    file begins, which may be before its first frame; `first-frame`, from there."""
    split_column: str | None = None
    """Table column with the split of each sample. Default: a column named 'split', if there is one;
    an empty name turns it off."""
    weight_column: str | None = None
    """Table column with how often each sample comes in an epoch on average. Default: a column named
    'weight', if there is one; an empty name turns it off."""
    repeats_column: str | None = None
    """Table column with how often each sample is repeated in an epoch; multiplied by its weight.
    Default: a column named 'repeats', if there is one; an empty name turns it off."""
    audio_column: str | None = None
    """Table column with a file for the sound of each sample. If a cell is empty, the sound is the
    video's own. Default: a column named 'audio', 'audio_path', 'sound' or the like, if there is one
    and it holds paths, not addresses; or else the sound file that lies beside a video under its
    name, such as `clip.wav` beside `clip.mp4`. An empty name turns both off."""
    roles: Annotated[
        dict[str, str],
        Cli(
            name="role",
            repeat=True,
            metavar="ROLE=COLUMN",
            example={"control:depth": "depth_path"},
        ),
    ] = {}
    """Table columns, or folders with a file of the same name for each video, that hold further
    media, by role: `control`, `reference` or `mask`, with a suffix such as `control:depth` if there
    are several. Default: columns and folders with such names, such as 'control' and
    'control_depth'; an empty name turns one off."""
    caption_fallback: str | None = None
    """Caption of a video that has none. With `id_token` it may be empty, so that the token alone is
    the caption."""
    caption_lines: CaptionLines = "several"
    """What the lines of a caption file are: `several`, a caption each; `one`, one caption with line
    breaks."""
    caption_journal: str | None = None
    """Folder of the caption journal, in which models and reviewers write. Default:
    `videoprep-captions` beside the lists, or in `data_root` if there are none; an empty name turns
    it off."""
    id_token: Annotated[str | None, Cli(alike=("trigger", "trigger_word"))] = None
    """Text put before every caption, with a space, such as a trigger word."""
    profile: Annotated[str | None, Cli(completion="profiles", alike=("family",))] = None
    """Rules for sizes and frame counts: `default` for the documented ones, or the name of a model
    family. Default: the family of the model if one is given, or `default`."""
    reshape: Annotated[
        Reshape | None, Cli(metavar="MODE", alike=("crop", "resize", "video_reshape_mode"))
    ] = None
    """How clips may be fitted into buckets. Default: `none`, or `center-crop` with
    `buckets='auto'`."""
    allow_upscale: bool = False
    """Allow clips to be enlarged to fit a bucket."""
    crop_seed: Annotated[int, Field(ge=0)] = 0
    """Random seed for the positions of random crops."""
    buckets: Annotated[
        Literal["auto"] | tuple[BucketText, ...],
        Cli(alike=("resolution", "resolutions", "size"), example="49x480x704"),
    ] = ()
    """Frames × height × width, such as `49x480x704`; `auto` chooses from the dataset's own
    sizes."""
    num_buckets: Annotated[PositiveInt | None, Cli(example=4)] = None
    """Maximum number of buckets that `auto` chooses. Default: as few as fit well."""
    min_kept: Annotated[
        Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None, Cli(example=0.9)
    ] = None
    """Minimum share of a clip's pixels that a bucket chosen by `auto` must keep, relative to a
    bucket of the clip's own size. A clip without such a bucket is skipped; 0 disables the limit.
    With `multi_bucket`: minimum share of the picture in a bucket that is not the nearest. Default:
    0.5."""
    multi_bucket: bool = False
    """Put each clip into every bucket that it fits, not only into the nearest one, for training at
    several sizes or lengths. Its weight is divided among them.

    A bucket fits if the clip need not be enlarged and has frames enough, and if its aspect ratio
    keeps `min_kept` of the picture. The nearest bucket is always among them."""
    min_pixels: Annotated[PixelCount | None, Cli(example=320 * 240)] = None
    """Minimum height × width of a video. Smaller videos are skipped."""
    max_pixels: Annotated[PixelCount | None, Cli(example=832 * 480)] = None
    """Maximum height × width of buckets that are not listed, and of clips that keep their own
    size."""
    image_max_pixels: Annotated[PixelCount | None, Cli(example=1024 * 1024)] = None
    """Maximum height × width of the buckets of still images, which have one frame and sizes of
    their own. Default: `max_pixels`, or the sizes that are listed."""
    image_background: Annotated[Color, Cli(example="#000000")] = "#ffffff"
    """Colour under the transparent pixels of still images, as `#rrggbb`."""
    reference_max_pixels: PixelCount = REFERENCE_MAX_PIXELS
    """Maximum height × width of references, which keep their own size and aspect ratio up to it."""
    height_buckets: Annotated[tuple[Side, ...], Cli(alike=("height",), example=(256, 480))] = ()
    """Allowed heights in pixels, such as 256 and 480; each is paired with each of `width_buckets`.

    Without any buckets each clip keeps its own size, cut down to a legal one."""
    width_buckets: Annotated[tuple[Side, ...], Cli(alike=("width",), example=(384, 704))] = ()
    """Allowed widths in pixels, such as 384 and 704."""
    frame_buckets: Annotated[tuple[FrameCount, ...], Cli(example=(17, 49))] = ()
    """Allowed frame counts, such as 17 and 49. Default: every count that the profile allows."""
    max_num_frames: Annotated[
        FrameCount | None,
        Cli(also=("max_frames",), alike=("num_frames", "frames"), example=49),
    ] = None
    """Maximum number of frames of a clip. Default: the longest of `frame_buckets`, or 49."""
    target_fps: Annotated[
        Annotated[float, Field(ge=0.1, le=1000, allow_inf_nan=False)] | None,
        Cli(alike=("fps", "frame_rate"), example=16),
    ] = None
    """Frame rate to sample clips at. Default: each file's own rate."""
    clip_mode: Annotated[ClipMode, Cli(metavar="MODE")] = "head"
    """Which parts of a video become clips."""
    clips_per_video: Annotated[PositiveInt | None, Cli(example=4)] = None
    """Maximum number of clips of each sample. Default: one for `head`, `middle` and
    `all-frames-stride`, otherwise as many as there are."""
    min_gap: Annotated[
        Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, Cli(example=0.5)
    ] = None
    """Seconds from the end of a clip to the start of the next one; with `clip_mode='slide'` from
    start to start."""
    split: Annotated[
        dict[str, Annotated[float, Field(gt=0, le=1)]],
        Cli(metavar="NAME=SHARE,…", example={"train": 0.95, "val": 0.05}),
    ] = {}
    """Shares of the dataset by the name of the split, such as 0.95 for `train` and 0.05 for `val`.
    The content of a video decides which split it belongs to."""
    allow_outside_root: bool = False
    """Accept lists and videos outside `data_root`."""
    select: Annotated[
        tuple[str, ...],
        Cli(command="validate", repeat=True, metavar="RULES", completion="rules"),
    ] = ()
    """Rules to apply: codes, starts of codes, names, `default` or `all`. Default: every rule that
    need not decode whole videos."""
    ignore: Annotated[
        tuple[str, ...],
        Cli(command="validate", repeat=True, metavar="RULES", completion="rules"),
    ] = ()
    """Rules to skip: codes, starts of codes, or names."""
    severity: Annotated[
        dict[str, SeverityWord],
        Cli(command="validate", repeat=True, metavar="RULE=LEVEL", completion="rules"),
    ] = {}
    """Severity of rules, by code or name: error, warning or note."""
    fail_on: Annotated[FailOn, Cli(command="validate", metavar="LEVEL")] = "error"
    """Lowest severity that makes a dataset fail, with exit code 1."""
    rule_options: Annotated[
        dict[str, dict[str, Any]],
        Cli(
            command="validate",
            name="rule_option",
            repeat=True,
            metavar="RULE.NAME=VALUE",
            completion="rules",
        ),
    ] = {}
    """Options of rules, by code or name, then by the option's name."""
    _file: Path | None = PrivateAttr(default=None)
    _from_file: frozenset[str] = PrivateAttr(default=frozenset())  # the fields that it sets
    _name: str | None = PrivateAttr(default=None)  # in the file, if that describes several
    _trainer: TrainerDataset | None = PrivateAttr(default=None)  # if that is a trainer's config

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        """``null`` unsets an option, also one whose default is a value."""
        if not isinstance(fields, dict):
            return fields
        return {
            name: value
            for name, value in fields.items()
            if value is not None
            or name not in cls.model_fields
            or cls.model_fields[name].is_required()
            or cls.model_fields[name].default is None
        }

    @field_validator("data_root", "dataset_file", mode="before")
    @classmethod
    def _without_urls(cls, value: Any) -> Any:
        """A URL becomes the path that stands for it."""
        return dataset_path(value) if isinstance(value, str) else value

    @field_validator("buckets", mode="before")
    @classmethod
    def _as_on_the_command_line(cls, value: Any) -> Any:
        """Accepts ``49x480x704,81×480×704`` as text, and ``(49, 480, 704)`` for one of them."""
        if isinstance(value, str):
            value = value.replace(",", " ").split()
            if [word.lower() for word in value] == ["auto"]:
                return "auto"
        return tuple(map(_bucket, value)) if isinstance(value, list | tuple) else value

    @field_validator("height_buckets", "width_buckets", "frame_buckets", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """A single number becomes a list of one."""
        return (value,) if type(value) is int else value

    @field_validator("roles")
    @classmethod
    def _roles_of_the_option(cls, value: dict[str, str]) -> dict[str, str]:
        """Refuses what is no role, and a role that has an option of its own."""
        for name in value:
            try:
                role = Role(name)
            except SpecError as error:
                raise ValueError(f"{error.message}; {error.remedy}") from error
            if has_own_option(role):
                raise ValueError(f"the role {name!r} is named with `{name}_column`")
        return value

    @classmethod
    def from_path(
        cls, path: str | os.PathLike[str], **options: Unpack[DatasetOptions]
    ) -> DatasetSpec:
        """Finds out how the dataset at ``path`` is written.

        The path may be a URL that fsspec knows, such as ``s3://bucket/dataset``; see `mirror`. Of a
        ``videoprep.yaml`` with several datasets it ends in ``#`` and the name of one of them.

        A table is read with the usual column names. A folder is looked through for
        ``videoprep.yaml``, then ``prompt.txt`` and ``videos.txt``, then exactly one table, then the
        other formats of folders, by their `FolderReader.order`. Whatever is named in ``options`` is
        taken as it is.

        Raises:
            SpecError: there is no such path, or nothing in it that looks like a dataset.
        """
        require_known(options)
        chosen: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
        for name in ("data_root", "dataset_file"):
            if name in chosen:
                chosen[name] = dataset_path(chosen[name])
        with remote_errors():
            member = _member_of_group(path, chosen)
            return cls._found(dataset_path(path), chosen) if member is None else member

    @classmethod
    def in_group(
        cls, path: Path, written: Mapping[str, Any], given: DatasetOptions, group: Path, name: str
    ) -> DatasetSpec:
        """Find a dataset that a ``videoprep.yaml`` describes among others.

        Args:
            path: where it is.
            written: what the file sets for it.
            given: what is replaced of that.
            group: the file, which errors about what it sets blame.
            name: what the file calls it.

        Raises:
            SpecError: see `from_path`.
        """
        require_known(given)
        chosen = {name: value for name, value in given.items() if value is not None}
        with remote_errors():
            made = cls._found(path, {**written, **chosen}, frozenset(chosen), group)
        made._name = name
        return made

    @classmethod
    def of_trainer(
        cls, dataset: TrainerDataset, given: DatasetOptions, config: Path
    ) -> DatasetSpec:
        """Return a dataset that a trainer's config describes.

        Args:
            dataset: what the config says.
            given: what is replaced of that.
            config: the file.
        """
        require_known(given)
        chosen = {name: value for name, value in given.items() if value is not None}
        fields = {"data_root": dataset.root, **dataset.options, **chosen}
        made = cls._checked(fields, frozenset(chosen), config)
        made._name, made._trainer = dataset.name, dataset
        return made

    @property
    def treatment(self) -> Treatment | None:
        """What the trainer whose config this is of makes of each file.

        None if it is none of a trainer's, or if the user has said otherwise.
        """
        if self._trainer is None or self.reshape == "none":
            return None
        default = type(self).model_fields
        planned = (name for name in _PLANNED if getattr(self, name) != default[name].default)
        return self._trainer.treatment if next(planned, None) is None else None

    @classmethod
    def _found(
        cls,
        path: Path,
        chosen: dict[str, Any],
        given: Collection[str] | None = None,
        group: Path | None = None,
    ) -> DatasetSpec:
        bring_lists(path, chosen)
        given = frozenset(chosen) if given is None else given
        saved = saved_spec(path)
        if group is not None and saved is not None and os.path.samefile(saved, group):
            saved = None
        if saved is not None:
            # A file behind a URL is a stranger's, however it is named.
            named = saved == path and remote_of(path) is None
            root = Path(chosen["data_root"]) if "data_root" in chosen else None
            bring_named(saved, read_spec_file(saved, named=named, root=root))
            written = read_spec_file(saved, named=named, root=root)
            require_known(written, saved)
            chosen = {**written, **chosen}
            path = _folder_of_lists(saved.parent, written["data_root"])
        saved = saved if group is None else group
        found = locate(path, chosen)
        fields: dict[str, Any] = {"data_root": found.root}
        if found.table is None:
            fields |= {"format": found.reader.name, **_line_files(path, found.root, chosen)}
            return cls._checked({"data_root": found.root, **chosen, **fields}, given, saved)
        table = _table_path(found.table, found.root)
        allowed = bool(chosen.get("allow_outside_root"))
        require_inside(table, found.table, found.root, allowed)
        assert isinstance(found.reader, TableReader)  # noqa: S101 (only tables are files)
        fields |= found.reader.guess_columns(table, chosen)
        if "roles" in fields:
            chosen["roles"] = fields.pop("roles")  # with those that were chosen
        chosen.pop("format", None)
        return cls._checked({**fields, **chosen, "dataset_file": found.table}, given, saved)

    @classmethod
    def _checked(
        cls, fields: dict[str, Any], given: Collection[str], saved: Path | None = None
    ) -> DatasetSpec:
        try:
            made = cls(**fields)
        except ValidationError as error:
            raise _wrong(error, given, saved) from error
        if saved is not None:
            made._file, made._from_file = saved, frozenset(fields) - frozenset(given)
        return made

    @classmethod
    def of(
        cls,
        dataset: DatasetSpec | str | os.PathLike[str],
        **options: Unpack[DatasetOptions],
    ) -> DatasetSpec:
        """A spec as it is, or the one at a path; with some fields replaced."""
        if isinstance(dataset, DatasetSpec):
            require_known(options)
            given = {
                name: value
                for name, value in options.items()
                if value is not None or cls.model_fields[name].default is None
            }
            made = cls._checked({**dataset.model_dump(), **given}, given)
            made._file, made._from_file = dataset._file, dataset._from_file - frozenset(given)
            made._name, made._trainer = dataset._name, dataset._trainer
            return made
        return cls.from_path(dataset, **options)

    @contextmanager
    def blaming_file(self) -> Iterator[None]:
        """Make errors about an option blame the ``videoprep.yaml`` that sets it."""
        try:
            yield
        except VideoprepError as error:
            if error.option in self._from_file:
                error.where, error.option = error.where or str(self._file), None
            raise

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
            reader = self.reader
            bring_again(self.data_root, reader, self._lists(), self._columns())
            _require_folder(self.data_root)
            with gc_paused():
                return self._listing()

    def samples(self) -> Iterator[Sample]:
        """The samples, in the order in which they are written.

        Raises:
            SpecError: a list file, a column or the data root is missing, or the lists are empty.
            ListError: the lists hold mistakes; it names all of them.
        """
        listing = self.listing()
        mistakes = [one for one in listing.problems if one.code is not Code.DROPPED]
        if mistakes:
            raise ListError(mistakes)
        if not listing.samples:
            raise self.empty_error()
        return iter(listing.samples)

    @property
    def list_file(self) -> Path:
        """The file that names the videos; the data root if there is none."""
        if self.dataset_file is not None:
            return _table_path(self.dataset_file, self.data_root)
        lists = self._lists()
        return lists[-1] if lists else self.data_root

    @property
    def reader(self) -> FolderReader | TableReader:
        """The reader of the dataset's format.

        Raises:
            SpecError: there is no such format.
        """
        if self._trainer is not None:
            return self._trainer.reader
        if self.dataset_file is not None:
            return require_table(self.dataset_file)
        if self.format is None:
            return LINE_FILES
        found = reader_of(self.format)
        if isinstance(found, FolderReader):
            return found
        raise SpecError(
            f"the format {self.format!r} is a file's",
            where=str(self.data_root),
            remedy="name the file with `dataset_file`",
        )

    def empty_error(self) -> SpecError:
        """The error for lists that name no sample at all."""
        return SpecError(
            "the dataset is empty",
            where=str(self.list_file),
            remedy="write at least one caption and video",
            code=Code.EMPTY_DATASET,
        )

    @property
    def folder(self) -> Path:
        """The folder by whose name people know the dataset.

        It is that of its own ``videoprep.yaml``, else that of its lists. The videos may lie
        elsewhere.
        """
        if self._file is None or self._name is not None:
            return self._folder_of_lists
        return self._file.parent

    @property
    def journal(self) -> CaptionJournal:
        """The caption journal, whether it is there or not."""
        return CaptionJournal(self._folder_of_lists / (self.caption_journal or JOURNAL))

    @property
    def _location(self) -> str:
        """What a command takes to find the dataset with its options."""
        if self._file is None:
            return shown(self.list_file)
        return shown(self._file) + (f"#{self._name}" if self._name is not None else "")

    @property
    def _folder_of_lists(self) -> Path:
        list_file = self.list_file
        return self.data_root if list_file == self.data_root else list_file.parent

    def caption_states(self) -> list[CaptionState]:
        """Return what is known about the caption of each sample whose video is there.

        Samples without a caption are among them, and those that a reviewer dropped.

        Raises:
            SpecError: a list file, a column or the data root is missing.
        """
        return self.live_captions().states

    def captioning(self) -> tuple[Listing, list[CaptionState]]:
        """Return the lists as the dataset's own files have them, and `caption_states` of them.

        Raises:
            SpecError: a list file, a column or the data root is missing.
        """
        listing, live = self._live()
        return listing, live.states

    def live_captions(self, on_answer: Callable[[Answer], None] | None = None) -> LiveCaptions:
        """Return the same, kept up to date with what others add to the journal.

        Args:
            on_answer: called with each answer in the journal.

        Raises:
            SpecError: a list file, a column or the data root is missing.
        """
        return self._live(on_answer)[1]

    def _live(
        self, on_answer: Callable[[Answer], None] | None = None
    ) -> tuple[Listing, LiveCaptions]:
        spec = self.model_copy(update={"caption_journal": self.caption_journal or JOURNAL})
        with remote_errors():
            _require_folder(self.data_root)
            listing = spec._written()
            samples = listing.samples
            captions = CurrentCaptions.read(spec.journal, on_answer)
            return listing, LiveCaptions(captions, samples, spec._keys(samples))

    def _uses_journal(self) -> bool:
        return uses_journal(self.journal.folder.parent, self.caption_journal)

    def _listing(self) -> Listing:
        listing = self._written()
        if not self._uses_journal():
            return listing
        usable = usable_samples(
            self._states(listing.samples),
            self.caption_fallback,
            command_line("caption", self._location, model="MODEL"),
        )
        return replace(
            listing,
            samples=tuple(usable.samples),
            problems=(*listing.problems, *usable.problems),
            remarks=tuple(usable.remarks(listing.remarks)),
            identities=listing.identities[usable.positions],
            reading=replace(
                listing.reading, several_captions=_with_several_captions(usable.samples)
            ),
        )

    def _states(self, samples: Sequence[Sample]) -> Iterator[CaptionState]:
        """Yield what the journal knows about the captions of samples, in their order."""
        captions = CurrentCaptions.read(self.journal)
        for sample, clip in zip(samples, self._keys(samples), strict=True):
            yield captions.state(sample, clip)

    def _keys(self, samples: Sequence[Sample]) -> Iterator[str]:
        """Yield the clips' keys in the journal; an empty one if a file cannot be read."""
        from videoprep.fs.fact_cache import fingerprints_of  # which few datasets need

        fingerprints = fingerprints_of(self.data_root, [sample.path for sample in samples])
        for sample, fingerprint in zip(samples, fingerprints, strict=True):
            yield clip_key(fingerprint, sample.extras, self.time_zero) if fingerprint else ""

    def _written(self) -> Listing:
        """Return the samples as the dataset's own files have them."""
        found = self._entries()
        self._note_unlisted(found)
        reading = self._reading(found)
        found = with_urls(found)
        list_file = found.files[0] if len(found.files) == 1 else str(self.list_file)
        lookup = lookup_in(self.data_root, list_file, self.allow_outside_root)
        token = f"{self.id_token.strip()} " if self.id_token and self.id_token.strip() else ""
        samples: list[Sample] = []
        unusable: list[Sample] = []
        for entry in found.entries:
            video, caption, number, line, row, file, caption_file, extras, further, named = entry
            problems = lookup.check(video, line, named, found.flaws.get(number, ()))
            for problem in problems:
                problem = replace(problem, file=file, row=row, number=number, video=video)
                found.problems.append(problem)
            source = Location(file, line, row)
            text = token + caption if caption else token.strip()
            beside: tuple[Media, ...] = ()
            if named:
                beside = tuple(Media(role, name, self.data_root, source) for role, name in named)
            sample = Sample(
                video, text, self.data_root, source, caption_file, token, extras, number, further,
                beside,
            )  # fmt: skip
            (unusable if problems else samples).append(sample)
        return Listing(
            tuple(samples),
            tuple(unusable),
            tuple(found.problems),
            tuple(found.remarks),
            found.total,
            lookup.identities(),
            replace(reading, several_captions=_with_several_captions(samples)),
        )

    def _entries(self) -> Entries:
        reader, request = self.reader, self._request()
        if self._uses_journal():  # which may have the captions that the dataset lacks
            request = replace(request, fallback="")
        if isinstance(reader, TableReader):
            assert self.dataset_file is not None  # noqa: S101 (only tables are files)
            table, allowed = self.list_file, self.allow_outside_root
            require_inside(table, self.dataset_file, self.data_root, allowed)
            header = header_of(reader, table).names if self.roles else ()
            folders = named_folders(self.data_root, request.columns, header)
            columns = {what: name for what, name in request.columns.items() if what not in folders}
            if not ("caption" in columns and "video" in columns):
                guessed = reader.guess_columns(table, request.named())
                columns |= {what: guessed[f"{what}_column"] for what in ("caption", "video")}
            found = reader.read(table, replace(request, columns=columns))
        else:
            reader.require_nameable(request)
            for path in reader.lists(request):
                written = os.path.relpath(path, self.data_root)
                absolute = str(path) in request.columns.values()
                require_inside(
                    path, path if absolute else written, self.data_root, self.allow_outside_root
                )
            folders = reader.role_folders(request)
            found = reader.read(request)
        if folders:
            add_from_folders(found, self.data_root, folders, allow_outside=self.allow_outside_root)
        if self.audio_column != "":
            outside = self.allow_outside_root
            add_sounds_beside(found, self.data_root, allow_outside=outside)
        if self.list_file.name == CONVERTED:
            found.remarks.append(_converted(self.list_file))
        return found

    def _request(self) -> ReadRequest:
        fallback = self.caption_fallback
        if fallback is not None and not fallback.strip() and not (self.id_token or "").strip():
            raise SpecError(
                "an empty caption fallback needs an id token, which is then the caption",
                remedy="set `id_token`, or write a text as `caption_fallback`",
            )
        return ReadRequest(
            self.data_root, self._columns(), self.time_unit, fallback, self.caption_lines,
            self.allow_outside_root,
        )  # fmt: skip

    def _lists(self) -> list[Path]:
        if self.dataset_file is not None:
            return [self.list_file]
        reader = self.reader
        return reader.lists(self._request()) if isinstance(reader, FolderReader) else []

    def _columns(self) -> dict[str, str]:
        """The names of columns, files or folders, by what they hold."""
        names = {what: getattr(self, f"{what}_column") for what in COLUMNS}
        return {**{what: name for what, name in names.items() if name is not None}, **self.roles}

    def _reading(self, found: Entries) -> Reading:
        reader = self.reader
        summary = self.list_file.name
        if isinstance(reader, FolderReader):
            summary = reader.describe(self._request(), found)
        return Reading(
            reader.name,
            summary,
            tuple(os.path.relpath(file, self.data_root) for file in found.files),
            dict(found.columns),
            found.time_unit,
            tuple(map(escape_unprintable, found.unused)),
            tuple(found.passed_over),
            journal=self.journal.folder.name if self._uses_journal() else None,
            sounds_beside=found.sounds_beside,
        )

    def _note_unlisted(self, found: Entries) -> None:
        """Count the videos beside those of a list that it does not name."""
        reader = self.reader
        if isinstance(reader, FolderReader) and reader.names_all:
            return
        over = unlisted_videos(self.data_root, found.entries)
        if over is not None:
            found.passed_over.append(over)
            found.remarks.append(passed_over(over, str(self.data_root)))


def _with_several_captions(samples: Iterable[Sample]) -> int:
    return sum(1 for sample in samples if sample.further)


def _bucket(value: Any) -> Any:
    """A bucket as text, whether it is given as text or as three numbers."""
    if isinstance(value, str):
        return value.lower().replace("×", "x")
    numbers = isinstance(value, list | tuple) and len(value) == 3
    return "x".join(map(str, value)) if numbers and all(type(n) is int for n in value) else value


def require_known(names: Iterable[str], saved: Path | None = None) -> None:
    """Blames a misspelt name before anything is looked for.

    Args:
        names: of options.
        saved: the ``videoprep.yaml`` that they stand in; None: they are arguments.

    Raises:
        SpecError: one is not an option.
    """
    for name in names:
        if name in DatasetSpec.model_fields:
            continue
        if saved is None:
            message, remedy = unknown_option(name, DatasetSpec, as_argument)
            raise SpecError(message, remedy=remedy, option=name)
        message, remedy = unknown_option(name, DatasetSpec, as_key)
        if difflib.get_close_matches(name, [DATASETS], n=1, cutoff=_ALIKE):
            remedy = f"did you mean {as_key(DATASETS)}?"
        raise SpecError(message, where=str(saved), remedy=remedy)


def _wrong(error: ValidationError, given: Collection[str], saved: Path | None) -> SpecError:
    """The error for values that the model refuses: it blames the argument, or the file."""
    quoted = as_argument if saved is None else as_key
    wrong = wrong_values(error, DatasetSpec, quoted)
    arguments = [name for name in wrong if saved is None or name in given]
    if not arguments:
        return SpecError(joined(wrong.values()), where=str(saved), remedy="correct the file")
    wrong = wrong_values(error, DatasetSpec, as_argument)
    return SpecError(
        joined(wrong[name] for name in arguments),
        remedy=another_value(error, arguments[0], DatasetSpec),
        option=arguments[0],
    )


def saved_spec(path: Path) -> Path | None:
    """Return the ``videoprep.yaml`` that is named, or lies in the folder that is named.

    Raises:
        SpecError: it leads out of the folder.
    """
    if path.suffix.lower() in (".yaml", ".yml") and not os.path.isdir(path):
        return path
    inside = path / NAME
    if not os.path.isfile(inside):
        return None
    require_inside(inside, NAME, path, allow_outside=False)
    return inside


def _member_of_group(path: str | os.PathLike[str], options: dict[str, Any]) -> DatasetSpec | None:
    """The dataset ``videoprep.yaml#name``; None if the path is none of this form."""
    if "#" not in os.fspath(path):
        return None
    from videoprep.spec.dataset_group import DatasetGroup  # which is made of these

    return DatasetGroup.member_at(path, cast(DatasetOptions, options))


def _folder_of_lists(folder: Path, root: Path) -> Path:
    """Where lists are looked for that a spec does not name: its folder, or the root far from it."""
    return folder if is_inside(os.path.realpath(root), os.path.realpath(folder)) else root


def _line_files(path: Path, root: Path, options: dict[str, Any]) -> dict[str, str]:
    """Where line files lie: in the folder that was named, also if videos lie elsewhere."""
    if path == root or options.get("format", LINE_FILES.name) != LINE_FILES.name:
        return {}
    request = request_of(path, options)
    if not LINE_FILES.sniff(path, request):
        return {}
    found = {}
    for column, written in zip(("caption_column", "video_column"), names_of(request), strict=True):
        require_inside(path / written, written, path, request.allow_outside)
        found[column] = str((path / written).absolute())
    return found


def _table_path(path: Path, root: Path) -> Path:
    """A table named without its folder is looked for in the data root first, as the videos are."""
    inside = root / path
    return inside if os.path.exists(inside) else path


def _require_folder(path: Path) -> None:
    if not os.path.exists(path):
        raise SpecError("the data root does not exist", where=str(path), remedy="check `data_root`")
    if not os.path.isdir(path):
        raise SpecError(
            "the data root is not a folder",
            where=str(path),
            remedy="name the folder that the video paths are relative to",
        )


def _converted(path: Path) -> Problem:
    folder = in_shell(str(path.parent))
    return Problem(
        Code.CONVERTED_LIST,
        "an earlier version of videoprep made this list of other files, which it no longer sees: "
        "what you change in them is not read",
        f"let `videoprep init {folder}` name your own files instead, then delete {path.name}",
        str(path),
        severity="warning",
    )
