"""What tests of rules are made of: samples, clips, scans and datasets that need no file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.index.test_placement import media, policy
from videoprep.families.component import SOUND, ComponentSpec, SoundFormat
from videoprep.index.placement import place
from videoprep.media.audio_info import AudioInfo
from videoprep.media.frame_scan import FrameScan
from videoprep.media.inspect import SoundInspection
from videoprep.media.sound_file import SoundInfo
from videoprep.media.sound_scan import SoundScan
from videoprep.spec.roles import AUDIO
from videoprep.spec.sample import Extras, Location, Sample
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Rule, Subject, Validator

Case = str | Subject | Overview
"""What a rule looks at; a text is a sample's caption."""

BUCKETS: dict[str, Any] = {
    "reshape": "center-crop",
    "height_buckets": (64,),
    "width_buckets": (96,),
}


def sample(caption: str = "a caption", line: int = 7, name: str = "videos/a.mp4") -> Sample:
    return Sample(name, caption, Path("root"), Location("videos.txt", line), "prompt.txt")


def captioned(caption: str) -> Subject:
    return Subject(sample(caption), policy())


def clip(width: int = 96, height: int = 64, frames: int = 9, **options: Any) -> Subject:
    """A sample of that size, with options of its dataset."""
    info, rules = media(width, height, frames), policy(**options)
    return Subject(sample(), rules, _media=info, _plan=place(info, rules))


def file(width: int = 96, height: int = 64, frames: int = 9, **facts: Any) -> Subject:
    """A sample whose file has these facts, such as ``interlaced=True``."""
    info, rules = media(width, height, frames, **facts), policy()
    return Subject(sample(), rules, _media=info, _plan=place(info, rules))


def part_of(subject: Subject, start: float, end: float) -> Subject:
    """The same about some of its frames."""
    extras = Extras(start, end, "frames")
    plan = None if subject._plan is None else place(subject.media, subject.policy, extras)
    return replace(subject, sample=replace(subject.sample, extras=extras), _plan=plan)


def scanned(frames: int = 10, **facts: Any) -> Subject:
    """A sample of which every frame was looked at; a fact is of all frames, or a list."""
    usual = {"brightness": 120, "contrast": 50, "change": 40, "jump": 5, "sharpness": 200}
    plain: dict[str, Any] = {"decoded": frames, "damaged": (), "complaint": None, "changes": ()}
    plain |= {name: facts.pop(name) for name in plain.keys() & facts.keys()}
    arrays = {
        name: np.broadcast_to(np.asarray(value, np.uint8), frames)
        for name, value in {**usual, **facts}.items()
    }
    return Subject(
        sample(), policy(), _media=media(96, 64, frames), _scan=FrameScan(**plain, **arrays)
    )


def overview(*captions: str, identities: list[int] | None = None) -> Overview:
    """A dataset of samples with these captions; equal identities are one file."""
    samples = [sample(text, line, f"{line}.mp4") for line, text in enumerate(captions, start=1)]
    inodes = identities or list(range(len(samples)))
    pairs = np.array([[1, inode] for inode in inodes], dtype=np.uint64).reshape(-1, 2)
    made = Overview("videos.txt", len(samples), samples, pairs)
    for one in samples:
        made.add(one, None, None)
    return made


def overview_of(*captions: tuple[str, ...], identities: list[int] | None = None) -> Overview:
    """The same of samples that may have several captions each."""
    firsts = overview(*(texts[0] for texts in captions), identities=identities)
    samples = [
        replace(one, further=texts[1:]) for one, texts in zip(firsts.samples, captions, strict=True)
    ]
    made = Overview(firsts.list_file, firsts.total, samples, firsts.identities)
    for one in samples:
        made.add(one, None, None)
    return made


def check(rule: type[Rule], case: Case, **options: Any) -> list[Finding]:
    """What a rule finds in a case."""
    made = rule(rule.Options(**options))
    if isinstance(case, Overview):
        assert isinstance(made, DatasetValidator)
        return list(made.check_dataset(case))
    assert isinstance(made, Validator)
    return list(made.check(captioned(case) if isinstance(case, str) else case))


def rule_test(
    rule: type[Rule], *, breaks: Iterable[Case], clean: Iterable[Case]
) -> Callable[..., None]:
    """Make the test of a rule: it reports each case that breaks it, and nothing about the others.

    Args:
        rule: its class.
        breaks: cases that it reports.
        clean: cases that it does not report.
    """
    cases = [*(("breaks", case) for case in breaks), *(("clean", case) for case in clean)]
    assert {kind for kind, _ in cases} == {"breaks", "clean"}, "a rule needs a case of each kind"

    @pytest.mark.parametrize(("kind", "case"), cases)
    def test(kind: str, case: Case) -> None:
        found = check(rule, case)
        assert bool(found) == (kind == "breaks"), found
        for finding in found:
            assert finding.code == rule.code
            assert finding.message.isprintable()
            assert finding.remedy
            if not isinstance(case, Overview):
                about = isinstance(case, str)  # then it points to the caption
                place = ("prompt.txt", 7) if about else (finding.file, 7)
                assert (finding.file, finding.line) == place
                assert finding.video == "videos/a.mp4"

    return test


def with_sound(
    case: Subject, *, own: bool = True, rate: int | None = 16_000, **facts: Any
) -> Subject:
    """The same sample with sound of which headers say these facts.

    Args:
        case: a sample.
        own: whether it is the video's own, or in a file.
        rate: what models of the profile's family take; None: they take no sound.
        facts: of its `AudioInfo`.
    """
    usual: dict[str, Any] = {
        "stream": 1, "streams": 1, "codec": "aac", "sample_rate": 48_000, "channels": 2,
        "layout": "stereo", "start": Fraction(0), "duration": Fraction(100), "error": None,
    }  # fmt: skip
    audio = AudioInfo(**{**usual, **facts})
    profile = case.policy.profile
    if rate is not None:
        spec = ComponentSpec(
            name="sound_latents", source=SOUND, part="vae", sound=SoundFormat(rate, 2)
        )
        profile = replace(profile, components=(*profile.components, spec))
    known = {"policy": replace(case.policy, profile=profile)}
    if own:
        return replace(case, **known, _media=replace(case.media, audio=audio), _beside={})
    found = SoundInspection(SoundInfo(audio, Fraction(0)), "fingerprint")
    return replace(case, **known, _beside={AUDIO: found})


def heard(case: Subject, levels: list[int], clipped: list[int] | None = None) -> Subject:
    """The same sample, whose sound has these levels: a number each tenth of a second."""
    codes = np.array(levels, np.uint8)
    counts = np.zeros(len(levels), np.int32) if clipped is None else np.array(clipped, np.int32)
    scan = SoundScan(1600 * len(levels), 16_000, 2, None, codes, codes, counts)
    return replace(with_sound(case), _sound_scan=scan)
