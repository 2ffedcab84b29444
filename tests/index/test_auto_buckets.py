"""Chosen buckets keep the limits, serve all orientations and lose little; any order, any size."""

from __future__ import annotations

from itertools import combinations
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoprep.errors import PlanError
from videoprep.families.profile import DEFAULT, FrameRule, Profile
from videoprep.index.auto_buckets import MIN_KEPT, Floor, Shapes, assign, choose_buckets, loss
from videoprep.index.bucket import Bucket

LATENT = Profile("latent", divisor=16, frame_rules=(FrameRule(8, 1),))

clips = st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 400)))
few_clips = st.lists(
    st.tuples(st.integers(32, 256), st.integers(32, 256), st.sampled_from((5, 9, 30))),
    min_size=1,
    max_size=3,
)
buckets = st.lists(
    st.builds(
        Bucket,
        st.integers(1, 100),
        st.integers(1, 20).map(lambda n: 64 * n),
        st.integers(1, 20).map(lambda n: 64 * n),
    ),
    max_size=6,
)
limits = st.fixed_dictionaries(
    {
        "max_pixels": st.one_of(st.none(), st.integers(32 * 32, 2_000_000)),
        "max_frames": st.integers(1, 200),
        "crops": st.booleans(),
        "enlarges": st.booleans(),
    }
)


def shapes(rows: list[tuple[int, int, int]]) -> Shapes:
    """Of clips that are given as width, height and frames."""
    return Shapes.of(*np.array(rows, np.int64).reshape(-1, 3).T)


def chosen(rows: list[tuple[int, int, int]], **options) -> tuple[str, ...]:
    options = {"max_pixels": 480 * 720, "max_frames": 49, **options}
    return tuple(map(str, choose_buckets(shapes(rows), DEFAULT, **options)))


def reference(row: tuple[int, int, int], among: list[Bucket], enlarges: bool) -> int:
    """The rule again, in plain Python, for one clip."""
    width, height, frames = row

    def key(number: int) -> tuple[float, float, int, int]:
        bucket = among[number]
        aspect = abs(log((bucket.width * height) / (bucket.height * width)))
        area = abs(log((bucket.width * bucket.height) / (width * height)))
        return round(aspect, 9), round(area, 12), -bucket.frames, number

    fitting = [
        number
        for number, bucket in enumerate(among)
        if bucket.frames <= frames
        and (enlarges or (bucket.width <= width and bucket.height <= height))
    ]
    return min(fitting, key=key, default=-1)


@given(clips, st.randoms())
def test_shapes_are_counted_in_any_order(rows, random) -> None:
    found = shapes(rows)
    listed = list(zip(found.widths, found.heights, found.frames, strict=True))
    assert listed == sorted(set(rows))
    assert found.counts.tolist() == [rows.count(row) for row in listed]
    random.shuffle(rows)
    again = shapes(rows)
    for name in ("widths", "heights", "frames", "counts"):
        assert getattr(found, name).dtype == np.int64
        assert np.array_equal(getattr(found, name), getattr(again, name))


@pytest.mark.parametrize(
    "columns",
    [([64], [64], [1, 2]), ([0], [64], [1]), ([64], [-1], [1]), ([64], [64], [-1]),
     ([64], [1 << 20], [1]), ([64], [64], [1 << 23]), (64, 64, 1)],
)  # fmt: skip
def test_shapes_that_no_video_has(columns) -> None:
    with pytest.raises(PlanError):
        Shapes.of(*columns)


@given(clips.filter(bool), buckets, st.booleans())
def test_the_rule_sends_clips_to_the_nearest_shape(rows, among, enlarges) -> None:
    found = shapes(rows)
    listed = zip(found.widths.tolist(), found.heights.tolist(), found.frames.tolist(), strict=True)
    expected = [reference(row, among, enlarges) for row in listed]
    assert assign(found, among, enlarges=enlarges).tolist() == expected


@given(clips, buckets, limits)
def test_a_loss_is_a_share(rows, among, options) -> None:
    found = loss(shapes(rows), among, **options)
    assert -1e-9 <= found <= 1
    if rows and not among:
        assert found == 1


@pytest.mark.parametrize(
    ("row", "bucket", "options", "kept"),
    [
        ((640, 480, 49), Bucket(49, 480, 640), {}, 1),
        ((640, 480, 98), Bucket(49, 480, 640), {}, 1),
        ((640, 480, 98), Bucket(49, 480, 640), {"max_frames": 98}, 1 / 2),
        ((640, 480, 40), Bucket(20, 480, 640), {}, 1 / 2),
        ((640, 480, 49), Bucket(49, 480, 480), {}, 3 / 4),
        ((640, 480, 49), Bucket(49, 480, 480), {"crops": False}, 9 / 16),
        ((640, 480, 49), Bucket(49, 240, 320), {}, 1 / 4),
        ((640, 480, 49), Bucket(49, 240, 320), {"max_pixels": 240 * 320}, 1),
        ((640, 480, 49), Bucket(49, 240, 160), {}, 1 / 8),
        ((640, 480, 48), Bucket(49, 480, 640), {}, 0),
        ((640, 480, 49), Bucket(49, 960, 1280), {}, 0),
        ((640, 480, 49), Bucket(49, 960, 1280), {"enlarges": True}, 1),
    ],
)
def test_what_is_kept(row, bucket: Bucket, options, kept: float) -> None:
    options = {"max_pixels": None, "max_frames": 49, **options}
    assert loss(shapes([row]), [bucket], **options) == pytest.approx(1 - kept)


@settings(deadline=None)
@given(
    clips,
    st.sampled_from([DEFAULT, LATENT]),
    limits,
    st.lists(st.sampled_from([1, 9, 17, 33, 49, 81]), max_size=3, unique=True),
    st.one_of(st.none(), st.integers(1, 6)),
    st.randoms(),
)
def test_choices_are_legal_and_do_not_depend_on_order(
    rows, profile: Profile, options, counts, number, random
) -> None:
    counts = tuple(n for n in counts if n <= options["max_frames"])
    found = choose_buckets(shapes(rows), profile, frame_counts=counts, number=number, **options)
    for bucket in found:
        assert profile.accepts_size(bucket.width, bucket.height)
        assert profile.accepts_frames(bucket.frames)
        assert bucket.frames <= options["max_frames"]
        assert not counts or bucket.frames in counts
        assert (
            options["max_pixels"] is None or bucket.width * bucket.height <= options["max_pixels"]
        )
    assert len(found) <= (16 if number is None else number)
    assert list(found) == sorted(set(found))
    floor = Floor(MIN_KEPT, profile.divisor, options["max_pixels"], options["crops"])
    used = assign(shapes(rows), found, enlarges=options["enlarges"], floor=floor)
    assert set(range(len(found))) <= set(used.tolist())
    side = 1 if options["enlarges"] else profile.divisor
    shortest = min(counts, default=profile.nearest_frames(0)[0])
    if any(min(width, height) >= side and frames >= shortest for width, height, frames in rows):
        # A picture as narrow as a bucket keeps too little of itself, if it is long.
        wide = {"frame_counts": counts, "number": number, "min_kept": 0.0, **options}
        assert choose_buckets(shapes(rows), profile, **wide)
    else:
        assert found == ()
    random.shuffle(rows)
    again = choose_buckets(shapes(rows), profile, frame_counts=counts, number=number, **options)
    assert again == found


@settings(deadline=None)
@given(few_clips, limits, st.one_of(st.none(), st.integers(1, 4)))
def test_choices_are_never_worse_than_one_bucket_of_a_clip(rows, options, number) -> None:
    found = shapes(rows)
    chosen = choose_buckets(found, DEFAULT, number=number, min_kept=0, **options)
    several = loss(found, chosen, **options)
    for width, height, _ in rows:
        own_width, own_height = DEFAULT.size_within(width, height)
        if options["max_pixels"] is None or own_width * own_height <= options["max_pixels"]:
            for frames in {
                DEFAULT.frames_within(min(row[2], options["max_frames"])) for row in rows
            }:
                assert (
                    several
                    <= loss(found, [Bucket(frames, own_height, own_width)], **options) + 1e-9
                )


def test_one_shape_gets_one_bucket_near_the_limit() -> None:
    (bucket,) = choose_buckets(
        shapes([(1920, 1080, 300)] * 100), DEFAULT, max_pixels=480 * 720, max_frames=49
    )
    assert bucket == Bucket(49, 448, 768)
    assert bucket.width * bucket.height > 0.99 * 480 * 720
    assert abs(log(bucket.width / bucket.height) - log(16 / 9)) < 0.05


def test_legal_sizes_are_taken_as_they_are() -> None:
    assert chosen([(704, 480, 49)] * 8) == ("49×480×704",)
    assert chosen([(704, 480, 49)] * 8 + [(320, 256, 49)] * 8) == ("49×256×320", "49×480×704")


def test_portrait_square_and_landscape_get_their_own_shape() -> None:
    rows = [(1920, 1080, 60)] * 9 + [(1080, 1920, 60)] * 3 + [(1080, 1080, 60)]
    three = ("49×448×768", "49×576×576", "49×768×448")
    assert chosen(rows) == three
    assert chosen(rows, number=3) == three
    assert chosen(rows, number=2) == ("49×448×768", "49×768×448")
    assert chosen(rows, number=1) == ("49×448×768",)


@pytest.mark.parametrize("number", [None, 2, 4])
def test_one_portrait_in_a_thousand_gets_a_bucket(number) -> None:
    rows = [(1920, 1080, 20 + n % 40) for n in range(1000)] + [(1080, 1920, 60)]
    found = choose_buckets(
        shapes(rows), DEFAULT, max_pixels=480 * 720, max_frames=49, number=number
    )
    assert any(bucket.height > bucket.width for bucket in found)


def test_short_clips_get_a_shorter_bucket() -> None:
    rows = [(704, 480, 49)] * 10 + [(704, 480, 10)] * 10
    assert chosen(rows) == ("9×480×704", "49×480×704")
    assert chosen(rows, frame_counts=(5, 17, 33)) == ("5×480×704", "33×480×704")


def test_a_small_dataset_gets_few_buckets() -> None:
    rows = [(720, 480, 49)] * 5 + [(368, 240, 49), (320, 240, 132), (480, 270, 390)]
    assert len(chosen(rows)) == 4
    assert chosen(rows, number=2) == ("49×224×320", "49×480×704")
    assert len(chosen([(720, 480, 49), (368, 240, 49)] * 3)) == 2, "no more than help"


# A few clips of 480p and more, and a GIF and a clip of 240p beside them.
MIXED = [
    (854, 480, 96), (640, 360, 120), (1280, 720, 96), (1920, 1080, 60), (1080, 1920, 60),
    (720, 1280, 60), (320, 214, 60), (320, 240, 60), (426, 240, 60), (640, 480, 100),
    (480, 270, 300), (720, 720, 60),
]  # fmt: skip


def kept(rows: list[tuple[int, int, int]], among, floor: Floor) -> list[float]:
    """What each clip keeps in its bucket, as a share; 0 where it is skipped."""
    found = shapes(rows)
    numbers = assign(found, among, floor=floor)
    sizes = np.array([(b.width, b.height) for b in among])[numbers].T
    shares = floor.kept(found.widths, found.heights, *sizes)
    return np.where(numbers < 0, 0, shares).tolist()


def test_no_clip_is_ruined_by_smaller_neighbours() -> None:
    none, floor = Floor(0, 32, None, True), Floor(0.5, 32, None, True)
    without = choose_buckets(shapes(MIXED), DEFAULT, max_pixels=None, max_frames=49, min_kept=0)
    assert min(kept(MIXED, without, none)) < 0.2, "else this shows nothing"
    found = choose_buckets(shapes(MIXED), DEFAULT, max_pixels=None, max_frames=49)
    assert min(kept(MIXED, found, floor)) >= 0.5, "and none is skipped"
    assert len(without) < len(found) <= 8


def test_an_outlier_is_left_out_where_there_may_be_no_more_buckets() -> None:
    rows = [(320, 240, 49)] * 9 + [(854, 480, 49)]
    floor = Floor(0.5, 32, None, True)
    options = {"max_pixels": None, "number": 1}
    assert chosen(rows, **options) == ("49×224×320",)
    assert kept(rows, [Bucket(49, 224, 320)], floor)[-1] == 0
    assert chosen(rows, max_pixels=None) == ("49×224×320", "49×480×832")


def test_a_rare_outlier_gets_no_bucket() -> None:
    rows = [(320, 240, 49)] * 5000 + [(854, 480, 49)]
    assert chosen(rows, max_pixels=None) == ("49×224×320",)
    assert len(chosen(rows + [(854, 480, 49)] * 5, max_pixels=None)) == 2


@given(clips, limits)
def test_a_bucket_of_its_own_is_always_enough(rows, options) -> None:
    options = {name: options[name] for name in ("max_pixels", "crops")}
    for width, height, _ in rows:
        floor = Floor(1, 32, **options)
        scale = min(1, (options["max_pixels"] or 10**9) / (width * height)) ** 0.5
        own = [max(1, int(side * scale // 32)) * 32 for side in (width, height)]
        assert floor.allows(width, height, *own)


def test_enlarging_makes_small_clips_fit() -> None:
    assert chosen([(20, 20, 49)]) == ()
    assert chosen([(20, 20, 49)], enlarges=True) == ("49×32×32",)


def test_nothing_fits() -> None:
    assert chosen([]) == ()
    assert chosen([(31, 500, 49), (500, 500, 0)]) == ()
    assert chosen([(500, 500, 16)], frame_counts=(17,)) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_pixels": 1023}, "has 1023 pixels or fewer"),
        ({"max_frames": 0}, "has 1 frames, more than 0"),
        ({"frame_counts": (17, 33), "max_frames": 16}, "has 17 frames, more than 16"),
        ({"frame_counts": (17, 18, 19)}, "not 4k or 4k[+]1: 18, 19"),
        ({"number": 0}, "0 buckets"),
    ],
)
def test_limits_that_allow_no_bucket(options, message: str) -> None:
    with pytest.raises(PlanError, match=message) as raised:
        chosen([(704, 480, 49)], **options)
    assert raised.value.remedy


@pytest.mark.parametrize("seed", range(6))
def test_two_buckets_are_almost_the_best_two(seed: int) -> None:
    random = np.random.default_rng(seed)
    common = [(320, 180), (256, 144), (240, 180), (352, 240), (300, 200), (288, 160)]
    sizes = [common[n] for n in random.choice(len(common), 4)]
    rows = [(*size, int(random.choice((17, 33)))) for size in sizes]
    options = {"max_pixels": int(random.choice((160 * 256, 200 * 320))), "max_frames": 33}
    legal = [
        Bucket(frames, height, width)
        for frames in (17, 33)
        for height in range(64, 256, 32)
        for width in range(128, 384, 32)
        if height * width <= options["max_pixels"]
    ]
    found = shapes(rows)
    best = min(loss(found, pair, **options) for pair in combinations(legal, 2))
    ours = loss(found, choose_buckets(found, DEFAULT, number=2, **options), **options)
    assert ours <= best + 0.02


def test_many_different_shapes() -> None:
    random = np.random.default_rng(0)
    many = Shapes.of(
        random.integers(200, 2000, 30_000),
        random.integers(200, 2000, 30_000),
        random.integers(1, 400, 30_000),
    )
    options = {"max_pixels": 720 * 1280, "max_frames": 81}
    losses = []
    for number in (1, 4, 16):
        found = choose_buckets(many, DEFAULT, number=number, **options)
        assert len(found) == number
        losses.append(loss(many, found, **options))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5
