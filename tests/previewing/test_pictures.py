"""What is seen of clips, and what is said of those with which something is wrong."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import videoprep as vp
from tests.conftest import SHOWN
from tests.previewing.spoiled import latents_of, replace_latents
from tests.support.assets import write_lists, write_video
from videoprep.demo.tiny_model import trained_model
from videoprep.errors import PlanError, StoreError, VideoprepError
from videoprep.media.clip import load_clip, normalize
from videoprep.media.geometry import Box
from videoprep.previewing.clips import open_clips
from videoprep.previewing.panels import mark_crop
from videoprep.previewing.pictures import ClipPicture, Reconstruction
from videoprep.previewing.run import Preview


def kinds(seen: Preview) -> list[list[str]]:
    return [[fault.kind for fault in picture.measure.faults] for picture in seen.pictures]


def test_the_frames_that_were_encoded_beside_what_they_decode_to(shown_store: Path) -> None:
    """Against diffusers' own VAE, and the pixels that encoding takes."""
    from diffusers import AutoencoderKLCogVideoX

    vae = AutoencoderKLCogVideoX.from_pretrained(str(trained_model() / "vae"))
    seen = vp.preview(shown_store, device="cpu")
    assert seen.ok
    assert seen.clips == seen.measured == len(seen.pictures) == 4
    clips = vp.BucketIndex.load(shown_store / "index.parquet").clips()
    for picture, clip, item in zip(
        seen.pictures, clips, vp.LatentDataset(shown_store), strict=True
    ):
        pixels = load_clip(clip.pixels)
        with torch.no_grad():
            mean = item["video_latents"].chunk(2)[0][None]
            decoded = vae.decode(mean).sample.clamp(-1, 1)[0].permute(1, 0, 2, 3)
            first = vae.decode(item["image_latents"].chunk(2)[0][None]).sample.clamp(-1, 1)
        error = ((normalize(pixels) - decoded) ** 2).mean().item()
        of_image = ((normalize(pixels[0]) - first[0, :, 0]) ** 2).mean().item()
        measure = picture.measure
        assert measure.name == clip.video
        assert measure.psnr == pytest.approx(10 * math.log10(4 / error), abs=1e-3)
        assert measure.image_psnr == pytest.approx(10 * math.log10(4 / of_image), abs=1e-3)
        assert measure.psnr >= 20
        assert picture.frames[-1] == clip.bucket.frames - 1
        shown = list(picture.frames)
        assert picture.source is not None
        assert picture.decoded is not None
        assert np.array_equal(picture.source, pixels[shown].permute(0, 2, 3, 1).numpy())
        levels = (decoded[shown].permute(0, 2, 3, 1).numpy() + 1) * 127.5
        assert np.abs(picture.decoded - levels).max() <= 0.51
    values = [p.measure.psnr for p in seen.pictures if p.measure.psnr is not None]
    assert seen.median_psnr == pytest.approx(np.median(values))
    assert seen.worst is not None
    assert seen.worst.psnr == min(values)


def test_the_worst_of_all(own_store: Path) -> None:
    latents = latents_of(own_store)
    latents[3] *= 1.5
    replace_latents(own_store, {3: latents[3]})
    told: list[Reconstruction] = []
    seen = vp.preview(own_store, worst=True, clips=1, device="cpu", on_measured=told.append)
    assert [measure.number for measure in told] == [0, 1, 2, 3]
    assert seen.measured == 4
    assert [picture.measure.number for picture in seen.pictures] == [3]
    assert seen.worst is not None
    assert seen.worst.number == 3


def test_latents_that_are_not_finite(own_store: Path) -> None:
    latents = latents_of(own_store)
    latents[1][20, 0, 0, 0] = math.inf  # a log variance, which is not decoded
    replace_latents(own_store, {1: latents[1]})
    seen = vp.preview(own_store, videos=SHOWN[:2], device="cpu")
    assert kinds(seen) == [[], ["not finite"]]
    assert seen.failed
    assert seen.pictures[1].source is not None
    assert seen.pictures[1].decoded is None
    assert seen.pictures[1].measure.psnr is None


def test_latents_of_another_clip(own_store: Path) -> None:
    """Of the same bucket: all that tells is the picture."""
    one, _, _, other = latents_of(own_store)
    replace_latents(own_store, {0: other, 3: one})
    seen = vp.preview(own_store, device="cpu")
    assert kinds(seen) == [["low"], [], [], ["low"]]
    assert seen.faulty == 2
    assert seen.ok
    assert vp.preview(own_store, videos=SHOWN[:1], min_psnr=15, device="cpu").failed


def test_a_floor_that_is_asked_for(shown_store: Path) -> None:
    seen = vp.preview(shown_store, min_psnr=60, clips=1, device="cpu")
    assert seen.failed
    assert kinds(seen) == [["low"]]


def test_a_damaged_shard_costs_what_is_in_it(own_store: Path) -> None:
    clips = vp.LatentDataset(own_store)
    place = next(iter(clips._clips.places(2).values()))
    with (own_store / place.shard).open("r+b") as shard:
        shard.seek(place.offset + 8)
        shard.write(b"\xff")
    seen = vp.preview(own_store, videos=SHOWN[2:], device="cpu")
    assert kinds(seen) == [["damaged"], []]
    assert seen.failed
    assert "not those written" in seen.pictures[0].measure.faults[0].what


def test_latents_of_another_shape(own_store: Path) -> None:
    """A catalogue of a stranger, whose hashes fit."""
    path = own_store / "catalogue.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("video_latents_shape")
    shapes = table[at].to_pylist()
    shapes[0] = [shapes[0][0] * 2, shapes[0][1], shapes[0][2] // 2, shapes[0][3]]
    field = table.schema.field(at)
    pq.write_table(table.set_column(at, field, pa.array(shapes, field.type)), path)
    seen = vp.preview(own_store, videos=SHOWN[:1], device="cpu")
    assert kinds(seen) == [["damaged"]]
    assert "those of the clip [32, 3, 8, 12]" in seen.pictures[0].measure.faults[0].what


def test_videos_that_are_gone_or_changed(own_store: Path, own_videos: Path) -> None:
    (own_videos / "videos/00000.mp4").unlink()
    changed = own_videos / "videos/00001.mp4"
    data = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(data + b"\0")
    seen = vp.preview(own_store, videos=SHOWN[:3], data_root=own_videos, device="cpu")
    assert kinds(seen) == [["source"], ["source"], []]
    gone, other = seen.pictures[:2]
    assert "cannot be read" in gone.measure.faults[0].what
    assert "changed after it was planned" in other.measure.faults[0].what
    assert gone.source is None
    assert gone.decoded is not None
    assert gone.measure.psnr is None
    assert seen.failed
    assert seen.png().startswith(b"\x89PNG")
    without = vp.preview(own_store, data_root=own_videos, without_vae=True)
    assert kinds(without) == [["source"], ["source"], [], []]
    assert without.png().startswith(b"\x89PNG")


def test_the_crop_lies_where_the_plan_says(tmp_path: Path) -> None:
    """A video with a bright upper left quarter, of which the middle is cut."""
    write_video(tmp_path / "videos/a.mp4", width=128, height=64, frames=9)
    write_lists(tmp_path, ["a grey clip of two levels"], ["videos/a.mp4"])
    index = vp.BucketIndex.build(
        tmp_path, reshape="center-crop", height_buckets=(64,), width_buckets=(64,)
    )
    (picture,) = vp.preview(index).pictures
    assert picture.crop == Box(32, 0, 64, 64)
    assert picture.whole is not None
    assert picture.source is not None
    assert picture.whole.shape == (5, 64, 128, 3)
    assert np.array_equal(picture.source, picture.whole[:, :, 32:96])
    marked = mark_crop(picture.whole, picture.crop)
    assert (marked[:, :, 32] == (255, 214, 10)).all()
    assert (marked[:, :, 95] == (255, 214, 10)).all()
    assert (marked[:, 0, 32:96] == (255, 214, 10)).all()
    assert np.array_equal(marked[:, 1:-1, 33:95], picture.whole[:, 1:-1, 33:95])
    outside = np.delete(np.arange(128), np.arange(32, 96))
    assert (marked[:, :, outside] < picture.whole[:, :, outside]).all()


def test_a_large_video_is_shown_smaller_with_its_crop(tmp_path: Path) -> None:
    write_video(tmp_path / "videos/a.mp4", width=960, height=512, frames=5)
    write_lists(tmp_path, ["a grey clip of two levels"], ["videos/a.mp4"])
    index = vp.BucketIndex.build(
        tmp_path, reshape="center-crop", height_buckets=(64,), width_buckets=(96,)
    )
    (picture,) = vp.preview(index).pictures
    (clip,) = index.clips()
    assert clip.pixels.crop == Box(96, 0, 768, 512)
    assert picture.crop == Box(48, 0, 384, 256)
    assert picture.whole is not None
    assert picture.whole.shape == (5, 256, 480, 3)


def test_a_dataset_an_index_and_a_store_without_its_vae_show_the_same(
    shown_store: Path, demo_dataset: Path, tmp_path: Path
) -> None:
    index = vp.BucketIndex.load(shown_store / "index.parquet")
    index.save(tmp_path / "index.parquet")
    of_store = vp.preview(shown_store, without_vae=True)
    for source in (index, tmp_path / "index.parquet"):
        seen = vp.preview(source)
        assert seen.model is None
        assert seen.measured == 0
        for one, other in zip(seen.pictures, of_store.pictures, strict=True):
            assert one.measure.name == other.measure.name
            assert np.array_equal(_whole(one), _whole(other))
    assert vp.preview(demo_dataset, clips=2).clips == 12


def _whole(picture: ClipPicture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    assert picture.whole is not None
    return picture.whole


def test_certain_videos(shown_store: Path) -> None:
    wanted = ["videos/00008.mp4", "videos/00001.mp4"]
    seen = vp.preview(shown_store, videos=wanted, without_vae=True)
    assert [picture.measure.name for picture in seen.pictures] == sorted(wanted)
    with pytest.raises(PlanError, match=r"no clip of 'videos/1\.mp4'"):
        vp.preview(shown_store, videos=["videos/1.mp4"])


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"worst": True, "without_vae": True}, "no use in the worst"),
        ({"min_psnr": 20.0, "without_vae": True}, "no use in a PSNR"),
        ({"clips": 0}, "0 clips are none"),
        ({"worst": True, "videos": ["a"]}, "the worst of all clips and certain videos"),
        ({"output": "a.gif"}, "cannot write a preview as .gif"),
        ({"output": "nowhere/a.png"}, "there is no such folder"),
    ],
)
def test_wrong_wishes(shown_store: Path, wishes: dict[str, object], message: str) -> None:
    with pytest.raises(VideoprepError, match=message):
        vp.preview(shown_store, **wishes)  # type: ignore[arg-type]


def test_no_movie_among_the_videos(shown_store: Path, demo_dataset: Path) -> None:
    with pytest.raises(VideoprepError, match="among the dataset's videos"):
        vp.preview(shown_store, output=demo_dataset / "videos/00000.mp4")


def test_a_store_that_is_not_finished(own_store: Path) -> None:
    (own_store / "catalogue.parquet").unlink()
    with pytest.raises(StoreError, match="its encoding was not finished"):
        vp.preview(own_store)


def test_a_catalogue_of_another_plan(own_store: Path, demo_dataset: Path) -> None:
    others = vp.BucketIndex.build(demo_dataset).filter(video="videos/00005.mp4")
    others.save(own_store / "index.parquet")
    with pytest.raises(StoreError, match="not of one run"):
        vp.preview(own_store, device="cpu")


def test_videos_outside_of_the_root_are_not_opened(own_store: Path, own_videos: Path) -> None:
    inside = own_videos / "videos/00000.mp4"
    outside = own_videos.parent / "outside.mp4"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(PlanError, match="outside the data root"):
        vp.preview(own_store, data_root=own_videos)


def test_some_clips_of_an_index_without_the_rest(shown_store: Path) -> None:
    index = vp.BucketIndex.load(shown_store / "index.parquet")
    rows = index.table.select(["sample", "clip"]).to_pylist()
    wanted = [(row["sample"], row["clip"]) for row in (rows[1], rows[3])]
    found = [c for p in vp.BucketIndex.excerpts(shown_store / "index.parquet", wanted)
             for c in p.clips()]  # fmt: skip
    clips = list(index.clips())
    assert [clip.video_key for clip in found] == [clips[1].video_key, clips[3].video_key]
    assert not list(vp.BucketIndex.excerpts(shown_store / "index.parquet", [("none", 0)]))


def test_clips_of_a_store_are_numbered_as_its_dataset(shown_store: Path) -> None:
    clips, data = open_clips(shown_store), vp.LatentDataset(shown_store)
    for number, clip in clips.take(range(len(clips))):
        assert clip.video == data.row(number)["video"]
        latents = clips.latents(number)
        assert torch.equal(latents["video_latents"], data[number]["video_latents"])


def test_a_store_behind_a_url(s3: str, shown_store: Path, demo_dataset: Path) -> None:
    import fsspec

    fsspec.filesystem("s3").put(f"{shown_store}/", f"{s3}/store/", recursive=True)
    seen = vp.preview(f"{s3}/store", clips=1, data_root=demo_dataset, device="cpu")
    assert seen.ok
    assert seen.source == f"{s3}/store"
    assert seen.median_psnr is not None
    assert seen.median_psnr > 20


def test_videos_behind_a_url(s3: str, own_store: Path, own_videos: Path) -> None:
    import fsspec

    (own_videos / "videos/00001.mp4").unlink()
    fsspec.filesystem("s3").put(f"{own_videos}/", f"{s3}/data/", recursive=True)
    seen = vp.preview(own_store, data_root=f"{s3}/data", without_vae=True)
    assert kinds(seen) == [[], ["source"], [], []]
