"""What refiners are asked: to rewrite a caption faithfully, or to expand a short prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

RefineMode = Literal["faithful", "creative"]
"""Whether a text keeps to the facts of its source, or details are made up."""

CAPTION, STYLE, LENGTH = "{caption}", "{style}", "{length}"
"""Stand in a prompt for the text that is rewritten, the model's style, and how long it may be."""

FAITHFUL = f"""\
Rewrite the caption of a video clip so that a video model can be trained on it.

Keep every fact of the caption: who and what is there, how many there are, colours, names, what \
happens and in which order, the place, the light and the camera. Add no facts: no object, number, \
colour, name, feeling, sound or movement of the camera that the caption does not state. If it says \
that something is missing or does not happen, say so, too. Keep its own words for things and \
actions. If there is little to tell, write little.

Style: {STYLE}
{LENGTH}
Write one paragraph of plain prose in English. Begin with the subject itself, without an \
introduction. Answer with the rewritten caption alone.

Caption: {CAPTION}"""
"""The default prompt."""

EXAMPLES = (
    (
        "a lighthouse in a storm",
        "Night rain sweeps across a rocky headland where a white lighthouse stands above a black, "
        "heaving sea. Its lamp turns slowly, and the beam cuts through the spray, lighting up each "
        "wave as it climbs the cliff and bursts into foam. Water runs down the stone steps and "
        "gathers in dark pools between the boulders. In a small window halfway up the tower a warm "
        "light burns, and the shadow of the keeper moves past it. The camera stays low and far "
        "off, holding the tower at the right of the frame while clouds race behind it.",
    ),
    (
        "children with a kite",
        "On a wide, pale beach two children run side by side through shallow water, a red kite "
        "tugging at the line that they hold together. The older girl, in a yellow raincoat, looks "
        "back over her shoulder and laughs; the boy, barefoot and in rolled-up jeans, stumbles, "
        "catches himself and runs on. Their steps throw up small fans of water that glitter in the "
        "low afternoon sun. The kite climbs, dips and climbs again against a sky of thin white "
        "clouds. The camera follows beside them at the height of their hands and slowly falls "
        "behind.",
    ),
    (
        "a robot makes coffee",
        "In a narrow kitchen at dawn a slender robot with a brushed steel body and round amber "
        "eyes bends over an old espresso machine. Its jointed fingers press the ground coffee flat "
        "with great care, lock the handle into place and turn a brass valve. Steam hisses out and "
        "clouds the tiles; a dark stream fills a small blue cup, drop by drop. The robot tilts its "
        "head, waits, and pushes the cup across the counter into a patch of sunlight. The shot "
        "opens on its hands in close view and moves gently back until the whole room is seen.",
    ),
)
"""Short prompts with what they are expanded to."""


def _examples(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join(f"Prompt: {short}\nDescription: {long}" for short, long in pairs)


CREATIVE = f"""\
Expand a short prompt into a detailed description of a video, from which a video model makes it.

Keep everything that the prompt asks for, and work it in rather than appending to it. Make up the \
rest: what the subjects look like, what they do from moment to moment, the surroundings, the \
light, the colours and the camera. The whole is one shot, without cuts. Give one description, \
about as long as those of the examples.

{_examples(EXAMPLES)}

Style: {STYLE}
{LENGTH}
Write one paragraph of plain prose in English, whatever the language of the prompt. Begin with the \
scene itself, without an introduction. Answer with the description alone.

Prompt: {CAPTION}"""
"""The prompt of the mode ``creative``."""

PROMPTS: dict[RefineMode, str] = {"faithful": FAITHFUL, "creative": CREATIVE}

_PLACES = re.compile("|".join(map(re.escape, (CAPTION, STYLE, LENGTH))))
_BLANK_LINES = re.compile(r"\n{3,}")

MOST_OF_DRAFT = 4000
"""Characters of an earlier answer that are sent back."""


@dataclass(frozen=True, slots=True)
class RefinePrompt:
    """An instruction, the same for all captions but for the caption itself."""

    text: str
    """With `CAPTION` where a caption comes. `STYLE` and `LENGTH` may be missing."""
    style: str
    """See `videoprep.families.profile.Profile.caption_style`."""

    def first(self, caption: str, length: str) -> str:
        """Return what is asked first.

        Args:
            caption: the text that is rewritten. What stands in it is left as it is.
            length: how long it may be, in a sentence; empty for any length.
        """
        text = self.text if CAPTION in self.text else f"{self.text}\n\nCaption: {CAPTION}"
        if LENGTH not in text:
            text = text.replace(CAPTION, f"{CAPTION}\n\n{LENGTH}", 1)
        values = {CAPTION: caption, STYLE: self.style, LENGTH: length}
        empty = text.replace(f"{LENGTH}\n", "") if not length else text
        return _PLACES.sub(lambda found: values[found[0]], empty).strip()

    def shorter(self, caption: str, draft: str, what: str, length: str) -> str:
        """Return what is asked if an answer is too long.

        Args:
            caption: the text that is rewritten.
            draft: the answer.
            what: how long it is, and how long it may be, in a sentence.
            length: how long it may be now, in a sentence.
        """
        again = (
            "Shorten it. Leave out what matters least, and say the rest in fewer words. Keep the "
            "subject, what happens, numbers, colours, names, and what is said to be missing, as "
            "far as they fit; add nothing."
        )
        return self._again(caption, draft, f"{what} {again}", length)

    def corrected(self, caption: str, draft: str, what: str, length: str) -> str:
        """Return what is asked if an answer is not faithful.

        Args:
            caption: the text that is rewritten.
            draft: the answer.
            what: what it adds and what it lacks, in sentences.
            length: how long it may be, in a sentence; empty for any length.
        """
        again = "Correct that. Stay closer to the caption's own words, and add nothing."
        return self._again(caption, draft, f"{what} {again}", length)

    def _again(self, caption: str, draft: str, what: str, length: str) -> str:
        first = self.first(caption, length)
        return f"{first}\n\nThis was an earlier answer:\n{draft[:MOST_OF_DRAFT]}\n\n{what} {length}"
