"""CogVideoX: equal, to the bit, to what diffusers' own code makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from videoprep.families.cogvideox import FAMILY, MAX_TOKENS
from videoprep.families.model_folder import ModelFolder

CPU = torch.device("cpu")
CAPTIONS = [
    "A hiker stands on a rocky ledge.",
    "Ein Wanderer",
    "word " * 400,  # longer than the limit
]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> ModelFolder:
    return ModelFolder(tiny_model, "tiny")


def test_embeddings_equal_the_pipelines(model: ModelFolder) -> None:
    from diffusers import CogVideoXPipeline

    pipeline = CogVideoXPipeline.from_pretrained(str(model.path))
    with torch.no_grad():
        theirs, _ = pipeline.encode_prompt(CAPTIONS, do_classifier_free_guidance=False)
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = torch.stack(list(encoder.encode(CAPTIONS)))
    assert ours.shape == (3, *FAMILY.shape(model, "prompt_embeds", 17, 64, 96))
    assert torch.equal(ours, theirs)


def test_tokens_are_counted_before_they_are_cut(model: ModelFolder) -> None:
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    counts = [encoder.count_tokens(caption) for caption in CAPTIONS]
    assert counts[0] < 40
    assert counts[2] > MAX_TOKENS


def test_the_tiny_tokenizer_splits_english(model: ModelFolder) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model.path / "tokenizer"))
    pieces = tokenizer.tokenize("A woman walks along the street")
    assert len(pieces) < len("A woman walks along the street")
    assert "▁the" in pieces
    assert tokenizer.unk_token not in pieces
    ids = tokenizer("A woman walks along the street").input_ids
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == "A woman walks along the street"


def test_moments_equal_the_vaes(model: ModelFolder) -> None:
    from diffusers import AutoencoderKLCogVideoX

    vae = AutoencoderKLCogVideoX.from_pretrained(str(model.path / "vae"))
    pixels = torch.rand(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        theirs = vae._encode(pixels)
    ours = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(pixels)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("frames", [n for n in range(1, 130) if n % 4 in (0, 1)])
def test_the_latent_shape_is_what_the_vae_gives(model: ModelFolder, frames: int) -> None:
    assert FAMILY.profile.accepts_frames(frames)
    encoder = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False)
    moments = encoder.encode(torch.zeros(1, 3, frames, 16, 16))
    assert tuple(moments.shape[1:]) == FAMILY.shape(model, "video_latents", frames, 16, 16)


def test_facts_come_from_the_config(model: ModelFolder) -> None:
    facts = FAMILY.facts(model)
    assert facts["scaling_factor"] == 1.15258426
    assert facts["latent_channels"] == 16
    assert (facts["spatial_compression"], facts["temporal_compression"]) == (8, 4)
