"""A target and its control are each decoded once, in one pass over the frames of a clip."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import videoprep as vp
from tests.support.assets import write_video

CLIPS = 3


def test_a_target_and_its_control_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    data, log, store = tmp_path / "data", tmp_path / "log", tmp_path / "store"
    write_video(data / "a.mp4", frames=27, fps=8)
    write_video(data / "depth.mp4", frames=81, fps=24, width=48, height=32)
    (data / "list.csv").write_text("video,control,caption\na.mp4,depth.mp4,A caption.\n")
    monkeypatch.setenv("VIDEOPREP_FAILPOINTS_LOG", str(log))  # a line a clip that is decoded
    index = vp.BucketIndex.build(
        data, reshape="center-crop", target_fps=8, frame_buckets=(9,), clip_mode="chunk"
    )
    result = vp.encode(index, model=tiny_model, output=store, device="cpu", progress="none")
    assert result is not None
    assert (result.complete, result.failed) == (CLIPS, 0)
    lines = log.read_text().splitlines()
    decoded = Counter(line.split(" ", 2)[2] for line in lines if " decode " in line)
    assert decoded == {str(data / "a.mp4"): CLIPS, str(data / "depth.mp4"): CLIPS}
