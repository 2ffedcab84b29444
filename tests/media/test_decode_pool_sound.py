"""Sound from decoding processes: beside pixels or instead of them, and the same limits for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.media.sounds import floats, noise, write_film, write_wav
from tests.media.test_decode_pool import _clip
from tests.support.assets import write_video
from tests.support.processes import nothing_left
from videoprep.errors import Code, MediaError, SourceError, VideoprepError
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.media.audio import load_audio
from videoprep.media.clip import load_clip
from videoprep.media.clip_request import ClipRequest, ClipSound
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.workers.pool import Limits

pytestmark = pytest.mark.usefixtures("fresh_workers")

Result = Decoded | VideoprepError


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three films with sound of their own: 0.mov, 1.mov, 2.mov."""
    folder = tmp_path_factory.mktemp("films")
    return [write_film(folder / f"{n}.mov", noise(4, channels=1 + n % 2, seed=n)) for n in range(3)]


def asked(path: Path, indices: Sequence[int] = range(50, 75), **options: object) -> ClipRequest:
    """Pixels and sound of some frames."""
    pixels = _clip(path, indices)
    sound = ClipSound.of(pixels.frames, pixels.fingerprint, Fraction(25), **options)  # type: ignore[arg-type]
    return ClipRequest(pixels, sound)


def run(pool: DecodePool, clips: Sequence[ClipRequest]) -> list[Result]:
    """What comes back; copies, and released."""
    results: list[Result] = []
    for number, result in pool.run(enumerate(clips)):
        assert number == len(results)
        if isinstance(result, Decoded):
            sound = result.sound
            if sound is not None:
                sound = replace(sound, samples=sound.samples.copy())
            kept = Decoded(result.pixels.clone(), sound, result.damage, lambda: None)
            result.release()
            results.append(kept)
        else:
            results.append(result)
    return results


def decoded(result: Result) -> Decoded:
    assert isinstance(result, Decoded), result
    return result


def test_pixels_and_sound_are_those_of_the_functions(films: list[Path]) -> None:
    clips = [asked(films[0]), asked(films[1], sample_rate=16_000, channels=2), asked(films[2])]
    with DecodePool(size=2, memory=200 << 20) as pool:
        results = run(pool, clips * 2)
    for clip, result in zip(clips * 2, results, strict=True):
        found = decoded(result)
        assert clip.pixels is not None
        assert clip.sound is not None
        assert torch.equal(found.pixels, load_clip(clip.pixels))
        wanted = load_audio(
            clip.path, (Fraction(2), Fraction(3)), clip.sound.sample_rate, clip.sound.channels
        )
        assert found.sound is not None
        assert np.array_equal(found.sound.samples, wanted.samples)
        assert found.sound.state == wanted.state == "complete"
        assert (found.sound.sample_rate, found.sound.count) == (wanted.sample_rate, wanted.count)
        assert found.damage is None


def test_sound_alone(films: list[Path]) -> None:
    clip = ClipRequest(None, asked(films[0]).sound)
    with DecodePool(size=1, memory=1 << 20) as pool:
        (result,) = run(pool, [clip])
    found = decoded(result)
    assert found.pixels.shape == (0, 3, 0, 0)
    assert found.sound is not None
    assert np.array_equal(found.sound.samples, floats(noise(4, channels=1))[:, 96_000:144_000])


def test_pixels_alone_have_no_sound(films: list[Path]) -> None:
    clip = asked(films[0])
    assert clip.pixels is not None
    with DecodePool(size=1, memory=1 << 20) as pool:
        for _, result in pool.run([(0, clip.pixels), (1, ClipRequest(clip.pixels, None))]):
            found = decoded(result)
            assert found.sound is None
            assert torch.equal(found.pixels, load_clip(clip.pixels))
            found.release()


def test_sound_of_another_file(films: list[Path], tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "a.wav", noise(2, seed=9))
    pixels = asked(films[0]).pixels
    sound = ClipSound(wav, fingerprint_of(wav), Fraction(1, 2), 0, Fraction(1))
    with DecodePool(size=1, memory=1 << 20) as pool:
        (result,) = run(pool, [ClipRequest(pixels, sound)])
    found = decoded(result)
    assert found.sound is not None
    assert np.array_equal(found.sound.samples, floats(noise(2, seed=9))[:, 24_000:72_000])


def test_no_sound_and_less_than_all(films: list[Path], tmp_path: Path) -> None:
    silent = write_video(tmp_path / "silent.mp4")
    late = write_film(tmp_path / "late.mkv", noise(2), late=2.4)
    with DecodePool(size=1, memory=1 << 20) as pool:
        none, padded, part = run(
            pool,
            [
                asked(silent, range(8), sample_rate=16_000, channels=2),
                asked(silent, range(8), sample_rate=16_000, channels=2, pad=True),
                asked(late),
            ],
        )
    sounds = [decoded(result).sound for result in (none, padded, part)]
    assert [sound and sound.state for sound in sounds] == ["none", "none", "starts 0.400 s late"]
    shapes = [sound.samples.shape for sound in sounds if sound is not None]
    assert shapes == [(2, 0), (2, 5120), (2, 28_800)]


def test_frames_whose_times_are_not_told(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.avi", noise(4), options=("-c:v", "mpeg4"))
    clip = asked(path)
    assert clip.pixels is not None
    frames = replace(clip.pixels.frames, ticks=None)
    sound = ClipSound.of(frames, clip.pixels.fingerprint, Fraction(25))
    assert sound.start is None
    with DecodePool(size=1, memory=1 << 20) as pool:
        (result,) = run(pool, [ClipRequest(None, sound)])
    found = decoded(result).sound
    assert found is not None
    assert np.array_equal(found.samples, floats(noise(4))[:, 96_000:144_000])


def test_memory_bounds_sound_too(films: list[Path]) -> None:
    """A clip that is larger than the pool's memory lies beyond it, at no page's beginning."""
    clips = [asked(path, range(10), sample_rate=48_000) for path in films] * 3
    room = clips[0].most_bytes
    pulled: list[int] = []

    def pulling() -> Iterator[tuple[int, ClipRequest]]:
        for number, clip in enumerate(clips):
            pulled.append(number)
            yield number, clip

    held = []
    with DecodePool(size=2, memory=room // 2) as pool:
        for number, result in pool.run(pulling()):
            assert len(pulled) <= number + 2
            held.append(decoded(result))
        for clip, found in zip(clips, held, strict=True):
            assert found.sound is not None
            wanted = load_audio(clip.path, (Fraction(0), Fraction(2, 5)), 48_000)
            assert np.array_equal(found.sound.samples, wanted.samples)
            found.release()
        taken = os.fstat(pool._arena.memory.number).st_blocks * 512
        assert taken <= room // 2 + os.sysconf("SC_PAGE_SIZE")


def spoiled(path: Path) -> Path:
    """The same with a stretch of sound that does not decode, from 2 s on."""
    import av

    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.pts) for p in container.demux(audio=0) if p.size]
    for at, size, pts in packets:
        if 2100 <= (pts or 0) < 2200:
            data[at + 5 : at + size] = b"\xff" * (size - 5)
    path.write_bytes(data)
    return path


def test_damaged_sound(films: list[Path], tmp_path: Path) -> None:
    bad = asked(spoiled(write_film(tmp_path / "a.mkv", noise(4), codec=("aac",))))
    with DecodePool(size=1, memory=10 << 20) as pool:
        error, good = run(pool, [bad, asked(films[0])])
    assert isinstance(error, MediaError)
    assert (error.code, error.where) == (Code.DAMAGED_SOUND, str(bad.path))
    assert decoded(good).sound is not None
    with DecodePool(size=1, memory=10 << 20, allow_damaged=True) as pool:
        (taken,) = run(pool, [bad])
    found = decoded(taken)
    assert found.damage is not None
    assert found.damage.startswith("damaged sound (the decoder says: ")
    assert found.sound is not None
    assert found.sound.damage
    assert found.sound.samples.shape == (2, 48_000)


def test_a_source_that_changed(films: list[Path], tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mov", noise(4))
    clip = ClipRequest(None, asked(path).sound)
    write_film(path, noise(4, seed=1))
    with DecodePool(size=1, memory=1 << 20) as pool:
        changed, good = run(pool, [clip, asked(films[0])])
    assert isinstance(changed, SourceError)
    assert "changed" in str(changed)
    assert isinstance(good, Decoded)


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ("segv", Code.DECODER_CRASH),
        ("hang", Code.TIME_LIMIT),
        ("memory", Code.MEMORY_LIMIT),
    ],
)
def test_what_befalls_a_decoder_costs_its_clip_alone(
    action: str, code: Code, films: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOPREP_FAILPOINTS", f"decode={action}*0@/1.mov")
    clips = [ClipRequest(None, asked(path).sound) for path in films]
    limits = Limits(seconds=0.3) if action == "hang" else Limits()
    with DecodePool(size=2, memory=10 << 20, limits=limits) as pool:
        first, lost, last = run(pool, clips)
    assert isinstance(first, Decoded)
    assert isinstance(last, Decoded)
    assert isinstance(lost, MediaError)
    assert (lost.code, lost.where) == (code, str(films[1]))


def test_sound_that_takes_too_much_memory(films: list[Path]) -> None:
    long = replace(asked(films[0]).sound, length=Fraction(3600), sample_rate=48_000, channels=1)  # type: ignore[type-var]
    with DecodePool(size=1, memory=1 << 20, limits=Limits(memory_mib=64)) as pool:
        error, good = run(pool, [ClipRequest(None, long), ClipRequest(None, asked(films[1]).sound)])
    assert isinstance(error, MediaError)
    assert error.code is Code.MEMORY_LIMIT
    assert isinstance(good, Decoded)


def test_requests_survive_the_way() -> None:
    sound = ClipSound(
        Path("a"),
        "f",
        Fraction(7, 2),
        3,
        Fraction(49, 24),
        sample_rate=48_000,
        channels=2,
        pad=True,
    )
    assert ClipSound.from_json(sound.to_json()) == sound
    counted = replace(sound, start=None)
    assert ClipRequest.from_json(ClipRequest(None, counted).to_json()) == ClipRequest(None, counted)
