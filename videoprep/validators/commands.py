"""The command that mends a sample's file, for the findings of all rules that it mends."""

from __future__ import annotations

from videoprep.media.remedies import MendingStep, advice, steps_of
from videoprep.validators.protocol import Subject


def remedy_for(subject: Subject, lead: str, own: MendingStep) -> str:
    """Return what a finding advises, ending with the one command for its file.

    Args:
        subject: the sample.
        lead: what the finding itself advises.
        own: the step of the command that does this.
    """
    sample, square = subject.sample, _has_to_be_square(subject)
    return advice(sample.path, subject.media, lead, own, square=square)


def steps_for(subject: Subject) -> frozenset[MendingStep]:
    """Return all that the file of a sample needs."""
    return steps_of(subject.media, square=_has_to_be_square(subject))


def _has_to_be_square(subject: Subject) -> bool:
    """Whether pixels are encoded as they are stored."""
    return subject.policy.reshape == "none"
