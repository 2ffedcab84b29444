"""VP215: captions that speak of the video."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.caption_video import CaptionVideo

test_caption_video = rule_test(
    CaptionVideo,
    breaks=[
        "The video shows a man on a horse.",
        "This clip features two dogs.",
        "In this video, a man rides.",
        "The image depicts a man.",
        "We can see a man on a horse.",
        "A man rides. The video ends with a sunset.",
        "A man rides throughout the video.",
        "The footage is shaky.",
    ],
    clean=[
        "A man films a video with his phone.",
        "The video game shop shows a new poster.",
        "Two people talk in the video game shop.",
        "A paper clip falls.",
        "video of a cat",
        "CCTV footage, car park",
        "A woman watches how the scene unfolds.",
        "A sign reads “The video shows it all”.",
        "",
    ],
)
