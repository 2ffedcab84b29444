"""Tokens counted without transformers are those that transformers counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import REAL_CLIPS
from videoprep.errors import ModelError
from videoprep.families.registry import token_counter
from videoprep.families.tokenizer import load_token_counter

CAPTIONS = [
    "A red star circles slowly in the air.",
    "",
    "  two  spaces ",
    "word " * 300,
    "naïve café 漢字 🐈 \u2028 ½ ﬁ",
    "UPPER lower 4k, masterpiece!!!",
    "tab\tand newline\nin it",
]


def captions() -> list[str]:
    """Those above, and the real ones where they are."""
    real = REAL_CLIPS / "prompt.txt"
    return [*CAPTIONS, *(real.read_text().splitlines() if real.is_file() else [])]


def test_counts_are_those_of_transformers(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    counter = token_counter(str(tiny_model))
    theirs = AutoTokenizer.from_pretrained(str(tiny_model / "tokenizer"))
    expected = [len(theirs(caption).input_ids) for caption in captions()]
    assert [counter.count(caption) for caption in captions()] == expected
    assert counter.limit == 226
    # The same tokenizer in its other form.
    theirs.save_pretrained(tmp_path)
    (tmp_path / "spiece.model").unlink(missing_ok=True)
    count = load_token_counter(tmp_path)
    assert [count(caption) for caption in captions()] == expected


def test_a_lone_surrogate_is_counted(tiny_model: Path) -> None:
    assert token_counter(str(tiny_model)).count("a \ud800 b") > 1


def test_a_model_without_a_tokenizer_says_so(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        token_counter(str(tmp_path / "none"))
    model = shutil.copytree(tiny_model, tmp_path / "model")
    shutil.rmtree(model / "tokenizer")
    with pytest.raises(ModelError, match=r"neither tokenizer\.json nor spiece\.model"):
        token_counter(str(model))
    (model / "tokenizer").mkdir()
    for name in ("spiece.model", "tokenizer.json"):
        (model / "tokenizer" / name).write_bytes(b"garbage")
        with pytest.raises(ModelError, match="cannot be read"):
            token_counter(str(model))
