"""VP118: colours are made as in most videos."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator

_USUAL_SPACES = (1, 2, 5, 6)
_USUAL_PRIMARIES = (1, 2, 5, 6, 7)
_SPACES = {
    0: "RGB", 4: "FCC", 7: "SMPTE 240M", 8: "YCgCo", 9: "BT.2020", 10: "BT.2020 constant luminance",
    14: "ICtCp",
}  # fmt: skip
_PRIMARIES = {8: "film", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}


class ColorUnusual(Validator):
    """Pixels come out as RGB of another meaning than that of the model's training data."""

    code = Code.COLOR_UNUSUAL.value
    name = "color-unusual"
    severity = Severity.WARNING
    summary = "Colours are those of BT.709 or BT.601."
    why = "Wide gamuts read as BT.709 look pale; rare matrices are not supported everywhere."
    example = "A phone's video in Display P3; a BT.2020 master; a screen recording in RGB."
    remedy = "Convert it: ffmpeg -i IN -vf colorspace=all=bt709:iall=bt2020 OUT.mp4"
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        parts = []
        if media.color_space not in _USUAL_SPACES:
            parts.append(f"matrix {_SPACES.get(media.color_space, media.color_space)}")
        if media.color_primaries not in _USUAL_PRIMARIES:
            primaries = media.color_primaries
            parts.append(f"primaries {_PRIMARIES.get(primaries, primaries)}")
        if parts:
            yield self.finding(subject, f"unusual colours: {', '.join(parts)}")
