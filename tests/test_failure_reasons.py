"""What is advised for clips that failed."""

from __future__ import annotations

import pytest

from videoprep.errors import Code
from videoprep.failure_reasons import what_helps

_RETRY = "what failed is tried again with `retry_failed=True`"


@pytest.mark.parametrize("code", [Code.OUT_OF_MEMORY, Code.KILLS_ITS_PROCESS, Code.TIME_LIMIT])
def test_a_retry_is_advised_if_it_may_succeed(code: Code) -> None:
    assert list(what_helps([code.value])) == [_RETRY]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (Code.DECODE_FAILED, "need another file"),
        (Code.UNREADABLE, "need another file"),
        (Code.DECODER_CRASH, "need another file"),
        (Code.CHANGES_MIDWAY, "cut where it changes"),
        (Code.NOT_FINITE, "need another dtype"),
    ],
)
def test_no_retry_is_advised_that_fails_again(code: Code, advice: str) -> None:
    (only,) = what_helps([code.value])
    assert advice in only
    assert "retry_failed" not in only


def test_each_reason_is_advised_on_once() -> None:
    codes = [Code.DECODE_FAILED, Code.DECODE_FAILED, Code.UNREADABLE, Code.OUT_OF_MEMORY]
    broken, retry = what_helps(code.value for code in codes)
    assert "need another file" in broken
    assert retry == _RETRY.replace("what failed", "what else failed")
