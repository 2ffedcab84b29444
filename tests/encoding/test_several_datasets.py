"""Several datasets in one store: what is made of each, and that the others stay as they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.assets import write_video
from tests.support.several_datasets import TEXT, write_dataset, write_file, write_group
from videoprep.dataset_report.run import report
from videoprep.encoding.repair import verify
from videoprep.encoding.result import EncodeResult
from videoprep.encoding.run import encode
from videoprep.encoding.status import status
from videoprep.errors import PlanError
from videoprep.exporters.media.run import export_media
from videoprep.index.sampler import BucketBatchSampler
from videoprep.sources import dataset_behind
from videoprep.store.dataset import LatentDataset


def run(folder: Path, model: Path, **options: Any) -> EncodeResult:
    """Encode the datasets of a folder into the store beside it."""
    result = encode(folder, model=model, output=folder.parent / "store", progress="none", **options)
    assert result is not None
    return result


def artifacts(store: Path) -> dict[str, bytes]:
    """The bytes of all shards and receipts."""
    units = (path for path in store.rglob("*") if path.is_file() and path.parent != store)
    return {str(path.relative_to(store)): path.read_bytes() for path in units}


def test_adding_changing_and_removing_one_touches_nothing_of_the_others(
    tmp_path: Path, tiny_model: Path
) -> None:
    folder, store = tmp_path / "data", tmp_path / "store"
    write_group(folder)
    first = run(folder, tiny_model)
    assert (first.clips, first.complete, first.failed) == (5, 5, 0)
    before = artifacts(store)
    assert before

    write_dataset(folder / "animals", 2, grey=200)
    write_file(folder, TEXT + "  - path: animals\n")
    added = run(folder, tiny_model)
    assert {name: one.encoded for name, one in added.components.items()} == {
        "video_latents": 2, "prompt_embeds": 2
    }  # fmt: skip
    after = artifacts(store)
    assert {name: after[name] for name in before} == before

    write_file(folder, TEXT.replace("SKS", "TOK") + "  - path: animals\n")
    changed = run(folder, tiny_model)
    assert {name: one.encoded for name, one in changed.components.items()} == {
        "video_latents": 0, "prompt_embeds": 3
    }  # fmt: skip
    again = artifacts(store)
    assert {name: again[name] for name in after} == after

    write_file(folder, TEXT.replace("SKS", "TOK"))
    removed = run(folder, tiny_model)
    assert (removed.clips, removed.unlisted) == (5, 2)
    assert artifacts(store) == again
    assert verify(store).ok
    assert status(store, folder).ok


def test_another_option_of_one_dataset_is_asked_about_by_name(
    tmp_path: Path, tiny_model: Path
) -> None:
    folder = tmp_path / "data"
    write_group(folder)
    run(folder, tiny_model)
    write_file(folder, TEXT.replace("path: places", "path: places\n    max_num_frames: 5"))
    with pytest.raises(PlanError, match="`max_num_frames` of the dataset places") as caught:
        run(folder, tiny_model)
    assert "2 clips get other frames" in str(caught.value)
    found = status(tmp_path / "store", folder)
    assert [one.what for one in found.differences] == ["`max_num_frames` of the dataset places"]
    assert run(folder, tiny_model, yes=True).components["video_latents"].encoded == 2


def test_readers_know_the_dataset_of_each_clip(tmp_path: Path, tiny_model: Path) -> None:
    folder, store = tmp_path / "data", tmp_path / "store"
    write_group(folder)
    write_dataset(folder / "animals", 4, grey=200)
    roles = TEXT.replace("path: places", "path: places\n    role: validation")
    write_file(folder, roles + "  - {path: animals, role: regularization}\n")
    run(folder, tiny_model)
    data = LatentDataset(store)
    names = [data.row(number)["dataset"] for number in range(len(data))]
    assert names == ["people"] * 3 + ["places"] * 2 + ["animals"] * 4
    assert data[0]["metadata"]["dataset"] == "people"
    sampler = BucketBatchSampler(data, batch_size=1)
    assert {names[item] for batch in sampler for item in batch} == {"people"}
    both = LatentDataset(store, split=("train", "regularization"))
    assert len(both) == 7
    sampler = BucketBatchSampler(both, batch_size=1, regularization=1.0)
    drawn = [names[item] if item < 3 else "animals" for batch in sampler for item in batch]
    assert drawn.count("people") == 3
    assert drawn.count("animals") == pytest.approx(3, abs=1)
    held = LatentDataset(store, split="validation")
    assert len(held) == 2
    assert BucketBatchSampler(held, batch_size=2).steps == 1


def test_media_are_exported_without_what_is_held_out(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_group(folder)
    write_file(folder, TEXT + "    role: validation\n")
    result = export_media(folder, output=tmp_path / "media", progress="none")
    assert result is not None
    assert result.clips == 3
    assert result.notes[-1].startswith("2 clips are for validation or regularization")
    held = export_media(folder, output=tmp_path / "held", split="validation", progress="none")
    assert held is not None
    assert held.clips == 2


def test_the_report_says_why_a_leak_has_no_plan(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_group(folder)
    shutil.copy(folder / "people" / "00.mp4", folder / "places" / "copy.mp4")
    (folder / "places" / "copy.txt").write_text("a copy")
    write_file(folder, TEXT + "    role: validation\n")
    made = report(folder, tmp_path / "report.html")
    assert not made.ok
    page = (tmp_path / "report.html").read_text()
    assert "1 video for validation would be trained on, too" in page
    assert "VP145" in page


def test_latents_are_those_of_the_dataset_encoded_alone(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    file = write_group(folder)
    run(folder, tiny_model)
    encode(f"{file}#places", model=tiny_model, output=tmp_path / "alone", progress="none")
    both, alone = LatentDataset(tmp_path / "store"), LatentDataset(tmp_path / "alone")
    for number in range(len(alone)):
        for name in alone.components:
            assert torch.equal(alone[number][name], both[3 + number][name])


def test_counts_add_up_if_two_datasets_share_a_list(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    write_dataset(folder / "people", 2, grey=40)
    damaged = write_video(folder / "people" / "00.mp4")
    data = bytearray(damaged.read_bytes())
    data[data.index(b"mdat") + 800] ^= 16
    damaged.write_bytes(data)
    write_file(
        folder,
        """
        reshape: center-crop
        datasets:
          - path: people
          - {path: people, name: again, id_token: SKS}
        """,
    )
    result = run(folder, tiny_model)
    assert (result.clips, result.complete, result.failed) == (4, 2, 2)
    found = status(tmp_path / "store")
    assert [(one.clips, one.done, one.failed) for one in found.datasets] == [(2, 1, 1), (2, 1, 1)]


def test_the_command_that_follows_names_the_file(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    file = write_group(folder)
    run(folder, tiny_model)
    assert dataset_behind(tmp_path / "store") == (str(file.resolve()), {})
