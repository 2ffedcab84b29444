"""Everything that a sample may have, from one list to a training step, and counted everywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import videoprep as vp
from tests.support.masks import averaged
from tests.support.mixed_dataset import FURTHER, OPTIONS, PLANNED, ROWS, write_mixed_dataset
from tests.support.tiny_wan import build_wan_i2v
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of
from videoprep.index.clip import Clip
from videoprep.index.role_counts import count_roles
from videoprep.index.summary import summarize
from videoprep.media.clip import load_clip, normalize
from videoprep.spec.roles import VIDEO

WANTED: Mapping[str, Mapping[str, Any]] = {
    "cogvideox": {"image_latents": True},
    "wan": {"image_latents": True, "last_frame": True},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed_dataset(tmp_path_factory.mktemp("mixed") / "data")


@pytest.fixture(params=WANTED)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(family: str, tiny_model: Path, tmp_path: Path) -> Path:
    return tiny_model if family == "cogvideox" else build_wan_i2v(tmp_path / "model")


def _encode(data: Path, model: Path, family: str, store: Path) -> vp.BucketIndex:
    index = vp.BucketIndex.build(data, profile=family, **OPTIONS)
    options = {**WANTED[family], "mask_meaning": "loss", "dtype": "fp32"}
    result = vp.encode(index, model=model, output=store, device="cpu", progress="none", **options)
    assert result is not None
    assert (result.samples, len(result.left_out)) == (len(ROWS), 1)
    assert (result.clips, result.complete, result.failed) == (len(index), len(index), 0)
    return index


def test_each_tensor_computed_a_second_way(
    data: Path, model: Path, family: str, tmp_path: Path
) -> None:
    """By the parts of the model, called on pixels that are decoded clip by clip."""
    index = _encode(data, model, family, tmp_path / "store")
    stored = vp.LatentDataset(tmp_path / "store")
    folder = ModelFolder(model, family)
    made = Counter[str]()
    for number, clip in enumerate(index.clips()):
        expected = dict(_second_way(clip, folder, family_of(folder)))
        item = stored[number]
        assert expected.keys() - {"prompt_embeds"} == expected.keys() & item.keys()
        for name, tensor in expected.items():
            assert torch.allclose(item[name], tensor, rtol=0, atol=2e-5), (clip.video, name)
        assert item.keys() & {*item["absent"]} == set()
        made.update(expected.keys())
    assert made["video_latents"] == len(index)
    assert 0 < made["mask"] < len(index)
    assert 0 < made["control_depth_latents"] < made["mask"]
    assert made["image_latents" if family == "cogvideox" else "first_last_latents"]


def _second_way(
    clip: Clip, folder: ModelFolder, family: Family
) -> Iterator[tuple[str, torch.Tensor]]:
    for name, spec in components_of(family, folder, clip.media).items():
        source = spec.source
        if name == "noisy_image_latents" or not source.frames:
            continue
        pixels = clip.pixels_of(source.role)
        if pixels is None or (clip.is_still and source.of_video_alone):
            continue
        if source.role != VIDEO and source.role.is_mask:
            frames = load_clip(pixels).numpy()[:, 0]
            groups = _groups(len(frames))
            yield name, torch.from_numpy(averaged(frames, groups)).float()
            continue
        shown = normalize(load_clip(pixels)).permute(1, 0, 2, 3)[None]
        taken = shown[:, :, list(source.decoded(shown.shape[2]))]
        encoder = family.load_frame_encoder(
            folder, spec, torch.device("cpu"), torch.float32, tiling=False
        )
        yield name, encoder.encode(source.arrange(taken, shown.shape[2]))[0]


def _groups(frames: int) -> list[range]:
    """Of 4k+1 frames: the first alone, then four each."""
    return [range(1), *(range(first, first + 4) for first in range(1, frames, 4))]


def test_counts_add_up_everywhere(
    data: Path, model: Path, family: str, tmp_path: Path, run_cli: Callable[..., CompletedProcess]
) -> None:
    store = tmp_path / "store"
    index = _encode(data, model, family, store)
    summary, roles = summarize(index), count_roles(index)
    clips = list(index.clips())
    assert (summary.planned, summary.samples) == (PLANNED, len(ROWS))
    assert (summary.clips, summary.assignments) == (PLANNED, len(clips))
    assert sum(one.mean_draws for one in summary.buckets) == pytest.approx(PLANNED)
    assert summary.stills == sum(clip.is_still for clip in clips)
    assert roles.clips["control:depth"] == sum("control:depth" in clip.media for clip in clips)
    assert roles.clips["mask"] == sum("mask" in clip.media for clip in clips)
    assert roles.clips["audio"] == sum(clip.has_audio for clip in clips) > 0

    status = vp.status(store, index)
    assert status.ok
    for name, counted in status.components.items():
        assert counted.planned == counted.done, name
        assert (counted.to_do, counted.stale) == (0, 0), name
    assert status.components["mask"].absent == len(clips) - roles.clips["mask"]
    prompts = {clip.caption for clip in clips} | {*FURTHER}
    assert status.components["prompt_embeds"].planned == len(prompts)
    verified = vp.verify(store)
    assert verified.ok

    vp.report(store, tmp_path / "report.html", previews=0)
    page = (tmp_path / "report.html").read_text()
    assert f"bucket assignments with mask: {roles.clips['mask']} of {len(clips)}" in page
    shown = vp.preview(store, output=tmp_path / "preview.html", clips=len(clips), without_vae=True)
    assert (shown.clips, len(shown.pictures)) == (len(clips), len(clips))
    told = run_cli("status", store)
    assert told.returncode == 0, told.stderr
    assert (
        f"mask: {len(clips) - roles.clips['mask']} bucket assignments without, as planned"
        in told.stdout
    )


def test_batches_never_mix_and_captions_are_drawn(
    data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    _encode(data, tiny_model, "cogvideox", tmp_path / "store")
    stored = vp.LatentDataset(tmp_path / "store")
    sampler = vp.BucketBatchSampler(stored, 2)
    loader = sampler.count(DataLoader(stored, batch_sampler=sampler, collate_fn=vp.collate))
    captions, videos = Counter[str](), Counter[str]()
    for _ in range(40):
        for batch in loader:
            assert len({tuple(row["video"] for row in batch["metadata"])}) == 1
            captions.update(batch["caption"])
            videos.update(row["video"] for row in batch["metadata"])
    assert {*FURTHER, "A first caption."} <= captions.keys()
    assert videos.keys() == {row["video"] for row in ROWS[:-1]}


def test_a_step_of_training(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    _encode(data, tiny_model, "cogvideox", tmp_path / "store")
    trained = vp.train(
        tmp_path / "store", model=tiny_model, output=tmp_path / "lora", steps=2, device="cpu"
    )
    assert (trained.steps, trained.skipped, trained.incomplete) == (2, 0, 0)
    assert np.isfinite(trained.loss_after)
