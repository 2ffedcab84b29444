"""A tiny CogVideoX 1.5: the tiny CogVideoX, but for its transformer's config."""

from __future__ import annotations

import json
from pathlib import Path

from videoprep.demo.tiny_model import build_tiny_model


def build(folder: Path, *, inverted: bool = False) -> Path:
    """Writes the model unless it is there already; gives the folder.

    Args:
        folder: where.
        inverted: whether image latents are divided by the factor, as those of 1.5's image-to-video.
    """
    if (folder / "model_index.json").exists():
        return folder
    build_tiny_model(folder)
    change(folder / "transformer/config.json", patch_size_t=2)
    if inverted:
        change(folder / "vae/config.json", invert_scale_latents=True)
    return folder


def change(path: Path, **values: object) -> None:
    """Changes values of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
