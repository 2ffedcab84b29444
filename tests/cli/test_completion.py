"""Shell completion, by the scripts that the command prints, in shells where they are installed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videoprep.cli import completion
from videoprep.exporters.registry import MEDIA, exporters
from videoprep.families.registry import profiles
from videoprep.validators.registry import registry

# What completes `words`, the last of which is begun, as bash does when TAB is pressed.
_PRESS_TAB = """
eval "$(_VIDEOPREP_COMPLETE=source_bash videoprep)"
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
$(complete -p videoprep | sed 's/.*-F \\([^ ]*\\).*/\\1/') videoprep
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One in which `videoprep` is a command, whatever the virtual environment has installed."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "videoprep"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m videoprep "$@"\n')
    command.chmod(0o755)
    home = tmp_path_factory.mktemp("home")
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}


def _bash(script: str, environment: dict[str, str]) -> str:
    command = ["bash", "--norc", "-c", script]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout


def _slow(words: str, expected: set[str]) -> Any:
    """One that is completed as another one is."""
    return pytest.param(words, expected, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("videoprep ini", {"init"}),
        (
            "videoprep validate --caption",
            {"--caption-column", "--caption-fallback", "--caption-journal", "--caption-lines"},
        ),
        _slow("videoprep rules VP10", {f"VP10{number}" for number in range(1, 10)}),
        ("videoprep rules size-", {"size-not-divisible"}),
        ("videoprep validate --select VP101,VP20", {f"VP101,VP20{n}" for n in range(1, 10)}),
        ("videoprep index dataset --profile cogv", {"cogvideox", "cogvideox1.5"}),
        _slow("videoprep validate --reshape c", {"center-crop"}),
        ("videoprep export latents --to mu", {"musubi"}),
        _slow("videoprep import cached --from cog", {"cogvideox-factory"}),
        _slow("videoprep encode dataset --dtype b", {"bf16"}),
        ("videoprep train latents --optimizer adamw8", {"adamw8bit"}),
    ],
)
def test_bash_completes(words: str, expected: set[str], environment: dict[str, str]) -> None:
    found = _bash(_PRESS_TAB.format(words=words), environment).split()
    assert set(found) == expected


def test_bash_completes_files_where_there_is_nothing_else(environment: dict[str, str]) -> None:
    """The script leaves to bash what videoprep does not know: paths."""
    assert _bash(_PRESS_TAB.format(words="videoprep validate dat"), environment).split() == []
    assert "-o default" in _bash("_VIDEOPREP_COMPLETE=source_bash videoprep", environment)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_the_same_values(shell: str, environment: dict[str, str]) -> None:
    asked = {"_VIDEOPREP_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "videoprep rules "}
    asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_WORD_TO_COMPLETE": ""}
    done = subprocess.run(
        ["videoprep"], env={**environment, **asked}, capture_output=True, text=True, check=True
    )
    assert "VP101" in done.stdout
    assert "size-not-divisible" in done.stdout
    script = _bash(f"_VIDEOPREP_COMPLETE=source_{shell} videoprep", environment)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_it_is_installed_for_the_shell_that_asks(environment: dict[str, str]) -> None:
    script = "videoprep --install-completion && . ~/.bashrc && complete -p videoprep"
    assert "videoprep" in _bash(script, environment).splitlines()[-1]
    assert Path(environment["HOME"], ".bashrc").exists()


def test_values_are_those_there_are() -> None:
    assert [code for code, _ in completion.rules("")] == list(registry().rules)
    assert [name for name, _ in completion.profiles("")] == list(profiles())
    assert completion.targets("") == sorted([*exporters(), MEDIA])


def test_completing_loads_no_torch() -> None:
    code = (
        "import sys, videoprep.cli.app; from videoprep.cli import completion as c\n"
        "for one in (c.rules, c.rule_or_name, c.profiles, c.targets, c.sources): one('')\n"
        "print({'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
