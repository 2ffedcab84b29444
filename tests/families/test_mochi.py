"""Mochi: equal, to the bit, to what diffusers' own pipeline makes; its way back, to rounding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import fidelity, tiny_mochi
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, pixels
from videoprep.errors import ModelError
from videoprep.families.mochi import FAMILY
from videoprep.families.model_folder import ModelFolder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(tiny_mochi.build(tmp_path_factory.mktemp("model") / "m"), "tiny")


def _pipeline(model: ModelFolder) -> Any:
    from diffusers import MochiPipeline

    return MochiPipeline.from_pretrained(str(model.path), transformer=None, scheduler=None)


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    return _pipeline(model)


def _one(pipeline: Any, caption: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The embeddings and the mask of a prompt, ``[1, 256, …]`` each."""
    with torch.no_grad():
        embeds, mask, *_ = pipeline.encode_prompt(
            caption, do_classifier_free_guidance=False, device=CPU
        )
    return embeds, mask


@pytest.mark.parametrize("hidden", [True, False])
def test_embeddings_equal_the_pipelines(tmp_path: Path, hidden: bool) -> None:
    folder = tiny_mochi.build(tmp_path / "m", force_zeros_for_empty_prompt=hidden)
    model = ModelFolder(folder, "tiny")
    pipeline = _pipeline(model)
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = encoder.encode(CAPTIONS)
    for caption, one in zip(CAPTIONS, ours, strict=True):
        theirs, mask = _one(pipeline, caption)
        assert torch.equal(one, theirs[mask])
        assert mask[0, : len(one)].all()
    assert len(ours[CAPTIONS.index("")]) == (0 if hidden else 1)
    assert encoder.count_tokens(CAPTIONS[2]) > encoder.limit == len(ours[2]) == 256
    assert encoder.count_tokens("A dog.") == len(encoder.encode(["A dog."])[0])


def test_recipes_tell_whether_empty_prompts_are_hidden(model: ModelFolder, tmp_path: Path) -> None:
    shown = ModelFolder(
        tiny_mochi.build(tmp_path / "m", force_zeros_for_empty_prompt=False), "shown"
    )
    for component, differs in (("prompt_embeds", True), ("video_latents", False)):
        one, other = (FAMILY.identity(folder, component) for folder in (model, shown))
        assert (one != other) == differs


def _transformer() -> Any:
    from diffusers import MochiTransformer3DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MochiTransformer3DModel(
            num_attention_heads=2, attention_head_dim=8, num_layers=2, pooled_projection_dim=16,
            text_embed_dim=32, time_embed_dim=4, max_sequence_length=256,
        ).eval()  # fmt: skip


@pytest.mark.parametrize("caption", ["A dog runs.", ""])
def test_the_transformer_makes_the_same_of_zeros_in_place_of_padding(
    model: ModelFolder, pipeline: Any, caption: str
) -> None:
    transformer, noisy = _transformer(), pixels(8, 4, 4).reshape(1, 12, 2, 4, 4)
    theirs, mask = _one(pipeline, caption)
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = fidelity.padded(encoder.encode([caption]), 256)
    with torch.no_grad():
        one, other = (
            transformer(noisy, embeds, torch.tensor([500]), mask, return_dict=False)[0]
            for embeds in (theirs, ours)
        )
    assert not torch.equal(theirs, ours)
    assert torch.equal(one, other)


def test_latents_come_back_through_the_pipelines_own_way_to_the_vae(
    model: ModelFolder, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pipeline encodes videos for Mochi; the way back tells how latents are scaled.

    The pipeline is run with a transformer that changes nothing. What it gives its VAE is the draw
    of the posterior, but for the rounding of what was scaled and scaled back.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    clip = pixels(13)
    moments = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    with torch.no_grad():
        posterior = pipeline.vae.encode(clip).latent_dist
    assert torch.equal(moments, posterior.parameters)
    drawn = posterior.sample(torch.Generator().manual_seed(3))
    ours = FAMILY.to_transformer(moments, FAMILY.facts(model), torch.Generator().manual_seed(3))
    still, whole = _transformer(), _pipeline(model)
    torch.nn.init.zeros_(still.proj_out.weight)
    torch.nn.init.zeros_(still.proj_out.bias)
    whole.register_modules(transformer=still, scheduler=FlowMatchEulerDiscreteScheduler())
    given: list[torch.Tensor] = []
    decode = whole.vae.decode

    def listened(latents: torch.Tensor, **how: Any) -> Any:
        given.append(latents)
        return decode(latents, **how)

    monkeypatch.setattr(whole.vae, "decode", listened)
    whole(
        "A dog.", height=64, width=96, num_frames=13, num_inference_steps=2, latents=ours,
        guidance_scale=1.0, output_type="pt",
    )  # fmt: skip
    (back,) = given
    assert (back - drawn).abs().max() <= 2**-22 * drawn.abs().max()


@pytest.mark.parametrize(
    "key",
    ["scaling_factor", "latents_mean", "latents_std", "latent_channels", "spatial_expansions"],
)
def test_a_config_that_lacks_something_is_named(tmp_path: Path, key: str) -> None:
    model = ModelFolder(tiny_mochi.build(tmp_path / "model"), "lacking")
    path = model.path / "vae/config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    with pytest.raises(ModelError, match=f"the config lacks '{key}'"):
        FAMILY.check(model)


def test_it_knows_no_first_frames(model: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="`image_latents` asks for first frames"):
        fidelity.encode_store(tmp_path, model.path, FAMILY, reshape="center-crop")


def test_a_store(tmp_path: Path, model: ModelFolder, pipeline: Any) -> None:
    """17 frames are none of 6k+1, of which 13 are planned; what is of the empty caption is none."""
    data = fidelity.encode_store(
        tmp_path, model.path, FAMILY, image_latents=False, max_num_frames=13,
        reshape="center-crop",
    )  # fmt: skip
    fidelity.require_store(data, FAMILY, model, frozenset())
    given = run_page("families/mochi.md", tmp_path)
    item = data[0]
    prompt, mask = _one(pipeline, item["caption"])
    assert torch.equal(given["mask"], mask)
    assert torch.equal(given["prompt"], prompt * mask[..., None])
    ours = FAMILY.to_transformer(
        item["video_latents"][None], data.info.facts, torch.Generator().manual_seed(0)
    )
    assert torch.equal(given["latents"], ours)
    assert tuple(data.empty_caption()["prompt_embeds"].shape) == (0, 32)
