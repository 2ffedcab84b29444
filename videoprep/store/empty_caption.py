"""What a text encoder makes of the empty caption: trainers put it in the place of captions.

It belongs to no clip, and lies in a file of its own, named by the recipe that made it.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import xxhash

from videoprep.errors import StoreError
from videoprep.fs import Files
from videoprep.store.layout import EMPTY_CAPTION
from videoprep.store.recipe import Recipe

if TYPE_CHECKING:
    import torch

_LENGTH = struct.Struct("<Q")


def name_of(recipe: Recipe) -> str:
    """Return the name of a recipe's file, without its ending."""
    return f"{recipe.component}-{recipe.id}"


def path_of(recipe: Recipe) -> str:
    """Where a recipe's lies in the store."""
    return f"{EMPTY_CAPTION}/{name_of(recipe)}.safetensors"


def write_empty_caption(files: Files, recipe: Recipe, tensor: torch.Tensor) -> None:
    """Writes it, with a hash of its bytes.

    Raises:
        OSError: it cannot be written.
    """
    from safetensors.torch import save

    tensor = tensor.cpu().contiguous()
    metadata = {"xxh3": _hash(tensor)}
    files.write_bytes(path_of(recipe), save({recipe.component: tensor}, metadata))


def read_empty_caption(files: Files, recipe: Recipe) -> torch.Tensor:
    """Reads it, and compares it with its hash.

    Raises:
        StoreError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    where = files.where(path_of(recipe))
    try:
        data = files.read(path_of(recipe))
    except FileNotFoundError as error:
        raise StoreError(
            "the store has no embedding of the empty caption",
            where=where,
            remedy="run the same `videoprep encode` command again, the first one of several jobs: "
            "it adds it",
        ) from error
    try:
        (length,) = _LENGTH.unpack_from(data)
        metadata = json.loads(data[_LENGTH.size : _LENGTH.size + length])["__metadata__"]
        tensor = load(data)[recipe.component]
        if metadata["xxh3"] == _hash(tensor):
            return tensor
        reason = "its bytes do not fit their checksum"
    except (struct.error, ValueError, KeyError, TypeError, SafetensorError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise StoreError(
        f"the embedding of the empty caption is damaged: {reason}",
        where=where,
        remedy="delete the file, and run the same `videoprep encode` command again",
    )


def _hash(tensor: torch.Tensor) -> str:
    import torch

    return xxhash.xxh3_64_hexdigest(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
