"""Rules about sound on real files, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import videoprep as vp
from tests.media.sounds import ffmpeg, noise, tones, write_film, write_wav
from tests.media.test_sound_scan import sine, without_packets
from tests.support.assets import write_lists
from videoprep.workers.pool import Answer, InspectionRequest, Lost, WorkerPool

RATE = 48_000
OF_SOUND = ("VP133", "VP134", "VP135", "VP136", "VP137", "VP138", "VP139", "VP140", "VP141")
OWN = {code: {"own": True} for code in ("VP134", "VP138", "VP139", "VP141")}


def found(folder: Path, **options: Any) -> dict[str, dict[str, str]]:
    """The messages about sound by video and code, as if the family took sound of 16 kHz."""
    rules = {**OWN, "VP137": {"sample_rate": 16_000}, **options.pop("rule_options", {})}
    report = vp.validate(folder, select=OF_SOUND, rule_options=rules, **options)
    told: dict[str, dict[str, str]] = {}
    for finding in report.findings:
        told.setdefault(finding.video or "", {})[finding.code] = finding.message
    return told


def film(folder: Path, name: str, *tracks: np.ndarray, **options: Any) -> str:
    """A film of 49 frames at 24 fps, 2.04 s."""
    write_film(folder / name, *tracks, frames=49, fps=24, **options)
    return name


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    names = [
        film(folder, "good.mp4", tones(2.1), codec=("aac",)),
        film(folder, "none.mp4"),
        film(folder, "silent.mp4", np.zeros((2, 2 * RATE + 9600), np.int16), codec=("aac",)),
        film(folder, "clipped.mov", np.repeat(sine(6.5, 4.0), 2, 0)),
        film(folder, "short.mov", noise(1.5)),
        film(folder, "instant.mov", noise(0.001)),
        film(folder, "late.mov", noise(3), late=0.75),
        film(folder, "low.mov", noise(3, 8000), rate=8000),
        film(folder, "surround.mov", noise(3, channels=6)),
        film(folder, "damaged.mp4", noise(3), codec=("aac",)),
        "empty.mkv",
    ]
    without_packets(folder / "empty.mkv")
    data = bytearray((folder / "damaged.mp4").read_bytes())
    sound = folder / "sound.aac"
    ffmpeg("-i", folder / "damaged.mp4", "-vn", "-c", "copy", sound)
    frame = sound.read_bytes()[2007:2047]  # inside of a packet, which lies in both files as it is
    at = data.index(frame)
    data[at - 40 : at + 40] = bytes(range(80))
    (folder / "damaged.mp4").write_bytes(bytes(data))
    sound.unlink()
    write_lists(folder, [f"A clip named {name}." for name in names], names)
    return folder


def test_each_fault_is_named(dataset: Path) -> None:
    told = found(dataset)
    codes = {name: set(codes) for name, codes in told.items()}
    assert codes == {
        "silent.mp4": {"VP135"},
        "clipped.mov": {"VP136"},
        "short.mov": {"VP134"},
        "instant.mov": {"VP134"},
        "late.mov": {"VP138"},
        "low.mov": {"VP137"},
        "surround.mov": {"VP141"},
        "damaged.mp4": {"VP140"},
        "empty.mkv": {"VP139"},
    }
    assert told["short.mov"]["VP134"] == "its sound ends 0.54 s before the last clip does"
    assert told["instant.mov"]["VP134"] == "its sound ends 2.04 s before the last clip does"
    assert told["late.mov"]["VP138"] == "its sound begins 0.75 s after a clip does"
    assert told["low.mov"]["VP137"] == "its sound has 8,000 samples a second, below 16,000"
    assert "6 channels" in told["surround.mov"]["VP141"]
    assert (
        told["empty.mkv"]["VP139"] == "its sound cannot be decoded: no sample of it can be decoded"
    )


def test_another_threshold_decodes_nothing(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(dataset)

    asked: list[InspectionRequest] = []
    run = WorkerPool.run

    def note(pool: WorkerPool, requests: Iterable[InspectionRequest]) -> Iterator[Answer | Lost]:
        asked.extend(requests := list(requests))
        return run(pool, requests)

    monkeypatch.setattr(WorkerPool, "run", note)
    told = found(dataset, rule_options={"VP135": {"level": -10.0}, "VP136": {"share": 0.9}})
    assert "VP135" in told["good.mp4"], "its tones are quieter than that"
    assert "clipped.mov" not in told
    assert asked == []


def test_of_a_sound_file_the_file_is_heard(dataset: Path, tmp_path: Path) -> None:
    """The video's own track is then not what is trained with."""
    film(tmp_path, "a.mov", np.zeros((2, 3 * RATE), np.int16))
    film(tmp_path, "b.mov", noise(3))
    write_wav(tmp_path / "a.wav", noise(3))
    write_wav(tmp_path / "b.wav", np.zeros((2, 3 * RATE), np.int16))
    write_lists(tmp_path, ["One.", "Two."], ["a.mov", "b.mov"])
    assert {name: set(codes) for name, codes in found(tmp_path).items()} == {"b.mov": {"VP135"}}
    (tmp_path / "b.wav").write_bytes(b"")
    report = vp.validate(tmp_path, select=("VP103", *OF_SOUND))
    assert [(one.code, one.video) for one in report.findings] == [("VP103", "b.mov")]


def test_by_default_nothing_is_said_of_tracks_that_no_model_hears(dataset: Path) -> None:
    report = vp.validate(dataset)
    assert not {finding.code for finding in report.findings} & {*OF_SOUND}


def test_no_sound_rule_speaks_of_a_still_image(tmp_path: Path) -> None:
    """VP108 says that a still image has no time for the sound that is named for it."""
    Image.new("RGB", (64, 64)).save(tmp_path / "still.png")
    write_wav(tmp_path / "sound.wav", noise(2))
    (tmp_path / "list.csv").write_text("video,caption,audio\nstill.png,one,sound.wav\n")
    report = vp.validate(tmp_path, select=("all",))
    assert {one.code for one in report.findings} >= {"VP108"}
    assert "VP903" not in {one.code for one in report.findings}
