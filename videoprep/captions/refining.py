"""Refining one caption: what is asked next, and what is made of the reply. Nothing is sent here.

A text that is too long for the target model is sent back to be shortened, to an ever smaller size,
and one that is not faithful is sent back once with what is wrong. All of that is one answer for the
caption journal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from videoprep.captions.cleaning import Cleaned, clean, outcome_of
from videoprep.captions.guard import Additions, additions, is_faithful
from videoprep.captions.protocol import CaptionFailure, CaptionReply, CaptionRequest
from videoprep.captions.refine_prompts import RefineMode, RefinePrompt
from videoprep.captions.task import MOST_IN_CAPTION, ClipAnswer
from videoprep.spec.caption_journal import MOST_CHARACTERS, Outcome

_FIRST_GOAL, _NEXT_GOAL = 0.9, 0.8
_LEAST_WORDS = 3
_LONGEST_WORD = 15  # characters; longer on average are no words, such as in Chinese
_MOST_MARKED = 20

_WORD = re.compile(r"[^\W\d_]+")
_KINDS = ("numbers", "colours", "names", "negations")


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """How long a caption may be for the model that is trained."""

    count: Callable[[str], int]
    """The tokens of a caption by the model's own tokenizer, what it adds itself and the text before
    every caption included."""
    limit: int
    """How many there may be."""


@dataclass(frozen=True, slots=True)
class RefineRules:
    """How captions are refined."""

    prompt: RefinePrompt
    mode: RefineMode = "faithful"
    tokens: TokenLimit | None = None
    """None for any length."""
    share: float = 0.3
    """The greatest share of new words that is faithful, 0 to 1."""
    lost_share: float = 0.5
    """The greatest share of the source's words that may be lost, unless it had to be shortened."""
    tries: int = 4
    """How often is asked until the text is short enough; faithfulness costs one more at most."""
    answer_tokens: int = 1024
    """The model's answer ends there."""

    def tokens_of(self, text: str) -> int | None:
        """Return how many tokens a text has; None if they are not limited."""
        return None if self.tokens is None else self.tokens.count(text)

    def is_too_long(self, tokens: int | None) -> bool:
        """Return whether a text with so many tokens does not fit."""
        return self.tokens is not None and tokens is not None and tokens > self.tokens.limit

    def length(self, text: str, tries: int) -> str:
        """Return how long an answer may be, in a sentence: models cannot count tokens of others.

        Args:
            text: a text like the one that is wanted, whose tokens and words are counted.
            tries: how often was asked before. The more, the less is allowed.
        """
        if self.tokens is None:
            return ""
        goal = self.tokens.limit * _FIRST_GOAL * _NEXT_GOAL**tries
        share = goal / max(1, self.tokens.count(text))
        words = len(text.split())
        if len(text) > _LONGEST_WORD * words:
            return f"Write at most {max(_LEAST_WORDS, int(len(text) * share))} characters."
        return f"Write at most {max(_LEAST_WORDS, int(words * share))} words."


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different in a refined caption."""

    added: Additions
    """What it says that its source does not."""
    lost: Additions
    """What its source says and it does not."""
    refined: str

    @classmethod
    def between(cls, source: str, refined: str) -> Changes:
        """Compare a caption with what was made of it."""
        return cls(additions(source, refined), additions(refined, source), refined)

    def objections(self, rules: RefineRules, *, shortened: bool) -> list[str]:
        """Return why the refined caption may not replace its source, each reason in a sentence.

        Args:
            rules: say how much may be new.
            shortened: whether the source had to be shortened. Facts may be lost then, but nothing
                may be there that was said to be missing.
        """
        if rules.mode == "creative":
            return []
        found = []
        if not is_faithful(self.added, rules.share):
            listed = f" ({_listed(self.added.marked)})" if self.added.marked else ""
            share = f"{self.added.share:.0%} of its words are new{listed}"
            found.append(f"{share}; at most {rules.share:.0%} may be.")
        negations = self.lost.negations
        if shortened:
            named = {_singular(word) for word in _WORD.findall(self.refined.lower())}
            negations = tuple(one for one in negations if _singular(one.split()[-1]) in named)
        if negations:
            found.append(f"It no longer says: {_listed(negations)}.")
        if not is_faithful(self.lost, rules.lost_share) and not shortened:
            share = f"{self.lost.share:.0%} of the caption's words are lost"
            found.append(f"{share}; at most {rules.lost_share:.0%} may be.")
        if self.lost.numbers and not shortened:
            found.append(f"It leaves out the numbers: {_listed(self.lost.numbers)}.")
        return found

    def in_words(self) -> str:
        """Return what is marked, for a model that is asked again."""
        told = [
            f"It {verb} the {kind}: {_listed(words)}."
            for verb, found in (("adds", self.added), ("leaves out", self.lost))
            for kind, words in _marked(found)
        ]
        return " ".join(told)

    def to_json(self) -> dict[str, Any]:
        """Return what is marked, for the journal; what there is none of is not in it."""
        shares = {"share": self.added.share, "lost_share": self.lost.share}
        made: dict[str, Any] = {name: round(share, 4) for name, share in shares.items()}
        for name, found in (("added", self.added), ("lost", self.lost)):
            marked = {kind: list(words[:_MOST_MARKED]) for kind, words in _marked(found)}
            made |= {name: marked} if marked else {}
        return made


def _listed(words: Sequence[str]) -> str:
    more = ["…"] if len(words) > _MOST_MARKED else []
    return ", ".join([*words[:_MOST_MARKED], *more])


def _singular(word: str) -> str:
    return word.removesuffix("s")


def _marked(found: Additions) -> Iterator[tuple[str, tuple[str, ...]]]:
    for kind in _KINDS:
        words: tuple[str, ...] = getattr(found, kind)
        if words:
            yield kind, words


@dataclass(frozen=True, slots=True)
class Spent:
    """What asking about one caption took so far."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    left_out: tuple[str, ...] = ()

    def plus(self, reply: CaptionReply) -> Spent:
        """Return the sum with a further reply."""
        return Spent(
            _sum(self.prompt_tokens, reply.prompt_tokens),
            _sum(self.completion_tokens, reply.completion_tokens),
            self.seconds + reply.seconds,
            tuple(sorted({*self.left_out, *reply.left_out})),
        )


def _sum(first: int | None, second: int | None) -> int | None:
    return second if first is None else first + (second or 0)


@dataclass(frozen=True, slots=True)
class RefineQuestion:
    """What is asked about one caption next."""

    source: str
    """The caption before it is refined."""
    before: str
    """Stands before the caption, such as a trigger word; counts, and is not sent."""
    instruction: str
    number: int = 1
    """How many questions there were about it, with this one."""
    corrected: bool = False
    """Whether one of them was about what is not faithful."""
    spent: Spent = field(default_factory=Spent)
    """On the earlier ones."""

    @property
    def tries(self) -> int:
        """How often was asked to get a text of the right length."""
        return self.number - self.corrected

    def request(self, rules: RefineRules) -> CaptionRequest:
        """Return the question as captioners take it."""
        return CaptionRequest(self.instruction, max_tokens=rules.answer_tokens)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a reply says."""

    reply: CaptionReply
    cleaned: Cleaned
    outcome: Outcome
    tokens: int | None

    @classmethod
    def of(cls, rules: RefineRules, reply: CaptionReply, before: str) -> _Draft:
        raw = reply.text[:MOST_CHARACTERS]
        cleaned = clean(raw, cut_off=reply.finish == "length")
        outcome = outcome_of(raw, cleaned, reply.finish)
        if outcome == "ok" and len(cleaned.text) > MOST_IN_CAPTION:
            outcome = "malformed"
        is_text = outcome in ("ok", "cut_off")
        tokens = rules.tokens_of(before + cleaned.text) if is_text else None
        return cls(reply, cleaned, outcome, tokens)

    @property
    def text(self) -> str:
        return self.cleaned.text


def begin(rules: RefineRules, source: str, before: str = "") -> RefineQuestion:
    """Return the first question about a caption.

    Args:
        rules: how captions are refined.
        source: the caption.
        before: what stands before it and stays, such as a trigger word with its space.
    """
    length = rules.length(source, 0)
    return RefineQuestion(source, before, rules.prompt.first(source, length))


def proceed(
    rules: RefineRules, asked: RefineQuestion, reply: CaptionReply | CaptionFailure
) -> RefineQuestion | ClipAnswer:
    """Return what is asked next, or the answer for the journal.

    There are at most ``rules.tries + 1`` questions about a caption, and no answer is ``ok`` whose
    text has more tokens than the limit.

    Args:
        rules: how captions are refined.
        asked: the question.
        reply: what the model replied to it.
    """
    if isinstance(reply, CaptionFailure):
        return _ended(rules, asked, None, "failed", reply.reason)
    asked = replace(asked, spent=asked.spent.plus(reply))
    draft = _Draft.of(rules, reply, asked.before)
    if draft.outcome not in ("ok", "cut_off") or not draft.text:
        return _ended(rules, asked, draft, draft.outcome, _REASONS.get(draft.outcome, ""))
    if draft.outcome == "cut_off" or rules.is_too_long(draft.tokens):
        return _too_long(rules, asked, draft)
    changes = Changes.between(asked.source, draft.text)
    shortened = rules.is_too_long(rules.tokens_of(asked.before + asked.source))
    objections = changes.objections(rules, shortened=shortened)
    if not objections:
        return _ended(rules, asked, draft, "ok", "", changes)
    reason = " ".join(objections)
    if asked.corrected:
        return _ended(rules, asked, draft, "unfaithful", reason, changes)
    what = f"It is not faithful. {reason} {changes.in_words()}"
    length = rules.length(asked.source, asked.tries - 1)
    instruction = rules.prompt.corrected(asked.source, draft.text, what, length)
    return replace(asked, instruction=instruction, number=asked.number + 1, corrected=True)


_REASONS: dict[Outcome, str] = {
    "refused": "the model declined",
    "blocked": "the server withheld the answer",
    "malformed": "the answer holds no caption that can be read",
    "empty": "the answer holds no text",
    "cut_off": "the answer ended at the model's limit of tokens",
}


def _too_long(
    rules: RefineRules, asked: RefineQuestion, draft: _Draft
) -> RefineQuestion | ClipAnswer:
    """Ask for a shorter text, or give up."""
    cut_off = draft.outcome == "cut_off"
    if asked.tries >= rules.tries:
        if cut_off:
            return _ended(rules, asked, draft, "cut_off", _REASONS["cut_off"])
        limit = rules.tokens.limit if rules.tokens is not None else 0
        reason = f"{draft.tokens:,} tokens after {asked.number} questions; at most {limit:,} fit"
        return _ended(rules, asked, draft, "too_long", reason)
    what = "It was cut off, since it is too long."
    if not cut_off and rules.tokens is not None:
        what = f"It has {draft.tokens} tokens, and at most {rules.tokens.limit} fit."
    length = rules.length(draft.text, asked.tries) or "Write at most half as much."
    instruction = rules.prompt.shorter(asked.source, draft.text, what, length)
    return replace(asked, instruction=instruction, number=asked.number + 1)


def _ended(
    rules: RefineRules,
    asked: RefineQuestion,
    draft: _Draft | None,
    outcome: Outcome,
    reason: str,
    changes: Changes | None = None,
) -> ClipAnswer:
    fields: dict[str, Any] = {"mode": rules.mode, "asked": asked.number}
    if rules.tokens is not None:
        source = rules.tokens_of(asked.before + asked.source)
        fields |= {"limit": rules.tokens.limit, "source_tokens": source}
    if draft is not None and draft.tokens is not None:
        fields["tokens"] = draft.tokens
    if changes is not None:
        fields |= changes.to_json()
    return ClipAnswer(
        outcome,
        caption=asked.before + draft.text if draft is not None and outcome == "ok" else "",
        raw="" if draft is None else draft.reply.text,
        reason=reason,
        cleaning=() if draft is None else draft.cleaned.rules,
        fields=fields,
        prompt_tokens=asked.spent.prompt_tokens,
        completion_tokens=asked.spent.completion_tokens,
        seconds=asked.spent.seconds or None,
        left_out=asked.spent.left_out,
    )
