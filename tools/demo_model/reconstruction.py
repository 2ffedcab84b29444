"""How well a model's VAE gives clips back: what its latents decode to, beside the original."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from videoprep.families.cogvideox import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import mode
from videoprep.index.bucket import Bucket
from videoprep.index.table import BucketIndex
from videoprep.media.clip import load_clip, normalize
from videoprep.previewing.reconstruct import psnr


def evaluate(model: Path, data: Path, bucket: Bucket) -> Iterator[tuple[str, float]]:
    """The PSNR in dB of each clip of a dataset, by the name of its file.

    Clips are cut and resized into the bucket as `videoprep encode --reshape center-crop` does it.
    """
    index = BucketIndex.build(
        data,
        reshape="center-crop",
        frame_buckets=(bucket.frames,),
        height_buckets=(bucket.height,),
        width_buckets=(bucket.width,),
    )
    index.require_clips()
    for clip in index.clips():
        pixels = normalize(load_clip(clip.pixels)).permute(1, 0, 2, 3)[None]
        yield clip.pixels.frames.path.name, psnr(pixels, reconstruct(model, pixels))


def reconstruct(model: Path, pixels: torch.Tensor) -> torch.Tensor:
    """What the mean of a clip's latents decodes to.

    Args:
        model: a CogVideoX folder.
        pixels: float32 ``[B, 3, F, H, W]`` from −1 to 1.

    Returns:
        float32, of the same shape where F is 1, 9, 17 and so on, see `decode`.
    """
    folder, cpu = ModelFolder(model, str(model)), torch.device("cpu")
    encoder = FAMILY.load_video_encoder(folder, cpu, torch.float32, tiling=False)
    return decode(model, encoder.encode(pixels))


def decode(model: Path, moments: torch.Tensor) -> torch.Tensor:
    """What the mean of stored moments decodes to.

    Args:
        model: a CogVideoX folder.
        moments: ``[B, 2 × C, F', H', W']``, unscaled.

    Returns:
        float32 ``[B, 3, F, H, W]`` from −1 to 1. Of an odd F' come 4 × F' − 3 frames; of an even
        one CogVideoX's VAE decodes 4 × F', more than went in.
    """
    folder, cpu = ModelFolder(model, str(model)), torch.device("cpu")
    decoder = FAMILY.load_video_decoder(folder, cpu, torch.float32)
    return decoder.decode(mode(moments, {}))
