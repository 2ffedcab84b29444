"""VP116: 8 bit, standard dynamic range."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.media.remedies import HDR_TRANSFERS, MendingStep
from videoprep.validators.commands import remedy_for
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class HighDynamicRange(Validator):
    """Converted to 8 bit as it is, without tone mapping, the picture is flat and grey."""

    code = Code.HIGH_DYNAMIC_RANGE.value
    name = "high-dynamic-range"
    severity = Severity.WARNING
    summary = "The video has 8 bits a component and standard dynamic range."
    why = "Models are trained on 8-bit pixels; HDR without tone mapping looks grey and washed out."
    example = "A phone's HDR recording: yuv420p10le with the transfer curve HLG."
    remedy = "Tone-map HDR, convert the rest to 8 bit; the finding gives the command."
    needs = frozenset({Need.HEADER})

    def check(self, subject: Subject) -> Iterator[Finding]:
        media = subject.media
        curve = HDR_TRANSFERS.get(media.color_transfer)
        if curve is None and media.bit_depth <= 8:
            return
        parts = [f"{media.bit_depth} bits a component ({media.pixel_format})"]
        if curve is not None:
            parts.append(f"transfer curve {curve}")
        if curve is None:
            remedy = remedy_for(subject, "convert it to 8 bit", MendingStep.EIGHT_BITS)
        else:
            remedy = remedy_for(subject, "tone-map it to BT.709", MendingStep.TONE_MAP)
        message, transfer = ", ".join(parts), media.color_transfer
        yield self.finding(subject, message, remedy, bits=media.bit_depth, transfer=transfer)
