"""VP101: width and height are divisible by the profile's divisor."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.families.registry import profiles
from videoprep.index.placement import Placement
from videoprep.validators.protocol import Finding, Severity, Subject, Validator


class SizeDivisible(Validator):
    """Without consent to reshape a breach is an error; with it, a note of what will be cut."""

    code = Code.SIZE_NOT_DIVISIBLE.value
    name = "size-not-divisible"
    summary = "Width and height are divisible by the profile's divisor (default: 32)."

    def check(self, subject: Subject) -> Iterator[Finding]:
        media, profile = subject.media, subject.policy.profile
        if profile.accepts_size(media.width, media.height):
            return
        data = {
            "width": media.width,
            "height": media.height,
            "divisor": profile.divisor,
            "nearest": [list(size) for size in profile.nearest_sizes(media.width, media.height)],
            "accepted_by": _accepting(media.width, media.height),
        }
        broken = f"{media.width}×{media.height} is not divisible by {profile.divisor}"
        if subject.policy.reshape == "none":
            yield subject.finding(self, Severity.ERROR, broken, _remedy(subject), **data)
        elif isinstance(subject.place, Placement):
            cut = _cut(subject.place, media.width, media.height)
            yield subject.finding(self, Severity.NOTE, f"{broken}: {cut}", "nothing to do", **data)


def _accepting(width: int, height: int) -> list[str]:
    return [name for name, p in profiles().items() if p.accepts_size(width, height)]


def _remedy(subject: Subject) -> str:
    media, profile = subject.media, subject.policy.profile
    sizes = profile.nearest_sizes(media.width, media.height)
    parts = [f"nearest legal sizes: {', '.join(f'{w}×{h}' for w, h in sizes)}"]
    accepting = _accepting(media.width, media.height)
    if accepting:
        parts.append(f"{' and '.join(f'--profile {name}' for name in accepting)} accepts it")
    parts.append("--reshape center-crop fits it")
    return "; ".join(parts)


def _cut(place: Placement, width: int, height: int) -> str:
    """What fitting does, in pixels and percent."""
    crop, bucket = place.crop, place.bucket
    parts = []
    columns, rows = width - crop.width, height - crop.height
    if columns or rows:
        share = 1 - crop.width * crop.height / (width * height)
        parts.append(f"{columns} columns and {rows} rows ({share:.1%}) will be cut")
    if (crop.width, crop.height) != (bucket.width, bucket.height):
        parts.append(f"{crop.width}×{crop.height} scaled to {bucket.width}×{bucket.height}")
    return ", ".join(parts)
