"""Weights as single files: read, with float8 weights scaled back, and loaded as a part of a model.

ComfyUI, musubi-tuner and others keep a VAE or a text encoder as one ``.safetensors`` file, without
a config or a tokenizer. `videoprep.families.model_from_files` puts such a file into a model folder
as ``PART/single_file.safetensors``; what reads the folder notices the name.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoprep.errors import ModelError
from videoprep.library_logging import quiet_libraries

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SINGLE_FILE = "single_file.safetensors"
"""What the weights of a part are called if they are a single file of another program."""

# Beside a float8 weight: what it is multiplied by. ComfyUI has used both names.
_SCALES = ((".weight", ".scale_weight"), (".weight", ".weight_scale"))
# What ComfyUI stores besides weights: marks of float8, scales of inputs, a tokenizer.
_NO_WEIGHTS = re.compile(
    r"(^|\.)(scaled_fp8|comfy_quant|scale_weight|weight_scale|scale_input|input_scale"
    r"|spiece_model|tekken_model|logit_scale)$"
)

# Names in Wan's own checkpoints of UMT5, and what transformers calls them.
_WAN_UMT5 = (
    (r"^token_embedding\.", "shared."),
    (r"^norm\.", "encoder.final_layer_norm."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"^blocks\.(\d+)\.attn\.", r"encoder.block.\1.layer.0.SelfAttention."),
    (
        r"^blocks\.(\d+)\.pos_embedding\.embedding\.",
        r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias.",
    ),
    (r"^blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"^blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"^blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
)
_SHOWN = 3

_NAMES: Mapping[str, tuple[tuple[str, str], ...]] = {"UMT5EncoderModel": _WAN_UMT5}
"""By transformers' class: how the names of a model's own checkpoints become those of the class."""


def renamed(kind: str, name: str) -> str:
    """Return what transformers' class calls a weight.

    Args:
        kind: the class.
        name: the weight's name in the file.
    """
    for pattern, other in _NAMES.get(kind, ()):
        if re.search(pattern, name):
            return re.sub(pattern, other, name)
    return name


def read_weights(path: Path, kind: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Read the weights of a transformers model.

    Args:
        path: the file.
        kind: the class, which decides what the weights are called.
        dtype: what they are converted to. A float8 weight with a scale is multiplied by it in
            float32 before.
    """
    from safetensors import safe_open

    weights = {}
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        for name in sorted(names):
            if _NO_WEIGHTS.search(name):
                continue
            weight = file.get_tensor(name)
            scale = _scale_of(name, names)
            if scale is not None:
                weight = weight.float() * file.get_tensor(scale).float()
            weights[renamed(kind, name)] = weight.to(dtype)
    return weights


def _scale_of(name: str, names: set[str]) -> str | None:
    """The name of what a weight is multiplied by; None if it is stored as it is."""
    for end, other in _SCALES:
        if name.endswith(end) and (found := name.removesuffix(end) + other) in names:
            return found
    return None


def require_weights_of(path: Path, kind: str, config: Path) -> None:
    """Check that a file has all weights of a transformers model, from its header alone.

    Args:
        path: the file.
        kind: the class of the model.
        config: the folder with its config.

    Raises:
        ModelError: Weights are missing, or have other shapes.
    """
    import torch
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        shapes = {
            renamed(kind, name): file.get_slice(name).get_shape()
            for name in file.keys()  # noqa: SIM118 (it is no mapping)
            if not _NO_WEIGHTS.search(name)
        }
    weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    _, report = _loaded(kind, config, weights, {"device_map": {"": "meta"}})
    _require_all(report, path, kind)


def load_single_encoder(
    kind: str, path: Path, config: Path, dtype: torch.dtype, how: Mapping[str, Any]
) -> PreTrainedModel:
    """Load a text or image encoder from a single file.

    Args:
        kind: transformers' class.
        path: the file.
        config: the folder with its config.
        dtype: what it computes in.
        how: further arguments of ``from_pretrained``.

    Raises:
        ModelError: The file is of another model.
    """
    model, report = _loaded(kind, config, read_weights(path, kind, dtype), {"dtype": dtype, **how})
    _require_all(report, path, kind)
    return model


def _loaded(
    kind: str, config: Path, weights: dict[str, torch.Tensor], how: Mapping[str, Any]
) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    """A model of transformers, and which weights it lacks."""
    cls = getattr(importlib.import_module("transformers"), kind)
    with quiet_libraries():  # transformers prints a table of what is missing
        found: tuple[PreTrainedModel, Mapping[str, Any]] = cls.from_pretrained(
            None,
            config=cls.config_class.from_pretrained(str(config)),
            state_dict=weights,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **how,
        )
    return found


def _require_all(report: Mapping[str, Any], path: Path, kind: str) -> None:
    lacking = set(report["missing_keys"])
    other = {str(one[0]) for one in report["mismatched_keys"]}
    if lacking or other:
        raise _of_another_model(path, kind, lacking, other)


def load_single_vae(kind: str, path: Path, config: Path, dtype: torch.dtype) -> Any:
    """Load a VAE from a single file.

    Args:
        kind: diffusers' class.
        path: the file, with diffusers' names, or with those of the model's own checkpoints if
            diffusers' loader of single files knows them.
        config: the folder with its config.
        dtype: what it computes in.

    Raises:
        ModelError: The file is of another model.
    """
    import torch
    from safetensors.torch import load_file

    cls = getattr(importlib.import_module("diffusers"), kind)
    with torch.device("meta"):
        expected = set(cls.from_config(cls.load_config(str(config))).state_dict())
    weights = {name.removeprefix("vae."): weight for name, weight in load_file(path).items()}
    try:
        if expected <= set(weights):
            vae = cls.from_config(cls.load_config(str(config)))
            vae.load_state_dict({name: weights[name] for name in expected})
        else:
            with quiet_libraries():
                vae = cls.from_single_file(str(path), config=str(config), low_cpu_mem_usage=True)
    except (AttributeError, KeyError, RuntimeError, ValueError) as error:
        # Which one it is depends on what is missing, and whether there is a loader.
        lacking = expected.difference(weights)
        raise _of_another_model(path, kind, lacking, [] if lacking else [str(error)]) from error
    if lacking := {name for name, weight in vae.named_parameters() if weight.is_meta}:
        raise _of_another_model(path, kind, lacking, [])
    return vae.to(dtype)


def _of_another_model(
    path: Path, kind: str, lacking: Iterable[str], other: Iterable[str]
) -> ModelError:
    """The error about a file whose weights are missing, or of other shapes."""
    wrong, how = sorted(lacking), "are missing"
    if not wrong:
        wrong, how = sorted(other), "do not fit"
    shown = ", ".join(one.splitlines()[0] for one in wrong[:_SHOWN])
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return ModelError(
        f"is no {kind} of this config: {shown}{more} {how}",
        where=str(path),
        remedy="give the file of this model, or, as `model`, the folder or hub id whose configs "
        "fit the file",
    )
