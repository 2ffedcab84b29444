"""`RefineAsking`: captions are rewritten, each with as many questions as it takes."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from videoprep.captions.backends import CaptionerAsking, findable, shared_fields
from videoprep.captions.protocol import Captioner, CaptionRequest
from videoprep.captions.refine_options import RefineOptions
from videoprep.captions.refine_prompts import RefinePrompt
from videoprep.captions.refining import RefineQuestion, RefineRules, begin, proceed
from videoprep.captions.target_tokenizer import TargetTokenizer
from videoprep.captions.task import AskedClip, AskingTask, ClipAnswer, load_asking_task
from videoprep.engine.rank import RankContext
from videoprep.fs import Files
from videoprep.spec.caption_journal import Stage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RefineSetup:
    """How captions are refined, as every process makes it of plain values."""

    prompt: RefinePrompt
    options: RefineOptions
    token: str
    """Stands before every caption of the dataset."""

    def rules(self, tokenizer: TargetTokenizer | None = None) -> RefineRules:
        """Return the rules.

        Args:
            tokenizer: the one that the options name, if it is open.

        Raises:
            VideoprepError: There is no such tokenizer, or the model takes fewer tokens.
        """
        options = self.options
        if tokenizer is None and options.tokenizer is not None:
            tokenizer = TargetTokenizer.open(options.tokenizer)
        tokens = None
        if tokenizer is not None:
            tokens = tokenizer.limited(options.max_tokens, self.token)
        return RefineRules(
            self.prompt,
            options.mode,
            tokens,
            options.share,
            options.lost_share,
            options.tries,
            options.answer_tokens,
        )


@dataclass(slots=True)
class RefineAsking(CaptionerAsking):
    """Asks a model to rewrite captions; see `Asking`."""

    setup: RefineSetup
    stage: Stage = "refine"
    label: str = "Refining"

    @contextmanager
    def open(self, rank: RankContext) -> Iterator[CaptionRefiner]:
        """See `Asking`."""
        rules = self.setup.rules()
        with self.captioner(rank) as captioner:
            yield CaptionRefiner(rules, captioner)

    def to_json(self) -> dict[str, Any]:
        """See `Asking`."""
        setup = self.setup
        options = setup.options.model_dump(mode="json", exclude_defaults=True)
        if setup.options.tokenizer is not None:
            options["tokenizer"] = findable(setup.options.tokenizer)
        return {
            **self.shared_json(),
            "prompt": [setup.prompt.text, setup.prompt.style],
            "options": options,
            "token": setup.token,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RefineAsking:
        """Return the inverse of `to_json`."""
        options = RefineOptions(**data["options"])
        setup = RefineSetup(RefinePrompt(*data["prompt"]), options, data["token"])
        return cls(*shared_fields(data), setup)


def load_refine_task(files: Files, folder: str) -> AskingTask:
    """Return the task that another process has saved; a `TaskLoader`."""
    return load_asking_task(files, folder, RefineAsking.from_json)


def refine_payload(text: str, before: str) -> str:
    """Return the payload of a caption that is refined.

    Args:
        text: the caption without what stands before it.
        before: what does, such as a trigger word.
    """
    return json.dumps([text, before])


@dataclass(frozen=True, slots=True)
class CaptionRefiner:
    """Rewrites captions with one captioner; see `Asker`."""

    rules: RefineRules
    captioner: Captioner

    def ask(
        self, clips: Iterator[tuple[T, AskedClip]], take: Callable[[T, ClipAnswer], None]
    ) -> Iterator[tuple[T, ClipAnswer]]:
        """See `Asker`. Further questions about a caption go before those about the next one."""
        del take  # no text fails before a model was asked
        work = _RefineWork(self.rules, clips)
        while not work.is_over:
            # A captioner stops when there are no questions; replies to its last ones may have more.
            for (item, asked), reply in self.captioner.ask(work.questions()):
                step = proceed(self.rules, asked, reply)
                if isinstance(step, ClipAnswer):
                    yield item, step
                else:
                    work.further.append((item, step))


@dataclass(slots=True)
class _RefineWork(Generic[T]):
    rules: RefineRules
    clips: Iterator[tuple[T, AskedClip]]
    further: deque[tuple[T, RefineQuestion]] = field(default_factory=deque)
    are_all_begun: bool = False

    @property
    def is_over(self) -> bool:
        return self.are_all_begun and not self.further

    def questions(self) -> Iterator[tuple[tuple[T, RefineQuestion], CaptionRequest]]:
        while (one := self._next()) is not None:
            yield one, one[1].request(self.rules)

    def _next(self) -> tuple[T, RefineQuestion] | None:
        if self.further:
            return self.further.popleft()
        following = None if self.are_all_begun else next(self.clips, None)
        if following is None:
            self.are_all_begun = True
            return None
        item, clip = following
        text, before = json.loads(clip.payload)
        return item, begin(self.rules, text, before)
