"""`FailureJudge`: whether what fails is a question, or the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from videoprep.captions.protocol import CaptionFailure, CaptionReply
from videoprep.errors import VideoprepError

# Failures one after the other, without an answer between, that end a run.
_MOST_AT_FIRST = 3
_MOST_IN_A_ROW = 25

_Judged = Iterator[tuple[Any, CaptionReply | CaptionFailure]]


@dataclass(slots=True)
class FailureJudge:
    """Ends asking when all questions fail.

    What a server refuses is a failure of the question, and is passed on at once: the next run goes
    on after it, even if no question was answered. What cannot come from a server of chat
    completions is held back until there is an answer; if there is none, no question is to blame.
    """

    where: str
    """The server's address."""
    has_answered: bool = False
    """Whether the model is known to answer; more may fail in a row then."""
    _reasons: list[str] = field(default_factory=list)
    _held: list[tuple[Any, CaptionFailure]] = field(default_factory=list)

    def begin(self) -> None:
        """Forget what was held back: its questions are asked again."""
        self._held.clear()

    def take(
        self, item: Any, result: CaptionReply | CaptionFailure, *, foreign: bool = False
    ) -> _Judged:
        """Yield what can be passed on now.

        Args:
            item: came with the question.
            result: what became of it.
            foreign: whether it cannot come from a server of chat completions.

        Raises:
            VideoprepError: All questions fail; what was passed on stays.
        """
        if isinstance(result, CaptionReply):
            self.has_answered = True
            self._reasons.clear()
            yield item, result
            yield from self.end()
            return
        self._reasons.append(result.reason)
        if foreign and not self.has_answered:
            self._held.append((item, result))
        else:
            yield item, result
        if len(self._reasons) >= (_MOST_IN_A_ROW if self.has_answered else _MOST_AT_FIRST):
            error = self._error()
            self._reasons.clear()  # who asks again begins anew
            raise error

    def end(self) -> Iterator[tuple[Any, CaptionFailure]]:
        """Yield what was held back: there are no more questions, or there is an answer."""
        held, self._held = self._held, []
        yield from held

    def _error(self) -> VideoprepError:
        count, last = len(self._reasons), self._reasons[-1]
        which = (
            f"{count} questions in a row" if self.has_answered else f"the first {count} questions"
        )
        alike = (
            "all failed in the same way" if len({*self._reasons}) == 1 else "failed; the last one"
        )
        remedy = (
            "see what the server says; `dry_run` shows a request, and fewer or smaller frames make "
            "it shorter"
        )
        if not self._held:
            remedy += (
                ". These are recorded as failed: the same command goes on with the others, and "
                "with `retry_failed` it asks about these again"
            )
        return VideoprepError(f"{which} {alike}: {last}", where=self.where, remedy=remedy)
