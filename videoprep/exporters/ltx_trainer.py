"""LTX-Video-Trainer: its precomputed latents and conditions."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import yaml

from videoprep.exporters.contract import ClipExporter, Exported, ListedClip, Origin
from videoprep.exporters.conversion import for_transformer, padded
from videoprep.exporters.folder import Folder
from videoprep.exporters.tensor_files import pt_file
from videoprep.fs.atomic import Writer

_FOLDER = ".precomputed"
_CONFIG = "ltx-trainer.yaml"


class LTXTrainer(ClipExporter):
    """A dict a clip of packed tokens, and one of its caption, under the same name."""

    name = "ltx-trainer"
    families = ("ltx-video",)
    posteriors = ("sample", "mean")
    loses = (
        "the posterior (one sample or the mean is left), and what is stored of first frames, "
        "which it takes from the clips themselves"
    )

    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        name = f"{_FOLDER}/latents/{clip.listed.stem}.pt"
        return {name: pt_file(partial(_latent, clip, origin))}

    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        name = f"{_FOLDER}/conditions/{clip.listed.stem}.pt"
        return {name: pt_file(partial(_condition, clip, origin))}

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        config = _config(str(folder.path.resolve()), origin)
        folder.write_text(_CONFIG, yaml.safe_dump(config, sort_keys=False))

    def command(self, folder: str, origin: Origin) -> str:
        return shlex.join(["python", "scripts/train.py", f"{folder}/{_CONFIG}"])


def _latent(clip: Exported, origin: Origin) -> dict[str, Any]:
    moments = clip.tensors["video_latents"]
    frames, height, width = moments.shape[1:]
    return {
        "latents": for_transformer(clip, origin).to(moments.dtype),
        "num_frames": frames,
        "height": height,
        "width": width,
        # Of one frame the rate decides nothing, and the trainer wants a number.
        "fps": clip.metadata["fps"] or origin.info.facts["training_fps"],
    }


def _condition(clip: Exported, origin: Origin) -> dict[str, Any]:
    embeds, mask = padded(clip.tensors["prompt_embeds"], origin)
    return {"prompt_embeds": embeds, "prompt_attention_mask": mask}


def _config(folder: str, origin: Origin) -> dict[str, Any]:
    """What its trainer asks for; all else is its own default."""
    bucket = origin.buckets[0]
    return {
        "model": {"model_source": origin.info.model, "training_mode": "lora"},
        "lora": {"rank": 32, "alpha": 32, "target_modules": ["to_k", "to_q", "to_v", "to_out.0"]},
        # Batches hold clips of one size: with several buckets, one clip at a time.
        "optimization": {"steps": 1500, "batch_size": 1, "learning_rate": 2e-4},
        "acceleration": {"mixed_precision_mode": "bf16"},
        "data": {"preprocessed_data_root": folder},
        "validation": {
            "prompts": [],
            "video_dims": [bucket.width, bucket.height, bucket.frames],
            "interval": None,
        },
        "output_dir": "outputs/ltxv_lora",
    }


EXPORTER = LTXTrainer()
