"""Writes the tables of options into the documentation, from the fields of the models.

python docs/make_options.py
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from videoprep.captions.options import CaptionOptions
from videoprep.captions.refine_options import RefineOptions
from videoprep.cli.options import documented
from videoprep.cli.spelling import flag_of
from videoprep.encoding.options import EncodeOptions
from videoprep.options import cli_of
from videoprep.spec.dataset import DatasetSpec
from videoprep.training.settings import TrainSettings

PAGES: dict[str, type[BaseModel]] = {
    "captions.md": CaptionOptions,
    "dataset.md": DatasetSpec,
    "encode.md": EncodeOptions,
    "refine.md": RefineOptions,
    "train.md": TrainSettings,
}
_TABLE = re.compile(
    r"(<!-- options, made by make_options\.py -->\n).*(<!-- end of options -->\n)", re.S
)


def page(name: str) -> str:
    """A page with its table of options made again."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return _TABLE.sub(lambda m: f"{m[1]}\n{_table(PAGES[name])}\n{m[2]}", text)


def _table(model: type[BaseModel]) -> str:
    rows = ["| option | command line | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        cli = cli_of(field)
        flags = ", ".join(f"`{flag_of(one)}`" for one in (cli.name or name, *cli.also))
        meaning, default = documented(field)
        meaning += f" Only for `videoprep {cli.command}`." if cli.command else ""
        rows.append(f"| `{name}` | {flags} | {default} | {meaning.replace('|', '&#124;')} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    for name in PAGES:
        (Path(__file__).parent / name).write_text(page(name), encoding="utf-8")
