"""Parts of a model folder: values of their configs, and transformers' own classes."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.families.model_folder import ModelFolder
from videoprep.families.single_file import SINGLE_FILE, load_single_encoder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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
    return _count(model, part, key, value_of(model, part, key))


def _count(model: ModelFolder, part: str, key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(model, part, f"{key!r} is {value!r}, and no positive whole number")
    return value


def compression_ratios(model: ModelFolder) -> tuple[int, int]:
    """Pixels a side, and frames, that go into one latent, as the VAE's config names them.

    Raises:
        ModelError: the config lacks one, or it is no positive whole number.
    """
    spatial, temporal = (
        count_of(model, "vae", f"{which}_compression_ratio") for which in ("spatial", "temporal")
    )
    return spatial, temporal


def text_count_of(model: ModelFolder, part: str, key: str) -> int:
    """A positive whole number of a language model that also sees pictures.

    Its config may lie within that of the whole, as ``text_config``.

    Raises:
        ModelError: the config lacks it, or it is something else.
    """
    inner = model.config(part).get("text_config")
    value = inner.get(key) if isinstance(inner, dict) else None
    return count_of(model, part, key) if value is None else _count(model, part, key, value)


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


def buffers_of(
    model: ModelFolder, part: str, keys: Sequence[str], channels: int
) -> Mapping[str, list[float]]:
    """Return a number a channel of each key, which lie among a part's weights.

    Raises:
        ModelError: The weights lack one, or they are no fit numbers.
    """
    from safetensors import safe_open

    found: dict[str, list[float]] = {}
    for path in model.weights(part):
        with safe_open(path, framework="pt") as weights:
            names = set(weights.keys())
            for name in filter(names.__contains__, keys):
                found[name] = weights.get_tensor(name).float().tolist()
    if len(found) < len(keys):
        called = "VAE" if part == "vae" else part
        raise ModelError(
            f"the {called}'s weights lack {' and '.join(keys)}",
            where=str(model.path / part),
            remedy=_REMEDY,
        )
    return {
        name: require_statistics(model, part, name, values, channels)
        for name, values in found.items()
    }


def _is_number(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]


def _wrong(model: ModelFolder, part: str, what: str) -> ModelError:
    return ModelError(what, where=str(model.path / part / "config.json"), remedy=_REMEDY)


def load_tokenizer(model: ModelFolder, part: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer in a part of the model."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(model.path / part))
    return tokenizer


def load_encoder(
    name: str,
    model: ModelFolder,
    part: str,
    device: torch.device,
    dtype: torch.dtype,
    *,
    eight_bit: bool = False,
) -> PreTrainedModel:
    """Loads a part of the model as transformers' class of that name.

    Args:
        name: of the class.
        model: where it is.
        part: its folder.
        device: where it runs.
        dtype: what it computes in.
        eight_bit: whether its weights are held in 8 bits, by bitsandbytes.
    """
    transformers = importlib.import_module("transformers")
    how: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    if eight_bit:
        how |= {"quantization_config": transformers.BitsAndBytesConfig(load_in_8bit=True)}
        how |= {"device_map": {"": str(device)}}
    single = model.path / part / SINGLE_FILE
    if single.is_file():
        del how["use_safetensors"], how["dtype"]
        encoder: Any = load_single_encoder(name, single, single.parent, dtype, how)
    else:
        encoder = getattr(transformers, name).from_pretrained(str(model.path / part), **how)
    if not eight_bit:
        encoder = encoder.to(device)
    loaded: PreTrainedModel = encoder.eval()
    return loaded
