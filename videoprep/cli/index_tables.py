"""What `videoprep index` prints: tables of buckets, frames, batches and artifacts; what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from videoprep.cli.output import print_reading, safe, said, stdout, table
from videoprep.errors import listed
from videoprep.index.calibration import Calibration, estimate
from videoprep.index.policy import is_treated
from videoprep.spec.dataset import DatasetSpec
from videoprep.text import counted, duration, file_size

if TYPE_CHECKING:
    from videoprep.index.bucket import Bucket
    from videoprep.index.diff import IndexDiff
    from videoprep.index.forecasts import ForecastSummary
    from videoprep.index.role_counts import RoleCounts
    from videoprep.index.suggestions import Advice, UnfilledBucket
    from videoprep.index.summary import BucketSummary, Summary
    from videoprep.spec.dataset_group import Datasets

_SHOWN = 20
_SIZES = (1, 2, 4, 8)  # clips in a batch of one GPU, and GPUs


def print_policy(policy: Mapping[str, Any], spec: Datasets | None) -> None:
    """How the plan was made.

    Args:
        policy: of the index.
        spec: what it was made from; None where that is not known.
    """
    if "of" in policy:
        _print_policies(policy)
        return
    print_reading(policy.get("reading"))
    _print_one_policy(policy)
    splits = _splits(spec) if spec is not None else ""
    if splits:
        stdout.print(safe(splits))


def _print_policies(policy: Mapping[str, Any]) -> None:
    """How several datasets were planned; what is the same for all is said once."""
    own_alone = ("reading", "id_token", "split")  # which are not among what is printed
    how = [{name: own[name] for name in own if name not in own_alone} for own in policy["of"]]
    alike = all(one == how[0] for one in how)
    for name, own in zip(_names(policy), policy["of"], strict=True):
        stdout.print(safe(name, "bold"))
        print_reading(own.get("reading"))
        if not alike:
            _print_one_policy(own)
    if alike:
        _print_one_policy(how[0])


def _names(policy: Mapping[str, Any]) -> list[str]:
    """The datasets of an index of several, or their numbers."""
    named = [f"dataset {one['name']}" for one in policy.get("datasets", ())]
    return named or [f"dataset {number}" for number, _ in enumerate(policy["of"], start=1)]


def print_datasets(summary: Summary) -> None:
    """What each of several datasets comes to, and which videos they share."""
    if not summary.datasets:
        return
    weighted = any(one.weight is not None for one in summary.datasets)
    names = ["dataset", "for", *([">weight"] if weighted else [])]
    made = table(
        "datasets", *names, ">samples", ">skipped", f">{summary.word}s", ">an epoch", ">share"
    )
    for one in summary.datasets:
        weight = [] if not weighted else ["" if one.weight is None else f"{one.weight:g}"]
        counts = (one.samples, one.left_out, one.clips, round(one.draws))
        made.add_row(safe(one.name), one.role, *weight, *map(str, counts), f"{one.share:.0%}")
    stdout.print(made)
    stdout.print("an epoch: clips that are drawn, of training", style="dim")
    for sentence in summary.shared_videos[:_SHOWN]:
        stdout.print(safe("note ", "yellow") + safe(f"{sentence} (VP146)"))
    _print_more(len(summary.shared_videos), "pairs of datasets that share videos")


def _print_one_policy(policy: Mapping[str, Any]) -> None:
    """How one dataset was planned."""
    upscale = ", enlarging allowed" if policy.get("allow_upscale") else ""
    stdout.print(
        safe(
            f"profile {policy['profile']} · reshape {policy.get('reshape')}{upscale} · "
            f"{_sizes(policy)}"
        )
    )
    rate = f"{_rate(policy)} fps" if policy.get("target_fps") else "each file's own rate"
    stdout.print(safe(f"frames at {rate} · {_windows(policy)}"))


def print_summary(
    summary: Summary,
    policy: Mapping[str, Any],
    calibration: Calibration | None,
    *,
    batch_size: int,
    num_gpus: int,
) -> None:
    """What the plan comes to."""
    _print_buckets(summary)
    _print_frames(summary, policy)
    for note in _notes(summary):
        stdout.print(said(note))
    _print_components(summary, calibration, num_gpus)
    _print_batches(summary, batch_size, num_gpus)


def print_forecasts(trainer: str, forecasts: Sequence[ForecastSummary]) -> None:
    """Print what a trainer would make of the datasets of its config, beside what is planned."""
    if not forecasts:
        return
    names = ("dataset", ">files", ">dropped", ">faster", ">slower", ">clips", ">planned")
    made = table(f"what {trainer} would do", *names, ">alike")
    for one in forecasts:
        counts = (one.files, one.dropped.total(), one.fast, one.slow, one.clips, one.planned)
        made.add_row(safe(one.dataset), *map(str, counts), f"{one.alike}/{one.files}")
    stdout.print(made)
    for one in forecasts:
        for reason, count in one.dropped.most_common(_SHOWN):
            stdout.print(safe(f"{one.dataset}: {trainer} drops {count}: {reason}", "yellow"))


def print_roles(counts: RoleCounts, summary: Summary) -> None:
    """Say how many clips have media beside their picture, such as sound."""
    for sentence in counts.sentences(summary):
        stdout.print(safe(sentence))


def print_advice(advice: Advice) -> None:
    """What to do about small buckets."""
    if not advice.small:
        return
    made = table(
        f"buckets that do not fill a global batch of {advice.global_batch}",
        "bucket", ">clips", "without it", ">cut", ">pixels", ">frames", ">repeats",
    )  # fmt: skip
    for one in advice.small[:_SHOWN]:
        made.add_row(*_small_row(one))
    stdout.print(made)
    _print_more(len(advice.small), "small buckets")
    stdout.print(
        "without it: where its clips would go, and what that changes · repeats: to fill a batch",
        style="dim",
    )
    if advice.options is not None:
        left = f"; {advice.left} would still be too small" if advice.left else ""
        stdout.print(
            said(f"→ fewer buckets: plan with {advice.options}, no other bucket options{left}")
        )
    stdout.print("→ the same buckets, filled: a table with these numbers in a column `repeats`")


def print_diff(diff: IndexDiff, old: str, word: str) -> None:
    """What changed since an older index.

    Args:
        diff: the changes.
        old: what to call that index.
        word: what a row is called.
    """
    made = table(f"since {old}", "what changed", f">{word}s")
    for what, count in sorted(diff.counts.items()):
        made.add_row(what, str(count))
    made.add_row("unchanged", str(diff.unchanged))
    stdout.print(made)
    for change in diff.changes[:_SHOWN]:
        clip = f"clip {change.clip}" if change.clip else ""
        where = listed(change.video, change.file, change.line, clip)
        stdout.print(safe(f"{where}: {', '.join(change.what)}"))
    _print_more(len(diff.changes), "changes")
    encode = table("to encode that was not planned before", "component", ">artifacts")
    for name, count in diff.to_encode.items():
        encode.add_row(name, str(count))
    stdout.print(encode)


def _print_buckets(summary: Summary) -> None:
    padded = any(one.padded for one in summary.buckets)
    weighted = any(one.draws != one.clips for one in summary.buckets)
    columns = ["bucket", ">clips", ">cut", ">scale", ">used", ">tokens", ">a clip"]
    if padded:
        columns.insert(3, ">black")
    if weighted:
        columns.insert(2, ">an epoch")
    made = table("buckets (frames × height × width)", *columns)
    largest = sorted(summary.buckets, key=lambda one: -one.clips)[:_SHOWN]
    for one in sorted(largest, key=lambda one: one.bucket):
        made.add_row(*_bucket_row(one, padded=padded, weighted=weighted))
    stdout.print(made)
    _print_more(len(summary.buckets), "buckets with fewer clips")
    stdout.print(
        "cut: of the picture's area · scale: of a side · used: of the samples' frames\n"
        "tokens: of the latent · a clip: its video latents on disk",
        style="dim",
    )


def _bucket_row(one: BucketSummary, *, padded: bool, weighted: bool) -> list[str]:
    row = [str(one.bucket), str(one.clips), f"{one.cut:.1%}", f"×{one.scale:.2f}"]
    row += [_share(one.frames_used, one.frames_available), str(one.latent_tokens)]
    row.append(file_size(one.clip_bytes))
    if padded:
        row.insert(3, f"{one.padded:.1%}")
    if weighted:
        row.insert(2, f"{one.mean_draws:.1f}".removesuffix(".0"))
    return row


def _print_frames(summary: Summary, policy: Mapping[str, Any]) -> None:
    frames = summary.frames
    rate = f"at {_rate(policy)} fps" if policy.get("target_fps") else "at each file's own rate"
    rate = rate if "target_fps" in policy else "at the rate of each dataset"
    made = table(f"frames {rate}", "where they go", ">frames", ">share")
    alike = "clip_mode" in policy and "max_num_frames" in policy and not is_treated(policy)
    why = f"{policy['clip_mode']}, {_limit(policy)}" if alike else "by each dataset's options"
    rows = [
        ("in clips", frames.used),
        (f"outside the clips ({why})", frames.outside),
        ("between the clips", frames.between),
        ("passed over by clips that are sped up", frames.skipped),
        *((f"skipped: {one.code}", one.frames) for one in summary.left_out),
    ]
    for words, count in [*(row for row in rows if row[1]), ("together", frames.available)]:
        made.add_row(words, str(count), _share(count, frames.available))
    stdout.print(made)


def _notes(summary: Summary) -> Iterator[str]:
    """What is only said where there is something to say."""
    what = f"{summary.word}s"
    unknown = sum(one.unknown for one in summary.left_out)
    if unknown:
        yield f"not counted: samples skipped whose frames are not known: {unknown}"
    each = summary.frames.source_frames_each
    if summary.stills:
        yield _on_stills(summary)
    if summary.clips > summary.stills and abs(each - 1) > 0.005:
        repeats = ": frames are repeated" if each < 1 else ""
        yield f"one frame stands for {each:.2f} frames of the file on average{repeats}"
    if summary.sped_up:
        speed = summary.speed
        yield f"{summary.sped_up} {what} are sped up ×{speed.least:.2f}–×{speed.most:.2f}"
    if summary.enlarged:
        factor = summary.enlargement
        yield (
            f"{summary.enlarged} {what} are enlarged ×{factor.mean:.2f} on average, "
            f"×{factor.most:.2f} at most"
        )
    if summary.clips > summary.planned:
        number = summary.clips_per_sample
        yield (
            f"{number.least:.0f} to {number.most:.0f} clips a sample, {number.mean:.1f} on average"
        )
    if summary.splits:
        parts = (f"{name or 'none'} {count}" for name, count in summary.splits.items())
        yield f"{what} by split: {', '.join(parts)}"


def _on_stills(summary: Summary) -> str:
    text = f"{summary.word}s of still images, each of one frame: {summary.stills:,}"
    if not summary.of_video_alone:
        return text
    return f"{text}; not made of them: {', '.join(summary.of_video_alone)}"


def _print_components(summary: Summary, calibration: Calibration | None, num_gpus: int) -> None:
    timed = calibration is not None
    columns = ["component", ">artifacts", ">on disk", *([">one process"] if timed else [])]
    made = table("to encode, in bf16; fp32 takes twice the disk", *columns)
    for one in summary.components:
        name = f"{one.name}, if asked for" if one.asked_by is not None else one.name
        name += ", if the model makes it" if one.of_some_families else ""
        row = [name, str(one.artifacts), file_size(one.bytes)]
        if calibration is not None:
            row.append(duration(estimate([one], calibration, image_latents=True)))
        made.add_row(*row)
    total = ["together", "", file_size(sum(one.bytes for one in summary.components))]
    if calibration is not None:
        total.append(duration(estimate(summary.components, calibration, image_latents=True)))
    made.add_row(*total)
    stdout.print(made)
    if calibration is None:
        stdout.print("how long it takes is told once some of it was encoded", style="dim")
        return
    seconds = estimate(summary.components, calibration, image_latents=True) / num_gpus
    shared = f"; {num_gpus} that share it: {duration(seconds)}" if num_gpus > 1 else ""
    how = f"{calibration.model} on {calibration.device}, {calibration.dtype}"
    stdout.print(safe(f"as fast as the last run, {how}{shared}"))


def _print_batches(summary: Summary, batch_size: int, num_gpus: int) -> None:
    sizes, gpus = sorted({*_SIZES, batch_size}), sorted({*_SIZES, num_gpus})
    of = f" of {summary.batched_split}" if summary.batched_split is not None else ""
    title = f"clips{of} that a trainer drops with incomplete batches"
    made = table(title, ">batch size", *(f">{n} GPU{'s' if n > 1 else ''}" for n in gpus))
    for size in sizes:
        dropped = (summary.dropped(size * number) for number in gpus)
        made.add_row(str(size), *(f"{n} ({_share(n, summary.draws, 0)})" for n in dropped))
    stdout.print(made)
    stdout.print("BucketBatchSampler drops none, unless asked to", style="dim")


def _small_row(one: UnfilledBucket) -> list[str]:
    move, repeats = one.move, str(one.repeats)
    if move is None:
        return [str(one.bucket), str(one.clips), "—", "", "", "", repeats]
    changes = (f"{0 - value:+.1%}" for value in (-move.cut, move.pixels, move.frames))
    return [str(one.bucket), str(one.clips), _targets(move.targets), *changes, repeats]


def _targets(targets: Mapping[Bucket, int]) -> str:
    first, *others = sorted(targets, key=lambda bucket: -targets[bucket])
    return f"{first}" + (f" and {len(others)} more" if others else "")


def _print_more(count: int, what: str) -> None:
    if count > _SHOWN:
        stdout.print(f"… and {count - _SHOWN} more {what}; --output-format json lists all")


def _sizes(policy: Mapping[str, Any]) -> str:
    """Which buckets there may be."""
    if "treatment" in policy:
        return f"buckets of {policy['treatment']['trainer']}"
    sizes = policy.get("sizes") or []
    if not sizes:
        limit = policy.get("max_pixels")
        return "each clip's own size" + (f", at most {limit} pixels" if limit else "")
    lengths = [len(counts or policy["frame_counts"]) for *_, counts in sizes]
    if not all(lengths):
        return f"{counted(len(sizes), 'size')} of any legal length"
    how = "chosen" if policy.get("buckets_chosen") else "given"
    return f"{counted(sum(lengths), 'bucket')} {how}"


def _rate(policy: Mapping[str, Any]) -> str:
    from fractions import Fraction

    return f"{float(Fraction(policy['target_fps'])):g}"


def _windows(policy: Mapping[str, Any]) -> str:
    """Which parts of a video become clips."""
    if "treatment" in policy:
        return f"lengths and parts as {policy['treatment']['trainer']} takes them"
    parts = [f"clip mode {policy.get('clip_mode')}", _limit(policy)]
    if policy.get("clips_per_video"):
        parts.append(f"at most {policy['clips_per_video']} a sample")
    if policy.get("min_gap") is not None:
        parts.append(f"gap {policy['min_gap']:g} s")
    return ", ".join(parts)


def _limit(policy: Mapping[str, Any]) -> str:
    return f"at most {policy.get('max_num_frames')} frames"


def _splits(spec: Datasets) -> str:
    """The shares of the splits that are made by content."""
    if not isinstance(spec, DatasetSpec):
        return ""
    shares = ", ".join(f"{name} {share:.4g}" for name, share in spec.split.items())
    return f"splits by content: {shares}" if shares else ""


def _share(part: float, whole: float, digits: int = 1) -> str:
    return f"{part / whole if whole else 0:.{digits}%}"
