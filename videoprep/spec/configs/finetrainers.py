"""finetrainers' dataset config: JSON with ``datasets`` of ``data_root`` and ``dataset_type``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

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
    unique_names,
)
from videoprep.spec.configs.folder_media import CaptionBeside, FolderMedia, MediaFolder
from videoprep.spec.configs.keys import (
    TEXT,
    YES_NO,
    KeyCheck,
    KeyKind,
    TrainerKey,
    honoured,
    ignored,
    one_of,
)
from videoprep.spec.configs.listed_media import ListedMedia
from videoprep.spec.configs.parsed_file import ParsedFile
from videoprep.spec.configs.roots import RootFinder
from videoprep.spec.configs.spread import spread_evenly
from videoprep.spec.entries import Entries
from videoprep.spec.readers import table_reader
from videoprep.spec.readers.base import FolderReader, ReadRequest
from videoprep.spec.readers.line_files import READER as LINE_FILES
from videoprep.spec.roles import Role

_VIDEOS = frozenset({".mp4", ".mov", ".avi", ".webm", ".mkv", ".flv"})
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_TABLES = ("metadata.json", "metadata.jsonl", "metadata.csv")
_CAPTION_LISTS = ("caption.txt", "captions.txt", "prompt.txt", "prompts.txt")
_LISTS: Mapping[str, tuple[str, ...]] = {
    "video": ("video.txt", "videos.txt"), "image": ("image.txt", "images.txt")
}  # fmt: skip
_RESHAPES: Mapping[str, str] = {
    "bicubic": "resize", "resize_crop": "center-crop", "center_crop": "center-crop"
}  # fmt: skip


def _sizes(count: int, words: str) -> KeyKind:
    def is_size(value: Any) -> bool:
        sides = isinstance(value, list) and len(value) == count
        return sides and all(type(one) is int and 0 < one < 1 << 20 for one in value)

    return KeyKind(
        f"a list of {words}",
        lambda value: (
            isinstance(value, list) and 0 < len(value) <= 1000 and all(map(is_size, value))
        ),
    )


_KEYS: Mapping[str, TrainerKey] = {
    "data_root": honoured(
        TEXT, "the folder: `metadata.csv` and the like, captions beside videos, or lists of lines"
    ),
    "dataset_file": ignored("finetrainers itself reads only data_root"),
    "dataset_type": honoured(one_of("video", "image"), "whether videos or images are read"),
    "id_token": honoured(TEXT, "`id_token`"),
    "video_resolution_buckets": honoured(
        _sizes(3, "[frames, height, width]"),
        "the longest bucket that a video has frames for, then the nearest aspect ratio",
    ),
    "image_resolution_buckets": honoured(
        _sizes(2, "[height, width]"), "the bucket of the nearest aspect ratio"
    ),
    "reshape_mode": honoured(
        one_of(*_RESHAPES), "`reshape`: `bicubic` is `resize`, `resize_crop` is `center-crop`"
    ),
    "remove_common_llm_caption_prefixes": TrainerKey(
        YES_NO, "captions stay as they are: VP212 names those, `videoprep refine` rewrites them"
    ),
    "caption_options": ignored("captions are found by their usual names"),
    "rename_columns": ignored("columns are found by their usual names"),
    "drop_columns": ignored("no other columns are read"),
}


@dataclass(frozen=True, slots=True)
class FinetrainersTreatment(Treatment):
    """What it makes of a file: all of it in one clip, squeezed into as many frames."""

    trainer: ClassVar[str] = "finetrainers"

    buckets: tuple[tuple[int, int, int], ...]
    """Frames, height and width."""

    def forecast(self, footage: Footage, model: ModelRules) -> Forecast:
        width, height = footage.stored
        fitting = [one for one in self.buckets if one[0] <= footage.frames]
        if fitting:
            frames = max(one[0] for one in fitting)
        else:
            frames = min((one[0] for one in self.buckets), key=lambda n: abs(n - footage.frames))
        same = [one for one in self.buckets if one[0] == frames]
        ratio = width / height
        _, down, across = min(
            same, key=lambda one: (abs(one[2] / one[1] - ratio), -one[1], -one[2])
        )
        if not fitting:
            source = tuple(range(footage.frames))
            remark = f"it is shorter than every bucket, and used with its {footage.frames} frames"
            clip = TrainerClip(across, down, footage.frames, source)
            return Forecast((clip,), remarks=(remark,))
        source = spread_evenly(footage.frames, frames)
        return Forecast((TrainerClip(across, down, frames, source, spans=len(source) > 1),))


class LinesMedia(FolderReader):
    """Reads two lists of lines with the names that the trainer looks for."""

    name = "trainer-lines"
    summary = "a caption and a file per line"
    names_all = True

    def __init__(self, captions: Path, files: Path) -> None:
        self._columns = {"caption": os.fspath(captions), "video": os.fspath(files)}

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        return False

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        return " and ".join(map(os.path.basename, self._columns.values()))

    def role_folders(self, request: ReadRequest) -> Mapping[Role, str]:
        return {}

    def read(self, request: ReadRequest) -> Entries:
        return LINE_FILES.read(replace(request, columns=self._columns))


class FinetrainersConfig(ConfigReader):
    """Reads finetrainers' config. Relative paths are where it is run."""

    trainer = "finetrainers"
    keys: ClassVar[Mapping[str, Mapping[str, TrainerKey]]] = {"`datasets`": _KEYS}

    def sniff(self, data: Any) -> bool:
        items = data.get("datasets") if isinstance(data, dict) else None
        first = items[0] if isinstance(items, list) and items else None
        return isinstance(first, dict) and "data_root" in first and "dataset_type" in first

    def read(self, file: ParsedFile) -> ReadConfig:
        check = KeyCheck(file, self.trainer)
        others = {key: one for key, one in file.data.items() if key != "datasets"}
        check.section(others, {"datasets": honoured(TEXT)})
        made = [_FinetrainersDataset(check, number, one) for number, one in check.items("datasets")]
        names = unique_names([one.name for one in made])
        datasets = tuple(one.dataset(name) for one, name in zip(made, names, strict=True))
        return ReadConfig(datasets, tuple(check.problems))


class _FinetrainersDataset:
    """One item of ``datasets``."""

    def __init__(self, check: KeyCheck, number: int, data: Any) -> None:
        self._check, self._place = check, ("datasets", number)
        self._values = check.section(data, _KEYS, *self._place)
        for key in ("data_root", "dataset_type"):
            if key not in self._values:
                raise check.error(f"a dataset has no {key!r}", *self._place)
        self._kind = str(self._values["dataset_type"])
        self._buckets = f"{self._kind}_resolution_buckets"
        if self._buckets not in self._values:
            raise check.error(f"{self._buckets!r} is missing", *self._place)

    @property
    def name(self) -> str:
        return os.path.basename(str(self._values["data_root"]).rstrip("/\\"))

    def dataset(self, name: str) -> TrainerDataset:
        """Return what it describes."""
        values, written = self._values, str(self._values["data_root"])
        root = RootFinder(self._check).folder(written, *self._place, "data_root")
        if not root.is_dir() and written.count("/") == 1 and not written.startswith((".", "/")):
            raise self._check.error(
                f"no such folder: {written}; a data set of the hub is not downloaded", *self._place,
                "data_root", remedy="download it into a folder, and name that",
            )  # fmt: skip
        buckets = [[1, *one] if len(one) == 2 else one for one in values[self._buckets]]
        mode = values.get("reshape_mode", "bicubic")
        if mode == "center_crop":
            self._check.note(
                "center_crop cuts without scaling; here pictures are scaled and then cut",
                "warning", *self._place, "reshape_mode", remedy="write resize_crop",
            )  # fmt: skip
        if mode == "resize_crop" and self._kind == "image":
            self._check.note(
                "finetrainers itself ends with an error at resize_crop of images", "warning",
                *self._place, "reshape_mode", remedy="write bicubic, if it is to be trained there",
            )  # fmt: skip
        token = values.get("id_token")
        return TrainerDataset(
            name, written, root, self._reader(root),
            FinetrainersTreatment(tuple((f, h, w) for f, h, w in buckets)),
            line=self._check.file.line(*self._place),
            options={
                "reshape": _RESHAPES[mode],
                "allow_upscale": True,
                **({} if not token else {"id_token": token}),
            },
        )  # fmt: skip

    def _reader(self, root: Path) -> FolderReader:
        """In the order in which it looks: a table, captions beside files, lists of lines."""
        tables = [root / name for name in _TABLES if (root / name).is_file()]
        if len(tables) > 1:
            raise SpecError(
                f"several tables: {', '.join(one.name for one in tables)}; finetrainers ends then",
                where=os.fspath(root),
                remedy="keep one of them",
            )
        if tables:
            return self._listed(tables[0])
        suffixes = _VIDEOS if self._kind == "video" else _IMAGES
        captions = [name for name in _CAPTION_LISTS if (root / name).is_file()]
        files = [name for name in _LISTS[self._kind] if (root / name).is_file()]
        if not self._has_pairs(root) and captions and files:
            return LinesMedia(root / captions[0], root / files[0])
        media = MediaFolder(
            root, root, suffixes, CaptionBeside(), needs_caption=suffixes,
            no_caption="does not read it",
        )  # fmt: skip
        return FolderMedia(self._check.trainer, media)

    @staticmethod
    def _has_pairs(root: Path) -> bool:
        if not root.is_dir():
            return False
        names = set(os.listdir(root))
        stems = {os.path.splitext(name)[0] for name in names if name.endswith(".txt")}
        return any(
            os.path.splitext(name)[0] in stems
            for name in names
            if os.path.splitext(name)[1] in _VIDEOS | _IMAGES
        )

    def _listed(self, path: Path) -> FolderReader:
        reader = table_reader(path)
        assert reader is not None  # noqa: S101 (each of these endings has one)
        fields = reader.guess_columns(path, {})
        columns = {
            what: str(fields[f"{what}_column"])
            for what in ("caption", "video")
            if f"{what}_column" in fields
        }
        return ListedMedia(reader, path, columns)


CONFIG = FinetrainersConfig()
