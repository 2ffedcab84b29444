"""`caption`: from a dataset to captions in its journal."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from typing_extensions import Unpack

from videoprep.captions.captioning import (
    CaptionAsking,
    ShownClip,
    failed_payload,
    load_caption_task,
)
from videoprep.captions.chat_request import RequestShape, body_of, shortened
from videoprep.captions.endpoint import destination
from videoprep.captions.frames import FrameSampling, choose_frames
from videoprep.captions.options import CaptionKeywords, CaptionOptions, checked_options
from videoprep.captions.prompts import CaptionPrompt, make_prompt
from videoprep.captions.protocol import Captioner
from videoprep.captions.selection import (
    CaptionCandidates,
    SkipReason,
    asked_clips,
    find_candidates,
    read_contexts,
    wanted_outcomes,
)
from videoprep.captions.task import (
    AskedClip,
    AskingTask,
    ClipAnswer,
    ClipsToAsk,
    choose_clips,
    work_files,
)
from videoprep.engine.execution import ExecutionKeywords, ExecutionOptions, execute
from videoprep.engine.progress import OnProgress
from videoprep.engine.run import TaskPlan
from videoprep.errors import Code, Problem, SpecError, VideoprepError
from videoprep.fs.mirror import remote_of
from videoprep.index.placement import LeftOut
from videoprep.media.decode_pool import DecodePool
from videoprep.media.inspect import inspect_all
from videoprep.media.probe import MediaInfo
from videoprep.progress import Style, shown
from videoprep.spec.caption_journal import FOLDER, Answer, CaptionJournal, Outcome, Run
from videoprep.spec.current_captions import CaptionState
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.text import counted, duration


class CaptionArguments(CaptionKeywords, ExecutionKeywords, DatasetOptions, total=False):
    """The options of `caption`, for editors and mypy. None stands for the default."""


Dataset = DatasetSpec | str | os.PathLike[str]
Tell = Callable[[str], None]

_TRIAL = 5
_MOST_FAILURES = 1000
_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class FailedClip:
    """A clip that was asked about and has no caption."""

    video: str
    start: float | None
    end: float | None
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class CaptionResult:
    """What was asked, and what came of it.

    ``samples`` is the sum of ``captioned``, ``failed``, ``answered``, ``skipped``, ``limited``,
    ``pending`` and ``unusable``.
    """

    journal: str
    """The folder of the journal."""
    run: str
    """The way of asking, as the journal names it."""
    model: str
    samples: int
    """How many the dataset has, usable or not."""
    captioned: int
    """Clips that got a caption."""
    failed: Mapping[Outcome, int]
    """Clips that were asked about and got none, by what happened."""
    failures: Sequence[FailedClip]
    """The first thousand of them."""
    answered: Mapping[Outcome, int]
    """Clips that were asked about in the same way before."""
    skipped: Mapping[SkipReason, int]
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

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and every sample can be used."""
        return not self.failed and not self.unusable and not self.skipped.get("unreadable")

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        problems = [asdict(problem) | {"code": problem.code.value} for problem in self.problems]
        return {**asdict(self), "problems": problems, "ok": self.ok}


def caption(
    dataset: Dataset,
    *,
    progress: Style = "none",
    on_progress: OnProgress | None = None,
    on_notice: Tell | None = None,
    **options: Unpack[CaptionArguments],
) -> CaptionResult | None:
    """Ask a model for captions of a dataset's clips, and write them into its caption journal.

    Each answer is in the journal before the next one is waited for: stopped in any way and called
    again, it asks about the other clips alone. Clips with a caption of the dataset's own, edited
    ones and dropped ones are not asked about. No file of the user is changed. Under torchrun every
    rank calls this.

    Args:
        dataset: a spec, or the path of a dataset; a folder of videos without captions is one.
        progress: how progress is shown on rank 0; see `encode`.
        on_progress: called about once a second on rank 0, in a thread, instead of showing it.
        on_notice: called with what users have to know: where frames go, before any go there, and
            after five clips what the rest will cost.
        options: who is asked, what, and which frames are shown: fields of `CaptionOptions`; where
            the work is done and when to give up, as for `encode`: ``executor``, ``address``,
            ``num_jobs``, ``job_id``, ``retry_failed``, ``max_failures``, ``watchdog``; and fields
            of `DatasetSpec`.

    Returns:
        What was done, on rank 0; None on the other ranks.

    Raises:
        SpecError: There is no such dataset.
        VideoprepError: The server is not there, wants a key, or changes its model; the journal
            cannot be written. What was answered stays.
        KeyboardInterrupt: SIGINT came; what was answered is in the journal.
        SystemExit: SIGTERM came; likewise.
    """
    own, of_execution, fields = parted(options)
    chosen, how = caption_options(own), ExecutionOptions.of(**of_execution)
    spec = captionable(dataset, **fields)
    run = _CaptionRun(spec, chosen, how, on_notice or ignore)
    plan = TaskPlan(run.make_task, load_caption_task, work_files(spec.journal))
    with nullcontext(on_progress) if on_progress else shown(progress) as told, run.closing():
        done = execute(plan, how, device=chosen.device, on_progress=told)
        return None if done is None else run.finish()


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
            raise error from None


def caption_options(given: Mapping[str, Any]) -> CaptionOptions:
    """Check options; None stands for the default.

    Raises:
        VideoprepError: One is unknown or out of bounds.
    """
    return checked_options(CaptionOptions, given)


def parted(
    options: Mapping[str, object],
) -> tuple[dict[str, Any], dict[str, Any], DatasetOptions]:
    """Part what was given into the fields of the three models; unknown names go to the first."""
    given = cast(dict[str, Any], options)
    execution = {name: given[name] for name in given if name in ExecutionOptions.model_fields}
    fields = {name: given[name] for name in given if name in DatasetSpec.model_fields}
    own = {name: given[name] for name in given if name not in {**execution, **fields}}
    return own, execution, cast(DatasetOptions, fields)


def caption_request(
    dataset: Dataset,
    **options: Unpack[CaptionArguments],
) -> dict[str, Any]:
    """Return what would be asked about the first clip; nothing leaves this machine.

    Args:
        dataset: see `caption`.
        options: see `caption`.

    Returns:
        The clip, the times and sizes of the frames, the prompt, and for a server the body of the
        request, with pictures shortened.

    Raises:
        VideoprepError: There is no clip to ask about, or its frames cannot be decoded.
    """
    own, _, fields = parted(options)
    chosen = caption_options(own)
    spec = captionable(dataset, **fields)
    plan = _Plan.of(spec, chosen)
    found = find_candidates(plan.states, "", all_clips=chosen.all_clips)
    if not found.states:
        raise VideoprepError("there is no clip to ask about", where=str(spec.list_file))
    state = found.states[0]
    contexts = read_contexts(spec, chosen.context_column, [state])
    (clip,) = _shown_clips(spec, [state], contexts, plan.rule)
    if isinstance(clip, str):
        raise VideoprepError(clip, where=state.sample.name)
    return _preview(spec, chosen, plan, state, clip)


def _preview(
    spec: DatasetSpec, chosen: CaptionOptions, plan: _Plan, state: CaptionState, clip: ShownClip
) -> dict[str, Any]:
    window = clip.frames.windows[0]
    sample = state.sample
    told = {
        "video": sample.name,
        "start": sample.extras.start,
        "end": sample.extras.end,
        "windows": len(clip.frames.windows),
        "frames": [round(time, 3) for time in clip.frames.times(window)],
        "size": list(clip.frames.size),
        "prompt": plan.prompt.filled(clip.context),
    }
    if chosen.endpoint is None:
        return told
    asking = CaptionAsking(
        "", chosen.choice(), plan.prompt, chosen.max_tokens, "", spec.data_root, spec.journal
    )
    pixels = clip.frames.pixels(Path(sample.path))
    with DecodePool(size=1, memory=_MEMORY, resizing=True) as pool:
        ((_, decoded),) = pool.run([(None, pixels)])
        if isinstance(decoded, VideoprepError):
            raise decoded
        planes = decoded.pixels.numpy()[: len(window.indices)]
        pictures = [plane.transpose(1, 2, 0).copy() for plane in planes]
        decoded.release()
    shape: RequestShape = "images" if chosen.request == "auto" else chosen.request
    request = asking.request(clip, window, pictures)
    settings = chosen.endpoint_options().settings()
    return {**told, "request": shortened(body_of(request, shape, chosen.model_name, settings))}


def ignore(text: str) -> None:
    """For those who want to know nothing."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known of a dataset and of what is asked, before anybody is asked."""

    samples: int
    problems: Sequence[Problem]
    """Why samples cannot be used."""
    states: Sequence[CaptionState]
    rule: FrameSampling
    prompt: CaptionPrompt

    @classmethod
    def of(cls, spec: DatasetSpec, chosen: CaptionOptions) -> _Plan:
        rule = chosen.rule()
        prompt = make_prompt(
            chosen.preset, chosen.prompt, has_context=chosen.context_column is not None
        )
        listing, states = spec.captioning()
        if not listing.total:
            raise spec.empty_error()
        wrong = tuple(one for one in listing.problems if one.code is not Code.EMPTY_CAPTION)
        return cls(listing.total, wrong, states, rule, prompt)


@dataclass(slots=True)
class _CaptionRun:
    """The part of the process that plans asking for captions and counts what came of it."""

    spec: DatasetSpec
    options: CaptionOptions
    execution: ExecutionOptions
    tell: Tell
    plan: _Plan = field(init=False)
    candidates: CaptionCandidates = field(init=False)
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
        """Find out who is asked what; see `TaskPlan`."""
        options, journal = self.options, self.spec.journal
        require_writable(self.spec, journal)
        choice = options.choice()
        self.plan = _Plan.of(self.spec, options)
        if options.endpoint is not None:
            self.tell(destination(options.endpoint))
        captioner = choice.open(cache=work_files(journal))
        self.stack.callback(captioner.close)
        self.run = self._run_of(captioner)
        self.candidates = find_candidates(
            self.plan.states, self.run.id, all_clips=options.all_clips, only=options.only
        )
        contexts = read_contexts(self.spec, options.context_column, self.candidates.states)
        self.chosen = self._choose(journal, contexts)
        journal.append("caption", [self.run])
        asking = CaptionAsking(
            self.run.id,
            choice.resolved(captioner),
            self.plan.prompt,
            options.max_tokens,
            options.trigger or "",
            self.spec.data_root,
            journal,
            opened=captioner,
        )
        clips = self.chosen.clips
        estimate = CostEstimate(len(clips), captioner.ahead * rank_count(), self.tell)
        self.task = AskingTask(
            clips, asking, journal, work_files(journal), self.chosen.since, estimate.take
        )
        return self.task

    def _run_of(self, captioner: Captioner) -> Run:
        options = self.options
        settings = {
            **captioner.settings,
            "max_tokens": options.max_tokens,
            "shown": self.plan.rule.to_json(),
            **({"trigger": options.trigger} if options.trigger else {}),
            **({"json": True} if self.plan.prompt.schema is not None else {}),
        }
        return Run("caption", captioner.model, captioner.identity, self.plan.prompt.text, settings)

    def _choose(self, journal: CaptionJournal, contexts: Mapping[int, str]) -> ClipsToAsk:
        states, options = self.candidates.states, self.options
        wanted = wanted_outcomes(options.only, self.execution.retry_failed)
        chosen = choose_clips(
            journal, "caption", self.run.id, asked_clips(states, contexts), wanted, options.limit
        )
        numbers = chosen.clips.table.column("number").to_pylist()
        by_number = {state.sample.number: state for state in states}
        asked = [by_number[number] for number in numbers]
        shown_clips = _shown_clips(self.spec, asked, contexts, self.plan.rule)
        payloads = [
            failed_payload(clip) if isinstance(clip, str) else clip.to_payload()
            for clip in shown_clips
        ]
        return ClipsToAsk(
            chosen.clips.with_payloads(payloads), chosen.since, chosen.answered, chosen.limited
        )

    def finish(self) -> CaptionResult:
        """Count what came of it, by what the journal says."""
        log = self.task.log
        failures, tokens = self._read_new_answers()
        log.read()
        counts = log.counts()
        captioned = counts.pop("ok", 0)
        clips, chosen = self.task.clips, self.chosen
        skipped = Counter(self.candidates.skipped)
        unusable = self.plan.samples - len(self.plan.states)
        answered = sum(chosen.answered.values())
        others = len(self.candidates.states) - len(clips) - answered - chosen.limited
        if others:  # those that `only='failed'` leaves
            skipped["current"] += others
        return CaptionResult(
            journal=str(self.spec.journal.folder),
            run=self.run.id,
            model=self.run.model,
            samples=self.plan.samples,
            captioned=captioned,
            failed=dict(counts),
            failures=failures,
            answered=dict(chosen.answered),
            skipped=dict(skipped),
            limited=chosen.limited,
            pending=len(clips) - captioned - sum(counts.values()),
            unusable=unusable,
            problems=self.plan.problems,
            prompt_tokens=tokens["prompt"],
            completion_tokens=tokens["completion"],
        )

    def _read_new_answers(self) -> tuple[Sequence[FailedClip], Counter[str]]:
        """Return the clips that failed now, and the tokens that all answers took."""
        failures: dict[str, FailedClip] = {}
        tokens = Counter[str]()
        since, clips = self.chosen.since, self.task.clips
        for placed in self.spec.journal.read("caption", since):
            one = placed.record
            if not isinstance(one, Answer) or one.run != self.run.id:
                continue
            if clips.find(one.clip) is None:
                continue
            tokens["prompt"] += one.prompt_tokens or 0
            tokens["completion"] += one.completion_tokens or 0
            failures.pop(one.clip, None)
            if one.outcome != "ok" and len(failures) < _MOST_FAILURES:
                failures[one.clip] = FailedClip(
                    one.video, one.start, one.end, one.outcome, one.reason
                )
        return tuple(failures.values()), tokens


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


def _shown_clips(
    spec: DatasetSpec,
    states: Sequence[CaptionState],
    contexts: Mapping[int, str],
    rule: FrameSampling,
) -> list[ShownClip | str]:
    """Return what is shown of clips, or why they cannot be shown, in their order."""
    order = sorted(range(len(states)), key=lambda at: states[at].sample.number)
    made: list[ShownClip | str] = [""] * len(states)
    paths = (states[at].sample.path for at in order)
    for at, found in zip(order, inspect_all(spec.data_root, paths), strict=True):
        sample = states[at].sample
        media = found.media
        if not isinstance(media, MediaInfo):
            made[at] = f"{media.code.value} {media.message}"
            continue
        frames = choose_frames(media, sample.extras, spec.time_zero, rule)
        if isinstance(frames, LeftOut):
            made[at] = f"{frames.code.value} {frames.reason}"
        else:
            made[at] = ShownClip(frames, contexts.get(sample.number, ""))
    return made


def rank_count() -> int:
    """How many processes torchrun has started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass(slots=True)
class CostEstimate:
    """Says after the first few clips what the rest will cost."""

    clips: int
    """How many are asked about."""
    at_once: int
    """How many at a time."""
    tell: Tell
    seconds: list[float] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def take(self, clip: AskedClip, answer: ClipAnswer) -> None:
        """Take note of an answer."""
        del clip
        if len(self.seconds) >= _TRIAL or answer.seconds is None:
            return
        self.seconds.append(answer.seconds)
        self.prompt_tokens += answer.prompt_tokens or 0
        self.completion_tokens += answer.completion_tokens or 0
        if len(self.seconds) == _TRIAL and self.clips > _TRIAL:
            self.tell(self.sentence())

    def sentence(self) -> str:
        """Return the estimate in words."""
        each = sum(self.seconds) / len(self.seconds)
        left = (self.clips - len(self.seconds)) * each / min(self.at_once, self.clips)
        share = self.clips / len(self.seconds)
        prompt, completion = self.prompt_tokens * share, self.completion_tokens * share
        tokens = (
            f", and {prompt:,.0f} tokens of prompts and {completion:,.0f} of answers in total"
            if prompt or completion
            else ""
        )
        return (
            f"from the first {counted(len(self.seconds), 'clip')}: {duration(each, 1)} an answer; "
            f"the other {self.clips - len(self.seconds):,} will take about {duration(left)}{tokens}"
        )
