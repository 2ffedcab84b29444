"""VP109: a file that is cut off."""

from __future__ import annotations

from tests.support.rules import check, file, rule_test
from videoprep.validators.rules.truncated import Truncated

test_truncated = rule_test(
    Truncated,
    breaks=[file(cut_off=True)],
    clean=[file()],
)


def test_it_says_how_many_frames_there_are() -> None:
    for announced, more in ((49, ", its header announces 49"), (0, "")):
        [finding] = check(Truncated, file(frames=30, cut_off=True, header_frames=announced))
        assert finding.message == f"the file is cut off after 30 frames{more}"
