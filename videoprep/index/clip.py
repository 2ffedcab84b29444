"""One row of the index: a planned clip, and the keys of what will be made from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoprep.families.caption_places import FURTHER_CAPTIONS, FURTHER_KEYS
from videoprep.index.bucket import Bucket
from videoprep.index.numbers import from_text, to_text
from videoprep.index.schema import media_column, media_columns
from videoprep.media.audio import Channels
from videoprep.media.clip import ClipPixels
from videoprep.media.clip_request import ClipSound
from videoprep.media.decode import FrameChoice
from videoprep.media.geometry import Box, scaled_box, whole
from videoprep.spec.roles import AUDIO, VIDEO, Role

# Rates are kept as floats; what 30000/1001 was is found again exactly.
_MOST_DENOMINATOR = 100_000


@dataclass(frozen=True, slots=True)
class ClipMedia:
    """A file that a clip has beside its video."""

    role: Role
    """What it is to the clip."""
    name: str
    """As the dataset names it."""
    path: Path
    fingerprint: str
    """Of the file that was planned."""
    stream: int
    start: Fraction | None = None
    """Seconds on the file's clock at which the clip begins, of what is aligned in time."""
    pixels: ClipPixels | None = None
    """All that decides its pixels, of what has any: for a role that is aligned in frames those of
    the clip's instants, in the clip's size."""
    key: str | None = None
    """Stands for those pixels wherever the file lies."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A sample, a time range, a crop, and the bucket it goes to.

    Attributes:
        row: its row in the index.
        sample: stands for the sample, whatever its line and caption.
        number: which of the sample's clips it is, from 0.
        video: the file, as the dataset names it.
        caption: the text, id token included.
        file: the list that names it.
        line: the line in that list.
        fps: frames a second at which ``pixels.frames`` are taken; None of a still image.
        bucket: frames, height and width.
        pixels: all that decides the pixels.
        video_key: stands for those pixels wherever the file lies.
        image_key: the same for the first frame alone.
        prompt_key: stands for the caption.
        audio_key: stands for the sound of exactly these frames; empty if there is none, None if it
            is not known, as in a plan of an earlier version.
        beside: the files that it has beside its video.
        further_captions: its captions after the first, id token included.
        further_prompt_keys: what stands for each of them.
    """

    row: int
    sample: str
    number: int
    video: str
    caption: str
    file: str
    line: int
    fps: float | None
    bucket: Bucket
    pixels: ClipPixels
    video_key: str
    image_key: str
    prompt_key: str
    audio_key: str | None = None
    beside: tuple[ClipMedia, ...] = ()
    further_captions: tuple[str, ...] = ()
    further_prompt_keys: tuple[str, ...] = ()

    @property
    def captions(self) -> tuple[str, ...]:
        """All its captions, the first one first."""
        return (self.caption, *self.further_captions)

    def with_caption(self, number: int) -> Clip:
        """Return the clip with one of its captions, counted from 0, in the place of the first."""
        if not number:
            return self
        text, key = self.further_captions[number - 1], self.further_prompt_keys[number - 1]
        return replace(self, caption=text, prompt_key=key)

    @property
    def has_audio(self) -> bool | None:
        """Whether there is sound at the time of its frames; None if that is not known."""
        return None if self.audio_key is None else bool(self.audio_key)

    @property
    def media(self) -> Mapping[Role, ClipMedia]:
        """The files that it has beside its video, by role."""
        return {one.role: one for one in self.beside}

    def pixels_of(self, role: Role) -> ClipPixels | None:
        """All that decides the pixels of a role; None if the clip has none of it."""
        if role == VIDEO:
            return self.pixels
        media = self.media.get(role)
        return None if media is None else media.pixels

    @property
    def is_still(self) -> bool:
        """Whether it is a still image: one frame, without a rate and a duration."""
        return self.fps is None

    @property
    def rate(self) -> Fraction:
        """Frames a second at which the frames are taken, as a fraction such as 24000/1001.

        Raises:
            ValueError: it is a still image.
        """
        if self.fps is None:
            raise ValueError("a still image has no frame rate")
        return rate_of(self.fps)

    def sound(
        self, *, sample_rate: int | None = None, channels: Channels | None = None, pad: bool = False
    ) -> ClipSound:
        """Return what is asked for to get the sound of exactly these frames; see `ClipSound`.

        It is the video's own, or that of a file of its own.
        """
        file, frames = self.media.get(AUDIO), self.pixels.frames
        if file is None:
            return ClipSound.of(
                frames,
                self.pixels.fingerprint,
                self.rate,
                sample_rate=sample_rate,
                channels=channels,
                pad=pad,
            )
        return ClipSound(
            path=file.path,
            fingerprint=file.fingerprint,
            start=file.start,
            frame=0,
            length=len(frames.indices) / self.rate,
            sample_rate=sample_rate,
            channels=channels,
            pad=pad,
        )


def rate_of(fps: float) -> Fraction:
    """Frames a second as a fraction: what a video file says, and its reader gets back."""
    return Fraction(fps).limit_denominator(_MOST_DENOMINATOR)


def video_key(fingerprint: str, transform: str) -> str:
    """Key of a clip or of its first frame.

    Args:
        fingerprint: of the file's contents.
        transform: which frames are taken and what is done to them.
    """
    return _key(f"{fingerprint} {transform}")


def transform_of(
    stream: int, frames: str, crop: Box, fit: Box, bucket: Bucket, *, image: bool = False
) -> str:
    """All that decides a clip's pixels apart from the file's contents, or those of an image."""
    boxes = f"{crop.x},{crop.y},{crop.width},{crop.height} {fit.x},{fit.y},{fit.width},{fit.height}"
    kind = "image" if image else "video"
    return f"{kind} {stream} {frames} {boxes} {bucket.height},{bucket.width}"


def frames_text(
    indices: NDArray[np.integer], *, still: bool = False, background: str | None = None
) -> str:
    """What `transform_of` has of the frames.

    Args:
        indices: their numbers.
        still: whether the file is a still image.
        background: the colour under its transparent pixels; None if it has none, or it is white.
    """
    if not still or len(indices) > 1:  # one that goes with each frame of a clip is repeated
        return to_text(indices)
    return "still" if background is None else f"still on {background}"


def audio_key(fingerprint: str, span: str) -> str:
    """Key of the sound of a clip.

    Args:
        fingerprint: of the file's contents.
        span: when it begins and how long it lasts; see `span_of`.
    """
    return _key(f"{fingerprint} {span}")


def span_of(start: Fraction | None, frame: int, length: Fraction) -> str:
    """All that decides the sound of a clip apart from the file's contents; see `ClipSound`."""
    begin = f"frame {frame}" if start is None else f"{start} s"
    return f"audio {begin} {length} s"


def prompt_key(caption: str) -> str:
    """Key of a caption."""
    return _key(f"prompt {caption}")


def keys_of(clip: Clip) -> tuple[str, str, str]:
    """The keys of a clip, of its first frame and of its caption, from all that decides them."""
    pixels, frames = clip.pixels, clip.pixels.frames
    boxes = pixels.crop, pixels.fit
    first = frames_text(
        np.asarray(frames.indices[:1], dtype=np.int64),
        still=frames.is_still,
        background=frames.background,
    )
    image = transform_of(frames.stream, first, *boxes, clip.bucket, image=True)
    image_key = video_key(pixels.fingerprint, image)
    return pixels_key(pixels), image_key, prompt_key(clip.caption)


def pixels_key(pixels: ClipPixels) -> str:
    """Key of the pixels of a clip, or of a medium that it has beside its video."""
    frames = pixels.frames
    taken = frames_text(
        np.asarray(frames.indices, dtype=np.int64),
        still=frames.is_still,
        background=frames.background,
    )
    bucket = Bucket(len(frames.indices), pixels.height, pixels.width)
    transform = transform_of(frames.stream, taken, pixels.crop, pixels.fit, bucket)
    return video_key(pixels.fingerprint, transform)


def has_own_keys(clip: Clip) -> bool:
    """Return whether the keys of a clip are those that its plan comes to."""
    if (clip.video_key, clip.image_key, clip.prompt_key) != keys_of(clip):
        return False
    if clip.further_prompt_keys != tuple(map(prompt_key, clip.further_captions)):
        return False
    for media in clip.beside:
        if media.pixels is not None and media.key != pixels_key(media.pixels):
            return False
    if not clip.audio_key:
        return True
    sound = clip.sound()
    span = span_of(sound.start, sound.frame, sound.length)
    return clip.audio_key == audio_key(sound.fingerprint, span)


def clip_from_row(row: int, values: dict[str, Any], root: Path, roles: Sequence[Role]) -> Clip:
    """Reads a planned row of the index table.

    Args:
        row: its number.
        values: by column.
        root: what the paths are relative to.
        roles: those that the table has columns of; see `schema.roles_in`.
    """
    bucket = Bucket(values["frames"], values["height"], values["width"])
    pixels = ClipPixels(
        frames=_frames(values, root, values["video"]),
        fingerprint=values["fingerprint"],
        source_width=values["source_width"],
        source_height=values["source_height"],
        crop=_box(values, "crop"),
        fit=_box(values, "fit"),
        width=bucket.width,
        height=bucket.height,
    )
    taken = ("sample", "video", "caption", "file", "line", "fps")
    keys = ("video_key", "image_key", "prompt_key", "audio_key")
    return Clip(
        row=row,
        number=values["clip"],
        bucket=bucket,
        pixels=pixels,
        beside=tuple(_beside(values, root, roles, pixels)) if roles else (),
        further_captions=tuple(values.get(FURTHER_CAPTIONS) or ()),
        further_prompt_keys=tuple(values.get(FURTHER_KEYS) or ()),
        **{name: values[name] for name in (*taken, *keys)},
    )


def _beside(
    values: dict[str, Any], root: Path, roles: Sequence[Role], video: ClipPixels
) -> Iterator[ClipMedia]:
    for role in roles:
        own = {one.name: values[media_column(role, one.name)] for one in media_columns(role)}
        if own["path"] is None:
            continue
        start = own.get("start")
        yield ClipMedia(
            role=role,
            name=own["path"],
            path=root / own["path"],
            fingerprint=own["fingerprint"],
            stream=own["stream"],
            start=None if start is None else Fraction(start),
            pixels=None if role.kind.alignment == "time" else _pixels(own, root, video),
            key=own.get("key"),
        )


def _pixels(own: dict[str, Any], root: Path, video: ClipPixels) -> ClipPixels:
    """The pixels of a medium beside the video.

    What is aligned in frames has no crop of its own: it is the clip's, in the medium's resolution.
    """
    size = own["source_width"], own["source_height"]
    if "crop_x" in own:
        crop, fit = _box(own, "crop"), whole(own["width"], own["height"])
        width, height = own["width"], own["height"]
    else:
        crop = scaled_box(video.crop, (video.source_width, video.source_height), size)
        fit, width, height = video.fit, video.width, video.height
    return ClipPixels(
        frames=_frames(own, root, own["path"]),
        fingerprint=own["fingerprint"],
        source_width=size[0],
        source_height=size[1],
        crop=crop,
        fit=fit,
        width=width,
        height=height,
    )


def _frames(values: dict[str, Any], root: Path, name: str) -> FrameChoice:
    ticks = values["frame_ticks"]
    return FrameChoice(
        path=root / name,
        stream=values["stream"],
        indices=from_text(values["frame_indices"]),
        ticks=None if ticks is None else from_text(ticks),
        time_base=None if values["time_base"] is None else Fraction(values["time_base"]),
        background=values.get("background"),
    )


def _box(values: dict[str, Any], name: str) -> Box:
    return Box(*(values[f"{name}_{side}"] for side in ("x", "y", "width", "height")))


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
