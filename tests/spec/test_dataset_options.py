"""The options of a dataset as arguments: the same as the fields, and who is blamed for a slip."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

import videoprep as vp
from tests.support.assets import write_dataset
from videoprep.errors import SpecError
from videoprep.options import bare
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions

Shape = frozenset[Any]


def _shape(annotation: Any) -> Shape:
    """A type without its constraints, as a set of the members of its union."""
    kind, _ = bare(annotation)
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return frozenset().union(*map(_shape, args))
    if origin is Literal:
        return frozenset(args)
    if kind is Path or origin is os.PathLike:
        return frozenset({str, os.PathLike})
    if kind is NoneType:
        return frozenset()
    if origin in (tuple, Sequence) and (origin is Sequence or args[1:] == (...,)):
        return frozenset({("list of", _shape(args[0]))})
    if origin in (dict, Mapping):
        return frozenset({("by name", _shape(args[1]))})
    return frozenset({kind})


def test_the_arguments_are_the_fields() -> None:
    assert set(DatasetOptions.__annotations__) == set(DatasetSpec.model_fields)


NUMBERS = ("height_buckets", "width_buckets", "frame_buckets")


@pytest.mark.parametrize("name", sorted(set(DatasetSpec.model_fields) - {"buckets", *NUMBERS}))
def test_an_argument_has_the_type_of_its_field(name: str) -> None:
    field = _shape(DatasetSpec.model_fields[name].annotation)
    assert _shape(get_type_hints(DatasetOptions)[name]) == field


def test_buckets_are_taken_in_every_form_that_the_argument_has() -> None:
    forms: list[Any] = ["49x480x832", ["49x480x832"], [(49, 480, 832)], ("49×480×832",)]
    for form in forms:
        assert DatasetSpec(data_root=".", buckets=form).buckets == ("49x480x832",)
    assert DatasetSpec(data_root=".", buckets="auto").buckets == "auto"


@pytest.mark.parametrize("name", NUMBERS)
def test_a_single_number_is_a_list_of_one(name: str, tmp_path: Path) -> None:
    assert getattr(DatasetSpec(data_root=".", **{name: 32}), name) == (32,)
    write_dataset(tmp_path)
    (tmp_path / "videoprep.yaml").write_text(f"{name}: 32\n")
    assert getattr(DatasetSpec.from_path(tmp_path), name) == (32,)
    said = _refused(lambda: DatasetSpec.from_path(tmp_path, **{name: -1}))
    assert "got -1" in str(said)


def test_a_profile_is_blamed_on_the_file_that_names_it(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    file = tmp_path / "videoprep.yaml"
    file.write_text("profile: wann\n")
    for source in (tmp_path, DatasetSpec.from_path(tmp_path), DatasetSpec.of(tmp_path)):
        for call in (vp.BucketIndex.build, vp.validate):
            error = _refused(lambda call=call, source=source: call(source))
            assert (error.where, error.option) == (str(file), None)
            error = _refused(lambda call=call, source=source: call(source, profile="wam"))
            assert (error.where, error.option) == (None, "profile")


def _refused(call: Any) -> SpecError:
    with pytest.raises(SpecError) as raised:
        call()
    return raised.value


def test_an_argument_that_is_misspelt_is_blamed_itself(dataset: Path) -> None:
    (dataset / "videoprep.yaml").write_text("reshape: center-crop\n")
    options: dict[str, Any] = {"reshap": "none"}
    calls = (
        lambda: vp.validate(dataset, **options),
        lambda: vp.BucketIndex.build(dataset, **options),
        lambda: vp.validate("no such folder", **options),
        lambda: DatasetSpec.of(DatasetSpec(data_root=dataset), **options),
    )
    for call in calls:
        error = _refused(call)
        assert (error.message, error.where) == ("unknown option `reshap`", None)
        assert (error.remedy, error.option) == ("did you mean `reshape`?", "reshap")


def test_a_wrong_value_is_blamed_on_the_argument_or_on_the_file(dataset: Path) -> None:
    file = dataset / "videoprep.yaml"
    file.write_text("crop_seed: -1\n")
    error = _refused(lambda: DatasetSpec.from_path(dataset))
    assert (error.where, error.option) == (str(file), None)
    assert error.message == "'crop_seed': expected a whole number of 0 or more, got -1"
    error = _refused(lambda: DatasetSpec.from_path(dataset, num_buckets=0))
    assert (error.where, error.option) == (None, "num_buckets")
    assert error.message == "`num_buckets`: expected a whole number of 1 or more, got 0"
    assert DatasetSpec.from_path(dataset, crop_seed=2).crop_seed == 2


def test_a_wrong_key_is_blamed_on_the_file(dataset: Path) -> None:
    file = dataset / "videoprep.yaml"
    file.write_text("resolution: 832x480\n")
    error = _refused(lambda: DatasetSpec.from_path(dataset, reshape="center-crop"))
    assert (error.message, error.where) == ("unknown option 'resolution'", str(file))
    assert (error.remedy, error.option) == ("did you mean 'buckets'?", None)
