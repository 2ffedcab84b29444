"""VP108."""

from __future__ import annotations

from collections.abc import Iterator

from videoprep.errors import Code
from videoprep.validators.protocol import Finding, Need, Severity, Subject, Validator


class StillImage(Validator):
    """An error if the family trains on videos alone, or else a note."""

    code = Code.STILL_IMAGE.value
    name = "still-image"
    summary = "A still image is a clip of one frame, if the model's family trains on them."
    why = (
        "Families that do not would take a picture for a video that ends after its first frame. "
        "Nothing for image-to-video is made of still images: a picture would be its own answer."
    )
    example = "A PNG, a JPEG or a GIF of one frame, whatever its name ends in."
    remedy = (
        "Nothing to do if it is meant; otherwise choose the `profile` of a family that trains on "
        "still images, or remove the sample."
    )
    needs = frozenset({Need.HEADER, Need.PLAN})

    def check(self, subject: Subject) -> Iterator[Finding]:
        left_out = subject.left_out
        if left_out is not None and left_out.code.value == self.code:
            yield self.finding(subject, left_out.reason, left_out.remedy)
        elif subject.media.is_still and subject.clips:
            message = f"is a still image: a clip of {subject.clips[0].bucket}"
            lacking = [
                spec.name
                for spec in subject.policy.profile.components
                if spec.source.of_video_alone and not spec.noise
            ]
            without = f", without {', '.join(lacking)}" if lacking else ""
            yield self.finding(
                subject, f"{message}{without}", "nothing to do", severity=Severity.NOTE
            )
