"""`collate`: the clips of a batch as one item, of whose tensors nothing is made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from videoprep.errors import VideoprepError


def collate(
    clips: Sequence[Mapping[str, Any]], *, pad: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Stack the tensors of a batch; for ``collate_fn`` of a ``DataLoader``.

    Nothing is padded unasked. A ``DataLoader`` pads with
    ``collate_fn=functools.partial(videoprep.collate, pad={component: length})``.

    Args:
        clips: items of a `LatentDataset`, such as those of a batch of `BucketBatchSampler`.
        pad: by component the length of the first dimension, such as tokens, up to which each
            clip's tensor is padded with zeros. Components that the clips lack are passed over.

    Returns:
        Each component's tensors, ``[batch, …]``; of each padded one also ``NAME_padding_mask``,
        bool ``[batch, length]``, True where there is no padding; lists of what else the clips
        have, such as ``caption``, ``caption_number`` and ``metadata``; and ``absent``, the
        components that none of the clips has.

    Raises:
        VideoprepError: clips lack different components, tensors of a component differ in shape
            or type, or one is longer than it is to be padded to. What is to stand for what is
            missing, only the training knows.
    """
    if not clips:
        raise VideoprepError("there is no clip to collate", remedy="give at least one")
    absent = _absent(clips[0])
    for clip in clips:
        if _absent(clip) != absent:
            raise _mixed(clips[0], clip)
    batch: dict[str, Any] = {}
    for name, value in clips[0].items():
        if not torch.is_tensor(value):
            batch[name] = [clip[name] for clip in clips]
        elif pad is not None and name in pad:
            padded, batch[f"{name}_padding_mask"] = _padded(name, clips, pad[name])
            batch[name] = _stacked(name, padded)
        else:
            batch[name] = _stacked(name, clips)
    return {**batch, "absent": absent}


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
            remedy=_remedy(name, tensors),
        )
    return torch.stack(tensors)


def _remedy(name: str, tensors: Sequence[torch.Tensor]) -> str:
    """What to do about tensors that differ."""
    if len({(tensor.shape[1:], tensor.dtype) for tensor in tensors}) > 1:
        return (
            "take the clips of a batch from one bucket with `BucketBatchSampler`; if they differ "
            "all the same, write a collate function that makes them alike"
        )
    longest = max(map(len, tensors))
    return (
        "they are as long as their captions: pad them, and keep a mask, with "
        f"`collate_fn=functools.partial(videoprep.collate, pad={{{name!r}: LENGTH}})`; LENGTH is "
        f"at least {longest} here, best the limit of the text encoder, which is "
        f"`data.info.recipes[{name!r}].fields['max_tokens']`"
    )


def _padded(
    name: str, clips: Sequence[Mapping[str, Any]], length: int
) -> tuple[Sequence[Mapping[str, torch.Tensor]], torch.Tensor]:
    """Return the tensors with zeros up to a length, and which part of each is no padding."""
    tensors = [clip[name] for clip in clips]
    longest = max(map(len, tensors))
    if longest > length:
        raise VideoprepError(
            f"{name} of a clip is {longest} long, which is more than the {length} of `pad`",
            remedy=f"give at least {longest}",
            option="pad",
        )
    padded = [
        torch.cat([tensor, tensor.new_zeros(length - len(tensor), *tensor.shape[1:])])
        for tensor in tensors
    ]
    lengths = torch.tensor([len(tensor) for tensor in tensors])
    return [{name: tensor} for tensor in padded], torch.arange(length) < lengths[:, None]


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
