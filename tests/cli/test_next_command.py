"""What a user is told to do next: after an error, and after a command that went well."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.assets import write_lists, write_video

Run = Callable[..., object]


@pytest.fixture
def place(tmp_path: Path, dataset: Path, demo_store: Path, tiny_model: Path) -> Path:
    """What the command lines below speak of."""
    (tmp_path / "latents").symlink_to(demo_store)
    (tmp_path / "model").symlink_to(tiny_model)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/pytorch_lora_weights.safetensors").touch()
    shutil.copy(demo_store / "index.parquet", tmp_path / "index.parquet")
    (tmp_path / "rows.jsonl").write_text("{}")
    (tmp_path / "bare").mkdir()
    write_video(tmp_path / "bare/one.mp4")
    assert dataset.name == "dataset"
    return tmp_path


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("valdate dataset", "did you mean `videoprep validate`?"),
        ("validate dataset --captoin-column x", "did you mean --caption-column?"),
        ("index dataset --caption_colum x", "did you mean --caption-column?"),
        ("validate dataset --reshape crop", "did you mean center-crop?"),
        ("validate dataset --profile cogvid", "did you mean 'cogvideox'?"),
        ("validate dataset and another", "put a name with spaces into quotes"),
        ("rules VP1011", "did you mean VP111?"),
        ("export latents --to musub -o out", "did you mean 'musubi'?"),
        ("encode dataset", "for instance: videoprep encode dataset/ -o latents --model THUDM/"),
        ("validate datset", "did you mean dataset?"),
        ("index dataset/prompt.tx", "did you mean dataset/prompt.txt?"),
        ("init datset", "did you mean dataset?"),
        ("verify latent", "did you mean latents?"),
        ("encode indx.parquet -o new --model model", "did you mean index.parquet?"),
        ("encode dataset -o new --model ./modl", "did you mean model?"),
        ("status dataset", "this is a dataset; encode it: videoprep encode dataset -o latents"),
        ("verify index.parquet", "this is a plan; encode it: videoprep encode index.parquet"),
        ("train dataset --model model -o out", "this is a dataset; encode it: videoprep encode"),
        ("train lora --model model -o out", "this is what training wrote: name the store"),
        ("export model --to musubi -o out", "this is a model: give it as --model model"),
        ("encode latents -o new --model model", "this is a store, which is encoded already"),
        ("validate latents", "videoprep train latents --model MODEL -o lora"),
        ("validate index.parquet", "videoprep encode index.parquet -o latents --model MODEL"),
        ("validate rows.jsonl", "make a table of it: videoprep init rows.jsonl"),
        ("validate dataset/prompt.txt", "give the folder that it lies in: dataset"),
    ],
)
def test_an_error_says_what_was_meant(line: str, told: str, place: Path, run_cli: Run) -> None:
    done = run_cli(*shlex.split(line), cwd=place)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_cannot_be_had(place: Path, run_cli: Run) -> None:
    line = ["encode", "dataset", "-o", "new", "--model", "THUDM/CogVideoX-2"]
    done = run_cli(*line, cwd=place, HF_HUB_OFFLINE="1", HF_HOME=str(place / "hub"))
    assert done.returncode == 2
    assert "check the name and the network" in done.stderr
    assert "`hf download THUDM/CogVideoX-2 --local-dir DIR` and give --model DIR" in done.stderr


def test_from_a_folder_to_weights_by_what_is_told(place: Path, run_cli: Run) -> None:
    """Each command is the one that the last one named; only MODEL has to be filled in."""
    clips = place / "my clips"
    clips.mkdir()
    for name, height in (("a", 64), ("b", 56)):
        write_video(clips / f"{name}.mp4", height=height)
        (clips / f"{name}.txt").write_text(f"clip {name}")
    line = ["validate", str(clips)]
    ran = []
    while line:
        done = run_cli(*line, cwd=place)
        ran.append(line[0])
        assert done.returncode in (0, 1), done.stderr
        told = [text for text in done.stdout.splitlines() if text.startswith("next: videoprep ")]
        line = shlex.split(told[-1].removeprefix("next: videoprep ")) if told else []
        line = [word.replace("MODEL", "model").replace("latents", "mine") for word in line]
        if line and line[0] == "train":
            break
    assert ran == ["validate", "init", "validate", "validate", "index", "encode"]
    assert line == ["train", "mine", "--model", "model", "-o", "lora"]


def test_a_dataset_that_fails_otherwise(place: Path, run_cli: Run) -> None:
    write_lists(place / "dataset", ["a"] * 3, ["00000.mp4", "00001.mp4", "gone.mp4"])
    done = run_cli("validate", "dataset", "--id-token", "sks dog", cwd=place)
    assert "next: videoprep validate dataset --id-token 'sks dog' --fix --diff" in done.stdout


def test_a_folder_inside_a_dataset(place: Path, run_cli: Run) -> None:
    done = run_cli("validate", "dataset/videos", cwd=place)
    assert done.returncode == 1
    assert "did you mean dataset, the folder above?" in done.stdout


def test_what_is_done_next_with_a_store(place: Path, run_cli: Run) -> None:
    done = run_cli("verify", "latents", cwd=place)
    assert "next: videoprep train latents --model MODEL -o lora" in done.stdout
    done = run_cli("status", "latents", "dataset", cwd=place)
    assert done.returncode == 1
    assert "next: videoprep encode dataset -o latents --model MODEL" in done.stdout


def test_machines_are_told_nothing(place: Path, run_cli: Run) -> None:
    done = run_cli("validate", "dataset", "--output-format", "json", cwd=place)
    assert "next: " not in done.stdout + done.stderr
