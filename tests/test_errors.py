"""Errors say what, where and how to mend it, and survive a process boundary."""

from __future__ import annotations

import pickle

from videoprep.errors import Code, ListError, MediaError, Problem, StoreError


def test_an_error_reads_where_what_and_remedy() -> None:
    error = StoreError("is damaged", where="/store", remedy="encode anew")
    assert str(error) == "/store: is damaged\n  → encode anew"


def test_errors_survive_pickling() -> None:
    error = MediaError("does not decode", code=Code.DECODE_FAILED, where="a.mp4", remedy="x")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code) == (MediaError, str(error), Code.DECODE_FAILED)


def test_a_list_error_names_every_problem() -> None:
    problems = [Problem(Code.BLANK_LINE, "blank line", "fill it", "prompt.txt", n) for n in (3, 7)]
    error = pickle.loads(pickle.dumps(ListError(problems)))
    assert error.problems == tuple(problems)
    assert "prompt.txt:3: VP003" in str(error)
    assert "prompt.txt:7: VP003" in str(error)


def test_codes_are_unique_numbers() -> None:
    values = [code.value for code in Code]
    assert len(set(values)) == len(values)
    assert all(len(value) == 5 and value[:2] == "VP" and value[2:].isdigit() for value in values)
