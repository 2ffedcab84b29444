"""LTX-Video: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import inspect
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import videoprep as vp
from tests.support import fidelity, tiny_ltx_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, padded, pixels
from videoprep.errors import ModelError, PlanError
from videoprep.families.ltx_video import FAMILY, _TextSettings
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


PIPELINES = ("LTXPipeline", "LTXImageToVideoPipeline", "LTXConditionPipeline")


@pytest.mark.parametrize("kind", PIPELINES)
def test_embeddings_equal_those_of_the_pipeline_that_the_folder_names(
    tmp_path: Path, kind: str
) -> None:
    """By its own defaults: how many tokens there are, and whether T5 is told of the padding."""
    import diffusers

    model = ModelFolder(tiny_ltx_video.build(tmp_path / "model", kind), "tiny")
    pipeline = getattr(diffusers, kind).from_pretrained(
        str(model.path), transformer=None, scheduler=None
    )
    captions = list(CAPTIONS)
    with torch.no_grad():
        theirs, mask, *_ = pipeline.encode_prompt(
            captions, do_classifier_free_guidance=False, device=CPU, **_default_length(pipeline)
        )
    limit = theirs.shape[1]
    assert limit == FAMILY.token_limit(model) == FAMILY.shape(model, "prompt_embeds", 0, 0, 0)[0]
    assert limit == (256 if kind == "LTXConditionPipeline" else 128)
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = encoder.encode(captions)
    assert encoder.limit == limit
    assert [len(one) for one in ours] == mask.sum(dim=1).tolist()
    assert torch.equal(padded(ours, limit), theirs * mask[..., None])


def _default_length(pipeline: Any) -> dict[str, int]:
    """What its call gives to `encode_prompt`, whose own default may be another."""
    default = inspect.signature(type(pipeline).__call__).parameters["max_sequence_length"].default
    return {"max_sequence_length": default}


def test_a_store_of_other_text_settings_is_read_and_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such as those of before: 256 tokens that T5 sees. Latents are the same, and stay."""
    model = tiny_ltx_video.build(tmp_path / "model")
    before = {"LTXPipeline": _TextSettings(256, masked=False)}
    with monkeypatch.context() as patch:
        patch.setattr("videoprep.families.ltx_video._PIPELINES", before)
        data = fidelity.encode_store(tmp_path, model, FAMILY)
        old = data.info.recipes["prompt_embeds"]
        assert {"max_tokens": 256, "attention_mask": False}.items() <= old.fields.items()
        stored = data[0]["prompt_embeds"]
    assert torch.equal(vp.LatentDataset(tmp_path / "store")[0]["prompt_embeds"], stored)
    assert vp.verify(tmp_path / "store").ok
    spec = vp.DatasetSpec.from_path(tmp_path / "data", profile="ltx-video")
    again = partial(
        vp.encode, spec, model=model, output=tmp_path / "store", image_latents=True, device="cpu",
        progress="none",
    )  # fmt: skip
    with pytest.raises(PlanError, match="max_tokens: 256 in the store, 128 now; 2 clips"):
        again()
    result = again(yes=True)
    assert result is not None
    made = {name: counted.encoded for name, counted in result.components.items()}
    assert made == {"prompt_embeds": 2, "video_latents": 0, "image_latents": 0}
    item = vp.LatentDataset(tmp_path / "store")[0]
    assert item["prompt_embeds"].shape == stored.shape
    assert not torch.equal(item["prompt_embeds"], stored)


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
            [item["caption"]], do_classifier_free_guidance=False, max_sequence_length=128,
            device=CPU,
        )  # fmt: skip
    assert torch.equal(given["mask"], mask)
    assert torch.equal(given["prompt"], prompt * mask[..., None])
    ours = FAMILY.to_transformer(
        item["video_latents"][None], data.info.facts, torch.Generator().manual_seed(0)
    )
    assert torch.equal(given["latents"], ours)
