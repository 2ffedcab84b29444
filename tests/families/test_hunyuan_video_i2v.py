"""HunyuanVideo-I2V: equal, to the bit, to what diffusers' own pipeline makes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_hunyuan_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, pixels
from tests.support.tiny_cogvideox15 import change
from videoprep.errors import ModelError
from videoprep.families.clip import pictures_of
from videoprep.families.contract import CaptionedVideoEncoder, ClipContext
from videoprep.families.hunyuan_video_i2v import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of

CONDITIONS = ("token_replace", "latent_concat")


@pytest.fixture(scope="module", params=CONDITIONS)
def condition(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(condition: str, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder = tmp_path_factory.mktemp("model") / "m"
    return ModelFolder(tiny_hunyuan_video.build_i2v(folder, condition=condition), condition)


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder, condition: str) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, HunyuanVideoImageToVideoPipeline

    channels = 4 if condition == "token_replace" else 2 * 4 + 1
    return HunyuanVideoImageToVideoPipeline.from_pretrained(
        str(model.path),
        transformer=tiny_hunyuan_video.transformer(
            in_channels=channels, image_condition_type=condition, guidance_embeds=False
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def _llava(model: ModelFolder) -> CaptionedVideoEncoder:
    spec = components_of(FAMILY, model)["prompt_embeds"]
    encoder = FAMILY.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False)
    assert isinstance(encoder, CaptionedVideoEncoder)
    return encoder


def test_captions_with_pictures_equal_the_pipelines(
    model: ModelFolder, pipeline: Any, condition: str
) -> None:
    frames = torch.cat([pixels(1), pixels(1).flip(3)])
    encoder, every = _llava(model), 4 if condition == "token_replace" else 2
    for caption in CAPTIONS:
        made = encoder.encode_clips(frames, [ClipContext(caption)] * 2)
        assert tuple(made.shape[1:]) == FAMILY.shape(model, "prompt_embeds", 1, 64, 96)
        assert not torch.equal(*made), "the picture decides"
        for picture, ours in zip(pictures_of(frames), made, strict=True):
            with torch.no_grad():
                theirs, pooled, mask = pipeline.encode_prompt(
                    image=picture, prompt=caption, device=CPU, image_embed_interleave=every
                )
            assert torch.equal(ours, (theirs * mask[..., None])[0])
            assert torch.equal(ours.any(dim=-1), mask[0].bool())
    text = FAMILY.load_text_encoder(model, "text_encoder_2", CPU, torch.float32, eight_bit=False)
    assert torch.equal(text.encode([CAPTIONS[-1]])[0], pooled[0])


def test_a_caption_holds_no_further_picture(model: ModelFolder) -> None:
    plain, odd = (
        _llava(model).encode_clips(pixels(1), [ClipContext(caption)])
        for caption in ("A dog.", "<image>A dog.<image>")
    )
    assert torch.equal(plain, odd)


def test_the_words_around_a_caption_are_left_out(model: ModelFolder) -> None:
    """A caption's tokens stand after the picture's, and before the line after the answer's head."""
    (made,) = _llava(model).encode_clips(pixels(1), [ClipContext("A dog.")])
    words = len(["A", " ", "d", "o", "g", "."])
    assert int(made.any(dim=-1).sum()) - FAMILY.facts(model)["image_tokens"] == words + 1
    head = ["<|eot_id|>", "<|start_header_id|>", "assistant", "<|end_header_id|>", "\n\n"]
    assert FAMILY.load_token_counter(model)("A dog.") == words + len(head)


def test_a_store_gives_the_transformer_what_the_pipeline_does(
    tmp_path: Path, model: ModelFolder, pipeline: Any, condition: str
) -> None:
    assert family_of(model) is FAMILY
    data, store = fidelity.encode_store(tmp_path, model.path, FAMILY), tmp_path / "store"
    fidelity.require_store(data, FAMILY, model)
    assert vp.verify(store).ok
    assert not vp.preview(store, device="cpu").failed
    facts = data.info.facts
    assert (facts["image_posterior"], facts["image_condition_type"]) == ("mode", condition)
    assert set(data.empty_caption()) == {"pooled_embeds"}
    picture = fidelity.pictures_of_clip(store)[0]
    theirs = fidelity.first_call(
        pipeline, picture, data[0]["caption"], height=32, width=32, num_frames=17,
        guidance_scale=1.0,
    )  # fmt: skip
    ours = run_page("families/hunyuan-video-i2v.md", tmp_path)
    noise = theirs["hidden_states"][:, : ours["latents"].shape[1]]
    assert ours["latents"].shape == noise.shape
    given = {
        "hidden_states": ours["shown"](noise),
        "encoder_hidden_states": ours["prompt"],
        "encoder_attention_mask": ours["mask"],
        "pooled_projections": ours["pooled"],
    }
    fidelity.require_same_output(pipeline, theirs, given)


@pytest.fixture
def copy(model: ModelFolder, tmp_path: Path) -> ModelFolder:
    """A folder to change."""
    return ModelFolder(shutil.copytree(model.path, tmp_path / "model"), "changed")


def test_another_picture_or_caption_is_another_artifact(model: ModelFolder) -> None:
    spec = components_of(FAMILY, model)["prompt_embeds"]
    assert spec.source.key_columns == ("prompt_key", "image_key")
    pooled = components_of(FAMILY, model)["pooled_embeds"]
    assert pooled.source.key_columns == ("prompt_key",)


def test_a_transformer_without_images_is_refused(copy: ModelFolder) -> None:
    change(copy.path / "transformer/config.json", image_condition_type=None)
    with pytest.raises(ModelError, match="'image_condition_type' is None, and neither of"):
        FAMILY.check(copy)
    (copy.path / "transformer/config.json").unlink()
    with pytest.raises(ModelError, match=r"lacks transformer/config\.json"):
        FAMILY.check(copy)


def test_another_text_encoder_is_refused(copy: ModelFolder) -> None:
    index = copy.path / "model_index.json"
    change(index, text_encoder=["transformers", "LlamaModel"])
    with pytest.raises(ModelError, match="is a LlamaModel, and not LlavaForConditionalGeneration"):
        FAMILY.check(ModelFolder(copy.path, "again"))


def test_pictures_of_other_sizes_are_refused(copy: ModelFolder) -> None:
    config = copy.path / "text_encoder/config.json"
    change(config, vision_config={"model_type": "clip_vision_model", "image_size": 48,
                                  "patch_size": 4})  # fmt: skip
    with pytest.raises(ModelError, match="makes 144 tokens of a picture; the pipeline takes 576"):
        FAMILY.check(copy)


def test_half_a_model_folder_is_refused(copy: ModelFolder) -> None:
    shutil.rmtree(copy.path / "image_processor")
    with pytest.raises(ModelError, match=r"lacks image_processor/preprocessor_config\.json"):
        FAMILY.check(copy)
