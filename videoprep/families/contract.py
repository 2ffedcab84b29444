"""What a model family tells the rest of videoprep. Third parties implement `Family`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from videoprep.errors import ModelError
from videoprep.families.component import Component, ComponentSpec
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

    def encode_for(self, component: Component, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        """Return what is stored of each caption as one component: by default what `encode` gives.

        For a part that makes several components of a caption, such as one for the picture and one
        for the sound.

        Args:
            component: one of those that the part makes, no mask.
            captions: which.
        """
        del component
        return self.encode(captions)

    def mask(self, captions: Sequence[str]) -> Sequence[torch.Tensor]:
        """Return which tokens of what `encode` gives are not padding: uint8 ``[tokens]``, 1 or 0.

        For families that have a component with ``mask``; `encode` keeps the padding then.
        """
        del captions
        raise NotImplementedError(f"{type(self).__name__} gives no masks")

    @abstractmethod
    def count_tokens(self, caption: str) -> int:
        """How many tokens the caption has before it is cut to the limit."""


class SoundEncoder(ABC):
    """Sound to what is stored of it, on one device in one dtype."""

    @abstractmethod
    def encode(self, samples: torch.Tensor) -> torch.Tensor:
        """Return what is stored of sound: ``[B, …]``; of a VAE unscaled moments ``[B, 2 × C, …]``.

        Args:
            samples: float32 ``[B, channels, samples]``, full scale from −1 to 1, in the component's
                `SoundFormat`, on any device.
        """


@dataclass(frozen=True, slots=True)
class ClipContext:
    """What an encoder is told of a clip besides its pixels: what the component's source reads."""

    caption: str | None = None
    """None unless the source reads it."""
    fps: float | None = None
    """Frames a second at which the clip's frames are taken, after resampling. None unless the
    source reads it."""
    mask: torch.Tensor | None = None
    """Float32 ``[F, H, W]`` in 0…1, on the device of the pixels: which part of the clip is
    generated. None if the clip has no mask, or the source does not read it."""
    size: tuple[int, int] | None = None
    """Height and width of the clip, in pixels. None unless the pixels are placed into a picture of
    that size."""


class VideoEncoder(ABC):
    """Pixels to what is stored of them, on one device in one dtype."""

    @abstractmethod
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what is stored of pixels.

        Of a VAE, by the component's `PosteriorForm`: unscaled moments ``[B, 2 × C, F', H', W']``,
        the mean first and the log variance (or what the form says instead) after;
        or latents alone, ``[B, C, F', H', W']``. Of an image encoder: ``[B, tokens, features]``.

        Args:
            pixels: float32 ``[B, 3, F, H, W]``, on any device; in −1…1, unless the component's
                ``pixels`` say otherwise.
        """

    def encode_clips(self, pixels: torch.Tensor, clips: Sequence[ClipContext]) -> torch.Tensor:
        """Return what is stored of clips; the pixels alone decide by default.

        Args:
            pixels: as `encode` takes them.
            clips: what else is known of each.
        """
        del clips
        return self.encode(pixels)

    @abstractmethod
    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        """Sets how the VAE saves memory from now on.

        Args:
            slicing: one clip of a batch after the other; does not change the result.
            tiling: in tiles, which changes the result.
        """


class CaptionedVideoEncoder(VideoEncoder):
    """An encoder of captions that sees frames, too."""

    @abstractmethod
    def encode_clips(self, pixels: torch.Tensor, clips: Sequence[ClipContext]) -> torch.Tensor:
        """Return ``[B, tokens, features]``.

        Args:
            pixels: as `encode` takes them.
            clips: the caption of each, and what else the source reads.
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
        profile: the sizes and frame counts it accepts, and the components of its models.
        parts: folders of the model that encoding reads, if they are there.
        max_tokens: how many tokens of a caption the text encoder takes at most; see `token_limit`.
        fp32_parts: parts that compute in float32, whatever the dtypes that are asked for.
        tiled_parts: parts that work in tiles even if `use_tiling` is off, since the model was
            trained or released so.
        published: the hub id of a folder of this family, whose configs and tokenizers go with
            weights that are single files.
    """

    name: ClassVar[str]
    profile: ClassVar[Profile]
    parts: ClassVar[tuple[str, ...]]
    max_tokens: ClassVar[int]
    fp32_parts: ClassVar[tuple[str, ...]] = ()
    tiled_parts: ClassVar[tuple[str, ...]] = ()
    published: ClassVar[str | None] = None

    @abstractmethod
    def recognizes(self, model: ModelFolder) -> bool:
        """Whether the model folder is of this family."""

    @abstractmethod
    def check(self, model: ModelFolder) -> None:
        """Checks that the folder has all that encoding needs, without loading it.

        Raises:
            ModelError: something is missing.
        """

    def token_limit(self, model: ModelFolder) -> int:
        """Return how many tokens of a caption this model takes: `max_tokens` by default."""
        del model
        return self.max_tokens

    def components(self, model: ModelFolder) -> Sequence[ComponentSpec]:
        """Return the components that this model can make: all of the profile's by default.

        Parts of the model are loaded one after the other, in the order in which they come here
        first, those for captions before the others.
        """
        del model
        return self.profile.components

    def dtype_of(self, part: str, asked: torch.dtype) -> torch.dtype:
        """Return what a part computes in."""
        import torch

        return torch.float32 if part in self.fp32_parts else asked

    def works_in_tiles(self, part: str, *, asked: bool) -> bool:
        """Return whether a part works in tiles."""
        return asked or part in self.tiled_parts

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

        Moments are ``(2 × C, F', H', W')``; of `MODE`, which has no spread, ``(C, F', H', W')``.
        Of a caption: the shape of the longest one. Of sound: ``frames`` is the number of samples,
        and the sides are 0.
        """

    def frame_groups(self, model: ModelFolder, frames: int) -> Sequence[int]:
        """Return how many frames of a clip go into each of its latent frames, from the first on.

        What is made of masks follows from it. By default the profile's frame rules say it: 1, 4, 4
        … of 4k+1 frames. A family whose VAE groups them otherwise says so here.

        Args:
            model: the model's folder.
            frames: how many there are.
        """
        del model
        return self.profile.frame_groups(frames)

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
            moments: unscaled ``[B, 2 × C, F', H', W']``, mean first and log variance after, or what
                else the form of ``video_latents`` is.
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
            part: which text encoder: the ``part`` of a component.
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
            remedy="look at the crops alone with `without_vae`; docs/families.md says what a "
            "family needs for more",
        )

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        """Load what makes a component of frames: the VAE, unless a family has other parts for it.

        Args:
            model: where it is.
            component: one of `components` whose source reads frames. If it reads the caption, too,
                a `CaptionedVideoEncoder` has to be returned.
            device: where the encoder runs.
            dtype: what it computes in.
            tiling: whether a VAE works in tiles.
        """
        del component
        return self.load_video_encoder(model, device, dtype, tiling=tiling)

    def load_sound_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
    ) -> SoundEncoder:
        """Load what makes a component of sound.

        Args:
            model: where it is.
            component: one of `components` whose source is sound.
            device: where the encoder runs.
            dtype: what it computes in.
        """
        raise NotImplementedError(f"{self.name} makes {component.name} of sound, and loads nothing")
