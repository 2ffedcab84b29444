"""Whether a store's latents and embeddings are those that a model's own encoders would give."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import ModelError, TrainError
from videoprep.families.component import Component, roles_read
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, family_of
from videoprep.store.layout import StoreInfo


def require_same_encoders(info: StoreInfo, model: ModelFolder, store: str) -> None:
    """Check that VAE and text encoder of a model are those that made a store.

    The transformer may be any of the family: that is what is trained. Of the other parts those that
    the folder has are compared, by their files; those that are missing cannot be. A model of the
    same name and revision is taken for the same, so that no weights are read again.

    Args:
        info: what the store says.
        model: to be trained.
        store: path or URL, for the message.

    Raises:
        TrainError: they are others; it names each part that differs.
    """
    if (model.name, model.revision) == (info.model, info.revision):
        return
    family = family_of(model)
    wrong = [*_facts(info, family, model), *dict.fromkeys(_parts(info, family, model))]
    if wrong:
        raise TrainError(
            f"the store was encoded with another model, {info.model}: {'; '.join(wrong)}",
            where=store,
            remedy=f"train {info.model} or a model with the same VAE and text encoder, or encode "
            f"the dataset with {model.name}",
            option="model",
        )


def _facts(info: StoreInfo, family: Family, model: ModelFolder) -> Iterator[str]:
    """How latents have to be used, where that differs."""
    if not _has(model, "vae"):
        return
    for name, value in family.facts(model).items():
        stored = info.facts.get(name, value)
        if stored != value:
            yield f"{name.replace('_', ' ')} is {stored!r} in the store and {value!r} in the model"


def _parts(info: StoreInfo, family: Family, model: ModelFolder) -> Iterator[str]:
    """Parts that the model has and that did not make the store."""
    roles = roles_read(recipe.fields for recipe in info.recipes.values())
    specs = components_of(family, model, roles)
    for component, recipe in info.recipes.items():
        if component not in specs:
            continue
        part = specs[component].part
        if not _has(model, part) or part not in recipe.fields:
            continue
        for name, value in _identity(family, model, specs[component].declared).items():
            if recipe.fields.get(name, value) != value:
                yield f"its {name.replace('_', ' ')} differs"


def _identity(family: Family, model: ModelFolder, component: Component) -> dict[str, object]:
    try:
        return dict(family.identity(model, component))
    except (ModelError, OSError):  # a part without weights, or a tokenizer that is not there
        return {}


def _has(model: ModelFolder, part: str) -> bool:
    return (model.path / part / "config.json").is_file()
