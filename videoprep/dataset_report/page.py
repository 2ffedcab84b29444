"""Writes the page: one file that asks for nothing else, and runs nothing but its own script.

Captions, paths and reasons hold what strangers wrote. Where the template shows them, its escaping
and `plain_text` apply; those of the gallery are data, which the script only makes text nodes of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import PurePath
from typing import Any

import numpy as np

from videoprep.dataset_report.facts import STATES, Facts, PlanFacts
from videoprep.dataset_report.gallery import Gallery, as_json
from videoprep.dataset_report.pictures import Strips
from videoprep.index.summary import BucketSummary, FrameSummary, Summary
from videoprep.pages.builder import load_template, shares
from videoprep.pages.validation import rules_found
from videoprep.text import counted, duration, file_size, written
from videoprep.validators.report import Report

_BUCKETS = 24
_EXAMPLES = 3

_TICK = "M5 12.5l5 5L19.5 7"
_CROSS = "M6.5 6.5l11 11M17.5 6.5l-11 11"
_CLOCK = "M12 6v6.5l4 2.5"
_PLAN = "M6 8h12M6 12h12M6 16h7"


def as_html(
    facts: Facts, gallery: Gallery | None, strips: Strips | None, notes: Sequence[str]
) -> Iterator[str]:
    """The page in pieces.

    Args:
        facts: of the dataset as a whole.
        gallery: single clips; None where there is no plan.
        strips: what latents decode to; None where nobody asked.
        notes: what is to be said of the gallery's pictures and cuts.
    """
    terms = {state: facts.samples[state] for state in STATES if state in facts.samples}
    frames = [] if facts.plan is None else _frames(facts.plan.summary.frames)
    yield from load_template("videoprep.dataset_report", "page.html.j2").generate(
        facts=facts,
        title=PurePath(facts.name).name or facts.name,
        verdict=_verdict(facts),
        terms=terms,
        shares=shares((state.replace(" ", "-"), number) for state, number in terms.items()),
        shares_in_words=", ".join(f"{number:,} {state}" for state, number in terms.items()),
        tiles=_tiles(facts),
        rules=[] if facts.findings is None else _rules(facts.findings),
        buckets=[] if facts.plan is None else _buckets(facts.plan),
        frames=frames,
        frame_shares=shares((kind, number) for kind, _, number, _ in frames),
        notes=_store_notes(facts),
        gallery=gallery,
        gallery_notes=notes,
        strips=strips,
        linked=set() if gallery is None else _linked(facts, gallery, strips),
        row_states={} if gallery is None else _row_states(gallery),
        has_psnr=gallery is not None and bool(gallery.data["psnr"]),
        data="" if gallery is None else as_json(gallery.data),
    )


def _verdict(facts: Facts) -> dict[str, str]:
    """How it stands, in words and in a sign."""
    samples = facts.samples
    failed, left_out = samples.get("failed", 0), samples.get("skipped", 0) - facts.dropped
    if facts.plan is None:
        return {"kind": "bad", "words": "no plan", "icon": _CROSS}
    if facts.store is None:
        words = f"planned, {left_out:,} skipped" if left_out else "planned"
        return {"kind": "plan", "words": words, "icon": _PLAN}
    if samples.get("to do"):
        return {"kind": "wait", "words": "not finished", "icon": _CLOCK}
    if failed or left_out:
        parts = [f"{failed:,} failed"] if failed else []
        parts += [f"{left_out:,} skipped"] if left_out else []
        return {"kind": "bad", "words": f"encoded, {', '.join(parts)}", "icon": _CROSS}
    return {"kind": "good", "words": "all encoded", "icon": _TICK}


def _tiles(facts: Facts) -> list[tuple[str, str]]:
    plan, store = facts.plan, facts.store
    tiles = []
    if plan is not None:
        summary = plan.summary
        tiles += [
            (duration(plan.clip_seconds, 1), f"in {_clips(summary)}"),
            (duration(plan.source_seconds, 1), "of video looked at"),
            (counted(len(summary.buckets)), "bucket" if len(summary.buckets) == 1 else "buckets"),
        ]
    if store is not None:
        tiles += [(file_size(store.bytes), "stored"), (PurePath(store.model).name, "model")]
    elif plan is not None:
        needed = sum(one.bytes for one in plan.summary.components)
        tiles.append((file_size(needed), "to encode, in bf16"))
    return tiles


def _frames(frames: FrameSummary) -> list[tuple[str, str, int, str]]:
    """Where the frames go that there are: kind, name, number and share."""
    where = {
        "in clips": frames.used,
        "outside the clips": frames.outside,
        "between the clips": frames.between,
        "passed over by clips that are sped up": frames.skipped,
        "of samples skipped": frames.left_out,
    }
    return [
        (f"part-{place}", name, number, f"{100 * number / frames.available:.1f} %")
        for place, (name, number) in enumerate(where.items())
        if number
    ]


def _clips(summary: Summary) -> str:
    return counted(summary.assignments, summary.word)


def _buckets(plan: PlanFacts) -> list[dict[str, Any]]:
    """The largest buckets, the largest first, with what their drawings need."""
    pairs = zip(plan.summary.buckets, plan.bucket_seconds, strict=True)
    largest = sorted(pairs, key=lambda pair: -pair[0].clips)[:_BUCKETS]
    most = max((one.clips for one, _ in largest), default=1)
    return [_bucket(one, seconds, most) for one, seconds in largest]


def _bucket(one: BucketSummary, seconds: float, most: int) -> dict[str, Any]:
    width, height = one.bucket.width, one.bucket.height
    scale = min(30 / width, 22 / height)
    across, down = width * scale, height * scale
    return {
        "facts": one,
        "name": str(one.bucket),
        "seconds": duration(seconds, 1),
        "width": round(100 * one.clips / most, 3),
        "across": round(across, 1),
        "down": round(down, 1),
        "x": round((34 - across) / 2, 1),
        "y": round((26 - down) / 2, 1),
    }


def _rules(report: Report) -> list[dict[str, Any]]:
    """The rules that found something, and some of what they found."""
    return [
        {
            **rule,
            "examples": list(
                islice((f for f in report.findings if f.code == rule["code"]), _EXAMPLES)
            ),
        }
        for rule in rules_found(report)
    ]


def _store_notes(facts: Facts) -> list[str]:
    """What is only said of a store where there is something to say."""
    store = facts.store
    if store is None:
        return []
    notes = []
    if store.at_work:
        notes.append(f"At work on it when this was written, in processes: {store.at_work:,}.")
    if store.truncated:
        notes.append(f"{counted(store.truncated, 'caption')} cut to the text encoder's limit.")
    if store.tiled:
        notes.append(f"{store.tiled:,} latents made in tiles: memory did not suffice for more.")
    orphans = sum(one.orphans for one in store.components)
    if orphans:
        notes.append(
            f"{counted(orphans, 'artifact')} of an earlier plan stored, needed by no clip."
        )
    if store.catalogue != "current":
        notes.append(f"The catalogue is {store.catalogue}: it is written anew when encoding ends.")
    notes += [
        f"Damaged: {damage}" for one in store.components for damage in one.damages[:_EXAMPLES]
    ]
    return notes


def _linked(facts: Facts, gallery: Gallery, strips: Strips | None) -> set[int]:
    """The clips that are named elsewhere and that the gallery has."""
    plan = facts.plan
    named = [] if plan is None else [one.row for one in (*plan.most_cut, *plan.most_passed)]
    named += [] if strips is None else list(strips.of_rows)
    rows = np.array(named, np.int64)
    return set(rows[np.isin(rows, gallery.rows)].tolist())


def _row_states(gallery: Gallery) -> dict[str, int]:
    counts = Counter(gallery.data["state"])
    return {state: counts[place] for place, state in enumerate(STATES) if counts[place]}


def gallery_notes(
    gallery: Gallery, pictures: int, looked_for: int, gone: int, why_none: str | None
) -> list[str]:
    """What the gallery does not show, in words.

    Args:
        gallery: what it shows.
        pictures: clips that have one.
        looked_for: clips that one was looked for.
        gone: of those, clips whose video is gone or changed.
        why_none: why there is none at all.
    """
    shown, notes = len(gallery.rows), []
    if shown < gallery.of:
        notes.append(
            f"{shown:,} of {gallery.of:,} are in this page, chosen evenly, those with a reason "
            "first; all above is about all of them."
        )
    if why_none is not None:
        notes.append(f"No pictures: {why_none}. The outlines show what is cut off.")
    elif pictures < shown:
        notes.append(f"Pictures of {pictures:,} of {counted(shown, 'clip')}.")
    if gone:
        notes.append(
            f"{gone:,} of {counted(looked_for, 'clip')} have no picture because their video is "
            "gone, has changed since it was planned, or does not open."
        )
    if gallery.caption_characters is not None:
        notes.append(f"Captions are cut to {written(gallery.caption_characters)} characters.")
    return notes
