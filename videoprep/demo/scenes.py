"""Renders a small dataset of real H.264 files: simple moving scenes, each with its caption."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from videoprep.fs.atomic import write_bytes
from videoprep.media.x264 import set_repeatable

Picture = NDArray[np.uint8]
FPS = 8

_COLOURS = {
    "red": (214, 58, 48),
    "green": (64, 160, 82),
    "blue": (52, 98, 201),
    "yellow": (238, 196, 62),
    "purple": (138, 76, 176),
    "orange": (236, 132, 44),
}
_SKIES = {
    "at noon": ((120, 178, 232), (206, 228, 242)),
    "at sunset": ((66, 54, 110), (244, 158, 98)),
    "at night": ((10, 14, 34), (38, 48, 86)),
}
_PATHS: Mapping[str, Callable[[float], tuple[float, float]]] = {
    "rolls from left to right": lambda t: (0.1 + 0.8 * t, 0.68),
    "bounces up and down": lambda t: (0.5, 0.68 - 0.4 * abs(math.sin(2 * math.pi * t))),
    "circles slowly in the air": lambda t: (
        0.5 + 0.25 * math.cos(2 * math.pi * t),
        0.42 + 0.22 * math.sin(2 * math.pi * t),
    ),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """One clip to render.

    Attributes:
        shape: ``ball``, ``cube`` or ``star``.
        colour: a name in `_COLOURS`.
        motion: a key of `_PATHS`.
        sky: a key of `_SKIES`.
        width: pixels a row.
        height: rows.
        frames: how many.
    """

    shape: str
    colour: str
    motion: str
    sky: str
    width: int
    height: int
    frames: int

    @property
    def caption(self) -> str:
        """What is to be seen."""
        article = "An" if self.colour.startswith("o") else "A"
        what = f"{article} {self.colour} {self.shape}"
        return f"{what} {self.motion} above a grassy field {self.sky}."


SHAPES = ("ball", "cube", "star")
"""What moves in a scene."""
COLOURS = tuple(_COLOURS)
"""In which colours."""
MOTIONS = tuple(_PATHS)
"""How it moves."""
SKIES = tuple(_SKIES)
"""When."""


def scenes() -> list[Scene]:
    """Twelve scenes in landscape, portrait and square, of two lengths."""
    sizes = [(96, 64, 17), (64, 96, 17), (64, 64, 17), (96, 64, 9)]
    return [
        Scene(
            SHAPES[n % 3],
            COLOURS[n % 6],
            MOTIONS[(n // 2) % 3],
            SKIES[(n + n // 3) % 3],
            *sizes[n % 4],
        )
        for n in range(12)
    ]


def render_dataset(folder: Path) -> None:
    """Writes ``videos/*.mp4``, ``prompt.txt`` and ``videos.txt``; videos that are there stay."""
    names, captions = [], []
    for number, scene in enumerate(scenes()):
        name = f"videos/{number:05d}.mp4"
        if not (folder / name).exists():
            write_scene(folder / name, scene)
        names.append(name)
        captions.append(scene.caption)
    write_bytes(folder / "prompt.txt", ("\n".join(captions) + "\n").encode())
    write_bytes(folder / "videos.txt", ("\n".join(names) + "\n").encode())


def write_scene(path: Path, scene: Scene) -> None:
    """Renders one scene as an H.264 file; the file appears when it is whole."""
    write_pictures(path, _pictures(scene), (scene.width, scene.height), FPS)


def write_pictures(
    path: Path, shown: Iterable[Picture], size: tuple[int, int], rate: int, **options: str
) -> None:
    """Write pictures as an H.264 file; the file appears when it is whole.

    Args:
        path: of the file.
        shown: its frames.
        size: their width and height.
        rate: frames a second.
        options: further ones of the encoder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with av.open(os.fspath(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        set_repeatable(stream, {"crf": "18", **options})
        for picture in shown:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    temporary.replace(path)


def _pictures(scene: Scene) -> Iterator[Picture]:
    return pictures(scene, range(scene.frames))


def pictures(scene: Scene, moments: Iterable[float]) -> Iterator[Picture]:
    """Yield the scene's pictures at some moments, RGB ``[height, width, 3]``.

    Args:
        scene: what is rendered.
        moments: in frames from its first one; those between two frames are moments as well.
    """
    background = _background(scene)
    for moment in moments:
        x, y = place(scene, moment)
        picture = background.copy()
        _draw_shape(picture, scene, x * scene.width, y * scene.height, turn=moment * 0.2)
        yield picture


def place(scene: Scene, moment: float) -> tuple[float, float]:
    """Return where the shape is at a moment, as shares of the width and the height."""
    return _PATHS[scene.motion](moment / max(1, scene.frames - 1))


def _background(scene: Scene) -> Picture:
    top, bottom = (np.array(colour, dtype=np.float64) for colour in _SKIES[scene.sky])
    share = np.linspace(0, 1, scene.height)[:, None, None]
    picture = (top * (1 - share) + bottom * share).repeat(scene.width, axis=1)
    horizon = int(scene.height * 0.78)
    picture[horizon:] = (58, 112, 54)
    return np.ascontiguousarray(picture.astype(np.uint8))


def _draw_shape(picture: Picture, scene: Scene, x: float, y: float, turn: float) -> None:
    radius = min(scene.width, scene.height) * 0.16
    colour = _COLOURS[scene.colour]
    if scene.shape == "ball":
        cv2.circle(picture, (round(x), round(y)), round(radius), colour, -1, cv2.LINE_AA)
        return
    corners, inner = (4, 1.0) if scene.shape == "cube" else (5, 0.45)
    points = _polygon(x, y, radius * 1.2, corners, inner, turn)
    cv2.fillPoly(picture, [points], colour, cv2.LINE_AA)


def _polygon(
    x: float, y: float, radius: float, corners: int, inner: float, turn: float
) -> NDArray[np.int32]:
    points = []
    steps = corners if inner == 1.0 else 2 * corners
    for step in range(steps):
        reach = radius * (inner if steps > corners and step % 2 else 1.0)
        angle = turn + 2 * math.pi * step / steps
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return np.round(points).astype(np.int32)
