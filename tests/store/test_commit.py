"""A unit exists when its receipt does, and then it is whole."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
import xxhash
from safetensors.torch import load_file

from videoprep.errors import StoreError
from videoprep.store.commit import commit_unit
from videoprep.store.receipt import Failure, read_receipts


def _tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(4, 3, 2, generator=generator).to(dtype)
        for name, dtype in (("b", torch.float32), ("a", torch.bfloat16), ("c", torch.float16))
    }


def test_what_is_committed_can_be_read(tmp_path: Path) -> None:
    tensors = _tensors()
    failures = [Failure("d", "VP401", "does not decode")]
    assert commit_unit(tmp_path, "unit", tensors, failures, ["a"])
    (receipt,) = read_receipts(tmp_path)
    assert receipt.shard is not None
    shard = tmp_path / receipt.shard
    data = shard.read_bytes()
    assert receipt.xxh3 == xxhash.xxh3_128_hexdigest(data)
    assert receipt.failures == tuple(failures)
    assert receipt.truncated == ("a",)
    loaded = load_file(shard)
    assert [t.key for t in receipt.tensors] == ["a", "b", "c"]
    for stored in receipt.tensors:
        assert torch.equal(loaded[stored.key], tensors[stored.key])
        part = data[stored.offset : stored.offset + stored.size]
        assert stored.xxh3 == xxhash.xxh3_64_hexdigest(part)
        assert part == tensors[stored.key].view(torch.uint8).numpy().tobytes()
        assert stored.shape == (4, 3, 2)


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        commit_unit(tmp_path / name, "unit", _tensors(), [], [])
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [p.name for p in one] == [p.name for p in two]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_the_first_receipt_counts_and_the_loser_cleans_up(tmp_path: Path) -> None:
    assert commit_unit(tmp_path, "unit", _tensors(0), [], [])
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert not commit_unit(tmp_path, "unit", _tensors(1), [], [])
    assert not commit_unit(tmp_path, "unit", _tensors(0), [], [])
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def _commit(folder: Path, seed: int) -> bool:
    return commit_unit(folder, "unit", _tensors(seed), [], [])


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        won = pool.starmap(_commit, [(tmp_path, seed) for seed in range(12)])
    assert sum(won) == 1
    (receipt,) = read_receipts(tmp_path)
    assert receipt.shard is not None
    assert receipt.xxh3 == xxhash.xxh3_128_hexdigest((tmp_path / receipt.shard).read_bytes())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_receipt_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "unit.json").write_bytes(b"")
    assert not commit_unit(tmp_path, "unit", _tensors(), [], [])
    assert (tmp_path / "unit.json").read_bytes() == b""


def test_a_unit_of_failures_alone_has_no_shard(tmp_path: Path) -> None:
    commit_unit(tmp_path, "unit", {}, [Failure("a", "VP401", "x")], [])
    (receipt,) = read_receipts(tmp_path)
    assert receipt.shard is None
    assert [p.name for p in tmp_path.iterdir()] == ["unit.json"]


def test_a_shard_without_a_receipt_does_not_exist(tmp_path: Path) -> None:
    commit_unit(tmp_path, "unit", _tensors(), [], [])
    (tmp_path / "unit.json").unlink()
    assert list(read_receipts(tmp_path)) == []
    assert list(read_receipts(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("contents", [b"", b"{", b"[]", b'{"unit": "x"}'])
def test_a_damaged_receipt_is_named(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "unit.json").write_bytes(contents)
    with pytest.raises(StoreError, match=r"unit\.json: the receipt cannot be read"):
        list(read_receipts(tmp_path))


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    commit_unit(tmp_path, "unit", _tensors(), [], [])
    (shard,) = tmp_path.glob("*.safetensors")
    if damage == "missing":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(StoreError, match=shard.name):
        list(read_receipts(tmp_path))
