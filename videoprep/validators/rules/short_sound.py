"""VP134: a sound file lasts as long as the clips."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.index.placement import player_time
from videoprep.media.audio import MOST_MISSING
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class ShortSound(Validator):
    """Of sound from a file of its own; what its header and packets say is believed."""

    code = Code.SHORT_SOUND.value
    name = "short-sound"
    severity = Severity.WARNING
    summary = "A sound file that a list names lasts as long as the clips."
    why = "A clip without all of its sound fails, if the model is trained with sound."
    example = "A video of 12 s whose sound file has 8 s."
    remedy = (
        "Name the whole sound, or use an earlier part of the video; with `allow_damaged` silence "
        "stands for what is missing."
    )
    needs = frozenset({Need.HEADER, Need.TIMESTAMPS, Need.PLAN, Need.MEDIA})

    def check(self, subject: Subject) -> Iterator[Finding]:
        sound = subject.sound
        if sound is None or sound.audio.end is None:
            return
        ends = [sum(player_time(subject.media, placement)) for placement in subject.clips]
        short = [end - sound.audio.end for end in ends if end - sound.audio.end > MOST_MISSING]
        if short:
            yield self.finding(
                subject,
                f"its sound file ends {float(max(short)):.2f} s before the last clip does",
                seconds=float(max(short)),
                clips=len(short),
            )
