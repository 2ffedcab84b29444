"""VP145: no video for validation is in a dataset that is trained on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from videoprep.spec.group_file import VALIDATION
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need


class ValidationLeak(DatasetValidator):
    """The same contents, wherever the files lie."""

    code = "VP145"
    name = "validation-leak"
    summary = "No video of a dataset for validation is in one that is trained on."
    why = "The loss on it falls because the model has seen it, and says nothing of other videos."
    example = "people/00003.mp4 is also in the dataset 'holdout', which is for validation."
    remedy = "Remove the video from one of the two datasets."
    needs = frozenset({Need.HEADER})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        held = [part.role == VALIDATION for part in overview.parts]
        if not any(held) or all(held):
            return
        contents, datasets = overview.contents(), overview.datasets()
        validates = np.array(held)[datasets]
        rows = np.flatnonzero(validates & (contents != 0))
        order = rows[np.argsort(contents[rows], kind="stable")]
        trained = np.flatnonzero(~validates & (contents != 0))
        at = np.searchsorted(contents[order], contents[trained])
        found = at < len(order)
        found[found] = contents[order[at[found]]] == contents[trained[found]]
        for row, place in zip(trained[found].tolist(), at[found].tolist(), strict=True):
            other = int(order[place])
            name, video = overview.parts[datasets[other]].name, overview.samples[other].name
            yield self.finding(
                overview.samples[row],
                f"is also in the dataset {name!r}, which is for validation, as {video}",
                dataset=name,
                other=video,
            )
