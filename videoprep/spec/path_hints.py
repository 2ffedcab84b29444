"""What lies at a path that a user has named: what it is, and what is nearest where nothing is."""

from __future__ import annotations

import difflib
import os
from itertools import islice
from pathlib import Path
from typing import Literal

from videoprep.errors import SpecError
from videoprep.fs.mirror import local_path
from videoprep.shell import command_line
from videoprep.spec.readers import folder_readers, table_reader, table_suffixes
from videoprep.spec.readers.base import ReadRequest
from videoprep.spec.video_files import is_video_name

Kind = Literal["store", "model", "run", "index", "dataset"]
"""What `kind_of` tells apart."""

STORE_FILE = "store.json"
SPEC_FILE = "videoprep.yaml"

# What a folder holds that is such a thing.
_SIGNS: dict[Kind, tuple[str, ...]] = {
    "store": (STORE_FILE,),
    "model": ("model_index.json", "modular_model_index.json"),
    "run": ("pytorch_lora_weights.safetensors",),
    "dataset": (SPEC_FILE, "prompt.txt", "videos.txt"),
}
_INDEX = ".parquet"

# Names of a folder that are looked at; there may be millions.
_NAMES = 20_000

# Tables of a folder that are looked into.
_TABLES = 20


def kind_of(path: str | os.PathLike[str]) -> Kind | None:
    """What lies at a path, by its names alone; None where that cannot be told."""
    where = Path(path)
    if where.is_file():
        reader = table_reader(where)
        if reader is None:
            return None
        return "dataset" if where.suffix.lower() != _INDEX or reader.sniff(where) else "index"
    for kind, signs in _SIGNS.items():
        if any((where / name).is_file() for name in signs):
            return kind
    names = names_in(where)
    if any(is_video_name(name) for name in names):
        return "dataset"
    tables = [where / name for name in names if name.lower().endswith(table_suffixes())]
    found = any(_is_table(path) for path in tables[:_TABLES]) or _has_lists(where)
    return "dataset" if found else None


def _is_table(path: Path) -> bool:
    reader = table_reader(path)
    try:
        return reader is not None and path.is_file() and reader.sniff(path)
    except OSError:
        return False


def _has_lists(folder: Path) -> bool:
    """Whether a folder has the lists of a format that knows where they lie."""
    request = ReadRequest(folder)
    try:
        return any(one.lists(request) and one.sniff(folder, request) for one in folder_readers())
    except (SpecError, OSError):
        return False


def dataset_path(location: str | os.PathLike[str]) -> Path:
    """Return a dataset's path as it is; for a URL the path that stands for it, see `local_path`.

    A URL that ends like a list names a file, and any other a folder.

    Raises:
        VideoprepError: no backend for the URL is installed.
        OSError: its mirror cannot be made.
    """
    return local_path(location, table_suffixes())


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
    close = None if os.path.lexists(path) else similar(path)
    return f"did you mean {close}?" if close is not None else otherwise


def instead_of_a_store(path: str | os.PathLike[str], otherwise: str) -> str:
    """What to do where a store is wanted, and something else was named."""
    path = os.fspath(path)
    encode = f"encode it: {_encode(path)}"
    said: dict[Kind | None, str] = {
        "dataset": f"this is a dataset; {encode}",
        "index": f"this is a plan; {encode}",
        "model": f"this is a model: give it as `model={path!r}`, and name a store",
        "run": "this is what training wrote: name the store that it was trained from",
    }
    return _said(path, said, otherwise)


def instead_of_a_dataset(path: str | os.PathLike[str], otherwise: str) -> str:
    """What to do where a dataset is wanted, and something else was named."""
    path = os.fspath(path)
    said: dict[Kind | None, str] = {
        "store": "this is a store, which is encoded already: see it with "
        f"{command_line('status', path)}, "
        f"or train from it: {command_line('train', path, model='MODEL', output='lora')}",
        "index": f"if this is a plan, encode it: {_encode(path)}; "
        f"if it is a table of videos: {command_line('init', path)}",
        "model": f"this is a model: give it as `model={path!r}`, and name a dataset",
        "run": "this is what training wrote: name a dataset",
    }
    return _said(path, said, otherwise)


def _encode(path: str) -> str:
    return command_line("encode", path, output="latents", model="MODEL")


def _said(path: str | os.PathLike[str], said: dict[Kind | None, str], otherwise: str) -> str:
    if not os.path.lexists(path):
        return nowhere(path, otherwise)
    return said.get(kind_of(path), otherwise)
