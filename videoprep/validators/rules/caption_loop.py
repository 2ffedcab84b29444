"""VP210: captions do not repeat themselves without end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from videoprep.validators.protocol import Finding, Severity, Subject, Validator

_LONGEST = 40
_SHOWN = 60
# How many times in a row are a loop, by the phrase's words: "very, very, very" is meant.
_TIMES = {1: 5, 2: 4}
_OFTEN = 3
_LONG, _MOST_REPEATED = 30, 0.5
# Scripts without spaces, and "hahaha…": twenty times the same few characters.
_UNBROKEN = 40
_SAME_SIGNS = re.compile(r"(.{1,8}?)\1{19}", re.DOTALL)


class CaptionLoop(Validator):
    """A phrase many times in a row, or a text half of which was said before."""

    code = "VP210"
    name = "caption-loop"
    severity = Severity.WARNING
    summary = "No caption repeats a phrase again and again."
    why = "A captioner got caught in a loop; what is in the clip is crowded out by one phrase."
    example = "A man walks and walks and walks and walks and walks."
    remedy = "Write the caption again; a repetition penalty or a little temperature helps a model."

    def check(self, subject: Subject) -> Iterator[Finding]:
        caption = subject.sample.written
        words = caption.split()
        phrase = _unbroken(words)
        if phrase is not None:
            yield self.finding(subject, f"the caption repeats {phrase[:_SHOWN]!r} 20 times or more")
            return
        words = [word.strip(".,;:!?\"'()").casefold() for word in words]
        if not _may_loop(words):
            return
        phrase, times = _longest_loop(words)
        if times:
            message = f"the caption repeats {phrase[:_SHOWN]!r} {times} times in a row"
            yield self.finding(subject, message, times=times)
            return
        share = _repeated(words)
        if len(words) >= _LONG and share > _MOST_REPEATED:
            message = f"{share:.0%} of the caption repeat what it has said"
            yield self.finding(subject, message, share=round(share, 3))


def _unbroken(words: Sequence[str]) -> str | None:
    for word in words:
        found = _SAME_SIGNS.search(word) if len(word) > _UNBROKEN else None
        if found:
            return found[1]
    return None


def _triples(words: Sequence[str]) -> list[tuple[str, str, str]]:
    return list(zip(words, words[1:], words[2:], strict=False))


def _may_loop(words: Sequence[str]) -> bool:
    """Return whether some three words come again at least twice, which is quick to say."""
    triples = _triples(words)
    return len(triples) - len(set(triples)) >= _OFTEN - 1


def _repeated(words: Sequence[str]) -> float:
    triples = _triples(words)
    return 1 - len(set(triples)) / len(triples)


def _longest_loop(words: Sequence[str]) -> tuple[str, int]:
    """Return the phrase that is repeated in a row over most words, and how often; or 0 times."""
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for word in words])
    best, words_of_best = ("", 0), 0
    for period in range(1, min(_LONGEST, len(words) // 2) + 1):
        length, start = _longest_run(ids[period:] == ids[:-period])
        times = length // period + 1
        if times >= _TIMES.get(period, _OFTEN) and length > words_of_best:
            best, words_of_best = (" ".join(words[start : start + period]), times), length
    return best


def _longest_run(same: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[int, int]:
    """Return the length and the start of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    if not len(lengths):
        return 0, 0
    longest = int(lengths.argmax())
    return int(lengths[longest]), int(starts[longest])
