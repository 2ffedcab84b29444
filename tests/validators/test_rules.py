"""All rules: each has its own test file, says what it demands, and has a page that is up to date.

The cases that break a rule and those that do not are in ``tests/validators/rules/test_NAME.py``.
Rules about lists are tested in tests/spec, rules about media on real files, too, in tests/media.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import videoprep as vp
import videoprep.validators.rules
from docs.make_rules import FOLDER, pages
from videoprep.errors import Code
from videoprep.failure_reasons import REASONS
from videoprep.validators.protocol import DatasetValidator, ReaderRule, Validator
from videoprep.validators.registry import built_in

RULES = built_in()
TESTS = Path(__file__).parent / "rules"
MODULES = Path(videoprep.validators.rules.__file__).parent


def test_every_rule_has_its_test() -> None:
    rules = {path.stem for path in MODULES.glob("*.py")} - {"__init__", "reported"}
    tests = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    assert rules == tests


@pytest.mark.parametrize(
    ("code", "files", "words", "severity"),
    [
        ("VP019", {"a.mp4": "v", "a.txt": "one", "still.png": "x"}, "still.png", "warning"),
        ("VP019", {"a.mp4": "v", "a.txt": "one", "notes.md": "x"}, "notes.md", "note"),
        (
            "VP020",
            {"a.mp4": "v", "list.csv": "video,caption,music\na.mp4,one,a.wav\n"},
            "'music' looks like sound",
            "warning",
        ),
        (
            "VP021",
            {
                "a.mp4": "v",
                "videoprep-list.csv": "video,caption\na.mp4,one\n",
                "videoprep.yaml": "dataset_file: videoprep-list.csv\n",
            },
            "an earlier version",
            "warning",
        ),
    ],
)
def test_what_readers_remark(
    tmp_path: Path, code: str, files: dict[str, str], words: str, severity: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    report = vp.validate(tmp_path, select=["VP0"])
    (finding,) = report.findings
    assert (finding.code, finding.severity) == (code, severity)
    assert words in finding.message
    assert finding.remedy
    for name in ("still.png", "notes.md"):
        (tmp_path / name).unlink(missing_ok=True)
    if code == "VP019":
        assert not vp.validate(tmp_path, select=["VP0"]).findings


def test_rules_describe_themselves() -> None:
    for code, rule in RULES.items():
        assert code == rule.code
        assert re.fullmatch(r"VP\d{3}", code)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
        assert rule.summary.endswith(".")
        for text in (rule.__doc__, rule.why, rule.example, rule.remedy):
            assert text
            assert text.strip()
        assert rule.needs
        assert issubclass(rule, Validator | DatasetValidator | ReaderRule)
        for option in rule.Options.model_fields.values():
            assert option.description


def test_every_code_has_a_rule_or_belongs_to_encoding() -> None:
    of_encoding = [reason.code for reason in REASONS]
    assert of_encoding == sorted(set(of_encoding))
    assert {code[:3] for code in of_encoding} == {"VP4"}
    assert {code.value for code in Code} - set(RULES) == set(of_encoding)
    assert not set(RULES) & set(of_encoding)


def test_the_pages_about_rules_are_up_to_date() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert there == pages(), "run: python docs/make_rules.py"


def test_what_is_advised_begins_in_lower_case() -> None:
    for rule in (cls() for cls in built_in().values()):
        remedy = rule.finding("list.txt", "wrong").remedy
        assert not remedy or remedy[0].islower() or remedy[1:2].isupper() or remedy[0] == "`"
