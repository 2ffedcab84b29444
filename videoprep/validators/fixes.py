"""What can be mended without touching videos or captions: how clips are fitted, and which.

`propose` decides, `apply` writes. What is written is a new spec and a new list beside the old ones.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoprep.durable import write_bytes
from videoprep.errors import Code, VideoprepError
from videoprep.spec.csv_file import delimiter_of, rows_at
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.sample import Sample
from videoprep.spec.spec_file import NAME, spec_text
from videoprep.validators.engine import validate
from videoprep.validators.protocol import Finding, Severity
from videoprep.validators.report import Report

_LIST = "videoprep.csv"

# Fitting clips into buckets, which the user consents to by asking for fixes, mends these.
_FITTED = (Code.SIZE_NOT_DIVISIBLE.value, Code.FRAME_COUNT.value, Code.NO_EXACT_BUCKET.value)


@dataclass(frozen=True, slots=True)
class Fix:
    """What would be changed.

    Attributes:
        spec: the new spec; its ``dataset_file`` is the new list.
        old_text: what is in ``videoprep.yaml`` now; empty where there is none.
        new_text: what would be.
        rows: the new list, header first.
        left_out: samples that would be left out, with the codes of what is wrong with them.
        done: each change, in words.
    """

    spec: DatasetSpec
    old_text: str
    new_text: str
    rows: list[list[str]]
    left_out: list[tuple[Sample, list[str]]]
    done: list[str]


def passing(
    spec: DatasetSpec, report: Report
) -> tuple[list[Sample], list[tuple[Sample, list[str]]]]:
    """The samples that nothing fails, and the others with the codes of what does.

    Captions are as written, without the id token.
    """
    failing: dict[int | None, set[str]] = {}
    for finding in report.findings:
        if _fails(finding, report.fail_on):
            failing.setdefault(finding.line, set()).add(finding.code)
    listing = DatasetSpec.of(spec, id_token=None).listing()
    keep = [sample for sample in listing.samples if sample.source.line not in failing]
    others = [*listing.samples, *listing.unusable]
    left_out = [
        (sample, sorted(failing[sample.source.line]))
        for sample in sorted(others, key=lambda sample: sample.source.line or 0)
        if sample.source.line in failing
    ]
    return keep, left_out


def propose(spec: DatasetSpec, report: Report, **how: Any) -> Fix:
    """Decides what to change; writes nothing.

    Args:
        spec: the dataset.
        report: what was found in it.
        how: passed on to `validate`, which looks at the dataset as it would be.

    Raises:
        VideoprepError: no sample would be left.
    """
    done = []
    fitted = {finding.code for finding in report.findings if _fails(finding, report.fail_on)}
    if spec.reshape == "none" and fitted & {*_FITTED}:
        clips = sum(f.code in _FITTED and _fails(f, report.fail_on) for f in report.findings)
        spec = DatasetSpec.of(spec, reshape="center-crop")
        report = validate(spec, **how)
        codes = ", ".join(sorted(fitted & {*_FITTED}))
        done.append(f"reshape: none → center-crop, for {clips} findings of {codes}")
    keep, left_out = passing(spec, report)
    if not keep:
        raise VideoprepError(
            "no sample would be left: the lists themselves have to be mended first",
            where=str(spec.list_file),
            remedy="see the findings above",
        )
    if left_out:
        done.append(f"left out: {len(left_out)} of {report.total} samples")
    lost = report.total - len(keep) - len(left_out)
    if lost:
        done.append(f"left out: {lost} entries of the lists that cannot be read")
    new = DatasetSpec.of(spec, dataset_file=Path(_free_name(spec.data_root)), **_columns(spec))
    old = spec.data_root / NAME
    old_text = old.read_text(encoding="utf-8", errors="replace") if old.is_file() else ""
    rows = list(clean_rows(spec, keep))
    return Fix(new, old_text, spec_text(new.saved_fields()), rows, left_out, done)


def apply(fix: Fix) -> list[Path]:
    """Writes the new list and the new spec; a spec that is there is kept as ``.bak``.

    Raises:
        VideoprepError: the data root is meant to stay as it is.
    """
    root = fix.spec.data_root
    if not (root.stat().st_mode & 0o222 and os.access(root, os.W_OK)):
        raise VideoprepError(
            "the data root is read-only, so that no spec can be written there",
            where=str(root),
            remedy="copy the dataset, or write a list elsewhere with --write-clean FILE",
        )
    assert fix.spec.dataset_file is not None  # noqa: S101
    target, saved = root / fix.spec.dataset_file, root / NAME
    write_rows(target, fix.rows)
    if fix.old_text:
        write_bytes(saved.with_suffix(".yaml.bak"), fix.old_text.encode())
    write_bytes(saved, fix.new_text.encode())
    return [target, saved]


def clean_rows(spec: DatasetSpec, keep: Iterable[Sample]) -> Iterator[list[str]]:
    """A table of samples, header first; a table keeps all its columns."""
    samples = list(keep)
    if spec.dataset_file is not None:
        lines = {sample.source.line for sample in samples if sample.source.line is not None}
        yield from rows_at(spec.list_file, lines)
        return
    yield ["video", "caption"]
    for sample in samples:
        yield [sample.name, sample.caption]


def write_rows(path: Path, rows: Iterable[list[str]]) -> None:
    """Writes a CSV or TSV file, by its ending, whole or not at all."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter_of(path), lineterminator="\n").writerows(rows)
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _columns(spec: DatasetSpec) -> dict[str, str]:
    if spec.dataset_file is not None:
        return {}
    return {"video_column": "video", "caption_column": "caption"}


def _free_name(root: Path) -> str:
    names = (_LIST, *(f"videoprep-{number}.csv" for number in range(2, 1000)))
    return next(name for name in names if not os.path.lexists(root / name))


def _fails(finding: Finding, fail_on: str) -> bool:
    if finding.severity is Severity.ERROR:
        return True
    return fail_on == "warning" and finding.severity is Severity.WARNING
