"""A folder with several datasets of tiny videos, and the ``videoprep.yaml`` that has them all."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from tests.support.assets import write_video

PEOPLE, PLACES = 3, 2
"""Videos of the two datasets."""


def write_dataset(
    folder: Path,
    count: int,
    *,
    grey: int,
    width: int = 96,
    height: int = 64,
    frames: int = 9,
    fps: int = 8,
) -> Path:
    """Write a folder of videos, each with its caption beside it.

    Args:
        folder: made if need be; its name begins the captions.
        count: how many videos.
        grey: of the first; each of the others is a little brighter.
        width: of all.
        height: likewise.
        frames: likewise.
        fps: likewise.
    """
    for number in range(count):
        path = folder / f"{number:02d}.mp4"
        write_video(
            path, width=width, height=height, frames=frames, fps=fps, grey=grey + 3 * number
        )
        path.with_suffix(".txt").write_text(f"{folder.name} {number}\n")
    return folder


def write_group(folder: Path, text: str | None = None) -> Path:
    """Write two datasets and a file that has them; return the file.

    Args:
        folder: where all of it goes.
        text: of the file; by default both datasets, one with a trigger word.
    """
    write_dataset(folder / "people", PEOPLE, grey=40)
    write_dataset(folder / "places", PLACES, grey=120, width=64)
    return write_file(folder, text if text is not None else TEXT)


TEXT = """
profile: cogvideox
reshape: center-crop
datasets:
  - path: people
    id_token: SKS
  - path: places
"""


def write_file(folder: Path, text: str) -> Path:
    """Write the ``videoprep.yaml`` of a folder."""
    path = folder / "videoprep.yaml"
    path.write_text(dedent(text).lstrip("\n"))
    return path
