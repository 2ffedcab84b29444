"""Refining one caption: what is asked next, and when it ends."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoprep.captions.protocol import CaptionFailure, CaptionReply
from videoprep.captions.refine_prompts import CREATIVE, EXAMPLES, FAITHFUL, RefinePrompt
from videoprep.captions.refining import (
    RefineQuestion,
    RefineRules,
    TokenLimit,
    begin,
    proceed,
)
from videoprep.captions.task import ClipAnswer

SOURCE = "Two dogs run across a green field, no leash in sight."

RULES = RefineRules(
    RefinePrompt(FAITHFUL, "One paragraph."), tokens=TokenLimit(lambda text: len(text.split()), 12)
)
CREATIVE_RULES = replace(RULES, mode="creative", prompt=RefinePrompt(CREATIVE, "One paragraph."))
UNLIMITED = replace(RULES, tokens=None)

Replies = list["str | CaptionReply | CaptionFailure"]


def refine(
    replies: Replies, rules: RefineRules = RULES, source: str = SOURCE
) -> tuple[ClipAnswer, list[str]]:
    """Refine a caption with these replies; return the answer and the questions."""
    asked, questions = begin(rules, source), []
    for reply in replies:
        questions.append(asked.request(rules).instruction)
        step = proceed(rules, asked, CaptionReply(reply) if isinstance(reply, str) else reply)
        if isinstance(step, ClipAnswer):
            assert len(questions) == len(replies), "not all replies were needed"
            return step, questions
        asked = step
    raise AssertionError(f"asked again: {asked.instruction}")


def test_a_faithful_text_that_fits_is_taken() -> None:
    answer, questions = refine(
        ["Here is the caption: Two dogs run across a green field, no leash."]
    )
    assert answer.outcome == "ok"
    assert answer.caption == "Two dogs run across a green field, no leash."
    assert answer.raw.startswith("Here is")
    assert answer.cleaning == ("preface",)
    assert answer.fields["tokens"] == 9
    assert answer.fields["source_tokens"] == 11
    assert answer.fields["share"] == 0
    assert SOURCE in questions[0]
    assert "One paragraph." in questions[0]


def test_without_a_limit_no_length_is_asked_for() -> None:
    answer, questions = refine([SOURCE], UNLIMITED)
    assert answer.outcome == "ok"
    assert "at most" not in questions[0]
    assert "tokens" not in answer.fields


def test_a_long_text_is_shortened() -> None:
    long = "Two dogs run across a green field, no leash in sight. " * 3
    answer, questions = refine([long, long, SOURCE])
    assert answer.outcome == "ok"
    assert answer.fields["asked"] == 3
    assert "It has 33 tokens, and at most 12 fit." in questions[1]
    assert questions[1].rstrip().endswith("Write at most 8 words.")
    assert questions[2].rstrip().endswith("Write at most 6 words.")
    assert long.strip() in questions[1]
    assert SOURCE in questions[1]


def test_one_that_stays_too_long_is_given_up() -> None:
    answer, questions = refine([SOURCE * 2] * 4)
    assert answer.outcome == "too_long"
    assert answer.caption == ""
    assert answer.raw == SOURCE * 2
    assert answer.reason == "21 tokens after 4 questions; at most 12 fit"
    assert len(questions) == 4


def test_an_answer_that_was_cut_off_is_shortened_and_never_taken() -> None:
    cut = CaptionReply("Two dogs run. No leash. They", finish="length")
    answer, questions = refine([cut, SOURCE])
    assert answer.outcome == "ok"
    assert "It was cut off" in questions[1]
    answer, _ = refine([cut] * 4)
    assert (answer.outcome, answer.caption) == ("cut_off", "")
    answer, questions = refine([cut, SOURCE], UNLIMITED)
    assert questions[1].endswith("Write at most half as much.")


def test_what_is_added_is_marked() -> None:
    text = "Two dogs run across a green field in Spain, no leash in sight."
    answer, _ = refine([text], replace(RULES, tokens=None))
    assert answer.outcome == "ok"
    assert answer.fields["added"] == {"names": ["Spain"]}


def test_beyond_the_share_it_is_asked_once_more() -> None:
    wild = "Two happy golden retrievers chase a red ball, no leash."
    answer, questions = refine([wild, SOURCE])
    assert answer.outcome == "ok"
    assert "It adds the colours: golden, red." in questions[1]
    answer, questions = refine([wild, wild])
    assert answer.outcome == "unfaithful"
    assert answer.caption == ""
    assert answer.raw == wild
    assert "of its words are new (golden, red); at most 30% may be." in answer.reason
    assert answer.fields["added"] == {"colours": ["golden", "red"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Two dogs run across a green field on a leash.", "It no longer says: no leash."),
        ("Two dogs run across a green field.", "It no longer says: no leash."),
        ("Dogs run across a green field, no leash.", "It leaves out the numbers: Two."),
    ],
)
def test_lost_negations_and_numbers_count(text: str, reason: str) -> None:
    answer, questions = refine([text, text])
    assert answer.outcome == "unfaithful"
    assert reason in answer.reason
    assert reason.rstrip(".") in questions[1]


def test_a_text_that_leaves_most_out_is_not_faithful() -> None:
    source = "A tall man in a long coat walks slowly past shops, carrying a suitcase in the rain."
    answer, questions = refine(["A man walks."] * 2, UNLIMITED, source)
    assert answer.outcome == "unfaithful"
    assert answer.reason == "82% of the caption's words are lost; at most 50% may be."
    assert answer.reason in questions[1]
    assert answer.fields["lost_share"] == 0.8182
    assert refine(["A man walks."], RULES, source)[0].outcome == "ok"  # it had to be shortened


def test_facts_may_be_lost_where_the_source_is_too_long() -> None:
    source = f"{SOURCE} The sky is blue."
    answer, _ = refine(["Two dogs run across a green field."], source=source)
    assert answer.outcome == "ok"
    assert answer.fields["lost"] == {"colours": ["blue"], "negations": ["no leash"]}
    answer, _ = refine(["Two dogs run across a green field, on leash."] * 2, source=source)
    assert answer.outcome == "unfaithful"


_SALMON = (
    "A chef plates food. He puts three pieces of salmon on a white plate, pours green sauce around "
    "them and garnishes with herbs. He wears black gloves. The background is blurred."
)
_PEAKS = (
    "drone shot of snowy mountains, slow forward movement, sunrise, orange light on peaks, fog in "
    "valley, no people"
)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "A close-up of hands kneading dough. Flour is scattered on the table. Warm light comes "
            "from the left.",
            "Hands knead dough in a close-up, pressing and folding it on a table scattered with "
            "flour. Warm light falls from the left.",
        ),
        (
            _SALMON,
            "A chef in black gloves plates food against a blurred background. He places three "
            "pieces of salmon on a white plate, pours green sauce around them, and adds a garnish "
            "of herbs.",
        ),
        (
            _PEAKS,
            "An aerial drone shot moves slowly forward over snowy mountains at sunrise. Orange "
            "light touches the peaks, and fog fills the valley. There are no people.",
        ),
    ],
)
def test_rewordings_are_taken(source: str, text: str) -> None:
    assert refine([text], UNLIMITED, source)[0].outcome == "ok"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "a woman walking her dog on the beach at sunset",
            "A young woman in a flowing white dress strolls barefoot along the golden beach at "
            "sunset, her playful golden retriever trotting beside her as gentle waves lap at the "
            "shore.",
        ),
        (
            _SALMON,
            "In a bustling Michelin-starred kitchen, a skilled chef with tattooed arms delicately "
            "plates a gourmet dish. He places three pieces of salmon on a white plate, drizzles "
            "vibrant green sauce and finishes with fresh herbs, while steam rises in warm light.",
        ),
        (
            _PEAKS,
            "A breathtaking aerial view glides slowly forward over majestic snowy mountains at "
            "sunrise. Orange light bathes the jagged peaks, while mysterious fog drifts through "
            "the silent valley, creating a dreamlike atmosphere. There are no people.",
        ),
    ],
)
def test_inventions_are_not(source: str, text: str) -> None:
    assert refine([text] * 2, UNLIMITED, source)[0].outcome == "unfaithful"


def test_creative_texts_are_marked_and_not_judged() -> None:
    text = "Under a red sky twenty dogs of Rome dance."
    answer, questions = refine([text], CREATIVE_RULES)
    assert answer.outcome == "ok"
    assert answer.fields["added"] == {
        "numbers": ["twenty"], "colours": ["red"], "names": ["Rome"],
    }  # fmt: skip
    assert answer.fields["mode"] == "creative"
    assert "Expand" in questions[0]


def test_examples_are_as_long_as_captions_should_be() -> None:
    for short, long in EXAMPLES:
        assert len(short.split()) < 10
        assert 85 <= len(long.split()) <= 100


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (CaptionReply("I'm sorry, but I can't help with that."), "refused"),
        (CaptionReply("", finish="filtered"), "blocked"),
        (CaptionReply("  "), "empty"),
        (CaptionReply("<think>Two dogs", finish="length"), "cut_off"),
        (CaptionFailure("the server answered 400"), "failed"),
    ],
)
def test_other_outcomes_end_it(reply: CaptionReply | CaptionFailure, outcome: str) -> None:
    answer, _ = refine([reply])
    assert answer.outcome == outcome
    assert answer.caption == ""
    assert answer.reason


def test_what_it_took_is_added_up() -> None:
    long = CaptionReply(SOURCE * 2, prompt_tokens=100, completion_tokens=20, seconds=1.5)
    answer, _ = refine([long, replace(long, text=SOURCE, completion_tokens=None)])
    assert (answer.prompt_tokens, answer.completion_tokens) == (200, 20)
    assert answer.seconds == 3.0


def test_a_caption_is_no_template() -> None:
    source = "A sign says {style} and {length} and {caption}."
    first = begin(RULES, source).instruction
    assert source in first
    own = RefinePrompt("Do it: {caption}", "Style.")
    assert own.first("a cat", "") == "Do it: a cat"
    assert own.first("a cat", "Be short.") == "Do it: a cat\n\nBe short."
    assert RefinePrompt("Do it.", "").first("a cat", "") == "Do it.\n\nCaption: a cat"


def test_texts_without_spaces_are_measured_in_characters() -> None:
    rules = replace(RULES, tokens=TokenLimit(len, 20))
    assert rules.length("一只猫坐在窗台上看着外面的雨" * 2, 0) == "Write at most 18 characters."


def test_a_trigger_word_stays_is_counted_and_is_not_sent() -> None:
    asked = begin(RULES, SOURCE, "sks dogs ")
    assert "sks" not in asked.instruction
    long = proceed(RULES, asked, CaptionReply(SOURCE))
    assert isinstance(long, RefineQuestion)
    assert "It has 13 tokens" in long.instruction
    done = proceed(RULES, long, CaptionReply("Two dogs run across a green field, no leash."))
    assert isinstance(done, ClipAnswer)
    assert done.caption == "sks dogs Two dogs run across a green field, no leash."
    assert done.fields["tokens"] == 11


_WORDS = st.lists(
    st.sampled_from(["Two", "dogs", "no", "leash", "red", "Paris", "run", "7", ".", "{caption}"])
)
_TEXTS = st.one_of(_WORDS.map(" ".join), st.text(max_size=60))
_REPLIES = st.one_of(
    st.builds(CaptionReply, _TEXTS, st.sampled_from(["stop", "length", "filtered"])),
    st.builds(CaptionFailure, _TEXTS),
)


@given(
    source=_TEXTS.filter(bool),
    replies=st.lists(_REPLIES, min_size=8, max_size=8),
    limit=st.integers(1, 12),
    tries=st.integers(1, 5),
    creative=st.booleans(),
)
def test_it_ends_and_never_takes_what_is_too_long(
    source: str,
    replies: list[CaptionReply | CaptionFailure],
    limit: int,
    tries: int,
    creative: bool,
) -> None:
    rules = replace(CREATIVE_RULES if creative else RULES, tries=tries)
    rules = replace(rules, tokens=TokenLimit(lambda text: len(text.split()), limit))
    step: RefineQuestion | ClipAnswer = begin(rules, source)
    for number in count():
        if isinstance(step, ClipAnswer):
            break
        assert source.strip() in step.instruction
        step = proceed(rules, step, replies[number])
    assert 1 <= number <= tries + 1
    assert (step.outcome == "ok") == bool(step.caption)
    assert len(step.caption.split()) <= limit
    assert bool(step.reason) or step.outcome in ("ok", "failed")
