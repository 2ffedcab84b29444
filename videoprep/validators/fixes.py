"""What can be mended without touching videos or captions: how clips are fitted, and which.

`propose` decides, `apply` writes. What is written is a new spec and a new list beside the old ones.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoprep.errors import Code, EmptyPlanError, VideoprepError
from videoprep.fs.atomic import keep_copy, may_write, write_bytes
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.readers.base import TableReader
from videoprep.spec.readers.csv_table import delimiter_of
from videoprep.spec.roles import distinct
from videoprep.spec.sample import NO_EXTRAS, Sample
from videoprep.spec.spec_file import NAME, read_spec_file, spec_text
from videoprep.spec.yaml_lines import with_settings
from videoprep.validators.engine import validate
from videoprep.validators.protocol import Finding
from videoprep.validators.report import Report

_LIST = "videoprep.csv"

# Fitting clips into buckets, which the user consents to by asking for fixes, mends these.
_FITTED = (Code.SIZE_NOT_DIVISIBLE.value, Code.FRAME_COUNT.value, Code.NO_EXACT_BUCKET.value)


@dataclass(frozen=True, slots=True)
class Dropped:
    """An entry of the lists that does not pass."""

    number: int
    """Its number in the dataset, counted from 1."""
    where: str
    """Where it is written, without the folder, such as ``metadata.csv:3``."""
    what: str
    """What it says."""
    codes: tuple[str, ...]
    """The codes against it."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What would be changed.

    Attributes:
        spec: the new spec; its ``dataset_file`` is the new list.
        old_text: what is in ``videoprep.yaml`` now; empty where there is none.
        new_text: what would be.
        rows: the new list, header first; empty if the dataset keeps its own files.
        left_out: what would not be in the new list.
        done: each change, in words.
    """

    spec: DatasetSpec
    old_text: str
    new_text: str
    rows: list[list[str]]
    left_out: list[Dropped]
    done: list[str]


def passing(report: Report) -> tuple[list[Sample], list[Dropped]]:
    """The samples that nothing fails and that can be used, and what is wrong with the others."""
    assert report.overview is not None  # noqa: S101
    assert report.passing is not None  # noqa: S101
    failing: dict[int, list[Finding]] = {}
    for finding in report.findings:
        if finding.fails(report.fail_on) and finding.number is not None:
            failing.setdefault(finding.number, []).append(finding)
    keep, left_out = [], []
    for sample, passes in zip(report.overview.samples, report.passing, strict=True):
        found = failing.pop(sample.number, [])
        if passes:
            keep.append(sample)
        else:
            text = json.dumps(sample.written, ensure_ascii=False)
            where = str(sample.source)
            left_out.append(_dropped(sample.number, where, f"{sample.name}, {text}", found))
    for number, found in failing.items():
        left_out.append(_dropped(number, found[0].where, found[0].message, found))
    return keep, sorted(left_out, key=lambda one: one.number)


def _dropped(number: int, where: str, what: str, found: list[Finding]) -> Dropped:
    place = os.path.basename(where)
    return Dropped(number, place, what, tuple(sorted({finding.code for finding in found})))


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
    failing = [finding for finding in report.findings if finding.fails(report.fail_on)]
    fitted = [finding.code for finding in failing if finding.code in _FITTED]
    if report.reshape == "none" and fitted:
        spec = DatasetSpec.of(spec, reshape="center-crop")
        report = validate(spec, **how)
        codes = ", ".join(sorted(set(fitted)))
        done.append(f"reshape: none → center-crop, for {len(fitted)} findings of {codes}")
    keep, left_out = passing(report)
    if not keep:
        raise EmptyPlanError(
            "no sample would be left",
            where=str(spec.list_file),
            remedy="mend what the findings name",
        )
    new, rows = spec, []
    if _is_rewritten(spec):
        if len(keep) < report.total:
            done.append(f"skipped: {report.total - len(keep)} of {report.total} samples")
        name = Path(_free_name(spec.data_root))
        new = DatasetSpec.of(spec, dataset_file=name, format=None, **_columns(spec))
        rows = list(clean_rows(spec, keep))
    old = spec.data_root / NAME
    old_text = old.read_text(encoding="utf-8", errors="replace") if old.is_file() else ""
    return Fix(new, old_text, _new_text(old_text, new, old), rows, left_out, done)


def _new_text(old_text: str, new: DatasetSpec, path: Path) -> str:
    """The text of the new spec: that of the old one, in which only what changes is exchanged."""
    fields = new.saved_fields()
    kept = None
    if old_text and "\ufffd" not in old_text:  # else not UTF-8
        written = read_spec_file(path)
        old = DatasetSpec(**written)
        same = {name for name in written if _value(old, name) == _value(new, name)}
        settings = {name: spec_text({name: fields[name]}) for name in fields if name not in same}
        gone = written.keys() - same - fields.keys() - {"data_root"}
        kept = with_settings(old_text, {**dict.fromkeys(gone), **settings})
    return spec_text(fields) if kept is None else kept


def _value(spec: DatasetSpec, name: str) -> Any:
    """A setting as it counts: a list's file may be written in several ways."""
    if name == "dataset_file" and spec.dataset_file is not None:
        return os.path.realpath(spec.data_root / spec.dataset_file)
    return getattr(spec, name)


def has_fix(spec: DatasetSpec, report: Report) -> bool:
    """Return whether `propose` would change anything; cheaper than to ask it."""
    failing = {finding.code for finding in report.findings if finding.fails(report.fail_on)}
    if report.reshape == "none" and failing & {*_FITTED}:
        return True
    return _is_rewritten(spec) and 0 < len(passing(report)[0]) < report.total


def apply(fix: Fix) -> tuple[list[Path], Path | None]:
    """Writes the new list and the new spec; a spec that is there is kept as ``.bak``.

    Returns:
        What was written, and the copy of the spec that was there; None if there was none.

    Raises:
        VideoprepError: the data root is meant to stay as it is.
    """
    root = fix.spec.data_root
    if not may_write(root):
        raise VideoprepError(
            "the data root is read-only, so that no spec can be written there",
            where=str(root),
            remedy="copy the dataset, or write a list elsewhere with `write_clean='FILE'`",
        )
    saved = root / NAME
    written = [saved]
    if fix.rows:
        assert fix.spec.dataset_file is not None  # noqa: S101
        target = root / fix.spec.dataset_file
        write_rows(target, fix.rows)
        written.insert(0, target)
    backup = keep_copy(saved, saved.read_bytes()) if fix.old_text else None
    write_bytes(saved, fix.new_text.encode())
    return written, backup


def clean_rows(spec: DatasetSpec, keep: Iterable[Sample]) -> Iterator[list[str]]:
    """A table of samples, header first; a table keeps all its columns.

    Raises:
        EmptyPlanError: there are none.
    """
    samples = list(keep)
    if not samples:
        raise EmptyPlanError(
            "no sample passes", where=str(spec.list_file), remedy="mend what the findings name"
        )
    reader = spec.reader
    if isinstance(reader, TableReader):
        yield from reader.excerpt(spec.list_file, {sample.number for sample in samples})
        return
    units = {sample.extras.unit for sample in samples if sample.extras is not NO_EXTRAS}
    if len(units) > 1:
        raise VideoprepError(
            "times are in seconds in some of its tables and in frames in others, which one list "
            "cannot say",
            where=str(spec.data_root),
            remedy="write all of them in seconds",
        )
    used = [name for name in _EXTRAS if any(_said(sample, name) for sample in samples)]
    beside = [{one.role: one.name for one in sample.beside} for sample in samples]
    roles = distinct({role for media in beside for role in media})
    columns = [f"{name}_frame" if name in _TIMES and "frames" in units else name for name in used]
    yield ["video", "caption", *columns, *(role.words for role in roles)]
    for sample, media in zip(samples, beside, strict=True):
        texts = [sample.written, *sample.further]
        caption = json.dumps(texts, ensure_ascii=False) if sample.further else texts[0]
        said = [_said(sample, name) for name in used]
        yield [sample.name, caption, *said, *(media.get(role, "") for role in roles)]


_TIMES = ("start", "end")
_EXTRAS = (*_TIMES, "split", "weight", "repeats")


def bytes_columns(spec: DatasetSpec) -> list[str]:
    """Return the columns of a table that a list of text cannot keep."""
    reader = spec.reader
    if not isinstance(reader, TableReader):
        return []
    kept = set(reader.textual(spec.list_file))
    return [name for name in reader.header(spec.list_file).names if name not in kept]


def _said(sample: Sample, name: str) -> str:
    """What a sample says beside its video and caption, as a cell of that column."""
    value = getattr(sample.extras, name)
    return "" if value == getattr(NO_EXTRAS, name) else str(value)


def _is_rewritten(spec: DatasetSpec) -> bool:
    """Whether a fix writes a new list. It does for text lists, which are easily edited by hand.

    Of other formats no copy is made, which would go stale: samples that cannot be used are listed
    by `videoprep index` and `videoprep encode`, and cost nothing else.
    """
    return spec.reader.name in ("csv", "line-files")


def write_rows(path: Path, rows: Iterable[list[str]]) -> None:
    """Writes a CSV or TSV file, by its ending, whole or not at all."""
    text = io.StringIO(newline="")
    form: Any = {"delimiter": delimiter_of(path), "lineterminator": "\n"}
    sparing, quoting = csv.writer(text, **form), csv.writer(text, quoting=csv.QUOTE_ALL, **form)
    for row in rows:
        # The csv module leaves a carriage return bare, and takes it for the end of the row later.
        writer = quoting if any("\r" in cell for cell in row) else sparing
        writer.writerow(row)
    write_bytes(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _columns(spec: DatasetSpec) -> dict[str, Any]:
    if spec.dataset_file is not None:
        return {}
    return {"video_column": "video", "caption_column": "caption"}


def _free_name(root: Path) -> str:
    names = (_LIST, *(f"videoprep-{number}.csv" for number in range(2, 1000)))
    return next(name for name in names if not os.path.lexists(root / name))
