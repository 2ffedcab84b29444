"""What a few of a dataset's videos suggest: a profile, a rate, buckets, and fitting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from videoprep.errors import MediaError
from videoprep.families.profile import DEFAULT, Profile
from videoprep.families.registry import profiles
from videoprep.index.policy import DEFAULT_MAX_FRAMES
from videoprep.media.inspect import inspect_all
from videoprep.media.timestamps import usual_rate_within
from videoprep.spec.commented import Proposal
from videoprep.spec.discovery import is_there
from videoprep.workers.pool import Limits

if TYPE_CHECKING:
    from videoprep.media.probe import MediaInfo

VIDEOS_OPENED = 16
"""So many videos are opened, evenly spread over those looked at."""

_LIMITS = Limits(seconds=10.0)
_SIZES = 3  # that batches of one bucket each can well be made of
_SAME_RATE = 0.05
_NAMED = 3
_SIDES = {"height_buckets", "width_buckets"}


@dataclass(frozen=True, slots=True)
class Glance:
    """What was seen.

    Attributes:
        looked_at: how many files were opened: videos and still images.
        media: what is in those that could be.
        errors: why others could not.
    """

    looked_at: int
    media: tuple[MediaInfo, ...]
    errors: tuple[MediaError, ...]

    @property
    def stills(self) -> int:
        """How many of the media are still images."""
        return len(self.media) - len(self.of_videos)

    @property
    def of_videos(self) -> tuple[MediaInfo, ...]:
        """Those of the media that are videos."""
        return tuple(one for one in self.media if not one.is_still)

    @property
    def videos_looked_at(self) -> int:
        """How many files were opened that are not known to be still images."""
        return self.looked_at - self.stills


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


def propose(
    seen: Glance, named: Profile | None = None, fields: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Proposal]:
    """Return options that would suit what was seen; none of them is set without consent.

    Args:
        seen: what the videos are like.
        named: the profile of the model that will be trained; None: one is proposed.
        fields: what is set already. Nothing is proposed that contradicts it; what is set as it
            would be proposed is there with its reason.
    """
    if not seen.media:
        return {}
    proposed = {}
    profile, why = (named, "") if named is not None else _guess(seen)
    if named is None and profile is not DEFAULT:
        proposed["profile"] = Proposal(profile.name, why)
    unfit = list(_unfit(seen, profile))
    if unfit:
        proposed["reshape"] = Proposal("center-crop", f"{'; '.join(unfit)}: cropping fits them.")
    sizes = Counter((one.width, one.height) for one in seen.media)
    if len(sizes) > _SIZES and not _SIDES & set(fields):
        why = f"{_of(seen, len(seen.media))} have {len(sizes)} sizes: batches need few."
        proposed["buckets"] = Proposal("auto", why)
    counts = fields.get("frame_buckets") or fields.get("buckets", "auto") != "auto"
    if named is not None and not counts:
        proposed.update(_length(named))
    rate = _rate(seen, profile) if named is None else _rate_of(seen, named)
    if rate is not None:
        proposed["target_fps"] = rate
    return {
        name: proposal
        for name, proposal in proposed.items()
        if name not in fields or fields[name] == proposal.value
    }


def describe(seen: Glance) -> Iterator[str]:
    """What the videos are like that could be opened, in sentences."""
    if seen.of_videos:
        rates = _most([f"{rate:.4g}" for rate in _rates(seen)])
        frames = sorted(one.frames for one in seen.of_videos)
        span = f"{frames[0]} to {frames[-1]}" if frames[0] < frames[-1] else str(frames[0])
        yield (
            f"Videos looked at: {seen.videos_looked_at}. Sizes: {_sizes(seen.of_videos)}. "
            f"Frames: {span}. Frames a second: {rates}."
        )
    if seen.stills:
        stills = [one for one in seen.media if one.is_still]
        yield f"Still images looked at: {seen.stills}. Sizes: {_sizes(stills)}."


def _sizes(media: Sequence[MediaInfo]) -> str:
    return _most([f"{one.width}×{one.height}" for one in media])


def _guess(seen: Glance) -> tuple[Profile, str]:
    """The default where it accepts all sizes, else the profile that accepts most of them."""
    odd = [one for one in seen.media if not DEFAULT.accepts_size(one.width, one.height)]
    accepted = {
        profile: sum(profile.accepts_size(one.width, one.height) for one in seen.media)
        for profile in profiles().values()
    }
    best = max(accepted, key=lambda profile: accepted[profile])
    if not odd or accepted[best] == accepted[DEFAULT]:
        return DEFAULT, ""
    names = [one.name for one in accepted if accepted[one] == accepted[best]]
    others = [f"{len(names) - _NAMED} others"] if len(names) > _NAMED else []
    alike = " or ".join([*names[:_NAMED], *others])
    sizes = _most([f"{one.width}×{one.height}" for one in odd])
    all_fit = accepted[best] == len(seen.media)
    legal = "all" if all_fit else f"{accepted[best]} of {len(seen.media)}"
    return best, (
        f"{_of(seen, len(odd), 'is', 'are')} {sizes}, not divisible by "
        f"{DEFAULT.divisor}; {legal} are legal with {alike}. Use the profile of the model that "
        "you will train."
    )


def _unfit(seen: Glance, profile: Profile) -> Iterator[str]:
    sizes = [one for one in seen.media if not profile.accepts_size(one.width, one.height)]
    if sizes:
        yield f"{_of(seen, len(sizes), 'has', 'have')} sides not divisible by {profile.divisor}"
    frames = [one for one in seen.media if not profile.accepts_frames(one.frames)]
    if frames:
        yield f"{_of(seen, len(frames), 'does', 'do')} not have {profile.frame_rule()} frames"
    stretched = [one for one in seen.media if one.pixel_aspect != 1]
    if stretched:
        yield f"{_of(seen, len(stretched), 'has', 'have')} pixels that are not square"


def _length(profile: Profile) -> Iterator[tuple[str, Proposal]]:
    """The longest clip, if the model's own differs from the limit that holds otherwise."""
    frames = profile.num_frames
    if frames is not None and frames != DEFAULT_MAX_FRAMES:
        why = f"{profile.name} makes clips of {frames} frames; the default is {DEFAULT_MAX_FRAMES}."
        yield "max_num_frames", Proposal(frames, why)


def _rate(seen: Glance, profile: Profile) -> Proposal | None:
    """One rate for all, where theirs differ: no video is slowed down, or has frames repeated."""
    rates = _rates(seen)
    if not rates or _alike(rates[0], rates[-1]):
        return None
    rate = min(usual_rate_within(rates[0]), profile.fps or rates[0])
    trained = f"; {profile.name} was trained at {profile.fps:g}" if profile.fps else ""
    why = f"rates differ, from {rates[0]:.4g} to {rates[-1]:.4g}{trained}: one makes motion alike."
    return Proposal(_number(rate), why)


def _rate_of(seen: Glance, profile: Profile) -> Proposal | None:
    """The rate that the model was trained at, if a video has another."""
    if profile.fps is None:
        return _rate(seen, profile)
    rates = _rates(seen)
    if all(_alike(*sorted((rate, profile.fps))) for rate in rates):
        return None
    span = f"{rates[0]:.4g}" + ("" if rates[0] == rates[-1] else f" to {rates[-1]:.4g}")
    why = f"{profile.name} was trained at {profile.fps:g} frames a second; the videos have {span}."
    slow = sum(rate < profile.fps and not _alike(rate, profile.fps) for rate in rates)
    they = "it is" if slow == 1 else "they are"
    why += f" Frames of {_of(seen, slow)} will be repeated: {they} slower." if slow else ""
    return Proposal(_number(profile.fps), why)


def _rates(seen: Glance) -> list[float]:
    return sorted(float(one.fps) for one in seen.media if one.fps is not None)


def _alike(slower: float, faster: float) -> bool:
    return faster <= slower * (1 + _SAME_RATE)


def _number(rate: float) -> int | float:
    """A rate as people write it: 8 and 23.976."""
    rounded = round(float(rate), 3)  # before Python 3.12 an int has no is_integer
    return int(rounded) if rounded.is_integer() else rounded


def _of(seen: Glance, count: int, one: str = "", several: str = "") -> str:
    """How many of the videos, with a verb in its two forms."""
    verb = one if count == 1 else several
    files = "files" if seen.stills else "videos"
    return f"{count} of {seen.looked_at} {files} looked at {verb}".rstrip()


def _most(words: Sequence[str]) -> str:
    """The most frequent words, with how often they come."""
    counted = Counter(words).most_common()
    shown = ", ".join(f"{word} ({count})" for word, count in counted[:4])
    return shown + (f" and {len(counted) - 4} more" if len(counted) > 4 else "")
