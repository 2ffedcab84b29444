"""musubi-tuner: its caches of latents and text encoder outputs."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from videoprep.exporters.contract import ClipExporter, Exported, ListedClip, Origin
from videoprep.exporters.conversion import for_transformer, padded, unscaled
from videoprep.exporters.folder import Folder
from videoprep.exporters.tensor_files import safetensors_file
from videoprep.fs.atomic import Writer

if TYPE_CHECKING:
    import torch

_CACHE, _VIDEOS, _CONFIG = "cache", "videos", "musubi.toml"
_VERSION = "1.0.1"

# By its names: short in file names, long in their metadata.
_ARCHITECTURES = {"wan": ("wan", "wan"), "hunyuan-video": ("hv", "hunyuan_video")}

# Its buckets are multiples of this; clips of other sizes would be put into other buckets.
_STEP = 16

# How many frames of the mask go into one of the latents.
_MASKS = 4


class Musubi(ClipExporter):
    """Two safetensors files a clip, whose names say its size, and a dataset config."""

    name = "musubi"
    families = tuple(_ARCHITECTURES)
    also = ("pooled_embeds", "condition_latents", "image_embeds")
    loses = "the posterior: one sample or the mean is left"
    posteriors = ("sample", "mean")

    def refusal(self, origin: Origin) -> str | None:
        if origin.info.family == "hunyuan-video" and "pooled_embeds" not in origin.components:
            return f"the store has no pooled_embeds, which {self.name} needs of hunyuan-video"
        return super().refusal(origin)

    def bucket_refusal(self, origin: Origin) -> str | None:
        for bucket in origin.buckets:
            if bucket.height % _STEP or bucket.width % _STEP:
                return f"the sides of {bucket} are no multiples of {_STEP}, which {self.name} needs"
        return None

    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        short, long = _ARCHITECTURES[origin.info.family]
        bucket = clip.listed.bucket
        size = f"00000-{bucket.frames:03d}_{bucket.width:04d}x{bucket.height:04d}"
        metadata = {
            "architecture": long,
            "width": str(bucket.width),
            "height": str(bucket.height),
            "frame_count": str(bucket.frames),
            "format_version": _VERSION,
        }
        path = f"{_CACHE}/{clip.listed.stem}_{size}_{short}.safetensors"
        return {path: safetensors_file(partial(_latents, clip, origin), metadata)}

    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        short, long = _ARCHITECTURES[origin.info.family]
        metadata = {
            "architecture": long,
            "caption1": clip.listed.caption,
            "format_version": _VERSION,
        }
        path = f"{_CACHE}/{clip.listed.stem}_{short}_te.safetensors"
        return {path: safetensors_file(partial(_texts, clip, origin), metadata)}

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        (folder.path / _VIDEOS).mkdir(exist_ok=True)  # it asks for one, and looks into its cache
        folder.write_text(_CONFIG, _config(folder.path.resolve().as_posix(), origin))

    def command(self, folder: str, origin: Origin) -> str:
        short, _ = _ARCHITECTURES[origin.info.family]
        words = ["accelerate", "launch", f"src/musubi_tuner/{short}_train_network.py"]
        if short == "wan":
            kind = "i2v" if "condition_latents" in origin.components else "t2v"
            words += ["--task", f"{kind}-14B"]
        words += ["--dit", "DIT.safetensors", "--vae", "VAE.safetensors"]
        words += ["--dataset_config", f"{folder}/{_CONFIG}", "--mixed_precision", "bf16"]
        words += ["--sdpa", "--network_module", f"networks.lora{'_wan' * (short == 'wan')}"]
        words += ["--output_dir", "output", "--output_name", "lora"]
        return shlex.join(words)


def _latents(clip: Exported, origin: Origin) -> Mapping[str, torch.Tensor]:
    stored = clip.tensors["video_latents"]
    size = "x".join(map(str, stored.shape[1:]))
    kind = _dtype(stored)
    if origin.info.family == "hunyuan-video":  # which it scales itself
        return {f"latents_{size}_{kind}": unscaled(clip, origin).to(stored.dtype)}
    named = {f"latents_{size}_{kind}": for_transformer(clip, origin).to(stored.dtype)}
    if "condition_latents" in clip.tensors:
        named[f"latents_image_{size}_{kind}"] = _condition(clip, origin)
    if "image_embeds" in clip.tensors:
        embeds = clip.tensors["image_embeds"]
        named[f"clip_{_dtype(embeds)}"] = embeds
    return named


def _condition(clip: Exported, origin: Origin) -> torch.Tensor:
    """A mask that tells the first frame, and its latents: ``[4 + C, F', H', W']``."""
    import torch

    latents = for_transformer(clip, origin, "condition_latents")
    mask = torch.zeros(_MASKS, *latents.shape[1:])
    mask[:, 0] = 1
    return torch.cat([mask, latents]).to(clip.tensors["condition_latents"].dtype)


def _texts(clip: Exported, origin: Origin) -> Mapping[str, torch.Tensor]:
    embeds = clip.tensors["prompt_embeds"]
    if origin.info.family == "wan":
        return {f"varlen_t5_{_dtype(embeds)}": embeds}
    pooled = clip.tensors["pooled_embeds"]
    states, mask = padded(embeds, origin)
    return {
        f"llm_{_dtype(states)}": states,
        "llm_mask": mask.long(),
        f"clipL_{_dtype(pooled)}": pooled,
    }


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _config(folder: str, origin: Origin) -> str:
    """Its dataset config: JSON's strings and lists are TOML's, too."""
    # With bucket_no_upscale clips of no more pixels than this keep their size.
    pixels = max(bucket.height * bucket.width for bucket in origin.buckets)
    side = math.ceil(math.sqrt(pixels) / _STEP) * _STEP
    values = {
        "video_directory": f"{folder}/{_VIDEOS}",
        "cache_directory": f"{folder}/{_CACHE}",
        "resolution": [side, side],
        "enable_bucket": True,
        "bucket_no_upscale": True,
        "target_frames": sorted({bucket.frames for bucket in origin.buckets}),
        "frame_extraction": "head",
        "batch_size": 1,
        "num_repeats": 1,
        "caption_extension": ".txt",
    }
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return "\n".join(("[[datasets]]", *lines, ""))


EXPORTER = Musubi()
