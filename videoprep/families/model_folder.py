"""A diffusers model folder: found, checked and fingerprinted before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xxhash

from videoprep.errors import ModelError
from videoprep.spec.path_hints import nowhere, similar

# Said by the file that wrote the config, not by the model.
_NOT_IDENTITY = ("_diffusers_version", "_name_or_path", "transformers_version")

MODEL_INDEXES = ("model_index.json", "modular_model_index.json")
"""Files that make a folder a model folder: of pipelines, and of modular pipelines."""

# An entry of an index is a library and a class, and in modular pipelines how the part is loaded.
_NAMED = 2

PART_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""Configs, weights, vocabularies and chat templates."""

_HASH_CHUNK = 1 << 22


@dataclass(frozen=True)
class ModelFolder:
    """A local folder in the layout of diffusers pipelines.

    Attributes:
        path: the folder.
        name: how the user called the model: a path or a hub id.
        revision: the hub's commit; None for a local folder.
    """

    path: Path
    name: str
    revision: str | None = None

    @cached_property
    def index_name(self) -> str:
        """The file that names the parts; that of a modular pipeline only if there is no other."""
        there = (name for name in MODEL_INDEXES if (self.path / name).is_file())
        return next(there, MODEL_INDEXES[0])

    @cached_property
    def index(self) -> Mapping[str, Any]:
        """The contents of ``model_index.json`` or ``modular_model_index.json``.

        Raises:
            ModelError: the file is missing or not JSON.
        """
        return self.file(self.index_name)

    def class_of(self, part: str) -> str | None:
        """Return the class that the index names for a part; None if it names none."""
        named = self.index.get(part)
        if not isinstance(named, list) or len(named) < _NAMED:
            return None
        how = named[-1]  # of a modular pipeline: how the part is loaded
        if named[1] is None and isinstance(how, dict):
            named = how.get("type_hint") or named
        return None if named[1] is None else str(named[1])

    def config(self, part: str) -> Mapping[str, Any]:
        """The contents of ``PART/config.json``.

        Raises:
            ModelError: the file is missing or not JSON.
        """
        return self.file(f"{part}/config.json")

    def require(self, part: str) -> None:
        """Checks that ``PART`` has a config and safetensors weights that are whole.

        Raises:
            ModelError: something is missing; it says what.
        """
        self.config(part)
        for path in self.weights(part):
            require_whole(path)

    def weights(self, part: str) -> list[Path]:
        """The weight files of ``PART`` that loading without a variant reads.

        Raises:
            ModelError: there are none in safetensors form, or one named in the index is missing.
        """
        folder = self.path / part
        indexed = sorted(folder.glob("*.safetensors.index.json"))
        indexed = [path for path in indexed if path.name.count(".") == 3]
        if indexed:
            files = {folder / name for name in self._weight_map(indexed[0]).values()}
        else:
            files = {p for p in folder.glob("*.safetensors") if p.name.count(".") == 1}
        missing = sorted(path.name for path in files if not path.is_file())
        if missing or not files:
            raise ModelError(
                f"the {part} has no safetensors weights"
                if not files
                else f"weight files are missing: {', '.join(missing)}",
                where=str(folder),
                remedy="download the model again; weights in pickle form (.bin) are not read",
            )
        return sorted(files)

    def _weight_map(self, path: Path) -> Mapping[str, str]:
        """Which file holds each weight."""
        found = self._json_file(path).get("weight_map")
        if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
            raise ModelError(
                "has no 'weight_map'", where=str(path), remedy="download the model again"
            )
        return found

    def identity(self, part: str) -> str:
        """A fingerprint of what ``PART`` computes: its config and the bytes of its weights.

        32 hexadecimal digits (xxh3-128). The same weights under another name or path have the
        same identity.
        """
        known = self._identities.get(part)
        if known is not None:
            return known
        digest = xxhash.xxh3_128()
        config = {k: v for k, v in self.config(part).items() if k not in _NOT_IDENTITY}
        digest.update(json.dumps(config, sort_keys=True).encode())
        for path in self.weights(part):
            digest_file(digest, path)
        return self._identities.setdefault(part, digest.hexdigest())

    @cached_property
    def _identities(self) -> dict[str, str]:
        """Of parts that were read already: several components may be made by one."""
        return {}

    def files_identity(self, part: str) -> str:
        """A fingerprint of every file directly in ``PART``, for a tokenizer."""
        digest = xxhash.xxh3_128()
        for path in sorted(p for p in (self.path / part).iterdir() if p.is_file()):
            digest.update(path.name.encode())
            digest_file(digest, path)
        return digest.hexdigest()

    def file(self, name: str) -> Mapping[str, Any]:
        """The contents of any JSON file of the model.

        Raises:
            ModelError: the file is missing or not JSON.
        """
        path = self.path / name
        if not path.is_file():
            raise ModelError(
                f"the model folder lacks {name}",
                where=str(self.path),
                remedy="give `model` a diffusers folder with model_index.json and its parts, "
                "or a hub id",
                option="model",
            )
        return self._json_file(path)

    @staticmethod
    def _json_file(path: Path) -> dict[str, Any]:
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ModelError(
                f"cannot be read as JSON: {error}", where=str(path), remedy="download it again"
            ) from error
        if not isinstance(data, dict):
            raise ModelError("is not a JSON object", where=str(path), remedy="download it again")
        return data


def require_whole(path: Path) -> None:
    """Reads the header, which tells how long the file has to be; loads no weights.

    Raises:
        ModelError: the file is cut off, or is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"the weights cannot be read: {error}",
            where=str(path),
            remedy="download the model again",
        ) from error


def digest_file(digest: xxhash.xxh3_128, path: Path) -> None:
    """Add the bytes of a file to a hash."""
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)


def open_model(
    name: str,
    parts: tuple[str, ...],
    revision: str | None = None,
    without_weights: tuple[str, ...] = (),
) -> ModelFolder:
    """Finds a model: a local folder, or a hub id, of which only ``parts`` are downloaded.

    Args:
        name: the folder or hub id.
        parts: what is downloaded from the hub.
        revision: a commit, branch or tag on the hub.
        without_weights: parts of which the configs and tokenizers are downloaded alone.

    Raises:
        ModelError: there is no such folder and the hub cannot give it.
    """
    path = Path(name)
    if path.is_dir():
        return ModelFolder(path, name)
    if path.exists():
        raise _not_a_folder(path)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ModelError(
            "no such model folder",
            where=name,
            remedy=nowhere(
                name, "give `model` a diffusers folder, or a hub id such as THUDM/CogVideoX-2b"
            ),
            option="model",
        )
    # By which families are told.
    patterns = [*MODEL_INDEXES, "transformer/config.json", "vae/config.json"]
    for part in parts:
        patterns += [f"{part}/{file}" for file in PART_FILES]
    without = [f"{part}/*.safetensors" for part in without_weights]
    snapshot = download(name, patterns, revision, without)
    return ModelFolder(snapshot, name, revision=snapshot.name)  # the hub's cache names it so


def _not_a_folder(path: Path) -> ModelError:
    """The error about a file, such as one of the weights that other programs read alone."""
    folder = next(
        (
            up
            for up in path.absolute().parents
            if any((up / name).exists() for name in MODEL_INDEXES)
        ),
        None,
    )
    if folder is not None:
        remedy = f"give the folder of the whole model as `model`: {folder}"
    else:
        remedy = (
            "give a diffusers folder as `model`, with model_index.json, vae/ and text_encoder/, or "
            "a hub id such as THUDM/CogVideoX-2b; single files of weights are given as `vae` and "
            "`text_encoder`, with `family`"
        )
    return ModelError(
        "is a single file, not a model folder", where=str(path), remedy=remedy, option="model"
    )


def download(
    name: str,
    patterns: Sequence[str],
    revision: str | None = None,
    without: Sequence[str] = (),
) -> Path:
    """Return the folder into which the hub's cache has put some files of a model.

    Args:
        name: the model's id.
        patterns: which files are wanted.
        revision: a commit, branch or tag.
        without: files that are left out even if they are wanted.

    Raises:
        ModelError: the hub does not know the model, or is out of reach.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=list(without),
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"not found locally or on the hub: {reason}",
            where=name,
            remedy=_without_hub(name, isinstance(error, HfHubHTTPError)),
        ) from error


def _without_hub(name: str, answered: bool) -> str:
    """What to do where the hub gives no model: it may not know it, or not be within reach."""
    close = similar(name)
    hint = f"did you mean {close}? " if close is not None else ""
    if answered:
        return f"{hint}check the name; a model that is gated needs `hf auth login`"
    return (
        f"{hint}check the name and the network; without one, download the model elsewhere with "
        f"`hf download {name} --local-dir DIR` and give `model=DIR`"
    )
