"""Motif-Video: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

import videoprep as vp
from tests.support import fidelity, tiny_motif_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, pixels
from tests.support.tiny_cogvideox15 import change
from videoprep.errors import ModelError
from videoprep.families.model_folder import ModelFolder
from videoprep.families.motif_video import FAMILY, MAX_TOKENS
from videoprep.families.registry import components_of, family_of

NAMES = ("MotifVideoPipeline", "MotifVideoImage2VideoPipeline")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(tiny_motif_video.build(tmp_path_factory.mktemp("motif") / "model"), "motif")


def load_pipeline(model: ModelFolder, name: str) -> Any:
    folder = model.path
    return getattr(diffusers, name)(
        scheduler=None,
        vae=fidelity.load_vae(FAMILY, model),
        text_encoder=transformers.T5Gemma2Encoder.from_pretrained(
            str(folder / "text_encoder")
        ).eval(),
        tokenizer=transformers.AutoTokenizer.from_pretrained(str(folder / "tokenizer")),
        transformer=None,
        guider=None,
        feature_extractor=transformers.SiglipImageProcessor.from_pretrained(
            str(folder / "feature_extractor")
        ),
    )


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", NAMES)
def test_embeddings_equal_the_pipelines(name: str, side: str, tmp_path: Path) -> None:
    """Where the mask is 1, whichever side the tokenizer pads: the transformer sees nothing else."""
    model = ModelFolder(tiny_motif_video.build(tmp_path / "model"), side)
    change(model.path / "tokenizer/tokenizer_config.json", padding_side=side)
    with torch.no_grad():
        theirs, _, masks, _ = load_pipeline(model, name).encode_prompt(list(CAPTIONS), device=CPU)
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = encoder.encode(CAPTIONS)
    for one, their, mask in zip(ours, theirs, masks, strict=True):
        assert torch.equal(one, their[mask])
    assert masks[:, -1].all() == (side == "left")
    assert [len(one) for one in ours] == [
        min(encoder.count_tokens(caption), MAX_TOKENS) for caption in CAPTIONS
    ]
    assert FAMILY.facts(model)["padding_side"] == side


def test_the_first_frame_equals_the_pipelines(model: ModelFolder) -> None:
    """Its latents, drawn with the pipeline's numbers, and what the image encoder sees of it."""
    frame, latents = pixels(1), torch.zeros(1, 4, 5, 8, 12)
    pipeline = load_pipeline(model, NAMES[1])
    with torch.no_grad():
        condition, mask, seen = pipeline._prepare_first_frame_conditioning(
            frame.transpose(1, 2),
            latents,
            True,
            torch.Generator().manual_seed(7),
        )
    encoder = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False)
    generator = torch.Generator().manual_seed(7)
    ours = FAMILY.to_transformer(encoder.encode(frame), FAMILY.facts(model), generator)
    assert torch.equal(ours, condition[:, :, :1])
    assert not condition[:, :, 1:].any()
    assert mask[:, :, 0].all()
    spec = components_of(FAMILY, model)["image_embeds"]
    embeds = FAMILY.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False).encode(frame)
    assert torch.equal(embeds, seen)
    assert tuple(embeds.shape[1:]) == FAMILY.shape(model, "image_embeds", 1, 64, 96)


def test_lengths_are_the_pipelines_defaults() -> None:
    for name in NAMES:
        defaults = inspect.signature(getattr(diffusers, name).__call__).parameters
        assert defaults["num_frames"].default == FAMILY.profile.num_frames
        assert defaults["max_sequence_length"].default == MAX_TOKENS


@pytest.mark.parametrize("name", NAMES)
def test_a_store(name: str, tmp_path: Path) -> None:
    folder = tiny_motif_video.build(tmp_path / "model", pipeline=name)
    model = ModelFolder(folder, name)
    assert family_of(model) is FAMILY
    data = fidelity.encode_store(tmp_path, folder, FAMILY)
    fidelity.require_store(data, FAMILY, model)
    assert vp.verify(tmp_path / "store").ok
    seen = vp.preview(tmp_path / "store", model=folder, output=tmp_path / "seen.html", clips=1)
    assert seen.ok
    page, item, facts = run_page("families/motif-video.md", tmp_path), data[0], data.info.facts
    for given, component in (("latents", "video_latents"), ("first", "image_latents")):
        generator = torch.Generator().manual_seed(0)
        drawn = FAMILY.to_transformer(item[component][None], facts, generator)
        assert torch.equal(page[given], drawn)
    condition = page["condition"]
    assert torch.equal(condition[:, :4, :1], page["first"])
    assert condition.shape[1] == 5
    assert page["mask"].sum() == len(item["prompt_embeds"])
    assert torch.equal(page["prompt"][0][page["mask"][0]], item["prompt_embeds"])


def test_half_a_folder_is_refused(tmp_path: Path) -> None:
    folder = tiny_motif_video.build(tmp_path / "model")
    (folder / "feature_extractor/preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        FAMILY.check(ModelFolder(folder, "half"))
