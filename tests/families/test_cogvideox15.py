"""CogVideoX 1.5, and first frames of both: equal to what diffusers' own pipelines make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import fidelity, tiny_cogvideox15
from tests.support.family_pages import run_page
from tests.support.fidelity import CPU, pixels
from videoprep.families import cogvideox, cogvideox15
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, ModelFolder]:
    root = tmp_path_factory.mktemp("models")
    folders = {
        "cogvideox": tiny_model,
        "1.5": tiny_cogvideox15.build(root / "new"),
        "1.5-i2v": tiny_cogvideox15.build(root / "inverted", inverted=True),
    }
    return {name: ModelFolder(folder, name) for name, folder in folders.items()}


@pytest.fixture(params=["cogvideox", "1.5", "1.5-i2v"])
def model(request: pytest.FixtureRequest, models: dict[str, ModelFolder]) -> ModelFolder:
    return models[request.param]


@pytest.fixture
def family(model: ModelFolder) -> Family:
    return family_of(model)


def _pipeline(model: ModelFolder) -> Any:
    from diffusers import CogVideoXImageToVideoPipeline, CogVideoXTransformer3DModel

    config = CogVideoXTransformer3DModel.load_config(str(model.path / "transformer"))
    config = {**config, "num_layers": 1, "ofs_embed_dim": None}
    return CogVideoXImageToVideoPipeline(
        tokenizer=None, text_encoder=None, vae=fidelity.load_vae(cogvideox.FAMILY, model),
        transformer=CogVideoXTransformer3DModel.from_config(config), scheduler=_scheduler(),
    )  # fmt: skip


def _scheduler() -> Any:
    from diffusers import CogVideoXDDIMScheduler

    return CogVideoXDDIMScheduler()


def test_families_are_told_apart(models: dict[str, ModelFolder]) -> None:
    found = {name: family_of(model).name for name, model in models.items()}
    assert found == {"cogvideox": "cogvideox", "1.5": "cogvideox1.5", "1.5-i2v": "cogvideox1.5"}
    facts = {name: family_of(model).facts(model) for name, model in models.items()}
    assert facts["1.5"]["patch_frames"] == 2
    inverted = {name: fact["invert_scale_latents"] for name, fact in facts.items()}
    assert inverted == {"cogvideox": False, "1.5": False, "1.5-i2v": True}


@pytest.mark.parametrize("frames", [8, 9, 13, 16, 17])
def test_videos_are_scaled_and_have_a_copy_before_an_odd_number(
    family: Family, model: ModelFolder, frames: int
) -> None:
    clip = pixels(frames)
    vae = fidelity.load_vae(family, model)
    with torch.no_grad():
        drawn = vae.encode(clip).latent_dist.sample(torch.Generator().manual_seed(3))
    theirs = drawn.permute(0, 2, 1, 3, 4) * vae.config.scaling_factor
    moments = family.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    ours = family.to_transformer(moments, family.facts(model), torch.Generator().manual_seed(3))
    if family is cogvideox15.FAMILY:
        assert ours.shape[1] % 2 == 0
        added = ours.shape[1] - theirs.shape[1]
        assert added == theirs.shape[1] % 2
        assert torch.equal(ours[:, :added], theirs[:, :added])
        ours = ours[:, added:]
    assert torch.equal(ours, theirs)


def test_a_store_and_its_page(tmp_path: Path, family: Family, model: ModelFolder) -> None:
    """The page brings the first frame to where the image-to-video pipeline has it."""
    data = fidelity.encode_store(tmp_path, model.path, family)
    fidelity.require_store(data, family, model)
    given = run_page(f"families/{family.name}.md", tmp_path)
    item = data[0]
    row = item["metadata"]
    ours = family.to_transformer(
        item["video_latents"][None], data.info.facts, torch.Generator().manual_seed(0)
    )
    assert torch.equal(given["latents"], ours)
    assert torch.equal(given["prompt"], item["prompt_embeds"][None])
    pipeline = _pipeline(model)
    index = vp_index(tmp_path)
    frame = first_frame(index)
    _, theirs = pipeline.prepare_latents(
        frame[:, :, 0], 1, 16, row["frames"], row["height"], row["width"], torch.float32, CPU,
        torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert torch.equal(given["image"], theirs)


def vp_index(root: Path) -> Any:
    import videoprep as vp

    return vp.BucketIndex.load(root / "store/index.parquet")


def first_frame(index: Any) -> torch.Tensor:
    """Of the first clip: float32 ``[1, 3, 1, H, W]``."""
    from videoprep.media.clip import load_clip, normalize

    clip = next(index.clips())
    return normalize(load_clip(clip.pixels)[:1]).permute(1, 0, 2, 3)[None]
