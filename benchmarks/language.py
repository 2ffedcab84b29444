"""How well and how fast captions in other languages than English are told.

    python benchmarks/language.py [PROMPTS]

PROMPTS is a file of English captions, one a line, measured besides the lists of the tests. The
thresholds were chosen on the even lines of those lists; the odd ones only led to words being taken
out of the module's lists. One thread.
"""

import resource
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from videoprep.validators.language import foreign_language

LISTS = Path(__file__).parent.parent / "tests" / "validators" / "captions"
TIMED = 20_000


def peak() -> float:
    """Gives the most memory that the process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rate(captions: Sequence[str]) -> float:
    """Gives how many captions are checked in a second, the library being loaded."""
    started = time.perf_counter()
    for caption in islice(cycle(captions), TIMED):
        foreign_language(caption)
    return TIMED / (time.perf_counter() - started)


def measure(name: str, english: Sequence[str], foreign: Sequence[tuple[str, str]]) -> None:
    """Prints what is found, what is missed and what is a false alarm."""
    alarms = [caption for caption in english if foreign_language(caption)]
    said = [(language, foreign_language(caption)) for language, caption in foreign]
    found = [(language, answer) for language, answer in said if answer]
    named = sum(language == answer for language, answer in found)
    print(
        f"{name}: {len(alarms)} false alarms in {len(english)} English captions, "
        f"recall {len(found) / len(said):.3f} of {len(said)}, "
        f"precision {len(found) / (len(found) + len(alarms)):.3f}, "
        f"language right in {named / len(found):.3f}"
    )
    for caption in alarms:
        print(f"  false alarm: {caption}")


def main() -> None:
    """Measures both halves of the lists, then times."""
    english = (LISTS / "english.txt").read_text(encoding="utf-8").splitlines()
    lines = (LISTS / "foreign.tsv").read_text(encoding="utf-8").splitlines()
    foreign = [(language, caption) for language, caption in (line.split("\t") for line in lines)]
    before = peak()
    started = time.perf_counter()
    foreign_language("Ein Hund läuft über die Straße.")
    loading, after = time.perf_counter() - started, peak()
    measure("tuned half", english[::2], foreign[::2])
    measure("other half", english[1::2], foreign[1::2])
    measure("all", english, foreign)
    latin = [caption for _, caption in foreign if ord(caption[0]) < 0x370]
    timed = {
        "English list": english,
        "Latin foreign": latin,
        "all foreign": [caption for _, caption in foreign],
    }
    if len(sys.argv) > 1:
        prompts = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
        print(f"{sys.argv[1]}: {sum(map(bool, map(foreign_language, prompts)))} false alarms")
        timed["prompts"] = prompts
    for name, captions in timed.items():
        print(f"{name}: {rate(captions):,.0f} captions a second")
    print(f"the library: loaded in {loading:.2f} s, peak memory {before:.0f} MB -> {after:.0f} MB")


if __name__ == "__main__":
    main()
