"""What a store holds is encoded again only if that was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from typer.testing import CliRunner

import videoprep as vp
from tests.encoding.test_encode import contents, encode
from tests.support import tiny_wan
from tests.support.assets import write_lists, write_video
from videoprep.cli.app import app
from videoprep.encoding.replan import Replan
from videoprep.errors import PlanError
from videoprep.families.registry import families
from videoprep.store.layout import ACCEPTED, Store

Run = Callable[..., CompletedProcess[str]]

FITTED: dict[str, Any] = {
    "reshape": "center-crop", "buckets": ("4x64x64",), "clip_mode": "middle"
}  # fmt: skip


@pytest.fixture
def store(dataset: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """The dataset encoded with four options."""
    encode(dataset, tiny_model, tmp_path / "store", **FITTED, posterior="mean")
    return tmp_path / "store"


def test_options_that_are_forgotten_are_named(store: Path, dataset: Path, tiny_model: Path) -> None:
    before = contents(store)
    with pytest.raises(PlanError) as raised:
        encode(dataset, tiny_model, store)
    text = str(raised.value)
    assert "to keep what is encoded, give " in text
    for given in (
        *(
            "reshape='center-crop'",
            "buckets=('4x64x64',)",
            "clip_mode='middle'",
            "posterior='mean'",
        ),
    ):
        assert given in text
    assert "`clip_mode`: 'middle' in the store, not set now" in text
    assert "3 clips get other frames" in text
    assert "3 clips to encode again, about " in text, "the last run says how fast it was"
    assert "`yes=True`" in text
    assert contents(store) == before
    assert encode(dataset, tiny_model, store, **FITTED, posterior="mean").encoded == 0


def test_one_forgotten_option_is_one_too_many(store: Path, dataset: Path, tiny_model: Path) -> None:
    with pytest.raises(PlanError) as raised:
        encode(dataset, tiny_model, store, **{**FITTED, "clip_mode": None}, posterior="mean")
    assert raised.value.option == "clip_mode"
    assert "reshape" not in str(raised.value)


def test_what_is_asked_for_is_done(store: Path, dataset: Path, tiny_model: Path) -> None:
    other = {**FITTED, "clip_mode": "head", "buckets": ("1x64x64",)}
    done = encode(dataset, tiny_model, store, **other, posterior="moments")
    assert done.components["video_latents"].encoded == 3
    assert encode(dataset, tiny_model, store, **other).encoded == 0


def test_yes_is_enough(store: Path, dataset: Path, tiny_model: Path) -> None:
    assert encode(dataset, tiny_model, store, yes=True).components["video_latents"].encoded == 3


@pytest.mark.parametrize("answer", [True, False])
def test_whoever_can_answer_is_asked(
    store: Path, dataset: Path, tiny_model: Path, answer: bool
) -> None:
    asked: list[Replan] = []

    def ask(replan: Replan) -> bool:
        asked.append(replan)
        return answer

    options = {**FITTED, "clip_mode": "head", "buckets": ("1x64x64",)}
    if answer:
        encode(dataset, tiny_model, store, **options, posterior="mean", on_replan=ask)
    else:
        with pytest.raises(PlanError, match="would replace what the store holds"):
            encode(dataset, tiny_model, store, **options, posterior="mean", on_replan=ask)
    (replan,) = asked
    assert {one.option for one in replan.differences} == {"buckets", "clip_mode"}
    assert (replan.clips, replan.forgotten) == (3, ())


def test_jobs_of_an_array_are_never_asked(store: Path, dataset: Path, tiny_model: Path) -> None:
    def ask(replan: Replan) -> bool:
        raise AssertionError(replan)

    with pytest.raises(PlanError, match="would replace"):
        encode(dataset, tiny_model, store, num_jobs=2, job_id=1, on_replan=ask)
    encode(dataset, tiny_model, store, **FITTED, posterior="mean", num_jobs=2, on_replan=ask)


def test_a_dataset_that_changed_needs_no_word(store: Path, dataset: Path, tiny_model: Path) -> None:
    write_video(dataset / "videos/b.mp4", frames=9, lift=7)
    write_video(dataset / "videos/d.mp4", frames=9, lift=3)
    videos = [f"videos/{name}.mp4" for name in "abd"]
    write_lists(dataset, ["A grey clip named a.", "edited", "new"], videos)
    done = encode(dataset, tiny_model, store, **FITTED, posterior="mean")
    assert done.components["video_latents"].encoded == 2


def test_another_recipe_that_costs_nothing_needs_no_word(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """What was made before is taken up again."""
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    encode(dataset, tiny_model, store, posterior="mean")
    assert encode(dataset, tiny_model, store).encoded == 0


def test_more_clips_need_no_word(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    """A plan that keeps what is there, and adds to it."""
    store, options = tmp_path / "store", {"max_num_frames": 4, "clip_mode": "chunk"}
    encode(dataset, tiny_model, store, **options, clips_per_video=1)
    done = encode(dataset, tiny_model, store, **options)
    assert done.components["video_latents"].encoded > 0


def test_neighbours_that_change_the_buckets_do(tiny_model: Path, tmp_path: Path) -> None:
    """The options are the same, and the one bucket that is chosen is another."""
    folder, names = tmp_path / "dataset", ["a.mp4", "b.mp4"]
    options: dict[str, Any] = {"reshape": "center-crop", "buckets": "auto", "num_buckets": 1}
    for name in names:
        write_video(folder / name, width=160, height=96, frames=5)
    write_lists(folder, names, names)
    encode(folder, tiny_model, tmp_path / "store", **options)
    more = [f"{number}.mp4" for number in range(8)]
    for name in more:
        write_video(folder / name, width=96, height=96, frames=5)
    write_lists(folder, [*names, *more], [*names, *more])
    with pytest.raises(PlanError, match="the plan of videos that did not change") as raised:
        encode(folder, tiny_model, tmp_path / "store", **options)
    assert "2 clips get another crop or size" in str(raised.value)
    encode(folder, tiny_model, tmp_path / "store", **options, yes=True)
    assert encode(folder, tiny_model, tmp_path / "store", **options).encoded == 0


def test_fewer_clips_do(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    store, options = tmp_path / "store", {"max_num_frames": 4, "clip_mode": "chunk"}
    encode(dataset, tiny_model, store, **options)
    with pytest.raises(PlanError, match="clips are no longer planned"):
        encode(dataset, tiny_model, store, max_num_frames=4)


@pytest.fixture
def fitted(tiny_model: Path, tmp_path: Path) -> Path:
    """A folder with ``data``, of which one of two clips needs a crop, and its ``store``."""
    write_video(tmp_path / "data/a.mp4", width=96, height=64, frames=8)
    write_video(tmp_path / "data/b.mp4", width=106, height=70, frames=8)
    write_lists(tmp_path / "data", ["One.", "Two."], ["a.mp4", "b.mp4"])
    options = {"reshape": "center-crop", "frame_buckets": 4}
    encode(tmp_path / "data", tiny_model, tmp_path / "store", **options)
    return tmp_path


def test_clips_that_the_options_refuse_are_dropped_only_if_asked(
    fitted: Path, tiny_model: Path
) -> None:
    data, store = fitted / "data", fitted / "store"
    before = contents(store)
    with pytest.raises(PlanError) as raised:
        encode(data, tiny_model, store, frame_buckets=4)
    assert raised.value.exit_code == 2
    text = str(raised.value)
    assert "encoding would drop what the store holds" in text
    assert "1 clip is no longer planned" in text
    assert "give `reshape='center-crop'`; to drop these clips, give `yes=True`" in text
    with pytest.raises(PlanError, match=r"`frame_buckets=\(4,\)`"):
        encode(data, tiny_model, store, reshape="center-crop")
    assert contents(store) == before
    done = encode(data, tiny_model, store, reshape="none", frame_buckets=4)
    assert (done.encoded, done.clips, done.unlisted) == (0, 1, 1)


def test_a_file_that_broke_is_not_dropped_by_the_options(fitted: Path, tiny_model: Path) -> None:
    (fitted / "data/b.mp4").write_bytes(b"no video")
    done = encode(fitted / "data", tiny_model, fitted / "store", max_num_frames=4)
    assert (done.clips, [one.code for one in done.left_out]) == (1, ["VP103"])


def test_status_names_the_options_that_were_forgotten(fitted: Path) -> None:
    status = vp.status(fitted / "store", fitted / "data")
    assert status.keep == {"reshape": "center-crop", "frame_buckets": (4,)}
    assert {one.option for one in status.differences} == {"reshape", "frame_buckets"}
    done = CliRunner().invoke(app, ["status", str(fitted / "store"), str(fitted / "data")])
    assert done.exit_code == 1
    assert "differs --reshape: 'center-crop' in the store, 'none' now" in done.output
    (line,) = (one for one in done.output.splitlines() if one.startswith("next: "))
    assert line.startswith(f"next: videoprep encode {fitted / 'data'} ")
    assert "--reshape center-crop" in line
    assert "--frame-buckets 4" in line
    same = vp.status(fitted / "store", fitted / "data", **status.keep)
    assert (same.ok, same.differences, same.keep) == (True, (), {})


def test_a_store_of_the_default_profile_is_not_planned_again_without_a_word(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Since a model's own profile is that of a dataset that names none."""
    data, store = tmp_path / "data", tmp_path / "store"
    write_video(data / "a.mp4", width=112, height=80, frames=5)
    write_lists(data, ["One."], ["a.mp4"])
    fitted = {"reshape": "center-crop"}
    encode(data, tiny_model, store, **fitted, profile="default")
    with pytest.raises(PlanError, match="give `profile='default'`"):
        encode(data, tiny_model, store, **fitted)
    assert encode(data, tiny_model, store, **fitted, profile="default").encoded == 0


def test_a_run_that_was_stopped_is_compared_too(
    dataset: Path, tiny_model: Path, tmp_path: Path, run_cli: Run
) -> None:
    command = ["encode", dataset, "--model", tiny_model, "-o", tmp_path / "store"]
    command += ["--device", "cpu"]
    limit = ["--max-num-frames", "4"]
    killed = run_cli(*command, *limit, VIDEOPREP_FAILPOINTS="unit.committed=kill*3")
    assert killed.returncode == -9
    assert (tmp_path / "store" / ACCEPTED).exists()
    forgotten = run_cli(*command)
    assert forgotten.returncode == 2
    assert "give --max-num-frames 4; to encode it again, give --yes" in forgotten.stderr
    assert run_cli(*command, *limit).returncode == 0
    assert not (tmp_path / "store" / ACCEPTED).exists()


@pytest.mark.parametrize("location", ["store", "memory://replan/store"])
def test_another_job_ends_while_the_accepted_plan_is_read(
    dataset: Path, tmp_path: Path, location: str
) -> None:
    plan = vp.BucketIndex.build(dataset)
    store = Store.open(location if "://" in location else tmp_path / location)
    store.accept(plan)
    reads = 0

    def read(path: Path) -> vp.BucketIndex:
        nonlocal reads
        reads += 1
        if reads == 1:
            store.save_index(plan)
            path.unlink(missing_ok=True)  # a copy of a file that lies elsewhere
        return vp.BucketIndex.load(path)

    found = store.read_accepted(read)
    assert found is not None
    assert found.table.equals(plan.table)
    assert reads == 2


def test_a_damaged_accepted_plan_is_not_passed_over(dataset: Path, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    store.save_index(vp.BucketIndex.build(dataset))
    store.files.write_bytes(ACCEPTED, b"PAR1")
    with pytest.raises(PlanError):
        store.read_accepted(vp.BucketIndex.load)
    assert Store.open(tmp_path / "none").read_accepted(vp.BucketIndex.load) is None


def test_a_plan_for_another_family_is_refused(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    families_of = {name: family for name, family in families().items() if name != "cogvideox"}
    assert families_of
    for name in families_of:
        with pytest.raises(PlanError, match=f"for the profile '{name}'.*family 'cogvideox'"):
            encode(dataset, tiny_model, tmp_path / "store", profile=name)
    index = vp.BucketIndex.build(dataset, profile="wan")
    index.save(tmp_path / "plan.parquet")
    for source in (index, tmp_path / "plan.parquet", vp.DatasetSpec.of(dataset, profile="wan")):
        with pytest.raises(PlanError, match="plan again with `profile='cogvideox'`"):
            encode(source, tiny_model, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_plan_of_the_default_profile_is_taken(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    index = vp.BucketIndex.build(dataset)
    assert index.policy["profile"] == "default"
    assert encode(index, tiny_model, tmp_path / "store").ok


def test_the_profile_is_that_of_the_model(tmp_path: Path) -> None:
    model = tiny_wan.build_wan(tmp_path / "model")
    write_video(tmp_path / "data/a.mp4", width=112, height=80, frames=8, fps=16)
    write_lists(tmp_path / "data", ["One."], ["a.mp4"])
    encode(tmp_path / "data", model, tmp_path / "store", reshape="center-crop")
    index = Store.open(tmp_path / "store").load_index()
    assert index.policy["profile"] == "wan"
    assert [str(bucket) for bucket in index.buckets.counts()] == ["5×80×112"]
    assert vp.status(tmp_path / "store", tmp_path / "data", reshape="center-crop").ok
    (tmp_path / "data/videoprep.yaml").write_text("profile: default\nreshape: center-crop\n")
    with pytest.raises(PlanError, match="cannot encode the buckets 8×64×96"):
        encode(tmp_path / "data", model, tmp_path / "other")


def test_a_single_file_is_not_a_model(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    weights = tiny_model / "vae/diffusion_pytorch_model.safetensors"
    alone = shutil.copy(weights, tmp_path / "wan2.2_vae.safetensors")
    with pytest.raises(vp.ModelError, match="is a single file, not a model folder") as raised:
        encode(dataset, Path(alone), tmp_path / "store")
    assert "did you mean" not in str(raised.value)
    with pytest.raises(vp.ModelError, match=f"give the folder of the whole model.*{tiny_model}"):
        encode(dataset, weights, tmp_path / "store")


@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 0)])
def test_in_a_terminal_it_asks(
    dataset: Path, tiny_model: Path, tmp_path: Path, answer: str, code: int
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store, max_num_frames=4)
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())
    command = ["-m", "videoprep", "encode", dataset, "-o", store, "--model", tiny_model]
    done = subprocess.run(
        [sys.executable, *map(str, command), "--device", "cpu"],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "--max-num-frames: 4 in the store, not set now" in done.stderr
    assert "Encode it again? [y/N]" in done.stderr


def test_an_index_saved_before_the_stores_plan(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """It lacks a clip that was listed since, and has a caption that was edited since."""
    older, store = tmp_path / "older.parquet", tmp_path / "store"
    vp.BucketIndex.build(dataset).save(older)
    os.utime(older, (1, 1))
    assert encode(older, tiny_model, store).ok
    write_video(dataset / "videos/d.mp4", frames=9, lift=3)
    videos = [f"videos/{name}.mp4" for name in "abcd"]
    write_lists(dataset, ["edited", *(f"clip {name}" for name in "bcd")], videos)
    assert encode(dataset, tiny_model, store).ok
    before = contents(store)
    with pytest.raises(PlanError, match="would go back to an earlier plan") as raised:
        encode(older, tiny_model, store)
    assert "1 clip is no longer planned, 3 clips get an earlier caption back" in str(raised.value)
    assert contents(store) == before
    status = vp.status(store, older)
    told = [str(one) for one in status.differences]
    assert "the plan: 'a newer one' in the store, 'an index saved before it' now" in told
    newer = tmp_path / "newer.parquet"
    vp.BucketIndex.build(vp.DatasetSpec.of(dataset)).save(newer)
    assert not vp.status(store, newer).differences
    assert encode(newer, tiny_model, store).encoded == 0
    assert encode(older, tiny_model, store, yes=True).clips == 3


def test_an_index_saved_since_may_drop_clips(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    store, newer = tmp_path / "store", tmp_path / "newer.parquet"
    encode(dataset, tiny_model, store)
    write_lists(dataset, ["edited", "clip b"], ["videos/a.mp4", "videos/b.mp4"])
    vp.BucketIndex.build(dataset).save(newer)
    os.utime(newer, (2**32, 2**32))
    assert encode(newer, tiny_model, store).clips == 2


def test_what_to_keep_is_one_command_line(
    store: Path, dataset: Path, tiny_model: Path, run_cli: Run
) -> None:
    done = run_cli("encode", dataset, "-o", store, "--model", tiny_model)
    assert done.returncode == 2
    given = "--reshape center-crop --buckets 4x64x64 --clip-mode middle --posterior mean"
    assert all(word in done.stderr for word in given.split())
    kept = done.stderr.partition("to keep what is encoded, give ")[2].partition(";")[0]
    again = run_cli("encode", dataset, "-o", store, "--model", tiny_model, *kept.split())
    assert again.returncode == 0, again.stderr
