"""`videoprep verify` and `videoprep status` as a user meets them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import videoprep as vp
from tests.encoding.test_encode import contents
from tests.support.assets import write_dataset, write_lists
from videoprep.cli.app import app
from videoprep.store.layout import CATALOGUE, INDEX, INFO

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with ``dataset`` and ``store``; do not change it."""
    folder = tmp_path_factory.mktemp("cli")
    write_dataset(folder / "dataset")
    vp.encode(folder / "dataset", model=tiny_model, output=folder / "store", device="cpu")
    return folder


@pytest.fixture
def workplace(made: Path, tmp_path: Path) -> Path:
    """Copies of both, where commands run."""
    for name in ("dataset", "store"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _shard(store: Path, component: str) -> Path:
    return min((store / component).rglob("*.safetensors"))


def test_a_clean_store(run_cli: Run, workplace: Path) -> None:
    for command, words in (("verify", "nothing is wrong"), ("status", "all is done")):
        done = run_cli(command, "store")
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        told = json.loads(run_cli(command, "store", "--output-format", "json").stdout)
        assert told["ok"]
        assert set(told["components"]) == {"video_latents", "prompt_embeds"}


def test_a_damaged_store_is_repaired(run_cli: Run, workplace: Path) -> None:
    store = workplace / "store"
    whole = contents(store)
    shard = _shard(store, "video_latents")
    _flip(shard)
    spoiled = contents(store)
    done = run_cli("verify", "store")
    assert done.returncode == 1
    name = str(shard.relative_to(store))
    assert f"damaged {name}: is not as it was written" in done.stdout
    assert re.search(r"videos/[abc]\.mp4 \(videos\.txt:[123]\)", done.stdout)
    assert "→ " in done.stdout
    assert "1 faults" not in done.stdout
    assert contents(store) == spoiled
    done = run_cli("verify", "store", "--repair")
    assert done.returncode == 0, done.stderr
    assert f"was damaged {name}" in done.stdout
    assert "made anew: 1 video_latents" in done.stdout
    assert contents(store) == whole


def test_what_cannot_be_repaired_makes_exit_code_1(run_cli: Run, workplace: Path) -> None:
    store = workplace / "store"
    _flip(store / INDEX)
    done = run_cli("verify", "store", "--repair", "--output-format", "json")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert [fault["name"] for fault in told["faults"]] == [INDEX]
    assert "run the same `videoprep encode PATH …` command" in told["faults"][0]["remedy"]


def test_what_is_to_be_made_and_why(run_cli: Run, workplace: Path, tiny_model: Path) -> None:
    write_lists(
        workplace / "dataset",
        ["edited [red]", "A grey clip named b."],
        ["videos/a.mp4", "videos/b.mp4"],
    )
    done = run_cli("status", "store", "dataset")
    assert done.returncode == 1, done.stderr
    for words in (
        "to do 1 prompt_embeds: caption",
        "to do videos/a.mp4 (videos.txt:1): caption → prompt_embeds",
        "gone videos/c.mp4 (videos.txt:3)",
        "2 clips of dataset: not all is done",
    ):
        assert words in done.stdout
    done = run_cli("status", "store", "--data-root", "dataset", "--output-format", "json")
    assert json.loads(done.stdout)["components"]["prompt_embeds"]["why"] == {"caption": 1}
    done = run_cli("status", "store", "store/index.parquet", "--model", tiny_model)
    assert done.returncode == 0, done.stderr
    done = run_cli("status", "store", "--dtype", "bf16")
    assert done.returncode == 1
    assert "to do 3 video_latents: recipe" in done.stdout
    assert "video_latents: dtype: 'float32' there, 'bfloat16' asked for" in done.stdout


def test_an_unfinished_store(run_cli: Run, workplace: Path) -> None:
    for name in (INDEX, CATALOGUE):
        (workplace / "store" / name).unlink()
    done = run_cli("status", "store")
    assert done.returncode == 1
    assert "encoding was not finished" in done.stdout
    done = run_cli("verify", "store")
    assert done.returncode == 1
    assert f"missing {INDEX}" in done.stdout


@pytest.mark.parametrize("command", ["verify", "status"])
def test_no_store(run_cli: Run, tmp_path: Path, command: str) -> None:
    done = run_cli(command, "nowhere")
    assert done.returncode == 2
    assert "no store here" in done.stderr
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file.txt").touch()
    assert run_cli(command, "other").returncode == 2


def test_wrong_use(run_cli: Run, workplace: Path) -> None:
    done = run_cli("status", "store", "--reshape", "pad")
    assert done.returncode == 2
    assert "--reshape is an option of a dataset, and none is given" in done.stderr
    (workplace / "store" / INFO).write_text("{}")
    done = run_cli("status", "store")
    assert done.returncode == 2
    assert "delete this file" in done.stderr


def test_the_options() -> None:
    """A change here is a change for users: note it in CHANGELOG.md."""
    expected = {
        "verify": {"--repair", "--model", "--revision", "--data-root", "--device"},
        "status": {"--model", "--revision", "--image-latents", "--dtype", "--text-encoder-dtype"}
        | {"--posterior", "--use-tiling", "--on-missing", "--reshape", "--buckets"},
    }
    runner = CliRunner()
    for command, options in expected.items():
        text = runner.invoke(
            app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}
        ).output
        found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
        assert options <= found, command
    assert found >= {"--output-format", "--help"}
