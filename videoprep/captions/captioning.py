"""`CaptionAsking`: frames are shown to a captioner, and a caption is made of what it replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from videoprep.captions.backends import CaptionerAsking, shared_fields
from videoprep.captions.cleaning import Cleaned, clean, outcome_of
from videoprep.captions.frames import ClipFrames, FrameWindow
from videoprep.captions.prompts import CaptionPrompt
from videoprep.captions.protocol import (
    Captioner,
    CaptionFailure,
    CaptionReply,
    CaptionRequest,
    Finish,
)
from videoprep.captions.task import AskedClip, AskingTask, ClipAnswer, load_asking_task
from videoprep.engine.rank import RankContext
from videoprep.errors import MediaError
from videoprep.fs import Files
from videoprep.media.clip import ClipPixels
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.decoded_clips import decoded_clips
from videoprep.spec.caption_journal import MOST_CHARACTERS, Outcome, Stage

T = TypeVar("T")

_MEMORY = 1 << 30
_MOST_WORKERS = 8

_FAILED = "!"  # begins the payload of a clip that cannot be shown

_WORDS: Mapping[Finish, str] = {"stop": "stop", "length": "length", "filtered": "content_filter"}

_REASONS: Mapping[Outcome, str] = {
    "cut_off": "the answer ended at the limit of tokens: raise `max_tokens`, or ask for less",
    "refused": "the model declined to answer, or says that it saw nothing",
    "blocked": "the server withheld the answer",
    "malformed": "no caption can be read in the answer",
    "empty": "the answer is empty",
}


@dataclass(frozen=True, slots=True)
class ShownClip:
    """What a captioner is shown of one clip, and told about it."""

    frames: ClipFrames
    context: str = ""
    """What is known about the clip."""

    def to_payload(self) -> str:
        """Return it as the payload of an `AskedClip`."""
        return f"{self.frames.to_text()}\n{self.context}"

    @classmethod
    def from_payload(cls, payload: str) -> ShownClip:
        """Return the inverse of `to_payload`."""
        frames, _, context = payload.partition("\n")
        return cls(ClipFrames.from_text(frames), context)


def failed_payload(reason: str) -> str:
    """Return the payload of a clip that cannot be shown, and fails for a reason."""
    return f"{_FAILED}{reason}"


@dataclass(slots=True)
class CaptionAsking(CaptionerAsking):
    """Asks captioners about frames; see `Asking`."""

    prompt: CaptionPrompt
    """What is asked."""
    max_tokens: int
    """An answer ends there."""
    trigger: str
    """Text put before every caption; empty for none."""
    data_root: Path
    """The folder of the videos."""
    stage: Stage = "caption"
    label: str = "Captioning"

    @contextmanager
    def open(self, rank: RankContext) -> Iterator[FrameAsker]:
        """See `Asking`."""
        size = max(1, min(rank.cores, _MOST_WORKERS))
        with (
            self.captioner(rank) as captioner,
            DecodePool(size=size, memory=_MEMORY, resizing=True, check=rank.check) as pool,
        ):
            yield FrameAsker(self, captioner, pool, rank)

    def request(
        self, shown: ShownClip, window: FrameWindow, frames: Sequence[NDArray[np.uint8]]
    ) -> CaptionRequest:
        """Return the question about a window of a clip."""
        return CaptionRequest(
            self.prompt.filled(shown.context),
            frames,
            shown.frames.times(window),
            window.duration,
            self.max_tokens,
            self.prompt.schema,
        )

    def to_json(self) -> dict[str, Any]:
        """See `Asking`."""
        return {
            **self.shared_json(),
            "prompt": [self.prompt.text, self.prompt.schema],
            "max_tokens": self.max_tokens,
            "trigger": self.trigger,
            "data_root": str(self.data_root.absolute()),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CaptionAsking:
        """Return the inverse of `to_json`."""
        prompt, root = CaptionPrompt(*data["prompt"]), Path(data["data_root"])
        return cls(*shared_fields(data), prompt, data["max_tokens"], data["trigger"], root)


def load_caption_task(files: Files, folder: str) -> AskingTask:
    """Return the task that another process has saved; a `TaskLoader`."""
    return load_asking_task(files, folder, CaptionAsking.from_json)


@dataclass(slots=True, eq=False)
class _ClipInHand:
    """A clip whose windows are asked about."""

    item: Any
    shown: ShownClip
    replies: dict[int, CaptionReply | CaptionFailure] = field(default_factory=dict)
    """By the number of the window."""
    is_over: bool = False
    """Whether it has its answer; replies that come later change nothing."""

    def take(self, window: int, reply: CaptionReply | CaptionFailure) -> bool:
        """Take a reply, and return whether the clip has its answer now: one failure is enough."""
        if self.is_over:
            return False
        self.replies[window] = reply
        is_whole = len(self.replies) == len(self.shown.frames.windows)
        self.is_over = is_whole or isinstance(reply, CaptionFailure)
        return self.is_over


_Fail = Callable[[Any, str], None]
_Windowed = tuple[tuple[_ClipInHand, int], CaptionRequest]


@dataclass(slots=True)
class FrameAsker:
    """Decodes frames in worker processes, and asks a captioner about them; see `Asker`."""

    asking: CaptionAsking
    captioner: Captioner
    pool: DecodePool
    rank: RankContext

    def ask(
        self, clips: Iterator[tuple[T, AskedClip]], take: Callable[[T, ClipAnswer], None]
    ) -> Iterator[tuple[T, ClipAnswer]]:
        """See `Asker`."""

        def fail(item: Any, reason: str) -> None:
            take(item, ClipAnswer("failed", reason=reason))

        for (clip, window), reply in self.captioner.ask(self._requests(clips, fail)):
            if clip.take(window, reply):
                yield clip.item, self._answer(clip)

    def _requests(self, clips: Iterator[tuple[Any, AskedClip]], fail: _Fail) -> Iterator[_Windowed]:
        shown_clips = self._shown(clips, fail)
        asked = decoded_clips(self.pool, shown_clips, self.asking.data_root, self.rank)
        for (item, shown), decoded in asked:
            if isinstance(decoded, MediaError):
                fail(item, f"{decoded.code.value} {decoded.message}")
                continue
            pictures = pictures_of(decoded)
            clip, at = _ClipInHand(item, shown), 0
            for number, window in enumerate(shown.frames.windows):
                if clip.is_over:
                    break
                frames = pictures[at : at + len(window.indices)]
                at += len(frames)
                yield (clip, number), self.asking.request(shown, window, frames)

    def _shown(
        self, clips: Iterator[tuple[Any, AskedClip]], fail: _Fail
    ) -> Iterator[tuple[tuple[Any, ShownClip], ClipPixels]]:
        for item, clip in clips:
            if clip.payload.startswith(_FAILED):
                fail(item, clip.payload[1:])
                continue
            shown = ShownClip.from_payload(clip.payload)
            yield (item, shown), shown.frames.pixels(self.asking.data_root / clip.video)

    def _answer(self, clip: _ClipInHand) -> ClipAnswer:
        frames = clip.shown.frames
        times = tuple(time for window in frames.windows for time in frames.times(window))
        replies = [reply for _, reply in sorted(clip.replies.items(), key=itemgetter(0))]
        return made_of(replies, times, self.asking.trigger)


def pictures_of(decoded: Decoded) -> list[NDArray[np.uint8]]:
    """Return frames, RGB ``[H, W, 3]`` each, copied out of shared memory, which is released."""
    planes = decoded.pixels.numpy()
    pictures = [np.ascontiguousarray(plane.transpose(1, 2, 0)) for plane in planes]
    decoded.release()
    return pictures


def made_of(
    replies: Sequence[CaptionReply | CaptionFailure], times: tuple[float, ...], trigger: str = ""
) -> ClipAnswer:
    """Return what the replies about a clip's windows come to.

    The captions of several windows are joined in the order of time. If one of them has none, the
    clip has none: a caption with a gap would describe another clip.

    Args:
        replies: one a window, in order; of a failed clip those that came.
        times: when the frames are shown.
        trigger: put before the caption.
    """
    spoken = [reply for reply in replies if isinstance(reply, CaptionReply)]
    judged = [_judged(reply) for reply in spoken]
    failure = next((reply for reply in replies if isinstance(reply, CaptionFailure)), None)
    outcome: Outcome = next((one for one, _ in judged if one != "ok"), "ok")
    outcome = outcome if failure is None else "failed"
    cleaned = [made for _, made in judged]
    text = " ".join(made.text for made in cleaned) if outcome == "ok" else ""
    return ClipAnswer(
        outcome=outcome,
        caption=f"{trigger} {text}" if trigger and text else text,
        raw="\n\n".join(reply.text for reply in spoken)[:MOST_CHARACTERS],
        reason=_REASONS.get(outcome, "") if failure is None else failure.reason,
        frames=times,
        cleaning=tuple(dict.fromkeys(rule for made in cleaned for rule in made.rules)),
        fields=cleaned[0].fields if len(cleaned) == 1 else _by_window(cleaned),
        prompt_tokens=_sum(reply.prompt_tokens for reply in spoken),
        completion_tokens=_sum(reply.completion_tokens for reply in spoken),
        seconds=sum(reply.seconds for reply in spoken),
        left_out=tuple(sorted({name for reply in spoken for name in reply.left_out})),
    )


def _judged(reply: CaptionReply) -> tuple[Outcome, Cleaned]:
    text = reply.text[:MOST_CHARACTERS]
    cleaned = clean(text, cut_off=reply.finish == "length")
    return outcome_of(text, cleaned, _WORDS[reply.finish]), cleaned


def _by_window(cleaned: Sequence[Cleaned]) -> Mapping[str, Any]:
    fields = [dict(made.fields) for made in cleaned]
    return {"windows": fields} if any(fields) else {}


def _sum(counts: Iterator[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
