"""`export --to media` as a run: killed anywhere, shared by ranks and jobs, it finishes once."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import videoprep as vp
from tests.exporters.test_media import plan
from tests.support.assets import write_video
from tests.support.small_store import (
    SOAK,
    fresh,
    hidden,
    kill_rules,
    passed,
    places,
    visible,
    wait_for_place,
)
from tests.support.warm import Process, Warm
from videoprep.exporters.folder import NAMES, STATE
from videoprep.exporters.media.task import FAILURES

CLIPS = 6
_OF_UNITS = {"TEST_UNIT_PARTS": "2"}
"""Three units of two clips each."""


@dataclass(frozen=True)
class MediaExport:
    """A plan that is exported by processes, and what comes out if nothing disturbs them."""

    warm: Warm
    source: Path
    output: Path
    whole: Path

    def start(
        self, *more: object, ranks: int = 0, restarts: int = 0, **environment: str
    ) -> Process:
        command = ["export", self.source, "--to", "media", "-o", self.output]
        command += ["--output-format", "json", *more]
        environment = {**_OF_UNITS, **environment}
        return self.warm.start_ranks(*command, ranks=ranks, restarts=restarts, **environment)

    def run(self, *more: object, **options: Any) -> Process:
        process = self.start(*more, **options)
        process.wait()
        return process

    def finish(self, *more: object, **options: Any) -> dict[str, Any]:
        """Exports, which has to go well, and leaves what an undisturbed run does; its result."""
        process = self.run(*more, **options)
        assert process.returncode == 0, process.stderr
        self.require_whole()
        result: dict[str, Any] = json.loads(process.stdout)
        return result

    def require_whole(self) -> None:
        assert contents(self.output) == contents(self.whole)
        assert hidden(self.output) == [STATE]

    def require_sound(self) -> None:
        """Whatever a trainer would read is whole."""
        whole = contents(self.whole)
        for name, data in contents(self.output).items():
            if name.startswith("clips/"):
                assert data == whole[name], name


def contents(folder: Path) -> dict[str, bytes]:
    """The visible files; configs name the folder."""
    own = str(folder).encode()
    return {name: data.replace(own, b"OUTPUT") for name, data in visible(folder).items()}


def exported(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("clips/*/[!.]*")}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A plan of two buckets, and its export."""
    root = tmp_path_factory.mktemp("media")
    for number in range(CLIPS):
        width, height = (96, 64) if number < CLIPS - 2 else (64, 96)
        path = root / f"data/{number}.mp4"
        write_video(path, width=width, height=height, frames=5, lift=60 - 10 * number)
    source = plan(root / "data")
    assert vp.export_media(source, output=root / "whole").clips == CLIPS
    return source, root / "whole"


@pytest.fixture
def media(warm: Warm, planned: tuple[Path, Path], tmp_path: Path) -> Iterator[MediaExport]:
    yield MediaExport(warm, planned[0], tmp_path / "output", planned[1])
    warm.end_all()


# Killed


@pytest.mark.parametrize(
    "rule",
    [
        f"file.written=kill@{STATE}",
        "file.begun=kill@.claims/",
        "unit.claimed=kill*2",
        "clip.encoding=kill*2",
        "file.written=kill*3@.mp4",
        "file.placed=kill@.mp4",
        "file.begun=kill*2@.txt",
        "clip.encoded=kill*3",
        "unit.committed=kill",
        "unit.committed=kill*3",
        f"file.written=kill@{NAMES}",
        "file.placed=kill@.toml",
        "run.finished=kill",
    ],
)
def test_killed_at_a_place(media: MediaExport, rule: str) -> None:
    killed = media.run(VIDEOPREP_FAILPOINTS=rule)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    media.require_sound()
    there = len(exported(media.output))
    assert media.finish()["written"] == 2 * CLIPS - there


@pytest.mark.soak
def test_killed_at_every_place_that_a_run_comes_by(media: MediaExport, tmp_path: Path) -> None:
    log = tmp_path / "log"
    media.finish(VIDEOPREP_FAILPOINTS_LOG=str(log))
    rules = [rule for rule in kill_rules(log) if not rule.startswith("decode=")]
    for rule in random.Random(SOAK).sample(rules, min(len(rules), 2 * SOAK)):
        fresh(media.output)
        media.run(VIDEOPREP_FAILPOINTS=rule)
        media.require_sound()
        media.finish()


@pytest.mark.soak
@pytest.mark.parametrize("ranks", [0, 2])
def test_killed_at_random_moments(media: MediaExport, ranks: int, tmp_path: Path) -> None:
    """With all that it has started, up to twice in a row; another number of ranks ends it."""
    log = tmp_path / "log"
    media.finish(ranks=ranks, VIDEOPREP_FAILPOINTS_LOG=str(log))
    usual = passed(log)
    for seed in range(SOAK):
        moments = random.Random(f"{ranks} ranks {seed}")
        fresh(media.output)
        for _ in range(moments.randint(1, 2)):
            log.unlink(missing_ok=True)
            process = media.start(ranks=ranks, VIDEOPREP_FAILPOINTS_LOG=str(log))
            wait_for_place(process, log, moments.randint(0, usual))
            process.kill_tree()
            media.require_sound()
        media.finish(ranks=moments.choice([0, 2]))


@pytest.mark.parametrize("rule", ["clip.encoding=kill*2", "file.placed=kill*2@.mp4"])
def test_a_rank_is_killed_and_started_again(media: MediaExport, rule: str, tmp_path: Path) -> None:
    once = tmp_path / "once"
    environment = {"VIDEOPREP_FAILPOINTS": rule, "VIDEOPREP_FAILPOINTS_ONCE": str(once)}
    media.finish(ranks=2, restarts=1, **environment)
    assert once.exists()


def test_a_clip_that_kills_its_process_fails_alone(media: MediaExport) -> None:
    rule = "clip.encoding=kill@3.mp4"
    codes = [media.run(VIDEOPREP_FAILPOINTS=rule).returncode for _ in range(5)]
    assert codes == [-signal.SIGKILL] * 5
    for _ in range(2):  # the second does not try it again
        done = media.run(VIDEOPREP_FAILPOINTS=rule)
        assert done.returncode == 1, done.stderr
        result = json.loads(done.stdout)
        assert (result["clips"], result["pending"]) == (CLIPS - 1, 0)
        [failed] = result["failed"]
        assert (failed["video"], failed["code"]) == ("3.mp4", "VP405")
        assert "the process died 3 times in a row" in failed["reason"]
    assert media.finish("--retry-failed")["written"] == 2


# Shared


def test_ranks_share_the_work(media: MediaExport, tmp_path: Path) -> None:
    log = tmp_path / "log"
    result = media.finish(ranks=2, VIDEOPREP_FAILPOINTS_LOG=str(log))
    assert (result["clips"], result["written"]) == (CLIPS, 2 * CLIPS)
    made = Counter(detail for name, detail in places(log) if name == "clip.encoded")
    assert (len(made), set(made.values())) == (CLIPS, {1})


def test_jobs_of_an_array_one_after_the_other(media: MediaExport) -> None:
    first = media.run("--num-jobs", 2, "--job-id", 0)
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    clips = result["clips"]
    assert 0 < clips < CLIPS
    assert (result["written"], result["pending"]) == (2 * clips, CLIPS - clips)
    assert (media.output / NAMES).read_text().count("\n") == clips
    media.require_sound()
    second = media.finish("--num-jobs", 2, "--job-id", 1)
    assert (second["written"], second["pending"]) == (2 * (CLIPS - clips), 0)


def test_jobs_of_an_array_at_once(media: MediaExport) -> None:
    jobs = [media.start("--num-jobs", 3, "--job-id", number) for number in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0], [job.stderr for job in jobs]
    media.require_whole()


def test_two_runs_at_once_do_each_clip_once(media: MediaExport, tmp_path: Path) -> None:
    log = tmp_path / "log"
    slow = {"VIDEOPREP_FAILPOINTS": "unit.claimed=pause*0", "VIDEOPREP_FAILPOINTS_LOG": str(log)}
    runs = [media.start(**slow) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0], [run.stderr for run in runs]
    media.require_whole()
    made = Counter(detail for name, detail in places(log) if name == "clip.encoded")
    assert (len(made), set(made.values())) == (CLIPS, {1})


# Failed, full, stopped


def test_what_fails_is_recorded_and_tried_again_if_asked(
    media: MediaExport, tmp_path: Path
) -> None:
    failed = media.run(ranks=2, VIDEOPREP_FAILPOINTS="decode=segv*0@1.mp4")
    assert failed.returncode == 1
    media.require_sound()
    log = tmp_path / "log"
    again = media.run(VIDEOPREP_FAILPOINTS_LOG=str(log))
    assert again.returncode == 1
    assert [name for name, _ in places(log) if name in ("unit.claimed", "decode")] == []
    result = json.loads(again.stdout)
    assert (result["clips"], result["written"], result["pending"]) == (CLIPS - 1, 0, 0)
    assert [sample["video"] for sample in result["failed"]] == ["1.mp4"]
    assert result["left_out"] == result["failed"]
    [record] = (media.output / FAILURES).iterdir()
    [entry] = json.loads(record.read_bytes())
    assert (entry["key"], entry["code"]) == ("00000001_1", result["failed"][0]["code"])
    # One of two jobs has it in its share.
    jobs = [media.run("--retry-failed", "--num-jobs", 2, "--job-id", job) for job in range(2)]
    assert sorted(json.loads(job.stdout)["written"] for job in jobs) == [0, 2]
    assert jobs[1].returncode == 0
    media.require_whole()


@pytest.mark.parametrize("data", [b"", b'[{"key"', b'[{"x": 1}]', b"3", b"[null]"])
def test_a_damaged_record_of_failures_is_written_again(media: MediaExport, data: bytes) -> None:
    rule = "decode=segv*0@1.mp4"
    assert media.run(VIDEOPREP_FAILPOINTS=rule).returncode == 1
    [record] = (media.output / FAILURES).iterdir()
    before = record.read_bytes()
    record.write_bytes(data)
    assert media.run(VIDEOPREP_FAILPOINTS=rule).returncode == 1
    assert record.read_bytes() == before
    record.write_bytes(data)
    media.finish()


def test_a_damaged_clip_is_named(media: MediaExport) -> None:
    media.finish()
    clip = sorted(media.output.glob("clips/*/*.mp4"))[0]
    clip.write_bytes(b"")
    refused = media.run()
    assert refused.returncode == 2
    assert clip.name in refused.stderr
    assert "Traceback" not in refused.stderr
    clip.unlink()
    media.finish()


def test_a_job_does_not_wait_for_the_others(media: MediaExport, tmp_path: Path) -> None:
    """It writes its list once; the last one lists the clips of all."""
    log = tmp_path / "log"
    for job in range(2):
        done = media.run("--num-jobs", 2, "--job-id", job, VIDEOPREP_FAILPOINTS_LOG=str(log))
        pending = json.loads(done.stdout)["pending"]
        assert bool(pending) == (job == 0)
    media.require_whole()


def test_more_failures_than_may_be_end_the_run(media: MediaExport) -> None:
    rule = "decode=segv*0@.mp4"
    stopped = media.run("--max-failures", 1, VIDEOPREP_FAILPOINTS=rule)
    assert stopped.returncode == 1
    assert "failed clips: 2, more than --max-failures 1" in stopped.stderr
    assert not (media.output / NAMES).exists()
    media.finish("--retry-failed")


@pytest.mark.parametrize("place", ["file.begun", "file.written"])
@pytest.mark.parametrize("text", [STATE, ".claims/", ".mp4", ".txt", NAMES, ".yaml"])
def test_no_space_left(media: MediaExport, place: str, text: str) -> None:
    full = media.run(VIDEOPREP_FAILPOINTS=f"{place}=enospc@{text}")
    assert full.returncode == 2
    assert "No space left on device" in full.stderr
    assert text in full.stderr.replace("\n", "")
    assert "Traceback" not in full.stderr
    media.require_sound()
    media.finish()


def test_no_space_left_for_a_rank(media: MediaExport) -> None:
    full = media.run(ranks=2, VIDEOPREP_FAILPOINTS="file.written=enospc*2@.mp4")
    assert full.returncode == 1  # torchrun's
    assert "No space left on device" in full.stderr
    media.require_sound()
    media.finish()


@pytest.mark.parametrize(("name", "code"), [("term", 143), ("int", 130)])
@pytest.mark.parametrize(
    "place", ["unit.claimed={}*2", "clip.encoding={}*2", "clip.encoded={}*3", "unit.committed={}"]
)
def test_a_signal(media: MediaExport, place: str, name: str, code: int) -> None:
    stopped = media.run(VIDEOPREP_FAILPOINTS=place.format(name))
    assert stopped.returncode == code, stopped.stderr
    assert "Traceback" not in stopped.stderr
    media.require_sound()
    assert hidden(media.output) == [STATE], "it has had the time to tidy up"
    there = len(exported(media.output))
    assert there % 2 == 0, "what was begun is finished"
    assert media.finish()["written"] == 2 * CLIPS - there


def test_other_options_are_refused_by_all_ranks(media: MediaExport) -> None:
    media.finish()
    refused = media.run("--lossless", ranks=2)
    assert refused.returncode == 1  # torchrun's
    assert "that was made otherwise: lossless False, not True" in refused.stderr
    media.require_whole()
