"""Times that the container tells and the decoder does not."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.conftest import need
from tests.support.numbered import numbers_on, write_numbered
from videoprep.media.decode import FrameChoice, FrameDecoder
from videoprep.media.derived_times import ChunkTimes, evenly_timed, spread_doubled, times_of_chunks
from videoprep.media.probe import MediaInfo, probe

TICK = Fraction(1, 90_000)


def test_a_frame_that_is_held_back_is_shown_when_it_comes_out() -> None:
    chunks = [0, 1, 2, 3, 8, 9]
    found = times_of_chunks([None] * 6, [2, 3, 8, 9, None, None], chunks)
    assert found == ChunkTimes([0, 1, 6, 7, 8, 9], 0, told=False)


def test_times_that_the_decoder_tells_are_taken_if_they_fit() -> None:
    chunks = [5, 6, 9]
    assert times_of_chunks(list(chunks), chunks, chunks) == ChunkTimes(chunks, 5, told=True)
    assert times_of_chunks([6, 7, 10], chunks, chunks) == ChunkTimes([6, 7, 10], 5, told=True)
    assert times_of_chunks([6, 9, 10], chunks, chunks) == ChunkTimes(chunks, 5, told=False)
    assert times_of_chunks([5, 6, None], chunks, chunks) == ChunkTimes(chunks, 5, told=False)


def test_what_comes_before_the_picture_is_no_gap() -> None:
    late = [0, 12, 13, 14]
    assert times_of_chunks(late, late, late) == ChunkTimes([11, 12, 13, 14], 11, told=False)


def test_a_chunk_without_a_frame_leaves_a_gap() -> None:
    found = times_of_chunks([0, 1, 3], [0, 1, 3], [0, 1, 2, 3])
    assert found == ChunkTimes([0, 1, 3], 0, told=True)


@pytest.mark.parametrize(
    ("decoded", "chunks"), [([], []), ([None] * 3, [0, 1, 2]), ([0, None, 2], [0, 1, 2, 3])]
)
def test_frames_that_match_no_chunks(decoded: list[int | None], chunks: list[int]) -> None:
    assert times_of_chunks(list(decoded), decoded, chunks) is None


def test_times_between_are_those_of_the_grid() -> None:
    told = [45_000, None, None, 56_250, 60_000, None]
    even = [45_000 + 3750 * n for n in range(6)]
    assert evenly_timed(told, TICK, []) == even
    assert evenly_timed(told[:4], TICK, []) is None
    assert evenly_timed(told, TICK, [Fraction(12), Fraction(24)]) == even
    assert evenly_timed([None, *told[1:]], TICK, [Fraction(24)]) == even
    doubled = [45_000, None, 60_000, None, 60_000, 63_750]
    assert evenly_timed(doubled, TICK, [Fraction(24)]) == even


@pytest.mark.parametrize(
    "told", [[45_000, None, None], [None] * 3, [45_000, None, 56_250], [45_000, None, 52_503]]
)
def test_times_on_no_grid_are_not_made_up(told: list[int | None]) -> None:
    assert evenly_timed(told, TICK, [Fraction(24), Fraction(25)]) is None


def test_rounded_times_lie_on_a_grid() -> None:
    rate = Fraction(24_000, 1001)
    exact = [round(n / rate / TICK) for n in range(200)]
    told = [tick if n % 7 == 3 else None for n, tick in enumerate(exact)]
    even = evenly_timed(told, TICK, [rate])
    assert even is not None
    assert max(abs(a - b) for a, b in zip(even, exact, strict=True)) <= 1


def test_frames_with_one_time_are_spread_over_the_gap_before() -> None:
    assert spread_doubled([0, 1, 2, 4, 5, 6, 6, 7]) == list(range(8))
    assert spread_doubled([0, 10, 30, 30, 40, 60, 60]) == list(range(0, 70, 10))
    assert spread_doubled([0, 1, 2, 1, 2, 5, 4, 5, 8, 9]) == list(range(10))
    assert spread_doubled([0, 1, 2, 1, 2, 5, 7, 7, 8]) == list(range(9))
    for hopeless in (
        [0, 10, 20, 20, 30],
        [0, 1, 2, 1, 2, 3, 4],
        [0, 10, 40, 50, 50],
        [0, None, 20],
        [0, 0],
    ):
        assert spread_doubled(hopeless) is None


def _shown(path: Path, info: MediaInfo, indices: list[int]) -> list[int]:
    times = info.timestamps
    ticks = [int(times.ticks[n]) for n in indices] if times.timed else None
    choice = FrameChoice(path, info.stream, indices, ticks, times.time_base)
    return numbers_on(FrameDecoder().frames(choice))


def _ffmpeg(*arguments: object) -> None:
    command = ["ffmpeg", "-v", "error", "-y", "-threads", "1", *map(str, arguments)]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        need("ffmpeg")


@pytest.mark.parametrize(
    ("encode", "timed"),
    [
        ("-c:v mjpeg -q:v 2", True),
        ("-c:v rawvideo -pix_fmt yuv420p", True),
        ("-c:v mpeg4 -q:v 2 -bf 2", True),
        ("-c:v libx264 -crf 8 -bf 0", False),
        ("-c:v libx264 -crf 8 -bf 3 -x264-params b-pyramid=normal:b-adapt=0", False),
    ],
)
@pytest.mark.parametrize("sound", [[], ["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "mp3"]])
def test_empty_chunks_take_their_time(
    tmp_path: Path, encode: str, timed: bool, sound: list[str]
) -> None:
    times = [0, 1, 2, 3, 4, 11, 12, 14, 15, 16, 17, 18, 19, 25, 26, 27]
    source = write_numbered(tmp_path / "a.mkv", len(times), times=[40 * time for time in times])
    path = tmp_path / "a.avi"
    inputs = ["-i", source, *sound[:4], "-fps_mode", "vfr", "-enc_time_base", "1:25"]
    _ffmpeg(*inputs, *encode.split(), *sound[4:], path)
    info = probe(path)
    assert info.timestamps.seconds() == pytest.approx([time / 25 for time in times])
    if sound:  # before which comes what its encoder needs to get going
        assert info.picture_start <= Fraction(2, 25)
    else:
        assert (info.picture_start, info.timestamps.timed) == (0, timed)
    assert _shown(path, info, list(range(len(times)))) == list(range(len(times)))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("numbered") / "a.mkv", 200)


@pytest.mark.parametrize(
    "encode",
    [
        # Now and then their parser takes a time for the frame before, and counts on from there.
        "-f vob -packetsize 1324 -c:v mpeg4 -bf 0 -q:v 4",
        "-f vob -packetsize 512 -c:v mpeg1video -bf 0 -q:v 8",
        "-f vob -packetsize 512 -c:v mpeg2video -bf 0 -q:v 4",
        # Or for a later one.
        "-f vob -packetsize 512 -c:v mpeg2video -bf 2 -q:v 4",
        "-f mpeg -packetsize 1324 -c:v mpeg2video -bf 1 -q:v 4",
        # Of these only the first frame of a packet has a time.
        "-f vob -c:v libx264 -bf 0 -crf 8",
        "-f svcd -c:v libx264 -crf 8 -bf 3 -x264-params b-pyramid=normal",
        "-f mpeg -c:v libx265 -crf 8 -preset ultrafast -x265-params log-level=none:pools=1",
    ],
)
def test_frames_that_share_a_packet_keep_their_times(
    tmp_path: Path, numbered: Path, encode: str
) -> None:
    path = tmp_path / "a.mpg"
    _ffmpeg("-r", 24, "-i", numbered, *encode.split(), path)
    info = probe(path)
    assert (info.frames, info.fps, info.variable_frame_rate) == (200, 24, False)
    assert _shown(path, info, [0, 1, 99, 100, 199]) == [0, 1, 99, 100, 199]


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4"])
def test_all_frames_of_an_asf_are_read(
    tmp_path: Path, numbered: Path, codec: str, b_frames: int
) -> None:
    path = tmp_path / "a.asf"
    _ffmpeg("-i", numbered, "-c:v", codec, "-q:v", 2, "-bf", b_frames, path)
    info = probe(path)
    assert (info.frames, info.repeated_times) == (200, 0)
    assert _shown(path, info, [0, 1, 99, 100, 199]) == [0, 1, 99, 100, 199]


def _with_three_frames_a_packet(path: Path, target: Path) -> Path:
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for at in range(0, len(packets), 3):
            first, *others = packets[at : at + 3]
            packet = av.Packet(b"".join(map(bytes, (first, *others))))
            packet.pts, packet.dts, packet.time_base = first.pts, first.dts, first.time_base
            packet.stream = stream
            container.mux(packet)
    return target


@pytest.mark.parametrize("open_gop", [False, True])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_frames_that_share_a_packet_of_a_transport_stream(
    tmp_path: Path, codec: str, open_gop: bool
) -> None:
    source = write_numbered(tmp_path / "a.ts", 48, codec=codec, open_gop=open_gop)
    path = _with_three_frames_a_packet(source, tmp_path / "b.ts")
    info = probe(path)
    assert (info.frames, info.fps, info.timestamps.timed) == (48, 25, False)
    assert info.picture_start == 0
    assert _shown(path, info, list(range(48))) == list(range(48))
