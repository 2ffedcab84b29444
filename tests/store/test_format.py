"""The format of shards: known in one module, and one class of several that there could be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

import videoprep as vp
from tests.encoding.test_encode import contents, encode
from tests.support.assets import write_lists
from videoprep.errors import StoreError
from videoprep.fs import LocalFiles
from videoprep.store import format as module
from videoprep.store.empty_caption import path_of, read_empty_caption, write_empty_caption
from videoprep.store.format import (
    Read,
    ShardContents,
    ShardFile,
    ShardFormat,
    TensorInfo,
    TensorPlace,
    shard_name,
    unit_of_shard,
)
from videoprep.store.layout import Store
from videoprep.store.recipe import Recipe

PACKAGE = Path(vp.__file__).parent
SEED = 20261130


class DirectoryLast(ShardFormat):
    """The tensors, then what they are, in JSON, then how long that is."""

    suffix = ".tensors"

    def layout(
        self, tensors: Sequence[TensorInfo], facts: Mapping[str, str]
    ) -> Iterator[bytes | TensorInfo]:
        """Put the last key first, so that no other code relies on an order."""
        directory: dict[str, object] = {}
        at = 0
        for one in reversed(tensors):
            padding = -at % 64
            yield bytes(padding)
            yield one
            directory[one.key] = [one.dtype, one.shape, at + padding, one.size]
            at += padding + one.size
        text = json.dumps([directory, facts]).encode()
        yield text + len(text).to_bytes(4, "big")

    def contents(self, read: Read, size: int) -> ShardContents:
        length = int.from_bytes(read(max(0, size - 4), 4), "big")
        directory, facts = json.loads(read(size - 4 - length, length))
        places = {
            key: TensorPlace(dtype, tuple(shape), offset, size)
            for key, (dtype, shape, offset, size) in directory.items()
        }
        return ShardContents(facts, places)


@pytest.fixture
def second_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known, beside the first one, and written."""
    monkeypatch.setitem(module.FORMATS, DirectoryLast.suffix, DirectoryLast())
    monkeypatch.setattr(module, "FORMAT", DirectoryLast())


def _names(paths: Iterator[Path]) -> list[str]:
    return sorted(str(path.relative_to(PACKAGE)) for path in paths)


def test_no_other_module_knows_how_files_of_a_store_are_named() -> None:
    """Those of models, exports and checkpoints are others, and so are receipts of other tasks."""
    elsewhere = ("families", "exporters", "importers", "training", "demo", "engine", "spec")
    elsewhere += ("captions",)
    modules = [
        path
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in elsewhere
    ]
    shard = re.compile(r"""\.safetensors["']""")
    receipt = re.compile(r"""\}\.json["']|["']\.json["']""")
    for pattern, folders in ((shard, None), (receipt, ("store", "encoding"))):
        found = [
            path
            for path in modules
            if folders is None or path.relative_to(PACKAGE).parts[0] in folders
            if pattern.search(path.read_text(encoding="utf-8"))
        ]
        assert _names(iter(found)) == ["store/format.py"], pattern


def test_names() -> None:
    unit, digest = "5x64x96-0123456789abcdef", "f" * 32
    name = shard_name(unit, digest)
    assert unit_of_shard(name) == unit_of_shard(f"video_latents/r/{name}") == unit
    assert Store.shard(f"video_latents/r/{unit}", digest) == f"video_latents/r/{name}"
    assert Store.receipt(f"video_latents/r/{unit}") == f"video_latents/r/{unit}.json"
    assert Store.receipt("empty_caption/x-r") == "empty_caption/x-r.safetensors"


def test_shards_are_as_safetensors_writes_them(tmp_path: Path) -> None:
    tensor = torch.randn(4, 3, generator=torch.Generator().manual_seed(SEED))
    shard = ShardFile({"b": tensor, "a": tensor.bfloat16()}, {"xxh3": "f"})
    with (tmp_path / "file").open("wb") as file:
        shard.write(file)
    assert module.Safetensors().contents(
        lambda start, size: (tmp_path / "file").read_bytes()[start : start + size], shard.size
    ) == ShardContents({"xxh3": "f"}, {one.key: one.place for one in shard.entries})
    one = ShardFile({"a": tensor}, {"xxh3": "f"})
    with (tmp_path / "one").open("wb") as file:
        one.write(file)
    assert (tmp_path / "one").read_bytes() == save({"a": tensor}, {"xxh3": "f"})


@pytest.mark.parametrize("tokens", [3, 0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.uint8])
def test_an_empty_caption_of_each_type_comes_back(
    tmp_path: Path, dtype: torch.dtype, tokens: int
) -> None:
    files, recipe = LocalFiles(tmp_path), Recipe("prompt_embeds", {})
    tensor = torch.arange(4 * tokens).reshape(tokens, 4).to(dtype)
    write_empty_caption(files, recipe, tensor)
    found = read_empty_caption(files, recipe)
    assert found.dtype == dtype
    assert torch.equal(found, tensor)
    assert files.size(path_of(recipe)) is not None


def test_no_flipped_bit_of_an_empty_caption_goes_unnoticed(tmp_path: Path) -> None:
    files, recipe = LocalFiles(tmp_path), Recipe("prompt_embeds", {})
    write_empty_caption(files, recipe, torch.randn(4, 3))
    path = tmp_path / path_of(recipe)
    data = path.read_bytes()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(StoreError, match="is damaged"):
            read_empty_caption(files, recipe)


def test_a_file_that_goes_on_after_its_tensors(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        ShardFile({"a": torch.zeros(3)}).write(file)
        file.write(b"\0")
    data = (tmp_path / "file").read_bytes()
    with pytest.raises(ValueError, match="its tensors after"):
        module.Safetensors().contents(lambda start, size: data[start : start + size], len(data))


def test_a_store_of_a_second_format(
    dataset: Path, tmp_path: Path, tiny_model: Path, second_format: None
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store, image_latents=True)
    whole = contents(store)
    assert not [name for name in whole if name.endswith(".safetensors")]
    shards = sorted(store.glob("*/*/*.tensors"))
    assert len(shards) == 9
    assert vp.verify(store).ok
    assert not vp.verify(store).notes
    for path in (shards[0], next(store.glob("empty_caption/*.tensors"))):
        data = path.read_bytes()
        for at in (3, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            assert [fault.name for fault in vp.verify(store).faults] == [
                str(path.relative_to(store))
            ], at
        path.write_bytes(data)
    shards[0].write_bytes(shards[0].read_bytes()[:-1])
    shards[4].unlink()
    report = vp.verify(store, repair=True, device="cpu", progress="none")
    assert report.ok
    assert contents(store) == whole


def test_a_store_of_two_formats(
    dataset: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is read, and what is missing is written, each as it is."""
    encode(dataset, tiny_model, tmp_path / "one")
    monkeypatch.setitem(module.FORMATS, DirectoryLast.suffix, DirectoryLast())
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    write_lists(dataset, ["A grey clip named a.", "edited", "A grey clip named c."])
    with monkeypatch.context() as patch:
        patch.setattr(module, "FORMAT", DirectoryLast())
        encode(dataset, tiny_model, store)
    assert len(list(store.glob("prompt_embeds/*/*.tensors"))) == 1
    assert vp.verify(store).ok
    expected = list(vp.LatentDataset(tmp_path / "one", verify=True))
    found = list(vp.LatentDataset(store, verify=True))
    for name, compared in (("video_latents", [0, 1, 2]), ("prompt_embeds", [0, 2])):
        for number in compared:
            assert torch.equal(found[number][name], expected[number][name])
    assert not torch.equal(found[1]["prompt_embeds"], expected[1]["prompt_embeds"])


def test_a_shard_of_an_unknown_format_is_named() -> None:
    with pytest.raises(ValueError, match="does not know"):
        module.contents_of("x.unknown", lambda start, size: b"", 0)
