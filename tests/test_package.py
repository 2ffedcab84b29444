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
from videoprep.families.registry import families

PACKAGE = Path(videoprep.__file__).parent

LAYERS = (
    (
        *(
            "errors",
            "text",
            "failpoints",
            "gc_pause",
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
    ("pages",),
    ("store",),
    ("sources",),
    ("encoding",),
    ("exporters",),
    ("importers",),
    ("previewing",),
    ("training",),
    ("dataset_report",),
    ("demo",),
    ("cli",),
)


def _loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import videoprep",
        "import videoprep.cli.app",
        "from videoprep import validate, BucketIndex, BucketBatchSampler, DatasetSpec",
        "from videoprep.families.registry import families; families()",
        "from videoprep.validators.registry import registry; registry()",
        "from videoprep.exporters.registry import exporters; exporters()",
    ],
)
def test_planning_loads_no_torch(statement: str) -> None:
    loaded = _loaded_after(statement)
    assert not loaded & {"torch", "torchvision", "diffusers", "transformers"}


def test_bare_import_loads_next_to_nothing() -> None:
    assert not _loaded_after("import videoprep") & {"pydantic", "pyarrow", "numpy", "av", "rich"}


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


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_a_file_imports_only_from_its_own_layer_or_those_above(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    if relative.name in ("__init__.py", "__main__.py") and len(relative.parts) == 1:
        return
    own = _layer(f"videoprep.{relative.with_suffix('').as_posix().replace('/', '.')}")
    assert own is not None
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            layer = _layer(module)
            assert layer is None or layer <= own, f"{relative} imports {module}"


def test_only_the_family_knows_its_name() -> None:
    """And who is made for some families: the demo, the trainer, another trainer's format."""
    names = set(families())
    for path in PACKAGE.rglob("*.py"):
        if (
            path.parent.name in ("families", "demo", "exporters", "importers")
            or path.name == "cogvideox.py"
        ):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        strings = {value for value in constants if isinstance(value, str)}
        assert not strings & names, path


def test_the_engine_knows_nothing_of_videos() -> None:
    """Neither by imports, which the layers see to, nor in its words."""
    words = re.compile(r"(?i)(clip|video(?!prep)|caption|latent|pixel|encod(?!e\())")
    for path in (PACKAGE / "engine").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert words.findall(text) == [], path


def test_class_names_are_unique() -> None:
    """A name that a traceback or a message shows leads to one class."""
    homes: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


def _imports_of(path: Path) -> set[str]:
    """Modules of the package that a file imports at its top; those for type checkers are not."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_imports_run_in_a_circle() -> None:
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("videoprep", *path.relative_to(PACKAGE).with_suffix("").parts)
        modules[".".join(parts).removesuffix(".__init__")] = path
    graph = {
        name: {one for one in _imports_of(path) & modules.keys() if one != name}
        for name, path in modules.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
