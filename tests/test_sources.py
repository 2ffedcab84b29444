"""One place decides what a source is, for all commands and functions."""

from __future__ import annotations

import ast
import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.support.package_source import nodes
from videoprep.encoding.options import (
    STATUS_OPTIONS,
    EncodeKeywords,
    EncodeOptions,
    StatusKeywords,
)
from videoprep.engine.execution import ExecutionKeywords, ExecutionOptions
from videoprep.errors import PlanError, SpecError
from videoprep.fs import open_files
from videoprep.options import bare
from videoprep.sources import kind_of, open_index
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.store.layout import CATALOGUE, INDEX, INFO


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with a dataset, its index and its store; do not change it."""
    from tests.encoding.test_encode import encode
    from tests.support.assets import write_dataset

    folder = tmp_path_factory.mktemp("sources")
    write_dataset(folder / "dataset")
    vp.BucketIndex.build(folder / "dataset", max_num_frames=4).save(folder / "plan.parquet")
    encode(folder / "dataset", tiny_model, folder / "store", max_num_frames=4)
    return folder


def test_the_contents_decide(made: Path, tmp_path: Path) -> None:
    """And no name."""
    plan = shutil.copy(made / "plan.parquet", tmp_path / "plan.pq")
    table = tmp_path / "videos.parquet"
    pq.write_table(pa.table({"video": ["a.mp4"], "caption": ["One."]}), table)
    (tmp_path / "dataset.parquet").mkdir()
    assert kind_of(made / "dataset") == kind_of(vp.DatasetSpec.from_path(made / "dataset"))
    assert kind_of(made / "dataset") == "dataset"
    assert kind_of(table) == kind_of(tmp_path / "dataset.parquet") == "dataset"
    assert kind_of(tmp_path / "nowhere") == kind_of(tmp_path / "nowhere.parquet") == "dataset"
    assert kind_of(plan) == kind_of(made / "plan.parquet") == "index"
    assert kind_of(vp.BucketIndex.load(plan)) == "index"
    assert kind_of(made / "store") == kind_of(str(made / "store")) == "store"
    assert kind_of(made / "store" / INDEX) == "index"
    damaged = shutil.copytree(made / "store", tmp_path / "store")
    (damaged / INFO).unlink()
    assert kind_of(damaged) == "store"
    (damaged / CATALOGUE).unlink()
    assert kind_of(damaged) == "dataset"


def test_all_of_them_have_the_same_plan(made: Path) -> None:
    plans = [
        open_index(made / "dataset", max_num_frames=4, default_profile="cogvideox"),
        open_index(made / "store"),
        open_index(made / "store" / INDEX),
    ]
    assert len({plan.digest for plan in plans}) == 1
    assert [plan.policy["profile"] for plan in plans] == ["cogvideox"] * 3
    assert open_index(made / "dataset").policy["profile"] == "default"
    named = vp.DatasetSpec.from_path(made / "dataset", profile="wan")
    assert open_index(named, default_profile="cogvideox").policy["profile"] == "wan"


@pytest.mark.parametrize("source", ["plan.parquet", "store"])
def test_options_of_a_finished_plan_are_refused(made: Path, tmp_path: Path, source: str) -> None:
    given = {"reshape": "pad", "target_fps": 4.0}
    calls: list[Callable[[], object]] = [
        lambda: open_index(made / source, **given),
        lambda: vp.preview(made / source, without_vae=True, **given),
        lambda: vp.report(made / source, tmp_path / "page.html", **given),
        lambda: vp.status(made / "store", made / source, **given),
        lambda: vp.encode(made / source, model=tmp_path, output=tmp_path / "out", **given),
    ]
    for call in calls[:4]:
        with pytest.raises(PlanError, match="which `reshape`, `target_fps` cannot") as raised:
            call()
        assert raised.value.option == "reshape"
        assert raised.value.where == str(made / source)


def test_a_moved_folder_of_a_finished_plan(made: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(made / "dataset", tmp_path / "moved")
    index = open_index(made / "plan.parquet", data_root=moved)
    assert index.data_root == moved
    (moved / "videos/a.mp4").unlink()
    with pytest.raises(PlanError, match=r"1 video is not as it was planned: videos/a\.mp4"):
        open_index(made / "plan.parquet", data_root=moved)
    assert len(open_index(made / "plan.parquet", data_root=moved, on_missing="skip")) == 2
    assert len(open_index(made / "plan.parquet", data_root=moved, check_videos=False)) == 3


def test_progress_is_that_of_planning(made: Path) -> None:
    told: list[tuple[int, int]] = []
    open_index(made / "dataset", on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)
    told.clear()
    open_index(made / "store", on_progress=lambda done, total: told.append((done, total)))
    assert not told


def test_a_store_and_an_index_behind_a_url(made: Path, s3: str) -> None:
    for name in ("store.json", "catalogue.parquet", "index.parquet"):
        open_files(f"{s3}/store").write_bytes(name, (made / "store" / name).read_bytes())
    assert kind_of(f"{s3}/store") == "store"
    assert kind_of(f"{s3}/store/index.parquet") == "index"
    assert kind_of(f"{s3}/nothing") == "dataset"
    assert open_index(f"{s3}/store").digest == open_index(made / "store").digest


def test_a_store_is_encoded_by_another_model(made: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Of a store its plan is taken: what is encoded again are the same clips."""
    from tests.encoding.test_encode import encode

    again = encode(made / "store", tiny_model, tmp_path / "again", posterior="mean")
    assert again.components["video_latents"].encoded == 3
    one, other = (vp.LatentDataset(folder) for folder in (made / "store", tmp_path / "again"))
    assert one.digest == other.digest


def test_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file or folder"):
        open_index(tmp_path / "plan.parquet")


def test_no_other_place_decides() -> None:
    """Whether a file is an index is asked in few places."""
    asking = {
        path
        for path, found in nodes().items()
        for node in found
        if isinstance(node, ast.Attribute) and node.attr == "is_index"
    }
    # The others ask whether a file may be replaced.
    assert asking <= {"sources.py", "cli/index.py"}


def test_the_library_never_calls_the_command_line() -> None:
    for path, found in nodes().items():
        if path.startswith("cli/") or path == "__main__.py":
            continue
        for node in found:
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("videoprep.cli"), path


def test_keywords_are_the_fields() -> None:
    """What an editor proposes is what the model takes."""
    own = get_type_hints(EncodeKeywords)
    fields = {name: field.annotation for name, field in EncodeOptions.model_fields.items()}
    assert own.keys() - get_type_hints(DatasetOptions).keys() == fields.keys()
    for name, annotation in fields.items():
        assert bare(own[name])[0] == bare(annotation)[0], name
    assert fields.keys() & get_type_hints(StatusKeywords).keys() == STATUS_OPTIONS
    assert not fields.keys() & DatasetSpec.model_fields.keys()
    for name, field in EncodeOptions.model_fields.items():
        assert field.description, name


def test_keywords_of_execution_are_the_fields() -> None:
    assert get_type_hints(ExecutionKeywords).keys() == ExecutionOptions.model_fields.keys()
    assert (
        not {*inspect.signature(vp.export_media).parameters} & ExecutionOptions.model_fields.keys()
    )


def test_encode_has_few_arguments_of_its_own() -> None:
    own = set(inspect.signature(vp.encode).parameters)
    assert not own & EncodeOptions.model_fields.keys()
    assert not own & DatasetSpec.model_fields.keys()
