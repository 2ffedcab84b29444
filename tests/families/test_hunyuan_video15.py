"""HunyuanVideo 1.5: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_hunyuan_video, tiny_hunyuan_video15
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, pixels
from tests.support.tiny_cogvideox15 import change
from videoprep.errors import ModelError
from videoprep.families.clip import pictures_of
from videoprep.families.hunyuan_video15 import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of

QUOTES = (
    'A sign says "Open".',
    "“Zu” and \"Auf\", then “Zu” again, 'not this', “漢字”",
    'An "unfinished quote, “another”',
    '"" and "two\nlines"',
    '"' + "long " * 80 + '"',  # longer than ByT5 takes
)
TEXTS = (*CAPTIONS, *QUOTES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFolder]:
    root = tmp_path_factory.mktemp("hunyuan15")
    build = tiny_hunyuan_video15
    return {
        "t2v": ModelFolder(build.build(root / "t2v"), "t2v"),
        "i2v": ModelFolder(build.build_i2v(root / "i2v"), "i2v"),
    }


@pytest.fixture(scope="module")
def pipeline(models: Mapping[str, ModelFolder]) -> Any:
    """Image-to-video with a transformer, and without guidance."""
    from diffusers import (
        ClassifierFreeGuidance,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideo15ImageToVideoPipeline,
        HunyuanVideo15Transformer3DModel,
    )

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        transformer = HunyuanVideo15Transformer3DModel(
            in_channels=2 * 4 + 1, out_channels=4, num_attention_heads=2, attention_head_dim=16,
            num_layers=2, num_refiner_layers=2, text_embed_dim=32, text_embed_2_dim=16,
            image_embed_dim=24, rope_axes_dim=(4, 6, 6), target_size=32,
        ).eval()  # fmt: skip
    made = HunyuanVideo15ImageToVideoPipeline.from_pretrained(
        str(models["i2v"].path),
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        guider=ClassifierFreeGuidance(guidance_scale=1.0),
    )
    return made


def test_latents_equal_the_mode_of_the_vaes_posterior(models: Mapping[str, ModelFolder]) -> None:
    model = models["t2v"]
    vae, clip = fidelity.load_vae(FAMILY, model), pixels(9)
    with torch.no_grad():
        theirs = vae.encode(clip).latent_dist.mode() * vae.config.scaling_factor
    encoder = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False)
    ours = FAMILY.to_transformer(encoder.encode(clip), FAMILY.facts(model))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2"])
def test_embeddings_equal_the_pipelines(
    models: Mapping[str, ModelFolder], pipeline: Any, part: str
) -> None:
    captions = list(TEXTS)
    with torch.no_grad():
        prompt, prompt_mask, glyphs, glyph_mask = pipeline.encode_prompt(
            captions, device=CPU, batch_size=len(captions)
        )
    first = part == "text_encoder"
    theirs, masks = (prompt, prompt_mask) if first else (glyphs, glyph_mask)
    text = FAMILY.load_text_encoder(models["t2v"], part, CPU, torch.float32, eight_bit=False)
    ours = text.encode(captions)
    assert theirs.shape[1] == text.limit == (1000 if first else 256)
    for one, their, mask in zip(ours, theirs, masks.bool(), strict=True):
        assert torch.equal(one, their[mask])
        # At the beginning, so that zeros and a mask bring them back to where the pipeline has them.
        assert mask[: len(one)].all()
    counts = [text.count_tokens(caption) for caption in captions]
    assert [min(count, text.limit) for count in counts] == [len(one) for one in ours]
    assert max(counts) > text.limit


def test_an_empty_caption_is_a_space_and_the_conversation_is_left_out(
    models: Mapping[str, ModelFolder],
) -> None:
    model = models["t2v"]
    text = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    empty, space, dog = text.encode(["", " ", "A dog."])
    assert torch.equal(empty, space)
    close = "<|im_end|>\n<|im_start|>assistant\n"
    tokenizer = _tokenizer(model)
    assert len(empty) == 1 + len(tokenizer.encode(close))
    assert len(dog) == len(tokenizer.encode("A dog.")) + len(tokenizer.encode(close))
    count = FAMILY.load_token_counter(model)
    assert [count(one) for one in TEXTS] == [text.count_tokens(one) for one in TEXTS]


def _tokenizer(model: ModelFolder) -> Any:
    from transformers import Qwen2Tokenizer

    return Qwen2Tokenizer.from_pretrained(str(model.path / "tokenizer"))


def test_only_quoted_text_is_read_byte_by_byte(models: Mapping[str, ModelFolder]) -> None:
    from transformers import ByT5Tokenizer

    model = models["t2v"]
    text = FAMILY.load_text_encoder(model, "text_encoder_2", CPU, torch.float32, eight_bit=False)
    assert [text.count_tokens(caption) for caption in CAPTIONS] == [0] * len(CAPTIONS)
    assert [tuple(one.shape) for one in text.encode(["It's 5' tall."])] == [(0, 16)]
    said = 'Text "Zu". Text "Auf". Text "漢字". '
    assert text.count_tokens(QUOTES[1]) == len(ByT5Tokenizer()(said).input_ids)


def test_first_frames_equal_the_pipelines(models: Mapping[str, ModelFolder], pipeline: Any) -> None:
    model, frame = models["i2v"], pixels(1)
    (picture,) = pictures_of(frame)
    with torch.no_grad():
        seen = pipeline.encode_image(picture, 1, CPU, torch.float32)
        theirs = pipeline._get_image_latents(
            pipeline.vae, pipeline.video_processor, picture, 64, 96, CPU
        )
    specs = components_of(FAMILY, model)
    embeds, latents = (
        FAMILY.load_frame_encoder(model, specs[name], CPU, torch.float32, tiling=False).encode(
            frame
        )
        for name in ("image_embeds", "image_latents")
    )
    assert torch.equal(embeds, seen)
    assert tuple(embeds.shape[1:]) == FAMILY.shape(model, "image_embeds", 1, 64, 96)
    assert torch.equal(FAMILY.to_transformer(latents, FAMILY.facts(model)), theirs)


def test_a_store_gives_the_transformer_what_the_pipeline_does(
    tmp_path: Path, models: Mapping[str, ModelFolder], pipeline: Any
) -> None:
    """From two films to the transformer's own output, by the code of the page."""
    model, store = models["i2v"], tmp_path / "store"
    data = fidelity.encode_store(tmp_path, model.path, FAMILY, captions=(QUOTES[1], "One."))
    fidelity.require_store(data, FAMILY, model)
    assert vp.verify(store).ok
    assert not vp.preview(store, device="cpu").failed
    assert [len(item["glyph_embeds"]) for item in data] == [39, 0]
    assert tuple(data.empty_caption()["glyph_embeds"].shape) == (0, 16)
    picture = fidelity.pictures_of_clip(store)[0]
    assert data[0]["caption"] == QUOTES[1]

    theirs = fidelity.first_call(pipeline, picture, QUOTES[1], num_frames=17)
    ours = run_page("families/hunyuan-video-1.5.md", tmp_path)
    noise = theirs["hidden_states"][:, : ours["latents"].shape[1]]
    assert ours["latents"].shape == noise.shape
    given = {
        "hidden_states": torch.cat([noise, ours["condition"], ours["mask"]], dim=1),
        "encoder_hidden_states": ours["prompt"],
        "encoder_attention_mask": ours["prompt_mask"],
        "encoder_hidden_states_2": ours["glyphs"],
        "encoder_attention_mask_2": ours["glyph_mask"],
        "image_embeds": ours["image"],
    }
    fidelity.require_same_output(pipeline, theirs, given)


def test_text_to_video_shows_no_image(tmp_path: Path, models: Mapping[str, ModelFolder]) -> None:
    model = models["t2v"]
    assert set(components_of(FAMILY, model)) == {
        "prompt_embeds", "glyph_embeds", "video_latents", "image_latents",
    }  # fmt: skip
    fidelity.encode_store(tmp_path, model.path, FAMILY, image_latents=False)
    given = run_page("families/hunyuan-video-1.5.md", tmp_path)
    assert not given["image"].any()
    assert not given["condition"].any()
    assert not given["mask"].any()


@pytest.fixture
def model(models: Mapping[str, ModelFolder], tmp_path: Path) -> ModelFolder:
    """Image-to-video, to change."""
    return ModelFolder(shutil.copytree(models["i2v"].path, tmp_path / "model"), "changed")


@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("vae", "scaling_factor"),
        ("vae", "spatial_compression_ratio"),
        ("vae", "temporal_compression_ratio"),
        ("vae", "latent_channels"),
        ("text_encoder", "hidden_size"),
        ("text_encoder_2", "d_model"),
        ("image_encoder", "hidden_size"),
    ],
)
def test_a_config_that_lacks_something_is_named(model: ModelFolder, part: str, key: str) -> None:
    path = model.path / part / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    with pytest.raises(ModelError, match=f"the config lacks '{key}'"):
        FAMILY.check(model)


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("image_encoder", "lacks image_encoder/config.json"),
        ("image_encoder/model.safetensors", "image_encoder has no safetensors weights"),
        ("feature_extractor", "lacks feature_extractor/preprocessor_config.json"),
        ("tokenizer_2", "lacks tokenizer_2/tokenizer_config.json"),
        ("tokenizer/tokenizer.json", "lacks tokenizer/tokenizer.json or tokenizer/vocab.json"),
        ("tokenizer/chat_template.jinja", "the tokenizer has no chat template"),
        ("text_encoder_2", "lacks text_encoder_2/config.json"),
    ],
)
def test_half_a_model_folder_is_refused(model: ModelFolder, lost: str, said: str) -> None:
    FAMILY.check(model)
    path = model.path / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(ModelError, match=said):
        FAMILY.check(model)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("vae", ["diffusers", "AutoencoderKLHunyuanVideo"]),
        ("text_encoder", ["transformers", "LlamaModel"]),
        ("text_encoder_2", ["transformers", "CLIPTextModel"]),
        ("tokenizer_2", ["transformers", "T5Tokenizer"]),
        ("image_encoder", ["transformers", "CLIPVisionModel"]),
    ],
)
def test_a_folder_that_is_half_of_another_family_is_refused(
    model: ModelFolder, part: str, kind: list[str]
) -> None:
    change(model.path / "model_index.json", **{part: kind})
    with pytest.raises(ModelError, match=f"its {part} is a {kind[1]}, and not "):
        FAMILY.check(model)


def test_the_chat_template_may_stand_in_the_config(model: ModelFolder) -> None:
    """As older folders have it; where it stands decides no embedding."""
    template = model.path / "tokenizer/chat_template.jinja"
    before = _embedding(model)
    change(model.path / "tokenizer/tokenizer_config.json", chat_template=template.read_text())
    template.unlink()
    FAMILY.check(model)
    assert torch.equal(_embedding(model), before)


def test_another_chat_template_makes_other_embeddings_and_recipes(model: ModelFolder) -> None:
    before, identity = _embedding(model), FAMILY.identity(model, "prompt_embeds")
    template = model.path / "tokenizer/chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_end|>", "<|endoftext|>"))
    model = ModelFolder(model.path, "again")
    assert FAMILY.identity(model, "prompt_embeds") != identity
    assert not torch.equal(_embedding(model), before)


def _embedding(model: ModelFolder) -> torch.Tensor:
    text = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    return text.encode(["A dog."])[0]


def test_it_is_told_from_hunyuan_video(models: Mapping[str, ModelFolder], tmp_path: Path) -> None:
    assert [family_of(model) for model in models.values()] == [FAMILY, FAMILY]
    older = ModelFolder(tiny_hunyuan_video.build(tmp_path / "model"), "older")
    assert family_of(older) is not FAMILY
