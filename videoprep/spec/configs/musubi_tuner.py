"""musubi-tuner's dataset config: TOML or JSON with ``[general]`` and ``[[datasets]]``."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from videoprep.errors import SpecError
from videoprep.spec.configs.contract import (
    ConfigReader,
    Footage,
    Forecast,
    ModelRules,
    ReadConfig,
    TrainerClip,
    TrainerDataset,
    Treatment,
    exact,
    unique_names,
)
from videoprep.spec.configs.folder_media import (
    CaptionBeside,
    FolderMedia,
    MediaBeside,
    MediaFolder,
)
from videoprep.spec.configs.keys import (
    COUNTS,
    POSITIVE,
    RATE,
    SIZE,
    TEXT,
    WHOLE,
    YES_NO,
    KeyCheck,
    TrainerKey,
    honoured,
    ignored,
    of_training,
    one_of,
)
from videoprep.spec.configs.listed_media import ListedMedia, root_of_list
from videoprep.spec.configs.parsed_file import ParsedFile
from videoprep.spec.configs.roots import RootFinder
from videoprep.spec.readers.base import FolderReader, header_of
from videoprep.spec.readers.json_lines import READER as JSON_LINES
from videoprep.spec.roles import Role

_STEP = 16
_FRAME_STEP = 4

_VIDEOS = (
    ".mp4", ".webm", ".avi", ".mkv", ".mov", ".flv", ".wmv", ".m4v", ".mpg", ".mpeg"
)  # fmt: skip
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif")

_GENERAL: Mapping[str, TrainerKey] = {
    "resolution": honoured(
        SIZE, "the area of the buckets: sizes of about as many pixels, in steps of 16"
    ),
    "caption_extension": honoured(TEXT, "the ending of the caption files"),
    "batch_size": of_training(),
    "num_repeats": honoured(WHOLE, "`repeats`; if it is below 1, the dataset is skipped"),
    "enable_bucket": honoured(
        YES_NO, "of still images; videos are cached in buckets whatever it says"
    ),
    "bucket_no_upscale": honoured(YES_NO, "of still images; videos are enlarged whatever it says"),
}
_CACHE = of_training("videoprep writes a store, wherever you name it")
_FRAMEPACK = ignored("it is of FramePack's own choice of frames")
_CONTROL_SIZE = ignored("videoprep gives control media the size of their clip")
_OF_VIDEOS: Mapping[str, TrainerKey] = {
    **_GENERAL,
    "video_directory": honoured(TEXT, "the folder, without the folders in it"),
    "video_jsonl_file": honoured(TEXT, "the list, with `video_path`, `caption` and `control_path`"),
    "control_directory": honoured(TEXT, "the role `control`: files of the same name"),
    "target_frames": honoured(
        COUNTS, "lengths, rounded down to 4k+1: a video gives clips of each that it has frames for"
    ),
    "frame_extraction": honoured(
        one_of("head", "chunk", "slide", "uniform", "full"), "which parts of a video become clips"
    ),
    "frame_stride": honoured(POSITIVE, "frames from start to start, with `slide`"),
    "frame_sample": honoured(POSITIVE, "clips of each length, with `uniform`"),
    "max_frames": honoured(POSITIVE, "the longest clip, with `full`"),
    "source_fps": honoured(RATE, "converted to the model's rate; here by each frame's own time"),
    "cache_directory": _CACHE,
    "fp_latent_window_size": _FRAMEPACK,
}
_OF_IMAGES: Mapping[str, TrainerKey] = {
    **_GENERAL,
    "image_directory": honoured(
        TEXT, "the folder, without the folders in it; pictures with a caption file"
    ),
    "image_jsonl_file": honoured(TEXT, "the list, with `image_path`, `caption` and `control_path`"),
    "control_directory": honoured(TEXT, "the role `control`: files of the same name"),
    "cache_directory": _CACHE,
    "multiple_target": ignored("each picture is a sample of its own"),
    "no_resize_control": _CONTROL_SIZE,
    "control_resolution": _CONTROL_SIZE,
    **dict.fromkeys(
        ("fp_latent_window_size", "fp_1f_clean_indices", "fp_1f_target_index", "fp_1f_no_post"),
        _FRAMEPACK,
    ),
    **dict.fromkeys(
        (
            "flux_kontext_no_resize_control",
            "qwen_image_edit_no_resize_control",
            "qwen_image_edit_control_resolution",
        ),
        _CONTROL_SIZE,
    ),
}


@dataclass(frozen=True, slots=True)
class MusubiSizes:
    """How it chooses the size of a picture."""

    width: int = 960
    height: int = 544
    enable_bucket: bool = False
    no_upscale: bool = False

    def nearest(self, width: int, height: int, *, keep_small: bool) -> tuple[int, int]:
        """Return the bucket whose width over height is nearest; the first of equals.

        Args:
            width: of the picture.
            height: of the picture.
            keep_small: whether a picture of no more than the buckets' area keeps its own size.
        """
        area = self.width * self.height
        if keep_small and width * height <= area:
            return width - width % _STEP, height - height % _STEP
        buckets = self._buckets(area)
        ratio = width / height
        return min(buckets, key=lambda size: abs(size[0] / size[1] - ratio))

    def of_image(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of a still image."""
        if not self.enable_bucket:
            return self.width, self.height
        return self.nearest(width, height, keep_small=self.no_upscale)

    @staticmethod
    @lru_cache(64)
    def _buckets(area: int) -> list[tuple[int, int]]:
        """Sizes of about one area, in steps of 16 pixels, from half the side of a square on."""
        side = math.isqrt(area)
        least = side // 2 - side // 2 % _STEP
        if least == 0:
            return [(max(_STEP, side - side % _STEP),) * 2]
        found: set[tuple[int, int]] = set()
        for width in range(least, side + _STEP, _STEP):
            height = area // width - area // width % _STEP
            found |= {(width, height), (height, width)}
        return sorted(size for size in found if all(size))


@dataclass(frozen=True, slots=True)
class MusubiImages(Treatment):
    """What it makes of a still image: one clip of one frame."""

    trainer: ClassVar[str] = "musubi-tuner"

    sizes: MusubiSizes

    def forecast(self, footage: Footage, model: ModelRules) -> Forecast:
        width, height = self.sizes.of_image(*footage.stored)
        if not width or not height:
            return Forecast(dropped=f"a side is shorter than {_STEP} pixels")
        return Forecast((TrainerClip(width, height, 1, (0,)),))


@dataclass(frozen=True, slots=True)
class MusubiVideos(Treatment):
    """What it makes of a video: a clip for each of the lengths that it has frames enough for."""

    trainer: ClassVar[str] = "musubi-tuner"

    sizes: MusubiSizes
    lengths: tuple[int, ...]
    """The frame counts that are asked for, ascending, each 4k+1."""
    extraction: str = "head"
    stride: int = 1
    samples: int = 1
    max_frames: int = 129
    source_fps: float | None = None

    def rate(self, model: ModelRules) -> Fraction | None:
        if self.source_fps is None:
            return None
        return exact(model.fps)

    def forecast(self, footage: Footage, model: ModelRules) -> Forecast:
        # What it caches has the nearest of the buckets, whatever `enable_bucket` says.
        width, height = self.sizes.nearest(*footage.stored, keep_small=False)
        frames = self._frames(footage, model)
        windows = dict.fromkeys(self._windows(len(frames)))
        clips = tuple(
            TrainerClip(width, height, count, frames[start : start + count], start)
            for start, count in windows
        )
        if not clips:
            left = "are left" if self.source_fps is not None else "are there"
            reason = f"{len(frames)} frames {left}, fewer than the {min(self.lengths)} asked for"
            return Forecast(dropped=reason, remarks=tuple(self._remarks(footage, (width, height))))
        return Forecast(clips, remarks=tuple(self._remarks(footage, (width, height))))

    def _frames(self, footage: Footage, model: ModelRules) -> tuple[int, ...]:
        """The frames that are left if frames are dropped to come from one rate to the other.

        Frames are never repeated: where the source has fewer a second, some numbers are passed
        over, and with them the limit is reached with fewer frames.
        """
        limit = max(self.lengths) if self.extraction == "head" else footage.frames
        target = model.fps
        if self.source_fps is None or target is None:
            return tuple(range(min(footage.frames, limit)))
        step, place, before = target / self.source_fps, 0.0, -1
        found = []
        for frame in range(footage.frames):
            number = int(place)
            place += step
            if number == before:
                continue
            before = number
            if self.extraction == "head" and number >= limit:
                break
            found.append(frame)
        return tuple(found)

    def _windows(self, available: int) -> list[tuple[int, int]]:
        """Where each clip begins among the frames, and how long it is."""
        if self.extraction == "full":
            most = min(available, self.max_frames)
            return [(0, (most - 1) // _FRAME_STEP * _FRAME_STEP + 1)]
        fitting = [count for count in self.lengths if count <= available]
        return [(start, count) for count in fitting for start in self._starts(available, count)]

    def _starts(self, available: int, count: int) -> Sequence[int]:
        if self.extraction == "chunk":
            return range(0, available - count + 1, count)
        if self.extraction == "slide":
            return range(0, available - count + 1, self.stride)
        if self.extraction == "uniform" and self.samples > 1:
            return [int(n) for n in np.linspace(0, available - count, self.samples, dtype=int)]
        return [0]

    def _remarks(self, footage: Footage, cached: tuple[int, int]) -> list[str]:
        found = []
        trained = self.sizes.of_image(*footage.stored)
        if trained != cached:
            found.append(
                f"it is cached as {cached[0]}×{cached[1]}, and put into the bucket "
                f"{trained[0]}×{trained[1]} in training: batches of clips of several sizes fail"
            )
        if footage.turned:
            found.append("its picture lies on its side: musubi-tuner does not turn it")
        return found


class MusubiConfig(ConfigReader):
    """Reads musubi-tuner's config. Relative paths are where it is run."""

    trainer = "musubi-tuner"
    keys: ClassVar[Mapping[str, Mapping[str, TrainerKey]]] = {
        "`[[datasets]]` of videos": _OF_VIDEOS,
        "`[[datasets]]` of images": _OF_IMAGES,
    }

    def sniff(self, data: Any) -> bool:
        if not isinstance(data, dict) or not isinstance(data.get("datasets"), list):
            return False
        keys = {key for one in data["datasets"] if isinstance(one, dict) for key in one}
        own = {"video_directory", "video_jsonl_file", "image_directory", "image_jsonl_file"}
        return bool(keys & own) or (
            isinstance(data.get("general"), dict) and "data_root" not in keys
        )

    def read(self, file: ParsedFile) -> ReadConfig:
        check = KeyCheck(file, self.trainer, refuses_unknown=True)
        others = {key: one for key, one in file.data.items() if key not in ("general", "datasets")}
        check.section(others, {"general": of_training(), "datasets": of_training()})
        general = check.section(file.data.get("general", {}), _GENERAL, "general")
        made = [
            _MusubiDataset(check, general, number, one) for number, one in check.items("datasets")
        ]
        read = [one for one in made if one.is_used()]
        if not read:
            raise check.error("no dataset is used: each has `num_repeats` below 1", "datasets")
        names = unique_names([one.name for one in read])
        datasets = tuple(one.dataset(name) for one, name in zip(read, names, strict=True))
        check.note(
            "the config does not say which model is trained: its rate and its rules are those of "
            "`profile`", "note", remedy="give `profile`, such as `profile='wan'`",
        )  # fmt: skip
        return ReadConfig(datasets, tuple(check.problems))


class _MusubiDataset:
    """One item of ``[[datasets]]``."""

    def __init__(self, check: KeyCheck, general: Mapping[str, Any], number: int, data: Any) -> None:
        self._check, self._number = check, number
        place = ("datasets", number)
        if not isinstance(data, dict):
            raise check.error("expected a section with keys", *place)
        self._of_videos = bool({"video_directory", "video_jsonl_file"} & data.keys())
        known = _OF_VIDEOS if self._of_videos else _OF_IMAGES
        self._values = {**general, **check.section(data, known, *place)}
        kind = "video" if self._of_videos else "image"
        self._folder_key, self._list_key = f"{kind}_directory", f"{kind}_jsonl_file"
        if self._folder_key not in self._values and self._list_key not in self._values:
            raise check.error(
                "a dataset needs video_directory, video_jsonl_file, image_directory or "
                "image_jsonl_file", *place, remedy="write where its files are",
            )  # fmt: skip

    @property
    def _written(self) -> str:
        return str(self._values.get(self._folder_key) or self._values[self._list_key])

    @property
    def name(self) -> str:
        return os.path.basename(self._written.rstrip("/\\"))

    def is_used(self) -> bool:
        """Whether anything of it comes in an epoch."""
        if self._values.get("num_repeats", 1) >= 1:
            return True
        self._check.note(
            "num_repeats is below 1: nothing of this dataset is trained on", "warning",
            "datasets", self._number, "num_repeats", remedy="write 1 for once",
        )  # fmt: skip
        return False

    def dataset(self, name: str) -> TrainerDataset:
        """Return what it describes."""
        root, reader = self._listed() if self._folder_key not in self._values else self._folder()
        line = self._check.file.line("datasets", self._number)
        return TrainerDataset(
            name, self._written, root, reader, self._treatment(),
            repeats=int(self._values.get("num_repeats", 1)), line=line,
            options={"reshape": "center-crop", "allow_upscale": True},
        )  # fmt: skip

    def _treatment(self) -> Treatment:
        values = self._values
        size = values.get("resolution", [960, 544])
        width, height = (size, size) if isinstance(size, int) else size
        bucket = bool(values.get("enable_bucket"))
        sizes = MusubiSizes(width, height, bucket, bucket and bool(values.get("bucket_no_upscale")))
        if not self._of_videos:
            return MusubiImages(sizes)
        asked = values.get("target_frames", [1])
        lengths = sorted({(count - 1) // _FRAME_STEP * _FRAME_STEP + 1 for count in asked})
        if lengths != sorted(set(asked)):
            self._check.note(
                f"target_frames are rounded to {', '.join(map(str, lengths))} by musubi-tuner",
                "note", "datasets", self._number, "target_frames", remedy="write 4k+1",
            )  # fmt: skip
        return MusubiVideos(
            sizes,
            tuple(lengths),
            values.get("frame_extraction", "head"),
            values.get("frame_stride", 1),
            values.get("frame_sample", 1),
            values.get("max_frames", 129),
            values.get("source_fps"),
        )

    def _folder(self) -> tuple[Path, FolderReader]:
        place = ("datasets", self._number)
        roots = RootFinder(self._check)
        folder = root = roots.folder(self._values[self._folder_key], *place, self._folder_key)
        suffixes = _VIDEOS if self._of_videos else _IMAGES
        beside: tuple[MediaBeside, ...] = ()
        control = self._values.get("control_directory")
        if control is not None:
            other = roots.folder(control, *place, "control_directory")
            written = (*suffixes, *(one.upper() for one in suffixes))
            beside = (MediaBeside(Role("control"), other, written),)
            root = Path(os.path.commonpath([folder, other]))
        extension = self._values.get("caption_extension")
        if extension is None:
            raise self._check.error(
                "caption_extension is missing: musubi-tuner finds no captions without it", *place,
                remedy='write caption_extension = ".txt"',
            )  # fmt: skip
        media = MediaFolder(
            root,
            folder,
            frozenset(suffixes),
            CaptionBeside(extension),
            exact_case=True,
            needs_caption=frozenset() if self._of_videos else frozenset(suffixes),
            beside=beside,
            no_caption="ends without it",
        )
        return root, FolderMedia(self._check.trainer, media)

    def _listed(self) -> tuple[Path, FolderReader]:
        place = ("datasets", self._number, self._list_key)
        path = RootFinder(self._check).file(self._values[self._list_key], *place)
        video = "video_path" if self._of_videos else "image_path"
        header = header_of(JSON_LINES, path)
        lacking = [name for name in (video, "caption") if name not in header.names]
        if lacking:
            raise SpecError(
                f"its lines have no {' and no '.join(lacking)}",
                where=os.fspath(path),
                remedy=f"write {video} and caption in each",
            )
        columns = {"video": video, "caption": "caption"}
        if "control_path" in header.names:
            columns["control"] = "control_path"
        at = header.names.index(video)
        first = next((str(row[at]) for row in header.rows if len(row) > at), None)
        return root_of_list(path, first), ListedMedia(JSON_LINES, path, columns)


CONFIG = MusubiConfig()
