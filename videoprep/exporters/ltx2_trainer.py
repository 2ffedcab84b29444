"""LTX-2's own trainer: its precomputed latents of pictures, sound and references, and captions."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml

from videoprep.exporters.contract import ClipExporter, Exported, ListedClip, Origin
from videoprep.exporters.conversion import for_transformer, unscaled
from videoprep.exporters.folder import Folder
from videoprep.exporters.tensor_files import pt_file
from videoprep.families.component import Component
from videoprep.families.ltx2 import FAMILY
from videoprep.fs.atomic import Writer

if TYPE_CHECKING:
    import torch

_FOLDER = ".precomputed"
_CONFIG = "ltx2-trainer.yaml"
_SOUND = "audio_latents"
_FURTHER = ("control", "reference")
"""Kinds of roles whose latents the trainer takes as references."""


class LTX2Trainer(ClipExporter):
    """A dict a clip of each kind of latents, and one of its caption, under the same name."""

    name = "ltx2-trainer"
    families = ("ltx-2",)
    also = None
    apart = True
    posteriors = ("mean",)
    loses = (
        "the spread of the posterior, what is stored of first and last frames, which it takes from "
        "the clips themselves, and masks of what counts in the loss, for which it has no place"
    )

    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        made = {
            f"{_FOLDER}/{folder}": pt_file(partial(_latents, clip, origin, component))
            for folder, component in _folders(origin)
            if component in clip.tensors
        }
        if _SOUND in clip.tensors:
            made[f"{_FOLDER}/{_SOUND}"] = pt_file(partial(_sound, clip, origin))
        made |= {
            f"{_FOLDER}/{folder}": pt_file(partial(_given, clip, component))
            for folder, component in _masks(origin)
            if component in clip.tensors
        }
        return {f"{folder}/{clip.listed.stem}.pt": write for folder, write in made.items()}

    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        name = f"{_FOLDER}/conditions/{clip.listed.stem}.pt"
        return {name: pt_file(partial(_condition, clip, origin))}

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        config = _config(str(folder.path.resolve()), origin)
        folder.write_text(_CONFIG, yaml.safe_dump(config, sort_keys=False))

    def command(self, folder: str, origin: Origin) -> str:
        return shlex.join(["python", "scripts/train.py", f"{folder}/{_CONFIG}"])


def _folders(origin: Origin) -> Iterator[tuple[str, Component]]:
    """Folders of latents of frames: those of the clips, and a folder for each kind of reference."""
    yield "latents", "video_latents"
    yield from ((name, name) for name in _references(origin))


def _references(origin: Origin) -> Iterator[Component]:
    for name in origin.components:
        if origin.info.recipes[name].source.role.kind.name in _FURTHER:
            yield name


def _masks(origin: Origin) -> Iterator[tuple[str, Component]]:
    """Folders of masks that say what is given. ``mask_face`` is a folder of its own."""
    for name in origin.components:
        recipe = origin.info.recipes[name]
        if recipe.source.is_mask and recipe.fields.get("mask_meaning") == "inpaint":
            yield name.replace("mask", "video_masks", 1), name


def _latents(clip: Exported, origin: Origin, component: Component) -> dict[str, Any]:
    stored = clip.tensors[component]
    frames, height, width = stored.shape[1:]
    tokens = _tokens(clip, origin, component)
    return {
        "latents": tokens.reshape(frames, height, width, -1).permute(3, 0, 1, 2).to(stored.dtype),
        "num_frames": frames,
        "height": height,
        "width": width,
        # Of one frame the rate decides nothing; the trainer's own cache has 1 for images.
        "fps": float(clip.metadata["fps"] or 1.0),
    }


def _tokens(clip: Exported, origin: Origin, component: Component) -> torch.Tensor:
    """Standardized; the factor by which latents of clips are scaled is not of references."""
    if component == "video_latents":
        return for_transformer(clip, origin)
    latents = unscaled(clip, origin, component)[None]
    facts = {**origin.info.facts, "posterior": origin.posterior}  # which is the mean already
    return FAMILY.condition_to_transformer(latents, facts)[0]


def _sound(clip: Exported, origin: Origin) -> dict[str, Any]:
    stored = clip.tensors[_SOUND]
    channels, steps, bands = stored.shape
    tokens = FAMILY.audio_to_transformer(stored[None], origin.info.facts)[0]
    return {
        "latents": tokens.reshape(steps, channels, bands).transpose(0, 1).to(stored.dtype),
        "num_time_steps": steps,
        "frequency_bins": bands,
        "duration": clip.listed.bucket.frames / clip.metadata["fps"],
    }


def _given(clip: Exported, component: Component) -> dict[str, Any]:
    """A mask ``[F', h, w]``, 1 where the clip is given: the store has 1 where it is generated."""
    return {"mask": (clip.tensors[component][0] <= 0.5).float()}


def _condition(clip: Exported, origin: Origin) -> dict[str, Any]:
    names = {"video_prompt_embeds": "prompt_embeds", "audio_prompt_embeds": "audio_prompt_embeds"}
    embeds = {
        key: _left_padded(clip.tensors[name], origin)
        for key, name in names.items()
        if name in clip.tensors
    }
    return {**embeds, "prompt_attention_mask": _mask(len(clip.tensors["prompt_embeds"]), origin)}


def _left_padded(embeds: torch.Tensor, origin: Origin) -> torch.Tensor:
    import torch

    missing = origin.info.facts["prompt_tokens"] - len(embeds)
    padded: torch.Tensor = torch.nn.functional.pad(embeds, (0, 0, missing, 0))
    return padded


def _mask(tokens: int, origin: Origin) -> torch.Tensor:
    import torch

    limit = origin.info.facts["prompt_tokens"]
    mask: torch.Tensor = (torch.arange(limit) >= limit - tokens).long()
    return mask


def _config(folder: str, origin: Origin) -> dict[str, Any]:
    """What its trainer asks for; all else is its own default."""
    conditions = [{"type": "reference", "latents_dir": name} for name in _references(origin)]
    conditions += [{"type": "mask", "mask_dir": name} for name, _ in _masks(origin)]
    video = {"is_generated": True, "latents_dir": "latents", "conditions": conditions}
    sound = {"is_generated": True, "latents_dir": _SOUND, "conditions": []}
    return {
        "model": {
            "model_path": "PATH/TO/LTX-2-CHECKPOINT.safetensors",
            "text_encoder_path": "PATH/TO/GEMMA",
            "training_mode": "lora",
        },
        "lora": {"rank": 32, "alpha": 32, "target_modules": ["to_k", "to_q", "to_v", "to_out.0"]},
        "training_strategy": {
            "name": "flexible",
            "video": video,
            **({"audio": sound} if _has_sound(origin) else {}),
        },
        # Batches hold clips of one size: with several buckets, one clip at a time.
        "optimization": {"steps": 2000, "batch_size": 1, "learning_rate": 1e-4},
        "acceleration": {"mixed_precision_mode": "bf16"},
        "data": {"preprocessed_data_root": f"{folder}/{_FOLDER}"},
        "validation": {"interval": None},
        "output_dir": "outputs/ltx2_lora",
    }


def _has_sound(origin: Origin) -> bool:
    """Whether any clip has; the trainer leaves out those that have none if it trains on sound."""
    return _SOUND in origin.components and any(_SOUND not in name for name in origin.groups)


EXPORTER = LTX2Trainer()
