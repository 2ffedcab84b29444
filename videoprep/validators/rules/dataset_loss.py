"""VP309: little of the dataset is lost."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, RuleOptions, Severity


class DatasetLossOptions(RuleOptions):
    """Options of `DatasetLoss`."""

    share: float = Field(default=0.1, ge=0, le=1, description="share of samples that may be lost")


class DatasetLoss(DatasetValidator):
    """Counts what is not there, cannot be read, or fits no bucket."""

    code = "VP309"
    name = "dataset-loss"
    severity = Severity.WARNING
    summary = "At least nine tenths of the samples are planned."
    why = "A dataset of which half is dropped trains a model on something else than was meant."
    example = "40 of 100 samples are skipped: 38 of them are too short (VP302)."
    remedy = "See the findings on single samples; allow fitting, or add smaller buckets."
    needs = frozenset({Need.PLAN})
    Options = DatasetLossOptions

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        lost = overview.total - overview.planned
        if lost <= self.options.share * overview.total:
            return
        left_out = sum(overview.left_out.values())
        reasons = [f"{code} {count}×" for code, count in overview.left_out.most_common(3)]
        if lost > left_out:
            reasons.append(f"not usable as they are listed {lost - left_out}×")
        message = f"{lost} of {overview.total} samples ({lost / overview.total:.0%}) are skipped: "
        yield self.finding(
            overview.list_file, message + ", ".join(reasons), lost=lost, total=overview.total
        )
