"""What diffusers' pipelines hand to their transformers: they are stopped there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image


class _StoppedError(Exception):
    """The transformer was called."""


def handed_over(pipeline: Any, /, **given: Any) -> dict[str, Any]:
    """Return the keyword arguments of the first call of a pipeline's transformer.

    Args:
        pipeline: one whose transformer is of the real class.
        given: to the pipeline.
    """
    found: dict[str, Any] = {}

    def stop(module: object, args: object, kwargs: dict[str, Any]) -> None:
        del module, args
        found.update(kwargs)
        raise _StoppedError

    handle = pipeline.transformer.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        pipeline(**given, num_inference_steps=1, output_type="latent")
    except _StoppedError:
        pass
    finally:
        handle.remove()
    return found


def pictures(frames: torch.Tensor) -> list[Image.Image]:
    """Return frames as pipelines take them.

    Args:
        frames: uint8 ``[F, 3, H, W]``.
    """
    shown = frames.permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(np.ascontiguousarray(one)) for one in shown]
