"""What a rule is. The built-in rules and those of third parties are made alike.

A rule is pure: it looks at what the engine has filled in, and yields findings. It opens no file.
There are three kinds: a `Validator` looks at one sample, a `DatasetValidator` at all of them
together, and a `ReaderRule` only describes what the readers of lists and videos report themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from videoprep.errors import place_of
from videoprep.index.placement import LeftOut, Placement, frames_of_range
from videoprep.index.policy import Policy
from videoprep.media.audio_info import AudioInfo
from videoprep.media.frame_scan import FrameScan
from videoprep.media.inspect import AnyInspection, Inspection, SoundInspection
from videoprep.media.probe import MediaInfo
from videoprep.media.sound_file import SoundInfo
from videoprep.media.sound_scan import SoundScan
from videoprep.spec.roles import AUDIO, Role
from videoprep.spec.sample import Location, Sample
from videoprep.validators.overview import Overview


class Severity(str, Enum):
    """How bad a finding is. By default only errors make a dataset fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Need(str, Enum):
    """What a rule looks at. The engine provides the union of what the chosen rules need.

    Attributes:
        LISTS: the lists alone.
        CAPTION: the caption; no video is opened.
        TOKENS: how many tokens the caption has; only where a model is named.
        HEADER: what the file says of itself, and its first frame.
        TIMESTAMPS: when each frame is shown.
        PLAN: where the clip will go.
        FRAMES: every frame, decoded.
        MEDIA: what is in the files beside the video, such as its sound.
        SOUND: all of the sound, decoded.
        MASKS: every frame of the masks, decoded.
    """

    LISTS = "lists"
    CAPTION = "caption"
    TOKENS = "tokens"
    HEADER = "header"
    TIMESTAMPS = "timestamps"
    PLAN = "plan"
    FRAMES = "frames"
    MEDIA = "media"
    SOUND = "sound"
    MASKS = "masks"

    @property
    def opens_videos(self) -> bool:
        """Whether videos have to be opened for it."""
        return self not in (Need.LISTS, Need.CAPTION, Need.TOKENS)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found.

    Attributes:
        code: the rule's code.
        severity: how bad it is here.
        message: what is wrong, with figures.
        remedy: what to do next.
        file: the list that names the sample, or what else the finding is about.
        line: the line in that list, or None where no line is meant.
        video: the video's path as the dataset writes it, or None.
        data: the figures, for machines.
    """

    code: str
    severity: Severity
    message: str
    remedy: str
    file: str
    line: int | None = None
    video: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    row: int | None = None
    """The row in a list whose rows are not told by lines, or None."""
    number: int | None = None
    """The sample's number in its dataset, counted from 1, or None if it is about no single one. Of
    several datasets, the samples are counted on from one to the next."""
    dataset: str | None = None
    """The dataset's name, if there are several and it is about one of them."""

    @property
    def where(self) -> str:
        """The place in the list, as text."""
        return place_of(self.file, self.line, self.row)

    @property
    def subject(self) -> str:
        """The dataset, if there are several, and the video; empty if it is about neither."""
        return ": ".join(filter(None, (self.dataset, self.video)))

    def fails(self, fail_on: str) -> bool:
        """Whether a dataset is not ok for it, where that is so from ``fail_on`` on."""
        if self.severity is Severity.ERROR:
            return True
        return fail_on == "warning" and self.severity is Severity.WARNING

    def with_severity(self, severity: Severity) -> Finding:
        """The same finding, more or less severe."""
        return replace(self, severity=severity)

    def about_caption(self, number: int, count: int) -> Finding:
        """The same finding, about one of a sample's captions; of one that is the only it is as is.

        Args:
            number: of the caption, counted from 1.
            count: how many the sample has.
        """
        if count == 1:
            return self
        message = f"caption {number} of {count}: {self.message}"
        return replace(self, message=message, data={**self.data, "caption": number})


@dataclass(frozen=True, slots=True)
class Subject:
    """One sample as a rule sees it. What none of the chosen rules needs is not there.

    Attributes:
        sample: caption, video and where they are written.
        policy: the profile and how clips may be fitted.
        tokens: how many tokens the caption has, uncut, in the named model's own tokenizer.
        token_limit: how many the model takes.
    """

    sample: Sample
    policy: Policy
    tokens: int | None = None
    token_limit: int | None = None
    _media: MediaInfo | None = None
    _plan: tuple[Placement, ...] | LeftOut | None = None
    _scan: FrameScan | None = None
    _beside: Mapping[Role, AnyInspection] | None = None
    _sound_scan: SoundScan | None = None

    @property
    def media(self) -> MediaInfo:
        """What is in the file; for rules that need `Need.HEADER` or `Need.TIMESTAMPS`."""
        if self._media is None:
            raise _not_asked_for(Need.HEADER)
        return self._media

    @property
    def clips(self) -> tuple[Placement, ...]:
        """Where the sample's clips will go; none where it is skipped. Needs `Need.PLAN`."""
        if self._plan is None:
            raise _not_asked_for(Need.PLAN)
        return () if isinstance(self._plan, LeftOut) else self._plan

    @property
    def left_out(self) -> LeftOut | None:
        """Why the sample is not planned, if it is not; for rules that need `Need.PLAN`."""
        if self._plan is None:
            raise _not_asked_for(Need.PLAN)
        return self._plan if isinstance(self._plan, LeftOut) else None

    @property
    def frames(self) -> range:
        """The numbers of the frames that the sample is about, of those of its file.

        All of them, unless it is a time range; none where its range is not in the video. For rules
        that need `Need.TIMESTAMPS`.
        """
        extras = self.sample.extras
        if extras.start is None and extras.end is None:
            return range(self.media.frames)
        found = frames_of_range(self.media, extras, self.policy.time_zero)
        return range(0) if isinstance(found, LeftOut) else found

    @property
    def scan(self) -> FrameScan:
        """What decoding every frame showed, of the sample's `frames` alone.

        For rules that need `Need.FRAMES`.
        """
        if self._scan is None:
            raise _not_asked_for(Need.FRAMES)
        frames = self.frames
        whole = self._media is None or frames == range(self._media.frames)
        return self._scan if whole else self._scan.part(frames)

    @property
    def sound(self) -> SoundInfo | None:
        """What is in the sound file, if the sample has one of its own. Needs `Need.MEDIA`."""
        if self._beside is None:
            raise _not_asked_for(Need.MEDIA)
        found = self._beside.get(AUDIO)
        sound = found.sound if isinstance(found, SoundInspection) else None
        return sound if isinstance(sound, SoundInfo) else None

    @property
    def audio(self) -> AudioInfo | None:
        """What is in the sample's sound: its own file's, or else the video's own track.

        ``start`` is a player's: seconds from where the video begins for it. None if there is no
        sound, and for a still image, which has no time for it (VP108). Needs `Need.HEADER` and
        `Need.MEDIA`.
        """
        if self.media.is_still:
            return None
        file = self.sound
        if file is not None:
            return file.audio
        own = None if self._beside is not None and AUDIO in self._beside else self.media.audio
        return None if own is None else own.since(-self.media.picture_start)

    @property
    def sound_scan(self) -> SoundScan | None:
        """What decoding that sound showed; None if there is none. Needs `Need.SOUND`."""
        if self._sound_scan is None and self._beside and AUDIO in self._beside:
            return None  # the file cannot be used
        if self._sound_scan is None:
            raise _not_asked_for(Need.SOUND)
        return self._sound_scan if self._sound_scan.samples else None

    @property
    def masks(self) -> Mapping[Role, Inspection]:
        """What is known of the sample's masks, by role; what cannot be used is not among them.

        Needs `Need.MEDIA`; for what decoding them shows, `Need.MASKS`.
        """
        if self._beside is None:
            raise _not_asked_for(Need.MEDIA)
        return {
            role: found
            for role, found in self._beside.items()
            if role.is_mask and isinstance(found, Inspection) and found.error is None
        }


def _not_asked_for(need: Need) -> LookupError:
    return LookupError(f"a rule that looks at this has to name Need.{need.name} in its needs")


def _begun(sentence: str) -> str:
    """A rule's sentence as what follows an arrow: it begins in lower case."""
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


class RuleOptions(BaseModel):
    """Options of a rule; a rule with options subclasses it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(ABC):
    """What all rules have.

    Attributes:
        code: ``VP`` and three digits; third parties use letters of their own, such as ``ACME001``.
        name: a short name in words, joined by hyphens.
        summary: what it demands, in one sentence.
        why: what goes wrong in training where it is broken.
        example: what a finding of it is about.
        remedy: how to mend it.
        severity: how bad a breach is.
        needs: what it looks at.
        opt_in: whether it is left out unless it is asked for, since it takes long.
        Options: the type of ``options``.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    why: ClassVar[str] = ""
    example: ClassVar[str] = ""
    remedy: ClassVar[str] = ""
    severity: ClassVar[Severity] = Severity.ERROR
    needs: ClassVar[frozenset[Need]] = frozenset({Need.CAPTION})
    opt_in: ClassVar[bool] = False
    Options: ClassVar[type[RuleOptions]] = RuleOptions

    def __init__(self, options: RuleOptions | None = None) -> None:
        self.options: Any = options if options is not None else self.Options()

    def finding(
        self,
        at: Subject | Sample | Location | str,
        message: str,
        remedy: str | None = None,
        *,
        severity: Severity | None = None,
        **data: Any,
    ) -> Finding:
        """A finding of this rule.

        Args:
            at: what it is about: a sample, a place in a list, or the path of a list. A rule that
                looks at captions alone points to where the caption is written.
            message: what is wrong, with figures.
            remedy: what to do next; the rule's own by default.
            severity: how bad it is here; the rule's own by default.
            data: the figures, for machines.
        """
        place, video, number = self._place(at)
        return Finding(
            self.code,
            self.severity if severity is None else severity,
            message,
            _begun(self.remedy) if remedy is None else remedy,
            place.file,
            place.line,
            video,
            data,
            place.row,
            number,
        )

    def _place(
        self, at: Subject | Sample | Location | str
    ) -> tuple[Location, str | None, int | None]:
        if isinstance(at, str):
            return Location(at, None), None, None
        if isinstance(at, Location):
            return at, None, None
        sample = at.sample if isinstance(at, Subject) else at
        of_caption = self.needs <= {Need.CAPTION, Need.TOKENS}
        place = sample.caption_source if of_caption else sample.source
        return place, sample.name, sample.number or None


class Validator(Rule):
    """A rule for each sample on its own."""

    @abstractmethod
    def check(self, subject: Subject) -> Iterator[Finding]:
        """Yields what is wrong with one sample."""


class DatasetValidator(Rule):
    """A rule for all samples together, looked at once all of them are known."""

    @abstractmethod
    def check_dataset(self, overview: Overview) -> Iterator[Finding]:
        """Yields what is wrong with the dataset."""


class ReaderRule(Rule):
    """Describes what a reader of lists or videos reports when it comes upon it.

    Most have nothing left to check; some are a `Validator` besides.
    """

    needs = frozenset({Need.LISTS})
