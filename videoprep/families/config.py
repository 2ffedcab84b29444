"""Values of a model's configs, which may lack them or hold something else."""

from __future__ import annotations

import math
from typing import Any

from videoprep.errors import ModelError
from videoprep.families.model_folder import ModelFolder

_REMEDY = "download the model again"


def value_of(model: ModelFolder, part: str, key: str) -> Any:
    """A value of a part's config, of any kind.

    Raises:
        ModelError: the config lacks it, or it is null.
    """
    value = model.config(part).get(key)
    if value is None:
        raise _wrong(model, part, f"the config lacks {key!r}")
    return value


def count_of(model: ModelFolder, part: str, key: str) -> int:
    """A positive whole number.

    Raises:
        ModelError: the config lacks it, or it is something else.
    """
    value = value_of(model, part, key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(model, part, f"{key!r} is {value!r}, and no positive whole number")
    return value


def list_of(model: ModelFolder, part: str, key: str) -> list[Any]:
    """A list that is not empty.

    Raises:
        ModelError: the config lacks it, or it is something else.
    """
    value = value_of(model, part, key)
    if not isinstance(value, list) or not value:
        raise _wrong(model, part, f"{key!r} is {value!r}, and no list")
    return value


def factor_of(model: ModelFolder, part: str, key: str) -> float:
    """A positive number.

    Raises:
        ModelError: the config lacks it, or it is something else.
    """
    value = value_of(model, part, key)
    if not _is_number(value) or value <= 0:
        raise _wrong(model, part, f"{key!r} is {value!r}, and no positive number")
    return float(value)


def statistics_of(model: ModelFolder, part: str, key: str, channels: int) -> list[float]:
    """A number a channel.

    Raises:
        ModelError: the config lacks them, or they are something else.
    """
    return require_statistics(model, part, key, list_of(model, part, key), channels)


def require_statistics(
    model: ModelFolder, part: str, key: str, values: list[Any], channels: int
) -> list[float]:
    """Numbers by which latents are shifted, or divided where the key ends with ``std``.

    Raises:
        ModelError: there are not as many as channels, or they are no numbers to divide by.
    """
    least = 0.0 if key.endswith("std") else -math.inf
    if len(values) != channels or not all(_is_number(v) and v > least for v in values):
        raise _wrong(model, part, f"{key!r} are not {channels} fit numbers: {values}")
    return [float(value) for value in values]


def _is_number(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]


def _wrong(model: ModelFolder, part: str, what: str) -> ModelError:
    return ModelError(what, where=str(model.path / part / "config.json"), remedy=_REMEDY)
