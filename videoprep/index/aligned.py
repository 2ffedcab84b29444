"""What of a control or a mask goes with a planned clip: which frames, and which part of them.

A medium that is aligned in frames shows what the clip shows, at the same instants, in the same
part of the picture. Its rate, its length and its resolution may differ from the video's. Pure
functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code
from videoprep.index.placement import LeftOut, Placement
from videoprep.media.geometry import Box, scaled_box
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import frames_at
from videoprep.spec.extras import TimeZero

MOST_STRETCHED = 0.01
"""Shares by which the aspect ratio of a medium may differ from the video's. 848×480 is what 16:9
becomes in sides that are multiples of 16: 0.6 % narrower."""

# Of a frame. A file whose picture starts late by less is one whose sound needed getting going.
_WHOLE_FRAME = 0.9

# Times are floats: a difference below a microsecond is none.
_NONE = 1e-6


@dataclass(frozen=True)
class PlannedClip:
    """A clip of a video, as far as it decides what of other media goes with it."""

    media: MediaInfo
    """What is in the video."""
    placement: Placement
    time_zero: TimeZero = "container"
    """Where times count from: what both files show then belongs together."""

    @cached_property
    def instants(self) -> NDArray[np.float64]:
        """Float64 ``[frames]``: seconds from the video's first frame to each planned one."""
        seconds: NDArray[np.float64] = self.media.timestamps.seconds()[self.placement.frame_indices]
        return seconds

    def seconds_on(self, other: MediaInfo) -> float:
        """Return what to add to seconds from the video's first frame, to count from another's.

        Players show both files from where they begin. A picture that starts 3 s after its sound is
        3 s late; a control that was made of its frames alone, without the sound, is not. A lead of
        less than a frame is no lead: sound often starts a few milliseconds before the picture.
        """
        if self.time_zero == "first-frame":
            return 0.0
        lead = self.media.picture_start - other.picture_start
        return float(lead) if abs(lead) * self.media.fps >= _WHOLE_FRAME else 0.0


@dataclass(frozen=True, slots=True)
class AlignedPlan:
    """What of a medium goes with a clip."""

    frame_indices: NDArray[np.int32]
    """Int32 ``[frames]``: its frames, one for each of the clip's."""
    crop: Box
    """The part of each that shows what the clip's crop shows. It goes where the clip's goes."""


def align(media: MediaInfo, clip: PlannedClip) -> AlignedPlan | LeftOut:
    """Choose the frames of a medium that show the instants of a clip, and the part of the picture.

    For each planned frame that is the frame nearest in time. A video of 24 frames a second that is
    planned at 16 takes its frames 0, 1, 3, 4, 6 …, which are shown at 0, 42, 125, 167 and 250 ms.
    Of a control of 8 frames a second, which are shown every 125 ms, it gets 0, 0, 1, 1, 2 …

    A medium of one frame, such as a still image, is the same for all frames; of a video that is to
    go with a still image the first frame is taken.

    Args:
        media: what is in it.
        clip: what it has to go with.
    """
    wrong = _other_aspect(media, clip.media)
    if wrong is not None:
        return wrong
    size, own = (clip.media.width, clip.media.height), (media.width, media.height)
    crop = scaled_box(clip.placement.crop, size, own)
    if media.frames == 1 or clip.media.frames == 1:
        return AlignedPlan(np.zeros(len(clip.placement.frame_indices), np.int32), crop)
    added = clip.seconds_on(media)
    wrong = _not_spanned(media, clip, added)
    if wrong is not None:
        return wrong
    return AlignedPlan(frames_at(media.timestamps.seconds(), clip.instants + added), crop)


def _other_aspect(media: MediaInfo, video: MediaInfo) -> LeftOut | None:
    """Why a medium cannot show the same part of the picture: it shows another picture."""
    width, height = media.shown_size
    of_width, of_height = video.shown_size
    if abs(width * of_height / (height * of_width) - 1) <= MOST_STRETCHED:
        return None
    return LeftOut(
        Code.OTHER_ASPECT,
        f"{width}×{height} has another aspect ratio than the video, which is "
        f"{of_width}×{of_height}",
        "make it of the whole picture of the video, in any resolution",
    )


def _not_spanned(media: MediaInfo, clip: PlannedClip, added: float) -> LeftOut | None:
    """Why a medium does not show all of a clip: more than half a frame of it is missing.

    Half a frame of whichever has the lower rate. A clip of 49 frames at 24 a second lasts 2.042 s.
    Of a control at 16 a second 33 frames, 2.063 s, are enough; 32 frames, 2 s, lack 42 ms, more
    than the 31 ms that are half a frame of it.
    """
    half = 0.5 / min(float(clip.placement.rate), float(media.fps)) + _NONE
    begins, ends = float(clip.instants[0]) + added, clip.placement.end + added
    missing = max(-begins, ends - media.duration)
    if missing <= half:
        return None
    where = "begins after" if -begins == missing else "ends before"
    return LeftOut(
        Code.NOT_SPANNED,
        f"{where} the clip: {missing:.3g} s of it are missing",
        "make it as long as the video, choose a range that it spans, or remove the sample",
    )
