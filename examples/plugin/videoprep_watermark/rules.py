"""The rules of this plugin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import Field, field_validator

import videoprep as vp


class StockFootageOptions(vp.RuleOptions):
    """Options of `StockFootage`."""

    words: tuple[str, ...] = Field(
        default=("watermark", "stock footage", "shutterstock"), description="what is looked for"
    )

    @field_validator("words", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """On the command line they are separated by commas."""
        return value.split(",") if isinstance(value, str) else value


class StockFootage(vp.Validator):
    """A caption that speaks of a watermark tells that there is one in the picture."""

    code = "ACME001"
    name = "stock-footage"
    severity = vp.Severity.WARNING
    summary = "No caption speaks of a watermark or of stock footage."
    why = "The model learns to draw watermarks."
    example = "A beach at sunset, with a Shutterstock watermark."
    remedy = "Look at the clip, and remove it if it has a watermark."
    needs = frozenset({vp.Need.CAPTION})
    Options = StockFootageOptions

    def check(self, subject: vp.Subject) -> Iterator[vp.Finding]:
        """Yields one finding with all the words."""
        caption = subject.sample.caption.lower()
        found = [word for word in self.options.words if word in caption]
        if found:
            yield self.finding(subject, f"the caption speaks of {', '.join(found)}", words=found)


class OneSource(vp.DatasetValidator):
    """Clips of one folder mostly come from one film."""

    code = "ACME002"
    name = "one-source"
    severity = vp.Severity.NOTE
    summary = "No folder holds more than nine tenths of the videos."
    why = "The model learns the look of one film."
    remedy = "Add videos from elsewhere."
    needs = frozenset({vp.Need.LISTS})

    def check_dataset(self, overview: vp.Overview) -> Iterator[vp.Finding]:
        """Yields one finding about the list."""
        folders = Counter(sample.name.rpartition("/")[0] for sample in overview.samples)
        for folder, count in folders.most_common(1):
            if len(folders) > 1 and count > 0.9 * len(overview.samples):
                message = f"{count} of {len(overview.samples)} videos are in {folder or '.'}"
                yield self.finding(overview.list_file, message)
