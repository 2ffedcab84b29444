"""Counts tokens with a model's own tokenizer, without transformers, which would load torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from videoprep.errors import ModelError


def load_token_counter(folder: Path) -> Callable[[str], int]:
    """Loads ``tokenizer.json``, or else ``spiece.model`` as T5 uses it, with an end token.

    Raises:
        ModelError: neither is there, or it cannot be read.
    """
    try:
        if (folder / "tokenizer.json").is_file():
            return _from_tokenizers(folder / "tokenizer.json")
        if (folder / "spiece.model").is_file():
            return _from_sentencepiece(folder / "spiece.model")
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"the tokenizer cannot be read: {error}",
            where=str(folder),
            remedy="download the model again",
        ) from error
    raise ModelError(
        "there is neither tokenizer.json nor spiece.model",
        where=str(folder),
        remedy="download the model again",
    )


def _from_tokenizers(path: Path) -> Callable[[str], int]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except Exception as error:  # the library raises nothing more special
        raise ValueError(str(error)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda caption: len(tokenizer.encode(_clean(caption)).ids)


def _from_sentencepiece(path: Path) -> Callable[[str], int]:
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_proto=path.read_bytes())
    return lambda caption: len(pieces.encode(_clean(caption))) + 1


def _clean(caption: str) -> str:
    """Lone surrogates cannot be encoded; VP205 reports them."""
    return caption.encode("utf-8", "replace").decode()
