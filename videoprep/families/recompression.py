"""Pictures that are compressed before they are encoded, as pictures to go on from often are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from videoprep.families.component import MINUS_ONE_TO_ONE, PixelScale

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class RecompressedPixels(PixelScale):
    """Pixels from −1 to 1, of pictures that have gone through H.264 one by one.

    LTX-2 was trained to go on from pictures like that, so that its pipelines compress those that
    they are given. It is done by diffusers' own function, which needs PyAV with libx264.
    """

    mean: tuple[float, float, float] = MINUS_ONE_TO_ONE.mean
    deviation: tuple[float, float, float] = MINUS_ONE_TO_ONE.deviation
    crf: int = 0
    """The quality, as x264 numbers it: 0 leaves pictures alone, more is worse."""
    from_bytes: bool = False
    """Whether values from 0 to 255 are divided by 127.5, and not those from 0 to 1 doubled, which
    differs in the last bit."""

    def scale(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return what `PixelScale.scale` gives of the compressed pictures.

        Args:
            pixels: float32 ``[B, 3, F, H, W]`` in 0…1, of values that 8 bits have.
        """
        import torch

        shown = (pixels * 255.0).round().to("cpu", torch.uint8).permute(0, 2, 3, 4, 1)
        pictures = [self._compressed(picture) for picture in shown.flatten(0, 1)]
        values = torch.stack(pictures).view(shown.shape).permute(0, 4, 1, 2, 3)
        values = values.to(pixels.device, torch.float32)
        if self.from_bytes:
            return values / 127.5 - 1.0
        return MINUS_ONE_TO_ONE.scale(values / 255.0)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """See `PixelScale.recipe`."""
        last_bit = {"pixels_divided_by": 127.5} if self.from_bytes else {}
        return {"image_crf": self.crf, **last_bit}

    def _compressed(self, picture: torch.Tensor) -> torch.Tensor:
        """One picture, uint8 ``[H, W, 3]``."""
        import torch
        from diffusers.pipelines.ltx2.utils import apply_image_conditioning_crf

        return torch.from_numpy(apply_image_conditioning_crf(picture.numpy(), self.crf))
