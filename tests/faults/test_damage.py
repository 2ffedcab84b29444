"""A store that was damaged: encoding again names what is wrong, and makes it anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.small_store import ARTIFACTS, Small, receipts, result_of, shards, visible


@pytest.fixture
def damaged(small: Small) -> Small:
    """A whole store, to be damaged."""
    small.copy_whole()
    return small


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)  # JSON ends in a newline, which means nothing


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _tear(path: Path) -> None:
    """Half of it, as after a power cut on a file system that lies."""
    os.truncate(path, path.stat().st_size // 2)


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"size": ', b'"size": 1'))


def _noise(path: Path) -> None:
    path.write_bytes(b"\x00\xff" * 100)


@pytest.mark.parametrize(
    ("harm", "what", "component", "ranks"),
    [
        (_cut, "the shard has", "video_latents", 0),
        (_empty, "the shard has 0 bytes", "image_latents", 0),
        (Path.unlink, "shard is missing", "prompt_embeds", 0),
        (_cut, "the shard has", "prompt_embeds", 2),
    ],
)
def test_a_shard(
    damaged: Small, harm: Callable[[Path], None], what: str, component: str, ranks: int
) -> None:
    shard = next(path for path in shards(damaged.store) if component in path.parts)
    harm(shard)
    result = damaged.finish(ranks=ranks)
    assert result["encoded"] == 1
    name = str(shard.relative_to(damaged.store))
    assert [(damage["name"], what in damage["what"]) for damage in result["damages"]] == [
        (name, True)
    ]
    assert damaged.finish()["damages"] == []


@pytest.mark.parametrize("harm", [_empty, _tear, _cut, _edit, _noise])
def test_a_receipt(damaged: Small, harm: Callable[[Path], None]) -> None:
    receipt = receipts(damaged.store)[4]
    harm(receipt)
    result = damaged.finish()
    assert result["encoded"] == 1
    name = str(receipt.relative_to(damaged.store))
    assert [damage["name"] for damage in result["damages"]] == [name]


def test_the_receipt_of_another_unit(damaged: Small) -> None:
    one, other, *_ = receipts(damaged.store)
    one.write_bytes(other.read_bytes())
    result = damaged.finish()
    assert result["encoded"] == 1
    assert "receipt of another unit" in result["damages"][0]["what"]


def test_people_are_told(damaged: Small) -> None:
    shard = shards(damaged.store)[0]
    _cut(shard)
    told = damaged.run("--output-format", "rich")
    assert told.returncode == 0
    assert f"damaged {shard.relative_to(damaged.store)}: the shard has" in told.stdout
    assert "made anew" in told.stdout
    damaged.require_whole()


@pytest.mark.parametrize("harm", [_cut, _empty, _tear, _noise, Path.unlink])
@pytest.mark.parametrize("name", ["catalogue.parquet", "index.parquet", "failures.jsonl"])
def test_what_is_derived(damaged: Small, name: str, harm: Callable[[Path], None]) -> None:
    if name == "failures.jsonl" and harm in (_cut, _tear):
        pytest.skip("it is empty")
    harm(damaged.store / name)
    assert damaged.finish()["encoded"] == 0


@pytest.mark.parametrize("harm", [_cut, _empty, _tear, _noise])
def test_the_info_is_not_guessed_at(damaged: Small, harm: Callable[[Path], None]) -> None:
    """It says how to mend it, and that works."""
    harm(damaged.store / "store.json")
    before = visible(damaged.store)
    refused = damaged.run()
    assert refused.returncode == 2
    assert "delete this file" in " ".join(refused.stderr.split())
    assert visible(damaged.store) == before
    (damaged.store / "store.json").unlink()
    assert damaged.finish()["encoded"] == 0


def test_all_receipts_are_gone(damaged: Small) -> None:
    for receipt in receipts(damaged.store):
        receipt.unlink()
    assert damaged.finish()["encoded"] == ARTIFACTS


def test_damage_and_a_kill_while_it_is_mended(damaged: Small) -> None:
    for shard in shards(damaged.store)[:3]:
        _cut(shard)
    killed = damaged.run(VIDEOPREP_FAILPOINTS="unit.committed=kill*2")
    assert killed.returncode == -9
    result = result_of(damaged.run())
    assert result["damages"] == [], "they were removed; their units are simply missing"
    damaged.require_whole()
