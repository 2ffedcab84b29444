"""`videoprep validate`: checks a dataset against the rules."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.text import Text

from videoprep.cli import completion
from videoprep.cli.options import as_options, dataset_options, named_path
from videoprep.cli.output import meter, next_command, safe, stderr, stdout
from videoprep.errors import SpecError

if TYPE_CHECKING:
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.validators.fixes import Fix
    from videoprep.validators.protocol import Finding
    from videoprep.validators.report import Report

_EXAMPLES = {"error": 10, "warning": 5, "note": 3}
_CHANGES = 20
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}
_RULES = "Codes, starts of codes, or names; repeat it or separate them by commas."


class ReportFormat(str, Enum):
    """In which form findings are printed."""

    rich = "rich"
    json = "json"
    jsonl = "jsonl"
    github = "github"
    sarif = "sarif"
    html = "html"


class FailOn(str, Enum):
    """From which severity on the exit code is 1."""

    error = "error"
    warning = "warning"


@dataset_options
def validate(
    path: Path,
    dataset: dict[str, Any],
    select: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Apply only these rules, or default, or all. {_RULES}",
            metavar="RULES",
            autocompletion=completion.rules,
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Leave these rules out. {_RULES}",
            metavar="RULES",
            autocompletion=completion.rules,
        ),
    ] = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(
            help="Another severity for a rule, such as VP111=error.",
            metavar="RULE=LEVEL",
            autocompletion=completion.rules,
        ),
    ] = None,
    rule_option: Annotated[
        list[str] | None,
        typer.Option(
            help="An option of a rule, such as VP306.share=0.1.",
            metavar="RULE.NAME=VALUE",
            autocompletion=completion.rules,
        ),
    ] = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(help="Exit with 1 from this severity on. Default: error.", metavar="LEVEL"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder or hub id, whose tokenizer counts captions.")
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a corrected videoprep.yaml and list.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would write.")] = False,
    write_clean: Annotated[
        Path | None,
        typer.Option(help="Write the samples that pass to this CSV or TSV file.", metavar="FILE"),
    ] = None,
    output_format: Annotated[
        ReportFormat,
        typer.Option(help="rich, json, jsonl, github, sarif or html.", metavar="FORMAT"),
    ] = ReportFormat.rich,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the report there.", metavar="FILE"),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(help="Seconds to open a small file; large ones get more.", min=0.1)
    ] = 60.0,
    memory_limit: Annotated[
        int, typer.Option(help="MiB of memory that opening a file may take.", min=64)
    ] = 2048,
) -> None:
    """Check a dataset against the rules; exit code 1 if it breaks one.

    Nothing is changed, unless --fix is given. The default rule: width and height divisible by 32;
    4k or 4k+1 frames. `videoprep rules` lists all rules.
    """
    from videoprep.media.workers import Limits
    from videoprep.spec.dataset import TABLE_SUFFIXES, DatasetSpec
    from videoprep.validators.engine import validate as run

    chosen = {
        "select": _words(select),
        "ignore": _words(ignore),
        "severity": _pairs(severity, "--severity VP111=error"),
        "rule_options": _options(rule_option),
        "fail_on": fail_on.value if fail_on is not None else None,
    }
    dataset |= {name: value for name, value in chosen.items() if value}
    path = named_path(path, dataset)
    for target in filter(None, (output, write_clean)):
        if target.is_dir():
            raise SpecError("is a folder", where=str(target), remedy="name a file in it")
    if write_clean is not None and write_clean.suffix.lower() not in TABLE_SUFFIXES:
        raise SpecError(f"{write_clean} is no table", remedy="name a .csv or .tsv file")
    how: dict[str, Any] = {"model": model, "limits": Limits(time_limit, memory_limit)}
    with meter() as shown:
        report = run(
            path,
            on_progress=lambda done, total: shown.update("checked", done, total),
            **how,
            **dataset,
        )
    for target in filter(None, (output, write_clean)):
        _require_no_source(target, report)
    _write(report, output_format, output)
    if output_format is ReportFormat.rich and not (fix or diff):
        _print_next(report, path, dataset)
    if (fix or diff or write_clean) and report.overview is not None:
        spec = DatasetSpec.from_path(path, **dataset)
        if write_clean is not None:
            _write_clean(spec, report, write_clean)
        if fix or diff:
            _require_beside(path, spec)
            _fix(spec, report, how, write=fix, show=diff)
    raise typer.Exit(0 if report.ok else 1)


# What the options of a dataset can make legal: its size, its number of frames, its buckets.
_FITTED = ("VP101", "VP102", "VP303")


def _print_next(report: Report, path: Path, dataset: dict[str, Any]) -> None:
    """The command that follows: a plan, or a way to a dataset that passes."""
    options = as_options(dataset)
    failing = {finding.code for finding in report.findings if finding.fails(report.fail_on)}
    if report.ok:
        next_command("index", path, *options, "-o", "index.parquet")
    elif report.overview is None:  # there was nothing to look at
        if path.is_dir() and "VP001" in failing:
            next_command("init", path)
    elif report.reshape == "none" and failing & set(_FITTED):
        next_command("validate", path, *options, "--reshape", "center-crop")
    else:
        next_command("validate", path, *options, "--fix", "--diff")


def _require_no_source(target: Path, report: Report) -> None:
    """What is written replaces a file that is there: it must not be one of the dataset's own."""
    if report.overview is None or not target.exists():
        return
    status, overview = target.stat(), report.overview
    videos = overview.identities
    is_video = ((videos[:, 0] == status.st_dev) & (videos[:, 1] == status.st_ino)).any()
    captions = {sample.caption_file for sample in overview.samples[:1]}
    lists = [Path(name) for name in (overview.list_file, *captions)]
    if is_video or any(one.exists() and one.samefile(target) for one in lists):
        raise SpecError(
            "is part of the dataset, and would be replaced",
            where=str(target),
            remedy="give another name",
        )


def _words(given: list[str] | None) -> tuple[str, ...]:
    return tuple(word.strip() for text in given or () for word in text.split(",") if word.strip())


def _pairs(given: list[str] | None, example: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        for item in text.split(","):
            name, equals, value = item.partition("=")
            if not equals:
                raise SpecError(f"{item!r} is no pair", remedy=f"write it as in {example}")
            pairs[name.strip()] = value.strip()
    return pairs


def _options(given: list[str] | None) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for text in given or ():
        left, equals, value = text.partition("=")
        rule, dot, name = left.partition(".")
        if not (equals and dot and name):
            raise SpecError(
                f"{text!r} is no rule's option", remedy="write it as in VP306.share=0.1"
            )
        found.setdefault(rule.strip(), {})[name.strip().replace("-", "_")] = value.strip()
    return found


def _write(report: Report, form: ReportFormat, output: Path | None) -> None:
    if form is ReportFormat.rich and output is None:
        print_report(report)
        return
    if output is None:
        for text in _texts(report, form):
            sys.stdout.write(text)
        return
    from videoprep.durable import write_file

    def write(file: BinaryIO) -> None:
        for text in _texts(report, form):
            file.write(text.encode("utf-8", "backslashreplace"))

    write_file(output, write)
    print_verdict(report)
    stdout.print(safe(f"the report is in {output}"))


def _texts(report: Report, form: ReportFormat) -> Iterator[str]:
    """The report in pieces."""
    if form is ReportFormat.rich:
        with stdout.capture() as captured:
            print_report(report)
        return iter([Text.from_ansi(captured.get()).plain + "\n"])
    return _writer(form)(report)


def _writer(form: ReportFormat) -> Callable[[Report], Iterator[str]]:
    if form is ReportFormat.html:
        from videoprep.reporting.html import as_html

        return as_html
    if form is ReportFormat.sarif:
        from videoprep.reporting.sarif import as_sarif

        return as_sarif
    if form is ReportFormat.github:
        from videoprep.reporting.github import as_github

        return as_github
    from videoprep.reporting.json_lines import as_json, as_json_lines

    return as_json if form is ReportFormat.json else as_json_lines


def _write_clean(spec: DatasetSpec, report: Report, target: Path) -> None:
    from videoprep.mirror import shown
    from videoprep.validators.fixes import clean_rows, passing, write_rows

    keep, _ = passing(report)
    write_rows(target, clean_rows(spec, keep))
    hint = f"; use it with --data-root {shown(spec.data_root)}" if _elsewhere(target, spec) else ""
    stderr.print(safe(f"{len(keep)} of {report.total} samples pass; wrote {target}{hint}"))


def _elsewhere(target: Path, spec: DatasetSpec) -> bool:
    return target.resolve().parent != spec.data_root.resolve()


def _require_beside(path: Path, spec: DatasetSpec) -> None:
    """A fix is written into the data root, and has to be found there by the same command."""
    from videoprep.mirror import remote_of, shown
    from videoprep.spec.spec_file import NAME

    if remote_of(spec.data_root) is not None:
        raise SpecError(
            "a fix is written beside the videos, and nothing is written into a remote folder",
            where=shown(spec.data_root),
            remedy="write a list with --write-clean FILE instead",
        )
    folder = path if path.is_dir() else path.parent
    odd_spec = path.suffix.lower() in (".yaml", ".yml") and path.name != NAME
    if folder.resolve() != spec.data_root.resolve() or odd_spec:
        raise SpecError(
            "a fix is written beside the videos, and this dataset is described elsewhere",
            where=str(path),
            remedy="write a list with --write-clean FILE instead",
        )


def _fix(
    spec: DatasetSpec, report: Report, how: dict[str, Any], *, write: bool, show: bool
) -> None:
    from videoprep.validators.fixes import apply, propose

    fix = propose(spec, report, **how)
    if not fix.done:
        stderr.print(safe("nothing to fix"))
        return
    _show(fix, everything=show)
    for change in fix.done:
        stderr.print(safe(f"fix: {change}", "bold"))
    if write:
        for path in apply(fix):
            stderr.print(safe(f"wrote {path}"))


def _show(fix: Fix, *, everything: bool) -> None:
    """The changes as a diff: of the spec, and of the samples that are left out."""
    from videoprep.spec.spec_file import NAME

    old, new = fix.old_text.splitlines(), fix.new_text.splitlines()
    for line in difflib.unified_diff(old, new, NAME, NAME, lineterm=""):
        style = {"+": "green", "-": "red"}.get(line[:1], "")
        stderr.print(safe(line, style))
    shown = fix.left_out if everything else fix.left_out[:_CHANGES]
    for one in shown:
        stderr.print(safe(f"-{one.line}: {one.what}  ({', '.join(one.codes)})", "red"))


def print_report(report: Report) -> None:
    """Findings grouped by rule, with examples, and a summary that adds up."""
    ordered = sorted(report.findings, key=lambda f: (f.code, f.severity.value))
    for (code, severity), group in groupby(ordered, key=lambda f: (f.code, f.severity.value)):
        _print_group(f"{code} {report.name_of(code)}", severity, list(group))
    print_verdict(report)


def print_verdict(report: Report) -> None:
    """Whether the dataset is ok, and counts that add up."""
    verdict = safe("not clean", "bold red")
    if report.ok:
        warned = any(f.severity.value == "warning" for f in report.findings) or report.unusable
        verdict = safe("passes, with warnings" if warned else "clean", "bold green")
    counts = f" · {report.total} samples = {report.clean} clean + "
    counts += f"{report.with_findings} with findings"
    if report.unusable:
        counts += f" + {report.unusable} unusable for reasons that are ignored"
    rules = f" · profile {report.profile}, reshape {report.reshape}"
    if report.rules_left_out:
        rules += f" · {report.rules_left_out} rules left out"
    stdout.print(verdict + safe(counts + rules))


def _print_group(title: str, severity: str, findings: list[Finding]) -> None:
    plural = "s" if len(findings) > 1 else ""
    heading = safe(f"{title} {severity}", _STYLES[severity])
    stdout.print(heading + f" · {len(findings)} time{plural}")
    remedies = {finding.remedy for finding in findings}
    examples = findings[: _EXAMPLES[severity]]
    for finding in examples:
        where = (
            finding.file if finding.line is None else f"{Path(finding.file).name}:{finding.line}"
        )
        subject = f"{finding.video} ({where})" if finding.video else where
        stdout.print(safe(f"  {subject}: {finding.message}"))
        if finding.remedy and len(remedies) > 1:
            stdout.print(safe(f"    → {finding.remedy}", "dim"))
    if len(findings) > len(examples):
        stdout.print(safe(f"  … and {len(findings) - len(examples)} more like these", "dim"))
    if len(remedies) == 1:
        stdout.print(safe(f"    → {findings[0].remedy}", "dim"))
    stdout.print()
