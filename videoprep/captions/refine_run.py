"""`refine`: from the captions of a dataset to refined ones in its caption journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Unpack

from videoprep.captions.again import options_of
from videoprep.captions.asking_run import (
    AskingCommand,
    AskingResult,
    Dataset,
    FirstQuestion,
    ListedClips,
    Pick,
    Tell,
)
from videoprep.captions.backends import CaptionerChoice
from videoprep.captions.endpoint import destination
from videoprep.captions.options import checked_options
from videoprep.captions.prompts import read_prompt
from videoprep.captions.protocol import Captioner
from videoprep.captions.refine_asking import RefineAsking, RefineSetup, load_refine_task
from videoprep.captions.refine_options import RefineKeywords, RefineOptions
from videoprep.captions.refine_prompts import PROMPTS, RefinePrompt
from videoprep.captions.refine_selection import (
    RefineSkip,
    asked_captions,
    before_caption,
    find_refinable,
)
from videoprep.captions.refining import begin
from videoprep.captions.selection import Candidates
from videoprep.captions.target_tokenizer import TargetTokenizer
from videoprep.captions.task import ClipsToAsk
from videoprep.engine.execution import ExecutionKeywords
from videoprep.engine.progress import OnProgress
from videoprep.errors import VideoprepError
from videoprep.families.registry import get_profile
from videoprep.progress import Style
from videoprep.spec.caption_journal import Answer, Run
from videoprep.spec.current_captions import CaptionState, text_hash
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions


class RefineArguments(RefineKeywords, ExecutionKeywords, DatasetOptions, total=False):
    """The options of `refine`, for editors and mypy. None stands for the default."""


_MOST_EXAMPLES = 20

_CREATIVE = (
    "`creative` lets the model make up details: the texts are prompts for inference, and say what "
    "the clips do not show"
)


@dataclass(frozen=True, slots=True)
class MarkedCaption:
    """A refined caption that says something that its source does not, or the other way round."""

    video: str
    start: float | None
    end: float | None
    caption: str
    """The refined one."""
    added: Mapping[str, Sequence[str]]
    """New numbers, colours, names and negations, by kind."""
    lost: Mapping[str, Sequence[str]]
    """Those of the source that are not in it."""


@dataclass(frozen=True, slots=True)
class RefineResult(AskingResult[RefineSkip]):
    """What was refined, and why not the rest.

    ``samples`` is the sum of ``refined``, ``failed``, ``answered``, ``skipped``, ``limited``,
    ``pending`` and ``unusable``.
    """

    refined: int
    """Captions that were refined now."""
    unchanged: int
    """Those of them whose refined text is the caption itself."""
    marked: int
    """Those of them in which something was added or lost."""
    examples: Sequence[MarkedCaption]
    """The first of the latter."""
    first_alone: int
    """Samples with several captions that can be refined: only the first of each is."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed, now or before, and every sample has a caption to be refined."""
        before = sum(self.answered.values()) - self.answered.get("ok", 0)
        lacking: tuple[RefineSkip, ...] = ("unreadable", "uncaptioned", "ambiguous")
        return not (self.failed or before or self.unusable or any(map(self.skipped.get, lacking)))


def refine(
    dataset: Dataset,
    *,
    progress: Style = "none",
    on_progress: OnProgress | None = None,
    on_notice: Tell | None = None,
    **options: Unpack[RefineArguments],
) -> RefineResult | None:
    """Rewrite a dataset's captions with a language model, into its caption journal.

    A refined caption has the facts of its source, in the style of the model that is trained, and
    at most so many tokens of that model's own tokenizer. What it adds or loses is marked; beyond a
    share the caption stays as it is. Both texts stay in the journal, and a person's edit wins over
    both. No file of the user is changed. Stopped in any way and called again, it asks about the
    other captions alone. Under torchrun every rank calls this.

    Args:
        dataset: a spec, or the path of a dataset.
        progress: how progress is shown on rank 0; see `encode`.
        on_progress: called about once a second on rank 0, in a thread, instead of showing it.
        on_notice: called with what users have to know: where captions go, before any go there, and
            after five of them what the rest will cost.
        options: who is asked, how, and how long captions may be: fields of `RefineOptions`; where
            the work is done and when to give up, as for `encode`: ``executor``, ``address``,
            ``num_jobs``, ``job_id``, ``retry_failed``, ``max_failures``, ``watchdog``; and fields
            of `DatasetSpec`.

    Returns:
        What was done, on rank 0; None on the other ranks.

    Raises:
        SpecError: There is no such dataset.
        ModelError: There is no such tokenizer.
        VideoprepError: The server is not there, wants a key, or changes its model; the journal
            cannot be written. What was refined stays.
        KeyboardInterrupt: SIGINT came; what was refined is in the journal.
        SystemExit: SIGTERM came; likewise.
    """
    return _COMMAND.ask(dataset, options, progress, on_progress, on_notice)


def refine_options(given: Mapping[str, Any]) -> RefineOptions:
    """Check options; None stands for the default.

    Raises:
        VideoprepError: One is unknown or out of bounds, or tokens are limited and nothing counts
            them.
    """
    options = checked_options(RefineOptions, given)
    if options.max_tokens is not None and options.tokenizer is None:
        raise VideoprepError(
            "tokens are limited, and no tokenizer counts them",
            remedy="name the model that will be trained with `tokenizer`",
            option="max_tokens",
        )
    return options


def refine_request(dataset: Dataset, **options: Unpack[RefineArguments]) -> dict[str, Any]:
    """Return what would be asked first about the first caption; nothing leaves this machine.

    Args:
        dataset: see `refine`.
        options: see `refine`.

    Returns:
        The clip, its caption, the prompt, and for a server the body of the request.

    Raises:
        VideoprepError: There is no caption to refine.
    """
    return _COMMAND.first_request(dataset, options)


@dataclass(slots=True)
class _RefineWay:
    """Asks for other texts instead of captions; see `AskingWay`."""

    spec: DatasetSpec
    setup: RefineSetup
    tokenizer: TargetTokenizer | None
    listed: ListedClips
    unchanged: int = 0
    marked: int = 0
    examples: list[MarkedCaption] = field(default_factory=list)
    first_alone: int = 0

    @classmethod
    def of(cls, spec: DatasetSpec, options: RefineOptions) -> _RefineWay:
        tokenizer = None if options.tokenizer is None else TargetTokenizer.open(options.tokenizer)
        prompt = RefinePrompt(_prompt(options), _style(spec, options, tokenizer))
        token = f"{spec.id_token.strip()} " if spec.id_token and spec.id_token.strip() else ""
        setup = RefineSetup(prompt, options, token)
        setup.rules(tokenizer)  # refuses what cannot be kept to, before lists are read
        return cls(spec, setup, tokenizer, ListedClips.of(spec))

    def notices(self) -> list[str]:
        endpoint, creative = self.setup.options.endpoint, self.setup.options.creative
        sent = [] if endpoint is None else [destination(endpoint, "captions and the prompt")]
        return [*sent, _CREATIVE] if creative else sent

    def run_of(self, captioner: Captioner) -> Run:
        setup, options, tokenizer = self.setup, self.setup.options, self.tokenizer
        tokens = setup.rules(tokenizer).tokens
        settings = {
            **captioner.settings,
            "mode": options.mode,
            "style": setup.prompt.style,
            "share": options.share,
            "lost_share": options.lost_share,
            "tries": options.tries,
            "answer_tokens": options.answer_tokens,
        }
        if tokenizer is not None and tokens is not None:
            settings |= {"max_tokens": tokens.limit, "tokenizer": tokenizer.identity}
            settings |= {"token": setup.token} if setup.token else {}
        asked = (captioner.model, captioner.identity, setup.prompt.text)
        return Run("refine", *asked, settings, options_of(options))

    def candidates(self, run: str) -> Candidates[RefineSkip]:
        only = self.setup.options.only
        only = only if run or only == "missing" else None
        found = find_refinable(self.listed.states, run, only)
        self.first_alone = sum(bool(state.sample.further) for state in found.states)
        return found

    def choose(self, states: Sequence[CaptionState], pick: Pick) -> ClipsToAsk:
        options = self.setup.options
        return pick(asked_captions(states, options.trigger or ""), options.only, options.limit)

    def asking(self, run: str, choice: CaptionerChoice, opened: Captioner | None) -> RefineAsking:
        return RefineAsking(run, choice, self.spec.journal, self.setup, opened=opened)

    def first(self, state: CaptionState) -> FirstQuestion:
        before = before_caption(state, self.setup.options.trigger or "")
        rules = self.setup.rules(self.tokenizer)
        asked = begin(rules, state.described[len(before) :], before)
        told = {
            "caption": state.described,
            "tokens": rules.tokens_of(state.described),
            "prompt": asked.instruction,
        }
        return told, lambda: asked.request(rules), "images"

    def take(self, answer: Answer) -> None:
        self.unchanged += text_hash(answer.caption) == answer.of
        added, lost = (_words(answer.fields.get(name)) for name in ("added", "lost"))
        if not added and not lost:
            return
        self.marked += 1
        if len(self.examples) < _MOST_EXAMPLES:
            place = (answer.video, answer.start, answer.end)
            self.examples.append(MarkedCaption(*place, answer.caption, added, lost))

    def result(self, made: int, shared: Mapping[str, Any]) -> RefineResult:
        return RefineResult(
            refined=made,
            unchanged=self.unchanged,
            marked=self.marked,
            examples=tuple(self.examples),
            first_alone=self.first_alone,
            **shared,
        )


def _prompt(options: RefineOptions) -> str:
    return PROMPTS[options.mode] if options.prompt is None else read_prompt(options.prompt)


def _style(spec: DatasetSpec, options: RefineOptions, tokenizer: TargetTokenizer | None) -> str:
    """The style that was named, or that of the model, or that of the dataset's profile."""
    try:
        named = options.style or (tokenizer.profile if tokenizer is not None else None)
        return get_profile(named or spec.profile).caption_style
    except VideoprepError as error:
        if options.style is not None:
            error.option = "style"
        raise


def _words(marked: object) -> dict[str, list[str]]:
    """What is marked, by kind; the journal's lines may have been changed by others."""
    kinds = marked.items() if isinstance(marked, dict) else ()
    return {str(kind): list(map(str, words)) for kind, words in kinds if isinstance(words, list)}


_COMMAND = AskingCommand(
    refine_options, _RefineWay.of, load_refine_task, "there is no caption to refine"
)
