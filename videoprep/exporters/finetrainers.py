"""finetrainers: its precomputed files, for ``--enable_precomputation --precomputation_reuse``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import partial
from typing import Any

from videoprep.exporters.contract import ClipExporter, Exported, Origin
from videoprep.exporters.conversion import padded
from videoprep.exporters.tensor_files import pt_file
from videoprep.fs.atomic import Writer

_FOLDER = "finetrainers-precomputed-data"
_MODEL_NAMES = {"cogvideox": "cogvideox", "wan": "wan", "ltx-video": "ltx_video"}


class Finetrainers(ClipExporter):
    """Two dicts a clip, numbered without gaps, with a batch dimension of one."""

    name = "finetrainers"
    families = tuple(_MODEL_NAMES)
    loses = "what is stored of first frames: it trains text-to-video from precomputed files"

    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        name = f"{_FOLDER}/latent-{clip.listed.number}.pt"
        return {name: pt_file(partial(_latent, clip, origin))}

    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        name = f"{_FOLDER}/condition-{clip.listed.number}.pt"
        return {name: pt_file(partial(_condition, clip, origin))}

    def command(self, folder: str, origin: Origin) -> str:
        words = ["torchrun", "--standalone", "--nproc_per_node", "1", "train.py"]
        words += ["--model_name", _MODEL_NAMES[origin.info.family]]
        words += ["--pretrained_model_name_or_path", origin.info.model, "--training_type", "lora"]
        words += ["--enable_precomputation", "--precomputation_reuse"]
        words += ["--precomputation_dir", folder]
        return shlex.join(words)


def _latent(clip: Exported, origin: Origin) -> dict[str, Any]:
    import torch

    moments = clip.tensors["video_latents"][None]
    if origin.info.family == "cogvideox":
        return {"latents": moments.transpose(1, 2)}  # frames before channels
    if origin.info.family == "wan":
        mean, deviation = (
            torch.tensor(origin.info.facts[name]) for name in ("latents_mean", "latents_std")
        )
        return {"latents": moments, "latents_mean": mean, "latents_std": 1.0 / deviation}
    frames, height, width = moments.shape[2:]
    return {"latents": moments, "num_frames": frames, "height": height, "width": width}


def _condition(clip: Exported, origin: Origin) -> dict[str, Any]:
    embeds = clip.tensors["prompt_embeds"]
    if origin.info.family == "cogvideox":
        return {"encoder_hidden_states": embeds[None]}
    states, mask = padded(embeds, origin)
    if origin.info.family == "wan":
        return {"encoder_hidden_states": states[None]}
    return {"encoder_hidden_states": states[None], "encoder_attention_mask": mask[None]}


EXPORTER = Finetrainers()
