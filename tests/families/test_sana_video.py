"""Sana-Video: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

import videoprep as vp
from tests.support import fidelity, tiny_sana_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, pixels
from tests.support.tiny_cogvideox15 import change
from videoprep.errors import ModelError
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of
from videoprep.families.sana_video import FAMILY, MAX_TOKENS, instruction

NAMES = ("SanaVideoPipeline", "SanaImageToVideoPipeline")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(tiny_sana_video.build(tmp_path_factory.mktemp("sana") / "model"), "sana")


def load_pipeline(model: ModelFolder, name: str) -> Any:
    return getattr(diffusers, name)(
        tokenizer=transformers.AutoTokenizer.from_pretrained(str(model.path / "tokenizer")),
        text_encoder=transformers.Gemma2Model.from_pretrained(
            str(model.path / "text_encoder")
        ).eval(),
        vae=fidelity.load_vae(FAMILY, model),
        transformer=None,
        scheduler=None,
    )


def padded(embeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings with zeros after them, and the mask: ``[300, features]``, ``[300]``."""
    mask = (torch.arange(MAX_TOKENS) < len(embeds)).long()
    return torch.nn.functional.pad(embeds, (0, 0, 0, MAX_TOKENS - len(embeds))), mask


@pytest.mark.parametrize("name", NAMES)
def test_embeddings_equal_the_pipelines(model: ModelFolder, name: str) -> None:
    """Where the mask is 1: the transformer does not see the rest."""
    pipeline = load_pipeline(model, name)
    told = inspect.signature(pipeline.__call__).parameters["complex_human_instruction"].default
    captions = [caption for caption in CAPTIONS if caption]
    with torch.no_grad():
        theirs, mask, negative, negative_mask = pipeline.encode_prompt(
            captions, True, "", device=CPU, complex_human_instruction=told
        )
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = encoder.encode(captions)
    count = FAMILY.load_token_counter(model)
    for caption, one, their, their_mask in zip(captions, ours, theirs, mask, strict=True):
        embeds, own_mask = padded(one)
        assert torch.equal(own_mask, their_mask)
        assert torch.equal(embeds, their * their_mask[:, None])
        assert len(one) == min(encoder.count_tokens(caption), MAX_TOKENS)
        assert count(caption) == encoder.count_tokens(caption)
    assert encoder.count_tokens(CAPTIONS[2]) > encoder.limit == MAX_TOKENS
    (empty,) = encoder.encode([""])
    embeds, own_mask = padded(empty)
    assert torch.equal(own_mask, negative_mask[0])
    assert torch.allclose(embeds, negative[0] * own_mask[:, None], rtol=0, atol=1e-6)
    assert count("") == encoder.count_tokens("") == len(empty)


def test_an_empty_caption_among_others(model: ModelFolder) -> None:
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    first, empty, last = encoder.encode(["A dog.", "  ", "A cat."])
    assert torch.equal(empty, encoder.encode([""])[0])
    assert not torch.equal(first, last)


def test_both_pipelines_give_the_same_instruction() -> None:
    for name in NAMES:
        call = getattr(diffusers, name).__call__
        parameters = inspect.signature(call).parameters
        assert "\n".join(parameters["complex_human_instruction"].default) == instruction()
        assert parameters["frames"].default == FAMILY.profile.num_frames
        assert parameters["max_sequence_length"].default == MAX_TOKENS


def test_the_first_frame_equals_the_pipelines(model: ModelFolder) -> None:
    frame = pixels(1)
    theirs = load_pipeline(model, NAMES[1]).prepare_latents(
        frame[:, :, 0], 1, 4, 64, 96, 17, torch.float32, CPU, torch.Generator()
    )
    encoder = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False)
    ours = FAMILY.to_transformer(encoder.encode(frame), FAMILY.facts(model))
    assert torch.equal(ours, theirs[:, :, :1])


@pytest.mark.parametrize("name", NAMES)
def test_a_store(name: str, tmp_path: Path) -> None:
    folder = tiny_sana_video.build(tmp_path / "model", pipeline=name)
    model = ModelFolder(folder, name)
    assert family_of(model) is FAMILY
    data = fidelity.encode_store(tmp_path, folder, FAMILY)
    fidelity.require_store(data, FAMILY, model)
    assert vp.verify(tmp_path / "store").ok
    seen = vp.preview(tmp_path / "store", model=folder, output=tmp_path / "seen.html", clips=1)
    assert seen.ok
    page, item = run_page("families/sana-video.md", tmp_path), data[0]
    first = FAMILY.to_transformer(item["image_latents"][None], data.info.facts)
    assert torch.equal(page["noisy"][:, :, :1], first)
    embeds, mask = padded(item["prompt_embeds"])
    assert torch.equal(page["prompt"][0], embeds)
    assert torch.equal(page["mask"][0], mask)


def test_the_vae_of_ltx_2_is_refused(tmp_path: Path) -> None:
    folder = tiny_sana_video.build(tmp_path / "model")
    change(folder / "model_index.json", vae=["diffusers", "AutoencoderKLLTX2Video"])
    model = ModelFolder(folder, "sana")
    with pytest.raises(ModelError, match="its vae is a AutoencoderKLLTX2Video"):
        family_of(model).check(model)
