"""What a refined caption adds to its source is marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.processor_time import least_seconds
from videoprep.captions.guard import additions, is_faithful

SOURCE = "A man in a red coat walks two dogs along the beach without a leash."


@pytest.mark.parametrize(
    ("source", "refined", "numbers"),
    [
        ("A man walks two dogs.", "A man walks 2 dogs.", ()),
        ("A pair of dogs.", "Two dogs.", ()),
        ("Two dogs.", "A pair of dogs.", ()),
        ("Dogs.", "Three dogs and 4 cats, 1,200 birds.", ("Three", "4", "1,200")),
        ("Twenty-one cars.", "21 cars.", ()),
        ("21 cars.", "twenty two cars", ("twenty two",)),
        ("9 cars", "two hundred and twenty-one", ("two hundred", "twenty one")),
        ("2500 cars", "two thousand five hundred cars", ()),
        ("A man.", "One man.", ()),
        ("A lens of 2.39:1.", "A lens of 2.40:1.", ("2.40:1",)),
        ("It is 10:45.", "It is 10:46.", ("10:46",)),
        ("A dozen eggs", "12 eggs", ()),
        ("", "Version 1.2.3 and ٣", ("1.2.3", "٣")),
    ],
)  # fmt: skip
def test_numbers(source: str, refined: str, numbers: tuple[str, ...]) -> None:
    assert additions(source, refined).numbers == numbers


@pytest.mark.parametrize(
    ("source", "refined", "colours"),
    [
        ("A red car.", "A red car.", ()),
        ("A car.", "A red car, dark-blue sky.", ("red", "blue")),
        ("A gray cat with golden eyes.", "A grey cat with gold eyes.", ()),
        ("A red car.", "A reddish car.", ()),
        ("A blue car.", "A bluish car.", ()),
        ("A red car.", "A crimson car.", ("crimson",)),
        ("A fish.", "A fish and a dish.", ()),
        ("A blonde girl.", "A blond girl.", ()),
    ],
)
def test_colours(source: str, refined: str, colours: tuple[str, ...]) -> None:
    assert additions(source, refined).colours == colours


@pytest.mark.parametrize(
    ("source", "refined", "names"),
    [
        ("A man.", "A man walks through Paris.", ("Paris",)),
        ("A man in paris.", "A man in Paris.", ()),
        ("Paris's towers.", "The towers of Paris.", ()),
        ("A man.", "Tall trees. Quickly he runs.", ()),
        ("A man.", "Anna Smith runs.", ("Anna", "Smith")),
        ("A man.", "He says I run in a T-shirt.", ()),
        ("A man.", 'A man. "Anna, stop!"', ()),
        ("A man.", "The Eiffel Tower stands.", ("Eiffel", "Tower")),
        ("A man.", "He isn't there, and Isn't sad.", ()),
    ],
)
def test_names(source: str, refined: str, names: tuple[str, ...]) -> None:
    assert additions(source, refined).names == names


@pytest.mark.parametrize(
    ("source", "refined", "negations", "lost"),
    [
        ("A man without a hat.", "A man with no hat.", (), ()),
        ("A man with a hat.", "A man without a hat.", ("without hat",), ()),
        ("A man without a hat.", "A man with a hat.", (), ("without hat",)),
        ("A man without a hat.", "A man without a coat.", ("without coat",), ("without hat",)),
        ("He stands.", "He isn't moving.", ("isn't moving",), ()),
        ("He doesn’t move.", "He does not move.", (), ()),
        ("Nobody.", "", (), ("nobody",)),
        ("He stands.", "He moves. Never.", ("never",), ()),
    ],
)
def test_negations(
    source: str, refined: str, negations: tuple[str, ...], lost: tuple[str, ...]
) -> None:
    found = additions(source, refined)
    assert found.negations == negations
    assert found.lost_negations == lost


@pytest.mark.parametrize(
    ("source", "refined", "share"),
    [
        (SOURCE, SOURCE, 0),
        (SOURCE, "Along the beach, a man walks two dogs.", 0),
        ("A man is walking.", "The man walks, he walked.", 0),
        ("Men run through cities.", "A running man is in the city.", 1 / 3),
        ("A man walks.", "A man walks quickly home.", 2 / 4),
        ("A man walks.", "A bird flies.", 1),
        ("", "A bird.", 1),
        ("A bird.", "", 1),
        ("A bird.", "It is there.", 1),
        ("", "", 0),
    ],
)
def test_the_share_of_new_words(source: str, refined: str, share: float) -> None:
    assert additions(source, refined).share == pytest.approx(share)


def test_beyond_a_share_it_is_not_faithful_and_the_reason_is_told() -> None:
    refined = (
        "A tall man in a red and blue coat walks three dogs along a beach in Nice, never tired."
    )
    found = additions(SOURCE, refined)
    assert found.marked == ("three", "blue", "Nice", "never tired")
    assert found.reason == (
        "50% of its words are new; numbers: three; colours: blue; names: Nice; "
        "negations: never tired; lost negations: without leash"
    )
    assert is_faithful(found, 0.5)
    assert not is_faithful(found, 0.4)
    assert additions(SOURCE, SOURCE).reason == ""


WORDS = (
    *(
        "no",
        "without",
        "two",
        "hundred",
        "thousand",
        "twenty",
        "one",
        "Anna",
        "red",
        "reddish",
        "cat",
    ),
    *("A", "n't", "isn't", "’s", "-", ".", ":", "\n", "1.2.3", "10:45", "Mr.", "ß", "٣", "²"),
)
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join))


@given(TEXTS, TEXTS)
def test_any_texts_are_compared(source: str, refined: str) -> None:
    found = additions(source, refined)
    assert 0 <= found.share <= 1
    assert isinstance(found.reason, str)


@given(TEXTS)
def test_a_text_adds_nothing_to_itself(text: str) -> None:
    found = additions(text, text)
    assert found.marked == ()
    assert found.lost_negations == ()
    assert found.share == 0


@pytest.mark.parametrize(
    "unit", ["A cat no. ", "Two hundred ", "Anna ", "not ", "red. ", "1.", "a'", "'"]
)
def test_long_texts_take_linear_time(unit: str) -> None:
    def seconds(size: int) -> float:
        return least_seconds(lambda: additions((unit * size)[:size], (unit * size)[: size - 1]))

    assert seconds(80_000) < max(24 * seconds(10_000), 1.0)
