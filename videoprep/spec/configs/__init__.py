"""Dataset configs of other trainers: one file each, found because it lies here.

A module of this package that defines ``CONFIG`` adds a trainer.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from videoprep.errors import SpecError, VideoprepError
from videoprep.fs.mirror import remote_of
from videoprep.spec.configs.contract import ConfigReader
from videoprep.spec.configs.parsed_file import LARGEST, SUFFIXES, ParsedFile, parse


@cache
def config_readers() -> Mapping[str, ConfigReader]:
    """Return the readers of all trainers' configs by the trainer's name."""
    found: dict[str, ConfigReader] = {}
    for module in pkgutil.iter_modules(__path__):
        reader = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CONFIG", None)
        if isinstance(reader, ConfigReader):
            found[reader.trainer] = reader
    return dict(sorted(found.items()))


def trainer_config(path: Path) -> tuple[ConfigReader, ParsedFile] | None:
    """Return a trainer's config at a path, and who reads it; None if the path is something else.

    Only a file that the user has named is one: none is looked for in a folder.

    Raises:
        SpecError: it is TOML, which only configs of trainers are, and cannot be read; or it is of
            no known trainer.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or remote_of(path) is not None or not path.is_file():
        return None
    alone = suffix == ".toml"  # in which nothing else is written that videoprep reads
    if not alone and path.stat().st_size > LARGEST:
        return None
    try:
        parsed = parse(path)
    except VideoprepError:
        if alone:
            raise
        return None  # whoever reads it as something else says what is wrong
    for reader in config_readers().values():
        if reader.sniff(parsed.data):
            return reader, parsed
    if alone:
        raise SpecError(
            "no known trainer has such a dataset config",
            where=str(path),
            remedy=f"give a config of {_listed(config_readers())}, or a dataset",
        )
    return None


def _listed(names: Mapping[str, ConfigReader]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"
