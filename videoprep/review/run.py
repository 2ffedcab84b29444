"""`review`: opens a review and serves it, writes it as a file, or takes over its decisions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from typing_extensions import Unpack

from videoprep.review.review import Review
from videoprep.review.server import ReviewServer
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions


@contextmanager
def serving(
    dataset: DatasetSpec | str | os.PathLike[str],
    *,
    model: str | None = None,
    reviewer: str = "",
    port: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Unpack[DatasetOptions],
) -> Iterator[ReviewServer]:
    """Open a review of a dataset; `ReviewServer.serve_forever` then serves it.

    Args:
        dataset: a dataset or its path.
        model: a model folder or hub id whose tokenizer counts the captions' tokens.
        reviewer: name of whoever decides, for the journal.
        port: 0 for any that is free.
        on_progress: called with how many samples are validated, and how many there are.
        options: fields of the dataset to replace:
    """
    spec = DatasetSpec.of(dataset, **options)
    review = Review(spec, model=model, reviewer=reviewer, on_progress=on_progress)
    try:
        with ReviewServer(review, port) as server:
            yield server
    finally:
        review.videos.close()
