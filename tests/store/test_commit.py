"""A unit exists when its receipt does, and then it is whole."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
import xxhash
from safetensors import safe_open
from safetensors.torch import load_file

from videoprep.fs import LocalFiles, open_files
from videoprep.store.receipt import (
    Failure,
    Receipt,
    ReceiptDamage,
    UnitResult,
    commit_unit,
    read_receipts,
)


def _tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(4, 3, 2, generator=generator).to(dtype)
        for name, dtype in (("b", torch.float32), ("a", torch.bfloat16), ("c", torch.float16))
    }


def _commit(folder: Path, seed: int = 0) -> bool:
    return commit_unit(LocalFiles(folder), "f", "unit", UnitResult(_tensors(seed)))


def _receipts(folder: Path) -> list[Receipt | ReceiptDamage]:
    return list(read_receipts(LocalFiles(folder), "f"))


def test_what_is_committed_can_be_read(tmp_path: Path) -> None:
    tensors = _tensors()
    failures = [Failure("d", "VP401", "does not decode", 2)]
    made = UnitResult(tensors, failures, ["a"], ["b"])
    assert commit_unit(LocalFiles(tmp_path), "f", "unit", made)
    (receipt,) = _receipts(tmp_path)
    assert isinstance(receipt, Receipt)
    assert receipt.shard is not None
    shard = tmp_path / "f" / receipt.shard
    data = shard.read_bytes()
    assert receipt.xxh3 == xxhash.xxh3_128_hexdigest(data)
    assert receipt.size == len(data)
    assert receipt.failures == tuple(failures)
    assert (receipt.truncated, receipt.tiled) == (("a",), ("b",))
    loaded = load_file(shard)
    assert [t.key for t in receipt.tensors] == ["a", "b", "c"]
    for stored in receipt.tensors:
        assert torch.equal(loaded[stored.key], tensors[stored.key])
        part = data[stored.offset : stored.offset + stored.size]
        assert stored.xxh3 == xxhash.xxh3_64_hexdigest(part)
        assert part == tensors[stored.key].view(torch.uint8).numpy().tobytes()
        assert stored.shape == (4, 3, 2)
    with safe_open(shard, "pt") as opened:
        assert opened.metadata() == {"format": "pt"}


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(3, 0, 2), torch.tensor(1.5), torch.arange(6).reshape(2, 3).T, torch.zeros(0)],
    ids=["empty", "scalar", "not contiguous", "nothing"],
)
def test_unusual_tensors(tmp_path: Path, tensor: torch.Tensor) -> None:
    commit_unit(LocalFiles(tmp_path), "f", "unit", UnitResult({"x": tensor, "é\n": tensor}))
    (receipt,) = _receipts(tmp_path)
    assert isinstance(receipt, Receipt)
    loaded = load_file(tmp_path / "f" / str(receipt.shard))
    assert torch.equal(loaded["x"], tensor)
    assert torch.equal(loaded["é\n"], tensor)


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        _commit(tmp_path / name)
    one, two = (sorted((tmp_path / name / "f").iterdir()) for name in ("one", "two"))
    assert [p.name for p in one] == [p.name for p in two]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_the_first_receipt_counts_and_the_loser_cleans_up(tmp_path: Path) -> None:
    assert _commit(tmp_path, 0)
    before = {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()}
    assert not _commit(tmp_path, 1)
    assert not _commit(tmp_path, 0)
    assert {p.name: p.read_bytes() for p in (tmp_path / "f").iterdir()} == before


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    # Forked from a process of its own: in this one other threads may hold locks.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(4) as pool:
        won = pool.starmap(_commit, [(tmp_path, seed) for seed in range(12)])
    assert sum(won) == 1
    (receipt,) = _receipts(tmp_path)
    assert isinstance(receipt, Receipt)
    shard = tmp_path / "f" / str(receipt.shard)
    assert receipt.xxh3 == xxhash.xxh3_128_hexdigest(shard.read_bytes())
    assert len(list((tmp_path / "f").iterdir())) == 2


def test_a_receipt_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f/unit.json").write_bytes(b"")
    assert not _commit(tmp_path)
    assert (tmp_path / "f/unit.json").read_bytes() == b""


def test_a_unit_of_failures_alone_has_no_shard(tmp_path: Path) -> None:
    made = UnitResult({}, [Failure("a", "VP401", "x")])
    commit_unit(LocalFiles(tmp_path), "f", "unit", made)
    (receipt,) = _receipts(tmp_path)
    assert isinstance(receipt, Receipt)
    assert receipt.shard is None
    assert [p.name for p in (tmp_path / "f").iterdir()] == ["unit.json"]


def test_a_shard_without_a_receipt_does_not_exist(tmp_path: Path) -> None:
    _commit(tmp_path)
    (tmp_path / "f/unit.json").unlink()
    assert _receipts(tmp_path) == []
    assert _receipts(tmp_path / "nowhere") == []


@pytest.mark.parametrize("contents", [b"", b"{", b"[]", b'{"unit": "x"}', b"\xff"])
def test_a_damaged_receipt_is_named(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f/unit.json").write_bytes(contents)
    (found,) = _receipts(tmp_path)
    assert isinstance(found, ReceiptDamage)
    assert found.name == found.receipt == "f/unit.json"
    assert "cannot be read" in found.what


def test_any_changed_byte_of_a_receipt_is_noticed(tmp_path: Path) -> None:
    _commit(tmp_path)
    path = tmp_path / "f/unit.json"
    data = path.read_bytes()
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        (found,) = _receipts(tmp_path)
        assert isinstance(found, ReceiptDamage), at


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: str) -> None:
    _commit(tmp_path)
    (shard,) = (tmp_path / "f").glob("*.safetensors")
    if damage == "missing":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    (found,) = _receipts(tmp_path)
    assert isinstance(found, ReceiptDamage)
    assert found.name == f"f/{shard.name}"
    assert found.receipt == "f/unit.json"


def test_behind_a_url_it_is_the_same() -> None:
    files = open_files("memory://commit")
    assert commit_unit(files, "f", "unit", UnitResult(_tensors(0)))
    assert not commit_unit(files, "f", "unit", UnitResult(_tensors(1)))
    (receipt,) = read_receipts(files, "f")
    assert isinstance(receipt, Receipt)
    assert files.names("f") == sorted(["unit.json", str(receipt.shard)])
