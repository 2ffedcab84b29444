"""What an importer gives of each clip, and the index that such files must have been made by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import xxhash

from videoprep.errors import Code
from videoprep.families.component import Component
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.index.bucket import Bucket
from videoprep.index.builder import path_name
from videoprep.index.clip import prompt_key, transform_of, video_key
from videoprep.index.numbers import to_text
from videoprep.index.schema import FILE_SCHEMA, SCHEMA
from videoprep.index.table import BucketIndex
from videoprep.media.geometry import Box

if TYPE_CHECKING:
    import torch

_BATCH = 65_536
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Precomputed:
    """A clip that was encoded elsewhere.

    Attributes:
        video: as the list names it.
        caption: as it was encoded.
        file: the list, relative to the folder.
        line: the line in it, from 1.
        files: where each component lies; they need not exist.
        flaw: why it cannot be taken whatever its files hold, in words; None otherwise.
    """

    video: str
    caption: str
    file: str
    line: int
    files: Mapping[Component, Path]
    flaw: str | None = None


class Importer(ABC):
    """A format that a trainer writes.

    Attributes:
        name: as it is asked for.
        families: those whose latents it writes.
        fps: frames a second that it trains on, since its files do not say theirs.
    """

    name: ClassVar[str]
    families: ClassVar[tuple[str, ...]]
    fps: ClassVar[int]

    @abstractmethod
    def clips(self, folder: Path) -> Iterator[Precomputed]:
        """The clips in the order of the lists.

        Raises:
            StoreError: the folder holds no such thing, or its lists do not belong together.
        """

    @abstractmethod
    def load(self, file: Path) -> torch.Tensor:
        """A clip's tensor as a store has it; latents are unscaled moments, mean first.

        Large ones are read when they are touched.

        Raises:
            FlawError: it is no such file.
        """


class FlawError(Exception):
    """Why a clip cannot be taken, in words."""


@dataclass(slots=True)
class Planner:
    """Looks at each clip's files and makes its row of the index.

    Attributes:
        importer: reads the files.
        family: whose latents they are said to be.
        model: its configs.
        dtype: of the first latents; others are refused. None before there are any.
        differing: captions that several clips have with embeddings that differ.
        captions: the file of the first clip of each caption, by its key.
    """

    importer: Importer
    family: Family
    model: ModelFolder
    dtype: torch.dtype | None = None
    differing: int = 0
    captions: dict[str, Path] = field(default_factory=dict)

    def index(
        self, folder: Path, clips: Iterable[Precomputed], on_clip: Callable[[], None]
    ) -> BucketIndex:
        """The plan that the files would have been made by."""
        batches: list[pa.Table] = []
        rows: list[dict[str, Any]] = []
        for clip in clips:
            rows.append(self._row(clip))
            on_clip()
            if len(rows) == _BATCH:
                batches.append(pa.Table.from_pylist(rows, FILE_SCHEMA).cast(SCHEMA))
                rows = []
        batches.append(pa.Table.from_pylist(rows, FILE_SCHEMA).cast(SCHEMA))
        table = pa.concat_tables(batches).unify_dictionaries()
        policy = {"profile": self.family.name, "imported": self.importer.name}
        return BucketIndex(table, folder.resolve(), policy)

    def _row(self, clip: Precomputed) -> dict[str, Any]:
        named = {
            "sample": path_name(clip.video),
            "video": clip.video,
            "caption": clip.caption,
            "file": clip.file,
            "line": clip.line,
            "weight": 1.0,
            "repeats": 1,
        }
        try:
            return {**named, **self._planned(clip)}
        except FlawError as flaw:
            return {
                **named,
                "left_out_code": Code.NOT_IMPORTABLE.value,
                "left_out_reason": str(flaw),
            }

    def _planned(self, clip: Precomputed) -> Mapping[str, Any]:
        if clip.flaw is not None:
            raise FlawError(clip.flaw)
        tensors = {name: self.importer.load(path) for name, path in clip.files.items()}
        bucket = self._bucket(tensors["video_latents"])
        for component, tensor in tensors.items():
            self._require_shape(component, tensor, bucket)
        self._require_dtype(tensors["video_latents"])
        return {**self._columns(bucket), **self._keys(clip, bucket)}

    def _bucket(self, latents: torch.Tensor) -> Bucket:
        """The pixels that such latents are of.

        Of several numbers of frames, such as CogVideoX's 4k and 4k+1, the smallest is taken.
        """
        facts = self.family.facts(self.model)
        if latents.ndim != 4:
            raise FlawError(f"its video latents have {latents.ndim} dimensions instead of 4")
        latent_frames, height, width = latents.shape[1:]
        side, profile = facts["spatial_compression"], self.family.profile
        frames = profile.frames_of(latent_frames)
        if frames is None:
            raise FlawError(f"no clip that {profile.name} takes has {latent_frames} latent frames")
        bucket = Bucket(frames, height * side, width * side)
        if not profile.accepts_size(bucket.width, bucket.height):
            raise FlawError(f"its latents are of {bucket}, which {profile.name} does not take")
        return bucket

    def _require_shape(self, component: Component, tensor: torch.Tensor, bucket: Bucket) -> None:
        frames = 1 if component == "image_latents" else bucket.frames
        expected = self.family.shape(self.model, component, frames, bucket.height, bucket.width)
        if tuple(tensor.shape) != expected:
            found = ", ".join(map(str, tensor.shape))
            wanted = ", ".join(map(str, expected))
            raise FlawError(f"its {component} are [{found}]; this model's are [{wanted}]")
        if not tensor.is_floating_point():
            raise FlawError(f"its {component} are of type {tensor.dtype}, not of floats")

    def _require_dtype(self, latents: torch.Tensor) -> None:
        if self.dtype is None:
            self.dtype = latents.dtype
        if latents.dtype != self.dtype:
            raise FlawError(f"its latents are {latents.dtype}; those of the first {self.dtype}")

    def _columns(self, bucket: Bucket) -> Mapping[str, Any]:
        """As of a video that had just these frames and pixels: what it was like is not known."""
        fps = self.importer.fps
        whole = {"x": 0, "y": 0, "width": bucket.width, "height": bucket.height}
        return {
            "clip": 0,
            "stream": 0,
            "pyav_only": True,
            "source_width": bucket.width,
            "source_height": bucket.height,
            "source_frames": bucket.frames,
            "source_fps": float(fps),
            "available_frames": bucket.frames,
            "start": 0.0,
            "end": bucket.frames / fps,
            "fps": float(fps),
            "speed": 1.0,
            "frame_indices": to_text(np.arange(bucket.frames)),
            "frame_ticks": None,
            "time_base": f"1/{fps}",
            "frames": bucket.frames,
            "height": bucket.height,
            "width": bucket.width,
            **{f"{box}_{side}": n for box in ("crop", "fit") for side, n in whole.items()},
        }

    def _keys(self, clip: Precomputed, bucket: Bucket) -> Mapping[str, Any]:
        latents = [path for name, path in clip.files.items() if name.endswith("_latents")]
        fingerprint = _fingerprint(latents)
        whole = Box(0, 0, bucket.width, bucket.height)
        video = transform_of(0, to_text(np.arange(bucket.frames)), whole, whole, bucket)
        image = transform_of(0, "0", whole, whole, bucket, image=True)
        caption = prompt_key(clip.caption)
        self._compare_embeds(caption, clip.files["prompt_embeds"])
        return {
            "fingerprint": fingerprint,
            "video_key": video_key(fingerprint, video),
            "image_key": video_key(fingerprint, image),
            "prompt_key": caption,
        }

    def _compare_embeds(self, caption: str, path: Path) -> None:
        """A store has one embedding a caption."""
        import torch

        first = self.captions.setdefault(caption, path)
        if first != path and not torch.equal(self.importer.load(first), self.importer.load(path)):
            self.differing += 1


def _fingerprint(paths: Iterable[Path]) -> str:
    digest = xxhash.xxh3_128()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
    return digest.hexdigest()
