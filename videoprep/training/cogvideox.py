"""The CogVideoX objective on stored moments: text-to-video and image-to-video, 2b, 5b and 1.5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as functional

from videoprep.errors import TrainError
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.component import Component
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import draw
from videoprep.families.registry import families
from videoprep.training.loss_mask import mean_of_clips

if TYPE_CHECKING:
    from videoprep.store.dataset import LatentDataset


def is_trained(family: str) -> bool:
    """Return whether models of a family are trained by this objective."""
    return isinstance(families().get(family), CogVideoX)


TRANSFORMER = "CogVideoXTransformer3DModel"

CONDITIONS = ("image_latents", "noisy_image_latents")
"""The components that image-to-video learns from; one of them is enough."""

_SHOWN = 4

# What 1.5's image-to-video is told of the frame that is shown.
_OFS = 2.0


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
        config: the transformer's.
        facts: the store's: scaling and posterior.
        dtype: what the transformer is given.
        min_snr: gamma of the weights by min-SNR; None: all timesteps weigh the same.
        image_dropout: how often the image is left out.
        loss_mask: the component of the batch whose masks weigh the error; None: all of it counts.
    """

    scheduler: Any
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    dtype: torch.dtype = torch.float32
    min_snr: float | None = None
    image_dropout: float = 0.0
    loss_mask: Component | None = None

    def loss(
        self,
        transformer: Any,
        batch: Mapping[str, torch.Tensor],
        generator: torch.Generator,
        timesteps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Scalar loss of a batch of one bucket.

        Args:
            transformer: the model in training.
            batch: on the model's device, stacked as stored: ``video_latents`` as `sample_latents`
                takes them, ``prompt_embeds`` ``[B, tokens, features]``, and for image-to-video
                ``image_latents`` or ``noisy_image_latents``; the loss mask ``[B, 1, F, H, W]``, if
                clips of the batch have one.
            generator: draws latents, noise and timesteps, on the CPU.
            timesteps: int64 ``[B]``; drawn evenly where None.
        """
        latents = sample_latents(
            batch["video_latents"], self.facts["posterior"], self.facts["scaling_factor"], generator
        )
        if timesteps is None:
            count = self.scheduler.config.num_train_timesteps
            timesteps = torch.randint(0, count, (len(latents),), generator=generator)
        timesteps = timesteps.to(latents.device)
        image = self._image(batch, latents.shape[1], generator)
        latents = self._paired(latents)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        noisy = self.scheduler.add_noise(latents, noise, timesteps)
        if image is not None:
            noisy = torch.cat([noisy, self._paired(image).to(noisy)], dim=2)
        predicted = transformer(
            hidden_states=noisy.to(self.dtype),
            encoder_hidden_states=batch["prompt_embeds"].to(self.dtype),
            timestep=timesteps,
            return_dict=False,
            **self._positions(noisy),
        )[0]
        errors = functional.mse_loss(
            predicted.float(), self._target(latents, noise, timesteps), reduction="none"
        )
        weights = self._loss_weights(batch)
        return (mean_of_clips(errors, weights) * self._weights(timesteps)).mean()

    def _loss_weights(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
        """Of each latent: ``[B, F, 1, H, W]``; None if no clip of the batch has a mask."""
        if self.loss_mask is None or self.loss_mask not in batch:
            return None
        return self._paired(batch[self.loss_mask].permute(0, 2, 1, 3, 4))

    def _image(
        self, batch: Mapping[str, torch.Tensor], frames: int, generator: torch.Generator
    ) -> torch.Tensor | None:
        """The first frame, then zeros: ``[B, F, C, H, W]``; None for text-to-video."""
        if not is_image_to_video(self.config, int(self.facts["latent_channels"])):
            return None
        stored = _one_draw(batch, generator)
        factor = self.facts["scaling_factor"]
        factor = 1 / factor if self.facts.get("invert_scale_latents") else factor
        first = sample_latents(stored, self.facts["posterior"], factor, generator)
        dropped = torch.rand(len(first), generator=generator) < self.image_dropout
        first = first * (~dropped).to(first).view(-1, 1, 1, 1, 1)
        zeros = first.new_zeros(len(first), frames - 1, *first.shape[2:])
        return torch.cat([first, zeros], dim=1)

    def _paired(self, latents: torch.Tensor) -> torch.Tensor:
        """Frames that 1.5's transformer takes together: an odd number begins with a copy."""
        missing = -latents.shape[1] % (self.config.get("patch_size_t") or 1)
        return torch.cat([latents[:, :missing], latents], dim=1)

    def _positions(self, latents: torch.Tensor) -> Mapping[str, torch.Tensor]:
        more: dict[str, Any] = {}
        if self.config.get("use_rotary_positional_embeddings"):
            more["image_rotary_emb"] = rotary(self.config, latents)
        if self.config.get("ofs_embed_dim"):
            more["ofs"] = latents.new_full((1,), _OFS, dtype=self.dtype)
        return more

    def _weights(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Of each clip by its timestep, ``[B]``: min-SNR, for the error of what is predicted."""
        if self.min_snr is None:
            return torch.ones(len(timesteps), device=timesteps.device)
        signal = self.scheduler.alphas_cumprod.to(timesteps.device)[timesteps].float()
        ratio = signal / (1 - signal)
        least: torch.Tensor = ratio.clamp(max=self.min_snr)
        if self.scheduler.config.prediction_type == "epsilon":
            return torch.where(ratio > 0, least / ratio, torch.ones_like(ratio))
        weights: torch.Tensor = least / (ratio + 1)
        return weights

    def _target(
        self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        if self.scheduler.config.prediction_type == "epsilon":
            return noise
        target: torch.Tensor = self.scheduler.get_velocity(latents, noise, timesteps)
        return target


def is_image_to_video(config: Mapping[str, Any], latent_channels: int) -> bool:
    """Whether a transformer takes an image's latents beside the noisy ones."""
    return bool(config.get("in_channels") == 2 * latent_channels)


def _one_draw(batch: Mapping[str, torch.Tensor], generator: torch.Generator) -> torch.Tensor:
    """First frames ``[B, 2 × C, 1, H, W]``; of those with noise one a clip, by chance."""
    noisy = batch.get("noisy_image_latents")
    if noisy is None:
        return batch["image_latents"]
    chosen = torch.randint(noisy.shape[1], (len(noisy),), generator=generator)
    return noisy[torch.arange(len(noisy)), chosen.to(noisy.device)]


def rotary(config: Mapping[str, Any], latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotary positions of latents ``[B, F, C, H, W]``, as the pipelines make them."""
    from diffusers.models.embeddings import get_3d_rotary_pos_embed

    patch, frames = config["patch_size"], latents.shape[1]
    height, width = (side // patch for side in latents.shape[3:])
    base = config["sample_height"] // patch, config["sample_width"] // patch
    common = {"embed_dim": config["attention_head_dim"], "device": latents.device}
    if config.get("patch_size_t") is None:
        crops = _inscribed((height, width), base)
        made = get_3d_rotary_pos_embed(
            crops_coords=crops, grid_size=(height, width), temporal_size=frames, **common
        )
    else:
        made = get_3d_rotary_pos_embed(
            crops_coords=None, grid_size=(height, width),
            temporal_size=-(-frames // config["patch_size_t"]), grid_type="slice", max_size=base,
            **common,
        )  # fmt: skip
    cosines, sines = made
    return cosines, sines


def _inscribed(
    grid: tuple[int, int], base: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where a grid lies in the one that the model was made for: enlarged to fit, in the middle.

    Not the pipeline's own function, whose module imports VAE and text encoder.
    """
    scale = min(base[0] / grid[0], base[1] / grid[1])
    size = [round(side * scale) for side in grid]
    top, left = (round((whole - part) / 2.0) for whole, part in zip(base, size, strict=True))
    return (top, left), (top + size[0], left + size[1])


def require_fit(model: ModelFolder, data: LatentDataset) -> None:
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
    channels = int(data.info.facts["latent_channels"])
    features = data[0]["prompt_embeds"].shape[-1]
    images = is_image_to_video(config, channels)
    if not (images or config.get("in_channels") == channels) or (
        config.get("text_embed_dim") != features
    ):
        raise TrainError(
            f"the transformer takes {config.get('in_channels')} latent channels and "
            f"{config.get('text_embed_dim')} text features; the store has {channels} and "
            f"{features}",
            where=str(model.path),
            remedy="give `model` the model that the store was encoded with",
        )
    if images and not {*CONDITIONS} & {*data.components}:
        raise TrainError(
            "the model is for image-to-video, and the store has no image latents",
            where=str(model.path),
            remedy="run the same `videoprep encode` command again with `image_latents`: only they "
            "are added",
        )
    if config.get("use_learned_positional_embeddings"):
        _require_learned_size(model, config, data)


def _require_learned_size(
    model: ModelFolder, config: Mapping[str, Any], data: LatentDataset
) -> None:
    """Checks that all clips are of the one size that positions were learned for."""
    scale = data.buckets[0].height // data[0]["video_latents"].shape[-2]
    height, width = config["sample_height"] * scale, config["sample_width"] * scale
    others = [str(b) for b in data.buckets.counts() if (b.height, b.width) != (height, width)]
    if others:
        raise TrainError(
            f"the model has learned positions of {height}×{width} alone; the store has buckets of "
            f"{', '.join(others[:_SHOWN])}",
            where=str(model.path),
            remedy=f"index and encode with `height_buckets={height}, width_buckets={width}`",
        )


def load_objective(model: ModelFolder, facts: Mapping[str, Any], **options: Any) -> Objective:
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
    return Objective(scheduler, model.config("transformer"), facts, **options)
