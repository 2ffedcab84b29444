"""The speed of the last run: kept, read back, and refused where it makes no sense."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from videoprep.index.calibration import NAME, Calibration, estimate, recall, remember
from videoprep.index.summary import ComponentSummary

_SPEED = Calibration("THUDM/CogVideoX-2b", "NVIDIA H100", "bfloat16", 1e6, 20)
_PARTS = (
    ComponentSummary("video_latents", 3, 50_000_000, 1),
    ComponentSummary("image_latents", 3, 1_000_000, 1, "image_latents"),
    ComponentSummary("prompt_embeds", 40, 0, 1),
)


def test_seconds() -> None:
    assert estimate(_PARTS, _SPEED) == 50 + 2
    assert estimate(_PARTS, _SPEED, image_latents=True) == 51 + 2


def test_remembered_and_recalled(tmp_path: Path) -> None:
    assert recall(tmp_path) is None
    remember(tmp_path, _SPEED)
    assert recall(tmp_path) == _SPEED
    assert os.listdir(tmp_path / ".videoprep") == [NAME]


def test_a_read_only_dataset_keeps_it_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "data"
    root.mkdir(mode=0o555)
    remember(root, _SPEED)
    assert os.listdir(root) == []
    assert recall(root) == _SPEED


def test_what_cannot_be_written_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".videoprep").write_text("a file, no folder")
    remember(tmp_path, _SPEED)
    assert "is not kept" in caplog.text
    remember(tmp_path / "gone", _SPEED)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "{",
        "[]",
        "[" * 9000,
        json.dumps({**asdict(_SPEED), "more": 1}),
        json.dumps({**asdict(_SPEED), "model": 5}),
        json.dumps({**asdict(_SPEED), "pixels_per_second": 0}),
        json.dumps({**asdict(_SPEED), "pixels_per_second": True}),
        json.dumps({**asdict(_SPEED), "pixels_per_second": "1"}),
        json.dumps({**asdict(_SPEED), "captions_per_second": float("inf")}),
        json.dumps({**asdict(_SPEED), "captions_per_second": float("nan")}),
        json.dumps({**asdict(_SPEED), "captions_per_second": 1e-300}),
        json.dumps({**asdict(_SPEED), "captions_per_second": 10**400}),
        json.dumps({**asdict(_SPEED), "model": "x" * 20_000}),
    ],
)
def test_a_strangers_file_is_not_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, written: str
) -> None:
    (tmp_path / ".videoprep").mkdir()
    (tmp_path / ".videoprep" / NAME).write_text(written)
    assert recall(tmp_path) is None
    assert "is not known" in caplog.text


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ".videoprep" / NAME
    file.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        (tmp_path / "elsewhere").write_text(json.dumps(asdict(_SPEED)))
        file.symlink_to(tmp_path / "elsewhere")
    assert recall(tmp_path) is None
