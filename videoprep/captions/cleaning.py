"""A caption out of a model's answer: everything around it is removed by rules with names.

A rule is a pure function of the text. The rules run in the order of `RULES`, again and again until
nothing changes: what is left of an answer is then what is left of what is left of it. Each rule
takes linear time, and the number of passes is limited.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from videoprep.captions.json_answer import CAPTION_KEYS, parse_answer
from videoprep.spec.caption_journal import Outcome
from videoprep.validators.phrases import (
    AGREEING,
    ANSWER_TAG,
    CHAT_TOKEN,
    CLOSING,
    FENCE,
    JSON_SHELL,
    LABEL,
    OPENING,
    PREFACE,
    THINKING,
    goes_on,
    refusal,
)
from videoprep.validators.sentences import sentence_ends

_MOST_PASSES = 16
_TAIL = 400
_CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_BLOCKED = frozenset(
    {
        "filtered",
        "content_filter",
        "safety",
        "blocked",
        "recitation",
        "prohibited_content",
        "sensitive",
    }
)


@dataclass(frozen=True, slots=True)
class CleaningRule:
    """One thing that is removed from answers."""

    name: str
    """Its name in `Cleaned.rules`."""
    what: str
    """What it does, in one sentence."""
    before: str
    """A text that it changes."""
    after: str
    """What it makes of it."""
    apply: Callable[[str], str]
    """The text without it."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """An answer after cleaning. The raw answer is the caller's to keep."""

    text: str
    """The caption on one line; may be empty."""
    rules: tuple[str, ...] = ()
    """The names of the rules that changed something, in the order in which they first did."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The keys and values of the answer if it is a JSON object."""


def clean(raw: str, *, cut_off: bool = False, json_keys: Sequence[str] = CAPTION_KEYS) -> Cleaned:
    """Return the caption in a model's answer.

    Cleaning what is cleaned changes nothing. Refusals are left as they are: see `outcome_of`.

    Args:
        raw: the answer, of any length.
        cut_off: whether it ended at the token limit. Its last half sentence is then removed.
        json_keys: the keys that may hold the caption if the answer is a JSON object, the likeliest
            first.
    """
    cleaning = _Cleaning(raw, tuple(json_keys))
    cleaning.settle()
    if cut_off:
        for _ in range(_MOST_PASSES):  # a cut may uncover a quotation mark, and so on
            if not cleaning.apply(_HALF_SENTENCE):
                break
            cleaning.settle()
    return Cleaned(cleaning.text, tuple(dict.fromkeys(cleaning.applied)), cleaning.fields)


@dataclass(slots=True)
class _Cleaning:
    text: str
    keys: tuple[str, ...]
    applied: list[str] = field(default_factory=list)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def settle(self) -> None:
        """Apply all rules until none changes anything."""
        for _ in range(_MOST_PASSES):
            applied = [self.apply(rule) for rule in RULES if rule is not _HALF_SENTENCE]
            if not any(applied):
                return
        self.text = ""  # shells in shells in shells: no answer
        self.applied.append(_TOO_NESTED)

    def apply(self, rule: CleaningRule) -> bool:
        """Apply one rule; return whether it changed something."""
        before, name = self.text, rule.name
        if rule is _JSON:
            self.text, name = self._unwrap()
        else:
            self.text = rule.apply(before)
        if self.text == before:
            return False
        self.applied.append(name)
        return True

    def _unwrap(self) -> tuple[str, str]:
        answer = parse_answer(self.text)
        if answer is None:
            return self.text, _JSON.name
        self.fields = self.fields or answer.fields
        return answer.caption(self.keys), _JSON.name if answer.whole else _BROKEN_JSON


def outcome_of(raw: str, cleaned: Cleaned, finish_reason: str | None) -> Outcome:
    """Return what became of an answer; never ``failed``, since there is one.

    - ``ok``: the text can be used.
    - ``cut_off``: the answer ended at the token limit. The text is its complete sentences, if
      there are any and it was cleaned with ``cut_off=True``.
    - ``refused``: the model declined, or says that it saw nothing.
    - ``blocked``: the server withheld the answer.
    - ``malformed``: a shell that cannot be read, or one without a caption.
    - ``empty``: no letter and no digit is left.

    Args:
        raw: the answer as it came.
        cleaned: what `clean` made of it.
        finish_reason: why the model stopped, as the server said it or as `Finish` names it; None
            if nothing was said.
    """
    reason = (finish_reason or "").lower()
    if reason in _BLOCKED:
        return "blocked"
    if refusal(cleaned.text or raw):
        return "refused"
    if reason in _CUT_OFF:
        return "cut_off"
    if _is_malformed(cleaned):
        return "malformed"
    return "ok" if any(map(str.isalnum, cleaned.text)) else "empty"


def _is_malformed(cleaned: Cleaned) -> bool:
    text = cleaned.text
    if _TOO_NESTED in cleaned.rules or JSON_SHELL.match(text) or FENCE in text:
        return True
    if cleaned.fields and not text:
        return True
    # The shell was never closed: does the text end where the model meant it to?
    return _BROKEN_JSON in cleaned.rules and len(text) not in {*sentence_ends(text)}


# --- the rules, in the order of the table ---------------------------------------------------------

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b[@-Z\\^_]"
)
# Joiners are part of emoji and of some scripts; what separates lines and words is left for later.
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069"
    "\ufeff\ufff9-\ufffb\ue000-\uf8ff\ud800-\udfff]"
)


def _without_controls(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ESCAPE_SEQUENCE.sub("", text))


_LAST_CHANNEL = "<|channel|>final<|message|>"
_FIRST_CHANNEL = "<|channel|>analysis<|message|>"


def _without_thinking(text: str) -> str:
    if _FIRST_CHANNEL in text or _LAST_CHANNEL in text:
        return text.rpartition(_LAST_CHANNEL)[2] if _LAST_CHANNEL in text else ""
    if "<" not in text and "◁" not in text:
        return text
    kept: list[str] = []
    thinks, at = False, 0
    for tag in THINKING.finditer(text):
        if not (tag[1] or tag[2]):
            kept += [] if thinks else [text[at : tag.start()]]
            thinks = True
        else:
            if not thinks:  # the opening tag was part of the prompt
                kept.clear()
            thinks = False
        at = tag.end()
    return "".join(kept if thinks else [*kept, text[at:]])


def _without_tokens(text: str) -> str:
    if "<" not in text and "[" not in text:
        return text
    return ANSWER_TAG.sub(" ", CHAT_TOKEN.sub(" ", text))


_LANGUAGE = re.compile(
    r"(?:(?:json|text|txt|markdown|md|plaintext|html|xml|yaml)\b|[A-Za-z0-9_+-]{0,20}[ \t]*\n)"
)


def _without_fence(text: str) -> str:
    before, fence, inside = text.partition(FENCE)
    if not fence:
        return text
    if before.strip() and not before.rstrip().endswith(":"):
        return text.replace(FENCE, " ")
    language = _LANGUAGE.match(inside)
    inside = inside[language.end() :] if language else inside
    return inside.partition(FENCE)[0].strip()


def _without_preface(text: str) -> str:
    for pattern in (PREFACE, AGREEING):
        found = pattern.match(text)
        if found and (pattern is PREFACE or text[found.end() :].strip()):
            return _begun(text[found.end() :])
    return text


def _without_label(text: str) -> str:
    found = LABEL.match(text)
    return _begun(text[found.end() :]) if found else text


def _without_json(text: str) -> str:
    answer = parse_answer(text)
    return text if answer is None else answer.caption()


_INLINE = (
    "a|abbr|b|big|code|em|font|i|img|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u"
)
_BLOCK = (
    "blockquote|body|br|center|div|footer|form|h[1-6]|head|header|hr|html|iframe|input|li|link|meta"
    "|nav|ol|p|pre|script|section|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|ul|video"
)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]{{0,500}})?/?>", re.IGNORECASE)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCK})(?:\s[^<>]{{0,500}})?/?>", re.IGNORECASE)
_PROGRAM = re.compile(r"<!--|<(script|style)(?:\s[^<>]{0,500})?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,31}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")


def _without_html(text: str) -> str:
    """Remove known tags only: <sks> may be a word that a model is taught."""
    if "<" in text:
        text = "".join(_outside_of_programs(text))
        text = _BLOCK_TAG.sub("\n", _INLINE_TAG.sub("", text))
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found.group()), text)
    return text


def _outside_of_programs(text: str) -> Iterator[str]:
    """Yield what is outside of comments, scripts and style sheets that end."""
    lower = text.lower() if len(text.lower()) == len(text) else text
    at, endless = 0, set[str]()
    for opening in _PROGRAM.finditer(text):
        end = f"</{opening[1].lower()}>" if opening[1] else "-->"
        if opening.start() < at or end in endless:
            continue
        close = lower.find(end, opening.end())
        if close < 0:
            endless.add(end)
            continue
        yield text[at : opening.start()]
        at = close + len(end)
    yield text[at:]


_BOLD = re.compile(r"\*\*(?=[^\s*])([^*\n]{1,2000})(?<=\S)\*\*")
_HEADING = re.compile(r"^#{1,6} +(?=\S)", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]\n]{1,200})\]\([^()\s]{1,500}\)")
_RULER = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*$", re.MULTILINE)


def _without_markdown(text: str) -> str:
    text = _HEADING.sub("", _RULER.sub("", text))
    return _LINK.sub(r"\1", _BOLD.sub(r"\1", text))


_BULLETS = re.compile(r"^[ \t]*(?:(?:[-*•·‣▪–—]|\d{1,2}[.)])[ \t]+)+(?=\S)", re.MULTILINE)


def _without_bullets(text: str) -> str:
    return _BULLETS.sub("", text)


_COUNT = re.compile(
    r"\s{0,5}[\[(](?:word count:? ?)?\d{1,4} words?\.?[\])]\s{0,5}\Z", re.IGNORECASE
)


def _without_closing(text: str) -> str:
    start = max(0, len(text) - _TAIL)
    found = CLOSING.search(text, start) or _COUNT.search(text, start)
    return text[: found.start()] if found and text[: found.start()].strip() else text


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


_PAIRS = {'"': '"', "“": "”", "«": "»", "「": "」", "`": "`", "'": "'", "‘": "’"}


def _without_quotes(text: str) -> str:
    close = _PAIRS.get(text[:1])
    if close is not None and len(text) > 1 and text[-1] == close:
        return text[1:-1].strip() if _wraps(text, text[0], close) else text
    if text[:1] in ('"', "“") and text.count(text[0]) == 1 and "”" not in text:
        return text[1:].lstrip()  # its partner was cut off
    lone = text[-1:] == '"' and text.count('"') == 1 and not text[-2:-1].isdigit()
    return text[:-1].rstrip() if lone else text


def _wraps(text: str, opening: str, close: str) -> bool:
    """Whether the first and the last mark belong together: not in ``"Open" and "Closed"``."""
    inner = text[1:-1]
    if close in "'’" and inner[-1:] not in (*".!?…",):
        return False  # 'Tis the bakers'
    if opening != close:
        depth = 0
        for mark in re.finditer(f"[{opening}{close}]", inner):
            depth += 1 if mark.group() == opening else -1
            if depth < 0:
                return False
        return True
    at = inner.find(opening)
    return at <= 0 or not (inner[at - 1].isalnum() or inner[at - 1] in ".,!?…")


def _without_opening(text: str) -> str:
    found = OPENING.match(text)
    rest = text[found.end() :] if found else ""
    return text if not rest.strip() or goes_on(rest) else _begun(rest)


def _without_half_sentence(text: str) -> str:
    return text[: max(sentence_ends(text), default=0)]


_FIRST_WORD = re.compile(r"[\"'“‘«(]{0,3}([^\W\d_][\w'’-]{0,40})")


def _begun(rest: str) -> str:
    """What follows an opening as the beginning of a sentence: ``iPhone`` stays as it is."""
    rest = rest.lstrip()
    word = _FIRST_WORD.match(rest)
    if word is None or not word[1].islower() or len(rest[word.start(1)].upper()) != 1:
        return rest
    at = word.start(1)
    return rest[:at] + rest[at].upper() + rest[at + 1 :]


_TOO_NESTED = "too-nested"
_BROKEN_JSON = "broken-json"
_JSON = CleaningRule(
    "json-shell",
    "Takes the caption out of a JSON object, also out of one that is broken or ends in the middle "
    "(then `broken-json`); the other fields are kept beside it.",
    '{"caption": "A cat.", "mood": "calm"}',
    "A cat.",
    _without_json,
)
_HALF_SENTENCE = CleaningRule(
    "half-sentence",
    "If the answer ended at the token limit, removes what follows its last complete sentence.",
    "A cat sleeps. A dog runs tow",
    "A cat sleeps.",
    _without_half_sentence,
)
RULES = (
    CleaningRule(
        "control-characters",
        "Removes terminal escapes, control and direction characters, and lone surrogates.",
        "\x1b[31mA cat\x1b[0m\x07.",
        "A cat.",
        _without_controls,
    ),
    CleaningRule(
        "thinking",
        "Removes think blocks: an unclosed one to the end, all before a closing tag without an "
        "opening one.",
        "It is a cat.</think>A cat.",
        "A cat.",
        _without_thinking,
    ),
    CleaningRule(
        "chat-tokens",
        "Removes special tokens of chat templates, and answer tags.",
        "<answer>A cat.</answer><|im_end|>",
        " A cat.  ",
        _without_tokens,
    ),
    CleaningRule(
        "code-fence",
        "Takes what is inside of a code fence; if text stands before it, only removes the marks.",
        "```text\nA cat.\n```",
        "A cat.",
        _without_fence,
    ),
    CleaningRule(
        "preface",
        'Removes "Sure!" and "Here is a caption:".',
        "Sure! Here is a caption for the video: a cat.",
        "A cat.",
        _without_preface,
    ),
    CleaningRule(
        "label",
        'Removes "Caption:", "**Description:**" and "Assistant:" at the beginning.',
        "**Caption:** a cat.",
        "A cat.",
        _without_label,
    ),
    _JSON,
    CleaningRule(
        "html",
        "Removes HTML tags, comments and scripts, and decodes entities. Unknown tags such as "
        "`<sks>` stay.",
        "<b>A cat</b> &amp; a dog.",
        "A cat & a dog.",
        _without_html,
    ),
    CleaningRule(
        "markdown",
        "Removes the marks of headings, bold text, links and rulers.",
        "# A **black** cat.",
        "A black cat.",
        _without_markdown,
    ),
    CleaningRule(
        "bullets",
        "Removes bullets and numbers at the beginning of lines.",
        "- A cat.\n2. A dog.",
        "A cat.\nA dog.",
        _without_bullets,
    ),
    CleaningRule(
        "closing",
        'Removes offers, notes and word counts at the end: "Let me know if …".',
        "A cat. Let me know if you need more.",
        "A cat. ",
        _without_closing,
    ),
    CleaningRule(
        "line-breaks",
        "Makes line breaks and runs of spaces one space.",
        "A cat.\n\nA dog.",
        "A cat. A dog.",
        _on_one_line,
    ),
    CleaningRule(
        "quotes",
        "Removes quotation marks around the whole text, and one whose partner is missing.",
        '"A cat."',
        "A cat.",
        _without_quotes,
    ),
    CleaningRule(
        "opening",
        'Removes "The video shows" and "In this clip, we see", and begins with a capital; left if '
        "the video is the subject of another verb in the sentence.",
        "The video shows a cat on a roof.",
        "A cat on a roof.",
        _without_opening,
    ),
    _HALF_SENTENCE,
)
"""All rules, in the order in which they are applied."""
