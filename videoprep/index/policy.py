"""How clips are assigned to buckets: the spec's wishes, checked against the profile."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

from videoprep.errors import PlanError
from videoprep.families.profile import Profile
from videoprep.families.registry import get_profile
from videoprep.spec.dataset import DatasetSpec, Reshape


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides a clip's place.

    Attributes:
        profile: which sizes and frame counts are legal.
        reshape: whether clips may be fitted, and how.
        sizes: the ``(height, width)`` there are; empty: each clip's own, cut to a legal one.
        frame_counts: the lengths there are; empty: all that the profile allows.
        max_num_frames: no clip is longer.
        target_fps: rate at which frames are taken; None: the file's own.
    """

    profile: Profile
    reshape: Reshape
    sizes: tuple[tuple[int, int], ...]
    frame_counts: tuple[int, ...]
    max_num_frames: int
    target_fps: Fraction | None

    @classmethod
    def of(cls, spec: DatasetSpec) -> Policy:
        """The policy that a spec asks for.

        Raises:
            PlanError: a bucket is illegal for the profile; it names all that are.
            SpecError: there is no such profile.
        """
        profile = get_profile(spec.profile)
        if bool(spec.height_buckets) != bool(spec.width_buckets):
            raise PlanError(
                "heights and widths make buckets only together",
                remedy="give both --height-buckets and --width-buckets, or neither",
            )
        _require_legal(spec, profile)
        counts = tuple(sorted(n for n in spec.frame_buckets if n <= spec.max_num_frames))
        if spec.frame_buckets and not counts:
            raise PlanError(
                f"every frame bucket is above --max-num-frames {spec.max_num_frames}",
                remedy="raise --max-num-frames or give a smaller frame bucket",
            )
        rate = Fraction(spec.target_fps).limit_denominator(1001) if spec.target_fps else None
        return cls(
            profile=profile,
            reshape=spec.reshape,
            sizes=tuple(product(sorted(spec.height_buckets), sorted(spec.width_buckets))),
            frame_counts=counts,
            max_num_frames=spec.max_num_frames,
            target_fps=rate,
        )

    def to_json(self) -> dict[str, Any]:
        """What a saved index says about how it was made."""
        return {
            "profile": self.profile.name,
            "divisor": self.profile.divisor,
            "frame_rule": self.profile.frame_rule(),
            "reshape": self.reshape,
            "sizes": [list(size) for size in self.sizes],
            "frame_counts": list(self.frame_counts),
            "max_num_frames": self.max_num_frames,
            "target_fps": str(self.target_fps) if self.target_fps else None,
        }


def _require_legal(spec: DatasetSpec, profile: Profile) -> None:
    divisor = profile.divisor
    wrong = [
        f"{side} {n} (not divisible by {divisor}; nearest: {_around(n, divisor)})"
        for side, values in (("height", spec.height_buckets), ("width", spec.width_buckets))
        for n in values
        if n % divisor
    ]
    wrong += [
        f"frames {n} (not {profile.frame_rule()}; nearest: "
        f"{', '.join(map(str, profile.nearest_frames(n)))})"
        for n in spec.frame_buckets
        if not profile.accepts_frames(n)
    ]
    if wrong:
        raise PlanError(
            f"buckets illegal for the profile {profile.name!r}: {'; '.join(wrong)}",
            remedy="use legal buckets, or another --profile",
        )


def _around(value: int, divisor: int) -> str:
    down = value - value % divisor
    return ", ".join(str(n) for n in (down, down + divisor) if n)
