"""A batch is stacked, and nothing in it is made up."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

import videoprep as vp
from videoprep.errors import VideoprepError


def clip(video: str, *absent: str, **tensors: torch.Tensor) -> dict[str, Any]:
    said = {"caption": video, "caption_number": 1, "metadata": {"video": video}}
    return {**tensors, **said, "absent": [*absent]}


def test_stacks_what_all_have() -> None:
    latents = torch.arange(12.0).reshape(2, 2, 3)
    batch = vp.collate([clip("a", video_latents=latents[0]), clip("b", video_latents=latents[1])])
    assert torch.equal(batch["video_latents"], latents)
    assert batch["caption"] == ["a", "b"]
    assert batch["caption_number"] == [1, 1]
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


def test_pads_where_it_is_asked_to() -> None:
    ones, two = torch.ones(3, 4), torch.full((2, 4), 2.0)
    clips = [clip("a", prompt_embeds=ones), clip("b", prompt_embeds=two)]
    with pytest.raises(VideoprepError, match=r"\[2, 4\] float32, \[3, 4\] float32") as raised:
        vp.collate(clips)
    assert "pad={'prompt_embeds': LENGTH}" in str(raised.value.remedy)
    assert "at least 3" in str(raised.value.remedy)
    batch = partial(vp.collate, pad={"prompt_embeds": 5, "sound_latents": 9})(clips)
    assert batch["prompt_embeds"].shape == (2, 5, 4)
    assert torch.equal(batch["prompt_embeds"][1, :2], two)
    assert not batch["prompt_embeds"][1, 2:].any()
    assert batch["prompt_embeds_padding_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]]
    assert "sound_latents_padding_mask" not in batch
    with pytest.raises(VideoprepError, match="is 3 long, which is more than the 2 of `pad`"):
        vp.collate(clips, pad={"prompt_embeds": 2})


def test_other_differences_are_not_padded() -> None:
    clips = [clip("a", video_latents=torch.zeros(2, 3)), clip("b", video_latents=torch.zeros(2, 4))]
    with pytest.raises(VideoprepError) as raised:
        vp.collate(clips)
    assert "from one bucket" in str(raised.value.remedy)
    assert "pad=" not in str(raised.value.remedy)


def test_no_clip_is_no_batch() -> None:
    with pytest.raises(VideoprepError, match="no clip"):
        vp.collate([])
