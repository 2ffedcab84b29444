"""What people decided about one clip, and how an earlier state of it is restored."""

from __future__ import annotations

from dataclasses import dataclass

from videoprep.spec.caption_journal import Decision, Verdict


@dataclass(frozen=True, slots=True)
class ReviewState:
    """What people decided about one clip.

    A text that a person wrote stays while the clip is dropped and kept again.
    """

    line: int = 0
    """The line of the last decision in the journal; 0 if there is none."""
    verdict: Verdict | None = None
    """The last decision; None if there is none or it was taken back."""
    edited: str = ""
    """A person's text; empty if there is none."""
    at: str = ""
    """When the last decision was taken, as ISO 8601 in UTC."""
    by: str = ""
    """Who took it, if they gave a name."""

    @property
    def dropped(self) -> bool:
        """Whether the clip is dropped."""
        return self.verdict == "drop"

    def after(self, line: int, decision: Decision) -> ReviewState:
        """Return the state after one more decision.

        Args:
            line: of the decision in the journal.
            decision: the next one about this clip.
        """
        if decision.verdict == "reset":
            return ReviewState(line, None, "", decision.at, decision.by)
        edited = decision.caption if decision.verdict == "edit" else self.edited
        return ReviewState(line, decision.verdict, edited, decision.at, decision.by)

    def restored(self, clip: str, *, video: str, at: str, by: str) -> list[Decision]:
        """Return the decisions that lead to this state from any other.

        Args:
            clip: its key.
            video: see `Decision`.
            at: see `Decision`.
            by: see `Decision`.
        """
        steps: list[tuple[Verdict, str]] = [("reset", "")]
        if self.edited:
            steps.append(("edit", self.edited))
        if self.verdict in ("keep", "drop"):
            steps.append((self.verdict, ""))
        return [
            Decision(clip, verdict, text, video, at=at, by=by, undo=True) for verdict, text in steps
        ]


@dataclass(frozen=True, slots=True)
class ReviewStep:
    """A decision that can be undone."""

    clip: str
    """The clip's key."""
    before: ReviewState
    """What was decided before."""
    after: ReviewState
    """What was decided then."""


UNDECIDED = ReviewState()
"""The state of a clip about which nobody decided anything."""
