"""From the pictures that a sample has beside its video to their columns in the index.

Those that are aligned in frames follow the clip; references have a plan of their own. Sound is
planned where the clip's own sound is, see `builder`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from videoprep.index.aligned import AlignedPlan, PlannedClip, align
from videoprep.index.clip import frames_text, transform_of
from videoprep.index.numbers import to_text
from videoprep.index.placement import LeftOut
from videoprep.index.policy import Policy
from videoprep.index.references import ReferencePlan, plan_reference
from videoprep.media.geometry import whole
from videoprep.media.inspect import InspectedSample, Inspection
from videoprep.media.probe import MediaInfo
from videoprep.spec.roles import Media, Role
from videoprep.spec.sample import Sample

_MOST_KINDS = 4096


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """What is the same for media that are alike, of clips that are."""

    columns: Mapping[str, Any]
    """All but the path, the fingerprint and the key."""
    transform: str
    """What is done to the pixels, for the key."""
    clip: PlannedClip | None
    """Held, so that no other one has its identity."""


@dataclass(slots=True)
class PicturePlanner:
    """Plans pictures beside videos; those that are alike once."""

    policy: Policy
    kinds: dict[Any, PicturePlan | LeftOut] = field(default_factory=dict)
    _follows: dict[Role, bool] = field(default_factory=dict)

    def plan(self, role: Role, found: Inspection, clip: PlannedClip) -> PicturePlan | LeftOut:
        """Return what a clip takes of a medium, one object for all that take the same, or why not.

        Args:
            role: what it is to the clip; not one that is aligned in time.
            found: what is in it.
            clip: one object for clips that are alike.
        """
        follows = self._follows.get(role)
        if follows is None:
            follows = self._follows[role] = role.kind.alignment == "frames"
        alike = found.alike, id(clip) if follows else None
        kind = self.kinds.get(alike)
        if kind is None:
            assert isinstance(found.shared, MediaInfo)  # noqa: S101 (errors were told before)
            kind = _plan(found.shared, clip if follows else None, self.policy)
            if len(self.kinds) >= _MOST_KINDS:
                self.kinds.clear()
            if found.alike is not None:
                self.kinds[alike] = kind
        return kind


def refusals(
    sample: Sample,
    found: InspectedSample,
    clips: Iterable[PlannedClip],
    planner: PicturePlanner,
) -> Iterator[LeftOut]:
    """Yield why clips cannot have media of their sample, with the medium's name.

    Args:
        sample: which names them.
        found: what is in them, without errors.
        clips: the sample's.
        planner: plans them.
    """
    for clip in clips:
        for media in sample.beside:
            one = found.beside[media.role]
            if isinstance(one, Inspection):
                plan = planner.plan(media.role, one, clip)
                if isinstance(plan, LeftOut):
                    yield refusal(media, plan)


def refusal(media: Media, wrong: LeftOut) -> LeftOut:
    """Return why a clip cannot have a medium, with the medium's name.

    Args:
        media: the medium.
        wrong: why not, without the name.
    """
    return replace(wrong, reason=f"its {media.role} {media.name}: {wrong.reason}")


def _plan(media: MediaInfo, clip: PlannedClip | None, policy: Policy) -> PicturePlan | LeftOut:
    plan = plan_reference(media, policy) if clip is None else align(media, clip)
    if isinstance(plan, LeftOut):
        return plan
    times, indices = media.timestamps, plan.frame_indices
    frames = to_text(indices)
    columns = {
        "stream": media.stream,
        "source_width": media.width,
        "source_height": media.height,
        "frame_indices": frames,
        "frame_ticks": to_text(times.ticks[indices]) if times.timed else None,
        "time_base": None if media.time_base is None else str(media.time_base),
    }
    if isinstance(plan, AlignedPlan):
        assert clip is not None  # noqa: S101
        fit, bucket = clip.placement.fit, clip.placement.bucket
    else:
        columns |= _own_size(plan)
        bucket = plan.bucket
        fit = whole(bucket.width, bucket.height)
    taken = frames_text(indices, still=media.is_still)
    transform = transform_of(media.stream, taken, plan.crop, fit, bucket)
    return PicturePlan(columns, transform, clip)


def _own_size(plan: ReferencePlan) -> Mapping[str, int]:
    crop, bucket = plan.crop, plan.bucket
    return {
        "crop_x": crop.x,
        "crop_y": crop.y,
        "crop_width": crop.width,
        "crop_height": crop.height,
        "frames": bucket.frames,
        "height": bucket.height,
        "width": bucket.width,
    }
