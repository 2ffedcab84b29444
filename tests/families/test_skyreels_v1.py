"""SkyReels V1, image-to-video: equal, to the bit, to what diffusers' own pipeline makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_hunyuan_video
from tests.support.family_pages import run_page
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of
from videoprep.families.skyreels_v1 import FAMILY


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder = tmp_path_factory.mktemp("model") / "m"
    return ModelFolder(tiny_hunyuan_video.build_skyreels(folder), "tiny")


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, HunyuanSkyreelsImageToVideoPipeline

    return HunyuanSkyreelsImageToVideoPipeline.from_pretrained(
        str(model.path),
        transformer=tiny_hunyuan_video.transformer(in_channels=2 * 4, guidance_embeds=True),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def test_a_store_gives_the_transformer_what_the_pipeline_does(
    tmp_path: Path, model: ModelFolder, pipeline: Any
) -> None:
    """The first frame's latent is drawn; zeros of latents follow."""
    assert family_of(model) is FAMILY
    data, store = fidelity.encode_store(tmp_path, model.path, FAMILY), tmp_path / "store"
    fidelity.require_store(data, FAMILY, model)
    assert vp.verify(store).ok
    assert not vp.preview(store, device="cpu").failed
    assert data.info.facts["image_posterior"] == "sample"
    picture = fidelity.pictures_of_clip(store)[0]
    theirs = fidelity.first_call(
        pipeline, picture, data[0]["caption"], height=32, width=32, num_frames=17
    )
    ours = run_page("families/skyreels-v1.md", tmp_path)
    noise = theirs["hidden_states"][:, : ours["latents"].shape[1]]
    assert ours["latents"].shape == noise.shape
    given = {
        "hidden_states": torch.cat([noise, ours["condition"]], dim=1),
        "encoder_hidden_states": ours["prompt"],
        "encoder_attention_mask": ours["mask"],
        "pooled_projections": ours["pooled"],
    }
    fidelity.require_same_output(pipeline, theirs, given)
