"""The notebooks: run from the first cell to the last, in a kernel with an event loop of its own."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from PIL import Image

from tests.conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "examples/from_folder_to_lora.ipynb"
FROM_FOOTAGE = REPOSITORY / "examples/from_footage_to_store.ipynb"

Executed = dict[str, Any]
"""The code cells of a notebook by id, with their outputs."""


def _execute(path: Path, folder: Path) -> Executed:
    """Run a notebook; a cell that fails is an error here."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=place).execute()
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return _execute(NOTEBOOK, tmp_path_factory.mktemp("notebook"))


@pytest.fixture(scope="module")
def from_footage(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return _execute(FROM_FOOTAGE, tmp_path_factory.mktemp("from-footage"))


def _shown(cell: Any, kind: str) -> str:
    """What a cell shows as its result, in that form."""
    results = [output for output in cell.outputs if output.output_type == "execute_result"]
    return results[-1]["data"][kind]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("validate", "12 of 12 samples are clean"),
        ("index", "<td>9×64×96</td><td>3</td>"),
        ("encode", "12 of 12 clips are complete"),
        ("dataset", "12 clips in 4 buckets"),
        ("report", "12 encoded"),
        ("report", "<iframe srcdoc="),
        ("train", "<th>loss after</th>"),
    ],
)
def test_results_are_rendered_inline(executed: Executed, cell: str, says: str) -> None:
    assert says in _shown(executed[cell], "text/html")


def _picture(cell: Any, kind: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(_shown(cell, kind))))


def test_the_preview_is_shown_inline(executed: Executed) -> None:
    sheet = _picture(executed["preview"], "image/png")
    assert sheet.width > 96
    assert len(set(sheet.convert("RGB").getdata())) > 100
    assert "3 of 12 clips decoded" in _shown(executed["preview"], "text/plain")


def test_what_the_lora_makes_moves(executed: Executed) -> None:
    moving = _picture(executed["use"], "image/gif")
    assert moving.size == (96, 64)
    assert moving.n_frames > 1


def test_progress_is_one_panel_and_no_cell_complains(executed: Executed) -> None:
    drawn = [output for output in executed["encode"].outputs if output.output_type != "stream"]
    assert [output.output_type for output in drawn] == ["display_data", "execute_result"]
    assert "Done" in drawn[0]["data"]["text/plain"]
    for name, cell in executed.items():
        errors = [output.text for output in cell.outputs if output.get("name") == "stderr"]
        assert errors == [], name


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("split", "2 films, 26.7 s\n8 clips, "),
        ("caption", "8 of 8 clips captioned"),
        ("captions", "A red ball rolls from left to right above a grassy field at noon."),
    ],
)
def test_films_are_split_and_clips_captioned(from_footage: Executed, cell: str, says: str) -> None:
    told = "".join(output.get("text", "") for output in from_footage[cell].outputs)
    assert says in told


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("validate", "8 of 8 samples are clean"),
        ("encode", "8 of 8 clips are complete"),
        ("dataset", "8 clips in 2 buckets"),
    ],
)
def test_what_was_captioned_is_encoded(from_footage: Executed, cell: str, says: str) -> None:
    assert says in _shown(from_footage[cell], "text/html")


def test_no_cell_on_footage_complains(from_footage: Executed) -> None:
    for name, cell in from_footage.items():
        errors = [output.text for output in cell.outputs if output.get("name") == "stderr"]
        assert errors == [], name


@pytest.mark.parametrize("path", [NOTEBOOK, FROM_FOOTAGE], ids=lambda path: path.stem)
def test_it_is_kept_without_outputs_and_with_ids_that_stay(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.id.replace("-", "").isalpha()
        assert "outputs" not in cell or (not cell.outputs and cell.execution_count is None)
    words = Path(NOTEBOOK).read_text(encoding="utf-8")
    assert "/work/" not in words
    assert "/home/" not in words
