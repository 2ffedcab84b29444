"""The decode pool: right pixels, in order, within bounds; and what becomes of hostile clips."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import videoprep as vp
from tests.support.assets import write_video
from tests.support.processes import children, nothing_left
from videoprep.errors import Code, MediaError, SourceError, VideoprepError
from videoprep.media import decode_pool as module
from videoprep.media import source
from videoprep.media.clip import ClipPixels, load_clip
from videoprep.media.decode import FrameChoice
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.geometry import Box, whole
from videoprep.media.probe import probe
from videoprep.workers.pool import Limits
from videoprep.workers.shared_memory import Arena, Piece, first_gap

pytestmark = pytest.mark.usefixtures("fresh_workers")

BYTES = 5 * 3 * 64 * 96
"""Of the pixels of a clip in `clips`."""


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[ClipPixels]:
    """Eight clips of five frames, each of its own file: 0.mp4, 1.mp4, …"""
    folder = tmp_path_factory.mktemp("clips")
    return [_clip(write_video(folder / f"{n}.mp4", lift=8 * n)) for n in range(8)]


@pytest.fixture(scope="module")
def expected(clips: list[ClipPixels]) -> list[torch.Tensor]:
    return [load_clip(clip) for clip in clips]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    """One with two workers that tests share as long as nothing happens to them."""
    with DecodePool(size=2, memory=3 * BYTES) as pool:
        pool.start()
        yield pool


def _clip(path: Path, indices: Sequence[int] = range(5), **changes: object) -> ClipPixels:
    info = probe(path)
    ticks = [int(info.timestamps.ticks[n]) for n in indices]
    choice = FrameChoice(path, info.stream, indices, ticks, info.timestamps.time_base)
    box = whole(info.width, info.height)
    size = (info.width, info.height)
    clip = ClipPixels(choice, info.fingerprint, *size, box, box, *size)
    return replace(clip, **changes)  # type: ignore[arg-type]


def _run(pool: DecodePool, clips: Sequence[ClipPixels]) -> list[torch.Tensor | VideoprepError]:
    """Copies of the pixels, or the errors."""
    results: list[torch.Tensor | VideoprepError] = []
    for number, result in pool.run(enumerate(clips)):
        assert number == len(results)
        if isinstance(result, Decoded):
            results.append(result.pixels.clone())
            result.release()
        else:
            results.append(result)
    return results


def _same(
    results: Sequence[torch.Tensor | VideoprepError], expected: Sequence[torch.Tensor]
) -> bool:
    assert len(results) == len(expected)
    return all(
        isinstance(result, torch.Tensor) and torch.equal(result, tensor)
        for result, tensor in zip(results, expected, strict=True)
    )


def test_pixels_are_those_of_load_clip(tmp_path: Path) -> None:
    path = write_video(tmp_path / "ä b.mp4", width=128, height=96, matrix="turned-90")
    shapes = [
        _clip(path, [0, 2, 2, 8]),
        _clip(path, crop=Box(7, 3, 80, 100), fit=whole(32, 48), width=32, height=48),
        _clip(path, crop=Box(0, 0, 60, 60), fit=Box(4, 0, 60, 60), width=68, height=64),
        _clip(path, [8], fit=Box(0, 3, 48, 64), width=48, height=70),
        _clip(write_video(tmp_path / "a.ts")),
    ]
    shapes *= 3  # all but the first few lie where others have been
    wanted = [load_clip(clip) for clip in shapes]
    with DecodePool(size=1, memory=max(map(torch.numel, wanted))) as pool:
        assert _same(_run(pool, shapes), wanted)


def test_real_clips(real_clips: Path) -> None:
    index = vp.BucketIndex.build(real_clips, reshape="center-crop")
    clips = [clip.pixels for clip in index.clips()]
    with DecodePool(size=2, memory=100 << 20) as pool:
        for clip, result in pool.run((clip, clip) for clip in clips):
            assert isinstance(result, Decoded)
            assert torch.equal(result.pixels, load_clip(clip))
            result.release()
        assert pool.waited > 0


def test_a_relative_path(
    pool: DecodePool,
    clips: list[ClipPixels],
    expected: list[torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = clips[3].frames.path
    monkeypatch.chdir(path.parent)
    relative = replace(clips[3], frames=replace(clips[3].frames, path=Path(path.name)))
    assert _same(_run(pool, [relative]), [expected[3]])


def _pulling(clips: Sequence[ClipPixels], pulled: list[int]) -> Iterator[tuple[int, ClipPixels]]:
    for number, clip in enumerate(clips):
        pulled.append(number)
        yield number, clip


def test_clips_are_pulled_as_they_are_needed(pool: DecodePool, clips: list[ClipPixels]) -> None:
    first = [replace(clip, frames=clip.frames.select([0])) for clip in clips * 3]
    pulled: list[int] = []
    for number, result in pool.run(_pulling(first, pulled)):
        assert number < len(pulled) <= number + 4  # two a worker
        assert isinstance(result, Decoded)
        result.release()


def test_memory_bounds_what_is_pulled(pool: DecodePool, clips: list[ClipPixels]) -> None:
    pulled: list[int] = []
    held: list[Decoded] = []
    for number, result in pool.run(_pulling(clips, pulled)):
        # Room for three clips: one more is pulled to see how large it is.
        assert len(pulled) <= max(3, number + 1) + 1
        assert isinstance(result, Decoded)
        held.append(result)
    for result in held:
        result.release()


def test_a_caller_that_holds_everything_is_served(
    pool: DecodePool, clips: list[ClipPixels], expected: list[torch.Tensor]
) -> None:
    held = [result for _, result in pool.run(enumerate(clips))]
    pixels = [result.pixels for result in held if isinstance(result, Decoded)]
    assert _same(pixels, expected)
    for result in held:
        assert isinstance(result, Decoded)
        result.release()
        result.release()
    assert _memory_of(pool) <= 3 * BYTES + 3 * os.sysconf("SC_PAGE_SIZE")
    assert _same(_run(pool, clips), expected)


def _memory_of(pool: DecodePool) -> int:
    return os.fstat(pool._arena.memory.number).st_blocks * 512


def test_a_clip_larger_than_the_memory(pool: DecodePool, clips: list[ClipPixels]) -> None:
    path = clips[0].frames.path
    large = _clip(path, fit=Box(0, 0, 320, 320), width=320, height=320)
    several = [clips[0], large, clips[1], large, large]
    assert _same(_run(pool, several), [load_clip(clip) for clip in several])
    assert _memory_of(pool) <= 3 * BYTES + 3 * os.sysconf("SC_PAGE_SIZE")


def test_a_request_longer_than_a_pipe_holds(pool: DecodePool, clips: list[ClipPixels]) -> None:
    path = clips[0].frames.path
    long = _clip(path, [0] * 20_000, crop=whole(2, 2), fit=whole(2, 2), width=2, height=2)
    assert _same(_run(pool, [long] * 4), [load_clip(long)] * 4)


def test_errors_are_those_of_load_clip(
    pool: DecodePool, clips: list[ClipPixels], expected: list[torch.Tensor]
) -> None:
    frames = replace(clips[0].frames, ticks=[0, 1, 2, 3, 10**9])
    bad = [replace(clips[0], frames=frames), replace(clips[1], source_width=98)]
    first, second, third = _run(pool, [*bad, clips[2]])
    for clip, error in zip(bad, (first, second), strict=True):
        with pytest.raises(MediaError) as raised:
            load_clip(clip)
        assert isinstance(error, MediaError)
        assert (str(error), error.code) == (str(raised.value), Code.DECODE_FAILED)
    assert _same([third], [expected[2]])


def test_sources_are_what_was_planned(
    pool: DecodePool, clips: list[ClipPixels], expected: list[torch.Tensor], tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", grey=9)
    clip = _clip(path)
    assert isinstance(_run(pool, [clip])[0], torch.Tensor)
    write_video(path, grey=99)
    changed, good = _run(pool, [clip, clips[0]])
    assert isinstance(changed, SourceError)
    assert "changed" in str(changed)
    assert changed.where == str(path)
    assert _same([good], [expected[0]])
    path.unlink()
    (gone,) = _run(pool, [clip])
    assert isinstance(gone, SourceError)
    assert "No such file" in str(gone)


def test_files_that_are_remembered_are_few(
    clips: list[ClipPixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = source.fingerprint_of
    monkeypatch.setattr(source, "fingerprint_of", lambda path: (read.append(path), real(path))[1])
    monkeypatch.setattr(source, "_REMEMBERED", 2)
    guard = source.SourceGuard()
    order = [0, 1, 0, 2, 0, 1]
    for number in order:
        guard.require(clips[number].frames.path, clips[number].fingerprint)
    assert [path.name for path in read] == ["0.mp4", "1.mp4", "2.mp4", "1.mp4"]


def test_one_run_at_a_time(pool: DecodePool, clips: list[ClipPixels]) -> None:
    run = pool.run(enumerate(clips))
    _, first = next(run)
    with pytest.raises(RuntimeError, match="one run"):
        next(pool.run(enumerate(clips)))
    for _, result in run:
        assert isinstance(result, Decoded)
        result.release()
    assert isinstance(first, Decoded)
    first.release()


# What happens to the workers of these pools is their own business.


def _fails(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    monkeypatch.setenv("VIDEOPREP_FAILPOINTS", rule)


def _one_is_lost(
    clips: list[ClipPixels], expected: list[torch.Tensor], lost: int, **arguments: object
) -> MediaError:
    """Decodes all; gives the error of the one that does not decode."""
    arguments = {"size": 2, "memory": 8 * BYTES, **arguments}
    with DecodePool(**arguments) as pool:  # type: ignore[arg-type]
        results = _run(pool, clips)
    error = results.pop(lost)
    assert _same(results, [*expected[:lost], *expected[lost + 1 :]])
    assert isinstance(error, MediaError)
    assert error.where == str(clips[lost].frames.path)
    assert error.remedy
    return error


@pytest.mark.parametrize(
    ("action", "words"),
    [("segv", "SIGSEGV"), ("kill", "SIGKILL, perhaps by the kernel for lack of memory")],
)
def test_a_crash_costs_its_clip_alone(
    action: str,
    words: str,
    clips: list[ClipPixels],
    expected: list[torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fails(monkeypatch, f"decode={action}*0@/2.mp4")
    error = _one_is_lost(clips, expected, 2, size=1 if action == "kill" else 2)
    assert error.code is Code.DECODER_CRASH
    assert error.message == f"decoding it crashes the decoder: killed by {words}"


def test_a_crash_is_tried_once_more(
    clips: list[ClipPixels],
    expected: list[torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _fails(monkeypatch, "decode=segv*0@/2.mp4")
    monkeypatch.setenv("VIDEOPREP_FAILPOINTS_ONCE", str(tmp_path / "once"))
    with DecodePool(size=1, memory=8 * BYTES) as pool:
        assert _same(_run(pool, clips), expected)
    assert (tmp_path / "once").exists()


def test_a_hang_is_stopped(
    clips: list[ClipPixels], expected: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    _fails(monkeypatch, "decode=hang*0@/2.mp4")
    error = _one_is_lost(clips, expected, 2, limits=Limits(seconds=0.3))
    assert error.code is Code.TIME_LIMIT
    assert error.message == "decoding it took more than 3 seconds"


def test_a_worker_that_stands_still_is_stopped(
    clips: list[ClipPixels], expected: list[torch.Tensor]
) -> None:
    before = set(children())
    with DecodePool(size=1, memory=1 << 20, limits=Limits(seconds=0.2)) as pool:
        results = []
        for number, result in pool.run(enumerate([*clips, *clips])):
            if number == 0:
                (worker,) = set(children()) - before
                os.kill(worker, signal.SIGSTOP)
            results.append(result.pixels.clone() if isinstance(result, Decoded) else result)
        lost = [error for error in results if isinstance(error, MediaError)]
    assert [error.code for error in lost] == [Code.TIME_LIMIT]
    at = results.index(lost[0])
    wanted = [*expected, *expected]
    assert _same(results[:at] + results[at + 1 :], wanted[:at] + wanted[at + 1 :])  # type: ignore[arg-type]


def test_memory(clips: list[ClipPixels], expected: list[torch.Tensor], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", width=4096, height=4096, frames=2, codec="mpeg4")
    large = _clip(path, [0, 1], fit=whole(96, 64), width=96, height=64)
    several = [clips[0], large, clips[1]]
    wanted = [expected[0], load_clip(large), expected[1]]
    error = _one_is_lost(several, wanted, 1, size=1, limits=Limits(memory_mib=24))
    assert error.code is Code.MEMORY_LIMIT
    with DecodePool(size=1, memory=BYTES) as pool:
        assert _same(_run(pool, several), wanted)


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        ("memory", Code.MEMORY_LIMIT, "wants more memory than a file may have"),
        ("enospc", Code.DECODE_FAILED, "does not decode: OSError: [Errno 28]"),
    ],
)
def test_whatever_happens_is_said(
    action: str,
    code: Code,
    words: str,
    clips: list[ClipPixels],
    expected: list[torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fails(monkeypatch, f"decode={action}@/2.mp4")
    error = _one_is_lost(clips, expected, 2, size=1)
    assert error.code is code
    assert error.message.startswith(words)


@pytest.mark.parametrize("how", ["no python", "no module"])
def test_a_worker_that_cannot_start(
    how: str, clips: list[ClipPixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "no python":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    else:
        monkeypatch.setattr(module, "_CODE", module.BEGIN + "import no_such_module")
    with (
        DecodePool(size=2, memory=BYTES) as pool,
        pytest.raises(VideoprepError, match="a worker process cannot be started") as raised,
    ):
        _run(pool, clips)
    if how == "no module":
        assert "no_such_module" in str(raised.value)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"memory": 0}, {"ahead": 0}])
def test_numbers_have_to_be_positive(wrong: dict[str, int]) -> None:
    with pytest.raises(VideoprepError, match="no decode pool"):
        DecodePool(**{"size": 1, "memory": 1, **wrong})  # type: ignore[arg-type]


def test_signals_are_the_parents_to_handle(
    clips: list[ClipPixels], expected: list[torch.Tensor]
) -> None:
    before = set(children())
    with DecodePool(size=1, memory=1 << 20) as pool:
        pool.start()
        (worker,) = set(children()) - before
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            os.kill(worker, number)  # it has hardly begun
        assert _same(_run(pool, clips), expected)
        os.kill(worker, signal.SIGTERM)
        assert _same(_run(pool, clips), expected)
        assert worker in children()


def test_an_idle_worker_that_ends_is_replaced(
    clips: list[ClipPixels], expected: list[torch.Tensor]
) -> None:
    before = set(children())
    with DecodePool(size=1, memory=1 << 20) as pool:
        assert _same(_run(pool, clips), expected)
        (worker,) = set(children()) - before
        os.kill(worker, signal.SIGKILL)
        assert _same(_run(pool, clips), expected)


def test_runs_that_are_given_up(clips: list[ClipPixels], expected: list[torch.Tensor]) -> None:
    def broken() -> Iterator[tuple[int, ClipPixels]]:
        yield 0, clips[0]
        raise LookupError("no more")

    with DecodePool(size=1, memory=2 * BYTES) as pool:
        run = pool.run(enumerate(clips))
        _, first = next(run)
        assert isinstance(first, Decoded)
        run.close()  # type: ignore[attr-defined]
        assert torch.equal(first.pixels, expected[0])
        first.release()
        with pytest.raises(LookupError, match="no more"):
            list(pool.run(broken()))
        assert _same(_run(pool, clips), expected)
        run = pool.run(enumerate(clips))
        _, first = next(run)
    assert isinstance(first, Decoded)
    assert torch.equal(first.pixels, expected[0])  # for as long as it is held
    first.release()
    run.close()  # type: ignore[attr-defined]


def test_a_worker_that_is_busy_is_not_waited_for(
    clips: list[ClipPixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOPREP_FAILPOINTS", f"decode=hang*0@{clips[1].frames.path.name}")
    before = children().keys()
    with DecodePool(size=1, memory=2 * BYTES) as pool:
        run = pool.run(enumerate(clips))
        _, first = next(run)
        assert isinstance(first, Decoded)
        assert children().keys() > before
    assert children().keys() <= before
    first.release()
    run.close()  # type: ignore[attr-defined]


def test_closed_while_workers_start(clips: list[ClipPixels]) -> None:
    with DecodePool(size=3, memory=1 << 30) as pool:
        pool.start()


_SCRIPT = """
import os, sys
from pathlib import Path
{before}
from tests.media.test_decode_pool import _clip
from videoprep.media.decode_pool import DecodePool
with DecodePool(size=2, memory=1 << 20) as pool:
    for number, result in pool.run(enumerate([_clip(Path(sys.argv[1]))] * 3)):
        Path(sys.argv[2], "sums.txt").open("a").write(f"{{result.pixels.sum()}}\\n")
"""


def _start(tmp_path: Path, video: Path, before: str = "", **environment: str) -> subprocess.Popen:  # type: ignore[type-arg]
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(before=before))
    root = str(Path(module.__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, str(script), str(video), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": root, **environment},
        cwd=tmp_path,
    )


def test_a_script_with_nothing_open(
    clips: list[ClipPixels], expected: list[torch.Tensor], tmp_path: Path
) -> None:
    """Descriptors 0 to 2 are free, and then the memory's; the script has no main guard."""
    process = _start(tmp_path, clips[1].frames.path, "[os.close(n) for n in range(3)]")
    assert process.wait(120) == 0
    assert (tmp_path / "sums.txt").read_text() == f"{expected[1].sum()}\n" * 3


def test_workers_end_with_their_parent(clips: list[ClipPixels], tmp_path: Path) -> None:
    """Killed while one of its workers is at a clip and hangs."""
    mark = tmp_path / "mark"
    process = _start(
        tmp_path,
        clips[1].frames.path,
        VIDEOPREP_FAILPOINTS="decode=hang",
        VIDEOPREP_FAILPOINTS_ONCE=str(mark),
    )
    _until(mark.exists)
    workers = children(process.pid)
    assert len(workers) == 2
    process.kill()
    assert process.wait(120) == -signal.SIGKILL
    _until(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers))


def _until(true: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=12), st.integers(1, 6))
def test_a_gap_is_the_first_that_is_long_enough(layout: list[tuple[int, int]], length: int) -> None:
    used, end = [], 0
    for gap, size in layout:
        used.append((end + gap, end + gap + size))
        end = used[-1][1]
    taken = {byte for start, stop in used for byte in range(start, stop)}
    fits = (start for start in count() if not taken & set(range(start, start + length)))
    assert first_gap(used, length) == next(fits)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=40))
def test_pieces_do_not_overlap(steps: list[tuple[bool, int]]) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    arena = Arena(16 * page)
    held: list[Piece] = []
    for take, number in steps:
        if take:
            piece = arena.take(number * page, beyond=number % 2 == 0)
            assert piece is not None or number % 2
            if piece is not None:
                assert number % 2 == 0 or piece.end <= 16 * page
                arena.memory.write(piece.start, bytes([len(held)]) * (piece.end - piece.start))
                held.append(piece)
        elif held:
            arena.give_back(held.pop(number % len(held)))
    spans = sorted((piece.start, piece.end) for piece in held)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    arena.close()


def test_a_piece_is_given_back_once() -> None:
    arena = Arena(1 << 16)
    first = arena.take(1 << 16)
    assert first is not None
    assert arena.take(1) is None
    arena.give_back(first)
    second = arena.take(1 << 16)
    arena.give_back(first)
    assert arena.take(1) is None
    assert second is not None
    arena.close()
    arena.give_back(second)


def test_pieces_from_many_threads() -> None:
    arena = Arena(1 << 16)

    def work() -> None:
        for _ in range(300):
            piece = arena.take(1 << 12)
            assert piece is not None
            arena.give_back(piece)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert arena.take(1 << 16) is not None
    arena.close()


def test_clips_that_begin_late_are_sought(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", frames=520)
    info = probe(path)
    indices = [501, 505, 519]
    ticks = [int(info.timestamps.ticks[n]) for n in indices]
    base = info.timestamps.time_base
    frames = FrameChoice(path, info.stream, indices, ticks, base)
    clip = ClipPixels(frames, info.fingerprint, 96, 64, whole(96, 64), whole(96, 64), 96, 64)
    with DecodePool(size=1, memory=1 << 20) as pool:
        ((_, answer),) = pool.run([(0, clip)])
        assert isinstance(answer, Decoded)
        assert torch.equal(answer.pixels, load_clip(clip))
