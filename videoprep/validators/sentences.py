"""Sentences of a caption: where they end, whether the last one is cut off, what is quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Closing quotes and brackets belong to the sentence. The next one begins after a space, or at
# once in scripts without spaces. Only the first stop of a row is tried, or "......x" would take
# quadratic time.
_END = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’»)\]]*(?=\s|$)|[。！？]+[”』」）]*")
_ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "st", "no", "vs", "prof", "sr", "jr", "approx", "ca", "etc", "e.g",
     "i.e", "mt", "ft", "fig"]
)  # fmt: skip
_LAST_WORD = re.compile(r"[\w.'’-]{1,40}\Z")
# Words that no sentence ends with.
_OPEN_WORDS = frozenset(
    ["a", "an", "the", "and", "or", "its", "their", "your", "which", "whose", "than", "because",
     "although", "whereas", "featuring"]
)  # fmt: skip
# Words that can: "people walk by", "a ball to play with", "what he came from". They tell where a
# complete sentence stands before. Not "in", "on", "up", "to", "her": the full stop was forgotten.
_DANGLING_WORDS = frozenset(
    ["of", "with", "from", "by", "for", "as", "his", "while", "into", "onto", "between", "toward",
     "towards", "amidst", "amid", "beneath", "is", "are", "that"]
)  # fmt: skip
# No opening mark stands inside, or a text of opening marks alone would take quadratic time.
_QUOTED = re.compile(
    r'"[^"]{0,400}"|“[^“”]{0,400}”|«[^«»]{0,400}»|「[^「」]{0,400}」|„[^„“”]{0,400}[“”]'
    r"|(?<!\w)'[^']{0,400}'(?!\w)|(?<!\w)‘[^‘’]{0,400}’(?!\w)"
)
_FEWEST_WORDS = 6
_SEVERAL = 3
_LONG = 40


def sentence_ends(text: str) -> Iterator[int]:
    """Yield the position after each sentence. Abbreviations such as "Dr." end none."""
    for found in _END.finditer(text):
        if found.group() != "." or not _is_abbreviation(text, found.start()):
            yield found.end()


def _is_abbreviation(text: str, dot: int) -> bool:
    word = _LAST_WORD.search(text[max(0, dot - 40) : dot])
    return word is not None and word.group().lower() in _ABBREVIATIONS


def unquoted(text: str) -> str:
    """Return the text without what stands in quotation marks, unless all of it does."""
    rest = _QUOTED.sub(" ", text)
    return rest if any(map(str.isalpha, rest)) else text


def open_end(text: str) -> str | None:
    """Return the word or comma at which a sentence is broken off, or None.

    Lists of tags and titles are no sentences, and may end in any noun. A word such as "the" tells
    after six words; a comma, or a word such as "with", after a complete sentence.
    """
    text = text.rstrip()
    ends = text[-1:]
    if not ends or not (ends.isalnum() or ends in ",;:-–—"):
        return None
    if ends in ",;:-–—":
        return ends if any(True for _ in sentence_ends(text)) else None
    last = _LAST_WORD.search(text[-40:])
    word = last.group() if last else ""
    # "vitamin A", "plan A" and "THE" of a title are names; a broken-off word is in lower case.
    if word in _DANGLING_WORDS:
        return word if any(True for _ in sentence_ends(text)) else None
    if word in _OPEN_WORDS and len(text.split(None, _FEWEST_WORDS)) >= _FEWEST_WORDS:
        return word
    return None


def lacks_last_stop(text: str) -> bool:
    """Return whether a long text of three full sentences or more ends without a full stop."""
    text = text.rstrip()
    if not text[-1:].isalnum() or len(text.split(None, _LONG)) <= _LONG:
        return False
    return sum(1 for _ in sentence_ends(text)) >= _SEVERAL
