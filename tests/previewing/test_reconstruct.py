"""From latents back to pixels: each family as its own VAE does it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.families.test_every_family import MODELS, ONE_OF_EACH_VAE
from tests.support import fidelity
from videoprep.demo.tiny_model import trained_model
from videoprep.encoding.draws import Posterior, reduce_moments
from videoprep.errors import ModelError, StoreError, VideoprepError
from videoprep.families.ltx_video import FAMILY as LTX
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import posterior_of
from videoprep.families.registry import components_of, family_of
from videoprep.index.bucket import Bucket
from videoprep.previewing.reconstruct import (
    NotFiniteError,
    Reconstructor,
    load_reconstructor,
    psnr,
    to_uint8,
)
from videoprep.store.layout import StoreInfo
from videoprep.store.recipe import Recipe

CPU = torch.device("cpu")


def info_of(model: ModelFolder, posterior: Posterior = "moments", **fields: Any) -> StoreInfo:
    """What a store of the model says of itself."""
    family = family_of(model)
    made = {**family.identity(model, "video_latents"), "dtype": "float32", "tiling": False}
    made |= {"posterior": posterior, **fields}
    return StoreInfo(
        family=family.name,
        model=str(model.path),
        revision=None,
        facts={**family.facts(model), "posterior": posterior},
        recipes={"video_latents": Recipe("video_latents", made)},
    )


@pytest.fixture(scope="module", params=ONE_OF_EACH_VAE)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    build, _ = MODELS[request.param]
    return ModelFolder(build(tmp_path_factory.mktemp("models") / "model"), request.param)


def test_each_family_decodes_as_its_pipeline(model: ModelFolder) -> None:
    """What the transformer is given, brought back by diffusers' pipeline's own steps."""
    family: Any = family_of(model)
    frames = fidelity.legal(family, 17)
    vae, clip = fidelity.load_vae(family, model), fidelity.pixels(frames)
    moments = family.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    with torch.no_grad():
        theirs = vae.decode(vae.encode(clip).latent_dist.mode()).sample
    ours = load_reconstructor(info_of(model), device="cpu").decode(moments[0], "video_latents")
    assert tuple(ours.shape) == (frames, 3, 64, 96)
    assert torch.equal(ours, theirs[0].permute(1, 0, 2, 3).clamp(-1, 1))


@pytest.mark.parametrize("posterior", ["moments", "mean", "sample"])
def test_whatever_of_the_posterior_is_stored(posterior: Posterior) -> None:
    model = ModelFolder(trained_model(), "trained")
    family: Any = family_of(model)
    clip = fidelity.pixels(9) * 0.3
    moments = family.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    stored = reduce_moments(moments, posterior, ["0" * 32])[0]
    decoded = load_reconstructor(info_of(model, posterior), device="cpu").decode(
        stored, "video_latents"
    )
    mean, deviation = posterior_of(moments)
    latents = stored[None] if posterior == "sample" else mean
    assert (latents - mean).abs().max() <= 6 * deviation.max()
    with torch.no_grad():
        theirs = fidelity.load_vae(family, model).decode(latents).sample[0].permute(1, 0, 2, 3)
    assert torch.equal(decoded, theirs.clamp(-1, 1))


def test_a_decoder_of_ltx_that_asks_for_the_noise() -> None:
    """From 0.9.1 on; the pipeline gives it 0 unless it is told otherwise."""
    from diffusers import AutoencoderKLLTXVideo

    torch.manual_seed(0)
    vae = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        timestep_conditioning=True,
    ).eval()
    latents = torch.randn(1, 8, 2, 2, 3)
    with torch.no_grad():
        assert torch.equal(
            LTX.decode(vae, latents), vae.decode(latents, torch.tensor([0.0])).sample
        )


def test_what_is_not_finite_is_said() -> None:
    model = ModelFolder(trained_model(), "trained")
    reconstructor = load_reconstructor(info_of(model), device="cpu")
    stored = torch.zeros(32, 3, 8, 12)
    stored[5, 1, 2, 3] = math.nan
    with pytest.raises(NotFiniteError, match="the latents hold NaN"):
        reconstructor.decode(stored, "video_latents")
    with pytest.raises(NotFiniteError, match="what they decode to"):
        reconstructor.decode(torch.full((32, 3, 8, 12), 3e38), "video_latents")


def test_tiles_where_memory_does_not_suffice() -> None:
    """A decoder that runs out of memory once, as a GPU does for large clips."""
    model = ModelFolder(trained_model(), "trained")
    info = info_of(model)
    family = family_of(model)
    decoder = family.load_video_decoder(model, CPU, torch.float32)
    whole = Reconstructor(info, decoder, family, model, CPU)
    stored = torch.randn(32, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    expected = whole.decode(stored, "video_latents")
    seen = []

    def short_of_memory(vae: Any, latents: torch.Tensor) -> torch.Tensor:
        seen.append(vae.use_tiling)
        if not vae.use_tiling:
            raise torch.OutOfMemoryError("CUDA out of memory")
        made: torch.Tensor = vae.decode(latents).sample
        return made

    decoder._decode = short_of_memory  # type: ignore[attr-defined]
    tiled = Reconstructor(info, decoder, family, model, CPU)
    assert torch.allclose(tiled.decode(stored, "video_latents"), expected, atol=1e-4)
    assert tiled.tiled
    assert seen == [False, True]
    assert not whole.tiled

    def out_of_memory(vae: Any, latents: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    decoder._decode = out_of_memory  # type: ignore[attr-defined]
    with pytest.raises(VideoprepError, match="not even in tiles"):
        tiled.decode(stored, "video_latents")


def test_shapes_are_those_that_are_stored(model: ModelFolder) -> None:
    family: Any = family_of(model)
    encoder = family.load_video_encoder(model, CPU, torch.float32, tiling=False)
    frames = fidelity.legal(family, 17)
    for posterior in ("moments", "mean"):
        reconstructor = load_reconstructor(info_of(model, posterior), device="cpu")  # type: ignore[arg-type]
        for spec in components_of(family, model).values():
            if spec.posterior is None:
                continue
            moments = encoder.encode(fidelity.pixels(spec.source.length(frames)))
            stored = reduce_moments(moments, posterior, ["0" * 32])  # type: ignore[arg-type]
            shape = reconstructor.shape(spec.name, spec.source, Bucket(frames, 64, 96))
            assert shape == tuple(stored.shape[1:])


def test_another_model() -> None:
    model = ModelFolder(trained_model(), "trained")
    info = info_of(model)
    assert not load_reconstructor(info, device="cpu").other_vae
    other = info_of(model, vae="0" * 32)
    assert load_reconstructor(other, device="cpu").other_vae
    with pytest.raises(ModelError, match="of the family 'cogvideox', and the store of 'wan'"):
        load_reconstructor(replace(info, family="wan"), device="cpu")
    with pytest.raises(StoreError, match="nobody knows"):
        load_reconstructor(replace(info, family="none"), device="cpu")


def test_a_model_that_is_gone_says_what_to_do(tmp_path: Path) -> None:
    info = replace(info_of(ModelFolder(trained_model(), "trained")), model=str(tmp_path / "gone"))
    with pytest.raises(ModelError, match="not to be had") as caught:
        load_reconstructor(info, device="cpu")
    assert "`without_vae`" in str(caught.value)
    assert not load_reconstructor(info, model=str(trained_model()), device="cpu").other_vae


def test_decibels() -> None:
    black, grey = torch.full((2, 3, 4, 4), -1.0), torch.zeros(2, 3, 4, 4)
    assert psnr(black, grey) == pytest.approx(10 * math.log10(4))
    assert psnr(black, black) == pytest.approx(106, abs=0.1)
    levels = torch.arange(256).float()[:, None, None, None].expand(-1, 3, 1, 1) / 255 * 2 - 1
    assert to_uint8(levels)[:, 0, 0, 0].tolist() == list(range(256))
