"""`videoprep rules`: lists the rules, or explains one."""

from __future__ import annotations

from typing import Annotated

import typer

from videoprep.cli.options import Format, OutputFormat
from videoprep.cli.output import print_json, safe, stdout


def rules(
    rule: Annotated[
        str | None, typer.Argument(metavar="[RULE]", help="A code or name; all rules without it.")
    ] = None,
    output_format: Format = OutputFormat.rich,
) -> None:
    """List the rules that validate applies, or explain one: why, example, remedy."""
    from videoprep.validators.registry import registry
    from videoprep.validators.selection import no_such_rule

    there = registry()
    chosen = list(there.rules.values())
    if rule is not None:
        chosen = [r for r in chosen if rule.upper() == r.code or rule.lower() == r.name]
        if not chosen:
            raise no_such_rule(rule, there.rules)
    if output_format is OutputFormat.json:
        fields = ("code", "name", "summary", "why", "example", "remedy", "opt_in")
        print_json(
            [{**{f: getattr(r, f) for f in fields}, "severity": r.severity.value} for r in chosen]
        )
    elif rule is not None:
        from rich.markdown import Markdown

        from videoprep.reporting.rule_page import rule_page

        stdout.print(Markdown(str(safe(rule_page(chosen[0])))))
    else:
        for r in chosen:
            severity = r.severity.value + (" (on request)" if r.opt_in else "")
            stdout.print(safe(f"{r.code} {r.name}", "bold") + safe(f" · {severity}"))
            stdout.print(safe(f"  {r.summary}"))
        for problem in there.problems:
            stdout.print(safe(f"{problem.code} {problem.file}: {problem.message}", "red"))
