"""VP142 to VP144: masks have both black and white, and nothing in between."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from videoprep.index.aligned import PlannedClip, align
from videoprep.index.placement import LeftOut
from videoprep.media.frame_scan import FrameScan
from videoprep.media.inspect import Inspection
from videoprep.media.probe import MediaInfo
from videoprep.spec.roles import Role
from videoprep.validators.protocol import Finding, Need, RuleOptions, Severity, Subject, Validator

Indices = NDArray[np.int32]

_WHITE = 255

# Levels by which what a codec makes of black and white may be off.
_NEAR = 4


def _masks(subject: Subject) -> Iterator[tuple[Role, MediaInfo, Inspection]]:
    """Yield the masks of a sample, and what is known of them."""
    for role, found in subject.masks.items():
        if isinstance(found.media, MediaInfo):
            yield role, found.media, found


def _frames_of_clips(subject: Subject, mask: MediaInfo) -> Iterator[Indices]:
    """Yield which frames of a mask go with each clip."""
    for placement in subject.clips:
        plan = align(mask, PlannedClip(subject.media, placement, subject.policy.time_zero))
        if not isinstance(plan, LeftOut):
            yield plan.frame_indices


class _ScannedMask(Validator):
    """Looks at the brightness of masks that have no alpha channel, which may be the mask."""

    needs = frozenset({Need.HEADER, Need.TIMESTAMPS, Need.PLAN, Need.MEDIA, Need.MASKS})
    opt_in = True

    def check(self, subject: Subject) -> Iterator[Finding]:
        for role, mask, found in _masks(subject):
            if found.scan is not None and not mask.alpha:
                yield from self.check_mask(subject, role, mask, found.scan)

    def check_mask(
        self, subject: Subject, role: Role, mask: MediaInfo, scan: FrameScan
    ) -> Iterator[Finding]:
        """Yield what is wrong with one mask."""
        raise NotImplementedError


class EmptyMaskOptions(RuleOptions):
    """Options of `EmptyMask`."""

    level: int = Field(
        default=2, ge=0, le=127, description="levels of luma by which black and white may be off"
    )


class EmptyMask(_ScannedMask):
    """The whole picture is looked at; a crop may leave less of it."""

    code = "VP142"
    name = "empty-mask"
    severity = Severity.WARNING
    summary = "A mask is not black, and not white, in all frames of a clip."
    why = (
        "Of a clip whose mask is all black nothing is learned, and one that is all white could be "
        "left out."
    )
    example = "A mask that was exported as black; one that begins after the clip ends."
    remedy = "Make the mask anew, or leave its cell empty: all of the clip counts then."
    Options = EmptyMaskOptions

    def check_mask(
        self, subject: Subject, role: Role, mask: MediaInfo, scan: FrameScan
    ) -> Iterator[Finding]:
        level = self.options.level
        flat = scan.contrast <= level
        black = flat & (scan.brightness <= level)
        white = flat & (scan.brightness >= _WHITE - level)
        clips = list(_frames_of_clips(subject, mask))
        for color, frames in (("black", black), ("white", white)):
            count = sum(_all_of(frames, indices) for indices in clips)
            if count:
                yield self.finding(
                    subject,
                    f"its {role} is {color} in all frames of {count} of {len(clips)} clips",
                    severity=Severity.NOTE if color == "white" else None,
                    color=color,
                    clips=count,
                )


class UnclearMaskOptions(RuleOptions):
    """Options of `UnclearMask`."""

    clear: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="variance of the luma, as a share of that of black and white alone",
    )
    share: float = Field(default=0.1, ge=0, le=1, description="share of frames that may be unclear")


class UnclearMask(_ScannedMask):
    """A picture of black and white alone with a mean luma of m has the variance m × (255 − m).

    Soft edges take little of it; greys, gradients and colours take most.
    """

    code = "VP143"
    name = "unclear-mask"
    severity = Severity.NOTE
    summary = "The frames of a mask are black and white."
    why = "Of a colour its brightness counts, and greys count in part: few masks mean that."
    example = "A mask that is red on black; a depth map in the column of the masks."
    remedy = "Save the mask in black and white; nothing, if its greys are meant as weights."
    Options = UnclearMaskOptions

    def check_mask(
        self, subject: Subject, role: Role, mask: MediaInfo, scan: FrameScan
    ) -> Iterator[Finding]:
        mean, spread = scan.brightness.astype(np.float64), scan.contrast.astype(np.float64)
        variance = (mean - _NEAR).clip(0) * (_WHITE - _NEAR - mean).clip(0)
        unclear = spread**2 < self.options.clear * variance
        taken = [indices for indices in _frames_of_clips(subject, mask) if len(unclear)]
        if not taken:
            return
        frames = np.unique(np.concatenate(taken))
        frames = frames[frames < len(unclear)]
        count = int(unclear[frames].sum())
        if count > self.options.share * len(frames):
            yield self.finding(
                subject,
                f"its {role} has greys or colours in {count} of {len(frames)} frames",
                frames=count,
            )


class TransparentMask(Validator):
    """Which of the two is the mask cannot be known."""

    code = "VP144"
    name = "transparent-mask"
    severity = Severity.NOTE
    summary = "A mask has no alpha channel."
    why = "By default its brightness is the mask, whatever the alpha channel says."
    example = "A cut-out of the subject as PNG, whose mask is its transparency."
    remedy = "Encode with `mask_channel='alpha'` if the alpha channel is the mask of all samples."
    needs = frozenset({Need.HEADER, Need.MEDIA})

    def check(self, subject: Subject) -> Iterator[Finding]:
        for role, mask, _ in _masks(subject):
            if mask.alpha:
                message = f"its {role} has an alpha channel ({mask.pixel_format})"
                yield self.finding(subject, message)


def _all_of(frames: NDArray[np.bool_], indices: Indices) -> bool:
    """Whether something is so in all frames that a clip takes; not of frames that do not decode."""
    return bool(len(indices)) and int(indices.max()) < len(frames) and bool(frames[indices].all())
