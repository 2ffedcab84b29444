"""VP134: a sound file that is shorter than the clips."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.support.rules import file, rule_test
from videoprep.media.audio_info import AudioInfo
from videoprep.media.inspect import SoundInspection
from videoprep.media.sound_file import SoundInfo
from videoprep.spec.roles import AUDIO
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.short_sound import ShortSound


def with_sound(seconds: Fraction | None) -> Subject:
    """A clip of nine frames with a sound file that lasts so long; None: it does not say."""
    audio = AudioInfo(0, 1, "pcm_s16le", 16_000, 1, "mono", Fraction(0), seconds, None)
    found = SoundInspection(SoundInfo(audio, Fraction(0)), "fingerprint")
    return replace(file(), _beside={AUDIO: found})


LASTS = 9 / file().media.fps

test_short_sound = rule_test(
    ShortSound,
    breaks=[with_sound(LASTS / 2)],
    clean=[with_sound(LASTS), with_sound(None), replace(file(), _beside={})],
)
