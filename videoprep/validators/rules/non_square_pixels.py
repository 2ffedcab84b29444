"""VP113: pixels are square."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class NonSquarePixels(Validator):
    """A player stretches the picture; training takes the pixels as they are."""

    code = Code.NON_SQUARE_PIXELS.value
    name = "non-square-pixels"
    severity = Severity.WARNING
    summary = "Pixels are square."
    why = "The pixels are encoded as they are stored: people come out too thin or too wide."
    example = "DVD material of 720×480 with a pixel aspect ratio of 32:27, shown as 853×480."
    remedy = "Scale it once: ffmpeg -i IN -vf scale=trunc(iw*sar/2)*2:ih,setsar=1 OUT.mp4"
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        ratio = media.sample_aspect_ratio
        if ratio == 1:
            return
        if media.orientation.transpose:
            ratio = 1 / ratio
        shown = f"{round(media.width * ratio)}×{media.height}"
        message = f"pixels are {ratio.numerator}:{ratio.denominator}: stored as "
        message += f"{media.width}×{media.height}, shown as {shown}"
        yield self.finding(subject, message, ratio=str(ratio))
