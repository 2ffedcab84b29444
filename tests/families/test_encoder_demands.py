"""Encoders that want more than pixels in −1…1: MiniMax-H3's VAE, and captions with frame rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

import videoprep as vp
from tests.support import tiny_minimax_h3
from tests.support.assets import write_lists, write_video
from tests.support.fidelity import CPU
from videoprep.encoding.online import OnlineClips
from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.recipes import choose_settings, make_recipes, settings_of
from videoprep.errors import ModelError
from videoprep.families.component import (
    CAPTION_FRAMES_FPS,
    IMAGENET,
    MINUS_ONE_TO_ONE,
    VIDEO_LATENTS,
    ZERO_TO_ONE,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import (
    CaptionedVideoEncoder,
    ClipContext,
    TextEncoder,
    VideoEncoder,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of, list_of, statistics_of
from videoprep.families.moments import draw, standardize
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.registry import components_of, registry
from videoprep.families.t5 import T5Family
from videoprep.media.clip import load_clip, to_unit
from videoprep.store.layout import Store, StoreInfo

_TIMED = ComponentSpec(
    name="timed_embeds", source=CAPTION_FRAMES_FPS, part="text_encoder", shape=(226, 32)
)


class Timed(CaptionedVideoEncoder):
    """Embeddings of captions, times the frames a second."""

    def __init__(self, text: TextEncoder) -> None:
        self._text = text

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def encode_clips(self, pixels: torch.Tensor, clips: Sequence[ClipContext]) -> torch.Tensor:
        embeds = torch.stack(list(self._text.encode([clip.caption or "" for clip in clips])))
        return embeds * torch.tensor([clip.fps or 0 for clip in clips])[:, None, None]

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        del slicing, tiling


class H3(T5Family):
    """MiniMax-H3's VAE as it is, and a text encoder that it does not have."""

    name = "h3"
    profile = Profile(
        "h3",
        divisor=32,
        frame_rules=(FrameRule(17, 5, 5, 2),),
        compression=16,
        latent_channels=4,
        fps=24,
        num_frames=22,
        components=(prompt_embeds(226, 32), _TIMED, replace(VIDEO_LATENTS, pixels=IMAGENET)),
    )
    parts = ("tokenizer", "text_encoder", "vae")
    max_tokens = 226
    fp32_parts = ("text_encoder",)
    tiled_parts = ("vae",)
    vae_class = "AutoencoderKLMiniMaxH3"
    masked = False
    keeps_padding = True
    posterior = "sample"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "MiniMaxH3ModularPipeline"

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        spatial, temporal = (
            int(torch.tensor(list_of(model, "vae", f"{which}_downsample_factors")).prod())
            for which in ("spatial", "temporal")
        )
        return spatial, temporal

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        channels = count_of(model, "vae", "latent_channels")
        names = ("latents_mean", "latents_std")
        return {name: statistics_of(model, "vae", name, channels) for name in names}

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        drawn = draw(moments, facts, generator)
        return standardize(drawn, facts["latents_mean"], facts["latents_std"])

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component.part == "vae":
            return super().load_frame_encoder(model, component, device, dtype, tiling=tiling)
        return Timed(self.load_text_encoder(model, "text_encoder", device, dtype, eight_bit=False))


@pytest.fixture(autouse=True)
def h3(monkeypatch: pytest.MonkeyPatch) -> H3:
    family = H3()
    monkeypatch.setitem(registry().families, family.name, family)
    return family


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_minimax_h3.build(tmp_path_factory.mktemp("models") / "h3", tiny_model)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """One clip of 22 frames, wider than a tile, and one of 30, of which 22 are taken."""
    for name, width, frames in (("a", 320, 22), ("b", 64, 30)):
        write_video(
            tmp_path / f"data/{name}.mp4",
            width=width, height=64, frames=frames, fps=24, lift=ord(name),
        )  # fmt: skip
    write_lists(tmp_path / "data", ["One.", "Two."], ["a.mp4", "b.mp4"])
    return tmp_path / "data"


def _theirs(model: Path, shown: torch.Tensor, *, tiling: bool = True) -> torch.Tensor:
    """Moments as diffusers' own steps make them of uint8 ``[F, 3, H, W]``."""
    from diffusers import AutoencoderKLMiniMaxH3

    vae = AutoencoderKLMiniMaxH3.from_pretrained(str(model / "vae"))
    if not tiling:
        vae.disable_tiling()
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1, 1)
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    unit = shown.permute(1, 0, 2, 3)[None].to(torch.float32).div(255.0)
    with torch.no_grad():
        moments: torch.Tensor = vae.encode((unit - mean) / deviation).latent_dist.parameters
    return moments


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_latents_are_those_of_tiles_in_float32_of_normalized_pixels(
    dtype: str, dataset: Path, model: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    result = vp.encode(
        dataset, model=model, output=store, device="cpu", dtype=dtype, reshape="center-crop"
    )
    assert result is not None
    assert result.ok
    assert vp.verify(store).ok
    data = vp.LatentDataset(store)
    clips = list(Store.open(store).load_index().clips())
    assert [clip.bucket.frames for clip in clips] == [22, 22]
    for clip, item in zip(clips, data, strict=True):
        shown = load_clip(clip.pixels)
        theirs = _theirs(model, shown)[0]
        assert tuple(theirs.shape) == (8, 7, 4, shown.shape[-1] // 16)
        assert torch.equal(item["video_latents"], theirs.to(item["video_latents"].dtype))
    wide = load_clip(clips[0].pixels)
    assert not torch.equal(_theirs(model, wide), _theirs(model, wide, tiling=False))
    fields = data.info.recipes["video_latents"].fields
    assert fields["tiling"] is True
    assert fields["pixel_mean"] == [0.485, 0.456, 0.406]
    assert vp.preview(store, output=tmp_path / "page.html", device="cpu").measured == 2


class Short(VideoEncoder):
    """A VAE for which memory suffices in slices only."""

    def __init__(self, vae: VideoEncoder, seen: list[bool]) -> None:
        self._vae, self._seen, self._slicing = vae, seen, False

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        if not self._slicing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._vae.encode(pixels)

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._seen.append(tiling)
        self._slicing = slicing
        self._vae.save_memory(slicing=slicing, tiling=tiling)


def test_what_memory_does_not_suffice_for_stays_in_tiles(
    dataset: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    load = T5Family.load_frame_encoder
    monkeypatch.setattr(
        T5Family, "load_frame_encoder", lambda *args, **more: Short(load(*args, **more), seen)
    )
    store = tmp_path / "store"
    result = vp.encode(dataset, model=model, output=store, device="cpu", reshape="center-crop")
    assert result is not None
    assert result.ok
    assert seen == [True] * 4  # on and off again, for each clip
    for clip, item in zip(
        Store.open(store).load_index().clips(), vp.LatentDataset(store), strict=True
    ):
        assert torch.equal(item["video_latents"], _theirs(model, load_clip(clip.pixels))[0])


def test_a_decoder_gives_back_what_was_normalized(model: Path, h3: H3) -> None:
    from diffusers import AutoencoderKLMiniMaxH3

    latents = torch.randn(1, 4, 7, 2, 4, generator=torch.Generator().manual_seed(0))
    vae = AutoencoderKLMiniMaxH3.from_pretrained(str(model / "vae"))
    with torch.no_grad():
        decoded = vae.decode(latents).sample
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1, 1) for values in (IMAGENET.mean, IMAGENET.deviation)
    )
    theirs = (decoded * deviation + mean).clamp(0, 1) * 2 - 1
    ours = h3.load_video_decoder(ModelFolder(model, "h3"), CPU, torch.float32).decode(latents)
    torch.testing.assert_close(ours, theirs)


def test_parts_kept_in_float32_say_so_in_their_recipes(model: Path, h3: H3) -> None:
    folder = ModelFolder(model, "h3")
    specs = components_of(h3, folder)
    settings = choose_settings(EncodeOptions(dtype="bf16", text_encoder_dtype="fp16"), CPU)
    recipes = make_recipes(h3, folder, specs.values(), settings)
    assert recipes["prompt_embeds"].fields["kept_in"] == "float32"
    assert "computed_in" not in recipes["prompt_embeds"].fields
    assert "kept_in" not in recipes["video_latents"].fields
    info = StoreInfo("h3", "h3", None, {}, recipes)
    again = make_recipes(h3, folder, specs.values(), settings_of(info, "store"))
    assert again == recipes
    other = choose_settings(EncodeOptions(dtype="bf16", text_encoder_dtype="bf16"), CPU)
    same = make_recipes(h3, folder, specs.values(), other)
    assert {name: one.id for name, one in same.items()} == {
        name: one.id for name, one in recipes.items()
    }


def test_pixels_of_minus_one_to_one_are_the_same_to_the_bit() -> None:
    shown = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 1, 16, 16)
    unit = to_unit(shown)
    scaled = MINUS_ONE_TO_ONE.scale(unit)
    assert torch.equal(scaled, 2.0 * (shown.float() / 255.0) - 1.0)
    assert torch.equal(scaled, (unit - 0.5) / 0.5)
    assert torch.equal(ZERO_TO_ONE.scale(unit), unit)
    torch.testing.assert_close(IMAGENET.unscale(IMAGENET.scale(unit)), scaled)
    assert MINUS_ONE_TO_ONE.recipe == {}


def test_the_frame_rate_that_clips_have_reaches_the_encoder(
    dataset: Path, model: Path, tmp_path: Path, h3: H3
) -> None:
    store, options = tmp_path / "store", {"model": model, "device": "cpu", "reshape": "center-crop"}
    write_video(dataset / "a.mp4", width=64, height=64, frames=60, fps=24)
    write_video(dataset / "b.mp4", width=64, height=64, frames=60, fps=30)
    first = vp.encode(dataset, output=store, **options)
    assert first is not None
    assert first.ok
    folder = ModelFolder(model, "h3")
    text = h3.load_text_encoder(folder, "text_encoder", CPU, torch.float32, eight_bit=False)
    rates = []
    for item in vp.LatentDataset(store):
        rates.append(item["metadata"]["fps"])
        (embeds,) = text.encode([item["caption"]])
        torch.testing.assert_close(item["timed_embeds"], embeds * rates[-1])
    assert rates == [24, 30]
    second = vp.encode(dataset, output=tmp_path / "at12", target_fps=12, **options)
    assert second is not None
    for item in vp.LatentDataset(tmp_path / "at12"):
        assert item["metadata"]["fps"] == 12
        (embeds,) = text.encode([item["caption"]])
        torch.testing.assert_close(item["timed_embeds"], embeds * 12)


def test_the_frame_rate_is_part_of_the_key() -> None:
    table = pa.table(
        {
            "prompt_key": ["a", "a", "a", None],
            "video_key": ["b"] * 4,
            "fps": [24.0, 23.976, 24.0, 24],
        }
    )
    one, other, same, none = CAPTION_FRAMES_FPS.keys(table).to_pylist()
    assert one == same != other
    assert none is None


def test_training_from_videos_gives_encoders_what_they_want(
    dataset: Path, model: Path, tmp_path: Path
) -> None:
    index = vp.BucketIndex.build(dataset, profile="h3", reshape="center-crop")
    result = vp.encode(index, model=model, output=tmp_path / "store", device="cpu")
    assert result is not None
    assert result.ok
    stored = vp.LatentDataset(tmp_path / "store")
    online = OnlineClips(
        index, str(model), revision=None, images=False, device=CPU, dtype=torch.float32
    )
    with online:
        for ours, theirs in zip(map(online.__getitem__, range(2)), stored, strict=True):
            for name in stored.components:
                assert torch.equal(ours[name], theirs[name])


def test_a_vae_of_another_compression_is_refused(
    model: Path, h3: H3, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = (FrameRule(8, 1),)
    monkeypatch.setattr(H3, "profile", replace(H3.profile, frame_rules=rules))
    with pytest.raises(ModelError, match="puts 4 frames into a latent frame; 8 are 1"):
        h3.check(ModelFolder(model, "h3"))
