"""The command line as a user meets it: output, exit codes, and no traceback whatever the input."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.assets import write_lists, write_video
from tests.support.small_store import wait_until
from tests.support.warm import Warm
from videoprep.cli.app import app
from videoprep.cli.options import join_values
from videoprep.cli.output import safe

Run = Callable[..., object]


def _clean(done) -> None:
    assert "Traceback" not in done.stderr
    assert "Traceback" not in done.stdout


def test_help_names_every_command(run_cli: Run) -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    for command in ("validate", "rules", "index", "encode", "train", "demo"):
        assert command in done.stdout
    assert run_cli("--version").stdout.startswith("videoprep ")


def test_the_command_line_surface_is_as_documented() -> None:
    """A change here is a change for users: note it in CHANGELOG.md."""
    dataset = {
        "--data-root",
        "--dataset-file",
        "--format",
        "--range-column",
        "--caption-fallback",
        "--caption-journal",
        "--caption-lines",
        "--caption-column",
        "--video-column",
        "--id-token",
        "--start-column",
        "--end-column",
        "--time-unit",
        "--time-zero",
        "--split-column",
        "--weight-column",
        "--repeats-column",
        "--audio-column",
        "--role",
        "--profile",
        "--reshape",
        "--allow-upscale",
        "--crop-seed",
        "--buckets",
        "--num-buckets",
        "--min-kept",
        "--multi-bucket",
        "--min-pixels",
        "--max-pixels",
        "--image-max-pixels",
        "--image-background",
        "--reference-max-pixels",
        "--height-buckets",
        "--width-buckets",
        "--frame-buckets",
        "--max-num-frames",
        "--max-frames",
        "--target-fps",
        "--clip-mode",
        "--clips-per-video",
        "--min-gap",
        "--split",
        "--allow-outside-root",
        "--output-format",
        "--help",
    }
    expected = {
        "init": {"--caption-column", "--video-column", "--accept", "--overwrite", "--dry-run"}
        | {"--profile", "--model", "--output", "--help"},
        "validate": dataset
        | {"--select", "--ignore", "--severity", "--rule-option", "--fail-on", "--model"}
        | {"--fix", "--diff", "--write-clean", "--output", "--time-limit", "--memory-limit"},
        "caption": {
            *("--data-root", "--dataset-file", "--format", "--caption-column", "--video-column"),
            *("--start-column", "--end-column", "--range-column", "--time-unit", "--time-zero"),
            *("--audio-column", "--role", "--caption-lines", "--caption-journal"),
            *("--allow-outside-root",),
            *("--endpoint", "--model", "--captioner", "--model-name", "--preset", "--prompt"),
            *("--context-column", "--trigger", "--frames", "--fps", "--most-frames"),
            *("--long-side", "--window", "--max-tokens", "--temperature", "--seed", "--request"),
            *("--concurrency", "--timeout", "--retries", "--request-fields", "--device"),
            *("--dtype", "--batch-size", "--all-clips", "--all", "--only", "--limit"),
            *("--executor", "--address", "--num-jobs", "--job-id", "--num-shards", "--shard-id"),
            *("--retry-failed", "--max-failures", "--watchdog", "--dry-run", "--write"),
            *("--output", "--overwrite", "--log-json", "--output-format", "--help"),
        },
        "refine": {
            *("--data-root", "--dataset-file", "--format", "--caption-column", "--video-column"),
            *("--start-column", "--end-column", "--range-column", "--time-unit", "--time-zero"),
            *("--audio-column", "--role", "--caption-lines", "--caption-journal"),
            *("--allow-outside-root",),
            *("--id-token", "--profile", "--endpoint", "--model", "--captioner", "--model-name"),
            *("--max-tokens", "--tokenizer", "--style", "--creative", "--share"),
            *("--lost-share", "--tries"),
            *("--answer-tokens", "--prompt", "--trigger", "--temperature", "--seed"),
            *("--concurrency", "--timeout", "--retries", "--request-fields", "--device"),
            *("--dtype", "--batch-size", "--only", "--limit", "--dry-run", "--log-json"),
            *("--executor", "--address", "--num-jobs", "--job-id", "--num-shards", "--shard-id"),
            *("--retry-failed", "--max-failures", "--watchdog", "--output-format", "--help"),
        },
        "split": {"--output", "--stats", "--page", "--overwrite", "--time-limit", "--memory-limit"}
        | {"--detector", "--threshold", "--dissolve-threshold", "--min-length", "--max-length"}
        | {"--long", "--trim", "--output-format", "--help"},
        "rules": {"--output-format", "--help"},
        "index": dataset
        | {"--output", "--diff", "--on-missing", "--batch-size", "--num-gpus", "--model"},
        "encode": dataset
        | {
            "--output",
            "--model",
            "--family",
            "--vae",
            "--text-encoder",
            "--weights",
            "--image-latents",
            "--last-frame",
            "--image-noise",
            "--dtype",
            "--device",
        }
        | {"--batch-size"}
        | {"--use-tiling", "--revision", "--on-missing", "--decode-workers"}
        | {"--mask-meaning", "--invert-masks", "--mask-channel"}
        | {
            "--text-encoder-dtype",
            "--posterior",
            "--num-jobs",
            "--job-id",
            "--executor",
            "--address",
            "--log-json",
        }
        | {"--num-shards", "--shard-id"}
        | {
            "--allow-damaged",
            "--retry-failed",
            "--max-failures",
            "--watchdog",
            "--time-limit",
            "--memory-limit",
        }
        | {"--yes"},
        "export": {
            *("--to", "--output", "--split", "--lossless", "--sound", "--no-sound"),
            "--allow-damaged",
            *("--data-root", "--on-missing"),
            *("--output-format", "--help", "--posterior", "--seed", "--log-json"),
            *("--executor", "--address", "--num-jobs", "--job-id", "--num-shards", "--shard-id"),
            *("--retry-failed", "--max-failures", "--watchdog"),
        },
        "train": {"--model", "--output", "--steps", "--batch-size", "--learning-rate", "--rank"}
        | {"--seed", "--device", "--revision", "--output-format", "--help", "--split"}
        | {"--from-videos", "--resume", "--accumulate", "--warmup", "--optimizer", "--full"}
        | {"--dtype", "--gradient-checkpointing", "--max-gradient-norm", "--min-snr", "--keep"}
        | {"--captions", "--caption-dropout", "--image-dropout", "--on-nonfinite"}
        | {"--checkpoint-every", "--validate-every", "--sample-every", "--workers", "--loss-mask"}
        | {"--regularization"},
        "import": {"--from", "--model", "--output", "--revision", "--output-format", "--help"},
        "review": dataset - {"--output-format"}
        | {"--model", "--port", "--open", "--reviewer", "--static", "--limit", "--apply"},
        "demo": {"--data", "--from-footage", "--output", "--steps", "--help"},
    }
    runner = CliRunner()
    for command, options in expected.items():
        text = runner.invoke(
            app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}
        ).output
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) == options, command


def test_preview_names_a_store_first() -> None:
    text = CliRunner().invoke(app, ["preview", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    path = next(line for line in text.output.splitlines() if "<Path>" in line)
    assert "Store, index (Parquet), dataset folder or list" in path


def test_validate_real_clips(run_cli: Run, real_clips: Path) -> None:
    done = run_cli("validate", real_clips, "--output-format", "json")
    assert done.returncode == 1
    found = {"VP101": 8, "VP102": 1, "VP113": 1, "VP117": 7, "VP309": 1}
    assert json.loads(done.stdout)["by_code"].items() >= found.items()
    done = run_cli("validate", real_clips, "--profile", "cogvideox", "--ignore", "VP117")
    assert done.returncode == 1
    assert "hiker" not in done.stdout
    assert "480×270 is not divisible by 16" in done.stdout
    assert run_cli("validate", real_clips, "--reshape", "center-crop").returncode == 0


def test_validate_in_the_dataset_itself(run_cli: Run, dataset: Path) -> None:
    done = run_cli("validate", cwd=dataset)
    assert done.returncode == 0
    assert "3 samples = 3 clean + 0 with findings" in done.stdout


def test_options_in_the_ancestors_spelling(run_cli: Run, dataset: Path, tmp_path: Path) -> None:
    arguments = ["--data_root", dataset, "--caption_column", "prompt.txt", "--reshape", "resize"]
    arguments += ["--height_buckets", "32", "64", "--width_buckets", "32", "64"]
    arguments += ["--frame_buckets", "5", "--id_token", "sks", "-o", "plan.parquet"]
    done = run_cli("index", *arguments, "--output_format", "json")
    assert (done.returncode, done.stderr.count("Error")) == (0, 0), done.stderr
    plan = json.loads(done.stdout)
    sizes = plan["policy"]["sizes"]
    assert sizes == [[32, 32, [5]], [32, 64, [5]], [64, 32, [5]], [64, 64, [5]]]
    assert plan["clips"] == 3
    assert (tmp_path / "plan.parquet").exists()


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["--frame-buckets", "17", "33", "path"], ["--frame-buckets", "17,33", "path"]),
        (["--frame_buckets", "17,33", "49"], ["--frame_buckets", "17,33,49"]),
        (["--frame-buckets=17", "5"], ["--frame-buckets=17,5"]),
        (["--frame-buckets", "9,", "17"], ["--frame-buckets", "9,17"]),
        (["index", "12", "--max-num-frames", "17", "3"],) * 2,
        (["--height-buckets", "x", "5"],) * 2,
    ],
)
def test_lists_written_one_after_the_other(given: list[str], joined: list[str]) -> None:
    assert join_values(given) == joined


def test_the_whole_way(run_cli: Run, dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    done = run_cli("index", dataset, "-o", "plan.parquet")
    assert done.returncode == 0, done.stderr
    assert "3 samples = 3 planned + 0 skipped" in done.stdout
    command = ["encode", "plan.parquet", "-o", "store", "--model", tiny_model]
    done = run_cli(*command, "--output-format", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["samples"], result["complete"], result["encoded"]) == (3, 3, 6)
    assert "done: prompt_embeds 3/3 · video_latents 3/3" in done.stderr
    done = run_cli(*command)
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    train = ["train", "store", "--model", tiny_model, "-o", "run", "--steps", "2", "--rank", "2"]
    done = run_cli(*train)
    assert done.returncode == 0, done.stderr
    assert "loss" in done.stdout
    assert (tmp_path / "run/pytorch_lora_weights.safetensors").exists()
    assert run_cli(*train).returncode == 2


def test_left_out_samples_make_exit_code_1(
    run_cli: Run, dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write_video(dataset / "videos/odd.mp4", width=90)
    write_lists(dataset, ["one", "two"], ["videos/a.mp4", "videos/odd.mp4"])
    done = run_cli("index", dataset)
    assert done.returncode == 1
    assert "skipped videos/odd.mp4 (videos.txt:2): VP101" in done.stdout
    assert "2 samples = 1 planned + 1 skipped" in done.stdout
    done = run_cli("encode", dataset, "-o", "store", "--model", tiny_model)
    assert done.returncode == 1
    assert "1 clip = 1 complete + 0 failed · 1 of 2 samples skipped" in done.stdout


def test_videos_that_vanish_are_skipped_on_request(
    run_cli: Run, dataset: Path, tiny_model: Path
) -> None:
    assert run_cli("index", dataset, "-o", "plan.parquet").returncode == 0
    (dataset / "videos/b.mp4").unlink()
    command = ["encode", "plan.parquet", "-o", "store", "--model", tiny_model]
    done = run_cli(*command)
    assert done.returncode == 2
    assert "videos/b.mp4" in done.stderr
    assert "--on-missing skip" in done.stderr
    done = run_cli(*command, "--on-missing", "skip")
    assert done.returncode == 1, done.stderr
    assert "skipped videos/b.mp4 (videos.txt:2): VP403 it was planned, but" in done.stdout
    assert "2 clips = 2 complete + 0 failed · 1 of 3 samples skipped" in done.stdout
    done = run_cli("encode", dataset, "-o", "other", "--model", tiny_model, "--on-missing", "skip")
    assert done.returncode == 1, done.stderr
    assert "skipped videos/b.mp4 (videos.txt:2): VP005" in done.stdout


def _no_vae(folder: Path, tiny_model: Path) -> Path:
    model = shutil.copytree(tiny_model, folder / "no-vae")
    shutil.rmtree(model / "vae")
    return model


@pytest.mark.parametrize("command", ["validate", "index", "encode"])
def test_no_dataset(run_cli: Run, tiny_model: Path, tmp_path: Path, command: str) -> None:
    more = ["-o", "store", "--model", tiny_model] if command == "encode" else []
    (tmp_path / "empty").mkdir()
    write_lists(tmp_path / "blank", [], [])
    (tmp_path / "blank/videos.txt").write_text("")
    for path, words in {
        "nowhere": "no such file or folder",
        "empty": "no dataset here",
        "blank": "the dataset is empty",
    }.items():
        done = run_cli(command, path, *more)
        found = command == "validate" and path != "nowhere"
        assert done.returncode == (1 if found else 2), done.stderr
        said = done.stdout if found else done.stderr
        assert path in said
        assert words in said
        assert "→" in said
        _clean(done)
    assert not (tmp_path / "store").exists()


def test_mistakes_in_the_lists(run_cli: Run, dataset: Path, tiny_model: Path) -> None:
    write_lists(dataset, ["one", "", "three"], ["videos/a.mp4", "videos/b.mp4", "videos/none.mp4"])
    done = run_cli("validate", dataset)
    assert done.returncode == 1
    assert "VP003 blank-line error" in done.stdout
    assert "VP005 missing-video error" in done.stdout
    assert "3 samples = 1 clean + 2 with findings" in done.stdout
    for command in (["index"], ["encode", "-o", "store", "--model", tiny_model]):
        done = run_cli(command[0], dataset, *command[1:])
        assert done.returncode == 1
        assert "skipped prompt.txt:2: VP003 blank line" in done.stdout
        assert "skipped videos/none.mp4 (videos.txt:3): VP005" in done.stdout
        _clean(done)


def test_an_unreadable_video(run_cli: Run, dataset: Path, tiny_model: Path) -> None:
    (dataset / "videos/b.mp4").write_bytes(b"not a video")
    done = run_cli("validate", dataset)
    assert done.returncode == 1
    assert "VP103 unreadable error" in done.stdout
    assert "videos/b.mp4 (videos.txt:2)" in done.stdout
    done = run_cli("encode", dataset, "-o", "store", "--model", tiny_model)
    assert done.returncode == 1
    assert "2 clips = 2 complete + 0 failed · 1 of 3 samples skipped" in done.stdout
    _clean(done)


def test_models_and_outputs_that_do_not_fit(
    run_cli: Run, dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").write_text("mine")
    for output, model, words in (
        ("new", "nowhere", "no such model folder"),
        ("new", _no_vae(tmp_path, tiny_model), "lacks vae/config.json"),
        ("taken", tiny_model, "it is not a store"),
    ):
        done = run_cli("encode", dataset, "-o", output, "--model", model)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert "→" in done.stderr
        _clean(done)
    assert not (tmp_path / "new").exists()
    assert os.listdir(tmp_path / "taken") == ["notes.txt"]


def test_another_model_is_said(
    run_cli: Run, dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    run_cli("encode", dataset, "-o", "store", "--model", tiny_model)
    other = shutil.copytree(tiny_model, tmp_path / "other")
    config = json.loads((other / "vae/config.json").read_text())
    (other / "vae/config.json").write_text(json.dumps({**config, "scaling_factor": 0.7}))
    done = run_cli("encode", dataset, "-o", "store", "--model", other)
    assert done.returncode == 0, done.stderr
    assert f"--model (vae): '{tiny_model}' in the store, '{other}' now" in done.stderr
    assert "text encoder" not in done.stderr
    done = run_cli("encode", dataset, "-o", "store", "--model", tiny_model)
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "--profil", "x"], "--profile"),
        (["valdate"], "did you mean `videoprep validate`"),
        (["validate", ".", "--profile", "cogvideo"], "did you mean 'cogvideox'"),
        (["index", ".", "--height-buckets", "50", "--width-buckets", "64"], "nearest: 32, 64"),
        (["index", ".", "--frame-buckets", "many"], "--frame-buckets: expected whole numbers"),
        (["index", ".", "--reshape", "squash"], "center-crop"),
        (["index", ".", "--target-fps", "0"], "--target-fps"),
        (["index", ".", "--target-fps", "inf"], "--target-fps"),
        (["index", ".", "-o", "videos.txt"], "exists and is not an index"),
        (["index", ".", "-o", "prompt.txt/x"], "prompt.txt"),
        (["validate", "/dev/null"], "neither a file nor a folder"),
        (["validate", "x" * 5000], "cannot be looked up"),
        (
            ["train", "nowhere", "--model", "x", "-o", "y", "--seed", "-1"],
            "--seed: expected a whole number",
        ),
        (["encode", "."], "--model"),
        (["train", "nowhere", "--model", "x", "-o", "y"], "no store here"),
        (["encode", "none.parquet", "-o", "x", "--model", "MODEL"], "no such file or folder"),
        (["encode", ".", "--profile", "wan", "-o", "x", "--model", "MODEL"], "--profile cogvideox"),
    ],
)
def test_wrong_use(
    run_cli: Run, dataset: Path, tiny_model: Path, arguments: list[str], words: str
) -> None:
    given = [str(tiny_model) if a == "MODEL" else a for a in arguments]
    done = run_cli(*given, cwd=dataset)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr.replace("\n│ ", " ")
    _clean(done)


def test_text_of_the_dataset_cannot_steer_the_terminal(run_cli: Run, tmp_path: Path) -> None:
    root = tmp_path / "data"
    name = "\x1b[31m[bold]red\u202e.mp4"
    write_video(root / name, width=90)
    write_lists(root, ["caption"], [name])
    done = run_cli("validate", root)
    assert done.returncode == 1
    assert "\x1b[31m" not in done.stdout
    assert "\\x1b[31m[bold]red\\u202e.mp4" in done.stdout


def test_safe_text() -> None:
    assert safe("plain é 漢\nline").plain == "plain é 漢\nline"
    assert safe("\x07\x1b]0;x\u200b\u2028\ud800").plain == "\\x07\\x1b]0;x\\u200b\\u2028\\ud800"


def test_sigterm_ends_with_143(warm: Warm, dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    command = ["encode", dataset, "-o", "store", "--model", tiny_model]
    process = warm.start(*command, cwd=tmp_path, VIDEOPREP_FAILPOINTS="unit.claimed=pause*0")
    wait_until((tmp_path / "store/store.json").exists)
    process.signal(signal.SIGTERM)
    assert process.wait() == 143
