"""Options of the command line as they follow from a model's fields, and how they are spelled."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BaseModel, ConfigDict, Field
from typer.testing import CliRunner

import videoprep
from docs.make_options import COMMANDS, CONFIGS, PAGES, page
from tests.conftest import REPOSITORY
from tests.support.assets import write_lists, write_video
from videoprep.cli.app import app
from videoprep.cli.options import as_options, options_from, read, with_options
from videoprep.cli.spelling import all_flags, spelled
from videoprep.fs.mirror import shown
from videoprep.options import Cli

Run = Callable[..., Any]
PACKAGE = Path(videoprep.__file__).parent


class Options(BaseModel):
    """One field of each kind."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    folder: Path | None = None
    """Folder to read."""
    how: Literal["fast", "slow"] = "fast"
    """How to read it.

    A second paragraph is not part of the help."""
    many: Annotated[int, Field(gt=0)] = 3
    """Number of `words`."""
    words: Annotated[tuple[str, ...], Cli(also=("terms",))] = ()
    """Words, such as [a] and b."""
    shares: dict[str, float] = {}
    """Shares by name."""
    size: Literal["auto"] | tuple[int, ...] = "auto"
    """Sizes; `auto` chooses."""
    loud: bool = False
    """Print more."""
    check: bool = True
    """Check the result."""
    deep: Annotated[dict[str, dict[str, Any]], Cli(name="deep_one", repeat=True)] = {}
    """Nested options."""
    own: Annotated[int | None, Cli(command="other")] = None
    """Of another command."""


def _run(*arguments: str) -> dict[str, Any]:
    """What a command gets."""
    got: dict[str, Any] = {}

    def command(first: str, options: dict[str, Any], last: int = 1) -> None:
        got.update(options, first=first, last=last)

    one = typer.Typer()
    one.command()(with_options(Options, "options")(command))
    done = CliRunner().invoke(one, ["x", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return got


def test_fields_become_options() -> None:
    assert _run() == {"first": "x", "last": 1}
    given = ["--folder", "s3://a/b", "--how", "slow", "--many", "4", "--terms", "a,b c", "--loud"]
    given += ["--shares", "train=0.9,val=0.1", "--size", "AUTO", "--no-check", "--last", "2"]
    got = _run(*given, "--deep-one", "VP1.a-b=1", "--deep-one", "VP1.c=2")
    assert shown(got.pop("folder")) == "s3://a/b"
    assert got == {
        "first": "x",
        "last": 2,
        "how": "slow",
        "many": 4,
        "words": ("a", "b", "c"),
        "loud": True,
        "shares": {"train": "0.9", "val": "0.1"},
        "size": "auto",
        "check": False,
        "deep": {"VP1": {"a_b": "1", "c": "2"}},
    }
    made = Options(**{name: value for name, value in got.items() if name not in ("first", "last")})
    assert made.shares == {"train": 0.9, "val": 0.1}
    assert read(Options, {"size": "1,2", "how": None}) == {"size": ("1", "2")}


def test_an_option_of_one_command_is_not_for_others() -> None:
    assert "own" not in options_from(Options, command="command")
    assert "own" in options_from(Options, command="other")
    assert "how" not in options_from(Options, leave_out=["how"])


def test_help_is_the_docstring() -> None:
    one = typer.Typer(rich_markup_mode="rich")
    one.command()(with_options(Options, "options")(lambda options: None))
    text = CliRunner().invoke(one, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    assert "How to read it. One of fast and slow. Default: fast." in text
    assert "Number of --words. Default: 3." in text
    assert "Words, such as [a] and b." in text
    assert "Sizes; auto chooses. Default: auto." in text
    assert "second paragraph" not in text


def test_what_was_given_is_written_back() -> None:
    given = {"frame_buckets": ("17", "49"), "split": {"train": "0.9", "val": "0.1"}}
    given |= {"allow_upscale": True, "data_root": Path("a"), "select": ("VP101",)}
    assert as_options(given) == [
        *("--frame-buckets", "17,49", "--split", "train=0.9,val=0.1"),
        *("--allow-upscale", "--data-root", "a"),
    ]


def test_the_table_in_the_docs_is_of_these_fields() -> None:
    for name in {*PAGES, *COMMANDS, *CONFIGS}:
        text = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
        assert text == page(name), "run: python docs/make_options.py"


# How the command line spells what the library says


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("give `reshape`", "give --reshape"),
        ("`reshape='center-crop'` fits it", "--reshape center-crop fits it"),
        ("`profile='a' or 'b' or 'c'` does", "--profile a, b or c does"),
        ("`reshape='pad', buckets='auto'`", "--reshape pad --buckets auto"),
        ("`height_buckets=64, width_buckets=96`", "--height-buckets 64 --width-buckets 96"),
        ("`select=['default', 'damaged']`", "--select default,damaged"),
        ("`rule_options={'VP305': {'batch_size': N}}`", "--rule-option VP305.batch_size=N"),
        ("`split={'train': 0.9, 'val': 0.1}`", "--split train=0.9,val=0.1"),
        ("`roles={'control:depth': 'depth'}`", "--role control:depth=depth"),
        ("`roles={'control:depth': …}`", "--role control:depth=…"),
        ("`retry_failed=True`", "--retry-failed"),
        ("`split_column=''`", "--split-column ''"),
        ("raise `limits.seconds`", "raise --time-limit"),
        ("`videoprep validate` and `repeats`", "`videoprep validate` and `repeats`"),
        ("`reshape=` and `reshape` `x", "`reshape=` and --reshape `x"),
        ("``reshape``", "``reshape``"),
        ("no ticks", "no ticks"),
    ],
)
def test_options_are_spelled(said: str, shown: str) -> None:
    assert spelled(said, all_flags(app)) == shown


def test_markdown_keeps_its_backticks() -> None:
    assert spelled("`reshape='pad'`", all_flags(app), ticks=True) == "`--reshape pad`"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--num-buckets", "3"], "--num-buckets needs --buckets auto"),
        (["--min-kept", "0.9", "--buckets", "17x64x96"], "--min-kept needs --buckets auto"),
        (["--height-buckets", "64"], "give both --height-buckets and --width-buckets"),
        (["--split", "a=0.5"], "for instance: --split train=0.95,val=0.05"),
        (["--split", "a"], "'a' is not of the form NAME=SHARE,…, such as train=0.95,val=0.05"),
        (["--frame-buckets", "many"], "--frame-buckets: expected whole numbers from 1"),
        (["--frame-buckets", "17..49"], "give another value, such as --frame-buckets 17,49"),
        (["--min-pixels", "320x240"], "give another value, such as --min-pixels 76800"),
        (["--num-buckets", "0"], "--num-buckets: expected a whole number of 1 or more, got 0"),
        (["--num-buckets", "x"], "--num-buckets: expected a whole number of 1 or more, got 'x'"),
        (["--buckets", "832x480"], "give another value, such as --buckets 49x480x704"),
        (["--resolution", "512"], "did you mean --buckets? For instance: --buckets 49x480x704"),
        (["--fps", "16"], "did you mean --target-fps?"),
        (["--reshap", "pad"], "did you mean --reshape?"),
    ],
)
def test_errors_name_the_flag(
    run_cli: Run, dataset: Path, arguments: list[str], words: str
) -> None:
    done = run_cli("index", dataset, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "`" not in done.stderr.partition("→")[0]


@pytest.mark.parametrize("form", ["rich", "json", "jsonl", "github", "sarif", "html"])
def test_findings_name_the_flag_in_every_form(run_cli: Run, tmp_path: Path, form: str) -> None:
    write_video(tmp_path / "odd.mp4", width=90)
    write_lists(tmp_path, ["one"], ["odd.mp4"])
    done = run_cli("validate", tmp_path, "--output-format", form)
    assert done.returncode == 1, done.stderr
    assert "--reshape center-crop fits it" in done.stdout
    assert "`reshape" not in done.stdout


def test_rules_name_the_flag(run_cli: Run) -> None:
    assert "--reshape center-crop" in run_cli("rules", "VP101").stdout
    (rule,) = json.loads(run_cli("rules", "VP101", "--output-format", "json").stdout)
    assert "--reshape center-crop" in rule["remedy"]


# The library spells no flags

_FLAG = re.compile(r"(?<![\w-])--[a-z]")

# Flags of other programs.
_OTHERS = re.compile(r"exporters/(media/)?(?!run|registry)\w+\.py")
_OF_THE_HUB = "--local-dir"


def _strings(path: Path) -> Iterator[str]:
    """The strings of a file but the docstrings, which no user is shown; those of rules are."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and isinstance(node.body[0], ast.Expr)
    }
    of_rules = path.parent.name == "rules"
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and (of_rules or node not in docs):
            yield node.value


def _library() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "cli"]


def test_the_library_spells_no_flags() -> None:
    found = {}
    for path in _library():
        name = path.relative_to(PACKAGE).as_posix()
        flags = [text for text in _strings(path) if _FLAG.search(text.replace(_OF_THE_HUB, ""))]
        if flags and not _OTHERS.fullmatch(name):
            found[name] = flags
    assert not found


def test_what_the_library_says_to_run_can_be_run() -> None:
    group: Any = typer.main.get_command(app)
    checked = 0
    for path in _library():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "command_line":
                continue
            (command, *_) = node.args
            assert isinstance(command, ast.Constant)
            names = {one.name for one in group.commands[command.value].params}
            assert {one.arg for one in node.keywords} <= names, path
            checked += 1
    assert checked > 5
