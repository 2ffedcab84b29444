"""Cosmos Predict 2.5 and Transfer 2.5: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import videoprep as vp
from tests.support import fidelity
from tests.support.assets import write_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, pixels
from tests.support.tiny_cosmos import (
    Ear,
    Guard,
    StoppedError,
    build_cosmos25,
    build_transfer25,
    pictures,
)
from videoprep.encoding.units import TEXT, ArtifactSize, Items, plan_units
from videoprep.errors import ModelError
from videoprep.families.component import CAPTION
from videoprep.families.cosmos25 import FAMILY, conversation
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of
from videoprep.index.summary import summarize


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(build_cosmos25(tmp_path_factory.mktemp("model") / "m"), "tiny")


@pytest.fixture(scope="module")
def transfer(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(build_transfer25(tmp_path_factory.mktemp("model") / "m"), "tiny transfer")


def _load(kind: str, model: ModelFolder, **more: Any) -> Any:
    import diffusers

    scheduler = diffusers.UniPCMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction"
    )
    return getattr(diffusers, kind).from_pretrained(
        str(model.path), transformer=Ear(), scheduler=scheduler, safety_checker=Guard(), **more
    )


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    return _load("Cosmos2_5_PredictBasePipeline", model)


@pytest.fixture(scope="module")
def transfers(transfer: ModelFolder) -> Any:
    return _load("Cosmos2_5_TransferPipeline", transfer, controlnet=Ear())


def _given(pipeline: Any, **asked: Any) -> dict[str, Any]:
    """What a pipeline gives to the first of its networks that it runs."""
    with pytest.raises(StoppedError) as stopped:
        pipeline(
            prompt="A dog.", height=64, width=96, num_inference_steps=2, guidance_scale=1.0,
            **asked,
        )  # fmt: skip
    return stopped.value.given


def _moments(model: ModelFolder, clip: torch.Tensor) -> torch.Tensor:
    return FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)


@pytest.mark.parametrize("kind", ["predict", "transfer"])
def test_embeddings_equal_the_pipelines(
    kind: str, model: ModelFolder, pipeline: Any, transfer: ModelFolder, transfers: Any
) -> None:
    folder, theirs = (model, pipeline) if kind == "predict" else (transfer, transfers)
    encoder = FAMILY.load_text_encoder(folder, "text_encoder", CPU, torch.float32, eight_bit=False)
    for caption in CAPTIONS:
        with torch.no_grad():
            prompt, _ = theirs.encode_prompt(caption, do_classifier_free_guidance=False, device=CPU)
        (ours,) = encoder.encode([caption])
        assert torch.equal(ours, prompt[0])
        assert tuple(ours.shape) == FAMILY.shape(folder, "prompt_embeds", 1, 64, 96) == (512, 96)
    counter = FAMILY.load_token_counter(folder)
    assert [counter(one) for one in CAPTIONS] == [encoder.count_tokens(one) for one in CAPTIONS]
    assert encoder.count_tokens(CAPTIONS[2]) > encoder.limit == 512


def test_tokens_are_those_of_the_whole_conversation(model: ModelFolder, pipeline: Any) -> None:
    """What is not padding of the pipeline's tokens, of captions that are not cut."""
    messages, settings = conversation("A dog.")
    assert settings["padding"] == "max_length"
    ids = pipeline.tokenizer.apply_chat_template(messages, **settings)["input_ids"]
    own = [one for one in ids if one != pipeline.tokenizer.pad_token_id]
    assert FAMILY.load_token_counter(model)("A dog.") == len(own) < len(ids) == 512


def test_the_conversation_is_part_of_the_recipe(
    model: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videoprep.families import cosmos25

    before = FAMILY.identity(model, "prompt_embeds")
    monkeypatch.setattr(cosmos25, "conversation", lambda caption: ([caption], {}))
    assert FAMILY.identity(model, "prompt_embeds") != before


@pytest.mark.parametrize(("given", "frames"), [(1, 1), (2, 5)])
def test_the_clips_own_first_latents_are_the_conditions_of_the_pipeline(
    model: ModelFolder, pipeline: Any, given: int, frames: int
) -> None:
    clip = pixels(13)
    ours = FAMILY.to_transformer(_moments(model, clip), FAMILY.facts(model))
    seen = pictures(clip)
    asked: dict[str, Any] = {"image": seen[0]} if frames == 1 else {"video": seen[:frames]}
    theirs = _given(pipeline, num_frames=13, generator=torch.Generator().manual_seed(1), **asked)
    assert torch.equal(theirs["hidden_states"][:, :, :given], ours[:, :, :given])
    mask = theirs["condition_mask"][0, 0, :, 0, 0]
    assert mask.tolist() == [1.0] * given + [0.0] * (4 - given)


def test_first_frames_alone_have_the_same_latents(model: ModelFolder) -> None:
    clip = pixels(13)
    assert torch.equal(_moments(model, clip[:, :, :1]), _moments(model, clip)[:, :, :1])


def test_text_alone_has_no_condition(pipeline: Any) -> None:
    theirs = _given(pipeline, num_frames=13)
    assert not theirs["condition_mask"].any()


def test_control_latents_equal_the_pipelines(transfer: ModelFolder, transfers: Any) -> None:
    """It draws noise, then the condition that the first of its pieces has not, then control."""
    clip = pixels(13)
    theirs = _given(
        transfers, controls=pictures(clip), num_frames_per_chunk=13,
        generator=torch.Generator().manual_seed(7),
    )  # fmt: skip
    random = torch.Generator().manual_seed(7)
    for _ in ("noise", "condition"):
        torch.randn(1, 4, 4, 8, 12, generator=random)
    facts = FAMILY.facts(transfer)
    ours = FAMILY.to_transformer(_moments(transfer, clip), facts, random)
    assert torch.equal(theirs["controls_latents"], ours)


def test_conditions_of_transfer_are_drawn(transfer: ModelFolder, transfers: Any) -> None:
    clip = pixels(13)
    with torch.no_grad():
        _, theirs, mask, _ = transfers.prepare_latents(
            clip, 1, 4, 64, 96, 13, 13, dtype=torch.float32, device=CPU, num_cond_latent_frames=2,
            generator=torch.Generator().manual_seed(7),
        )  # fmt: skip
    random = torch.Generator().manual_seed(7)
    torch.randn(1, 4, 4, 8, 12, generator=random)
    ours = FAMILY.to_transformer(_moments(transfer, clip), FAMILY.facts(transfer), random)
    assert torch.equal(theirs, ours)
    assert mask[0, 0, :, 0, 0].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_control_is_for_transfer_alone(model: ModelFolder, transfer: ModelFolder) -> None:
    assert family_of(transfer) is FAMILY
    assert "control_latents" in {one.name for one in FAMILY.components(transfer)}
    assert "control_latents" not in components_of(FAMILY, model)


def test_an_index_says_beforehand_that_captions_take_103_mb(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=17, width=96, height=64, fps=16)
    (tmp_path / "list.csv").write_text("video,caption\na.mp4,one\na.mp4,two\na.mp4,one\n")
    index = vp.BucketIndex.build(tmp_path, profile="cosmos2.5")
    prompts = {one.name: one for one in summarize(index).components}["prompt_embeds"]
    assert (prompts.artifacts, prompts.bytes) == (2, 2 * 512 * 28 * 3584 * 2)


def test_no_shard_holds_more_than_two_captions() -> None:
    """What a shard holds is in memory until it is written, however many captions there are."""
    spec = next(one for one in FAMILY.profile.components if one.source is CAPTION)
    assert spec.shape is not None
    size = ArtifactSize(TEXT, bytes=2 * math.prod(spec.shape), pixels=1)
    keys = pa.array([f"{number:032x}" for number in range(1000)])
    numbers = np.arange(1000)
    items = Items("prompt_embeds", CAPTION, keys, numbers, np.zeros_like(numbers), [size])
    units = plan_units(items, pa.array([], pa.string()), {})
    assert {len(unit) for unit in units} == {2}


@pytest.mark.parametrize("part", ["vae", "text_encoder", "chat template"])
def test_half_a_model_folder_is_named(tmp_path: Path, part: str) -> None:
    folder = build_cosmos25(tmp_path / "m")
    if part == "chat template":
        (folder / "tokenizer/chat_template.jinja").unlink()
        said = "the tokenizer has no chat template"
    else:
        config = folder / part / "config.json"
        values = json.loads(config.read_text())
        for key in ("z_dim", "num_hidden_layers"):
            values.pop(key, None)
            values.get("text_config", {}).pop(key, None)
        config.write_text(json.dumps(values))
        said = "the config lacks"
    with pytest.raises(ModelError, match=said):
        FAMILY.check(ModelFolder(folder, "half"))


def test_a_store(tmp_path: Path, model: ModelFolder, pipeline: Any) -> None:
    data = fidelity.encode_store(tmp_path, model.path, FAMILY)
    fidelity.require_store(data, FAMILY, model)
    given = run_page("families/cosmos2.5.md", tmp_path)
    item = data[0]
    with torch.no_grad():
        prompt, _ = pipeline.encode_prompt(
            item["caption"], do_classifier_free_guidance=False, device=CPU
        )
    assert torch.equal(given["prompt"], prompt)
    ours = FAMILY.to_transformer(item["video_latents"][None], data.info.facts)
    assert torch.equal(given["latents"], ours)
    assert torch.equal(given["noisy"][:, :, :1], ours[:, :, :1])
    assert torch.equal(item["image_latents"], item["video_latents"][:, :1])
    assert data.empty_caption()["prompt_embeds"].shape == prompt[0].shape


def test_a_store_of_transfer(tmp_path: Path, transfer: ModelFolder) -> None:
    data = tmp_path / "data"
    for name, lift in (("a", 40), ("edges", 60)):
        write_video(data / f"{name}.mp4", frames=17, width=96, height=64, fps=16, lift=lift)
    (data / "list.csv").write_text("video,caption,control\na.mp4,one,edges.mp4\n")
    result = vp.encode(
        vp.DatasetSpec.from_path(data, profile="cosmos2.5"), model=transfer.path,
        output=tmp_path / "store", device="cpu", progress="none",
    )  # fmt: skip
    assert result is not None
    assert result.ok
    assert vp.verify(tmp_path / "store").ok
    store = vp.LatentDataset(tmp_path / "store")
    assert len(store) == 1
    item = store[0]
    given = run_page("families/cosmos2.5.md", tmp_path)
    for name, component in (("latents", "video_latents"), ("control", "control_latents")):
        random = torch.Generator().manual_seed(0)
        ours = FAMILY.to_transformer(item[component][None], store.info.facts, random)
        assert torch.equal(given[name], ours)
    assert not torch.equal(given["latents"], given["control"])


def test_what_every_family_is_held_to(model: ModelFolder) -> None:
    fidelity.require_moments(FAMILY, model)
    fidelity.require_round_trip(FAMILY, model)
