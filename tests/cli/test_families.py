"""`videoprep encode` of real clips for every family, text-to-video and image-to-video."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import videoprep as vp
from tests.support import (
    tiny_cogvideox15,
    tiny_cosmos,
    tiny_hunyuan_video,
    tiny_hunyuan_video15,
    tiny_ltx2,
    tiny_ltx_video,
    tiny_wan,
)
from videoprep.demo.tiny_model import build_tiny_model

Run = Callable[..., "CompletedProcess[str]"]

ALWAYS = {"video_latents", "prompt_embeds"}
MODELS: dict[str, tuple[Callable[[Path], Path], str, set[str], set[str]]] = {
    "cogvideox": (build_tiny_model, "cogvideox", ALWAYS, {"image_latents"}),
    "cogvideox1.5": (tiny_cogvideox15.build, "cogvideox1.5", ALWAYS, {"image_latents"}),
    "wan-t2v": (tiny_wan.build_wan, "wan", ALWAYS, {"condition_latents"}),
    "wan-i2v": (tiny_wan.build_wan_i2v, "wan", ALWAYS, {"condition_latents", "image_embeds"}),
    "wan2.2-ti2v-5b": (tiny_wan.build_wan22_5b, "wan2.2-ti2v-5b", ALWAYS, {"image_latents"}),
    "hunyuan-video": (
        tiny_hunyuan_video.build, "hunyuan-video", ALWAYS | {"pooled_embeds"}, {"image_latents"},
    ),
    "hunyuan-video-1.5": (
        tiny_hunyuan_video15.build_i2v, "hunyuan-video-1.5", ALWAYS | {"glyph_embeds"},
        {"image_latents", "image_embeds"},
    ),
    "hunyuan-video-i2v": (
        tiny_hunyuan_video.build_i2v, "hunyuan-video-i2v", ALWAYS | {"pooled_embeds"},
        {"image_latents"},
    ),
    "hunyuan-video-framepack": (
        tiny_hunyuan_video.build_framepack, "hunyuan-video-framepack", ALWAYS | {"pooled_embeds"},
        {"image_latents", "image_embeds"},
    ),
    "skyreels-v1": (
        tiny_hunyuan_video.build_skyreels, "skyreels-v1", ALWAYS | {"pooled_embeds"},
        {"image_latents"},
    ),
    "ltx-video": (tiny_ltx_video.build, "ltx-video", ALWAYS, {"image_latents"}),
    "ltx-2": (
        tiny_ltx2.build_ltx23, "ltx-2", ALWAYS | {"audio_prompt_embeds", "audio_latents"},
        {"image_latents"},
    ),
    "cosmos2.5": (tiny_cosmos.build_cosmos25, "cosmos2.5", ALWAYS, {"image_latents"}),
}  # fmt: skip
"""How a tiny model is built, its family, and the components made always and for image-to-video."""


@pytest.mark.parametrize("name", MODELS)
def test_real_clips_are_encoded(run_cli: Run, real_clips: Path, tmp_path: Path, name: str) -> None:
    build, family, always, more = MODELS[name]
    model, store = build(tmp_path / "model"), tmp_path / "store"
    command = ["encode", real_clips, "--model", model, "-o", store, "--device", "cpu"]
    command += ["--profile", family, "--reshape", "center-crop", "--buckets", "9x64x96"]
    done = run_cli(*command)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1), done.stderr
    data = vp.LatentDataset(store)
    assert (data.info.family, set(data.components)) == (family, always)
    clips = len(data)
    assert clips >= 7
    done = run_cli(*command, "--image-latents")
    assert done.returncode in (0, 1), done.stderr
    data = vp.LatentDataset(store)
    assert set(data.components) == always | more
    assert (len(data), data.incomplete) == (clips, 0)
    for item in data:
        made = [component for component in data.components if component not in item["absent"]]
        assert all(item[component].isfinite().all() for component in made)
    checked = run_cli("verify", store)
    assert checked.returncode == 0, checked.stdout


def test_a_plan_for_another_family_is_refused_before_anything_is_written(
    run_cli: Run, dataset: Path, tmp_path: Path
) -> None:
    model = tiny_ltx_video.build(tmp_path / "model")
    store = tmp_path / "store"
    command = ["encode", dataset, "--model", model, "-o", store, "--device", "cpu"]
    done = run_cli(*command, "--reshape", "center-crop", "--buckets", "5x64x96")
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert "buckets illegal for the profile 'ltx-video': 5×64×96" in said
    assert not store.exists()


def test_a_store_is_for_one_family(
    run_cli: Run, dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    options = ["-o", store, "--device", "cpu", "--reshape", "center-crop", "--buckets", "9x64x96"]
    hunyuan = tiny_hunyuan_video.build(tmp_path / "model")
    done = run_cli("encode", dataset, "--model", hunyuan, "--profile", "hunyuan-video", *options)
    assert done.returncode in (0, 1), done.stderr
    refused = run_cli("encode", dataset, "--model", tiny_model, *options)
    assert refused.returncode == 2
    assert "'hunyuan-video'" in refused.stderr
    assert "'cogvideox'" in refused.stderr
    trained = run_cli("train", store, "--model", hunyuan, "-o", tmp_path / "lora", "--steps", "1")
    assert trained.returncode == 2
    assert "this trainer is for 'cogvideox'" in " ".join(trained.stderr.split())


def test_a_plan_tells_what_image_to_video_takes(run_cli: Run, dataset: Path) -> None:
    options = ["--reshape", "center-crop", "--buckets", "9x64x96", "--output-format", "json"]
    sizes = {}
    for profile in ("wan", "wan2.2-ti2v-5b"):
        done = run_cli("index", dataset, "--profile", profile, *options)
        assert done.returncode in (0, 1), done.stderr
        parts = {one["name"]: one["bytes"] for one in json.loads(done.stdout)["components"]}
        sizes[profile] = parts
    assert sizes["wan"]["condition_latents"] == sizes["wan"]["video_latents"]
    assert 0 < sizes["wan2.2-ti2v-5b"]["image_latents"] < sizes["wan2.2-ti2v-5b"]["video_latents"]
