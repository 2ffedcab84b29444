"""LTX-2, 2.3 and 2.5: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from tests.support import fidelity, tiny_ltx2
from tests.support.fidelity import CAPTIONS, CPU
from tests.support.tiny_ltx2 import load_pipeline, transformer_inputs
from videoprep.families.component import VIDEO_LATENTS
from videoprep.families.ltx2 import AUDIO_LATENTS, FAMILY, MAX_TOKENS
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of
from videoprep.spec.roles import Role

BUILD: dict[str, Callable[[Path], Path]] = {
    "2": tiny_ltx2.build,
    "2.3": tiny_ltx2.build_ltx23,
    "2.5": tiny_ltx2.build_ltx25,
}
HEIGHT, WIDTH, FRAMES = 64, 96, 17
TOKENS = HEIGHT * WIDTH // 32**2
"""Of a latent frame."""


@pytest.fixture(scope="module", params=BUILD)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(version: str, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(BUILD[version](tmp_path_factory.mktemp("models") / "m"), version)


@pytest.fixture(scope="module")
def ltx2(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return ModelFolder(tiny_ltx2.build(tmp_path_factory.mktemp("models") / "m"), "2")


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> PIL.Image.Image:
    return PIL.Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    )


def unit(*pictures: PIL.Image.Image) -> torch.Tensor:
    """Pictures as frames in 0…1: ``[1, 3, F, H, W]``."""
    shown = torch.stack([torch.from_numpy(np.array(one)) for one in pictures])
    return (shown.float() / 255.0).permute(3, 0, 1, 2)[None]


def stored(model: ModelFolder, component: str, *pictures: PIL.Image.Image) -> torch.Tensor:
    """What is stored of frames as a component: ``[1, 2 × C, F', H', W']``."""
    spec = components_of(FAMILY, model, (Role("control"), Role("reference")))[component]
    encoder = FAMILY.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False)
    return encoder.encode(spec.pixels.scale(unit(*pictures)))


def repadded(embeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings padded on the left ``[1, 1024, features]``, and their mask ``[1, 1024]``."""
    missing = MAX_TOKENS - len(embeds)
    mask = (torch.arange(MAX_TOKENS) >= missing).long()
    return torch.nn.functional.pad(embeds, (0, 0, missing, 0))[None], mask[None]


@pytest.mark.parametrize("caption", CAPTIONS)
def test_embeddings_equal_what_the_connectors_transformers_are_given(
    model: ModelFolder, version: str, caption: str
) -> None:
    """And are enough: padded again, they come to the same in the transformer."""
    pipeline = load_pipeline("LTX2Pipeline", model.path)
    given: dict[str, torch.Tensor] = {}
    for which in ("video", "audio"):
        getattr(pipeline.connectors, f"{which}_connector").register_forward_pre_hook(
            lambda _, args, which=which: given.update({which: args[0].clone()})
        )
    with torch.no_grad():
        states, mask, *_ = pipeline.encode_prompt([caption], do_classifier_free_guidance=False)
        theirs = pipeline.connectors(states, mask, padding_side="left")
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    names = ["prompt_embeds", *(["audio_prompt_embeds"] if version != "2" else [])]
    ours = {name: encoder.encode_for(name, [caption])[0] for name in names}
    sound = ours.get("audio_prompt_embeds", ours["prompt_embeds"])
    count = int(mask.sum())
    assert len(sound) == count == min(MAX_TOKENS, encoder.count_tokens(caption))
    assert torch.equal(ours["prompt_embeds"], given["video"][0, -count:])
    assert torch.equal(sound, given["audio"][0, -count:])
    if caption != CAPTIONS[0]:
        return
    for one, connector, their in zip(
        (ours["prompt_embeds"], sound),
        (pipeline.connectors.video_connector, pipeline.connectors.audio_connector),
        theirs,
        strict=False,
    ):
        again, kept = repadded(one)
        assert torch.equal(kept, mask)
        additive = (kept.float() - 1)[:, None, None] * torch.finfo(torch.float32).max
        with torch.no_grad():
            assert torch.equal(connector(again, additive)[0], their)


def test_videos_and_sound_equal_the_pipelines(model: ModelFolder) -> None:
    """As the transformer is given what the pipeline is given as latents."""
    pipeline = load_pipeline("LTX2Pipeline", model.path)
    moments = stored(model, VIDEO_LATENTS.name, *(picture(n) for n in range(FRAMES)))
    heard = torch.rand(1, 2, 11_333, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sound = FAMILY.load_sound_encoder(model, AUDIO_LATENTS, CPU, torch.float32).encode(heard)
    given = transformer_inputs(
        pipeline, prompt="A dog.", height=HEIGHT, width=WIDTH, num_frames=FRAMES,
        latents=moments.chunk(2, dim=1)[0], audio_latents=sound, noise_scale=0.0,
    )  # fmt: skip
    facts = FAMILY.facts(model)
    assert torch.equal(given["hidden_states"], FAMILY.to_transformer(moments, facts))
    assert torch.equal(given["audio_hidden_states"], FAMILY.audio_to_transformer(sound, facts))


def test_moments_equal_the_vaes(model: ModelFolder) -> None:
    fidelity.require_moments(FAMILY, model)


def test_images_equal_the_pipelines(model: ModelFolder) -> None:
    """Compressed as the pipeline of the version compresses them, the clip's own latent is not."""
    pipeline = load_pipeline("LTX2ImageToVideoPipeline", model.path)
    first = picture(3)
    given = transformer_inputs(
        pipeline, prompt="A dog.", image=first, height=HEIGHT, width=WIDTH, num_frames=FRAMES
    )
    moments, facts = stored(model, "image_latents", first), FAMILY.facts(model)
    ours = FAMILY.condition_to_transformer(moments, facts)
    assert ours.shape == (1, TOKENS, tiny_ltx2.CHANNELS)
    assert torch.equal(given["hidden_states"][:, :TOKENS], ours)
    plain = FAMILY.condition_to_transformer(stored(model, "video_latents", first), facts)
    assert (plain - ours).abs().max() > 1e-2


def test_keyframes_equal_the_pipelines(model: ModelFolder) -> None:
    """The last frame to the bit; the first within the rounding of pixels, which differs here."""
    from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition

    pipeline = load_pipeline("LTX2ConditionPipeline", model.path)
    first, last = picture(4), picture(5)
    conditions = [LTX2VideoCondition(first, 0), LTX2VideoCondition(last, -1)]
    given = transformer_inputs(
        pipeline, prompt="A dog.", conditions=conditions,
        height=HEIGHT, width=WIDTH, num_frames=FRAMES,
    )["hidden_states"]  # fmt: skip
    facts = FAMILY.facts(model)
    ours = FAMILY.condition_to_transformer(stored(model, "last_image_latents", last), facts)
    assert given.shape[1] == (FRAMES // 8 + 1) * TOKENS + TOKENS
    assert torch.equal(given[:, -TOKENS:], ours)
    begin = FAMILY.condition_to_transformer(stored(model, "image_latents", first), facts)
    assert (given[:, :TOKENS] - begin).abs().max() < 1e-5


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("component", ["control_latents", "reference_latents"])
def test_references_equal_the_pipelines(ltx2: ModelFolder, factor: int, component: str) -> None:
    from diffusers.pipelines.ltx2.pipeline_ltx2_ic_lora import LTX2ReferenceCondition

    pipeline = load_pipeline("LTX2InContextPipeline", ltx2.path)
    height, width = 2 * HEIGHT, 2 * HEIGHT
    shown = [picture(n, height // factor, width // factor) for n in range(9)]
    given = transformer_inputs(
        pipeline, prompt="A dog.", reference_conditions=[LTX2ReferenceCondition(shown)],
        reference_downscale_factor=factor, height=height, width=width, num_frames=9,
    )["hidden_states"]  # fmt: skip
    ours = FAMILY.condition_to_transformer(stored(ltx2, component, *shown), FAMILY.facts(ltx2))
    assert ours.shape[1] == 2 * (height // factor // 32) ** 2
    assert torch.equal(given[:, -ours.shape[1] :], ours)


@pytest.mark.parametrize(
    ("frames", "fps"),
    [(121, 24.0), (121, 25.0), (97, 25.0), (153, 30.0), (249, 50.0), (9, 29.97), (1, 24.0)],
)
def test_sound_is_as_long_as_in_the_pipelines(
    ltx2: ModelFolder, frames: int, fps: float
) -> None:
    pipeline = load_pipeline("LTX2Pipeline", ltx2.path)
    wanted = transformer_inputs(
        pipeline, prompt="A dog.", height=32, width=32, num_frames=frames, frame_rate=fps
    )["audio_hidden_states"].shape[1]  # fmt: skip
    samples = round(frames / fps * 16_000)
    encoder = FAMILY.load_sound_encoder(ltx2, AUDIO_LATENTS, CPU, torch.float32)
    made = encoder.encode(torch.zeros(1, 2, samples))
    assert made.shape[2] == wanted
    assert made.shape[1:] == FAMILY.shape(ltx2, AUDIO_LATENTS.name, samples, 0, 0)
