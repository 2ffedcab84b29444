"""Who waits for a video gets it, gives up, or is told: nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.small_store import wait_until
from videoprep import DatasetSpec
from videoprep.errors import VideoprepError
from videoprep.index.policy import Policy
from videoprep.index.survey import resolve
from videoprep.review.clips import ClipVideos
from videoprep.review.video_orders import VideoOrders

SOON = 60
"""Seconds in which any of this is done."""


@pytest.fixture
def orders() -> Iterator[VideoOrders[str, None]]:
    orders = VideoOrders[str, None](most=3)
    yield orders
    orders.close()


def test_the_last_one_asked_for_is_made_first(orders: VideoOrders[str, None]) -> None:
    for key in ("a", "b", "c", "a"):
        orders.ask(key, None)
    taken = [orders.take() for _ in range(3)]
    assert [order.key for order in taken if order] == ["a", "c", "b"]


def test_only_the_last_ones_wait(orders: VideoOrders[str, None]) -> None:
    asked = [orders.ask(key, None) for key in "abcde"]
    assert len(orders) == 3
    for order in asked[:2]:
        with pytest.raises(VideoprepError, match="too many clips"):
            order.video.result(SOON)
    assert not any(order.video.done() for order in asked[2:])


def test_what_nobody_waits_for_is_not_begun(orders: VideoOrders[str, None]) -> None:
    one, same, other = (orders.ask(key, None) for key in "aab")
    orders.leave(one)
    assert len(orders) == 2
    orders.leave(same)
    assert len(orders) == 1
    assert orders.take() is other
    orders.leave(other)
    assert orders.ask("b", None) is other  # it is being made
    orders.finish(other, b"video")
    assert other.video.result(SOON) == b"video"
    assert orders.ask("b", None) is not other


def test_closing_ends_all_waiting(orders: VideoOrders[str, None]) -> None:
    begun = orders.ask("a", None)
    with ThreadPoolExecutor(2) as threads:
        assert orders.take() is begun
        idle = threads.submit(orders.take)
        orders.close()
        assert idle.result(SOON) is None
    with pytest.raises(VideoprepError, match="has ended"):
        begun.video.result(SOON)
    orders.finish(begun, b"too late")
    with pytest.raises(VideoprepError, match="has ended"):
        orders.ask("b", None)


@pytest.fixture
def videos(dataset: Path) -> Iterator[ClipVideos]:
    spec = DatasetSpec.from_path(dataset)
    samples = [state.sample for state in spec.caption_states()]
    policy = resolve(Policy.of(spec), spec.data_root, samples)
    videos = ClipVideos(spec.data_root, policy)
    yield videos
    videos.close()


def test_a_video_that_is_asked_for_after_the_end_is_refused(
    videos: ClipVideos, dataset: Path
) -> None:
    sample = DatasetSpec.from_path(dataset).caption_states()[0].sample
    assert videos.video(0, sample, 0)
    videos.close()
    refused: list[str] = []

    def ask() -> None:
        try:
            videos.video(1, sample, 0)
        except VideoprepError as error:
            refused.append(error.message)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SOON)
    assert refused == ["the review has ended"]


def test_a_video_that_is_not_wanted_any_more_is_given_up(videos: ClipVideos, dataset: Path) -> None:
    sample = DatasetSpec.from_path(dataset).caption_states()[0].sample
    asked = 0

    def is_wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked < 2

    videos._start = lambda: None  # type: ignore[method-assign] # whoever makes them is busy
    with pytest.raises(VideoprepError, match="nobody waits"):
        videos.video(0, sample, 0, is_wanted)
    assert asked == 2
    assert len(videos._orders) == 0


def test_everybody_who_waits_is_told_of_the_end(videos: ClipVideos, dataset: Path) -> None:
    sample = DatasetSpec.from_path(dataset).caption_states()[0].sample
    videos._start = lambda: None  # type: ignore[method-assign] # whoever makes them is busy
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(videos.video, at, sample, 0) for at in range(3)]
        wait_until(lambda: len(videos._orders) == 3)
        videos.close()
        for one in waiting:
            with pytest.raises(VideoprepError, match="has ended"):
                one.result(SOON)
