"""The package as a whole: lazy imports, layers, one-way dependencies."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import videoprep
from tests.support.package_source import PACKAGE, modules, nodes
from videoprep.families.registry import families

LAYERS = (
    (
        *(
            "errors",
            "text",
            "failpoints",
            "gc_pause",
            "library_logging",
            "device",
            "options",
            "shell",
            "failure_reasons",
        ),
    ),
    ("fs",),
    ("workers",),
    ("engine",),
    ("progress", "live_output"),
    ("spec",),
    ("media",),
    ("families",),
    ("index",),
    ("validators",),
    ("scenes",),
    ("captions",),
    ("pages",),
    ("store",),
    ("sources",),
    ("encoding",),
    ("exporters",),
    ("importers",),
    ("previewing",),
    ("training",),
    ("dataset_report",),
    ("review",),
    ("demo",),
    ("cli",),
)


_PLANNING = (
    "import videoprep",
    "import videoprep.cli.app",
    "from videoprep import validate, BucketIndex, BucketBatchSampler, DatasetSpec",
    "from videoprep.families.registry import families; families()",
    "from videoprep.validators.registry import registry; registry()",
    "from videoprep.exporters.registry import exporters; exporters()",
)


def test_planning_loads_no_torch_and_a_bare_import_next_to_nothing() -> None:
    code = "\n".join(["import sys", *(f"{line}\nprint(*sys.modules)" for line in _PLANNING)])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = [set(line.split()) for line in done.stdout.splitlines()]
    assert not loaded[0] & {"pydantic", "pyarrow", "numpy", "av", "rich"}
    for statement, names in zip(_PLANNING, loaded, strict=True):
        assert not names & {"torch", "torchvision", "diffusers", "transformers"}, statement


@pytest.mark.heavy
def test_every_public_name_is_there() -> None:
    for name in videoprep.__all__:
        assert getattr(videoprep, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = videoprep.nonsense


@pytest.mark.heavy
def test_public_functions_are_not_hidden_by_packages() -> None:
    import videoprep.dataset_report.run
    import videoprep.encoding.run
    import videoprep.previewing.run
    import videoprep.training.run
    import videoprep.validators.engine

    assert videoprep.encode is videoprep.encoding.run.encode
    assert videoprep.preview is videoprep.previewing.run.preview
    assert videoprep.report is videoprep.dataset_report.run.report
    assert videoprep.train is videoprep.training.run.train
    assert videoprep.validate is videoprep.validators.engine.validate


def _layer(module: str) -> int | None:
    parts = module.split(".")
    if parts[0] != "videoprep" or len(parts) == 1:
        return None
    return next(n for n, names in enumerate(LAYERS) if parts[1] in names)


def test_a_file_imports_only_from_its_own_layer_or_those_above() -> None:
    wrong = []
    for path, found in nodes().items():
        if path in ("__init__.py", "__main__.py"):
            continue
        own = _layer(f"videoprep.{path.removesuffix('.py').replace('/', '.')}")
        assert own is not None, path
        imported = [name for node in found for name in _imported(node)]
        layers = {name: _layer(name) for name in imported}
        wrong += [f"{path} imports {name}" for name, at in layers.items() if at and at > own]
    assert wrong == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def test_only_the_family_knows_its_name() -> None:
    """And who is made for some families: the demo, the trainer, another trainer's format."""
    names = set(families())
    for path, found in nodes().items():
        file = Path(path)
        if (
            file.parent.name in ("families", "demo", "exporters", "importers", "configs")
            or file.name == "cogvideox.py"
        ):
            continue
        constants = [node.value for node in found if isinstance(node, ast.Constant)]
        strings = {value for value in constants if isinstance(value, str)}
        assert not strings & names, path


def test_names_of_components_are_only_where_data_are_made_or_handed_on() -> None:
    name = re.compile(r'"[a-z_]*_(latents|embeds)"')
    allowed = ("families/", "exporters/", "importers/", "training/", "demo/", "spec/configs/")
    found = {
        path: hits
        for path in modules()
        if not path.startswith(allowed)
        and (hits := [one.group() for one in name.finditer((PACKAGE / path).read_text("utf-8"))])
    }
    assert found == {}


def test_the_engine_knows_nothing_of_videos() -> None:
    """Neither by imports, which the layers see to, nor in its words."""
    words = re.compile(r"(?i)(clip|video(?!prep)|caption|latent|pixel|encod(?!e\())")
    for path in (PACKAGE / "engine").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert words.findall(text) == [], path


def test_class_names_are_unique() -> None:
    """A name that a traceback or a message shows leads to one class."""
    homes: dict[str, list[str]] = {}
    for path, found in nodes().items():
        for node in found:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(path)
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def _imports_of(module: ast.Module) -> set[str]:
    """Modules of the package that a file imports at its top; those for type checkers are not."""
    found = set()
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_imports_run_in_a_circle() -> None:
    named = {
        ".".join(("videoprep", *Path(path).with_suffix("").parts)).removesuffix(".__init__"): tree
        for path, tree in modules().items()
    }
    graph = {
        name: {one for one in _imports_of(tree) & named.keys() if one != name}
        for name, tree in named.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
