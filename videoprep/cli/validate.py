"""`videoprep validate`: checks a dataset against the rules."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer
from rich.text import Text

from videoprep.cli.asking import READING
from videoprep.cli.options import as_options, dataset_options, named_path
from videoprep.cli.output import (
    meter,
    next_command,
    print_reading,
    safe,
    said,
    stderr,
    stdout,
    table,
)
from videoprep.cli.spelling import spelled
from videoprep.errors import Code, SpecError
from videoprep.text import counted

if TYPE_CHECKING:
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.validators.fixes import Fix
    from videoprep.validators.protocol import Finding, Rule
    from videoprep.validators.report import Report

_EXAMPLES = {"error": 10, "warning": 5, "note": 3}
_CHANGES = 20
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


ReportFormat = Literal["rich", "json", "jsonl", "github", "sarif", "html"]


@dataset_options
def validate(
    path: Path,
    dataset: dict[str, Any],
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder or hub id. Its tokenizer counts captions, and its family is the "
            "profile if the dataset names none."
        ),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write a corrected videoprep.yaml and list.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what --fix would write; write nothing.")
    ] = False,
    write_clean: Annotated[
        Path | None,
        typer.Option(help="Write the samples that pass to this CSV or TSV file.", metavar="FILE"),
    ] = None,
    output_format: Annotated[
        ReportFormat,
        typer.Option(help="rich, json, jsonl, github, sarif or html.", metavar="FORMAT"),
    ] = "rich",
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
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.spec.readers.csv_table import READER as CSV
    from videoprep.validators.engine import validate as run
    from videoprep.workers.pool import Limits

    path = named_path(path, dataset)
    for target in filter(None, (output, write_clean)):
        if target.is_dir():
            raise SpecError("is a folder", where=str(target), remedy="name a file in it")
    if write_clean is not None and write_clean.suffix.lower() not in CSV.suffixes:
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
    _write(spelled_report(report), output_format, output)
    if output_format == "rich" and not (fix or diff):
        _print_next(report, path, dataset, model)
    if (fix or diff or write_clean) and report.overview is not None:
        _require_one(report, path)
        spec = DatasetSpec.from_path(path, **dataset)
        if write_clean is not None:
            _write_clean(spec, report, write_clean)
        if fix or diff:
            _require_beside(path, spec)
            fixed = _fix(spec, report, how, write=fix and not diff, show=diff)
            if fixed and output_format == "rich":
                given = [*as_options(dataset), *(() if model is None else ("--model", model))]
                next_command("validate", path, *given, *(["--fix"] if diff else ()))
    raise typer.Exit(0 if report.ok else 1)


# What the options of a dataset can make legal: its size, its number of frames, its buckets.
_FITTED = ("VP101", "VP102", "VP303")


def _print_next(report: Report, path: Path, dataset: dict[str, Any], model: str | None) -> None:
    """The command that follows: a plan, or a way to a dataset that passes."""
    options = [*as_options(dataset), *(() if model is None else ("--model", model))]
    failing = {finding.code for finding in report.findings if finding.fails(report.fail_on)}
    if Code.EMPTY_CAPTION.value in failing and report.overview is not None:
        given = {name: dataset[name] for name in dataset if name in READING}
        next_command("caption", path, *as_options(given), "--model", "MODEL")
    elif report.ok:
        next_command("index", path, *options, "-o", "index.parquet")
    elif report.overview is None:  # there was nothing to look at
        if "VP001" in failing and _may_hold_lists(path):
            next_command("init", path)
    elif report.datasets:  # what would mend one dataset may not be meant for the others
        _print_again(path, options)
    elif report.reshape == "none" and failing & set(_FITTED):
        next_command("validate", path, *options, "--reshape", "center-crop")
    elif _has_fix(report, path, dataset):
        next_command("validate", path, *options, "--fix", "--diff")
    else:
        _print_again(path, options)


def _print_again(path: Path, options: list[str]) -> None:
    """What only a person can mend is checked again."""
    stdout.print(safe("mend what the findings name, and check again"))
    next_command("validate", path, *options)


def _require_one(report: Report, path: Path) -> None:
    """A fix, and a list of what passes, is of one dataset."""
    if report.datasets:
        raise SpecError(
            "--fix, --diff and --write-clean are for one dataset, and this file describes several",
            where=str(path),
            remedy=f"name one of them, such as {path}#{report.datasets[0].name}, with "
            "--write-clean FILE",
        )


def _has_fix(report: Report, path: Path, dataset: dict[str, Any]) -> bool:
    """Whether --fix would change anything, and may write where the dataset lies."""
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.validators.fixes import has_fix

    spec = DatasetSpec.from_path(path, **dataset)
    try:
        _require_beside(path, spec)
    except SpecError:
        return False
    return has_fix(spec, report)


def _may_hold_lists(path: Path) -> bool:
    """Whether a folder has files that `init` may make sense of."""
    from videoprep.spec.path_hints import names_in
    from videoprep.spec.readers import table_suffixes

    return any(name.lower().endswith((".txt", *table_suffixes())) for name in names_in(path))


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


def _write(report: Report, form: ReportFormat, output: Path | None) -> None:
    if form == "rich" and output is None:
        print_report(report)
        return
    if output is None:
        for text in _texts(report, form):
            sys.stdout.write(text)
        return
    from videoprep.fs.atomic import write_file

    def write(file: BinaryIO) -> None:
        for text in _texts(report, form):
            file.write(text.encode("utf-8", "backslashreplace"))

    write_file(output, write)
    print_verdict(report)
    stdout.print(safe(f"the report is in {output}"))


def _texts(report: Report, form: ReportFormat) -> Iterator[str]:
    """The report in pieces."""
    if form == "rich":
        with stdout.capture() as captured:
            print_report(report)
        return iter([Text.from_ansi(captured.get()).plain + "\n"])
    return _writer(form)(report)


def _writer(form: ReportFormat) -> Callable[[Report], Iterator[str]]:
    if form == "html":
        from videoprep.pages.validation import as_html

        return as_html
    if form == "sarif":
        from videoprep.validators.formats.sarif import as_sarif

        return as_sarif
    if form == "github":
        from videoprep.validators.formats.github import as_github

        return as_github
    from videoprep.validators.formats.json_lines import as_json, as_json_lines

    return as_json if form == "json" else as_json_lines


def _write_clean(spec: DatasetSpec, report: Report, target: Path) -> None:
    from videoprep.fs.mirror import shown
    from videoprep.validators.fixes import bytes_columns, clean_rows, passing, write_rows

    keep, _ = passing(report)
    write_rows(target, clean_rows(spec, keep))
    hint = f"; use it with --data-root {shown(spec.data_root)}" if _elsewhere(target, spec) else ""
    stderr.print(safe(f"{len(keep)} of {report.total} samples pass; wrote {target}{hint}"))
    lost = bytes_columns(spec)
    if lost:
        stderr.print(safe(f"columns not written, since they hold bytes: {', '.join(lost)}"))


def _elsewhere(target: Path, spec: DatasetSpec) -> bool:
    return target.resolve().parent != spec.data_root.resolve()


def _require_beside(path: Path, spec: DatasetSpec) -> None:
    """A fix is written into the data root, and has to be found there by the same command."""
    from videoprep.fs.mirror import remote_of, shown
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
) -> bool:
    """Show a fix, or write it, too; return whether there is one."""
    from videoprep.spec.spec_file import NAME
    from videoprep.validators.fixes import apply, propose

    fix = propose(spec, report, **how)
    if not fix.done:
        stderr.print(safe("nothing to fix"))
        return False
    _show(fix, everything=show)
    for change in fix.done:
        stderr.print(said(f"fix: {change}", "bold"))
    if write:
        written, backup = apply(fix)
        for path in written:
            kept = f"; the old file is {backup}" if backup and path.name == NAME else ""
            stderr.print(safe(f"wrote {path}{kept}"))
    elif fix.old_text:
        stderr.print(safe(f"nothing was written; --fix keeps the old {NAME} as {NAME}.bak"))
    else:
        stderr.print(safe("nothing was written"))
    return True


def _show(fix: Fix, *, everything: bool) -> None:
    """The changes as a diff: of the spec, and of the samples that are skipped."""
    from videoprep.spec.spec_file import NAME

    old, new = fix.old_text.splitlines(), fix.new_text.splitlines()
    for line in difflib.unified_diff(old, new, NAME, NAME, lineterm=""):
        style = {"+": "green", "-": "red"}.get(line[:1], "")
        stderr.print(safe(line, style))
    shown = fix.left_out if everything else fix.left_out[:_CHANGES]
    for one in shown:
        stderr.print(safe(f"-{one.where}: {one.what}  ({', '.join(one.codes)})", "red"))


def spelled_report(report: Report, flags: Mapping[str, str] | None = None) -> Report:
    """The report with options spelled as on the command line, in findings and rules.

    Args:
        report: as the library makes it.
        flags: see `spelled`.
    """
    findings = tuple(
        replace(one, message=spelled(one.message, flags), remedy=spelled(one.remedy, flags))
        if "`" in one.message or "`" in one.remedy
        else one
        for one in report.findings
    )
    rules = {code: _spelled_rule(rule, flags) for code, rule in report.rules.items()}
    return replace(report, findings=findings, rules=rules)


def _spelled_rule(rule: Rule, flags: Mapping[str, str] | None) -> Rule:
    made = copy(rule)
    for name in ("summary", "why", "example", "remedy"):
        setattr(made, name, spelled(getattr(rule, name), flags))
    return made


def print_report(report: Report) -> None:
    """Findings grouped by rule, with examples, and a summary that adds up."""
    print_reading(report.reading)
    _print_datasets(report)
    ordered = sorted(report.findings, key=lambda f: (f.code, f.severity.value))
    for (code, severity), group in groupby(ordered, key=lambda f: (f.code, f.severity.value)):
        _print_group(f"{code} {report.name_of(code)}", severity, list(group))
    print_verdict(report)


def _print_datasets(report: Report) -> None:
    """What was found in each of several datasets."""
    if not report.datasets:
        return
    names = (">samples", ">clean", ">errors", ">warnings", ">notes")
    made = table("datasets", "dataset", "for", *names)
    for one in report.datasets:
        counts = (one.samples, one.clean, one.errors, one.warnings, one.notes)
        made.add_row(safe(one.name), one.role, *map(str, counts))
    stdout.print(made)


def print_verdict(report: Report) -> None:
    """Whether the dataset is ok, and counts that add up."""
    ignored = report.unusable - report.dropped
    verdict = safe("not clean", "bold red")
    if report.ok:
        warned = any(f.severity.value == "warning" for f in report.findings) or ignored
        verdict = safe("passes, with warnings" if warned else "clean", "bold green")
    counts = f" · {counted(report.total, 'sample')} = {report.clean} clean + "
    counts += f"{report.with_findings} with findings"
    if report.dropped:
        counts += f" + {report.dropped} dropped in a review"
    if ignored:
        counts += f" + {ignored} unusable for reasons that are ignored"
    rules = f" · profile {report.profile}, reshape {report.reshape}"
    if report.rules_left_out:
        rules += f" · {counted(report.rules_left_out, 'rule')} skipped"
    stdout.print(verdict + safe(counts + rules))


def _print_group(title: str, severity: str, findings: list[Finding]) -> None:
    heading = safe(f"{title} {severity}", _STYLES[severity])
    stdout.print(heading + f" · {counted(len(findings), 'time')}")
    remedies = {finding.remedy for finding in findings}
    examples = findings[: _EXAMPLES[severity]]
    for finding in examples:
        where = finding.file
        if finding.line is not None or finding.row is not None:
            where = os.path.basename(finding.where)
        subject = f"{finding.video} ({where})" if finding.video else where
        if finding.video and os.path.basename(where) == os.path.basename(finding.video):
            subject = finding.video  # no list names it
        subject = f"{finding.dataset}: {subject}" if finding.dataset else subject
        stdout.print(safe(f"  {subject}: ") + said(finding.message))
        if finding.remedy and len(remedies) > 1:
            stdout.print(said(f"    → {finding.remedy}", "dim"))
    if len(findings) > len(examples):
        stdout.print(safe(f"  … and {len(findings) - len(examples)} more like these", "dim"))
    if len(remedies) == 1:
        stdout.print(said(f"    → {findings[0].remedy}", "dim"))
    stdout.print()
