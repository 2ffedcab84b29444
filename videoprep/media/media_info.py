"""What is in a video file or a still image, as probing it finds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from videoprep.media.audio_info import AudioInfo
from videoprep.media.geometry import pixel_aspect, square_size
from videoprep.media.orientation import Orientation
from videoprep.media.timestamps import Timestamps


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is in a video file, or in a still image, which is a clip of one frame.

    Attributes:
        fingerprint: xxh3-128 of the file's bytes, 32 hexadecimal digits.
        stream: index of the best video stream, as FFmpeg chooses it.
        width: pixels a row, upright; sample aspect ratio not applied.
        height: rows, upright.
        timestamps: when each frame is shown; edit lists applied.
        picture_start: seconds from where the file begins to its first frame. It begins where its
            earliest stream does, or at zero if that is later: sound that starts before zero is what
            an encoder needs to get going.
        fps: frames a second: the header's if the timestamps agree with it, else their average. If
            the rate is constant but for gaps, that rate. None of a still image, which has none.
        variable_frame_rate: whether the intervals between frames differ noticeably.
        orientation: how decoded frames have to be turned to stand upright.
        sample_aspect_ratio: width of a pixel over its height; 1 where the file does not say.
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the codec.
        header_frames: how many frames the header announces; 0 where it does not say.
        packets: how many packets there are, also those that an edit list hides.
        repeated_times: how many frames are not among those of ``timestamps``: each has the time of
            another, or one before the first.
        cut_off: whether the file ends before what its header announces.
        interlaced: whether the first frame is made of two fields.
        pixel_format: FFmpeg's name of the pixel format.
        bit_depth: bits of the deepest component.
        alpha: whether the pixels have transparency.
        color_space: matrix coefficients, FFmpeg's number (1: BT.709, 2: untagged, 6: BT.601).
        color_range: FFmpeg's number (0: untagged, 1: limited, 2: full).
        color_primaries: FFmpeg's number.
        color_transfer: FFmpeg's number.
        audio: what is in its sound; None if it has no audio stream.
    """

    fingerprint: str
    stream: int
    width: int
    height: int
    timestamps: Timestamps
    picture_start: Fraction
    fps: Fraction | None
    variable_frame_rate: bool
    orientation: Orientation
    sample_aspect_ratio: Fraction
    container: str
    codec: str
    header_frames: int
    packets: int
    repeated_times: int
    cut_off: bool
    interlaced: bool
    pixel_format: str
    bit_depth: int
    alpha: bool
    color_space: int
    color_range: int
    color_primaries: int
    color_transfer: int
    audio: AudioInfo | None

    @property
    def frames(self) -> int:
        """The true number of frames."""
        return len(self.timestamps.ticks)

    @property
    def is_still(self) -> bool:
        """Whether it is a still image: it has one frame, and neither a rate nor a duration."""
        return self.fps is None

    @property
    def rate(self) -> Fraction:
        """Frames a second of a video.

        Raises:
            ValueError: it is a still image.
        """
        if self.fps is None:
            raise ValueError("a still image has no frame rate")
        return self.fps

    @property
    def time_base(self) -> Fraction | None:
        """Seconds in a tick of ``timestamps``; None of a still image, which has no time."""
        return None if self.is_still else self.timestamps.time_base

    @property
    def duration(self) -> float | None:
        """Seconds from the first frame to the end of the last; None of a still image."""
        return None if self.fps is None else self.seconds

    @property
    def seconds(self) -> float:
        """The duration of a video.

        Raises:
            ValueError: it is a still image.
        """
        ticks = self.timestamps.ticks
        return float(ticks[-1] - ticks[0]) * float(self.timestamps.time_base) + 1 / float(self.rate)

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel of the upright picture over its height; 1 where rounding explains it."""
        ratio = self.sample_aspect_ratio
        upright = 1 / ratio if self.orientation.transpose else ratio
        return pixel_aspect(self.width, self.height, upright)

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height, upright, in square pixels: what players show."""
        if self.sample_aspect_ratio == 1:  # fractions take time, and datasets may be large
            return self.width, self.height
        return square_size(self.width, self.height, self.pixel_aspect)

    def with_fingerprint(self, fingerprint: str) -> MediaInfo:
        """The same of a file with other bytes."""
        made: MediaInfo = object.__new__(MediaInfo)
        for name in self.__slots__:  # several times as fast as dataclasses.replace
            object.__setattr__(made, name, getattr(self, name))
        object.__setattr__(made, "fingerprint", fingerprint)
        return made

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write; `from_json` reads it back."""
        data: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        data["timestamps"] = self.timestamps.to_json()
        data["picture_start"] = str(self.picture_start)
        data["fps"] = None if self.fps is None else str(self.fps)
        data["sample_aspect_ratio"] = str(self.sample_aspect_ratio)
        turn = self.orientation
        data["orientation"] = [turn.transpose, turn.flip_horizontal, turn.flip_vertical]
        data["audio"] = None if self.audio is None else self.audio.to_json()
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MediaInfo:
        """The inverse of `to_json`."""
        fields = dict(data)
        fields["timestamps"] = Timestamps.from_json(fields["timestamps"])
        fields["picture_start"] = Fraction(fields["picture_start"])
        fields["fps"] = None if fields["fps"] is None else Fraction(fields["fps"])
        fields["sample_aspect_ratio"] = Fraction(fields["sample_aspect_ratio"])
        fields["orientation"] = Orientation(*fields["orientation"])
        fields["audio"] = fields["audio"] and AudioInfo.from_json(fields["audio"])
        return cls(**fields)
