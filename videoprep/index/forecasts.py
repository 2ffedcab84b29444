"""What a trainer makes of each file of a dataset, beside what is planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from videoprep.errors import MediaError
from videoprep.index.placement import LeftOut, Placement, footage_of, place
from videoprep.index.policy import Policy
from videoprep.media.inspect import inspect_samples
from videoprep.media.probe import MediaInfo
from videoprep.spec.configs.contract import Forecast, TrainerClip
from videoprep.spec.dataset_group import DatasetGroup, GroupedDataset
from videoprep.spec.sample import Sample

_SHOWN = 4
_MOST_KINDS = 4096


@dataclass(frozen=True, slots=True)
class SampleForecast:
    """What a trainer makes of a file, and what is planned."""

    trainer: str
    forecast: Forecast
    planned: tuple[Placement, ...] | LeftOut
    rate: Fraction | None
    """Frames a second of the file; None of a still image."""
    model_fps: float | None
    """Frames a second that the model takes clips for; None if that is not known."""

    @property
    def speeds(self) -> tuple[float, ...]:
        """How many times faster than in the file things move for the model, in each clip.

        Empty if that is not known, or of clips of one frame.
        """
        if self.rate is None or self.model_fps is None:
            return ()
        ratio = self.model_fps / float(self.rate)
        clips = [one.source for one in self.forecast.clips if one.frames > 1]
        return tuple(ratio * (source[-1] - source[0]) / (len(source) - 1) for source in clips)

    @property
    def planned_speeds(self) -> tuple[float, ...]:
        """The same of the plan's clips."""
        if isinstance(self.planned, LeftOut) or self.model_fps is None:
            return ()
        rates = (float(one.rate) for one in self.planned if one.rate is not None)
        return tuple(self.model_fps / rate for rate in rates)

    @property
    def planned_buckets(self) -> tuple[str, ...]:
        """The buckets of the plan's clips."""
        planned = () if isinstance(self.planned, LeftOut) else self.planned
        return tuple(str(one.bucket) for one in planned)

    @property
    def has_same_buckets(self) -> bool:
        """Whether the plan has the trainer's clips, as far as their buckets tell."""
        return self.planned_buckets == tuple(one.bucket for one in self.forecast.clips)

    @property
    def has_same_frames(self) -> bool:
        """Whether the plan has the trainer's clips with the very same frames."""
        if isinstance(self.planned, LeftOut):
            return not self.forecast.clips
        frames = [tuple(one.frame_indices.tolist()) for one in self.planned]
        return frames == [one.source for one in self.forecast.clips]

    def sentences(self) -> Iterator[str]:
        """Yield each of the trainer's clips in words, the first few."""
        clips = self.forecast.clips
        for one in clips[:_SHOWN]:
            yield f"{one.bucket}{_of_frames(one)}"
        if len(clips) > _SHOWN:
            yield f"{len(clips) - _SHOWN} more"

    def difference(self) -> str:
        """Say how the plan differs."""
        if isinstance(self.planned, LeftOut):
            return f"planned: none ({self.planned.code.value})"
        if not self.has_same_buckets:
            buckets = self.planned_buckets
            more = f" and {len(buckets) - _SHOWN} more" if len(buckets) > _SHOWN else ""
            return f"planned: {', '.join(buckets[:_SHOWN])}{more}"
        return "planned alike" if self.has_same_frames else "planned alike, by the frames' times"


def _of_frames(clip: TrainerClip) -> str:
    first, last = clip.source[0], clip.source[-1]
    return f" of frame {first}" if first == last else f" of frames {first}–{last}"


@dataclass(slots=True)
class ForecastSummary:
    """What a trainer makes of the files of a dataset, counted."""

    dataset: str
    trainer: str
    files: int = 0
    clips: int = 0
    planned: int = 0
    """Clips of the plan."""
    alike: int = 0
    """Files of which the plan has the same clips, as far as their buckets tell."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Files that the trainer drops, by the reason."""
    fast: int = 0
    """Files that it speeds up by more than a tenth."""
    slow: int = 0
    """Files that it slows down by more than a tenth."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values for machines."""
        names = ("dataset", "trainer", "files", "clips", "planned", "alike", "fast", "slow")
        return {**{name: getattr(self, name) for name in names}, "dropped": dict(self.dropped)}

    def add(self, one: SampleForecast) -> None:
        """Count a file."""
        self.files += 1
        self.clips += len(one.forecast.clips)
        self.planned += len(one.planned_buckets)
        self.alike += one.has_same_buckets
        if not one.forecast.clips:
            self.dropped[one.forecast.dropped] += 1
        self.fast += any(speed > 1.1 for speed in one.speeds)
        self.slow += any(speed < 0.9 for speed in one.speeds)


def forecast_of(
    media: MediaInfo, policy: Policy, planned: tuple[Placement, ...] | LeftOut | None = None
) -> SampleForecast | None:
    """Return what the trainer makes of a file; None if the dataset is of no trainer's config.

    Args:
        media: what is in the file.
        policy: how it is planned.
        planned: the plan of it; by default it is made.
    """
    treatment = policy.treatment
    if treatment is None:
        return None
    forecast = treatment.forecast(footage_of(media), policy.profile)
    planned = place(media, policy) if planned is None else planned
    return SampleForecast(treatment.trainer, forecast, planned, media.fps, policy.profile.fps)


def forecasts_of(dataset: GroupedDataset) -> Iterator[tuple[Sample, SampleForecast | MediaError]]:
    """Yield what the trainer makes of each file of a dataset of its config.

    Nothing if the dataset is of no trainer's config. What is found out about files is kept, so that
    planning opens none of them again.

    Raises:
        SpecError, PlanError: see `DatasetSpec.listing` and `Policy.of`.
    """
    spec = dataset.spec
    policy = Policy.of(spec)
    if policy.treatment is None:
        return
    samples: Sequence[Sample] = spec.listing().samples
    known: dict[Hashable, SampleForecast] = {}  # files that are alike have one forecast
    for sample, found in zip(samples, inspect_samples(spec.data_root, samples), strict=True):
        media = found.video.shared
        if isinstance(media, MediaError):
            yield sample, media
            continue
        one = known.get(found.video.alike)
        if one is None:
            one = forecast_of(media, policy)
            assert one is not None  # noqa: S101 (there is a treatment)
            if len(known) < _MOST_KINDS:
                known[found.video.alike] = one
        yield sample, one


def summarize_forecasts(group: DatasetGroup) -> tuple[ForecastSummary, ...]:
    """Return what the trainer whose config a group is makes of each of its datasets.

    Raises:
        SpecError, PlanError: see `forecasts_of`.
    """
    made = []
    for dataset in group.members() if group.trainer is not None else ():
        summary = ForecastSummary(dataset.name, group.trainer or "")
        for _, one in forecasts_of(dataset):
            if isinstance(one, SampleForecast):
                summary.add(one)
        if summary.files:
            made.append(summary)
    return tuple(made)
