"""VP305: every bucket fills a batch."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, RuleOptions, Severity


class SmallBucketOptions(RuleOptions):
    """Options of `SmallBucket`."""

    batch_size: int = Field(default=1, ge=1, description="clips a batch, over all GPUs")


class SmallBucket(DatasetValidator):
    """Clips of different buckets cannot be in one batch."""

    code = "VP305"
    name = "small-bucket"
    severity = Severity.WARNING
    summary = "Every bucket has at least as many clips as a batch."
    why = "Trainers drop a bucket that does not fill a batch; of many small ones all is dropped."
    example = "3 clips of 49×480×704 with a batch size of 8."
    remedy = (
        "Use fewer buckets, or a smaller batch; set the size with "
        "`rule_options={'VP305': {'batch_size': N}}`."
    )
    needs = frozenset({Need.PLAN})
    Options = SmallBucketOptions

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        size = self.options.batch_size
        for bucket, clips in sorted(overview.buckets.items()):
            if clips < size:
                message = f"the bucket {bucket} has {clips} clips, fewer than a batch of {size}"
                yield self.finding(
                    overview.list_file, message, bucket=str(bucket), clips=clips, batch_size=size
                )
