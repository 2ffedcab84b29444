"""Cosmos Predict 2: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import fidelity
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, padded, pixels
from tests.support.tiny_cosmos import Ear, Guard, StoppedError, build_cosmos2, pictures
from tests.support.tiny_parts import copy_as
from videoprep.errors import ModelError
from videoprep.families.cosmos2 import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(build_cosmos2(tmp_path_factory.mktemp("model") / "m"), "tiny")


def _load(kind: str, model: ModelFolder) -> Any:
    import diffusers

    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True)
    return getattr(diffusers, kind).from_pretrained(
        str(model.path), transformer=Ear(), scheduler=scheduler, safety_checker=Guard()
    )


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    return _load("Cosmos2VideoToWorldPipeline", model)


def _embeds(pipeline: Any, captions: list[str]) -> torch.Tensor:
    with torch.no_grad():
        embeds, _ = pipeline.encode_prompt(captions, do_classifier_free_guidance=False, device=CPU)
    found: torch.Tensor = embeds
    return found


def _moments(model: ModelFolder, clip: torch.Tensor) -> torch.Tensor:
    return FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)


@pytest.mark.parametrize("kind", ["Cosmos2VideoToWorldPipeline", "Cosmos2TextToImagePipeline"])
def test_embeddings_equal_the_pipelines(tmp_path: Path, model: ModelFolder, kind: str) -> None:
    folder = ModelFolder(copy_as(model.path, tmp_path / "m", pipeline=kind), "tiny")
    assert family_of(folder) is FAMILY
    encoder = FAMILY.load_text_encoder(folder, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = encoder.encode(CAPTIONS)
    assert torch.equal(padded(ours, 512), _embeds(_load(kind, folder), list(CAPTIONS)))
    assert [len(one) for one in ours] == [min(encoder.count_tokens(c), 512) for c in CAPTIONS]
    assert encoder.count_tokens(CAPTIONS[2]) > encoder.limit == 512


@pytest.mark.parametrize("frames", [1, 5, 13])
def test_latents_equal_a_draw_of_the_pipelines_condition(
    model: ModelFolder, pipeline: Any, frames: int
) -> None:
    """Of 13 frames it conditions on all: these are the latents of a whole video.

    Of fewer it encodes the last one repeated, of which it keeps the first latent frames: those of
    the clip itself.
    """
    clip = pixels(13)
    with torch.no_grad():
        _, theirs, given, *_ = pipeline.prepare_latents(
            clip[:, :, :frames], 1, 4, 64, 96, 13, dtype=torch.float32, device=CPU,
            generator=torch.Generator().manual_seed(2),
        )  # fmt: skip
    ours = FAMILY.to_transformer(
        _moments(model, clip), FAMILY.facts(model), torch.Generator().manual_seed(2)
    )
    kept = given[0, 0, :, 0, 0].bool()
    assert kept.sum() == (frames - 1) // 4 + 1
    assert torch.equal(theirs[:, :, kept], ours[:, :, kept])


@pytest.mark.parametrize(("latents", "frames"), [(1, 1), (2, 5)])
def test_the_transformer_is_given_the_clips_own_first_latents(
    model: ModelFolder, pipeline: Any, latents: int, frames: int
) -> None:
    clip = pixels(13)
    seen = pictures(clip)
    asked: dict[str, Any] = {"image": seen[0]} if frames == 1 else {"video": seen[:frames]}
    with pytest.raises(StoppedError) as stopped:
        pipeline(
            prompt="A dog.", height=64, width=96, num_frames=13, num_inference_steps=2,
            guidance_scale=1.0, generator=torch.Generator().manual_seed(2), **asked,
        )  # fmt: skip
    ours = FAMILY.to_transformer(
        _moments(model, clip), FAMILY.facts(model), torch.Generator().manual_seed(2)
    )
    theirs = stopped.value.given
    assert torch.equal(theirs["hidden_states"][:, :, :latents], ours[:, :, :latents])
    assert theirs["condition_mask"][0, 0, :, 0, 0].tolist() == [1.0] * latents + [0.0] * (
        4 - latents
    )


@pytest.mark.parametrize(
    ("part", "key"), [("vae", "latents_std"), ("vae", "z_dim"), ("text_encoder", "d_model")]
)
def test_a_config_that_lacks_something_is_named(tmp_path: Path, part: str, key: str) -> None:
    model = ModelFolder(build_cosmos2(tmp_path / "model"), "lacking")
    path = model.path / part / "config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    with pytest.raises(ModelError, match=f"the config lacks '{key}'"):
        FAMILY.check(model)


def test_a_store(tmp_path: Path, model: ModelFolder, pipeline: Any) -> None:
    data = fidelity.encode_store(tmp_path, model.path, FAMILY)
    fidelity.require_store(data, FAMILY, model)
    given = run_page("families/cosmos2.md", tmp_path)
    item = data[0]
    assert torch.equal(given["prompt"], _embeds(pipeline, [item["caption"]]))
    ours = FAMILY.to_transformer(
        item["video_latents"][None], data.info.facts, torch.Generator().manual_seed(0)
    )
    assert torch.equal(given["latents"], ours)
    assert torch.equal(item["image_latents"], item["video_latents"][:, :1])


def test_what_every_family_is_held_to(model: ModelFolder) -> None:
    fidelity.require_moments(FAMILY, model)
    fidelity.require_round_trip(FAMILY, model)
