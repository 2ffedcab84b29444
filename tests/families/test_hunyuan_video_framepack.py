"""HunyuanVideo-FramePack: equal, to the bit, to what diffusers' own pipeline makes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_hunyuan_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CPU, pixels
from videoprep.errors import ModelError
from videoprep.families.hunyuan_video_framepack import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder = tmp_path_factory.mktemp("model") / "m"
    return ModelFolder(tiny_hunyuan_video.build_framepack(folder), "tiny")


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideoFramepackPipeline,
        HunyuanVideoFramepackTransformer3DModel,
    )

    transformer = tiny_hunyuan_video.transformer(
        HunyuanVideoFramepackTransformer3DModel,
        guidance_embeds=True,
        has_image_proj=True,
        image_proj_dim=24,
        has_clean_x_embedder=True,
    )
    return HunyuanVideoFramepackPipeline.from_pretrained(
        str(model.path),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )


def test_siglip_takes_fractions_as_the_pipeline_gives_them(
    model: ModelFolder, pipeline: Any
) -> None:
    frames = torch.cat([pixels(1, 64, 96), pixels(1, 64, 96).flip(4)])
    spec = components_of(FAMILY, model)["image_embeds"]
    encoder = FAMILY.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False)
    with torch.no_grad():
        theirs = pipeline.encode_image(frames[:, :, 0], CPU, torch.float32)
    assert torch.equal(encoder.encode(frames), theirs)


def test_a_store_gives_the_transformer_what_the_pipeline_does(
    tmp_path: Path, model: ModelFolder, pipeline: Any
) -> None:
    """A window with the first and the last frame, of which latents are drawn in this order."""
    assert family_of(model) is FAMILY
    data = fidelity.encode_store(tmp_path, model.path, FAMILY, last_frame=True)
    store = tmp_path / "store"
    fidelity.require_store(data, FAMILY, model, {"image_latents", "last_frame"})
    assert vp.verify(store).ok
    assert not vp.preview(store, device="cpu").failed
    facts = data.info.facts
    assert (facts["image_posterior"], facts["window_latent_frames"]) == ("sample", 9)
    frames = fidelity.pictures_of_clip(store)
    theirs = fidelity.first_call(
        pipeline, frames[0], frames[-1], data[0]["caption"], height=32, width=32, num_frames=17
    )
    ours = run_page("families/hunyuan-video-framepack.md", tmp_path)
    given = {
        "latents_clean": torch.cat([ours["first"], ours["last"]], dim=2),
        "encoder_hidden_states": ours["prompt"],
        "encoder_attention_mask": ours["mask"],
        "pooled_projections": ours["pooled"],
        "image_embeds": ours["image"],
    }
    fidelity.require_same_output(pipeline, theirs, given)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("image_encoder", "lacks image_encoder/config.json"),
        ("feature_extractor", "lacks feature_extractor/preprocessor_config.json"),
    ],
)
def test_half_a_model_folder_is_refused(
    model: ModelFolder, tmp_path: Path, lost: str, said: str
) -> None:
    half = ModelFolder(shutil.copytree(model.path, tmp_path / "model"), "half")
    FAMILY.check(half)
    shutil.rmtree(half.path / lost)
    with pytest.raises(ModelError, match=said):
        FAMILY.check(half)
