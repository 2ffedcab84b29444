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
        store.folder(recipe).mkdir(parents=True, exist_ok=True)
        (store.folder(recipe) / "unit.json").write_text("{}")


def test_a_recipe_without_receipts_binds_nobody(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.claim(_info())
    store.claim(_info("bfloat16"))
    assert store.read_info() == _info("bfloat16")


def test_a_new_store_and_its_rerun(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store")
    store.claim(_info())
    written = store.info_file.read_bytes()
    store.claim(_info())
    assert store.info_file.read_bytes() == written
    assert store.read_info() == _info()


def test_components_can_be_added(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.claim(_info())
    image = Recipe("image_latents", {"vae": "abc"})
    store.claim(_info(image_latents=image))
    _commit_something(store)
    store.claim(_info())
    assert set(store.read_info().recipes) == {"video_latents", "image_latents"}


def test_another_recipe_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.claim(_info())
    _commit_something(store)
    before = store.info_file.read_bytes()
    with pytest.raises(StoreError, match="dtype: 'float32' there, 'bfloat16' asked for"):
        store.claim(_info("bfloat16"))
    with pytest.raises(StoreError, match="family: 'cogvideox' there, 'wan' asked for"):
        store.claim(replace(_info(), family="wan"))
    assert store.info_file.read_bytes() == before


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="is no store"):
        Store(tmp_path).claim(_info())
    with pytest.raises(StoreError, match="is not a folder"):
        Store(tmp_path / "notes.txt").claim(_info())
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_damaged_missing_and_newer_stores(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=r"store\.json is missing"):
        store.read_info()
    store.info_file.write_text("{")
    with pytest.raises(StoreError, match=r"is no store\.json of videoprep"):
        store.read_info()
    store.info_file.write_text(json.dumps({"format_version": 99}))
    with pytest.raises(StoreError, match="has format 99"):
        store.read_info()
