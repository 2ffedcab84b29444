"""The tokenizer of the model that is trained: counts the tokens of refined captions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videoprep.captions.refining import TokenLimit
from videoprep.errors import ModelError, VideoprepError
from videoprep.families.model_folder import MODEL_INDEXES, ModelFolder, open_model
from videoprep.families.registry import family_of, token_counter
from videoprep.families.tokenizer import load_token_counter

_PART = "tokenizer"


@dataclass(frozen=True, slots=True)
class TargetTokenizer:
    """A tokenizer, and what is known about its model."""

    name: str
    """As the user names it."""
    count: Callable[[str], int]
    """The tokens of a caption before it is cut, those that the tokenizer adds included."""
    limit: int | None
    """How many the model takes; None if the folder does not tell."""
    identity: str
    """A hash of its files, and by which family captions are prepared."""
    profile: str | None
    """The profile of the model's family; None if the folder does not tell."""

    @classmethod
    def open(cls, name: str) -> TargetTokenizer:
        """Load a tokenizer; neither torch nor weights are loaded.

        Args:
            name: a model folder or hub id, or the folder of a tokenizer alone.

        Raises:
            ModelError: There is no such model, or it has no tokenizer that can be read.
        """
        try:
            return cls._alone(Path(name)) if is_alone(name) else cls._of_model(name)
        except ModelError as error:
            if error.option == "model":
                error.option = "tokenizer"
                error.remedy = (
                    "give `tokenizer` the folder or hub id of the model that is trained, or a "
                    "folder with tokenizer.json or spiece.model"
                )
            raise

    @classmethod
    def _alone(cls, folder: Path) -> TargetTokenizer:
        counter = load_token_counter(folder)
        identity = ModelFolder(folder.parent, str(folder)).files_identity(folder.name)
        return cls(str(folder), counter, None, identity, None)

    @classmethod
    def _of_model(cls, name: str) -> TargetTokenizer:
        counter = token_counter(name)
        model = open_model(name, (_PART,))
        family = family_of(model)
        identity = f"{family.name} {model.files_identity(_PART)}"
        return cls(name, counter.count, counter.limit, identity, family.profile.name)

    def limited(self, asked: int | None, token: str) -> TokenLimit:
        """Return how long captions may be.

        Args:
            asked: the greatest number of tokens; None for what the model takes.
            token: stands before every caption, and counts.

        Raises:
            VideoprepError: The model takes fewer, or there is nothing left beside the token.
        """
        limit = self.limit if asked is None else asked
        if limit is None:
            raise VideoprepError(
                "the folder of a tokenizer alone does not tell how many tokens the model takes",
                where=self.name,
                remedy="name the number with `max_tokens`",
                option="tokenizer",
            )
        if self.limit is not None and limit > self.limit:
            raise VideoprepError(
                f"the model takes {self.limit:,} tokens of a caption and cuts off the rest: "
                f"{limit:,} are more",
                remedy=f"give `max_tokens={self.limit}` or fewer",
                option="max_tokens",
            )
        if (least := self.count(token)) >= limit:
            raise VideoprepError(
                f"no room for a caption: the text before each has {least:,} tokens, of {limit:,}",
                remedy="allow more with `max_tokens`",
                option="max_tokens",
            )
        return TokenLimit(lambda text: self.count(token + text), limit)


def is_alone(name: str) -> bool:
    """Return whether a name is the folder of a tokenizer without a model around it."""
    path = Path(name)
    return path.is_dir() and not any((path / name).is_file() for name in MODEL_INDEXES)
