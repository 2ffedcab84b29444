"""What rules about sound share: whose sound matters, and which part of it clips take."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from pydantic import Field

from videoprep.families.component import SoundFormat
from videoprep.index.placement import Placement, player_time
from videoprep.index.policy import Policy
from videoprep.media.audio import MOST_MISSING
from videoprep.media.audio_info import AudioInfo
from videoprep.media.sound_scan import SoundScan
from videoprep.validators.protocol import RuleOptions, Severity, Subject


class SoundOptions(RuleOptions):
    """Options of rules about what a file says of its sound."""

    own: bool = Field(
        default=False,
        description="check the sound in the video itself, too, if the profile's family takes none",
    )


def wanted_sound(policy: Policy) -> SoundFormat | None:
    """Return the form in which models of the profile's family take sound; None: they take none."""
    formats = [spec.sound for spec in policy.profile.components if spec.sound is not None]
    return max(formats, key=lambda one: one.sample_rate, default=None)


def heard(subject: Subject, options: SoundOptions) -> AudioInfo | None:
    """Return what is in the sample's sound, if that matters: it has a file, or the family hears."""
    matters = subject.sound is not None or options.own or wanted_sound(subject.policy) is not None
    return subject.audio if matters else None


def missing(seconds: Fraction, placement: Placement, frames: float) -> Severity | None:
    """Return how bad it is that a clip lacks sound at one end; None: it is not.

    Args:
        seconds: how much it lacks.
        placement: the clip.
        frames: how many frames of it may do without.
    """
    if seconds > MOST_MISSING:
        return Severity.WARNING  # the clip fails if it is encoded with sound
    if placement.rate is None:
        return None  # a still image lasts no time
    return Severity.NOTE if seconds > Fraction(frames) / placement.rate else None


def clip_stretches(subject: Subject, scan: SoundScan) -> Iterator[slice]:
    """Yield which stretches of the sound each clip takes; not of clips that have none."""
    audio = subject.audio
    if audio is None:
        return
    for placement in subject.clips:
        begins, lasts = player_time(subject.media, placement)
        since = float(begins - audio.start)
        part = scan.stretches(since, since + float(lasts))
        if len(scan.loudness[part]):
            yield part
