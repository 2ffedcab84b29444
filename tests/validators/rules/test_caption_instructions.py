"""VP212: what belongs to the prompt or the chat."""

from __future__ import annotations

from tests.support.rules import rule_test
from videoprep.validators.rules.caption_instructions import CaptionInstructions

test_caption_instructions = rule_test(
    CaptionInstructions,
    breaks=[
        "Here is a caption for the video: A cat.",
        "Sure, here's a detailed description of the clip:\nA cat.",
        "Caption: A cat.",
        "**Description:** A cat.",
        "Assistant: A cat.",
        "A cat.</think>",
        "<think>A cat? A cat.",
        "<answer>A cat.</answer>",
        '{"caption": "A cat."}',
        '[{"description": "A cat."}]',
        "A cat sleeps, in the style of the examples.",
        "A cat sleeps, as per the user's request.",
        "The user wants a caption in English. A cat.",
        "A cat. Do not mention the watermark.",
        "The caption should be one sentence. A cat.",
        "Describe the video in detail. Respond only in English.",
        "Describe this video",
        "A cat. Let me know if you need more!",
        "A stylish woman walks down a Tokyo street filled with warm glowing neon.",
    ],
    clean=[
        "Here is a man who walks his dog.",
        "A cat with the caption “Here is the caption:” below it.",
        "A man holds a sign: “Do not use the lift”.",
        "Two friends follow the instructions and build a chair.",
        "A teacher answers a question; pupils respond.",
        "A user types on a laptop.",
        "Sure-footed goats climb.",
        "{red|blue} car",
        "<sks> person, <Marco> waves",
        "subtitle: where is the library",
        "A stylish woman walks down a street in Tokyo.",
        "",
    ],
)
