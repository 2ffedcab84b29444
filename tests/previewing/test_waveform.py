"""The sound of a clip, drawn: the samples of exactly its frames."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import videoprep as vp
from tests.media.sounds import Samples, floats, noise, write_film, write_wav
from tests.support.assets import write_lists
from videoprep.errors import PlanError
from videoprep.previewing.run import Preview
from videoprep.previewing.waveform import COLUMNS, Waveform

RATE = 16_000
PLAN = {"frame_buckets": (9,), "reshape": "center-crop"}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Films of 17 frames at 8 fps: with sound, without, and with sound in a file."""
    data = tmp_path / "data"
    write_film(data / "film.mov", noise(3, RATE), rate=RATE, frames=17, fps=8)
    write_film(data / "late.mov", noise(3, RATE), rate=RATE, frames=17, fps=8, late=0.5)
    write_film(data / "silent.mov", frames=17, fps=8)
    write_film(data / "beside.mov", noise(3, RATE), rate=RATE, frames=17, fps=8)
    write_wav(data / "beside.wav", noise(3, RATE, channels=1, seed=5), RATE)
    names = ["film.mov", "late.mov", "silent.mov", "beside.mov"]
    write_lists(data, [f"A film, {name}." for name in names], names)
    return data


def waveforms(seen: Preview) -> dict[str, Waveform | None]:
    return {picture.measure.clip.video: picture.sound for picture in seen.pictures}


def reach(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest sample of each part of a clip's time, one after the other."""
    parts = np.array_split(np.arange(samples.shape[1]), COLUMNS)
    edges = [floats(samples)[:, part] for part in parts]
    low, high = (np.stack([f(one, axis=1) for one in edges], 1) for f in (np.min, np.max))
    return low, high


def test_are_the_samples_of_exactly_the_frames(dataset: Path) -> None:
    """Of nine frames at 8 fps, which are 18,000 samples: 15 in each column."""
    count = round(9 / 8 * RATE)
    drawn = waveforms(vp.preview(dataset, **PLAN))
    assert {name: wave is None for name, wave in drawn.items()} == {
        "film.mov": False, "late.mov": False, "silent.mov": True, "beside.mov": False,
    }  # fmt: skip
    wanted = {"film.mov": noise(3, RATE), "beside.mov": noise(3, RATE, channels=1, seed=5)}
    for name, samples in wanted.items():
        wave = drawn[name]
        assert wave is not None
        low, high = reach(samples[:, :count])
        assert np.array_equal(wave.low, low)
        assert np.array_equal(wave.high, high)
        assert wave.there == (0.0, 1.0)
    assert str(drawn["film.mov"]) == "stereo, 16,000 Hz"
    late = drawn["late.mov"]
    assert late is not None
    assert str(late) == "stereo, 16,000 Hz, starts 0.500 s late"
    assert late.there == (pytest.approx(0.5 / 1.125, abs=1e-3), 1.0)


def test_is_part_of_every_form(dataset: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    seen = vp.preview(dataset, output=page, **PLAN)
    assert page.read_text().count("<figcaption>sound</figcaption>") == 3
    assert "sound: stereo, 16,000 Hz" in page.read_text()
    silent = vp.preview(dataset, videos=["silent.mov"], **PLAN)
    heard = vp.preview(dataset, videos=["film.mov"], **PLAN)
    assert len(heard.png()) > len(silent.png())
    measures = [picture.measure.to_json() for picture in seen.pictures]
    assert [one["has_audio"] for one in measures] == [True, True, False, True]
    for videos, height in ((["film.mov", "silent.mov"], 72), (["silent.mov"], 0)):
        film = tmp_path / "film.mp4"
        vp.preview(dataset, output=film, videos=videos, **PLAN)
        with av.open(str(film)) as container:
            assert container.streams.video[0].height == 68 + 448 + height


def test_sound_that_does_not_decode_costs_no_picture(dataset: Path) -> None:
    """It is told, and is no failure: whether the model hears, a preview does not know."""
    film = dataset / "film.mov"
    write_film(film, noise(3, 48_000), codec=("aac",), frames=17, fps=8)
    index = vp.BucketIndex.build(dataset, **PLAN)
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.pos is not None and p.size]
    for at, size in places[5:20]:
        data[at : at + size] = bytes([0xFF]) * size
    film.write_bytes(bytes(data))
    index = vp.BucketIndex.build(dataset, **PLAN)
    seen = vp.preview(index, videos=["film.mov"])
    (picture,) = seen.pictures
    assert [fault.kind for fault in picture.measure.faults] == ["sound"]
    assert picture.source is not None
    assert seen.ok


def test_a_sound_file_outside_of_the_root_is_not_opened(dataset: Path, tmp_path: Path) -> None:
    """A plan may come from a stranger."""
    write_wav(tmp_path / "out.wav", noise(3, RATE), RATE)
    (dataset / "beside.wav").unlink()
    (dataset / "beside.wav").symlink_to(tmp_path / "out.wav")
    trusted = vp.BucketIndex.build(dataset, allow_outside_root=True, **PLAN)
    index = vp.BucketIndex(trusted.table, dataset, {**trusted.policy, "allow_outside_root": False})
    with pytest.raises(PlanError, match=r"outside the data root: beside\.wav"):
        vp.preview(index)


def test_drawing() -> None:
    """Full scale reaches the edges of its channel, silence lies on its axis."""
    low = np.array([[0, -1, 0, 0]], np.float32)
    high = np.array([[0, 1, 0.5, 0]], np.float32)
    wave = Waveform(low, high, (0.0, 0.75), RATE, "mono", "ends 0.1 s early")
    picture = wave.draw(8, [0.0])
    assert picture.shape == (44, 8, 3)
    blue = (picture == (122, 180, 255)).all(axis=2)
    assert blue.sum(axis=0).tolist() == [0, 1, 43, 43, 12, 12, 1, 1]
    assert blue[0].tolist() == [False, False, True, True, False, False, False, False]
    assert (picture[5, :] == (24, 28, 34)).all(axis=1).tolist() == [False] * 6 + [True] * 2
    assert (picture[:, 0] == (255, 214, 10)).all(), "the line of a frame"


def test_no_peak_is_lost_in_a_narrow_picture() -> None:
    low = np.zeros((2, 1000), np.float32)
    high = low.copy()
    high[0, 777] = 1.0
    wave = Waveform(low, high, (0.0, 1.0), RATE, "stereo", "complete")
    picture = wave.draw(50)
    assert picture.shape == (88, 50, 3)
    assert (picture[0, 38] == (122, 180, 255)).all()
