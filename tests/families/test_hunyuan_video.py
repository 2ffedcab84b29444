"""HunyuanVideo: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import fidelity, tiny_hunyuan_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, padded, pixels
from videoprep.errors import ModelError
from videoprep.families.hunyuan_video import FAMILY
from videoprep.families.model_folder import ModelFolder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(tiny_hunyuan_video.build(tmp_path_factory.mktemp("model") / "m"), "tiny")


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    from diffusers import HunyuanVideoPipeline

    return HunyuanVideoPipeline.from_pretrained(
        str(model.path), transformer=None, scheduler=None, guidance=None
    )


def test_latents_equal_a_draw_of_the_vaes_posterior(model: ModelFolder, pipeline: Any) -> None:
    clip = pixels(9)
    with torch.no_grad():
        posterior = pipeline.vae.encode(clip).latent_dist
    drawn = posterior.sample(torch.Generator().manual_seed(3))
    theirs = drawn * pipeline.vae.config.scaling_factor
    moments = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    ours = FAMILY.to_transformer(moments, FAMILY.facts(model), torch.Generator().manual_seed(3))
    assert torch.equal(ours, theirs)


def test_embeddings_equal_the_pipelines(model: ModelFolder, pipeline: Any) -> None:
    captions = list(CAPTIONS)
    with torch.no_grad():
        theirs, pooled, mask = pipeline.encode_prompt(captions, device=CPU)
    text = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = text.encode(captions)
    assert [len(one) for one in ours] == mask.sum(dim=1).tolist()
    for one, their, kept in zip(ours, theirs, mask.bool(), strict=True):
        assert torch.equal(one, their[kept])
        # Right-padded, so that zeros and a mask bring them back to where the pipeline has them.
        assert kept[: len(one)].all()
    assert torch.equal(padded(ours, 256) * mask[..., None], theirs * mask[..., None])
    assert text.count_tokens(CAPTIONS[2]) > text.limit == 256
    assert text.count_tokens("A dog.") == len(ours[0])
    clip = FAMILY.load_text_encoder(model, "text_encoder_2", CPU, torch.float32, eight_bit=False)
    assert torch.equal(torch.stack(list(clip.encode(captions))), pooled)
    assert clip.count_tokens(CAPTIONS[2]) > clip.limit == 77
    assert tuple(pooled.shape[1:]) == FAMILY.shape(model, "pooled_embeds", 1, 64, 96)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("vae", "scaling_factor"),
        ("vae", "spatial_compression_ratio"),
        ("vae", "temporal_compression_ratio"),
        ("vae", "latent_channels"),
        ("text_encoder", "hidden_size"),
        ("text_encoder_2", "hidden_size"),
    ],
)
def test_a_config_that_lacks_something_is_named(tmp_path: Path, part: str, key: str) -> None:
    model = ModelFolder(tiny_hunyuan_video.build(tmp_path / "model"), "lacking")
    path = model.path / part / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    with pytest.raises(ModelError, match=f"the config lacks '{key}'"):
        FAMILY.check(model)


def test_a_store(tmp_path: Path, model: ModelFolder, pipeline: Any) -> None:
    data = fidelity.encode_store(tmp_path, model.path, FAMILY)
    fidelity.require_store(data, FAMILY, model)
    given = run_page("families/hunyuan-video.md", tmp_path)
    item = data[0]
    with torch.no_grad():
        prompt, pooled, mask = pipeline.encode_prompt([item["caption"]], device=CPU)
    assert torch.equal(given["mask"], mask)
    assert torch.equal(given["prompt"], prompt * mask[..., None])
    assert torch.equal(given["pooled"], pooled)
    ours = FAMILY.to_transformer(
        item["video_latents"][None], data.info.facts, torch.Generator().manual_seed(0)
    )
    assert torch.equal(given["latents"], ours)
    mean = item["image_latents"][None].chunk(2, dim=1)[0]
    assert torch.equal(given["first"], mean * pipeline.vae.config.scaling_factor)
