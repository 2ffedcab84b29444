"""What `caption_status` counts: samples by who wrote their captions, clips by what is stale."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.assets import write_video
from videoprep import DatasetSpec
from videoprep.captions.refine_selection import find_refinable
from videoprep.captions.selection import find_candidates
from videoprep.captions.status import CaptionRunStatus, CaptionStatus, caption_status
from videoprep.spec.caption_journal import (
    FOLDER,
    Answer,
    CaptionJournal,
    Decision,
    Outcome,
    Placed,
    Record,
    Run,
    Stage,
)
from videoprep.spec.current_captions import text_hash

OLD = Run("caption", "tiny", "hash", "Describe.")
NEW = Run("caption", "tiny", "hash", "Describe it.")
REFINE = Run("refine", "small", "other", "Rewrite.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three videos, and a copy of the first; only the last has a caption of its own."""
    for number, name in enumerate("abc"):
        write_video(tmp_path / f"{name}.mp4", lift=60 + 8 * number)
    shutil.copy(tmp_path / "a.mp4", tmp_path / "copy.mp4")
    (tmp_path / "c.txt").write_text("Own.\n")
    return tmp_path


def spec_of(folder: Path) -> DatasetSpec:
    return DatasetSpec.from_path(folder, caption_journal=FOLDER)


def clips(folder: Path) -> dict[str, str]:
    return {one.sample.name[:-4]: one.clip for one in spec_of(folder).caption_states()}


def write(folder: Path, stage: Stage, *records: Record) -> None:
    CaptionJournal(folder / FOLDER).append(stage, records)


def told(clip: str, text: str, run: Run = OLD, outcome: Outcome = "ok", **more: str) -> Answer:
    return Answer(clip, run.id, outcome, text if outcome == "ok" else "", **more)


def by_run(status: CaptionStatus) -> dict[str, CaptionRunStatus]:
    return {one.run: one for one in status.runs}


def require_sums(folder: Path, status: CaptionStatus) -> None:
    """What is stale is what the commands would ask about, and what the runs' counts say."""
    assert sum(status.writers.values()) + status.dropped == status.samples
    runs = [one for one in status.runs if one.stage == "caption"]
    assert status.stale == sum(one.current for one in runs if one.differs)
    states = spec_of(folder).caption_states()
    last = next((one.run for one in runs if not one.differs), "")
    assert status.stale == len(find_candidates(states, last, only="stale").states)
    lacking = {one.clip for one in find_refinable(states, "", "missing").states}
    assert status.stale_refined <= len(lacking)


def test_each_file_of_the_journal_is_read_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "caption", OLD, told(clips(folder)["a"], "A cat."))
    write(folder, "refine", REFINE)
    read: list[Stage] = []
    real = CaptionJournal.read

    def counted(journal: CaptionJournal, stage: Stage, *more: Any) -> Iterator[Placed]:
        read.append(stage)
        return real(journal, stage, *more)

    monkeypatch.setattr(CaptionJournal, "read", counted)
    assert caption_status(spec_of(folder)).writers == {"caption": 2, "none": 1, "dataset": 1}
    assert sorted(read) == ["caption", "refine", "review"]


def test_copies_are_samples_and_one_clip(folder: Path) -> None:
    keys = clips(folder)
    write(folder, "caption", OLD, told(keys["a"], "A cat."), told(keys["b"], "A dog."), NEW)
    status = caption_status(spec_of(folder))
    assert (status.samples, status.writers) == (4, {"caption": 3, "dataset": 1})
    assert status.stale == 2
    old = by_run(status)[OLD.id]
    assert (old.answered, old.current) == (2, 2)
    require_sums(folder, status)


def test_an_edit_is_current_and_what_it_replaced_is_not(folder: Path) -> None:
    keys = clips(folder)
    refined = told(keys["b"], "A big dog.", REFINE, of=text_hash("A dog."))
    write(folder, "caption", OLD, told(keys["a"], "A cat."), told(keys["b"], "A dog."), NEW)
    write(folder, "refine", REFINE, refined)
    runs = by_run(caption_status(spec_of(folder)))
    assert (runs[OLD.id].current, runs[REFINE.id].current) == (2, 1)
    write(folder, "review", *(Decision(keys[name], "edit", "Mine.") for name in "ab"))
    status = caption_status(spec_of(folder))
    assert status.writers == {"review": 3, "dataset": 1}
    runs = by_run(status)
    assert (runs[OLD.id].answered, runs[OLD.id].current, runs[REFINE.id].current) == (2, 0, 0)
    assert (status.stale, status.stale_refined, status.ok) == (0, 0, True)
    require_sums(folder, status)


def test_a_refined_text_is_stale_once_its_source_has_changed(folder: Path) -> None:
    keys = clips(folder)
    write(folder, "caption", OLD, told(keys["a"], "A cat."))
    write(folder, "refine", REFINE, told(keys["a"], "A big cat.", REFINE, of=text_hash("A cat.")))
    assert caption_status(spec_of(folder)).stale_refined == 0
    write(folder, "caption", NEW, told(keys["a"], "A tom.", NEW))
    status = caption_status(spec_of(folder))
    assert status.stale_refined == 1  # though a copy has the same text
    require_sums(folder, status)
    write(folder, "refine", told(keys["a"], "A big tom.", REFINE, of=text_hash("A tom.")))
    assert caption_status(spec_of(folder)).stale_refined == 0


def test_what_cannot_be_refined_again_is_not_stale_for_ever(folder: Path) -> None:
    """A clip that lost its caption, and a copy with another text: nobody would ask about them."""
    keys = clips(folder)
    write(folder, "caption", OLD)
    write(folder, "refine", REFINE, told(keys["b"], "A dog.", REFINE, of=text_hash("dog")))
    write(folder, "refine", told(keys["a"], "A big cat.", REFINE, of=text_hash("a cat")))
    (folder / "a.txt").write_text("a cat\n")
    (folder / "copy.txt").write_text("another cat\n")
    status = caption_status(spec_of(folder))
    assert status.writers == {"refine": 1, "none": 1, "dataset": 2}
    assert status.stale_refined == 0
    require_sums(folder, status)


def test_failures_are_those_that_are_left(folder: Path) -> None:
    keys = clips(folder)
    refused = [told(keys[name], "", outcome="refused", reason="no") for name in "ab"]
    write(folder, "caption", OLD, *refused, told(keys["b"], "A dog."))
    (run,) = caption_status(spec_of(folder)).runs
    (failure,) = run.failures
    assert (failure.outcome, failure.reason, failure.clips) == ("refused", "no", 1)
    # A clip that was asked about anew, in another context, still has its earlier caption.
    write(folder, "caption", told(keys["b"], "", outcome="failed", reason="gone"))
    (run,) = caption_status(spec_of(folder)).runs
    assert (run.answered, run.current, len(run.failures)) == (1, 1, 2)
