"""What the commands that ask a model about clips have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from videoprep.cli.options import as_options
from videoprep.cli.output import next_command, safe, said, seen_from_here, stderr, stdout
from videoprep.engine.execution import ExecutionOptions
from videoprep.text import counted

if TYPE_CHECKING:
    from pydantic import BaseModel

    from videoprep.captions.asking_run import AskingResult
    from videoprep.errors import Problem

Result = TypeVar("Result")

_SHOWN = 10

# The options of a dataset that say where its samples are; the others are about plans.
READING = frozenset(
    {
        *("data_root", "dataset_file", "format", "caption_column", "video_column"),
        *("start_column", "end_column", "range_column", "time_unit", "time_zero"),
        *("audio_column", "roles", "caption_lines", "caption_journal", "allow_outside_root"),
    }
)


@dataclass(frozen=True, slots=True)
class AskingWords:
    """How a command says what came of it."""

    made: str
    failed: str
    more: str
    """What those of them are that are not listed."""
    again: str
    """What can be done about them."""
    before: str
    """What became of those that were asked about before, as a verb."""
    captions: str
    """What is in the journal."""
    kinds: Mapping[str, str]
    """How asking fails, by outcome."""
    skipped: Mapping[str, str]
    """Why samples are not asked about, after their number: "edited by a person"."""


def run_asking(
    run: Callable[..., Result | None], place: Path, *, log_json: bool, **options: Any
) -> Result:
    """Ask, and show how it goes; end the other ranks than the first, which speaks."""
    progress = "json" if log_json else "auto"
    result = run(place, progress=progress, on_notice=tell, **options)
    if result is None:
        raise typer.Exit(0)
    return result


def tell(text: str) -> None:
    """Print what users have to know before or while a model is asked."""
    stderr.print(said(text))


def print_next(
    command: str,
    place: Path,
    result: AskingResult[Any],
    given: tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]],
    model: type[BaseModel],
) -> bool:
    """Print the command that asks about the clips that a limit has left; say whether there are any.

    Args:
        command: its name.
        place: the dataset.
        result: what came of it so far.
        given: what it got of the options of the dataset, its own, and those of execution.
        model: of its own options.
    """
    if not result.limited:
        return False
    dataset, own, execution = given
    rest = {name: own[name] for name in own if name != "limit"}
    words = [*as_options(dataset), *as_options(rest, model)]
    next_command(command, place, *words, *as_options(execution, ExecutionOptions))
    return True


def print_failures(result: AskingResult[Any], words: AskingWords) -> None:
    """Print which samples cannot be used, and which clips failed."""
    print_problems(result.problems)
    for clip in result.failures[:_SHOWN]:
        name = f"{clip.video}{ranged(clip.start, clip.end)}: "
        stdout.print(safe(f"{words.failed} ", "yellow") + safe(name) + said(clip.reason))
    failed = sum(result.failed.values())
    if failed > _SHOWN:
        stdout.print(
            f"… and {failed - _SHOWN:,} {words.more}; {seen_from_here(result.journal)} has all"
        )


def print_counts(
    result: AskingResult[Any], made: int, words: AskingWords, remark: str = ""
) -> None:
    """Print what was done, in counts that add up, and a remark on what was made."""
    for reason, count in result.skipped.items():
        stdout.print(safe(f"skipped {count:,}: {words.skipped[reason]}"))
    counts = {
        words.made: made,
        words.failed: sum(result.failed.values()),
        "asked before": sum(result.answered.values()),
        "skipped": sum(result.skipped.values()),
        "unusable": result.unusable,
        "left by --limit": result.limited,
        "pending in other jobs": result.pending,
    }
    always = (words.made, words.failed, "asked before", "skipped")
    parts = [f"{count:,} {what}" for what, count in counts.items() if count or what in always]
    kinds = ", ".join(f"{count:,} {words.kinds[one]}" for one, count in result.failed.items())
    earlier = sum(count for one, count in result.answered.items() if one != "ok")
    prompt, completion = result.prompt_tokens, result.completion_tokens
    journal = seen_from_here(result.journal)
    lines = (
        f"{counted(result.samples, 'sample')} = {' + '.join(parts)}",
        kinds and f"{words.failed}: {kinds}; {words.again}",
        f"of those asked before, {earlier:,} {words.before}; --retry-failed asks again"
        if earlier
        else "",
        remark,
        *(
            f"{counted(count, 'answer')} without {name}, a field that the server does not know"
            for name, count in result.left_out.items()
        ),
        f"{prompt:,} tokens of prompts, {completion:,} of answers" if prompt + completion else "",
        f"{words.captions} are in {journal}, by {result.model} (run {result.run})",
    )
    for line in filter(None, lines):
        stdout.print(safe(line))


def print_problems(problems: Sequence[Problem]) -> None:
    """Print why samples cannot be used."""
    for problem in problems[:_SHOWN]:
        stdout.print(
            safe("skipped ", "yellow") + safe(f"{problem.where}: ") + said(problem.message)
        )
    if len(problems) > _SHOWN:
        more = len(problems) - _SHOWN
        stdout.print(f"… and {more:,} more; --output-format json lists all")


def ranged(start: float | None, end: float | None) -> str:
    """Return a range in words after a video's name; empty for all of it."""
    if start is None and end is None:
        return ""
    return f" [{start or 0:g}, {'end' if end is None else f'{end:g}'}]"
