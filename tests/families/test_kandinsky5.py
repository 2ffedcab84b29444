"""Kandinsky 5 Video: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.support import fidelity, tiny_kandinsky5
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, pixels
from videoprep.families.kandinsky5 import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of

MANY = (*CAPTIONS, "", " Two &amp; three\n  “curly”  spaces ", "word " * 700)
"""Captions, among them an empty one, one that is cleaned, and one that is too long."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(tiny_kandinsky5.build(tmp_path_factory.mktemp("model") / "m"), "tiny")


def _load(kind: str, model: ModelFolder) -> Any:
    import diffusers

    return getattr(diffusers, kind).from_pretrained(
        str(model.path), transformer=None, scheduler=None
    )


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    return _load("Kandinsky5T2VPipeline", model)


def test_embeddings_equal_the_pipelines_for_one_caption(model: ModelFolder, pipeline: Any) -> None:
    text = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    clip = FAMILY.load_text_encoder(model, "text_encoder_2", CPU, torch.float32, eight_bit=False)
    ours, pooled = text.encode(MANY), clip.encode(MANY)
    for caption, one, short in zip(MANY, ours, pooled, strict=True):
        with torch.no_grad():
            theirs, clips, lengths = pipeline.encode_prompt(caption, device=CPU)
        assert torch.equal(one, theirs[0])
        assert torch.equal(short, clips[0])
        assert lengths.tolist() == [0, len(one)]
    assert len(ours[-1]) == text.limit == 512
    assert text.count_tokens(MANY[-1]) > text.limit
    assert text.count_tokens("A dog.") == len(text.encode(["A dog."])[0])
    counter = FAMILY.load_token_counter(model)
    assert [counter(caption) for caption in MANY] == [text.count_tokens(one) for one in MANY]
    assert tuple(clips.shape[1:]) == FAMILY.shape(model, "pooled_embeds", 1, 64, 96)


def test_a_batch_of_the_pipeline_differs_which_is_why_captions_come_one_by_one(
    model: ModelFolder, pipeline: Any
) -> None:
    text = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    pair = ["A dog.", "A dog that runs along the beach towards the camera."]
    with torch.no_grad():
        theirs, _, _ = pipeline.encode_prompt(pair, device=CPU)
    short, long = text.encode(pair)
    assert len(short) < len(long) == len(theirs[1])
    assert torch.equal(theirs[1], long)
    assert not torch.equal(theirs[0][: len(short)], short)


def test_latents_equal_a_draw_of_the_vaes_posterior(model: ModelFolder, pipeline: Any) -> None:
    clip = pixels(21)  # more than 16 frames: the VAE works in tiles of time
    with torch.no_grad():
        posterior = pipeline.vae.encode(clip).latent_dist
    drawn = posterior.sample(torch.Generator().manual_seed(3))
    theirs = (drawn * pipeline.vae.config.scaling_factor).permute(0, 2, 3, 4, 1)
    moments = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    ours = FAMILY.to_transformer(moments, FAMILY.facts(model), torch.Generator().manual_seed(3))
    assert torch.equal(ours, theirs)


def test_the_first_frame_equals_what_the_pipeline_puts_into_the_noise(tmp_path: Path) -> None:
    model = ModelFolder(
        tiny_kandinsky5.build(tmp_path / "m", "Kandinsky5I2VPipeline"), "tiny image-to-video"
    )
    assert family_of(model) is FAMILY
    pipeline = _load("Kandinsky5I2VPipeline", model)
    pipeline.register_modules(transformer=_VisualCondition())
    image = Image.effect_mandelbrot((96, 64), (-2, -1.5, 1, 1.5), 40).convert("RGB")
    theirs = pipeline.prepare_latents(
        image, 1, num_channels_latents=4, height=64, width=96, num_frames=9,
        dtype=torch.float32, device=CPU, generator=torch.Generator().manual_seed(5),
    )  # fmt: skip
    frame = pipeline.video_processor.preprocess(image, height=64, width=96)[:, :, None]
    moments = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(frame)
    random = torch.Generator().manual_seed(5)
    torch.randn(1, 3, 8, 12, 4, generator=random)  # the pipeline draws its noise first
    ours = FAMILY.to_transformer(moments, FAMILY.facts(model), random)
    assert torch.equal(theirs[:, :1, ..., :4], ours)
    assert theirs[:, :1, ..., -1].eq(1).all()


class _VisualCondition(torch.nn.Module):
    """As much of a transformer as the pipeline asks before it runs one."""

    visual_cond = True


def test_a_store(tmp_path: Path, model: ModelFolder, pipeline: Any) -> None:
    data = fidelity.encode_store(tmp_path, model.path, FAMILY)
    fidelity.require_store(data, FAMILY, model)
    given = run_page("families/kandinsky5.md", tmp_path)
    item = data[0]
    with torch.no_grad():
        prompt, pooled, lengths = pipeline.encode_prompt([item["caption"]], device=CPU)
    assert torch.equal(given["prompt"], prompt)
    assert torch.equal(given["lengths"], lengths)
    assert torch.equal(given["pooled"], pooled)
    facts = data.info.facts
    ours = FAMILY.to_transformer(
        item["video_latents"][None], facts, torch.Generator().manual_seed(0)
    )
    assert torch.equal(given["latents"], ours)
    first = FAMILY.to_transformer(
        item["image_latents"][None], facts, torch.Generator().manual_seed(1)
    )
    assert torch.equal(given["latents_of_i2v"][:, :1], first)


def test_what_every_family_is_held_to(model: ModelFolder) -> None:
    fidelity.require_moments(FAMILY, model)
    fidelity.require_round_trip(FAMILY, model)
