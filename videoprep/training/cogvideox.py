"""The CogVideoX text-to-video objective on stored moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as functional

from videoprep.errors import TrainError
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import draw

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel

FAMILY = "cogvideox"

TRANSFORMER = "CogVideoXTransformer3DModel"


def sample_latents(
    stored: torch.Tensor, posterior: str, scaling_factor: float, generator: torch.Generator
) -> torch.Tensor:
    """Draws from the stored posterior.

    Args:
        stored: unscaled ``[B, 2 × C, F, H, W]``, mean first and log variance after; where only the
            mean or a sample was stored, ``[B, C, F, H, W]``, from which nothing is drawn.
        posterior: which of them: ``moments``, ``mean`` or ``sample``.
        scaling_factor: the VAE's.
        generator: on the CPU, so that every device draws the same numbers.

    Returns:
        Scaled latents ``[B, F, C, H, W]``, as the transformer takes them.
    """
    latents = draw(stored, {"posterior": posterior}, generator)
    return (latents * scaling_factor).permute(0, 2, 1, 3, 4)


@dataclass(frozen=True)
class Objective:
    """Predicts what the model's own scheduler says is to be predicted.

    The mean squared error of the velocity equals the usual ``1 / (1 − ᾱ)`` weighted error of the
    clean latents, without dividing by numbers near zero.

    Attributes:
        scheduler: the model's, from its folder.
        scaling_factor: the VAE's, from ``store.json``.
        posterior: what of the VAE's posterior is stored, likewise.
    """

    scheduler: Any
    scaling_factor: float
    posterior: str

    def loss(
        self,
        transformer: CogVideoXTransformer3DModel,
        batch: Mapping[str, torch.Tensor],
        generator: torch.Generator,
        timesteps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Scalar loss of a batch of one bucket.

        Args:
            transformer: the model in training.
            batch: ``video_latents`` as `sample_latents` takes them, and ``prompt_embeds``
                ``[B, tokens, features]``, on the model's device.
            generator: draws latents, noise and timesteps, on the CPU.
            timesteps: int64 ``[B]``; drawn evenly where None.
        """
        latents = sample_latents(
            batch["video_latents"], self.posterior, self.scaling_factor, generator
        )
        if timesteps is None:
            count = self.scheduler.config.num_train_timesteps
            timesteps = torch.randint(0, count, (len(latents),), generator=generator)
        timesteps = timesteps.to(latents.device)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        predicted = transformer(
            hidden_states=noisy.to(transformer.dtype),
            encoder_hidden_states=batch["prompt_embeds"].to(transformer.dtype),
            timestep=timesteps,
            return_dict=False,
        )[0]
        return functional.mse_loss(predicted.float(), self._target(latents, noise, timesteps))

    def _target(
        self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        if self.scheduler.config.prediction_type == "epsilon":
            return noise
        target: torch.Tensor = self.scheduler.get_velocity(latents, noise, timesteps)
        return target


def check_model(model: ModelFolder, latent_channels: int, text_features: int) -> None:
    """Checks, before anything is loaded, that the model's transformer can train on the store.

    Raises:
        TrainError: it is of another class or form, or does not fit the store's tensors.
    """
    name = model.index.get("transformer", [None, None])[1]
    if name != TRANSFORMER:
        raise TrainError(
            f"the trainer trains {TRANSFORMER}; this model has {name}",
            where=str(model.path),
            remedy="train in your own trainer from `videoprep.LatentDataset`",
        )
    model.require("transformer")
    model.file("scheduler/scheduler_config.json")
    config = model.config("transformer")
    unsupported = [
        key for key in ("use_rotary_positional_embeddings", "ofs_embed_dim") if config.get(key)
    ]
    if unsupported:
        raise TrainError(
            f"the trainer does not know models with {', '.join(unsupported)} yet",
            where=str(model.path),
            remedy="use a CogVideoX-2b model, or train in your own trainer",
        )
    if (
        config.get("in_channels") != latent_channels
        or config.get("text_embed_dim") != text_features
    ):
        raise TrainError(
            f"the transformer takes {config.get('in_channels')} latent channels and "
            f"{config.get('text_embed_dim')} text features; the store has {latent_channels} and "
            f"{text_features}",
            where=str(model.path),
            remedy="give --model the model that the store was encoded with",
        )


def load_objective(model: ModelFolder, scaling_factor: float, posterior: str) -> Objective:
    """The objective with the scheduler in the model's folder."""
    import diffusers

    name = model.index["scheduler"][1]
    scheduler = getattr(diffusers, name).from_pretrained(str(model.path / "scheduler"))
    if scheduler.config.prediction_type not in ("v_prediction", "epsilon"):
        raise TrainError(
            f"prediction type {scheduler.config.prediction_type!r} is not known",
            where=str(model.path / "scheduler"),
            remedy="use a scheduler with v_prediction or epsilon",
        )
    return Objective(scheduler, scaling_factor, posterior)
