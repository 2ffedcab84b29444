"""VP214: frames and times in captions."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.caption_frames import CaptionFrames

test_caption_frames = rule_test(
    CaptionFrames,
    breaks=[
        "In the first frame, a man sits; in the last frame, he stands.",
        "A man sits (frame 3) and stands (frame 12).",
        "Frames 1-4: a man sits.",
        "Across the frames, a man walks.",
        "A frame-by-frame account of a man who walks.",
        "[00:03] A man sits down.",
        "00:01 --> 00:04 A man sits.",
        "0:00 - 0:04 a man sits",
        "A man sits at the 5-second mark.",
        "The given images tell of a man.",
        "A man sits in the second video frame.",
    ],
    clean=[
        "A man hangs a picture frame on a wall.",
        "A woman leans on a door frame.",
        "anime, impact frames",
        "24 frames per second, 35mm film",
        "A clock shows 10:45.",
        "A train leaves at 10:30.",
        "A carpenter builds the frames of two beds.",
        "A man enters the frame from the left.",
        "wide shot, 2.39:1",
        "A sign reads “frame 12”.",
        "",
    ],
)
