"""diffusion-pipe's dataset config: TOML with ``[[directory]]``; or the main config, naming it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from videoprep.errors import Code, Problem, SpecError
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
    CaptionFound,
    FolderMedia,
    MediaBeside,
    MediaFolder,
)
from videoprep.spec.configs.keys import (
    ABOVE_ZERO,
    COUNTS,
    POSITIVE,
    SIZE,
    TEXT,
    YES_NO,
    KeyCheck,
    KeyKind,
    TrainerKey,
    honoured,
    ignored,
    list_of,
    of_training,
    one_of,
)
from videoprep.spec.configs.parsed_file import LARGEST, ParsedFile, parse
from videoprep.spec.configs.roots import RootFinder
from videoprep.spec.configs.spread import spread_evenly
from videoprep.spec.roles import Role
from videoprep.spec.video_files import STILL_SUFFIXES

_VIDEOS = frozenset({
    ".3gp", ".264", ".265", ".avi", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".m2ts",
    ".m4v", ".mj2", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".vob", ".webm",
    ".wmv",
})  # fmt: skip
_CAPTIONS = "captions.json"
_DIGITS = 3  # to which it rounds ratios and sides
_MOST_RESOLUTIONS = 3

_COARSE = ("wan2.2-ti2v-5b", "ltx-video")
"""Models of which it rounds sides to 32 pixels at first; of others to 16."""

_PROFILES: Mapping[str, str] = {
    "wan": "wan", "hunyuan-video": "hunyuan-video", "ltx-video": "ltx-video"
}  # fmt: skip
"""The profile of the model types that have one of the same name."""


def _is_bucket(value: Any) -> bool:
    return COUNTS.check(value) and len(value) == 3


_BUCKETS = KeyKind(
    "a list of [width, height, frames]",
    lambda value: (
        isinstance(value, list) and 0 < len(value) <= 1000 and all(map(_is_bucket, value))
    ),
)
_SHUFFLE = ignored("captions are not shuffled")
_KEYS: Mapping[str, TrainerKey] = {
    "resolutions": honoured(
        list_of(SIZE, "a list of sides in pixels, or of [width, height]"),
        "areas; each file is a clip in each of them",
    ),
    "enable_ar_bucket": honoured(YES_NO, "buckets of several aspect ratios, or squares"),
    "min_ar": honoured(ABOVE_ZERO, "the lowest aspect ratio"),
    "max_ar": honoured(ABOVE_ZERO, "the highest aspect ratio"),
    "num_ar_buckets": honoured(POSITIVE, "how many there are between them"),
    "ar_buckets": honoured(
        list_of(
            KeyKind("", lambda v: ABOVE_ZERO.check(v) or (isinstance(v, list) and SIZE.check(v))),
            "a list of ratios, or of [width, height]",
        ),
        "aspect ratios, instead of these three",
    ),
    "frame_buckets": honoured(
        COUNTS, "lengths; a video is cut to the longest that it has frames for at the model's rate"
    ),
    "size_buckets": honoured(_BUCKETS, "buckets as a whole, the one of the nearest aspect ratio"),
    "num_repeats": honoured(ABOVE_ZERO, "the weight of each sample"),
    "caption_prefix": honoured(TEXT, "put before each caption as it is"),
    "skip_empty_caption": honoured(
        YES_NO, "a file without a caption is an error either way; this tells what would happen"
    ),
    "cache_shuffle_num": _SHUFFLE,
    "cache_shuffle_delimiter": _SHUFFLE,
    "shuffle_tags": _SHUFFLE,
    "shuffle_metadata": of_training("the order is the sampler's"),
    "online_captions": of_training("captions are encoded beforehand"),
    "subsample_ratio": ignored("all of the dataset is planned"),
}
_OF_DIRECTORY: Mapping[str, TrainerKey] = {
    **_KEYS,
    "path": honoured(
        TEXT,
        "the folder, without the folders in it; captions of `captions.json`, or of `.txt` files",
    ),
    "mask_path": honoured(TEXT, "the role `mask`: files of the same name"),
    "control_path": honoured(TEXT, "the role `control`: files of the same name"),
    "default_mask_file": ignored("clips without a mask have none"),
}
_CLIP_MODES = one_of("single_beginning", "single_middle")


@dataclass(frozen=True, slots=True)
class PipeTreatment(Treatment):
    """What it makes of a file: a clip for each of the resolutions, of the longest frame bucket."""

    trainer: ClassVar[str] = "diffusion-pipe"

    frames: tuple[int, ...]
    """The frame buckets, ascending."""
    ratios: tuple[float, ...]
    """Width over height of its buckets, ascending."""
    sides: tuple[float, ...] = ()
    """Side lengths of squares of the areas, ascending; each file is used once for each."""
    buckets: tuple[tuple[int, int, int], ...] = ()
    """Width, height and frames if they are listed whole, the longest first."""
    middle: bool = False
    """Whether a clip is from the middle of a video, not from its beginning."""

    def rate(self, model: ModelRules) -> Fraction | None:
        return exact(model.fps)

    def forecast(self, footage: Footage, model: ModelRules) -> Forecast:
        available = self._available(footage.announced, footage, model)
        width, height = footage.stored
        is_video = available > 1
        chosen = self._buckets(math.log(width / height), available, model, is_video=is_video)
        remarks = self._remarks(footage)
        if not chosen:
            return Forecast(dropped=self._too_short(available, footage, model), remarks=remarks)
        source = self._source(footage, model)
        longest = max(frames for _, _, frames in chosen)
        if footage.rate is not None and len(source) < longest:
            reason = f"it ends with an error: the header announces {footage.announced} frames, and "
            return Forecast(dropped=f"{reason}there are {footage.frames}", remarks=remarks)
        clips = tuple(self._clip(bucket, source, footage) for bucket in chosen)
        meant = self._meant(math.log(width / height), available, model, is_video=is_video)
        if meant == chosen:
            return Forecast(clips, remarks=remarks)
        odd = "it mistakes the order of size_buckets; planned is the nearest"
        planned = tuple(self._clip(bucket, source, footage) for bucket in meant)
        return Forecast(clips, remarks=(*remarks, odd), meant=planned)

    def _available(self, frames: int, footage: Footage, model: ModelRules) -> int:
        """How many frames there are at the model's rate, as it counts them."""
        rate = model.fps
        if footage.rate is None:
            return 1
        return int(frames * rate / float(footage.rate)) if rate else frames

    def _source(self, footage: Footage, model: ModelRules) -> tuple[int, ...]:
        """The frames at the model's rate: spread evenly from the first to the last of the file."""
        if footage.rate is None:
            return (0,)
        return spread_evenly(footage.frames, self._available(footage.frames, footage, model))

    def _buckets(
        self, log_ratio: float, available: int, model: ModelRules, *, is_video: bool
    ) -> list[tuple[int, int, int]]:
        """Width, height and frames of each clip."""
        if self.buckets:
            nearness = np.abs(log_ratio - np.log(np.array(self.ratios)))
            order = [self.buckets[n] for n in np.argsort(nearness, kind="stable")]
            return self._first(order, available, model, is_video=is_video)
        fitting = [count for count in self.frames if count <= available]
        if not fitting or (is_video and fitting[-1] == 1):
            return []
        nearest = int(np.argmin(np.abs(log_ratio - np.log(np.array(self.ratios)))))
        return [
            self._rounded(*_of_area(side, self.ratios[nearest], model), fitting[-1], model)
            for side in self.sides
        ]

    def _meant(
        self, log_ratio: float, available: int, model: ModelRules, *, is_video: bool
    ) -> list[tuple[int, int, int]]:
        """The same, of the listed bucket that is nearest indeed."""
        if not self.buckets:
            return self._buckets(log_ratio, available, model, is_video=is_video)
        order = sorted(self.buckets, key=lambda one: abs(log_ratio - math.log(one[0] / one[1])))
        return self._first(order, available, model, is_video=is_video)

    def _first(
        self,
        order: Sequence[tuple[int, int, int]],
        available: int,
        model: ModelRules,
        *,
        is_video: bool,
    ) -> list[tuple[int, int, int]]:
        for width, height, frames in order:
            if frames <= available and not (is_video and frames == 1):
                return [self._rounded(width, height, frames, model)]
        return []

    @staticmethod
    def _rounded(width: int, height: int, frames: int, model: ModelRules) -> tuple[int, int, int]:
        """A bucket as it is cached."""
        step = 32 if model.divisor % 32 == 0 else 16
        if model.name.startswith("minimax-h3"):
            count = max(frames // 17 * 17, 1)
        else:
            count = (frames - 1) // model.frame_step * model.frame_step + 1
        return _nearest(width, step), _nearest(height, step), count

    def _clip(
        self, bucket: tuple[int, int, int], source: tuple[int, ...], footage: Footage
    ) -> TrainerClip:
        width, height, count = bucket
        start = (len(source) - count) // 2 if self.middle and footage.rate is not None else 0
        return TrainerClip(width, height, count, source[start : start + count], start)

    def _too_short(self, available: int, footage: Footage, model: ModelRules) -> str:
        counts = [frames for *_, frames in self.buckets] if self.buckets else self.frames
        least = min((count for count in counts if count > 1), default=None)
        if least is None:
            return "there is no frame bucket above 1, and videos are not taken for pictures"
        rate = model.fps
        told = f"{footage.announced} frames"
        if rate and footage.rate is not None and rate != footage.rate:
            told += f" at {float(footage.rate):g} fps are {available} at {rate:g}"
            return f"{told}, fewer than the shortest frame bucket, {least}"
        return f"{told} are fewer than the shortest frame bucket, {least}"

    def _remarks(self, footage: Footage) -> tuple[str, ...]:
        if not footage.turned or footage.rate is None:
            return ()
        return ("its bucket is chosen for the picture as it is stored, on its side",)


def _nearest(value: float, step: int) -> int:
    return int(round(value / step) * step)


def _of_area(side: float, ratio: float, model: ModelRules) -> tuple[int, int]:
    """Width and height of a square's area with another ratio."""
    step = 32 if model.name in _COARSE else 16
    width = math.sqrt(side**2 * ratio)
    return _nearest(width, step), _nearest(side**2 / width, step)


class PipeConfig(ConfigReader):
    """Reads diffusion-pipe's config. Relative paths are where it is run."""

    trainer = "diffusion-pipe"
    keys: ClassVar[Mapping[str, Mapping[str, TrainerKey]]] = {
        "the file and `[[directory]]`": _OF_DIRECTORY
    }

    def sniff(self, data: Any) -> bool:
        if not isinstance(data, dict):
            return False
        return isinstance(data.get("directory"), list) or _is_main(data)

    def read(self, file: ParsedFile) -> ReadConfig:
        if not _is_main(file.data):
            check = KeyCheck(file, self.trainer)
            check.note(
                "the config does not say which model is trained, and whether clips are from the "
                "beginning or the middle of videos: that of `profile`, and the beginning", "note",
                remedy="give `profile`, or give the main config, which says both",
            )  # fmt: skip
            return _joined([_DatasetFile(check, middle=False, role="train")], None)
        return self._of_main(file)

    def _of_main(self, file: ParsedFile) -> ReadConfig:
        """Of the config of a training run, which names that of the dataset."""
        check = KeyCheck(file, self.trainer)
        mode = file.data.get("video_clip_mode", "single_beginning")
        if not _CLIP_MODES.check(mode):
            raise check.error(f"'video_clip_mode': expected {_CLIP_MODES.words}", "video_clip_mode")
        roots = RootFinder(check)
        places: list[tuple[str, tuple[str | int, ...], Literal["train", "validation"]]] = [
            (file.data["dataset"], ("dataset",), "train")
        ]
        held = file.data.get("eval_datasets", [])
        for number, one in enumerate(held if isinstance(held, list) else []):
            written = one.get("config") if isinstance(one, dict) else one
            if not isinstance(written, str):
                raise check.error("expected the path of a config", "eval_datasets", number)
            places.append((written, ("eval_datasets", number), "validation"))
        found = [
            _DatasetFile(
                KeyCheck(_dataset_file(roots.file(written, *place)), self.trainer),
                middle=mode == "single_middle",
                role=role,
            )
            for written, place, role in places
        ]
        model = file.data["model"].get("type")
        return _joined(found, _PROFILES.get(model) if isinstance(model, str) else None)


def _is_main(data: Any) -> bool:
    return (
        isinstance(data, dict)
        and isinstance(data.get("dataset"), str)
        and isinstance(data.get("model"), dict)
    )


def _dataset_file(path: Path) -> ParsedFile:
    parsed = parse(path)
    if isinstance(parsed.data, dict) and isinstance(parsed.data.get("directory"), list):
        return parsed
    raise SpecError(
        "has no [[directory]]", where=str(path), remedy="name a dataset config of diffusion-pipe"
    )


def _joined(files: Sequence[_DatasetFile], profile: str | None) -> ReadConfig:
    directories = [one for file in files for one in file.directories]
    names = unique_names([one.name for one in directories])
    datasets = tuple(one.dataset(name) for one, name in zip(directories, names, strict=True))
    problems = tuple(problem for file in files for problem in file.check.problems)
    return ReadConfig(datasets, problems, profile)


class _DatasetFile:
    """A dataset config."""

    def __init__(
        self, check: KeyCheck, *, middle: bool, role: Literal["train", "validation"]
    ) -> None:
        self.check = check
        self.middle = middle
        self.role: Literal["train", "validation"] = role
        top = {key: value for key, value in check.file.data.items() if key != "directory"}
        self.top = check.section(top, _KEYS)
        self.directories = [
            _Directory(self, number, one) for number, one in check.items("directory")
        ]


class _Directory:
    """One item of ``[[directory]]``."""

    def __init__(self, file: _DatasetFile, number: int, data: Any) -> None:
        self._file, self._check = file, file.check
        self._place = ("directory", number)
        self._own = self._check.section(data, _OF_DIRECTORY, *self._place)
        self._values = {**file.top, **self._own}
        if "path" not in self._own:
            raise self._check.error("a directory has no 'path'", *self._place)

    @property
    def name(self) -> str:
        return os.path.basename(str(self._own["path"]).rstrip("/\\"))

    def dataset(self, name: str) -> TrainerDataset:
        """Return what it describes."""
        written = str(self._own["path"])
        roots = RootFinder(self._check)
        folder = roots.folder(written, *self._place, "path")
        named = (("mask", "mask_path", False), ("control", "control_path", True))
        beside = tuple(
            MediaBeside(Role(role), roots.folder(self._own[key], *self._place, key), None, needed)
            for role, key, needed in named
            if key in self._own
        )
        root = Path(os.path.commonpath([folder, *(one.folder for one in beside)]))
        skips = self._values.get("skip_empty_caption", True)
        media = MediaFolder(
            root,
            folder,
            _VIDEOS | STILL_SUFFIXES,
            _PipeCaptions(),
            beside=beside,
            reword=_Prefix(self._values.get("caption_prefix", "")),
            no_caption="skips it" if skips else "trains on it with an empty caption",
            weight=float(self._values.get("num_repeats", 1)),
        )
        return TrainerDataset(
            name, written, root, FolderMedia(self._check.trainer, media), self._treatment(),
            role=self._file.role, line=self._check.file.line(*self._place),
            options={"reshape": "center-crop", "allow_upscale": True},
        )  # fmt: skip

    def _treatment(self) -> Treatment:
        values, middle = self._values, self._file.middle
        if "size_buckets" in values:
            buckets = sorted(map(tuple, values["size_buckets"]), key=lambda one: -one[2])
            ratios = _rounded([width / height for width, height, _ in buckets])
            return PipeTreatment((), ratios, (), tuple(buckets), middle)
        if "resolutions" not in values:
            raise self._check.error("'resolutions' is missing", *self._place)
        sides = _rounded(
            [math.sqrt(s[0] * s[1]) if isinstance(s, list) else s for s in values["resolutions"]]
        )
        if len(values["resolutions"]) > _MOST_RESOLUTIONS:
            self._check.note(
                "diffusion-pipe ends at more than 3 resolutions, unless it is run with "
                "i_know_what_i_am_doing: each clip is used once for each of them", "note",
                *self._place, "resolutions", remedy="list fewer, if one a clip is meant",
            )  # fmt: skip
        frames = tuple(sorted({1, *values.get("frame_buckets", [1])}))
        return PipeTreatment(frames, self._ratios(), sides, (), middle)

    def _ratios(self) -> tuple[float, ...]:
        values = self._values
        if not values.get("enable_ar_bucket", False):
            return (1.0,)
        if "ar_buckets" in values:
            pairs = (one if isinstance(one, list) else [one, 1] for one in values["ar_buckets"])
            return _rounded([width / height for width, height in pairs])
        lacking = [k for k in ("min_ar", "max_ar", "num_ar_buckets") if k not in values]
        if lacking:
            raise self._check.error(
                f"enable_ar_bucket needs {', '.join(lacking)}, or ar_buckets", *self._place
            )
        count = min(int(values["num_ar_buckets"]), 1000)
        return _rounded(np.geomspace(values["min_ar"], values["max_ar"], num=count).tolist())


@dataclass(frozen=True, slots=True)
class _Prefix:
    """Puts a text before captions."""

    text: str

    def __call__(self, caption: str) -> str:
        return self.text + caption


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    """The distinct values, rounded as it does, ascending."""
    return tuple(sorted({round(value, _DIGITS) for value in values}))


class _PipeCaptions:
    """Captions of ``captions.json``: lists by the names of files; without it, files beside media.

    It is read when it is first asked for.
    """

    def __init__(self) -> None:
        self._beside = CaptionBeside()
        self._path = Path()
        self._known: Mapping[str, Any] | None = None

    def __call__(self, folder: Path, name: str) -> CaptionFound:
        path = folder / _CAPTIONS
        if not path.is_file():
            return self._beside(folder, name)
        if self._known is None or path != self._path:
            self._path = path
            self._known = self._read()
        texts = self._known.get(name)
        if texts is None:
            return CaptionFound()
        if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
            message = f"{name!r} has no list of captions in {_CAPTIONS}"
            problem = Problem(Code.BAD_VALUE, message, "write a list", str(self._path), video=name)
            return CaptionFound((), self._path, problem)
        return CaptionFound(tuple(one for one in texts if one.strip()), self._path)

    def _read(self) -> Mapping[str, Any]:
        error = "no object of lists of captions by the names of files"
        try:
            with self._path.open("rb") as file:
                data = file.read(_LARGEST_CAPTIONS + 1)
            if len(data) <= _LARGEST_CAPTIONS:
                found = json.loads(data)
                if isinstance(found, dict):
                    return found
            else:
                error = f"larger than {_LARGEST_CAPTIONS:,} bytes"
        except (ValueError, RecursionError, OSError) as reason:
            error = " ".join(str(reason).split())[:200]
        raise SpecError(
            f"cannot be read: {error}", where=str(self._path), remedy="correct it",
            code=Code.MALFORMED_ROW,
        )  # fmt: skip


_LARGEST_CAPTIONS = 256 * LARGEST

CONFIG = PipeConfig()
