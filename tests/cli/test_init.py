"""`videoprep init` as a user meets it. What it finds is tested with `scaffold`."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.assets import write_video

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a folder"
    made.mkdir()
    for name, rate in (("one", 24), ("two", 30)):
        write_video(made / f"{name}.mp4", height=48, fps=rate)
        (made / f"{name}.txt").write_text(f"caption {name}")
    return made


def _fields(folder: Path) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load((folder / "videoprep.yaml").read_text())
    return loaded


def test_it_says_what_it_found_and_sets_nothing_unasked(run_cli: Run, folder: Path) -> None:
    done = run_cli("init", folder)
    assert done.returncode == 0, done.stderr
    assert "found videos with a caption file beside each" in done.stdout
    assert "Videos looked at: 2. Sizes: 96×48 (2). Frames: 9." in done.stdout
    assert "no model was named: name it with --model PATH_OR_ID or --profile" in done.stdout
    assert "proposed profile: cogvideox · 2 of 2 videos looked at are 96×48" in done.stdout
    assert "proposed target_fps: 8 · rates differ, from 24 to 30" in done.stdout
    assert done.stdout.endswith(f"next: videoprep validate '{folder}'\n")
    assert _fields(folder) == {"format": "caption-files"}
    assert run_cli("validate", folder).returncode == 1


def test_what_is_accepted_is_set(run_cli: Run, folder: Path) -> None:
    assert run_cli("init", "--accept", cwd=folder).returncode == 0
    done = run_cli("validate", cwd=folder)
    assert done.returncode == 0
    assert "2 samples = " in done.stdout
    assert "profile cogvideox, reshape none" in done.stdout


def test_the_profile_that_is_named_is_set(run_cli: Run, folder: Path, tiny_model: Path) -> None:
    done = run_cli("init", folder, "--profile", "wan", "--accept")
    assert done.returncode == 0, done.stderr
    assert "for the profile wan" in done.stdout
    assert "no model was named" not in done.stdout
    expected = {"profile": "wan", "target_fps": 16, "max_num_frames": 81}
    assert expected.items() <= _fields(folder).items()
    assert run_cli("validate", folder).returncode == 0
    done = run_cli("init", folder, "--model", tiny_model)
    assert "changed profile: wan → cogvideox · as you asked" in done.stdout


def test_a_model_that_is_not_there(run_cli: Run, folder: Path, tmp_path: Path) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = run_cli("init", folder, "--model", "Wan-AI/Wan2.1", **offline)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Wan-AI/Wan2.1: not found locally or on the hub")
    assert "check the name and the network" in done.stderr
    assert not (folder / "videoprep.yaml").exists()


def test_settings_are_kept_unless_asked(run_cli: Run, folder: Path) -> None:
    mine = folder / "videoprep.yaml"
    mine.write_text("profile: wan  # mine\n")
    done = run_cli("init", folder, "--dry-run")
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout)["format"] == "caption-files"
    assert sorted(path.suffix for path in folder.iterdir() if path.is_file()) == sorted(
        [".mp4", ".txt", ".mp4", ".txt", ".yaml"]
    )
    done = run_cli("init", folder)
    assert done.returncode == 0
    assert "kept profile: wan\n" in done.stdout
    assert "added format: caption-files\n" in done.stdout
    assert f"wrote {mine}; the old file is {mine}.bak\n" in done.stdout
    assert "\nprofile: wan  # mine\n" in mine.read_text()
    done = run_cli("init", folder)
    assert f"nothing to change: {mine} was not written\n" in done.stdout
    assert run_cli("init", folder, "--overwrite").returncode == 0
    assert "profile: wan" not in mine.read_text()
    assert "profile: wan  # mine" in (folder / "videoprep.yaml.bak2").read_text()


# A dataset that cannot be written to.

MOUNT = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


def _read_only(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Runs videoprep where a folder is mounted read-only, which holds for root too."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare")
    line = [unshare, "-rm", "sh", "-c", MOUNT, "sh", str(folder)]
    if subprocess.run([*line, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces")
    line += [sys.executable, "-m", "videoprep", *map(str, command)]
    return subprocess.run(
        line, cwd=folder.parent, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_read_only_dataset(folder: Path, run_cli: Run) -> None:
    done = _read_only(folder, "init", folder.name, "--profile", "wan")
    assert done.returncode == 2
    assert done.stderr.startswith("error: a folder: the folder is read-only, so that no videoprep")
    told = done.stderr.rpartition("→ write the file elsewhere: ")[2]
    line = shlex.split(told)
    assert line == [
        *("videoprep", "init", "a folder", "--profile", "wan", "-o", "a folder.yaml"),
    ]
    before = sorted(folder.iterdir())
    done = _read_only(folder, *line[1:], "--accept")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("next: videoprep validate 'a folder.yaml'\n")
    assert sorted(folder.iterdir()) == before
    done = _read_only(folder, "validate", "a folder.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 samples = " in done.stdout
    assert "profile wan" in done.stdout


# In a terminal.


def _in_terminal(answer: bytes, *arguments: object, number: int | None = None) -> tuple[str, int]:
    """Runs videoprep in a terminal, and answers its question; or sends it a signal instead."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "videoprep", *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "80", "NO_COLOR": "1"},
        start_new_session=True,
    )
    os.close(slave)
    shown = b""
    guard = threading.Timer(240, process.kill)  # a question that is not answered waits for ever
    guard.start()
    try:
        while piece := os.read(master, 65536):
            shown += piece
            if answer and re.search(rb"Number or name \[default\]: $", shown):
                first, _, answer = answer.partition(b"|")
                os.write(master, first)
            elif number is not None and shown.endswith(b"]: "):
                interrupt = threading.Thread(target=_interrupt, args=(process, number), daemon=True)
                interrupt.start()
                number = None
    except OSError:  # so a pty says that the other end is closed
        pass
    guard.cancel()
    os.close(master)
    return shown.decode().replace("\r\n", "\n"), process.wait(60)


def _interrupt(process: subprocess.Popen[bytes], number: int) -> None:
    """Sends the signal until it is heard.

    One that arrives between Python's print of the question and the system call that reads the
    answer waits for that call, as in every Python program; a person then presses Ctrl-C again.
    """
    while process.poll() is None:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)


@pytest.mark.parametrize(
    ("answer", "profile"),
    [
        (b"\n", "default"),
        pytest.param(b"1\n", "default", marks=pytest.mark.slow),
        pytest.param(b"wan\n", "wan", marks=pytest.mark.slow),
        (b"3\n", "cogvideox1.5"),
        (b"99\n|wann\n|LTX-Video\n", "ltx-video"),
    ],
)
def test_in_a_terminal_it_asks_for_the_model(answer: bytes, profile: str, folder: Path) -> None:
    shown, code = _in_terminal(answer, "init", folder)
    assert code == 0, shown
    assert re.match(r"Which model will you train\?\n +1 +default ", shown)
    assert re.search(r"\n +\d+ +wan ", shown)
    assert "Wan 2.1, Wan 2.2-A14B" in shown
    assert max(map(len, shown.partition("Number")[0].splitlines())) <= 80
    assert f"for the profile {profile}\n" in shown
    assert ("There is no '99': give a number from 1 to " in shown) == answer.startswith(b"99")
    assert _fields(folder)["profile"] == profile
    shown, code = _in_terminal(b"", "init", folder)  # the file says it
    assert code == 0
    assert "Which model" not in shown
    shown, code = _in_terminal(b"", "init", folder, "--profile", "wan")
    assert "Which model" not in shown


@pytest.mark.parametrize("way", ["Ctrl-D", "Ctrl-C"])
def test_a_question_can_be_left(way: str, folder: Path) -> None:
    if way == "Ctrl-D":
        shown, code = _in_terminal(b"\x04", "init", folder)
        assert code == 1
        assert shown.endswith("stopped: nothing was written\n")
    else:
        shown, code = _in_terminal(b"", "init", folder, number=signal.SIGINT)
        assert code == 130
    assert "Traceback" not in shown
    assert not (folder / "videoprep.yaml").exists()
