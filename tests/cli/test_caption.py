"""`videoprep caption` and `videoprep status` of a dataset, as a user meets them."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.captioning import write_films, write_ranges
from tests.support.scripted_server import (
    ChatQuestion,
    ScriptedReply,
    ScriptedServer,
    error_reply,
    of_clips,
)
from videoprep import DatasetSpec
from videoprep.captions.again import options_again, prompt_name
from videoprep.captions.asking_run import CostEstimate
from videoprep.captions.captioning import ClipAnswer
from videoprep.captions.prompts import PRESETS
from videoprep.captions.run import caption
from videoprep.captions.task import AskedClip
from videoprep.spec.caption_journal import FOLDER, Answer, CaptionJournal, Decision
from videoprep.spec.caption_journal import Run as Run_

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_films(tmp_path / "films", 6)


def test_what_a_user_sees(run_cli: Run, films: Path, server: ScriptedServer) -> None:
    refused = ScriptedReply("I'm sorry, but I can't help with that.\x1b[31m")
    server.script = lambda question: (
        refused if question.number == 1 else ScriptedReply(f"A ball {question.clip}.")
    )
    done = run_cli("caption", films, "--endpoint", server.url, "--concurrency", "1")
    assert done.returncode == 1
    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert done.stderr.startswith(f"frames and the prompt go to {host}, which is this machine\n")
    assert "from the first 5 clips: " in done.stderr
    assert "6 samples = 5 captioned + 1 failed + 0 asked before + 0 skipped" in done.stdout
    assert "the model declined to answer" in done.stdout
    assert "failed: 1 refused; --retry-failed asks about them again" in done.stdout
    assert f"next: videoprep validate {films}" in done.stdout
    assert "\ncaptions are in films/videoprep-captions, by " in done.stdout
    assert "\x1b[31m" not in done.stdout
    done = run_cli("caption", films, "--endpoint", server.url)
    assert done.returncode == 0
    assert "0 captioned + 0 failed + 6 asked before" in done.stdout
    assert "of those asked before, 1 failed" in done.stdout


def test_a_dry_run_sends_nothing(run_cli: Run, films: Path, server: ScriptedServer) -> None:
    arguments = ("--endpoint", server.url, "--dry-run", "--frames", "2", "--preset", "motion")
    done = run_cli("caption", films, *arguments)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (server.questions, server.paths) == ([], [])
    assert not (films / "videoprep-captions").exists()
    assert (told["video"], told["frames"]) == ("film00.mp4", [0.0, 0.16])
    content = told["request"]["messages"][0]["content"]
    assert content[-1]["text"] == told["prompt"]
    assert content[2]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert len(done.stdout) < 4000
    done = run_cli("caption", films, "--model", "some/model", "--dry-run")
    assert "request" not in json.loads(done.stdout)


def test_options_that_make_no_sense(run_cli: Run, films: Path, server: ScriptedServer) -> None:
    url = ("--endpoint", server.url)
    for arguments, message in [
        ((), "no server and no model is named"),
        ((*url, "--model", "a/b"), "a server and a model are named"),
        ((*url, "--frames", "4", "--fps", "2"), "by their number or by their rate"),
        ((*url, "--frames", "0"), "--frames: expected a whole number from 1 to 1,024"),
        ((*url, "--prompt", films / "none.txt"), "name a text file in UTF-8"),
        ((*url, "--prompt", films / "film00.mp"), f"did you mean {films}/film00.mp4?"),
        ((*url, "--context-column", "title"), "only a table has columns"),
        ((*url, "--request-fields", "[1]"), "it is no JSON object"),
        ((*url, "--request-fields", '{"model": "x"}'), "model cannot be set here"),
        ((*url, "--preset", "denser"), "--preset"),
        (("--endpoint", "ftp://a"), "is no address of a server"),
        (("--captioner", "mine"), "no installed package has a captioner 'mine'"),
        (("--write", "cvs", "-o", "x"), "did you mean csv?"),
        (("--write", "xml", "-o", "x"), "'xml' is not one of 'sidecar', 'csv', 'jsonl'"),
        (("--write", "csv"), "no output file or folder is given"),
        ((*url, "-o", "x"), "only captions that are written somewhere need a place"),
    ]:
        done = run_cli("caption", films, *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr, arguments
        assert "Traceback" not in done.stderr
    assert server.questions == []


def test_no_videos_are_no_dataset(run_cli: Run, tmp_path: Path, server: ScriptedServer) -> None:
    (tmp_path / "empty").mkdir()
    done = run_cli("caption", tmp_path / "empty", "--endpoint", server.url)
    assert done.returncode == 2
    assert "there are no videos here" in done.stderr
    assert "name the folder of your videos" in done.stderr
    assert server.questions == []
    (tmp_path / "empty/list.csv").write_text("video,caption\nnone.mp4,\n")
    done = run_cli("caption", tmp_path / "empty", "--endpoint", server.url)
    assert done.returncode == 1
    assert "list.csv:2" in done.stdout
    assert "1 sample = 0 captioned + 0 failed + 0 asked before + 0 skipped + 1 unusable" in (
        done.stdout
    )


def test_captions_given_away_as_text_files(
    run_cli: Run, films: Path, server: ScriptedServer, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    command = ("caption", films, "--endpoint", server.url, "--write", "sidecar", "-o", away)
    done = run_cli(*command)
    assert done.returncode == 0, done.stderr
    assert f"{away}: 6 captions" in done.stdout
    texts = {file.name: file.read_text() for file in away.iterdir()}
    assert len(texts) == 6
    for sample in DatasetSpec.from_path(films).samples():
        assert texts[sample.name.replace(".mp4", ".txt")] == sample.written
    (away / "film00.txt").write_text("mine")
    done = run_cli("caption", films, "--write", "sidecar", "-o", away)
    assert done.returncode == 2
    assert "6 files exist already" in done.stderr
    assert (away / "film00.txt").read_text() == "mine"
    done = run_cli("caption", films, "--write", "sidecar", "-o", away, "--overwrite")
    assert done.returncode == 0
    assert (away / "film00.txt").read_text() == texts["film00.txt"]


def test_captions_given_away_as_tables(
    run_cli: Run, tmp_path: Path, server: ScriptedServer
) -> None:
    folder = tmp_path / "ranges"
    folder.mkdir()
    write_ranges(folder, 5)
    said = 'A "ball",\nrolling; \u00e9t\u00e9.'
    server.script = of_clips({"c001": ScriptedReply(said)})
    done = run_cli(
        "caption", folder, "--endpoint", server.url, "--context-column", "title", "--limit", "4"
    )
    assert done.returncode == 0, done.stderr
    spec = DatasetSpec.from_path(folder)
    keys = [state.clip for state in spec.caption_states()]
    spec.journal.append("review", [Decision(keys[0], "drop"), Decision(keys[2], "edit", "Mine.")])
    table = tmp_path / "away" / "captions.csv"
    done = run_cli("caption", folder, "--write", "csv", "-o", table)
    assert done.returncode == 0, done.stderr
    assert "3 captions" in done.stdout
    assert "left out: 1 dropped in a review" in done.stdout
    assert "left out: 1 without a caption" in done.stdout
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [row["start_frame"] for row in rows] == ["4", "8", "12"]
    assert [row["caption"] for row in rows[:2]] == ['A "ball", rolling; \u00e9t\u00e9.', "Mine."]
    again = DatasetSpec.from_path(table, data_root=folder, allow_outside_root=True)
    assert [sample.extras.start for sample in again.samples()] == [4.0, 8.0, 12.0]
    lines = tmp_path / "captions.jsonl"
    run_cli("caption", folder, "--write", "jsonl", "-o", lines)
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [entry["caption_source"] for entry in entries] == ["caption", "review", "caption"]
    assert entries[0]["caption_model"] == "tiny-vl"
    done = run_cli("caption", folder, "--write", "sidecar", "-o", tmp_path / "texts")
    assert "0 captions" in done.stdout
    assert "left out: 3 a part of a video" in done.stdout


def test_a_status_says_who_wrote_what_and_what_is_stale(
    run_cli: Run, films: Path, server: ScriptedServer
) -> None:
    run_cli("caption", films, "--endpoint", server.url, "--frames", "4", "--limit", "4")
    done = run_cli("status", films)
    assert done.returncode == 1
    assert "6 samples = 4 by a captioner + 2 without a caption" in done.stdout
    refused = ScriptedReply("I'm sorry, I can't describe this.")
    server.script = lambda question: refused if question.number == 5 else ScriptedReply("A cat.")
    command = ("caption", films, "--endpoint", server.url, "--frames", "8", "--preset", "short")
    run_cli(*command, "--concurrency", "1", "--limit", "3")
    found = json.loads(run_cli("status", films, "--output-format", "json").stdout)
    assert found["writers"] == {"caption": 4, "none": 2}
    assert found["stale"] == 2
    first, last = found["runs"]
    assert (first["answered"], first["current"]) == (4, 2)
    assert first["differs"] == ["another prompt", "frames: 4 → 8"]
    assert (last["answered"], last["current"], last["differs"]) == (2, 2, [])
    (failure,) = last["failures"]
    assert (failure["outcome"], failure["clips"]) == ("refused", 1)
    done = run_cli("status", films)
    assert f"stale 2 of {first['run']}: another prompt; frames: 4 → 8" in done.stdout
    server.script = lambda question: ScriptedReply("A dog.")
    run_cli(*command, "--retry-failed")
    done = run_cli("status", films)
    assert done.returncode == 0, done.stdout
    assert "6 samples = 6 by a captioner" in done.stdout


def _commands(done: CompletedProcess[str], mark: str) -> list[list[str]]:
    """The commands of videoprep that are told after a mark."""
    lines = [line.strip() for line in done.stdout.splitlines()]
    begin = f"{mark} videoprep "
    return [shlex.split(line.removeprefix(begin)) for line in lines if line.startswith(begin)]


def test_the_rest_of_a_trial_is_one_command_away(
    run_cli: Run, films: Path, server: ScriptedServer
) -> None:
    mine = films / "my prompt.txt"
    mine.write_text("Say what is to be seen.")
    options = ("--endpoint", server.url, "--frames", "2", "--prompt", mine, "--max-failures", "3")
    done = run_cli("caption", films, *options, "--data-root", films, "--limit", "2")
    (rest,) = _commands(done, "next:")
    assert "--limit" not in rest
    assert rest[0] == "caption"
    done = run_cli(*rest)
    assert "6 samples = 4 captioned + 0 failed + 2 asked before" in done.stdout
    records = [one.record for one in CaptionJournal(films / FOLDER).read("caption")]
    assert len({one.id for one in records if isinstance(one, Run_)}) == 1
    assert _commands(done, "next:")[0][:2] == ["validate", str(films)]


def test_what_is_missing_before_there_is_a_journal(
    run_cli: Run, films: Path, tmp_path: Path
) -> None:
    done = run_cli("status", films)
    assert done.returncode == 1
    assert "6 samples = 6 without a caption" in done.stdout
    assert f"next: videoprep caption {films} --model MODEL" in done.stdout
    assert not (films / FOLDER).exists()
    (tmp_path / "ranges").mkdir()
    write_ranges(tmp_path / "ranges", 3)
    done = run_cli("validate", "ranges", "--reshape", "center-crop")
    assert "next: videoprep caption ranges --model MODEL" in done.stdout
    done = run_cli("status", "ranges", "--output-format", "json")
    found = json.loads(done.stdout)
    assert (found["writers"], found["unasked"], found["runs"]) == ({"none": 3}, 3, [])


def test_one_clip_that_is_skipped(run_cli: Run, films: Path, server: ScriptedServer) -> None:
    spec = DatasetSpec.from_path(films, caption_journal=FOLDER)
    spec.journal.append("review", [Decision(spec.caption_states()[0].clip, "drop")])
    done = run_cli("caption", films, "--endpoint", server.url)
    assert "skipped 1: dropped in a review\n" in done.stdout


def test_a_status_of_an_empty_list(run_cli: Run, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    (folder / FOLDER).mkdir(parents=True)
    (folder / "samples.csv").write_text("video,caption\n")
    assert run_cli("status", folder).stdout == "0 samples\n"


def test_a_status_names_the_commands_that_mend_it(
    run_cli: Run, films: Path, server: ScriptedServer
) -> None:
    """Each is run: it asks in the way that was asked last, about the clips that it is about."""
    url = ("--endpoint", server.url, "--concurrency", "1")
    run_cli("caption", films, *url, "--limit", "3")
    refused = ScriptedReply("I'm sorry, I can't describe this.")
    server.script = lambda question: refused if question.number == 4 else ScriptedReply("A cat.")
    mine = films / "mine.txt"
    mine.write_text("Say what is to be seen.")
    run_cli("caption", films, *url, "--frames", "2", "--prompt", mine, "--limit", "2")
    done = run_cli("status", films, COLUMNS="300")
    assert "mine.txt" in done.stdout
    (named,) = re.findall(r"\([0-9a-f]{8}\)", done.stdout)  # in a line of its own if it is narrow
    assert "dense" in done.stdout
    stale, failed = sorted(_commands(done, "→"), key=lambda words: words[-1] == "failed")
    assert (stale[-1], failed[-1]) == ("stale", "failed")
    (missing,) = _commands(done, "next:")
    assert missing[-1] == "missing"
    server.script = lambda question: ScriptedReply("A dog.")
    for words, captioned in ((missing, 3), (failed, 1), (stale, 1)):
        told = json.loads(run_cli(*words, "--output-format", "json").stdout)
        assert (told["captioned"], sum(told["failed"].values())) == (captioned, 0), words
    done = run_cli("status", films, COLUMNS="300")
    assert done.returncode == 0, done.stdout
    assert (named in done.stdout, done.stdout.count("│ caption │")) == (True, 2)


def test_a_server_elsewhere_and_an_old_journal_are_for_the_user_to_name() -> None:
    server = Run_("caption", "vl", "https://captions.example/v1 vl", PRESETS["short"])
    assert options_again(server) == {"endpoint": "URL"}
    assert prompt_name(server) == "short"
    strange = replace(server, options={"endpoint": "https://captions.example/v1", "limit": "x"})
    assert options_again(strange) == {"endpoint": "URL"}
    local = Run_("refine", "a/b", "0" * 32, "Rewrite it.")
    assert options_again(local) == {"model": "MODEL"}
    assert options_again(replace(local, options={"model": "a/b", "share": 0.5})) == {
        "model": "a/b",
        "share": 0.5,
    }


def test_a_field_that_the_server_does_not_know_is_told(
    run_cli: Run, films: Path, server: ScriptedServer
) -> None:
    def script(question: ChatQuestion) -> ScriptedReply:
        if "seed" in question.body:
            return error_reply(400, "Unknown parameter: 'seed'.")
        return ScriptedReply("A cat.")

    server.script = script
    done = run_cli("caption", films, "--endpoint", server.url)
    assert done.returncode == 0, done.stderr
    warning = "the server does not know the field seed: it is asked without it"
    assert done.stderr.count(warning) == 1
    assert "6 answers without seed, a field that the server does not know" in done.stdout
    records = [one.record for one in DatasetSpec.from_path(films).journal.read("caption")]
    assert [one.left_out for one in records if isinstance(one, Answer)] == [("seed",)] * 6
    # The way of asking is what was asked for: no clip is asked about again for it.
    again = run_cli("caption", films, "--endpoint", server.url, "--output-format", "json")
    told = json.loads(again.stdout)
    assert (told["answered"], told["left_out"]) == ({"ok": 6}, {})


@pytest.mark.parametrize(
    ("at_once", "ranks", "trial", "each", "left"),
    [
        (1, 1, 5, "2 s", "1,000 will take about 33 min 20 s"),  # though an answer takes 0.4 s
        (10, 1, 10, "1 s", "995 will take about 16 min 35 s"),
        (5, 2, 5, "1 s", "995 will take about 16 min 35 s"),
    ],
)
def test_the_cost_is_estimated(at_once: int, ranks: int, trial: int, each: str, left: str) -> None:
    told: list[str] = []
    times = iter((100.0, 110.0))
    estimate = CostEstimate(1005, at_once, ranks, told.append, lambda: next(times))
    clip = AskedClip("0" * 32, 1, "a.mp4", None, None, "", "", "")
    answer = ClipAnswer("ok", "A cat.", prompt_tokens=1000, completion_tokens=100, seconds=0.4)
    for _ in range(trial - 1):
        estimate.take(clip, answer)
    assert told == []
    for _ in range(10):
        estimate.take(clip, answer)
    assert told == [
        f"from the first {trial} clips: {each} a clip; the other {left}, and "
        "1,005,000 tokens of prompts and 100,500 of answers in total"
    ]


def test_a_run_that_is_stopped_says_how_far_it_came(
    run_cli: Run, films: Path, server: ScriptedServer
) -> None:
    ended = threading.Event()

    def reply(question: ChatQuestion) -> ScriptedReply:
        if question.number == 2:  # while two of six clips are answered
            os.kill(os.getpid(), signal.SIGINT)
            ended.wait()
        return ScriptedReply(f"A ball {question.clip}.")

    server.script = reply
    told: list[str] = []
    try:
        with pytest.raises(KeyboardInterrupt):
            caption(films, endpoint=server.url, concurrency=1, on_notice=told.append)
    finally:
        ended.set()
    assert told[-1] == (
        "stopped: 6 clips = 2 answered + 4 left, up to 1 of which had been sent; run the same "
        "command again to go on"
    )
    server.script = lambda question: ScriptedReply(f"A ball {question.clip}.")
    done = run_cli("caption", films, "--endpoint", server.url)
    assert "6 samples = 4 captioned + 0 failed + 2 asked before" in done.stdout
    assert "busy" not in done.stderr
