"""One row of the index: a planned clip, and the keys of what will be made from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from videoprep.index.bucket import Bucket
from videoprep.index.placement import Placement
from videoprep.media.clip import ClipPixels
from videoprep.media.decode import FrameChoice
from videoprep.media.geometry import Box
from videoprep.media.probe import MediaInfo


@dataclass(frozen=True, slots=True)
class Clip:
    """A sample, a time range, a crop, and the bucket it goes to.

    Attributes:
        row: its row in the index.
        video: the file, as the dataset names it.
        caption: the text, id token included.
        file: the list that names it.
        line: the line in that list.
        fps: frames a second at which ``pixels.frames`` are taken.
        bucket: frames, height and width.
        pixels: all that decides the pixels.
        video_key: stands for those pixels wherever the file lies.
        image_key: the same for the first frame alone.
        prompt_key: stands for the caption.
    """

    row: int
    video: str
    caption: str
    file: str
    line: int
    fps: float
    bucket: Bucket
    pixels: ClipPixels
    video_key: str
    image_key: str
    prompt_key: str


def video_keys(media: MediaInfo, placement: Placement) -> tuple[str, str]:
    """Keys of the clip and of its first frame: the file's contents, the frames, the transform."""
    crop, bucket = placement.crop, placement.bucket
    fitting = [crop.x, crop.y, crop.width, crop.height, bucket.height, bucket.width]
    indices = placement.frame_indices.tolist()
    return (
        _key(["video", media.fingerprint, media.stream, indices, fitting]),
        _key(["image", media.fingerprint, media.stream, indices[:1], fitting]),
    )


def prompt_key(caption: str) -> str:
    """Key of a caption."""
    return _key(["prompt", caption])


def clip_from_row(row: int, values: dict[str, Any], root: Path) -> Clip:
    """Reads a planned row of the index table."""
    bucket = Bucket(values["frames"], values["height"], values["width"])
    frames = FrameChoice(
        path=root / values["video"],
        stream=values["stream"],
        indices=values["frame_indices"],
        ticks=values["frame_ticks"],
        time_base=Fraction(values["time_base"]),
        pyav_only=values["pyav_only"],
    )
    pixels = ClipPixels(
        frames=frames,
        fingerprint=values["fingerprint"],
        source_width=values["source_width"],
        source_height=values["source_height"],
        crop=Box(*(values[f"crop_{side}"] for side in ("x", "y", "width", "height"))),
        width=bucket.width,
        height=bucket.height,
    )
    taken = ("video", "caption", "file", "line", "fps", "video_key", "image_key", "prompt_key")
    return Clip(row=row, bucket=bucket, pixels=pixels, **{name: values[name] for name in taken})


def _key(parts: list[Any]) -> str:
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
