"""LTX-2, 2.3 and 2.5: the picture and its sound, Gemma's states after the projection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.errors import ModelError
from videoprep.families.component import (
    CAPTION,
    CONTROL_LATENTS,
    IMAGE_LATENTS,
    LAST_IMAGE_LATENTS,
    REFERENCE_LATENTS,
    SOUND,
    VIDEO_LATENTS,
    Component,
    ComponentSpec,
    SoundFormat,
    prompt_embeds,
)
from videoprep.families.contract import SoundEncoder, TextEncoder
from videoprep.families.diffusers_family import DiffusersFamily
from videoprep.families.ltx_video import STATISTICS
from videoprep.families.mel import MelSpectrogram
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import (
    buffers_of,
    count_of,
    factor_of,
    list_of,
    load_encoder,
    load_tokenizer,
    value_of,
)
from videoprep.families.moments import mode
from videoprep.families.profile import FrameRule, Profile
from videoprep.families.recompression import RecompressedPixels
from videoprep.families.vae import decode_clean

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 1024
"""Captions are padded on the left and cut to this many tokens."""

_PIPELINES = (
    "LTX2Pipeline",
    "LTX2ImageToVideoPipeline",
    "LTX2ConditionPipeline",
    "LTX2InContextPipeline",
    "LTX2HDRPipeline",
    "LTX2DFRPipeline",
    "LTX2DFRTemporalRefinePipeline",
    "LTX2ModularPipeline",
    "LTX25ModularPipeline",
)
_TEXT_ENCODERS: Mapping[str, int] = {
    "Gemma3ForConditionalGeneration": 33,
    "Gemma4UnifiedForConditionalGeneration": 18,
}
"""Classes of the text encoder, and how much images are compressed in pipelines that have it."""

# What the encoders put together, whatever their configs say: four of each along both axes.
_AUDIO_COMPRESSION = 4
_WINDOW = 1024

_AUDIO_PROMPT_EMBEDS = ComponentSpec(
    name="audio_prompt_embeds", source=CAPTION, part="text_encoder", shape=(MAX_TOKENS, 2048)
)
AUDIO_LATENTS = ComponentSpec(
    name="audio_latents",
    source=SOUND,
    part="audio_vae",
    sound=SoundFormat(16_000, 2),
    shape=(8, 126, 16),
)
"""The mean of the posterior, ``[C, L, M]``: L in time, and M bands of frequencies."""


class GemmaText(TextEncoder):
    """All of Gemma's hidden states, projected as the connectors do before their transformers.

    Padding is left out of the result: the transformers replace it by what they have learnt.

    Args:
        tokenizer: the model's own.
        model: Gemma.
        connectors: the ``LTX2TextConnectors``.
    """

    limit = MAX_TOKENS

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, connectors: Any
    ) -> None:
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self._tokenizer, self._model = tokenizer, model
        self._connectors = _projection_of(connectors)

    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        """Return what the picture goes by."""
        return [self._projected(caption)[0] for caption in captions]

    def encode_for(self, component: Component, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        which = int(component == _AUDIO_PROMPT_EMBEDS.name)
        return [self._projected(caption)[which] for caption in captions]

    def count_tokens(self, caption: str) -> int:
        return len(self._tokenizer(caption.strip(), verbose=False).input_ids)

    def _projected(self, caption: str) -> tuple[torch.Tensor, torch.Tensor]:
        """What the picture and the sound go by, ``[tokens, features]`` each.

        One caption at a time: the states of 1024 tokens are 385 MB in bfloat16. The padding is a
        part of the sums by which LTX-2 standardizes states, so that it is left out only after.
        """
        import torch

        tokens = self._tokenizer(
            [caption.strip()],
            padding="max_length",
            max_length=MAX_TOKENS,
            truncation=True,
            add_special_tokens=True,
            return_tensors="pt",
        ).to(self._model.device)
        mask = tokens.attention_mask
        with torch.inference_mode():
            states = self._model(
                input_ids=tokens.input_ids,
                attention_mask=mask,
                output_hidden_states=True,
                logits_to_keep=1,  # which nobody reads
            ).hidden_states
            stacked = torch.stack(states, dim=-1).flatten(2, 3).to(self._connectors.dtype)
            picture, sound, _ = self._connectors(stacked, mask, padding_side="left")
        kept = mask[0].bool()
        return picture[0][kept], sound[0][kept]


def _projection_of(connectors: Any) -> Any:
    """Connectors without their transformers, so that they give what these take."""
    import torch

    class Untouched(torch.nn.Module):
        def forward(
            self, states: torch.Tensor, mask: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return states, torch.zeros_like(mask)

    connectors.video_connector = Untouched()
    connectors.audio_connector = Untouched()
    return connectors


class MelAudio(SoundEncoder):
    """The mean that the audio VAE gives of the logarithm of a mel spectrogram.

    Args:
        vae: an ``AutoencoderKLLTX2Audio``.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        config = vae.config
        self._mel = MelSpectrogram(
            config.sample_rate, _WINDOW, config.mel_hop_length, config.mel_bins
        )

    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        """Return ``[B, C, L, M]``, with L as the pipelines have it for so many samples."""
        import torch

        count = samples.shape[-1]
        samples = samples.to(self._vae.device, torch.float32)
        samples = torch.nn.functional.pad(samples, (0, max(0, _WINDOW - count)))
        with torch.inference_mode():
            mel = torch.log(torch.clamp(self._mel.of(samples), min=1e-5))
            latents: torch.Tensor = self._vae.encode(mel.to(self._vae.dtype)).latent_dist.mode()
        return latents[:, :, : _audio_length(count, self._mel.sample_rate, self._mel.hop)]


def _audio_length(samples: int, sample_rate: int, hop: int) -> int:
    """How many latents the pipelines have of a clip with so many samples.

    In their order, which decides halves: 153 frames at 30 a second last 5.1 s and have 127, since
    5.1 × 25 is a little below 127.5 in floating point.
    """
    seconds = samples / sample_rate
    return max(1, round(seconds * (sample_rate / hop / float(_AUDIO_COMPRESSION))))


class LTX2(DiffusersFamily):
    """LTX-2, 2.3 and 2.5: text, images, keyframes and references to video with sound."""

    name = "ltx-2"
    profile = Profile(
        "ltx-2",
        divisor=32,
        frame_rules=(FrameRule(8, 1),),
        compression=32,
        patch=1,
        latent_channels=128,
        components=(
            prompt_embeds(MAX_TOKENS, 4096),
            _AUDIO_PROMPT_EMBEDS,
            VIDEO_LATENTS,
            AUDIO_LATENTS,
            replace(IMAGE_LATENTS, asked_by=("image_latents", "last_frame")),
            LAST_IMAGE_LATENTS,
            CONTROL_LATENTS,
            REFERENCE_LATENTS,
        ),
        fps=24,
        num_frames=121,
        models="LTX-2, 2.3, 2.5",
        prominence=2,
        stills=True,
        caption_style=(
            "One flowing paragraph in the order of time, literal and precise: the type of shot, "
            "what is seen and what it does, how the camera moves, and then what is heard as far as "
            "it is stated: speech in quotation marks, music and sounds of the surroundings."
        ),
    )
    parts = ("tokenizer", "text_encoder", "connectors", "vae", "audio_vae")
    fp32_parts = ("audio_vae",)
    max_tokens = MAX_TOKENS
    vae_class = "AutoencoderKLLTX2Video"
    tokenizer_files: ClassVar[Mapping[str, tuple[str, ...]]] = {"tokenizer": ("tokenizer.json",)}
    text_classes: ClassVar[Mapping[str, str]] = {"text_encoder": next(iter(_TEXT_ENCODERS))}
    posterior = "mode"

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") in _PIPELINES

    def check(self, model: ModelFolder) -> None:
        for part in ("connectors", "audio_vae"):
            model.require(part)
        self.require_class(model, "connectors", "LTX2TextConnectors")
        self.require_class(model, "audio_vae", "AutoencoderKLLTX2Audio")
        super().check(model)
        _require_match(model)

    def text_class(self, model: ModelFolder, part: str) -> str:
        named = model.class_of(part)
        known = named is not None and named in _TEXT_ENCODERS
        return str(named) if known else super().text_class(model, part)

    def components(self, model: ModelFolder) -> Sequence[ComponentSpec]:
        crf = _TEXT_ENCODERS[self.text_class(model, "text_encoder")]
        rate = count_of(model, "audio_vae", "sample_rate")
        own: Mapping[str, Mapping[str, Any]] = {
            AUDIO_LATENTS.name: {"sound": SoundFormat(rate, 2)},
            IMAGE_LATENTS.name: {"pixels": RecompressedPixels(crf=crf)},
            LAST_IMAGE_LATENTS.name: {"pixels": RecompressedPixels(crf=crf, from_bytes=True)},
        }
        return [
            replace(spec, **own.get(spec.name, {}))
            for spec in self.profile.components
            if spec is not _AUDIO_PROMPT_EMBEDS or _projects_apart(model)
        ]

    def text_settings(self, part: str) -> Mapping[str, Any]:
        del part
        return {
            "max_tokens": MAX_TOKENS,
            "attention_mask": True,
            "padding": "left out",
            "padding_side": "left",
            "hidden_states": "all",
        }

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        spec = self.component(model, component)
        if spec.source.sound:
            return {
                "class": "AutoencoderKLLTX2Audio",
                spec.part: model.identity(spec.part),
                "mel": {"n_fft": _WINDOW, "scale": "slaney", "power": 1, "log_from": 1e-5},
            }
        found = super().identity(model, component)
        if spec.source is not CAPTION:
            return found
        return {**found, "connectors": model.identity("connectors")}

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        channels = count_of(model, "audio_vae", "latent_channels")
        bands = count_of(model, "audio_vae", "mel_bins") // _AUDIO_COMPRESSION
        audio = buffers_of(model, "audio_vae", STATISTICS, channels * bands)
        return {
            **super().facts(model),
            "prompt_tokens": MAX_TOKENS,
            "prompt_padding_side": "left",
            "image_crf": _TEXT_ENCODERS[self.text_class(model, "text_encoder")],
            "text_encoder": self.text_class(model, "text_encoder"),
            **{f"audio_{name}": values for name, values in audio.items()},
            "audio_layout": "C L M",
            "audio_sample_rate": count_of(model, "audio_vae", "sample_rate"),
            "audio_hop_length": count_of(model, "audio_vae", "mel_hop_length"),
            "audio_temporal_compression": _AUDIO_COMPRESSION,
        }

    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        statistics = buffers_of(model, "vae", STATISTICS, self.channels(model))
        return {"scaling_factor": factor_of(model, "vae", "scaling_factor"), **statistics}

    def compression(self, model: ModelFolder) -> tuple[int, int]:
        scaling = value_of(model, "vae", "spatio_temporal_scaling")
        kinds = [str(kind) for kind in list_of(model, "vae", "downsample_type")]
        switches = scaling if isinstance(scaling, list) else [bool(scaling)] * len(kinds)
        done = [kind for kind, switch in zip(kinds, switches, strict=False) if switch]
        spatial, temporal = (
            # Which configs name, and may leave to follow from the layers.
            count_of(model, "vae", f"{which}_compression_ratio")
            if model.config("vae").get(f"{which}_compression_ratio")
            else count_of(model, "vae", patch) * 2 ** sum(which in kind for kind in done)
            for which, patch in (("spatial", "patch_size"), ("temporal", "patch_size_t"))
        )
        return spatial, temporal

    def shape(
        self, model: ModelFolder, component: Component, frames: int, height: int, width: int
    ) -> tuple[int, ...]:
        if not self.component(model, component).source.sound:
            return super().shape(model, component, frames, height, width)
        rate, hop = (count_of(model, "audio_vae", key) for key in ("sample_rate", "mel_hop_length"))
        bands = count_of(model, "audio_vae", "mel_bins") // _AUDIO_COMPRESSION
        return (
            count_of(model, "audio_vae", "latent_channels"),
            _audio_length(frames, rate, hop),
            bands,
        )

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        if not _projects_apart(model):
            return MAX_TOKENS, count_of(model, "connectors", "caption_channels")
        which = "audio" if component == _AUDIO_PROMPT_EMBEDS.name else "video"
        return MAX_TOKENS, count_of(model, "connectors", f"{which}_hidden_dim")

    def decode(self, vae: Any, latents: torch.Tensor) -> torch.Tensor:
        return decode_clean(vae, latents)

    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Standardized and scaled tokens ``[B, F' × H' × W', C]``; the mean, nothing is drawn."""
        del generator
        return _tokens_of(mode(moments, facts), facts, factor=facts["scaling_factor"])

    def condition_to_transformer(
        self, moments: torch.Tensor, facts: Mapping[str, Any]
    ) -> torch.Tensor:
        """Return tokens of an image, a keyframe or a reference: not scaled by the VAE's factor.

        Args:
            moments: as stored, ``[B, 2 × C, F', H', W']``.
            facts: the store's.
        """
        return _tokens_of(mode(moments, facts), facts, factor=1.0)

    def audio_to_transformer(self, latents: torch.Tensor, facts: Mapping[str, Any]) -> torch.Tensor:
        """Return tokens of sound, ``[B, L, C × M]``: packed first, and standardized then.

        Args:
            latents: as stored, ``[B, C, L, M]``.
            facts: the store's.
        """
        import torch

        mean, deviation = (torch.tensor(facts[f"audio_{name}"]) for name in STATISTICS)
        packed = latents.float().transpose(1, 2).flatten(2, 3)
        tokens: torch.Tensor = (packed - mean.to(packed)) / deviation.to(packed)
        return tokens

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        count = super().load_token_counter(model)
        return lambda caption: count(caption.strip())

    def load_text_encoder(
        self,
        model: ModelFolder,
        part: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eight_bit: bool,
    ) -> TextEncoder:
        from diffusers.pipelines.ltx2 import LTX2TextConnectors

        kind = self.text_class(model, part)
        encoder = load_encoder(kind, model, part, device, dtype, eight_bit=eight_bit)
        connectors: Any = LTX2TextConnectors.from_pretrained(
            str(model.path / "connectors"), torch_dtype=dtype, use_safetensors=True
        )
        tokenizer = load_tokenizer(model, self.tokenizers[part])
        return GemmaText(tokenizer, encoder, connectors.to(device).eval())

    def load_sound_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SoundEncoder:
        from diffusers import AutoencoderKLLTX2Audio

        vae: Any = AutoencoderKLLTX2Audio.from_pretrained(
            str(model.path / component.part), torch_dtype=dtype, use_safetensors=True
        )
        return MelAudio(vae.to(device).eval())


def _tokens_of(latents: torch.Tensor, facts: Mapping[str, Any], *, factor: float) -> torch.Tensor:
    import torch

    mean, deviation = (torch.tensor(facts[name]).view(1, -1, 1, 1, 1) for name in STATISTICS)
    # In the order of the pipelines, which decides the last bit.
    scaled: torch.Tensor = (latents - mean.to(latents)) * factor / deviation.to(latents)
    return scaled.permute(0, 2, 3, 4, 1).flatten(1, 3)


def _projects_apart(model: ModelFolder) -> bool:
    """Whether the picture and the sound have projections of their own: LTX-2.3 and 2.5."""
    return bool(model.config("connectors").get("per_modality_projections"))


def _require_match(model: ModelFolder) -> None:
    """The connectors have to be made for the text encoder, which decides how wide states are.

    Raises:
        ModelError: they are not: the folder is half of another version.
    """
    text = value_of(model, "text_encoder", "text_config")
    states = text.get("hidden_size"), text.get("num_hidden_layers", -1) + 1
    taken = tuple(
        count_of(model, "connectors", key) for key in ("caption_channels", "text_proj_in_factor")
    )
    if states != taken:
        raise ModelError(
            f"its text encoder has {states[1]} states of {states[0]} features, and its connectors "
            f"take {taken[1]} of {taken[0]}",
            where=str(model.path / "connectors/config.json"),
            remedy="use the text encoder and the connectors of one version; those of LTX-2, 2.3 "
            "and 2.5 cannot be exchanged",
        )


FAMILY = LTX2()
