"""Captioning as a task: nothing is lost and nothing asked twice, whatever happens to it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import need
from tests.support.assets import spoil_video
from tests.support.captioning import Captioning, write_films, write_ranges
from tests.support.numbered import write_numbered
from tests.support.scripted_server import (
    ChatQuestion,
    ScriptedReply,
    ScriptedServer,
    caption_of,
    describe,
    error_reply,
    failing,
    slow,
    thinking,
)
from tests.support.small_store import wait_until
from tests.support.warm import Warm
from videoprep import BucketIndex, DatasetSpec
from videoprep.captions.captioning import made_of
from videoprep.captions.protocol import CaptionFailure, CaptionReply
from videoprep.captions.selection import asked_clip
from videoprep.captions.task import AskedClip, AskedClips, ClipAnswer, choose_clips
from videoprep.spec.caption_journal import Answer, CaptionJournal, Decision, Outcome, Run, digest
from videoprep.spec.current_captions import own_hash, text_hash

_CLIP = re.compile(r"numbered (\S+)")


@pytest.fixture
def films(warm: Warm, tmp_path: Path) -> Iterator[Captioning]:
    """Six videos without captions."""
    with ScriptedServer() as server:
        yield Captioning(warm, write_films(tmp_path / "films", 6), server)
        server.release()
        warm.end_all()


@pytest.fixture
def ranges(warm: Warm, tmp_path: Path) -> Iterator[Captioning]:
    """Sixty ranges of one video without captions."""
    folder = tmp_path / "ranges"
    folder.mkdir()
    with ScriptedServer() as server:
        yield Captioning(warm, write_ranges(folder, 60), server)
        server.release()
        warm.end_all()


def asked_in(captioning: Captioning) -> Counter[str]:
    """How often each clip has an answer in the journal."""
    found = [_CLIP.search(one.caption) for one in captioning.answers()]
    return Counter(one[1] for one in found if one)


# --- From videos to captions ---


def test_a_folder_of_videos_becomes_a_dataset(films: Captioning) -> None:
    films.server.script = thinking
    told = films.finish()
    assert (told["captioned"], told["model"], told["ok"]) == (6, "tiny-vl", True)
    films.require_once()
    spec = DatasetSpec.from_path(films.dataset)
    captions = {sample.name: sample.written for sample in spec.samples()}
    assert len(captions) == 6
    assert all(text.startswith("A grey ball numbered") for text in captions.values())
    answer = films.answers()[0]
    assert "<think>" in answer.raw
    assert "thinking" in answer.cleaning
    assert len(answer.frames) == 3
    assert (answer.prompt_tokens, answer.outcome) == (310, "ok")
    (run,) = films.runs()
    assert run.settings["shown"] == {"frames": 3, "long_side": 448, "window": 60.0}
    assert len(BucketIndex.build(films.dataset, reshape="center-crop")) == 6


def test_ranges_without_captions_are_asked_about_one_by_one(ranges: Captioning) -> None:
    told = ranges.finish("--context-column", "title", "--limit", "8")
    assert (told["captioned"], told["limited"]) == (8, 52)
    ranges.require_once()
    assert set(ranges.server.asked()) == {f"c{number:03}" for number in range(8)}
    for question in ranges.server.questions:
        assert "This is known about the clip" in question.text
        assert len(question.pictures) == 3
    assert ranges.finish("--context-column", "title")["captioned"] == 52
    ranges.require_once()
    assert ranges.captions()["film.mp4 8.0"] == caption_of("c002")


def test_what_a_clip_is_said_to_be_is_a_part_of_the_question(ranges: Captioning) -> None:
    options = ("--context-column", "title", "--limit", "3")
    ranges.finish(*options)
    table = ranges.dataset / "clips.csv"
    table.write_text(table.read_text().replace("clip=c001", "clip=another"))
    assert ranges.finish(*options, "--all")["captioned"] == 3
    assert ranges.server.asked()["another"] == 1
    assert sum(ranges.server.asked().values()) == 6


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (ScriptedReply("A cat sits. A do", "length"), "cut_off"),
        (ScriptedReply("A cat.", "content_filter"), "blocked"),
        (ScriptedReply("I'm sorry, but I cannot describe this video."), "refused"),
        (ScriptedReply("  "), "empty"),
        (ScriptedReply('{"caption": '), "malformed"),
        (ScriptedReply("cat " * 25_000), "malformed"),
        (error_reply(400, "no"), "failed"),
    ],
)
def test_an_answer_without_a_caption_is_recorded(
    films: Captioning, answer: ScriptedReply, outcome: Outcome
) -> None:
    films.finish("--limit", "1")
    films.server.script = lambda question: answer if question.number == 3 else describe(question)
    told = films.finish("--concurrency", "1", code=1)
    assert (told["captioned"], told["failed"]) == (4, {outcome: 1})
    (failure,) = told["failures"]
    assert failure["reason"]
    assert not films.answers()[3].caption
    films.server.script = describe
    assert films.finish()["answered"] == {"ok": 5, outcome: 1}
    assert films.finish("--only", "failed")["captioned"] == 1
    assert films.finish("--retry-failed")["captioned"] == 0


def test_a_hostile_answer_is_cleaned(films: Captioning) -> None:
    text = "\x1b[31mA <b>cat</b>\x07 &amp; <script>alert(1)</script>a dog.\u202e"
    films.server.script = lambda _: ScriptedReply(text)
    films.finish()
    assert {one.caption for one in films.answers()} == {"A cat & a dog."}
    message = {"content": "A cat. \ud800"}  # a lone surrogate, which no file can hold
    completion = json.dumps({"choices": [{"message": message}]}).encode()
    films.server.script = lambda _: ScriptedReply(raw=completion)
    assert films.finish("--preset", "short")["captioned"] == 6
    assert films.finish("--preset", "short")["answered"] == {"ok": 6}


def test_a_structured_answer_keeps_its_fields(films: Captioning) -> None:
    fields = {"subjects": ["a cat"], "camera": "static", "caption": "A cat sits on a roof."}
    films.server.script = lambda _: ScriptedReply(json.dumps(fields))
    films.finish("--preset", "structured", "--trigger", "sks")
    assert {one.caption for one in films.answers()} == {"sks A cat sits on a roof."}
    assert films.answers()[0].fields == fields
    assert "response_format" in films.server.questions[0].body


def test_long_clips_are_asked_about_in_windows(films: Captioning) -> None:
    told = films.finish("--window", "0.2", "--limit", "6")
    assert told["captioned"] == 6
    windows = sum(-(-(5 + number) // 5) for number in range(6))  # five frames each
    assert len(films.server.questions) == windows
    assert films.captions()["film05.mp4 None"].count("A grey ball") == 2


def test_replies_are_fused_in_order() -> None:
    replies = [CaptionReply("A cat.", seconds=1.0), CaptionReply("A dog.", seconds=2.0)]
    made = made_of(replies, (0.0, 1.0), "sks")
    assert made == ClipAnswer(
        "ok", "sks A cat. A dog.", "A cat.\n\nA dog.", "", (0.0, 1.0), (), {}, None, None, 3.0
    )
    made = made_of([replies[0], CaptionReply("A do", "length")], ())
    assert (made.outcome, made.caption, made.raw) == ("cut_off", "", "A cat.\n\nA do")
    made = made_of([replies[0], CaptionFailure("gone")], ())
    assert (made.outcome, made.caption, made.reason) == ("failed", "", "gone")


def test_a_video_that_cannot_be_read_fails_alone(films: Captioning) -> None:
    (films.dataset / "broken.mp4").write_bytes(b"no video at all")
    told = films.finish(code=1)
    assert (told["captioned"], told["failed"]) == (6, {"failed": 1})
    assert told["failures"][0]["video"] == "broken.mp4"
    assert told["failures"][0]["reason"].startswith("VP103")
    assert films.finish()["answered"] == {"ok": 6, "failed": 1}


def test_a_clip_that_cannot_be_decoded_is_recorded_at_once(films: Captioning) -> None:
    """Not only when the next answer comes, for which it may take minutes."""
    spoil_video(films.dataset / "film03.mp4", last=7)
    films.server.hold()
    process = films.start()
    wait_until(films.answers)
    (failed,) = films.answers()
    assert (failed.video, failed.outcome) == ("film03.mp4", "failed")
    films.server.release()
    assert process.wait() == 1, process.stderr
    assert json.loads(process.stdout)["captioned"] == 5


def test_runs_get_past_clips_that_are_refused(films: Captioning) -> None:
    refused: dict[str, None] = {}

    def script(question: ChatQuestion) -> ScriptedReply:
        if len(refused) < 4:
            refused[question.clip] = None
        bad = error_reply(413, "the picture is too large")
        return bad if question.clip in refused else describe(question)

    films.server.script = script
    stopped = films.run("--concurrency", "1")
    assert stopped.returncode == 2
    assert "the first 3 questions all failed in the same way: the server answered 413" in (
        " ".join(stopped.stderr.split())
    )
    assert "--retry-failed" in stopped.stderr
    assert [one.outcome for one in films.answers()] == ["failed"] * 3
    told = films.finish("--concurrency", "1", code=1)
    assert (told["captioned"], told["failed"], told["answered"]) == (
        2,
        {"failed": 1},
        {"failed": 3},
    )
    films.require_once()
    films.server.script = describe
    assert films.finish("--only", "failed")["captioned"] == 4


def test_a_clip_fails_with_its_first_window(films: Captioning) -> None:
    """Its other windows are not asked about, and the next run begins with another clip."""
    films.server.script = lambda _: error_reply(400, "no")
    options = ("--concurrency", "1", "--window", "0.08")
    assert films.run(*options).returncode == 2
    assert len(films.server.questions) == 3
    assert len({one.clip for one in films.answers()}) == 3
    assert films.run(*options).returncode == 2
    assert len({one.clip for one in films.answers()}) == 6


# --- Which clips ---


def test_a_renamed_or_moved_file_asks_nothing(films: Captioning) -> None:
    films.finish()
    (films.dataset / "sub").mkdir()
    (films.dataset / "film00.mp4").rename(films.dataset / "sub/other.mp4")
    assert films.finish()["answered"] == {"ok": 6}
    films.require_once()


def test_a_new_prompt_asks_about_all_and_the_old_one_about_none(films: Captioning) -> None:
    films.finish()
    old = films.captions()
    films.server.script = lambda question: ScriptedReply(f"Short: {question.clip}.")
    assert films.finish("--preset", "short")["captioned"] == 6
    assert all("Short" in one.sample.written for one in states(films))
    assert films.finish()["captioned"] == 0
    # The prompt that was used last is current.
    assert {f"{one.sample.name} None": one.sample.written for one in states(films)} == old


def states(captioning: Captioning):
    return DatasetSpec.from_path(captioning.dataset).caption_states()


def test_only_stale_and_only_missing(films: Captioning) -> None:
    films.finish("--limit", "2")
    prompt = films.dataset.parent / "prompt.txt"
    prompt.write_text("Say what happens.")
    told = films.finish("--prompt", prompt, "--only", "stale")
    assert (told["captioned"], told["skipped"]) == (2, {"current": 4})
    assert films.server.questions[-1].text.endswith("Say what happens.")
    told = films.finish("--prompt", prompt, "--only", "missing")
    assert (told["captioned"], told["skipped"]) == (4, {"current": 2})


def test_captions_of_the_datasets_own_are_left_unless_asked_for(films: Captioning) -> None:
    (films.dataset / "film00.txt").write_text("My own words.")
    for number in range(1, 6):
        (films.dataset / f"film{number:02}.txt").write_text("")
    films.finish("--limit", "1")  # so that the empty ones are no mistakes
    told = films.finish()
    assert told["skipped"] == {"captioned": 1}
    told = films.finish("--all")
    assert (told["captioned"], told["answered"]) == (1, {"ok": 5})
    (films.dataset / "film00.txt").write_text("Other words of mine.")
    current = {one.sample.name: one.sample.written for one in states(films)}
    assert current["film00.mp4"] == "Other words of mine."
    assert films.finish("--all")["captioned"] == 1  # it was asked about another caption


def test_edited_and_dropped_clips_are_never_asked_about(films: Captioning) -> None:
    films.finish("--limit", "1")
    keys = [one.clip for one in states(films)]
    decisions = [Decision(keys[1], "edit", "Mine."), Decision(keys[2], "drop")]
    films.journal.append("review", decisions)
    told = films.finish("--all", "--preset", "short")
    assert (told["captioned"], told["skipped"]) == (4, {"edited": 1, "dropped": 1})


def test_a_copy_of_a_clip_is_asked_about_once(films: Captioning) -> None:
    data = (films.dataset / "film00.mp4").read_bytes()
    (films.dataset / "copy.mp4").write_bytes(data)
    told = films.finish()
    assert (told["captioned"], told["skipped"]) == (6, {"repeated": 1})
    assert len([one for one in states(films) if one.sample.written]) == 7


# --- Whatever happens ---


def test_killed_ten_times(ranges: Captioning) -> None:
    """Each clip is asked about once, and again only if it was in flight when the process died."""
    ranges.server.script = slow(0.01)
    for number in range(10):
        before = len(ranges.server.questions)
        process = ranges.start("--concurrency", "4")
        ranges.server.wait_for(before + 1 + number % 5)
        assert process.kill_tree() == -signal.SIGKILL
        in_flight = ranges.server.asked() - asked_in(ranges)
        assert sum(in_flight.values()) <= 4 * (number + 1)
    ranges.finish("--concurrency", "4")
    assert set(asked_in(ranges).values()) == {1}
    assert len(asked_in(ranges)) == 60
    again = ranges.server.asked() - asked_in(ranges)
    assert sum(again.values()) <= 4 * 10
    assert max(again.values(), default=0) <= 10
    assert ranges.finish()["captioned"] == 0


@pytest.mark.parametrize("place", ["caption.answered", "caption.written", "unit.claimed"])
def test_killed_at_a_place(films: Captioning, place: str) -> None:
    killed = films.run("--concurrency", "1", VIDEOPREP_FAILPOINTS=f"{place}=kill*3")
    assert killed.returncode == -signal.SIGKILL
    films.finish("--concurrency", "1")
    extra = sum(films.server.asked().values()) - 6
    assert extra == {"caption.answered": 1, "caption.written": 0}.get(place, extra) <= 1
    assert len(films.answers()) == 6


def test_interrupted(ranges: Captioning) -> None:
    ranges.server.script = slow(0.02)
    process = ranges.start()
    ranges.server.wait_for(20)
    process.signal(signal.SIGINT)
    assert process.wait() == 130
    assert len(asked_in(ranges)) >= 12
    ranges.finish()
    assert set(asked_in(ranges).values()) == {1}


def test_interrupted_while_answers_are_waited_for(films: Captioning) -> None:
    ended = threading.Event()

    def script(question: ChatQuestion) -> ScriptedReply:
        ended.wait()
        return describe(question)

    films.server.script = script
    process = films.start("--concurrency", "4")
    try:
        films.server.wait_for(4)
        process.signal(signal.SIGINT)
        assert process.wait() == 130, process.stderr
        assert films.answers() == []
    finally:
        ended.set()
    assert films.finish()["captioned"] == 6


def test_two_runs_at_once_share_the_work(ranges: Captioning) -> None:
    ranges.server.script = slow(0.01)
    both = [ranges.start("--concurrency", "3") for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], [one.stderr for one in both]
    ranges.require_once()
    assert len(ranges.answers()) == 60


def test_jobs_of_an_array_share_the_work(ranges: Captioning) -> None:
    first = ranges.finish("--num-jobs", "3", "--job-id", "0")
    assert 0 < first["captioned"] < 60
    assert first["captioned"] + first["pending"] == 60
    for job in (1, 2):
        ranges.finish("--num-jobs", "3", "--job-id", job)
    ranges.require_once()
    assert len(ranges.answers()) == 60


def test_ranks_share_the_work(ranges: Captioning) -> None:
    told = ranges.finish(ranks=2)
    assert told["captioned"] == 60
    ranges.require_once()
    assert len(ranges.runs()) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many KiB; asked again, it is made larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def resize(kib: int) -> Path:
        nonlocal mounted
        options = f"size={kib}k" + (",remount" if mounted else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "videoprep-test", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            need(f"a tmpfs: {done.stderr}")
        mounted = True
        return folder

    yield resize
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing(ranges: Captioning, small_disk: Callable[[int], Path]) -> None:
    journal = CaptionJournal(small_disk(32) / "journal")
    options = ("--caption-journal", journal.folder, "--concurrency", "4")
    full = ranges.run(*options)
    assert full.returncode == 2
    assert "No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    told = [placed.record for placed in journal.read("caption")]
    before = len([one for one in told if isinstance(one, Answer)])
    assert 0 < before < 60
    small_disk(1 << 14)
    assert ranges.finish(*options)["captioned"] == 60 - before
    assert sum(ranges.server.asked().values()) <= 60 + 4


def test_a_server_that_goes_away_ends_the_run(ranges: Captioning) -> None:
    script = failing(-1, status=502)
    ranges.server.script = lambda q: script(q) if q.number >= 10 else describe(q)
    gone = ranges.run("--concurrency", "2")
    assert gone.returncode == 2
    assert "does not answer: the server answered 502" in gone.stderr
    assert len(ranges.answers()) >= 9  # the tenth may wait for those that fail
    assert all(one.outcome == "ok" for one in ranges.answers())
    ranges.server.script = describe
    ranges.finish()
    assert set(asked_in(ranges).values()) == {1}


def test_a_server_that_fails_all_records_nothing(films: Captioning) -> None:
    films.server.script = lambda _: ScriptedReply(raw=b"<html>Welcome</html>")
    wrong = films.run()
    assert wrong.returncode == 2
    assert "no chat completion" in wrong.stderr
    assert films.answers() == []


def test_a_model_that_changes_ends_the_run(ranges: Captioning) -> None:
    def script(question):
        return ScriptedReply(caption_of(question.clip), model="b" if question.number > 9 else "a")

    ranges.server.script = script
    changed = ranges.run("--concurrency", "1")
    assert changed.returncode == 2
    assert "the server changed its model: it now answers as 'b', before as 'a'" in changed.stderr
    assert len(ranges.answers()) == 10


def test_too_many_failures_stop_it(ranges: Captioning) -> None:
    refused = ScriptedReply("I'm sorry, but I cannot describe this video.")
    ranges.server.script = lambda _: refused
    stopped = ranges.run("--max-failures", "5", "--concurrency", "1")
    assert stopped.returncode == 1
    assert "more than --max-failures 5" in stopped.stderr
    assert len(ranges.answers()) < 12


# --- The parts ---


def clip(number: int, **more: str) -> AskedClip:
    fields = {"own": "", "of": "", "payload": f"p{number}", **more}
    return AskedClip(digest("clip", number), number, f"{number}.mp4", None, 1.5, **fields)


def test_clips_are_found_by_their_keys() -> None:
    clips = [clip(number) for number in range(2000)]
    asked = AskedClips.of([*clips, *clips[:10]])
    assert len(asked) == 2000
    places = [asked.find(one.key) for one in clips]
    assert sorted(p for p in places if p is not None) == list(range(2000))
    assert [asked[place] for place in places if place is not None] == clips
    assert asked.find(digest("another")) is None
    assert asked.find("0" * 64) is None
    rows = [row for unit in range(1024) for row in asked.rows_of(unit)]
    assert rows == list(range(2000))


def test_answers_count_if_they_are_about_what_is_asked(tmp_path: Path) -> None:
    journal, run = CaptionJournal(tmp_path), Run("caption", "m", "i", "p")
    clips = AskedClips.of([clip(1), clip(2, of=digest("t")), clip(3, own=digest("o")), clip(4)])

    def answered(number: int, outcome: Outcome = "ok", **more: str) -> Answer:
        return Answer(digest("clip", number), run.id, outcome, **more)

    def left(**options: object) -> list[int]:
        chosen = choose_clips(journal, "caption", run.id, clips, **options)  # type: ignore[arg-type]
        return sorted(one.number for one in chosen.clips)

    assert left() == [1, 2, 3, 4]
    assert left(limit=2) == [1, 2]
    others = [answered(2), answered(3), Answer(digest("clip", 1), digest("run")[:16], "ok")]
    journal.append("caption", others)
    assert left() == [1, 2, 3, 4]
    journal.append("caption", [answered(2, of=digest("t")), answered(3, own=digest("o"))])
    journal.append("caption", [answered(4, "failed")])
    assert left() == [1]
    assert left(wanted=lambda outcome: outcome not in (None, "ok")) == [4]
    journal.append("caption", [answered(4)])
    assert left(wanted=lambda outcome: outcome not in (None, "ok")) == []


def test_an_answer_counts_while_all_captions_of_the_dataset_are_the_same(tmp_path: Path) -> None:
    journal, run = CaptionJournal(tmp_path), Run("caption", "m", "i", "p")
    own, first = own_hash(["a", "b"]), text_hash("a")
    asked = AskedClips.of([replace(clip(1, own=own, own_first=first), own_captions=2)])

    def is_left(record: Answer) -> bool:
        journal.append("caption", [record])
        left = bool(choose_clips(journal, "caption", run.id, asked).clips)
        journal.file("caption").unlink()
        return left

    answer = Answer(asked[0].key, run.id, "ok", "Told.")
    assert is_left(replace(answer, own=first, own_captions=1))  # the second was added since
    assert is_left(replace(answer, own=own_hash(["a", "c"]), own_captions=2))
    assert not is_left(replace(answer, own=own, own_captions=2))
    assert not is_left(replace(answer, own=first))  # of an earlier version
    assert is_left(replace(answer, own=text_hash("b")))


def test_what_is_asked_says_of_which_captions(tmp_path: Path) -> None:
    write_numbered(tmp_path / "a.mp4", 5)
    (tmp_path / "a.txt").write_text("One.\nTwo.\n")
    (state,) = DatasetSpec.from_path(tmp_path).caption_states()
    described, refined = asked_clip(state), asked_clip(state, of=text_hash("One."))
    assert (described.own, described.own_captions) == (own_hash(["One.", "Two."]), 2)
    assert described.own_first == text_hash("One.")
    assert (refined.own, refined.own_captions, refined.own_first) == (text_hash("One."), 0, "")
    (tmp_path / "a.txt").write_text("One.\n")
    (state,) = DatasetSpec.from_path(tmp_path).caption_states()
    described = asked_clip(state)
    assert (described.own, described.own_captions) == (text_hash("One."), 1)
    assert described.own_first == ""


def test_an_answer_is_bounded() -> None:
    answer = ClipAnswer("ok", "A " * 20_000, "x" * 200_000, fields={"a": "\ud800", "b": 1})
    bounded = answer.bounded()
    assert (bounded.outcome, bounded.caption, len(bounded.raw)) == ("malformed", "", 100_000)
    assert bounded.reason == "40,000 characters are no caption"
    assert bounded.fields == {"a": "?", "b": 1}
    assert ClipAnswer("ok", fields={"a": "x" * 60_000}).bounded().fields == {}
