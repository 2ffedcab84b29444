"""Answers of models become captions, and good captions stay as they are."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from docs.make_rules import CAPTIONS, captions_page
from tests.support.processor_time import least_seconds
from videoprep.captions.cleaning import RULES, Cleaned, CleaningRule, clean, outcome_of
from videoprep.captions.json_answer import parse_answer

LISTS = Path(__file__).parents[1] / "validators" / "captions"
PEOPLES = LISTS.joinpath("english.txt").read_text(encoding="utf-8").splitlines()
FOREIGN = [
    line.partition("\t")[2]
    for line in LISTS.joinpath("foreign.tsv").read_text(encoding="utf-8").splitlines()
]
SHELLED = {
    "The video captures a bustling open-air market where vendors arrange colourful fruits, spices "
    "and fabrics.",
    "This clip features a young man playing an acoustic guitar on a rooftop at dusk.",
    "Caption: a boat",
    '{"caption": "a cat"}',
}
"""The captions of the list that begin as a model's answer does."""

REAL = (
    "A hiker with a backpack stands on a rocky ledge above layered mountains while the sun sets.",
    "The video screen on the wall shows a match, and the crowd cheers.",
    "The video game shop closes; two people talk outside.",
    '"Open" flashes on a sign, then "Closed"',
    "'Tis the season of the bakers'",
    'A sign reads "Here is the caption:" above a door.',
    "Here is a man who walks his dog.",
    "5 < 6 and 7 > 4, AT&T; tower",
    "1.5 metres of snow fall.",
    'A monitor of 27"',
    "iPhone 15, rotating",
    "<sks> person waves, <Marco> smiles",
    "👩‍👩‍👧 wave from a pier 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "می‌رود",
    "The scene that follows shows how a clock works.",
    "Sure-footed goats climb a cliff.",
    "Note by note, a pianist plays.",
    "{red|blue} car on a road",
    "[SCENE-1] A bar. [SCENE-2] A beach.",
    "a*b*c ** d",
    "A man says I'm sorry.",
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_does_what_its_example_says(rule: CleaningRule) -> None:
    assert rule.apply(rule.before) == rule.after
    assert rule.before != rule.after
    cleaned = clean(rule.before, cut_off=True)
    assert rule.name in cleaned.rules
    assert cleaned.text == clean(rule.after, cut_off=True).text


def test_the_page_has_every_rule() -> None:
    assert CAPTIONS.read_text(encoding="utf-8") == captions_page(), "run: python docs/make_rules.py"
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("caption", REAL)
def test_good_captions_stay(caption: str) -> None:
    assert clean(caption) == Cleaned(caption)
    assert outcome_of(caption, clean(caption), "stop") == "ok"


def test_captions_that_people_wrote_stay() -> None:
    captions = [*PEOPLES, *FOREIGN]
    assert {caption for caption in captions if clean(caption).text != caption} == SHELLED


@pytest.mark.parametrize(
    ("raw", "text", "rules"),
    [
        ("The video shows a man on a horse. He smiles.", "A man on a horse. He smiles.", "opening"),
        ("In this clip, we can see two dogs.", "Two dogs.", "opening"),
        ("In the video, there is a cat.", "A cat.", "opening"),
        ("The footage opens with iPhone parts.", "iPhone parts.", "opening"),
        ("This short video captures Paris.", "Paris.", "opening"),
        ("Here's a detailed caption for the clip:\n\n“a cat.”", "A cat.", "preface quotes"),
        ("Certainly! Here is the description you asked for: a cat", "A cat", "preface"),
        ("Here is a caption of the video. A cat runs.", "A cat runs.", "preface"),
        ("### Caption: a cat", "A cat", "label"),
        ("Refined caption:\na cat", "A cat", "label"),
        ("```json\n{\"caption\": \"A cat.\"}\n```", "A cat.", "code-fence json-shell"),
        ("Here it is:\n```\nA cat.\n```\nEnjoy!", "A cat.", "code-fence"),
        ("```A cat", "A cat", "code-fence"),
        ("<think>Cats?</think>\n\nA cat.", "A cat.", "thinking line-breaks"),
        ("<think>a<think>b</think>c</think>A cat.", "A cat.", "thinking"),
        ("Hm.\n</think>A cat.", "A cat.", "thinking"),
        ("A cat. <think>Is it", "A cat.", "thinking line-breaks"),
        ("<think>Never closed", "", "thinking"),
        ("◁think▷x◁/think▷A cat.", "A cat.", "thinking"),
        (
            "<|channel|>analysis<|message|>x<|end|><|channel|>final<|message|>A cat.<|return|>",
            "A cat.",
            "thinking chat-tokens line-breaks",
        ),
        ("<answer>A cat.</answer>", "A cat.", "chat-tokens line-breaks"),
        ("- A cat.\n- A dog.", "A cat. A dog.", "bullets line-breaks"),
        ("**Scene**\n\nA *cat*.", "Scene A *cat*.", "markdown line-breaks"),
        ("A cat.\n\nLet me know if you need more!", "A cat.", "closing line-breaks"),
        ("A cat. (95 words)", "A cat.", "closing"),
        ("A cat.<br>A <i>dog</i>.<script>x()</script>", "A cat. A dog.", "html line-breaks"),
        ("<!-- x -->A &lt;b&gt;cat&lt;/b&gt;", "A cat", "html"),
        ("\x1b[31mA\x1b[0m \x1b]0;title\x07cat\u202e\ud800", "A cat", "control-characters"),
        ('"A sign reads "Open" here."', 'A sign reads "Open" here.', "quotes"),
        ('"A cat runs', "A cat runs", "quotes"),
        ("'A cat runs.'", "A cat runs.", "quotes"),
    ],
)  # fmt: skip
def test_what_is_around_a_caption_is_removed(raw: str, text: str, rules: str) -> None:
    cleaned = clean(raw)
    assert cleaned.text == text
    assert set(cleaned.rules) == set(rules.split())


@pytest.mark.parametrize(
    "raw",
    [
        "The video begins with a man and then transitions to a dog.",
        "The video shows how a clock works.",
        "The video shows.",
        "In this video, how a clock works is explained.",
    ],
)
def test_an_opening_stays_if_the_rest_would_be_no_sentence(raw: str) -> None:
    assert clean(raw).text == raw


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('{"caption": "A cat.", "tags": ["a", "b"]}', "A cat."),
        ('[{"description": "A cat."}, {"description": "B."}]', "A cat."),
        ('{"Video Caption": "A cat."} Enjoy!', "A cat."),
        ('{"result": {"caption": "A cat."}}', "A cat."),
        ('{"caption": ["A cat.", "A dog."]}', "A cat. A dog."),
        ('{"whatever": "A cat.", "score": 3}', "A cat."),
        ('{"caption": "A sign says "Open", then "Closed" on a door.", "x": 1}',
         'A sign says "Open", then "Closed" on a door.'),
        ("{'caption': 'A man's hat.', 'x': None}", "A man's hat."),
        ('{caption: "A cat."}', "A cat."),
        ('{"mood": "calm"\n"caption": "A cat."', "A cat."),
        ('{"caption": "A cat.}', "A cat."),
        ('{"caption": "A cat.",}', "A cat."),
        ('{"caption": "A\ncat."}', "A cat."),
        ('{"caption": "A \\"black\\" cat \\ud83d\\ude00."', 'A "black" cat 😀.'),
        ('{"caption": "A cat.\\', "A cat."),
        ('{"caption": "A cat.\\u00', "A cat."),
        ("{“caption”: “A cat.”}", "A cat."),
    ],
)  # fmt: skip
def test_a_caption_comes_out_of_its_json_shell(raw: str, text: str) -> None:
    cleaned = clean(raw)
    assert cleaned.text == text
    assert cleaned.fields
    assert outcome_of(raw, cleaned, "stop") == "ok"


def test_the_fields_beside_the_caption_are_kept() -> None:
    assert clean('{"caption": "A cat.", "mood": "calm", "n": 2}').fields == {
        "caption": "A cat.",
        "mood": "calm",
        "n": 2,
    }
    assert clean('{"caption": "A", "n": 2.5, "ok": true, "mood": "ca').fields == {
        "caption": "A",
        "n": 2.5,
        "ok": True,
        "mood": "ca",
    }
    assert clean('{"scene": "A cat.", "mood": "calm"}', json_keys=["scene"]).text == "A cat."


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("A cat sleeps. A dog runs tow", "A cat sleeps."),
        ("A cat sleeps. Dr. Smith and Mr.", "A cat sleeps."),
        ("It is 2.5 m long. A dog", "It is 2.5 m long."),
        ('He says "Stop!" A dog', 'He says "Stop!"'),
        ("一只猫。一只狗跑", "一只猫。"),
        ("A cat sleeps.", "A cat sleeps."),
        ("A cat sleeps on the", ""),
        ('{"caption": "A cat sleeps. A dog ru', "A cat sleeps."),
        ("<think>The limit came too ear", ""),
    ],
)
def test_a_half_sentence_goes_only_if_the_answer_was_cut_off(raw: str, text: str) -> None:
    cleaned = clean(raw, cut_off=True)
    assert cleaned.text == text
    assert outcome_of(raw, cleaned, "length") == "cut_off"
    assert "half-sentence" not in clean(raw).rules


@pytest.mark.parametrize(
    ("raw", "finish", "outcome"),
    [
        ("I'm sorry, but I can't help with that.", "stop", "refused"),
        ("As an AI language model, I cannot watch videos.", None, "refused"),
        ("Unfortunately, I am unable to view the video.", "stop", "refused"),
        ("I can’t identify the person in this clip.", "length", "refused"),
        ("It looks like no video was attached. Please upload it.", "stop", "refused"),
        ('{"error": "I cannot describe this content."}', "stop", "refused"),
        ("<think>Hm.</think>I cannot assist with that request.", "stop", "refused"),
        ("抱歉，我无法描述这个视频。", "stop", "refused"),
        ("", "content_filter", "blocked"),
        ("A cat", "filtered", "blocked"),
        ("A cat", "length", "cut_off"),
        ("", "stop", "empty"),
        (" \n", None, "empty"),
        ("<think>x</think>", "stop", "empty"),
        ("...", "stop", "empty"),
        ('{"subject": "a cat", "camera": "still"}', "stop", "malformed"),
        ('{"caption": ""}', "stop", "malformed"),
        ('{"caption": "A cat sleeps. A dog ru', "stop", "malformed"),
        ('{"caption": }', "stop", "malformed"),
        ('{"a":' * 40, "stop", "malformed"),
        ('A man says "I am sorry, I cannot help you."', "stop", "ok"),
        ("A woman mouths that she is sorry and leaves.", "stop", "ok"),
        ("A robot dressed as an AI assistant waves.", "stop", "ok"),
        ("A cat.", "stop", "ok"),
    ],
)
def test_the_outcome(raw: str, finish: str | None, outcome: str) -> None:
    cleaned = clean(raw, cut_off=finish == "length")
    assert outcome_of(raw, cleaned, finish) == outcome


PIECES = st.sampled_from(
    [
        *(
            "The video shows ",
            "In this clip, we see ",
            "Here is a caption: ",
            "Sure! ",
            "Caption: ",
        ),
        *(
            "<think>",
            "</think>",
            "```json\n",
            "```",
            '{"caption": "',
            '"}',
            '{"a": ',
            "[",
            "]",
            "}",
        ),
        *(
            '"',
            "'",
            "“",
            "”",
            "\\",
            "\\n",
            "\\u00e9",
            "\n",
            " ",
            ". ",
            "...",
            "- ",
            "1. ",
            "**",
            "# ",
        ),
        *("<b>", "</b>", "<!--", "-->", "<script>", "&amp;", "&quot;", "&lt;", "amp;", "\x1b[31m"),
        *(
            "\x00",
            "\ud800",
            "\u202e",
            "\u3000",
            "<|im_end|>",
            "<answer>",
            "</answer>",
            "a cat",
            "Dr.",
        ),
        *(
            "A dog runs",
            "Let me know if ",
            "(95 words)",
            "I'm sorry, I can't help",
            "。",
            "é",
            "ß",
            "İ",
        ),
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)), st.booleans())
@example('"' * 40, False)
@example("&amp;" * 40, True)
@example('{"caption": "' * 20, True)
@example('""A cat." A dog', True)
def test_cleaning_twice_is_cleaning_once(raw: str, cut_off: bool) -> None:
    cleaned = clean(raw, cut_off=cut_off)
    again = clean(cleaned.text, cut_off=cut_off)
    assert again.text == cleaned.text
    assert again.rules == ()
    outcome_of(raw, cleaned, "length" if cut_off else None)
    assert cleaned.text.isprintable() or not cleaned.text.isascii()
    assert cleaned.text == " ".join(cleaned.text.split())
    cleaned.text.encode()


@given(st.lists(PIECES, max_size=14).map("".join))
def test_broken_objects_are_read_without_an_error(raw: str) -> None:
    answer = parse_answer('{"caption": "' + raw)
    assert answer is not None
    assert isinstance(answer.caption(), str)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.text(), min_size=1))
def test_valid_objects_are_read_as_they_are(fields: dict[str, str]) -> None:
    answer = parse_answer(json.dumps(fields))
    assert answer is not None
    assert answer.whole
    assert answer.fields == fields


HOSTILE = (
    *("<think>", "</think><think>", "\x1b[", "\x1b]", "\x1b[1;", '"', "“", "'a ", '{"a":"'),
    *(
        '{"caption": "',
        '{"a":',
        '[{"a":[',
        "&amp;",
        "amp;",
        "**a",
        "[a](",
        ".....x",
        ". . ",
        "<b <i ",
    ),
    *("<!--", "<script>", "<b " * 9, " ", "\n", "- ", "1. ", "Here is a caption: ", "Caption: "),
    *(
        "The video shows ",
        "```",
        '\\"',
        '",',
        "é ",
        "Sure! ",
        "\ud800",
        "---\n",
        "# ",
        "I'm sorry, ",
    ),
    *("the man walks. ", "It seems ", "x", "(95 words) ", "Let me know if ", "{'a': 'b'c", "1"),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_any_text_takes_linear_time(unit: str) -> None:
    """200,000 characters take a fraction of a second; what is quadratic would take minutes."""

    def work(raw: str) -> None:
        for text in (raw, raw[14:]):
            cleaned = clean(text, cut_off=True)
            outcome_of(text, cleaned, "length")

    seconds = {}
    for size in (25_000, 200_000):
        raw = '{"caption": "x' + (unit * (size // len(unit) + 1))[:size]
        seconds[size] = least_seconds(partial(work, raw))
    # Eight times the text: eight times the time, and 64 times if it were quadratic.
    assert seconds[200_000] < max(24 * seconds[25_000], 0.5), seconds
