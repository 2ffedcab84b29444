"""The caption journal: nothing is lost, and the right caption is current."""

from __future__ import annotations

import json
import multiprocessing
import re
import resource
import shutil
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from tests.conftest import REPOSITORY
from tests.support.assets import write_video
from videoprep import BucketIndex, DatasetSpec, validate
from videoprep.errors import ListError, VideoprepError
from videoprep.spec.caption_journal import (
    FOLDER,
    Answer,
    CaptionJournal,
    Decision,
    Outcome,
    Position,
    Record,
    Run,
    Verdict,
    digest,
)
from videoprep.spec.current_captions import own_hash, text_hash

RUN = Run("caption", "tiny", "hash", "Describe.", {"frames": 8})
OTHER = Run("caption", "tiny", "hash", "Describe briefly.", {"frames": 8})
REFINE = Run("refine", "tiny", "hash", "Rewrite.")

CLIP = digest("clip")


def answer(text: str, *, run: Run = RUN, clip: str = CLIP, outcome: Outcome = "ok") -> Answer:
    return Answer(clip, run.id, outcome, text, raw=f"Here is: {text}")


def records(journal: CaptionJournal, at: Position | None = None) -> list[Record]:
    return [placed.record for placed in journal.read("caption", at)]


# --- The files ---


def test_what_is_written_is_read(tmp_path: Path) -> None:
    journal = CaptionJournal(tmp_path / "journal")
    written = [RUN, answer("A cat…\n\x1b[31m"), Answer(CLIP, RUN.id, "failed", reason="no answer")]
    journal.append("caption", written)
    journal.append("review", [Decision(CLIP, "edit", "A cat.")])
    assert records(journal) == written
    assert [one.record for one in journal.read("review")] == [Decision(CLIP, "edit", "A cat.")]
    assert not list(journal.read("refine"))


def test_reading_goes_on_where_it_ended(tmp_path: Path) -> None:
    journal, at = CaptionJournal(tmp_path / "journal"), Position()
    journal.append("caption", [RUN])
    assert records(journal, at) == [RUN]
    assert records(journal, at) == []
    journal.append("caption", [answer("A cat.")])
    assert [placed.line for placed in journal.read("caption", at)] == [2]


def test_a_line_that_was_cut_off_costs_that_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = CaptionJournal(tmp_path / "journal")
    journal.append("caption", [RUN, answer("one")])
    whole = journal.file("caption").read_bytes()
    journal.file("caption").write_bytes(whole[:-10])
    assert records(journal) == [RUN]  # the last line may be in the making
    journal.append("caption", [answer("two")])
    assert records(journal) == [RUN, answer("two")]
    assert "caption.jsonl:2 is no record" in caplog.text


def line(**fields: object) -> str:
    return json.dumps(fields)


KEYS = {"clip": CLIP, "run": RUN.id}


@pytest.mark.parametrize(
    "line",
    [
        "{}", "[]", "null", "no JSON", '{"type": "answer"}', '{"type": ["run"]}', "[" * 100_000,
        line(type="answer", clip="../..", run=RUN.id, outcome="ok"),
        line(type="answer", **KEYS, outcome="fine"),
        line(type="answer", **KEYS, outcome="ok", caption=1),
        line(type="answer", **KEYS, outcome="ok", caption="x" * 200_000),
        line(type="run", stage="refine", model="m", identity="i", prompt="p"),
        line(type="decision", clip=CLIP, verdict="drop"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_record_is_told_and_skipped(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    journal = CaptionJournal(tmp_path)
    journal.file("caption").write_text(line + "\n")
    journal.append("caption", [answer("one")])
    assert records(journal) == [answer("one")]
    assert "caption.jsonl:1 is no record" in caplog.text


def test_a_journal_that_leads_elsewhere_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "journal").symlink_to(tmp_path / "elsewhere")
    assert not CaptionJournal(tmp_path / "journal").exists()
    journal = CaptionJournal(tmp_path / "elsewhere")
    (tmp_path / "target").write_text("")
    journal.file("caption").symlink_to(tmp_path / "target")
    with pytest.raises(VideoprepError, match="cannot be written"):
        journal.append("caption", [RUN])
    assert (tmp_path / "target").read_text() == ""


def _append_many(folder: Path, writer: int) -> None:
    journal = CaptionJournal(folder)
    for number in range(50):
        journal.append("caption", [answer(f"{writer} {number} " + "x" * 5000)])


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=_append_many, args=(tmp_path, n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    texts = {one.caption.rpartition(" ")[0] for one in records(CaptionJournal(tmp_path))}  # type: ignore[union-attr]
    assert texts == {f"{writer} {number}" for writer in range(4) for number in range(50)}


def _append_to_full_disk(folder: Path, limit: int) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises(VideoprepError, match="cannot be written"):
        CaptionJournal(folder).append("caption", [answer("x" * 10_000)])


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    journal = CaptionJournal(tmp_path)
    journal.append("caption", [RUN])
    before = journal.file("caption").read_bytes()
    context = multiprocessing.get_context("forkserver")
    writer = context.Process(target=_append_to_full_disk, args=(tmp_path, len(before) + 4096))
    writer.start()
    writer.join()
    assert writer.exitcode == 0
    assert journal.file("caption").read_bytes() == before


def test_a_line_that_is_too_long_costs_that_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, at = CaptionJournal(tmp_path), Position()
    journal.append("caption", [RUN])
    with journal.file("caption").open("ab") as file:
        file.write(b"\0" * (9 << 20))
    assert records(journal, at) == [RUN]
    journal.append("caption", [answer("one")])
    assert records(journal, at) == [answer("one")]
    assert "caption.jsonl:2 is no record" in caplog.text
    assert journal.append("caption", [answer("two")], after=at)


def test_a_file_that_took_the_place_of_another_is_read_anew(tmp_path: Path) -> None:
    journal, at = CaptionJournal(tmp_path), Position()
    journal.append("caption", [RUN, answer("one"), answer("two")])
    assert len(records(journal, at)) == 3
    journal.file("caption").unlink()
    journal.append("caption", [RUN])
    assert records(journal, at) == [RUN]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "journal").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VideoprepError, match="a link"):
        CaptionJournal(tmp_path / "journal").append("caption", [RUN])
    assert not list((tmp_path / "elsewhere").iterdir())


# --- Which caption is current ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos; the first has a caption in a file beside it."""
    for number, name in enumerate(("a.mp4", "b.mp4")):
        write_video(tmp_path / name, lift=60 + 8 * number)
    (tmp_path / "a.txt").write_text("Own.\n")
    CaptionJournal(tmp_path / FOLDER).append("caption", [RUN])
    return tmp_path


def clips(folder: Path) -> dict[str, str]:
    states = DatasetSpec.from_path(folder).caption_states()
    return {state.sample.name: state.clip for state in states}


def write(folder: Path, *written: Record) -> None:
    journal = CaptionJournal(folder / FOLDER)
    for record in written:
        if isinstance(record, Decision):
            journal.append("review", [record])
        else:
            is_refined = record == REFINE or getattr(record, "run", "") == REFINE.id
            journal.append("refine" if is_refined else "caption", [record])


def captions(folder: Path) -> dict[str, str]:
    return {one.name: one.caption for one in DatasetSpec.from_path(folder).listing().samples}


def test_a_model_captions_what_has_no_caption(folder: Path) -> None:
    assert captions(folder) == {"a.mp4": "Own."}
    (missing,) = DatasetSpec.from_path(folder).listing().problems
    assert missing.code.value == "VP201"
    assert missing.video == "b.mp4"
    assert "videoprep caption" in missing.remedy
    write(folder, answer("Told.", clip=clips(folder)["b.mp4"]))
    listing = DatasetSpec.from_path(folder).listing()
    assert captions(folder) == {"a.mp4": "Own.", "b.mp4": "Told."}
    assert not listing.problems
    assert not listing.remarks
    told = listing.samples[1]
    assert told.origin is not None
    assert (told.origin.stage, told.origin.model, told.origin.run) == ("caption", "tiny", RUN.id)
    assert str(told.caption_source) == f"{folder / FOLDER / 'caption.jsonl'}:2"
    assert len(listing.identities) == 2


def test_answers_that_are_no_captions_are_none(folder: Path) -> None:
    write(folder, answer("I cannot", clip=clips(folder)["b.mp4"], outcome="refused"))
    assert captions(folder) == {"a.mp4": "Own."}


def test_the_run_that_began_last_is_current(folder: Path) -> None:
    clip = clips(folder)["b.mp4"]
    write(folder, answer("one", clip=clip), OTHER, answer("two", run=OTHER, clip=clip))
    assert captions(folder)["b.mp4"] == "two"
    write(folder, RUN)
    assert captions(folder)["b.mp4"] == "one"


def test_a_caption_that_a_person_writes_later_wins(folder: Path) -> None:
    clip = clips(folder)["a.mp4"]
    told = Answer(clip, RUN.id, "ok", "Told.", own=text_hash("Own."))
    write(folder, told)
    assert captions(folder)["a.mp4"] == "Told."
    (folder / "a.txt").write_text("Corrected by hand.\n")
    assert captions(folder)["a.mp4"] == "Corrected by hand."
    (folder / "a.txt").unlink()
    assert captions(folder)["a.mp4"] == "Told."


def test_an_earlier_caption_of_ones_own_has_its_answer_again(folder: Path) -> None:
    clip = clips(folder)["a.mp4"]
    for own in ("Own.", "Another."):
        write(folder, Answer(clip, RUN.id, "ok", f"Told of {own}", own=text_hash(own)))
    assert captions(folder)["a.mp4"] == "Told of Own."
    (folder / "a.txt").write_text("Another.\n")
    assert captions(folder)["a.mp4"] == "Told of Another."


def test_a_failure_is_told_until_there_is_an_answer(folder: Path) -> None:
    clip = clips(folder)["b.mp4"]

    def failure() -> str:
        states = DatasetSpec.from_path(folder).caption_states()
        return next(one.failure for one in states if one.clip == clip)

    write(folder, Answer(clip, RUN.id, "refused", reason="it declined"))
    assert failure() == "refused: it declined"
    write(folder, answer("Told.", clip=clip))
    assert failure() == ""


def test_a_refined_caption_is_that_of_one_text(folder: Path) -> None:
    clip = clips(folder)["a.mp4"]
    write(folder, REFINE, Answer(clip, REFINE.id, "ok", "Refined.", of=text_hash("Own.")))
    assert captions(folder)["a.mp4"] == "Refined."
    (folder / "a.txt").write_text("Another.\n")
    assert captions(folder)["a.mp4"] == "Another."


def test_a_persons_edit_wins_until_it_is_taken_back(folder: Path) -> None:
    clip = clips(folder)["b.mp4"]
    write(folder, answer("Told.", clip=clip), Decision(clip, "edit", "Edited."))
    write(folder, OTHER, answer("Told again.", run=OTHER, clip=clip))
    assert captions(folder)["b.mp4"] == "Edited."
    write(folder, Decision(clip, "drop"))
    listing = DatasetSpec.from_path(folder).listing()
    assert [(one.code.value, one.video) for one in listing.problems] == [("VP023", "b.mp4")]
    assert [one.name for one in DatasetSpec.from_path(folder).samples()] == ["a.mp4"]
    write(folder, Decision(clip, "keep"))
    assert captions(folder)["b.mp4"] == "Edited."
    write(folder, Decision(clip, "reset"))
    assert captions(folder)["b.mp4"] == "Told again."


def captions_of(folder: Path) -> list[tuple[str, ...]]:
    return [one.captions for one in DatasetSpec.from_path(folder).listing().samples]


def several_told(folder: Path) -> int:
    return DatasetSpec.from_path(folder).listing().reading.several_captions


@pytest.fixture
def several(folder: Path) -> Path:
    """The same, with three captions for the first video, and the other one without any file."""
    (folder / "a.txt").write_text("One.\nTwo.\nThree.\n")
    (folder / "b.mp4").unlink()
    return folder


def test_an_edit_is_of_the_first_caption_and_the_others_stay(several: Path) -> None:
    clip = clips(several)["a.mp4"]
    write(several, Decision(clip, "edit", "Edited."))
    assert captions_of(several) == [("Edited.", "Two.", "Three.")]
    (several / "a.txt").write_text("One.\nNew.\n")
    assert captions_of(several) == [("Edited.", "New.")]
    write(several, Decision(clip, "reset"))
    assert captions_of(several) == [("One.", "New.")]


def test_a_refined_text_is_of_the_first_caption_and_the_others_stay(several: Path) -> None:
    clip = clips(several)["a.mp4"]
    refined = Answer(clip, REFINE.id, "ok", "Refined.", own=text_hash("One."), of=text_hash("One."))
    write(several, REFINE, refined)
    assert captions_of(several) == [("Refined.", "Two.", "Three.")]
    (several / "a.txt").write_text("One.\nNew.\n")
    assert captions_of(several) == [("Refined.", "New.")]
    (several / "a.txt").write_text("New.\nTwo.\n")
    assert captions_of(several) == [("New.", "Two.")]


def told_of(clip: str, *own: str) -> Answer:
    """What a captioner answers about a clip whose captions of the dataset's are these."""
    return Answer(clip, RUN.id, "ok", "Told.", own=own_hash(own), own_captions=len(own))


@pytest.mark.parametrize(
    "written", ["One.\nNew.\nThree.", "One.\nTwo.", "One.", "One.\nTwo.\nThree.\nFour."]
)
def test_a_captioners_text_stands_for_all_captions_as_they_were(
    several: Path, written: str
) -> None:
    clip = clips(several)["a.mp4"]
    write(several, told_of(clip, "One.", "Two.", "Three."))
    assert captions_of(several) == [("Told.",)]
    write(several, Decision(clip, "edit", "Edited."))
    assert captions_of(several) == [("Edited.",)]
    write(several, Decision(clip, "reset"))
    (several / "a.txt").write_text(written)
    assert captions_of(several) == [tuple(written.split("\n"))]


def test_a_second_caption_that_is_written_later_wins(folder: Path) -> None:
    (folder / "b.mp4").unlink()
    write(folder, told_of(clips(folder)["a.mp4"], "Own."))
    assert captions_of(folder) == [("Told.",)]
    (folder / "a.txt").write_text("Own.\nAnother.\n")
    assert captions_of(folder) == [("Own.", "Another.")]


def test_answers_of_an_earlier_version_are_of_the_first_caption(several: Path) -> None:
    clip = clips(several)["a.mp4"]
    write(several, Answer(clip, RUN.id, "ok", "Told.", own=text_hash("One.")))
    assert captions_of(several) == [("Told.",)]
    (several / "a.txt").write_text("New.\nTwo.\nThree.\n")
    assert captions_of(several) == [("New.", "Two.", "Three.")]


def test_of_one_caption_the_hash_is_that_of_its_text() -> None:
    assert own_hash(["Own."]) == text_hash("Own.")
    assert own_hash([]) == own_hash([""]) == ""
    assert len({own_hash(["a", "b"]), own_hash(["b", "a"]), own_hash(["a"]), own_hash(["ab"])}) == 4


def test_samples_with_several_captions_are_counted_as_they_are_used(several: Path) -> None:
    clip = clips(several)["a.mp4"]
    assert several_told(several) == 1
    write(several, told_of(clip, "One.", "Two.", "Three."))
    assert several_told(several) == 0
    reading = DatasetSpec.from_path(several).listing().reading
    assert not [one for one in reading.sentences() if "several captions" in one]
    write(several, OTHER, Decision(clip, "drop"))
    assert several_told(several) == 0
    (several / "videoprep-captions/caption.jsonl").unlink()
    write(several, RUN, Decision(clip, "keep"), Decision(clip, "edit", "Edited."))
    assert several_told(several) == 1


def test_findings_on_captions_beside_an_edited_one_are_where_these_are_written(
    several: Path,
) -> None:
    (several / "a.txt").write_text("One.\n<b>Two</b>.\n")
    write(several, Decision(clips(several)["a.mp4"], "edit", "<i>Edited</i>."))
    found = validate(several, select=["VP207"]).findings
    assert {one.message.split(":")[0]: Path(one.file).name for one in found} == {
        "caption 1 of 2": "review.jsonl",
        "caption 2 of 2": "a.txt",
    }


def test_moving_and_renaming_loses_nothing(folder: Path, tmp_path: Path) -> None:
    write(folder, answer("Told.", clip=clips(folder)["b.mp4"]))
    (folder / "sub").mkdir()
    (folder / "b.mp4").rename(folder / "sub" / "other.mp4")
    assert captions(folder) == {"a.mp4": "Own.", "sub/other.mp4": "Told."}
    moved = tmp_path.with_name("moved")
    shutil.copytree(folder, moved)
    shutil.rmtree(moved / ".videoprep", ignore_errors=True)
    assert captions(moved) == {"a.mp4": "Own.", "sub/other.mp4": "Told."}


def test_ranges_of_one_video_are_clips_of_their_own(tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", frames=40)
    (tmp_path / "clips.csv").write_text(
        "video,caption,start,end\nfilm.mp4,,0,1.5\nfilm.mp4,,1.5,3\nfilm.mp4,Own.,3,4\n"
    )
    spec = DatasetSpec.from_path(tmp_path, caption_journal=FOLDER)
    first, second, third = spec.caption_states()
    assert len({first.clip, second.clip, third.clip}) == 3
    assert [state.own for state in (first, second, third)] == ["", "", "Own."]
    write(tmp_path, RUN, answer("Told.", clip=second.clip))
    listing = DatasetSpec.from_path(tmp_path).listing()
    assert [one.caption for one in listing.samples] == ["Told.", "Own."]
    assert [one.code.value for one in listing.problems] == ["VP201"]
    assert listing.total == 3


@pytest.mark.parametrize("token", ["ohwx", None])
def test_the_token_and_the_fallback_hold_for_the_journal(folder: Path, token: str | None) -> None:
    before = f"{token} " if token else ""
    spec = DatasetSpec.from_path(folder, id_token=token, caption_fallback="A clip.")
    listing = spec.listing()
    assert [one.caption for one in listing.samples] == [f"{before}Own.", f"{before}A clip."]
    assert [one.code.value for one in listing.remarks] == ["VP201"]
    write(folder, answer("Told.", clip=clips(folder)["b.mp4"]))
    listing = spec.listing()
    assert [one.caption for one in listing.samples] == [f"{before}Own.", f"{before}Told."]
    assert listing.samples[1].written == "Told."
    assert not listing.remarks


def test_the_journal_can_be_elsewhere_or_off(folder: Path) -> None:
    write(folder, answer("Told.", clip=clips(folder)["b.mp4"]))
    (folder / FOLDER).rename(folder / "mine")
    with pytest.raises(ListError, match=r"b\.mp4"):
        list(DatasetSpec.from_path(folder).samples())
    named = DatasetSpec.from_path(folder, caption_journal="mine").listing()
    assert [one.caption for one in named.samples] == ["Own.", "Told."]
    off = DatasetSpec.from_path(folder, caption_journal="").listing()
    assert [one.caption for one in off.samples] == ["Own."]


def test_plans_and_validation_read_the_journal(folder: Path) -> None:
    ids = clips(folder)
    write(folder, answer("Told.", clip=ids["b.mp4"]), Decision(ids["a.mp4"], "drop"))
    index = BucketIndex.build(folder, reshape="center-crop")
    assert [clip.caption for clip in index.clips()] == ["Told."]
    assert [(one.video, one.code) for one in index.left_out] == [("a.mp4", "VP023")]
    report = validate(folder, reshape="center-crop")
    assert ("VP023", "note") in {(one.code, one.severity.value) for one in report.findings}


def test_a_folder_of_videos_alone_is_a_dataset_once_it_has_a_journal(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4")
    spec = DatasetSpec.from_path(tmp_path, caption_journal=FOLDER)
    (state,) = spec.caption_states()
    assert not spec.listing().samples
    write(tmp_path, RUN, answer("Told.", clip=state.clip))
    assert captions(tmp_path) == {"a.mp4": "Told."}


@pytest.mark.parametrize("kind", [Run, Answer, Decision])
def test_every_field_of_a_line_is_documented(kind: type[Run | Answer | Decision]) -> None:
    page = (REPOSITORY / "docs/caption-journal.md").read_text()
    part = page.split(f'`"type": "{kind.__name__.lower()}"`')[1].split('`"type"')[0]
    cells = " ".join(re.findall(r"^\| (`.*?) \|", part, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", cells)) - {"id"} == {one.name for one in fields(kind)}


def test_every_outcome_and_verdict_is_documented() -> None:
    page = (REPOSITORY / "docs/caption-journal.md").read_text()
    for word in (*get_args(Outcome), *get_args(Verdict)):
        assert f"`{word}`" in page
