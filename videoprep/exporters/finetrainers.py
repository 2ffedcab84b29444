"""finetrainers: its precomputed files, for ``--enable_precomputation --precomputation_reuse``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from videoprep.durable import Writer
from videoprep.exporters.contract import Exported, Exporter
from videoprep.exporters.folder import Folder
from videoprep.exporters.pt_file import saving
from videoprep.families.registry import families
from videoprep.index.bucket import Bucket
from videoprep.store.layout import StoreInfo

_FOLDER = "finetrainers-precomputed-data"
_MODEL_NAMES = {"cogvideox": "cogvideox", "wan": "wan", "ltx-video": "ltx_video"}


class Finetrainers(Exporter):
    """Two dicts a clip, numbered without gaps, with a batch dimension of one."""

    name = "finetrainers"
    families = tuple(_MODEL_NAMES)
    needs_moments = True

    def files(self, clip: Exported, info: StoreInfo) -> Mapping[str, Writer]:
        return {
            f"{_FOLDER}/latent-{clip.number}.pt": saving(_latent(clip, info)),
            f"{_FOLDER}/condition-{clip.number}.pt": saving(_condition(clip, info)),
        }

    def finish(self, clips: Iterable[tuple[str, str]], folder: Folder, info: StoreInfo) -> None:
        """Nothing more: its reader counts the files."""

    def command(self, folder: str, info: StoreInfo, buckets: Sequence[Bucket]) -> str:
        del buckets
        words = ["torchrun", "--standalone", "--nproc_per_node", "1", "train.py"]
        words += ["--model_name", _MODEL_NAMES[info.family]]
        words += ["--pretrained_model_name_or_path", info.model, "--training_type", "lora"]
        words += ["--enable_precomputation", "--precomputation_reuse"]
        words += ["--precomputation_dir", folder]
        return shlex.join(words)


def _latent(clip: Exported, info: StoreInfo) -> dict[str, Any]:
    import torch

    moments = clip.tensors["video_latents"][None]
    if info.family == "cogvideox":
        return {"latents": moments.transpose(1, 2)}  # frames before channels
    if info.family == "wan":
        mean, deviation = (
            torch.tensor(info.facts[name]) for name in ("latents_mean", "latents_std")
        )
        return {"latents": moments, "latents_mean": mean, "latents_std": 1.0 / deviation}
    frames, height, width = moments.shape[2:]
    return {"latents": moments, "num_frames": frames, "height": height, "width": width}


def _condition(clip: Exported, info: StoreInfo) -> dict[str, Any]:
    import torch

    embeds = clip.tensors["prompt_embeds"]
    if info.family == "cogvideox":
        return {"encoder_hidden_states": embeds[None]}
    limit = families()[info.family].max_tokens
    padded = torch.nn.functional.pad(embeds, (0, 0, 0, limit - len(embeds)))[None]
    if info.family == "wan":
        return {"encoder_hidden_states": padded}
    mask = (torch.arange(limit) < len(embeds))[None]
    return {"encoder_hidden_states": padded, "encoder_attention_mask": mask}


EXPORTER = Finetrainers()
