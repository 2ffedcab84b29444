"""A video of what the model makes by now; needs the model's VAE, and no text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videoprep.exporters.media.video_file import writing
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import mode
from videoprep.fs.atomic import write_file
from videoprep.index.clip import rate_of
from videoprep.training.cogvideox import is_image_to_video

FOLDER = "samples"
_STEPS = 25
_GUIDANCE = 6.0


def write_sample(
    run: Path,
    step: int,
    model: ModelFolder,
    transformer: Any,
    item: Mapping[str, Any],
    empty: torch.Tensor,
    facts: Mapping[str, Any],
    *,
    write: bool,
) -> None:
    """Writes an MP4 for the caption of a clip, and for image-to-video from its first frame.

    Args:
        run: folder of the run.
        step: which is in the file's name.
        model: with a ``vae``.
        transformer: as it is by now.
        item: the clip.
        empty: embedding of the empty caption ``[tokens, features]``, for guidance.
        facts: the store's.
        write: whether this process writes it: each of those that share the weights has to make it.
    """
    import diffusers

    pipeline_class, more = diffusers.CogVideoXPipeline, {}
    vae = diffusers.AutoencoderKLCogVideoX.from_pretrained(
        str(model.path / "vae"), torch_dtype=transformer.dtype, use_safetensors=True
    ).to(transformer.device)
    if is_image_to_video(transformer.config, int(facts["latent_channels"])):
        pipeline_class = diffusers.CogVideoXImageToVideoPipeline
        more["image"] = _picture(vae, item, facts)
    scheduler = getattr(diffusers, model.index["scheduler"][1]).from_pretrained(
        str(model.path / "scheduler")
    )
    pipeline = pipeline_class(None, None, vae, transformer, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    row = item["metadata"]
    was_training = transformer.training
    transformer.eval()
    frames = pipeline(
        prompt_embeds=item["prompt_embeds"][None].to(transformer.device, transformer.dtype),
        negative_prompt_embeds=empty[None].to(transformer.device, transformer.dtype),
        height=row["height"],
        width=row["width"],
        num_frames=row["frames"],
        num_inference_steps=_STEPS,
        guidance_scale=_GUIDANCE,
        generator=torch.Generator().manual_seed(0),
        output_type="np",
        **more,
    ).frames[0]
    transformer.train(was_training)
    if write:
        path = run / FOLDER / f"step-{step:08d}.mp4"
        rate = Fraction(1) if row["fps"] is None else rate_of(row["fps"])  # a still image has none
        pixels = (frames.transpose(0, 3, 1, 2) * 255).round().astype("uint8")
        write_file(path, writing(pixels, rate, lossless=False))


def _picture(vae: Any, item: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    """The first frame, decoded: a picture, as the pipeline takes it."""
    from diffusers.image_processor import VaeImageProcessor

    stored = item["image_latents"] if "image_latents" in item else item["noisy_image_latents"][0]
    latents = mode(stored[None], facts).to(vae.device, vae.dtype)
    with torch.no_grad():
        decoded = vae.decode(latents).sample[:, :, 0]
    return VaeImageProcessor().postprocess(decoded.float().cpu(), output_type="pil")[0]
