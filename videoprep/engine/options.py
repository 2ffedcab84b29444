"""How a task is run, whatever it does."""

from __future__ import annotations

from dataclasses import dataclass, field

from videoprep.engine.task import JobShare


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a task is run, whatever it does."""

    device: str = "auto"
    """The device on which stages are opened, as torch calls it; ``auto`` is a GPU if there is."""
    share: JobShare = field(default_factory=JobShare)
    """Which of several independent jobs this is."""
    max_failures: int | None = None
    """Stop after more failures than this, over all ranks; None: never."""
    watchdog: float = 1800.0
    """Abort if a step that is watched, or a commit, takes longer, in seconds; 0: never."""
