"""`videoprep review`: a page on which people look at clips, and keep, drop or edit them."""

from __future__ import annotations

import webbrowser
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli.options import dataset_options, make_spec
from videoprep.cli.output import meter, safe, said, seen_from_here, stderr, stdout
from videoprep.cli.spelling import spelled
from videoprep.errors import VideoprepError
from videoprep.text import counted, file_size

if TYPE_CHECKING:
    from videoprep.review.decisions_file import AppliedDecisions
    from videoprep.review.review import Review
    from videoprep.review.static import StaticReview
    from videoprep.spec.dataset import DatasetSpec

_NAMED = 5


@dataset_options
def review(
    path: Path,
    dataset: dict[str, Any],
    model: Annotated[
        str | None,
        typer.Option(
            help="Diffusers folder or hub id. Its tokenizer counts the tokens, and its family is "
            "the profile if the dataset names none."
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Port on 127.0.0.1. Default: any.", metavar="N"),
    ] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    reviewer: Annotated[str, typer.Option(help="Your name, for the journal.", metavar="NAME")] = "",
    static: Annotated[
        Path | None,
        typer.Option(
            help="Write the page to a file instead, with videos beside it.", metavar="FILE"
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            min=1, help="Number of undecided clips on the page that --static writes.", metavar="N"
        ),
    ] = 100,
    apply: Annotated[
        Path | None,
        typer.Option(
            help="Take over the decisions that a page of --static exported.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Look at clips and captions on a page; keep, drop or edit them.

    The page is served to browsers of this machine alone, until Ctrl-C. What is decided is written
    to the caption journal at once. Exit code 1 if decisions of a file could not be taken over.
    """
    if static is not None and apply is not None:
        raise VideoprepError(
            "one command either writes a page or takes over decisions",
            remedy="give `static` or `apply`",
        )
    spec = make_spec(path, dataset)
    if apply is not None:
        _apply(spec, apply, reviewer)
    elif static is not None:
        _write(spec, static, limit, model, reviewer)
    else:
        _serve(spec, model, port, reviewer, open_in_browser=open_)


def _opened(spec: DatasetSpec, model: str | None, reviewer: str) -> Review:
    from videoprep.review.review import Review

    with meter() as shown:
        return Review(
            spec,
            model=model,
            reviewer=reviewer,
            on_progress=lambda done, total: shown.update("validated", done, total),
            spell=spelled,
        )


def _serve(
    spec: DatasetSpec, model: str | None, port: int, reviewer: str, *, open_in_browser: bool
) -> None:
    from videoprep.review.server import ReviewServer

    opened = _opened(spec, model, reviewer)
    items = opened.items
    with closing(opened.videos), ReviewServer(opened, port) as server:
        stdout.print(
            safe(f"{counted(len(items), 'clip')}, {items.counts['undecided']:,} undecided")
        )
        if opened.unusable:
            without = counted(opened.unusable, "sample")
            stdout.print(safe(f"{without} without a video: see `videoprep validate`", "yellow"))
        stdout.print(safe("open ") + safe(server.url, "cyan"))
        stderr.print("Ctrl-C ends it.", style="dim")
        if open_in_browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            taken = counted(opened.decisions, "decision")
            stdout.print(safe(f"{taken}, in {seen_from_here(items.live.captions.journal.folder)}"))


def _write(spec: DatasetSpec, page: Path, limit: int, model: str | None, reviewer: str) -> None:
    from videoprep.review.static import require_page, write_static

    require_page(page)
    opened = _opened(spec, model, reviewer)
    with closing(opened.videos), meter() as shown:
        made = write_static(
            opened, page, limit, lambda done, total: shown.update("written", done, total)
        )
    _print_static(made)


def _print_static(made: StaticReview) -> None:
    stdout.print(safe(f"{counted(made.clips, 'undecided clip')} on the page"))
    if made.left_out:
        stdout.print(said(f"{made.left_out:,} more are undecided: raise `limit`", "yellow"))
    if made.without_video:
        stdout.print(safe(f"{counted(made.without_video, 'clip')} cannot be played", "yellow"))
    places = [made.path, made.folder] if made.clips > made.without_video else [made.path]
    written = ", ".join(map(str, places))
    stdout.print(safe(f"written: {written} ({file_size(made.bytes)})"))


def _apply(spec: DatasetSpec, file: Path, reviewer: str) -> None:
    from videoprep.review.decisions_file import apply_decisions

    found = apply_decisions(spec, file, reviewer)
    _print_applied(found)
    raise typer.Exit(0 if found.ok else 1)


def _print_applied(found: AppliedDecisions) -> None:
    stdout.print(safe(f"{counted(found.applied, 'clip')} decided, {found.already:,} already so"))
    for names, why in (
        (found.changed, "changed since the page was written: decide again"),
        (found.unknown, "not in this dataset"),
    ):
        if names:
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            some = ", ".join(names[:_NAMED])
            stdout.print(safe(f"{counted(len(names), 'clip')} {why}: {some}{more}", "yellow"))
