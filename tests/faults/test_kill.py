"""A process killed at any moment: the rerun ends with the bytes of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.encoding.test_encode import contents


@pytest.mark.parametrize("receipts", [0, 1, 4])
def test_sigkill_and_rerun(
    demo_dataset: Path, demo_store: Path, tiny_model: Path, tmp_path: Path, receipts: int
) -> None:
    store = tmp_path / "store"
    command = [sys.executable, "-m", "videoprep", "encode", str(demo_dataset), "-o", str(store)]
    command += ["--model", str(tiny_model), "--image-latents"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        committed = len(list(store.glob("*/*/*.json")))
        if (store / "store.json").exists() and committed >= receipts:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.002)
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    visible = {
        name: data
        for name, data in contents(store).items()
        if not any(part.startswith(".") for part in Path(name).parts)
    }
    assert visible == contents(demo_store)
