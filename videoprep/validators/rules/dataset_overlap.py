"""VP146: no two datasets of a ``videoprep.yaml`` share videos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from videoprep.index.overlap import find_overlaps, sentence
from videoprep.spec.group_file import VALIDATION
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import DatasetValidator, Finding, Need, Severity


class DatasetOverlap(DatasetValidator):
    """The same contents and the same part of them; for validation and training it is `VP145`."""

    code = "VP146"
    name = "dataset-overlap"
    severity = Severity.WARNING
    summary = "No two datasets share videos."
    why = "What is in both comes twice as often in an epoch as the weights of the datasets say."
    example = "12 videos of the dataset 'closeups' are also in 'people'."
    remedy = "Remove them from one of the datasets, unless they are meant to come in both."
    needs = frozenset({Need.HEADER})

    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        if not overview.parts:
            return
        _, contents = np.unique(overview.contents(parts=True), return_inverse=True)
        contents = contents.astype(np.int64)
        contents[overview.contents() == 0] = -1
        names = [part.name for part in overview.parts]
        for one in find_overlaps(contents, overview.datasets()):
            roles = {overview.parts[at].role for at in (one.first, one.second)}
            if len(roles) > 1 and VALIDATION in roles:
                continue
            videos = [overview.samples[row].name for row in one.rows]
            yield self.finding(
                overview.list_file,
                sentence(one, names, videos),
                datasets=[names[one.first], names[one.second]],
                videos=one.videos,
            )
