"""From captions to tokens: cleaning, templates, and counting with a model's own tokenizer."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoprep.errors import ModelError

_BYTE_TOKENIZERS = ("ByT5Tokenizer",)


def clean_caption(caption: str) -> str:
    """Return a caption with its letters, HTML's signs and its spaces mended, as Wan does."""
    import ftfy

    plain = html.unescape(html.unescape(ftfy.fix_text(caption)))
    return re.sub(r"\s+", " ", plain.strip()).strip()


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The words around a caption, of whose embeddings the first are left out."""

    text: str
    """``{}`` stands for the caption."""
    skipped: int
    """How many tokens are left out at the beginning."""

    def wrap(self, caption: str) -> str:
        """Return a caption with the words around it."""
        return self.text.format(caption)

    def counter(self, count: Callable[[str], int]) -> Callable[[str], int]:
        """Return what counts a caption's tokens within the template, but those that are left out.

        Args:
            count: counts the tokens of a text.
        """
        return lambda caption: count(self.wrap(caption)) - self.skipped

    @property
    def fingerprint(self) -> str:
        """Stands for the template in recipes: 16 hexadecimal digits."""
        return hashlib.sha256(f"{self.text} {self.skipped}".encode()).hexdigest()[:16]


def load_token_counter(folder: Path) -> Callable[[str], int]:
    """Loads ``tokenizer.json``, or else ``spiece.model`` as T5 uses it, with an end token.

    A tokenizer of bytes, such as ByT5's, has neither: a token is a byte of UTF-8.

    Raises:
        ModelError: there is no such tokenizer, or it cannot be read.
    """
    try:
        if (folder / "tokenizer.json").is_file():
            return _from_tokenizers(folder / "tokenizer.json")
        if (folder / "spiece.model").is_file():
            return _from_sentencepiece(folder / "spiece.model")
        if is_byte_tokenizer(folder):
            return lambda caption: len(_clean(caption).encode()) + 1
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


def is_byte_tokenizer(folder: Path) -> bool:
    """Return whether a folder holds a tokenizer of bytes, which needs no vocabulary.

    Raises:
        ModelError: its config cannot be read.
    """
    config = _config(folder / "tokenizer_config.json")
    return config.get("tokenizer_class") in _BYTE_TOKENIZERS


def require_chat_template(folder: Path) -> None:
    """Check that a tokenizer's folder has the form of conversations into which captions are put.

    Raises:
        ModelError: it has none, or its config cannot be read.
    """
    path = folder / "tokenizer_config.json"
    if (folder / "chat_template.jinja").is_file() or _config(path).get("chat_template"):
        return
    raise ModelError(
        f"the tokenizer has no chat template, neither in chat_template.jinja nor in {path.name}",
        where=str(folder),
        remedy="download the model again",
    )


def _config(path: Path) -> Mapping[str, Any]:
    """A tokenizer's config; nothing if there is none."""
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot be read as JSON: {error}", where=str(path), remedy="download the model again"
        ) from error
    return config if isinstance(config, dict) else {}


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
