"""CogVideoX 2b and 5b: `AutoencoderKLCogVideoX` and T5-XXL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.families.contract import Family, TextEncoder, VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.tokenizer import load_token_counter

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKLCogVideoX
    from transformers import PreTrainedTokenizerBase, T5EncoderModel

MAX_TOKENS = 226
"""Captions are padded and cut to this many tokens, as the model was trained."""


class CogVideoXText(TextEncoder):
    """T5, padded to `MAX_TOKENS` without an attention mask, as the pipeline runs it.

    Padding tokens attend and are attended to, so their embeddings are part of the result and
    cannot be left out.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, model: T5EncoderModel) -> None:
        self._tokenizer = tokenizer
        self._model = model

    def encode(self, captions: Sequence[str]) -> torch.Tensor:
        import torch

        tokens = self._tokenizer(
            list(captions),
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            add_special_tokens=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            embeds: torch.Tensor = self._model(tokens.input_ids.to(self._model.device))[0]
        return embeds

    def count_tokens(self, caption: str) -> int:
        return len(self._tokenizer(caption, add_special_tokens=True, verbose=False).input_ids)


class CogVideoXVideo(VideoEncoder):
    """`AutoencoderKLCogVideoX`, its moments unscaled."""

    def __init__(self, vae: AutoencoderKLCogVideoX) -> None:
        self._vae = vae

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            pixels = pixels.to(self._vae.device, self._vae.dtype)
            moments: torch.Tensor = self._vae.encode(pixels).latent_dist.parameters
        return moments

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        self._vae.use_slicing = slicing
        if tiling:
            self._vae.enable_tiling()
        else:
            self._vae.disable_tiling()


class CogVideoX(Family):
    """CogVideoX 2b and 5b, text-to-video and image-to-video."""

    name = "cogvideox"
    profile = Profile("cogvideox", divisor=16, frame_rules=(FrameRule(4, 0), FrameRule(4, 1)))
    text_parts = ("tokenizer", "text_encoder")
    video_parts = ("vae",)
    max_tokens = MAX_TOKENS

    def recognizes(self, model: ModelFolder) -> bool:
        return str(model.index.get("_class_name", "")).startswith("CogVideoX")

    def check(self, model: ModelFolder) -> None:
        for part in ("vae", "text_encoder"):
            model.require(part)
        tokenizer = model.path / "tokenizer"
        if not any((tokenizer / name).is_file() for name in ("spiece.model", "tokenizer.json")):
            raise ModelError(
                "the model folder lacks tokenizer/spiece.model or tokenizer/tokenizer.json",
                where=str(model.path),
                remedy="download the model again",
            )
        _value(model, "text_encoder", "d_model")
        _compression(model)

    def text_identity(self, model: ModelFolder) -> Mapping[str, Any]:
        return {
            "class": "T5EncoderModel",
            "text_encoder": model.identity("text_encoder"),
            "tokenizer": model.files_identity("tokenizer"),
            "max_tokens": MAX_TOKENS,
            "attention_mask": False,
        }

    def video_identity(self, model: ModelFolder) -> Mapping[str, Any]:
        return {"class": "AutoencoderKLCogVideoX", "vae": model.identity("vae")}

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        config = model.config("vae")
        spatial, temporal = _compression(model)
        return {
            "scaling_factor": config["scaling_factor"],
            "invert_scale_latents": config.get("invert_scale_latents", False),
            "latent_channels": config["latent_channels"],
            "spatial_compression": spatial,
            "temporal_compression": temporal,
            "moments": "mean and log variance along channels, unscaled",
            "layout": "C F H W",
        }

    def latent_shape(
        self, model: ModelFolder, frames: int, height: int, width: int
    ) -> tuple[int, int, int, int]:
        spatial, temporal = _compression(model)
        channels = 2 * model.config("vae")["latent_channels"]
        # 4k+1 frames give k+1: the first stands alone. 4k frames give k.
        return channels, -(-frames // temporal), height // spatial, width // spatial

    def embed_shape(self, model: ModelFolder) -> tuple[int, int]:
        return MAX_TOKENS, int(model.config("text_encoder")["d_model"])

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        return load_token_counter(model.path / "tokenizer")

    def load_text_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, eight_bit: bool
    ) -> TextEncoder:
        from transformers import AutoTokenizer, BitsAndBytesConfig, T5EncoderModel

        tokenizer = AutoTokenizer.from_pretrained(str(model.path / "tokenizer"))
        how: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
        if eight_bit:
            how |= {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
            how |= {"device_map": {"": str(device)}}
        encoder = T5EncoderModel.from_pretrained(str(model.path / "text_encoder"), **how)
        if not eight_bit:
            encoder = encoder.to(device)
        return CogVideoXText(tokenizer, encoder.eval())

    def load_video_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, tiling: bool
    ) -> VideoEncoder:
        from diffusers import AutoencoderKLCogVideoX

        vae = AutoencoderKLCogVideoX.from_pretrained(
            str(model.path / "vae"), torch_dtype=dtype, use_safetensors=True
        )
        if tiling:
            vae.enable_tiling()
        return CogVideoXVideo(vae.to(device).eval())


def _compression(model: ModelFolder) -> tuple[int, int]:
    """How many pixels a side, and frames, go into one latent; read from the VAE's config."""
    for key in ("scaling_factor", "latent_channels"):
        _value(model, "vae", key)
    spatial = 2 ** (len(_value(model, "vae", "block_out_channels")) - 1)
    return spatial, int(model.config("vae").get("temporal_compression_ratio", 4))


def _value(model: ModelFolder, part: str, key: str) -> Any:
    """A value of a part's config.

    Raises:
        ModelError: the config lacks it.
    """
    config = model.config(part)
    if key not in config:
        raise ModelError(
            f"the config lacks {key!r}",
            where=str(model.path / part / "config.json"),
            remedy="download the model again",
        )
    return config[key]


FAMILY = CogVideoX()
