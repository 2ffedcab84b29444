"""How clips are assigned to buckets: the spec's wishes, checked against the profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product
from typing import Any, overload

from videoprep.errors import PlanError
from videoprep.families.profile import Profile
from videoprep.families.registry import get_profile, profile_of
from videoprep.index.auto_buckets import MIN_KEPT, Floor
from videoprep.index.bucket import Bucket
from videoprep.index.windows import WindowPolicy
from videoprep.media.still_image import DEFAULT_BACKGROUND
from videoprep.spec.configs.contract import Treatment, exact
from videoprep.spec.dataset import REFERENCE_MAX_PIXELS, DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup, Datasets
from videoprep.spec.dataset_options import Reshape
from videoprep.spec.extras import TimeZero
from videoprep.spec.spec_file import DATASETS

DEFAULT_MAX_FRAMES = 49
"""No clip is longer, where neither a limit nor frame buckets are given."""


CROPS = ("center-crop", "random-crop")
"""The ways of fitting that cut."""

Sizes = Mapping[tuple[int, int], tuple[int, ...]]
"""``(height, width)`` of the buckets; the frame counts that there are of each, ascending."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides a clip's place.

    Attributes:
        profile: which sizes and frame counts are legal.
        reshape: whether clips may be fitted, and how.
        allow_upscale: whether they may be enlarged.
        crop_seed: decides where ``random-crop`` cuts.
        sizes: the buckets; empty: each clip's own size, cut to a legal one.
        frame_counts: the lengths there are in every size; empty: all that the profile allows, or
            those of each size where buckets are listed.
        max_pixels: height × width of a clip's own size is not above it; None: no limit.
        max_num_frames: no clip is longer.
        target_fps: rate at which frames are taken; None: the file's own.
        windows: which parts of a video become clips.
        auto: whether the sizes are still to be chosen; `survey.resolve` does.
        time_zero: where times in seconds count from.
        num_buckets: how many may be chosen.
        chosen: whether the sizes were chosen.
        min_pixels: height × width of a video, at least; None: no limit.
        min_kept: share of a clip's pixels that a chosen size keeps at least; see `auto_buckets`.
            With ``multi_bucket`` also the share of its picture that any but the nearest one keeps.
        multi_bucket: whether a clip goes to every bucket that it fits, not just to the nearest.
        image_max_pixels: as ``max_pixels``, for still images; None: the same.
        image_sizes: the sizes that were chosen for still images; see `of_stills`.
        image_background: the colour under transparent pixels of still images, as ``#rrggbb``.
        images: whether the dataset names still images; `survey.resolve` finds out.
        reference_max_pixels: height × width of a reference is not above it.
        treatment: what the trainer whose config the dataset is of makes of each file. It decides
            sizes, lengths and parts of videos.
    """

    profile: Profile
    reshape: Reshape
    allow_upscale: bool
    crop_seed: int
    sizes: Sizes = field(hash=False)
    frame_counts: tuple[int, ...]
    max_pixels: int | None
    max_num_frames: int
    target_fps: Fraction | None
    windows: WindowPolicy
    time_zero: TimeZero = "container"
    auto: bool = False
    num_buckets: int | None = None
    chosen: bool = False
    min_pixels: int | None = None
    min_kept: float = MIN_KEPT
    image_max_pixels: int | None = None
    image_sizes: Sizes = field(default_factory=dict, hash=False)
    image_background: str = DEFAULT_BACKGROUND
    images: bool = False
    multi_bucket: bool = False
    reference_max_pixels: int = REFERENCE_MAX_PIXELS
    treatment: Treatment | None = None

    @classmethod
    def of(cls, spec: DatasetSpec) -> Policy:
        """The policy that a spec asks for.

        Raises:
            PlanError: a bucket is illegal for the profile, and it names all that are; or wishes
                contradict each other.
            SpecError: there is no such profile.
        """
        with spec.blaming_file():
            return cls._of(spec)

    @classmethod
    def _of(cls, spec: DatasetSpec) -> Policy:
        profile = get_profile(spec.profile)
        auto = spec.buckets == "auto"
        _require_one_kind(spec)
        buckets = [] if spec.buckets == "auto" else [_bucket(text) for text in spec.buckets]
        _require_legal(spec, buckets, profile)
        limit = _frame_limit(spec, buckets)
        counts = tuple(sorted(set(spec.frame_buckets)))
        rate, treatment = exact(spec.target_fps), spec.treatment
        if rate is None and treatment is not None:
            rate = treatment.rate(profile)
        sizes = dict.fromkeys(product(spec.height_buckets, spec.width_buckets), counts)
        return cls(
            profile=profile,
            reshape=spec.reshape or ("center-crop" if auto else "none"),
            allow_upscale=spec.allow_upscale,
            crop_seed=spec.crop_seed,
            sizes=dict(sorted(sizes.items())) or sizes_of(buckets),
            frame_counts=counts,
            max_pixels=spec.max_pixels,
            max_num_frames=limit,
            target_fps=rate,
            windows=WindowPolicy.of(spec),
            time_zero=spec.time_zero,
            auto=auto,
            num_buckets=spec.num_buckets,
            min_pixels=spec.min_pixels,
            min_kept=MIN_KEPT if spec.min_kept is None else spec.min_kept,
            image_max_pixels=spec.image_max_pixels,
            image_background=spec.image_background,
            multi_bucket=spec.multi_bucket,
            reference_max_pixels=spec.reference_max_pixels,
            treatment=treatment,
        )

    @property
    def floor(self) -> Floor:
        """What a chosen bucket keeps of a clip at least."""
        crops = self.reshape in CROPS
        return Floor(self.min_kept, self.profile.divisor, self.max_pixels, crops)

    @property
    def shortest(self) -> int:
        """The fewest frames of a clip whose length is not listed.

        One frame alone is for still images, if there are any and something longer is possible.
        """
        profile = self.profile
        for_images = self.images and profile.frames_within(self.max_num_frames) != 1
        return profile.nearest_frames(1 if for_images else 0)[-1]

    @property
    def of_videos(self) -> Policy:
        """What holds for videos: buckets of one frame are for still images, if there are any.

        Unless all that are listed have one frame: then a frame of each video was asked for.
        """
        if not self.images or 1 not in self.counts_asked or self.counts_asked == (1,):
            return self
        counts = tuple(count for count in self.frame_counts if count > 1)
        sizes = {size: tuple(n for n in listed if n > 1) for size, listed in self.sizes.items()}
        kept = {size: listed for size, listed in sizes.items() if listed or not self.sizes[size]}
        return replace(self, sizes=kept, frame_counts=counts)

    @property
    def of_stills(self) -> Policy:
        """What holds for still images: buckets of one frame.

        Their sizes are those that were chosen for them; or those that are listed with one frame,
        or else all that are listed; or, with a limit of their own, each image's own.
        """
        listed = [size for size, counts in self.sizes.items() if 1 in counts]
        if self.image_sizes or self.chosen:
            sizes = self.image_sizes
        elif listed:
            sizes = dict.fromkeys(listed, (1,))
        else:
            sizes = {} if self.image_max_pixels else dict.fromkeys(self.sizes, (1,))
        return replace(
            self,
            sizes=sizes,
            frame_counts=(1,),
            max_num_frames=1,
            max_pixels=self.image_max_pixels or self.max_pixels,
        )

    def with_buckets(self, buckets: Sequence[Bucket], of_stills: Sequence[Bucket] = ()) -> Policy:
        """The same with buckets that were chosen, for videos and for still images."""
        sizes, image_sizes = sizes_of(buckets), sizes_of(of_stills)
        return replace(self, auto=False, sizes=sizes, image_sizes=image_sizes, chosen=True)

    @property
    def counts_asked(self) -> tuple[int, ...]:
        """Every frame count that the user has asked for."""
        listed = {count for counts in self.sizes.values() for count in counts}
        return tuple(sorted(set(self.frame_counts) | (set() if self.chosen else listed)))

    def to_json(self) -> dict[str, Any]:
        """What a saved index says about how it was made."""
        return {
            "profile": self.profile.name,
            "divisor": self.profile.divisor,
            "frame_rule": self.profile.frame_rule(),
            "reshape": self.reshape,
            "allow_upscale": self.allow_upscale,
            "crop_seed": self.crop_seed,
            "buckets_chosen": self.chosen,
            "sizes": [[*size, list(counts)] for size, counts in self.sizes.items()],
            "frame_counts": list(self.frame_counts),
            "max_pixels": self.max_pixels,
            "max_num_frames": self.max_num_frames,
            "target_fps": str(self.target_fps) if self.target_fps else None,
            **self.windows.to_json(),
            # Not by default, so that indexes stay the same to the byte.
            **({} if self.time_zero == "container" else {"time_zero": self.time_zero}),
            # Only if asked for: an index without them is what it was before there were any.
            **({} if self.min_pixels is None else {"min_pixels": self.min_pixels}),
            **({} if self.min_kept == MIN_KEPT else {"min_kept": self.min_kept}),
            **({"multi_bucket": True} if self.multi_bucket else {}),
            **({} if self.treatment is None else {"treatment": self.treatment.to_json()}),
            **self._of_images(),
        }

    def _of_images(self) -> dict[str, Any]:
        """What was asked of still images and references, if it is not the default."""
        found: dict[str, Any] = {}
        if self.image_max_pixels is not None:
            found["image_max_pixels"] = self.image_max_pixels
        if self.image_sizes:
            found["image_sizes"] = [list(size) for size in self.image_sizes]
        if self.image_background != DEFAULT_BACKGROUND:
            found["image_background"] = self.image_background
        if self.reference_max_pixels != REFERENCE_MAX_PIXELS:
            found["reference_max_pixels"] = self.reference_max_pixels
        return found


@overload
def for_model(datasets: DatasetSpec, model: str | None) -> DatasetSpec: ...


@overload
def for_model(datasets: DatasetGroup, model: str | None) -> DatasetGroup: ...


@overload
def for_model(datasets: Datasets, model: str | None) -> Datasets: ...


def for_model(datasets: Datasets, model: str | None) -> Datasets:
    """Return a dataset, or several, with the profile of a model's family where none is named.

    Args:
        datasets: one or several.
        model: a model folder or hub id; None changes nothing.

    Raises:
        ModelError: there is no such model, or it is of no known family.
    """
    if model is None:
        return datasets
    if isinstance(datasets, DatasetGroup):
        return replace(datasets, default_profile=profile_of(model))
    if datasets.profile is not None:
        return datasets
    return datasets.model_copy(update={"profile": profile_of(model)})


def options_of(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a dataset that give a saved policy again, without defaults.

    Those of several datasets are under ``datasets``, by the datasets' names.

    What a policy derives is not among them. Sizes that were chosen are ``buckets="auto"``, so that
    a dataset that has grown is still planned with the same options::

        {"profile": "wan", "reshape": "none", "sizes": [], "max_num_frames": 49, …}
        → {"profile": "wan", "reshape": "none"}

    Args:
        policy: what `Policy.to_json` gave; of an index that was made otherwise there may be less.
    """
    if DATASETS in policy:
        parts = zip(policy[DATASETS], policy["of"], strict=True)
        return {DATASETS: {one["name"]: options_of(own) for one, own in parts}}
    options = {"profile": policy["profile"], **_size_options(policy)}
    counts = _counts_of(policy)
    limit = policy.get("max_num_frames")
    if limit != (counts[-1] if counts else DEFAULT_MAX_FRAMES):
        options["max_num_frames"] = limit
    rate = policy.get("target_fps")
    if rate is not None:
        exact = Fraction(rate)
        whole = exact.denominator == 1
        options["target_fps"] = exact.numerator if whole else round(float(exact), 6)
    options |= {name: policy.get(name) for name in _AS_THEY_ARE}
    if options.get("clip_mode") == WindowPolicy().mode:
        del options["clip_mode"]
    if "treatment" in policy:
        options["treatment"] = policy["treatment"]
    given = {name: value for name, value in options.items() if value not in (None, False, 0, ())}
    # Of all of them 0 is no default of this one.
    return given | ({"min_kept": policy["min_kept"]} if "min_kept" in policy else {})


# Options that a policy holds under their names.
_AS_THEY_ARE = (
    *("reshape", "allow_upscale", "crop_seed", "min_pixels", "max_pixels"),
    *("clip_mode", "clips_per_video", "min_gap", "time_zero", "id_token", "multi_bucket"),
    *("image_max_pixels", "image_background"),
    "reference_max_pixels",
)


def _counts_of(policy: Mapping[str, Any]) -> list[int]:
    """The frame counts that were asked for, ascending."""
    listed = () if policy.get("buckets_chosen") else policy.get("sizes") or ()
    return sorted({*(policy.get("frame_counts") or ()), *(n for *_, ns in listed for n in ns)})


def _size_options(policy: Mapping[str, Any]) -> dict[str, Any]:
    sizes, counts = policy.get("sizes") or (), policy.get("frame_counts") or ()
    frames = {"frame_buckets": tuple(counts)}
    if policy.get("buckets_chosen"):
        return {"buckets": "auto", **frames}
    if sizes and not counts and all(lengths for *_, lengths in sizes):
        listed = (f"{n}x{height}x{width}" for height, width, lengths in sizes for n in lengths)
        return {"buckets": tuple(listed)}
    heights, widths = ({size[side] for size in sizes} for side in (0, 1))
    return {
        "height_buckets": tuple(sorted(heights)), "width_buckets": tuple(sorted(widths)), **frames
    }  # fmt: skip


def is_multi_bucket(policy: Mapping[str, Any]) -> bool:
    """Return whether clips of a saved policy, or of one of those that it joins, have several."""
    joined = policy.get("of", ())
    return bool(policy.get("multi_bucket")) or any(is_multi_bucket(one) for one in joined)


def is_treated(policy: Mapping[str, Any]) -> bool:
    """Return whether a trainer's config decides the clips of a saved policy, or of a part of it."""
    return any("treatment" in one for one in (policy, *policy.get("of", ())))


def sizes_of(buckets: Sequence[Bucket]) -> Sizes:
    """Buckets by their size."""
    found: dict[tuple[int, int], set[int]] = {}
    for bucket in buckets:
        found.setdefault((bucket.height, bucket.width), set()).add(bucket.frames)
    return {size: tuple(sorted(counts)) for size, counts in sorted(found.items())}


def _bucket(text: str) -> Bucket:
    frames, height, width = (int(part) for part in text.split("x"))
    return Bucket(frames, height, width)


def _require_one_kind(spec: DatasetSpec) -> None:
    """Buckets are listed whole, made of heights and widths, or chosen: one of these."""
    if bool(spec.height_buckets) != bool(spec.width_buckets):
        raise PlanError(
            "heights and widths make buckets only together",
            remedy="give both `height_buckets` and `width_buckets`, or neither",
        )
    if spec.buckets and spec.height_buckets:
        raise PlanError(
            "`buckets` and `height_buckets` with `width_buckets` both say which sizes there are",
            remedy="give one of them",
        )
    if spec.buckets == "auto":
        if spec.reshape == "none":
            raise PlanError(
                "buckets chosen with `buckets='auto'` are for fitted clips, and "
                "`reshape='none'` forbids fitting",
                remedy="leave `reshape` out (center-crop), or choose another mode",
                option="reshape",
            )
        return
    if spec.buckets and spec.frame_buckets:
        raise PlanError(
            "`buckets` and `frame_buckets` both say how long clips are",
            remedy="give one of them",
        )
    if spec.num_buckets is not None:
        raise PlanError(
            "`num_buckets` needs `buckets='auto'`: it limits how many buckets are chosen",
            remedy="give `buckets='auto'`, or leave out `num_buckets`",
        )
    if spec.min_kept is not None and not spec.multi_bucket:
        raise PlanError(
            "`min_kept` needs `buckets='auto'` or `multi_bucket`: it limits which buckets fit",
            remedy="give one of them, or leave out `min_kept`",
        )
    if spec.multi_bucket and not (spec.buckets or spec.height_buckets or spec.frame_buckets):
        raise PlanError(
            "`multi_bucket` puts a clip into each of several buckets, and there are none",
            remedy="list some with `buckets` or `frame_buckets`, or choose them with "
            "`buckets='auto'`",
            option="multi_bucket",
        )
    if spec.max_pixels is not None and (spec.buckets or spec.height_buckets):
        raise PlanError(
            "`max_pixels` limits sizes that are not listed, and these are",
            remedy="leave it out, or choose sizes with `buckets='auto'`",
        )


def _frame_limit(spec: DatasetSpec, buckets: Sequence[Bucket]) -> int:
    counts = sorted({*spec.frame_buckets, *(bucket.frames for bucket in buckets)})
    limit = spec.max_num_frames
    if limit is None:
        return counts[-1] if counts else DEFAULT_MAX_FRAMES
    above = [n for n in counts if n > limit]
    if above:
        raise PlanError(
            f"frame buckets above `max_num_frames={limit}`: {', '.join(map(str, above))}",
            remedy="raise `max_num_frames`, or leave these buckets out",
        )
    return limit


def _require_legal(spec: DatasetSpec, buckets: Sequence[Bucket], profile: Profile) -> None:
    wrong = [
        f"{side} {n} ({_why_size(n, profile)})"
        for side, values in (("height", spec.height_buckets), ("width", spec.width_buckets))
        for n in values
        if n % profile.divisor
    ]
    wrong += [
        f"frames {n} ({_why_frames(n, profile)})"
        for n in spec.frame_buckets
        if not profile.accepts_frames(n)
    ]
    for bucket in buckets:
        reasons = [
            f"{side} {_why_size(n, profile)}"
            for side, n in (("height", bucket.height), ("width", bucket.width))
            if n % profile.divisor
        ]
        if not profile.accepts_frames(bucket.frames):
            reasons.append(f"frames {_why_frames(bucket.frames, profile)}")
        if reasons:
            wrong.append(f"{bucket} ({'; '.join(reasons)})")
    if wrong:
        raise PlanError(
            f"buckets illegal for the profile {profile.name!r}: {'; '.join(wrong)}",
            remedy="use legal buckets, or another `profile`",
        )


def _why_size(value: int, profile: Profile) -> str:
    down = value - value % profile.divisor
    nearest = ", ".join(str(n) for n in (down, down + profile.divisor) if n)
    return f"not divisible by {profile.divisor}; nearest: {nearest}"


def _why_frames(value: int, profile: Profile) -> str:
    nearest = ", ".join(map(str, profile.nearest_frames(value)))
    return f"not {profile.frame_rule()}; nearest: {nearest}"
