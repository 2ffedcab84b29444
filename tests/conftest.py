"""What the tests share: real files, a tiny model of the real classes, one encoded store."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

from tests.support.assets import write_dataset, write_mixed_rates
from tests.support.s3_server import S3Server, running_server
from tests.support.small_store import Small, write_small_dataset
from tests.support.warm import Warm
from tests.support.warm_workers import warm_workers
from videoprep.demo.scenes import render_dataset
from videoprep.demo.tiny_model import build_tiny_model, trained_captioner, trained_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs a command line: its arguments, ``cwd``, and variables of the environment."""

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent
SHOWN = [f"videos/{number:05}.mp4" for number in (0, 1, 3, 8)]
"""Four of the demo's clips."""

REAL_CLIPS = REPOSITORY.parent / "shared" / "data" / "real-clips"

HEAVY = {"browser", "footage", "s3_server", "shown_store", "tiny_model", "cold_torchrun", "warm"}
"""Fixtures that need more than tests/light.txt installs."""

# Two workers share two cores: one thread each is fastest, and results do not depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell makes what it starts in the background ignore Ctrl-C, and all processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The first example of a test may import a library, and others share the cores.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


TIERS = ("unit", "integration", "faults", "browser")
"""Each test is of one tier, which `tier_of` chooses: no test is marked with it."""

_FAULTS = {"distributed", "faults", "workers", "test_decode_pool.py", "test_decode_pool_sound.py"}
_FAULTS |= {"test_caption_task.py", "test_media_runs.py"}
_INTEGRATION = {"cli", "dataset_report", "demo", "encoding", "engine", "exporters", "families"}
_INTEGRATION |= {"importers", "previewing", "review", "store", "training"}
_INTEGRATION |= {"test_benchmark_lists.py", "test_docs.py", "test_examples.py", "test_notebook.py"}
_INTEGRATION |= {"test_recording.py", "test_tiers.py"}
_INTEGRATION |= {
    "test_auto_buckets.py",
    "test_classes.py",
    "test_fidelity.py",
    "test_real_files.py",
}
_INTEGRATION |= {"test_audio.py", "test_audio_info.py", "test_sampler_loaders.py"}
_INTEGRATION |= {"test_caption_frames.py", "test_endpoint.py", "test_video_reader.py"}
_INTEGRATION |= {"test_video_reader.py", "test_split.py"}
"""Folders of this one, and names of files."""

_PROCESSES = HEAVY | {"cold_cli", "mended", "real_clips", "run_cli"}
"""Fixtures of models, stores, servers and processes: what uses one is no unit test."""


UNIT_SECONDS = 15.0
"""Of the processor's time that a unit test may take, with what it sets up: thrice what any does."""

_BEGAN = pytest.StashKey[float]()


def tier_of(item: pytest.Item) -> str:
    """Chooses the tier of a test by where it lies and what it uses."""
    fixtures = set(getattr(item, "fixturenames", ()))
    places = _places(item.path)
    if "browser" in fixtures:
        return "browser"
    if places & _FAULTS:
        return "faults"
    is_long = any(map(item.get_closest_marker, ("heavy", "slow", "soak")))
    if places & _INTEGRATION or is_long or fixtures & _PROCESSES:
        return "integration"
    return "unit"


def _places(path: Path) -> set[str]:
    """By what a file may be named above."""
    return {path.relative_to(TESTS).parts[0], path.name} if path != TESTS else set()


def pytest_configure(config: pytest.Config) -> None:
    """Runs the unit tests alone if nobody says what to run."""
    option = config.option
    is_plain = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if is_plain and not option.markexpr and not option.keyword:
        option.markexpr = "unit"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Imports no file without unit tests if those alone are run."""
    is_needed = config.option.markexpr != "unit" or not collection_path.is_relative_to(TESTS)
    return None if is_needed or not _places(collection_path) & (_FAULTS | _INTEGRATION) else True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with its tier, and what uses a heavy fixture."""
    for item in items:
        item.add_marker(tier_of(item))
        if isinstance(item, pytest.Function) and not HEAVY.isdisjoint(item.fixturenames):
            item.add_marker("heavy")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEGAN] = _processor_seconds()


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Runs after the test itself: one that takes longer than a unit test belongs elsewhere."""
    taken = _processor_seconds() - item.stash[_BEGAN]
    if item.get_closest_marker("unit") and taken > UNIT_SECONDS:
        pytest.fail(f"a unit test may take {UNIT_SECONDS:.0f} s of the processor, not {taken:.1f}")


def _processor_seconds() -> float:
    """Of this process and of those that it has waited for; load on the machine is not in it."""
    return sum(os.times()[:4])


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers of this run see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Makes a folder in one worker only; the others wait for it."""
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            make(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(shared_folder: Path) -> Path:
    """A CogVideoX folder of the real classes; do not change it."""
    return _once(shared_folder / "tiny-model", build_tiny_model)


@pytest.fixture(scope="session")
def demo_dataset(shared_folder: Path) -> Path:
    """Twelve rendered clips; do not change it."""
    return _once(shared_folder / "demo-dataset", render_dataset)


@pytest.fixture(scope="session")
def demo_store(shared_folder: Path, tiny_model: Path, demo_dataset: Path) -> Path:
    """The demo dataset encoded by the tiny model, image latents too; do not change it."""

    def encode(folder: Path) -> None:
        import videoprep as vp

        result = vp.encode(demo_dataset, model=tiny_model, output=folder, image_latents=True)
        assert result is not None
        assert result.ok

    return _once(shared_folder / "demo-store", encode)


@pytest.fixture(scope="session")
def shown_store(shared_folder: Path, demo_dataset: Path) -> Path:
    """Four rendered clips encoded by the model whose latents decode; do not change it."""

    def encode(folder: Path) -> None:
        import videoprep as vp

        index = vp.BucketIndex.build(demo_dataset, max_num_frames=9).filter(video=SHOWN)
        done = vp.encode(index, model=trained_model(), output=folder, image_latents=True)
        assert done is not None
        assert done.ok

    return _once(shared_folder / "shown-store", encode)


@pytest.fixture(scope="session")
def footage(shared_folder: Path) -> Path:
    """Rendered films, and clips in them that the demo's captioner named; do not change it."""

    def make(folder: Path) -> None:
        import videoprep as vp
        from videoprep.demo.footage import render_footage
        from videoprep.scenes.run import split

        render_footage(folder / "films")
        split(folder / "films", output=folder / "clips")
        done = vp.caption(
            folder / "clips", model=str(trained_captioner()), preset="short", max_tokens=64
        )
        assert done is not None
        assert done.ok

    return _once(shared_folder / "footage", make)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Starts processes of the command line that have imported everything already."""
    with Warm(tmp_path_factory.mktemp("warm")) as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _warm_workers() -> Iterator[None]:
    """Makes the package fork its workers from a process that has imported what they need."""
    with warm_workers() as forking, pytest.MonkeyPatch.context() as patch:
        patch.setattr("videoprep.workers.pool.subprocess", forking)
        yield


@pytest.fixture
def fresh_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the package start a fresh Python for each worker, as it does for users."""
    monkeypatch.setattr("videoprep.workers.pool.subprocess", subprocess)


@pytest.fixture(scope="session")
def undisturbed(shared_folder: Path, tiny_model: Path, warm: Warm) -> Small:
    """A small dataset, and a store of it that nothing disturbed; do not change them."""

    def make(folder: Path) -> None:
        dataset = write_small_dataset(folder / "dataset")
        whole = folder / "store"
        done = Small(warm, dataset, tiny_model, whole, whole).run()
        assert done.returncode == 0, done.stderr

    folder = _once(shared_folder / "small", make)
    return Small(warm, folder / "dataset", tiny_model, folder / "store", folder / "store")


@pytest.fixture
def small(undisturbed: Small, tmp_path: Path) -> Iterator[Small]:
    """The same, to be encoded into a store of each test's own."""
    yield undisturbed.at(tmp_path / "store")
    undisturbed.warm.end_all()


@pytest.fixture
def own_small(warm: Warm, tiny_model: Path, tmp_path: Path) -> Iterator[Small]:
    """A small dataset of each test's own, to be changed; it is not encoded yet."""
    dataset = write_small_dataset(tmp_path / "dataset")
    yield Small(warm, dataset, tiny_model, tmp_path / "store", tmp_path / "whole")
    warm.end_all()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three small clips of its own for each test, in two buckets."""
    return write_dataset(tmp_path / "dataset")


@pytest.fixture
def mixed_rates(tmp_path: Path) -> Path:
    """Three small clips at 24, 30 and 60 frames a second."""
    return write_mixed_rates(tmp_path / "mixed-rates")


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The real clips beside the checkout."""
    if not REAL_CLIPS.is_dir():
        pytest.skip("the real clips are not here")
    return REAL_CLIPS


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server."""
    with running_server() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket, with the environment that a user would set to reach it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{secrets.token_hex(8)}"
    s3_server.make_bucket(bucket)
    return f"s3://{bucket}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a screen; not for the whole session, since its event loop runs as long."""
    chromium = shutil.which("chromium")
    if chromium is None:
        need("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def need(what: str) -> None:
    """Skips at home, fails in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs {what}")
    pytest.skip(f"needs {what}")


@pytest.fixture
def cold_cli(tmp_path: Path) -> Cli:
    """Runs the command line by starting Python, as a user does. It takes seconds: see `run_cli`."""

    def run(
        *arguments: object, cwd: Path = tmp_path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "videoprep", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def run_cli(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cli]:
    """Runs the command line in a process of its own, forked from one that has imported everything.

    Use `cold_cli` for what is decided when modules are imported: plugins, ``HF_HOME``. Without
    torch, which the forking process imports, it is the same.
    """
    if find_spec("torch") is None:
        yield request.getfixturevalue("cold_cli")
        return
    warm: Warm = request.getfixturevalue("warm")

    def run(
        *arguments: object, cwd: Path = tmp_path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = warm.run(*arguments, timeout=300, cwd=cwd, **environment)
        return subprocess.CompletedProcess(
            list(map(str, arguments)), done.wait(), done.stdout, done.stderr
        )

    yield run
    warm.end_all()


@pytest.fixture
def torchrun(warm: Warm) -> Iterator[Cli]:
    """Runs the command line under torchrun: agent and ranks are forked as in `run_cli`."""
    _require_torchrun()

    def run(ranks: int, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["--standalone", f"--nproc-per-node={ranks}", "--monitor-interval=0.05"]
        command += ["-m", "videoprep", *map(str, arguments)]
        done = warm.run(*command, timeout=300, module="torchrun")
        return subprocess.CompletedProcess(command, done.wait(), done.stdout, done.stderr)

    yield run
    warm.end_all()


@pytest.fixture
def cold_torchrun() -> Cli:
    """Runs the command line under torchrun as a user does: each process starts Python."""
    executable = _require_torchrun()

    def run(ranks: int, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(executable), "--standalone", f"--nproc-per-node={ranks}"]
        command += ["-m", "videoprep", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    return run


def _require_torchrun() -> Path:
    executable = Path(sys.executable).with_name("torchrun")
    if not executable.exists():
        need("torchrun")
    return executable
