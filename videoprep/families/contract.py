"""What a model family tells the rest of videoprep. Third parties implement `Family`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.errors import ModelError
from videoprep.families.component import Component
from videoprep.families.model_folder import ModelFolder
from videoprep.families.profile import Profile

if TYPE_CHECKING:
    import torch


class TextEncoder(ABC):
    """Captions to embeddings, on one device in one dtype.

    Attributes:
        limit: how many tokens of a caption it takes; the rest is cut off.
    """

    limit: int

    @abstractmethod
    def encode(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        """What is stored of each caption.

        ``prompt_embeds`` are ``[tokens, features]``: padded to the limit where the transformer
        sees the padding, and without it where it is masked. ``pooled_embeds`` are ``[features]``.
        """

    @abstractmethod
    def count_tokens(self, caption: str) -> int:
        """How many tokens the caption has before it is cut to the limit."""


class VideoEncoder(ABC):
    """Pixels to what is stored of them, on one device in one dtype."""

    @abstractmethod
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Of a VAE: unscaled moments ``[B, 2 × C, F', H', W']``, mean first, log variance after.

        Of an image encoder: ``[B, tokens, features]``.

        Args:
            pixels: float32 ``[B, 3, F, H, W]`` in −1…1, on any device.
        """

    @abstractmethod
    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """Sets how the VAE saves memory from now on.

        Args:
            slicing: one clip of a batch after the other; does not change the result.
            tiling: in tiles, which changes the result.
        """


class VideoDecoder(ABC):
    """Stored latents back to pixels, on one device in one dtype."""

    @abstractmethod
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Float32 ``[B, 3, F, H, W]``, −1…1 where they are finite, on the decoder's device.

        F is that of the clip, or differs from it where the VAE gives other lengths back: then the
        last frames of both belong together.

        Args:
            latents: unscaled ``[B, C, F', H', W']``, as stored; on any device, of any dtype.
        """

    @abstractmethod
    def save_memory(self, *, tiling: bool) -> None:
        """Sets whether the VAE works in tiles from now on, which changes the result a little."""


class Family(ABC):
    """One model family: what its data must look like and how it is encoded.

    Attributes:
        name: its name, also that of its profile.
        profile: the sizes and frame counts it accepts.
        parts: folders of the model that encoding reads, if they are there.
        max_tokens: how many tokens of a caption the text encoder takes.
    """

    name: ClassVar[str]
    profile: ClassVar[Profile]
    parts: ClassVar[tuple[str, ...]]
    max_tokens: ClassVar[int]

    @abstractmethod
    def recognizes(self, model: ModelFolder) -> bool:
        """Whether the model folder is of this family."""

    @abstractmethod
    def check(self, model: ModelFolder) -> None:
        """Checks that the folder has all that encoding needs, without loading it.

        Raises:
            ModelError: something is missing.
        """

    @abstractmethod
    def encoders(self, model: ModelFolder) -> Mapping[Component, str]:
        """The components that this model can make, and the part of it that makes each.

        Those of clips and captions are always made; those of first frames where image-to-video is
        asked for. Parts are worked with one after the other, in the order in which they come here
        first, those for captions before the others.
        """

    @abstractmethod
    def identity(self, model: ModelFolder, component: Component) -> Mapping[str, Any]:
        """All that decides an artifact besides what it is made from and the dtype; JSON values."""

    @abstractmethod
    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        """What a trainer must know to use the latents: scaling, channels, compression."""

    @abstractmethod
    def shape(
        self, model: ModelFolder, component: Component, frames: int, height: int, width: int
    ) -> tuple[int, ...]:
        """Shape of what the encoder gives of a clip of that many frames and pixels.

        Moments are ``(2 × C, F', H', W')``. Of a caption: the shape of the longest one.
        """

    @abstractmethod
    def to_transformer(
        self,
        moments: torch.Tensor,
        facts: Mapping[str, Any],
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Video latents as the transformer takes them, from stored moments.

        First frames go other ways in some families: their page says which.

        Args:
            moments: unscaled ``[B, 2 × C, F', H', W']``, mean first and log variance after.
            facts: what `facts` said when they were stored.
            generator: draws from the posterior, where the family's training draws.
        """

    @abstractmethod
    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        """Loads the tokenizer alone, without torch: gives a caption's tokens before it is cut.

        Raises:
            ModelError: there is no tokenizer that can be read.
        """

    @abstractmethod
    def load_text_encoder(
        self,
        model: ModelFolder,
        part: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eight_bit: bool,
    ) -> TextEncoder:
        """Loads a text encoder and its tokenizer.

        Args:
            model: where they are.
            part: which text encoder, see `encoders`.
            device: where the encoder runs.
            dtype: what it computes in.
            eight_bit: whether its weights are held in 8 bits, by bitsandbytes.
        """

    @abstractmethod
    def load_video_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, tiling: bool
    ) -> VideoEncoder:
        """Loads the VAE."""

    def load_video_decoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype
    ) -> VideoDecoder:
        """Loads the VAE for the way back; only `videoprep preview` needs it.

        Raises:
            ModelError: the family has no way back, or the folder no VAE.
        """
        raise ModelError(
            f"the family {self.name!r} decodes no latents",
            where=str(model.path),
            remedy="look at the crops alone with --without-vae; docs/families.md says what a "
            "family needs for more",
        )

    def load_image_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype
    ) -> VideoEncoder:
        """Loads what makes ``image_embeds``; only families that have them need it."""
        raise NotImplementedError(f"{self.name} makes no image_embeds of {model.path}")
