"""The examples, each run as a user runs it, with the demo's store and its tiny model."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import pytest

from tests.conftest import REPOSITORY, need
from tests.support.small_store import write_small_dataset
from tests.support.warm import Process, Warm

EXAMPLES = REPOSITORY / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
CLIPS = 12
EPOCH = 8
"""Steps of an epoch of the demo's store: four buckets of three clips, in batches of two."""

# Two processes may write to one line.
_STEP = re.compile(
    r"step (\d+)(?: · rank (\d+))?(?: · latents \(([^)]+)\))? · loss (\d+\.\d{4}|nan)"
)


class Step(NamedTuple):
    """What a program prints after a step."""

    number: int
    rank: int
    shape: str | None
    loss: float


def run(
    warm: Warm, program: str, *arguments: object, cwd: Path, ranks: int = 0, check: bool = True
) -> Process:
    """Runs an example, under torchrun where ranks are given."""
    launcher = ["--standalone", f"--nproc-per-node={ranks}", str(EXAMPLES / program)]
    done = warm.run(
        *(launcher if ranks else ()),
        *arguments,
        module="torchrun" if ranks else str(EXAMPLES / program),
        timeout=300,
        cwd=cwd,
        HF_DATASETS_CACHE=str(cwd / "cache"),
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def train(warm: Warm, program: str, *arguments: object, cwd: Path, ranks: int = 0) -> list[Step]:
    """The steps that a program makes, in their order."""
    output = run(warm, program, *arguments, "--learning-rate", 0.01, cwd=cwd, ranks=ranks).stdout
    steps = [
        Step(int(number), int(rank or 0), shape or None, float(loss))
        for number, rank, shape, loss in _STEP.findall(output)
    ]
    assert all(math.isfinite(step.loss) for step in steps), output
    return sorted(steps)


def require_learning(steps: list[Step]) -> None:
    """In the fourth epoch the loss is clearly below that of the first."""
    assert [step.number for step in steps] == list(range(1, 4 * EPOCH + 1))
    first, last = steps[:EPOCH], steps[-EPOCH:]
    assert mean(s.loss for s in last) < mean(s.loss for s in first) - 0.1


def numbers_of(steps: list[Step]) -> list[int]:
    return [step.number for step in steps]


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory, warm: Warm, demo_store: Path, tiny_model: Path
) -> list[Step]:
    """Four epochs of the plain loop."""
    folder = tmp_path_factory.mktemp("plain")
    options = ("--model", tiny_model, "--steps", 4 * EPOCH)
    return train(warm, "plain_pytorch.py", demo_store, *options, cwd=folder)


def test_the_plain_loop_learns(plain: list[Step]) -> None:
    require_learning(plain)
    assert len({step.shape for step in plain[:EPOCH]}) == 4  # each batch is of one bucket


def test_the_plain_loop_goes_on_where_it_was_stopped(
    plain: list[Step], warm: Warm, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    options = (demo_store, "--model", tiny_model)
    stopped = train(
        warm, "plain_pytorch.py", *options, "--steps", 11, "--save", "run.pt", cwd=tmp_path
    )
    assert stopped == plain[:11]  # in the middle of an epoch
    rest = train(
        warm, "plain_pytorch.py", *options, "--steps", 20, "--resume", "run.pt", cwd=tmp_path
    )
    assert rest == plain[11:20]


def test_accelerate_and_the_plain_loop_learn_the_same(
    plain: list[Step], warm: Warm, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    _need("accelerate")
    options = (demo_store, "--model", tiny_model, "--steps", 4 * EPOCH)
    assert train(warm, "with_accelerate.py", *options, cwd=tmp_path) == plain


@pytest.mark.slow
def test_accelerate_in_two_processes(
    warm: Warm, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    _need("accelerate")

    def steps(*more: object) -> list[Step]:
        arguments = (demo_store, "--model", tiny_model, *more)
        return train(warm, "with_accelerate.py", *arguments, cwd=tmp_path, ranks=2)

    whole = steps("--steps", 6)  # an epoch has four
    pairs = list(zip(whole[::2], whole[1::2], strict=True))
    assert [(a.number, a.rank, b.number, b.rank) for a, b in pairs] == [
        (number, 0, number, 1) for number in range(1, 7)
    ]
    for one, other in pairs:
        assert one.shape == other.shape
        assert one.loss != other.loss  # of other clips
    assert steps("--steps", 3, "--save", "state") == whole[:6]
    assert steps("--steps", 6, "--resume", "state") == whole[6:]


def test_lightning_and_the_plain_loop_learn_the_same(
    plain: list[Step], warm: Warm, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    _need("lightning")
    options = (demo_store, "--model", tiny_model, "--steps", 4 * EPOCH)
    whole = train(warm, "with_lightning.py", *options, "--save", "cp", cwd=tmp_path)
    assert whole == plain
    rest = train(warm, "with_lightning.py", *options, "--resume", "cp/step=30.ckpt", cwd=tmp_path)
    assert rest == plain[30:]


def test_the_diffusers_script_learns_what_the_pipeline_loads(
    warm: Warm, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    _need("accelerate")
    from diffusers import CogVideoXPipeline

    options = (demo_store, "--model", tiny_model, "--steps", 4 * EPOCH, "--save", "lora")
    require_learning(train(warm, "diffusers_script.py", *options, cwd=tmp_path))
    parts = dict.fromkeys(("vae", "text_encoder", "tokenizer"))
    pipeline = CogVideoXPipeline.from_pretrained(tiny_model, **parts)
    pipeline.load_lora_weights(tmp_path / "lora")
    learnt = {n: w for n, w in pipeline.transformer.named_parameters() if "lora_B" in n}
    assert len(learnt) == 8  # of four projections in each of two blocks
    assert all(weight.abs().sum() > 0 for weight in learnt.values())


def test_the_lines_to_be_swapped_are_those_of_the_script() -> None:
    docstring, code = (EXAMPLES / "diffusers_script.py").read_text().split('"""\n\n', 1)
    lines = [line[1:].strip() for line in docstring.splitlines() if line.startswith("+")]
    assert len(lines) == 8
    assert set(lines) <= {line.strip() for line in code.splitlines()}


@pytest.mark.parametrize("patch_frames", [None, 2], ids=["5b", "1.5"])
def test_models_with_rotary_positions(
    patch_frames: int | None, warm: Warm, tiny_model: Path, demo_store: Path, tmp_path: Path
) -> None:
    import torch
    from diffusers import CogVideoXTransformer3DModel

    import videoprep as vp

    model, store = tmp_path / "model", demo_store
    shutil.copytree(tiny_model, model)
    config = dict(CogVideoXTransformer3DModel.load_config(tiny_model / "transformer"))
    config |= {"use_rotary_positional_embeddings": True, "sample_height": 12}
    config |= {"patch_size_t": patch_frames, "patch_bias": patch_frames is None}
    torch.manual_seed(0)
    CogVideoXTransformer3DModel.from_config(config).save_pretrained(model / "transformer")
    if patch_frames is not None:  # a family of its own
        store = tmp_path / "store"
        dataset = write_small_dataset(tmp_path / "dataset")
        assert vp.encode(dataset, model=model, output=store, device="cpu")
    steps = train(warm, "plain_pytorch.py", store, "--model", model, "--steps", 24, cwd=tmp_path)
    assert numbers_of(steps) == list(range(1, 25))
    assert mean(s.loss for s in steps[-8:]) < mean(s.loss for s in steps[:8])


def test_datasets_reads_rows_first_and_tensors_when_asked(
    warm: Warm, demo_store: Path, tmp_path: Path
) -> None:
    _need("datasets")
    output = run(
        warm, "huggingface_datasets.py", demo_store, "--caption", "ball", cwd=tmp_path
    ).stdout
    told, *batches = output.splitlines()
    assert told == f"4 of {CLIPS} clips speak of 'ball'"
    assert len(batches) == 4  # each of another bucket
    assert all(caption.count(" ball ") for line in batches for caption in line.split(" | "))
    cached = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.arrow"))
    stored = sum(path.stat().st_size for path in demo_store.rglob("*.safetensors"))
    assert 0 < cached < stored / 20


def test_datasets_gives_the_tensors_of_the_store(demo_store: Path, tmp_path: Path) -> None:
    _need("datasets")
    program = """
import sys
import torch
import videoprep as vp
from huggingface_datasets import to_rows, with_tensors

data = vp.LatentDataset(sys.argv[1])
rows = to_rows(data).sort("caption").select(range(3, 9))
for clip in with_tensors(rows, data):
    own = data[clip["number"]]
    assert clip["caption"] == own["caption"]
    assert all(torch.equal(clip[name], own[name]) for name in data.components)
    print(clip["number"])
"""
    (tmp_path / "program.py").write_text(program)
    path = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "program.py", demo_store],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    numbers = list(map(int, done.stdout.split()))
    assert len(numbers) == 6
    assert numbers != sorted(numbers)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "--model", "MODEL"), "no store here"),
        (("STORE", "--model", "nowhere"), "no such model folder"),
        (("STORE", "--model", "WIDE"), "the store is of cogvideox, 16 channels"),
        (("STORE", "--model", "MODEL", "--resume", "nowhere"), "No such file"),
        (("STORE",), "required: --model"),
    ],
    ids=["store", "model", "other model", "checkpoint", "no model"],
)
def test_wrong_arguments_are_named(
    arguments: tuple[str, ...],
    said: str,
    warm: Warm,
    demo_store: Path,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    known = {"STORE": demo_store, "MODEL": tiny_model}
    if "WIDE" in arguments:  # as the transformers of image-to-video are
        known["WIDE"] = tmp_path / "wide"
        shutil.copytree(tiny_model, known["WIDE"])
        config = known["WIDE"] / "transformer/config.json"
        config.write_text(config.read_text().replace('"in_channels": 16', '"in_channels": 32'))
    chosen = [known.get(argument, argument) for argument in arguments]
    done = run(warm, "plain_pytorch.py", *chosen, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_a_program_is_short_and_has_its_section(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 80
    assert f"examples/{path.name}" in (REPOSITORY / "docs/examples.md").read_text()


def _need(module: str) -> None:
    if find_spec(module) is None:
        need(module)
