"""VP101: width and height are divisible by the profile's divisor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from videoprep.errors import Code
from videoprep.families.registry import profiles
from videoprep.index.placement import Placement
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator

# So many profiles that accept a size are named.
_NAMED = 4


class SizeNotDivisible(Validator):
    """Without consent to reshape a breach is an error; with it, a note of what will be cut."""

    code = Code.SIZE_NOT_DIVISIBLE.value
    name = "size-not-divisible"
    summary = "Width and height are divisible by the profile's divisor (default: 32)."
    why = (
        "The VAE compresses each side and the transformer groups the latents into patches; what "
        "is left over is cut, padded or stretched by trainers, each in its own way."
    )
    example = "720×480 is not divisible by 32, since 720 = 22.5 × 32."
    remedy = (
        "Allow fitting with `reshape='center-crop'`, choose the model's `profile`, or re-encode."
    )
    needs = frozenset({Need.HEADER, Need.PLAN})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media, profile = subject.media, subject.policy.profile
        if profile.accepts_size(media.width, media.height):
            return
        data: dict[str, Any] = {
            "width": media.width,
            "height": media.height,
            "divisor": profile.divisor,
            "nearest": [list(size) for size in profile.nearest_sizes(media.width, media.height)],
            "accepted_by": _accepting(media.width, media.height),
        }
        broken = f"{media.width}×{media.height} is not divisible by {profile.divisor}"
        if subject.policy.reshape == "none":
            yield self.finding(subject, broken, _remedy(subject), **data)
        elif subject.clips:
            cut = _cut(subject.clips[0], media.width, media.height)
            yield self.finding(
                subject, f"{broken}: {cut}", "nothing to do", severity=Severity.NOTE, **data
            )


def _accepting(width: int, height: int) -> list[str]:
    return [name for name, p in profiles().items() if p.accepts_size(width, height)]


def _remedy(subject: Subject) -> str:
    media, profile = subject.media, subject.policy.profile
    sizes = profile.nearest_sizes(media.width, media.height)
    parts = [f"nearest legal sizes: {', '.join(f'{w}×{h}' for w, h in sizes)}"]
    accepting = _accepting(media.width, media.height)
    if accepting:
        named = accepting if len(accepting) <= _NAMED else accepting[: _NAMED - 1]
        others = len(accepting) - len(named)
        names = " or ".join(map(repr, named))
        more = f", and so do {others} others" if others else ""
        parts.append(f"`profile={names}` accepts it{more}")
    parts.append("`reshape='center-crop'` fits it")
    return "; ".join(parts)


def _cut(place: Placement, width: int, height: int) -> str:
    """What fitting does, in pixels and percent."""
    crop, fit, bucket = place.crop, place.fit, place.bucket
    parts = []
    columns, rows = width - crop.width, height - crop.height
    if columns or rows:
        share = 1 - crop.width * crop.height / (width * height)
        parts.append(f"{columns} columns and {rows} rows ({share:.1%}) will be cut")
    if (crop.width, crop.height) != (fit.width, fit.height):
        parts.append(f"{crop.width}×{crop.height} scaled to {fit.width}×{fit.height}")
    if (fit.width, fit.height) != (bucket.width, bucket.height):
        parts.append(f"padded to {bucket.width}×{bucket.height}")
    return ", ".join(parts)
