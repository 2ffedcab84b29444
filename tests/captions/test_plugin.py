"""A captioner from elsewhere: a package that pip installs answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.assets import write_video
from videoprep import DatasetSpec
from videoprep.errors import VideoprepError


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example."""
    source = tmp_path_factory.mktemp("source") / "captioner"
    shutil.copytree(REPOSITORY / "examples/captioner", source)
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return target


def test_its_captions_are_in_the_journal(installed: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    search = os.pathsep.join([str(installed), str(REPOSITORY)])
    command = [sys.executable, "-m", "videoprep", "caption", str(tmp_path)]
    done = subprocess.run(
        [*command, "--captioner", "brightness", "--model", "any"],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": search},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (sample,) = DatasetSpec.from_path(tmp_path).samples()
    assert sample.caption == "A dark scene grows brighter."
    assert sample.origin is not None
    assert sample.origin.model == "any"


def test_one_that_is_not_installed_is_named() -> None:
    from videoprep.captions.backends import CaptionerChoice

    with pytest.raises(VideoprepError, match="no installed package has a captioner 'brightnes'"):
        CaptionerChoice("plugin", "any", {"name": "brightnes"}).open()
