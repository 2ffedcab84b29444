"""The sound of a clip: exactly the samples of its frames, or what is missing, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.media.sounds import (
    decoded_by_ffmpeg,
    ffmpeg,
    floats,
    noise,
    tones,
    write_film,
    write_wav,
)
from tests.support.assets import write_video
from videoprep.errors import Code, MediaError, SourceError
from videoprep.media import audio as module
from videoprep.media.audio import (
    AudioTimes,
    load_audio,
    plan_samples,
    sample_count,
    times_of,
)
from videoprep.media.decode import FrameChoice
from videoprep.media.probe import probe

HALF = Fraction(1, 2)


def between(start: float, end: float) -> AudioTimes:
    return Fraction(str(start)), Fraction(str(end))


def choice(path: Path, indices: Sequence[int]) -> FrameChoice:
    info = probe(path)
    stamps = info.timestamps
    ticks = [int(stamps.ticks[n]) for n in indices] if stamps.timed else None
    return FrameChoice(path, info.stream, indices, ticks, stamps.time_base)


# Planning


def test_the_worked_example() -> None:
    frames = FrameChoice(
        Path("a"), 0, range(84, 133), range(44_800, 70_000, 512), Fraction(1, 12_800)
    )
    times = times_of(frames, Fraction(24))
    assert times == (Fraction(7, 2), Fraction(7, 2) + Fraction(49, 24))
    window = plan_samples(times, 48_000, 48_000)
    assert (window.first, window.last, window.count) == (168_000, 266_000, 98_000)
    assert (window.begin, window.end, window.lead) == (168_000, 266_000, 0)


@pytest.mark.parametrize(
    ("frames", "fps", "rate", "count"),
    [
        (49, 24, 48_000, 98_000),
        (121, 25, 16_000, 77_440),
        (81, 16, 44_100, 223_256),  # 223256.25
        (49, Fraction(24_000, 1001), 48_000, 98_098),
        (1, 3, 16_000, 5333),
        (1, 32_000, 16_000, 1),  # a half is rounded up
    ],
)
def test_how_many_samples_there_are(frames: int, fps: Any, rate: int, count: int) -> None:
    start = Fraction(7, 2)
    assert sample_count((start, start + frames / Fraction(fps)), rate) == count


RATES = st.sampled_from([8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 44_056])


@given(RATES, RATES, st.fractions(-5, 1000), st.fractions(0, 20))
def test_the_result_lies_on_the_clips_first_sample(
    source: int, rate: int, start: Fraction, length: Fraction
) -> None:
    window = plan_samples((start, start + length), source, rate)
    assert window.begin <= window.first <= window.last <= window.end
    assert abs(Fraction(window.first, source) - start) <= Fraction(1, 2 * source)
    # The first that is decoded and the first of the clip are whole numbers of samples apart.
    assert Fraction(window.lead, rate) == Fraction(window.first - window.begin, source)
    assert Fraction(window.end - window.first, source) >= Fraction(window.count, rate)


# Samples as they are


LOSSLESS = [
    ("a.mkv", ("pcm_s16le",)),
    ("a.mov", ("pcm_s16le",)),
    ("a.mov", ("pcm_s24le",)),
    ("a.mov", ("pcm_f32le",)),
    ("a.mkv", ("flac",)),
    ("a.mp4", ("flac", "-strict", "-2")),
    ("a.mov", ("alac",)),
    ("a.avi", ("pcm_s16le",)),
    ("a.mkv", ("wavpack",)),
]


@pytest.mark.parametrize(("name", "codec"), LOSSLESS)
@pytest.mark.parametrize(("start", "end"), [(0, 1), (1.0400625, 2.5), (13.37, 15.001)])
def test_exactly_the_samples(
    name: str, codec: tuple[str, ...], start: float, end: float, tmp_path: Path
) -> None:
    """Those from 13 s on are sought, if the codec allows it."""
    samples = noise(16)
    path = write_film(tmp_path / name, samples, frames=400, codec=codec)
    sound = load_audio(path, between(start, end))
    first, count = math.floor(start * 48_000 + 0.5), round((end - start) * 48_000)
    assert (sound.sample_rate, sound.count, sound.state) == (48_000, count, "complete")
    assert sound.samples.dtype == np.float32
    # Matroska counts milliseconds: from where it was sought it is known to half of one.
    slack = 24 if name.endswith("mkv") and start > 10 else 0
    places = [
        at
        for at in range(first - slack, first + slack + 1)
        if np.array_equal(sound.samples, floats(samples)[:, at : at + count])
    ]
    assert len(places) == 1


def test_a_jump_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_film(tmp_path / "a.mp4", noise(30), frames=750, codec=("libmp3lame",))
    begun: list[Fraction] = []
    real = module._Track.put

    def put(track: module._Track, frame: Any) -> None:
        begun.append(frame.pts * frame.time_base)
        real(track, frame)

    monkeypatch.setattr(module._Track, "put", put)
    far = load_audio(path, between(20, 21))
    assert 18 < begun[0] < 19.8
    assert len(begun) < 120
    monkeypatch.setattr(module, "_NEAR", 10**6)
    begun.clear()
    whole = load_audio(path, between(20, 21))
    assert begun[0] == 0
    assert np.array_equal(far.samples, whole.samples)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "aac"),
        ("a.mkv", "aac"),
        ("a.ts", "aac"),
        ("a.ts", "ac3"),
        ("a.mp4", "libmp3lame"),
        ("a.mkv", "libopus"),
        ("a.mkv", "libvorbis"),
        ("a.mpg", "mp2"),
        ("a.flv", "aac"),
    ],
)
def test_a_jump_gives_what_decoding_from_the_beginning_gives(
    name: str, codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = (codec, "-b:a", "256k")
    path = write_film(
        tmp_path / name, tones(16), rate=48_000, frames=400, codec=encoder, options=("-ar", "48000")
    )
    begin = times_of(choice(path, [350]), Fraction(25))[0]
    far = load_audio(path, (begin, begin + 1))
    monkeypatch.setattr(module, "_NEAR", 10**6)
    whole = load_audio(path, (begin, begin + 1))
    assert far.state == whole.state == "complete"
    # Matroska and FLV count milliseconds.
    slack = 48 if name[2:] in ("mkv", "flv") else 0
    errors = [
        np.abs(far.samples[:, 48:-48] - whole.samples[:, 48 + at : 47_952 + at]).max()
        for at in range(-slack, slack + 1)
    ]
    assert min(errors) < 5e-3


def test_a_clock_that_does_not_begin_at_zero(tmp_path: Path) -> None:
    """Parts of a recording keep its clock."""
    samples = tones(16)
    for offset in (0, 50_000):
        path = tmp_path / f"{offset}.ts"
        options = ("-output_ts_offset", str(offset))
        write_film(path, samples, frames=400, codec=("mp2",), options=options)
    early, late = [
        [load_audio(path, times_of(choice(path, [at]), Fraction(1))) for at in (5, 350)]
        for path in (tmp_path / "0.ts", tmp_path / "50000.ts")
    ]
    for one, other in zip(early, late, strict=True):
        assert one.state == other.state == "complete"
        assert np.array_equal(one.samples, other.samples)


def test_a_jump_that_is_not_proven_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "a.mov", noise(16), frames=400)
    monkeypatch.setattr(module, "_SETTLE", 10**6)
    sound = load_audio(path, between(14, 15))
    assert np.array_equal(sound.samples, floats(noise(16))[:, 672_000:720_000])


# As ffmpeg does it


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_as_the_command_line_cuts_it(name: str, tmp_path: Path) -> None:
    samples = tones(6)
    path = write_film(tmp_path / name, samples, frames=150, codec=("aac", "-b:a", "256k"))
    info = probe(path)
    zero = int(info.timestamps.ticks[0]) * info.timestamps.time_base
    sound = load_audio(path, (zero + 2, zero + 3))
    whole = decoded_by_ffmpeg(path, 2)
    # ffmpeg counts from the beginning of the sound.
    assert info.audio is not None
    at = 96_000 - round(float(info.audio.start) * 48_000)
    errors = [np.abs(sound.samples - whole[:, at + n : at + n + 48_000]).max() for n in (-1, 0, 1)]
    assert min(errors) < 1e-5
    # The encoder's delay is not heard. Matroska counts milliseconds.
    slack = 24 if name == "a.mkv" else 1
    original = floats(samples)
    errors = [
        np.abs(sound.samples - original[:, 96_000 + n : 144_000 + n]).max()
        for n in range(-slack, slack + 1)
    ]
    assert min(errors) < 0.01


@pytest.mark.parametrize(
    ("source", "rate"),
    [(44_100, 16_000), (48_000, 16_000), (44_100, 48_000), (48_000, 44_100), (22_050, 48_000)],
)
def test_resampled_as_aresample_does_it(source: int, rate: int, tmp_path: Path) -> None:
    samples = noise(4, rate=source)
    path = write_film(tmp_path / "a.mov", samples, rate=source)
    sound = load_audio(path, between(1, 3), rate)
    assert (sound.sample_rate, sound.samples.shape) == (rate, (2, 2 * rate))
    cut = f"atrim=start_sample={source}:end_sample={3 * source},asetpts=PTS-STARTPTS"
    alone = decoded_by_ffmpeg(path, 2, f"{cut},aresample={rate}")
    whole = decoded_by_ffmpeg(path, 2, f"aresample={rate}")[:, rate : 3 * rate]
    # ffmpeg knows nothing of what lies around a part; the sound of the whole file does.
    assert np.abs(sound.samples - alone)[:, 400:-400].max() < 2e-3
    assert np.abs(sound.samples - whole).max() < 2e-3
    assert np.abs(sound.samples - alone)[:, :100].max() > np.abs(sound.samples - whole).max()


def test_a_tone_keeps_its_phase(tmp_path: Path) -> None:
    at = np.arange(4 * 44_100) / 44_100
    tone = (np.sin(2 * np.pi * 1000 * at) * 20_000).astype(np.int16)[None]
    path = write_film(tmp_path / "a.mov", tone, rate=44_100)
    sound = load_audio(path, between(1.5, 2.5), 16_000, 1)
    wanted = np.sin(2 * np.pi * 1000 * (1.5 + np.arange(16_000) / 16_000)) * 20_000 / 32_768
    assert np.abs(sound.samples[0] - wanted).max() < 1e-3


# Channels


def test_mono_and_stereo(tmp_path: Path) -> None:
    two, one = noise(2), noise(2, channels=1)
    stereo = write_film(tmp_path / "two.mov", two, frames=50)
    mono = write_film(tmp_path / "one.mov", one, frames=50)
    times = between(0.5, 1.5)
    part = slice(24_000, 72_000)
    assert np.array_equal(load_audio(stereo, times).samples, floats(two)[:, part])
    assert np.array_equal(
        load_audio(stereo, times, None, 1).samples, floats(two)[:, part].mean(0)[None]
    )
    assert np.array_equal(load_audio(mono, times).samples, floats(one)[:, part])
    doubled = load_audio(mono, times, 48_000, 2).samples
    assert np.array_equal(doubled, np.repeat(floats(one)[:, part], 2, axis=0))


def test_surround(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", noise(2, channels=6), frames=50, codec=("flac",))
    times = between(0.5, 1.5)
    part = slice(24_000, 72_000)
    assert np.array_equal(load_audio(path, times).samples, decoded_by_ffmpeg(path, 6)[:, part])
    stereo = load_audio(path, times, None, 2).samples
    mixed = decoded_by_ffmpeg(path, 2, "aformat=sample_fmts=fltp,aformat=channel_layouts=stereo")
    assert np.abs(stereo - mixed[:, part]).max() < 1e-6
    mono = load_audio(path, times, None, 1).samples
    assert np.abs(mono - mixed[:, part].mean(0)).max() < 1e-6
    assert load_audio(path, times, 16_000).samples.shape == (6, 16_000)


def test_more_channels_than_are_taken(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", noise(1, channels=12), frames=25)
    with pytest.raises(MediaError, match="its sound has 12 channels, more than 8") as raised:
        load_audio(path, between(0, 1))
    assert raised.value.code is Code.DECODE_FAILED


def test_of_several_streams_the_best(tmp_path: Path) -> None:
    poor, rich = noise(2, channels=1), noise(2, channels=2, seed=1)
    equal = ("-disposition:a", "0")
    path = write_film(tmp_path / "a.mkv", poor, rich, poor, frames=50, options=equal)
    assert np.array_equal(load_audio(path, between(0, 1)).samples, floats(rich)[:, :48_000])


# Sound that is not there, or not all of it


def test_no_sound_is_a_state(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    sound = load_audio(path, between(0, 1), 16_000, 2)
    assert sound.is_none
    assert not sound.is_complete
    assert (sound.state, sound.count, sound.samples.shape) == ("none", 16_000, (2, 0))
    padded = load_audio(path, between(0, 1), 16_000, 2, pad=True)
    assert padded.state == "none"
    assert np.array_equal(padded.samples, np.zeros((2, 16_000), np.float32))
    assert load_audio(path, between(0, 1)).is_none


def test_sound_that_begins_late(tmp_path: Path) -> None:
    samples = noise(4)
    path = write_film(tmp_path / "a.mkv", samples, late=0.52)
    sound = load_audio(path, between(0.25, 1.25))
    assert (sound.state, sound.late, sound.early) == ("starts 0.270 s late", 12_960, 0)
    assert np.array_equal(sound.samples, floats(samples)[:, :35_040])
    padded = load_audio(path, between(0.25, 1.25), pad=True)
    assert padded.state == sound.state
    assert not padded.samples[:, :12_960].any()
    assert np.array_equal(padded.samples[:, 12_960:], sound.samples)
    assert load_audio(path, between(0, 0.5)).is_none


def test_sound_that_begins_early(tmp_path: Path) -> None:
    samples = noise(4)
    path = write_film(tmp_path / "a.mkv", samples, late=-0.4)
    first = times_of(choice(path, [0]), Fraction(25))[0]
    sound = load_audio(path, (first, first + 1))
    assert sound.is_complete
    assert np.array_equal(sound.samples, floats(samples)[:, 19_200:67_200])


def test_a_negative_start(tmp_path: Path) -> None:
    """Sound before the time 0 of the file's clock, to which the picture belongs."""
    samples = noise(4)
    path = tmp_path / "a.mkv"
    whole = write_film(tmp_path / "whole.mkv", samples, late=-0.4)
    ffmpeg("-itsoffset", -0.4, "-i", whole, "-c", "copy", "-avoid_negative_ts", "disabled", path)
    info = probe(path)
    assert info.audio is not None
    assert info.audio.start == -Fraction(2, 5)
    first = times_of(choice(path, [5]), Fraction(25))[0]
    sound = load_audio(path, (first, first + 1))
    assert np.array_equal(sound.samples, floats(samples)[:, 28_800:76_800])


def test_sound_that_ends_early(tmp_path: Path) -> None:
    samples = noise(2)
    path = write_film(tmp_path / "a.mov", samples)
    sound = load_audio(path, between(1.5, 3))
    assert (sound.state, sound.late, sound.early) == ("ends 1.000 s early", 0, 48_000)
    assert np.array_equal(sound.samples, floats(samples)[:, 72_000:])
    assert load_audio(path, between(2.5, 3)).state == "none"
    resampled = load_audio(path, between(1.5, 3), 16_000, 1, pad=True)
    assert (resampled.state, resampled.samples.shape) == ("ends 1.000 s early", (1, 24_000))
    assert not resampled.samples[:, 8100:].any()


def test_sound_far_from_the_clip(tmp_path: Path) -> None:
    """Sought behind its end."""
    path = write_film(tmp_path / "a.mp4", noise(2), frames=750, codec=("aac",))
    assert load_audio(path, between(25, 26)).is_none


def test_what_rounding_takes_is_not_missing(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mov", noise(1.9995), frames=50)
    sound = load_audio(path, between(1, 2))
    assert sound.is_complete
    assert sound.samples.shape == (2, 48_000)
    assert not sound.samples[:, -20:].any()


# Timestamps


def write_packets(path: Path, pieces: Sequence[tuple[float, Any]], rate: int = 48_000) -> Path:
    """A Matroska file with blocks of raw sound at these times, and 100 frames of picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=rate)
        sound.layout = "stereo"
        for number in range(100):
            picture = av.VideoFrame(64, 64, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes(plane.buffer_size))
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode())
        for at, samples in pieces:
            packet = av.Packet(np.ascontiguousarray(samples.T).tobytes())
            packet.stream = sound
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = round(at * 1000)
            container.mux(packet)
    return path


def pieces_of(samples: Any, shift: Any) -> Iterator[tuple[float, Any]]:
    """Blocks of 20 ms; ``shift`` says by how much each is late, or None to leave it out."""
    for number in range(samples.shape[1] // 960):
        late = shift(number)
        if late is not None:
            yield number / 50 + late, samples[:, 960 * number : 960 * number + 960]


def test_a_gap_is_filled_with_silence(tmp_path: Path) -> None:
    samples = noise(4)
    shift = dict.fromkeys(range(50, 75))
    path = write_packets(tmp_path / "a.mkv", list(pieces_of(samples, lambda n: shift.get(n, 0.0))))
    sound = load_audio(path, between(0.5, 2.5))
    assert (sound.state, sound.silence) == ("complete", 24_000)
    wanted = floats(samples)[:, 24_000:120_000].copy()
    wanted[:, 24_000:48_000] = 0
    assert np.array_equal(sound.samples, wanted)
    filled = decoded_by_ffmpeg(path, 2, "aresample=async=1:first_pts=0")
    assert np.abs(filled[:, 24_000:120_000] - wanted).max() < 1e-6


def test_jitter_is_no_gap(tmp_path: Path) -> None:
    samples = noise(4)
    jitter = (0, 0.004, 0.011, -0.003)
    path = write_packets(
        tmp_path / "a.mkv", list(pieces_of(samples, lambda n: jitter[n % 4] if n else 0.0))
    )
    sound = load_audio(path, between(0.5, 2.5))
    assert (sound.state, sound.silence) == ("complete", 0)
    assert np.array_equal(sound.samples, floats(samples)[:, 24_000:120_000])


def overlapping(folder: Path, seconds: float) -> Path:
    """Two stretches of sound of 2 s each in one file: the second begins before the first ends."""
    samples = tones(4)
    path = folder / "a.ts"
    with path.open("wb") as file:
        for number in range(2):
            part = samples[:, 96_000 * number : 96_000 * (number + 1)]
            wav = write_wav(folder / "part.wav", part)
            offset = ("-output_ts_offset", number * (2 - seconds))
            file.write(ffmpeg("-i", wav, "-c:a", "mp2", *offset, "-f", "mpegts", "-"))
    return path


def test_what_overlaps_is_dropped(tmp_path: Path) -> None:
    path = overlapping(tmp_path, 0.2)
    with av.open(str(path)) as container:
        begin = Fraction(container.start_time or 0, 1_000_000)
    sound = load_audio(path, (begin + 1, begin + 3))
    assert sound.is_complete
    filled = decoded_by_ffmpeg(path, 2, "aresample=async=1")
    assert np.abs(filled[:, 48_000:144_000] - sound.samples).max() < 1e-4


def test_a_clock_that_starts_again_is_an_error(tmp_path: Path) -> None:
    path = overlapping(tmp_path, 1.5)
    with av.open(str(path)) as container:
        begin = Fraction(container.start_time or 0, 1_000_000)
    assert load_audio(path, (begin, begin + 1)).is_complete
    with pytest.raises(MediaError, match="the clock of its sound starts again at 3") as raised:
        load_audio(path, (begin + 1, begin + 3))
    assert raised.value.code is Code.DECODE_FAILED


def test_an_edit_list(tmp_path: Path) -> None:
    """A part that is cut out without encoding begins at the wanted time, not at a key frame."""
    samples = noise(4)
    whole = write_film(tmp_path / "a.mov", samples)
    part = tmp_path / "part.mov"
    ffmpeg("-ss", 1.1, "-i", whole, "-c", "copy", part)
    frames = choice(part, range(10, 35))
    sound = load_audio(part, times_of(frames, Fraction(25)))
    assert sound.is_complete
    with av.open(str(part)) as container:
        shown = [frame.pts for frame in container.decode(video=0)]
    assert frames.ticks is not None
    assert shown[10] == frames.ticks[0]
    # The part begins at 1.1 s of the whole.
    near = round((1.1 + float(frames.ticks[0] * frames.time_base)) * 48_000)
    original = floats(samples)
    places = [
        at
        for at in range(near - 100, near + 100)
        if np.array_equal(sound.samples, original[:, at : at + 48_000])
    ]
    assert len(places) == 1


def test_a_variable_rate(tmp_path: Path) -> None:
    """Frames that are taken by their times have the sound of these times."""
    samples = noise(4)
    still = write_video(
        tmp_path / "v.mkv", frames=7, fps=1000, times=[0, 40, 480, 1200, 1240, 2400, 2440]
    )
    wav = write_wav(tmp_path / "a.wav", samples)
    path = tmp_path / "a.mkv"
    ffmpeg("-i", still, "-i", wav, "-c", "copy", path)
    times = times_of(choice(path, [2, 2, 3, 3]), Fraction(4))
    assert times == between(0.48, 1.48)
    assert np.array_equal(load_audio(path, times).samples, floats(samples)[:, 23_040:71_040])


def test_frames_whose_times_are_not_told(tmp_path: Path) -> None:
    samples = noise(4)
    path = write_film(tmp_path / "a.avi", samples, options=("-c:v", "mpeg4"))
    info = probe(path)
    frames = FrameChoice(path, info.stream, range(50, 75), None, info.timestamps.time_base)
    sound = load_audio(path, times_of(frames, Fraction(25)))
    assert np.array_equal(sound.samples, floats(samples)[:, 96_000:144_000])


# Files that are damaged or change


def test_damaged_packets(tmp_path: Path) -> None:
    encoder = ("aac", "-b:a", "256k")
    path = write_film(tmp_path / "a.mkv", tones(4), codec=encoder)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size, p.pts) for p in container.demux(audio=0) if p.size]
    for at, size, pts in packets:
        if 2000 <= (pts or 0) < 2100:
            data[at + 5 : at + size] = b"\xff" * (size - 5)
    path.write_bytes(data)
    with pytest.raises(MediaError, match="its sound is damaged") as raised:
        load_audio(path, between(1.5, 2.5))
    assert raised.value.code is Code.DAMAGED_SOUND
    taken = load_audio(path, between(1.5, 2.5), allow_damaged=True)
    assert taken.damage
    assert taken.count == taken.samples.shape[1] == 48_000
    for times in (between(0.5, 1.9), between(2.3, 3.5)):
        assert load_audio(path, times).damage is None
    # What follows lies where it did.
    whole = load_audio(write_film(tmp_path / "b.mkv", tones(4), codec=encoder), between(2.3, 2.5))
    errors = [
        np.abs(taken.samples[:, 38_448:-48] - whole.samples[:, 48 + at : 9552 + at]).max()
        for at in range(-48, 49)
    ]
    assert min(errors) < 5e-3


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", noise(4))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    sound = load_audio(path, between(0, 3.5), allow_damaged=True)
    assert "early" in sound.state
    assert 0.5 < sound.early / 48_000 < 3


def joined(folder: Path, *parts: Path) -> Path:
    """MPEG-TS files one after the other, with one clock."""
    listed = folder / "list.txt"
    listed.write_text("".join(f"file '{part}'\n" for part in parts))
    path = folder / "joined.ts"
    ffmpeg("-f", "concat", "-safe", 0, "-i", listed, "-c", "copy", path)
    return path


def test_a_sample_rate_that_changes(tmp_path: Path) -> None:
    parts = [
        write_film(
            tmp_path / f"{rate}.ts", noise(3, rate=rate), rate=rate, frames=75, codec=("aac",)
        )
        for rate in (48_000, 44_100)
    ]
    path = joined(tmp_path, *parts)
    zero = times_of(choice(path, [0]), Fraction(25))[0]
    with pytest.raises(MediaError, match="from 48000 Hz stereo to 44100 Hz stereo") as raised:
        load_audio(path, (zero + 2, zero + 4), 16_000)
    assert raised.value.code is Code.CHANGES_MIDWAY
    assert load_audio(path, (zero + 1, zero + 2)).sample_rate == 48_000
    after = load_audio(path, (zero + 4, zero + 5))
    assert (after.sample_rate, after.state) == (44_100, "complete")


def test_files_that_are_gone_or_no_media(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        load_audio(tmp_path / "gone.mp4", between(0, 1))
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no media" * 100)
    with pytest.raises(MediaError) as raised:
        load_audio(bad, between(0, 1))
    assert raised.value.code is Code.DECODE_FAILED


def test_a_file_of_sound_alone(tmp_path: Path) -> None:
    samples = noise(2)
    for path in (write_wav(tmp_path / "a.wav", samples), tmp_path / "a.flac"):
        if not path.exists():
            ffmpeg("-i", tmp_path / "a.wav", path)
        sound = load_audio(path, between(0.5, 1.5))
        assert np.array_equal(sound.samples, floats(samples)[:, 24_000:72_000])
