"""LatentDataset: tensors of a finished store, readable by other means too."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import shutil
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import xxhash
from safetensors import safe_open
from torch.utils.data import DataLoader

import videoprep as vp
from videoprep.errors import StoreError
from videoprep.index.bucket import Bucket
from videoprep.store import shard_reader
from videoprep.store.shard_reader import map_privately

COMPONENTS = ("video_latents", "image_latents", "prompt_embeds")


@pytest.fixture(params=["copied", "mapped"])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read, whatever the size of the tensors."""
    monkeypatch.setattr(shard_reader, "_PART_BYTES", 0 if request.param == "mapped" else 1 << 60)
    return str(request.param)


@pytest.fixture
def own_store(demo_store: Path, tmp_path: Path) -> Path:
    """A store that may be changed."""
    return Path(shutil.copytree(demo_store, tmp_path / "store"))


@pytest.fixture
def remote_store(demo_store: Path) -> Iterator[str]:
    """The same in the memory of this process."""
    files = fsspec.filesystem("memory")
    files.put(str(demo_store), "/latents", recursive=True)
    yield "memory://latents"
    files.rm("/latents", recursive=True)


def change_rows(store: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    table = pq.read_table(store / "catalogue.parquet")
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), store / "catalogue.parquet")
    return store


def change_row(store: Path, **values: Any) -> Path:
    return change_rows(store, lambda rows: rows[0].update(values))


def place(shard: str, offset: int, data: bytes, dtype: str, shape: list[int]) -> dict[str, Any]:
    """Where a prompt embedding lies, in the catalogue's columns."""
    values = {
        "shard": shard, "offset": offset, "bytes": len(data), "dtype": dtype, "shape": shape,
        "xxh3": xxhash.xxh3_64_hexdigest(data),
    }  # fmt: skip
    return {f"prompt_embeds_{name}": value for name, value in values.items()}


def only_embeds(store: Path, **options: Any) -> vp.LatentDataset:
    return vp.LatentDataset(store, components="prompt_embeds", **options)


def same(item: dict[str, Any], other: dict[str, Any]) -> bool:
    return item.keys() == other.keys() and all(
        torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        for name, value in item.items()
    )


def shard_maps() -> list[str]:
    return [line for line in Path("/proc/self/maps").read_text().splitlines() if "/store/" in line]


def as_it_is(value: Any) -> Any:
    return value


# What an item is


def test_items_have_all_components(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store)
    assert len(data) == 12
    assert data.incomplete == 0
    item = data[0]
    assert item["video_latents"].shape == (32, 5, 8, 12)
    assert item["image_latents"].shape == (32, 1, 8, 12)
    assert item["prompt_embeds"].shape == (226, 32)
    assert item["caption"].startswith("A red ball")
    assert item["metadata"]["video"] == "videos/00000.mp4"
    assert (item["metadata"]["frames"], item["metadata"]["fps"]) == (17, 8.0)
    assert torch.equal(data[-1]["video_latents"], data[11]["video_latents"])
    assert same(data[np.int64(3)], data[torch.tensor(3)])
    for index in (12, -13):
        with pytest.raises(IndexError):
            data[index]


def test_the_metadata_are_the_catalogue_in_plain_values(demo_store: Path) -> None:
    rows = pq.read_table(demo_store / "catalogue.parquet").to_pylist()
    for item, row in zip(vp.LatentDataset(demo_store), rows, strict=True):
        expected = {name: row[name] for name in row if not name.startswith(COMPONENTS)}
        expected["frame_indices"] = list(range(*map(int, row["frame_indices"].split(":"))))
        assert item["metadata"] == expected
        assert list(item["metadata"]) == list(expected)
        assert [*map(type, item["metadata"].values())] == [*map(type, expected.values())]


@pytest.mark.parametrize("verify", [False, True])
def test_the_store_reads_with_pyarrow_and_safetensors_alone(
    demo_store: Path, how: str, verify: bool
) -> None:
    data = vp.LatentDataset(demo_store, verify=verify)
    rows = pq.read_table(demo_store / "catalogue.parquet").to_pylist()
    for item, row in zip(data, rows, strict=True):
        for component in COMPONENTS:
            path = demo_store / row[f"{component}_shard"]
            with safe_open(path, framework="pt") as shard:
                assert torch.equal(item[component], shard.get_tensor(row[f"{component}_key"]))
            offset, size = row[f"{component}_offset"], row[f"{component}_bytes"]
            raw = torch.frombuffer(
                bytearray(path.read_bytes()[offset : offset + size]), dtype=torch.float32
            )
            assert torch.equal(raw.reshape(row[f"{component}_shape"]), item[component])


def test_a_tensor_may_be_written_to(own_store: Path, how: str) -> None:
    shards = sorted(own_store.rglob("*.safetensors"))
    before = [path.read_bytes() for path in shards]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = vp.LatentDataset(own_store)
        item = data[0]
    kept = {name: item[name].clone() for name in COMPONENTS}
    for component in COMPONENTS:
        item[component].fill_(7)
        assert bool((item[component] == 7).all())
        assert torch.equal(data[0][component], kept[component])
    assert [path.read_bytes() for path in shards] == before


def test_a_tensor_outlives_shard_and_dataset(
    own_store: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_reader, "_MAPPED_SHARDS", 1)
    data = vp.LatentDataset(own_store)
    expected = [{name: item[name].clone() for name in COMPONENTS} for item in data]
    items = list(data)
    del data
    shutil.rmtree(own_store)
    gc.collect()
    for item, copy in zip(items, expected, strict=True):
        assert all(torch.equal(item[name], copy[name]) for name in COMPONENTS)
    assert bool(shard_maps()) == (how == "mapped")
    del items, item
    assert not shard_maps()


def test_a_tensor_sent_or_saved_takes_its_own_bytes_only(own_store: Path, how: str) -> None:
    embeds = vp.LatentDataset(own_store)[0]["prompt_embeds"]
    assert embeds.untyped_storage().nbytes() == embeds.numel() * 4
    assert embeds.data_ptr() % 4 == 0
    assert torch.equal(pickle.loads(pickle.dumps(embeds)), embeds)


def write_in_place(embeds: torch.Tensor) -> None:
    embeds.mul_(2)


def write_to_a_view(embeds: torch.Tensor) -> None:
    embeds.T[3][4:].zero_()


def write_out(embeds: torch.Tensor) -> None:
    torch.add(embeds, 1, out=embeds)


def write_an_element(embeds: torch.Tensor) -> None:
    embeds.detach()[-1, -1] = 1e9


def write_in_shared_memory(embeds: torch.Tensor) -> None:
    embeds.share_memory_().numpy()[5, 5] = 1e9


def write_by_numpy(embeds: torch.Tensor) -> None:
    embeds.numpy()[5, 5] = 1e9


def write_by_data(embeds: torch.Tensor) -> None:
    embeds.data.add_(1)


SEEN = (write_in_place, write_to_a_view, write_out, write_an_element, write_in_shared_memory)


@pytest.mark.parametrize(
    ("write", "verify"),
    [*((write, False) for write in SEEN), (write_by_numpy, True), (write_by_data, True)],
)
@pytest.mark.parametrize("inference", [False, True])
def test_what_was_written_is_not_read_again(
    own_store: Path,
    how: str,
    write: Callable[[torch.Tensor], None],
    verify: bool,
    inference: bool,
) -> None:
    expected = only_embeds(own_store)[0]["prompt_embeds"].clone()
    data = only_embeds(own_store, verify=verify)
    for _ in range(3):
        with torch.inference_mode(inference):
            embeds = data[0]["prompt_embeds"]
            assert torch.equal(embeds, expected)
            write(embeds)
            assert not torch.equal(embeds, expected)
    assert torch.equal(data[0]["prompt_embeds"], expected)


def test_what_the_trainer_writes_does_not_reach_a_worker(own_store: Path, how: str) -> None:
    data = only_embeds(own_store, buckets="9x64x96")
    expected = [item["prompt_embeds"].clone() for item in data]
    loader = DataLoader(
        data,
        batch_size=None,
        num_workers=1,
        multiprocessing_context="fork",
        persistent_workers=True,
    )
    for _ in range(3):
        for item, kept in zip(loader, expected, strict=True):
            assert torch.equal(item["prompt_embeds"], kept)
            item["prompt_embeds"].zero_()


def test_a_forked_process_writes_for_itself(own_store: Path, how: str) -> None:
    data = only_embeds(own_store)
    embeds = data[0]["prompt_embeds"]
    expected = embeds.clone()
    pid = os.fork()
    if pid == 0:
        try:
            embeds.zero_()
            os._exit(0 if torch.equal(data[0]["prompt_embeds"], expected) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert torch.equal(embeds, expected)
    assert torch.equal(data[0]["prompt_embeds"], expected)


@pytest.mark.parametrize("shape", [[], [3], [1, 2, 3, 1, 2], [0, 4]])
def test_shapes_of_any_rank(own_store: Path, how: str, shape: list[int]) -> None:
    data = np.arange(np.prod(shape, dtype=int), dtype=np.float32).tobytes()
    (own_store / "hand-made").write_bytes(b"\0" * 8 + data)
    change_row(own_store, **place("hand-made", 8, data, "F32", shape))
    embeds = only_embeds(own_store, verify=True)
    assert list(embeds[0]["prompt_embeds"].shape) == shape
    assert embeds[0]["prompt_embeds"].numpy().tobytes() == data
    assert embeds[1]["prompt_embeds"].shape == (226, 32)


@pytest.mark.parametrize("name", shard_reader.TORCH_DTYPES)
def test_every_type_at_any_offset(own_store: Path, how: str, name: str) -> None:
    dtype = shard_reader.TORCH_DTYPES[name]
    expected = torch.arange(1, 13).to(dtype).reshape(3, 4)
    data = expected.view(torch.uint8).numpy().tobytes()
    for offset in (0, 1, 7, 8, 4097):
        (own_store / "hand-made").write_bytes(b"\xff" * offset + data)
        change_row(own_store, **place("hand-made", offset, data, name, [3, 4]))
        read = only_embeds(own_store, verify=True)[0]["prompt_embeds"]
        assert read.dtype == dtype
        assert torch.equal(read.view(torch.uint8), expected.view(torch.uint8))
        assert read.data_ptr() % dtype.itemsize == 0


def test_an_unknown_type_is_named(own_store: Path) -> None:
    change_row(own_store, **place("hand-made", 0, b"1234", "F4", [1]))
    with pytest.raises(StoreError, match="has the type 'F4'; known are: F64, F32"):
        only_embeds(own_store)[0]


# Loaders


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_the_same(demo_store: Path, method: str) -> None:
    data = vp.LatentDataset(demo_store, buckets=["17x64x96", "9x64x96"], verify=True)
    _ = data[0]  # a shard is open before the fork
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context=method)
    count = 0
    for item, expected in zip(loader, data, strict=True):
        assert same(item, expected)
        count += 1
    assert count == 6


def test_a_worker_tells_of_damage(own_store: Path) -> None:
    shutil.rmtree(own_store / "image_latents")
    loader = DataLoader(vp.LatentDataset(own_store), batch_size=None, num_workers=1)
    with pytest.raises(StoreError, match="the shard is missing"):
        list(loader)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_of_one_bucket(demo_store: Path, workers: int) -> None:
    data = vp.LatentDataset(demo_store)
    sampler = vp.BucketBatchSampler(data, batch_size=2, seed=1)
    loader = DataLoader(
        data, batch_sampler=sampler, collate_fn=stack, num_workers=workers, persistent_workers=False
    )
    shapes = Counter(tuple(batch.shape) for batch in loader)
    assert sum(shapes.values()) == len(sampler)
    assert len(shapes) == len(set(data.buckets)) == 4


def stack(items: list[dict[str, Any]]) -> torch.Tensor:
    return torch.stack([item["video_latents"] for item in items])


def test_a_batch_is_fetched_at_once_in_the_order_asked_for(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store)
    items = data.__getitems__([5, -1, 5])
    assert [item["metadata"]["line"] for item in items] == [6, 12, 6]
    assert all(same(item, data[number]) for item, number in zip(items, (5, 11, 5), strict=True))


def test_threads_share_a_dataset(
    demo_store: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_reader, "_MAPPED_SHARDS", 1)
    data = vp.LatentDataset(demo_store)
    expected = list(data)
    numbers = [number % 12 for number in range(600)]
    with ThreadPoolExecutor(8) as pool:
        items = pool.map(data.__getitem__, numbers)
    for item, number in zip(items, numbers, strict=True):
        assert same(item, expected[number])


def test_a_pickle_is_small_and_opens_the_store_again(
    demo_store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(demo_store.parent)
    data = vp.LatentDataset(demo_store.name, buckets="17x64x96", components=["prompt_embeds"])
    digest = data.digest
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(data)
    assert b"A red ball" not in pickled
    assert len(pickled) < 5000
    again = pickle.loads(pickled)
    assert (again.digest, len(again), again.components) == (digest, 3, ("prompt_embeds",))
    assert list(again.buckets) == list(data.buckets)
    assert all(same(item, other) for item, other in zip(again, data, strict=True))


def test_a_pickle_does_not_open_another_catalogue(own_store: Path) -> None:
    pickled = pickle.dumps(vp.LatentDataset(own_store))
    change_row(own_store, caption="another")
    with pytest.raises(StoreError, match="another one than when the dataset was opened"):
        pickle.loads(pickled)


def test_files_and_maps_are_few_with_ten_thousand_shards(own_store: Path, how: str) -> None:
    folder = own_store / "prompt_embeds" / "many"
    folder.mkdir()
    rows: list[dict[str, Any]] = []
    for number in range(10_000):
        raw = number.to_bytes(8, "little")
        (folder / f"{number}").write_bytes(raw)
        rows.append(place(f"prompt_embeds/many/{number}", 0, raw, "I64", [1]))

    def many(there: list[dict[str, Any]]) -> None:
        there[:] = [there[0] | row for row in rows]

    data = only_embeds(change_rows(own_store, many))
    files = len(os.listdir("/proc/self/fd"))
    items = [item["prompt_embeds"] for item in data]
    assert len(os.listdir("/proc/self/fd")) <= files
    assert torch.equal(torch.cat(items), torch.arange(10_000))
    del items
    assert len(shard_maps()) <= shard_reader._MAPPED_SHARDS
    del data
    gc.collect()
    assert not shard_maps()
    assert len(os.listdir("/proc/self/fd")) <= files


def test_no_more_bytes_stay_mapped_than_a_bound(
    own_store: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = [path.stat().st_size for path in own_store.rglob("*.safetensors")]
    bound = sum(shards) // 2
    monkeypatch.setattr(shard_reader, "_MAPPED_BYTES", bound)
    data = vp.LatentDataset(own_store)
    for number in (*range(len(data)), *range(len(data))):
        _ = data[number]
        kept = data._reader._shards.values()
        assert data._reader._bytes == sum(shard.size for shard in kept) <= bound
        assert 0 < len(kept) < len(shards)
    gc.collect()
    assert len(shard_maps()) == len(kept)


def test_a_shard_that_was_repaired_is_read_by_those_who_had_it_open(
    own_store: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_reader, "_SEEN_AGAIN", 0)  # looked at whenever it is read
    data = vp.LatentDataset(own_store, verify=True)
    expected = data[0]["video_latents"].clone()
    shard = own_store / str(
        pq.read_table(own_store / "catalogue.parquet")["video_latents_shard"][0]
    )
    whole = shard.read_bytes()
    os.truncate(shard, 4000)
    with pytest.raises(StoreError, match="too short"):
        data[0]
    (own_store / "new").write_bytes(whole)
    (own_store / "new").replace(shard)
    assert torch.equal(data[0]["video_latents"], expected)


def test_a_mapped_shard_that_was_removed_is_still_read(own_store: Path) -> None:
    data = vp.LatentDataset(own_store)
    expected = list(data)
    for shard in own_store.rglob("*.safetensors"):
        shard.unlink()
    assert all(same(item, other) for item, other in zip(data, expected, strict=True))
    with pytest.raises(StoreError, match="the shard is missing"):
        vp.LatentDataset(own_store)[0]


def test_a_process_forked_while_another_thread_reads(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store)
    data._reader._lock.acquire()  # as another thread would have it
    child = os.fork()
    if not child:
        signal.alarm(20)
        os._exit(0 if len([data[number] for number in range(len(data))]) == len(data) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_where_no_more_can_be_mapped_it_is_copied(
    demo_store: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(vp.LatentDataset(demo_store))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOMEM, "cannot be mapped")

    monkeypatch.setattr(shard_reader, "map_privately", fail)
    for item, other in zip(vp.LatentDataset(demo_store), expected, strict=True):
        assert same(item, other)


def test_a_script_ends_in_silence(demo_store: Path) -> None:
    """Its names are still there when Python takes the modules apart."""
    script = "import sys, videoprep; data = videoprep.LatentDataset(sys.argv[1]); clip = data[0]"
    done = subprocess.run(
        [sys.executable, "-c", script, demo_store], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_a_folder_cannot_be_mapped(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="cannot be mapped"):
        map_privately(descriptor, 1)
    os.close(descriptor)


# Choosing


def test_buckets_are_chosen(demo_store: Path) -> None:
    every = vp.LatentDataset(demo_store)
    for chosen in ("17x64x96", " 17 × 64 × 96 ", Bucket(17, 64, 96), [Bucket(17, 64, 96)]):
        data = vp.LatentDataset(demo_store, buckets=chosen)
        assert list(data.buckets) == [Bucket(17, 64, 96)] * 3
        assert data.digest != every.digest
        expected = [item for item in every if item["video_latents"].shape == (32, 5, 8, 12)]
        assert all(same(item, other) for item, other in zip(data, expected, strict=True))
    assert len(vp.LatentDataset(demo_store, buckets=["17x64x96", "9x64x96"])) == 6
    known = r"there are: 9×64×96, 17×64×64, 17×64×96, 17×96×64"
    for wrong, message in (
        ("49x480x720", f"there are no clips of 49×480×720; {known}"),
        ([], f"no buckets are chosen; {known}"),
        ("480x720", "'480x720' is no bucket"),
    ):
        with pytest.raises(StoreError, match=message):
            vp.LatentDataset(demo_store, buckets=wrong)


def test_components_are_chosen(demo_store: Path) -> None:
    data = vp.LatentDataset(demo_store, components=["prompt_embeds", "video_latents"])
    assert data.components == ("video_latents", "prompt_embeds")
    item = data[0]
    names = ["video_latents", "prompt_embeds", "caption", "caption_number", "metadata", "absent"]
    assert list(item) == names
    assert item["metadata"] == vp.LatentDataset(demo_store)[0]["metadata"]
    for wrong, message in (
        ("latents", "has no 'latents'; it has: video_latents, image_latents"),
        ([], "no components are chosen; the store has: video_latents"),
    ):
        with pytest.raises(StoreError, match=message):
            vp.LatentDataset(demo_store, components=wrong)


def test_a_component_that_the_store_lacks(own_store: Path) -> None:
    table = pq.read_table(own_store / "catalogue.parquet")
    columns = [name for name in table.column_names if name.startswith("image_latents")]
    pq.write_table(table.drop_columns(columns), own_store / "catalogue.parquet")
    assert vp.LatentDataset(own_store).components == ("video_latents", "prompt_embeds")
    with pytest.raises(StoreError, match="no 'image_latents'; it has: video_latents, prompt_em"):
        vp.LatentDataset(own_store, components="image_latents")


def test_incomplete_clips_are_counted_by_what_is_chosen(own_store: Path) -> None:
    def set_aside(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["split"] = "val" if row["line"] > 6 else "train"
        for name in ("shard", "offset", "bytes", "dtype", "shape", "xxh3"):
            rows[1][f"image_latents_{name}"] = rows[8][f"video_latents_{name}"] = None

    change_rows(own_store, set_aside)
    data = vp.LatentDataset(own_store)
    assert (len(data), data.incomplete, data.splits) == (10, 2, ("train", "val"))
    assert [item["metadata"]["line"] for item in data] == [1, 3, 4, 5, 6, 7, 8, 10, 11, 12]
    assert [item["metadata"]["frames"] for item in data] == [b.frames for b in data.buckets]
    embeds = only_embeds(own_store, split="val")
    assert (len(embeds), embeds.incomplete, embeds.splits) == (6, 0, ("val",))
    latents = vp.LatentDataset(own_store, split="val", components="video_latents")
    assert (len(latents), latents.incomplete) == (5, 1)
    assert len(latents.multiplicity) == 5
    with pytest.raises(StoreError, match="there is no split 'test'; there are: train, val"):
        vp.LatentDataset(own_store, split="test")
    with pytest.raises(StoreError, match="no clips of 17×96×64; there are: "):
        vp.LatentDataset(change_rows(own_store, drop_tall), split="val", buckets="17x96x64")


def drop_tall(rows: list[dict[str, Any]]) -> None:
    rows[:] = [row for row in rows if row["height"] != 96]


def test_row_groups_do_not_matter(own_store: Path) -> None:
    whole = vp.LatentDataset(own_store, buckets=["17x64x96", "17x96x64"])
    table = pq.read_table(own_store / "catalogue.parquet")
    pq.write_table(table, own_store / "catalogue.parquet", row_group_size=2, use_dictionary=False)
    parts = vp.LatentDataset(own_store, buckets=["17x64x96", "17x96x64"])
    assert (parts.digest, parts.splits) == (whole.digest, whole.splits)
    assert all(same(item, other) for item, other in zip(parts, whole, strict=True))


def test_a_store_whose_clips_all_lack_something(own_store: Path) -> None:
    def set_aside(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["image_latents_shard"] = None

    data = vp.LatentDataset(change_rows(own_store, set_aside))
    assert (len(data), data.incomplete, list(data.buckets), data.splits) == (0, 12, [], ())
    assert len(data.multiplicity) == 0
    assert data.digest
    with pytest.raises(IndexError):
        data[0]


# Damage


def test_no_store_and_half_a_store(own_store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        vp.LatentDataset(tmp_path)
    (own_store / "catalogue.parquet").unlink()
    with pytest.raises(StoreError, match="was not finished") as raised:
        vp.LatentDataset(own_store)
    assert "videoprep encode" in str(raised.value.remedy)


@pytest.mark.parametrize("data", [b"", b"PAR1" + b"\xff" * 100 + b"PAR1"])
def test_a_damaged_catalogue_is_named(own_store: Path, data: bytes) -> None:
    (own_store / "catalogue.parquet").write_bytes(data)
    with pytest.raises(StoreError, match="the catalogue cannot be read"):
        vp.LatentDataset(own_store)


def test_a_catalogue_cut_off_anywhere_is_named(own_store: Path) -> None:
    whole = (own_store / "catalogue.parquet").read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        (own_store / "catalogue.parquet").write_bytes(whole[:size])
        with pytest.raises(StoreError, match="catalogue"):
            vp.LatentDataset(own_store)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt_embeds_offset": None}, "has clips without prompt_embeds_offset"),
        ({"prompt_embeds_shape": None}, "has clips without prompt_embeds_shape"),
        ({"prompt_embeds_shape": [226, None]}, "a shape lacks a dimension"),
        ({"prompt_embeds_xxh3": None}, "has clips without prompt_embeds_xxh3"),
        ({"frame_indices": None}, "has clips without frame_indices"),
        ({"frames": None}, "has clips without frames"),
        ({"width": -5}, "has clips of impossible sizes"),
    ],
)
def test_a_catalogue_with_holes_is_damaged(
    own_store: Path, values: dict[str, Any], message: str
) -> None:
    change_row(own_store, **values)
    with pytest.raises(StoreError, match=message):
        only_embeds(own_store, verify=True)


def test_a_catalogue_without_columns_or_with_others_types(own_store: Path) -> None:
    table = pq.read_table(own_store / "catalogue.parquet")
    pq.write_table(table.drop_columns(["weight"]), own_store / "catalogue.parquet")
    with pytest.raises(StoreError, match="lacks the columns weight"):
        vp.LatentDataset(own_store)
    at = table.column_names.index("prompt_embeds_offset")
    text = table.set_column(at, "prompt_embeds_offset", pa.array(["here"] * 12))
    pq.write_table(text, own_store / "catalogue.parquet")
    with pytest.raises(StoreError, match="the catalogue cannot be read"):
        vp.LatentDataset(own_store)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt_embeds_shape": [226, 33]}, "contradicts itself"),
        ({"prompt_embeds_shape": [-226, -32]}, "contradicts itself"),
        ({"prompt_embeds_shape": [0, -1], "prompt_embeds_bytes": 0}, "contradicts itself"),
        ({"prompt_embeds_dtype": "BF16"}, "contradicts itself"),
        ({"prompt_embeds_bytes": 12}, "contradicts itself"),
        ({"prompt_embeds_offset": -8}, "contradicts itself"),
        ({"prompt_embeds_offset": 2**62}, "is too short"),
        ({"prompt_embeds_shape": [2**40], "prompt_embeds_bytes": 2**42}, "is too short"),
        ({"prompt_embeds_shard": "../x"}, "names a shard outside"),
        ({"prompt_embeds_shard": "/etc/passwd"}, "names a shard outside"),
        ({"prompt_embeds_shard": "prompt_embeds/../../x"}, "names a shard outside"),
        ({"prompt_embeds_shard": "prompt_embeds/\0"}, "names a shard outside"),
        ({"prompt_embeds_shard": ""}, "names a shard outside"),
        ({"prompt_embeds_shard": "prompt_embeds"}, "the shard"),
        ({"prompt_embeds_shard": "prompt_embeds/x"}, "the shard is missing"),
        ({"prompt_embeds_shard": "store.json/x"}, "the shard is missing"),
        ({"frame_indices": "1:2:3:4"}, "are no frame numbers"),
        ({"frame_indices": "many"}, "are no frame numbers"),
    ],
)
def test_a_catalogue_that_makes_no_sense(
    own_store: Path, how: str, values: dict[str, Any], message: str
) -> None:
    change_row(own_store, **values)
    data = only_embeds(own_store)
    assert data[1]["prompt_embeds"].shape == (226, 32)
    with pytest.raises(StoreError, match=message) as raised:
        data[0]
    assert f"`videoprep verify {own_store} --repair`" in str(raised.value)


@pytest.mark.parametrize("opened", [False, True])
def test_a_truncated_shard_is_named(
    own_store: Path, how: str, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_reader, "_SEEN_AGAIN", 0)  # looked at whenever it is read
    data = vp.LatentDataset(own_store)
    if opened:
        _ = data[0]
    for shard in (own_store / "video_latents").rglob("*.safetensors"):
        os.truncate(shard, 4000)
    with pytest.raises(StoreError, match="the shard cannot be read: it is too short") as raised:
        data[0]
    assert f"`videoprep verify {own_store} --repair`" in str(raised.value)


def test_a_shard_that_may_not_be_read_is_named(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = only_embeds(own_store)

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(StoreError, match=r"the shard cannot be read: .*Permission denied"):
        data[0]


def test_a_flipped_bit_is_found_when_asked_for(own_store: Path, how: str) -> None:
    row = pq.read_table(own_store / "catalogue.parquet").to_pylist()[0]
    shard = own_store / row["video_latents_shard"]
    raw = bytearray(shard.read_bytes())
    raw[row["video_latents_offset"] + 1000] ^= 4
    shard.write_bytes(raw)
    assert vp.LatentDataset(own_store)[0]["video_latents"].shape == (32, 5, 8, 12)
    with pytest.raises(StoreError, match="are not those written") as raised:
        vp.LatentDataset(own_store, verify=True)[0]
    for text in (str(shard), row["video_latents_key"], f"videoprep verify {own_store} --repair"):
        assert text in str(raised.value)
    assert only_embeds(own_store, verify=True)[0]["caption"]


# Elsewhere


def test_a_store_behind_a_url_reads_the_same(remote_store: str, demo_store: Path) -> None:
    here = vp.LatentDataset(demo_store)
    there = vp.LatentDataset(remote_store, verify=True)
    assert there.digest == here.digest
    assert all(same(item, other) for item, other in zip(there, here, strict=True))
    item = there[0]
    item["prompt_embeds"].fill_(7)
    assert same(there[0], here[0])
    assert same(pickle.loads(pickle.dumps(there))[1], here[1])


def test_forked_workers_read_behind_a_url(remote_store: str, demo_store: Path) -> None:
    data = vp.LatentDataset(remote_store)
    _ = data[0]
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="fork")
    for item, expected in zip(loader, vp.LatentDataset(demo_store), strict=True):
        assert same(item, expected)


def test_of_a_remote_shard_only_the_tensor_is_read(
    remote_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videoprep.fs.remote_files import RemoteFiles

    data = vp.LatentDataset(remote_store)
    sizes: list[int] = []
    read_range = RemoteFiles.read_range

    def watch(files: RemoteFiles, name: str, start: int, size: int) -> bytes:
        sizes.append(size)
        return read_range(files, name, start, size)

    monkeypatch.setattr(RemoteFiles, "read_range", watch)
    _ = data[0]
    assert sizes == [32 * 5 * 8 * 12 * 4, 32 * 8 * 12 * 4, 226 * 32 * 4]


def test_damage_behind_a_url_is_named(remote_store: str) -> None:
    data = vp.LatentDataset(remote_store, components="video_latents")
    files = fsspec.filesystem("memory")
    shards = files.glob("/latents/video_latents/*/*.safetensors")
    for shard in shards:
        files.pipe_file(shard, files.cat_file(shard)[:4000])
    with pytest.raises(StoreError, match="is too short") as raised:
        data[0]
    assert f"`videoprep verify {remote_store} --repair`" in str(raised.value)
    for shard in shards:
        files.rm_file(shard)
    with pytest.raises(StoreError, match="the shard is missing"):
        data[0]
    files.rm_file("/latents/catalogue.parquet")
    with pytest.raises(StoreError, match="was not finished"):
        vp.LatentDataset(remote_store)


# Notebooks


def test_it_shows_itself(demo_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(demo_store, tmp_path / "<b>latents")
    data = vp.LatentDataset(store, components="video_latents")
    assert repr(data) == f"LatentDataset({str(store)!r}: 12 clips in 4 buckets; video_latents)"
    page = data._repr_html_()
    assert "<b>latents" not in page
    assert "<td>17×64×96</td><td>3</td>" in page
