"""VP311: clips of one bucket last about equally long."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.media.timestamps import usual_rate_within
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, RuleOptions, Severity


class RatesDifferOptions(RuleOptions):
    """Options of `RatesDiffer`."""

    factor: float = Field(default=1.1, ge=1, description="how many times as long a clip may last")


class RatesDiffer(DatasetValidator):
    """Without `target_fps` each clip keeps its file's frame rate."""

    code = "VP311"
    name = "rates-differ"
    severity = Severity.WARNING
    summary = "Clips of one bucket last equally long, but for a tenth."
    why = (
        "The model is not told the frame rate: it sees the same motion at several speeds, and "
        "learns none of them."
    )
    example = "17 frames are 0.28 s of a video of 60 frames a second, and 0.71 s of one of 24."
    remedy = "Set one frame rate for all with `target_fps`."
    needs = frozenset({Need.PLAN})
    Options = RatesDifferOptions

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        spans = {
            bucket: (min(rates), max(rates))
            for bucket, rates in overview.rates.items()
            if max(rates) > self.options.factor * min(rates)
        }
        if not spans:
            return
        bucket = max(spans, key=lambda one: (spans[one][1] / spans[one][0], one))
        slow, fast = spans[bucket]
        message = f"clips of the bucket {bucket} last from {bucket.frames / fast:.2f} s, at "
        message += f"{fast:g} frames a second, to {bucket.frames / slow:.2f} s, at {slow:g}"
        if len(spans) > 1:
            message += f"; frame rates differ in {len(spans)} buckets"
        lowest = usual_rate_within(min(rate for rate, _ in spans.values()))
        rates = {f"{rate:g}": clips for rate, clips in sorted(overview.rates[bucket].items())}
        yield self.finding(
            overview.list_file,
            message,
            f"set one frame rate for all, such as `target_fps={lowest:.5g}`",
            bucket=str(bucket),
            clips_by_rate=rates,
            buckets=len(spans),
        )
