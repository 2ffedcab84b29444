"""Current captions that are given away: what is written reads as the same captions again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.numbered import write_numbered
from videoprep import DatasetSpec
from videoprep.captions.writing import write_captions
from videoprep.spec.caption_journal import Decision

FILES = {"csv": "list.csv", "jsonl": "list.jsonl", "sidecar": "."}


@pytest.mark.parametrize("form", FILES)
def test_several_captions_are_written_as_several(tmp_path: Path, form: str) -> None:
    folder, other = tmp_path / "dataset", tmp_path / "other"
    folder.mkdir()
    for number, text in enumerate(['One.\nTwo, with a "quote".\nThree.', "Alone."]):
        write_numbered(folder / f"{number}.mp4", 5 + number)
        (folder / f"{number}.txt").write_text(text)
    spec = DatasetSpec.from_path(folder)
    first = spec.caption_states()[0]
    spec.journal.append("review", [Decision(first.clip, "edit", "Edited\nhere.")])
    written = write_captions(spec, form, other / FILES[form])  # type: ignore[arg-type]
    assert written.captions == 4
    for video in folder.glob("*.mp4"):
        shutil.copy(video, other)
    edited = "Edited here." if form == "sidecar" else "Edited\nhere."
    read = DatasetSpec.from_path(other).listing().samples
    assert [sample.captions for sample in read] == [
        (edited, 'Two, with a "quote".', "Three."),
        ("Alone.",),
    ]
