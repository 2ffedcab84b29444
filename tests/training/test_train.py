"""The trainer: learns from latents alone, and what it saves loads in diffusers' pipeline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import videoprep as vp
from videoprep.errors import StoreError, TrainError
from videoprep.families.model_folder import open_model
from videoprep.store.layout import Store
from videoprep.training.cogvideox import load_objective, sample_latents
from videoprep.training.same_model import require_same_encoders
from videoprep.training.weights import WEIGHTS_NAME


def _train(store: Path, model: Path, output: Path, **options) -> object:
    defaults = {"steps": 3, "rank": 4, "device": "cpu", "batch_size": 2}
    return vp.train(store, model=model, output=output, **{**defaults, **options})


def test_the_loss_goes_down_and_is_logged(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    told = []
    result = _train(
        demo_store, tiny_model, tmp_path / "run", steps=40, rank=16, on_step=told.append
    )
    assert result.loss_after < 0.97 * result.loss_before
    lines = [json.loads(line) for line in Path(result.log).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 41))
    assert [line["loss"] for line in lines] == [step.loss for step in told]


def test_equal_seeds_give_equal_weights(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    def weights(name: str, **options) -> bytes:
        _train(demo_store, tiny_model, tmp_path / name, **options)
        return (tmp_path / name / WEIGHTS_NAME).read_bytes()

    assert weights("one") == weights("two")
    assert weights("one more", seed=1) != weights("three")


def test_the_pipeline_reads_the_lora(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    from diffusers import CogVideoXPipeline

    _train(demo_store, tiny_model, tmp_path / "run", steps=5, learning_rate=1e-2)
    pipeline = CogVideoXPipeline.from_pretrained(str(tiny_model))

    def picture() -> torch.Tensor:
        return pipeline(
            "A red ball",
            height=64,
            width=96,
            num_frames=9,
            num_inference_steps=2,
            output_type="latent",
            generator=torch.Generator().manual_seed(0),
        ).frames

    before = picture()
    pipeline.load_lora_weights(str(tmp_path / "run"))
    after = picture()
    assert pipeline.transformer.peft_config["default_0"].lora_alpha == 4
    assert not torch.equal(before, after)
    pipeline.unload_lora_weights()
    assert torch.equal(before, picture())


def test_neither_vae_nor_text_encoder_is_imported(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    code = f"""
import sys, videoprep as vp
vp.train({str(demo_store)!r}, model={str(tiny_model)!r}, output={str(tmp_path / "run")!r},
         steps=1, rank=2, device="cpu")
print(*[m for m in sys.modules if "autoencoder" in m or "modeling_t5" in m or "pipelines.cog" in m])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_sampling_equals_that_of_diffusers() -> None:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    moments = torch.randn(2, 32, 3, 4, 6, generator=torch.Generator().manual_seed(1)) * 3
    ours = sample_latents(moments, "moments", 0.7, torch.Generator().manual_seed(2))
    theirs = DiagonalGaussianDistribution(moments).sample(torch.Generator().manual_seed(2)) * 0.7
    assert torch.allclose(ours, theirs.permute(0, 2, 1, 3, 4), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("posterior", ["mean", "sample"])
def test_where_no_moments_are_stored_nothing_is_drawn(posterior: str) -> None:
    stored = torch.randn(2, 16, 3, 4, 6)
    ours = sample_latents(stored, posterior, 0.7, torch.Generator())
    assert torch.equal(ours, (stored * 0.7).permute(0, 2, 1, 3, 4))


def test_the_loss_is_the_usual_weighted_one(tiny_model: Path) -> None:
    """What is minimised equals the error of the clean latents divided by 1 − ᾱ."""
    from diffusers import CogVideoXTransformer3DModel

    from videoprep.families.model_folder import ModelFolder

    objective = load_objective(
        ModelFolder(tiny_model, "tiny"),
        {"scaling_factor": 0.7, "posterior": "moments", "latent_channels": 16},
    )
    transformer = CogVideoXTransformer3DModel.from_pretrained(str(tiny_model / "transformer"))
    draw = torch.Generator().manual_seed(0)
    batch = {
        "video_latents": torch.randn(2, 32, 3, 8, 12, generator=draw),
        "prompt_embeds": torch.randn(2, 226, 32, generator=draw),
    }
    timesteps = torch.tensor([200, 700])
    with torch.no_grad():
        loss = objective.loss(transformer, batch, torch.Generator().manual_seed(5), timesteps)
        generator = torch.Generator().manual_seed(5)
        latents = sample_latents(batch["video_latents"], "moments", 0.7, generator)
        noise = torch.randn(latents.shape, generator=generator)
        noisy = objective.scheduler.add_noise(latents, noise, timesteps)
        output = transformer(noisy, batch["prompt_embeds"], timesteps, return_dict=False)[0]
        clean = objective.scheduler.get_velocity(output, noisy, timesteps)
        alphas = objective.scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1)
        usual = ((clean - latents) ** 2 / (1 - alphas)).mean()
    assert loss.item() == pytest.approx(usual.item(), rel=1e-4)


def test_an_output_that_is_taken(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    _train(demo_store, tiny_model, tmp_path / "run", steps=1)
    with pytest.raises(TrainError, match="already holds"):
        _train(demo_store, tiny_model, tmp_path / "run", steps=1)
    _train(demo_store, tiny_model, tmp_path / "run", steps=1, overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainError, match="not a folder"):
        _train(demo_store, tiny_model, tmp_path / "file", steps=1)


def test_no_store(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        _train(tmp_path, tiny_model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def _changed(tiny_model: Path, folder: Path, file: str, **values) -> Path:
    model = shutil.copytree(tiny_model, folder)
    config = json.loads((model / file).read_text())
    (model / file).write_text(json.dumps({**config, **values}))
    return model


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("transformer/config.json", {"in_channels": 8}, "takes 8 latent channels"),
        ("transformer/config.json", {"patch_size_t": 2}, "the model of 'cogvideox1.5'"),
        ("model_index.json", {"transformer": ["diffusers", "Other"]}, "this model has Other"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"}, "'sample' is not known"),
    ],
)
def test_models_that_do_not_fit(
    demo_store: Path, tiny_model: Path, tmp_path: Path, file: str, values, message: str
) -> None:
    model = _changed(tiny_model, tmp_path / "model", file, **values)
    with pytest.raises(TrainError, match=message):
        _train(demo_store, model, tmp_path / "run")


@pytest.mark.parametrize(
    ("file", "values", "differs"),
    [
        ("vae/config.json", {"scaling_factor": 0.7}, "scaling factor is .* in the store and 0.7"),
        ("vae/config.json", {"shift_factor": 0.5}, "its vae differs"),
        ("text_encoder/config.json", {"dropout_rate": 0.5}, "its text encoder differs"),
    ],
)
def test_a_model_with_other_encoders_is_refused(
    demo_store: Path, tiny_model: Path, tmp_path: Path, file: str, values, differs: str
) -> None:
    model = _changed(tiny_model, tmp_path / "model", file, **values)
    with pytest.raises(TrainError, match=f"another model, {tiny_model}: .*{differs}") as raised:
        _train(demo_store, model, tmp_path / "run")
    assert raised.value.option == "model"
    assert str(model) in str(raised.value.remedy)
    assert not (tmp_path / "run").exists()


def test_another_transformer_of_the_same_model_is_trained(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """What is trained may be any checkpoint; of a folder without encoders nothing is compared."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    path = model / "transformer/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["proj_out.bias"] += 0.25
    save_file(weights, path, metadata={"format": "pt"})
    require_same_encoders(Store.open(demo_store).read_info(), open_model(str(model), ()), "store")
    for part in ("text_encoder", "tokenizer"):
        shutil.rmtree(model / part)
    require_same_encoders(Store.open(demo_store).read_info(), open_model(str(model), ()), "store")


def test_a_loss_that_is_not_finite_stops(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainError, match=r"the (loss is nan|gradient is not finite) at step \d+"):
        _train(demo_store, tiny_model, tmp_path / "run", steps=200, learning_rate=1e30)
    with pytest.raises(TrainError, match="after the last step is nan; no weights are saved"):
        _train(demo_store, tiny_model, tmp_path / "run", steps=1, learning_rate=1e30)
    assert not (tmp_path / "run" / WEIGHTS_NAME).exists()
