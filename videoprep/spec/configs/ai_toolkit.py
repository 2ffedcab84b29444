"""ai-toolkit's config: the ``datasets`` of each ``config.process``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

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
    FRAMES,
    POSITIVE,
    RATE,
    TEXT,
    WHOLE,
    YES_NO,
    KeyCheck,
    KeyKind,
    TrainerKey,
    honoured,
    ignored,
    list_of,
    of_training,
)
from videoprep.spec.configs.parsed_file import ParsedFile, Place
from videoprep.spec.configs.roots import RootFinder
from videoprep.spec.roles import Role

_VIDEOS = frozenset({".mp4", ".avi", ".mov", ".webm", ".mkv", ".wmv", ".m4v", ".flv"})
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_CONTROLS = (".jpg", ".jpeg", ".png", ".webp")
_HELD_OUT = "_controls"
_PLACEHOLDERS = ("[name]", "[trigger]")

_PROFILES: Mapping[str, str] = {
    "wan21": "wan", "wan22_14b": "wan", "wan22_5b": "wan2.2-ti2v-5b",
    "hunyuan_video": "hunyuan-video",
}  # fmt: skip
"""The profile of the model's architecture, by how its name begins."""

_AUGMENTED = ignored("clips are not altered at random; do that in training")
_CACHE = of_training("videoprep writes a store, wherever you name it")
_LOSS = of_training("it is of the loss")
_SOUND = of_training("the sound of each clip is known, and encoded by families that take it")
_SIDES = KeyKind(
    "a number of pixels, or a list of them", lambda v: POSITIVE.check(v) or COUNTS.check(v)
)
_FOLDER = KeyKind("a path, or a list of paths", lambda v: TEXT.check(v) or _is_paths(v))


def _is_paths(value: Any) -> bool:
    return list_of(TEXT, "").check(value)


_KEYS: Mapping[str, TrainerKey] = {
    "folder_path": honoured(TEXT, "the folder and the folders in it"),
    "dataset_path": honoured(TEXT, "the same"),
    "default_caption": honoured(TEXT, "`caption_fallback`"),
    "trigger_word": honoured(
        TEXT,
        "replaces `[trigger]`, or comes before captions without it; also that of the process",
    ),
    "caption_ext": honoured(TEXT, "the ending of the caption files"),
    "caption_type": honoured(TEXT, "the same"),
    "resolution": honoured(_SIDES, "sides of squares; each file is a clip in each of the areas"),
    "is_reg": honoured(YES_NO, "the role `regularization`"),
    "prior_reg": honoured(YES_NO, "the same"),
    "num_repeats": honoured(WHOLE, "`repeats`"),
    "square_crop": honoured(YES_NO, "squares of `resolution`"),
    "num_frames": honoured(FRAMES, "frames of a clip; 1 for images alone"),
    "shrink_video_to_frames": honoured(YES_NO, "all of a video in one clip, however long it is"),
    "fps": honoured(RATE, "the rate of clips that are not shrunk"),
    "auto_frame_count": honoured(YES_NO, "as many frames as a video has at `fps`"),
    "trim_auto_frame_count_tail": honoured(YES_NO, "at the rate of `fps`, not shrunk"),
    "control_path": honoured(_FOLDER, "the role `control`, or `control:0` … if there are several"),
    "control_path_1": honoured(TEXT, "the same"),
    "control_path_2": honoured(TEXT, "the same"),
    "control_path_3": honoured(TEXT, "the same"),
    "mask_path": honoured(TEXT, "the role `mask`: files of the same name"),
    "bucket_tolerance": of_training("ai-toolkit itself takes the model's own divisor instead"),
    "buckets": of_training("videos always have buckets"),
    "random_crop": honoured(YES_NO, "`reshape` `random-crop`"),
    "scale": ignored("clips are not scaled before they go into buckets"),
    "invert_mask": ignored("white is trained on"),
    "use_short_captions": ignored("captions are read from the caption files"),
    "type": of_training(),
    "do_i2v": of_training("first frames are encoded if you ask for it: `image_latents`"),
    "do_audio": _SOUND,
    "audio_preserve_pitch": _SOUND,
    "audio_normalize": _SOUND,
    "caption_dropout_rate": of_training("the embedding of the empty caption is in the store"),
    **dict.fromkeys(
        (
            "flip_x",
            "flip_y",
            "augments",
            "augmentations",
            "shuffle_augmentations",
            "random_scale",
            "standardize_images",
            "replay_transforms",
        ),
        _AUGMENTED,
    ),
    **dict.fromkeys(
        (
            "token_dropout_rate",
            "shuffle_tokens",
            "keep_tokens",
            "random_triggers",
            "random_triggers_max",
            "replacements",
        ),
        ignored("captions are not altered at random; `videoprep refine` rewrites them"),
    ),
    **dict.fromkeys(
        (
            "controls",
            "control_from_same_folder",
            "num_controls_from_same_folder",
            "inpaint_path",
            "clip_image_path",
            "clip_image_from_same_folder",
            "clip_image_augmentations",
            "clip_image_shuffle_augmentations",
            "unconditional_path",
            "alpha_mask",
            "control_transparent_color",
            "full_size_control_images",
        ),
        ignored("only the files of control_path and mask_path go with a clip"),
    ),
    **dict.fromkeys(
        (
            "cache_latents",
            "cache_latents_to_disk",
            "cache_tensors_to_disk",
            "cache_clip_vision_to_disk",
            "cache_text_embeddings",
            "load_image_when_caching_latents",
            "cache_latents_num_workers",
        ),
        _CACHE,
    ),
    **dict.fromkeys(
        (
            "network_weight",
            "loss_multiplier",
            "mask_min_value",
            "guidance_type",
            "diff_output_preservation",
            "diff_output_preservation_class",
        ),
        _LOSS,
    ),
    **dict.fromkeys(
        (
            "batch_size",
            "num_workers",
            "prefetch_factor",
            "extra_values",
            "fast_image_size",
            "debug",
        ),
        of_training(),
    ),
}


@dataclass(frozen=True, slots=True)
class ToolkitTreatment(Treatment):
    """What it makes of a file: one clip for each of the resolutions."""

    trainer: ClassVar[str] = "ai-toolkit"

    resolutions: tuple[int, ...]
    frames: int = 1
    shrink: bool = True
    fps: float = 24
    auto: bool = False
    trim: bool = True
    square: bool = False

    def rate(self, model: ModelRules) -> Fraction | None:
        if self.auto and self.trim:
            return exact(self.fps)
        return None if self.auto or self.shrink else exact(self.fps)

    def forecast(self, footage: Footage, model: ModelRules) -> Forecast:
        found: tuple[tuple[int, ...], bool, str] = ((0,), False, "")
        if footage.rate is not None:
            found = self._source(footage.announced, float(footage.rate), model)
        source, spans, remark = found
        sizes = (self._size(footage.width, footage.height, one, model) for one in self.resolutions)
        clips = tuple(
            TrainerClip(width, height, len(source), source, spans=spans) for width, height in sizes
        )
        return Forecast(clips, remarks=(remark,) if remark else ())

    def _source(
        self, frames: int, rate: float, model: ModelRules
    ) -> tuple[tuple[int, ...], bool, str]:
        """The frames of a video, whether they span all of it, and what is odd about them."""
        last, count = frames - 1, self._count(frames, rate, model)
        if self.auto and self.trim:
            ratio = rate / self.fps
            return tuple(min(round(n * ratio), last) for n in range(count)), False, ""
        spread = last / (count - 1) if count > 1 else 0
        spanning = tuple(min(round(n * spread), last) for n in range(count))
        if self.shrink or self.auto or frames < count:
            return spanning, True, self._repeated(frames, count)
        step = max(1, round(rate / self.fps))
        if frames // step < count:
            remark = f"it has too few frames at {self.fps:g} fps, so that all of it is stretched"
            return spanning, True, remark
        remark = "" if frames - 1 == (count - 1) * step else "from a start that is drawn at random"
        return tuple(range(0, count * step, step)), False, remark

    @staticmethod
    def _repeated(frames: int, count: int) -> str:
        return f"its {frames} frames are repeated to make {count}" if frames < count else ""

    def _count(self, frames: int, rate: float, model: ModelRules) -> int:
        if not self.auto:
            return self.frames
        wanted = int(frames / rate * self.fps)
        if model.name.startswith("minimax-h3"):
            return model.frames_within(wanted) or 1
        rest = max(0, wanted - 1) if self.trim else wanted
        return rest // model.frame_step * model.frame_step + 1

    def _size(self, width: int, height: int, side: int, model: ModelRules) -> tuple[int, int]:
        """A size of no more than a square's area, nearest to the area that is wanted."""
        if self.square:
            return side, side
        step, most = model.divisor, side * side
        area = min(width * height, most)
        scale = (area / (width * height)) ** 0.5
        across, down = width * scale / step, height * scale / step
        low = (math.floor(across) * step, math.floor(down) * step)
        high = (math.ceil(across) * step, math.ceil(down) * step)
        sizes = [(w, h) for w in (low[0], high[0]) for h in (low[1], high[1])]
        fitting = [(w, h) for w, h in sizes if w > 0 and h > 0 and w * h <= most]
        if not fitting:
            return max(step, low[0]), max(step, low[1])
        return min(fitting, key=lambda size: abs(size[0] * size[1] - area))


@dataclass(frozen=True, slots=True)
class _Trigger:
    """Puts the trigger word into captions."""

    word: str
    is_added: bool

    def __call__(self, caption: str) -> str:
        for placeholder in _PLACEHOLDERS:
            caption = caption.replace(placeholder, self.word)
        if self.word.strip() and self.is_added and self.word not in caption:
            return f"{self.word} {caption}"
        return caption


class ToolkitConfig(ConfigReader):
    """Reads ai-toolkit's config. Relative paths are where it is run."""

    trainer = "ai-toolkit"
    keys: ClassVar[Mapping[str, Mapping[str, TrainerKey]]] = {"`datasets`": _KEYS}

    def sniff(self, data: Any) -> bool:
        if not isinstance(data, dict):
            return False
        config = data.get("config")
        if isinstance(config, dict) and isinstance(config.get("process"), list):
            return True
        items = data.get("datasets")
        first = items[0] if isinstance(items, list) and items else None
        return isinstance(first, dict) and "folder_path" in first

    def read(self, file: ParsedFile) -> ReadConfig:
        check = KeyCheck(file, self.trainer)
        made = [
            _ToolkitDataset(check, place, one, trigger)
            for place, one, trigger in _sections(check, file.data)
        ]
        names = unique_names([one.name for one in made])
        datasets = tuple(one.dataset(name) for one, name in zip(made, names, strict=True))
        return ReadConfig(datasets, tuple(check.problems), _profile(file.data))


def _sections(check: KeyCheck, data: Any) -> Iterator[tuple[Place, Any, str | None]]:
    """Each dataset with the way to it, and the trigger word of its process."""
    place: Place = ("config", "process")
    processes = data.get("config", {}).get("process", []) if "config" in data else [data]
    found = False
    for number, process in enumerate(processes):
        own: Place = (*place, number) if "config" in data else ()
        items = process.get("datasets", []) if isinstance(process, dict) else []
        trigger = process.get("trigger_word") if isinstance(process, dict) else None
        if not isinstance(items, list) or len(items) > 1000:
            raise check.error("'datasets' is no list of datasets", *own, "datasets")
        for index, one in enumerate(items):
            found = True
            yield (*own, "datasets", index), one, trigger if isinstance(trigger, str) else None
    if not found:
        raise check.error("no process has datasets", *place, remedy="name a config with datasets")


def _profile(data: Any) -> str | None:
    processes = data.get("config", {}).get("process", []) if "config" in data else []
    for process in processes:
        model = process.get("model") if isinstance(process, dict) else None
        arch = model.get("arch") if isinstance(model, dict) else None
        for begins, profile in _PROFILES.items():
            if isinstance(arch, str) and arch.startswith(begins):
                return profile
    return None


class _ToolkitDataset:
    """One item of ``datasets``."""

    def __init__(self, check: KeyCheck, place: Place, data: Any, trigger: str | None) -> None:
        self._check, self._place, self._trigger = check, place, trigger
        self._values = check.section(data, _KEYS, *place)
        if "folder_path" not in self._values and "dataset_path" not in self._values:
            raise check.error("a dataset has no 'folder_path'", *place)
        key = "dataset_path" if "dataset_path" in self._values else "folder_path"
        self._key, self._written = key, str(self._values[key])
        if self._written.lower().endswith(".json"):
            raise check.error(
                "a JSON file of captions is not read", *place, key,
                remedy="give the list to videoprep as it is, or write the folder",
            )  # fmt: skip

    @property
    def name(self) -> str:
        return os.path.basename(self._written.rstrip("/\\"))

    def dataset(self, name: str) -> TrainerDataset:
        """Return what it describes."""
        values, roots = self._values, RootFinder(self._check)
        folder = roots.folder(self._written, *self._place, self._key)
        beside = tuple(self._beside(roots))
        root = Path(os.path.commonpath([folder, *(one.folder for one in beside)]))
        role = "regularization" if values.get("is_reg") or values.get("prior_reg") else "train"
        extension = values.get("caption_type") or values.get("caption_ext") or ".txt"
        trigger = values.get("trigger_word") or self._trigger or ""
        is_video = values.get("num_frames", 1) > 1 or bool(values.get("auto_frame_count"))
        media = MediaFolder(
            root,
            folder,
            _VIDEOS | _IMAGES if is_video else _IMAGES,
            CaptionBeside(extension if extension.startswith(".") else f".{extension}"),
            recursive=True,
            without=frozenset({_HELD_OUT}),
            beside=beside,
            reword=_Trigger(trigger, role == "train"),
            no_caption="trains on it with an empty caption",
        )
        crop = "random-crop" if values.get("random_crop") else "center-crop"
        fallback = values.get("default_caption")
        return TrainerDataset(
            name, self._written, root, FolderMedia(self._check.trainer, media), self._treatment(),
            repeats=max(1, int(values.get("num_repeats", 1))),
            role="regularization" if role == "regularization" else "train",
            line=self._check.file.line(*self._place),
            options={
                "reshape": crop,
                "allow_upscale": True,
                **({} if not fallback else {"caption_fallback": fallback}),
            },
        )  # fmt: skip

    def _beside(self, roots: RootFinder) -> Iterator[MediaBeside]:
        """What goes with a file, by its name; not every file needs it."""
        values, place = self._values, self._place
        paths: list[tuple[str, str]] = [
            (key, values[key])
            for key in (f"control_path_{n}" for n in (1, 2, 3))
            if values.get(key)
        ]
        control = values.get("control_path")
        if not paths and control:
            several = control if isinstance(control, list) else [control]
            paths = [("control_path", one) for one in several]
        for number, (key, written) in enumerate(paths):
            role = Role("control" if len(paths) == 1 else f"control:{number}")
            yield MediaBeside(role, roots.folder(written, *place, key), _CONTROLS, is_needed=False)
        if values.get("mask_path"):
            mask = roots.folder(values["mask_path"], *place, "mask_path")
            yield MediaBeside(Role("mask"), mask, _CONTROLS, is_needed=False)

    def _treatment(self) -> Treatment:
        values = self._values
        sides = values.get("resolution", 512)
        return ToolkitTreatment(
            tuple(sides) if isinstance(sides, list) else (sides,),
            values.get("num_frames", 1),
            values.get("shrink_video_to_frames", True),
            values.get("fps", 24),
            values.get("auto_frame_count", False),
            values.get("trim_auto_frame_count_tail", True),
            values.get("square_crop", False),
        )


CONFIG = ToolkitConfig()
