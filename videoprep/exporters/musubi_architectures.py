"""What musubi-tuner calls the families, and what it keeps of a clip of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videoprep.exporters.contract import Exported, Origin
from videoprep.exporters.conversion import for_transformer, padded, unscaled
from videoprep.families.component import Component

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]

# How many frames of Wan's mask go into one of the latents.
_MASKS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MusubiArchitecture:
    """One family as musubi-tuner stores and trains it."""

    short: str
    """Its name in the names of files."""
    long: str
    """Its name in their metadata."""
    script: str
    """The script that trains it, without ``_train_network.py``."""
    network: str
    """The module of its LoRA."""
    latents: Callable[[Exported, Origin], Tensors]
    """Makes what the first file of a clip holds."""
    texts: Callable[[Exported, Origin], Tensors]
    """Makes what the second file of a clip holds."""
    task: Callable[[Origin], str | None] = lambda origin: None
    """Returns the value of ``--task``; None if the script has no such option."""
    needs: tuple[Component, ...] = ()
    """Components that it needs besides ``video_latents`` and ``prompt_embeds``."""
    also: tuple[Component, ...] = ()
    """Components that are written where the store has them."""
    more: tuple[str, ...] = ()
    """Further options of the script, with placeholders."""


def _sized(name: str, tensor: torch.Tensor) -> str:
    """A key with the sizes after the channels, and the type."""
    return f"{name}_{'x'.join(map(str, tensor.shape[1:]))}_{_dtype(tensor)}"


def _typed(name: str, tensor: torch.Tensor) -> str:
    return f"{name}_{_dtype(tensor)}"


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _named(**tensors: torch.Tensor) -> dict[str, torch.Tensor]:
    """Latents under keys that tell their sizes and type."""
    return {_sized(name, tensor): tensor for name, tensor in tensors.items()}


def _wan_latents(clip: Exported, origin: Origin) -> Tensors:
    stored = clip.tensors["video_latents"]
    named = _named(latents=for_transformer(clip, origin).to(stored.dtype))
    if "condition_latents" in clip.tensors:
        named |= _named(latents_image=_wan_condition(clip, origin))
    if "control_latents" in clip.tensors:
        control = for_transformer(clip, origin, "control_latents")
        named |= _named(latents_control=control.to(stored.dtype))
    if "image_embeds" in clip.tensors:
        embeds = clip.tensors["image_embeds"]
        named[_typed("clip", embeds)] = embeds
    return named


def _wan_condition(clip: Exported, origin: Origin) -> torch.Tensor:
    """A mask that tells the first frame, and its latents: ``[4 + C, F', H', W']``."""
    import torch

    latents = for_transformer(clip, origin, "condition_latents")
    mask = torch.zeros(_MASKS, *latents.shape[1:])
    mask[:, 0] = 1
    return torch.cat([mask, latents]).to(clip.tensors["condition_latents"].dtype)


def _wan_texts(clip: Exported, origin: Origin) -> Tensors:
    del origin
    embeds = clip.tensors["prompt_embeds"]
    return {_typed("varlen_t5", embeds): embeds}


def _wan_task(origin: Origin) -> str:
    kind = "i2v" if "condition_latents" in origin.components else "t2v"
    control = "-FC" if "control_latents" in origin.components else ""
    return f"{kind}-14B{control}"


def _hunyuan_latents(clip: Exported, origin: Origin) -> Tensors:
    """Unscaled, as the trainer scales them itself."""
    stored = clip.tensors["video_latents"]
    return _named(latents=unscaled(clip, origin).to(stored.dtype))


def _hunyuan_texts(clip: Exported, origin: Origin) -> Tensors:
    pooled = clip.tensors["pooled_embeds"]
    states, mask = padded(clip.tensors["prompt_embeds"], origin)
    return {
        _typed("llm", states): states,
        "llm_mask": mask.long(),
        _typed("clipL", pooled): pooled,
    }


def _hunyuan15_latents(clip: Exported, origin: Origin) -> Tensors:
    """Unscaled; the first frame's latents, then zeros, and a channel that tells which they are."""
    import torch

    stored = clip.tensors["video_latents"]
    latents = unscaled(clip, origin)
    named = _named(latents=latents.to(stored.dtype))
    if "image_latents" in clip.tensors:
        condition = torch.zeros(latents.shape[0] + 1, *latents.shape[1:])
        condition[:-1, :1] = unscaled(clip, origin, "image_latents")
        condition[-1, 0] = 1
        named |= _named(latents_image=condition.to(stored.dtype))
    if "image_embeds" in clip.tensors:
        embeds = clip.tensors["image_embeds"]
        named[_typed("siglip", embeds)] = embeds
    return named


def _hunyuan15_texts(clip: Exported, origin: Origin) -> Tensors:
    del origin
    embeds, glyphs = clip.tensors["prompt_embeds"], clip.tensors["glyph_embeds"]
    return {
        _typed("varlen_vl_embed", embeds): embeds,
        _typed("varlen_byt5_embed", glyphs): glyphs,
    }


def _hunyuan15_task(origin: Origin) -> str:
    return "i2v" if "image_latents" in origin.components else "t2v"


def _kandinsky5_latents(clip: Exported, origin: Origin) -> Tensors:
    """Scaled; and the first and the last latent frame of the clip, for image-to-video."""
    import torch

    stored = clip.tensors["video_latents"]
    latents = (unscaled(clip, origin) * origin.info.facts["scaling_factor"]).to(stored.dtype)
    ends = torch.cat([latents[:, :1], latents[:, -1:]], dim=1)
    return _named(latents=latents, latents_image=ends)


def _kandinsky5_texts(clip: Exported, origin: Origin) -> Tensors:
    import torch

    del origin
    embeds, pooled = clip.tensors["prompt_embeds"], clip.tensors["pooled_embeds"]
    return {
        _typed("text_embeds", embeds): embeds,
        _typed("pooled_embed", pooled): pooled,
        "attention_mask": torch.ones(len(embeds), dtype=torch.bool),
    }


def _kandinsky5_task(origin: Origin) -> str:
    kind = "i2v" if "image_latents" in origin.components else "t2v"
    return f"k5-pro-{kind}-5s-sd"


ARCHITECTURES: Mapping[str, MusubiArchitecture] = {
    "wan": MusubiArchitecture(
        short="wan",
        long="wan",
        script="wan",
        network="networks.lora_wan",
        latents=_wan_latents,
        texts=_wan_texts,
        task=_wan_task,
        also=("condition_latents", "control_latents", "image_embeds"),
    ),
    "hunyuan-video": MusubiArchitecture(
        short="hv",
        long="hunyuan_video",
        script="hv",
        network="networks.lora",
        latents=_hunyuan_latents,
        texts=_hunyuan_texts,
        needs=("pooled_embeds",),
    ),
    "hunyuan-video-1.5": MusubiArchitecture(
        short="hv15",
        long="hunyuan_video_1_5",
        script="hv_1_5",
        network="networks.lora_hv_1_5",
        latents=_hunyuan15_latents,
        texts=_hunyuan15_texts,
        task=_hunyuan15_task,
        also=("image_latents", "image_embeds"),
        needs=("glyph_embeds",),
        more=("--text_encoder", "QWEN.safetensors", "--byt5", "BYT5.safetensors"),
    ),
    "kandinsky5": MusubiArchitecture(
        short="k5",
        long="kandinsky5",
        script="kandinsky5",
        network="networks.lora_kandinsky",
        latents=_kandinsky5_latents,
        texts=_kandinsky5_texts,
        task=_kandinsky5_task,
        also=("image_latents",),
        needs=("pooled_embeds",),
        more=(
            "--text_encoder_qwen",
            "Qwen/Qwen2.5-VL-7B-Instruct",
            "--text_encoder_clip",
            "openai/clip-vit-large-patch14",
        ),
    ),
}
"""By family."""
