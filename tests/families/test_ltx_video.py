"""LTX-Video: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import fidelity, tiny_ltx_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, padded, pixels
from videoprep.errors import ModelError
from videoprep.families.ltx_video import FAMILY
from videoprep.families.model_folder import ModelFolder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(tiny_ltx_video.build(tmp_path_factory.mktemp("model") / "m"), "tiny")


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    from diffusers import LTXImageToVideoPipeline

    return LTXImageToVideoPipeline.from_pretrained(
        str(model.path), transformer=None, scheduler=None
    )


def test_latents_equal_the_pipelines(model: ModelFolder, pipeline: Any) -> None:
    clip = pixels(17)
    with torch.no_grad():
        drawn = pipeline.vae.encode(clip).latent_dist.sample(torch.Generator().manual_seed(3))
    vae = pipeline.vae
    theirs = pipeline._normalize_latents(drawn, vae.latents_mean, vae.latents_std)
    theirs = pipeline._pack_latents(theirs, 1, 1)
    moments = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    ours = FAMILY.to_transformer(moments, FAMILY.facts(model), torch.Generator().manual_seed(3))
    assert torch.equal(ours, theirs)


def test_first_frames_equal_the_pipelines(model: ModelFolder, pipeline: Any) -> None:
    frame = pixels(1)
    latents, mask = pipeline.prepare_latents(
        frame[:, :, 0], 1, 8, 64, 96, 17, torch.float32, CPU, torch.Generator().manual_seed(4)
    )
    encoder = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False)
    ours = FAMILY.to_transformer(
        encoder.encode(frame), FAMILY.facts(model), torch.Generator().manual_seed(4)
    )
    kept = mask[0].bool()
    assert kept.sum() == ours.shape[1] == 2 * 3
    assert torch.equal(ours[0], latents[0][kept])


def test_embeddings_equal_the_pipelines(model: ModelFolder, pipeline: Any) -> None:
    captions = list(CAPTIONS)
    with torch.no_grad():
        theirs, mask, *_ = pipeline.encode_prompt(
            captions, do_classifier_free_guidance=False, max_sequence_length=256, device=CPU
        )
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = encoder.encode(captions)
    assert [len(one) for one in ours] == mask.sum(dim=1).tolist()
    for one, their in zip(ours, theirs, strict=True):
        assert torch.equal(one, their[: len(one)])
    assert torch.equal(padded(ours, 256), theirs * mask[..., None])


@pytest.mark.parametrize("key", ["scaling_factor", "latent_channels", "spatio_temporal_scaling"])
def test_a_config_that_lacks_something_is_named(tmp_path: Path, key: str) -> None:
    model = ModelFolder(tiny_ltx_video.build(tmp_path / "model"), "lacking")
    path = model.path / "vae/config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    with pytest.raises(ModelError, match=f"the config lacks '{key}'"):
        FAMILY.check(model)


def test_weights_that_lack_the_statistics_are_named(tmp_path: Path) -> None:
    model = ModelFolder(tiny_ltx_video.build(tmp_path / "model"), "lacking")
    path = model.path / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["latents_std"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack latents_mean and latents_std"):
        FAMILY.check(model)


def test_a_store(tmp_path: Path, model: ModelFolder, pipeline: Any) -> None:
    data = fidelity.encode_store(tmp_path, model.path, FAMILY)
    fidelity.require_store(data, FAMILY, model)
    given = run_page("families/ltx-video.md", tmp_path)
    item = data[0]
    with torch.no_grad():
        prompt, mask, *_ = pipeline.encode_prompt(
            [item["caption"]], do_classifier_free_guidance=False, max_sequence_length=256,
            device=CPU,
        )  # fmt: skip
    assert torch.equal(given["mask"], mask)
    assert torch.equal(given["prompt"], prompt * mask[..., None])
    ours = FAMILY.to_transformer(
        item["video_latents"][None], data.info.facts, torch.Generator().manual_seed(0)
    )
    assert torch.equal(given["latents"], ours)
