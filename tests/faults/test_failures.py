"""Clips that cannot be made: each fails alone, with its reason, to be taken up again."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import videoprep as vp
from tests.support.small_store import (
    Small,
    counts,
    failures,
    hidden,
    receipts,
    result_of,
    visible,
)

_ALL_BUT_ONE = {
    "video_latents": (2, 0, 1),
    "image_latents": (2, 0, 1),
    "prompt_embeds": (3, 0, 0),
}


def _tensors(store: Path) -> dict[tuple[str, str], torch.Tensor]:
    """What a reader gets: tensors by video and component."""
    data = vp.LatentDataset(store)
    return {
        (item["metadata"]["video"], component): item[component]
        for item in data
        for component in data.components
    }


def _require_tensors(store: Path, whole: Path, without: str | None = None) -> None:
    found, expected = _tensors(store), _tensors(whole)
    expected = {key: tensor for key, tensor in expected.items() if key[0] != without}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("ranks", [0, 2])
@pytest.mark.parametrize(
    ("rule", "options", "code", "reason"),
    [
        ("decode=segv*0@b.mp4", [], "VP106", "decoding it crashes the decoder: killed by SIGSEGV"),
        ("decode=kill*0@b.mp4", [], "VP106", "decoding it crashes the decoder: killed by SIGKILL"),
        ("decode=hang*0@b.mp4", ["--time-limit", "0.1"], "VP105", "took more than 1 seconds"),
        ("decode=memory*0@b.mp4", [], "VP107", "memory"),
        ("decode=eio*0@b.mp4", [], "VP401", "Input/output error"),
    ],
)
def test_a_clip_that_does_not_decode(
    small: Small, rule: str, options: list[str], code: str, reason: str, ranks: int
) -> None:
    if ranks and "segv" not in rule:
        pytest.skip("ranks decode as one process does")
    bad = {"VIDEOPREP_FAILPOINTS": rule}
    first = small.run(*options, ranks=ranks, **bad)
    assert first.returncode == 1
    result = {} if ranks else result_of(first)
    if not ranks:
        assert counts(result) == _ALL_BUT_ONE
        assert (result["samples"], result["clips"], result["complete"]) == (3, 3, 2)
        assert (result["failed"], result["pending"], result["left_out"]) == (1, 0, [])
    told = failures(small.store)
    assert [(line["component"], line["video"], line["code"]) for line in told] == [
        ("video_latents", "videos/b.mp4", code),
        ("image_latents", "videos/b.mp4", code),
    ]
    assert all(reason in line["reason"] and line["attempt"] == 1 for line in told)
    assert hidden(small.store) == []
    _require_tensors(small.store, small.whole, without="videos/b.mp4")

    mended = small.run("--retry-failed")
    assert (mended.returncode, result_of(mended)["encoded"]) == (0, 2)
    assert failures(small.store) == []
    _require_tensors(small.store, small.whole)
    assert hidden(small.store) == []


def test_a_clip_that_failed_is_tried_again_if_that_is_asked_for(small: Small) -> None:
    bad = {"VIDEOPREP_FAILPOINTS": "decode=segv*0@b.mp4"}
    assert small.run(**bad).returncode == 1
    before = visible(small.store)
    again = small.run()
    assert (again.returncode, result_of(again)["encoded"]) == (1, 0)
    assert visible(small.store) == before
    worse = small.run("--retry-failed", **bad)
    assert (worse.returncode, result_of(worse)["encoded"]) == (1, 0)
    assert [line["attempt"] for line in failures(small.store)] == [2, 2]


def test_a_repair_keeps_how_often_a_clip_has_failed(small: Small) -> None:
    """Both receipts of an artifact that failed twice are damaged: the list still tells."""
    bad = {"VIDEOPREP_FAILPOINTS": "decode=segv*0@b.mp4"}
    small.run(**bad)
    small.run("--retry-failed", **bad)
    before = visible(small.store)
    for receipt in receipts(small.store):
        if json.loads(receipt.read_bytes())["failures"]:
            receipt.write_bytes(receipt.read_bytes()[:-9])
    process = small.warm.start("verify", small.store, "--repair", **bad)
    process.wait()
    assert visible(small.store) == before, process.stdout


def test_a_clip_that_crashes_its_decoder_once_is_made(small: Small, tmp_path: Path) -> None:
    once = {"VIDEOPREP_FAILPOINTS_ONCE": str(tmp_path / "once")}
    small.finish(VIDEOPREP_FAILPOINTS="decode=segv@b.mp4", **once)


@pytest.mark.parametrize(
    ("trouble", "code", "reason"),
    [
        ("not-finite", "VP402", "not finite"),
        ("no-memory", "VP404", "memory does not suffice for this clip alone, not even in tiles"),
    ],
)
def test_a_clip_that_cannot_be_encoded(small: Small, trouble: str, code: str, reason: str) -> None:
    first = small.run(TEST_SPOILED=trouble)
    assert first.returncode == 1, first.stderr
    result = result_of(first)
    assert (result["ok"], result["failed"], result["complete"]) == (False, 1, 2)
    assert counts(result) == _ALL_BUT_ONE
    told = failures(small.store)
    assert [(line["video"], line["code"]) for line in told] == [("videos/b.mp4", code)] * 2
    assert all(reason in line["reason"] and line["attempt"] == 1 for line in told)
    _require_tensors(small.store, small.whole, without="videos/b.mp4")
    worse = small.run("--retry-failed", TEST_SPOILED=trouble)
    assert (worse.returncode, result_of(worse)["encoded"]) == (1, 0)
    assert [line["attempt"] for line in failures(small.store)] == [2, 2]
    again = small.run()
    assert (again.returncode, result_of(again)["encoded"]) == (1, 0)
    mended = small.run("--retry-failed")
    assert (mended.returncode, result_of(mended)["encoded"]) == (0, 2)
    _require_tensors(small.store, small.whole)


def test_a_clip_that_needs_tiles_is_marked(small: Small) -> None:
    for encoded in (9, 0):
        done = small.run(TEST_SPOILED="no-memory-untiled")
        assert done.returncode == 0, done.stderr
        result = result_of(done)
        assert (result["encoded"], result["complete"], result["tiled"]) == (encoded, 3, 2)
    # The tiny model's clips are smaller than one tile.
    _require_tensors(small.store, small.whole)


@pytest.mark.parametrize("ranks", [0, 2])
def test_max_failures_stops_early_and_keeps_what_is_committed(small: Small, ranks: int) -> None:
    rule = {"VIDEOPREP_FAILPOINTS": "decode=eio*0@b.mp4"}
    stopped = small.run("--max-failures", 0, ranks=ranks, **rule)
    assert stopped.returncode == 1
    assert "more than --max-failures 0" in " ".join(stopped.stderr.split())
    assert "Traceback" not in stopped.stderr or ranks
    committed = receipts(small.store)
    assert 4 <= len(committed) < 9 or ranks
    again = small.run("--max-failures", 2, "--retry-failed", **rule)
    assert again.returncode == 1
    assert (len(failures(small.store)), hidden(small.store)) == (2, [])
    mended = small.run("--retry-failed", "--max-failures", 0)
    assert mended.returncode == 0, mended.stderr
    _require_tensors(small.store, small.whole)


@pytest.mark.parametrize("place", ["clip.encoding=kill*0@b.mp4", "clip.encoding=segv*0@b.mp4"])
def test_a_clip_that_kills_the_process(small: Small, place: str) -> None:
    """Run after run; in the end it alone fails, and all others are there."""
    rule = {"VIDEOPREP_FAILPOINTS": place}
    codes = []
    for _ in range(20):
        run = small.run(**rule)
        codes.append(run.returncode)
        if run.returncode >= 0:
            break
    assert set(codes[:-1]) <= {-signal.SIGKILL, -signal.SIGSEGV}
    assert codes[-1] == 1
    # Its video and its first frame, each of which has to kill five times.
    assert len(codes) <= 2 * 5 + 1
    told = failures(small.store)
    assert [(line["video"], line["code"]) for line in told] == [("videos/b.mp4", "VP405")] * 2
    assert "died 3 times in a row" in told[0]["reason"]
    _require_tensors(small.store, small.whole, without="videos/b.mp4")
    assert hidden(small.store) == []
    mended = small.run("--retry-failed")
    assert (mended.returncode, result_of(mended)["encoded"]) == (0, 2)
    _require_tensors(small.store, small.whole)


@pytest.mark.slow
def test_a_clip_that_kills_ranks_is_found_under_torchrun(small: Small) -> None:
    """One command: torchrun starts the ranks again until the clip fails."""
    rule = {"VIDEOPREP_FAILPOINTS": "clip.encoding=kill*0@b.mp4"}
    done = small.run(ranks=2, restarts=12, **rule)
    assert done.returncode == 1
    assert [line["code"] for line in failures(small.store)] == ["VP405"] * 2
    _require_tensors(small.store, small.whole, without="videos/b.mp4")
    mended = small.run("--retry-failed")
    assert mended.returncode == 0
    _require_tensors(small.store, small.whole)


@pytest.mark.slow
def test_a_clip_of_a_large_unit_kills_the_process(own_small: Small) -> None:
    """A unit of several clips: the others of the unit are committed without it."""
    small = own_small
    driver = {"TEST_UNIT_PARTS": "1"}
    rule = {"VIDEOPREP_FAILPOINTS": "clip.encoding=kill*0@b.mp4"}
    whole = small.at(small.whole)
    assert whole.run(**driver).returncode == 0
    assert len(receipts(small.whole)) < 9, "units hold several clips"
    for _ in range(12):
        run = small.run(**rule, **driver)
        if run.returncode != -signal.SIGKILL:
            break
    assert run.returncode == 1, run.stderr
    assert [(e["video"], e["code"]) for e in failures(small.store)] == [
        ("videos/b.mp4", "VP405")
    ] * 2
    _require_tensors(small.store, small.whole, without="videos/b.mp4")
    assert small.run("--retry-failed", **driver).returncode == 0
    _require_tensors(small.store, small.whole)


def test_a_large_unit_is_committed_without_its_bad_clip(own_small: Small) -> None:
    driver = {"TEST_UNIT_PARTS": "1"}
    own_small.at(own_small.whole).run(**driver)
    bad = own_small.run(VIDEOPREP_FAILPOINTS="decode=segv*0@b.mp4", **driver)
    assert bad.returncode == 1
    assert counts(result_of(bad)) == _ALL_BUT_ONE
    _require_tensors(own_small.store, own_small.whole, without="videos/b.mp4")
    assert own_small.run("--retry-failed", **driver).returncode == 0
    _require_tensors(own_small.store, own_small.whole)


def test_a_caption_that_kills_the_process(small: Small) -> None:
    receipt = next(path for path in receipts(small.whole) if "prompt_embeds" in path.parts)
    key = json.loads(receipt.read_bytes())["tensors"][0]["key"]
    rule = {"VIDEOPREP_FAILPOINTS": f"clip.encoding=kill*0@{key}"}
    codes = [small.run(**rule).returncode for _ in range(6)]
    assert codes == [-signal.SIGKILL] * 5 + [1]
    assert [line["code"] for line in failures(small.store)] == ["VP405"]
    mended = small.run("--retry-failed")
    assert mended.returncode == 0
    _require_tensors(small.store, small.whole)


def test_damaged_frames_are_taken_only_if_that_is_asked_for(small: Small, tmp_path: Path) -> None:
    """A bit is flipped in the picture data of one video."""
    own = replace(small, dataset=shutil.copytree(small.dataset, tmp_path / "copy"))
    video = own.dataset / "videos" / "b.mp4"
    data = bytearray(video.read_bytes())
    data[data.index(b"mdat") + 800] ^= 16
    video.write_bytes(data)
    first = own.run()
    assert first.returncode == 1
    assert {(line["video"], line["code"]) for line in failures(own.store)} == {
        ("videos/b.mp4", "VP407")
    }
    assert not (own.store / "damaged.jsonl").exists()
    second = own.run("--allow-damaged", "--retry-failed")
    assert second.returncode == 0, second.stderr
    told = [json.loads(line) for line in (own.store / "damaged.jsonl").open()]
    assert {line["video"] for line in told} == {"videos/b.mp4"}
    assert result_of(second)["damaged"] == told
    assert all("the decoder says" in line["damage"] for line in told)
    assert vp.verify(own.store).ok
