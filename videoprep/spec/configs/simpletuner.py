"""SimpleTuner's ``multidatabackend.json``: a list of datasets and of what goes with them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from videoprep.spec.configs.contract import (
    ConfigReader,
    Footage,
    Forecast,
    ModelRules,
    ReadConfig,
    TrainerClip,
    TrainerDataset,
    Treatment,
    unique_names,
)
from videoprep.spec.configs.folder_media import (
    CaptionBeside,
    CaptionFinder,
    CaptionFound,
    FolderMedia,
    MediaBeside,
    MediaFolder,
)
from videoprep.spec.configs.keys import (
    ABOVE_ZERO,
    FRAMES,
    NUMBER,
    TEXT,
    WHOLE,
    YES_NO,
    KeyCheck,
    KeyKind,
    TrainerKey,
    honoured,
    ignored,
    of_training,
    one_of,
)
from videoprep.spec.configs.listed_media import ListedMedia
from videoprep.spec.configs.parsed_file import ParsedFile
from videoprep.spec.configs.roots import RootFinder
from videoprep.spec.readers import table_reader
from videoprep.spec.readers.base import FolderReader
from videoprep.spec.roles import Role
from videoprep.spec.video_files import STILL_SUFFIXES

_ALIGNMENT = 64
_SECONDS, _FPS = 5, 30  # of a clip whose length is not said

_VIDEOS = frozenset({
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".flv", ".wmv", ".m4v", ".mpeg", ".mpg", ".3gp", ".ogv"
})  # fmt: skip
_EIGHTHS = ("wan", "ltx", "sana")
"""How the names of models begin whose clips have 8k+1 frames in SimpleTuner."""

_ROUND_AREAS: Mapping[float, int] = {0.25: 512, 0.5: 768, 1.0: 1024, 2.0: 1536, 4.0: 2048}
"""Sides of squares that it takes for round areas in megapixels."""

_ROLES: Mapping[str, str] = {
    "controlnet": "control", "mask": "mask", "reference_strict": "reference",
    "reference_loose": "reference",
}  # fmt: skip

_MAPPING = KeyKind("an object", lambda value: isinstance(value, dict))
_CACHE = of_training("videoprep writes a store, wherever you name it")
_SCHEDULE = ignored("give shares as `weight` in a videoprep.yaml")
_KEYS: Mapping[str, TrainerKey] = {
    "id": honoured(TEXT, "the dataset's name"),
    "type": honoured(TEXT, "`local` is read; others are named"),
    "dataset_type": honoured(TEXT, "`video` and `image` are read; others are named"),
    "disabled": honoured(YES_NO, "skipped"),
    "disable": honoured(YES_NO, "skipped"),
    "instance_data_dir": honoured(TEXT, "the folder and the folders in it"),
    "caption_strategy": honoured(
        one_of("textfile", "filename", "instanceprompt", "parquet"),
        "`textfile`, `filename`, `instanceprompt` or `parquet`",
    ),
    "disable_multiline_split": honoured(
        YES_NO, "whether the lines of a caption file are one caption"
    ),
    "instance_prompt": honoured(TEXT, "the caption of all files, or what is put before each"),
    "prepend_instance_prompt": honoured(YES_NO, "whether it is put before each"),
    "parquet": honoured(_MAPPING, "the table: `path`, `filename_column`, `caption_column`"),
    "resolution": honoured(
        ABOVE_ZERO,
        "the shorter side, the area in megapixels, or the side of a square, as "
        "`resolution_type` says",
    ),
    "resolution_type": honoured(
        one_of("pixel", "area", "pixel_area"), "`pixel`, `area` or `pixel_area`"
    ),
    "minimum_image_size": honoured(NUMBER, "smaller files are skipped"),
    "minimum_aspect_ratio": honoured(ABOVE_ZERO, "narrower files are skipped"),
    "maximum_aspect_ratio": honoured(ABOVE_ZERO, "wider files are skipped"),
    "crop": honoured(YES_NO, "whether `crop_style` and `crop_aspect` hold"),
    "crop_style": honoured(
        one_of("center", "centre", "random", "corner", "face"),
        "`random` is `reshape` `random-crop`",
    ),
    "crop_aspect": honoured(
        one_of("square", "preserve", "random", "closest"),
        "`square`; otherwise clips keep about their aspect ratio",
    ),
    "video": honoured(
        _MAPPING, "`num_frames`, `min_frames`, `max_frames`, `bucket_strategy`, `frame_interval`"
    ),
    "repeats": honoured(WHOLE, "`repeats`, plus one: 0 is once, 1 is twice"),
    "conditioning_data": honoured(TEXT, "the other dataset's folder: files of the same name"),
    "conditioning_type": honoured(
        TEXT, "the role: `controlnet`, `mask`, `reference_strict` or `reference_loose`"
    ),
    "is_regularisation_data": honoured(YES_NO, "the role `regularization`"),
    "is_regularization_data": honoured(YES_NO, "the same"),
    "crop_aspect_buckets": ignored("clips keep their aspect ratio"),
    "maximum_image_size": of_training("large pictures are scaled at once"),
    "target_downsample_size": of_training("large pictures are scaled at once"),
    "max_num_samples": ignored("all of the dataset is planned"),
    "caption_filter_list": ignored("captions stay as they are; `videoprep refine` rewrites them"),
    "caption_shuffle": ignored("captions are not shuffled"),
    "conditioning": ignored("name a dataset with conditioning_data"),
    "source_dataset_id": of_training("the other dataset names it"),
    "audio": of_training("the sound of each clip is known, and encoded by families that take it"),
    **dict.fromkeys(
        ("probability", "start_step", "end_step", "start_epoch", "end_epoch"), _SCHEDULE
    ),
    **dict.fromkeys(
        (
            "cache_dir_vae",
            "cache_dir",
            "vae_cache_clear_each_epoch",
            "vae_cache_ondemand",
            "vae_cache_disable",
            "compress_cache",
            "cache_file_suffix",
            "hash_filenames",
            "shorten_filenames",
            "text_embeds",
            "image_embeds",
            "skip_file_discovery",
            "preserve_data_backend_cache",
            "metadata_backend",
            "write_batch_size",
        ),
        _CACHE,
    ),
    **dict.fromkeys(
        (
            "disable_validation",
            "train_batch_size",
            "timestep_sampling_offset",
            "delete_unwanted_images",
            "delete_problematic_images",
            "slider_strength",
            "debug",
            "default",
            "comment",
        ),
        of_training(),
    ),
}
_OF_VIDEO: Mapping[str, TrainerKey] = {
    "num_frames": honoured(
        FRAMES, "frames of a clip, from the beginning of the file, at its own rate"
    ),
    "min_frames": honoured(FRAMES, "shorter videos are skipped"),
    "max_frames": honoured(FRAMES, "longer videos are skipped, not cut"),
    "bucket_strategy": honoured(
        one_of("aspect_ratio", "resolution_frames"),
        "`resolution_frames` cuts to multiples of `frame_interval`",
    ),
    "frame_interval": honoured(FRAMES, "with `resolution_frames`"),
    "is_i2v": of_training("first frames are encoded if you ask for it: `image_latents`"),
}
_OF_PARQUET: Mapping[str, TrainerKey] = {
    "path": honoured(TEXT, "the table"),
    "filename_column": honoured(TEXT, "the files, relative to `instance_data_dir`"),
    "caption_column": honoured(TEXT, "the captions"),
    "fallback_caption_column": ignored("a row needs a caption"),
    "identifier_includes_extension": honoured(YES_NO, "has to be true"),
    **dict.fromkeys(("width_column", "height_column"), of_training("files are looked into")),
}


@dataclass(frozen=True, slots=True)
class TunerFrames:
    """Which frames of a video it takes: the first ones."""

    count: int
    least: int
    most: int | None = None
    interval: int | None = None
    """Frames of which the count is a multiple, if that is asked for."""

    def of(self, frames: int, model: ModelRules) -> tuple[int, str]:
        """Return how many frames of a video are taken; zero with the reason if none are."""
        there, least = _adjusted(frames, model), _adjusted(self.least, model)
        if there < least:
            words = f"{frames} frames" + (f", cut to {there}," if there != frames else "")
            return 0, f"{words} are fewer than min_frames, {least}"
        if self.most is not None and there > self.most:
            return 0, f"{there} frames are more than max_frames, {self.most}: it does not cut them"
        if self.interval is not None:
            there = there // self.interval * self.interval or there
        return min(there, _adjusted(self.count, model)), ""


def _adjusted(frames: int, model: ModelRules) -> int:
    """A frame count as it is made legal for the model."""
    if model.name.startswith("minimax-h3"):
        return model.frames_within(frames) or frames
    if model.name.startswith(_EIGHTHS):
        return max((frames - 1) // 8 * 8 + 1, 1)
    return frames


@dataclass(frozen=True, slots=True)
class TunerTreatment(Treatment):
    """What it makes of a file: one clip of about its own aspect ratio, or a square."""

    trainer: ClassVar[str] = "SimpleTuner"

    resolution: float
    kind: Literal["pixel", "area", "pixel_area"]
    square: bool = False
    frames: TunerFrames | None = None
    """Of a dataset of videos."""
    least_size: float | None = None
    least_ratio: float | None = None
    most_ratio: float | None = None

    def forecast(self, footage: Footage, model: ModelRules) -> Forecast:
        width, height = (
            footage.stored if footage.rate is not None else (footage.width, footage.height)
        )
        dropped = self._too_small(width, height)
        count = 1
        if footage.rate is not None and self.frames is not None and not dropped:
            count, dropped = self.frames.of(footage.frames, model)
        if dropped:
            return Forecast(dropped=dropped)
        across, down = self._size(width, height)
        return Forecast((TrainerClip(across, down, count, tuple(range(count))),))

    def _too_small(self, width: int, height: int) -> str:
        ratio, least = round(width / height, 2), self.least_size
        if self.least_ratio is not None and ratio < self.least_ratio:
            return f"its aspect ratio {ratio} is below minimum_aspect_ratio"
        if self.most_ratio is not None and ratio > self.most_ratio:
            return f"its aspect ratio {ratio} is above maximum_aspect_ratio"
        if least is None:
            return ""
        if self.kind == "pixel":
            small = min(width, height) < least
        else:
            area = least * least if self.kind == "pixel_area" else least * 1e6
            small = width * height < area
        return f"{width}×{height} is below minimum_image_size" if small else ""

    def _size(self, width: int, height: int) -> tuple[int, int]:
        edge = self._edge()
        if self.square:
            return edge, edge
        ratio = round(width / height, 2)
        if self.kind == "pixel":
            side = int(self.resolution)
            if width < height:
                size = (_multiple(side), _multiple(int(side / ratio)))
            else:
                size = (_multiple(int(side * ratio)), _multiple(side))
        else:
            side = _multiple(int(math.sqrt(self._megapixels() * 1e6)))
            size = (_multiple(side * math.sqrt(ratio)), _multiple(side / math.sqrt(ratio)))
            if width == height:
                size = (side, side)
        return (edge, edge) if round(size[0] / size[1], 2) == 1.0 else size

    def _megapixels(self) -> float:
        return self.resolution**2 / 1e6 if self.kind == "pixel_area" else self.resolution

    def _edge(self) -> int:
        """The side of a square clip."""
        if self.kind == "pixel":
            return int(self.resolution)
        area = self._megapixels()
        near = (side for known, side in _ROUND_AREAS.items() if abs(area - known) < 0.05)
        return _multiple(next(near, math.sqrt(area * 1e6)))


def _multiple(value: float) -> int:
    return max(round(value / _ALIGNMENT) * _ALIGNMENT, _ALIGNMENT)


class TunerConfig(ConfigReader):
    """Reads SimpleTuner's list of data backends. Relative paths are where it is run."""

    trainer = "SimpleTuner"
    keys: ClassVar[Mapping[str, Mapping[str, TrainerKey]]] = {
        "an item of the list": _KEYS,
        "`video`": _OF_VIDEO,
        "`parquet`": _OF_PARQUET,
    }

    def sniff(self, data: Any) -> bool:
        if not isinstance(data, list) or not data:
            return False
        own = {"instance_data_dir", "dataset_type", "cache_dir_vae", "caption_strategy"}
        return all(isinstance(one, dict) and "id" in one for one in data) and any(
            own & one.keys() for one in data
        )

    def read(self, file: ParsedFile) -> ReadConfig:
        check = KeyCheck(file, self.trainer)
        known = {one["id"]: one for one in file.data if isinstance(one.get("id"), str)}
        made = [
            _TunerDataset(check, number, one, known)
            for number, one in enumerate(file.data[:1000])
            if _is_trained_on(check, number, one)
        ]
        if not made:
            raise check.error("there is no dataset of videos or images of this machine")
        names = unique_names([one.name for one in made])
        datasets = tuple(one.dataset(name) for one, name in zip(made, names, strict=True))
        check.note(
            "the config does not say which model is trained, and how sizes are aligned: that of "
            f"`profile`, and {_ALIGNMENT} pixels, SimpleTuner's default", "note",
            remedy="give `profile`, such as `profile='wan'`",
        )  # fmt: skip
        return ReadConfig(datasets, tuple(check.problems))


def _is_trained_on(check: KeyCheck, number: int, one: Mapping[str, Any]) -> bool:
    """Whether an item is a dataset of clips; what else goes by the name is left out, and named."""
    if one.get("disabled") or one.get("disable"):
        return False
    kind, place = one.get("dataset_type", "image"), one.get("type", "local")
    if kind in ("text_embeds", "image_embeds", "conditioning"):
        return False
    if kind in ("video", "image") and place == "local":
        return True
    what = f"type {place!r}" if kind in ("video", "image") else f"dataset_type {kind!r}"
    check.note(
        f"the dataset {str(one['id'])[:100]!r} is not read: {what}", "warning", number,
        remedy="download it into a folder, if it is one of videos or images",
    )  # fmt: skip
    return False


class _TunerDataset:
    """One item of the list."""

    def __init__(
        self, check: KeyCheck, number: int, data: Any, known: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._check, self._number, self._known = check, number, known
        self._values = check.section(data, _KEYS, number)
        if "instance_data_dir" not in self._values:
            raise check.error("a dataset has no 'instance_data_dir'", number)
        self._is_video = self._values.get("dataset_type") == "video"
        self._video = check.section(self._values.get("video", {}), _OF_VIDEO, number, "video")

    @property
    def name(self) -> str:
        return str(self._values.get("id", "dataset"))

    def dataset(self, name: str) -> TrainerDataset:
        """Return what it describes."""
        values, roots = self._values, RootFinder(self._check)
        written = str(values["instance_data_dir"])
        folder = roots.folder(written, self._number, "instance_data_dir")
        root, reader = self._reader(roots, folder)
        repeats = values.get("repeats", 0)
        if repeats == 1:
            self._check.note(
                "repeats counts further times in SimpleTuner: 1 is twice, 0 is once", "note",
                self._number, "repeats", remedy="write 0 for once",
            )  # fmt: skip
        is_prior = values.get("is_regularisation_data") or values.get("is_regularization_data")
        random = values.get("crop") and values.get("crop_style", "random") == "random"
        return TrainerDataset(
            name, written, root, reader, self._treatment(),
            repeats=max(0, repeats) + 1,
            role="regularization" if is_prior else "train",
            line=self._check.file.line(self._number),
            options={
                "reshape": "random-crop" if random else "center-crop",
                "allow_upscale": True,
            },
        )  # fmt: skip

    def _reader(self, roots: RootFinder, folder: Path) -> tuple[Path, FolderReader]:
        strategy = self._values.get("caption_strategy", "textfile")
        if strategy == "parquet":
            return folder, self._table(roots)
        beside = tuple(self._beside(roots))
        root = Path(os.path.commonpath([folder, *(one.folder for one in beside)]))
        media = MediaFolder(
            root,
            folder,
            _VIDEOS if self._is_video else STILL_SUFFIXES,
            self._captions(strategy),
            recursive=True,
            beside=beside,
            reword=_InstancePrompt(self._prompt() if self._prepends(strategy) else ""),
            no_caption="ends without it",
        )
        return root, FolderMedia(self._check.trainer, media)

    def _prompt(self) -> str:
        prompt = self._values.get("instance_prompt")
        if not prompt:
            raise self._check.error("'instance_prompt' is missing", self._number)
        return str(prompt)

    def _prepends(self, strategy: str) -> bool:
        return strategy != "instanceprompt" and bool(self._values.get("prepend_instance_prompt"))

    def _captions(self, strategy: str) -> CaptionFinder:
        if strategy == "textfile":
            return CaptionBeside(several=not self._values.get("disable_multiline_split"))
        return _FixedCaption(self._prompt() if strategy == "instanceprompt" else None)

    def _beside(self, roots: RootFinder) -> list[MediaBeside]:
        """What a dataset of conditions has for each file."""
        asked = self._values.get("conditioning_data")
        if asked is None:
            return []
        other = self._known.get(asked)
        folder = None if other is None else other.get("instance_data_dir")
        role = None if other is None else _ROLES.get(str(other.get("conditioning_type")))
        if not isinstance(folder, str) or role is None:
            self._check.note(
                f"conditioning_data {asked[:100]!r} is not honoured: it is no dataset of a folder "
                f"with the conditioning_type {', '.join(_ROLES)}", "warning", self._number,
                "conditioning_data",
            )  # fmt: skip
            return []
        place = (self._number, "conditioning_data")
        return [MediaBeside(Role(role), roots.folder(folder, *place), None, is_needed=False)]

    def _table(self, roots: RootFinder) -> FolderReader:
        check, place = self._check, (self._number, "parquet")
        values = check.section(self._values.get("parquet", {}), _OF_PARQUET, *place)
        lacking = [k for k in ("path", "filename_column", "caption_column") if k not in values]
        if lacking:
            raise check.error(f"parquet has no {', no '.join(lacking)}", *place)
        path = roots.file(values["path"], *place, "path")
        reader = table_reader(path)
        if reader is None:
            raise check.error("is no Parquet or JSON Lines file", *place, "path")
        if not values.get("identifier_includes_extension", False):
            raise check.error(
                "file names without endings are not looked up", *place,
                remedy="write whole file names, and identifier_includes_extension",
            )  # fmt: skip
        columns = {"video": values["filename_column"], "caption": values["caption_column"]}
        return ListedMedia(reader, path, columns)

    def _treatment(self) -> Treatment:
        values, video = self._values, self._video
        if "resolution" not in values:
            raise self._check.error("'resolution' is missing", self._number)
        count = video.get("num_frames", _SECONDS * _FPS)
        if self._is_video and "num_frames" not in video:
            self._check.note(
                f"num_frames is missing: SimpleTuner takes {count}, 5 seconds at its own framerate",
                "note", self._number, "video", remedy="write num_frames",
            )  # fmt: skip
        by_length = video.get("bucket_strategy") == "resolution_frames"
        frames = TunerFrames(
            count,
            video.get("min_frames", count),
            video.get("max_frames"),
            video.get("frame_interval") if by_length else None,
        )
        crops = bool(values.get("crop"))
        return TunerTreatment(
            float(values["resolution"]),
            values.get("resolution_type", "pixel_area"),
            crops and values.get("crop_aspect", "square") == "square",
            frames if self._is_video else None,
            values.get("minimum_image_size") or None,
            values.get("minimum_aspect_ratio"),
            values.get("maximum_aspect_ratio"),
        )


@dataclass(frozen=True, slots=True)
class _InstancePrompt:
    """Puts the instance prompt before captions."""

    prompt: str

    def __call__(self, caption: str) -> str:
        return f"{self.prompt} {caption}" if self.prompt else caption


@dataclass(frozen=True, slots=True)
class _FixedCaption:
    """One caption for all files, or each file's name."""

    text: str | None

    def __call__(self, folder: Path, name: str) -> CaptionFound:
        stem = os.path.splitext(name)[0]
        text = stem.replace("_", " ") if self.text is None else self.text
        return CaptionFound((text,) if text.strip() else ())


CONFIG = TunerConfig()
