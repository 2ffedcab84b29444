"""What a refined caption says that its source does not: it may have been invented.

The texts are compared word by word, without a model. Known limits:

- English only. Words are compared by their stems: "walking" and "walks" are one word, synonyms are
  two, so a faithful rewording has a share, too.
- "One" is no number: it mostly stands for "a". "A pair of dogs" and "two dogs" are the same.
- A colour is any of a list of words, also where they mean something else ("an orange", "a rose").
- A name is a capitalised word. At the beginning of a sentence it is only one if another capitalised
  word follows it, so a lone name there is not seen; in a text in title case all words are names.
- A negation is its word with the next content word: "no hat". "Bareheaded" is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from videoprep.validators.sentences import sentence_ends

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*")
_UNITS = {word: float(value) for value, word in enumerate(
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
     "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
     "nineteen"]
)}  # fmt: skip
_TENS = {word: 10.0 * value for value, word in enumerate(
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
)}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_GROUPS = {"pair": 2, "couple": 2, "duo": 2, "both": 2, "twice": 2, "trio": 3, "dozen": 12}
_COLOURS = frozenset(
    ["red", "orange", "yellow", "green", "blue", "purple", "violet", "pink", "brown", "black",
     "white", "grey", "gold", "silver", "bronze", "copper", "beige", "tan", "cream", "ivory",
     "maroon", "crimson", "scarlet", "burgundy", "magenta", "fuchsia", "lavender", "lilac", "mauve",
     "indigo", "navy", "turquoise", "teal", "cyan", "aqua", "azure", "cobalt", "emerald", "lime",
     "olive", "mint", "khaki", "amber", "ochre", "mustard", "rust", "coral", "salmon", "peach",
     "rose", "charcoal", "blond", "auburn", "chestnut", "sepia", "monochrome", "sapphire", "ruby",
     "vermilion", "taupe"]
)  # fmt: skip
_SPELLINGS = {"gray": "grey", "golden": "gold", "silvery": "silver", "blonde": "blond"}
_NEGATIONS = frozenset(
    ["no", "not", "never", "without", "none", "nobody", "nothing", "nowhere", "neither", "nor",
     "cannot", "lacks", "lacking", "lack", "absent", "devoid", "unseen"]
)  # fmt: skip
_FUNCTION_WORDS = frozenset(
    ["a", "an", "the", "and", "or", "but", "nor", "so", "yet", "of", "in", "on", "at", "to", "from",
     "by", "for", "with", "into", "onto", "over", "under", "above", "below", "between", "through",
     "during", "before", "after", "against", "among", "across", "along", "around", "near", "up",
     "down", "off", "out", "as", "than", "then", "while", "when", "where", "which", "who", "whom",
     "whose", "that", "this", "these", "those", "it", "its", "he", "him", "his", "she", "her",
     "hers", "they", "them", "their", "theirs", "we", "us", "our", "you", "your", "i", "me", "my",
     "one", "ones", "some", "any", "each", "every", "other", "another", "such", "is", "are", "was",
     "were", "be", "been", "being", "am", "has", "have", "had", "having", "do", "does", "did",
     "can", "could", "may", "might", "will", "would", "shall", "should", "must", "there", "here",
     "also", "very", "too", "just", "only", "both", "if", "because", "itself", "himself",
     "herself", "themselves", "toward", "towards", "behind", "beside", "beneath", "within", "upon",
     "about", "like", "more", "most", "much", "many", "few", "what", "how", "all"]
)  # fmt: skip
# T-shirt, X-ray, U-turn; and the word that is always written so.
_NO_NAMES = frozenset({"I"})
_LETTERS_BEFORE_HYPHEN = 1
_NEXT_WORDS = 4


@dataclass(frozen=True, slots=True)
class Additions:
    """What is in a refined caption and not in its source."""

    numbers: tuple[str, ...]
    """Numbers, in digits or words, as they are written."""
    colours: tuple[str, ...]
    """Words for colours."""
    names: tuple[str, ...]
    """Capitalised words that do not begin a sentence."""
    negations: tuple[str, ...]
    """Negations with the word that they are about, such as ``no hat``."""
    lost_negations: tuple[str, ...]
    """Negations of the source that the refined caption does not have."""
    share: float
    """New content words divided by all content words of the refined caption, 0 to 1; 1 if it has
    none and its source does."""

    @property
    def marked(self) -> tuple[str, ...]:
        """All that is to be looked at, for a list or a page."""
        return (*self.numbers, *self.colours, *self.names, *self.negations)

    @property
    def reason(self) -> str:
        """What is new, in words; empty if nothing is."""
        kinds = {
            "numbers": self.numbers,
            "colours": self.colours,
            "names": self.names,
            "negations": self.negations,
            "lost negations": self.lost_negations,
        }
        found = [f"{kind}: {', '.join(words)}" for kind, words in kinds.items() if words]
        share = [f"{self.share:.0%} of its words are new"] if self.share else []
        return "; ".join([*share, *found])


def additions(source: str, refined: str) -> Additions:
    """Return what a refined caption says that its source does not.

    Args:
        source: the caption that was to be refined.
        refined: what a model made of it.
    """
    before, after = _Words.of(source), _Words.of(refined)
    values = {value for value, _ in _numbers(before.words)}
    colours = {_colour(word.lower) for word in before.words}
    known = {_bare(word.text) for word in before.words}
    negated = {stem for _, stem in before.negations()}
    kept = {stem for _, stem in after.negations()}
    return Additions(
        numbers=_unique(
            text
            for value, text in _numbers(after.words)
            if value not in values and text.lower() not in _GROUPS
        ),
        colours=_unique(
            word.lower
            for word in after.words
            if (colour := _colour(word.lower)) and colour not in colours
        ),
        names=_unique(name for name in after.names() if _bare(name) not in known),
        negations=_unique(text for text, stem in after.negations() if stem not in negated),
        lost_negations=_unique(text for text, stem in before.negations() if stem not in kept),
        share=_share(before.words, after.words),
    )


def is_faithful(found: Additions, limit: float) -> bool:
    """Return whether a refined caption may replace its source.

    Args:
        found: what `additions` returned.
        limit: the greatest share of new content words, 0 to 1.
    """
    return found.share <= limit


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    starts: bool
    """Whether it begins a sentence."""
    hyphen: bool
    """Whether a hyphen follows it at once."""

    @property
    def lower(self) -> str:
        return self.text.lower().replace("’", "'")


@dataclass(frozen=True, slots=True)
class _Words:
    words: tuple[_Word, ...]

    @classmethod
    def of(cls, text: str) -> _Words:
        ends = iter([*sentence_ends(text), *(m.end() for m in re.finditer(r"[:\n]", text))])
        bounds = sorted({0, *ends})
        words, at = [], 0
        for found in _TOKEN.finditer(text):
            starts = at < len(bounds) and found.start() >= bounds[at]
            while at < len(bounds) and found.start() >= bounds[at]:
                at += 1
            words.append(_Word(found.group(), starts, text[found.end() : found.end() + 1] == "-"))
        return cls(tuple(words))

    def names(self) -> Iterator[str]:
        """Capitalised words that are no sentence's first, or that such a word follows."""
        for n, word in enumerate(self.words):
            if not _is_capitalised(word):
                continue
            following = self.words[n + 1] if n + 1 < len(self.words) else None
            followed = following is not None and not following.starts and _is_capitalised(following)
            if not word.starts or (followed and word.lower not in _FUNCTION_WORDS):
                yield word.text

    def negations(self) -> Iterator[tuple[str, str]]:
        """Each negation as it is written, and the stem of what it is about."""
        for n, word in enumerate(self.words):
            if word.lower not in _NEGATIONS and not word.lower.endswith("n't"):
                continue
            for after in self.words[n + 1 : n + 1 + _NEXT_WORDS]:
                if after.starts:
                    break
                if after.lower not in _FUNCTION_WORDS and after.lower not in _NEGATIONS:
                    yield f"{word.lower} {after.lower}", _stem(after.lower)
                    break
            else:
                yield word.lower, ""


def _is_capitalised(word: _Word) -> bool:
    text = word.text
    if not text[0].isupper() or text in _NO_NAMES or text.endswith(("n't", "n’t")):
        return False
    return not (word.hyphen and len(text) == _LETTERS_BEFORE_HYPHEN)


def _bare(name: str) -> str:
    return re.sub(r"['’]s?$", "", name.lower())


def _colour(word: str) -> str | None:
    word = word.removesuffix("'s")
    plain = _SPELLINGS.get(word, word)
    if plain.endswith("ish"):  # reddish, bluish, greenish
        stem = plain[:-3]
        plain = next((c for c in (stem, stem[:-1], f"{stem}e") if c in _COLOURS), plain)
    return plain if plain in _COLOURS else None


def _numbers(words: Iterable[_Word]) -> Iterator[tuple[float, str]]:
    """Yield each number with its words: "two hundred and five" is 200, and 5 beside it."""
    parts: list[tuple[float, str]] = []
    for word in words:
        value = _value(word.lower)
        if parts and (value is None or not _continues(parts[-1][0], value)):
            yield from _told(parts)
            parts = []
        if value is not None:
            parts.append((value, word.text))
    yield from _told(parts)


def _told(parts: list[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    text = " ".join(text for _, text in parts)
    if text and text.lower() != "one":
        yield _sum(value for value, _ in parts), text


def _sum(parts: Iterable[float]) -> float:
    """Return the value of two, thousand, five, hundred, twenty, one: 2521."""
    total = current = 0.0
    for part in parts:
        if part not in _SCALES.values():
            current += part
        elif part == 100:
            current = max(current, 1) * part
        else:
            total, current = total + max(current, 1) * part, 0.0
    return total + current


def _continues(last: float, part: float) -> bool:
    """Return whether a part belongs to the number before it."""
    if part in _SCALES.values():
        return last < part
    return part < 100 and (last in _SCALES.values() or (20 <= last < 100 and part < 10))


def _value(word: str) -> float | None:
    for table in (_UNITS, _TENS, _SCALES, _GROUPS):
        if word in table:
            return float(table[word])
    if not word[0].isdigit():
        return None
    digits = word.replace(",", "").replace(":", ".")
    try:
        return float(digits)
    except ValueError:  # a version such as 1.2.3, or digits of another script
        return float(sum(ord(char) << (n % 32) for n, char in enumerate(word)))


def _share(before: Iterable[_Word], after: Iterable[_Word]) -> float:
    known = set(_content(before))
    content = list(_content(after))
    if not content:
        return 1.0 if known else 0.0  # nothing is left of the source
    return sum(stem not in known for stem in content) / len(content)


def _content(words: Iterable[_Word]) -> Iterator[str]:
    for word in words:
        if word.lower not in _FUNCTION_WORDS:
            value = _value(word.lower)
            yield _stem(word.lower) if value is None else str(value)


def _stem(word: str) -> str:
    """A word without its ending: walks, walked, walking; running, runs; cities, city."""
    word = re.sub(r"'s?$", "", _SPELLINGS.get(word, word))
    for ending in ("ing", "edly", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    if word.endswith("ie"):
        word = word[:-2] + "y"
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    word = word[:-1] + "y" if word.endswith("i") else word
    return word.rstrip("e") if len(word) > 3 else word


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
