"""What captioners are asked: presets, prompts of the user's own, and a clip's own context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from videoprep.errors import VideoprepError
from videoprep.spec.path_hints import nowhere

Preset = Literal["dense", "short", "structured", "motion"]

CONTEXT = "{context}"
"""Stands in a prompt for what a column says about the clip."""

MOST_IN_CONTEXT = 4000
"""Characters of a clip's context that are sent."""

_MOST_IN_PROMPT = 100_000

_RULES = (
    "Write one paragraph of plain prose in English. Begin with the subject itself: no "
    'introduction such as "The video shows". Write only what can be seen. Do not guess at '
    "thoughts, causes, names or places, do not mention what is absent, and do not mention frames, "
    "images or the video."
)

_DENSE = (
    "Describe this video clip so precisely that someone could film it again. In the order of time, "
    "tell what the subjects look like, what they do and how they move; then the surroundings, the "
    "light and colours, the framing and the visual style. Say how the camera moves if it does. "
    f"{_RULES}"
)

_SHORT = (
    "Describe this video clip in one or two sentences of at most 40 words in total: the main "
    f"subject, what happens, and where. {_RULES}"
)

_STRUCTURED = (
    "Describe this video clip as a JSON object with these keys: "
    '"subjects" (a list of short descriptions of who or what is to be seen), "action" (what '
    'happens, in the order of time), "setting" (the surroundings), "lighting" (light and colours), '
    '"shot" (size and angle of the shot), "camera" (how the camera moves, or "static"), "style" '
    '(the visual style), and "caption" (all of it fused into one paragraph). '
    f"For every value: {_RULES} Answer with the JSON object alone."
)

_MOTION = (
    "The first frame of this video clip is known. Describe only what changes from there on, in the "
    "order of time: how the subjects move, what they do, what appears or leaves, and how the "
    "camera moves if it does. Name subjects briefly, by what they are, and do not describe how "
    f"they look, the surroundings or the style. Use at most 80 words. {_RULES}"
)

PRESETS: Mapping[Preset, str] = {
    "dense": _DENSE,
    "short": _SHORT,
    "structured": _STRUCTURED,
    "motion": _MOTION,
}
"""The instruction of each preset, without a clip's own context."""

_TEXT = {"type": "string"}
_KEYS = ("action", "setting", "lighting", "shot", "camera", "style", "caption")

STRUCTURED_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "subjects": {"type": "array", "items": _TEXT},
        **dict.fromkeys(_KEYS, _TEXT),
    },
    "required": ["subjects", *_KEYS],
    "additionalProperties": False,
}
"""The JSON schema of an answer to the preset ``structured``."""

_HINT = (
    "\n\nThis is known about the clip, and may be wrong. Use it only where the frames agree with "
    f"it:\n{CONTEXT}"
)


@dataclass(frozen=True, slots=True)
class CaptionPrompt:
    """An instruction, the same for all clips but for their context."""

    text: str
    """With `CONTEXT` where a clip's context comes."""
    schema: Mapping[str, Any] | None = None
    """The JSON schema of the answer; None if it is plain text."""

    def filled(self, context: str) -> str:
        """Return the instruction for one clip.

        Args:
            context: what is known about it; empty for nothing.
        """
        context = context.strip()[:MOST_IN_CONTEXT]
        if not context:
            return self.text.replace(_HINT, "").replace(CONTEXT, "").strip()
        return self.text.replace(CONTEXT, context).strip()


def make_prompt(preset: Preset, file: Path | None, *, has_context: bool) -> CaptionPrompt:
    """Return what captioners are asked.

    Args:
        preset: a prompt of this package.
        file: with a prompt of the user's own, which is asked instead.
        has_context: whether clips have a context. If the prompt has no place for it, it comes last.

    Raises:
        VideoprepError: the file cannot be read, or holds no prompt.
    """
    text = PRESETS[preset] if file is None else read_prompt(file)
    if CONTEXT in text and not has_context:
        raise VideoprepError(
            f"the prompt has {CONTEXT}, and no column gives the clips' context",
            where=str(file),
            remedy="name the column with `context_column`",
            option="prompt",
        )
    if has_context and CONTEXT not in text:
        text += _HINT
    return CaptionPrompt(
        text, STRUCTURED_SCHEMA if file is None and preset == "structured" else None
    )


def preset_of(text: str) -> Preset | None:
    """Return the preset whose instruction a text is, with or without a clip's own context."""
    plain = text.replace(_HINT, "")
    return next((name for name, known in PRESETS.items() if known == plain), None)


def read_prompt(file: Path) -> str:
    """Return a prompt of the user's own.

    Raises:
        VideoprepError: The file cannot be read, or holds no prompt.
    """
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(_MOST_IN_PROMPT + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise VideoprepError(
            f"the prompt cannot be read: {reason}",
            where=str(file),
            remedy=nowhere(file, "name a text file in UTF-8 that holds the prompt"),
            option="prompt",
        ) from error
    if not text or len(text) > _MOST_IN_PROMPT:
        what = f"has more than {_MOST_IN_PROMPT:,} characters" if text else "is empty"
        raise VideoprepError(
            f"the prompt {what}",
            where=str(file),
            remedy="write the instruction alone into this file, or leave out `prompt`",
            option="prompt",
        )
    return text
