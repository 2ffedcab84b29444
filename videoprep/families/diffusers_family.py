"""What the families of diffusers' pipelines have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.errors import ModelError
from videoprep.families.component import Component, ComponentSpec
from videoprep.families.contract import Family, VideoDecoder, VideoEncoder
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_parts import count_of
from videoprep.families.moments import MOMENTS
from videoprep.families.tokenizer import is_byte_tokenizer, load_token_counter
from videoprep.families.vae import load_vae, load_vae_decoder

if TYPE_CHECKING:
    import torch

_DOWNLOAD = "download the model again"


class DiffusersFamily(Family):
    """A family whose model folder has a VAE, text encoders and their tokenizers.

    Attributes:
        vae_class: diffusers' class of the VAE.
        vae_keeps_state: see `Vae`.
        tokenizers: for each text encoder the folder of its tokenizer.
        tokenizer_files: for each of these folders files of which one has to be there, unless it is
            a tokenizer of bytes, which has no vocabulary.
        text_classes: for each text encoder transformers' class of it.
        posterior: ``sample`` or ``mode``: how training takes latents from their moments.
    """

    vae_class: ClassVar[str]
    vae_keeps_state: ClassVar[bool] = False
    tokenizers: ClassVar[Mapping[str, str]] = {"text_encoder": "tokenizer"}
    tokenizer_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "tokenizer": ("tokenizer.json", "spiece.model")
    }
    text_classes: ClassVar[Mapping[str, str]]
    posterior: ClassVar[str]

    def check(self, model: ModelFolder) -> None:
        for part in dict.fromkeys(one.part for one in self.components(model)):
            model.require(part)
        for part, names in self.tokenizer_files.items():
            folder = model.path / part
            if is_byte_tokenizer(folder):
                continue
            if not any((folder / name).is_file() for name in names):
                raise ModelError(
                    f"the model folder lacks {part}/{f' or {part}/'.join(names)}",
                    where=str(model.path),
                    remedy=_DOWNLOAD,
                )
        for part in self.text_classes:
            self.require_class(model, part, self.text_class(model, part))
        self.require_class(model, "vae", self.vae_class)
        self._require_own_vae(model)
        self.facts(model)
        self._require_frame_rules(model)
        for one in self.components(model):  # whose shape is read from the configs
            self.shape(model, one.name, self.profile.frames_within(9) or 1, 64, 64)

    def _require_own_vae(self, model: ModelFolder) -> None:
        """The index may name this family's VAE where the folder has another's."""
        kind = model.config("vae").get("_class_name")
        if kind not in (None, self.vae_class):
            raise ModelError(
                f"its vae is a {kind} by its own config, and {self.vae_class} by the index",
                where=str(model.path / "vae/config.json"),
                remedy="put the VAE of this model into the folder, or download the model again",
            )

    def _require_frame_rules(self, model: ModelFolder) -> None:
        """The profile says what the VAE makes of frames; a VAE of other factors makes other."""
        _, temporal = self.compression(model)
        for rule in self.profile.frame_rules:
            if -(-rule.step // temporal) != rule.latent_step:
                raise ModelError(
                    f"its VAE puts {temporal} frames into a latent frame; {rule.step} are "
                    f"{rule.latent_step} in the family {self.name!r}",
                    where=str(model.path / "vae/config.json"),
                    remedy="use a model folder of this family; docs/families.md says how to add a "
                    "family",
                )

    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        spec = self.component(model, component)
        part = spec.part
        if spec.posterior is not None:
            return {"class": self.vae_class, part: model.identity(part)}
        if spec.mask:  # the tokenizer alone decides it
            tokenizer = model.files_identity(self.tokenizers[part])
            return {"tokenizer": tokenizer, **self.text_settings(part)}
        return {
            "class": self.text_class(model, part),
            part: model.identity(part),
            "tokenizer": model.files_identity(self.tokenizers[part]),
            **self.text_settings(part),
        }

    def text_class(self, model: ModelFolder, part: str) -> str:
        """Return transformers' class of a text encoder: that of `text_classes` by default."""
        del model
        return self.text_classes[part]

    def component(self, model: ModelFolder, name: Component) -> ComponentSpec:
        """Return the component of a name."""
        return next(one for one in self.components(model) if one.name == name)

    def _masked(self, model: ModelFolder, mask: ComponentSpec) -> ComponentSpec:
        """The component whose tokens a mask is of."""
        specs = self.components(model)
        return next(one for one in specs if one.is_masked_by(mask))

    @abstractmethod
    def text_settings(self, part: str) -> Mapping[str, Any]:
        """How captions are given to a text encoder: all that decides what comes out."""

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        spatial, temporal = self.compression(model)
        return {
            **self.scales(model),
            "latent_channels": self.channels(model),
            "spatial_compression": spatial,
            "temporal_compression": temporal,
            "moments": (self.profile.whole_clips.posterior or MOMENTS).says,
            "layout": "C F H W",
            "training_posterior": self.posterior,
            "training_fps": self.profile.fps,
        }

    @abstractmethod
    def scales(self, model: ModelFolder) -> Mapping[str, Any]:
        """What latents are scaled and shifted by; from the VAE's config or weights."""

    @abstractmethod
    def compression(self, model: ModelFolder) -> tuple[int, int]:
        """How many pixels a side, and frames, go into one latent; from the VAE's config."""

    def channels(self, model: ModelFolder) -> int:
        """Channels of a latent; from the VAE's config."""
        return count_of(model, "vae", "latent_channels")

    def shape(
        self, model: ModelFolder, component: Component, frames: int, height: int, width: int
    ) -> tuple[int, ...]:
        spec = self.component(model, component)
        form = spec.posterior
        if spec.mask:
            return self.shape(model, self._masked(model, spec).name, frames, height, width)[:1]
        if form is None:
            return self.embeds_shape(model, component)
        spatial, _ = self.compression(model)
        latent_frames = self.profile.latent_frames(frames)
        channels = form.tensors * self.channels(model)
        return channels, latent_frames, height // spatial, width // spatial

    def embeds_shape(self, model: ModelFolder, component: Component) -> tuple[int, ...]:
        """Shape of the longest of a component's embeddings; from the encoder's config."""
        del component
        return self.token_limit(model), count_of(model, "text_encoder", "d_model")

    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        return load_token_counter(model.path / self.tokenizers["text_encoder"])

    def load_video_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, tiling: bool
    ) -> VideoEncoder:
        return load_vae(
            self.vae_class, model, device, dtype, tiling=tiling, keeps_state=self.vae_keeps_state
        )

    def load_video_decoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype
    ) -> VideoDecoder:
        model.require("vae")
        self.require_class(model, "vae", self.vae_class)
        return load_vae_decoder(
            self.vae_class,
            model,
            device,
            dtype,
            self.decode,
            pixels=self.profile.whole_clips.pixels,
            tiling=self.works_in_tiles("vae", asked=False),
        )

    def decode(self, vae: Any, latents: torch.Tensor) -> torch.Tensor:
        """What the VAE makes of unscaled latents ``[B, C, F', H', W']``: ``[B, 3, F, H, W]``."""
        decoded: torch.Tensor = vae.decode(latents).sample
        return decoded

    @staticmethod
    def require_class(model: ModelFolder, part: str, expected: str) -> None:
        """Checks a part's class: it may be another family's, or a newer one's.

        Raises:
            ModelError: it is.
        """
        kind = model.class_of(part)
        if kind is not None and kind != expected:
            raise ModelError(
                f"its {part} is a {kind}, and not {expected}, which this family encodes with",
                where=str(model.path / model.index_name),
                remedy="use a model folder of this family, or upgrade videoprep; docs/families.md "
                "says how to add a family",
            )
