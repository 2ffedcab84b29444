"""What the rules on captions find in known captions, and what cleaning changes; time a caption.

    python benchmarks/captions.py [FILE ...] [--shown 5]

A file holds a caption a line; by default it is the tests' list of captions that people wrote. What
stands before a tab is left: Flickr8k.token.txt, of which the docs tell, names a picture there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from videoprep.captions.cleaning import clean
from videoprep.index.policy import Policy
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.sample import Location, Sample
from videoprep.validators.protocol import Need, Subject, Validator
from videoprep.validators.registry import built_in

_DEFAULT = Path(__file__).parents[1] / "tests/validators/captions/english.txt"


def main() -> None:
    """Measures each file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", default=[_DEFAULT])
    parser.add_argument("--shown", type=int, default=5)
    chosen = parser.parse_args()
    for path in chosen.files:
        lines = path.read_text(encoding="utf-8").splitlines()
        captions = [
            line.rpartition("\t")[2].replace(" .", ".").replace(" ,", ",") for line in lines
        ]
        print(f"{path.name}: {len(captions):,} captions")
        find(captions, chosen.shown)
        change(captions, chosen.shown)


def find(captions: Sequence[str], shown: int) -> None:
    """Prints how many captions each rule on captions reports, and the first few."""
    policy = Policy.of(DatasetSpec(data_root=".", dataset_file="-", caption_column="caption"))
    place = Location("captions.txt", 1)
    subjects = [
        Subject(Sample("a.mp4", text, Path(), place, "captions.txt"), policy) for text in captions
    ]
    for code, rule in built_in().items():
        if not (issubclass(rule, Validator) and rule.needs == {Need.CAPTION}):
            continue
        made, started = rule(), time.perf_counter()
        found = [(s.sample.caption, f) for s in subjects for f in made.check(s)]
        each = (time.perf_counter() - started) / len(captions) * 1e6
        share = len(found) / len(captions)
        print(f"  {code} {rule.name}: {len(found):,} ({share:.3%}), {each:.1f} µs a caption")
        for text, finding in found[:shown]:
            print(f"      {finding.message} | {text[:80]!r}")


def change(captions: Sequence[str], shown: int) -> None:
    """Prints how many captions cleaning changes, and the first few."""
    started = time.perf_counter()
    cleaned = [(text, clean(text)) for text in captions]
    each = (time.perf_counter() - started) / len(captions) * 1e6
    changed = [(text, after) for text, after in cleaned if " ".join(text.split()) != after.text]
    share = len(changed) / len(captions)
    print(f"  cleaning changes {len(changed):,} ({share:.3%}), {each:.1f} µs a caption")
    for text, after in changed[:shown]:
        print(f"      {text[:60]!r} → {after.text[:60]!r} ({', '.join(after.rules)})")


if __name__ == "__main__":
    main()
