"""VP317 to VP319: what the trainer makes of a file, whose dataset config is given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from videoprep.index.forecasts import SampleForecast, forecast_of
from videoprep.text import counted
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator

_NEEDS = frozenset({Need.HEADER, Need.TIMESTAMPS, Need.PLAN})


class _OfTrainer(Validator):
    """Looks at what a trainer makes of a file. Without a trainer's config it says nothing."""

    needs = _NEEDS

    def check(self, subject: Subject) -> Iterator[Finding]:
        planned = subject.clips if subject.left_out is None else subject.left_out
        found = forecast_of(subject.media, subject.policy, planned)
        if found is not None:
            yield from self._check(subject, found)

    @abstractmethod
    def _check(self, subject: Subject, found: SampleForecast) -> Iterator[Finding]:
        """Yields what is wrong with it."""


class TrainerDrops(_OfTrainer):
    """Trainers drop short clips with a line in a long log, or with none."""

    code = "VP317"
    name = "trainer-drops"
    severity = Severity.WARNING
    summary = "The trainer whose config is given makes at least one clip of each file."
    why = "What it drops is never trained on, and few trainers count it."
    example = "81 frames at 24 fps are 54 at Wan's 16, fewer than the only frame bucket, 65."
    remedy = "Ask for shorter clips in the config, or remove the sample."

    def _check(self, subject: Subject, found: SampleForecast) -> Iterator[Finding]:
        if not found.forecast.clips:
            reason = found.forecast.dropped
            yield self.finding(subject, f"{found.trainer} drops it: {reason}", reason=reason)


class TrainerSpeed(_OfTrainer):
    """A model takes a clip for one of the rate that it was trained at, whatever the file's is."""

    code = "VP318"
    name = "trainer-speed"
    severity = Severity.WARNING
    summary = "In what the trainer makes of a file, things move as fast as in the file, to a tenth."
    why = "The model learns motion that is too fast or too slow."
    example = (
        "30 fps taken frame by frame for Wan, which plays 16: half speed. ai-toolkit's "
        "shrink_video_to_frames: 10 s in 41 frames, four times as fast."
    )
    remedy = (
        "Set the rate in the config (musubi-tuner: source_fps), or plan with `target_fps` and "
        "options of your own."
    )

    def _check(self, subject: Subject, found: SampleForecast) -> Iterator[Finding]:
        speeds = found.speeds
        if not speeds or all(abs(speed - 1) <= 0.1 for speed in speeds):
            return
        far = max(speeds, key=lambda speed: max(speed, 1 / speed) if speed else 0)
        word = "sped up" if far > 1 else "slowed down"
        message = f"{found.trainer}: {word} ×{far:.2f}, for a model of {found.model_fps:g} fps"
        planned = found.planned_speeds
        alike = planned and all(abs(speed - 1) <= 0.1 for speed in planned)
        end = "; the plan keeps its speed" if alike else ""
        yield self.finding(subject, message + end, speed=round(far, 4))


class TrainerClips(_OfTrainer):
    """What becomes of the file, clip by clip, and whether the plan differs."""

    code = "VP319"
    name = "trainer-clips"
    severity = Severity.NOTE
    summary = "Says which clips the trainer whose config is given makes of each file."
    why = "One reads it in no log: which part, at which rate, in which bucket."
    example = "diffusion-pipe: 33×512×512 of frames 0–65."
    remedy = "Nothing to do."

    def _check(self, subject: Subject, found: SampleForecast) -> Iterator[Finding]:
        if not found.forecast.clips:
            return
        frames = subject.media.frames
        of = "" if subject.media.is_still else f" of {counted(frames, 'frame')}"
        message = f"{found.trainer} makes{of}: {'; '.join(found.sentences())}"
        remarks = "".join(f"; {one}" for one in found.forecast.remarks)
        clips = [
            {"bucket": one.bucket, "frames": [one.source[0], one.source[-1]]}
            for one in found.forecast.clips
        ]
        severity = Severity.WARNING if found.forecast.remarks else None
        yield self.finding(
            subject, f"{message}{remarks}; {found.difference()}", severity=severity, clips=clips
        )
