"""VP309: little of the dataset is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydantic import Field

from videoprep.errors import Code
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, RuleOptions, Severity

_NAMED = 3

_ADVICE = {
    Code.EMPTY_CAPTION.value: "let a model write the missing captions (`videoprep caption`), or "
    "write them",
    Code.DROPPED.value: "nothing, if so many were to be dropped in the review; `videoprep review` "
    "takes a decision back",
    Code.MISSING_VIDEO.value: "check the paths, or where they begin (`data_root`)",
    Code.MISSING_MEDIA.value: "add the files, or leave their cells in a table empty; "
    "`roles={'control': ''}` turns a role off",
}
# What other options of the plan may change.
_FITTED = {
    Code.SIZE_NOT_DIVISIBLE.value, Code.FRAME_COUNT.value, Code.STILL_IMAGE.value,
    Code.TOO_SMALL.value, Code.TOO_SHORT.value, Code.NO_EXACT_BUCKET.value,
    Code.FEW_PIXELS.value, Code.LITTLE_KEPT.value,
}  # fmt: skip


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
        reasons = overview.unusable + overview.left_out
        named = [f"{code} {count}×" for code, count in reasons.most_common(_NAMED)]
        others = lost - sum(count for _, count in reasons.most_common(_NAMED))
        named += [f"others {others}×"] if others > 0 else []
        yield self.finding(
            overview.list_file,
            f"{lost} of {overview.total} samples ({lost / overview.total:.0%}) are skipped: "
            + ", ".join(named),
            _advice(reasons),
            lost=lost,
            total=overview.total,
        )


def _advice(reasons: Counter[str]) -> str | None:
    """What to do about the most frequent reason; None: what the rule says."""
    code = next((code for code, _ in reasons.most_common(1)), None)
    if code is None or code in _FITTED:
        return None
    return _ADVICE.get(code, f"mend what the findings of {code} name, or remove the samples")
