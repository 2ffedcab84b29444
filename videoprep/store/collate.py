"""`collate`: the clips of a batch as one item, of whose tensors nothing is made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from videoprep.errors import VideoprepError

_OTHERS = ("caption", "metadata", "absent")


def collate(clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack the tensors of a batch; for ``collate_fn`` of a ``DataLoader``. Nothing is padded.

    Args:
        clips: items of a `LatentDataset`, such as those of a batch of `BucketBatchSampler`.

    Returns:
        Each component's tensors, ``[batch, …]``; ``caption`` and ``metadata``, lists; and
        ``absent``, the components that none of the clips has.

    Raises:
        VideoprepError: clips lack different components, or tensors of a component differ in shape
            or type. What is to stand for what is missing, only the training knows.
    """
    if not clips:
        raise VideoprepError("there is no clip to collate", remedy="give at least one")
    absent = _absent(clips[0])
    for clip in clips:
        if _absent(clip) != absent:
            raise _mixed(clips[0], clip)
    names = [name for name in clips[0] if name not in _OTHERS]
    batch: dict[str, Any] = {name: _stacked(name, clips) for name in names}
    return {
        **batch,
        "caption": [clip["caption"] for clip in clips],
        "metadata": [clip["metadata"] for clip in clips],
        "absent": absent,
    }


def _absent(clip: Mapping[str, Any]) -> list[str]:
    names: list[str] = clip.get("absent", [])
    return names


def _stacked(name: str, clips: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    tensors = [clip[name] for clip in clips]
    forms = {(tuple(tensor.shape), tensor.dtype) for tensor in tensors}
    if len(forms) > 1:
        told = ", ".join(sorted(f"{list(shape)} {_of(dtype)}" for shape, dtype in forms))
        raise VideoprepError(
            f"{name} of one batch differ: {told}",
            remedy="take the clips of a batch from one bucket with `BucketBatchSampler`; if they "
            "differ all the same, write a collate function that pads them and keeps a mask",
        )
    return torch.stack(tensors)


def _of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _mixed(one: Mapping[str, Any], other: Mapping[str, Any]) -> VideoprepError:
    named = "; ".join(
        f"{clip['metadata']['video']} lacks {', '.join(_absent(clip)) or 'nothing'}"
        for clip in (one, other)
    )
    return VideoprepError(
        f"clips of one batch lack different components: {named}",
        remedy="make the sampler without `mix_absent`, or write a collate function that knows what "
        "stands for what is missing",
    )
