"""Each target has a page that says what the exporter says, and whose commands run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.exporters.conftest import Stores
from tests.support.exports import store_of
from tests.support.warm import Warm
from videoprep.cli.export import export as command
from videoprep.exporters.registry import exporters

_BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_MODELS = {
    "ltx-trainer": "ltx",
    "ltx2-trainer": "ltx2",
    "musubi": "wan-i2v",
    "fastvideo": "hunyuan",
}


@pytest.mark.parametrize("name", exporters())
def test_the_page_says_what_the_exporter_says(name: str) -> None:
    exporter = exporters()[name]
    page = " ".join((REPOSITORY / f"docs/export/{name}.md").read_text().split())
    for family in exporter.families:
        assert f"`{family}`" in page
    assert ("Lost: " in page) == bool(exporter.loses)
    overview = (REPOSITORY / "docs/export.md").read_text()
    row = next(line for line in overview.splitlines() if f"[{name}](export/{name}.md)" in line)
    for family in exporter.families:
        assert f"`{family}`" in row
    assert ", ".join(exporter.posteriors) in row
    assert name in str(command.__doc__)


@pytest.mark.parametrize("name", exporters())
def test_the_page_runs(
    name: str, stores: Stores, demo_store: Path, tmp_path: Path, warm: Warm
) -> None:
    store = store_of(stores(_MODELS[name])) if name in _MODELS else demo_store
    shutil.copytree(store, tmp_path / "latents")
    blocks = _BLOCK.findall((REPOSITORY / f"docs/export/{name}.md").read_text())
    assert blocks
    for kind, text in blocks:
        if kind == "python":
            (tmp_path / "program.py").write_text(text)
            runs = [warm.run(module=str(tmp_path / "program.py"), cwd=tmp_path)]
        else:
            lines = map(shlex.split, text.splitlines())
            runs = [warm.run(*line[1:], cwd=tmp_path) for line in lines if line[0] == "videoprep"]
            assert len(runs) == text.count("\n")
        for done in runs:
            assert done.returncode == 0, done.stdout + done.stderr
