"""VP317 to VP319: what the trainer whose config is given makes of a file."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.index.test_placement import media, policy
from tests.support.rules import check, clip, rule_test, sample
from videoprep.index.placement import place
from videoprep.spec.configs.contract import Treatment
from videoprep.spec.configs.diffusion_pipe import PipeTreatment
from videoprep.spec.configs.finetrainers import FinetrainersTreatment
from videoprep.spec.configs.musubi_tuner import MusubiSizes, MusubiVideos
from videoprep.validators.protocol import Severity, Subject
from videoprep.validators.rules.trainer import TrainerClips, TrainerDrops, TrainerSpeed

MUSUBI = MusubiVideos(MusubiSizes(96, 64, enable_bucket=True), (17,))
PIPE = PipeTreatment((1, 17), (1.5,), (80.0,))
SQUEEZED = FinetrainersTreatment(((17, 64, 96),))


def treated(treatment: Treatment, frames: int, fps: int = 16) -> Subject:
    """A sample of Wan, of a dataset of a trainer's config."""
    info = media(96, 64, frames, fps=Fraction(fps))
    rules = replace(policy(profile="wan", reshape="center-crop"), treatment=treatment)
    rules = replace(rules, target_fps=treatment.rate(rules.profile))
    return Subject(sample(), rules, _media=info, _plan=place(info, rules))


test_drops = rule_test(
    TrainerDrops,
    breaks=[treated(MUSUBI, 16), treated(PIPE, 20, 24)],
    clean=[treated(MUSUBI, 17), treated(PIPE, 40, 24), clip(96, 64, 9)],
)

test_speed = rule_test(
    TrainerSpeed,
    breaks=[treated(MUSUBI, 40, 30), treated(SQUEEZED, 40)],
    clean=[treated(MUSUBI, 40, 16), treated(PIPE, 40, 30), clip(96, 64, 9)],
)

test_clips = rule_test(
    TrainerClips,
    breaks=[treated(MUSUBI, 40), treated(PIPE, 40)],
    clean=[treated(MUSUBI, 9), clip(96, 64, 9)],
)


def test_it_says_how_much_faster_and_whether_the_plan_is() -> None:
    (slow,) = check(TrainerSpeed, treated(MUSUBI, 40, 32))
    assert slow.message == "musubi-tuner: slowed down ×0.50, for a model of 16 fps"
    (fast,) = check(TrainerSpeed, treated(SQUEEZED, 49, 16))
    assert fast.message == "finetrainers: sped up ×3.00, for a model of 16 fps"
    dropping = replace(MUSUBI, source_fps=32.0)
    (fast,) = check(TrainerSpeed, treated(dropping, 40, 16))
    assert fast.message.startswith("musubi-tuner: sped up ×2.00")
    assert fast.message.endswith("the plan keeps its speed")


def test_it_says_each_clip_and_how_the_plan_differs() -> None:
    (told,) = check(TrainerClips, treated(MUSUBI, 40))
    assert told.message == "musubi-tuner makes of 40 frames: 17×64×96 of frames 0–16; planned alike"
    assert told.data["clips"] == [{"bucket": "17×64×96", "frames": [0, 16]}]
    off = replace(MUSUBI, sizes=MusubiSizes(64, 96))
    (told,) = check(TrainerClips, treated(off, 40))
    assert told.severity is Severity.WARNING
    assert "in training: batches of clips of several sizes fail" in told.message
    (told,) = check(TrainerClips, treated(FinetrainersTreatment(((17, 50, 96),)), 40))
    assert told.message.endswith("planned: none (VP101)")
