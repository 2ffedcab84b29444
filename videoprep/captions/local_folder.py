"""The folder of a local captioner: found, checked and fingerprinted before weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import xxhash

from videoprep.errors import ModelError
from videoprep.families.model_folder import PART_FILES, ModelFolder, digest_file, download
from videoprep.spec.path_hints import nowhere

_AutoClass = Literal["AutoModelForImageTextToText", "AutoModelForCausalLM"]

_READS_FRAMES: _AutoClass = "AutoModelForImageTextToText"
_READS_TEXT: _AutoClass = "AutoModelForCausalLM"

_SERVE_IT = (
    "serve it behind an endpoint, where its code runs in an environment of its own, and give its "
    "address as `endpoint`; the documentation of caption models shows how"
)

# What an answer depends on beside the weights: the vocabulary, the template, sizes of pictures.
_BESIDE_WEIGHTS = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
    "vocab.txt",
)
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")


@dataclass(frozen=True, slots=True)
class CaptionModelFolder:
    """A folder that transformers can load, without code of its own."""

    path: Path
    """Where it is."""
    name: str
    """How the user calls the model: a path or a hub id."""
    auto_class: _AutoClass
    """The class that loads it: with eyes, or of text alone."""
    architecture: str
    """The class that it is of."""
    identity: str
    """A hash of its weights, its configuration, its vocabulary and its chat template."""
    quantized: bool
    """Whether the weights are of fewer bits, which a library of its own multiplies."""

    @property
    def reads_frames(self) -> bool:
        """Whether it can look at pictures."""
        return self.auto_class == _READS_FRAMES


def open_caption_folder(name: str) -> CaptionModelFolder:
    """Return the model in a local folder or of a hub id, checked.

    Raises:
        ModelError: There is none, or it cannot be loaded without running code of its own.
    """
    path = _find(name)
    config = _config(path, name)
    auto_class, architecture = _class_of(config, path)
    _require_files(path)
    return CaptionModelFolder(
        path=path,
        name=name,
        auto_class=auto_class,
        architecture=architecture,
        identity=_identity(path),
        quantized=bool(config.get("quantization_config")),
    )


def _find(name: str) -> Path:
    path = Path(name)
    if path.is_dir():
        return path
    wanted = "give `model` a folder with config.json and safetensors weights, or a hub id such as "
    wanted += "Qwen/Qwen3-VL-8B-Instruct"
    if path.exists():
        raise ModelError(
            "is a single file, not a model folder",
            where=name,
            remedy=f"{wanted}; serve a GGUF file with llama.cpp, and give its address as "
            "`endpoint`",
            option="model",
        )
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelError(
            "no such model folder", where=name, remedy=nowhere(name, wanted), option="model"
        )
    # Folders inside hold the same weights for other programs, and so do files of that name.
    return download(name, PART_FILES, without=("*/*", "consolidated*"))


def _config(path: Path, name: str) -> Mapping[str, Any]:
    if not (path / "config.json").is_file():
        is_pipeline = (path / "model_index.json").is_file()
        raise ModelError(
            "this is a diffusion model, which writes no captions"
            if is_pipeline
            else "the folder has no config.json",
            where=str(path),
            remedy="give `model` a vision-language model, such as Qwen/Qwen3-VL-8B-Instruct"
            if is_pipeline
            else "download the model again; an original checkpoint has to be converted to the "
            "layout of transformers",
            option="model",
        )
    return ModelFolder(path, name).file("config.json")


def _class_of(config: Mapping[str, Any], path: Path) -> tuple[_AutoClass, str]:
    """Which class loads it and which one it is of, by the name of its type."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    )

    kind = str(config.get("model_type"))
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return _READS_FRAMES, _name(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[kind])
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return _READS_TEXT, _name(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind])
    if config.get("auto_map"):
        raise ModelError(
            "the model brings Python code of its own, which is never run in this process",
            where=str(path),
            remedy=_SERVE_IT,
            option="model",
        )
    raise ModelError(
        f"transformers has no model of the type {kind!r} that answers in text",
        where=str(path),
        remedy="give `model` a vision-language model; for a newer one: pip install -U "
        "transformers; or " + _SERVE_IT,
        option="model",
    )


def _name(classes: object) -> str:
    return str(classes[0] if isinstance(classes, (tuple, list)) else classes)


def _require_files(path: Path) -> None:
    if not any((path / name).is_file() for name in _VOCABULARIES):  # one of no words would be made
        raise ModelError(
            "the folder has no tokenizer",
            where=str(path),
            remedy="download the model again, with tokenizer.json and the other small files",
            option="model",
        )
    if not any(path.glob("*.safetensors")) and any(path.glob("*.bin")):
        raise ModelError(
            "the weights are pickles (.bin), which can run code and are not read",
            where=str(path),
            remedy="convert them to safetensors where the model may be trusted, or download a "
            "revision that has them",
            option="model",
        )
    ModelFolder(path, path.name).require(".")


def _identity(path: Path) -> str:
    digest = xxhash.xxh3_128(ModelFolder(path, path.name).identity(".").encode())
    for name in _BESIDE_WEIGHTS:
        if (path / name).is_file():
            digest.update(name.encode())
            digest_file(digest, path / name)
    return digest.hexdigest()
