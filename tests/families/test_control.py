"""Control media and references: from a list to the latents, computed a second way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support.assets import write_video
from tests.support.tiny_parts import copy_as
from tests.support.tiny_wan import build_wan
from videoprep.errors import PlanError
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.component import CONTROL, ZERO_TO_ONE, ComponentSpec
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import MOMENTS
from videoprep.families.registry import registry
from videoprep.index.clip import Clip
from videoprep.index.summary import summarize
from videoprep.media.clip import load_clip, normalize, to_unit
from videoprep.spec.roles import Role

OFF = {"control:depth": "", "control:pose": "", "reference": ""}
DEPTH, POSE, REFERENCE = Role("control:depth"), Role("control:pose"), Role("reference")


def write_data(folder: Path) -> Path:
    """Two videos of 17 frames at 8 fps; two controls of one of them, at half the size."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(("a.mp4", "b.mp4")):
        write_video(folder / name, frames=17, width=96, height=64, fps=8, lift=40 + seed)
    write_video(folder / "depth.mp4", frames=34, width=48, height=32, fps=16, lift=55)
    write_video(folder / "pose.mp4", frames=17, width=96, height=64, fps=8, lift=66)
    write_video(folder / "ref.mp4", frames=5, width=64, height=80, fps=8, lift=77)
    (folder / "list.csv").write_text(
        "video,caption,control_depth,control_pose,reference\n"
        "a.mp4,one,depth.mp4,,\na.mp4,two,,pose.mp4,ref.mp4\nb.mp4,three,,,\n"
    )
    return folder


def moments_of(vae: Any, clip: Clip, role: Role) -> torch.Tensor:
    """What diffusers' own VAE makes of the pixels that are planned for a role."""
    pixels = clip.pixels_of(role)
    assert pixels is not None
    frames = normalize(load_clip(pixels)).permute(1, 0, 2, 3)[None]
    with torch.no_grad():
        posterior = vae.encode(frames).latent_dist
    return torch.cat([posterior.mean, posterior.logvar], dim=1)[0]


@pytest.fixture(params=["cogvideox", "wan"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(family: str, tiny_model: Path, tmp_path: Path) -> Path:
    return tiny_model if family == "cogvideox" else build_wan(tmp_path / "model")


def load_vae(family: str, model: Path) -> Any:
    import diffusers

    name = {"cogvideox": "AutoencoderKLCogVideoX", "wan": "AutoencoderKLWan"}[family]
    return getattr(diffusers, name).from_pretrained(str(model / "vae"))


def test_latents_are_those_of_the_familys_vae(family: str, model: Path, tmp_path: Path) -> None:
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    result = vp.encode(data, model=model, output=store, reshape="resize", dtype="fp32")
    assert result is not None
    assert result.ok
    assert (result.clips, result.complete) == (3, 3)
    made = {name: one.encoded for name, one in result.components.items()}
    own = {"prompt_embeds": 3, "video_latents": 2}
    own |= {"control_depth_latents": 1, "control_pose_latents": 1}
    assert made == own | ({"reference_latents": 1} if family == "wan" else {})

    index = vp.BucketIndex.load(store / "index.parquet")
    clips = {clip.caption: clip for clip in index.clips()}
    assert clips["one"].video_key == clips["two"].video_key
    items = {item["caption"]: item for item in iter(vp.LatentDataset(store))}
    vae = load_vae(family, model)
    wanted = {("one", "control_depth_latents"): DEPTH, ("two", "control_pose_latents"): POSE}
    if family == "wan":
        wanted["two", "reference_latents"] = REFERENCE
    for (caption, component), role in wanted.items():
        second = moments_of(vae, clips[caption], role)
        assert torch.allclose(items[caption][component], second, atol=1e-5)
        if role != REFERENCE:
            assert second.shape == items[caption]["video_latents"].shape
    assert {name for name in items["three"] if name.endswith("_latents")} == {"video_latents"}
    assert "control_pose_latents" not in items["one"]

    assert vp.verify(store).ok
    again = vp.encode(data, model=model, output=store, reshape="resize", dtype="fp32")
    assert again is not None
    assert again.encoded == 0
    counts = vp.status(store, data, reshape="resize").components
    assert {one.to_do for one in counts.values()} == {0}


def test_a_plan_counts_what_will_be_made(tmp_path: Path) -> None:
    """Of references in their own size: 5 frames of 64×80."""
    index = vp.BucketIndex.build(write_data(tmp_path / "data"), profile="wan", reshape="resize")
    components = {one.name: one for one in summarize(index).components}
    assert components["control_depth_latents"].artifacts == 1
    assert components["control_pose_latents"].pixels == 17 * 96 * 64
    assert components["reference_latents"].pixels == 5 * 64 * 80
    plain = vp.BucketIndex.build(tmp_path / "data", profile="wan", reshape="resize", roles=OFF)
    assert "control_depth_latents" not in {one.name for one in summarize(plain).components}
    assert dict(plain.diff(index).counts) == {"control:depth": 1, "control:pose": 1, "reference": 1}
    assert plain.diff(index).to_encode["control_pose_latents"] == 0
    assert index.diff(plain).to_encode["control_pose_latents"] == 1


def test_a_plan_of_no_family_counts_what_some_families_make(tmp_path: Path) -> None:
    index = vp.BucketIndex.build(write_data(tmp_path / "data"), reshape="resize")
    components = {one.name: one for one in summarize(index).components}
    some = {name: one.artifacts for name, one in components.items() if one.of_some_families}
    assert some == {"control_depth_latents": 1, "control_pose_latents": 1, "reference_latents": 1}
    plain = vp.BucketIndex.build(tmp_path / "data", reshape="resize", roles=OFF)
    assert index.diff(plain).to_encode["control_pose_latents"] == 1


def test_a_plan_is_saved_and_checked(tmp_path: Path) -> None:
    """Files that change after they were planned are told, by their roles."""
    data = write_data(tmp_path / "data")
    index = vp.BucketIndex.build(data, profile="wan", reshape="resize")
    index.save(tmp_path / "index.parquet")
    again = vp.BucketIndex.load(tmp_path / "index.parquet")
    assert again.table.equals(index.table)
    pairs = zip(again.clips(), index.clips(), strict=True)
    assert all(one.media == other.media for one, other in pairs)
    assert again.check_sources().table.equals(index.table)
    write_video(data / "pose.mp4", frames=17, width=96, height=64, fps=8, lift=99)
    with pytest.raises(PlanError, match=r"1 file is not as it was planned: pose\.mp4"):
        again.check_sources()
    left = again.check_sources("skip")
    assert [clip.caption for clip in left.clips()] == ["one", "three"]
    status = vp.BucketIndex.build(data, profile="wan", reshape="resize").diff(index)
    assert dict(status.counts) == {"control:pose": 1}
    joined = vp.BucketIndex.concat([index.filter(caption="three"), index.filter(caption="one")])
    assert [set(clip.media) for clip in joined.clips()] == [set(), {"control:depth"}]
    assert joined.filter(caption="three").digest == index.filter(caption="three").digest


def test_a_control_that_changes_makes_its_own_latents_stale(
    tiny_model: Path, tmp_path: Path
) -> None:
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    first = vp.encode(data, model=tiny_model, output=store, reshape="resize")
    assert first is not None
    assert first.ok
    write_video(data / "pose.mp4", frames=17, width=96, height=64, fps=8, lift=99)
    status = vp.status(store, data, reshape="resize")
    assert {name: one.to_do for name, one in status.components.items() if one.to_do} == {
        "control_pose_latents": 1
    }
    ((redo,)) = status.redo
    assert (redo.components, redo.why) == (("control_pose_latents",), ("control:pose",))
    again = vp.encode(data, model=tiny_model, output=store, reshape="resize")
    assert again is not None
    assert {name: one.encoded for name, one in again.components.items() if one.encoded} == {
        "control_pose_latents": 1
    }
    assert vp.verify(store).ok


@pytest.mark.parametrize("form", [".png", ".html", ".mp4"])
def test_a_preview_shows_the_control_beside(tmp_path: Path, form: str) -> None:
    data = write_data(tmp_path / "data")
    seen = vp.preview(
        vp.BucketIndex.build(data, profile="wan", reshape="resize"),
        output=tmp_path / f"seen{form}",
    )
    assert seen.ok
    beside = {one.measure.clip.caption: one.beside for one in seen.pictures}
    assert {name: [one.role for one in found] for name, found in beside.items()} == {
        "one": ["control:depth"], "two": ["control:pose", "reference"], "three": [],
    }  # fmt: skip
    (depth,) = beside["one"]
    assert depth.frames is not None
    assert depth.frames.shape == (5, 64, 96, 3)
    if form == ".html":
        assert "control:depth" in (tmp_path / "seen.html").read_text()


def test_exports_say_what_they_do_not_carry(tiny_model: Path, tmp_path: Path) -> None:
    """Trainers' files have no place for it; files of all components are apart by what they hold."""
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    assert vp.encode(data, model=tiny_model, output=store, reshape="resize") is not None
    made = vp.export(store, to="finetrainers", output=tmp_path / "finetrainers")
    assert made.clips == 3
    assert [note.partition(" not written")[0] for note in made.notes] == [
        "control_depth_latents", "control_pose_latents",
    ]  # fmt: skip
    for target in ("webdataset", "hf-datasets"):
        made = vp.export(store, to=target, output=tmp_path / target)
        assert (made.clips, made.notes) == (3, ())
        kinds = {path.name.partition("-")[2] for path in (tmp_path / target).iterdir()}
        assert {kind for kind in kinds if kind.startswith("without")} == {
            "without-control_depth_latents",
            "without-control_pose_latents",
            "without-control_depth_latents-without-control_pose_latents",
        }
    (data / "list.csv").write_text("video,caption,control_depth\na.mp4,one,depth.mp4\n")
    assert vp.encode(data, model=tiny_model, output=tmp_path / "one", reshape="resize") is not None
    whole = vp.export(tmp_path / "one", to="webdataset", output=tmp_path / "whole")
    assert whole.notes == ()
    (tar,) = (tmp_path / "whole").rglob("*.tar")
    assert b"control_depth_latents.pth" in tar.read_bytes()


def test_a_media_export_names_the_files(tmp_path: Path) -> None:
    index = vp.BucketIndex.build(write_data(tmp_path / "data"), profile="wan", reshape="resize")
    made = vp.export_media(index, output=tmp_path / "media", sound=False)
    assert made is not None
    assert (
        "musubi-tuner does not take all that clips have beside them: reference of 1 clips"
        in made.notes
    )
    lines = (tmp_path / "media/videoprep-clips.jsonl").read_text().splitlines()
    assert [json.loads(line).get("media") for line in lines] == [
        {"control:depth": "depth.mp4"}, {"control:pose": "pose.mp4", "reference": "ref.mp4"}, None,
    ]  # fmt: skip


class Hinted(CogVideoX):
    """A family of the tests alone, which wants its controls in 0…1."""

    name = "hinted"
    profile = replace(
        CogVideoX.profile,
        name="hinted",
        components=(
            *CogVideoX.profile.components[:2],
            ComponentSpec(
                name="control_hints",
                source=CONTROL,
                part="vae",
                posterior=MOMENTS,
                pixels=ZERO_TO_ONE,
            ),
        ),
    )

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "HintedPipeline"


def test_a_component_of_controls_is_one_line_of_a_family(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands for the controls of each role, and everything else follows."""
    monkeypatch.setitem(registry().families, "hinted", Hinted())
    model = copy_as(tiny_model, tmp_path / "model", pipeline="HintedPipeline")
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    result = vp.encode(data, model=model, output=store, reshape="resize")
    assert result is not None
    assert result.ok
    assert vp.verify(store).ok
    items = {item["caption"]: item for item in iter(vp.LatentDataset(store))}
    vae = load_vae("cogvideox", model)
    for clip in vp.BucketIndex.load(store / "index.parquet").clips():
        for role in (DEPTH, POSE):
            name, pixels = f"{role.words}_hints", clip.pixels_of(role)
            assert (name in items[clip.caption]) == (pixels is not None)
            if pixels is not None:
                frames = to_unit(load_clip(pixels)).permute(1, 0, 2, 3)[None]
                with torch.no_grad():
                    mean = vae.encode(frames).latent_dist.mean[0]
                found = items[clip.caption][name].chunk(2)[0]
                assert torch.allclose(found, mean, atol=1e-5)


def test_clips_with_and_without_controls_are_trained_on_together(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Batches of both, by the sampler; the trainer learns from what all of them have."""
    data, store = write_data(tmp_path / "data"), tmp_path / "store"
    assert vp.encode(data, model=tiny_model, output=store, reshape="resize") is not None
    clips = vp.LatentDataset(store)
    sampler = vp.BucketBatchSampler(clips, batch_size=1, seed=0)
    seen = [clips[number] for batch in sampler for number in batch]
    assert sum("control_depth_latents" in item for item in seen) == 1
    result = vp.train(
        store, model=tiny_model, output=tmp_path / "lora", steps=2, batch_size=2, device="cpu"
    )
    assert result.steps == 2
