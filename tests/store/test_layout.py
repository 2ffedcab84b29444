"""store.json says what a store is, and keeps other things out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from videoprep.errors import StoreError
from videoprep.store.layout import Store, StoreInfo
from videoprep.store.recipe import Recipe


def _info(dtype: str = "float32", **more) -> StoreInfo:
    recipe = Recipe("video_latents", {"vae": "abc", "dtype": dtype})
    return StoreInfo(
        "cogvideox", "tiny", None, {"scaling_factor": 0.7}, {"video_latents": recipe, **more}
    )


def _commit_something(store: Store) -> None:
    """A recipe binds a store only once something was made by it."""
    for recipe in store.read_info().recipes.values():
        store.files.write_bytes(f"{store.folder(recipe)}/unit.json", b"{}")


def test_a_recipe_without_receipts_binds_nobody(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.claim(_info())
    store.claim(_info("bfloat16"))
    assert store.read_info() == _info("bfloat16")


@pytest.mark.parametrize("where", ["deep/store", "memory://layout/store"])
def test_a_new_store_and_its_rerun(tmp_path: Path, where: str) -> None:
    store = Store.open(where if "://" in where else tmp_path / where)
    assert not store.exists()
    assert store.claim(_info()) == _info()
    written = store.files.read("store.json")
    store.claim(_info())
    assert store.files.read("store.json") == written
    assert store.read_info() == _info()


def test_components_can_be_added(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.claim(_info())
    image = Recipe("image_latents", {"vae": "abc"})
    store.claim(_info(image_latents=image))
    _commit_something(store)
    store.claim(_info())
    assert set(store.read_info().recipes) == {"video_latents", "image_latents"}


def test_another_recipe_takes_over_and_the_earlier_one_is_remembered(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.claim(_info())
    _commit_something(store)
    old, new = (info.recipes["video_latents"] for info in (_info(), _info("bfloat16")))
    assert store.claim(_info("bfloat16")).earlier == (old,)
    assert store.read_info().recipes["video_latents"] == new
    assert new.differences(old.fields) == ["dtype: 'float32' there, 'bfloat16' asked for"]
    _commit_something(store)
    assert store.claim(_info()).earlier == (new,), "it is taken up again"
    assert store.claim(_info()).earlier == (new,)


def test_a_store_is_for_one_family(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.claim(_info())
    _commit_something(store)
    before = store.files.read("store.json")
    with pytest.raises(
        StoreError,
        match=r"the family 'cogvideox', with the model tiny; tiny is of the family 'wan'",
    ):
        store.claim(replace(_info(), family="wan"))
    assert store.files.read("store.json") == before


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="it is not a store"):
        Store.open(tmp_path).claim(_info())
    with pytest.raises(StoreError, match="is not a folder"):
        Store.open(tmp_path / "notes.txt").claim(_info())
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_what_is_left_of_a_store_that_lost_its_info_is_taken_up(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.claim(_info())
    _commit_something(store)
    written = store.files.read("store.json")
    store.files.delete("store.json")
    store.claim(_info())
    assert store.files.read("store.json") == written


def test_damaged_missing_and_newer_stores(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with pytest.raises(StoreError, match=r"store\.json is missing"):
        store.read_info()
    for text, message in (
        ("{", r"is no store\.json of videoprep"),
        ("[]", r"is no store\.json of videoprep"),
        (json.dumps({"format_version": 99}), "has format 99"),
        (json.dumps({"format_version": 2}), "has format 2; this videoprep reads format 3"),
    ):
        store.files.write_bytes("store.json", text.encode())
        with pytest.raises(StoreError, match=message):
            store.read_info()


def test_one_changed_letter_is_noticed(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.claim(_info())
    changed = store.files.read("store.json").replace(b"float32", b"float16")
    store.files.write_bytes("store.json", changed)
    with pytest.raises(StoreError, match="its checksum does not fit"):
        store.read_info()
