"""Writes the scores of all frames into a table, to choose thresholds by."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from types import TracebackType
from typing import TextIO

import numpy as np

from videoprep.errors import SpecError
from videoprep.fs.atomic import naming, temporary_of
from videoprep.fs.fingerprint import open_regular
from videoprep.media.scene_scan import SceneScores
from videoprep.media.shot_scores import ShotScores
from videoprep.scenes.ranges import FilmTimes
from videoprep.scenes.transitions import cut_scores, differences_of, dissolve_scores

_COLUMNS = (
    "video", "frame", "time", "difference", "cut", "dissolve", "brightness", "contrast", "detail",
    "state", "shot",
)  # fmt: skip


def _require_replaceable(path: Path) -> None:
    header = f"{','.join(_COLUMNS)}\n".encode()
    try:
        with open_regular(path) as file:
            if file.read(len(header)) == header:
                return
        why = "exists and is no table of scores"
    except FileNotFoundError:
        return
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
    raise SpecError(why, where=str(path), remedy="name another file", option="stats")


class StatisticsWriter:
    """A CSV file with a row a frame; it appears when all of it is written.

    Args:
        path: of the file; one with the same columns is replaced.

    Raises:
        SpecError: Something else has that name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _require_replaceable(path)
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = temporary_of(path)
            self._file: TextIO = self._temporary.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(_COLUMNS)

    def __enter__(self) -> StatisticsWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None:
            os.replace(self._temporary, self._path)
        else:
            self._temporary.unlink(missing_ok=True)

    def add(
        self, video: str, times: FilmTimes, scores: SceneScores, shots: ShotScores | None
    ) -> None:
        """Write the rows of a film."""
        differences = differences_of(scores)
        cuts = cut_scores(differences)
        mixtures, _ = dissolve_scores(scores, np.zeros(len(differences), dtype=bool))
        for frame in range(len(differences)):
            self._writer.writerow(
                (
                    video,
                    frame,
                    f"{times.starts[frame] + times.late:.6f}",
                    f"{differences[frame]:.3f}",
                    f"{cuts[frame]:.3f}",
                    f"{mixtures[frame]:.3f}",
                    int(scores.brightness[frame]),
                    f"{scores.contrast[frame] / 2:.1f}",
                    f"{scores.detail[frame] / 4:.2f}",
                    ("intact", "damaged", "missing", "other format")[int(scores.state[frame])],
                    "" if shots is None else f"{shots.single[frame] / 255:.3f}",
                )
            )
