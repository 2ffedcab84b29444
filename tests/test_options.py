"""What is said of wrong options: plain words, and the nearest name."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from videoprep.encoding.options import EncodeOptions
from videoprep.errors import SpecError, VideoprepError
from videoprep.options import (
    as_argument,
    bare,
    cli_of,
    example_of,
    nearest_option,
    wrong_values,
)
from videoprep.shell import command_line
from videoprep.spec.dataset import DatasetSpec
from videoprep.training.settings import TrainSettings

_BUCKETS = "buckets, frames x height x width, such as '49x480x704'"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("buckets", (49, 480, 832), f"'auto' or {_BUCKETS}, got (49, 480, 832)"),
        ("buckets", ["49x480"], f"'auto' or {_BUCKETS}, got '49x480'"),
        (
            "min_pixels",
            "320x240",
            "height × width as one number from 1 to 4,294,967,296, got '320x240'",
        ),
        ("height_buckets", [256, "a"], "whole numbers from 1 to 65,536, got 'a'"),
        ("crop_seed", -1, "a whole number of 0 or more, got -1"),
        ("num_buckets", 0, "a whole number of 1 or more, got 0"),
        ("target_fps", float("inf"), "a number from 0.1 to 1,000, got inf"),
        (
            "split",
            {"train": 2},
            "a mapping of names to numbers above 0, at most 1, got 2 for 'train'",
        ),
        ("time_unit", "hours", "'seconds' or 'frames', got 'hours'"),
        ("allow_upscale", "maybe", "True or False, got 'maybe'"),
        ("caption_column", "", "text that is not empty, got ''"),
        ("dataset_file", 3, "a path, got 3"),
        ("select", [3], "texts, got 3"),
        ("severity", {"VP101": "bad"}, "'error', 'warning' or 'note', got 'bad' for 'VP101'"),
        ("rule_options", {"VP306": 1}, "a mapping of names to values, got 1 for 'VP306'"),
    ],
)
def test_a_wrong_value_is_said_in_plain_words(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as raised:
        DatasetSpec(data_root=".", **{name: value})
    said = wrong_values(raised.value, DatasetSpec, as_argument)[name]
    assert said.startswith(f"`{name}`: expected ")
    assert said.endswith(sentence)


@pytest.mark.parametrize("model", [DatasetSpec, EncodeOptions, TrainSettings])
def test_examples_are_valid_and_every_number_has_one(model: type[BaseModel]) -> None:
    needed = {"data_root": "."} if model is DatasetSpec else {}
    for name, field in model.model_fields.items():
        example = cli_of(field).example
        assert example is None or model(**needed, **{name: example}) is not None
        is_number = bare(field.annotation)[0] in (int, float)
        if is_number and (model is not TrainSettings or field.default is not None):
            assert example_of(name, model) is not None, name


@pytest.mark.parametrize(
    ("model", "options", "remedy"),
    [
        (EncodeOptions, {"dtype": "float16"}, "did you mean `dtype='fp16'`?"),
        (EncodeOptions, {"dtype": "f"}, "give another value"),
        (EncodeOptions, {"batch_size": 0}, "give another value, such as `batch_size=4`"),
        (EncodeOptions, {"job_id": 3, "num_jobs": 2}, "give another value"),
        (TrainSettings, {"steps": -1}, "give another value, such as `steps=1000`"),
    ],
)
def test_the_remedy_for_a_wrong_value(
    model: type[EncodeOptions | TrainSettings], options: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(VideoprepError) as raised:
        model.of(**options)
    assert raised.value.remedy == remedy


def test_every_wrong_value_has_its_sentence() -> None:
    with pytest.raises(ValidationError) as raised:
        DatasetSpec(data_root=".", reshape="x", crop_seed=-1, nonsense=1)
    assert list(wrong_values(raised.value, DatasetSpec, as_argument)) == [
        *("reshape", "crop_seed", "nonsense")
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("reshap", "reshape"),
        ("resolution", "buckets"),
        ("fps", "target_fps"),
        ("num-frames", "max_num_frames"),
        ("trigger_word", "id_token"),
        ("zzz", None),
    ],
)
def test_the_nearest_option(written: str, meant: str | None) -> None:
    assert nearest_option(written, DatasetSpec) == meant


def test_the_option_to_blame_survives_the_way_from_another_process() -> None:
    for kind in (VideoprepError, SpecError):
        error = pickle.loads(pickle.dumps(kind("no", option="reshape")))
        assert (type(error), error.option) == (kind, "reshape")


def test_command_lines_can_be_pasted_into_a_shell() -> None:
    assert command_line("encode", "…", retry_failed=True) == "videoprep encode … --retry-failed"
    assert command_line("verify", "my store", repair=True) == "videoprep verify 'my store' --repair"
    assert command_line("init", "-x", "$y") == "videoprep init ./-x '$y'"
    assert command_line("export", "s", to="media") == "videoprep export s --to media"
