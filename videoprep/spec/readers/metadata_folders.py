"""Reader for Hugging Face folders: ``metadata.csv`` in ``train/``, ``test/`` and so on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from videoprep.errors import Code, SpecError
from videoprep.fs.mirror import remote_of
from videoprep.spec.columns import COLUMNS, of_fields
from videoprep.spec.entries import Entries
from videoprep.spec.readers.base import FolderReader, ReadRequest, TablePart, TableReader
from videoprep.spec.video_files import suffix_of
from videoprep.spec.video_lookup import is_inside

STEM = "metadata"
"""What the tables are called, before their ending."""

SPLITS = (
    "train", "training", "test", "testing", "eval", "evaluation", "val", "valid", "validation",
    "dev",
)  # fmt: skip
"""Names of folders that become the split of the samples in them."""

_DEPTH = 2


class MetadataFolders(FolderReader):
    """Each folder has a table whose videos are relative to it; its name becomes the split."""

    name = "metadata-folders"
    summary = "folders such as train/ and test/, each with its metadata.csv, .jsonl or .parquet"
    named = COLUMNS
    order = 30

    def sniff(self, folder: Path, request: ReadRequest) -> bool:
        return bool(_tables(folder))

    def lists(self, request: ReadRequest) -> list[Path]:
        return [request.root / name for name in _tables(request.root)]

    def describe(self, request: ReadRequest, entries: Entries) -> str:
        names = _tables(request.root)
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    def read(self, request: ReadRequest) -> Entries:
        names = _tables(request.root)
        if not names:
            raise SpecError(
                f"no folder in it has a {STEM} table",
                where=str(request.root),
                remedy=f"write {STEM}.csv into train/, with the columns file_name and caption",
                code=Code.MISSING_LIST,
            )
        found = Entries()
        for name in names:
            path = request.root / name
            reader = _reader(path)
            guessed = reader.guess_columns(path, request.named())
            fields = {**request.named(), **guessed}
            columns = of_fields(fields)
            unit = request.time_unit or guessed.get("time_unit")
            part = ReadRequest(
                request.root, columns, "frames" if unit == "frames" else "seconds",
                request.fallback, request.caption_lines, request.allow_outside,
            )  # fmt: skip
            folder = f"{os.path.dirname(name)}/"
            split = next((one for one in folder.split("/") if one.lower() in SPLITS), None)
            reader.read(path, part, found, TablePart(folder, split))
        found.unused = list(dict.fromkeys(found.unused))
        return found

    def mirrored(self, names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
        return sorted(name for name in names if _is_table(name))


READER = MetadataFolders()


def _reader(path: Path) -> TableReader:
    from videoprep.spec.readers import table_reader

    reader = table_reader(path)
    assert reader is not None  # noqa: S101 (`_is_table` has looked)
    return reader


def _is_table(name: str) -> bool:
    """Whether a path is a metadata table in a folder of the dataset."""
    from videoprep.spec.readers import table_suffixes

    folder, _, file = name.rpartition("/")
    suffix = suffix_of(file)
    named = file[: len(file) - len(suffix)].lower() == STEM and suffix in table_suffixes()
    return named and bool(folder) and folder.count("/") < _DEPTH


def _is_list(path: Path) -> bool:
    """Whether a file begins like a table; one that is not here yet may."""
    return not os.path.isfile(path) or _reader(path).sniff(path)


def _tables(root: Path) -> list[str]:
    """The metadata tables below a folder, relative to it; one for each folder.

    Raises:
        SpecError: a folder has several.
    """
    remote = remote_of(root)
    names = list(remote.listing()) if remote is not None else list(_below(root, "", _DEPTH))
    found = sorted(name for name in names if _is_table(name) and _is_list(root / name))
    folders = Counter(os.path.dirname(name) for name in found)
    for folder, count in folders.items():
        if count > 1:
            several = [name for name in found if os.path.dirname(name) == folder]
            raise SpecError(
                f"several tables could be the list of {folder}: {', '.join(several)}",
                where=str(root),
                remedy="keep one of them, or name one with `dataset_file`",
            )
    return found


def _below(root: Path, prefix: str, depth: int) -> list[str]:
    """The tables in the folders of a folder; links are followed inside the root."""
    found: list[str] = []
    try:
        with os.scandir(root / prefix) as entries:
            here = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return []  # whoever reads the videos says so
    for entry in here:
        name = f"{prefix}{entry.name}"
        if depth and _is_folder(entry) and _stays(root, entry):
            found += _below(root, f"{name}/", depth - 1)
        elif prefix and _is_table(name) and os.path.isfile(entry.path) and _stays(root, entry):
            found.append(name)
    return found


def _stays(root: Path, entry: os.DirEntry[str]) -> bool:
    """Whether an entry lies inside the root, links followed."""
    return not entry.is_symlink() or is_inside(os.path.realpath(entry.path), os.path.realpath(root))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))
