"""Frames that are sought are those that decoding from the start gives; what is wrong is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import need
from tests.support.numbered import HEIGHT, WIDTH, number_on, write_numbered
from videoprep.errors import Code, MediaError
from videoprep.media.clip import ClipPixels, load_clip
from videoprep.media.damage import DamageTracker
from videoprep.media.decode import FrameChoice, FrameDamage, FrameDecoder
from videoprep.media.frame_scan import scan_frames
from videoprep.media.geometry import whole
from videoprep.media.probe import probe
from videoprep.media.video_reader import ReadFrame, VideoReader

FRAMES = 400


def _ffmpeg(*arguments: object) -> None:
    try:
        subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)
    except FileNotFoundError:
        need("ffmpeg")


def _ticks(path: Path) -> list[int]:
    return [int(tick) for tick in probe(path).timestamps.ticks]


def _clip(path: Path, indices: list[int]) -> ClipPixels:
    info = probe(path)
    ticks = [int(info.timestamps.ticks[n]) for n in indices]
    choice = FrameChoice(path, info.stream, indices, ticks, info.timestamps.time_base)
    box = whole(info.width, info.height)
    return ClipPixels(choice, "", info.width, info.height, box, box, info.width, info.height)


def _number(frame: ReadFrame | None) -> int:
    assert frame is not None
    assert frame.damage is None
    return number_on(frame.frame.to_ndarray(format="rgb24"))


@pytest.mark.parametrize(
    ("ending", "codec", "open_gop"),
    [
        (".mp4", "libx264", True),
        (".mkv", "libx265", True),
        (".ts", "libx264", False),
        (".ts", "libx265", True),
        (".m2ts", "libx264", True),
        (".flv", "libx264", False),
        (".mov", "libx264", False),
    ],
)
def test_a_jump_gives_the_same_frame(
    tmp_path: Path, ending: str, codec: str, open_gop: bool
) -> None:
    path = write_numbered(tmp_path / f"a{ending}", FRAMES, codec=codec, open_gop=open_gop)
    ticks, info = _ticks(path), probe(path)
    with VideoReader(path, info.stream) as reader:
        numbers = [number_on(f.frame.to_ndarray(format="rgb24")) for f in reader.all_frames()]
    assert numbers == list(range(FRAMES))
    with VideoReader(path, info.stream) as reader:
        for wanted in (390, 0, 5, 301, 302, 303, 330, 399, 399, 11, 12):
            found = reader.at_time(ticks[wanted])
            assert _number(found) == wanted
        assert found is not None
        assert found.number < 300  # of 11 frames wanted in 400, and none of the gaps


def test_gaps_between_near_ranges_are_not_decoded(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.mkv", FRAMES)
    ticks = _ticks(path)
    with VideoReader(path, probe(path).stream) as reader:
        for wanted in range(0, FRAMES, 60):  # a group has 12 frames
            found = reader.at_time(ticks[wanted])
            assert _number(found) == wanted
    assert found is not None
    assert found.number < 7 * 24


def test_a_film_with_a_single_key_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    source = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=40")
    _ffmpeg(*source, "-c:v", "libx264", "-g", 9999, "-sc_threshold", 0, path)
    ticks = _ticks(path)
    with VideoReader(path, probe(path).stream) as reader:
        for wanted in (399, 150, 151, 390, 0):
            found = reader.at_time(ticks[wanted])
            assert found is not None
            assert found.tick == ticks[wanted]
            assert found.damage is None


def test_packets_in_the_order_of_decoding_tell_which_frames_are_damaged() -> None:
    tracker = DamageTracker()
    complaint = {4: ["wrong bits"]}
    for tick, is_key in ((0, True), (4, False), (2, False), (8, True), (6, False), (12, False)):
        tracker.add(tick, is_key, complaint.get(tick, []))
    damaged = [tick for tick in (0, 2, 4, 6, 8, 12) if tracker.of(tick, is_corrupt=False)]
    assert damaged == [2, 4, 6]


def test_a_marked_frame_spoils_what_refers_to_it() -> None:
    tracker = DamageTracker()
    for tick in range(8):
        tracker.add(tick, tick in (0, 4), [])
    said = [tracker.of(tick, is_corrupt=tick == 2) for tick in range(8)]
    assert [text is not None for text in said] == [False, False, True, True, *[False] * 4]


def test_damage_is_told_by_runs() -> None:
    damage = FrameDamage((3, 4, 5, 9, 11, 12), "bad cabac")
    assert str(damage) == "6 damaged frames: 3–5, 9, 11–12 (the decoder says: bad cabac)"
    assert str(FrameDamage((7,), "x")) == "1 damaged frame: 7 (the decoder says: x)"


@pytest.mark.parametrize(
    ("ending", "codec"),
    [(".mp4", "libx264"), (".ts", "libx264"), (".mkv", "mpeg4"), (".mpg", "mpeg2video")],
)
def test_flipped_bits_fail_the_clip(tmp_path: Path, ending: str, codec: str) -> None:
    path = tmp_path / f"a{ending}"
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x192:rate=25:duration=6")
    _ffmpeg(*source, "-c:v", codec, "-g", 50, "-pix_fmt", "yuv420p", "-q:v", 4, path)
    info = probe(path)
    whole_clip = load_clip(_clip(path, list(range(info.frames)))).numpy()
    data = bytearray(path.read_bytes())
    for at in (0.45, 0.48, 0.51):
        data[int(len(data) * at)] ^= 16
    path.write_bytes(data)
    clip = _clip(path, list(range(info.frames)))
    with pytest.raises(MediaError, match="damaged frame") as raised:
        load_clip(clip)
    assert raised.value.code is Code.DAMAGED_FRAMES
    decoder = FrameDecoder()
    pictures = np.stack([p.transpose(2, 0, 1) for p in decoder.frames(clip.frames)])
    off = np.abs(pictures.astype(int) - whole_clip).max(axis=(1, 2, 3)) > 60
    assert off.any()
    assert decoder.damage is not None
    # All but frames that are shown before one that the decoder marks, and refer to it.
    assert len(set(np.flatnonzero(off)) - set(decoder.damage.frames)) <= 2
    early = list(range(20))
    assert load_clip(_clip(path, early)).shape[0] == 20  # of the first group, which is whole


@pytest.mark.parametrize("turn", ["rotate=90", "rotate=180", "flip=horizontal"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_a_video_of_which_one_frame_is_turned_is_refused(
    tmp_path: Path, turn: str, ending: str
) -> None:
    plain = write_numbered(tmp_path / "plain.mp4", 30)
    path = tmp_path / f"a{ending}"
    sei = f"h264_metadata=display_orientation=insert:{turn}"
    _ffmpeg("-i", plain, "-c", "copy", "-bsf:v", sei, path)
    with pytest.raises(MediaError, match="its frames are not turned alike"):
        probe(path)


def test_a_change_of_size_is_named_with_its_frame(tmp_path: Path) -> None:
    parts = []
    for size in ("160x32", "96x64"):
        source = ("-f", "lavfi", "-i", f"testsrc=size={size}:rate=25:duration=1")
        _ffmpeg(*source, "-c:v", "libvpx", tmp_path / f"{size}.ivf")
        parts.append(f"file {size}.ivf\n")
    (tmp_path / "parts.txt").write_text("".join(parts))
    path = tmp_path / "a.webm"
    _ffmpeg("-f", "concat", "-i", tmp_path / "parts.txt", "-c", "copy", path)
    assert scan_frames(path).changes == ("at frame 25 the size changes from 160×32 to 96×64",)
    assert load_clip(_clip(path, [0, 24])).shape == (2, 3, 32, WIDTH)
    with pytest.raises(MediaError, match=r"frame 25: size changes from 160×32 to 96×64") as raised:
        load_clip(_clip(path, [20, 25]))
    assert raised.value.code is Code.CHANGES_MIDWAY
    assert HEIGHT == 32


def test_a_change_of_the_pixel_aspect_is_seen(tmp_path: Path) -> None:
    for name, aspect in (("a", "4/3"), ("b", "1")):
        source = ("-f", "lavfi", "-i", "testsrc=size=96x64:rate=25:duration=1")
        _ffmpeg(*source, "-vf", f"setsar={aspect}", "-c:v", "libx264", tmp_path / f"{name}.ts")
    _ffmpeg("-i", f"concat:{tmp_path}/a.ts|{tmp_path}/b.ts", "-c", "copy", tmp_path / "c.mkv")
    (change,) = scan_frames(tmp_path / "c.mkv").changes
    assert "the pixel aspect changes from 4/3 to 1" in change


def test_what_the_container_says_counts_after_a_jump_too(tmp_path: Path) -> None:
    """Ogg has checksums; the packets between a key frame and the wanted one are read ahead."""
    path = tmp_path / "a.ogv"
    source = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25:duration=20")
    _ffmpeg(*source, "-c:v", "libtheora", "-g", 50, "-q:v", 7, path)
    with VideoReader(path, 0) as reader:
        right = {f.tick: f.frame.to_ndarray(format="rgb24") for f in reader.all_frames()}
    data = bytearray(path.read_bytes())
    data[len(data) * 7 // 10] ^= 16
    path.write_bytes(data)
    off = 0
    for tick in _ticks(path)[::7]:
        with VideoReader(path, 0) as reader:
            found = reader.at_time(tick)
        assert found is not None
        same = np.array_equal(found.frame.to_ndarray(format="rgb24"), right[tick])
        assert same or found.damage is not None, tick
        off += not same
    assert off


def test_a_lost_packet_spoils_what_follows(tmp_path: Path) -> None:
    whole_file = write_numbered(tmp_path / "a.ts", 60, open_gop=True)
    data = whole_file.read_bytes()
    for place in (0.45, 0.55, 0.65):
        start = int(len(data) * place) // 188 * 188
        (tmp_path / "b.ts").write_bytes(data[:start] + data[start + 188 :])
        path = tmp_path / "b.ts"
        frames = probe(path).frames
        with VideoReader(whole_file, 0) as reader:
            right = {f.tick: f.frame.to_ndarray(format="rgb24") for f in reader.all_frames()}
        with VideoReader(path, 0) as reader:
            for frame in reader.all_frames():
                same = np.array_equal(frame.frame.to_ndarray(format="rgb24"), right[frame.tick])
                assert same or frame.damage is not None, (place, frame.number)
        assert frames <= 60


def test_intra_refresh_does_not_heal_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x192:rate=25:duration=4")
    _ffmpeg(*source, "-c:v", "libx264", "-x264-params", "intra-refresh=1:keyint=20:bframes=0", path)
    with VideoReader(path, 0) as reader:
        right = [f.frame.to_ndarray(format="rgb24") for f in reader.all_frames()]
    assert scan_frames(path).damaged == ()
    whole_file = path.read_bytes()
    for place in range(20, 40):  # not every bit is missed
        data = bytearray(whole_file)
        data[len(data) * place // 100] ^= 16
        path.write_bytes(data)
        with VideoReader(path, 0) as reader:
            found = list(reader.all_frames())
        if any(frame.damage for frame in found):
            break
    said = {f.number for f in found if f.damage is not None}
    off = {
        f.number
        for f in found
        if np.abs(f.frame.to_ndarray(format="rgb24").astype(int) - right[f.number]).max() > 60
    }
    assert said
    assert off <= said


def test_a_program_stream_is_not_sought(tmp_path: Path) -> None:
    """FFmpeg guesses times there from those before: another start gives others."""
    path = tmp_path / "a.mpg"
    numbered = write_numbered(tmp_path / "n.mkv", FRAMES)
    sound = ("-f", "lavfi", "-i", "sine=duration=16")
    _ffmpeg("-i", numbered, *sound, "-c:v", "mpeg2video", "-q:v", 3, "-bf", 2, "-c:a", "mp2", path)
    for wanted in (370, 100, 399):
        (picture,) = FrameDecoder().frames(_clip(path, [wanted]).frames)
        assert number_on(picture) == wanted


def test_a_stream_joined_in_the_middle_of_a_group_is_not_damaged(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "a.ts", 60)
    data = path.read_bytes()
    (tmp_path / "b.ts").write_bytes(data[len(data) // 3 // 188 * 188 :])
    scan = scan_frames(tmp_path / "b.ts")
    assert 0 < scan.decoded < 60
    assert (scan.damaged, scan.complaint) == ((), None)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_the_end_is_the_end(tmp_path: Path, codec: str) -> None:
    path = write_numbered(tmp_path / "a.mkv", FRAMES, codec=codec)
    ticks = _ticks(path)
    with VideoReader(path, 0) as reader:
        found = reader.at_time(ticks[-1])
        assert _number(found) == FRAMES - 1
        assert found is not None
        assert found.number < 24, "its own group of pictures was enough"
        for beyond in (1, 100, 60_000):  # milliseconds
            assert reader.at_time(ticks[-1] + beyond) is None
