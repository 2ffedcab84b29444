"""VP116: 8 bit, standard dynamic range."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator

_HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}
"""FFmpeg's numbers of transfer curves that are not made for 8 bit."""


class HighDynamicRange(Validator):
    """Converted to 8 bit as it is, without tone mapping, the picture is flat and grey."""

    code = Code.HIGH_DYNAMIC_RANGE.value
    name = "high-dynamic-range"
    severity = Severity.WARNING
    summary = "The video has 8 bits a component and standard dynamic range."
    why = "Models are trained on 8-bit pixels; HDR without tone mapping looks grey and washed out."
    example = "A phone's HDR recording: yuv420p10le with the transfer curve HLG."
    remedy = (
        "Tone-map it: ffmpeg -i IN -vf zscale=t=linear,tonemap=hable,zscale=t=bt709:m=bt709,"
        "format=yuv420p OUT.mp4. For 10 bit without HDR: -vf format=yuv420p"
    )
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        curve = _HDR_TRANSFERS.get(media.color_transfer)
        if curve is None and media.bit_depth <= 8:
            return
        parts = [f"{media.bit_depth} bits a component ({media.pixel_format})"]
        if curve is not None:
            parts.append(f"transfer curve {curve}")
        yield self.finding(
            subject, ", ".join(parts), bits=media.bit_depth, transfer=media.color_transfer
        )
