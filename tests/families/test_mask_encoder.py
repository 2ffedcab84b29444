"""What a family says of its latents decides its masks, also if a plugin says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import tiny_ltx_video
from tests.support.masks import averaged
from videoprep.errors import ModelError
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.contract import Family
from videoprep.families.masks import MaskEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import families


def values(frames: int, height: int, width: int) -> np.ndarray[Any, Any]:
    """Greys by chance: ``[F, H, W]``."""
    return np.random.default_rng(0).integers(0, 256, (frames, height, width)).astype(np.uint8)


def encoded(family: Family, model: ModelFolder, pictures: np.ndarray[Any, Any]) -> torch.Tensor:
    pixels = torch.from_numpy(pictures).float() / 255
    return MaskEncoder(family, model).encode(pixels[None, None].expand(1, 3, -1, -1, -1))[0]


def test_ltx_has_eight_frames_and_1024_pixels_in_a_latent(tmp_path: Path) -> None:
    model = ModelFolder(tiny_ltx_video.build(tmp_path / "model"), "tiny")
    pictures, family = values(17, 64, 96), families()["ltx-video"]
    made = encoded(family, model, pictures)
    side = 64 // made.shape[-2]
    by_hand = averaged(pictures, [[0], list(range(1, 9)), list(range(9, 17))], side)
    assert made.shape == by_hand.shape
    assert np.abs(made.numpy() - by_hand).max() < 1e-6


def test_an_image_is_a_group_of_its_own(tiny_model: Path) -> None:
    pictures = values(1, 32, 32)
    made = encoded(CogVideoX(), ModelFolder(tiny_model, "tiny"), pictures)
    assert np.abs(made.numpy() - averaged(pictures, [[0]])).max() < 1e-6


class LastAlone(CogVideoX):
    """A family whose VAE has the last frame alone in a latent frame."""

    groups: tuple[int, ...] = (4, 4, 1)

    def frame_groups(self, model: ModelFolder, frames: int) -> Sequence[int]:
        del model, frames
        return self.groups


def test_a_familys_own_groups_are_taken(tiny_model: Path) -> None:
    pictures = values(9, 32, 32)
    made = encoded(LastAlone(), ModelFolder(tiny_model, "tiny"), pictures)
    groups = [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert np.abs(made.numpy() - averaged(pictures, groups)).max() < 1e-6


@pytest.mark.parametrize("groups", [(4, 4), (1, 4, 5), (5, 0, 4)])
def test_groups_that_lack_frames_are_the_familys_fault(
    groups: tuple[int, ...], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LastAlone, "groups", groups)
    with pytest.raises(ModelError, match="groups 9 frames as"):
        encoded(LastAlone(), ModelFolder(tiny_model, "tiny"), values(9, 32, 32))


def test_colours_count_by_their_luma(tiny_model: Path) -> None:
    red = torch.zeros(1, 3, 1, 16, 16)
    red[:, 0] = 1
    made = MaskEncoder(CogVideoX(), ModelFolder(tiny_model, "tiny")).encode(red)
    assert torch.allclose(made, torch.full_like(made, 0.299))
