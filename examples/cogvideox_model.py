"""What the examples share: a CogVideoX, its loss on a batch of a store, their arguments."""

import argparse
import sys

import torch
from diffusers import CogVideoXPipeline
from torch.nn.functional import mse_loss

import videoprep as vp
from videoprep.families.model_folder import open_model
from videoprep.families.registry import families, family_of

COMPONENTS = ("video_latents", "prompt_embeds")


def collate(clips):
    """Clips of one bucket have one shape: they stack."""
    return {name: torch.stack([clip[name] for clip in clips]) for name in COMPONENTS}


def load(data, model):
    """The model that the store was made for, without VAE and text encoder."""
    folder = open_model(model, ("transformer", "scheduler"))
    folder.require("transformer")
    found = f"{family_of(folder).name}, {folder.config('transformer').get('in_channels')} channels"
    stored = f"{data.info.family}, {data.info.facts['latent_channels']} channels"
    if found != stored or "cogvideox" not in found:
        raise vp.TrainError(f"this trains CogVideoX; the store is of {stored}; {model} of {found}")
    parts = dict.fromkeys(("vae", "text_encoder", "tokenizer"))
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    return CogVideoXPipeline.from_pretrained(folder.path, dtype=dtype, **parts)


def positions_of(pipeline, latents):
    """The rotary embeddings of 5b and 1.5, of the size of these latents; 2b has none."""
    if not pipeline.transformer.config.use_rotary_positional_embeddings:
        return None
    _, frames, _, *sides = latents.shape
    height, width = (side * pipeline.vae_scale_factor_spatial for side in sides)
    return pipeline._prepare_rotary_positional_embeddings(height, width, frames, latents.device)


def loss_of(data, pipeline, transformer, batch, seed):
    """How wrong the velocity is that ``transformer``, be it wrapped, predicts of noisy latents.

    All draws depend on the seed alone, so that a resumed run draws the same.
    """
    moments, embeds = (batch[name] for name in COMPONENTS)
    draws, scheduler = torch.Generator().manual_seed(seed), pipeline.scheduler
    family = families()[data.info.family]
    latents = family.to_transformer(moments, data.info.facts, draws)  # [B, F, C, H, W], scaled
    noise = torch.randn(latents.shape, generator=draws).to(latents)
    end = scheduler.config.num_train_timesteps
    times = torch.randint(0, end, latents.shape[:1], generator=draws).to(latents.device)
    dtype = pipeline.transformer.dtype
    inputs = scheduler.add_noise(latents, noise, times).to(dtype), embeds.to(dtype), times
    options = {"image_rotary_emb": positions_of(pipeline, latents), "return_dict": False}
    with torch.autocast(latents.device.type, dtype, enabled=dtype != torch.float32):
        predicted = transformer(*inputs, **options)[0]
    return mse_loss(predicted.float(), scheduler.get_velocity(latents, noise, times))


def run(main, *paths):
    """Runs an example with the arguments that all of them have, and options for some paths."""
    parser = argparse.ArgumentParser()
    parser.add_argument("store", help="what `videoprep encode` made")
    parser.add_argument("--model", required=True, help="diffusers folder or hub id")
    parser.add_argument("--steps", type=int, default=24, help="the number of the last one")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    for name in paths:
        parser.add_argument(f"--{name}", metavar="PATH")
    try:
        main(parser.parse_args())
    except (vp.VideoprepError, OSError) as error:
        sys.exit(f"error: {error}")
