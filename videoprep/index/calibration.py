"""How fast the last run encoded, kept beside the dataset's cache, and what a plan would take."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from videoprep.fs.atomic import write_bytes
from videoprep.fs.fact_cache import cache_folder
from videoprep.index.summary import ComponentSummary

logger = logging.getLogger(__name__)

NAME = "calibration.json"

_MOST_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class Calibration:
    """How fast one process encoded.

    Attributes:
        model: the folder or hub id.
        device: what it ran on.
        dtype: what was computed in.
        pixels_per_second: frames × height × width of clips; above 0.
        captions_per_second: above 0.
    """

    model: str
    device: str
    dtype: str
    pixels_per_second: float
    captions_per_second: float

    @classmethod
    def from_json(cls, values: Any) -> Calibration:
        """Reads what `remember` wrote; the file may be a stranger's.

        Raises:
            ValueError: it did not write that.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or sorted(values) != sorted(names):
            raise ValueError(f"has other fields than {', '.join(names)}")
        for name in ("model", "device", "dtype"):
            if not isinstance(values[name], str):
                raise ValueError(f"{name} is no text")
        for name in ("pixels_per_second", "captions_per_second"):
            if not _is_rate(values[name]):
                raise ValueError(f"{name} is no number above 0")
        return cls(**values)


def remember(root: Path, calibration: Calibration) -> None:
    """Keeps how fast a run was. Where that cannot be written it is logged, and nothing is lost.

    Args:
        root: the dataset's folder.
        calibration: what was measured.
    """
    text = json.dumps(asdict(calibration), indent=2, allow_nan=False)
    try:
        write_bytes(cache_folder(root) / NAME, text.encode())
    except OSError as error:
        logger.warning("the encoding speed is not kept: %s", error)


def recall(root: Path) -> Calibration | None:
    """What `remember` kept last for a dataset's folder; None where there is nothing to be used."""
    try:
        return Calibration.from_json(json.loads(_read(cache_folder(root) / NAME)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        logger.warning(
            "the encoding speed of the last run is not known: %s of %s: %s; delete it",
            NAME,
            root,
            error,
        )
        return None


def estimate(
    components: Iterable[ComponentSummary], calibration: Calibration, *, image_latents: bool = False
) -> float:
    """Seconds that one process needs to encode a plan into an empty store.

    Args:
        components: of the plan's summary.
        calibration: how fast it is.
        image_latents: whether first frames are encoded too.
    """
    seconds = 0.0
    for one in components:
        if one.asked_by is not None and not image_latents:
            continue
        seconds += (
            one.pixels / calibration.pixels_per_second
            if one.pixels
            else one.artifacts / calibration.captions_per_second
        )
    return seconds


def _is_rate(value: object) -> bool:
    # A rate beyond these is none, and would make an estimate that is no number.
    return type(value) in (int, float) and 1e-9 < value < 1e18  # type: ignore[operator]


def _read(file: Path) -> bytes:
    """A small regular file's contents; a link or a FIFO in its place may be a stranger's."""
    status = os.lstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise ValueError("is not a small regular file")
    return file.read_bytes()
