"""Which captions are refined, and why not the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from videoprep.captions.refine_asking import refine_payload
from videoprep.captions.refine_options import OnlyRefined
from videoprep.captions.selection import Candidates, asked_clip
from videoprep.captions.task import AskedClip, AskedClips
from videoprep.spec.current_captions import CaptionState, text_hash

RefineSkip = Literal[
    "dropped", "edited", "uncaptioned", "current", "unreadable", "repeated", "ambiguous"
]
"""Why a caption is not refined: a person dropped the clip or wrote its caption; there is none; it
is refined, and only others are asked about; the clip's file cannot be read; another sample is of
the same clip and has the same caption, or another one."""


def find_refinable(
    states: Iterable[CaptionState], run: str, only: OnlyRefined | None
) -> Candidates[RefineSkip]:
    """Return the captions that can be refined, whether or not they have been.

    Args:
        states: of all samples of a dataset.
        run: the way of asking.
        only: those without a refined text, or with one of another run.
    """
    return Candidates.of(states, lambda state: _reason(state, run, only), _again)


def asked_captions(states: Iterable[CaptionState], trigger: str) -> AskedClips:
    """Return candidates as a task takes them.

    Args:
        states: the candidates.
        trigger: text with which captions may begin, and which stays; empty for none.
    """
    return AskedClips.of(_asked(state, trigger) for state in states)


def _reason(state: CaptionState, run: str, only: OnlyRefined | None) -> RefineSkip | None:
    if state.dropped:
        return "dropped"
    if state.edited:
        return "edited"
    if not state.clip:
        return "unreadable"
    if not state.described.strip():
        return "uncaptioned"
    if only == "missing":
        return "current" if state.refined else None
    if only == "stale":
        return None if _refiner(state) not in ("", run) else "current"
    return None


def _again(first: CaptionState, state: CaptionState) -> RefineSkip:
    return "repeated" if first.described == state.described else "ambiguous"


def _refiner(state: CaptionState) -> str:
    """The run that made the refined text; empty if there is none."""
    origin = state.sample.origin
    return origin.run if state.refined and origin is not None else ""


def _asked(state: CaptionState, trigger: str) -> AskedClip:
    before = before_caption(state, trigger)
    payload = refine_payload(state.described[len(before) :], before)
    return asked_clip(state, of=text_hash(state.described), payload=payload)


def before_caption(state: CaptionState, trigger: str) -> str:
    """Return what stands before a caption and stays: a trigger word with its space, or nothing."""
    before = state.trigger
    if trigger and not before and state.described.startswith(f"{trigger} "):
        before = f"{trigger} "
    return before if state.described[len(before) :].strip() else ""
