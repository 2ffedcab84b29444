"""`videoprep index` as a user meets it: the plan in words, in JSON, and against an older one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.assets import write_lists, write_video
from videoprep.index.calibration import Calibration, remember

Run = Callable[..., subprocess.CompletedProcess[str]]

_BUCKETS = ("--buckets", "9x64x96,9x64x64,5x64x64", "--reshape", "center-crop")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Five clips of 96×64, two of 64×64 of which one is short, and one that cannot be read."""
    root = tmp_path / "mixed"
    for number in range(5):
        write_video(root / f"wide{number}.mp4", frames=20, lift=10 * number)
    write_video(root / "square.mp4", width=64)
    write_video(root / "short.mp4", width=64, frames=5)
    (root / "bad.mp4").write_bytes(b"no video")
    names = [*(f"wide{n}" for n in range(5)), "square", "short", "bad"]
    write_lists(root, [f"caption {n}" for n in names], [f"{n}.mp4" for n in names])
    return root


def _json(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert "Traceback" not in done.stderr, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def test_the_plan_in_words(run_cli: Run, mixed: Path, tmp_path: Path) -> None:
    done = run_cli("index", mixed, *_BUCKETS, "--batch-size", 2, "--num-gpus", 3)
    assert done.returncode == 1, done.stderr
    lines = [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]
    for line in (
        "profile default · reshape center-crop · 3 buckets given",
        "frames at each file's own rate · clip mode head, at most 9 frames",
        "9×64×96 5 0.0% ×1.00 45.0% 72 18.4 kB",
        "in clips 59 51.8%",
        "outside the clips (head, at most 9 frames) 55 48.2%",
        "together 114 100.0%",
        "not counted: samples skipped whose frames are not known: 1",
        "video_latents 7 113 kB",
        "2 3 (43%) 3 (43%) 7 (100%) 7 (100%) 7 (100%)",
        "buckets that do not fill a global batch of 6",
        "8 samples = 7 planned + 1 skipped; 7 clips",
        "written: index.parquet",
    ):
        assert line in lines, (line, done.stdout)
    assert "skipped bad.mp4 (videos.txt:8): VP103" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if line[:1] in "┃│") <= 80
    assert (tmp_path / "index.parquet").exists()


def test_the_plan_for_machines(run_cli: Run, mixed: Path) -> None:
    plan = _json(run_cli("index", mixed, *_BUCKETS, "--output-format", "json"))
    assert plan["samples"] == plan["planned"] + len(plan["left_out"]) == 8
    assert plan["clips"] == sum(one["clips"] for one in plan["buckets"]) == 7
    assert plan["global_batch"] == plan["advice"]["global_batch"] == 8
    frames = plan["frames"]
    assert frames.pop("available") == sum(n for name, n in frames.items() if "each" not in name)
    assert plan["calibration"] is plan["encoding_seconds"] is None
    assert plan["policy"]["reshape"] == "center-crop"


def test_what_is_suggested_helps(run_cli: Run, mixed: Path) -> None:
    def batched(*options: str) -> dict[str, Any]:
        arguments = ("--num-gpus", 2, "--output-format", "json", "-o", "plan.parquet")
        return _json(run_cli("index", mixed, *options, *arguments))

    before = batched(*_BUCKETS)
    small = before["advice"]["small_buckets"]
    assert [(one["frames"], one["clips"], one["repeats"]) for one in small] == [
        (5, 1, 2),
        (9, 1, 2),
    ]
    assert small[0]["move"] is None  # it is too short for anything else
    options = before["advice"]["options"]
    assert options == "--reshape center-crop --buckets 5x64x64,9x64x96"
    after = batched(*options.split(), "--reshape", "center-crop")
    assert [one["clips"] for one in after["buckets"]] == [2, 5]
    assert after["advice"] == {
        "global_batch": 2,
        "small_buckets": [],
        "options": None,
        "left": None,
    }


def test_repeats_and_splits_of_a_table(run_cli: Run, dataset: Path) -> None:
    with (dataset / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "caption", "repeats", "split", "start", "end"])
        rows.writerow(["videos/a.mp4", "a", 3, "train", "", ""])
        rows.writerow(["videos/b.mp4", "b", 1, "train", 0, 0.7])
        rows.writerow(["videos/c.mp4", "c", 1, "val", "", ""])
    done = run_cli("index", dataset / "list.csv", "--reshape", "center-crop")
    assert done.returncode == 0, done.stderr
    assert (
        "reading list.csv: caption from 'caption', video from 'video', start from 'start', "
        "end from 'end', split from 'split', repeats from 'repeats' (in seconds)"
    ) in done.stdout
    assert "clips by split: train 2, val 1" in done.stdout
    assert "clips of train that a trainer drops" in done.stdout
    assert "an epoch" in done.stdout


def test_the_time_that_it_takes(run_cli: Run, dataset: Path) -> None:
    assert "told once some of it was encoded" in run_cli("index", dataset).stdout
    speed = Calibration("a [b]model\x1b[31m", "cpu", "float32", 9 * 64 * 96, 0.01)
    remember(dataset.resolve(), speed)
    done = run_cli("index", dataset)
    assert "5 min 03 s" in done.stdout
    assert "as fast as the last run, a [b]model\\x1b[31m on cpu, float32; 8 that" in done.stdout
    seconds = _json(run_cli("index", dataset, "--output-format", "json"))["encoding_seconds"]
    assert seconds["prompt_embeds"] == 300
    assert seconds["video_latents"] == pytest.approx(2 + 5 / 9)


def test_missing_videos_cost_their_samples_unless_they_are_to_be_an_error(
    run_cli: Run, dataset: Path
) -> None:
    (dataset / "videos/b.mp4").unlink()
    done = run_cli("index", dataset, "--on-missing", "error")
    assert done.returncode == 1
    assert "videos.txt:2: VP005" in done.stderr
    done = run_cli("index", dataset)
    assert done.returncode == 1, done.stderr
    assert "skipped videos/b.mp4 (videos.txt:2): VP005" in done.stdout
    assert "3 samples = 2 planned + 1 skipped; 2 clips" in done.stdout


def test_what_changed_since_an_older_index(run_cli: Run, dataset: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.parquet"
    assert run_cli("index", dataset, "-o", old).returncode == 0
    written = old.read_bytes()
    done = run_cli("index", dataset, "--diff", old)
    assert (done.returncode, "unchanged" in done.stdout) == (0, True)
    captions = [line + "\n" for line in ("another", "A grey clip named b.", "A grey clip named c.")]
    (dataset / "prompt.txt").write_text("".join(captions))
    write_video(dataset / "videos/c.mp4", width=64, height=96, frames=5, lift=5)
    done = run_cli("index", dataset, "--diff", old)
    assert done.returncode == 0, done.stderr
    assert "videos/a.mp4 (videos.txt:1): caption" in done.stdout
    assert "videos/c.mp4 (videos.txt:3): contents" in done.stdout
    assert "3 samples = 3 planned + 0 skipped; 3 clips" in done.stdout
    changed = _json(run_cli("index", dataset, "--diff", old, "--output-format", "json"))
    assert changed["to_encode"] == {"video_latents": 1, "image_latents": 1, "prompt_embeds": 1}
    assert (changed["unchanged"], changed["clips"], changed["left_out"]) == (1, 3, [])
    assert old.read_bytes() == written
    assert not (tmp_path / "index.parquet").exists()


def test_videos_that_no_list_names_have_no_lines(run_cli: Run, tmp_path: Path) -> None:
    folder, options = tmp_path / "dataset", ("--caption-fallback", "A film.")
    for name in ("a", "b"):
        write_video(folder / f"{name}.mp4", width=64, height=96, frames=5)
    assert run_cli("index", folder, *options, "-o", "old.parquet").returncode == 0
    write_video(folder / "a.mp4", width=64, height=96, frames=5, lift=5)
    (folder / "b.mp4").unlink()
    done = run_cli("index", folder, *options, "--diff", "old.parquet")
    assert done.returncode == 0, done.stderr
    assert "\na.mp4: contents\nb.mp4: removed\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dif", "x"], "--diff"),
        (["--diff", "none.parquet"], "no such index"),
        (["--diff", "prompt.txt"], "cannot be read as Parquet"),
        (["--diff", "x", "-o", "y"], "--diff writes nothing"),
        (["-o", "videos.txt"], "exists and is not an index"),
        (["-o", "videos"], "is a folder"),
        (["-o", "fifo"], "exists and is not an index"),
        (["-o", "sealed/index.parquet"], "is read-only"),
        (["-o", "prompt.txt/deep/x"], "is not a folder"),
        (["-o", "x.txt"], "cannot write an index as .txt\n  → let the name end in .parquet"),
        (["-o", "x"], "cannot write an index as a file without an ending"),
        (["--num-gpus", "0"], "--num-gpus"),
        (["--batch-size", "-1"], "--batch-size"),
        (["--on-missing", "drop"], "--on-missing"),
    ],
)
def test_wrong_use(run_cli: Run, dataset: Path, arguments: list[str], words: str) -> None:
    (dataset / "sealed").mkdir(mode=0o555)
    os.mkfifo(dataset / "fifo")
    there = sorted(dataset.rglob("*"))
    done = run_cli("index", ".", *arguments, cwd=dataset)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr.replace("\n│ ", " ")
    assert "Traceback" not in done.stderr
    assert [path for path in sorted(dataset.rglob("*")) if ".videoprep" not in path.parts] == there


def test_an_index_is_replaced_whatever_its_version(run_cli: Run, dataset: Path) -> None:
    import pyarrow.parquet as pq

    file = dataset.parent / "index.parquet"
    assert run_cli("index", dataset).returncode == 0
    table = pq.read_table(file)
    metadata = json.loads(table.schema.metadata[b"videoprep.index"])
    older = {b"videoprep.index": json.dumps({**metadata, "version": 1}).encode()}
    pq.write_table(table.replace_schema_metadata(older), file)
    assert run_cli("index", dataset).returncode == 0
    pq.write_table(table.replace_schema_metadata({}), file)
    done = run_cli("index", dataset)
    assert (done.returncode, "is not an index" in done.stderr) == (2, True)


def test_everything_left_out(run_cli: Run, tmp_path: Path) -> None:
    write_video(tmp_path / "data/odd.mp4", width=90)
    write_lists(tmp_path / "data", ["odd"], ["odd.mp4"])
    done = run_cli("index", tmp_path / "data")
    assert done.returncode == 1
    assert "all 1 samples are skipped: VP101" in done.stderr
    assert not (tmp_path / "index.parquet").exists()


def test_real_clips(run_cli: Run, real_clips: Path, tmp_path: Path) -> None:
    done = run_cli("index", real_clips, "--buckets", "auto", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert "8 samples = 8 planned + 0 skipped; 8 clips" in done.stdout
    assert "buckets chosen" in done.stdout
    assert not (real_clips / ".videoprep").exists()
    assert max(len(line) for line in done.stdout.splitlines() if line[:1] in "┃│") <= 80


def test_no_torch_is_imported() -> None:
    import sys

    code = (
        "import sys, videoprep.cli.index, videoprep.cli.index_tables, videoprep.index.suggestions; "
    )
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
