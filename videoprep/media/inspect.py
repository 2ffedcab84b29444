"""Looks into many videos: each is opened at most once, in a worker process, and remembered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from typing import Any

from videoprep.errors import Code, MediaError
from videoprep.media.cache import FactCache, Facts, Key, key_of
from videoprep.media.frame_scan import FrameScan
from videoprep.media.probe import MediaInfo
from videoprep.media.workers import Answer, Do, Limits, Lost, Request, WorkerPool

# A slow disk reads at least so many bytes a second; decoding all frames takes longer.
_READ_RATE = 4e6
_BLOCK = 512
_DECODE_RATE = 1e5
_DECODE_FACTOR = 10

# Files a worker that are looked up and asked for together.
_WINDOW = 512

_ERROR = '{"error"'
_numbers = count()

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of one file.

    Attributes:
        media: what is in it, or why it cannot be used.
        scan: what decoding every frame showed, where this was asked for.
        alike: a number that files share of which all but the fingerprint is the same.
    """

    media: MediaInfo | MediaError
    scan: FrameScan | None = None
    alike: int | None = None


def inspect_all(
    root: Path,
    paths: Iterable[Path],
    *,
    scan: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Inspection]:
    """Looks into files in parallel; gives one result a path, in the order of the paths.

    Args:
        root: the data root, whose cache is used.
        paths: the files.
        scan: whether to decode every frame, too.
        limits: what one file may take; the time grows with its size.

    Raises:
        VideoprepError: no worker process can be started.
    """
    wanted: tuple[Do, ...] = ("probe", "scan") if scan else ("probe",)
    waiting = iter(paths)
    with FactCache(root) as cache, WorkerPool(limits) as pool:
        while window := list(islice(waiting, _WINDOW * pool.size)):
            known = _look_up(window, cache)
            files = list({id(file): file for file in known}.values())
            if not cache.empty:
                _recognize([file for file in files if file.fingerprint is None], cache, pool)
            for file in files:
                file.read(wanted)
            asked = [file for file in files if file.found is None]
            answers = pool.run([_request(file, wanted, limits) for file in asked])
            for file in known:
                if file.found is None:
                    _take(file, next(answers), wanted, cache)
                assert file.found is not None  # noqa: S101
                yield file.found
                file.uses -= 1
                if not file.uses:
                    file.found = None  # what has been handed on is not kept


@dataclass(slots=True)
class _Known:
    """A file as it was at first, its contents' fingerprint, and what is known of them so far."""

    path: Path
    key: Key | None
    fingerprint: str | None
    facts: Facts
    uses: int = 0
    found: Inspection | None = None

    def read(self, wanted: tuple[Do, ...]) -> None:
        """Makes use of the facts that are known, if they are enough, and are what they should be.

        The cache lies with the dataset, and may come from a stranger.
        """
        if _missing(self.facts, wanted):
            return
        try:
            self.found = _inspection(self.path, self.fingerprint, self.facts, wanted)
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
            self.facts = {}


def _look_up(paths: list[Path], cache: FactCache) -> list[_Known]:
    """One for each path; paths to one unchanged file share theirs."""
    keys = [key_of(path) for path in paths]
    facts = cache.get(keys)
    shared: dict[Key | Path, _Known] = {}
    known = []
    for path, key in zip(paths, keys, strict=True):
        fingerprint, of_file = facts.get(key, (None, {})) if key is not None else (None, {})
        file = shared.setdefault(key or path, _Known(path, key, fingerprint, of_file))
        file.uses += 1
        known.append(file)
    return known


def _request(file: _Known, wanted: tuple[Do, ...], limits: Limits) -> Request:
    missing = _missing(file.facts, wanted)
    seconds = _seconds(file.path, missing, limits)
    return Request(("fingerprint", *missing), file.path, seconds)


def _recognize(unknown: list[_Known], cache: FactCache, pool: WorkerPool) -> None:
    """Files that were moved, copied or touched hold what was looked into before."""
    requests = [
        Request(("fingerprint",), file.path, _seconds(file.path, ("probe",), pool.limits))
        for file in unknown
    ]
    for file, answer in zip(unknown, pool.run(requests), strict=True):
        if isinstance(answer, Lost) or "error" in answer["fingerprint"]:
            continue  # opening it will say why
        fingerprint = answer["fingerprint"]["value"]
        file.facts = cache.of_contents(fingerprint)
        if file.facts:
            file.fingerprint = fingerprint
            cache.put(file.key, fingerprint, {})


def _missing(facts: Facts, wanted: tuple[Do, ...]) -> tuple[Do, ...]:
    if any(text.startswith(_ERROR) for text in facts.values()):
        return ()  # what does not open does not decode
    return tuple(kind for kind in wanted if kind not in facts)


def _seconds(path: Path, do: tuple[Do, ...], limits: Limits) -> float:
    try:
        status = path.stat()
        # A file may be said to be longer than the disk it takes: holes cost no time to speak of.
        size = min(status.st_size, status.st_blocks * _BLOCK or status.st_size)
    except OSError:
        size = 0  # opening it will say what is wrong
    seconds = 0.0
    if "probe" in do:
        seconds += limits.seconds + size / _READ_RATE
    if "scan" in do:
        seconds += _DECODE_FACTOR * limits.seconds + size / _DECODE_RATE
    return seconds


def _take(file: _Known, answer: Answer | Lost, wanted: tuple[Do, ...], cache: FactCache) -> None:
    """Adds the facts in an answer; those that last are remembered."""
    if isinstance(answer, Lost):
        file.found = Inspection(_lost(file.path, answer))
        return
    hashed = answer.pop("fingerprint")
    if "error" in hashed:
        answer["probe"] = hashed
    fingerprint = hashed.get("value")
    fresh = {kind: (_text(fact), fact.get("lasts", True)) for kind, fact in answer.items()}
    if fingerprint is not None:
        lasting = {kind: text for kind, (text, lasts) in fresh.items() if lasts}
        cache.put(file.key, fingerprint, lasting)
    facts = file.facts | {kind: text for kind, (text, _) in fresh.items()}
    file.found = _inspection(file.path, fingerprint, facts, wanted)


def _text(fact: dict[str, Any]) -> str:
    """A fact as it is kept: without the fingerprint, so that files that are alike have one text."""
    if "error" in fact:
        return json.dumps({"error": fact["error"]})
    value = fact["value"]
    return json.dumps({"value": {name: value[name] for name in value if name != "fingerprint"}})


def _inspection(
    path: Path, fingerprint: str | None, facts: Facts, wanted: tuple[Do, ...]
) -> Inspection:
    for text in facts.values():
        if text.startswith(_ERROR):
            return Inspection(_error(path, json.loads(text)["error"]))
    alike, media = _media(facts["probe"])
    scan = None
    if "scan" in wanted:
        scan = FrameScan.from_json(json.loads(facts["scan"])["value"])
    return Inspection(media.with_fingerprint(fingerprint or ""), scan, alike)


@lru_cache(maxsize=4096)
def _media(text: str) -> tuple[int, MediaInfo]:
    """Most files of a dataset have the same size, length and rate: each kind is read once."""
    return next(_numbers), MediaInfo.from_json({**json.loads(text)["value"], "fingerprint": ""})


def _error(path: Path, error: dict[str, Any]) -> MediaError:
    return MediaError(
        error["message"], code=Code(error["code"]), where=str(path), remedy=error["remedy"]
    )


def _lost(path: Path, lost: Lost) -> MediaError:
    remedy = "re-encode the file, or remove the sample"
    if lost.why == "time":
        return MediaError(
            f"opening it {lost.detail}",
            code=Code.TIME_LIMIT,
            where=str(path),
            remedy=f"{remedy}; on a slow disk, validate once with a higher --time-limit",
        )
    return MediaError(
        f"opening it crashes the decoder: {lost.detail}",
        code=Code.DECODER_CRASH,
        where=str(path),
        remedy=remedy,
    )
