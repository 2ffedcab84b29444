"""What a text encoder makes of the empty caption: trainers put it in the place of captions.

It belongs to no clip, and lies in a file of its own, named by the recipe that made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xxhash

from videoprep.errors import StoreError
from videoprep.fs import Files
from videoprep.store.format import ShardFile, bytes_of, contents_of, tensor_of
from videoprep.store.layout import EMPTY_CAPTION, Store
from videoprep.store.recipe import Recipe

if TYPE_CHECKING:
    import torch


def name_of(recipe: Recipe) -> str:
    """Return the name of a recipe's file, without its ending."""
    return f"{recipe.component}-{recipe.id}"


def path_of(recipe: Recipe) -> str:
    """Return where a recipe's lies in the store."""
    return Store.receipt(f"{EMPTY_CAPTION}/{name_of(recipe)}")


def write_empty_caption(files: Files, recipe: Recipe, tensor: torch.Tensor) -> None:
    """Write it, with a hash of its bytes.

    Raises:
        OSError: it cannot be written.
    """
    tensor = tensor.cpu().contiguous()
    files.write(path_of(recipe), ShardFile({recipe.component: tensor}, _facts(tensor)).write)


def read_empty_caption(files: Files, recipe: Recipe) -> torch.Tensor:
    """Read it, and compare it with its hash.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = path_of(recipe)
    try:
        data = files.read(path)
    except FileNotFoundError as error:
        raise StoreError(
            "the store has no embedding of the empty caption",
            where=files.where(path),
            remedy="run the same `videoprep encode` command again, the first one of several jobs: "
            "it adds it",
        ) from error
    try:
        found = contents_of(path, lambda start, size: data[start : start + size], len(data))
        tensor = tensor_of(data, found.tensors[recipe.component])
        if found.facts == _facts(tensor):
            return tensor
        reason = "its bytes do not fit their checksum"
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
    raise StoreError(
        f"the embedding of the empty caption is damaged: {reason}",
        where=files.where(path),
        remedy="delete the file, and run the same `videoprep encode` command again",
    )


def _facts(tensor: torch.Tensor) -> dict[str, str]:
    return {"xxh3": xxhash.xxh3_64_hexdigest(bytes_of(tensor))}
