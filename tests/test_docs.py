"""Every command and program of README, docs and examples, run."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import videoprep
from docs.make_rules import TROUBLESHOOTING, troubleshooting
from tests.conftest import REPOSITORY
from videoprep.errors import Code

_DOCS = REPOSITORY / "docs"
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "examples/plugin/README.md",
    *sorted(_DOCS.glob("*.md")),
    _DOCS / "export/media.md",
]
"""The other targets' pages are run by tests/exporters/test_pages.py, each on its own family; those
of families by tests/families."""
ALL_PAGES = [*PAGES, *sorted(_DOCS.glob("*/*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Set-up, which the suite itself has done.
_NOT_RUN = ("make ", "pip ")
_EXAMPLE = "pip install ./examples/"

_LANGUAGES = {"bash", "python", "console", "text", "csv", "yaml", "toml"}
_COMMAND = re.compile(r"^(\$|(videoprep|pip|make|torchrun|sbatch|timeout) )", re.MULTILINE)


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (f"{page.name}:{number}", text)
        for page in PAGES
        for number, (kind, text) in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")))
        if kind == language
    ]


@pytest.fixture
def workplace(tmp_path: Path, demo_dataset: Path, demo_store: Path, tiny_model: Path) -> Path:
    """What the pages speak of: ``dataset/``, a table in it, ``latents/``, the model's id …"""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copytree(demo_dataset, tmp_path / "dataset", ignore=shutil.ignore_patterns(".*"))
    (tmp_path / "dataset/list.csv").write_text("clip,text\nvideos/00000.mp4,a ball\n")
    shutil.copytree(demo_store, tmp_path / "latents")
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    (tmp_path / "THUDM").mkdir()
    (tmp_path / "THUDM/CogVideoX-2b").symlink_to(tiny_model)
    (tmp_path / "videoprep-demo").mkdir()
    (tmp_path / "videoprep-demo/latents").symlink_to(demo_store)
    (tmp_path / "videoprep-demo/model").symlink_to(tiny_model)
    return tmp_path


@pytest.fixture
def bucket(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    demo_dataset: Path,
    tmp_path: Path,
) -> None:
    """Where a page speaks of ``s3://bucket/dataset``: that bucket, on a real server."""
    if "s3://" not in request.node.callspec.params["block"]:
        return
    server = request.getfixturevalue("s3_server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIDEOPREP_MIRRORS", str(tmp_path / "mirrors"))
    import s3fs

    files = s3fs.S3FileSystem(skip_instance_cache=True)
    if files.exists("bucket"):
        files.rm("bucket", recursive=True)
    files.mkdir("bucket")
    files.put(str(demo_dataset), "bucket/dataset", recursive=True)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    places = [Path(sys.executable).parent, REPOSITORY / "tests/slurm", os.environ["PATH"]]
    modules = [folder / "plugins", os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(map(str, places)),
        "PYTHONPATH": os.pathsep.join(filter(None, map(str, modules))),
        "HF_DATASETS_CACHE": str(folder / ".cache"),
        "PORT": str(_free_port()),
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return int(listening.getsockname()[1])


def _as_run(line: str) -> str | None:
    """A line of a page as it is run here; None where the suite has done what it says."""
    if line.startswith(_EXAMPLE):
        source = f"cp -rL {line.removeprefix('pip install ')} source"  # a build writes beside it
        return f"{source} && pip install --quiet --no-deps --no-build-isolation -t plugins ./source"
    return None if line.startswith(_NOT_RUN) else line


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(("where", "block"), _blocks("bash"), ids=lambda v: v.split("\n")[0][:40])
def test_commands(where: str, block: str, workplace: Path) -> None:
    for line in filter(None, map(_as_run, block.splitlines())):
        done = _run(["bash", "-c", line], workplace)
        assert done.returncode == 0, f"{where}: {line}\n{done.stdout}{done.stderr}"


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(("where", "block"), _blocks("python"), ids=lambda v: v.split("\n")[0][:40])
def test_programs(where: str, block: str, workplace: Path) -> None:
    done = _run([sys.executable, "-c", block], workplace)
    assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_no_command_hides_in_another_block(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
    assert set(fences[::2]) <= _LANGUAGES
    assert set(fences[1::2]) <= {""}
    assert len(_BLOCK.findall(text)) == len(fences) // 2
    for language, block in _BLOCK.findall(text):
        assert language == "bash" or not _COMMAND.search(block)


def test_the_site_is_built_strictly_and_stands_alone(tmp_path: Path) -> None:
    """Strictly: each page is in the navigation, and each link and each name leads somewhere."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|source|iframe)[^>]* src=\"?([^\" >]+)", text)
        loaded += re.findall(r"<link[^>]* href=\"?([^\" >]+)", text)
        assert loaded
        assert not [address for address in loaded if "//" in address], page


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (_DOCS / "api").glob("*.md"))
    named = set(re.findall(r"^::: videoprep\.(\w+)$", pages, re.MULTILINE))
    assert named == set(videoprep.__all__) - {"__version__"}


def test_every_code_has_its_place_in_troubleshooting() -> None:
    page = TROUBLESHOOTING.read_text(encoding="utf-8")
    assert page == troubleshooting(), "run: python docs/make_rules.py"
    for code in Code:
        assert f"| [{code.value}](rules/{code.value}.md) |" in page
        assert (_DOCS / f"rules/{code.value}.md").exists()


def test_links_lead_somewhere() -> None:
    for page in ALL_PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
