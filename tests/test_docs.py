"""Every command and program of README, docs and examples, run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.main import get_command

import videoprep as vp
from docs.make_options import CONFIGS
from docs.make_rules import TROUBLESHOOTING, troubleshooting
from tests.conftest import REPOSITORY
from tests.support.films import Film, Take
from tests.support.scripted_server import ChatQuestion, ScriptedReply, ScriptedServer, describe
from tests.support.several_datasets import write_dataset, write_file
from tests.support.warm import Process, Warm
from videoprep.cli.app import app
from videoprep.demo.tiny_model import trained_captioner
from videoprep.errors import Code
from videoprep.spec.caption_journal import FOLDER

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
_FIRST_PAGES = ("README.md", "quickstart.md", "encode.md", "train.md")
_FORKED_PAGES = ("README.md", "docs/quickstart.md", "docs/encode.md", "docs/train.md")
"""Their commands are quick if they are forked; those of the others are run by a shell."""
CONFIG_PAGES = {*CONFIGS, "trainer-configs.md"}
"""They speak of a dataset config of another trainer, which each of them shows."""
LIGHT_PAGES = {"dataset.md", "init.md", "split.md", "validate.md", *CONFIG_PAGES}
"""Their commands need neither a model nor a store."""
FOOTAGE_PAGES = {"README.md", "from-footage.md", "caption-journal.md"}
"""They speak of films, and of the clips in them."""
_FOOTAGE = re.compile(r"^videoprep (demo|\w+ (films|clips)\b)|\"films\"", re.MULTILINE)
ALL_PAGES = [*PAGES, *sorted(_DOCS.glob("*/*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

HEAVY = pytest.mark.heavy

# Set-up, which the suite itself has done.
_NOT_RUN = ("make ", "pip ")
_SERVED_SECONDS = 40
_EXAMPLE = "pip install ./examples/"

_LANGUAGES = {"bash", "python", "console", "text", "csv", "yaml", "toml", "json"}
_COMMAND = re.compile(r"^(\$|(videoprep|pip|make|torchrun|sbatch|timeout) )", re.MULTILINE)


def _marks(page: Path) -> list[pytest.MarkDecorator]:
    """Commands of most pages take long together: `make docs` and `make test-all` run them."""
    heavy = [] if page.name in LIGHT_PAGES else [HEAVY]
    return heavy if page.name in _FIRST_PAGES else [*heavy, pytest.mark.slow]


def _blocks(language: str) -> list[Any]:
    return [
        pytest.param(f"{page.relative_to(REPOSITORY)}:{number}", text, marks=_marks(page))
        for page in PAGES
        for number, (kind, text) in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")))
        if kind == language
    ]


@pytest.fixture
def workplace(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    demo_dataset: Path,
) -> Path:
    """What the pages speak of: ``dataset/``, a table in it, ``latents/``, the model's id …"""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    shutil.copytree(demo_dataset, tmp_path / "dataset", ignore=shutil.ignore_patterns(".*"))
    (tmp_path / "films").mkdir()
    if request.node.callspec.params["where"].startswith("docs/split.md"):
        Film((Take(50, "pan"), Take(55, "handheld")), seed=1).write(tmp_path / "films/film.mp4")
    (tmp_path / "dataset/list.csv").write_text("clip,text\nvideos/00000.mp4,a ball\n")
    for folder in ("examples", "tools"):
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    if request.node.get_closest_marker("heavy"):
        demo_store, tiny_model = map(request.getfixturevalue, ("demo_store", "tiny_model"))
        _add_model_and_store(tmp_path, demo_store, tiny_model)
    params = request.node.callspec.params
    page = Path(params["where"].partition(":")[0]).name
    if page == "single-files.md":
        _add_single_files(tmp_path)
    if page == "several-datasets.md":
        _add_several(tmp_path / "data", encoded=tmp_path / "latents-of-all", block=params["block"])
    if page in CONFIG_PAGES:
        _add_config(tmp_path, page)
    if page in FOOTAGE_PAGES and _FOOTAGE.search(params["block"]):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
        _add_footage(tmp_path, request.getfixturevalue("footage"), params["block"])
    return tmp_path


def _add_model_and_store(tmp_path: Path, demo_store: Path, tiny_model: Path) -> None:
    shutil.copytree(demo_store, tmp_path / "latents")
    (tmp_path / "THUDM").mkdir()
    (tmp_path / "THUDM/CogVideoX-2b").symlink_to(tiny_model)
    (tmp_path / "videoprep-demo").mkdir()
    (tmp_path / "videoprep-demo/latents").symlink_to(demo_store)
    (tmp_path / "videoprep-demo/model").symlink_to(tiny_model)


def _add_single_files(folder: Path) -> None:
    """Add the published folders of Wan, and their weights under the names of other programs."""
    import torch
    from safetensors.torch import load_file

    from tests.support import tiny_wan

    t2v = tiny_wan.build_wan(folder / "Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    i2v = tiny_wan.build_wan_i2v(folder / "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers")
    names = {
        "wan_2.1_vae": t2v / "vae",
        "umt5_xxl_fp16": t2v / "text_encoder",
        "clip_vision_h": i2v / "image_encoder",
    }
    for name, part in names.items():
        (weights,) = part.glob("*.safetensors")
        shutil.copyfile(weights, folder / f"{name}.safetensors")
    vae = load_file(folder / "wan_2.1_vae.safetensors")
    torch.save(vae, folder / "Wan2.1_VAE.pth")


def _add_several(folder: Path, encoded: Path, block: str) -> None:
    """Add the datasets of the page's file, and what is encoded of them unless the block does it."""
    text = dict(_BLOCK.findall((_DOCS / "several-datasets.md").read_text(encoding="utf-8")))["yaml"]
    for grey, name in enumerate(("people", "places", "holdout", "prior"), start=1):
        write_dataset(folder / name, 2, grey=40 * grey)
    write_file(folder, text)
    if "latents-of-all" in block and "-o latents-of-all" not in block:
        model = folder.parent / "THUDM/CogVideoX-2b"
        vp.encode(folder, model=model, output=encoded, progress="none")


def _add_config(folder: Path, page: str) -> None:
    """Add the page's config under the name that its commands give it, and the folders that it has.

    The page on all of them shows none, and speaks of musubi-tuner's.
    """
    shown = "coming-from-musubi-tuner.md" if page == "trainer-configs.md" else page
    text = (_DOCS / shown).read_text(encoding="utf-8")
    (_, config), (_, commands) = _BLOCK.findall(text)[:2]
    (folder / commands.split()[2]).write_text(config)
    write_dataset(folder / "clips", 2, grey=60, frames=96, fps=30)
    (folder / "stills").mkdir()
    for number in range(2):
        Image.new("RGB", (96, 64), (80 * number,) * 3).save(folder / f"stills/{number}.png")
        (folder / f"stills/{number}.txt").write_text(f"still {number}")


def _add_footage(tmp_path: Path, footage: Path, block: str) -> None:
    """Add ``films/`` and ``clips/``, as far as the block does not make them; and a captioner."""
    shutil.copytree(footage / "films", tmp_path / "films", dirs_exist_ok=True)
    if not re.search(r"videoprep split|vp\.split", block):
        vp.split(tmp_path / "films", output=tmp_path / "clips")
        if not re.search(r"videoprep caption|vp\.caption", block):
            shutil.copytree(footage / "clips" / FOLDER, tmp_path / "clips" / FOLDER)
    if re.search(r"-o latents|output=.latents", block):
        shutil.rmtree(tmp_path / "latents")
    if "videoprep demo" in block:  # makes all of it
        shutil.rmtree(tmp_path / "videoprep-demo")
        return
    (tmp_path / "Qwen").mkdir()
    (tmp_path / "Qwen/Qwen3-VL-8B-Instruct").symlink_to(trained_captioner())
    (tmp_path / "videoprep-demo/captioner").symlink_to(trained_captioner())


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a page speaks of ``$ENDPOINT``: a server that says a caption back that is to refine."""
    if "$ENDPOINT" not in request.node.callspec.params["block"]:
        yield
        return

    def answer(question: ChatQuestion) -> ScriptedReply:
        told = re.search(r"^Caption: (.+)$", question.text, re.MULTILINE)
        return ScriptedReply(told[1]) if told else describe(question)

    with ScriptedServer(answer) as server:
        monkeypatch.setenv("ENDPOINT", server.url)
        yield


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
        "XDG_STATE_HOME": str(folder / ".state"),
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
    if line.startswith("videoprep review") and "--static" not in line:  # it serves until Ctrl-C
        return f"timeout --preserve-status -s INT {_SERVED_SECONDS} {line}"
    return None if line.startswith(_NOT_RUN) else line


def _is_plain(line: str) -> bool:
    """Whether a line is no more than a command of videoprep, perhaps under torchrun."""
    return shlex.split(line)[0] in ("videoprep", "torchrun") and not set(line) & set("|&;<>$*")


def _run_forked(warm: Warm, line: str, folder: Path) -> Process:
    module, *arguments = shlex.split(line)
    return warm.run(*arguments, module=module, cwd=folder, timeout=600)


@pytest.mark.usefixtures("bucket", "endpoint")
@pytest.mark.parametrize(("where", "block"), _blocks("bash"), ids=lambda v: v.split("\n")[0][:40])
def test_commands(where: str, block: str, workplace: Path, request: pytest.FixtureRequest) -> None:
    lines = block.replace("\\\n", " ").splitlines()
    for line in filter(None, map(_as_run, lines)):
        if where.partition(":")[0] in _FORKED_PAGES and _is_plain(line):
            done = _run_forked(request.getfixturevalue("warm"), line, workplace)
        else:
            done = _run(["bash", "-c", line], workplace)
        assert done.returncode == 0, f"{where}: {line}\n{done.stdout}{done.stderr}"


@pytest.mark.usefixtures("bucket", "endpoint")
@pytest.mark.parametrize(("where", "block"), _blocks("python"), ids=lambda v: v.split("\n")[0][:40])
def test_programs(where: str, block: str, workplace: Path, request: pytest.FixtureRequest) -> None:
    if where.partition(":")[0] in _FORKED_PAGES:
        program = workplace / "program.py"
        program.write_text(block)
        warm: Warm = request.getfixturevalue("warm")
        done = warm.run(module=str(program), cwd=workplace, timeout=600)
    else:
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


@HEAVY
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
    assert named == set(vp.__all__) - {"__version__"}


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


def test_what_contributing_names_is_there() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    promised = re.findall(
        r"^## ([^\n]*, in (three|four|five) steps)\n(.*?)(?=^## |\Z)", page, re.M | re.S
    )
    assert len(promised) >= 6
    for title, number, part in promised:
        steps = re.findall(r"^(\d)\. ", part, re.MULTILINE)
        assert steps == ["1", "2", "3", "4", "5"][: {"three": 3, "four": 4, "five": 5}[number]], (
            title
        )
    paths = set(re.findall(r"`([\w.]+/[\w./]*)`", page))
    paths |= set(" ".join(re.findall(r"pytest ([\w/. ]+)`", page)).split())
    folders = [REPOSITORY / folder for folder in ("", "videoprep", "videoprep/validators", "tests")]
    for path in paths:
        assert any(any(folder.glob(path.replace("NAME", "*"))) for folder in folders), path
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("videoprep", "tests")
        for path in (REPOSITORY / folder).rglob("*.py")
    )
    for name in re.findall(r"`(_?[A-Za-z]+(?:_[a-z]+)*)`", page):
        assert re.search(rf"\b{name}\b", code) or name in ("bash", "console", "chromium"), name


_ANCESTORS = re.findall(
    r"\w+",
    """model_id data_root dataset_file caption_column video_column id_token height_buckets
    width_buckets frame_buckets random_flip dataloader_num_workers pin_memory video_reshape_mode
    save_image_latents output_dir max_num_frames max_sequence_length target_fps
    save_latents_and_embeddings use_slicing use_tiling batch_size num_decode_threads dtype seed
    num_artifact_workers""",
)
"""Every option of the ancestor's prepare_dataset.py, at the commit that the page names."""


def test_the_migration_leaves_no_flag_out_and_names_none_that_is_not_there() -> None:
    page = (_DOCS / "migration.md").read_text(encoding="utf-8")
    preparing, training = page.split("## Training as before")
    rows = [line.split("|") for line in preparing.splitlines() if line.startswith("| ")]
    assert {f"--{name}" for name in _ANCESTORS} <= set(
        re.findall(r"--\w+", " ".join(row[1] for row in rows))
    )
    named = {"encode": " ".join(row[2] for row in rows)}
    named["train"] = " ".join(
        line.split("|")[2] for line in training.splitlines() if line.startswith("| `--")
    )
    for command, text in named.items():
        there = {
            option
            for parameter in get_command(app).commands[command].params  # type: ignore[attr-defined]
            for option in parameter.opts
        } | {"--to"}
        asked = {name.replace("_", "-") for name in re.findall(r"(?<=`)--[\w-]+", text)}
        assert len(asked) > 10
        assert asked <= there
