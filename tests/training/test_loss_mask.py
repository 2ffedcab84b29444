"""A mask weighs the loss: what is black gets no gradient, however the clip ends in a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support.assets import write_video
from tests.support.masks import squares, write_mask
from tests.training.models import build
from tests.training.test_objective import FACTS, batch
from videoprep.errors import TrainError
from videoprep.families.model_folder import ModelFolder
from videoprep.store.recipe import Recipe
from videoprep.training.batches import Collate
from videoprep.training.cogvideox import Objective, load_objective
from videoprep.training.loss_mask import choose_loss_mask, mean_of_clips


class Guess(torch.nn.Module):
    """In the place of the transformer: a number of its own for each value that is predicted."""

    def __init__(self) -> None:
        super().__init__()
        self.values: torch.nn.Parameter | None = None

    def forward(self, **given: Any) -> tuple[torch.Tensor]:
        if self.values is None:
            self.values = torch.nn.Parameter(torch.zeros_like(given["hidden_states"][:, :, :16]))
        return (self.values,)


def loss_of(objective: Objective, **more: torch.Tensor) -> tuple[float, torch.Tensor]:
    """The loss, and the gradient of each value that is predicted: ``[B, F, C, H, W]``."""
    guess = Guess()
    timesteps = torch.tensor([400, 400])
    loss = objective.loss(guess, batch(3, **more), torch.Generator().manual_seed(1), timesteps)
    loss.backward()
    assert guess.values is not None
    assert guess.values.grad is not None
    return loss.item(), guess.values.grad


def half() -> torch.Tensor:
    """``[2, 1, 3, 8, 12]``: of the first clip a corner of the last frame, of the second all."""
    mask = torch.ones(2, 1, 3, 8, 12)
    mask[0] = 0
    mask[0, :, 2, :4, :6] = 1
    return mask


@pytest.mark.parametrize("form", ["5b", "1.5"])
def test_what_is_black_gets_no_gradient(form: str, tiny_model: Path, tmp_path: Path) -> None:
    model = ModelFolder(build(tiny_model, tmp_path / "model", form), "tiny")
    objective = load_objective(model, FACTS, loss_mask="mask")
    plain, all_gradients = loss_of(objective)
    assert plain == loss_of(load_objective(model, FACTS), mask=half())[0]  # which it is not told of
    masked, gradients = loss_of(objective, mask=half())
    frames = gradients.shape[1]  # 1.5 begins an odd number with a copy
    white = half().permute(0, 2, 1, 3, 4)[:, [0] * (frames - 3) + [0, 1, 2]].expand_as(gradients)
    assert not gradients[white == 0].any()
    assert (gradients[white == 1] != 0).all()
    # The clip counts as much as before: its few values have as much more weight.
    errors = (all_gradients * all_gradients[0].numel()) ** 2  # of a mean square, up to a factor
    by_hand = (errors[0][white[0] == 1].mean() + errors[1].mean()) / errors.flatten(1).mean(1).sum()
    assert masked / plain == pytest.approx(by_hand.item(), rel=1e-4)


def test_a_clip_that_is_all_black_teaches_nothing(tiny_model: Path) -> None:
    objective = load_objective(ModelFolder(tiny_model, "tiny"), FACTS, loss_mask="mask")
    loss, gradients = loss_of(objective, mask=torch.zeros(2, 1, 3, 8, 12))
    assert loss == 0
    assert not gradients.any()


def test_greys_count_in_part() -> None:
    errors = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1, 1)
    weights = torch.tensor([0.25, 0.75]).view(1, 2, 1, 1, 1)
    assert mean_of_clips(errors, weights).tolist() == [1.75]
    assert mean_of_clips(errors, None).tolist() == [1.5]


def test_a_clip_without_a_mask_is_white() -> None:
    def item(**tensors: torch.Tensor) -> dict[str, Any]:
        return {"video_latents": torch.zeros(2), "metadata": {"video": "a.mp4"}, **tensors}

    masked, plain = item(mask=torch.tensor([0.0, 0.5])), item(control=torch.ones(1))
    made = Collate("mask")([masked, plain]).tensors
    assert made["mask"].tolist() == [[0, 0.5], [1, 1]]
    assert made.keys() == {"video_latents", "mask"}
    assert Collate("mask")([plain]).tensors.keys() == {"video_latents", "control"}
    assert Collate()([masked, plain]).tensors.keys() == {"video_latents"}


def recipes(**meanings: str) -> dict[str, Recipe]:
    made = {"video_latents": Recipe("video_latents", {"tiling": False})}
    for name, meaning in meanings.items():
        role = name.replace("_", ":")
        fields = {"source": "mask", "role": role, "mask_meaning": meaning}
        made[name] = Recipe(name, fields)
    return made


def test_which_mask_is_taken() -> None:
    assert choose_loss_mask(recipes(), None, "store") is None
    assert choose_loss_mask(recipes(mask_face="loss"), None, "store") == "mask_face"
    two = recipes(mask="loss", mask_face="loss")
    assert choose_loss_mask(two, None, "store") == "mask"
    assert choose_loss_mask(two, "mask_face", "store") == "mask_face"
    assert choose_loss_mask(two, "none", "store") is None
    with pytest.raises(TrainError, match="mask_face, mask_hand"):
        choose_loss_mask(recipes(mask_face="loss", mask_hand="loss"), None, "store")
    with pytest.raises(TrainError, match="'mask_fac' are not in the store"):
        choose_loss_mask(two, "mask_fac", "store")


def test_inpainting_masks_do_not_weigh(caplog: pytest.LogCaptureFixture) -> None:
    assert choose_loss_mask(recipes(mask="inpaint"), None, "store") is None
    assert "mask: for inpainting" in caplog.text
    with pytest.raises(TrainError, match="for inpainting"):
        choose_loss_mask(recipes(mask="inpaint"), "mask", "store")


def test_training_takes_the_stores_masks(tiny_model: Path, tmp_path: Path) -> None:
    """One clip of two has a mask; a run goes on only with masks of the same recipe."""
    data, store = tmp_path / "data", tmp_path / "store"
    for seed, name in enumerate("ab"):
        write_video(data / f"{name}.mp4", frames=9, width=96, height=64, lift=40 + seed)
    write_mask(data / "m.mkv", squares(9, 96, 64), 8)
    (data / "list.csv").write_text("video,caption,mask\na.mp4,one,m.mkv\nb.mp4,two,\n")
    vp.encode(data, model=tiny_model, output=store, reshape="resize", dtype="fp32")

    def trained(name: str, **options: Any) -> Any:
        return vp.train(
            store, model=tiny_model, output=tmp_path / name, batch_size=1, rank=4, device="cpu",
            **{"steps": 2, **options},
        )  # fmt: skip

    masked, plain = trained("masked"), trained("plain", loss_mask="none")
    assert masked.loss_before != plain.loss_before
    vp.encode(
        data, model=tiny_model, output=store, reshape="resize", dtype="fp32", invert_masks=True
    )
    with pytest.raises(TrainError, match="loss_mask"):
        trained("masked", resume=True, steps=3)
    trained("plain", loss_mask="none", resume=True, steps=3)
    with pytest.raises(TrainError, match="encode a store"):
        vp.train(
            data, model=tiny_model, output=tmp_path / "videos", from_videos=True, steps=1,
            device="cpu",
        )  # fmt: skip
