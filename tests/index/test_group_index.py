"""The index of several datasets: rows, names, splits, shares, and what they share."""

from __future__ import annotations

import secrets
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.support.several_datasets import write_dataset, write_file, write_group
from videoprep.errors import PlanError, SpecError
from videoprep.fs.mirror import shown
from videoprep.fs.remote_files import RemoteFiles
from videoprep.index.group_index import part_of
from videoprep.index.sampler import BucketBatchSampler
from videoprep.index.shown import stretches
from videoprep.index.table import BucketIndex


def build(folder: Path, text: str | None = None) -> BucketIndex:
    """Plan the datasets of a file that is written into a folder."""
    file = write_group(folder) if text is None else write_file(folder, text)
    return BucketIndex.build(file)


def column(index: BucketIndex, name: str) -> list[object]:
    """A column of all rows."""
    values: list[object] = index.table[name].to_pylist()
    return values


def test_each_row_says_which_dataset_it_is_of(tmp_path: Path) -> None:
    index = build(tmp_path)
    assert column(index, "dataset") == ["people"] * 3 + ["places"] * 2
    assert column(index, "video")[::3] == ["people/00.mp4", "places/00.mp4"]
    assert column(index, "caption")[2:4] == ["SKS people 2", "places 0"]
    assert index.data_root == tmp_path.resolve()
    assert [clip.pixels.frames.path.is_file() for clip in index.clips()] == [True] * 5


def test_it_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    index = build(tmp_path / "data")
    index.save(tmp_path / "index.parquet")
    again = BucketIndex.load(tmp_path / "index.parquet")
    assert again.table.equals(index.table)
    assert again.policy == index.policy
    again.save(tmp_path / "again.parquet")
    names = ("index.parquet", "again.parquet")
    assert len({(tmp_path / name).read_bytes() for name in names}) == 1
    again.check_sources()


def test_clips_are_those_of_each_dataset_planned_alone(tmp_path: Path) -> None:
    both = build(tmp_path)
    for name in ("people", "places"):
        alone = BucketIndex.build(f"{tmp_path / 'videoprep.yaml'}#{name}")
        part = part_of(both, name)
        keys = ("video_key", "image_key", "prompt_key", "audio_key")
        assert all(column(part, key) == column(alone, key) for key in keys)
        assert part.policy == alone.policy


def test_each_dataset_is_planned_by_its_own_options(tmp_path: Path) -> None:
    write_group(tmp_path)
    index = build(
        tmp_path,
        """
        profile: cogvideox
        reshape: center-crop
        datasets:
          - path: people
            buckets: auto
          - path: places
            buckets: [5x32x32]
            clip_mode: chunk
        """,
    )
    sizes = Counter(zip(column(index, "dataset"), column(index, "frames"), strict=True))
    assert sizes == {("people", 9): 3, ("places", 5): 2}
    assert "clip_mode" not in index.policy
    assert [policy["clip_mode"] for policy in index.policy["of"]] == ["head", "chunk"]


def test_adding_a_dataset_changes_no_row_of_the_others(tmp_path: Path) -> None:
    one = build(tmp_path)
    write_dataset(tmp_path / "animals", 2, grey=200)
    text = (tmp_path / "videoprep.yaml").read_text()
    more = build(tmp_path, text + "  - path: animals\n")
    before = more.filter(dataset=["people", "places"])
    assert before.table.to_pylist() == one.table.to_pylist()
    assert more.diff(one).counts == {"added": 2}


def test_an_empty_dataset_is_named(tmp_path: Path) -> None:
    file = write_group(tmp_path)
    (tmp_path / "places" / "prompt.txt").write_text("")
    (tmp_path / "places" / "videos.txt").write_text("")
    with pytest.raises(SpecError, match="dataset 'places': the dataset is empty"):
        BucketIndex.build(file)


def test_a_missing_video_is_a_reason_and_no_error(tmp_path: Path) -> None:
    write_group(tmp_path)
    folder = tmp_path / "places"
    (folder / "list.csv").write_text("video,caption\n00.mp4,one\ngone.mp4,two\n")
    index = build(tmp_path, "datasets:\n  - people\n  - path: places/list.csv\n    name: places\n")
    assert [one.video for one in index.left_out][-1:] == ["places/gone.mp4"]
    assert column(index, "dataset").count("places") == 2


def test_repeats_of_a_dataset_multiply_those_of_its_samples(tmp_path: Path) -> None:
    write_group(tmp_path)
    (tmp_path / "places" / "list.csv").write_text("video,caption,repeats\n00.mp4,one,3\n")
    index = build(
        tmp_path,
        """
        reshape: center-crop
        datasets:
          - people
          - path: places/list.csv
            repeats: 2
        """,
    )
    assert index.multiplicity.tolist() == [1, 1, 1, 6]
    assert "dataset_weight" not in index.table.column_names


WEIGHTS = """
reshape: center-crop
datasets:
  - path: people
    weight: 1
  - path: places
    weight: 3
"""


def test_weights_are_shares_whatever_the_number_of_clips(tmp_path: Path) -> None:
    write_group(tmp_path)
    index = build(tmp_path, WEIGHTS)
    assert index.multiplicity.sum() == pytest.approx(5)  # an epoch is as long as without weights
    assert index.multiplicity[:3].sum() == pytest.approx(5 / 4)
    assert index.multiplicity[3:].sum() == pytest.approx(15 / 4)
    part = index.filter(video=["people/00.mp4", "places/00.mp4"])
    assert part.multiplicity.tolist() == pytest.approx([0.5, 1.5])  # also of what is left of them


def test_the_sampler_draws_datasets_by_their_shares(tmp_path: Path) -> None:
    write_group(tmp_path)
    index = build(tmp_path, WEIGHTS)
    sampler = BucketBatchSampler(index, batch_size=1)
    drawn = Counter(
        column(index, "dataset")[item] for _ in range(200) for batch in sampler for item in batch
    )
    assert drawn["places"] / drawn.total() == pytest.approx(0.75, abs=0.01)


ROLES = """
reshape: center-crop
datasets:
  - people
  - path: places
    role: validation
  - path: animals
    role: regularization
"""


@pytest.fixture
def roles(tmp_path: Path) -> BucketIndex:
    """An index with a dataset of each role."""
    write_group(tmp_path)
    write_dataset(tmp_path / "animals", 4, grey=200)
    return build(tmp_path, ROLES)


def test_what_a_dataset_is_for_is_its_split(roles: BucketIndex) -> None:
    splits = Counter(zip(column(roles, "dataset"), column(roles, "split"), strict=True))
    assert splits == {
        ("people", "train"): 3, ("places", "validation"): 2, ("animals", "regularization"): 4
    }  # fmt: skip


def test_held_out_clips_are_never_in_an_epoch(roles: BucketIndex) -> None:
    sampler = BucketBatchSampler(roles, batch_size=1)
    drawn = {item for _ in range(5) for batch in sampler for item in batch}
    assert drawn == {0, 1, 2}


def test_held_out_clips_are_drawn_if_they_alone_are_asked_for(roles: BucketIndex) -> None:
    for name, count in (("validation", 2), ("regularization", 4)):
        sampler = BucketBatchSampler(roles.of_split(name), batch_size=1)
        assert {item for batch in sampler for item in batch} == set(range(count))


def test_regularization_is_drawn_in_the_share_that_is_asked_for(roles: BucketIndex) -> None:
    sampler = BucketBatchSampler(roles, batch_size=1, regularization=0.5)
    drawn = Counter(item for _ in range(400) for batch in sampler for item in batch)
    of_people = sum(drawn[item] for item in range(3))
    prior = sum(drawn[item] for item in range(5, 9))
    assert of_people == 400 * 3
    assert prior == pytest.approx(400 * 1.5, rel=0.01)
    assert not any(drawn[item] for item in (3, 4))


def test_another_share_is_another_state(roles: BucketIndex) -> None:
    half = BucketBatchSampler(roles, batch_size=1, regularization=0.5)
    none = BucketBatchSampler(roles, batch_size=1)
    for one, other, saved, own in ((none, half, "0.5", "0"), (half, none, "0", "0.5")):
        expected = f"with regularization={saved}, this sampler has regularization={own}\n"
        with pytest.raises(PlanError, match=expected):
            one.load_state_dict(other.state_dict())
    BucketBatchSampler(roles, batch_size=1, regularization=0.5).load_state_dict(half.state_dict())


def test_other_weights_are_told_from_other_clips(roles: BucketIndex) -> None:
    state = BucketBatchSampler(roles, batch_size=1).state_dict()
    weights = pa.array([2.0, *[1.0] * (roles.table.num_rows - 1)])
    place = roles.table.column_names.index("weight")
    heavier = roles.table.set_column(place, roles.table.schema.field("weight"), weights)
    other = BucketIndex(heavier, roles.data_root, roles.policy)
    with pytest.raises(PlanError, match="other weights or repeats of clips or datasets"):
        BucketBatchSampler(other, batch_size=1).load_state_dict(state)
    fewer = BucketIndex(roles.table.slice(1), roles.data_root, roles.policy)
    plain = BucketBatchSampler(fewer.of_split("validation"), batch_size=1).state_dict()
    with pytest.raises(PlanError, match="It is of other clips"):
        BucketBatchSampler(roles.of_split("regularization"), batch_size=1).load_state_dict(plain)


def test_regularization_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    index = build(tmp_path)
    with pytest.raises(PlanError, match="no clips for regularization"):
        BucketBatchSampler(index, batch_size=1, regularization=1.0)
    with pytest.raises(PlanError, match="regularization is -1"):
        BucketBatchSampler(index, batch_size=1, regularization=-1)


def test_what_changed_is_told_by_what_a_dataset_says(tmp_path: Path) -> None:
    write_group(tmp_path)
    one = build(tmp_path, WEIGHTS)
    more = build(tmp_path, WEIGHTS.replace("weight: 3", "weight: 1"))
    assert more.diff(one).counts == {"weight": 2}
    renamed = build(tmp_path, WEIGHTS.replace("path: places", "path: places\n    name: sites"))
    assert renamed.diff(one).counts == {"dataset": 2}
    assert renamed.diff(one).to_encode == {
        "video_latents": 0,
        "image_latents": 0,
        "prompt_embeds": 0,
    }


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_no_plan_can_have_is_refused(tmp_path: Path, weight: float) -> None:
    write_group(tmp_path)
    index = build(tmp_path, WEIGHTS)
    at = index.table.schema.get_field_index("dataset_weight")
    spoiled = index.table.set_column(at, "dataset_weight", pa.array([weight] * 5))
    BucketIndex(spoiled, index.data_root, index.policy).save(tmp_path / "index.parquet")
    with pytest.raises(PlanError, match="its dataset_weight is out of bounds"):
        BucketIndex.load(tmp_path / "index.parquet")


def test_datasets_behind_a_url_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEOPREP_MIRRORS", str(tmp_path / "mirrors"))
    write_group(tmp_path / "data")
    (tmp_path / "data" / "places" / "list.csv").write_text("video,caption\n00.mp4,one\n")
    text = "reshape: center-crop\ndatasets:\n  - people\n  - places/list.csv\n"
    write_file(tmp_path / "data", text)
    url = f"memory://{secrets.token_hex(8)}/data"
    files = RemoteFiles(url)
    for path in sorted((tmp_path / "data").rglob("*")):
        if path.is_file():
            files.write_bytes(path.relative_to(tmp_path / "data").as_posix(), path.read_bytes())
    for location in (url, f"{url}/videoprep.yaml"):
        index = BucketIndex.build(location)
        assert shown(index.data_root) == url
        here = BucketIndex.build(tmp_path / "data")
        for name in ("dataset", "sample", "video", "video_key", "prompt_key"):
            assert column(index, name) == column(here, name)
    assert len(BucketIndex.build(f"{url}#people")) == 3
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    write_dataset(mixed / "animals", 1, grey=200)
    file = write_file(
        mixed, f"datasets:\n  - animals\n  - {{path: '{url}/people', name: people}}\n"
    )
    with pytest.raises(SpecError, match="behind a URL and on this machine, cannot be one"):
        BucketIndex.build(file)


def test_pixels_are_square_where_no_dataset_was_resized() -> None:
    boxes = {
        name: np.array([side, 64])
        for name, side in {"crop_width": 32, "crop_height": 64, "fit_width": 64}.items()
    } | {"fit_height": np.array([64, 64])}
    for ways, across in (
        (("none", "center-crop"), [2, 1]),
        (("pad", "pad"), [2, 1]),
        (("resize", "center-crop"), [1, 1]),
        (("none", "none"), [1, 1]),
    ):
        policy = {"profile": "default", "of": [{"reshape": way} for way in ways]}
        assert stretches(boxes, policy)[0].tolist() == across


def test_own_splits_stay_and_the_rest_is_trained_on(tmp_path: Path) -> None:
    write_group(tmp_path)
    (tmp_path / "people" / "list.csv").write_text(
        "video,caption,split\n00.mp4,a,train\n01.mp4,b,val\n02.mp4,c,\n"
    )
    text = "reshape: center-crop\ndatasets:\n  - path: people/list.csv\n  - places\n"
    assert column(build(tmp_path, text), "split") == ["train", "val", "train", "train", "train"]


def test_a_copy_in_another_dataset_goes_where_the_other_one_is(tmp_path: Path) -> None:
    write_group(tmp_path)
    (tmp_path / "people" / "list.csv").write_text(
        "video,caption,split\n00.mp4,a,train\n01.mp4,b,val\n"
    )
    shutil.copy(tmp_path / "people" / "01.mp4", tmp_path / "places" / "01.mp4")
    text = "reshape: center-crop\ndatasets:\n  - path: people/list.csv\n  - places\n"
    assert column(build(tmp_path, text), "split") == ["train", "val", "train", "val"]
    (tmp_path / "places" / "list.csv").write_text("video,caption,split\n01.mp4,a,train\n")
    text = text.replace("- places", "- path: places/list.csv")
    with pytest.raises(PlanError, match="the same video is in several splits"):
        build(tmp_path, text)


def test_a_video_for_validation_that_is_trained_on_is_refused(tmp_path: Path) -> None:
    write_group(tmp_path)
    shutil.copy(tmp_path / "people" / "01.mp4", tmp_path / "places" / "copy.mp4")
    (tmp_path / "places" / "copy.txt").write_text("words")
    text = "reshape: center-crop\ndatasets:\n  - people\n  - path: places\n    role: validation\n"
    with pytest.raises(PlanError, match="1 video for validation") as caught:
        build(tmp_path, text)
    assert "places/copy.mp4 of 'places' is people/01.mp4 of 'people'" in str(caught.value)


def test_datasets_that_share_a_folder_have_names_of_their_own(tmp_path: Path) -> None:
    write_group(tmp_path)
    text = """
        reshape: center-crop
        datasets:
          - path: people
          - path: people
            name: short
            buckets: [5x64x96]
        """
    index = build(tmp_path, text)
    samples = column(index, "sample")
    assert len(set(samples)) == 6
    assert samples[3:] == [f"{one}@{str(samples[3])[-8:]}" for one in samples[:3]]
    assert column(index, "frames") == [9, 9, 9, 5, 5, 5]
    index.save(tmp_path / "index.parquet")
    assert len(BucketIndex.load(tmp_path / "index.parquet")) == 6


def test_one_dataset_is_planned_to_the_same_bytes_as_before(tmp_path: Path) -> None:
    write_dataset(tmp_path / "people", 2, grey=40)
    index = BucketIndex.build(tmp_path / "people", reshape="center-crop")
    assert "dataset" not in index.table.column_names
    assert index.multiplicity.tolist() == [1, 1]
    assert not index.has_regularization


def test_a_million_rows_are_shared_out_at_once(tmp_path: Path) -> None:
    index = build(tmp_path, None)
    rows = np.zeros(1_000_000, np.int64)
    rows[500_000:] = 3
    large = BucketIndex(index.table.take(rows), index.data_root, index.policy)
    assert large.multiplicity.sum() == 1_000_000
