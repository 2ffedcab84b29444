"""How well scenes are found, beside PySceneDetect, on generated films whose cuts are known.

    pip install scenedetect
    python benchmarks/split.py [--seeds 101 102 103 …] [--folder FOLDER] [--json FILE]

A film has eight scenes of one to five seconds: textured pictures with things that move in them,
seen by a camera that stands, pans, zooms or is held by hand. Each kind has one difficulty; `mixed`
has all. Sensitivities were chosen on films of the seeds 1 to 22, and PySceneDetect's are its
defaults, and the best single setting of its own benchmark. A change is found if what is reported
meets it within a tolerance of two frames; each counts once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.films import KINDS, Film, Join, drawn_film
from videoprep.scenes.run import SplitFilm, split

_TOLERANCE = 2

Found = list[tuple[int, int]]
"""For each change the first frame that is not the old scene, and the first that is the new one."""


@dataclass
class Score:
    """Counts of a detector, on films of one kind."""

    found: int = 0
    missed: int = 0
    wrong: int = 0
    exact: int = 0
    """Found hard cuts that are at the very frame."""
    cuts: int = 0
    """Found hard cuts."""
    covered: int = 0
    """Found dissolves and fades of which no frame is left to a scene."""

    def add(self, joins: Sequence[Join], reported: Found) -> None:
        """Compare what is reported of a film with the truth."""
        left = list(reported)
        for join in joins:
            low, high = join.first - _TOLERANCE, join.after + _TOLERANCE
            hit = next((one for one in left if one[0] <= high and one[1] >= low), None)
            if hit is None:
                self.missed += 1
                continue
            left.remove(hit)
            self.found += 1
            if join.how == "cut":
                self.cuts += 1
                self.exact += hit == (join.first, join.after)
            else:
                self.covered += hit[0] <= join.first and hit[1] >= join.after
        self.wrong += len(left)

    @property
    def precision(self) -> float:
        """Share of what is reported that is right."""
        return self.found / max(1, self.found + self.wrong)

    @property
    def recall(self) -> float:
        """Share of what there is that is found."""
        return self.found / max(1, self.found + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def main() -> None:
    """Make the films, run all detectors, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    seeds = [*range(101, 106), *range(201, 206)]
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--folder", type=Path, help="keep the films here")
    parser.add_argument("--transnet", action="store_true", help="TransNetV2, too: it is slow")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.folder or Path(name)
        films = _make(folder, chosen.seeds, chosen.kinds)
        results, seconds = _measure(folder, films, transnet=chosen.transnet)
    _print(results, seconds, chosen.kinds)
    if chosen.json:
        rows = {
            detector: {kind: {**asdict(one), "f1": one.f1} for kind, one in scores.items()}
            for detector, scores in results.items()
        }
        chosen.json.write_text(json.dumps({"scores": rows, "seconds": seconds}, indent=2))


def _make(folder: Path, seeds: Sequence[int], kinds: Sequence[str]) -> dict[str, tuple[str, Film]]:
    """The films by name, each with its kind."""
    films = {}
    folder.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        for seed in seeds:
            name = f"{kind.replace(' ', '-')}-{seed}.mp4"
            films[name] = (kind, drawn_film(kind, seed))
            if not (folder / name).exists():
                films[name][1].write(folder / name)
    return films


def _measure(
    folder: Path, films: dict[str, tuple[str, Film]], *, transnet: bool
) -> tuple[dict[str, dict[str, Score]], dict[str, float]]:
    detectors: dict[str, Callable[[], dict[str, Found]]] = {
        "videoprep": lambda: _videoprep(folder),
        "PySceneDetect Content": lambda: _scenedetect(folder, films, "content"),
        "PySceneDetect Adaptive": lambda: _scenedetect(folder, films, "adaptive"),
        "PySceneDetect best": lambda: _scenedetect(folder, films, "best"),
    }
    if transnet:
        detectors["videoprep transnet"] = lambda: _videoprep(folder, detector="transnet")
    results, seconds = {}, {}
    for detector, run in detectors.items():
        started = time.perf_counter()
        reported = run()
        seconds[detector] = time.perf_counter() - started
        scores: dict[str, Score] = {}
        for name, (kind, film) in films.items():
            for group in (kind, "all"):
                scores.setdefault(group, Score()).add(film.joins, reported[name])
        results[detector] = scores
    return results, seconds


def _videoprep(folder: Path, **options: str) -> dict[str, Found]:
    found: dict[str, Found] = {}

    def take(film: SplitFilm) -> None:
        found[film.video] = [(one.first, one.after) for one in film.transitions]

    with tempfile.TemporaryDirectory() as output:
        split(folder, output=output, on_film=take, **options)
    return found


def _scenedetect(folder: Path, films: dict[str, tuple[str, Film]], how: str) -> dict[str, Found]:
    from scenedetect import AdaptiveDetector, ContentDetector, detect

    found: dict[str, Found] = {}
    for name in films:
        detector = {
            "content": ContentDetector,
            "adaptive": AdaptiveDetector,
            "best": lambda: AdaptiveDetector(
                adaptive_threshold=3.5, window_width=3, min_scene_len=round(0.6 * 24)
            ),
        }[how]()
        scenes = detect(str(folder / name), detector, backend="pyav")
        starts = [start.frame_num for start, _ in scenes[1:]]
        found[name] = [(frame, frame) for frame in starts]
    return found


def _print(
    results: dict[str, dict[str, Score]], seconds: dict[str, float], kinds: Sequence[str]
) -> None:
    columns = ("detector", "film", "precision", "recall", "F1", "exact cuts", "slow ones covered")
    print("|", " | ".join(columns), "|")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for detector, scores in results.items():
        for kind in (*kinds, "all"):
            one = scores[kind]
            exact = f"{one.exact} of {one.cuts}" if one.cuts else ""
            slow = one.found - one.cuts
            covered = f"{one.covered} of {slow}" if slow else ""
            print(
                f"| {detector} | {kind} | {one.precision:.1%} | {one.recall:.1%} | {one.f1:.1%} "
                f"| {exact} | {covered} |"
            )
    for detector, took in seconds.items():
        print(f"{detector}: {took:.1f} s")


if __name__ == "__main__":
    main()
