"""Numbers in words, and words of strangers made safe."""

from __future__ import annotations

import pytest

from videoprep.text import counted, duration, escape_unprintable, file_size, rounded_parts

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (-3.0, "0 s"),
        (45.4, "45 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (9 * MINUTE + 20, "9 min 20 s"),
        (HOUR - 0.4, "1 h 00 min"),
        (2 * HOUR + 5 * MINUTE, "2 h 05 min"),
        (DAY - 20, "1 d 00 h"),
        (3 * DAY + 4 * HOUR, "3 d 04 h"),
        (None, "?"),
        (float("nan"), "?"),
        (float("inf"), "?"),
    ],
)
def test_durations_have_two_units(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


def test_short_durations_may_have_digits() -> None:
    assert duration(2.456, 1) == "2.5 s"
    assert duration(2.0, 1) == "2 s"
    assert duration(59.97, 1) == "1 min 00 s"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (12_345, "12.3 kB"),
        (999_600, "1 MB"),
        (4.5e9, "4.5 GB"),
        (2e18, "2e+03 PB"),
    ],
)
def test_sizes_have_three_digits(count: float, words: str) -> None:
    assert file_size(count) == words


def test_nouns_are_in_the_plural_unless_there_is_one() -> None:
    assert [counted(number, "clip") for number in (0, 1, 2000)] == [
        "0 clips",
        "1 clip",
        "2,000 clips",
    ]
    assert counted(2000) == "2,000"


def test_what_steers_or_hides_is_spelt_out() -> None:
    assert escape_unprintable("a\u202eb\x1b[2J\n\ud800") == "a\\u202eb\\x1b[2J\n\\ud800"
    assert escape_unprintable("a\nb", keep="") == "a\\nb"


def test_parts_add_up_to_the_sum_that_is_shown() -> None:
    assert rounded_parts([22.03, 2.77, 0.98, 0.96], 1) == [22.0, 2.8, 1.0, 0.9]
    assert rounded_parts([0.25, 0.25], 1) == [0.3, 0.2]
    assert rounded_parts([1 / 3] * 3, 2) == [0.34, 0.33, 0.33]
    assert rounded_parts([], 1) == []
