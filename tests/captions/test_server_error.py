"""What servers say about requests, in the forms in which they say it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from videoprep.captions.server_error import ServerError

FIELDS = ("response_format", "max_tokens", "seed")


def read(told: Any, status: int = 400) -> ServerError:
    return ServerError.read(status, json.dumps(told).encode())


def error(message: str, **more: Any) -> Any:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


_LOC = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
_OF_VALUE = {"type": "less_than_equal", "loc": ["body", "seed"], "msg": "Input should be less"}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (
            error(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            "max_tokens",
        ),
        (error("no", param="response_format.type", code="unknown_parameter"), "response_format"),
        (
            error(
                "Invalid parameter: 'response_format' of type 'json_schema' is not supported with "
                "this model.",
                param=None,
                code=None,
            ),
            "response_format",
        ),
        ({"detail": [_LOC]}, "seed"),
        ({"object": "error", "message": {"detail": [_LOC]}}, "seed"),
        (
            {
                "object": "error",
                "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra "
                "inputs are not permitted', 'input': 0}]",
                "code": 400,
            },
            "seed",
        ),
        (
            error(
                "1 validation error for Request\nseed\n  Extra inputs are not permitted "
                "[type=extra_forbidden, input_value=0]"
            ),
            "seed",
        ),
        (error("seed: Extra inputs are not permitted"), "seed"),
        (error("Extra inputs are not permitted, field: 'seed', value: 0"), "seed"),
        (error("Additional properties are not allowed ('seed' was unexpected)"), "seed"),
        (error("Unsupported param: response_format", code=400), "response_format"),
        (error('json: unknown field "seed"'), "seed"),
        ({"error": "unknown field `seed`, expected one of `model`, `messages`"}, "seed"),
        (
            error(
                "litellm.UnsupportedParamsError: vertex_ai does not support parameters: "
                "['temperature', 'seed'], for model=gemini. To drop these, set drop_params=True",
                code="400",
            ),
            "seed",
        ),
        (error("property 'seed' is unsupported"), "seed"),
        (error("Unrecognized request argument supplied: seed"), "seed"),
        (error("This response_format type is unavailable now"), "response_format"),
        ([error('Invalid JSON payload received. Unknown name "seed": Cannot find field.')], "seed"),
    ],
)
def test_a_field_that_is_not_known(told: Any, name: str) -> None:
    assert read(told).lacking(FIELDS) == name
    assert read(told, 422).lacking(FIELDS) == name
    assert read(told, 429).lacking(FIELDS) is None


@pytest.mark.parametrize(
    "told",
    [
        error(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 "
            "tokens (4488 in the messages, 512 in max_tokens). Please reduce max_tokens.",
            param="max_tokens",
        ),
        error("'max_tokens' or 'max_completion_tokens' is too large: 9000.", param="max_tokens"),
        error("max_tokens is not allowed to exceed 4096"),
        error("max_tokens above 4096 is not supported"),
        error("the model does not support max_tokens greater than 4096"),
        error("the model does not support max_tokens > 4096"),
        error("no more than the seed", param="seed", code="unsupported_value"),
        error("Unsupported parameter: 'seed'", code="context_length_exceeded"),
        error("Unknown parameter: 'top_k'. Did you mean 'seed'?", code="unknown_parameter",
              param="top_k"),
        error("json: unknown field \"seeds\""),
        error("the clip shows a seed that is unknown to us"),
        {"detail": [_OF_VALUE]},
        {"detail": "seed"},
        {"error": ["seed"]}, ["seed"], "seed", None, 5, {"error": {"message": {"a": "seed"}}},
    ],
)  # fmt: skip
def test_another_error_that_names_a_field(told: Any) -> None:
    assert read(told).lacking(FIELDS) is None


def test_what_is_no_json_is_read() -> None:
    for body in (b"", b"<html>", b"[" * 100_000, b'{"error": ' * 50_000, b"\xff\xfe"):
        assert ServerError.read(400, body) == ServerError(400)


@pytest.mark.parametrize(
    ("told", "is_about_model"),
    [
        (error("The model `tiny-vl` does not exist"), True),
        (error("tiny-vl is not a valid model ID"), True),
        (error("gone", code="model_not_found"), True),
        (error("unknown model", param="model"), True),
        (error("the image of the clip was not found"), False),
        (error("tiny-vl takes 4096 tokens"), False),
    ],
)
def test_a_model_that_is_not_there(told: Any, is_about_model: bool) -> None:
    assert read(told).is_about_model("tiny-vl") == is_about_model


@pytest.mark.parametrize(
    ("message", "is_about_pictures"),
    [
        ("tiny is not a multimodal model None", True),
        ("At most 0 image(s) may be provided in one prompt.", True),
        ("This model does not support image input", True),
        ("images are not supported by this model", True),
        ("This model does not support images larger than 8192 pixels", False),
        ("image input is not supported - hint: you may need to provide the mmproj", True),
        ("At most 10 image(s) may be provided in one prompt.", False),
        ("cannot identify image file", False),
    ],
)
def test_a_model_that_reads_text_alone(message: str, is_about_pictures: bool) -> None:
    assert read(error(message)).is_about_pictures == is_about_pictures
