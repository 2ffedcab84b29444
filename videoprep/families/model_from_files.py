"""Makes a model folder of single files, and of the configs and tokenizers of another folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from videoprep.errors import ModelError, nearest
from videoprep.families.contract import Family
from videoprep.families.model_folder import (
    MODEL_INDEXES,
    PART_FILES,
    ModelFolder,
    open_model,
    require_whole,
)
from videoprep.families.registry import families, family_of
from videoprep.families.single_file import SINGLE_FILE, load_single_vae, require_weights_of
from videoprep.fs.user_cache import user_cache

_WEIGHTS = (".safetensors", ".safetensors.index.json")
_PICKLES = (".pth", ".pt", ".bin", ".ckpt")


def model_from_files(
    weights: Mapping[str, str | os.PathLike[str]],
    *,
    family: str | None = None,
    model: str | os.PathLike[str] | None = None,
    revision: str | None = None,
) -> Path:
    """Return a model folder whose parts are single files, as ComfyUI and musubi-tuner keep them.

    The folder is in the user's cache, and holds links to the files and to the other parts of
    ``model``. It can be given as ``model`` to every function and command.

    Args:
        weights: for each part, such as ``vae`` or ``text_encoder``, its ``.safetensors`` file.
            Float8 weights are read, with their scales.
        family: the family, whose published configs and tokenizers are downloaded if ``model`` is
            None.
        model: a folder or hub id from which configs, tokenizers and all other parts come.
        revision: of ``model`` on the hub.

    Raises:
        ModelError: A file is missing, in pickle form, or of another model; or the family is not
            known, or not that of the model.
    """
    files = {part: _checked(part, Path(path)) for part, path in weights.items()}
    base = _base(family, None if model is None else os.fspath(model), set(files), revision)
    found = family_of(base)
    if family is not None and found.name != family:
        raise ModelError(
            f"the model is of the family {found.name!r}, and not {family!r}",
            where=base.name,
            remedy="leave out `family`, or give a model of it",
            option="family",
        )
    for part in sorted(files):
        if not (base.path / part).is_dir():
            raise ModelError(
                f"the model has no part {part!r}",
                where=base.name,
                remedy=nearest(part, [*_parts(base)], "its parts are"),
                option="weights",
            )
    folder = _assembled(base, found, files)
    for part, path in sorted(files.items()):
        _require_fits(found, ModelFolder(folder, str(folder)), part, path)
    return folder


def _checked(part: str, path: Path) -> Path:
    """The file, which exists, is no pickle, and is whole."""
    path = path.expanduser().absolute()
    if not path.is_file():
        raise ModelError(f"there is no file with the weights of {part}", where=str(path))
    if path.suffix in _PICKLES:
        raise ModelError(
            f"the weights of {part} are in pickle form, which can run code when they are read",
            where=str(path),
            remedy="take the .safetensors file of the same weights, or convert this one as "
            "docs/single-files.md shows",
        )
    require_whole(path)
    return path


def _base(
    name: str | None, model: str | None, given: set[str], revision: str | None
) -> ModelFolder:
    """What configs and tokenizers come from; of the hub only what no single file holds."""
    known = families()
    if name is not None and name not in known:
        raise ModelError(
            f"there is no family {name!r}",
            remedy=nearest(name, known, "the families are"),
            option="family",
        )
    if model is None:
        if name is None:
            raise ModelError(
                "single files need configs and a tokenizer",
                remedy="give `family`, such as `family='wan'`, or `model`, a folder or hub id",
                option="family",
            )
        model = known[name].published
        if model is None:
            raise ModelError(
                f"no configs of the family {name!r} are published under a known name",
                remedy="give `model`, a folder or hub id with the configs and tokenizers",
                option="model",
            )
    parts = {part for family in known.values() for part in family.parts}
    return open_model(model, tuple(sorted(parts)), revision, without_weights=tuple(sorted(given)))


def _parts(base: ModelFolder) -> Iterator[str]:
    """The parts of a model folder, in alphabetical order."""
    return (path.name for path in sorted(base.path.iterdir()) if path.is_dir())


def _assembled(base: ModelFolder, family: Family, files: Mapping[str, Path]) -> Path:
    """The folder in the user's cache; the same files give the same folder."""
    copies = {name: base.path / name for name in MODEL_INDEXES if (base.path / name).is_file()}
    for part in files:
        copies |= {f"{part}/{path.name}": path for path in _configs(base.path / part)}
    digest = hashlib.sha256(f"{base.path.resolve()} {sorted(files.items())}".encode())
    for name, path in sorted(copies.items()):
        digest.update(name.encode() + path.read_bytes())
    folder = user_cache() / "models" / f"{family.name}-{digest.hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        for name, path in copies.items():
            (made / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, made / name)
        for part in _parts(base):
            if part in files:
                (made / part / SINGLE_FILE).symlink_to(files[part])
            else:
                (made / part).symlink_to((base.path / part).resolve())
        if not _put(made, folder):
            shutil.rmtree(made)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder


def _put(made: Path, folder: Path) -> bool:
    """Move the folder to its place; another run may have done it, with the same contents."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        return False
    return True


def _configs(part: Path) -> list[Path]:
    """The files of a part but its weights: configs, and a tokenizer that lies with them."""
    return [
        path
        for path in sorted(part.iterdir())
        if any(path.match(one) for one in PART_FILES) and not path.name.endswith(_WEIGHTS)
    ]


def _require_fits(family: Family, model: ModelFolder, part: str, path: Path) -> None:
    """Check that the file holds this part's weights; only VAEs, which are small, are loaded."""
    import torch

    kind = model.class_of(part)
    if kind is None:
        return
    if kind.startswith("Autoencoder"):
        load_single_vae(kind, path, model.path / part, torch.float32)
    else:
        require_weights_of(path, kind, model.path / part)
