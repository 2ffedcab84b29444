"""`export --to media`: stills, and what clips have beside them, read back by painted numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

import videoprep as vp
from tests.exporters.test_media import contents, exported, frames_of, plan, prepared
from tests.exporters.test_media_runs import MediaExport
from tests.support.assets import write_video
from tests.support.masks import write_still
from tests.support.numbered import numbers_on, picture_of, write_numbered
from tests.support.warm import Warm
from videoprep.exporters.folder import NAMES
from videoprep.exporters.media.clips import MediaClip
from videoprep.media.clip import load_clip

ROWS: Sequence[dict[str, Any]] = (
    {"video": "v.mp4", "caption": "alone"},
    {"video": "v.mp4", "caption": "both", "start": 0.4, "control": "c.mp4", "mask": "m.mp4"},
    {"video": "v.mp4", "caption": "two", "control_depth": "c.mp4", "control_pose": "m.mp4"},
    {"video": "v.mp4", "caption": "picture", "mask": "m.png", "reference": "ref.mp4"},
    {"video": "s.png", "caption": "still", "control": "c.png", "reference": "ref.png"},
)


def rows(*which: int) -> list[dict[str, Any]]:
    """Some of the rows, each with a cell for every column."""
    names = dict.fromkeys(name for row in ROWS for name in row)
    return [{name: ROWS[at].get(name, "") for name in names} for at in which]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 25 frames a second, a control of 50 and a mask of 12.5, all with numbers on."""
    folder = tmp_path_factory.mktemp("beside") / "data"
    folder.mkdir()
    write_numbered(folder / "v.mp4", 50)
    write_numbered(folder / "c.mp4", 100, times=[20 * number for number in range(100)])
    write_numbered(folder / "m.mp4", 25, times=[80 * number for number in range(25)])
    write_video(folder / "ref.mp4", frames=9, fps=8, width=64, height=96)
    for number, name in enumerate(("s.png", "c.png", "m.png", "ref.png"), start=700):
        write_still(folder / name, picture_of(number))
    return folder


def source_of(data: Path, tmp_path: Path, *which: int) -> Path:
    """A plan of 9 frames at 12.5 a second."""
    path = tmp_path / "index.parquet"
    options: dict[str, Any] = {"target_fps": "12.5", "frame_buckets": (9,), "profile": "wan"}
    plan(data, rows(*which), **options).rename(path)
    return path


def beside(clip: MediaClip, output: Path) -> dict[str, Path]:
    return {str(one.role): output / one.name for one in clip.beside}


def toml_in(path: Path) -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")
    config: dict[str, Any] = tomllib.loads(path.read_text())
    return config


def pixels_in(path: Path) -> np.ndarray[Any, Any]:
    if path.suffix == ".png":
        return np.asarray(Image.open(path))[None]
    return frames_of(path)


@pytest.mark.parametrize("lossless", [False, True])
def test_files_of_a_clip_show_the_same_instants(data: Path, tmp_path: Path, lossless: bool) -> None:
    """At 12.5 a second every other frame of the video is planned, from its frame 10 on."""
    output = tmp_path / "out"
    source = source_of(data, tmp_path, 1, 2)
    ranged, whole = exported(source, output, lossless=lossless)
    for (clip, path), first in ((ranged, 10), (whole, 0)):
        shown = numbers_on(frames_of(path))
        assert shown == [first + 2 * step for step in range(9)]
        of_control, of_mask = (numbers_on(frames_of(one)) for one in beside(clip, output).values())
        assert of_control == [2 * number for number in shown]
        assert of_mask == [number // 2 for number in shown]
    assert list(beside(ranged[0], output)) == ["control", "mask"]
    assert list(beside(whole[0], output)) == ["control:depth", "control:pose"]


def test_all_have_the_planned_pixels(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    source = source_of(data, tmp_path, 0, 1, 2, 3, 4)
    seen = set()
    for clip, path in exported(source, output, lossless=True):
        assert np.array_equal(pixels_in(path), prepared(clip))
        for one in clip.beside:
            wanted = load_clip(one.pixels).permute(0, 2, 3, 1).numpy()
            assert np.array_equal(pixels_in(output / one.name), wanted)
            seen.add((str(one.role), one.name.rpartition(".")[2], len(wanted)))
    assert seen == {
        ("control", "mp4", 9), ("mask", "mp4", 9), ("control:depth", "mp4", 9),
        ("control:pose", "mp4", 9), ("mask", "png", 1), ("reference", "mp4", 9),
        ("control", "png", 1), ("reference", "png", 1),
    }  # fmt: skip


def test_crop_and_size_are_those_of_the_clip(data: Path, tmp_path: Path) -> None:
    """A control of half the resolution has the bucket's size, and the same part of the picture."""
    folder = tmp_path / "data"
    write_video(folder / "a.mp4", frames=5, width=128, height=64)
    write_video(folder / "c.mp4", frames=5, width=64, height=32)
    source = plan(
        folder,
        [{"video": "a.mp4", "caption": "a", "control": "c.mp4"}],
        reshape="center-crop",
        buckets=("5x64x64",),
    )
    ((clip, path),) = exported(source, tmp_path / "out", lossless=True)
    (control,) = clip.beside
    assert (control.pixels.crop.x, control.pixels.crop.width) == (16, 32)
    assert frames_of(path).shape == frames_of(tmp_path / "out" / control.name).shape


def test_configs_name_what_trainers_read(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = vp.export_media(source_of(data, tmp_path, 0, 1, 2, 3, 4), output=output)
    assert result is not None
    assert {path.name for path in (output / "clips").iterdir()} == {
        "9x32x160", "9x32x160-control-moving_mask", "9x32x160-control_depth-control_pose",
        "9x32x160-reference-mask", "1x32x160-still-control-reference",
    }  # fmt: skip
    musubi = toml_in(output / "musubi-tuner.toml")["datasets"]
    controls = {
        Path(one.get("video_directory") or one["image_directory"]): one.get("control_directory")
        for one in musubi
    }
    named = {clips.name: control and Path(control).parent.name for clips, control in
             controls.items()}  # fmt: skip
    assert named == {
        "9x32x160": None, "9x32x160-control-moving_mask": "control",
        "9x32x160-control_depth-control_pose": "control_depth", "9x32x160-reference-mask": None,
        "1x32x160-still-control-reference": "control",
    }  # fmt: skip
    for clips, control in controls.items():
        if control is not None:  # it wants one for each, under the same name
            media = {path.name for path in clips.iterdir() if path.suffix != ".txt"}
            assert {path.name for path in Path(control).iterdir()} == media
    pipe = toml_in(output / "diffusion-pipe.toml")["directory"]
    masks = [Path(one["mask_path"]) for one in pipe if "mask_path" in one]
    assert [path.suffix for folder in masks for path in folder.iterdir()] == [".png"]
    (edited,) = (one["control_path"] for one in pipe if "control_path" in one)
    assert Path(edited) == output / "control/1x32x160-still-control-reference"
    backends = json.loads((output / "multidatabackend.json").read_text())
    ids = {one["id"]: one for one in backends}
    paired = [name for one in backends for name in one.get("conditioning_data", ())]
    kinds = [ids[name]["conditioning_type"] for name in paired]
    assert sorted(kinds) == [*["controlnet"] * 4, *["mask"] * 2, *["reference_loose"] * 2]
    assert all(Path(ids[name]["instance_data_dir"]).is_dir() for name in paired)
    toolkit = yaml.safe_load((output / "ai-toolkit.yaml").read_text())["datasets"]
    assert sorted(len(one.get("control_path", ())) for one in toolkit) == [0, 0, 1, 1, 2]
    assert sum("mask_path" in one for one in toolkit) == 1


def test_what_trainers_leave_out_is_said_with_numbers(data: Path, tmp_path: Path) -> None:
    result = vp.export_media(source_of(data, tmp_path, 0, 1, 2, 3, 4), output=tmp_path / "out")
    assert result is not None
    told = {
        one.partition(" ")[0]: one.rpartition(": ")[2]
        for one in result.notes
        if "beside them" in one
    }
    assert told == {
        "ai-toolkit": "mask of 1, reference of 2 clips",
        "diffusion-pipe": "control of 1, control:depth of 1, control:pose of 1, mask of 1, "
        "reference of 2 clips",
        "musubi-tuner": "control:pose of 1, mask of 2, reference of 2 clips",
    }


def test_the_list_names_the_files(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    vp.export_media(source_of(data, tmp_path, 1, 4), output=output)
    one, still = map(json.loads, (output / NAMES).read_text().splitlines())
    assert one["media"] == {"control": "c.mp4", "mask": "m.mp4"}
    assert (still["fps"], still["name"].endswith(".png"), "sound" in still) == (None, True, False)
    for entry in (one, still):
        assert all((output / name).is_file() for name in entry["beside"].values())


def test_stills_are_pictures(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    ((clip, path),) = exported(source_of(data, tmp_path, 4), output)
    assert numbers_on(pixels_in(path)) == [700]
    assert numbers_on(pixels_in(beside(clip, output)["control"])) == [701]
    (musubi,) = toml_in(output / "musubi-tuner.toml")["datasets"]
    assert Path(musubi["image_directory"]) == path.parent
    assert "target_frames" not in musubi
    backend = json.loads((output / "multidatabackend.json").read_text())[0]
    assert (backend["dataset_type"], "video" in backend) == ("image", False)


def test_a_control_that_does_not_decode_leaves_nothing_of_its_clip(
    data: Path, tmp_path: Path
) -> None:
    """A trainer that wants a control for each clip of a folder would refuse all of them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("v.mp4", "c.mp4", "m.mp4"):
        (folder / name).write_bytes((data / name).read_bytes())
    write_video(folder / "bad.mp4", frames=50, fps=25, width=160, height=32)
    table = [{**row, "mask": "bad.mp4"} for row in rows(1)] + rows(1)
    options: dict[str, Any] = {"target_fps": "12.5", "frame_buckets": (9,), "profile": "wan"}
    source = plan(folder, table, **options)
    bad = bytearray((folder / "bad.mp4").read_bytes())
    at = bad.index(b"mdat") + 4
    bad[at : at + 4000] = bytes(4000)
    (folder / "bad.mp4").write_bytes(bad)
    index = vp.BucketIndex.load(source)
    with pytest.raises(vp.PlanError, match=r"bad\.mp4"):
        vp.export_media(index, output=tmp_path / "out")
    result = vp.export_media(index, output=tmp_path / "out", on_missing="skip")
    assert result is not None
    assert (result.clips, len(result.left_out)) == (1, 1)
    assert len(contents(tmp_path / "out")) == 2
    assert len([*(tmp_path / "out/control").rglob("*.mp4")]) == 1


@pytest.mark.parametrize("text", ["control/", "moving_mask", "clips/"])
@pytest.mark.parametrize("place", ["file.written", "file.placed"])
def test_killed_at_a_file(warm: Warm, data: Path, tmp_path: Path, place: str, text: str) -> None:
    source = source_of(data, tmp_path, 0, 1, 2, 3, 4)
    vp.export_media(source, output=tmp_path / "whole")
    media = MediaExport(warm, source, tmp_path / "output", tmp_path / "whole")
    assert media.run(VIDEOPREP_FAILPOINTS=f"{place}=kill@{text}").returncode == -9
    media.finish()


def test_a_clip_whose_mask_cannot_be_decoded_fails(warm: Warm, data: Path, tmp_path: Path) -> None:
    source = source_of(data, tmp_path, 0, 1)
    vp.export_media(source, output=tmp_path / "whole")
    media = MediaExport(warm, source, tmp_path / "output", tmp_path / "whole")
    failed = media.run(VIDEOPREP_FAILPOINTS="decode=segv*0@m.mp4")
    assert failed.returncode == 1, failed.stderr
    (told,) = json.loads(failed.stdout)["failed"]
    assert told["reason"].startswith("its mask: ")
    assert [path.parent.name for path in media.output.rglob("*.mp4")] == ["9x32x160"]
    media.finish("--retry-failed")
