"""How a run of the caption journal was asked for, so that the same can be asked again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videoprep.captions.http_client import ServerAddress
from videoprep.captions.options import BackendOptions, CaptionOptions
from videoprep.captions.prompts import preset_of
from videoprep.captions.refine_options import RefineOptions
from videoprep.captions.refine_prompts import PROMPTS
from videoprep.errors import VideoprepError
from videoprep.spec.caption_journal import Run, digest

_MODELS: Mapping[str, type[BackendOptions]] = {"caption": CaptionOptions, "refine": RefineOptions}

# Which clips are asked about is no part of the way of asking.
_WHICH = frozenset({"only", "limit"})
_SHOWN = 8


def options_of(options: BackendOptions) -> dict[str, Any]:
    """Return the options that a run keeps: those that differ from their defaults.

    The server is in the run's identity, as an address without a key.
    """
    return options.model_dump(
        mode="json", exclude_defaults=True, exclude={*_WHICH, "endpoint", "all_clips"}
    )


def options_again(run: Run) -> dict[str, Any]:
    """Return the options that ask in the same way as a run.

    A journal may come from elsewhere. A server on another machine is not named, for frames would
    go there: its address is for the user to fill in, and so is a model that the journal lacks.
    """
    model = _MODELS[run.stage]
    kept = {name: run.options[name] for name in run.options if name in model.model_fields}
    try:
        given: dict[str, Any] = options_of(model(**kept))
    except ValueError:  # not as this package writes them
        given = {}
    if "model" in given or "captioner" in given:
        return given
    return {**_backend(run), **given}


def _backend(run: Run) -> dict[str, str]:
    address = run.identity.partition(" ")[0]
    if "://" not in address:
        return {"model": "MODEL"}
    try:
        is_here = ServerAddress.parse(address).is_here
    except VideoprepError:
        is_here = False
    return {"endpoint": address if is_here else "URL"}


def prompt_name(run: Run) -> str:
    """Return the name of a run's prompt: of the preset, or of the file with a hash of its text."""
    if run.stage == "caption":
        preset: str | None = preset_of(run.prompt)
    else:
        preset = next((mode for mode, text in PROMPTS.items() if text == run.prompt), None)
    if preset is not None:
        return preset
    file = run.options.get("prompt")
    name = Path(file).name if isinstance(file, str) else "a prompt"
    return f"{name} ({digest(run.prompt)[:_SHOWN]})"
