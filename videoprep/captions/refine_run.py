"""`refine`: from the captions of a dataset to refined ones in its caption journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from typing_extensions import Unpack

from videoprep.captions.chat_request import body_of
from videoprep.captions.endpoint import destination
from videoprep.captions.options import checked_options
from videoprep.captions.prompts import read_prompt
from videoprep.captions.protocol import Captioner
from videoprep.captions.refine_asking import RefineAsking, RefineSetup, load_refine_task
from videoprep.captions.refine_options import RefineKeywords, RefineOptions
from videoprep.captions.refine_prompts import PROMPTS, RefinePrompt
from videoprep.captions.refine_selection import RefineCandidates, RefineSkip, before_caption
from videoprep.captions.refining import begin
from videoprep.captions.run import (
    CostEstimate,
    Dataset,
    FailedClip,
    Tell,
    captionable,
    ignore,
    parted,
    rank_count,
    require_writable,
)
from videoprep.captions.selection import wanted_outcomes
from videoprep.captions.target_tokenizer import TargetTokenizer
from videoprep.captions.task import AskingTask, ClipsToAsk, choose_clips, work_files
from videoprep.engine.execution import ExecutionKeywords, ExecutionOptions, execute
from videoprep.engine.progress import OnProgress
from videoprep.engine.run import TaskPlan
from videoprep.errors import Code, Problem, VideoprepError
from videoprep.families.registry import get_profile
from videoprep.progress import Style, shown
from videoprep.spec.caption_journal import Answer, Outcome, Run
from videoprep.spec.current_captions import CaptionState, text_hash
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions


class RefineArguments(RefineKeywords, ExecutionKeywords, DatasetOptions, total=False):
    """The options of `refine`, for editors and mypy. None stands for the default."""


_MOST_FAILURES = 1000
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
class RefineResult:
    """What was refined, and why not the rest.

    ``samples`` is the sum of ``refined``, ``failed``, ``answered``, ``skipped``, ``limited``,
    ``pending`` and ``unusable``.
    """

    journal: str
    """The folder of the journal."""
    run: str
    """The way of asking, as the journal names it."""
    model: str
    samples: int
    """How many the dataset has, usable or not."""
    refined: int
    """Captions that were refined now."""
    unchanged: int
    """Those of them whose refined text is the caption itself."""
    marked: int
    """Those of them in which something was added or lost."""
    examples: Sequence[MarkedCaption]
    """The first of the latter."""
    failed: Mapping[Outcome, int]
    """Captions that were asked about and stay as they are, by what happened."""
    failures: Sequence[FailedClip]
    """The first thousand of them."""
    answered: Mapping[Outcome, int]
    """Captions that were asked about in the same way before."""
    skipped: Mapping[RefineSkip, int]
    """Samples that are not asked about."""
    limited: int
    """Captions that `limit` leaves for later."""
    pending: int
    """Captions that wait for other jobs."""
    unusable: int
    """Samples whose row or video is not there."""
    problems: Sequence[Problem]
    """Why the latter cannot be used."""
    prompt_tokens: int
    completion_tokens: int

    @property
    def ok(self) -> bool:
        """Whether nothing failed, now or before, and every sample has a caption to be refined."""
        before = sum(self.answered.values()) - self.answered.get("ok", 0)
        lacking: tuple[RefineSkip, ...] = ("unreadable", "uncaptioned", "ambiguous")
        return not (self.failed or before or self.unusable or any(map(self.skipped.get, lacking)))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        problems = [asdict(problem) | {"code": problem.code.value} for problem in self.problems]
        return {**asdict(self), "problems": problems, "ok": self.ok}


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
    own, of_execution, fields = parted(options)
    chosen, how = refine_options(own), ExecutionOptions.of(**of_execution)
    run = _RefineRun(captionable(dataset, **fields), chosen, how, on_notice or ignore)
    plan = TaskPlan(run.make_task, load_refine_task, work_files(run.spec.journal))
    with nullcontext(on_progress) if on_progress else shown(progress) as told, run.closing():
        done = execute(plan, how, device=chosen.device, on_progress=told)
        return None if done is None else run.finish()


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
    own, _, fields = parted(options)
    chosen = refine_options(own)
    plan = _RefinePlan.of(captionable(dataset, **fields), chosen)
    found = RefineCandidates.of(plan.states, "", "missing" if chosen.only == "missing" else None)
    if not found.states:
        raise VideoprepError("there is no caption to refine", where=plan.where)
    state = found.states[0]
    before = before_caption(state, chosen.trigger or "")
    rules = plan.setup.rules(plan.tokenizer)
    asked = begin(rules, state.described[len(before) :], before)
    extras = state.sample.extras
    told = {
        "video": state.sample.name,
        "start": extras.start,
        "end": extras.end,
        "caption": state.described,
        "tokens": rules.tokens_of(state.described),
        "prompt": asked.instruction,
    }
    if chosen.endpoint is None:
        return told
    settings = chosen.endpoint_options().settings()
    return {**told, "request": body_of(asked.request(rules), "images", chosen.model_name, settings)}


@dataclass(frozen=True, slots=True)
class _RefinePlan:
    """What is known of a dataset and of what is asked, before anybody is asked."""

    where: str
    samples: int
    problems: Sequence[Problem]
    """Why samples cannot be used."""
    states: Sequence[CaptionState]
    setup: RefineSetup
    tokenizer: TargetTokenizer | None

    @classmethod
    def of(cls, spec: DatasetSpec, options: RefineOptions) -> _RefinePlan:
        tokenizer = None if options.tokenizer is None else TargetTokenizer.open(options.tokenizer)
        prompt = RefinePrompt(_prompt(options), _style(spec, options, tokenizer))
        token = f"{spec.id_token.strip()} " if spec.id_token and spec.id_token.strip() else ""
        setup = RefineSetup(prompt, options, token)
        setup.rules(tokenizer)  # refuses what cannot be kept to, before lists are read
        listing, states = spec.captioning()
        if not listing.total:
            raise spec.empty_error()
        wrong = tuple(one for one in listing.problems if one.code is not Code.EMPTY_CAPTION)
        return cls(str(spec.list_file), listing.total, wrong, states, setup, tokenizer)


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


@dataclass(slots=True)
class _NewAnswers:
    """What the answers of this run say."""

    unchanged: int = 0
    marked: int = 0
    examples: list[MarkedCaption] = field(default_factory=list)
    failures: dict[str, FailedClip] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def take(self, one: Answer) -> None:
        """Take note of an answer."""
        self.prompt_tokens += one.prompt_tokens or 0
        self.completion_tokens += one.completion_tokens or 0
        self.failures.pop(one.clip, None)
        if one.outcome != "ok":
            if len(self.failures) < _MOST_FAILURES:
                failed = FailedClip(one.video, one.start, one.end, one.outcome, one.reason)
                self.failures[one.clip] = failed
            return
        self.unchanged += text_hash(one.caption) == one.of
        added, lost = (_words(one.fields.get(name)) for name in ("added", "lost"))
        if added or lost:
            self.marked += 1
            if len(self.examples) < _MOST_EXAMPLES:
                marked = MarkedCaption(one.video, one.start, one.end, one.caption, added, lost)
                self.examples.append(marked)


def _words(marked: object) -> dict[str, list[str]]:
    """What is marked, by kind; the journal's lines may have been changed by others."""
    kinds = marked.items() if isinstance(marked, dict) else ()
    return {str(kind): list(map(str, words)) for kind, words in kinds if isinstance(words, list)}


@dataclass(slots=True)
class _RefineRun:
    """The part of the process that plans refining and counts what came of it."""

    spec: DatasetSpec
    options: RefineOptions
    execution: ExecutionOptions
    tell: Tell
    plan: _RefinePlan = field(init=False)
    candidates: RefineCandidates = field(init=False)
    chosen: ClipsToAsk = field(init=False)
    run: Run = field(init=False)
    task: AskingTask = field(init=False)
    stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Close the captioner at the end, whether it came to ask or not."""
        with self.stack:
            yield

    def make_task(self) -> AskingTask:
        """Find out what is refined by whom; see `TaskPlan`."""
        options, journal = self.options, self.spec.journal
        require_writable(self.spec, journal)
        choice = options.choice()
        self.plan = _RefinePlan.of(self.spec, options)
        if options.endpoint is not None:
            self.tell(destination(options.endpoint, "captions and the prompt"))
        if options.creative:
            self.tell(_CREATIVE)
        captioner = choice.open(cache=work_files(journal))
        self.stack.callback(captioner.close)
        self.run = self._run_of(captioner)
        self.candidates = RefineCandidates.of(self.plan.states, self.run.id, options.only)
        self.chosen = choose_clips(
            journal,
            "refine",
            self.run.id,
            self.candidates.asked(options.trigger or ""),
            wanted_outcomes(
                "failed" if options.only == "failed" else None, self.execution.retry_failed
            ),
            options.limit,
        )
        journal.append("refine", [self.run])
        asking = RefineAsking(
            self.run.id, choice.resolved(captioner), self.plan.setup, journal, opened=captioner
        )
        clips = self.chosen.clips
        estimate = CostEstimate(len(clips), captioner.ahead * rank_count(), self.tell)
        self.task = AskingTask(
            clips, asking, journal, work_files(journal), self.chosen.since, estimate.take
        )
        return self.task

    def _run_of(self, captioner: Captioner) -> Run:
        options, setup, tokenizer = self.options, self.plan.setup, self.plan.tokenizer
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
        return Run("refine", captioner.model, captioner.identity, setup.prompt.text, settings)

    def finish(self) -> RefineResult:
        """Count what came of it, by what the journal says."""
        log, clips, chosen = self.task.log, self.task.clips, self.chosen
        new = self._read_new_answers()
        log.read()
        failed = log.counts()
        refined = failed.pop("ok", 0)
        answered = sum(chosen.answered.values())
        skipped = Counter(self.candidates.skipped)
        others = len(self.candidates.states) - len(clips) - answered - chosen.limited
        if others:  # those that `only='failed'` leaves
            skipped["current"] += others
        return RefineResult(
            journal=str(self.spec.journal.folder),
            run=self.run.id,
            model=self.run.model,
            samples=self.plan.samples,
            refined=refined,
            unchanged=new.unchanged,
            marked=new.marked,
            examples=tuple(new.examples),
            failed=dict(failed),
            failures=tuple(new.failures.values()),
            answered=dict(chosen.answered),
            skipped=dict(skipped),
            limited=chosen.limited,
            pending=len(clips) - refined - sum(failed.values()),
            unusable=self.plan.samples - len(self.plan.states),
            problems=self.plan.problems,
            prompt_tokens=new.prompt_tokens,
            completion_tokens=new.completion_tokens,
        )

    def _read_new_answers(self) -> _NewAnswers:
        new, clips, since = _NewAnswers(), self.task.clips, self.chosen.since
        for placed in self.spec.journal.read("refine", since):
            one = placed.record
            if not isinstance(one, Answer) or one.run != self.run.id:
                continue
            if clips.find(one.clip) is not None:
                new.take(one)
        return new
