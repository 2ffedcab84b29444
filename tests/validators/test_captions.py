"""Captions of models and of people in whole datasets: what `validate` says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import videoprep as vp
from tests.support.assets import write_video
from videoprep.captions.cleaning import clean
from videoprep.spec.caption_journal import FOLDER, Answer, CaptionJournal, Run
from videoprep.validators.protocol import Severity

RUN = Run("caption", "tiny-vl", "hash", "Describe.")
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four videos of four contents; the last stands still."""
    for number, name in enumerate(NAMES):
        write_video(tmp_path / f"{name}.mp4", lift=20 * number, grey=90 if name == "d" else None)
    return tmp_path


def listed(folder: Path, *captions: str) -> Path:
    rows = [
        {"video": f"{name}.mp4", "caption": text}
        for name, text in zip(NAMES, captions, strict=False)
    ]
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_people_wrote_is_looked_at_like_what_models_wrote(folder: Path) -> None:
    path = listed(
        folder,
        "A cat sleeps on a red sofa.",
        "I'm sorry, but I can't describe this video.",
        "In the first frame, a man waits. There is no text.",
        "Here is a caption: " + "the man walks " * 9 + "along the",
    )
    report = vp.validate(path, select=["VP2"])
    assert {(found.line, found.code) for found in report.findings} == {
        (2, "VP211"),
        (3, "VP213"),
        (3, "VP214"),
        (4, "VP210"),
        (4, "VP212"),
        (4, "VP216"),
    }
    assert not report.ok
    assert [f.code for f in report.findings if f.severity is Severity.ERROR] == ["VP211"]
    assert report.clean == 1


def test_what_cleaning_leaves_of_answers_has_no_findings(folder: Path) -> None:
    answers = (
        '<think>A cat?</think>```json\n{"caption": "The video shows a cat on a red sofa."}\n```',
        "Sure! Here is a caption for the video:\n\n**A dog** runs along a beach.",
        "\x1b[31mA man\x1b[0m walks his dog. <b>It</b> barks &amp; jumps. It runs towards the",
        "- A train passes.\n- A flag waves.\n\nLet me know if you need more.",
    )
    raw = vp.validate(listed(folder, *answers), select=["VP2"])
    assert len({found.line for found in raw.findings}) == 4
    cleaned = [clean(answer, cut_off=answer.endswith("the")).text for answer in answers]
    report = vp.validate(listed(folder, *cleaned), select=["VP2"])
    assert report.findings == ()


def test_one_answer_for_all_names_the_model_and_the_run(folder: Path) -> None:
    for name in NAMES:
        (folder / f"{name}.txt").write_text("")
    journal = CaptionJournal(folder / FOLDER)
    journal.append("caption", [RUN])
    clips = [state.clip for state in vp.DatasetSpec.from_path(folder).caption_states()]
    answers = [Answer(clip, RUN.id, "ok", "A cat sleeps on a sofa.") for clip in clips]
    journal.append("caption", answers)
    report = vp.validate(folder, select=["VP204"])
    assert [found.severity for found in report.findings] == [Severity.WARNING] * 3
    said = f"; 4 samples have it; tiny-vl in run {RUN.id} wrote it for 4 clips"
    assert all(found.message.endswith(said) for found in report.findings)
    assert report.findings[0].file.endswith("caption.jsonl")


def test_motion_words_on_a_still_clip(folder: Path) -> None:
    path = listed(folder, *["A man is running along a beach."] * 4)
    assert "VP217" not in vp.validate(path, select=["VP2"]).by_code
    (found,) = vp.validate(path, select=["motion-on-still"]).findings
    assert found.video == "d.mp4"
    assert "says 'running', but 8 of 8 frames do not move" in found.message


def test_hostile_captions_cost_no_more_than_their_findings(folder: Path) -> None:
    path = listed(
        folder,
        "no frame of the video: " * 4500,
        "\x1b[31m\u202e</think>" * 5000,
        '{"caption": "' * 8000,
        "“" * 100_000,
    )
    report = vp.validate(path, select=["VP2"])
    assert report.total == 4
    assert "VP903" not in report.by_code
    assert {"VP205", "VP210", "VP212"} <= set(report.by_code)
    assert all(len(found.message) < 300 for found in report.findings)
    assert all(found.message.isprintable() for found in report.findings)
