"""A batch is stacked, and nothing in it is made up."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import videoprep as vp
from videoprep.errors import VideoprepError


def clip(video: str, *absent: str, **tensors: torch.Tensor) -> dict[str, Any]:
    return {**tensors, "caption": video, "metadata": {"video": video}, "absent": [*absent]}


def test_stacks_what_all_have() -> None:
    latents = torch.arange(12.0).reshape(2, 2, 3)
    batch = vp.collate([clip("a", video_latents=latents[0]), clip("b", video_latents=latents[1])])
    assert torch.equal(batch["video_latents"], latents)
    assert batch["caption"] == ["a", "b"]
    assert [row["video"] for row in batch["metadata"]] == ["a", "b"]
    assert batch["absent"] == []


def test_says_what_none_of_them_has() -> None:
    batch = vp.collate([clip("a", "sound_latents"), clip("b", "sound_latents")])
    assert batch["absent"] == ["sound_latents"]


def test_refuses_mixed_batches() -> None:
    both = [clip("a", sound_latents=torch.zeros(2)), clip("b", "sound_latents")]
    with pytest.raises(VideoprepError, match="a lacks nothing; b lacks sound_latents") as raised:
        vp.collate(both)
    assert "mix_absent" in str(raised.value.remedy)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (torch.zeros(3), r"\[2\] float32, \[3\] float32"),
        (torch.zeros(2).half(), r"\[2\] float16, \[2\] float32"),
    ],
)
def test_pads_and_casts_nothing(other: torch.Tensor, told: str) -> None:
    with pytest.raises(VideoprepError, match=f"prompt_embeds of one batch differ: {told}"):
        vp.collate([clip("a", prompt_embeds=torch.zeros(2)), clip("b", prompt_embeds=other)])


def test_no_clip_is_no_batch() -> None:
    with pytest.raises(VideoprepError, match="no clip"):
        vp.collate([])
