"""Every sample ends in exactly one place, whatever its file and the wishes are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.index.test_placement import media, policy
from videoprep.errors import Code, MediaError
from videoprep.index.builder import build_table, sample_names
from videoprep.index.clip import clip_from_row
from videoprep.index.schema import SCHEMA
from videoprep.media.inspect import InspectedSample, Inspection
from videoprep.spec.sample import NO_EXTRAS, Extras, Location, Sample

ROOT = Path("/data")

extras = st.just(NO_EXTRAS) | st.builds(
    lambda start, length: Extras(start=start, end=start + length),
    st.integers(0, 12),
    st.integers(1, 12),
)
files = st.builds(
    media,
    st.sampled_from([20, 64, 96, 100, 720]),
    st.sampled_from([20, 64, 96, 100, 480]),
    st.integers(1, 120),
    st.sampled_from([8, 25]),
) | st.just(MediaError("it is no video", code=Code.UNREADABLE))
entries = st.tuples(st.sampled_from("abcde"), st.sampled_from(["one", "two"]), extras)
wishes = st.fixed_dictionaries(
    {
        "reshape": st.sampled_from(["none", "center-crop", "random-crop", "resize", "pad"]),
        "clip_mode": st.sampled_from(["head", "chunk", "slide", "all-frames-stride"]),
        "target_fps": st.sampled_from([None, 8, 12.5]),
        "buckets": st.sampled_from([(), ("5x64x64", "9x64x96"), ("1x32x32",)]),
    }
)


def sample(line: int, name: str, caption: str, of_row: Extras) -> Sample:
    where = Location("list.csv", line)
    return Sample(f"{name}.mp4", caption, ROOT, where, "list.csv", "", of_row)


@given(st.lists(entries, min_size=1, max_size=12), st.lists(files, min_size=5, max_size=5), wishes)
def test_every_sample_is_planned_or_left_out_with_a_reason(rows, found, wish) -> None:
    samples = [sample(line, *row) for line, row in enumerate(rows, start=1)]
    known = dict(zip("abcde", enumerate(found), strict=True))
    # A long file, so that no frame bucket is longer than every clip.
    samples.append(sample(99, "long", "long", NO_EXTRAS))
    known["long"] = 5, media(64, 64, 64, 8)
    inspected = []
    for one in samples:
        alike, of_file = known[one.name.removesuffix(".mp4")]
        inspected.append(InspectedSample(Inspection(of_file, f"{alike:032x}", alike=alike)))
    table = build_table(samples, inspected, policy(**wish))
    assert table.schema == SCHEMA
    made = table.to_pylist()
    by_line: dict[int, list[dict]] = {}
    for row in made:
        by_line.setdefault(row["line"], []).append(row)
    assert list(by_line) == [one.source.line for one in samples], "in the order of the lists"
    for of_sample in by_line.values():
        planned = [row for row in of_sample if row["left_out_code"] is None]
        if planned:
            assert planned == of_sample
            assert [row["clip"] for row in planned] == list(range(len(planned)))
            for row in planned:
                clip = clip_from_row(0, row, ROOT, ())
                assert len(clip.pixels.frames.indices) == row["frames"] == clip.bucket.frames
                assert clip.video_key != clip.image_key
        else:
            (row,) = of_sample
            assert row["left_out_reason"]
            assert row["clip"] is row["video_key"] is row["frames"] is None


@given(st.lists(entries, max_size=30))
def test_names_of_samples_are_distinct_and_keep_their_order(rows) -> None:
    samples = [sample(line, *row) for line, row in enumerate(rows, start=1)]
    names = list(sample_names(samples))
    assert len(set(names)) == len(names) == len(samples)
    parts = Counter((one.name, one.extras) for one in samples)
    alone = {(one.name, one.extras) for one in samples if parts[one.name, one.extras] == 1}
    again = list(sample_names(samples[::-1]))[::-1]
    for one, name, other in zip(samples, names, again, strict=True):
        if (one.name, one.extras) in alone:
            assert name == other
