"""What encoders give of a posterior: moments, two heads, or the latents alone."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.recipes import choose_settings, make_recipes
from videoprep.errors import ModelError
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.component import (
    FIRST_FRAME,
    VIDEO_LATENTS,
    ComponentSpec,
    prompt_embeds,
)
from videoprep.families.contract import VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of
from videoprep.families.moments import MODE, MOMENTS, TWO_HEADS, PosteriorForm, draw, mode
from videoprep.families.registry import components_of, registry
from videoprep.index.summary import summarize
from videoprep.media.clip import load_clip, normalize
from videoprep.store.layout import Store

CPU = torch.device("cpu")
_HEADS = replace(VIDEO_LATENTS, posterior=TWO_HEADS)
_FIRST = ComponentSpec(name="first_latents", source=FIRST_FRAME, part="vae", posterior=MODE)


class Heads(VideoEncoder):
    """A VAE whose second head gives the log of the standard deviation."""

    def __init__(self, vae: VideoEncoder) -> None:
        self._vae = vae

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        mean, log_variance = self._vae.encode(pixels).chunk(2, dim=1)
        return torch.cat([mean, 0.5 * log_variance], dim=1)

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._vae.save_memory(slicing=slicing, tiling=tiling)


class TwoHeads(CogVideoX):
    """CogVideoX whose VAE has two heads."""

    name = "two-heads"
    profile = replace(
        CogVideoX.profile, name="two-heads", components=(prompt_embeds(226, 32), _HEADS)
    )

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "TwoHeadsPipeline"

    def load_video_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, tiling: bool
    ) -> VideoEncoder:
        return Heads(super().load_video_encoder(model, device, dtype, tiling=tiling))


class Cosmos(CogVideoX):
    """`AutoencoderKLCosmos`, whose distribution is the latents alone."""

    name = "cosmos"
    profile = replace(
        CogVideoX.profile,
        name="cosmos",
        latent_channels=4,
        components=(
            prompt_embeds(226, 32),
            replace(VIDEO_LATENTS, posterior=MODE),
            _FIRST,
        ),
    )
    vae_class = "AutoencoderKLCosmos"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "CosmosPipeline"

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        return {}

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        spatial, temporal = (
            count_of(model, "vae", f"{which}_compression_ratio")
            for which in ("spatial", "temporal")
        )
        return spatial, temporal

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        return draw(moments, facts, generator, MODE)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (TwoHeads(), Cosmos()):
        monkeypatch.setitem(registry().families, family.name, family)


def _pipeline(folder: Path, name: str, **parts: list[str]) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    text = json.dumps({**index, "_class_name": name, **parts})
    (folder / "model_index.json").write_text(text)


@pytest.fixture
def two_heads(tiny_model: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(tiny_model, tmp_path / "two_heads")
    _pipeline(folder, "TwoHeadsPipeline")
    return folder


@pytest.fixture
def cosmos(tiny_model: Path, tmp_path: Path) -> Path:
    from diffusers import AutoencoderKLCosmos

    folder = shutil.copytree(tiny_model, tmp_path / "cosmos")
    shutil.rmtree(folder / "vae")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = AutoencoderKLCosmos(
            latent_channels=4,
            encoder_block_out_channels=(8, 8, 8),
            decode_block_out_channels=(8, 8, 8),
            attention_resolutions=(1,),
            resolution=64,
            num_layers=1,
            patch_size=4,
            spatial_compression_ratio=8,
            temporal_compression_ratio=4,
        )
    vae.save_pretrained(folder / "vae")
    _pipeline(folder, "CosmosPipeline", vae=["diffusers", "AutoencoderKLCosmos"])
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in "ab":
        write_video(tmp_path / f"data/{name}.mp4", width=96, height=64, frames=9, lift=ord(name))
    write_lists(tmp_path / "data", ["One.", "Two."], [f"{name}.mp4" for name in "ab"])
    return tmp_path / "data"


def _encode(dataset: Path, model: Path, store: Path, **options: Any) -> vp.LatentDataset:
    result = vp.encode(dataset, model=model, output=store, device="cpu", **options)
    assert result is not None
    assert result.ok
    assert vp.verify(store).ok
    return vp.LatentDataset(store)


def test_a_draw_of_two_heads_is_that_of_the_moments(
    two_heads: Path, tiny_model: Path, dataset: Path, tmp_path: Path
) -> None:
    form = components_of(TwoHeads(), ModelFolder(two_heads, "tiny"))["video_latents"].posterior
    assert form is TWO_HEADS
    for posterior in ("moments", "mean", "sample"):
        heads = _encode(dataset, two_heads, tmp_path / f"h-{posterior}", posterior=posterior)
        usual = _encode(dataset, tiny_model, tmp_path / f"u-{posterior}", posterior=posterior)
        assert heads.info.recipes["video_latents"].posterior_form is TWO_HEADS
        assert heads.info.facts["posterior"] == posterior
        for ours, theirs in zip(heads, usual, strict=True):
            found, expected = ours["video_latents"], theirs["video_latents"]
            assert found.shape == expected.shape
            assert torch.equal(
                mode(found[None], heads.info.facts, TWO_HEADS),
                mode(expected[None], usual.info.facts),
            )
            drawn, wanted = (
                draw(one[None], data.info.facts, torch.Generator().manual_seed(0), form)
                for one, data, form in (
                    (found, heads, TWO_HEADS),
                    (expected, usual, MOMENTS),
                )
            )
            torch.testing.assert_close(drawn, wanted)
    vp.export(tmp_path / "h-moments", to="webdataset", output=tmp_path / "tar", posterior="sample")


def test_latents_alone_are_the_vaes_and_nothing_is_taken_of_them(
    cosmos: Path, dataset: Path, tmp_path: Path
) -> None:
    from diffusers import AutoencoderKLCosmos

    data = _encode(dataset, cosmos, tmp_path / "store")
    vae = AutoencoderKLCosmos.from_pretrained(str(cosmos / "vae"))
    assert data.info.facts["moments"] == MODE.says
    for clip, item in zip(Store.open(tmp_path / "store").load_index().clips(), data, strict=True):
        pixels = normalize(load_clip(clip.pixels)[None]).permute(0, 2, 1, 3, 4)
        with torch.no_grad():
            theirs = vae.encode(pixels).latent_dist.mode()[0]
        assert tuple(theirs.shape) == (4, 3, 8, 12)
        assert torch.equal(item["video_latents"], theirs)
        assert tuple(item["first_latents"].shape) == (4, 1, 8, 12)
        facts = data.info.facts
        assert torch.equal(Cosmos().to_transformer(theirs[None], facts)[0], theirs)
    summary = summarize(Store.open(tmp_path / "store").load_index())
    sizes = {one.name: one.bytes for one in summary.components}
    assert sizes["video_latents"] == 2 * math.prod((4, 3, 8, 12)) * 2

    # The option decides nothing, so that it makes nothing anew.
    again = vp.encode(
        dataset, model=cosmos, output=tmp_path / "store", device="cpu", posterior="mean"
    )
    assert again is not None
    assert again.encoded == 0
    assert vp.preview(tmp_path / "store", output=tmp_path / "page.html", device="cpu").measured == 2
    for posterior in ("moments", "mean", "sample"):
        exported = tmp_path / f"tar-{posterior}"
        vp.export(tmp_path / "store", to="webdataset", output=exported, posterior=posterior)


def test_recipes_of_moments_are_what_they_were(tiny_model: Path) -> None:
    model, family = ModelFolder(tiny_model, "tiny"), CogVideoX()
    settings = choose_settings(EncodeOptions(), CPU)
    recipes = make_recipes(family, model, components_of(family, model).values(), settings)
    assert set(recipes["video_latents"].fields) == {
        "family", "class", "vae", "dtype", "decoder", "pixels", "tiling", "posterior",
    }  # fmt: skip
    assert recipes["video_latents"].posterior_form is MOMENTS
    assert recipes["prompt_embeds"].posterior_form is None


@pytest.mark.parametrize("wrong", [True, PosteriorForm("own", "one's own", None)])
def test_an_unknown_form_is_refused(
    wrong: Any, two_heads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(_HEADS, posterior=wrong)
    monkeypatch.setattr(TwoHeads, "profile", replace(TwoHeads.profile, components=(spec,)))
    with pytest.raises(ModelError, match="the posterior of video_latents is"):
        components_of(TwoHeads(), ModelFolder(two_heads, "tiny"))
