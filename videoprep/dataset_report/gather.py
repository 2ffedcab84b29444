"""Finds the facts: from the plan, from the store's receipts, from what the rules said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.dataset_report.facts import ComponentFacts, Facts, PlanFacts, StoreFacts, Worst
from videoprep.dataset_report.rows import Floats, ReportRows, rows_of
from videoprep.encoding.status import ComponentStatus, Status, status
from videoprep.families.caption_places import FURTHER_CAPTIONS, flat
from videoprep.families.component import Component, ordered
from videoprep.index.calibration import recall
from videoprep.index.policy import Policy
from videoprep.index.role_counts import count_roles
from videoprep.index.row_words import row_word
from videoprep.index.schema import plain
from videoprep.index.summary import Summary, summarize
from videoprep.index.table import BucketIndex
from videoprep.pages.charts import Chart, common, distribution
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import Datasets
from videoprep.store.catalogue import Artifacts, read_artifacts
from videoprep.store.layout import Store, StoreInfo
from videoprep.store.recipe import Recipe
from videoprep.text import duration, written
from videoprep.validators.report import Report

_WORST = 6

# What people ask of a recipe; the rest identifies the model's files.
_RECIPE_FIELDS = ("computed_in", "dtype", "decoder", "posterior", "tiling", "max_tokens")

# What a policy says besides what was asked for.
_DERIVED = (
    *("divisor", "frame_rule", "buckets_chosen", "split", "allow_outside_root", "of"),
    *("datasets", "file", "reading"),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What there is to tell about.

    Attributes:
        name: what was asked about.
        kind: store, plan or dataset.
        index: the plan; None where there is none.
        no_plan: why there is none.
        store: where it was encoded to; None where that was not said.
        spec: the dataset, where it was given.
        findings: what the rules say of it.
    """

    name: str
    kind: Literal["store", "plan", "dataset"]
    index: BucketIndex | None
    no_plan: str | None = None
    store: Store | None = None
    spec: Datasets | None = None
    findings: Report | None = None


def gather(given: Given) -> tuple[Facts, ReportRows | None]:
    """The facts, and what is known of each row of the plan.

    Raises:
        StoreError: there is no store, or it is damaged.
    """
    info = None if given.store is None else given.store.read_info()
    made = None if given.store is None or info is None else _made(given.store, info)
    rows = None if given.index is None else rows_of(given.index, made)
    plan = None if rows is None else _plan(rows)
    store = None
    if given.store is not None and info is not None and made is not None:
        store = _store(given, given.store, info, made)
    facts = Facts(
        name=given.name,
        kind=given.kind,
        samples={} if rows is None else rows.samples_by_state(),
        clips={} if rows is None else rows.clips_by_state(),
        asked=tuple(_asked(given).items()),
        plan=plan,
        no_plan=given.no_plan,
        store=store,
        findings=given.findings,
    )
    return facts, rows


# What was asked


def _asked(given: Given) -> dict[str, str]:
    """Options by their names, where they are not the defaults."""
    if isinstance(given.spec, DatasetSpec):
        fields = given.spec.saved_fields()
        return {name.replace("_", " "): _value(value) for name, value in fields.items()}
    if given.index is None:
        return {}
    policy = given.index.policy
    usual = Policy.of(DatasetSpec(data_root=given.index.data_root)).to_json()
    asked = {
        name.replace("_", " "): _value(value)
        for name, value in policy.items()
        if name not in (*_DERIVED, "sizes") and value != usual.get(name)
    }
    if policy.get("sizes"):
        how = "chosen from the dataset" if policy.get("buckets_chosen") else "given"
        asked["bucket sizes"] = f"{len(policy['sizes'])} {how}"
    if policy.get("datasets"):
        asked["datasets"] = ", ".join(one["name"] for one in policy["datasets"])
    if policy.get("split"):
        asked["split"] = _value(policy["split"])
    return asked


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return written(value, 4) if isinstance(value, float) else str(value)


# What was planned


def _plan(rows: ReportRows) -> PlanFacts:
    summary = summarize(rows.index)
    columns, planned = rows.columns, rows.is_planned
    seconds = columns["frames"] / columns["fps"]  # NaN of still images, which have no duration
    whole = columns["source_frames"] / columns["source_fps"]
    # Of each sample once, be it skipped or not.
    first = np.diff(rows.samples, prepend=-1) > 0
    buckets = rows.index.buckets
    in_buckets = np.bincount(
        buckets.codes, weights=np.nan_to_num(seconds[planned]), minlength=len(buckets.kinds)
    ).tolist()
    of_kind = dict(zip(buckets.kinds, in_buckets, strict=True))
    return PlanFacts(
        summary=summary,
        clip_seconds=float(np.nansum(seconds[planned])),
        source_seconds=float(np.nansum(whole[first])),
        bucket_seconds=tuple(of_kind[one.bucket] for one in summary.buckets),
        losses=tuple(_losses(rows, summary)),
        clips=tuple(_charts(rows, first, whole, seconds)),
        most_cut=_worst(rows, rows.cut),
        most_passed=_worst(rows, np.where(first, rows.passed, np.nan)),
        left_out=_examples(rows),
        roles=count_roles(rows.index),
    )


def _losses(rows: ReportRows, summary: Summary) -> list[Chart]:
    planned = rows.is_planned
    if not planned.any():
        return []
    charts, words = [], f"{summary.word}s"
    if (rows.cut[planned] > 0).any():
        charts.append(_percent("Picture cut off", rows.cut[planned], "of the picture", words))
    passed = _of_samples(rows)
    if (passed > 0).any():
        charts.append(_percent("Frames in no clip", passed, "of a sample's frames", "samples"))
    if any(one.padded for one in summary.buckets):
        charts.append(_percent("Black borders", rows.padded[planned], "of the bucket", words))
    scale = rows.scale[planned]
    if not np.allclose(scale, 1):
        charts.append(distribution("Scale of a side", scale.round(3), "×", words))
    return charts


def _of_samples(rows: ReportRows) -> Floats:
    """The share of frames that are in no clip, of each planned sample once."""
    planned = rows.is_planned
    once = np.diff(rows.samples[planned], prepend=-1) > 0
    return rows.passed[planned][once]


def _percent(title: str, shares: Floats, of_what: str, of: str) -> Chart:
    chart = distribution(title, (100 * shares).round(1), "%", of)
    mean = f"{100 * shares.mean():.1f} % {of_what} on average, {100 * shares.max():.1f} % at most"
    return Chart(title, mean, chart.drawing)


def _charts(rows: ReportRows, first: Any, whole: Floats, seconds: Floats) -> list[Chart]:
    columns, planned = rows.columns, rows.is_planned
    opened, timed = first & ~np.isnan(columns["source_width"]), first & ~np.isnan(whole)
    charts = []
    if opened.any():
        sizes = Counter(
            zip(
                *(
                    columns[n][opened].astype(int).tolist()
                    for n in ("source_width", "source_height")
                ),
                strict=True,
            )
        )
        named = {f"{width}×{height}": count for (width, height), count in sizes.items()}
        charts.append(common("Size of the videos", named, "size"))
    if timed.any():
        lengths = whole[timed].round(3)
        all_of_them = f"; {duration(lengths.sum(), 1)} in all"
        charts.append(distribution("Length of the videos", lengths, "s", "videos", all_of_them))
        rates = Counter(columns["source_fps"][timed].round(2).tolist())
        named = {written(rate): count for rate, count in rates.items()}
        charts.append(common("Frames a second", named, "rate"))
    lengths = seconds[planned & ~np.isnan(seconds)].round(3)
    if len(lengths):
        word = row_word(rows.index.policy)
        charts.append(distribution("Length of the clips", lengths, "s", f"{word}s"))
    counts = _words(rows.index.table.filter(pa.array(first)))
    if len(counts):
        charts.append(distribution("Caption length", counts, "words", "captions"))
    return charts


def _words(table: pa.Table) -> NDArray[np.int64]:
    """How many words each caption has, with those after a sample's first."""
    texts = plain(table["caption"]).chunks
    if FURTHER_CAPTIONS in table.column_names:
        texts = [*texts, flat(table[FURTHER_CAPTIONS])]
    words = pc.list_value_length(pc.utf8_split_whitespace(pa.chunked_array(texts, pa.string())))
    counts: NDArray[np.int64] = words.to_numpy().astype(np.int64)
    return counts


def _worst(rows: ReportRows, shares: Floats) -> tuple[Worst, ...]:
    known = np.flatnonzero(np.nan_to_num(shares) > 0)
    chosen = known[np.argsort(-shares[known], kind="stable")][:_WORST]
    taken = rows.index.table.select(["video"]).take(chosen)["video"].to_pylist()
    sizes = (
        rows.columns[name][chosen].astype(int).tolist() for name in ("frames", "height", "width")
    )
    return tuple(
        Worst(row, video, "×".join(map(str, bucket)), share)
        for row, video, bucket, share in zip(
            chosen.tolist(), taken, zip(*sizes, strict=True), shares[chosen].tolist(), strict=True
        )
    )


def _examples(rows: ReportRows) -> dict[str, str]:
    """For each code of what is skipped, the first reason."""
    examples: dict[str, str] = {}
    left_out = np.flatnonzero(~rows.is_planned)
    for row in left_out.tolist():
        code, reason = rows.reasons[row]
        examples.setdefault(code, reason)
    return examples


# What was encoded


def _made(store: Store, info: StoreInfo) -> dict[Component, Artifacts]:
    return {name: read_artifacts(store, info.recipes[name]) for name in ordered(info.recipes)}


def _store(
    given: Given, store: Store, info: StoreInfo, made: Mapping[Component, Artifacts]
) -> StoreFacts:
    other = given.index if given.kind != "store" else None
    found: Status = status(store.location, other)
    return StoreFacts(
        location=store.location,
        family=info.family,
        model=info.model,
        revision=info.revision,
        components=tuple(
            _component(name, found.components[name], one, info.recipes[name])
            for name, one in made.items()
        ),
        set_aside=found.set_aside,
        damaged=found.damaged,
        at_work=len(found.at_work),
        catalogue=found.catalogue,
        truncated=sum(len(one.truncated) for one in made.values()),
        tiled=sum(len(one.tiled) for one in made.values()),
        speed=None if given.index is None else recall(given.index.data_root),
    )


def _component(
    name: Component, counts: ComponentStatus, made: Artifacts, recipe: Recipe
) -> ComponentFacts:
    known = {field: recipe.fields[field] for field in _RECIPE_FIELDS if field in recipe.fields}
    return ComponentFacts(
        name=name,
        planned=counts.planned,
        done=counts.done,
        set_aside=counts.set_aside,
        to_do=counts.to_do,
        stale=counts.stale,
        bytes=pc.sum(made.stored["bytes"]).as_py() or 0,
        orphans=counts.orphans,
        damages=counts.damages,
        recipe=" · ".join(
            f"{field.replace('_', ' ')} {_value(value)}" for field, value in known.items()
        ),
    )
