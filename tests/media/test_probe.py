"""What is in a file: the truth, not the header's word."""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import subprocess
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import xxhash

from tests.conftest import need
from tests.support.assets import MATRICES, write_video
from tests.support.numbered import HEIGHT, WIDTH, number_on, write_numbered
from videoprep.errors import Code, MediaError
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.index.placement import place
from videoprep.index.policy import Policy
from videoprep.media import probe as module
from videoprep.media.probe import MediaInfo, probe
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.sample import Extras


def _decoded_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(container.streams.best("video")))


@pytest.mark.parametrize(
    ("rate", "frames"), [(8, 9), (25, 30), (Fraction(24000, 1001), 49), (Fraction(60000, 1001), 17)]
)
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_counts_and_rates(tmp_path: Path, rate: Fraction | int, frames: int, ending: str) -> None:
    info = probe(write_video(tmp_path / f"a{ending}", frames=frames, fps=rate))
    assert (info.width, info.height, info.frames) == (96, 64, frames)
    assert float(info.fps) == pytest.approx(float(rate), rel=1e-6)
    assert info.duration == pytest.approx(frames / rate, abs=0.002)
    assert not info.variable_frame_rate
    assert info.codec == "h264"
    assert info.pixel_format == "yuv420p"


@pytest.mark.parametrize("frames", [1, 2])
def test_very_short_files(tmp_path: Path, frames: int) -> None:
    info = probe(write_video(tmp_path / "a.mp4", frames=frames))
    assert (info.frames, info.fps) == (frames, 8)


def test_a_trimmed_file_has_fewer_frames_than_its_header_says(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", frames=49, fps=25)
    trimmed = tmp_path / "trimmed.mp4"
    # ffmpeg -ss 1.1 -i whole.mp4 -c copy trimmed.mp4, which PyAV cannot do
    command = ["ffmpeg", "-v", "error", "-ss", "1.1", "-i", str(whole), "-c", "copy", str(trimmed)]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        need("ffmpeg")
    with av.open(str(trimmed)) as container:
        header = container.streams.video[0].frames
    assert probe(trimmed).frames == _decoded_frames(trimmed) < header


def test_vp8_packets_that_show_nothing_are_not_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.webm", frames=33, codec="libvpx")
    assert probe(path).frames == _decoded_frames(path) == 33


def test_a_variable_rate_is_seen(tmp_path: Path) -> None:
    times = [0, 40, 80, 200, 240, 400, 440]
    info = probe(write_video(tmp_path / "a.mkv", frames=7, fps=1000, times=times))
    assert info.variable_frame_rate
    assert info.timestamps.seconds() == pytest.approx([t / 1000 for t in times])


@pytest.mark.parametrize("last", [1, 2])
@pytest.mark.parametrize(("rate", "name"), [(24, "a.mkv"), (8, "a.mp4"), (25, "a.mp4")])
def test_gaps_do_not_change_a_constant_rate(
    tmp_path: Path, rate: int, name: str, last: int
) -> None:
    """As ``ffmpeg -ss 1.3 -i … -c copy -t 5`` leaves it: frames before the last are missing."""
    times = [round(1000 * n / rate) for n in (*range(40), *range(43, 43 + last))]
    info = probe(write_video(tmp_path / name, frames=len(times), fps=1000, times=times))
    assert info.variable_frame_rate
    assert info.fps == rate
    placed = place(info, Policy.of(DatasetSpec(data_root=tmp_path, reshape="center-crop")))
    assert isinstance(placed, tuple)
    frames = placed[0].frame_indices.tolist()
    assert frames == [*range(40), 39]  # in the gap the frame before it is still shown


@pytest.mark.parametrize("matrix", MATRICES)
def test_sizes_are_upright(tmp_path: Path, matrix: str) -> None:
    info = probe(write_video(tmp_path / "a.mp4", matrix=matrix))
    swapped = matrix in ("turned-90", "turned-270", "transposed", "anti-transposed")
    assert (info.width, info.height) == ((64, 96) if swapped else (96, 64))
    assert info.orientation.mirrored == ("mirrored" in matrix or "transposed" in matrix)


def test_a_damaged_frame_after_the_first_does_not_hide_how_a_video_lies(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", matrix="turned-90")
    sound = probe(path)
    _spoil_packet(path, 1)
    info = probe(path)
    assert (info.orientation, info.frames) == (sound.orientation, sound.frames)


def test_a_damaged_frame_does_not_hide_that_a_later_one_lies_otherwise(tmp_path: Path) -> None:
    plain, path = write_video(tmp_path / "plain.mp4"), tmp_path / "a.mp4"
    turn = ["-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"]
    try:
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", plain, "-c", "copy", *turn, path], check=True
        )
    except FileNotFoundError:
        need("ffmpeg")
    _spoil_packet(path, 1)
    with pytest.raises(MediaError, match="its frames are not turned alike"):
        probe(path)


def _spoil_packet(path: Path, number: int) -> None:
    with av.open(str(path)) as container:
        packet = next(islice(container.demux(video=0), number, None))
        at, size = packet.pos or 0, packet.size
    data = bytearray(path.read_bytes())
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)


def test_the_best_stream_is_taken(real_clips: Path) -> None:
    info = probe(real_clips / "videos/nasa.mp4")
    assert (info.width, info.height, info.frames) == (480, 270, 390)
    assert info.fps == Fraction(30000, 1001)


def test_json_round_trip(tmp_path: Path) -> None:
    times = [0, 40, 80, 200, 240]
    for options in ({"fps": 8}, {"fps": 1000, "times": times}):
        info = probe(write_video(tmp_path / "a.mkv", frames=5, **options))
        again = MediaInfo.from_json(info.to_json())
        assert again.to_json() == info.to_json()
        assert (again.timestamps.ticks == info.timestamps.ticks).all()


def test_the_fingerprint_is_of_the_contents(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    copy = tmp_path / "b.mp4"
    copy.write_bytes(path.read_bytes())
    assert fingerprint_of(path) == fingerprint_of(copy)
    copy.write_bytes(path.read_bytes() + b"\0")
    assert fingerprint_of(path) != fingerprint_of(copy)


def test_the_fingerprint_is_of_all_contents(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(3_000_001)
    (tmp_path / "a.bin").write_bytes(data)
    assert fingerprint_of(tmp_path / "a.bin") == xxhash.xxh3_128(data).hexdigest()


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("name", ["empty", "text", "playlist", "concat", "folder", "fifo"])
def test_what_is_no_video_is_said_to_be_none(tmp_path: Path, name: str) -> None:
    video = write_video(tmp_path / "other.mp4")
    path = tmp_path / "bad.mp4"
    contents = {
        "empty": b"",
        "text": b"hello, I am a text\n" * 50,
        "playlist": PLAYLIST.format(video).encode(),
        "concat": f"ffconcat version 1.0\nfile {video}\n".encode(),
    }
    if name == "folder":
        path.mkdir()
    elif name == "fifo":
        os.mkfifo(path)  # opening it would block for ever
    else:
        path.write_bytes(contents[name])
    with pytest.raises(MediaError) as raised:
        probe(path)
    assert raised.value.code is Code.UNREADABLE
    assert raised.value.where == str(path)


def test_half_a_file_is_cut_off(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4")
    assert not probe(whole).cut_off
    half = tmp_path / "half.mp4"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(MediaError, match="'mdat' box ends at byte") as raised:
        probe(half)
    assert raised.value.code is Code.TRUNCATED
    # VP109 is told of a file that opens, too: both begin alike.
    assert raised.value.message.startswith("the file is cut off: its 'mdat' box ends at byte ")
    assert raised.value.remedy == "copy or download the file again"


def test_bytes_after_the_end_do_not_count(tmp_path: Path) -> None:
    for ending in (".mp4", ".mkv", ".avi", ".flv", ".ts"):
        path = write_video(
            tmp_path / f"a{ending}", codec="mpeg4" if ending == ".avi" else "libx264"
        )
        with path.open("ab") as file:
            file.write(b"\0tail of some kind, of a few dozen bytes")
        assert not probe(path).cut_off, ending


def test_an_edit_list_that_hides_the_end_cuts_nothing_off(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=24, fps=8)
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] // 3)
    path.write_bytes(data)
    info = probe(path)
    assert info.frames == _decoded_frames(path) < info.header_frames
    assert not info.cut_off


def test_a_codec_that_is_not_known(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"zzzC"))
    with pytest.raises(MediaError) as raised:
        probe(path)
    assert raised.value.code is Code.UNREADABLE


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        probe(str(tmp_path / "none.mp4"))


@pytest.mark.parametrize(
    ("target", "what"), [("none.mp4", "which does not exist"), ("a.mp4", "which leads back to it")]
)
def test_a_dangling_link_is_said_to_be_one(tmp_path: Path, target: str, what: str) -> None:
    link = tmp_path / "a.mp4"
    link.symlink_to(target)
    with pytest.raises(MediaError, match=f"is a symbolic link to {target}, {what}"):
        probe(link)


def test_sound_alone_and_cover_art_are_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 44100
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame) + stream.encode())
    with pytest.raises(MediaError) as raised:
        probe(path)
    assert raised.value.code is Code.NO_VIDEO_STREAM


def test_a_path_is_never_taken_for_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = write_video(tmp_path / "outside.mp4", frames=5)
    root = tmp_path / "root"
    name = f"file:{outside}"
    write_video(tmp_path / "real.mp4", frames=9)
    (root / name).parent.mkdir(parents=True)
    (tmp_path / "real.mp4").rename(root / name)
    monkeypatch.chdir(root)
    assert probe(Path(name)).frames == 9


def test_frames_that_share_their_time_cannot_be_told_apart(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", frames=3, fps=1000, times=[0, 0, 0])
    with pytest.raises(MediaError, match="3 frames have only 1 different times") as raised:
        probe(path)
    assert raised.value.code is Code.UNREADABLE
    assert "ffmpeg" in str(raised.value.remedy)


def test_a_frame_without_a_time_of_its_own_is_counted(tmp_path: Path) -> None:
    times = [40 * (n - (n > 12)) for n in range(30)]
    path = write_video(tmp_path / "a.mkv", frames=30, fps=1000, times=times)
    info = probe(path)
    assert (info.frames, info.repeated_times, _decoded_frames(path)) == (29, 1, 30)


@pytest.mark.parametrize(("ending", "codec"), [(".ts", "libx264"), (".mpg", "mpeg2video")])
def test_files_joined_without_remuxing_are_refused(tmp_path: Path, ending: str, codec: str) -> None:
    one = write_video(tmp_path / f"one{ending}", frames=34, fps=25, codec=codec)
    other = write_video(tmp_path / f"other{ending}", frames=40, fps=25, codec=codec)
    joined = tmp_path / f"joined{ending}"
    joined.write_bytes(one.read_bytes() + other.read_bytes())
    with pytest.raises(MediaError, match="its clock starts again"):
        probe(joined)


def test_a_raw_stream_has_the_rate_that_it_says(tmp_path: Path) -> None:
    info = probe(write_video(tmp_path / "a.h264", frames=33, fps=30))
    assert (info.frames, info.fps, info.timestamps.timed) == (33, 30, False)


def test_frames_an_hour_apart(tmp_path: Path) -> None:
    hours = [n * 3600_000 for n in range(3)]
    info = probe(write_video(tmp_path / "a.mkv", frames=3, fps=1000, times=hours))
    assert info.frames == 3
    assert float(info.fps) == pytest.approx(1 / 3600)


def _with_field(path: Path, box: bytes, offset: int, value: int) -> Path:
    """The same file with another number in a box of its header."""
    data = bytearray(path.read_bytes())
    struct.pack_into(">I", data, data.index(box) + 4 + offset, value)
    path.write_bytes(data)
    return path


_TIME_SCALE, _FRAME_TIME = (b"mdhd", 12), (b"stts", 12)


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        (_TIME_SCALE, 0, "a second has 0 units"),
        (_TIME_SCALE, 25, "shows 1 of its 49 frames"),
        (_TIME_SCALE, 600, "shows 3 of its 49 frames"),
        (_TIME_SCALE, 2**31 - 1, "4194304 frames a second"),
        (_TIME_SCALE, 90_000, "frames for 0.278756 s in a track of 1.96 s"),
        (_FRAME_TIME, 2**31 - 1, "shows 1 of its 49 frames"),
    ],
)
def test_a_clock_that_is_nonsense_is_an_error(
    tmp_path: Path, where: tuple[bytes, int], value: int, says: str
) -> None:
    path = _with_field(write_video(tmp_path / "a.mp4", frames=49, fps=25), *where, value)
    with pytest.raises(MediaError, match=says) as raised:
        probe(path)
    assert raised.value.code is Code.UNREADABLE
    command = re.search(r"ffmpeg .*", str(raised.value.remedy))
    assert command is not None
    assert "-ignore_editlist 1" in command[0]
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    subprocess.run(["bash", "-c", command[0]], check=True, capture_output=True)
    remedied = tmp_path / "a.mp4"
    assert (probe(remedied).frames, probe(remedied).fps) == (49, 25)


@pytest.mark.parametrize("duration", [0, 2**32 - 1, 49 * 512, 100, 9000])
def test_a_duration_that_is_wrong_alone_does_no_harm(tmp_path: Path, duration: int) -> None:
    path = write_video(tmp_path / "a.mp4", frames=49, fps=25)
    path.write_bytes(path.read_bytes().replace(b"elst", b"free"))
    assert probe(_with_field(path, b"tkhd", 20, duration)).frames == 49


@pytest.mark.parametrize("duration", [100, 9000])
def test_two_durations_that_contradict_the_frames(tmp_path: Path, duration: int) -> None:
    path = write_video(tmp_path / "a.mp4", frames=49, fps=25)
    path.write_bytes(path.read_bytes().replace(b"elst", b"free"))
    for box, at in ((b"tkhd", 20), (b"mvhd", 16)):
        _with_field(path, box, at, duration)
    with pytest.raises(MediaError, match=r"frames for 1\.96 s in a track of"):
        probe(path)


def test_a_frame_every_two_days_is_nonsense(tmp_path: Path) -> None:
    days = [n * 48 * 3600_000 for n in range(3)]
    with pytest.raises(MediaError, match="a frame every 48 hours"):
        probe(write_video(tmp_path / "a.mkv", frames=3, fps=1000, times=days))


def test_a_thousand_frames_a_second(tmp_path: Path) -> None:
    assert probe(write_video(tmp_path / "a.mp4", frames=49, fps=1000)).fps == 1000


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("counted") / "a.mp4", 90)


@pytest.mark.parametrize(("picture", "sound"), [("1.2", "0"), ("0", "-0.3")])
@pytest.mark.parametrize(
    ("ending", "encode"),
    [
        ("mp4", "-c:v copy -c:a aac"),
        ("mkv", "-c:v copy -c:a libopus"),
        ("ts", "-c:v copy -c:a aac"),
        ("mpg", "-c:v mpeg2video -q:v 2 -fps_mode passthrough -c:a mp2"),
    ],
)
def test_frames_of_a_time_are_those_that_ffmpeg_shows(
    tmp_path: Path, counted: Path, picture: str, sound: str, ending: str, encode: str
) -> None:
    path = tmp_path / f"a.{ending}"
    command = ["ffmpeg", "-v", "error", "-itsoffset", picture, "-i", str(counted)]
    command += ["-itsoffset", sound, "-f", "lavfi", "-i", "sine=duration=4", *encode.split()]
    try:
        subprocess.run([*command, str(path)], check=True)
    except FileNotFoundError:
        need("ffmpeg")
    info = probe(path)
    assert info.frames == 90
    assert info.picture_start >= Fraction(picture)
    rules = Policy.of(DatasetSpec(data_root=tmp_path, reshape="center-crop"))
    for start in (1.24, 2.4):
        (clip,) = place(info, rules, Extras(start=start))
        assert clip.frame_indices[0] == _shown_by_ffmpeg(path, start)


def _shown_by_ffmpeg(path: Path, seconds: float) -> int:
    # Before -i it seeks, in some containers to a later frame. In some the streams that are used
    # decide where zero is.
    picture = ["-map", "0:v", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ss", str(seconds), *picture]
    command += ["-map", "0:a", "-f", "null", os.devnull]
    raw = subprocess.run(command, check=True, capture_output=True)
    return number_on(np.frombuffer(raw.stdout, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3))


_KINDS = {
    "progressive": {},
    "slices": {"x264-params": "slices=4"},
    "cavlc": {"profile": "baseline"},
    "fields": {"flags": "+ilme+ildct", "x264-params": "tff=1"},
    "tagged": {"colorspace": "bt709", "color_range": "tv", "color_trc": "bt709"},
    "deep": {"pix_fmt": "yuv420p10le"},
    "fragmented": {"movflags": "+frag_keyframe+empty_moov"},
}


def _noise(path: Path, options: dict[str, str], aspect: Fraction = Fraction(1)) -> Path:
    """A video whose pictures take many bytes."""
    rng = np.random.default_rng(0)
    options = dict(options)
    muxing = {name: options.pop(name) for name in ("movflags",) if name in options}
    with av.open(str(path), "w", options=muxing) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 160, 96
        stream.pix_fmt = options.pop("pix_fmt", "yuv420p")
        stream.codec_context.sample_aspect_ratio = aspect
        stream.options = {"crf": "18", "threads": "1", "g": "5", **options}
        for _ in range(11):
            picture = rng.integers(0, 255, (96, 160, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("damaged", [False, True])
def test_the_headers_of_a_picture_tell_what_all_of_it_does(
    tmp_path: Path, kind: str, ending: str, damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _noise(tmp_path / f"a{ending}", _KINDS[kind])
    if damaged:
        with av.open(str(path)) as container:
            key = next(iter(container.demux(video=0)))
            at, count = (key.pos or 0) + 1500, key.size - 1600
        data = bytearray(path.read_bytes())
        data[at : at + count] = random.Random(2).randbytes(count)
        path.write_bytes(data)
    asked: list[bool] = []

    def headers_of(*arguments: Any) -> Any:
        asked.append(packet_of(*arguments) is not None)
        return packet_of(*arguments)

    packet_of = module._headers_of
    monkeypatch.setattr(module, "_headers_of", headers_of)
    by_headers = probe(path).to_json()
    assert asked[0] or (damaged and kind == "slices")  # whose lengths are damaged, too
    monkeypatch.setattr(module, "_headers_of", lambda *_: None)
    assert by_headers == probe(path).to_json()
    monkeypatch.setattr(module, "_scan_quickly", lambda _path: None)
    assert by_headers == probe(path).to_json()


def test_pictures_of_garbage_are_unreadable(tmp_path: Path) -> None:
    path = _noise(tmp_path / "a.mp4", {})
    data = bytearray(path.read_bytes())
    at, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[at:end] = random.Random(3).randbytes(end - at)
    path.write_bytes(data)
    with pytest.raises(MediaError) as raised:
        probe(path)
    assert raised.value.code is Code.UNREADABLE


def test_an_aspect_that_only_the_stream_tells(tmp_path: Path) -> None:
    path = _noise(tmp_path / "a.mp4", {}, aspect=Fraction(4, 3))
    data = path.read_bytes()
    assert b"pasp" in data
    path.write_bytes(data.replace(b"pasp", b"free"))
    assert probe(path).sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("times", [[0, 40, 80, 120], [0, 33, 67, 100, 133], [0, 40, 80, 200, 240]])
@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_the_rate_is_what_ffmpeg_makes_of_all_packets(
    tmp_path: Path, times: list[int], ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / f"a{ending}", frames=len(times), fps=1000, times=times)
    quick = probe(path).to_json()
    monkeypatch.setattr(module, "_is_even", lambda _: False)
    assert quick == probe(path).to_json()


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_an_ordinary_file_is_opened_once(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _noise(tmp_path / f"a{ending}", {})
    opened: list[str] = []
    av_open = av.open
    monkeypatch.setattr(av, "open", lambda name, **how: opened.append(name) or av_open(name, **how))
    assert probe(path).frames == 11
    assert len(opened) == 1
