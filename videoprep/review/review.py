"""A review: a dataset's clips, what people decide about them, and the journal that keeps it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any, cast

from videoprep.errors import VideoprepError
from videoprep.families.registry import TokenCounter, token_counter
from videoprep.index.policy import Policy, for_model
from videoprep.index.survey import resolve
from videoprep.review.clips import ClipVideos
from videoprep.review.items import ClipFilter, ReviewItems, seen_of
from videoprep.spec.caption_journal import MOST_CHARACTERS, Decision, Verdict
from videoprep.spec.current_captions import CaptionState, CurrentCaptions
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.review_state import ReviewState
from videoprep.text import escape_unprintable
from videoprep.validators.engine import CaptionRules, validate

_MOST_ROWS = 200
_MOST_UNDO = 50

# Others write a line in a moment; so many of them in a row would be a fault.
_MOST_TRIES = 100


class RefusedDecisionError(VideoprepError):
    """A decision cannot be taken as it is asked for."""


class StaleDecisionError(VideoprepError):
    """Somebody else decided about the clip, or its caption changed, since it was shown."""


class Review:
    """A review of a dataset. Any thread may use it, and any number may be open at a time.

    Args:
        spec: the dataset.
        model: a model folder or hub id. Its tokenizer counts tokens, and its family is the profile
            if the dataset names none. None: no tokens are counted.
        reviewer: name of whoever decides, for the journal; may be empty.
        on_progress: called with how many samples are validated, and how many there are.
        spell: writes the options that a text of the library names as the reviewer gives them;
            by default they stay as in Python.

    Raises:
        SpecError: there is no dataset, or an option is wrong.
        ModelError: there is no such model.
        VideoprepError: the dataset uses no caption journal.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        *,
        model: str | None = None,
        reviewer: str = "",
        on_progress: Callable[[int, int], None] | None = None,
        spell: Callable[[str], str] = str,
    ) -> None:
        if spec.caption_journal == "":
            raise VideoprepError(
                "the dataset uses no caption journal, which keeps what is decided",
                remedy="leave `caption_journal` out, or name a folder",
            )
        spec = for_model(spec, model)
        counter = _in_turn(token_counter(model)) if model is not None else None
        report = validate(spec, model=model, on_progress=on_progress)
        self.spec = spec
        self.model = model
        self.reviewer = reviewer
        self.decisions = 0
        """How many were taken here."""
        self._spell = spell
        self._lock = threading.Lock()
        live = spec.live_captions()
        policy = Policy.of(spec)
        samples = [state.sample for state in live.states]
        self.unusable = report.total - len(samples)
        """How many samples of the dataset have no video that can be played."""
        self.videos = ClipVideos(spec.data_root, resolve(policy, spec.data_root, samples))
        self.items = ReviewItems(live, report, CaptionRules(spec, counter), spell)

    @property
    def title(self) -> str:
        """The dataset's name."""
        folder = os.path.abspath(self.spec.folder)
        return escape_unprintable(os.path.basename(folder) or folder, keep="")

    def summary(self) -> dict[str, Any]:
        """Return the counts, and the last decisions of this reviewer."""
        with self._lock:
            self.items.refresh()
            return self._summary() | {"steps": self._steps()}

    def rows(self, wanted: ClipFilter, after: int, count: int) -> dict[str, Any]:
        """Return some of the clips that are wanted.

        Args:
            wanted: which.
            after: the clip before the first of them; -1 for none.
            count: how many at most.
        """
        count = max(1, min(count, _MOST_ROWS))
        with self._lock:
            self.items.refresh()
            search = self.items.search(wanted)
        # Reading all captions takes its time, in which others go on deciding.
        found = list(islice(search.after(after), count + 1))
        total = search.count()
        with self._lock:
            rows = [self.items.row(position) for position in found[:count]]
        return {"rows": rows, "more": len(found) > count, "total": total}

    def item(self, position: int) -> dict[str, Any]:
        """Return all about a clip, but how it is played."""
        with self._lock:
            self.items.refresh()
            return self.items.item(self._within(position))

    def plan(self, position: int) -> dict[str, Any]:
        """Return how a clip is played."""
        with self._lock:
            sample = self.items.state(self._within(position)).sample
        plan = self.videos.plan(position, sample).to_json()
        return {**plan, "note": self._spell(plan["note"])}

    def video(self, position: int, part: int, is_wanted: Callable[[], bool] | None = None) -> bytes:
        """Return a clip as an MP4 file; see `ClipVideos.video`."""
        with self._lock:
            sample = self.items.state(self._within(position)).sample
        return self.videos.video(position, sample, part, is_wanted)

    def check(self, position: int, text: str) -> dict[str, Any]:
        """Return what would be found in another caption of a clip."""
        if text.strip():
            require_caption(text)
        with self._lock:
            return self.items.check(self._within(position), text)

    def decide(self, position: int, verdict: str, caption: str, seen: str) -> dict[str, Any]:
        """Take a decision: it is on disk when this returns.

        Args:
            position: of the clip.
            verdict: keep, drop, edit or reset.
            caption: the new one, if the verdict is ``edit``.
            seen: what the decision is about; see `seen_of`.

        Returns:
            The clip as it is now, and the counts.

        Raises:
            RefusedDecisionError: there is no such verdict, or it needs another caption.
            StaleDecisionError: the clip has changed since.
            VideoprepError: the journal cannot be written.
        """
        decided = _decided(verdict, caption)
        return self._add(
            position,
            seen,
            lambda state: [
                Decision(
                    state.clip, decided, caption if decided == "edit" else "", state.sample.name,
                    at=now(), by=self.reviewer,
                )
            ],
        )  # fmt: skip

    def undo(self, position: int, verdict: str | None, edited: str, seen: str) -> dict[str, Any]:
        """Restore what was decided before; arguments and errors are those of `decide`.

        Args:
            position: of the clip.
            verdict: the one to restore; None for none.
            edited: the person's text to restore.
            seen: see `decide`.
        """
        if edited:
            require_caption(edited)
        earlier = ReviewState(0, None if verdict is None else _known(verdict), edited)
        return self._add(
            position,
            seen,
            lambda state: earlier.restored(
                state.clip, video=state.sample.name, at=now(), by=self.reviewer
            ),
        )

    def _add(
        self, position: int, seen: str, make: Callable[[CaptionState], Sequence[Decision]]
    ) -> dict[str, Any]:
        def decide() -> Sequence[Decision]:
            self.items.refresh()
            state = self.items.state(position)
            if not state.clip:
                raise RefusedDecisionError("its video cannot be read, so nothing is decided")
            if seen != seen_of(state):
                raise StaleDecisionError("the clip has changed since it was shown here")
            return make(state)

        with self._lock:
            self._within(position)
            append_decisions(self.items.live.captions, decide)
            self.decisions += 1
            self.items.refresh()
            return {"item": self.items.item(position), **self._summary()}

    def _summary(self) -> dict[str, Any]:
        items = self.items
        return {
            "total": len(items),
            "counts": dict(items.counts),
            "codes": items.codes(),
            "limit": items.rules.limit,
        }

    def _steps(self) -> list[dict[str, Any]]:
        """Return decisions that can be undone, the last one last."""
        live = self.items.live
        steps = [step for step in live.captions.steps if step.after.by == self.reviewer]
        return [
            {
                "at": positions[0],
                "verdict": step.before.verdict,
                "edited": step.before.edited,
                "done": step.after.verdict,
                "text": step.after.edited,
            }
            for step in steps[-_MOST_UNDO:]
            if (positions := live.positions(step.clip))
        ]

    def _within(self, position: int) -> int:
        if not 0 <= position < len(self.items):
            raise RefusedDecisionError("there is no such clip")
        return position


def append_decisions(captions: CurrentCaptions, decide: Callable[[], Sequence[Decision]]) -> None:
    """Add decisions to the journal as long as nothing was added since they were made.

    Args:
        captions: those that the decisions are made of.
        decide: reads on in the journal and returns the decisions; called again where others were
            quicker.

    Raises:
        VideoprepError: the journal cannot be written, or others were quicker every time.
    """
    for _ in range(_MOST_TRIES):
        decisions = decide()
        read_to = captions.read_to("review")
        if not decisions or captions.journal.append("review", decisions, after=read_to):
            return
    raise VideoprepError(
        f"others wrote to the caption journal between reading and writing, {_MOST_TRIES} times",
        where=str(captions.journal.file("review")),
        remedy="try again when they are done; nothing was written",
    )


def now() -> str:
    """Return the time as ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _known(verdict: str) -> Verdict:
    if verdict not in ("keep", "drop", "edit", "reset"):
        raise RefusedDecisionError(f"there is no decision {verdict!r:.50}")
    return cast("Verdict", verdict)


def _decided(verdict: str, caption: str) -> Verdict:
    known = _known(verdict)
    if known == "edit":
        require_caption(caption)
    return known


def require_caption(text: str) -> None:
    """Check a caption that a person wrote.

    Raises:
        RefusedDecisionError: it is empty, too long, or not Unicode.
    """
    if not text.strip():
        raise RefusedDecisionError("the caption is empty: drop the clip if it is not to be used")
    if len(text) > MOST_CHARACTERS:
        raise RefusedDecisionError(
            f"the caption has {len(text):,} characters, more than {MOST_CHARACTERS:,}"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RefusedDecisionError("the caption holds half of a character") from error


def _in_turn(counter: TokenCounter) -> TokenCounter:
    """Return a counter for several threads: tokenizers serve one at a time."""
    lock = threading.Lock()

    def count(text: str) -> int:
        with lock:
            return counter.count(text)

    return TokenCounter(count, counter.limit)
