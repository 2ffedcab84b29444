"""`videoprep refine` with a real server on loopback that answers by a script."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import videoprep as vp
from tests.conftest import Cli
from tests.support.assets import write_lists, write_video
from tests.support.scripted_server import ChatQuestion, ScriptedReply, ScriptedServer
from tests.support.warm import Warm
from videoprep.captions.refine_run import RefineResult, refine_request
from videoprep.captions.target_tokenizer import TargetTokenizer
from videoprep.errors import VideoprepError
from videoprep.families.registry import token_counter
from videoprep.spec.caption_journal import Answer, CaptionJournal, Decision, Run
from videoprep.spec.current_captions import text_hash

CAPTIONS = (
    "a dog runs on grass, no leash",
    "two boats pass a white lighthouse",
    "an old man with a grey beard reads a newspaper",
    "rain falls on a window",
)

_OURS = ("videoprep-captions", ".videoprep")
"""Folders that are made in a dataset."""

Rewrite = Callable[[str, int], "str | ScriptedReply"]
"""What is replied about a caption, to the question of that number, from 1."""


class Rewriter:
    """A script that knows which caption is asked about, and for which time."""

    def __init__(self, rewrite: Rewrite) -> None:
        self.rewrite = rewrite
        self.asked = Counter[str]()

    def __call__(self, question: ChatQuestion) -> ScriptedReply:
        source = source_of(question)
        self.asked[source] += 1
        reply = self.rewrite(source, self.asked[source])
        return reply if isinstance(reply, ScriptedReply) else ScriptedReply(reply)


def source_of(question: ChatQuestion) -> str:
    found = re.search(r"^(?:Caption|Prompt): (.*)$", question.text.split("\nStyle:")[-1], re.M)
    assert found is not None, question.text
    return found[1]


def sentence(source: str, number: int = 1) -> str:
    """Rewrite a caption as one should."""
    del number
    return f"{source[0].upper()}{source[1:]}."


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of four clips; do not change it."""
    folder = tmp_path_factory.mktemp("refined")
    names = [f"videos/{number}.mp4" for number in range(len(CAPTIONS))]
    for number, name in enumerate(names):
        write_video(folder / name, frames=5, grey=40 + 20 * number)
    write_lists(folder, CAPTIONS, names)
    return folder


@pytest.fixture
def dataset(written: Path, tmp_path: Path) -> Path:
    """The same, with a journal of each test's own."""
    folder = tmp_path / "ds"
    shutil.copytree(written, folder)
    return folder


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(Rewriter(sentence)) as running:
        yield running


def refine(dataset: Path, server: ScriptedServer, **options: Any) -> RefineResult:
    options = {"endpoint": server.url, **options}
    result = vp.refine(dataset, **options)
    assert result is not None
    counted = (result.failed, result.answered, result.skipped)
    parts = sum(sum(one.values()) for one in counted)
    parts += result.refined + result.limited + result.pending + result.unusable
    assert result.samples == parts
    return result


def current(dataset: Path) -> list[str]:
    samples = vp.DatasetSpec.from_path(dataset).samples()
    return [sample.written for sample in samples]


def answers(dataset: Path) -> list[Answer]:
    journal = CaptionJournal(dataset / "videoprep-captions")
    return [one.record for one in journal.read("refine") if isinstance(one.record, Answer)]


def answer_of(dataset: Path, number: int) -> Answer:
    """The last answer about a clip."""
    return [one for one in answers(dataset) if one.video == f"videos/{number}.mp4"][-1]


def states(dataset: Path) -> Sequence[Any]:
    return vp.DatasetSpec.from_path(dataset).caption_states()


def test_it_says_that_only_the_first_of_several_captions_is_refined(
    tmp_path: Path, server: ScriptedServer, run_cli: Cli
) -> None:
    write_video(tmp_path / "a.mp4", frames=5)
    write_video(tmp_path / "b.mp4", frames=5, lift=50)
    rows = [{"video": "a.mp4", "caption": [*CAPTIONS[:2]]}, {"video": "b.mp4", "caption": "a fox"}]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = run_cli("refine", tmp_path, "--endpoint", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 sample with several captions: only the first is refined" in done.stdout
    assert {source_of(one) for one in server.questions} == {CAPTIONS[0], "a fox"}
    (first, _) = vp.DatasetSpec.from_path(tmp_path).samples()
    assert first.captions == (sentence(CAPTIONS[0]), CAPTIONS[1])


def test_refined_captions_are_current_and_the_files_are_left_alone(
    dataset: Path, server: ScriptedServer
) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*.*") if path.is_file()}
    notices: list[str] = []
    result = refine(dataset, server, on_notice=notices.append)
    assert result.ok
    assert (result.refined, result.marked, result.unchanged) == (4, 0, 0)
    assert current(dataset) == [sentence(caption) for caption in CAPTIONS]
    assert {path: path.read_bytes() for path in before} == before
    added = {path for path in dataset.rglob("*.*") if path.is_file()} - before.keys()
    assert all(path.relative_to(dataset).parts[0] in _OURS for path in added)
    assert notices[0].startswith("captions and the prompt go to 127.0.0.1")
    one = answer_of(dataset, 0)
    assert (one.of, one.caption) == (text_hash(CAPTIONS[0]), sentence(CAPTIONS[0]))
    assert one.fields == {"mode": "faithful", "asked": 1, "share": 0.0, "lost_share": 0.0}
    state = states(dataset)[0]
    assert (state.own, state.described, state.refined) == (
        CAPTIONS[0], CAPTIONS[0], sentence(CAPTIONS[0]),
    )  # fmt: skip
    again = refine(dataset, server)
    assert again.answered == {"ok": 4}
    assert len(server.questions) == 4


def test_nothing_but_captions_and_the_prompt_is_sent(dataset: Path, server: ScriptedServer) -> None:
    refine(dataset, server, limit=1, request_fields='{"top_p": 0.5}')
    (question,) = server.questions
    names = {"model", "messages", "max_tokens", "temperature", "seed", "top_p"}
    assert question.body.keys() == names
    assert question.shape == "text"
    assert "videos/" not in question.text
    assert question.body["max_tokens"] == 1024


def test_each_fits_the_tokenizer_of_the_model_that_is_trained(
    dataset: Path, server: ScriptedServer, tiny_model: Path
) -> None:
    count, limit = token_counter(str(tiny_model)).count, 30
    assert all(count(sentence(caption)) <= limit for caption in CAPTIONS)

    def rewrite(source: str, number: int) -> str:
        long = f"{sentence(source)} " * 4
        return {1: sentence(source), 2: long}.get(CAPTIONS.index(source), "") or (
            long if number < 3 else sentence(source)
        )

    server.script = Rewriter(rewrite)
    result = refine(dataset, server, max_tokens=limit, tokenizer=str(tiny_model))
    assert not result.ok
    assert (result.refined, result.failed) == (3, {"too_long": 1})
    assert server.script.asked == dict(zip(CAPTIONS, (3, 1, 4, 3), strict=True))
    told = current(dataset)
    assert told == [*map(sentence, CAPTIONS[:2]), CAPTIONS[2], sentence(CAPTIONS[3])]
    failed = answer_of(dataset, 2)
    tokens = count(f"{sentence(CAPTIONS[2])} " * 4)
    assert failed.reason == f"{tokens} tokens after 4 questions; at most 30 fit"
    assert failed.raw.startswith("An old man")
    good = answer_of(dataset, 0)
    assert good.fields["tokens"] == count(sentence(CAPTIONS[0]))
    assert good.fields["limit"] == limit
    first, second = [q.text for q in server.questions if source_of(q) == CAPTIONS[0]][:2]
    assert "dense, flowing paragraph" in first  # the style of the tokenizer's family
    assert re.search(r"It has \d+ tokens, and at most 30 fit\.", second)


def test_what_was_too_long_for_the_model_no_longer_is(
    dataset: Path, server: ScriptedServer, tiny_model: Path
) -> None:
    long = " and then ".join([CAPTIONS[0]] * 20)
    (dataset / "prompt.txt").write_text("".join(f"{one}\n" for one in (long, *CAPTIONS[1:])))
    server.script = Rewriter(lambda source, _: sentence(CAPTIONS[0] if source == long else source))
    how = {"model": str(tiny_model), "select": ("VP203",)}
    assert [one.video for one in vp.validate(dataset, **how).findings] == ["videos/0.mp4"]
    assert refine(dataset, server, tokenizer=str(tiny_model)).refined == 4
    assert answer_of(dataset, 0).fields["limit"] == 226
    assert vp.validate(dataset, **how).findings == ()


def test_the_id_token_counts(dataset: Path, server: ScriptedServer, tiny_model: Path) -> None:
    count = token_counter(str(tiny_model)).count
    limit = max(count(sentence(caption)) for caption in CAPTIONS)
    how = {"max_tokens": limit, "tokenizer": str(tiny_model)}
    assert refine(dataset, server, **how).refined == 4
    result = refine(dataset, server, id_token="A rather long trigger", **how)
    assert result.failed["too_long"] >= 1


def test_additions_are_marked_and_beyond_the_share_the_caption_stays(
    dataset: Path, server: ScriptedServer
) -> None:
    texts = {
        0: "A dog runs on green grass, no leash.",
        1: "Two yellow submarines explore deep magical oceans, discovering golden treasures.",
        2: "An old man with a grey beard reads a newspaper, no glasses.",
        3: "Rain falls on a window.",
    }
    server.script = Rewriter(lambda source, _: texts[CAPTIONS.index(source)])
    result = refine(dataset, server)
    assert (result.refined, result.marked, result.failed) == (3, 2, {"unfaithful": 1})
    assert [dict(one.added) for one in result.examples if one.video == "videos/0.mp4"] == [
        {"colours": ["green"]}
    ]
    assert answer_of(dataset, 2).fields["added"] == {"negations": ["no glasses"]}
    assert current(dataset)[1] == CAPTIONS[1]
    unfaithful = answer_of(dataset, 1)
    assert unfaithful.raw == texts[1]
    assert "of its words are new (yellow, golden); at most 30% may be." in unfaithful.reason
    assert server.script.asked[CAPTIONS[1]] == 2


def test_a_lost_negation_counts(dataset: Path, server: ScriptedServer) -> None:
    def rewrite(source: str, number: int) -> str:
        if source == CAPTIONS[0]:
            return "A dog runs on grass on a leash."
        lost = "Boats pass a white lighthouse."
        return lost if source == CAPTIONS[1] and number == 1 else sentence(source)

    server.script = Rewriter(rewrite)
    result = refine(dataset, server)
    assert (result.refined, result.failed) == (3, {"unfaithful": 1})
    assert "It no longer says: no leash." in answer_of(dataset, 0).reason
    assert answer_of(dataset, 1).fields["asked"] == 2
    assert current(dataset)[:2] == [CAPTIONS[0], sentence(CAPTIONS[1])]


def test_what_models_do_wrong_is_told(dataset: Path, server: ScriptedServer) -> None:
    replies = {
        0: ScriptedReply("I'm sorry, but I can't assist with that request."),
        1: ScriptedReply(f"<think>Boats? Yes.</think>\n**Caption:** {sentence(CAPTIONS[1])}"),
        2: ScriptedReply("<think>An old man", finish="length"),
        3: ScriptedReply(status=400, raw=b'{"error": {"message": "no \\u001b[31m"}}'),
    }
    server.script = Rewriter(lambda source, _: replies[CAPTIONS.index(source)])
    result = refine(dataset, server)
    assert result.refined == 1
    assert result.failed == {"refused": 1, "cut_off": 1, "failed": 1}
    assert {"thinking", "label"} < set(answer_of(dataset, 1).cleaning)
    assert current(dataset) == [CAPTIONS[0], sentence(CAPTIONS[1]), *CAPTIONS[2:]]
    again = refine(dataset, server)
    assert (again.refined, again.ok) == (0, False)
    server.script = Rewriter(sentence)
    assert refine(dataset, server, only="failed").refined == 3
    assert refine(dataset, server, retry_failed=True).answered == {"ok": 4}


def test_a_persons_edit_wins_and_is_not_asked_about(dataset: Path, server: ScriptedServer) -> None:
    journal = CaptionJournal(dataset / "videoprep-captions")
    keys = [state.clip for state in states(dataset)]
    journal.append("review", [Decision(keys[0], "edit", "A brown dog."), Decision(keys[1], "drop")])
    result = refine(dataset, server)
    assert (result.refined, result.skipped) == (2, {"edited": 1, "dropped": 1})
    assert current(dataset)[0] == "A brown dog."
    journal.append("review", [Decision(keys[2], "edit", "A man.")])
    assert current(dataset) == ["A brown dog.", "A man.", sentence(CAPTIONS[3])]
    assert len(server.questions) == 2


def test_what_a_captioner_wrote_is_refined_and_its_trigger_word_stays(
    dataset: Path, server: ScriptedServer
) -> None:
    journal = CaptionJournal(dataset / "videoprep-captions")
    run = Run("caption", "tiny", "hash", "Describe.", {"trigger": "sks"})
    first, second, *_ = states(dataset)
    own = text_hash(CAPTIONS[0])
    journal.append("caption", [run, Answer(first.clip, run.id, "ok", "sks A dog runs.", own=own)])
    assert refine(dataset, server, only="missing").refined == 4
    assert answer_of(dataset, 0).of == text_hash("sks A dog runs.")
    assert current(dataset)[0] == "sks A dog runs.."
    assert not any("sks" in question.text for question in server.questions)
    # A new text of the captioner makes the refined one stale.
    other = Run("caption", "tiny", "hash", "Describe well.", {})
    journal.append("caption", [other, Answer(first.clip, other.id, "ok", "A cat.", own=own)])
    assert current(dataset)[0] == "A cat."
    assert refine(dataset, server).refined == 1
    assert current(dataset)[0] == "A cat.."
    assert second.described == CAPTIONS[1]


def test_a_trigger_word_in_the_captions_stays(dataset: Path, server: ScriptedServer) -> None:
    lines = [f"ohwx {caption}\n" for caption in CAPTIONS]
    (dataset / "prompt.txt").write_text("".join(lines))
    assert refine(dataset, server, trigger="ohwx").refined == 4
    assert current(dataset)[0] == f"ohwx {sentence(CAPTIONS[0])}"
    assert server.script.asked.keys() == set(CAPTIONS)  # type: ignore[attr-defined]


def test_only_what_is_asked_for_is_refined(dataset: Path, server: ScriptedServer) -> None:
    assert refine(dataset, server, limit=1).limited == 3
    assert current(dataset)[:2] == [sentence(CAPTIONS[0]), CAPTIONS[1]]
    other = {"style": "wan", "only": "stale"}
    assert refine(dataset, server, **other).skipped == {"current": 3}
    assert refine(dataset, server, **other).skipped == {"current": 4}
    result = refine(dataset, server, style="wan", only="missing")
    assert (result.refined, result.skipped) == (3, {"current": 1})
    assert len(server.questions) == 5
    texts = [question.text for question in server.questions]
    assert sum("80 to 100 words" in text for text in texts) == 4


def test_samples_without_captions_and_of_one_clip(dataset: Path, server: ScriptedServer) -> None:
    rows = ["0.mp4,one dog", "0.mp4,one dog", "0.mp4,one cat", "1.mp4,", "9.mp4,gone"]
    (dataset / "list.csv").write_text("video,caption\n" + "".join(f"videos/{r}\n" for r in rows))
    result = refine(dataset, server, dataset_file="list.csv")
    assert result.refined == 1
    assert result.skipped == {"repeated": 1, "ambiguous": 1, "uncaptioned": 1}
    assert (result.unusable, len(result.problems)) == (1, 1)
    assert not result.ok


def test_creative_texts_are_expanded_and_said_to_be(dataset: Path, server: ScriptedServer) -> None:
    told: list[str] = []
    server.script = Rewriter(lambda source, _: f"Under a purple sky of Mars, {source} in 1987.")
    result = refine(dataset, server, creative=True, on_notice=told.append)
    assert (result.refined, result.marked) == (4, 4)
    assert answer_of(dataset, 0).fields["added"]["colours"] == ["purple"]
    assert any("make up details" in notice for notice in told)
    assert refine(dataset, server).refined == 0  # which is another way of asking
    assert len(server.questions) > 4


def test_a_prompt_of_ones_own(dataset: Path, server: ScriptedServer, tmp_path: Path) -> None:
    own = tmp_path / "prompt.txt"
    own.write_text("Say it nicely.\n\nStyle: none\nCaption: {caption}")
    assert refine(dataset, server, prompt=own).refined == 4
    assert server.questions[0].text.startswith("Say it nicely.")
    own.write_text(" ")
    with pytest.raises(VideoprepError, match="is empty"):
        refine(dataset, server, prompt=own)


@pytest.mark.parametrize(
    ("options", "message", "option"),
    [
        ({"max_tokens": 226}, "no tokenizer counts them", "max_tokens"),
        ({"max_tokens": 300, "tokenizer": "MODEL"}, "takes 226 tokens", "max_tokens"),
        ({"tokenizer": "MODEL/tokenizer"}, "how many tokens the model takes", "tokenizer"),
        ({"tokenizer": "nowhere/at/all"}, "no such model folder", "tokenizer"),
        ({"style": "nonsense"}, "there is no profile 'nonsense'", "style"),
        ({"share": 2}, "share", "share"),
        ({"id_token": "one two", "max_tokens": 3, "tokenizer": "MODEL"}, "no room", "max_tokens"),
    ],
)
def test_options_that_cannot_be_kept_to_are_refused(
    dataset: Path,
    server: ScriptedServer,
    tiny_model: Path,
    options: dict[str, Any],
    message: str,
    option: str,
) -> None:
    if "tokenizer" in options:
        options = {**options, "tokenizer": options["tokenizer"].replace("MODEL", str(tiny_model))}
    with pytest.raises(VideoprepError, match=message) as raised:
        refine(dataset, server, **options)
    assert raised.value.option == option
    assert not server.questions
    assert not (dataset / "videoprep-captions" / "refine.jsonl").exists()


def test_a_tokenizer_alone_counts_alike(
    dataset: Path, server: ScriptedServer, tiny_model: Path
) -> None:
    alone, whole = (TargetTokenizer.open(str(tiny_model / name)) for name in ("tokenizer", ""))
    assert [alone.count(text) for text in CAPTIONS] == [whole.count(text) for text in CAPTIONS]
    assert (alone.limit, whole.limit, whole.profile) == (None, 226, "cogvideox")
    result = refine(dataset, server, tokenizer=str(tiny_model / "tokenizer"), max_tokens=226)
    assert result.refined == 4


def test_one_request_is_shown_and_nothing_sent(dataset: Path, server: ScriptedServer) -> None:
    told = refine_request(dataset, endpoint=server.url)
    assert told["caption"] == CAPTIONS[0]
    assert told["request"]["messages"][0]["content"] == told["prompt"]
    assert CAPTIONS[0] in told["prompt"]
    assert not server.paths
    assert not (dataset / "videoprep-captions").exists()


@pytest.mark.heavy
def test_a_model_in_this_process_refines(
    dataset: Path, tmp_path: Path, tiny_model: Path, server: ScriptedServer
) -> None:
    from tests.support.tiny_vlm import build_tiny_llm

    model = build_tiny_llm(tmp_path / "llm")
    how = {"endpoint": None, "model": str(model), "answer_tokens": 64}
    how |= {"tokenizer": str(tiny_model), "device": "cpu"}
    result = refine(dataset, server, **how)
    assert sum(result.failed.values()) == 4  # it tells of what it likes
    result = refine(dataset, server, creative=True, **how)
    assert result.refined == 4
    assert all(text.endswith((".", "angle")) for text in current(dataset))


# --- On the command line ---


def test_the_command_says_what_was_done(
    dataset: Path, server: ScriptedServer, tiny_model: Path, run_cli: Cli
) -> None:
    texts = {0: "A dog runs on green grass, no leash.", 1: "Something \x1b[31melse entirely."}
    server.script = Rewriter(lambda source, _: texts.get(CAPTIONS.index(source), sentence(source)))
    how = ("--endpoint", server.url, "--max-tokens", 226, "--tokenizer", tiny_model)
    done = run_cli("refine", dataset, *how)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "marked videos/0.mp4: adds colours 'green'" in lines
    assert "1 of 3 refined captions add or lose numbers, colours, names or negations" in lines
    assert "4 samples = 3 refined + 1 not refined + 0 asked before + 0 skipped" in lines
    assert "not refined: 1 not faithful; these captions stay. --retry-failed asks again" in lines
    assert any(line.startswith("not refined videos/1.mp4: 100% of its words") for line in lines)
    assert "captions and the prompt go to 127.0.0.1" in done.stderr
    assert "\x1b" not in done.stdout
    assert lines[-1] == f"next: videoprep validate {dataset} --model {tiny_model}"
    again = run_cli("refine", dataset, *how, "--output-format", "json")
    assert json.loads(again.stdout)["answered"] == {"ok": 3, "unfaithful": 1}
    assert again.returncode == 1
    shown = run_cli("refine", dataset, *how, "--dry-run")
    assert json.loads(shown.stdout)["tokens"] == token_counter(str(tiny_model)).count(CAPTIONS[0])


@pytest.mark.parametrize("place", ["caption.answered", "caption.written"])
def test_a_run_that_was_killed_goes_on_where_it_was(
    dataset: Path, server: ScriptedServer, run_cli: Cli, place: str
) -> None:
    def rewrite(source: str, number: int) -> str:
        return "Two red cats of Paris." if number == 1 else sentence(source)

    server.script = Rewriter(rewrite)
    how = ("refine", dataset, "--endpoint", server.url, "--concurrency", 1)
    done = run_cli(*how, VIDEOPREP_FAILPOINTS=f"{place}=kill*3")
    assert done.returncode == -signal.SIGKILL
    kept = len(answers(dataset))
    assert kept == (2 if place == "caption.answered" else 3)
    asked = Counter(server.script.asked)
    assert sum(asked.values()) >= 6
    done = run_cli(*how)
    assert done.returncode == 0, done.stderr
    assert f"{4 - kept} refined + 0 not refined + {kept} asked before" in done.stdout
    assert current(dataset) == [sentence(caption) for caption in CAPTIONS]
    finished = {one.video for one in answers(dataset)[:kept]}
    for number, caption in enumerate(CAPTIONS):
        if f"videos/{number}.mp4" in finished:
            assert server.script.asked[caption] == asked[caption] == 2


def test_killed_while_it_waits(dataset: Path, server: ScriptedServer, warm: Warm) -> None:
    server.hold()
    process = warm.start("refine", str(dataset), "--endpoint", server.url, "--concurrency", "2")
    server.wait_for(2)
    process.kill()
    process.wait()
    server.release()
    assert not answers(dataset)
    assert refine(dataset, server).refined == 4


def test_ranks_share_the_work(dataset: Path, server: ScriptedServer, warm: Warm) -> None:
    process = warm.start_ranks("refine", dataset, "--endpoint", server.url, ranks=2)
    assert process.wait() == 0, process.stderr
    assert current(dataset) == [sentence(caption) for caption in CAPTIONS]
    assert len(server.questions) == 4
    assert process.stdout.count("4 samples = 4 refined + 0 not refined") == 1
