"""Writes the tables of options into the documentation, from the fields of the models.

python docs/make_options.py
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel
from typer.main import get_command

from videoprep.captions.options import CaptionOptions
from videoprep.captions.refine_options import RefineOptions
from videoprep.cli.app import app
from videoprep.cli.options import documented
from videoprep.cli.spelling import flag_of
from videoprep.encoding.options import EncodeOptions
from videoprep.options import cli_of
from videoprep.scenes.options import SplitOptions
from videoprep.spec.configs import config_readers
from videoprep.spec.configs.contract import ConfigReader
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.group_file import DatasetKeys
from videoprep.training.settings import TrainSettings

PAGES: dict[str, type[BaseModel]] = {
    "captions.md": CaptionOptions,
    "dataset.md": DatasetSpec,
    "encode.md": EncodeOptions,
    "refine.md": RefineOptions,
    "split.md": SplitOptions,
    "several-datasets.md": DatasetKeys,
    "train.md": TrainSettings,
}
COMMANDS = {
    "captions.md": "caption",
    "refine.md": "refine",
    "review.md": "review",
    "split.md": "split",
}
"""Commands with options of their own, which no model has."""
_FLAGS = re.compile(
    r"(<!-- further options, made by make_options\.py -->\n).*(<!-- end of further options -->\n)",
    re.S,
)
OF_FILE = (DatasetKeys,)
"""Those that no command line takes."""
_TABLE = re.compile(
    r"(<!-- options, made by make_options\.py -->\n).*(<!-- end of options -->\n)", re.S
)


_KEYS = re.compile(r"(<!-- keys, made by make_options\.py -->\n).*(<!-- end of keys -->\n)", re.S)
CONFIGS = {
    f"coming-from-{trainer.lower()}.md": reader for trainer, reader in config_readers().items()
}
"""The page about each trainer whose dataset config is read."""


def _keys(reader: ConfigReader) -> str:
    """The keys of a trainer's config, section by section: those that are honoured first."""
    tables = []
    for section, keys in reader.keys.items():
        known = [f"| `{name}` | {key.here} |" for name, key in keys.items() if not key.ignored]
        others = [f"| `{name}` | — {key.ignored} |" for name, key in keys.items() if key.ignored]
        tables.append("\n".join([f"| {section} | here |", "| --- | --- |", *known, *others]))
    return "\n\n".join(tables)


def page(name: str) -> str:
    """A page with its table of options made again."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    if name in PAGES:
        text = _TABLE.sub(lambda m: f"{m[1]}\n{_table(PAGES[name])}\n{m[2]}", text)
    if name in CONFIGS:
        text = _KEYS.sub(lambda m: f"{m[1]}\n{_keys(CONFIGS[name])}\n\n{m[2]}", text)
    if name in COMMANDS:
        text = _FLAGS.sub(lambda m: f"{m[1]}\n{_further(name)}\n{m[2]}", text)
    return text


def _table(model: type[BaseModel]) -> str:
    if model in OF_FILE:
        return _table_of_keys(model)
    rows = ["| option | command line | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in model.model_fields.items():
        cli = cli_of(field)
        flags = ", ".join(f"`{flag_of(one)}`" for one in (cli.name or name, *cli.also))
        meaning, default = documented(field)
        meaning += f" Only for `videoprep {cli.command}`." if cli.command else ""
        rows.append(f"| `{name}` | {flags} | {default} | {meaning.replace('|', '&#124;')} |")
    return "\n".join(rows) + "\n"


def _further(name: str) -> str:
    """The options of a command that are neither in the page's table nor about the dataset."""
    models = [DatasetSpec, *([PAGES[name]] if name in PAGES else [])]
    known = {field for model in models for field in model.model_fields}
    rows = ["| command line | meaning |", "| --- | --- |"]
    for one in get_command(app).commands[COMMANDS[name]].params:  # type: ignore[attr-defined]
        flags = [flag for flag in one.opts if flag.startswith("--") and flag != "--help"]
        if flags and one.name not in known:
            meaning = " ".join(str(one.help).split())
            rows.append(f"| {', '.join(f'`{flag}`' for flag in flags)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _table_of_keys(model: type[BaseModel]) -> str:
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in model.model_fields.items():
        meaning, default = documented(field)
        rows.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    for name in dict.fromkeys([*PAGES, *COMMANDS, *CONFIGS]):
        (Path(__file__).parent / name).write_text(page(name), encoding="utf-8")
