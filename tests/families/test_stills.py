"""Still images from a list to training: compared with diffusers' own VAE, called on the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import videoprep as vp
from tests.support.assets import write_video
from tests.support.fidelity import load_vae
from tests.support.pictures import noise, write_picture
from tests.support.tiny_wan import build_wan, build_wan_i2v
from videoprep.errors import PlanError
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.wan import Wan
from videoprep.index.table import BucketIndex

CROP: Any = {"reshape": "center-crop", "max_num_frames": 17}
QUIET: Any = {"device": "cpu", "progress": "none"}
CLEAR = np.dstack([noise(96, 64, 3), np.full((64, 96), 100, np.uint8)])
STILLS = {
    "a.png": noise(96, 64),
    "tall.png": noise(64, 96, 1),
    "clear.png": np.rint(CLEAR[..., :3] * (100 / 255) + 255 * (155 / 255)),
}


def write_mixed(folder: Path) -> Path:
    """Two videos, and three stills, one of which is in the list twice."""
    write_video(folder / "one.mp4", frames=17)
    write_video(folder / "two.mp4", frames=18, lift=30)
    write_picture(folder / "a.png", noise(96, 64))
    write_picture(folder / "tall.png", noise(64, 96, 1))
    write_picture(folder / "clear.png", CLEAR)
    names = ("one.mp4", "a.png", "two.mp4", "tall.png", "clear.png")
    rows = "".join(f"{name},A picture called {name}.\n" for name in names)
    (folder / "list.csv").write_text(f"video,caption\n{rows}a.png,The same with other words.\n")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_mixed(tmp_path / "data")


def encoded(data: Path, model: Path, store: Path, **options: Any) -> vp.EncodeResult:
    result = vp.encode(data, model=model, output=store, **QUIET, **{**CROP, **options})
    assert result is not None
    return result


def moments_of(family: Family, model: Path, picture: Any) -> torch.Tensor:
    """What the VAE makes of one picture, as diffusers' pipelines call it."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).float().permute(2, 0, 1) / 255.0
    vae = load_vae(family, ModelFolder(model, "tiny"))
    with torch.no_grad():
        posterior = vae.encode((2.0 * pixels - 1.0)[None, :, None]).latent_dist
    moments: torch.Tensor = posterior.parameters[0]
    return moments


@pytest.fixture(params=["cogvideox", "wan", "wan-i2v"])
def family_model(request: Any, tiny_model: Path, shared_folder: Path) -> tuple[Family, Path]:
    if request.param == "cogvideox":
        return CogVideoX(), tiny_model
    make: dict[str, Callable[[Path], Path]] = {"wan": build_wan, "wan-i2v": build_wan_i2v}
    return Wan(), make[request.param](shared_folder / request.param)


def test_latents_are_those_of_the_familys_own_vae(
    family_model: tuple[Family, Path], data: Path, tmp_path: Path
) -> None:
    """Once for each still, and none of image-to-video, although these are asked for."""
    family, model = family_model
    result = encoded(data, model, tmp_path / "store", image_latents=True)
    assert result.ok
    assert (result.clips, result.complete, result.stills) == (6, 6, 4)
    assert result.components["video_latents"].encoded == 5
    assert result.components["prompt_embeds"].encoded == 6
    of_video_alone = {*result.components} - {"video_latents", "prompt_embeds"}
    assert of_video_alone == {*result.not_of_stills}
    assert of_video_alone
    assert {result.components[name].encoded for name in of_video_alone} == {2}
    for item in vp.LatentDataset(tmp_path / "store"):
        name = item["metadata"]["video"]
        if name not in STILLS:
            assert of_video_alone <= item.keys()
            continue
        assert not of_video_alone & item.keys()
        expected = moments_of(family, model, STILLS[name])
        assert expected.shape[1] == 1
        if name == "clear.png":  # Pillow rounds each product
            close = torch.allclose(item["video_latents"].float(), expected, atol=0.05, rtol=0.05)
            assert close
        else:
            assert torch.equal(item["video_latents"], expected)
        assert [item["metadata"][time] for time in ("fps", "start", "end")] == [None] * 3


def test_everything_else_takes_a_mixed_dataset(
    tiny_model: Path, data: Path, tmp_path: Path, run_cli: Any
) -> None:
    """Counts add up from `validate` to `report`, and a second run finds nothing to do."""
    store = tmp_path / "store"
    report = vp.validate(data, profile="cogvideox", **CROP)
    assert (report.total, report.ok) == (6, True)
    index = BucketIndex.build(data, profile="cogvideox", **CROP)
    assert (len(index), index.stills) == (6, 4)
    assert encoded(data, tiny_model, store, image_latents=True).ok
    assert encoded(data, tiny_model, store, image_latents=True).encoded == 0
    assert vp.verify(store).ok
    state = run_cli("status", store)
    assert state.returncode == 0, state.stderr
    assert "all is done" in state.stdout
    told = run_cli(
        "encode", data, "-o", store, "--model", tiny_model, "--image-latents",
        "--reshape", "center-crop", "--max-num-frames", 17, "--device", "cpu",
    )  # fmt: skip
    assert "4 still images: not made of them: image_latents" in told.stdout
    told = run_cli("index", data, "-o", tmp_path / "index.parquet", "--profile", "cogvideox",
                   "--reshape", "center-crop")  # fmt: skip
    assert "clips of still images, each of one frame: 4; not made of them: image_latents" in (
        told.stdout
    )
    for ending in ("html", "png", "mp4"):
        seen = vp.preview(store, output=tmp_path / f"preview.{ending}", model=str(tiny_model))
        assert (seen.clips, seen.measured) == (6, 6)
        faults = {fault.kind for one in seen.pictures for fault in one.measure.faults}
        assert faults <= {"low"}
        assert (tmp_path / f"preview.{ending}").stat().st_size > 1000
    told = run_cli("report", store, "-o", tmp_path / "report.html")
    assert "6 samples = 6 encoded" in told.stdout, told.stderr
    media = vp.export_media(index, output=tmp_path / "media")
    assert media is not None
    assert media.clips == 6
    assert len([*(tmp_path / "media/clips").rglob("*.png")]) == 4


def test_a_change_of_the_background_makes_what_shows_it_anew(
    tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    encoded(data, tiny_model, store)
    again = encoded(data, tiny_model, store, image_background="#000000")
    assert again.components["video_latents"].encoded == 1
    assert again.components["prompt_embeds"].encoded == 0
    items = {item["metadata"]["video"]: item for item in vp.LatentDataset(store)}
    dark = moments_of(CogVideoX(), tiny_model, np.rint(CLEAR[..., :3] * (100 / 255)))
    assert torch.allclose(items["clear.png"]["video_latents"].float(), dark, atol=0.05, rtol=0.05)


def test_a_changed_still_is_told(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    encoded(data, tiny_model, store)
    write_picture(data / "a.png", noise(96, 64, 77))
    assert vp.status(store, data, **CROP).components["video_latents"].to_do == 1
    again = encoded(data, tiny_model, store)
    assert again.components["video_latents"].encoded == 1
    items = [item for item in vp.LatentDataset(store) if item["metadata"]["video"] == "a.png"]
    assert len(items) == 2
    expected = moments_of(CogVideoX(), tiny_model, noise(96, 64, 77))
    assert all(torch.equal(item["video_latents"], expected) for item in items)


def test_stills_alone_are_encoded(tiny_model: Path, tmp_path: Path) -> None:
    for number in range(3):
        write_picture(tmp_path / f"data/{number}.png", noise(64, 64, number))
        (tmp_path / f"data/{number}.txt").write_text(f"Picture {number}.")
    result = encoded(tmp_path / "data", tiny_model, tmp_path / "store", image_latents=True)
    assert result.ok
    assert result.components["image_latents"].encoded == 0
    items = [*vp.LatentDataset(tmp_path / "store")]
    assert len(items) == 3
    for number, item in enumerate(items):
        expected = moments_of(CogVideoX(), tiny_model, noise(64, 64, number))
        assert torch.equal(item["video_latents"], expected)


def test_a_family_of_videos_alone_takes_no_plan_with_stills(
    tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    BucketIndex.build(data, **CROP).save(tmp_path / "index.parquet")
    monkeypatch.setattr(CogVideoX, "profile", replace(CogVideoX.profile, stills=False))
    with pytest.raises(PlanError, match="4 still images"):
        vp.encode(tmp_path / "index.parquet", model=tiny_model, output=tmp_path / "store", **QUIET)


def test_exports_for_image_to_video_leave_stills_out(
    shared_folder: Path, data: Path, tmp_path: Path
) -> None:
    """And the others do not."""
    model = build_wan_i2v(shared_folder / "wan-i2v")
    encoded(data, model, tmp_path / "store", image_latents=True)
    exported = vp.export(tmp_path / "store", to="fastvideo", output=tmp_path / "a")
    assert (exported.clips, exported.incomplete) == (2, 4)
    (note,) = (note for note in exported.notes if "still" in note)
    assert note == (
        "4 clips of still images not exported: fastvideo takes condition_latents, image_embeds of "
        "every clip, and stills have none: a.png, tall.png, clear.png"
    )
    encoded(data, build_wan(shared_folder / "wan"), tmp_path / "texts")
    exported = vp.export(tmp_path / "texts", to="fastvideo", output=tmp_path / "b")
    assert (exported.clips, exported.incomplete) == (6, 0)


@pytest.mark.parametrize(("target", "suffix"), [("webdataset", "tar"), ("hf-datasets", "parquet")])
def test_exports_that_group_clips_by_what_they_lack_keep_stills(
    target: str, suffix: str, tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    encoded(data, tiny_model, tmp_path / "store", image_latents=True)
    exported = vp.export(tmp_path / "store", to=target, output=tmp_path / "out")
    assert (exported.clips, exported.incomplete) == (6, 0)
    assert not any("still" in note for note in exported.notes)
    groups = {path.parent.name for path in (tmp_path / "out").glob(f"*/*.{suffix}")}
    assert groups == {
        "17x64x96", "1x64x96-without-image_latents", "1x96x64-without-image_latents",
    }  # fmt: skip


def test_clips_can_be_required_to_have_a_component(
    tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    encoded(data, tiny_model, tmp_path / "store", image_latents=True)
    every = vp.LatentDataset(tmp_path / "store")
    some = vp.LatentDataset(tmp_path / "store", required="image_latents")
    assert (len(every), every.incomplete) == (6, 0)
    assert (len(some), some.incomplete) == (2, 4)
    assert all("image_latents" in item for item in some)


def test_training_steps_on_stills_and_videos(tiny_model: Path, data: Path, tmp_path: Path) -> None:
    encoded(data, tiny_model, tmp_path / "store")
    result = vp.train(
        tmp_path / "store", model=tiny_model, output=tmp_path / "run", steps=6, device="cpu",
        batch_size=1,
    )  # fmt: skip
    assert result.clips == 6
    assert result.skipped == 0
    assert np.isfinite(result.loss_after)
