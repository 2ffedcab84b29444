"""What a few of a dataset's videos suggest: a profile, a rate, buckets, and fitting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videoprep.errors import MediaError
from videoprep.families.profile import DEFAULT, Profile
from videoprep.families.registry import profiles
from videoprep.media.inspect import inspect_all
from videoprep.media.workers import Limits
from videoprep.spec.commented import Proposal
from videoprep.spec.discovery import is_there

if TYPE_CHECKING:
    from videoprep.media.probe import MediaInfo

VIDEOS_OPENED = 16
"""So many videos are opened, evenly spread over those looked at."""

_LIMITS = Limits(seconds=10.0)
_SIZES = 3  # that batches of one bucket each can well be made of
_SAME_RATE = 0.05


@dataclass(frozen=True, slots=True)
class Glance:
    """What was seen.

    Attributes:
        looked_at: how many videos were opened.
        media: what is in those that could be.
        errors: why others could not.
    """

    looked_at: int
    media: tuple[MediaInfo, ...]
    errors: tuple[MediaError, ...]


def glance(root: Path, names: Sequence[str]) -> Glance:
    """Opens a few of the videos, in processes that a hostile one may crash.

    Args:
        root: the data root.
        names: videos relative to it.
    """
    there = [name for name in names if is_there(root, name)]
    every = max(1, len(there) // VIDEOS_OPENED)
    paths = [root / name for name in dict.fromkeys(there[::every])][:VIDEOS_OPENED]
    found = [one.shared for one in inspect_all(root, paths, limits=_LIMITS)]
    return Glance(
        len(paths),
        tuple(one for one in found if not isinstance(one, MediaError)),
        tuple(one for one in found if isinstance(one, MediaError)),
    )


def propose(seen: Glance) -> dict[str, Proposal]:
    """Options that would suit what was seen; none of them is taken unasked."""
    if not seen.media:
        return {}
    proposed = {}
    profile, why = _profile(seen)
    if profile is not DEFAULT:
        proposed["profile"] = Proposal(profile.name, why)
    unfit = list(_unfit(seen, profile))
    if unfit:
        proposed["reshape"] = Proposal("center-crop", f"{'; '.join(unfit)}: cropping fits them.")
    sizes = Counter((one.width, one.height) for one in seen.media)
    if len(sizes) > _SIZES:
        why = f"{_of(seen, len(seen.media))} have {len(sizes)} sizes: batches need few."
        proposed["buckets"] = Proposal("auto", why)
    rate = _rate(seen, profile)
    if rate is not None:
        proposed["target_fps"] = rate
    return proposed


def describe(seen: Glance) -> Iterator[str]:
    """What was seen, in sentences."""
    if seen.media:
        sizes = _most([f"{one.width}×{one.height}" for one in seen.media])
        rates = _most([f"{float(one.fps):.4g}" for one in seen.media])
        frames = sorted(one.frames for one in seen.media)
        span = f"{frames[0]} to {frames[-1]}" if frames[0] < frames[-1] else str(frames[0])
        yield (
            f"Videos looked at: {seen.looked_at}. Sizes: {sizes}. Frames: {span}. Frames a "
            f"second: {rates}."
        )
    for error in seen.errors[:3]:
        yield f"Cannot be used: {error.where}: {error.message}"


def _profile(seen: Glance) -> tuple[Profile, str]:
    """The default where it accepts all sizes, else the profile that accepts most of them."""
    odd = [one for one in seen.media if not DEFAULT.accepts_size(one.width, one.height)]
    accepted = {
        profile: sum(profile.accepts_size(one.width, one.height) for one in seen.media)
        for profile in profiles().values()
    }
    best = max(accepted, key=lambda profile: accepted[profile])
    if not odd or accepted[best] == accepted[DEFAULT]:
        return DEFAULT, ""
    alike = " or ".join(one.name for one in accepted if accepted[one] == accepted[best])
    sizes = _most([f"{one.width}×{one.height}" for one in odd])
    all_fit = accepted[best] == len(seen.media)
    legal = "all" if all_fit else f"{accepted[best]} of {len(seen.media)}"
    return best, (
        f"{_of(seen, len(odd))} are {sizes}, not divisible by {DEFAULT.divisor}; {legal} are legal "
        f"with {alike}. Take the profile of the model that you train."
    )


def _unfit(seen: Glance, profile: Profile) -> Iterator[str]:
    sizes = [one for one in seen.media if not profile.accepts_size(one.width, one.height)]
    if sizes:
        yield f"{_of(seen, len(sizes))} have sides not divisible by {profile.divisor}"
    frames = [one for one in seen.media if not profile.accepts_frames(one.frames)]
    if frames:
        yield f"{_of(seen, len(frames))} have not {profile.frame_rule()} frames"


def _rate(seen: Glance, profile: Profile) -> Proposal | None:
    """One rate for all, where theirs differ: no video is slowed down, or has frames repeated."""
    rates = sorted(float(one.fps) for one in seen.media)
    if rates[-1] <= rates[0] * (1 + _SAME_RATE):
        return None
    rate = round(min(rates[0], profile.fps or rates[0]), 3)
    trained = f"; {profile.name} was trained at {profile.fps:g}" if profile.fps else ""
    why = f"rates differ, from {rates[0]:.4g} to {rates[-1]:.4g}{trained}: one makes motion alike."
    return Proposal(int(rate) if rate.is_integer() else rate, why)


def _of(seen: Glance, count: int) -> str:
    return f"{count} of {seen.looked_at} videos looked at"


def _most(words: Sequence[str]) -> str:
    """The most frequent words, with how often they come."""
    counted = Counter(words).most_common()
    shown = ", ".join(f"{word} ({count})" for word, count in counted[:4])
    return shown + (f" and {len(counted) - 4} more" if len(counted) > 4 else "")
