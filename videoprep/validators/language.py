"""Whether a caption is clearly in another language than English.

A wrong alarm costs more than a missed caption, so every step needs evidence: letters of another
script, or words of a Latin script that are no English ones and that the library, asked last, finds
foreign. What decides nothing (names, trigger words, tags, dishes, typos) counts as English.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A caption of more characters has shown its language by then.
_READ = 600
# So many different English function words at the very beginning, and most captions are done with.
# A title in a foreign caption ("The Lord of the Rings") has two.
_GLANCED = 200
_ENOUGH_ENGLISH = 3
# What the library gets: it walks every byte in Python, and is sure long before.
_ASKED = 120
# Below this many Latin words even a person cannot tell a title or a dish from a sentence.
_FEWEST_WORDS = 3
# The library's probability of all foreign languages together: with a foreign function word such
# as "und", and without. Chosen on one half of tests/validators/captions.
_SURE_WITH_WORD = 0.7
_SURE_WITHOUT = 0.93

# Where each script begins and ends, in order of the code points, and its one language or, where it
# has several, the script's name.
_SCRIPTS = (
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0531, 0x058F, "Armenian"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic"),
    (0x0750, 0x077F, "Arabic"),
    (0x08A0, 0x08FF, "Arabic"),
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Punjabi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B00, 0x0B7F, "Odia"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0D80, 0x0DFF, "Sinhala"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0EFF, "Lao"),
    (0x0F00, 0x0FFF, "Tibetan"),
    (0x1000, 0x109F, "Burmese"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Korean"),
    (0x1200, 0x139F, "Amharic"),
    (0x1780, 0x17FF, "Khmer"),
    (0x1800, 0x18AF, "Mongolian"),
    (0x1F00, 0x1FFF, "Greek"),
    (0x3005, 0x3007, "Chinese"),
    (0x3041, 0x30FF, "Japanese"),
    (0x3131, 0x318F, "Korean"),
    (0x31F0, 0x31FF, "Japanese"),
    (0x3400, 0x9FFF, "Chinese"),
    (0xAC00, 0xD7AF, "Korean"),
    (0xF900, 0xFAFF, "Chinese"),
    (0xFB50, 0xFDFF, "Arabic"),
    (0xFE70, 0xFEFE, "Arabic"),
    (0xFF66, 0xFF9F, "Japanese"),
    (0x20000, 0x323AF, "Chinese"),
)
_STARTS = [start for start, _, _ in _SCRIPTS]
# One sign is a syllable or a word, so it stands for two letters and two signs are a text.
_EAST_ASIAN = frozenset({"Chinese", "Japanese", "Korean"})
# Languages by script where the script alone does not tell; the first is said when nothing else is.
_SHARED = {
    "Cyrillic": {
        "ru": "Russian",
        "uk": "Ukrainian",
        "bg": "Bulgarian",
        "be": "Belarusian",
        "sr": "Serbian",
        "mk": "Macedonian",
        "kk": "Kazakh",
        "ky": "Kyrgyz",
        "mn": "Mongolian",
        "tg": "Tajik",
    },
    "Arabic": {"ar": "Arabic", "fa": "Persian", "ur": "Urdu", "ps": "Pashto", "ug": "Uyghur"},
    "Devanagari": {"hi": "Hindi", "mr": "Marathi", "ne": "Nepali"},
}
# The library knows more, but what it takes for Latin, Xhosa or Walloon is mostly a list of names.
_LATIN = {
    "af": "Afrikaans",
    "az": "Azerbaijani",
    "bs": "Bosnian",
    "ca": "Catalan",
    "cs": "Czech",
    "cy": "Welsh",
    "da": "Danish",
    "de": "German",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "gl": "Galician",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "ms": "Malay",
    "mt": "Maltese",
    "nl": "Dutch",
    "nn": "Norwegian",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sq": "Albanian",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "tl": "Tagalog",
    "tr": "Turkish",
    "vi": "Vietnamese",
}
# Small neighbours of languages above take a share of theirs; they are evidence and never said.
_LATIN_AND_NEIGHBOURS = _LATIN.keys() | {"an", "ext", "fo", "fy", "lb", "lij", "oc", "vec"}

# Of two languages that are near one another, or in a caption of three words, the one with more
# speakers who write captions is said: it is the name alone that this decides.
_LIKELIER = frozenset(
    {"de", "es", "fr", "hi", "id", "it", "nl", "pl", "pt", "ru", "sv", "tr", "vi"}
)
_TIMES_LIKELIER = 2.0


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# English function words that are rare in every language above. "in", "on", "over" or "an" are words
# of several and say nothing.
_ENGLISH = _words(
    """
    above across against along and another appears are around away back because before behind
    below beneath between both by down during each every from full having he his how
    into it its many near of off onto other out several she slowly that the
    their them then there these they this those through toward towards two three up very what
    when where which while who whose with within without
    """
)
# The words of captions that are only English: tags and short captions have no function words.
_ENGLISH_CONTENT = _words(
    """
    aerial airplane angry at background baking bathroom beach bear beautiful bedroom best
    big bird birds black blonde blooming blowing blue boat book bottle boy bright brown building
    burning car castle cat cats chair child children city climbing closeup cloud clouds coat
    coffee cooking crossing crowd cup cute cutting dances dancing dark desk dirt
    dog dogs door dress drink drinking drinks drives driving dust eating elderly enters
    evening eye eyes falling field fire fish flies floating floor flower flowers
    flying fog food footage forest game girl glass glowing golden grass gray green grey guitar
    hair hands happy headshot heavy high highway holding holds horse house jumping jumps kitchen
    laughing leaf leaves light lighting lights lightning little looking looks low man's
    masterpiece mirror moon moonlight morning motion mountain mountains moving night old
    opening opens people playing plays pouring purple quality quiet rain rainy reading
    ring river road rock rocks room running runs sailing scene screen seascape shining
    shirt shot singing sits sitting skating sky slow smiles smiling smoke snow snowy speaking
    splash standing stands street style sunglasses sunlight sunny sunrise sunset swimming
    swims tall talking tea town tree trees truck turning typing
    umbrella view walking walks wall watching waves waving wearing wears weather wheel white
    window woman woman's women wood wooden working yellow young
    """
)
# Function words of other languages. What is English too ("die", "door"), or stands in names and
# dishes that English captions use ("der", "und", "en", "con"), is left out.
_FOREIGN = _words(
    """
    auf aus beim durch ein eine einem einen einer eines für hinter ist mit nach nicht sich
    sind sie unter vom wird während zum zur zwei zwischen über
    avec cette dans derrière devant est ils leur puis qui ses sont
    tandis un une
    bajo desde detrás ella está hacia junto mientras por que sobre su una unas unos
    dalla dietro gli mentre nel nella nello sono sotto sulla sullo verso è
    atrás dois duas ela ele em enquanto na numa pela pelo uma um é
    aan achter bij een haar het langs naar onder terwijl twee uit wordt zijn
    jest nad oraz przed przez się za
    altında arkasında bir doğru için iki olan ve üzerinde
    bên các của dưới khi màu một người những qua sau trong trên và với đang
    bawah balik dari dengan ke oleh pada sambil sebuah sedang seekor sementara seorang
    av bakom ett från framför genom gennem mellan mellom medan och og på til ved är
    över
    dvě je která který mezi při přes ve cez keď pri sa dve
    egy az egyik két miközben és
    două doi printr prin și în într
    dvoje iza ispod kroz preko
    els dels amb sota
    ang mga ng sa
    """
)
# Small words inside names ("Rio de Janeiro"): written small, they still belong to the name.
_PARTICLES = _words(
    """
    al au aux da das de del della den der des di do dos du e el en et i la las le les los ter und
    van von y zu
    """
)

_QUOTED = re.compile(
    r"\"[^\"]*\"|“[^”]*”|«[^»]*»|„[^“”]*[“”]|「[^」]*」|『[^』]*』"
    r"|(?<!\w)'[^']*'(?!\w)|(?<!\w)‘[^’]*’(?!\w)"
)
_QUOTES = frozenset("\"'“«„「『‘")
# Marks of a prompt: <lora:x:0.8>, <sks>, addresses. Their letters are no words.
_MARKUP = re.compile(r"<[^<>]*>|\w+://\S*")
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_OTHER_SCRIPT = re.compile(
    "[" + "".join(f"{chr(start)}-{chr(end)}" for start, end, _ in _SCRIPTS) + "]+"
)


def foreign_language(caption: str) -> str | None:
    """Names the language of a caption that is clearly not English.

    Args:
        caption: Any text; what stands in quotation marks is left out, and only its beginning read.

    Returns:
        The language's English name, or ``None`` where the caption is English or may be.
    """
    beginning = set(caption[:_GLANCED].lower().split())
    if len(beginning & _ENGLISH) >= _ENOUGH_ENGLISH and beginning.isdisjoint(_FOREIGN):
        return None
    text = caption[:_READ]
    if not _QUOTES.isdisjoint(text):
        # A caption may quote a sign in any language; one that is a quotation whole is read.
        unquoted = _QUOTED.sub(" ", text)
        text = unquoted if any(map(str.isalpha, unquoted)) else text
    if "<" in text or "://" in text:
        text = _MARKUP.sub(" ", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        script = _other_script(text)
        if script is not None:
            return _of_script(script, text) if script in _SHARED else script
    return _of_latin(text)


def _other_script(text: str) -> str | None:
    """Names the script that is not Latin and has most of the letters."""
    counts: dict[str, int] = {}
    for run in _OTHER_SCRIPT.findall(text):
        letters = [letter for letter in run if letter.isalpha()]
        for letter in letters:
            script = _SCRIPTS[bisect_right(_STARTS, ord(letter)) - 1][2]
            # A sign alone among spaces, as in "10 Ω" or "(ಠ_ಠ)", is a symbol.
            if len(letters) > 1 or script in _EAST_ASIAN:
                counts[script] = counts.get(script, 0) + (2 if script in _EAST_ASIAN else 1)
    if not counts:
        return None
    others = sum(counts.values())
    latin = sum(map(str.isalpha, _OTHER_SCRIPT.sub("", text)))
    if others < _FEWEST_WORDS or others <= latin:
        return None
    # Japanese mixes its own signs with many Chinese ones, and its own are on no other page.
    if counts.get("Japanese", 0) * 8 >= counts.get("Chinese", 0) > 0 and "Japanese" in counts:
        return "Japanese"
    return max(counts, key=counts.__getitem__)


def _of_script(script: str, text: str) -> str:
    """Names the language of a text in a script that several languages share."""
    return _likeliest(_rank()(text[:_ASKED]), _SHARED[script])


def _likeliest(ranked: list[tuple[str, float]], languages: dict[str, str]) -> str:
    """Chooses the name among languages that are near one another."""
    shares = ((code, share) for code, share in ranked if code in languages)
    code, share = next(shares)
    if code in _LIKELIER:
        return languages[code]
    return languages[
        next(
            (
                other
                for other, less in shares
                if other in _LIKELIER and less * _TIMES_LIKELIER > share
            ),
            code,
        )
    ]


def _of_latin(text: str) -> str | None:
    """Names the language of a text in Latin letters that is not English beyond doubt."""
    words = [word for word in _WORD.findall(text) if _is_plain(word)]
    shouted = text.isupper()
    if not shouted:
        # A trigger word is often in capitals, and so are "HDR" and "POV".
        words = [word for word in words if len(word) == 1 or not word.isupper()]
    if len(words) < _FEWEST_WORDS:
        return None
    lowered = [word.lower() for word in words]
    english = sum(word in _ENGLISH for word in lowered)
    # Written large inside a caption, "Ang" and "Una" are names.
    foreign = sum(
        low in _FOREIGN and (shouted or low == word or not place)
        for place, (word, low) in enumerate(zip(words, lowered, strict=True))
    )
    if english and english >= foreign:
        return None
    english += sum(word in _ENGLISH_CONTENT for word in lowered)
    if english > foreign or english * 4 > len(words):
        return None
    running = sum(
        low == word and len(low) > 1 and low not in _PARTICLES and low not in _FOREIGN
        for word, low in zip(words[1:], lowered[1:], strict=True)
    )
    # Names and titles are written large; all in capitals, only a function word tells.
    if (shouted and not foreign) or (not shouted and running < (1 if foreign else 2)):
        return None
    ranked = _rank()(" ".join(lowered)[:_ASKED])
    known = _LATIN_AND_NEIGHBOURS if foreign else _LATIN.keys()
    if ranked[0][0] not in known:
        return None
    sure = sum(share for code, share in ranked if code in known)
    if sure < (_SURE_WITH_WORD if foreign else _SURE_WITHOUT):
        return None
    return _likeliest(ranked, _LATIN)


def _is_plain(word: str) -> bool:
    """Tells a word from "p3rs0n" and "BW_STYLE"."""
    return word.isalpha() or word.replace("'", "").replace("’", "").isalpha()


@cache
def _rank() -> Callable[[str], list[tuple[str, float]]]:
    """Loads the library, which takes a second: English captions hardly ever need it."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    ranking: Callable[[str], list[tuple[str, float]]] = LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True
    ).rank
    return ranking
