"""`videoprep refine`: captions rewritten by a language model, into the caption journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.captions.refine_options import RefineOptions
from videoprep.cli.asking import (
    READING,
    AskingWords,
    print_counts,
    print_failures,
    print_next,
    ranged,
    run_asking,
)
from videoprep.cli.options import Format, LogJson, dataset_options, named_path, with_options
from videoprep.cli.output import next_command, print_json, safe, stdout
from videoprep.engine.execution import ExecutionOptions
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.captions.refine_run import MarkedCaption, RefineResult

_MARKED = 5

_WORDS = AskingWords(
    made="refined",
    failed="not refined",
    more="more",
    again="these captions stay. --retry-failed asks again",
    before="were not refined",
    captions="refined captions",
    kinds={
        "too_long": "too long after all tries",
        "unfaithful": "not faithful",
        "cut_off": "cut off at the limit of an answer",
        "refused": "refused",
        "blocked": "withheld by the server",
        "malformed": "malformed",
        "empty": "empty",
        "failed": "without an answer",
    },
    skipped={
        "dropped": "dropped in a review",
        "edited": "edited by a person",
        "uncaptioned": "without a caption; `videoprep caption` makes captions",
        "current": "not among those that --only names",
        "unreadable": "with a file that cannot be read",
        "repeated": "of the same clip as another sample, with the same caption",
        "ambiguous": "of the same clip as another sample, with another caption; left unchanged",
    },
)


@dataset_options(only=READING | {"id_token", "profile"})
@with_options(RefineOptions, "options")
@with_options(ExecutionOptions, "execution")
def refine(
    path: Path,
    dataset: dict[str, Any],
    options: dict[str, Any],
    execution: dict[str, Any],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print one request, and send nothing.")
    ] = False,
    log_json: LogJson = False,
    output_format: Format = "rich",
) -> None:
    """Rewrite captions with a language model: the same facts, in the style of the target model.

    The language model is on a server (--endpoint) or runs here (--model). With --tokenizer no
    refined caption has more tokens than the model that is trained takes. New numbers, colours,
    names and negations are marked; what is not faithful is not used. Your own files are not
    changed, and both texts stay in the dataset's caption journal.
    """
    from videoprep.captions.refine_run import refine as run
    from videoprep.captions.refine_run import refine_request

    place = named_path(path, dataset)
    if dry_run:
        print_json(refine_request(place, **options, **dataset))
        return
    result = run_asking(run, place, log_json=log_json, **{**options, **execution, **dataset})
    if output_format == "json":
        print_json(result.to_json())
    else:
        _print(result)
        parts = (dataset, options, execution)
        if not print_next("refine", place, result, parts, RefineOptions) and result.refined:
            next_command("validate", place, *_counted_by(options.get("tokenizer")))
    raise typer.Exit(0 if result.ok else 1)


def _counted_by(tokenizer: str | None) -> tuple[str, ...]:
    """The option of `validate` that counts tokens in the same way."""
    from videoprep.captions.target_tokenizer import is_alone

    return () if tokenizer is None or is_alone(tokenizer) else ("--model", tokenizer)


def _print(result: RefineResult) -> None:
    """What was refined, in counts that add up."""
    print_failures(result, _WORDS)
    _print_marked(result)
    if result.first_alone:
        several = counted(result.first_alone, "sample")
        told = "only the first is refined; the others are used as they are"
        stdout.print(f"{several} with several captions: {told}")
    same = f"{result.unchanged:,} of those refined are what they were before"
    print_counts(result, result.refined, _WORDS, same if result.unchanged else "")


def _print_marked(result: RefineResult) -> None:
    """Examples of what was added or lost."""
    for one in result.examples[:_MARKED]:
        name = f"{one.video}{ranged(one.start, one.end)}: "
        stdout.print(safe("marked ", "cyan") + safe(name) + safe(_marks(one)))
    if result.marked:
        stdout.print(
            safe(
                f"{result.marked:,} of {result.refined:,} refined captions add or lose numbers, "
                "colours, names or negations"
            )
        )


def _marks(one: MarkedCaption) -> str:
    parts = [
        f"{verb} {_listed(found)}"
        for verb, found in (("adds", one.added), ("loses", one.lost))
        if found
    ]
    return "; ".join(parts)


def _listed(found: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{kind} {', '.join(map(repr, words))}" for kind, words in found.items())
