"""Configs of strangers: what cannot be parsed is refused with its place, and lines are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.trainer_configs import refused
from videoprep.errors import SpecError
from videoprep.spec.configs import trainer_config
from videoprep.spec.configs.parsed_file import LARGEST, parse

HOSTILE = {
    "a.toml": (b"[general\n", "is not valid TOML"),
    "b.toml": (b"[general]\nresolution = 1\nresolution = 2\n", "Cannot overwrite a value"),
    "c.toml": (b"a = 1\n" + b"b = '\xff'\n", "is not UTF-8"),
    "d.toml": (b"a = " + b"[" * 100_000, "nested too deeply"),
    "e.toml": (b"#" * (LARGEST + 1), "is larger than 1,048,576 bytes"),
    "f.toml": (b"[tool.other]\nname = 1\n", "no known trainer"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_config_is_refused_and_says_why(tmp_path: Path, name: str) -> None:
    text, words = HOSTILE[name]
    error = refused(tmp_path / name, text)
    assert words in error.message
    assert str(tmp_path / name) in str(error.where)
    assert error.remedy


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", b'{"datasets": [], "datasets": []}'),
        ("b.json", b'{"datasets": NaN}'),
        ("c.yaml", b"config: &a [*a]\n"),
        ("d.yaml", b"config: 1\nconfig: 2\n"),
        ("e.yaml", b"config: [" + b"[" * 5000),
    ],
)
def test_what_may_be_something_else_is_left_to_its_reader(
    tmp_path: Path, name: str, text: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(text)
    with pytest.raises(SpecError):
        parse(path)
    assert trainer_config(path) is None


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "a.toml", b"[general]\n\n# caf\xe9\n")
    assert str(error.where).endswith("a.toml:3")


def test_lines_of_toml_are_found_beside_texts_of_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        '[general]\nresolution = [1, 2]\n\n[[datasets]]\nnote = """\n[[datasets]]\nkey = 1\n"""\n'
        "'path' = 1 # [x]\n[[datasets]]\npath = 2\n"
    )
    found = parse(path)
    assert found.line("general", "resolution") == 2
    assert found.line("datasets", 0) == 4
    assert found.line("datasets", 0, "path") == 9
    assert found.line("datasets", 1, "path") == 11
    assert found.line("datasets", 1, "nothing") == 10


def test_lines_of_json_are_found_with_tabs_and_marks_in_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n\t{"id": "a, {b", "video":\n\t{"num_frames": 3}},\n\n  {"id": "c"}\n]\n')
    found = parse(path)
    assert found.line(0, "video", "num_frames") == 3
    assert found.line(1) == found.line(1, "id") == 5


def test_lines_of_yaml_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("config:\n  process:\n    - a: 1\n      datasets:\n        - path: x\n")
    assert parse(path).line("config", "process", 0, "datasets", 0, "path") == 5


def test_a_list_of_samples_is_no_config(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('[{"id": "1", "video": "a.mp4", "caption": "a"}]')
    assert trainer_config(path) is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "a.toml")
    assert trainer_config(tmp_path / "a.toml") is None
