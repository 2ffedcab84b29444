"""Worker processes: what becomes of a file that crashes, hangs or swells its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.assets import write_video
from tests.support.processes import children, cpu_seconds, nothing_left
from videoprep.errors import Code, MediaError, VideoprepError
from videoprep.media import inspect
from videoprep.media.inspect import inspect_all
from videoprep.media.probe import MediaInfo
from videoprep.workers import pool as module
from videoprep.workers.pool import InspectionRequest, Limits, Lost, WorkerPool

pytestmark = pytest.mark.usefixtures("fresh_workers")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process and no file descriptor outlives a test."""
    with nothing_left():
        yield


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose scan takes seconds: a few large frames, again and again."""
    folder = tmp_path_factory.mktemp("slow")
    few = write_video(folder / "few.mp4", width=1280, height=720, frames=8, codec="mpeg4")
    with av.open(str(few)) as source, av.open(str(folder / "slow.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for round_ in range(200):
            for number, read in enumerate(packets):
                packet = av.Packet(bytes(read))
                packet.stream, packet.time_base = stream, Fraction(1, 8)
                packet.pts = packet.dts = 8 * round_ + number
                packet.is_keyframe = read.is_keyframe
                target.mux(packet)
    return folder / "slow.mp4"


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    first = write_video(tmp_path / "0.mp4").read_bytes()
    paths = [tmp_path / f"{number}.mp4" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(first + b"\0" * number)
    return paths


def _while_it_works(do: Callable[[int], object], times: int = 1) -> threading.Thread:
    """Does something to the worker process as soon as it is busy with a file."""
    known = set(children())

    def act() -> None:
        done: set[int] = set()
        deadline = time.monotonic() + 300
        while len(done) < times and time.monotonic() < deadline:
            for process in set(children()) - known - done:
                if cpu_seconds(process) > 1.0:  # more than it takes to start
                    do(process)
                    done.add(process)
            time.sleep(0.01)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def _scan(slow: Path, *others: Path, seconds: float = 60.0) -> list[object]:
    requests = [InspectionRequest(("probe", "scan"), slow, seconds)]
    requests += [InspectionRequest(("probe",), path, 60.0) for path in others]
    with WorkerPool(size=1) as pool:
        return list(pool.run(requests))


def test_order(videos: list[Path], slow: Path) -> None:
    paths = [slow, *videos, slow, *videos]
    with WorkerPool(size=2) as pool:
        answers = list(pool.run(InspectionRequest(("fingerprint",), path, 60.0) for path in paths))
        again = list(pool.run(InspectionRequest(("fingerprint",), path, 60.0) for path in paths))
        assert len(children()) >= 2
    assert answers == again
    values = [answer["fingerprint"]["value"] for answer in answers if isinstance(answer, dict)]
    assert len(values) == len(paths)
    assert len(set(values)) == len(videos) + 1


def test_a_file_that_takes_long_keeps_no_others_waiting(slow: Path, videos: list[Path]) -> None:
    taken = []

    def requests() -> Iterator[InspectionRequest]:
        yield InspectionRequest(("probe", "scan"), slow, 3.0)
        for path in videos:
            taken.append(path)
            yield InspectionRequest(("fingerprint",), path, 60.0)

    thread = _while_it_works(lambda process: os.kill(process, signal.SIGSTOP))
    with WorkerPool(size=2) as pool:
        answers = pool.run(requests())
        assert isinstance(next(answers), Lost)
        assert taken == videos
        assert all(isinstance(answer, dict) for answer in answers)
    thread.join()


def test_a_worker_that_stands_still_is_stopped(slow: Path, videos: list[Path]) -> None:
    thread = _while_it_works(lambda process: os.kill(process, signal.SIGSTOP))
    lost, *others = _scan(slow, *videos[:3], seconds=3.0)
    thread.join()
    assert isinstance(lost, Lost)
    assert (lost.why, lost.detail) == ("time", "took more than 3 seconds")
    assert all(isinstance(answer, dict) and "value" in answer["probe"] for answer in others)


def test_a_crash_is_tried_once_more(slow: Path, videos: list[Path]) -> None:
    thread = _while_it_works(lambda process: os.kill(process, signal.SIGKILL))
    answers = _scan(slow, *videos[:3])
    thread.join()
    assert all(isinstance(answer, dict) for answer in answers)


def test_two_crashes_are_the_files_fault(slow: Path, videos: list[Path]) -> None:
    thread = _while_it_works(lambda process: os.kill(process, signal.SIGSEGV), times=2)
    lost, *others = _scan(slow, *videos[:3])
    thread.join()
    assert lost == Lost("crash", "killed by SIGSEGV")
    assert all(isinstance(answer, dict) and "value" in answer["probe"] for answer in others)


def test_codes_of_what_is_lost(slow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(slow.read_bytes())
    thread = _while_it_works(lambda process: os.kill(process, signal.SIGKILL), times=2)
    (found,) = inspect_all(tmp_path, [tmp_path / "a.mp4"], scan=True)
    thread.join()
    assert isinstance(found.media, MediaError)
    assert found.media.code is Code.DECODER_CRASH
    assert "perhaps by the kernel for lack of memory" in found.media.message
    with monkeypatch.context() as patch:
        patch.setattr(inspect, "_seconds", lambda *_: 0.3)
        (found,) = inspect_all(tmp_path, [tmp_path / "a.mp4"], scan=True)
    assert isinstance(found.media, MediaError)
    assert found.media.code is Code.TIME_LIMIT
    (found,) = inspect_all(tmp_path, [tmp_path / "a.mp4"], scan=True)  # neither is remembered
    assert isinstance(found.media, MediaInfo)


def test_memory(tmp_path: Path) -> None:
    large = write_video(tmp_path / "large.mp4", width=4096, height=4096, frames=2, codec="mpeg4")
    small = write_video(tmp_path / "small.mp4")
    paths = [large, small]
    first, second = inspect_all(tmp_path, paths, limits=Limits(60.0, 24))
    assert isinstance(first.media, MediaError)
    assert first.media.code is Code.MEMORY_LIMIT
    assert "`limits.memory_mib`" in (first.media.remedy or "")
    assert isinstance(second.media, MediaInfo)
    first, second = inspect_all(tmp_path, paths, limits=Limits(60.0, 1024))
    assert isinstance(first.media, MediaInfo)


def test_an_answer_cannot_swell_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.cumsum(np.random.default_rng(0).integers(1, 9, 300)).tolist()
    path = write_video(tmp_path / "a.mkv", frames=300, fps=1000, times=times)
    shorter = module._CODE.replace("; serve(", "; import videoprep.media.inspector as i; ")
    shorter = shorter.replace("int(sys.argv[2]))", "i._LONGEST_ANSWER = 999; serve(512)")
    monkeypatch.setattr(module, "_CODE", shorter)
    (found,) = inspect_all(tmp_path, [path], scan=True)
    assert isinstance(found.media, MediaError)
    assert found.media.code is Code.MEMORY_LIMIT


def test_closed_early(videos: list[Path], tmp_path: Path) -> None:
    results = inspect_all(tmp_path, videos)
    assert isinstance(next(results).media, MediaInfo)
    assert children()
    results.close()  # type: ignore[attr-defined]


def test_an_error_of_the_caller(videos: list[Path], tmp_path: Path) -> None:
    def paths() -> Iterator[Path]:
        yield from videos[:3]
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(inspect_all(tmp_path, paths()))


def test_from_a_thread(videos: list[Path], tmp_path: Path) -> None:
    found: list[object] = []
    thread = threading.Thread(
        target=lambda: found.extend(item.media for item in inspect_all(tmp_path, videos))
    )
    thread.start()
    thread.join()
    assert len(found) == len(videos)
    assert all(isinstance(media, MediaInfo) for media in found)


def test_fifos_and_devices_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    paths = [tmp_path / "fifo.mp4", Path("/dev/zero"), tmp_path, tmp_path / "none.mp4"]
    found = [item.media for item in inspect_all(tmp_path, paths, limits=Limits(seconds=20.0))]
    assert [m.code for m in found if isinstance(m, MediaError)] == [Code.UNREADABLE] * 4
    assert "not a regular file" in str(found[0])
    assert "no such file" in str(found[3])


@pytest.mark.parametrize("how", ["no python", "no module", "no pipe"])
def test_a_worker_that_cannot_start(
    how: str, videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "no python":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    elif how == "no module":
        monkeypatch.setattr(module, "_CODE", "import no_such_module")
    else:

        def fail() -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(module.tempfile, "TemporaryFile", fail)
    with pytest.raises(VideoprepError, match="a worker process cannot be started") as raised:
        list(inspect_all(tmp_path, videos))
    assert raised.value.remedy
    if how == "no module":
        assert "no_such_module" in str(raised.value)


# A suite that a shell runs in the background ignores interrupts, and so would the script.
_SCRIPT = """
import signal
import sys
from pathlib import Path
from videoprep.media.inspect import inspect_all
signal.signal(signal.SIGINT, signal.default_int_handler)
{before}
for item in inspect_all(Path(sys.argv[1]), [Path(sys.argv[2])] * 3, scan={scan}):
    Path(sys.argv[1], "found.txt").open("a").write(f"{{item.media.frames}}\\n")
"""


def _start(tmp_path: Path, video: Path, before: str = "", scan: bool = False) -> subprocess.Popen:  # type: ignore[type-arg]
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(before=before, scan=scan))
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), str(video)], env=environment, cwd=tmp_path
    )


@pytest.mark.parametrize(
    "before",
    ["", "import os; os.close(0); os.close(1)", "import os; [os.close(n) for n in range(3)]"],
    ids=["a plain script", "no stdin and stdout", "no stderr either"],
)
def test_a_script_without_a_main_guard(before: str, videos: list[Path], tmp_path: Path) -> None:
    assert _start(tmp_path, videos[0], before).wait(300) == 0
    assert (tmp_path / "found.txt").read_text() == "9\n9\n9\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_parent(how: signal.Signals, slow: Path, tmp_path: Path) -> None:
    process = _start(tmp_path, slow, scan=True)
    deadline = time.monotonic() + 300
    workers: list[int] = []
    while not any(cpu_seconds(worker) > 1.0 for worker in workers):
        assert time.monotonic() < deadline
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        workers = [int(word) for word in children.read_text().split()]
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(120) == -how
    while any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_answers_beyond_what_is_held_do_not_stop_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_HELD", 0)
    paths = [write_video(tmp_path / f"{n}.mp4") for n in range(6)]
    requests = [InspectionRequest(("probe",), path, 30) for path in paths]
    requests[0] = InspectionRequest(("probe",), paths[0], 0.0005)  # late before it has begun
    with WorkerPool(size=2) as pool:
        first, *others = pool.run(requests)
    assert isinstance(first, Lost)
    assert [list(answer) for answer in others] == [["probe"]] * 5


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_limits_have_to_be_limits(seconds: float) -> None:
    with pytest.raises(VideoprepError, match="no limits"):
        Limits(seconds=seconds)


def test_an_answer_is_told_before_its_turn(slow: Path, videos: list[Path]) -> None:
    """What took long is kept then, for a film before it may take hours."""
    asked = [InspectionRequest(("scan",), slow, 300), InspectionRequest(("probe",), videos[0], 300)]
    answered: list[int] = []
    with WorkerPool(size=2) as pool:
        found = list(pool.run(asked, on_answer=lambda number, answer: answered.append(number)))
    assert ["scan" in found[0], "probe" in found[1]] == [True, True]
    assert answered == [1, 0]


def test_an_error_of_whoever_is_told_ends_the_run(videos: list[Path]) -> None:
    """It is none of the worker, which would be started again."""

    def refuse(number: int, answer: object) -> None:
        raise ValueError("no")

    asked = [InspectionRequest(("probe",), videos[0], 300)]
    with WorkerPool(size=1) as pool, pytest.raises(ValueError, match="no"):
        list(pool.run(asked, on_answer=refuse))
