"""Renders films of several scenes, joined by cuts, a dissolve and fades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np

from videoprep.demo.scenes import FPS, Picture, Scene, pictures, write_pictures

FILM_FPS = 24
"""Frames a second of the films."""

# The colour matrix that pictures are converted with is named in the file.
_COLOUR = "colormatrix=smpte170m"

Join = Literal["cut", "dissolve", "fade"]
"""How a scene follows the one before."""

# Frames that a transition takes of the scene before it, and of the one after.
_LENGTHS: dict[Join, int] = {"cut": 0, "dissolve": 18, "fade": 12}


@dataclass(frozen=True, slots=True)
class DemoTake:
    """One scene of a film."""

    shape: str
    colour: str
    motion: str
    sky: str
    seconds: float
    """How long it lasts, with the transitions on either side."""
    join: Join = "cut"
    """How it follows the scene before."""

    def scene(self, width: int, height: int) -> Scene:
        """Return what is rendered, at the rate of `videoprep.demo.scenes`."""
        frames = round(self.seconds * FPS) + 1
        return Scene(self.shape, self.colour, self.motion, self.sky, width, height, frames)


@dataclass(frozen=True, slots=True)
class DemoFilm:
    """Scenes one after the other."""

    name: str
    width: int
    height: int
    takes: tuple[DemoTake, ...]


_ROLLS, _BOUNCES, _CIRCLES = (
    "rolls from left to right",
    "bounces up and down",
    "circles slowly in the air",
)

FILMS = (
    DemoFilm(
        "a_day_outside.mp4",
        192,
        128,
        (
            DemoTake("ball", "red", _ROLLS, "at noon", 3.0),
            DemoTake("star", "yellow", _CIRCLES, "at night", 3.5),
            DemoTake("cube", "green", _BOUNCES, "at sunset", 3.5, "dissolve"),
            DemoTake("ball", "purple", _BOUNCES, "at noon", 1.0),
            DemoTake("cube", "blue", _ROLLS, "at night", 3.5),
            DemoTake("star", "orange", _CIRCLES, "at noon", 3.5, "fade"),
        ),
    ),
    DemoFilm(
        "the_evening.mp4",
        128,
        192,
        (
            DemoTake("star", "purple", _ROLLS, "at sunset", 3.0),
            DemoTake("ball", "green", _CIRCLES, "at night", 3.0),
            DemoTake("cube", "yellow", _BOUNCES, "at noon", 3.5, "fade"),
        ),
    ),
)
"""The films: nine scenes, of which one is too short to train on."""


def render_footage(folder: Path) -> None:
    """Write the films; those that are there stay."""
    for film in FILMS:
        if not (folder / film.name).exists():
            write_film(folder / film.name, film)


def write_film(path: Path, film: DemoFilm) -> None:
    """Render a film as an H.264 file; the file appears when it is whole."""
    size = (film.width, film.height)
    write_pictures(path, _pictures(film), size, FILM_FPS, **{"x264-params": _COLOUR})


def _pictures(film: DemoFilm) -> Iterator[Picture]:
    """Yield the frames of a film, with one scene in memory at a time."""
    tail: Sequence[Picture] = ()
    for number, take in enumerate(film.takes):
        moments = np.arange(round(take.seconds * FILM_FPS)) * (FPS / FILM_FPS)
        shot = list(pictures(take.scene(film.width, film.height), moments))
        begin = _LENGTHS[take.join] if number else 0
        yield from _transition(take.join, tail, shot[:begin])
        after = film.takes[number + 1 :]
        end = len(shot) - (_LENGTHS[after[0].join] if after else 0)
        yield from shot[begin:end]
        tail = shot[end:]


def _transition(join: Join, old: Sequence[Picture], new: Sequence[Picture]) -> Iterator[Picture]:
    """Yield what is seen between two scenes, of whose frames it takes equally many."""
    if join == "dissolve":
        for n, (before, after) in enumerate(zip(old, new, strict=True), start=1):
            yield _blend(before, after, n / (len(old) + 1))
    elif join == "fade":
        for n, picture in enumerate(old, start=1):
            yield _blend(picture, np.zeros_like(picture), n / len(old))
        for n, picture in enumerate(new):
            yield _blend(np.zeros_like(picture), picture, n / len(new))


def _blend(old: Picture, new: Picture, share: float) -> Picture:
    return cast("Picture", cv2.addWeighted(old, 1 - share, new, share, 0))
