"""VP211: refusals."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.caption_refusal import CaptionRefusal

test_caption_refusal = rule_test(
    CaptionRefusal,
    breaks=[
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot describe this video.",
        "I'm unable to view videos directly.",
        "I am not able to identify the person shown.",
        "Sorry, I can't assist with that request.",
        "Unfortunately, I cannot watch this clip.",
        "As an AI language model, I have no access to videos.",
        "A man walks. As an AI, I can not say who he is.",
        "I cannot provide a caption for this content.",
        "I don't see any video attached.",
        "It seems that no video was provided.",
        "It looks like the images were not uploaded. Please upload the images.",
        "Please provide the frames and I will caption them.",
        "抱歉，我无法描述这个视频。",
    ],
    clean=[
        "A man says “I'm sorry, I can't help you.”",
        "She mouths: 'I cannot continue' and leaves.",
        "A woman apologizes to her friend, who cannot forgive her.",
        "A boy who cannot see the ball swings at it.",
        "A robot, dressed as an AI assistant, waves.",
        'A sign reads "Sorry, we\'re closed"',
        "A man hands over the papers that were provided.",
        "sorry board game on a table",
        "I can't believe it, he scores",
        "",
    ],
)
