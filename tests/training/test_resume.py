"""Killed at any step and resumed, a run is what it would have been, to the bit."""

from __future__ import annotations

import json
import random
import resource
from pathlib import Path
from typing import Any

import pytest

import videoprep as vp
from tests.support.small_store import wait_until
from tests.support.warm import Process, Warm
from tests.training.models import build
from videoprep.errors import TrainError
from videoprep.training.weights import WEIGHTS_NAME

OPTIONS = ["--steps", "12", "--rank", "4", "--checkpoint-every", "2", "--device", "cpu"]


LAUNCH = ["--standalone", "--nproc-per-node=2", "--monitor-interval=0.05", "-m", "videoprep"]
"""What torchrun is told before the command."""


def command(store: Path, model: Path, out: Path, *more: str) -> list[str]:
    return ["train", str(store), "--model", str(model), "-o", str(out), *OPTIONS, *more]


def losses(out: Path) -> list[tuple[int, float]]:
    lines = (out / "log.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    return [(line["step"], line["loss"]) for line in logged if "loss" in line]


def weights(out: Path) -> dict[str, bytes]:
    files = [out / WEIGHTS_NAME, *(out / "transformer").glob("*.safetensors")]
    return {file.name: file.read_bytes() for file in files if file.exists()}


def kill_after(child: Process, out: Path, step: int) -> None:
    """Kills the process, or all of them, once a step is logged."""
    log = out / "log.jsonl"

    def is_logged() -> bool:
        assert child.poll() is None, "it ended before it could be killed"
        return log.exists() and log.read_text().count("\n") >= step

    wait_until(is_logged)
    child.kill_tree()


def require_success(done: Process) -> None:
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "more",
    [
        ["--batch-size", "2"],
        pytest.param(
            ["--accumulate", "2", "--caption-dropout", "0.3", "--workers", "1", "--warmup", "5"],
            marks=pytest.mark.slow,
        ),
        pytest.param(["--full", "--batch-size", "2"], marks=pytest.mark.slow),
    ],
    ids=["lora", "accumulate", "full"],
)
def test_killed_and_resumed(
    more: list[str], warm: Warm, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    require_success(warm.run(*command(demo_store, tiny_model, whole, *more)))
    expected = losses(whole)
    assert [step for step, _ in expected] == list(range(1, 13))
    chance = random.Random(str(more))
    resumed = command(demo_store, tiny_model, broken, *more, "--resume")
    for step in sorted(chance.sample(range(1, 10), 2)):
        kill_after(warm.start(*resumed), broken, step)
    require_success(warm.run(*resumed))
    assert losses(broken) == expected
    assert weights(broken) == weights(whole)
    results = [json.loads((out / "result.json").read_text()) for out in (whole, broken)]
    for name in ("loss_before", "loss_after", "skipped", "clips"):
        assert results[0][name] == results[1][name]
    assert not list(broken.glob("checkpoints/.*"))
    assert len(list(broken.glob("checkpoints/step-*"))) == 2


@pytest.mark.slow
def test_two_processes_killed_and_resumed(
    warm: Warm, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    def start(out: Path, *more: str) -> Process:
        return warm.start(*LAUNCH, *command(demo_store, tiny_model, out, *more), module="torchrun")

    first = start(whole)
    first.wait()
    require_success(first)
    kill_after(start(broken), broken, 5)
    second = start(broken, "--resume")
    second.wait()
    require_success(second)
    assert losses(broken) == losses(whole)
    assert weights(broken) == weights(whole)


def test_more_steps_go_on(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"rank": 4, "device": "cpu"}
    vp.train(demo_store, model=tiny_model, output=tmp_path / "short", steps=4, **options)
    vp.train(
        demo_store, model=tiny_model, output=tmp_path / "short", steps=8, resume=True, **options
    )
    vp.train(demo_store, model=tiny_model, output=tmp_path / "long", steps=8, **options)
    assert losses(tmp_path / "short") == losses(tmp_path / "long")
    assert weights(tmp_path / "short") == weights(tmp_path / "long")
    with pytest.raises(TrainError, match="has made 8 steps, more than 4"):
        vp.train(
            demo_store, model=tiny_model, output=tmp_path / "long", steps=4, resume=True, **options
        )


def test_a_full_disk_leaves_the_checkpoint_before(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for a full disk: a write fails in the middle."""
    options: dict[str, Any] = {"model": tiny_model, "rank": 4, "device": "cpu", "resume": True}
    out = tmp_path / "run"
    vp.train(demo_store, output=out, steps=2, **options)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limit[1]))
    try:
        with pytest.raises(TrainError, match="the checkpoint cannot be written"):
            vp.train(demo_store, output=out, steps=4, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000002"]
    vp.train(demo_store, output=out, steps=4, **options)
    assert [step for step, _ in losses(out)] == [1, 2, 3, 4]


def test_checkpoints_of_another_run(
    demo_store: Path, tiny_model: Path, dataset: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"rank": 4, "device": "cpu", "steps": 2}
    out = tmp_path / "run"
    vp.train(demo_store, model=tiny_model, output=out, **options)
    with pytest.raises(TrainError, match="already holds a run"):
        vp.train(demo_store, model=tiny_model, output=out, **options)
    with pytest.raises(TrainError, match=r"of another run \(rank: 4 there, 8 now\)"):
        vp.train(demo_store, model=tiny_model, output=out, resume=True, **{**options, "rank": 8})
    other = tmp_path / "store"
    vp.encode(dataset, model=tiny_model, output=other, device="cpu", progress="none")
    with pytest.raises(TrainError, match=r"of another run \(clips: "):
        vp.train(other, model=tiny_model, output=out, resume=True, **options)
    model = build(tiny_model, tmp_path / "model", "5b")
    with pytest.raises(TrainError, match=r"of another run \(model: "):
        vp.train(demo_store, model=model, output=out, resume=True, **options)


def test_a_damaged_checkpoint_is_named(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"rank": 4, "device": "cpu"}
    out = tmp_path / "run"
    vp.train(demo_store, model=tiny_model, output=out, steps=2, **options)
    (file,) = out.glob("checkpoints/step-*/optimizer.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(TrainError, match="cannot be read"):
        vp.train(demo_store, model=tiny_model, output=out, steps=4, resume=True, **options)
