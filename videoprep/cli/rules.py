"""`videoprep rules`: lists the rules, or explains one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videoprep.cli import completion
from videoprep.cli.options import Format, OutputFormat
from videoprep.cli.output import print_json, safe, said, stdout
from videoprep.cli.spelling import spelled

if TYPE_CHECKING:
    from videoprep.failure_reasons import Reason
    from videoprep.validators.protocol import Rule


def rules(
    rule: Annotated[
        str | None,
        typer.Argument(
            metavar="[RULE]",
            help="A code or name; all rules without it.",
            autocompletion=completion.rule_or_name,
        ),
    ] = None,
    output_format: Format = "rich",
) -> None:
    """List the rules that validate applies, or explain one: why, example, remedy.

    Codes of clips that failed, from VP401 on, are explained, too.
    """
    from videoprep.failure_reasons import reason_of
    from videoprep.validators.registry import registry
    from videoprep.validators.selection import no_such_rule

    there = registry()
    chosen = list(there.rules.values())
    if rule is not None:
        chosen = [r for r in chosen if rule.upper() == r.code or rule.lower() == r.name]
        reason = None if chosen else reason_of(rule)
        if reason is not None:
            _explain(reason, output_format)
            return
        if not chosen:
            raise no_such_rule(rule, there.rules)
    if output_format == "json":
        print_json([_as_json(r) for r in chosen])
    elif rule is not None:
        from videoprep.validators.rule_page import rule_page

        _print_page(rule_page(chosen[0]))
    else:
        for r in chosen:
            severity = r.severity.value + (" (on request)" if r.opt_in else "")
            stdout.print(safe(f"{r.code} {r.name}", "bold") + safe(f" · {severity}"))
            stdout.print(said(f"  {r.summary}"))
        for problem in there.problems:
            stdout.print(said(f"{problem.code} {problem.file}: {problem.message}", "red"))


def _as_json(rule: type[Rule]) -> dict[str, Any]:
    texts = {name: spelled(getattr(rule, name)) for name in ("summary", "why", "example", "remedy")}
    return {
        "code": rule.code,
        "name": rule.name,
        **texts,
        "opt_in": rule.opt_in,
        "severity": rule.severity.value,
    }


def _explain(reason: Reason, output_format: OutputFormat) -> None:
    if output_format == "json":
        print_json([{name: spelled(text) for name, text in asdict(reason).items()}])
    else:
        _print_page(reason.page)


def _print_page(page: str) -> None:
    from rich.markdown import Markdown

    stdout.print(Markdown(str(safe(spelled(page, ticks=True)))))
