"""Verify names every file that is not as it was written, and repairs to the last bit."""

from __future__ import annotations

import json
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
import torch

import videoprep as vp
from tests.encoding.test_encode import contents, encode
from tests.support.assets import spoil_video, write_dataset, write_lists
from tests.support.plans import write_version_2
from videoprep.encoding import units
from videoprep.engine.claims import Claims
from videoprep.engine.sessions import Session
from videoprep.errors import ModelError, StoreError
from videoprep.fs import LocalFiles
from videoprep.store.layout import CATALOGUE, FAILURES, INDEX, INFO
from videoprep.store.receipt import UnitResult, commit_unit
from videoprep.store.verify_report import VerifyReport

SEED = 20261125
FLIPS = 4
DEAD = f"{socket.gethostname()}-4194304-00000000"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with ``dataset`` and ``whole``, a finished store of it in which a clip failed.

    Do not change it.
    """
    folder = tmp_path_factory.mktemp("verify")
    write_dataset(folder / "dataset")
    spoil_video(folder / "dataset/videos/b.mp4")
    encode(folder / "dataset", tiny_model, folder / "whole", image_latents=True)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A store to spoil."""
    return shutil.copytree(made / "whole", tmp_path / "store")


@pytest.fixture
def shared_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of several clips, though the dataset is small."""
    monkeypatch.setattr(units, "PARTS", 1)


def repair(store: Path | str, **options) -> VerifyReport:
    report = vp.verify(store, repair=True, device="cpu", progress="none", **options)
    assert report.repair is not None
    return report


def named(report: VerifyReport) -> list[str]:
    return [fault.name for fault in report.faults]


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def visible(store: Path) -> list[Path]:
    return [path for path in sorted(store.rglob("*")) if path.is_file()]


def receipts(store: Path, component: str) -> list[Path]:
    return sorted((store / component).rglob("*.json"))


def shard_of(receipt: Path) -> Path:
    return next(receipt.parent.glob(f"{receipt.stem}-*.safetensors"))


def test_a_whole_store_is_clean(made: Path) -> None:
    before = contents(made / "whole")
    checked: list[tuple[int, int]] = []
    report = vp.verify(made / "whole", on_checked=lambda *counts: checked.append(counts))
    assert report.ok
    assert (report.notes, report.earlier, report.at_work) == ((), (), ())
    counts = {n: (c.planned, c.sound, c.set_aside) for n, c in report.components.items()}
    assert counts == {
        "video_latents": (3, 2, 1),
        "image_latents": (3, 3, 0),
        "prompt_embeds": (3, 3, 0),
    }
    assert all(
        c.planned == c.sound + c.damaged + c.set_aside + c.missing
        for c in report.components.values()
    )
    assert checked[-1] == (report.units, report.units)
    assert contents(made / "whole") == before, "it only reads"
    json.dumps(report.to_json())


def test_one_flipped_bit_anywhere_is_named(store: Path) -> None:
    rng = random.Random(SEED)
    for path in visible(store):
        name, data = str(path.relative_to(store)), path.read_bytes()
        for bit in (0, len(data) * 8 - 1, *rng.sample(range(len(data) * 8), FLIPS)):
            flip(path, bit)
            assert named(vp.verify(store)) == [name], f"bit {bit} of {name}, seed {SEED}"
            path.write_bytes(data)
    assert vp.verify(store).ok


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _all_set_aside(path: Path, data: bytes) -> bool:
    """Whether this is the receipt of a unit that has no shard."""
    return path.suffix == ".json" and path.name != INFO and json.loads(data)["shard"] is None


@pytest.mark.parametrize(
    "spoil",
    [_half, lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"", lambda data: None],
    ids=["half", "one byte less", "one byte more", "empty", "gone"],
)
def test_every_file_that_is_cut_or_gone_is_named(
    store: Path, spoil: Callable[[bytes], bytes | None]
) -> None:
    for path in visible(store):
        name, data = str(path.relative_to(store)), path.read_bytes()
        spoiled = spoil(data)
        if spoiled is None:
            path.unlink()
        else:
            path.write_bytes(spoiled)
        report = vp.verify(store)
        if spoiled is None and _all_set_aside(path, data):
            name = f"{path.parent.relative_to(store)}/"  # no other file knows the unit's name
        if spoiled is None and path.parent.name == "empty_caption":
            assert report.ok, "stores that were made before it was are whole"
            path.write_bytes(data)
            continue
        assert named(report) == [name]
        if spoiled is None:
            assert report.faults[0].kind == "missing"
        path.write_bytes(data)


def test_damaged_artifacts_are_told_from_their_neighbours(
    dataset: Path, tmp_path: Path, tiny_model: Path, shared_units: None
) -> None:
    encode(dataset, tiny_model, tmp_path / "store")
    [receipt] = receipts(tmp_path / "store", "prompt_embeds")
    entries = json.loads(receipt.read_bytes())["tensors"]
    assert len(entries) == 3
    flip(shard_of(receipt), entries[1]["offset"] * 8)
    [fault] = vp.verify(tmp_path / "store").faults
    assert fault.what == "is not as it was written: 1 of 3 artifacts is damaged"
    rows = pq.read_table(tmp_path / "store" / INDEX).to_pylist()
    video = next(r["video"] for r in rows if r["prompt_key"] == entries[1]["key"])
    assert [clip.split(" ")[0] for clip in fault.clips] == [video]
    flip(shard_of(receipt), entries[2]["offset"] * 8)
    [fault] = vp.verify(tmp_path / "store").faults
    assert fault.what == "is not as it was written: 2 of 3 artifacts are damaged"


def _one_of_each(store: Path) -> Iterator[Path]:
    """A receipt and a shard of each component, the receipt that has a failure, the lists."""
    for component in ("video_latents", "image_latents", "prompt_embeds"):
        for receipt in receipts(store, component):
            if json.loads(receipt.read_bytes())["failures"]:
                yield receipt
        receipt = next(r for r in receipts(store, component) if json.loads(r.read_bytes())["shard"])
        yield from (receipt, shard_of(receipt))
    yield from (store / CATALOGUE, store / FAILURES)


def test_repair_gives_the_undisturbed_bytes(made: Path, store: Path) -> None:
    whole = contents(store)
    for path in _one_of_each(store):
        for spoil in (lambda p: flip(p, 801), Path.unlink, lambda p: p.write_bytes(b"")):
            data = path.read_bytes()
            spoil(path)
            name = str(path.relative_to(store))
            if not path.exists() and _all_set_aside(path, data):
                name = f"{path.parent.relative_to(store)}/"  # as above
            report = repair(store)
            assert report.ok, (path, report.faults)
            assert [fault.name for fault in report.repair.before] == [name]
            assert sum(report.repair.encoded.values()) <= 1, "this unit alone"
            assert not report.repair.left_alone
            assert contents(store) == whole, path


def test_repair_of_everything_at_once(store: Path) -> None:
    whole = contents(store)
    for path in store.rglob("*.safetensors"):
        flip(path, 999)
    shutil.rmtree(store / "image_latents")
    for receipt in receipts(store, "prompt_embeds")[:2]:
        receipt.unlink()
    (store / CATALOGUE).unlink()
    (store / FAILURES).write_bytes(b"{")
    report = repair(store)
    assert report.ok
    assert report.repair.encoded == {"video_latents": 2, "image_latents": 3, "prompt_embeds": 3}
    assert contents(store) == whole


def test_repair_of_shared_units(
    dataset: Path, tmp_path: Path, tiny_model: Path, shared_units: None
) -> None:
    store = tmp_path / "store"
    spoil_video(dataset / "videos/b.mp4")
    encode(dataset, tiny_model, store)
    encode(dataset, tiny_model, store, retry_failed=True)
    whole = contents(store)
    both = [r for r in receipts(store, "video_latents") if "9x64x96" in r.name]
    assert len(both) == 2, "one of two clips, and one of the failure that was tried again"
    for path in (*both, *(shard_of(r) for r in both if json.loads(r.read_bytes())["shard"])):
        flip(path, 404)
        report = repair(store)
        assert report.ok
        assert [fault.name for fault in report.repair.before] == [str(path.relative_to(store))]
        assert contents(store) == whole, path


def test_what_the_lists_do_not_know_yet_is_not_made_again(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    """A run that tried again what failed has made it, and was stopped before it came to its end."""
    store = tmp_path / "store"
    spoil_video(dataset / "videos/b.mp4")
    encode(dataset, tiny_model, store)
    encode(dataset, tiny_model, store, retry_failed=True)
    rows = pq.read_table(store / INDEX).to_pylist()
    key = next(row["video_key"] for row in rows if row["video"].endswith("b.mp4"))
    whole = next(r for r in receipts(store, "video_latents") if json.loads(r.read_bytes())["shard"])
    folder, made = str(whole.parent.relative_to(store)), UnitResult({key: torch.zeros(2, 2)})
    assert commit_unit(LocalFiles(store), folder, "9x64x96-0123456789abcdef", made)
    flip(shard_of(whole), 8000)
    report = repair(store)
    assert report.ok
    assert report.repair.encoded == {"video_latents": 1}
    assert report.components["video_latents"].sound == 3


def test_units_whose_clips_are_no_longer_planned(
    dataset: Path, tmp_path: Path, tiny_model: Path, shared_units: None
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    first = receipts(store, "prompt_embeds")
    write_lists(dataset, ["A grey clip named a.", "edited", "A grey clip named c."])
    encode(dataset, tiny_model, store)
    report = vp.verify(store)
    assert report.ok
    assert report.components["prompt_embeds"].orphans == 1
    assert report.components["prompt_embeds"].orphan_bytes > 0
    before = [item["prompt_embeds"] for item in vp.LatentDataset(store)]
    shard_of(first[0]).unlink()
    report = repair(store)
    assert report.ok
    assert report.repair.encoded == {"prompt_embeds": 2}, "what is planned, no more"
    after = [item["prompt_embeds"] for item in vp.LatentDataset(store)]
    assert all((a == b).all() for a, b in zip(after, before, strict=True))
    write_lists(dataset, ["one", "two", "three"])
    encode(dataset, tiny_model, store)
    orphan = receipts(store, "prompt_embeds")
    for receipt in orphan:
        if receipt not in first and len(json.loads(receipt.read_bytes())["tensors"]) < 3:
            flip(shard_of(receipt), 77)
    report = repair(store, model="nowhere")
    assert report.ok, "what nobody needs is removed, without a model"
    assert report.repair.encoded == {}
    assert len(report.repair.removed) == 4


@pytest.mark.parametrize("name", [INFO, INDEX])
@pytest.mark.parametrize("gone", [False, True], ids=["damaged", "gone"])
def test_what_only_encoding_can_write_is_written_by_it(
    made: Path, store: Path, tiny_model: Path, name: str, gone: bool
) -> None:
    whole = contents(store)
    if gone:
        (store / name).unlink()
    else:
        flip(store / name, 1234)
    spoiled = contents(store)
    report = repair(store)
    assert named(report) == [name]
    assert "run the same `videoprep encode PATH …` command" in report.faults[0].remedy
    assert contents(store) == spoiled, "nothing else is touched"
    if name == INFO and not gone:
        with pytest.raises(StoreError, match="delete this file"):
            _encode_again(made, store, tiny_model)
        assert report.faults[0].remedy.startswith("delete it")
        (store / name).unlink()
    _encode_again(made, store, tiny_model)
    assert contents(store) == whole


def _encode_again(made: Path, store: Path, model: Path) -> None:
    encode(made / "dataset", model, store, image_latents=True)


def test_a_plan_and_a_catalogue_of_two_runs(made: Path, store: Path, tiny_model: Path) -> None:
    whole = contents(store)
    other = vp.BucketIndex.load(store / INDEX).filter(line=[1, 3])
    other.save(store / INDEX)
    report = repair(store)
    assert named(report) == [INDEX, CATALOGUE]
    assert {fault.kind for fault in report.faults} == {"outdated"}
    _encode_again(made, store, tiny_model)
    assert contents(store) == whole


def test_sources_that_are_gone_are_named_and_nothing_is_deleted(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    whole = contents(store)
    by_bucket = {r.name.partition("-")[0]: r for r in receipts(store, "video_latents")}
    flip(shard_of(by_bucket["5x96x64"]), 8000)
    text = shard_of(receipts(store, "prompt_embeds")[0])
    flip(text, 8000)
    (dataset / "videos/c.mp4").rename(tmp_path / "c.mp4")
    spoiled = contents(store)
    report = repair(store)
    assert named(report) == [str(shard_of(by_bucket["5x96x64"]).relative_to(store))]
    [left] = report.repair.left_alone
    assert "videos/c.mp4: " in left
    expected = {**spoiled, str(text.relative_to(store)): whole[str(text.relative_to(store))]}
    assert contents(store) == expected
    dataset.rename(tmp_path / "moved")
    report = repair(store)
    assert "the folder of the videos is not there" in report.repair.left_alone[0]
    (tmp_path / "c.mp4").rename(tmp_path / "moved/videos/c.mp4")
    assert repair(store, data_root=tmp_path / "moved").ok
    assert contents(store) == whole


def test_another_model_repairs_nothing(store: Path, tmp_path: Path, tiny_model: Path) -> None:
    whole = contents(store)
    flip(shard_of(receipts(store, "prompt_embeds")[0]), 8000)
    spoiled = contents(store)
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "text_encoder/config.json").read_text())
    (model / "text_encoder/config.json").write_text(json.dumps({**config, "dropout_rate": 0.2}))
    with pytest.raises(StoreError, match="text_encoder: ") as caught:
        repair(store, model=model)
    assert "nothing was removed" in str(caught.value.remedy)
    with pytest.raises(ModelError, match="no such model folder"):
        repair(store, model=tmp_path / "nowhere")
    assert contents(store) == spoiled
    same = shutil.copytree(tiny_model, tmp_path / "same")
    assert repair(store, model=same).ok
    assert contents(store) == whole, "also what the store says of its model"


def test_what_a_living_process_has_in_hand_is_left_alone(store: Path) -> None:
    files = LocalFiles(store)
    held, free = receipts(store, "prompt_embeds")[:2]
    for receipt in (held, free):
        flip(shard_of(receipt), 8000)
    orphan = held.with_name(f"text-0000000000000000-{'0' * 16}.safetensors")
    orphan.write_bytes(b"half")
    with Session(files) as session:
        claims = Claims(files, session)
        folder = str(held.parent.relative_to(store))
        assert claims.take(folder, held.stem)
        report = repair(store)
        assert named(report) == [str(shard_of(held).relative_to(store))]
        assert [one.units for one in report.at_work] == [(f"{folder}/{held.stem}",)]
        said = " ".join(report.repair.left_alone)
        assert "has the unit in hand" in said
        assert "others are at work" in said
        assert orphan.exists()
        claims.release_all()
    report = repair(store)
    assert report.ok
    assert not orphan.exists()
    assert not report.notes


def test_what_does_not_belong(store: Path) -> None:
    whole = contents(store)
    folder = receipts(store, "prompt_embeds")[0].parent
    (store / "notes.txt").write_text("mine")
    (folder / "README").write_text("mine")
    (store / "more").mkdir()
    unknown = {name: data for name, data in contents(store).items() if name not in whole}
    orphan = folder / f"text-0000000000000000-{'0' * 16}.safetensors"
    orphan.write_bytes(b"orphaned")
    (store / ".sessions").mkdir()
    (store / f".sessions/{DEAD}.lock").touch()
    (store / f".jobs/{DEAD}").mkdir(parents=True)
    (store / f".jobs/{DEAD}/job.json").write_text("{}")
    (store / ".claims").mkdir()
    claim = {"name": "", "session": DEAD, "deaths": 1, "deadly": {}, "current": []}
    name = f"{folder.parent.name}-{folder.name}-text-0000000000000000.json"
    (store / ".claims" / name).write_text(json.dumps(claim))
    report = vp.verify(store)
    assert report.ok, "these do no harm"
    kinds = {note.name: note.kind for note in report.notes}
    assert kinds == {
        "notes.txt": "unknown",
        "more/": "unknown",
        str((folder / "README").relative_to(store)): "unknown",
        str(orphan.relative_to(store)): "orphaned",
        f".sessions/{DEAD}.lock": "leftover",
        f".jobs/{DEAD}/": "leftover",
        f".claims/{name}": "leftover",
    }
    report = repair(store)
    assert report.ok
    assert {note.kind for note in report.notes} == {"unknown"}
    assert contents(store) == {**whole, **unknown}


def test_artifacts_of_earlier_recipes_are_counted(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    old = receipts(store, "prompt_embeds")
    encode(dataset, tiny_model, store, dtype="bf16")
    report = vp.verify(store)
    assert report.ok
    [text] = [one for one in report.earlier if one.component == "prompt_embeds"]
    assert text.artifacts == 3
    assert text.bytes == sum(t["size"] for r in old for t in json.loads(r.read_bytes())["tensors"])
    assert "dtype: 'float32' there, 'bfloat16' asked for" in text.why
    flip(shard_of(old[0]), 8000)
    assert named(vp.verify(store)) == [str(shard_of(old[0]).relative_to(store))]
    report = repair(store)
    assert report.ok
    assert report.repair.encoded == {}
    assert not old[0].exists(), "damaged, it must not be taken up again"


def test_an_index_of_an_earlier_version(store: Path) -> None:
    """It is read, and the catalogue is written anew from it."""
    write_version_2(store / "index.parquet", store / "index.parquet")
    (store / "catalogue.parquet").unlink()
    assert named(vp.verify(store)) == ["catalogue.parquet"]
    report = repair(store)
    assert report.ok
    assert report.repair is not None
    assert report.repair.rewritten == ("catalogue.parquet",)


def test_a_catalogue_of_another_writer(store: Path) -> None:
    path = store / CATALOGUE
    data = path.read_bytes()
    writer = pq.read_metadata(path).created_by.encode()
    other = writer.replace(b"cpp", b"xyz")
    path.write_bytes(data.replace(writer, other))
    report = vp.verify(store)
    assert report.ok
    assert [note.kind for note in report.notes] == ["rewritten"]
    flip(path, data.index(writer) * 8)
    assert [note.kind for note in vp.verify(store).notes] == ["rewritten"]
    path.write_bytes(data)
    flip(path, data.index(writer) * 8)
    assert named(vp.verify(store)) == [CATALOGUE]
    table = pq.read_table(path)
    changed = table.set_column(3, table.schema.field(3), table["caption"].take([1, 0, 2]))
    pq.write_table(changed, path)
    [fault] = vp.verify(store).faults
    assert "2 of its rows are not what plan and receipts say, in caption" in fault.what
    pq.write_table(table.slice(1), path)
    [fault] = vp.verify(store).faults
    assert "it has 2 rows, and the plan 3 clips" in fault.what


def test_a_store_behind_a_url(made: Path, store: Path) -> None:
    url = f"memory://{store.name}-{SEED}"
    memory = fsspec.filesystem("memory")

    def put(folder: Path) -> None:
        for name, data in contents(folder).items():
            memory.pipe_file(f"/{store.name}-{SEED}/{name}", data)

    def there() -> dict[str, bytes]:
        prefix = f"/{store.name}-{SEED}/"
        return {path.removeprefix(prefix): memory.cat(path) for path in memory.find(prefix)}

    put(store)
    assert vp.verify(url).ok
    whole = there()
    path = shard_of(receipts(store, "image_latents")[0])
    flip(path, 8000)
    put(store)
    assert named(vp.verify(url)) == [str(path.relative_to(store))]
    report = repair(url)
    assert report.ok
    assert report.repair.encoded == {"image_latents": 1}
    assert there() == whole


def test_no_store(tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(StoreError, match="no store here"):
            repair(place)
    assert not (tmp_path / "nowhere").exists()


def test_damage_beside_other_damage_is_named_too(made: Path, store: Path) -> None:
    whole = contents(store)
    receipt = receipts(store, "prompt_embeds")[0]
    shard = shard_of(receipt)
    names = {str(path.relative_to(store)) for path in (receipt, shard)}
    flip(receipt, 2000)
    flip(shard, shard.stat().st_size * 8 - 99)
    flip(store / CATALOGUE, 99)
    assert CATALOGUE in named(vp.verify(store))
    (store / CATALOGUE).write_bytes(whole[CATALOGUE])
    assert set(named(vp.verify(store))) == names
    shard.unlink()
    assert set(named(vp.verify(store))) == names
    assert repair(store).ok
    assert contents(store) == whole
    receipt.unlink()
    data = bytearray(whole[CATALOGUE])
    data[data.index(b"parquet-cpp")] ^= 1
    (store / CATALOGUE).write_bytes(data)
    assert set(named(vp.verify(store))) == {str(receipt.relative_to(store)), CATALOGUE}
    assert repair(store).ok
    assert contents(store) == whole


def test_a_unit_is_found_again_by_the_name_of_its_shard(
    dataset: Path, tmp_path: Path, tiny_model: Path, shared_units: None
) -> None:
    store = tmp_path / "store"
    spoil_video(dataset / "videos/b.mp4")
    encode(dataset, tiny_model, store)
    encode(dataset, tiny_model, store, retry_failed=True)
    whole = contents(store)
    first = next(r for r in receipts(store, "video_latents") if json.loads(r.read_bytes())["shard"])
    first.unlink()
    (store / CATALOGUE).unlink()
    report = repair(store)
    assert report.ok
    assert contents(store) == whole


def test_a_store_that_was_not_finished_keeps_what_the_next_run_needs(store: Path) -> None:
    for name in (INDEX, CATALOGUE, FAILURES):
        (store / name).unlink()
    receipt = receipts(store, "prompt_embeds")[0]
    receipt.unlink()
    folder = receipt.parent
    claim = {"name": "", "session": DEAD, "deaths": 2, "deadly": {}, "current": []}
    path = store / ".claims" / f"{folder.parent.name}-{folder.name}-{receipt.stem}.json"
    path.parent.mkdir()
    path.write_text(json.dumps(claim))
    before = contents(store)
    report = repair(store)
    assert set(named(report)) == {INDEX, CATALOGUE, FAILURES}
    assert all(fault.remedy.startswith("run the same") for fault in report.faults)
    assert contents(store) == before, "how often others died at a unit is not forgotten"
