"""Wan: equal, to the bit, to what diffusers' own pipelines make."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import videoprep as vp
from tests.support import fidelity, tiny_wan
from tests.support.assets import write_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, padded, pixels
from tests.support.tiny_cogvideox15 import change
from videoprep.errors import ModelError
from videoprep.families import wan, wan22_ti2v_5b
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of
from videoprep.media.clip import load_clip, normalize
from videoprep.spec.roles import Role

WAN, WAN5B = wan.FAMILY, wan22_ti2v_5b.FAMILY
BUILD = {"t2v": tiny_wan.build_wan, "i2v": tiny_wan.build_wan_i2v, "5b": tiny_wan.build_wan22_5b}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFolder]:
    root = tmp_path_factory.mktemp("wan")
    return {name: ModelFolder(build(root / name), name) for name, build in BUILD.items()}


@pytest.fixture(params=BUILD)
def model(request: pytest.FixtureRequest, models: dict[str, ModelFolder]) -> ModelFolder:
    return models[request.param]


@pytest.fixture
def family(model: ModelFolder) -> Family:
    return family_of(model)


def first_frame_mask(frames: int, sides: Sequence[int]) -> torch.Tensor:
    """1 for the first frame: ``[1, 4, F', H', W']``."""
    mask = torch.zeros(1, 4, -(-frames // 4), *sides)
    mask[:, :, 0] = 1
    return mask


def _i2v(model: ModelFolder) -> Any:
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(
        tokenizer=None, text_encoder=None, scheduler=None, vae=fidelity.load_vae(WAN, model),
        expand_timesteps=model.name == "5b",
    )  # fmt: skip


def test_wan_2_2_a14b_has_no_image_encoder(tmp_path: Path) -> None:
    model = ModelFolder(tiny_wan.build_wan_i2v(tmp_path / "model"), "a14b")
    nothing = [None, None]
    change(model.path / "model_index.json", image_encoder=nothing, image_processor=nothing)
    shutil.rmtree(model.path / "image_encoder")
    model = ModelFolder(model.path, "a14b")
    assert family_of(model) is WAN
    WAN.check(model)
    assert "image_embeds" not in components_of(WAN, model)


def test_latents_equal_the_video_to_video_pipelines(models: dict[str, ModelFolder]) -> None:
    """The one pipeline that encodes a whole video; its noise is weighted with nothing."""
    from diffusers import WanVideoToVideoPipeline

    model, clip = models["t2v"], pixels(9)
    theirs = _latents_of(WanVideoToVideoPipeline, model, clip)
    encoder = WAN.load_video_encoder(model, CPU, torch.float32, tiling=False)
    ours = WAN.to_transformer(encoder.encode(clip), WAN.facts(model))
    assert torch.equal(ours, theirs)


def _latents_of(kind: Any, model: ModelFolder, clip: torch.Tensor) -> torch.Tensor:
    """A video's latents by a pipeline that adds noise to them, of which there is none."""
    from diffusers import UniPCMultistepScheduler

    pipeline = kind(
        tokenizer=None, text_encoder=None, transformer=None,
        vae=fidelity.load_vae(WAN, model), scheduler=_Without(UniPCMultistepScheduler()),
    )  # fmt: skip
    made: torch.Tensor = pipeline.prepare_latents(
        clip, num_channels_latents=4, height=clip.shape[3], width=clip.shape[4],
        dtype=torch.float32, device=CPU, timestep=torch.tensor([0]),
    )  # fmt: skip
    return made


class _Without:
    """A scheduler that adds no noise: what is left is the video's latents."""

    def __init__(self, scheduler: object) -> None:
        self.config = scheduler.config  # type: ignore[attr-defined]

    def add_noise(
        self, latents: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        del noise, timestep
        return latents


@pytest.mark.parametrize("frames", [5, 17])
def test_the_condition_equals_the_pipelines(models: dict[str, ModelFolder], frames: int) -> None:
    model = models["i2v"]
    frame = pixels(1)
    latents, theirs = _i2v(model).prepare_latents(
        frame[:, :, 0], 1, 4, 64, 96, frames, torch.float32, CPU, torch.Generator()
    )
    del latents
    encoder = WAN.load_video_encoder(model, CPU, torch.float32, tiling=False)
    moments = encoder.encode(fidelity.condition(frame, frames))
    assert tuple(moments.shape[1:]) == WAN.shape(model, "condition_latents", frames, 64, 96)
    condition = WAN.to_transformer(moments, WAN.facts(model))
    mask = first_frame_mask(frames, condition.shape[-2:])
    assert torch.equal(torch.cat([mask, condition], dim=1), theirs)


@pytest.mark.parametrize("frames", [5, 17])
def test_first_and_last_frame_equal_the_pipelines(
    models: dict[str, ModelFolder], frames: int
) -> None:
    model, clip = models["i2v"], pixels(frames)
    first, last = clip[:, :, 0], clip[:, :, -1]
    _, theirs = _i2v(model).prepare_latents(
        first, 1, 4, 64, 96, frames, torch.float32, CPU, torch.Generator(), None, last
    )
    source = components_of(WAN, model)["first_last_latents"].source
    decoded = clip[:, :, list(source.decoded(frames))]
    encoder = WAN.load_video_encoder(model, CPU, torch.float32, tiling=False)
    moments = encoder.encode(source.arrange(decoded, frames))
    assert tuple(moments.shape[1:]) == WAN.shape(model, "first_last_latents", frames, 64, 96)
    condition = WAN.to_transformer(moments, WAN.facts(model))
    mask = first_and_last_frame_mask(frames, condition.shape[-2:])
    assert torch.equal(torch.cat([mask, condition], dim=1), theirs)


def first_and_last_frame_mask(frames: int, sides: Sequence[int]) -> torch.Tensor:
    """1 for the first frame, and for the last one of its four: ``[1, 4, F', H', W']``."""
    mask = first_frame_mask(frames, sides)
    mask[:, 3, -1] = 1
    return mask


def test_a_store_of_first_and_last_frames(models: dict[str, ModelFolder], tmp_path: Path) -> None:
    """The last frame is that of the planned clip: of 17 frames 13 are planned."""
    model = models["i2v"]
    data = fidelity.encode_store(
        tmp_path, model.path, WAN, image_latents=False, last_frame=True, max_num_frames=13,
        reshape="center-crop",
    )  # fmt: skip
    fidelity.require_store(data, WAN, model, {"last_frame"})
    (clip, *_) = vp.BucketIndex.load(tmp_path / "store/index.parquet").clips()
    assert clip.pixels.frames.indices[-1] == 12
    shown = normalize(load_clip(clip.pixels))[None].permute(0, 2, 1, 3, 4)
    item, specs = data[0], components_of(WAN, model)
    for name in ("image_embeds", "last_image_embeds", "first_last_latents"):
        spec = specs[name]
        encoder = WAN.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False)
        picked = spec.source.arrange(shown[:, :, list(spec.source.decoded(13))], 13)
        assert torch.equal(encoder.encode(picked)[0], item[name]), name
    assert not torch.equal(item["image_embeds"], item["last_image_embeds"])


@pytest.mark.parametrize("model", ["5b"], indirect=True)
def test_models_without_a_last_frame_say_so(model: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="`last_frame` asks for last frames") as raised:
        fidelity.encode_store(tmp_path, model.path, WAN5B, last_frame=True)
    assert raised.value.option == "last_frame"


def test_the_first_frame_of_the_5b_equals_the_pipelines(models: dict[str, ModelFolder]) -> None:
    model = models["5b"]
    frame = pixels(1)
    _, theirs, mask = _i2v(model).prepare_latents(
        frame[:, :, 0], 1, 6, 64, 96, 17, torch.float32, CPU, torch.Generator()
    )
    encoder = WAN5B.load_video_encoder(model, CPU, torch.float32, tiling=False)
    ours = WAN5B.to_transformer(encoder.encode(frame), WAN5B.facts(model))
    assert torch.equal(ours, theirs)
    assert mask[0, 0, 0].sum() == 0


def test_embeddings_equal_the_pipelines(family: Family, model: ModelFolder) -> None:
    from diffusers import WanPipeline
    from transformers import AutoTokenizer, UMT5EncoderModel

    pipeline = WanPipeline(
        tokenizer=AutoTokenizer.from_pretrained(str(model.path / "tokenizer")),
        text_encoder=UMT5EncoderModel.from_pretrained(str(model.path / "text_encoder")).eval(),
        vae=None, scheduler=None,
    )  # fmt: skip
    with torch.no_grad():
        theirs, _ = pipeline.encode_prompt(
            list(CAPTIONS), do_classifier_free_guidance=False, max_sequence_length=512, device=CPU
        )
    encoder = family.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    ours = encoder.encode(CAPTIONS)
    assert torch.equal(padded(ours, 512), theirs)
    assert [len(one) for one in ours] == [min(encoder.count_tokens(c), 512) for c in CAPTIONS]
    assert encoder.count_tokens(CAPTIONS[2]) > encoder.limit == 512


def test_image_embeds_equal_the_pipelines(models: dict[str, ModelFolder]) -> None:
    from diffusers import WanImageToVideoPipeline
    from transformers import CLIPImageProcessor, CLIPVisionModel

    model = models["i2v"]
    vision = CLIPVisionModel.from_pretrained(str(model.path / "image_encoder")).eval()
    processor = CLIPImageProcessor.from_pretrained(str(model.path / "image_processor"))
    pipeline = WanImageToVideoPipeline(
        tokenizer=None, text_encoder=None, scheduler=None, vae=fidelity.load_vae(WAN, model),
        image_encoder=vision, image_processor=processor,
    )  # fmt: skip
    frame = pixels(1)
    shown = ((frame[0, :, 0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    with torch.no_grad():
        theirs = pipeline.encode_image(Image.fromarray(np.ascontiguousarray(shown)), CPU)
    spec = components_of(WAN, model)["image_embeds"]
    ours = WAN.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False).encode(frame)
    assert torch.equal(ours, theirs)
    assert tuple(ours.shape[1:]) == WAN.shape(model, "image_embeds", 1, 64, 96)


def test_old_configs_do_not_name_the_factors(tmp_path: Path) -> None:
    model = ModelFolder(tiny_wan.build_wan(tmp_path / "model"), "old")
    change(model.path / "vae/config.json", scale_factor_spatial=None, scale_factor_temporal=None)
    assert WAN.compression(model) == (8, 4)
    assert WAN.facts(model)["temporal_compression"] == 4


@pytest.mark.parametrize("key", ["latents_mean", "latents_std", "z_dim", "dim_mult"])
def test_a_config_that_lacks_something_is_named(tmp_path: Path, key: str) -> None:
    model = ModelFolder(tiny_wan.build_wan(tmp_path / "model"), "lacking")
    path = model.path / "vae/config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
    with pytest.raises(ModelError, match=f"the config lacks '{key}'"):
        WAN.check(model)


@pytest.mark.parametrize("model", BUILD, indirect=True)
def test_a_store(tmp_path: Path, family: Family, model: ModelFolder) -> None:
    data = fidelity.encode_store(tmp_path, model.path, family)
    fidelity.require_store(data, family, model)
    given = run_page(f"families/{family.name}.md", tmp_path)
    item = data[0]
    facts = data.info.facts
    latents = family.to_transformer(item["video_latents"][None], facts)
    assert torch.equal(given["latents"], latents)
    assert torch.equal(given["prompt"], padded([item["prompt_embeds"]], 512))
    if family is WAN:
        condition = family.to_transformer(item["condition_latents"][None], facts)
        mask = first_frame_mask(item["metadata"]["frames"], condition.shape[-2:])
        assert torch.equal(given["condition"], torch.cat([mask, condition], dim=1))
    else:
        first = family.to_transformer(item["image_latents"][None], facts)
        assert torch.equal(given["first"], first)


def test_the_condition_of_fun_control(models: dict[str, ModelFolder], tmp_path: Path) -> None:
    """By the page: control and start image, each as diffusers' pipelines encode a video."""
    from diffusers import WanVideoToVideoPipeline

    model = models["i2v"]
    for name, lift in {"a": 40, "depth": 60}.items():
        write_video(tmp_path / f"data/{name}.mp4", frames=9, width=96, height=64, lift=lift)
    (tmp_path / "data/list.csv").write_text("video,caption,control\na.mp4,One.,depth.mp4\n")
    result = vp.encode(
        tmp_path / "data", model=model.path, output=tmp_path / "store", device="cpu",
        progress="none", dtype="fp32", reshape="center-crop", image_latents=True,
    )  # fmt: skip
    assert result is not None
    assert result.ok
    page, data = run_page("families/wan.md", tmp_path), vp.LatentDataset(tmp_path / "store")
    clip = next(iter(vp.BucketIndex.load(tmp_path / "store/index.parquet").clips()))
    planned = clip.pixels_of(Role("control"))
    assert planned is not None
    height, width = clip.bucket.height, clip.bucket.width
    shown = normalize(load_clip(planned))[None].permute(0, 2, 1, 3, 4)
    control = _latents_of(WanVideoToVideoPipeline, model, shown)
    first = normalize(load_clip(clip.pixels))[:1]
    _, start = _i2v(model).prepare_latents(
        first, 1, 4, height, width, clip.bucket.frames, torch.float32, CPU, torch.Generator()
    )
    theirs = torch.cat([control, start[:, 4:]], dim=1)
    assert torch.equal(page["fun_control"](data[0]), theirs)
    alone = {name: one for name, one in data[0].items() if name != "condition_latents"}
    assert torch.equal(page["fun_control"](alone)[:, :4], control)
    assert not page["fun_control"](alone)[:, 4:].any()
