"""What a person wrote into a ``videoprep.yaml`` survives when the rest is written again."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from videoprep.spec.commented import MARK, Comments, Proposal, commented_text, explanations
from videoprep.spec.yaml_lines import YamlLines, option_name, read_yaml_lines, with_settings


def _lines(text: str) -> YamlLines:
    return read_yaml_lines(text, MARK, explanations())


def _again(text: str, comments: Comments | None = None) -> str:
    loaded: dict[str, Any] = yaml.safe_load(text) or {}
    fields = {option_name(name): value for name, value in loaded.items()}
    top, proposed = (comments.top, comments.proposed) if comments else ((), {})
    return commented_text(fields, Comments(top, proposed, _lines(text)))


def test_comments_stay_with_the_setting_that_they_are_at() -> None:
    lines = _lines(
        "# whose data this is\n"
        "\n"
        "# above the profile\n"
        "profile: wan  # beside it\n"
        "# below it\n"
        "\n"
        "# above the buckets\n"
        "\n"
        "buckets:\n"
        "  # inside\n"
        "  - 49x480x704\n"
        "reshape: pad\n"
        "\n"
        "# at the end\n"
    )
    assert lines.top == ("# whose data this is",)
    assert lines.above == {
        "profile": ("# above the profile", "# below it"),
        "buckets": ("# above the buckets",),
    }
    assert lines.settings == {
        "profile": ("profile: wan  # beside it",),
        "buckets": ("buckets:", "  # inside", "  - 49x480x704"),
        "reshape": ("reshape: pad",),
    }
    assert lines.end == ("# at the end",)


def test_comments_in_a_file_that_explains_itself() -> None:
    proposed = {"profile": Proposal("wan", "it fits")}
    text = commented_text({"dataset_file": "a.csv"}, Comments(("Found: a.csv.",), proposed))
    text = text.replace("# reshape: null", "# pad was too dark\nreshape: resize  # so be it")
    text = text.replace("# data_root: .", "# here\n# data_root: .")
    text = f"# mine\n{text}\n# last\n"
    again = _again(text)
    assert yaml.safe_load(again) == {"dataset_file": "a.csv", "reshape": "resize"}
    own = [line for line in again.splitlines() if line and not line.startswith("## ")]
    for line in ("# mine", "# pad was too dark", "reshape: resize  # so be it", "# here", "# last"):
        assert own.count(line) == 1
    assert own[0] == "# mine"
    assert own[-1] == "# last"
    assert "# profile: wan" not in own  # a proposal that is not made any more
    assert again.count("Found:") == 0
    assert _again(again) == again


def test_an_option_that_a_person_commented_out_is_a_comment() -> None:
    again = _again("# profile: ltx-video\nprofile: wan\n# reshape: pad  # too dark\n")
    assert again.count("# profile: ltx-video\n") == 1
    assert again.count("# reshape: pad  # too dark\n") == 1
    assert _again(again) == again


def test_explanations_of_an_older_file_do_not_pile_up() -> None:
    new = commented_text({"profile": "wan"}, Comments())
    old = "".join(
        f"{line.removeprefix('#')}\n" if line.startswith("## ") else f"{line}\n"
        for line in new.replace(f"{MARK}\n", "").splitlines()
    )
    assert MARK not in old
    assert _again(old) == new


@pytest.mark.parametrize(
    "text",
    [
        "{profile: wan, reshape: pad}  # mine\n",
        "# mine\n  profile: wan\n  reshape: pad\n",
        "--- # mine\nprofile: wan\nreshape: pad\n...\n",
        "\ufeffprofile: wan\r\nreshape: pad\r\n",
        "? profile\n: wan\n? reshape\n: pad\n",
        '"profile": wan\n"reshape" : pad',
        "profile: |-\n  wan\n\n\nreshape: >-\n  pad\n\n",
        "profile: wan\nprofile: wan\nreshape: pad\n",
    ],
)
def test_other_ways_to_write_it(text: str) -> None:
    again = _again(text)
    assert yaml.safe_load(again) == {"profile": "wan", "reshape": "pad"}
    assert _again(again) == again


def test_a_name_that_is_not_an_option_is_not_lost() -> None:
    again = _again("# why\nresolution: 480p  # or so\nmax-num-frames: 81\n")
    assert "# why\nresolution: 480p  # or so\n" in again
    assert "\nmax-num-frames: 81\n" in again
    assert "# max_num_frames" not in again
    assert _again(again) == again


COMMENT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20).map(
    lambda text: f"# {text}"
)
PIECE = st.one_of(
    COMMENT,
    st.just(""),
    st.sampled_from(
        [
            "profile: wan",
            "reshape:   pad # yes",
            "buckets:\n- 49x480x704\n# in between\n- 81x480x704",
            "split: {train: 0.9,\n  # a comment\n  val: 0.1}",
            "id_token: |\n  # no comment\n  word",
            "target_fps:",
            'crop_seed: "a\n  b"',
            "rule_options:\n  VP101:\n    # deep\n    divisor: 16",
            "# allow_upscale: false",
        ]
    ),
)


@pytest.mark.slow
@given(st.lists(PIECE, max_size=12))
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_person_wrote_is_lost(pieces: list[str]) -> None:
    text = "\n".join(pieces) + "\n"
    again = _again(text, Comments(("Seen.",), {"profile": Proposal("wan", "why")}))
    assert yaml.safe_load(again) == yaml.safe_load(text)
    kept = [line.strip() for line in again.splitlines()]
    for line in text.splitlines():
        if line.strip() and line.lstrip("# ") not in {one.lstrip("# ") for one in explanations()}:
            assert line.strip() in kept
    assert _again(again, Comments(("Seen.",), {"profile": Proposal("wan", "why")})) == again


@pytest.mark.parametrize(
    ("text", "exchanged", "expected"),
    [
        ("# a\nfps: 8  # b\n", {"x": "x: 1\n"}, "# a\nfps: 8  # b\nx: 1\n"),
        ("a: 1\n# b\nb:\n- 1\n- 2\n\nc: 3", {"b": "b: 4\n"}, "a: 1\n# b\nb: 4\n\nc: 3\n"),
        ("a: 1\r\n# b\r\nb: 2\r\n", {"a": None}, "# b\r\nb: 2\r\n"),
        ("## E.\n# a: 1\n\nb: 2\n", {"a": "a: 5\n"}, "## E.\na: 5\n\nb: 2\n"),
        ("## E.\n# a:\n# - 1\nb: 2\n", {"a": "a:\n- 5\n"}, "## E.\n# a:\n# - 1\nb: 2\na:\n- 5\n"),
        ("# a: 1\n", {"a": "a: 5\n"}, "# a: 1\na: 5\n"),
        ("data-root: .\nb: 2\n", {"data_root": "data_root: x\n"}, "data_root: x\nb: 2\n"),
        ("{a: 1, b: 2}\n", {"a": "a: 5\n"}, None),
    ],
)  # fmt: skip
def test_settings_are_exchanged_among_lines_that_stay(
    text: str, exchanged: dict[str, str | None], expected: str | None
) -> None:
    assert with_settings(text, exchanged) == expected
