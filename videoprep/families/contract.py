"""What a model family tells the rest of videoprep. Third parties implement `Family`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.families.model_folder import ModelFolder
from videoprep.families.profile import Profile

if TYPE_CHECKING:
    import torch


class TextEncoder(ABC):
    """Captions to embeddings, on one device in one dtype."""

    @abstractmethod
    def encode(self, captions: Sequence[str]) -> torch.Tensor:
        """Embeddings ``[B, tokens, features]``."""

    @abstractmethod
    def count_tokens(self, caption: str) -> int:
        """How many tokens the caption has before it is cut to the limit."""


class VideoEncoder(ABC):
    """Pixels to posterior moments, on one device in one dtype."""

    @abstractmethod
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unscaled moments ``[B, 2 × C, F', H', W']``, mean first and log variance after.

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


class Family(ABC):
    """One model family: what its data must look like and how it is encoded.

    Attributes:
        name: its name, also that of its profile.
        profile: the sizes and frame counts it accepts.
        text_parts: folders of the model that the text pass reads.
        video_parts: folders of the model that the video pass reads.
        max_tokens: how many tokens of a caption the text encoder takes.
    """

    name: ClassVar[str]
    profile: ClassVar[Profile]
    text_parts: ClassVar[tuple[str, ...]]
    video_parts: ClassVar[tuple[str, ...]]
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
    def text_identity(self, model: ModelFolder) -> Mapping[str, Any]:
        """All that decides a caption's embedding, dtype apart; JSON values."""

    @abstractmethod
    def video_identity(self, model: ModelFolder) -> Mapping[str, Any]:
        """All that decides a clip's moments, dtype apart; JSON values."""

    @abstractmethod
    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        """What a trainer must know to use the latents: scaling, channels, compression."""

    @abstractmethod
    def latent_shape(
        self, model: ModelFolder, frames: int, height: int, width: int
    ) -> tuple[int, int, int, int]:
        """Shape ``(2 × C, F', H', W')`` of the moments of a clip of that many pixels."""

    @abstractmethod
    def embed_shape(self, model: ModelFolder) -> tuple[int, int]:
        """Shape ``(tokens, features)`` of the longest embedding of a caption."""

    @abstractmethod
    def load_token_counter(self, model: ModelFolder) -> Callable[[str], int]:
        """Loads the tokenizer alone, without torch: gives a caption's tokens before it is cut.

        Raises:
            ModelError: there is no tokenizer that can be read.
        """

    @abstractmethod
    def load_text_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, eight_bit: bool
    ) -> TextEncoder:
        """Loads tokenizer and text encoder.

        Args:
            model: where they are.
            device: where the encoder runs.
            dtype: what it computes in.
            eight_bit: whether its weights are held in 8 bits, by bitsandbytes.
        """

    @abstractmethod
    def load_video_encoder(
        self, model: ModelFolder, device: torch.device, dtype: torch.dtype, *, tiling: bool
    ) -> VideoEncoder:
        """Loads the VAE."""
