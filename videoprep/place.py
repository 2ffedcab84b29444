"""What lies at a path that a user has named: what it is, and what is nearest where nothing is."""

from __future__ import annotations

import difflib
import os
import shlex
from itertools import islice
from pathlib import Path
from typing import Literal

Kind = Literal["store", "model", "run", "index", "dataset"]
"""What `kind_of` tells apart."""

STORE_FILE = "store.json"
SPEC_FILE = "videoprep.yaml"

# What a folder holds that is such a thing.
_SIGNS: dict[Kind, tuple[str, ...]] = {
    "store": (STORE_FILE,),
    "model": ("model_index.json",),
    "run": ("pytorch_lora_weights.safetensors",),
    "dataset": (SPEC_FILE, "prompt.txt", "videos.txt"),
}
_TABLES = (".csv", ".tsv")
_INDEX = ".parquet"

# Names of a folder that are looked at; there may be millions.
_NAMES = 20_000


def kind_of(path: str | os.PathLike[str]) -> Kind | None:
    """What lies at a path, by its names alone; None where that cannot be told."""
    where = Path(path)
    if where.is_file():
        suffix = where.suffix.lower()
        return "dataset" if suffix in _TABLES else "index" if suffix == _INDEX else None
    for kind, names in _SIGNS.items():
        if any((where / name).is_file() for name in names):
            return kind
    return "dataset" if any(name.lower().endswith(_TABLES) for name in names_in(where)) else None


def names_in(folder: str | os.PathLike[str]) -> list[str]:
    """The names in a folder in order, of a huge one only some; empty where there is no folder."""
    try:
        with os.scandir(folder) as found:
            return sorted(item.name for item in islice(found, _NAMES))
    except (OSError, ValueError):
        return []


def similar(path: str | os.PathLike[str]) -> Path | None:
    """What a path that leads nowhere may have meant: the nearest name beside it.

    A whole path is mended from its first wrong part on; None where nothing is alike.
    """
    there = Path()
    for part in Path(path).parts:
        if not os.path.lexists(there / part):
            names = names_in(there)
            cases = {name.casefold(): name for name in names}
            close = difflib.get_close_matches(part.casefold(), cases, n=1)
            if not close:
                return None
            part = cases[close[0]]
        there = there / part
    return there


def nowhere(path: str | os.PathLike[str], otherwise: str) -> str:
    """What to do about a path that leads nowhere.

    Args:
        path: as it was given.
        otherwise: the remedy where nothing is alike.
    """
    close = similar(path)
    return f"did you mean {close}?" if close is not None else otherwise


def instead_of_a_store(path: str | os.PathLike[str], otherwise: str) -> str:
    """What to do where a store is wanted, and something else was named."""
    here = shlex.quote(os.fspath(path))
    encode = f"encode it: videoprep encode {here} -o latents --model MODEL"
    said: dict[Kind | None, str] = {
        "dataset": f"this is a dataset; {encode}",
        "index": f"this is a plan; {encode}",
        "model": f"this is a model: give it as --model {here}, and name a store",
        "run": "this is what training wrote: name the store that it was trained from",
    }
    return _said(path, said, otherwise)


def instead_of_a_dataset(path: str | os.PathLike[str], otherwise: str) -> str:
    """What to do where a dataset is wanted, and something else was named."""
    here = shlex.quote(os.fspath(path))
    said: dict[Kind | None, str] = {
        "store": f"this is a store, which is encoded already: see it with videoprep status {here}, "
        f"or train from it: videoprep train {here} --model MODEL -o lora",
        "index": f"if this is a plan, encode it: videoprep encode {here} -o latents --model MODEL; "
        f"if it is a table of videos: videoprep init {here}",
        "model": f"this is a model: give it as --model {here}, and name a dataset",
        "run": "this is what training wrote: name a dataset",
    }
    return _said(path, said, otherwise)


def _said(path: str | os.PathLike[str], said: dict[Kind | None, str], otherwise: str) -> str:
    if not os.path.lexists(path):
        return nowhere(path, otherwise)
    return said.get(kind_of(path), otherwise)
