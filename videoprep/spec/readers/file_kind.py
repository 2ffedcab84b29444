"""Tells a text table from the other files that get its ending: spreadsheets, pages, archives."""

from __future__ import annotations

from pathlib import Path

from videoprep.errors import Code, SpecError

_SNIFFED = 4096
_EXPORT = "export it as CSV (comma separated, UTF-8)"
_MAGIC = {
    b"PK\x03\x04": ("a spreadsheet or a zip archive", _EXPORT),
    b"PK\x05\x06": ("an empty zip archive", _EXPORT),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", _EXPORT),
    b"PAR1": ("a Parquet file", "give it the ending .parquet"),
    b"ARROW1": ("an Arrow file", "write it as CSV, for instance with pandas: frame.to_csv(...)"),
    b"\x1f\x8b": ("compressed with gzip", "unpack it with gunzip"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it with unzstd"),
    b"\xfd7zXZ": ("compressed with xz", "unpack it with unxz"),
    b"BZh91AY": ("compressed with bzip2", "unpack it with bunzip2"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it with 7z x"),
    b"%PDF": ("a PDF file", _EXPORT),
    b"SQLite format 3": ("a SQLite database", _EXPORT),
}


def require_text(path: Path) -> None:
    """Check that a file may be a table, from how it begins.

    Raises:
        SpecError: it is something else; it says what.
    """
    with path.open("rb") as file:
        start = file.read(_SNIFFED)
    for magic, (what, remedy) in _MAGIC.items():
        if start.startswith(magic):
            raise _not_a_table(path, what, remedy)
    text = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    if text.startswith(("<!doctype", "<html", "<?xml", "<head", "<body", "<table")):
        remedy = "it may be the page of a download that failed: download the table again"
        raise _not_a_table(path, "a web page", remedy)
    if text.startswith(("{", "[")):
        remedy = "give it the ending .jsonl if it has an object per line, else .json"
        raise _not_a_table(path, "JSON", remedy)


def _not_a_table(path: Path, what: str, remedy: str) -> SpecError:
    return SpecError(
        f"this is not a CSV table but {what}",
        where=str(path),
        remedy=remedy,
        code=Code.NOT_A_TABLE,
    )
