"""Tiny LTX-2, 2.3 and 2.5 in the layout of the real ones, from the real classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers.processors import TemplateProcessing

from tests.support.tiny_parts import write_index

CHANNELS = 8
"""Channels of a latent of the video VAE; 128 of the real one."""
AUDIO_CHANNELS, MEL_BINS = 2, 16
"""Channels of a latent of the audio VAE and bins of its spectrograms; 8 and 64 of the real one."""
HIDDEN, LAYERS = 32, 3
"""Of the text encoder."""
REGISTERS = 32
"""Learnable registers of a connector; 128 of the real one."""

_TEXT: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 2048,
    "sliding_window": 64,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
_EXAMPLES = "A dog runs along a beach. The camera follows it, and waves are heard nearby."


def build(folder: Path) -> Path:
    """Write an LTX-2: Gemma 3, and one projection of its states; give the folder."""
    return _build(folder, _gemma3, per_modality=False)


def build_ltx23(folder: Path) -> Path:
    """Write an LTX-2.3: Gemma 3, and projections for the picture and the sound; give the folder."""
    return _build(folder, _gemma3, per_modality=True)


def build_ltx25(folder: Path, *, modular: bool = False) -> Path:
    """Write an LTX-2.5: Gemma 4, and projections for the picture and the sound.

    Args:
        folder: where; it is returned.
        modular: whether the folder is that of a modular pipeline.
    """
    return _build(folder, _gemma4, per_modality=True, modular=modular)


def _build(folder: Path, text_encoder: Any, *, per_modality: bool, modular: bool = False) -> Path:
    if any(folder.glob("*model_index.json")):
        return folder
    vocabulary = _tokenizer(folder / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = {
            "vae": _vae(),
            "audio_vae": _audio_vae(),
            "text_encoder": text_encoder(vocabulary),
            "connectors": _connectors(per_modality=per_modality),
        }
    for name, part in parts.items():
        part.eval().save_pretrained(folder / name)
    named = {name: f"{_library(part)}.{type(part).__name__}" for name, part in parts.items()} | {
        "tokenizer": "transformers.GemmaTokenizer"
    }
    return _write_modular(folder, named) if modular else write_index(folder, "LTX2Pipeline", named)


def _library(part: torch.nn.Module) -> str:
    """What the real index names: the connectors' module is among those of the pipeline."""
    if type(part).__name__ == "LTX2TextConnectors":
        return "ltx2"
    return type(part).__module__.partition(".")[0]


def _write_modular(folder: Path, named: Mapping[str, str]) -> Path:
    parts = {
        name: [None, None, {"type_hint": kind.split("."), "subfolder": name}]
        for name, kind in named.items()
    }
    index = {"_class_name": "LTX25ModularPipeline", **parts}
    (folder / "modular_model_index.json").write_text(json.dumps(index))
    return folder


def _vae() -> Any:
    from diffusers import AutoencoderKLLTX2Video

    vae = AutoencoderKLLTX2Video(
        latent_channels=CHANNELS,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )
    vae.latents_mean.copy_(torch.linspace(-1, 1, CHANNELS))
    vae.latents_std.copy_(torch.linspace(0.5, 2, CHANNELS))
    return vae


def _audio_vae() -> Any:
    from diffusers import AutoencoderKLLTX2Audio

    packed = AUDIO_CHANNELS * MEL_BINS // 4  # which is also what the statistics are of
    vae = AutoencoderKLLTX2Audio(
        base_channels=packed,
        ch_mult=(1, 1, 1),
        num_res_blocks=1,
        latent_channels=AUDIO_CHANNELS,
        mel_bins=MEL_BINS,
    )
    vae.latents_mean.copy_(torch.linspace(-2, 2, packed))
    vae.latents_std.copy_(torch.linspace(0.5, 3, packed))
    return vae


def _connectors(*, per_modality: bool) -> Any:
    from diffusers.pipelines.ltx2 import LTX2TextConnectors

    widths = {"video_hidden_dim": 48, "audio_hidden_dim": 16} if per_modality else {}
    video, audio = (48, 16) if per_modality else (HIDDEN, HIDDEN)
    return LTX2TextConnectors(
        caption_channels=HIDDEN,
        text_proj_in_factor=LAYERS + 1,
        video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=video // 2,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=REGISTERS,
        audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=audio // 2,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=REGISTERS,
        per_modality_projections=per_modality,
        proj_bias=per_modality,
        **widths,
    )


def _gemma3(vocabulary: int) -> Any:
    config = transformers.Gemma3Config(
        text_config={**_TEXT, "vocab_size": vocabulary},
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
            "vision_use_head": False,
        },
        mm_tokens_per_image=4,
        boi_token_index=3,
        eoi_token_index=4,
        image_token_index=5,
    )
    return transformers.Gemma3ForConditionalGeneration(config)


def _gemma4(vocabulary: int) -> Any:
    config = transformers.Gemma4UnifiedConfig(
        text_config={
            **_TEXT,
            "vocab_size": vocabulary,
            "global_head_dim": 8,
            "layer_types": [*["sliding_attention"] * (LAYERS - 1), "full_attention"],
        },
        vision_config=None,
        audio_config=None,
        boi_token_id=3,
        eoi_token_id=4,
        image_token_id=5,
        boa_token_id=6,
        eoa_token_index=7,
        audio_token_id=8,
        video_token_id=9,
    )
    return transformers.Gemma4UnifiedForConditionalGeneration(config)


def _tokenizer(folder: Path) -> int:
    """Write Gemma's with letters and bytes alone; give the vocabulary's size."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>"]
    words += [f"<unused{number}>" for number in range(6)]
    words += [f"<0x{byte:02X}>" for byte in range(256)]
    words += sorted({"\u2581", *_EXAMPLES.replace(" ", "")})
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = transformers.GemmaTokenizer(vocab=vocabulary, merges=[], model_max_length=1024)
    begin = [("<bos>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=begin
    )
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def load_pipeline(kind: str, folder: Path) -> Any:
    """Return one of diffusers' pipelines of the model, with a tiny transformer.

    Args:
        kind: its class, such as ``LTX2ImageToVideoPipeline``.
        folder: of the model.
    """
    import diffusers

    parts: dict[str, Any] = {
        "transformer": _transformer(folder),
        "scheduler": diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        "vocoder": None,
    }
    pipeline = getattr(diffusers, kind).from_pretrained(str(folder), **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _transformer(folder: Path) -> Any:
    from diffusers import LTX2VideoTransformer3DModel

    connectors = json.loads((folder / "connectors/config.json").read_text())
    video, audio = (
        connectors[f"{which}_connector_num_attention_heads"]
        * connectors[f"{which}_connector_attention_head_dim"]
        for which in ("video", "audio")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = LTX2VideoTransformer3DModel(
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            num_attention_heads=2,
            attention_head_dim=video // 2,
            cross_attention_dim=video,
            audio_in_channels=AUDIO_CHANNELS * MEL_BINS // 4,
            audio_out_channels=AUDIO_CHANNELS * MEL_BINS // 4,
            audio_num_attention_heads=2,
            audio_attention_head_dim=audio // 2,
            audio_cross_attention_dim=audio,
            num_layers=1,
            caption_channels=HIDDEN,
            use_prompt_embeddings=False,
        )
    return transformer.eval()


class Reached(Exception):  # noqa: N818 (it is no error)
    """The transformer was called."""


def transformer_inputs(pipeline: Any, **arguments: Any) -> Mapping[str, Any]:
    """Return what a pipeline's transformer is given first, without guidance.

    Args:
        pipeline: of `load_pipeline`.
        arguments: of its call.
    """
    given: dict[str, Any] = {}

    def keep(module: torch.nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        del module, args
        given.update(kwargs)
        raise Reached

    handle = pipeline.transformer.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        pipeline(
            guidance_scale=1.0,
            stg_scale=0.0,
            modality_scale=1.0,
            audio_guidance_scale=1.0,
            audio_stg_scale=0.0,
            audio_modality_scale=1.0,
            num_inference_steps=2,
            generator=torch.Generator().manual_seed(0),
            **arguments,
        )
    except Reached:
        return given
    finally:
        handle.remove()
    raise AssertionError("the transformer was not called")
