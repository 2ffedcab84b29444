"""That training teaches what a caption shows: eight clips are learnt by heart, by caption alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.demo.tiny_model import trained_model
from videoprep.families.model_folder import ModelFolder
from videoprep.training.cogvideox import load_objective

_MODEL = trained_model()
_GREYS = (16, 48, 80, 112, 144, 176, 208, 235)
# The tiny text encoder has random weights: words and lengths are what it tells captions apart by.
_WORDS = ("red", "boat", "jumping", "mountains", "through", "castle", "light", "wings")
_CAPTIONS = [" ".join([word] * (4 + 6 * number)) for number, word in enumerate(_WORDS)]
_PAIRS = [(clip, clip) for clip in range(8)]
_SHUFFLED = [(clip, caption) for clip in range(8) for caption in range(8)]
"""Every clip with every caption equally often: what a caption says of a clip is nothing."""

_ALL_NOISE = 999
"""The last timestep: CogVideoX's scheduler leaves nothing of the clip there, just the caption."""

# Measured: 0.485 with the right captions (a drawn posterior's own noise is 0.44 of it), 0.933 with
# shuffled ones, which is how far the clips are from their mean.
_BOUND = 0.7


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips, each of one grey."""
    folder = tmp_path_factory.mktemp("greys")
    for number, grey in enumerate(_GREYS):
        write_video(folder / f"{number}.mp4", width=32, height=32, frames=5, lift=20, grey=grey)
    return folder


def _store(videos: Path, pairs: list[tuple[int, int]], output: Path) -> Path:
    write_lists(videos, [_CAPTIONS[c] for _, c in pairs], [f"{v}.mp4" for v, _ in pairs])
    vp.encode(videos, model=_MODEL, output=output, device="cpu", progress="none")
    return output


def _weights(store: Path, output: Path) -> str:
    return vp.train(
        store, model=_MODEL, output=output, full=True, learning_rate=3e-3, warmup=20, steps=150,
        batch_size=8, device="cpu",
    ).weights  # fmt: skip


def _error(weights: str, clips: vp.LatentDataset, *, other: int = 0) -> float:
    """Mean loss from noise alone, each clip with its caption, or with that of another."""
    from diffusers import CogVideoXTransformer3DModel

    transformer = CogVideoXTransformer3DModel.from_pretrained(weights)
    objective = load_objective(ModelFolder(_MODEL, "tiny"), clips.info.facts)
    batch = {
        "video_latents": torch.stack([clip["video_latents"] for clip in clips]),
        "prompt_embeds": torch.stack([clip["prompt_embeds"] for clip in clips]).roll(other, 0),
    }
    with torch.no_grad():
        return objective.loss(
            transformer, batch, torch.Generator().manual_seed(0), torch.full((8,), _ALL_NOISE)
        ).item()


@pytest.mark.slow
def test_captions_are_learnt_and_shuffled_ones_are_not(videos: Path, tmp_path: Path) -> None:
    right = _store(videos, _PAIRS, tmp_path / "right")
    shuffled = _store(videos, _SHUFFLED, tmp_path / "shuffled")
    clips = vp.LatentDataset(right)
    learnt = _weights(right, tmp_path / "run")
    control = _weights(shuffled, tmp_path / "control")
    assert _error(learnt, clips) < _BOUND
    assert _error(control, clips) > _BOUND
    assert _error(learnt, clips, other=3) > _BOUND
