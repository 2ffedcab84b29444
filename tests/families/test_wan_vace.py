"""Wan VACE: what the store holds comes to what diffusers' own pipeline hands to the transformer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_wan
from tests.support.assets import write_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CPU, padded, pixels
from tests.support.masks import squares, write_mask, write_still
from tests.support.mixed_dataset import OPTIONS as MIXED
from tests.support.mixed_dataset import write_mixed_dataset
from tests.support.stopped_pipeline import handed_over, pictures
from videoprep.engine.device_stream import device_stream
from videoprep.errors import ModelError
from videoprep.families.contract import ClipContext
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of
from videoprep.families.vae import Vae
from videoprep.families.wan_vace import FAMILY
from videoprep.index.clip import Clip
from videoprep.index.summary import summarize
from videoprep.media.clip import MaskReading, load_clip
from videoprep.spec.roles import Role

OPTIONS: dict[str, Any] = {"reshape": "center-crop", "height_buckets": 64, "width_buckets": 96}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    folder = tiny_wan.build_wan_vace(tmp_path_factory.mktemp("vace") / "model")
    return ModelFolder(folder, "vace")


@pytest.fixture(scope="module")
def pipeline(model: ModelFolder) -> Any:
    from diffusers import UniPCMultistepScheduler, WanVACEPipeline
    from transformers import AutoTokenizer, UMT5EncoderModel

    made = WanVACEPipeline(
        tokenizer=AutoTokenizer.from_pretrained(str(model.path / "tokenizer")),
        text_encoder=UMT5EncoderModel.from_pretrained(str(model.path / "text_encoder")).eval(),
        vae=fidelity.load_vae(FAMILY, model),
        scheduler=UniPCMultistepScheduler(),
        transformer=tiny_wan.vace_transformer(),
    )
    made.set_progress_bar_config(disable=True)
    return made


def write_data(folder: Path) -> Path:
    """Four clips: two controls, a mask, one or two references of other shapes, each somewhere."""
    write_video(folder / "a.mp4", frames=9, width=96, height=64, fps=16, lift=40)
    write_video(folder / "depth.mp4", frames=9, width=96, height=64, fps=16, lift=55)
    write_video(folder / "pose.mp4", frames=9, width=48, height=32, fps=16, lift=66)
    write_mask(folder / "mask.mkv", squares(9, 96, 64, step=3), 16)
    random = np.random.default_rng(0)
    for name, (height, width) in {"tall": (80, 48), "wide": (32, 128), "same": (64, 96)}.items():
        write_still(folder / f"{name}.png", random.integers(0, 256, (height, width, 3), np.uint8))
    (folder / "list.csv").write_text(
        "video,caption,control,control_pose,mask,reference_0,reference_1\n"
        "a.mp4,one,depth.mp4,,mask.mkv,tall.png,wide.png\n"
        "a.mp4,two,depth.mp4,,,same.png,\n"
        "a.mp4,three,,pose.mp4,mask.mkv,,\n"
        "a.mp4,four,,,,,\n"
    )
    return folder


def encoded(data: Path, model: ModelFolder, store: Path, **options: Any) -> vp.EncodeResult:
    given = {"dtype": "fp32", "mask_meaning": "inpaint", **OPTIONS, **options}
    result = vp.encode(data, model=model.path, output=store, device="cpu", progress="none", **given)
    assert result is not None
    assert result.ok
    return result


def _shown(clip: Clip, role: str, mask: MaskReading | None = None) -> list[Any] | None:
    planned = clip.pixels_of(Role(role))
    return None if planned is None else pictures(load_clip(replace(planned, mask=mask)))


def theirs(pipeline: Any, clip: Clip, control: str) -> dict[str, Any]:
    """What the pipeline makes of the pictures that are planned for a clip."""
    references = [_shown(clip, f"reference:{number}") for number in range(2)]
    return handed_over(
        pipeline,
        prompt=clip.caption,
        video=_shown(clip, control),
        mask=_shown(clip, "mask"),
        reference_images=[one[0] for one in references if one] or None,
        height=64,
        width=96,
        num_frames=clip.bucket.frames,
        guidance_scale=1.0,
    )


def test_a_store(model: ModelFolder, pipeline: Any, tmp_path: Path) -> None:
    """Of each clip, by the code of the family's page: the same as the pipeline's, to the bit."""
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    result = encoded(data, model, store)
    assert {name: one.encoded for name, one in result.components.items()} == {
        "prompt_embeds": 4, "video_latents": 1, "mask": 1, "vace_mask": 1,
        "inactive_control_latents": 2, "reactive_control_latents": 2,
        "inactive_control_pose_latents": 1, "reactive_control_pose_latents": 1,
        "reference_0_latents": 2, "reference_1_latents": 1,
    }  # fmt: skip
    assert vp.verify(store).ok
    page = run_page("families/wan-vace.md", tmp_path)
    items = {item["caption"]: item for item in iter(vp.LatentDataset(store))}
    clips = {clip.caption: clip for clip in vp.BucketIndex.load(store / "index.parquet").clips()}
    controls = {"one": "control", "two": "control", "three": "control:pose"}
    for caption, control in controls.items():
        expected = theirs(pipeline, clips[caption], control)
        made = page["condition"](items[caption], Role(control).words)
        assert torch.equal(made, expected["control_hidden_states"]), caption
        assert made.shape[2] == expected["hidden_states"].shape[2]
        prompt = padded([items[caption]["prompt_embeds"]], 512)
        assert torch.equal(prompt, expected["encoder_hidden_states"])
    assert not [name for name in items["four"] if "control" in name or "reference" in name]


def test_a_clip_without_a_mask_is_generated_as_a_whole(model: ModelFolder) -> None:
    specs = components_of(FAMILY, model, [Role("control")])
    clip = pixels(9)
    made = {}
    for name in ("inactive_control_latents", "reactive_control_latents", "video_latents"):
        encoder = FAMILY.load_frame_encoder(model, specs[name], CPU, torch.float32, tiling=False)
        made[name] = encoder.encode_clips(clip, [ClipContext()])
    assert torch.equal(made["reactive_control_latents"], made["video_latents"])
    vae = FAMILY.load_video_encoder(model, CPU, torch.float32, tiling=False)
    assert torch.equal(made["inactive_control_latents"], vae.encode(torch.zeros_like(clip)))


@pytest.mark.parametrize("frames", [1, 5, 9, 81])
def test_masks_of_any_grey_equal_the_pipelines(
    model: ModelFolder, pipeline: Any, frames: int
) -> None:
    """Also where they are neither black nor white, which only the control's parts round."""
    random = np.random.default_rng(frames)
    greys = torch.from_numpy(random.integers(0, 256, (frames, 1, 32, 48), np.uint8))
    shown = pictures(greys.expand(-1, 3, -1, -1))
    _, mask, _ = pipeline.preprocess_conditions(shown, shown, None, 1, 32, 48, frames)
    expected = pipeline.prepare_masks(mask, [[]])
    spec = components_of(FAMILY, model, [Role("mask")])["vace_mask"]
    encoder = FAMILY.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False)
    whole = greys.expand(-1, 3, -1, -1).permute(1, 0, 2, 3)[None].float() / 255
    made = encoder.encode(spec.pixels.scale(whole))
    assert torch.equal(made, expected)
    assert tuple(made.shape[1:]) == FAMILY.shape(model, "vace_mask", frames, 32, 48)


def test_other_masks_make_the_parts_stale_and_nothing_else(
    model: ModelFolder, tmp_path: Path
) -> None:
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    encoded(data, model, store)
    write_mask(data / "mask.mkv", squares(9, 96, 64, step=5), 16)
    told = vp.status(store, data, **OPTIONS, mask_meaning="inpaint")
    to_do = {name: one.to_do for name, one in told.components.items() if one.to_do}
    assert to_do == {
        "mask": 1, "vace_mask": 1, "inactive_control_latents": 1, "reactive_control_latents": 1,
        "inactive_control_pose_latents": 1, "reactive_control_pose_latents": 1,
    }  # fmt: skip
    assert {why for redo in told.redo for why in redo.why} == {"mask"}


def test_masks_of_the_loss_are_not_taken_for_vaces(model: ModelFolder, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    with pytest.raises(ModelError, match="masks that say what is generated") as raised:
        encoded(data, model, tmp_path / "store", mask_meaning="loss")
    assert raised.value.option == "mask_meaning"
    off = encoded(data, model, tmp_path / "store", mask_meaning="loss", roles={"mask": ""})
    assert "vace_mask" not in off.components


def test_inverted_masks_invert_the_parts(model: ModelFolder, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    encoded(data, model, tmp_path / "one")
    write_mask(data / "mask.mkv", 255 - squares(9, 96, 64, step=3), 16)
    encoded(data, model, tmp_path / "two", invert_masks=True)
    one, two = (vp.LatentDataset(tmp_path / name)[0] for name in ("one", "two"))
    for name in ("vace_mask", "inactive_control_latents", "reactive_control_latents"):
        assert torch.equal(one[name], two[name]), name


def test_a_mask_that_cannot_be_read_costs_what_is_made_with_it(
    model: ModelFolder, tmp_path: Path
) -> None:
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    result = vp.encode(
        data, model=model.path, output=store, device="cpu", progress="none",
        mask_meaning="inpaint", mask_channel="alpha", **OPTIONS,
    )  # fmt: skip
    assert result is not None
    assert not result.ok
    failed = {name: one.set_aside for name, one in result.components.items() if one.set_aside}
    assert failed == {
        "mask": 1, "vace_mask": 1, "inactive_control_latents": 1, "reactive_control_latents": 1,
        "inactive_control_pose_latents": 1, "reactive_control_pose_latents": 1,
    }  # fmt: skip
    assert result.components["inactive_control_latents"].encoded == 1


def test_batches_of_clips_with_and_without_masks(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator, where clips of one shape are encoded together."""
    data = write_data(tmp_path / "data")
    lines = ["video,caption,control,mask,reference"]
    for number in range(8):
        name = f"control{number}.mp4"
        write_video(data / name, frames=9, width=96, height=64, fps=16, lift=50 + number)
        lines.append(f"a.mp4,{number},{name},{'mask.mkv' if number % 2 else ''},tall.png")
    (data / "list.csv").write_text("\n".join([*lines, ""]))
    encoded(data, model, tmp_path / "one")
    batches: list[int] = []
    encode = Vae.encode

    def seen(self: Vae, pixels: torch.Tensor) -> torch.Tensor:
        batches.append(len(pixels))
        return encode(self, pixels)

    def together(*arguments: Any) -> Any:
        stream = device_stream(*arguments)
        stream.one_by_one = False
        return stream

    monkeypatch.setattr("videoprep.encoding.task.device_stream", together)
    monkeypatch.setattr(Vae, "encode", seen)
    encoded(data, model, tmp_path / "two", batch_size=4)
    assert max(batches) >= 4
    pairs = zip(*(vp.LatentDataset(tmp_path / name) for name in ("one", "two")), strict=True)
    for one, two in pairs:
        names = [name for name in one if name.endswith("_latents")]
        assert names == [name for name in two if name.endswith("_latents")]
        for name in names:
            assert torch.allclose(one[name], two[name], rtol=0, atol=1e-5), name


def test_everything_that_a_sample_may_have(model: ModelFolder, tmp_path: Path) -> None:
    """Still images, several buckets for a clip, sound, masks that are still."""
    data, store = write_mixed_dataset(tmp_path / "data"), tmp_path / "store"
    index = vp.BucketIndex.build(data, profile="wan-vace", **MIXED)
    result = vp.encode(
        index, model=model.path, output=store, device="cpu", progress="none",
        mask_meaning="inpaint",
    )  # fmt: skip
    assert result is not None
    assert (result.clips, result.complete, result.failed) == (len(index), len(index), 0)
    made = {name: one.encoded for name, one in result.components.items()}
    assert made["inactive_control_depth_latents"] == made["reactive_control_depth_latents"] > 0
    assert made["vace_mask"] == made["mask"] > 0
    sizes = {(c.bucket.height, c.bucket.width) for c in index.clips() if "reference" in c.media}
    assert made["reference_latents"] == len(sizes) == 2
    assert vp.verify(store).ok
    shown = vp.preview(store, model=model.path, output=tmp_path / "seen.html", clips=2)
    assert shown.ok


def test_a_plan_knows_what_will_be_made(model: ModelFolder, tmp_path: Path) -> None:
    """Sizes without a model; the tiny one has other channels, but for those of masks."""
    data = write_data(tmp_path / "data")
    index = vp.BucketIndex.build(data, profile="wan-vace", **OPTIONS)
    found = {one.name: one for one in summarize(index).components}
    assert found["inactive_control_latents"].artifacts == 2
    assert found["reference_0_latents"].pixels == 2 * 64 * 96
    assert found["vace_mask"].bytes == 2 * 64 * 3 * 8 * 12
    assert family_of(model) is FAMILY
