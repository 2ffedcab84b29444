"""Clips of several datasets that a trainer must not be given unasked."""

from __future__ import annotations

from videoprep.text import counted


def held_out_notes(clips: int, word: str) -> tuple[str, ...]:
    """Say how many clips are not exported, since they are held out of training.

    Args:
        clips: how many.
        word: what they are called.
    """
    if not clips:
        return ()
    are = "is" if clips == 1 else "are"
    return (
        f"{counted(clips, word)} {are} for validation or regularization, and not exported: name "
        "their split with `split` to export them",
    )
