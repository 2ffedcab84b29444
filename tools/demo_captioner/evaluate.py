"""How often the demo's captioner is right about scenes of combinations that it never saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.demo_captioner.shown_scenes import kinds
from videoprep.captions.local_model import open_local_captioner
from videoprep.captions.prompts import PRESETS
from videoprep.captions.protocol import CaptionReply, CaptionRequest
from videoprep.demo.scenes import Scene, pictures

_FRAMES = 16
_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Said:
    """What it said of a scene."""

    scene: Scene
    text: str

    def rights(self) -> dict[str, bool]:
        """Return whether each thing that it can tell is right, and all of it."""
        one = self.scene
        words = {
            "shape": f" {one.shape} ",
            "colour": f" {one.colour} ",
            "motion": f" {one.motion} ",
            "sky": f" {one.sky}.",
        }
        found = {name: text in self.text for name, text in words.items()}
        return {**found, "the whole sentence": self.text == one.caption}


def evaluate(model: Path, *, held_out: bool = True) -> list[Said]:
    """Ask the captioner about one scene of each combination, through the same code as ever.

    Args:
        model: its folder.
        held_out: whether of the combinations that training never showed, or of all others.
    """
    captioner = open_local_captioner(str(model), device="cpu", batch_size=8)

    def questions() -> Iterator[tuple[Scene, CaptionRequest]]:
        for number, kind in enumerate(kinds(held_out=held_out)):
            width, height = ((192, 128), (96, 64), (64, 96))[number % 3]
            scene = Scene(*kind, width, height, 24)
            moments = np.linspace(0, scene.frames - 1, _FRAMES)
            frames = list(pictures(scene, moments))
            times = tuple(float(time) for time in np.linspace(0, _SECONDS, _FRAMES))
            yield scene, CaptionRequest(PRESETS["dense"], frames, times, _SECONDS, max_tokens=64)

    return [
        Said(scene, reply.text if isinstance(reply, CaptionReply) else "")
        for scene, reply in captioner.ask(questions())
    ]


def print_table(said: list[Said]) -> None:
    """Print the share of scenes of which each thing is right."""
    print("| what it tells | right |\n| --- | --- |")
    rights = [one.rights() for one in said]
    for name in rights[0]:
        right = sum(one[name] for one in rights)
        print(f"| {name} | {right} of {len(said)} |")
