"""Masks from a list to the store, computed a second way with loops over blocks and frames."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import videoprep as vp
from tests.support.assets import write_video
from tests.support.masks import Pictures, averaged, squares, write_mask
from tests.support.tiny_wan import build_wan
from videoprep.errors import PlanError
from videoprep.index.summary import summarize
from videoprep.previewing.panels import panels
from videoprep.store.recipe import Recipe

WIDTH, HEIGHT = 96, 64

GROUPS = {
    8: [[0, 1, 2, 3], [4, 5, 6, 7]],
    9: [[0], [1, 2, 3, 4], [5, 6, 7, 8]],
    13: [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]],
}


def write_list(folder: Path, rows: str, columns: str = "video,caption,mask") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "list.csv").write_text(f"{columns}\n{rows}")
    return folder


def encoded(data: Path, model: Path, store: Path, **options: Any) -> dict[str, Any]:
    """The items of the store, by caption."""
    result = vp.encode(
        data, model=model, output=store, reshape=options.pop("reshape", "resize"), dtype="fp32",
        **options,
    )  # fmt: skip
    assert result is not None
    assert result.ok
    return {item["caption"]: item for item in iter(vp.LatentDataset(store))}


def near(tensor: torch.Tensor, by_hand: np.ndarray[Any, Any]) -> bool:
    return tensor.shape == by_hand.shape and bool(np.abs(tensor.numpy() - by_hand).max() < 1e-6)


@pytest.fixture(params=["cogvideox", "wan"])
def model(request: pytest.FixtureRequest, tiny_model: Path, tmp_path: Path) -> Path:
    return tiny_model if request.param == "cogvideox" else build_wan(tmp_path / "model")


def test_a_moving_mask_is_averaged_as_latents_are(model: Path, tmp_path: Path) -> None:
    """By blocks of 8×8 pixels and the groups of frames that the VAE makes latents of."""
    counts = (9, 13) if model.name == "model" else (8, 9, 13)
    masks = {}
    for count in counts:
        write_video(tmp_path / f"data/{count}.mp4", frames=count, width=WIDTH, height=HEIGHT)
        masks[count] = squares(count, WIDTH, HEIGHT)
        write_mask(tmp_path / f"data/m{count}.mkv", masks[count], 8)
    rows = "".join(f"{count}.mp4,c{count},m{count}.mkv\n" for count in counts)
    data = write_list(tmp_path / "data", rows)
    items = encoded(data, model, tmp_path / "store", frame_buckets=counts)
    for count in counts:
        item = items[f"c{count}"]
        assert near(item["mask"], averaged(masks[count], GROUPS[count]))
        assert item["mask"].dtype == torch.float32
        assert item["mask"].shape[1:] == item["video_latents"].shape[1:]
    report = vp.verify(tmp_path / "store")
    assert report.ok


def nearest(instants: list[Fraction], frames: int, rate: int) -> list[int]:
    """The frames of a rate that are nearest in time; of two the earlier."""
    return [min(range(frames), key=lambda n: (abs(Fraction(n, rate) - t), n)) for t in instants]


def test_a_mask_has_the_instants_and_the_crop_of_its_clip(tmp_path: Path) -> None:
    """A video of 24 fps, planned at 16 and cut; its mask of half the size at 8 fps."""
    write_video(tmp_path / "data/a.mp4", frames=37, width=320, height=128, fps=24)
    mask = squares(13, 160, 64, step=7)
    write_mask(tmp_path / "data/m.mkv", mask, 8)
    data = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n")
    items = encoded(
        data, build_wan(tmp_path / "model"), tmp_path / "store", reshape="center-crop",
        target_fps=16, height_buckets=64, width_buckets=96, frame_buckets=13,
    )  # fmt: skip
    taken = nearest([Fraction(k, 16) for k in range(13)], 37, 24)
    assert items["one"]["metadata"]["frame_indices"] == taken
    own = nearest([Fraction(k, 24) for k in taken], 13, 8)
    assert own[:6] == [0, 0, 1, 1, 2, 2]
    by_hand = averaged(mask[own][:, :, 32 : 32 + 96], GROUPS[13])
    assert near(items["one"]["mask"], by_hand)


def test_a_still_is_the_mask_of_all_frames(tiny_model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    (picture,) = squares(1, WIDTH, HEIGHT)
    write_mask(tmp_path / "data/m.mkv", picture[None], 8)
    data = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n")
    items = encoded(data, tiny_model, tmp_path / "store")
    by_hand = averaged(np.stack([picture] * 9), GROUPS[9])
    assert near(items["one"]["mask"], by_hand)


def test_masks_are_told_apart_and_may_be_missing(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"data/{name}.mp4", frames=9, width=WIDTH, height=HEIGHT)
    face, hand = squares(9, WIDTH, HEIGHT), squares(9, WIDTH, HEIGHT, step=3)
    write_mask(tmp_path / "data/face.mkv", face, 8)
    write_mask(tmp_path / "data/hand.mkv", hand, 8)
    data = write_list(
        tmp_path / "data", "a.mp4,one,face.mkv,hand.mkv\nb.mp4,two,,\n",
        "video,caption,mask_face,mask_hand",
    )  # fmt: skip
    store = tmp_path / "store"
    items = encoded(data, tiny_model, store)
    assert near(items["one"]["mask_face"], averaged(face, GROUPS[9]))
    assert near(items["one"]["mask_hand"], averaged(hand, GROUPS[9]))
    assert not {"mask_face", "mask_hand"} & items["two"].keys()
    counts = vp.status(store, data, reshape="resize").components
    assert {name: one.to_do for name, one in counts.items()} == dict.fromkeys(counts, 0)
    assert counts["mask_face"].planned == 1


def test_a_mask_with_a_suffix_beside_one_without(tiny_model: Path, tmp_path: Path) -> None:
    """The columns of one begin with the name of the other."""
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    whole, face = squares(9, WIDTH, HEIGHT), squares(9, WIDTH, HEIGHT, step=2)
    write_mask(tmp_path / "data/m.mkv", whole, 8)
    write_mask(tmp_path / "data/f.mkv", face, 8)
    data = write_list(tmp_path / "data", "a.mp4,one,m.mkv,f.mkv\n", "video,caption,mask,mask_face")
    item = encoded(data, tiny_model, tmp_path / "store")["one"]
    assert near(item["mask"], averaged(whole, GROUPS[9]))
    assert near(item["mask_face"], averaged(face, GROUPS[9]))
    assert vp.verify(tmp_path / "store").ok


def transparent(pictures: Pictures) -> Pictures:
    """Colours that say nothing, and the mask in the alpha channel: ``[F, H, W, 4]``."""
    colours = np.full((*pictures.shape, 3), 90, np.uint8)
    return np.concatenate([colours, pictures[..., None]], axis=3)


@pytest.mark.parametrize("inverted", [False, True])
def test_the_alpha_channel_may_be_the_mask(
    inverted: bool, tiny_model: Path, tmp_path: Path
) -> None:
    write_video(tmp_path / "data/a.mp4", frames=8, width=WIDTH, height=HEIGHT)
    mask = squares(8, WIDTH, HEIGHT)
    write_mask(tmp_path / "data/m.mkv", transparent(mask), 8)
    data = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n")
    items = encoded(
        data, tiny_model, tmp_path / "store", mask_channel="alpha", invert_masks=inverted
    )
    assert near(items["one"]["mask"], averaged(255 - mask if inverted else mask, GROUPS[8]))


def test_a_mask_without_alpha_says_so(tiny_model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=8, width=WIDTH, height=HEIGHT)
    write_mask(tmp_path / "data/m.mkv", squares(8, WIDTH, HEIGHT), 8)
    data, store = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n"), tmp_path / "store"
    result = vp.encode(data, model=tiny_model, output=store, reshape="resize", mask_channel="alpha")
    assert result is not None
    assert not result.ok
    assert result.components["mask"].set_aside == 1
    assert "has no alpha channel" in (store / "failures.jsonl").read_text()


def test_what_is_padded_is_outside_of_the_mask(tiny_model: Path, tmp_path: Path) -> None:
    """Black bars are not trained on, whichever way round the mask is."""
    write_video(tmp_path / "data/a.mp4", frames=9, width=96, height=32)
    mask = squares(9, 96, 32)
    write_mask(tmp_path / "data/m.mkv", mask, 8)
    data = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n")
    items = encoded(
        data, tiny_model, tmp_path / "store", reshape="pad", height_buckets=64, width_buckets=96,
        invert_masks=True,
    )  # fmt: skip
    padded = np.zeros((9, 64, 96), np.uint8)
    padded[:, 16:48] = 255 - mask
    assert near(items["one"]["mask"], averaged(padded, GROUPS[9]))


def shards(store: Path) -> dict[str, int]:
    """When each file of tensors was written."""
    return {str(p): p.stat().st_mtime_ns for p in store.rglob("*.safetensors")}


def test_the_store_says_what_masks_mean_and_only_they_follow(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    mask = squares(9, WIDTH, HEIGHT)
    write_mask(tmp_path / "data/m.mkv", mask, 8)
    data, store = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n"), tmp_path / "store"
    encoded(data, tiny_model, store)
    recipe = vp.LatentDataset(store).info.recipes["mask"].fields
    assert recipe["mask_meaning"] == "loss"
    assert recipe["invert_masks"] is False
    assert recipe["mask_channel"] == "luma"
    assert recipe["pixels_a_side"] == 8
    assert recipe["frame_groups"] == {"4k": [4, 4], "4k+1": [1, 4, 4]}
    before = shards(store)

    with_loads: list[str] = []
    from videoprep.families.diffusers_family import DiffusersFamily

    monkeypatch.setattr(
        DiffusersFamily, "load_video_encoder", lambda *a, **k: with_loads.append("vae")
    )
    changed = vp.encode(
        data, model=tiny_model, output=store, reshape="resize", dtype="fp32",
        mask_meaning="inpaint", invert_masks=True,
    )  # fmt: skip
    assert changed is not None
    assert changed.ok
    assert {name: one.encoded for name, one in changed.components.items() if one.encoded} == {
        "mask": 1
    }
    assert not with_loads
    after = shards(store)
    assert {p: t for p, t in after.items() if p in before} == before
    (item,) = iter(vp.LatentDataset(store))
    assert near(item["mask"], averaged(255 - mask, GROUPS[9]))
    assert vp.LatentDataset(store).info.recipes["mask"].fields["mask_meaning"] == "inpaint"


def test_a_forgotten_option_is_told(tiny_model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    write_mask(tmp_path / "data/m.mkv", squares(9, WIDTH, HEIGHT), 8)
    data, store = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n"), tmp_path / "store"
    encoded(data, tiny_model, store, mask_meaning="inpaint")
    with pytest.raises(PlanError, match=r"mask_meaning.: 'inpaint' in the store, 'loss' now"):
        vp.encode(data, model=tiny_model, output=store, reshape="resize", dtype="fp32")
    told = vp.status(store, data, reshape="resize", invert_masks=True)
    assert {n: one.to_do for n, one in told.components.items() if one.to_do} == {"mask": 1}
    assert told.keep == {"mask_meaning": "inpaint"}


def test_another_meaning_encodes_nothing(tiny_model: Path, tmp_path: Path) -> None:
    """The masks are the same; a store of today has the recipe's id that it had before."""
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    write_mask(tmp_path / "data/m.mkv", squares(9, WIDTH, HEIGHT), 8)
    data, store = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n"), tmp_path / "store"
    encoded(data, tiny_model, store)
    before = shards(store)
    told = vp.status(store, data, reshape="resize", mask_meaning="inpaint")
    assert not any(one.to_do for one in told.components.values())
    changed = vp.encode(
        data, model=tiny_model, output=store, reshape="resize", dtype="fp32", mask_meaning="inpaint"
    )
    assert changed is not None
    assert (changed.ok, changed.encoded) == (True, 0)
    assert shards(store) == before
    stored = vp.LatentDataset(store)
    assert stored.info.recipes["mask"].fields["mask_meaning"] == "inpaint"
    assert not stored.info.earlier
    assert all("mask" in item for item in stored)
    assert vp.verify(store).ok


def test_the_id_of_a_recipe_with_the_usual_meaning_is_that_of_its_fields() -> None:
    fields = {"family": "wan", "mask_meaning": "loss", "invert_masks": False}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    usual = Recipe("mask", fields)
    assert usual.id == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert Recipe("mask", {**fields, "mask_meaning": "inpaint"}).id == usual.id
    assert Recipe("mask", {**fields, "invert_masks": True}).id != usual.id


def test_repair_makes_masks_as_they_were(tiny_model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    mask = squares(9, WIDTH, HEIGHT)
    write_mask(tmp_path / "data/m.mkv", mask, 8)
    data, store = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n"), tmp_path / "store"
    encoded(data, tiny_model, store, invert_masks=True, mask_meaning="inpaint")
    (shard,) = [p for p in store.rglob("*.safetensors") if "mask" in str(p.relative_to(store))]
    shard.unlink()
    assert not vp.verify(store).ok
    assert vp.verify(store, repair=True).ok
    (item,) = iter(vp.LatentDataset(store))
    assert near(item["mask"], averaged(255 - mask, GROUPS[9]))


@pytest.mark.parametrize("form", [".png", ".html", ".mp4"])
def test_a_preview_lays_the_mask_on_the_source(form: str, tiny_model: Path, tmp_path: Path) -> None:
    """As it was read: of a store with inverted masks, what was black is tinted."""
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    mask = squares(9, WIDTH, HEIGHT)
    write_mask(tmp_path / "data/m.mkv", mask, 8)
    data, store = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n"), tmp_path / "store"
    encoded(data, tiny_model, store, invert_masks=True)
    seen = vp.preview(store, model=tiny_model, output=tmp_path / f"seen{form}")
    (picture,) = seen.pictures
    *_, shown = panels(picture)
    assert shown.label == "mask"
    assert shown.frames is not None
    assert picture.source is not None
    changed = (shown.frames != picture.source).any(axis=3)
    assert (changed == (mask[list(picture.frames)] == 0)).all()


def test_a_plan_counts_masks(tmp_path: Path) -> None:
    """One float a latent: of 9 frames of 96×64 by CogVideoX 3×12×8."""
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    write_mask(tmp_path / "data/m.mkv", squares(9, WIDTH, HEIGHT), 8)
    data = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n")
    index = vp.BucketIndex.build(data, profile="cogvideox", reshape="resize")
    (one,) = [one for one in summarize(index).components if one.name == "mask"]
    latents = next(one for one in summarize(index).components if one.name == "video_latents")
    assert one.artifacts == 1
    assert one.bytes == latents.bytes // 32


def test_masks_are_exported_where_all_is(tiny_model: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=9, width=WIDTH, height=HEIGHT)
    write_mask(tmp_path / "data/m.mkv", squares(9, WIDTH, HEIGHT), 8)
    data, store = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n"), tmp_path / "store"
    encoded(data, tiny_model, store)
    whole = vp.export(store, to="webdataset", output=tmp_path / "whole")
    assert not [note for note in whole.notes if "mask" in note]
    lossy = vp.export(store, to="finetrainers", output=tmp_path / "lossy")
    assert [note for note in lossy.notes if note.startswith("mask not written")]


def test_a_mask_outside_of_the_crop_is_told(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_video(tmp_path / "data/a.mp4", frames=9, width=160, height=64)
    mask = squares(9, 160, 64, step=0)
    write_mask(tmp_path / "data/m.mkv", mask, 8)
    data = write_list(tmp_path / "data", "a.mp4,one,m.mkv\n")
    options = {"reshape": "center-crop", "height_buckets": 64, "width_buckets": 96}
    items = encoded(data, tiny_model, tmp_path / "store", **options)
    assert not items["one"]["mask"].any()
    assert "1 of 1 masks are 0 everywhere" in caplog.text
    assert "a.mp4" in caplog.text


def test_masks_that_do_not_fit_cost_their_own_sample(tiny_model: Path, tmp_path: Path) -> None:
    """One is square, and one lacks a frame: both are skipped by name, and the third goes on."""
    for name in ("a", "b", "c"):
        write_video(tmp_path / f"data/{name}.mp4", frames=9, width=WIDTH, height=HEIGHT)
    fits = squares(9, WIDTH, HEIGHT)
    write_mask(tmp_path / "data/square.mkv", squares(9, 64, 64), 8)
    write_mask(tmp_path / "data/short.mkv", fits[:8], 8)
    write_mask(tmp_path / "data/fits.mkv", fits, 8)
    rows = "a.mp4,one,square.mkv\nb.mp4,two,short.mkv\nc.mp4,three,fits.mkv\n"
    data, store = write_list(tmp_path / "data", rows), tmp_path / "store"
    vp.encode(data, model=tiny_model, output=store, reshape="resize", dtype="fp32")
    left_out = vp.BucketIndex.load(store / "index.parquet").left_out
    assert [(one.video, one.code) for one in left_out] == [("a.mp4", "VP316"), ("b.mp4", "VP315")]
    assert all("its mask" in one.reason for one in left_out)
    (item,) = iter(vp.LatentDataset(store))
    assert near(item["mask"], averaged(fits, GROUPS[9]))
