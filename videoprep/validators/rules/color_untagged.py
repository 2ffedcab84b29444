"""VP117: the file says how its colours are meant."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator

_UNTAGGED = 2
_HD_HEIGHT = 720


class ColorUntagged(Validator):
    """Decoders take untagged video for BT.601, large pictures too, which mostly are BT.709."""

    code = Code.COLOR_UNTAGGED.value
    name = "color-untagged"
    severity = Severity.NOTE
    summary = "The file says which matrix its colours were made with."
    why = "Taken for the wrong one, greens and reds are off by some levels."
    example = "A 1920×1080 file without colour tags: read as BT.601, meant as BT.709."
    remedy = (
        "Tag it, if you know how it was made (1: BT.709, 6: BT.601): "
        "ffmpeg -i IN -c copy -bsf:v h264_metadata=matrix_coefficients=1 OUT.mp4"
    )
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        yuv = media.pixel_format.startswith(("yuv", "nv"))
        if media.color_space == _UNTAGGED and yuv:
            large = min(media.width, media.height) >= _HD_HEIGHT
            hint = ", but a picture this large is mostly BT.709" if large else ""
            severity = Severity.WARNING if large else None
            message = f"no colour matrix is named: BT.601 is taken{hint}"
            yield self.finding(subject, message, severity=severity)
