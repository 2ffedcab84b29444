"""Processes that open untrusted files, with limits: one that crashes or hangs costs one file."""

from __future__ import annotations

from videoprep.workers.pool import (
    Answer,
    InspectionRequest,
    Limits,
    Lost,
    WorkerJob,
    WorkerPool,
    Workers,
)

__all__ = [
    "Answer",
    "InspectionRequest",
    "Limits",
    "Lost",
    "WorkerJob",
    "WorkerPool",
    "Workers",
]
