"""The sampler under real loaders: PyTorch's, accelerate's and Lightning's.

Run as a program it is one rank of the tests with several processes.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from tests.conftest import REPOSITORY, need
from videoprep.errors import PlanError
from videoprep.index.bucket import Bucket, BucketColumn
from videoprep.index.sampler import BucketBatchSampler

SMALL, LARGE = Bucket(9, 64, 96), Bucket(17, 64, 96)
Batches = list[list[int]]


class Numbers(Dataset[int]):
    """Items that are their own numbers, in two buckets."""

    buckets = BucketColumn.from_buckets([SMALL] * 7 + [LARGE] * 4)
    digest = "ab" * 16

    def __len__(self) -> int:
        return len(self.buckets)

    def __getitem__(self, item: int) -> int:
        return item

    def latent_tokens(self, bucket: Bucket) -> int:
        return bucket.frames


DATA = Numbers()
WORKERS = [
    pytest.param({}, id="no workers"),
    pytest.param({"num_workers": 2}, id="workers"),
    pytest.param({"num_workers": 2, "persistent_workers": True}, id="persistent workers"),
]


@pytest.fixture
def accelerate() -> None:
    """For tests that need accelerate: at home they skip without it, in CI they fail."""
    if find_spec("accelerate") is None:
        need("accelerate")


@pytest.fixture
def lightning() -> None:
    """The same for Lightning."""
    if find_spec("lightning") is None:
        need("lightning")


def _epochs(count: int, **options: Any) -> list[Batches]:
    size = {} if "max_tokens" in options else {"batch_size": 2}
    sampler = BucketBatchSampler(DATA, **{**size, **options})
    return [list(sampler) for _ in range(count)]


def _lists(batches: Iterable[torch.Tensor]) -> Iterator[list[int]]:
    return (batch.tolist() for batch in batches)


@pytest.mark.parametrize("tail", ["pad", "carry"])
@pytest.mark.parametrize("options", WORKERS)
def test_what_was_delivered_and_the_rest_are_the_whole(options: dict[str, Any], tail: str) -> None:
    def loader() -> Any:
        sampler = BucketBatchSampler(DATA, 2, tail=tail)
        return sampler.count(DataLoader(DATA, batch_sampler=sampler, **options))

    first, second, third = _epochs(3, tail=tail)
    for stop in range(len(first) + 1):
        before, after = loader(), loader()
        delivered = list(islice(_lists(before), stop))
        state = json.loads(json.dumps(before.state_dict()))
        finished = stop == len(first)
        assert (state["epoch"], state["batch"]) == ((1, 0) if finished else (0, stop))
        after.load_state_dict(state)
        assert len(after) == len(second if finished else first)
        rest = [] if finished else list(_lists(after))
        assert delivered + rest == first
        assert list(_lists(after)) == second
        assert after.sampler.epoch == 2
        after.sampler.set_epoch(2)
        assert list(_lists(after)) == third


@pytest.mark.parametrize("options", WORKERS)
def test_broken_off_and_begun_again(options: dict[str, Any]) -> None:
    first, second = _epochs(2)
    sampler = BucketBatchSampler(DATA, 2)
    loader = sampler.count(DataLoader(DATA, batch_sampler=sampler, **options))
    for stop in range(len(first)):
        assert list(islice(_lists(loader), stop)) == first[:stop]
        assert sampler.epoch == 0
    # A trainer may know the length and never ask for more: then too the epoch is over.
    assert list(islice(_lists(loader), len(first))) == first
    assert list(_lists(loader)) == second


def test_without_workers_a_plain_loader_counts_too() -> None:
    first, second = _epochs(2)
    sampler, later = BucketBatchSampler(DATA, 2), BucketBatchSampler(DATA, 2)
    assert list(islice(_lists(DataLoader(DATA, batch_sampler=sampler)), 3)) == first[:3]
    later.load_state_dict(sampler.state_dict())
    loader = DataLoader(DATA, batch_sampler=later)
    assert len(loader) == len(first)
    assert [list(_lists(loader)) for _ in range(2)] == [first[3:], second]


def test_loaders_that_deal_out_themselves_are_found_out() -> None:
    sampler = BucketBatchSampler(DATA, 2)
    half = DataLoader(DATA, batch_sampler=list(sampler)[::2])
    with pytest.raises(PlanError, match="delivers 3 batches an epoch, not 6") as raised:
        sampler.count(half)
    assert "rank=None" in str(raised.value.remedy)


# accelerate

SHARED: list[dict[str, Any]] = [
    {"batch_size": 2},
    {"max_tokens": 34},
    {"batch_size": 1, "tail": "carry"},
]


def _accelerate(folder: Path, **options: Any) -> Batches:
    """Two epochs of one process, saved and loaded after two steps of the second."""
    from accelerate import Accelerator

    def prepare() -> tuple[Any, Any]:
        accelerator = Accelerator(cpu=True)
        sampler = BucketBatchSampler(
            DATA, rank=None, world_size=accelerator.num_processes, **options
        )
        loader = accelerator.prepare(DataLoader(DATA, batch_sampler=sampler, num_workers=1))
        accelerator.register_for_checkpointing(sampler)
        return accelerator, sampler.count(loader)

    accelerator, loader = prepare()
    delivered = list(_lists(loader))
    delivered += islice(_lists(loader), 2)
    accelerator.save_state(str(folder))
    accelerator.wait_for_everyone()
    accelerator, loader = prepare()
    accelerator.load_state(str(folder))
    return delivered + list(_lists(loader))


@pytest.mark.usefixtures("accelerate")
@pytest.mark.filterwarnings("error:set_epoch")
def test_accelerate_alone(tmp_path: Path) -> None:
    first, second = _epochs(2)
    assert _accelerate(tmp_path, batch_size=2) == first + second


@pytest.mark.usefixtures("accelerate")
def test_accelerate_without_counting_warns(tmp_path: Path) -> None:
    from accelerate import Accelerator

    sampler = BucketBatchSampler(DATA, 2)
    sampler.load_state_dict({**sampler.state_dict(), "epoch": 1, "batch": 2})
    loader = Accelerator(cpu=True).prepare(DataLoader(DATA, batch_sampler=sampler))
    with pytest.warns(UserWarning, match=r"discards the loaded state.*sampler\.count"):
        next(iter(loader))


@pytest.mark.slow
@pytest.mark.usefixtures("accelerate")
def test_accelerate_in_two_processes(tmp_path: Path) -> None:
    ranks = _run_ranks("_all_of_accelerate", tmp_path)
    for number, options in enumerate(SHARED):
        _check_ranks([rank[number] for rank in ranks], **options)
    for rank in ranks:
        assert "make the sampler with rank=None and their number as world_size" in rank[-1]


def _all_of_accelerate(folder: Path) -> list[Any]:
    warnings.filterwarnings("error", "set_epoch")
    done = [_accelerate(folder / str(n), **options) for n, options in enumerate(SHARED)]
    return [*done, _accelerate_as_if_alone()]


def _accelerate_as_if_alone() -> str:
    """What is said where accelerate would give each process other buckets."""
    from accelerate import Accelerator

    sampler = BucketBatchSampler(DATA, 2)
    loader = Accelerator(cpu=True).prepare(DataLoader(DATA, batch_sampler=sampler))
    with pytest.raises(PlanError) as raised:
        sampler.count(loader)
    return str(raised.value)


# Lightning


def _trainer(folder: Path, **options: Any) -> Any:
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    checkpoint = lightning.pytorch.callbacks.ModelCheckpoint(
        dirpath=folder, filename="{step}", every_n_train_steps=1, save_top_k=-1
    )
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[checkpoint],
        **options,
    )


def _fit(
    trainer: Any, resume: Path | None = None, count: bool = True, **loading: Any
) -> list[tuple[int, list[int]]]:
    """The epoch and the items of each batch that a model is trained on."""
    import lightning

    seen: list[tuple[int, list[int]]] = []

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def train_dataloader(self) -> Any:
            sampler = BucketBatchSampler(
                DATA, 2, rank=self.trainer.global_rank, world_size=self.trainer.world_size
            )
            loader = DataLoader(DATA, batch_sampler=sampler, **loading)
            return sampler.count(loader) if count else loader

        def training_step(self, batch: torch.Tensor, number: int) -> torch.Tensor:
            seen.append((self.current_epoch, batch.tolist()))
            return self.layer(batch.float()[:, None]).mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer.fit(Model(), ckpt_path=resume)
    return seen


@pytest.mark.usefixtures("lightning")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", WORKERS)
def test_lightning_resumes_after_every_step(options: dict[str, Any], tmp_path: Path) -> None:
    whole = _fit(_trainer(tmp_path, max_epochs=2), **options)
    expected = [(epoch, batch) for epoch, batches in enumerate(_epochs(2)) for batch in batches]
    assert whole == expected
    for step in range(1, len(whole)) if not options else (2, 6):
        trainer = _trainer(tmp_path / "again", max_epochs=2)
        assert _fit(trainer, tmp_path / f"step={step}.ckpt", **options) == whole[step:]


@pytest.mark.slow
@pytest.mark.usefixtures("lightning")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [True, False])
def test_lightning_with_shorter_epochs_goes_on_to_the_next(count: bool, tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, max_epochs=2, limit_train_batches=2)
    seen = _fit(trainer, count=count)
    first, second = _epochs(2)
    assert [batch for _, batch in seen] == first[:2] + second[:2]


@pytest.mark.slow
@pytest.mark.usefixtures("lightning")
def test_lightning_in_two_processes(tmp_path: Path) -> None:
    _check_ranks(_run_ranks("_lightning", tmp_path), batch_size=2)


def _lightning(folder: Path) -> Batches:
    """Two epochs of one rank, the second half resumed from a checkpoint."""
    ranks: dict[str, Any] = {"devices": 2, "strategy": "ddp", "max_epochs": 2}
    whole = _fit(_trainer(folder / "checkpoints", **ranks))
    resumed = _fit(_trainer(folder / "again", **ranks), folder / "checkpoints" / "step=2.ckpt")
    return [batch for _, batch in whole[:2] + resumed]


# Several processes


def _run_ranks(function: str, folder: Path) -> list[Any]:
    """What a function of this module returns in each of two ranks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", __name__, function, str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def _check_ranks(ranks: list[Batches], **options: Any) -> None:
    """Checks that both ranks had their two epochs, and together each item."""
    steps = list(zip(*ranks, strict=True))
    for step in steps:
        assert len({DATA.buckets[item] for part in step for item in part}) == 1
        assert len({len(part) for part in step}) == 1
    alone = [_epochs(2, rank=rank, world_size=2, **options) for rank in range(2)]
    assert ranks == [first + second for first, second in alone]
    if "tail" not in options:
        epoch = steps[: len(alone[0][0])]
        assert {item for step in epoch for part in step for item in part} == set(range(len(DATA)))


if __name__ == "__main__":
    result = globals()[sys.argv[1]](Path(sys.argv[2]))
    (Path(sys.argv[2]) / f"{os.environ['RANK']}.json").write_text(json.dumps(result))
