"""LTX-2, 2.3 and 2.5: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import videoprep as vp
from tests.media.sounds import noise, write_film
from tests.support import fidelity, tiny_ltx2
from tests.support.assets import write_lists, write_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU
from tests.support.mixed_dataset import OPTIONS, write_mixed_dataset
from tests.support.tiny_cogvideox15 import change
from tests.support.tiny_ltx2 import load_pipeline, transformer_inputs
from videoprep.errors import ModelError
from videoprep.families.component import VIDEO_LATENTS
from videoprep.families.contract import TextEncoder
from videoprep.families.ltx2 import _TEXT_ENCODERS, AUDIO_LATENTS, FAMILY, MAX_TOKENS
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of
from videoprep.index.clip import Clip
from videoprep.index.summary import summarize
from videoprep.media.audio import load_audio
from videoprep.media.clip import load_clip
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
    assert FAMILY.load_token_counter(model)(caption) == encoder.count_tokens(caption)
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
def test_sound_is_as_long_as_in_the_pipelines(ltx2: ModelFolder, frames: int, fps: float) -> None:
    pipeline = load_pipeline("LTX2Pipeline", ltx2.path)
    wanted = transformer_inputs(
        pipeline, prompt="A dog.", height=32, width=32, num_frames=frames, frame_rate=fps
    )["audio_hidden_states"].shape[1]  # fmt: skip
    samples = round(frames / fps * 16_000)
    encoder = FAMILY.load_sound_encoder(ltx2, AUDIO_LATENTS, CPU, torch.float32)
    made = encoder.encode(torch.zeros(1, 2, samples))
    assert made.shape[2] == wanted
    assert made.shape[1:] == FAMILY.shape(ltx2, AUDIO_LATENTS.name, samples, 0, 0)


def test_sound_equals_that_of_diffusers_own_front_end(ltx2: ModelFolder) -> None:
    """Which takes torchaudio; what it makes is longer by what the pipelines do not want."""
    pytest.importorskip("torchaudio")
    from diffusers.modular_pipelines.echo.encoders import _encode_audio

    encoder: Any = FAMILY.load_sound_encoder(ltx2, AUDIO_LATENTS, CPU, torch.float32)
    vae = encoder._vae
    for count in (500, 1024, 80_667):
        samples = torch.rand(2, count, generator=torch.Generator().manual_seed(count)) * 2 - 1
        with torch.no_grad():
            theirs = _encode_audio(vae, vae.latents_mean, vae.latents_std, samples, 16_000, CPU)
        ours = encoder.encode(samples[None])
        tokens = FAMILY.audio_to_transformer(ours, FAMILY.facts(ltx2))
        kept = theirs[:, :, : ours.shape[2]].transpose(1, 2).flatten(2, 3)
        assert torch.equal(tokens, kept)


def second_way(
    clip: Clip, model: ModelFolder, encoder: TextEncoder
) -> Iterator[tuple[str, torch.Tensor]]:
    """What is to be stored of a clip, by the parts of the model alone."""
    for name, spec in components_of(FAMILY, model, clip.media).items():
        source = spec.source
        if source.caption:
            yield name, encoder.encode_for(name, [clip.caption])[0]
        elif spec.sound is not None and clip.has_audio:
            request = clip.sound(sample_rate=16_000, channels=2, pad=True)
            start = request.start or Fraction(0)
            times = (start, start + request.length)
            heard = load_audio(request.path, times, 16_000, 2, pad=True)
            sound = FAMILY.load_sound_encoder(model, spec, CPU, torch.float32)
            yield name, sound.encode(torch.from_numpy(heard.samples)[None])[0]
        elif source.frames and not source.is_mask:
            pixels = clip.pixels_of(source.role)
            if pixels is None or (clip.is_still and source.of_video_alone):
                continue
            shown = (load_clip(pixels).float() / 255.0).permute(1, 0, 2, 3)[None]
            taken = shown[:, :, list(source.decoded(shown.shape[2]))]
            vae = FAMILY.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False)
            yield name, vae.encode(spec.pixels.scale(taken))[0]


def test_a_mixed_dataset_from_the_list_to_previews(tmp_path: Path) -> None:
    """With stills, sound, control, references, masks and several captions."""
    model = ModelFolder(tiny_ltx2.build_ltx25(tmp_path / "model", modular=True), "2.5")
    data = write_mixed_dataset(tmp_path / "data")
    index = vp.BucketIndex.build(data, profile="ltx-2", **OPTIONS)
    for expected in (True, False):
        result = vp.encode(
            index, model=model.path, output=tmp_path / "store", image_latents=True,
            last_frame=True, device="cpu", progress="none",
        )  # fmt: skip
        assert result is not None
        assert (result.complete, result.failed) == (len(index), 0)
        assert bool(result.encoded) == expected
    store = vp.LatentDataset(tmp_path / "store")
    encoder = FAMILY.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    made: Counter[str] = Counter()
    for number, clip in enumerate(index.clips()):
        item = store[number]
        for name, tensor in second_way(clip, model, encoder):
            assert torch.allclose(item[name], tensor, rtol=0, atol=2e-5), (clip.video, name)
            made[name] += 1
        assert ("audio_latents" in item) == bool(clip.has_audio)
        assert item["metadata"]["fps"] == clip.fps
    assert made["audio_prompt_embeds"] == made["video_latents"] == len(index)
    some = {"audio_latents", "image_latents", "control_depth_latents", "reference_latents"}
    assert all(0 < made[name] < len(index) for name in some)
    assert made["last_image_latents"] == made["image_latents"]
    assert vp.verify(tmp_path / "store").ok
    shown = vp.preview(store, output=tmp_path / "preview.html", clips=2, device="cpu")
    assert len(shown.pictures) == 2


@pytest.mark.parametrize("name", ["2", "2.3"])
def test_the_page_comes_to_what_the_pipeline_gives_the_transformer(
    tmp_path: Path, name: str
) -> None:
    model = ModelFolder(BUILD[name](tmp_path / "model"), name)
    write_film(tmp_path / "data/a.mov", noise(3), frames=17, fps=24)
    write_lists(tmp_path / "data", ["A dog, and a bell."], ["a.mov"])
    vp.encode(
        tmp_path / "data", model=model.path, output=tmp_path / "store", profile="ltx-2",
        reshape="center-crop", image_latents=True, device="cpu", progress="none",
    )  # fmt: skip
    given = run_page("families/ltx-2.md", tmp_path)
    item = given["item"]
    pipeline = load_pipeline("LTX2Pipeline", model.path)
    theirs = transformer_inputs(
        pipeline, prompt=item["caption"], height=64, width=64, num_frames=17,
        latents=item["video_latents"][None].chunk(2, dim=1)[0],
        audio_latents=item["audio_latents"][None], noise_scale=0.0, frame_rate=24.0,
    )  # fmt: skip
    assert torch.equal(given["latents"], theirs["hidden_states"])
    assert torch.equal(given["audio"], theirs["audio_hidden_states"])
    assert given["audio"].shape[1] == round(17 / 24 * 25)
    for which, prefix in (("video", ""), ("audio", "audio_")):
        connector = getattr(pipeline.connectors, f"{which}_connector")
        with torch.no_grad():
            ours, _ = connector(given[f"{prefix}prompt"], given["additive"])
        assert torch.equal(ours, theirs[f"{prefix}encoder_hidden_states"])
    assert torch.equal(given["first"], given["noisy"][:, : given["first"].shape[1]])


def test_a_folder_that_is_half_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = tiny_ltx2.build(tmp_path / "model")
    change(folder / "connectors/config.json", text_proj_in_factor=7)
    model = ModelFolder(folder, "half")
    with pytest.raises(ModelError, match=r"has 4 states of 32 features.* take 7 of 32"):
        FAMILY.check(model)


@pytest.mark.parametrize("part", ["connectors", "audio_vae", "text_encoder", "vae"])
def test_a_part_that_is_not_there_is_named(tmp_path: Path, part: str) -> None:
    folder = tiny_ltx2.build(tmp_path / "model")
    shutil.rmtree(folder / part)
    with pytest.raises(ModelError, match=f"lacks {part}/config.json"):
        FAMILY.check(ModelFolder(folder, "lacking"))


def test_statistics_of_sound_are_among_the_weights(tmp_path: Path) -> None:
    folder = tiny_ltx2.build(tmp_path / "model")
    path = folder / "audio_vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["latents_std"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="audio_vae's weights lack latents_mean and latents_std"):
        FAMILY.check(ModelFolder(folder, "lacking"))


def test_recipes_name_text_encoder_and_connectors(tmp_path: Path) -> None:
    """Another one of either makes embeddings anew, and latents stay."""
    folder = tiny_ltx2.build_ltx23(tmp_path / "model")
    before = {name: FAMILY.identity(ModelFolder(folder, "a"), name) for name in _NAMES}
    path = folder / "connectors/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["video_text_proj_in.weight"][0, 0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    after = {name: FAMILY.identity(ModelFolder(folder, "b"), name) for name in _NAMES}
    changed = {name for name in _NAMES if before[name] != after[name]}
    assert changed == {"prompt_embeds", "audio_prompt_embeds"}


_NAMES = ("prompt_embeds", "audio_prompt_embeds", "video_latents", "audio_latents")


def test_pictures_are_compressed_as_the_version_wants_it() -> None:
    from diffusers.pipelines.ltx2.utils import resolve_default_image_crf

    for kind, crf in _TEXT_ENCODERS.items():
        config = getattr(transformers, kind).config_class()
        assert resolve_default_image_crf(SimpleNamespace(config=config)) == crf


def test_the_index_states_how_much_captions_take(tmp_path: Path) -> None:
    """12.6 MB a caption of 1024 tokens, of which there may be fewer."""
    write_video(tmp_path / "a.mp4", width=64, height=64, frames=17)
    write_lists(tmp_path, ["One."], ["a.mp4"])
    summary = summarize(vp.BucketIndex.build(tmp_path, profile="ltx-2"))
    sizes = {one.name: one.bytes for one in summary.components}
    assert sizes["prompt_embeds"] + sizes["audio_prompt_embeds"] == 1024 * (4096 + 2048) * 2
