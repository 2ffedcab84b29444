"""Wan Animate: what the store holds comes to what diffusers' own pipeline hands over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_wan
from tests.support.assets import write_video
from tests.support.family_pages import run_page
from tests.support.fidelity import padded
from tests.support.masks import squares, write_mask, write_still
from tests.support.stopped_pipeline import handed_over, pictures
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import family_of
from videoprep.families.wan_animate import FAMILY
from videoprep.index.clip import Clip
from videoprep.media.clip import load_clip, normalize
from videoprep.spec.roles import Role

OPTIONS: dict[str, Any] = {"reshape": "center-crop", "height_buckets": 64, "width_buckets": 96}
SIZES = {"tall": (80, 48), "wide": (32, 128), "same": (64, 96)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder = tiny_wan.build_wan_animate(tmp_path_factory.mktemp("animate") / "model")
    return ModelFolder(folder, "animate")


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    from diffusers import UniPCMultistepScheduler, WanAnimatePipeline
    from transformers import AutoTokenizer, CLIPImageProcessor, CLIPVisionModel, UMT5EncoderModel

    folder = model.path
    made = WanAnimatePipeline(
        tokenizer=AutoTokenizer.from_pretrained(str(folder / "tokenizer")),
        text_encoder=UMT5EncoderModel.from_pretrained(str(folder / "text_encoder")).eval(),
        image_encoder=CLIPVisionModel.from_pretrained(str(folder / "image_encoder")).eval(),
        image_processor=CLIPImageProcessor.from_pretrained(str(folder / "image_processor")),
        vae=fidelity.load_vae(FAMILY, model),
        scheduler=UniPCMultistepScheduler(),
        transformer=tiny_wan.animate_transformer(),
    )
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def store(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips, each with a pose and a reference of another shape; one with a background."""
    root = tmp_path_factory.mktemp("animated")
    for name, lift in {"a": 40, "pose": 55, "background": 66}.items():
        write_video(root / f"data/{name}.mp4", frames=9, width=96, height=64, fps=30, lift=lift)
    write_mask(root / "data/mask.mkv", squares(9, 96, 64, step=3), 30)
    random = np.random.default_rng(0)
    for name, (height, width) in SIZES.items():
        shown = random.integers(0, 256, (height, width, 3), np.uint8)
        write_still(root / f"data/{name}.png", shown)
    (root / "data/list.csv").write_text(
        "video,caption,control_pose,control_background,mask,reference\n"
        "a.mp4,tall,pose.mp4,background.mp4,mask.mkv,tall.png\n"
        "a.mp4,wide,pose.mp4,,,wide.png\n"
        "a.mp4,same,pose.mp4,,,same.png\n"
    )
    result = vp.encode(
        root / "data", model=model.path, output=root / "store", device="cpu", progress="none",
        dtype="fp32", image_latents=True, mask_meaning="inpaint", **OPTIONS,
    )  # fmt: skip
    assert result is not None
    assert result.ok
    return root / "store"


def _shown(clip: Clip, role: str) -> Any:
    planned = clip.pixels_of(Role(role))
    return None if planned is None else pictures(load_clip(planned))


@pytest.mark.parametrize("caption", SIZES)
def test_a_store(caption: str, model: ModelFolder, pipeline: Any, store: Path) -> None:
    """Pose, character, its CLIP embeddings; of one clip the background and its mask, too."""
    assert family_of(model) is FAMILY
    assert vp.verify(store).ok
    page = run_page("families/wan-animate.md", store.parent)
    (item,) = (one for one in iter(vp.LatentDataset(store)) if one["caption"] == caption)
    clips = vp.BucketIndex.load(store / "index.parquet").clips()
    (clip,) = (one for one in clips if one.caption == caption)
    replaced = caption == "tall"
    background = {
        "mode": "replace",
        "background_video": _shown(clip, "control:background"),
        "mask_video": _shown(clip, "mask"),
    }
    given = handed_over(
        pipeline,
        image=_shown(clip, "reference")[0],
        pose_video=_shown(clip, "control:pose"),
        face_video=_shown(clip, "control:pose"),
        prompt=caption,
        height=64,
        width=96,
        segment_frame_length=9,
        guidance_scale=1.0,
        **(background if replaced else {}),
    )
    pose = page["standardized"](item["control_pose_latents"])
    assert torch.equal(pose, given["pose_hidden_states"])
    embeds = item["reference_image_embeds"][None]
    assert torch.equal(embeds, given["encoder_hidden_states_image"])
    assert torch.equal(padded([item["prompt_embeds"]], 512), given["encoder_hidden_states"])
    theirs = given["hidden_states"][:, 4:]  # behind the noise
    if replaced:
        assert torch.equal(page["replaced"](item), theirs)
    else:
        assert torch.equal(page["character"](item), theirs[:, :, :1])


def test_a_segment_that_goes_on_equals_the_pipelines(pipeline: Any, store: Path) -> None:
    """With the last frame of the segment before, which is the first of this one."""
    page = run_page("families/wan-animate.md", store.parent)
    item = vp.LatentDataset(store)[0]
    clip = next(iter(vp.BucketIndex.load(store / "index.parquet").clips()))
    frames = normalize(load_clip(clip.pixels)).permute(1, 0, 2, 3)[None]
    with torch.no_grad():
        theirs = pipeline.prepare_prev_segment_cond_latents(
            frames[:, :, :1], segment_frame_length=9, start_frame=8, height=64, width=96,
            dtype=torch.float32, device="cpu",
        )  # fmt: skip
    assert torch.equal(page["continued"](item)[:, :, 1:], theirs)


def test_shapes_are_as_the_family_says(model: ModelFolder, store: Path) -> None:
    data = vp.LatentDataset(store)
    (item,) = (one for one in iter(data) if one["caption"] == "tall")
    assert tuple(item["animate_mask"].shape) == FAMILY.shape(model, "animate_mask", 9, 64, 96)
    assert set(item["animate_mask"].unique().tolist()) == {0.0, 1.0}
    assert data.info.facts["training_fps"] == 30
