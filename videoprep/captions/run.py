"""`caption`: from a dataset to captions in its journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
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
from videoprep.captions.captioning import (
    CaptionAsking,
    ShownClip,
    failed_payload,
    load_caption_task,
    pictures_of,
)
from videoprep.captions.endpoint import destination
from videoprep.captions.frames import FrameSampling, FrameWindow, choose_frames
from videoprep.captions.options import CaptionKeywords, CaptionOptions, checked_options
from videoprep.captions.prompts import CaptionPrompt, make_prompt
from videoprep.captions.protocol import Captioner, CaptionRequest
from videoprep.captions.selection import (
    Candidates,
    SkipReason,
    asked_clips,
    find_candidates,
    read_contexts,
)
from videoprep.captions.task import ClipsToAsk
from videoprep.engine.execution import ExecutionKeywords
from videoprep.engine.progress import OnProgress
from videoprep.errors import VideoprepError
from videoprep.index.placement import LeftOut
from videoprep.media.decode_pool import DecodePool
from videoprep.media.inspect import inspect_all
from videoprep.media.probe import MediaInfo
from videoprep.progress import Style
from videoprep.spec.caption_journal import Answer, Run
from videoprep.spec.current_captions import CaptionState
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_options import DatasetOptions


class CaptionArguments(CaptionKeywords, ExecutionKeywords, DatasetOptions, total=False):
    """The options of `caption`, for editors and mypy. None stands for the default."""


_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class CaptionResult(AskingResult[SkipReason]):
    """What was asked, and what came of it.

    ``samples`` is the sum of ``captioned``, ``failed``, ``answered``, ``skipped``, ``limited``,
    ``pending`` and ``unusable``.
    """

    captioned: int
    """Clips that got a caption."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and every sample can be used."""
        return not self.failed and not self.unusable and not self.skipped.get("unreadable")


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
            after the first clips what the rest will cost.
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
    return _COMMAND.ask(dataset, options, progress, on_progress, on_notice)


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
    return _COMMAND.first_request(dataset, options)


@dataclass(frozen=True, slots=True)
class _CaptionWay:
    """Asks for captions of frames; see `AskingWay`."""

    spec: DatasetSpec
    options: CaptionOptions
    rule: FrameSampling
    prompt: CaptionPrompt
    listed: ListedClips

    @classmethod
    def of(cls, spec: DatasetSpec, options: CaptionOptions) -> _CaptionWay:
        rule, has_context = options.rule(), options.context_column is not None
        prompt = make_prompt(options.preset, options.prompt, has_context=has_context)
        return cls(spec, options, rule, prompt, ListedClips.of(spec))

    def notices(self) -> list[str]:
        endpoint = self.options.endpoint
        return [] if endpoint is None else [destination(endpoint)]

    def run_of(self, captioner: Captioner) -> Run:
        options = self.options
        settings = {
            **captioner.settings,
            "max_tokens": options.max_tokens,
            "shown": self.rule.to_json(),
            **({"trigger": options.trigger} if options.trigger else {}),
            **({"json": True} if self.prompt.schema is not None else {}),
        }
        asked = (captioner.model, captioner.identity, self.prompt.text)
        return Run("caption", *asked, settings, options_of(options))

    def candidates(self, run: str) -> Candidates[SkipReason]:
        only = self.options.only if run else None
        return find_candidates(self.listed.states, run, all_clips=self.options.all_clips, only=only)

    def choose(self, states: Sequence[CaptionState], pick: Pick) -> ClipsToAsk:
        contexts = read_contexts(self.spec, self.options.context_column, states)
        chosen = pick(asked_clips(states, contexts), self.options.only, self.options.limit)
        numbers = chosen.clips.table.column("number").to_pylist()
        by_number = {state.sample.number: state for state in states}
        asked = [by_number[number] for number in numbers]
        payloads = [
            failed_payload(clip) if isinstance(clip, str) else clip.to_payload()
            for clip in _shown_clips(self.spec, asked, contexts, self.rule)
        ]
        return replace(chosen, clips=chosen.clips.with_payloads(payloads))

    def asking(self, run: str, choice: CaptionerChoice, opened: Captioner | None) -> CaptionAsking:
        options, spec = self.options, self.spec
        trigger, root = options.trigger or "", spec.data_root
        return CaptionAsking(
            run, choice, spec.journal, self.prompt, options.max_tokens, trigger, root, opened=opened
        )

    def first(self, state: CaptionState) -> FirstQuestion:
        contexts = read_contexts(self.spec, self.options.context_column, [state])
        (clip,) = _shown_clips(self.spec, [state], contexts, self.rule)
        if isinstance(clip, str):
            raise VideoprepError(clip, where=state.sample.name)
        window = clip.frames.windows[0]
        told = {
            "windows": len(clip.frames.windows),
            "frames": [round(time, 3) for time in clip.frames.times(window)],
            "size": list(clip.frames.size),
            "prompt": self.prompt.filled(clip.context),
        }
        shape = "images" if self.options.request == "auto" else self.options.request
        return told, lambda: self._request(state.sample.path, clip, window), shape

    def _request(self, path: str, clip: ShownClip, window: FrameWindow) -> CaptionRequest:
        asking = self.asking("", self.options.choice(), None)
        pixels = clip.frames.pixels(Path(path))
        with DecodePool(size=1, memory=_MEMORY, resizing=True) as pool:
            ((_, decoded),) = pool.run([(None, pixels)])
            if isinstance(decoded, VideoprepError):
                raise decoded
            pictures = pictures_of(decoded)
        return asking.request(clip, window, pictures[: len(window.indices)])

    def take(self, answer: Answer) -> None:
        """See `AskingWay`; a caption is a caption."""

    def result(self, made: int, shared: Mapping[str, Any]) -> CaptionResult:
        return CaptionResult(captioned=made, **shared)


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


_COMMAND = AskingCommand(
    partial(checked_options, CaptionOptions),
    _CaptionWay.of,
    load_caption_task,
    "there is no clip to ask about",
)
