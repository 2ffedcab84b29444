"""Clips of several datasets that a trainer must not be given unasked."""

from __future__ import annotations


def held_out_notes(clips: int) -> tuple[str, ...]:
    """Say how many clips are not exported, since they are held out of training."""
    if not clips:
        return ()
    are = "clip is" if clips == 1 else "clips are"
    return (
        f"{clips:,} {are} for validation or regularization, and not exported: name their split "
        "with `split` to export them",
    )
