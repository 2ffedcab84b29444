"""Sources and stores behind URLs: the bytes of a store on disk, from a real S3 server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import videoprep as vp
from tests.encoding.test_encode import contents, encode
from tests.spec.test_remote import put
from tests.support.s3_server import S3Server
from videoprep.fs import open_files

RunCli = Callable[..., subprocess.CompletedProcess[str]]

# The plan names its data root, which is another one.
_PLANS = ("index.parquet", "catalogue.parquet", "failures.jsonl")


@pytest.fixture(autouse=True)
def mirrors_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOPREP_MIRRORS", str(tmp_path / "mirrors"))


def _visible(url: str) -> dict[str, bytes]:
    """All files of a store whose names do not begin with a dot."""
    files = open_files(url)
    found = {name: files.read(name) for name in files.names()}
    for top in files.folders():
        found |= {f"{top}/{name}": files.read(f"{top}/{name}") for name in files.names(top)}
        for inner in files.folders(top):
            folder = f"{top}/{inner}"
            found |= {
                f"{folder}/{name}": files.read(f"{folder}/{name}") for name in files.names(folder)
            }
    return {name: data for name, data in found.items() if not name.startswith(".")}


def _artifacts(store: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in store.items() if name not in _PLANS}


def test_from_s3_to_s3(
    s3: str, s3_server: S3Server, dataset: Path, tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    encode(dataset, tiny_model, tmp_path / "here", image_latents=True)
    put(dataset, f"{s3}/data")
    command = ("encode", f"{s3}/data", "-o", f"{s3}/store", "--model", tiny_model)
    done = run_cli(*command, "--image-latents", **s3_server.environment)
    assert done.returncode == 0, done.stderr
    there = _visible(f"{s3}/store")
    assert _artifacts(there) == _artifacts(contents(tmp_path / "here"))
    assert _hidden(f"{s3}/store") == []
    s3_server.requests()
    again = run_cli(*command, **s3_server.environment)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout
    assert s3_server.downloads() == [], "what is known is not downloaded again"
    assert _visible(f"{s3}/store") == there
    data, local = vp.LatentDataset(f"{s3}/store"), vp.LatentDataset(tmp_path / "here")
    assert len(data) == 3
    for item, expected in zip(data, local, strict=True):
        for component in data.components:
            assert torch.equal(item[component], expected[component])


def _hidden(url: str) -> list[str]:
    files = open_files(url)
    hidden = [folder for folder in files.folders() if folder.startswith(".")]
    return [f"{folder}/{name}" for folder in hidden for name in files.names(folder)]


@pytest.mark.slow
def test_killed_at_s3_and_run_again(
    s3: str, s3_server: S3Server, dataset: Path, tmp_path: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    encode(dataset, tiny_model, tmp_path / "here")
    command = ["encode", str(dataset), "-o", f"{s3}/store", "--model", str(tiny_model)]
    process = subprocess.Popen(
        [sys.executable, "-m", "videoprep", *command],
        env={**os.environ, **s3_server.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    files = open_files(f"{s3}/store")
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(files.names(f"prompt_embeds/{recipe}") for recipe in files.folders("prompt_embeds")):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.05)
    assert process.wait() == -signal.SIGKILL
    done = run_cli(*command, **s3_server.environment)
    assert done.returncode == 0, done.stderr
    assert _visible(f"{s3}/store") == contents(tmp_path / "here")


def test_a_store_in_memory(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    encode(dataset, tiny_model, tmp_path / "here")
    encode(dataset, tiny_model, "memory://encode/store")
    assert _visible("memory://encode/store") == contents(tmp_path / "here")
    assert encode(dataset, tiny_model, "memory://encode/store").encoded == 0


def test_a_dataset_in_memory(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    encode(dataset, tiny_model, tmp_path / "here")
    put(dataset, "memory://encode/data")
    result = vp.encode(
        "memory://encode/data", model=tiny_model, output=tmp_path / "there", device="cpu"
    )
    assert result is not None
    assert result.ok
    assert _artifacts(contents(tmp_path / "there")) == _artifacts(contents(tmp_path / "here"))


def test_a_bucket_that_is_not_there(
    s3: str, s3_server: S3Server, dataset: Path, tiny_model: Path, run_cli: RunCli
) -> None:
    command = ("encode", dataset, "-o", "s3://no-such-bucket/store", "--model", tiny_model)
    done = run_cli(*command, **s3_server.environment)
    assert done.returncode == 2
    assert "no-such-bucket" in done.stderr
    assert "Traceback" not in done.stderr
