"""Asking a model about a dataset's clips, from options to a result: what such commands share.

What a command asks is its `AskingWay`; with its options it makes an `AskingCommand`.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from typing_extensions import Unpack

from videoprep.captions.backends import CaptionerChoice
from videoprep.captions.chat_request import RequestShape, body_of, shortened
from videoprep.captions.options import BackendOptions, Only
from videoprep.captions.protocol import Captioner, CaptionRequest
from videoprep.captions.selection import Candidates, wanted_outcomes
from videoprep.captions.task import (
    AskedClip,
    AskedClips,
    Asking,
    AskingTask,
    ClipAnswer,
    ClipsToAsk,
    choose_clips,
    work_files,
)
from videoprep.engine.execution import ExecutionOptions, execute
from videoprep.engine.progress import OnProgress
from videoprep.engine.ray_cluster import share_of_node
from videoprep.engine.run import TaskPlan
from videoprep.engine.task import TaskLoader
from videoprep.errors import Code, Problem, SpecError, VideoprepError
from videoprep.fs.mirror import remote_of
from videoprep.progress import Style, shown
from videoprep.spec.caption_journal import FOLDER, Answer, CaptionJournal, Outcome, Run
from videoprep.spec.current_captions import CaptionState
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.spec.locate import NO_DATASET
from videoprep.text import counted, duration

Dataset = DatasetSpec | str | os.PathLike[str]
Tell = Callable[[str], None]
Pick = Callable[[AskedClips, Only | None, int | None], ClipsToAsk]
"""Chooses whom to ask about of some clips: which of them, and at most how many."""
FirstQuestion = tuple[Mapping[str, Any], Callable[[], CaptionRequest], RequestShape]
"""What people want to know of a question, the question, and how frames are sent with it."""

Skip = TypeVar("Skip")
Options = TypeVar("Options", bound=BackendOptions)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_TRIAL = 5
_MOST_FAILURES = 1000
_FIRST = ("journal", "run", "model", "samples")


@dataclass(frozen=True, slots=True)
class FailedClip:
    """A clip that was asked about and has no caption."""

    video: str
    start: float | None
    end: float | None
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class AskingResult(ABC, Generic[Skip]):
    """What was asked, and what came of it."""

    journal: str
    """The folder of the journal."""
    run: str
    """The way of asking, as the journal names it."""
    model: str
    samples: int
    """How many the dataset has, usable or not."""
    failed: Mapping[Outcome, int]
    """Clips that were asked about and got no new caption, by what happened."""
    failures: Sequence[FailedClip]
    """The first thousand of them."""
    answered: Mapping[Outcome, int]
    """Clips that were asked about in the same way before."""
    skipped: Mapping[Skip, int]
    """Samples that are not asked about."""
    limited: int
    """Clips that `limit` leaves for later."""
    pending: int
    """Clips that wait for other jobs."""
    unusable: int
    """Samples whose row or video is not there."""
    problems: Sequence[Problem]
    """Why the latter cannot be used."""
    prompt_tokens: int
    completion_tokens: int
    left_out: Mapping[str, int]
    """Fields of requests that the server does not know, and how many answers were given without
    each."""

    @property
    @abstractmethod
    def ok(self) -> bool:
        """Whether all is as it should be."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        values = asdict(self)
        own = [name for name in values if name not in AskingResult.__dataclass_fields__]
        ordered = {name: values[name] for name in (*_FIRST, *own, *values)}
        problems = [asdict(problem) | {"code": problem.code.value} for problem in self.problems]
        return {**ordered, "problems": problems, "ok": self.ok}


@dataclass(frozen=True, slots=True)
class ListedClips:
    """The samples of a dataset, with or without captions."""

    samples: int
    problems: Sequence[Problem]
    """Why samples cannot be used."""
    states: Sequence[CaptionState]

    @classmethod
    def of(cls, spec: DatasetSpec) -> ListedClips:
        """Read them; refuse a dataset without any."""
        listing, states = spec.captioning()
        if not listing.total:
            raise spec.empty_error()
        wrong = tuple(one for one in listing.problems if one.code is not Code.EMPTY_CAPTION)
        return cls(listing.total, wrong, states)


class AskingWay(Protocol[Result_co]):
    """What a command asks about a dataset, as it is known before anybody is asked."""

    @property
    def listed(self) -> ListedClips:
        """What the dataset has."""

    def notices(self) -> Iterable[str]:
        """Return what users have to know before anything goes anywhere."""

    def run_of(self, captioner: Captioner) -> Run:
        """Return the way of asking, as the journal names it."""

    def candidates(self, run: str) -> Candidates[Any]:
        """Return whom one run can ask about; an empty run is one of which nothing is known."""

    def choose(self, states: Sequence[CaptionState], pick: Pick) -> ClipsToAsk:
        """Return whom to ask about, of the candidates."""

    def asking(self, run: str, choice: CaptionerChoice, opened: Captioner | None) -> Asking:
        """Return what asks."""

    def first(self, state: CaptionState) -> FirstQuestion:
        """Return what would be asked about a clip."""

    def take(self, answer: Answer) -> None:
        """Take note of an answer that is a caption."""

    def result(self, made: int, shared: Mapping[str, Any]) -> Result_co:
        """Return what came of it: so many captions, and the fields of `AskingResult`."""


@dataclass(frozen=True, slots=True)
class AskingCommand(Generic[Options, Result]):
    """A command that asks a model about clips."""

    options: Callable[[Mapping[str, Any]], Options]
    """Checks its options."""
    way: Callable[[DatasetSpec, Options], AskingWay[Result]]
    load: TaskLoader
    """Makes its task in other processes."""
    nothing: str
    """What is wrong if there is nothing to ask about."""

    def ask(
        self,
        dataset: Dataset,
        given: Mapping[str, object],
        progress: Style,
        on_progress: OnProgress | None,
        on_notice: Tell | None,
    ) -> Result | None:
        """Ask; return what came of it on rank 0, and None on the others."""
        own, of_execution, fields = parted(given)
        options, how = self.options(own), ExecutionOptions.of(**of_execution)
        spec = captionable(dataset, **fields)
        tell = on_notice or (lambda text: None)
        run = _AskingRun(spec, options, self.way, how, tell)
        plan = TaskPlan(run.make_task, self.load, work_files(spec.journal))
        with nullcontext(on_progress) if on_progress else shown(progress) as told, run.stack:
            try:
                done = execute(plan, how, device=options.device, on_progress=told)
            except (KeyboardInterrupt, SystemExit):
                if run.is_begun:  # on rank 0
                    tell(run.stopped())
                raise
            return None if done is None else run.finish()

    def first_request(self, dataset: Dataset, given: Mapping[str, object]) -> dict[str, Any]:
        """Return what would be asked first; nothing leaves this machine."""
        own, _, fields = parted(given)
        options = self.options(own)
        spec = captionable(dataset, **fields)
        way = self.way(spec, options)
        states = way.candidates("").states
        if not states:
            raise VideoprepError(self.nothing, where=str(spec.list_file))
        sample, (own_told, request, shape) = states[0].sample, way.first(states[0])
        extras = sample.extras
        told = {"video": sample.name, "start": extras.start, "end": extras.end, **own_told}
        if options.endpoint is None:
            return told
        asked, settings = request(), options.endpoint_options().settings()
        body = body_of(asked, shape, options.model_name, settings)
        return {**told, "request": shortened(body) if asked.frames else body}


@dataclass(slots=True)
class _AskingRun(Generic[Options, Result]):
    """The part of the process that plans asking and counts what came of it."""

    spec: DatasetSpec
    options: Options
    make_way: Callable[[DatasetSpec, Options], AskingWay[Result]]
    how: ExecutionOptions
    tell: Tell
    way: AskingWay[Result] = field(init=False)
    candidates: Candidates[Any] = field(init=False)
    chosen: ClipsToAsk = field(init=False)
    run: Run = field(init=False)
    task: AskingTask = field(init=False)
    ahead: int = 0
    """How many questions are on their way at a time, at most."""
    is_begun: bool = False
    """Whether this process plans."""
    is_planned: bool = False
    """Whether there is a task."""
    stack: ExitStack = field(default_factory=ExitStack)
    """Closes the captioner at the end, whether it came to ask or not."""

    def make_task(self) -> AskingTask:
        """Find out who is asked what; see `TaskPlan`."""
        self.is_begun = True
        journal = self.spec.journal
        require_writable(self.spec, journal)
        choice = self.options.choice()
        self.way = self.make_way(self.spec, self.options)
        for notice in self.way.notices():
            self.tell(notice)
        captioner = choice.open(cache=work_files(journal))
        self.stack.callback(captioner.close)
        self.run = self.way.run_of(captioner)
        self.candidates = self.way.candidates(self.run.id)
        self.chosen = self.way.choose(self.candidates.states, self._pick)
        journal.append(self.run.stage, [self.run])
        asking = self.way.asking(self.run.id, choice.resolved(captioner), captioner)
        if self.how.executor == "ray":
            asking.cpus, asking.gpus = _share_of_node(choice)
        clips = self.chosen.clips
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
        estimate = CostEstimate(len(clips), captioner.ahead, ranks, self.tell)
        self.task = AskingTask(
            clips, asking, journal, work_files(journal), self.chosen.since, estimate.take
        )
        self.ahead, self.is_planned = captioner.ahead, True
        return self.task

    def stopped(self) -> str:
        """Say how far it came when a signal ended it.

        Questions that are on their way are not waited for: an answer may take minutes.
        """
        again = "run the same command again to go on"
        if not self.is_planned:
            return f"stopped before anything was asked: {again}"
        self.task.log.read()
        counts = self.task.log.counts()
        answered, every = counts.get("ok", 0), len(self.task.clips)
        failed = sum(counts.values()) - answered
        lost = min(self.task.in_hand, self.ahead)
        parts = [f"{answered:,} answered", *([f"{failed:,} failed"] if failed else [])]
        parts.append(f"{every - answered - failed:,} left")
        told = f"stopped: {counted(every, 'clip')} = {' + '.join(parts)}"
        told += f", up to {lost:,} of which had been sent" if lost else ""
        return f"{told}; {again}"

    def _pick(self, clips: AskedClips, only: Only | None, limit: int | None) -> ClipsToAsk:
        wanted = wanted_outcomes(only, self.how.retry_failed)
        return choose_clips(self.spec.journal, self.run.stage, self.run.id, clips, wanted, limit)

    def finish(self) -> Result:
        """Count what came of it, by what the journal says."""
        log, clips, chosen, listed = self.task.log, self.task.clips, self.chosen, self.way.listed
        failures, tokens, left_out = self._read_new_answers()
        log.read()
        failed = log.counts()
        made = failed.pop("ok", 0)
        skipped = Counter(self.candidates.skipped)
        answered = sum(chosen.answered.values())
        others = len(self.candidates.states) - len(clips) - answered - chosen.limited
        if others:  # those that `only='failed'` leaves
            skipped["current"] += others
        shared = {
            "journal": str(self.spec.journal.folder),
            "run": self.run.id,
            "model": self.run.model,
            "samples": listed.samples,
            "failed": dict(failed),
            "failures": failures,
            "answered": dict(chosen.answered),
            "skipped": dict(skipped),
            "limited": chosen.limited,
            "pending": len(clips) - made - sum(failed.values()),
            "unusable": listed.samples - len(listed.states),
            "problems": listed.problems,
            "prompt_tokens": tokens["prompt"],
            "completion_tokens": tokens["completion"],
            "left_out": dict(left_out),
        }
        return self.way.result(made, shared)

    def _read_new_answers(self) -> tuple[Sequence[FailedClip], Counter[str], Counter[str]]:
        """Return the clips that failed now, the tokens that all answers took, and `left_out`."""
        failures: dict[str, FailedClip] = {}
        tokens, left_out = Counter[str](), Counter[str]()
        for placed in self.spec.journal.read(self.run.stage, self.chosen.since):
            one = placed.record
            if not isinstance(one, Answer) or one.run != self.run.id:
                continue
            if self.task.clips.find(one.clip) is None:
                continue
            tokens["prompt"] += one.prompt_tokens or 0
            tokens["completion"] += one.completion_tokens or 0
            left_out.update(one.left_out)
            failures.pop(one.clip, None)
            if one.outcome == "ok":
                self.way.take(one)
            elif len(failures) < _MOST_FAILURES:
                failures[one.clip] = FailedClip(
                    one.video, one.start, one.end, one.outcome, one.reason
                )
        return tuple(failures.values()), tokens, left_out


def _share_of_node(choice: CaptionerChoice) -> tuple[float, float]:
    """Return how many CPUs and GPUs one process may have on the connected Ray cluster."""
    device = choice.options.get("device", "cpu") if choice.kind == "local" else "cpu"
    cpus, gpus = share_of_node(gpu=device != "cpu")
    if str(device).startswith("cuda"):
        gpus = 1.0  # nodes with GPUs may be started once they are asked for
    return cpus, gpus


def captionable(dataset: Dataset, **fields: Unpack[DatasetOptions]) -> DatasetSpec:
    """Return the spec of a dataset that may have no captions yet, such as a folder of videos.

    Raises:
        SpecError: There is no dataset, and there are no videos.
    """
    try:
        return DatasetSpec.of(dataset, **fields)
    except SpecError as error:
        if isinstance(dataset, DatasetSpec) or fields.get("caption_journal") is not None:
            raise
        fields["caption_journal"] = FOLDER
        try:
            return DatasetSpec.of(dataset, **fields)
        except SpecError:
            raise _without_videos(error) from None


def _without_videos(error: SpecError) -> SpecError:
    """The error for what is no dataset; videos alone are one here, so there are none."""
    if not error.message.startswith(NO_DATASET):
        return error
    return SpecError(
        "there are no videos here, and no list of videos",
        where=error.where,
        remedy="name the folder of your videos, or a list of them; `videoprep split` makes one of "
        "films",
        code=error.code,
    )


def parted(
    options: Mapping[str, object],
) -> tuple[dict[str, Any], dict[str, Any], DatasetOptions]:
    """Part what was given into the fields of the three models; unknown names go to the first."""
    given = cast(dict[str, Any], options)
    execution = {name: given[name] for name in given if name in ExecutionOptions.model_fields}
    fields = {name: given[name] for name in given if name in DatasetSpec.model_fields}
    own = {name: given[name] for name in given if name not in {**execution, **fields}}
    return own, execution, cast(DatasetOptions, fields)


def require_writable(spec: DatasetSpec, journal: CaptionJournal) -> None:
    """Refuse a journal that would lie in a mirror, or that leads elsewhere."""
    if remote_of(spec.data_root) is not None and not Path(spec.caption_journal or "").is_absolute():
        raise SpecError(
            "captions of a dataset behind a URL need a journal on this machine",
            where=str(spec.data_root),
            remedy="name a folder for it with `caption_journal`, by its absolute path",
            option="caption_journal",
        )
    if journal.folder.is_symlink():
        raise SpecError(
            "the folder of the caption journal is a link",
            where=str(journal.folder),
            remedy="name the folder that it leads to with `caption_journal`, or remove the link",
            option="caption_journal",
        )


@dataclass(slots=True)
class CostEstimate:
    """Says after the first few clips what the rest will cost.

    Clips are timed by the clock, and not by their answers: frames may take longer to decode than
    the model takes to answer. There are at least as many clips as are asked about at a time, so
    that each process has waited for an answer once.
    """

    clips: int
    """How many are asked about."""
    at_once: int
    """How many at a time in one process."""
    ranks: int
    """How many processes share the work; answers are taken in one of them."""
    tell: Tell
    clock: Callable[[], float] = time.monotonic
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()

    def take(self, clip: AskedClip, answer: ClipAnswer) -> None:
        """Take note of an answer."""
        del clip
        trial = max(_TRIAL, self.at_once)
        if self.answers >= trial or answer.seconds is None:
            return
        self.answers += 1
        self.prompt_tokens += answer.prompt_tokens or 0
        self.completion_tokens += answer.completion_tokens or 0
        if self.answers == trial and self.clips > trial * self.ranks:
            self.tell(self.sentence())

    def sentence(self) -> str:
        """Return the estimate in words.

        For example, 5 clips in 10 s, of 105 that one process asks about: 2 s each, and 200 s for
        the other 100.
        """
        each = (self.clock() - self._since) / self.answers / self.ranks
        left = self.clips - self.answers * self.ranks
        share = self.clips / self.answers
        prompt, completion = self.prompt_tokens * share, self.completion_tokens * share
        tokens = (
            f", and {prompt:,.0f} tokens of prompts and {completion:,.0f} of answers in total"
            if prompt or completion
            else ""
        )
        return (
            f"from the first {counted(self.answers, 'clip')}: {duration(each, 1)} a clip; "
            f"the other {left:,} will take about {duration(each * left)}{tokens}"
        )
