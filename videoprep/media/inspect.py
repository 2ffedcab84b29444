"""Looks into many files: each is opened at most once, in a worker process, and remembered."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from videoprep.errors import Code, MediaError
from videoprep.failpoints import reach
from videoprep.fs.fact_cache import FactCache, Facts, Key, keys_of, staged_key
from videoprep.fs.mirror import Remote, remote_of, shown
from videoprep.media.commands import for_file
from videoprep.media.frame_scan import FrameScan
from videoprep.media.probe import MediaInfo
from videoprep.media.scene_scan import SceneScores
from videoprep.media.shot_scores import ShotScores
from videoprep.media.sound_file import SoundInfo
from videoprep.media.sound_scan import SoundScan
from videoprep.media.staged import groups_here
from videoprep.spec.roles import AUDIO, Alignment, Role
from videoprep.spec.sample import Sample
from videoprep.workers.pool import Answer, Do, InspectionRequest, Limits, Lost, WorkerPool

# A slow disk reads at least so many bytes a second; decoding all frames takes longer.
_READ_RATE = 4e6
_BLOCK = 512
_DECODE_RATE = 1e5
_DECODE_FACTOR = 10

# Files a worker that are looked up and asked for together.
_WINDOW = 512

# The same of films of which much is to be known: megabytes each.
_LARGE_WINDOW = 4

_ERROR = '{"error"'

# Versions that could not read still images remembered them with this code.
_REFUSED_STILL = f'"{Code.STILL_IMAGE.value}"'
_numbers = count()

DEFAULT_LIMITS = Limits()

_NOTHING: tuple[str, Facts] = ("", {})

OnFileDecoded = Callable[[Path, int], None]
"""Called with a file and how many of its frames are decoded."""

Wanted = tuple[Do, ...]
"""What is to be found out about a file, one after the other."""

_PICTURE: Wanted = ("probe",)
_SCANNED: Wanted = ("probe", "scan")
_SOUND: Wanted = ("sound",)
_HEARD: Wanted = ("sound_scan",)

# What is looked for in a file, by how it follows the video of its sample.
_LOOKS: Mapping[Alignment, Wanted] = {"frames": _PICTURE, "time": _SOUND, "free": _PICTURE}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of one file.

    Attributes:
        shared: what is in it but for its fingerprint, which is empty here: one object for files
            that are alike; or why it cannot be used.
        fingerprint: that of its contents; empty where it cannot be used.
        scan: what decoding every frame showed, where this was asked for.
        scenes: the scores by which scenes are found, where these were asked for.
        shots: what TransNetV2 says of each frame, where this was asked for.
        sound_scan: what decoding its sound showed, where this was asked for.
        alike: a number that files share of which all but the fingerprint is the same.
    """

    shared: MediaInfo | MediaError
    fingerprint: str = ""
    scan: FrameScan | None = None
    scenes: SceneScores | None = None
    shots: ShotScores | None = None
    alike: int | None = None
    sound_scan: SoundScan | None = None
    _media: MediaInfo | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def error(self) -> MediaError | None:
        """Why it cannot be used; None if it can."""
        return self.shared if isinstance(self.shared, MediaError) else None

    @property
    def media(self) -> MediaInfo | MediaError:
        """What is in it, or why it cannot be used; made when it is asked for."""
        if isinstance(self.shared, MediaError):
            return self.shared
        if self._media is None:
            object.__setattr__(self, "_media", self.shared.with_fingerprint(self.fingerprint))
        assert self._media is not None  # noqa: S101
        return self._media


@dataclass(frozen=True, slots=True)
class SoundInspection:
    """What is known of a file that is named for its sound."""

    sound: SoundInfo | MediaError
    """What is in it, or why it cannot be used."""
    fingerprint: str = ""
    """That of its contents; empty if it cannot be used."""
    scan: SoundScan | None = None
    """What decoding it showed, if this was asked for."""

    @property
    def error(self) -> MediaError | None:
        """Why it cannot be used; None if it can."""
        return self.sound if isinstance(self.sound, MediaError) else None


AnyInspection = Inspection | SoundInspection

_NOTHING_BESIDE: Mapping[Role, AnyInspection] = {}


class InspectedSample(NamedTuple):
    """What is known of the files of one sample."""

    video: Inspection
    beside: Mapping[Role, AnyInspection] = _NOTHING_BESIDE
    """Of further media, by role."""

    @property
    def sound_scan(self) -> SoundScan | None:
        """What decoding the sound showed that belongs to the sample, if this was asked for."""
        file = self.beside.get(AUDIO)
        return file.scan if isinstance(file, SoundInspection) else self.video.sound_scan

    def errors(self, sample: Sample) -> Iterator[MediaError]:
        """Yield why files of the sample cannot be used."""
        if self.video.error is not None:
            yield self.video.error
        shared = self.video.shared
        if AUDIO in self.beside and isinstance(shared, MediaInfo) and shared.is_still:
            yield MediaError(
                f"is a still image, which has no time for sound, and {AUDIO} is named for it",
                code=Code.STILL_IMAGE,
                where=sample.name,
                remedy="leave its audio empty",
            )
        for media in sample.beside:
            error = self.beside[media.role].error
            if error is not None:
                yield MediaError(
                    f"its {media.role} {media.name}: {error.message}",
                    code=error.code,
                    where=error.where,
                    remedy=error.remedy,
                )


def _looks(role: Role, *, sound: bool, masks: bool) -> Wanted:
    """What is looked for in a file beside the video."""
    if masks and role.is_mask:
        return _SCANNED
    looks = _LOOKS[role.kind.alignment]
    return (*looks, *_HEARD) if sound and role == AUDIO else looks


def inspect_samples(
    root: Path,
    samples: Iterable[Sample],
    *,
    scan: bool = False,
    sound: bool = False,
    masks: bool = False,
    limits: Limits | None = None,
) -> Iterator[InspectedSample]:
    """Look into the files of samples; yield one result a sample, in the order of the samples.

    Args:
        root: see `inspect_all`.
        samples: whose files they are.
        scan: whether to decode every frame of the videos, too.
        sound: whether to decode their sound, too: the video's own, or that of a file of its own.
        masks: whether to decode every frame of their masks, too.
        limits: see `inspect_all`.

    Raises:
        VideoprepError: no worker process can be started.
    """
    coming: deque[Sample] = deque()
    of_video = _SCANNED if scan else _PICTURE

    def files() -> Iterator[_File]:
        for sample in samples:
            coming.append(sample)
            own = sound and not any(media.role == AUDIO for media in sample.beside)
            yield sample.path, (*of_video, *_HEARD) if own else of_video
            for media in sample.beside:
                yield media.path, _looks(media.role, sound=sound, masks=masks)

    found = _inspect(root, files(), limits or DEFAULT_LIMITS)
    for video in found:
        sample = coming.popleft()
        assert isinstance(video, Inspection)  # noqa: S101
        if not sample.beside:
            yield InspectedSample(video)
        else:
            yield InspectedSample(video, {media.role: next(found) for media in sample.beside})


def inspect_all(
    root: Path,
    paths: Iterable[str | os.PathLike[str]],
    *,
    scan: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Inspection]:
    """Looks into videos in parallel; gives one result a path, in the order of the paths.

    Args:
        root: the data root, whose cache is used.
        paths: the files; plain text is quickest.
        scan: whether to decode every frame, too.
        limits: what one file may take; the time grows with its size.

    Raises:
        VideoprepError: no worker process can be started.
    """
    wanted = _SCANNED if scan else _PICTURE
    found = _inspect(root, ((path, wanted) for path in paths), limits)
    return cast("Iterator[Inspection]", found)


def inspect_scenes(
    root: Path,
    paths: Iterable[str | os.PathLike[str]],
    *,
    shots: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    on_decoded: OnFileDecoded | None = None,
) -> Iterator[Inspection]:
    """Look into videos as `inspect_all` does, and decode every frame to find out about scenes.

    What is found out about a file is remembered when it comes, whosever turn it is.

    Args:
        root: the data root, whose cache is used.
        paths: the files.
        shots: whether to ask TransNetV2, too.
        limits: what one file may take; the time grows with its size.
        on_decoded: called now and then with a file and how many of its frames are decoded.

    Raises:
        VideoprepError: no worker process can be started.
    """
    wanted: Wanted = ("probe", "scenes", "transnet") if shots else ("probe", "scenes")
    files = ((path, wanted) for path in paths)
    found = _inspect(root, files, limits, _LARGE_WINDOW, on_decoded or (lambda path, frames: None))
    return cast("Iterator[Inspection]", found)


def inspect_beside(
    root: Path, role: Role, paths: Iterable[str | os.PathLike[str]]
) -> Iterator[AnyInspection]:
    """Look into files of a role, as `inspect_all` does into videos."""
    wanted = _LOOKS[role.kind.alignment]
    return _inspect(root, ((path, wanted) for path in paths), DEFAULT_LIMITS)


_File = tuple[str | os.PathLike[str], Wanted]
"""A path, and what is to be found out."""


def _inspect(
    root: Path,
    files: Iterable[_File],
    limits: Limits,
    window: int = _WINDOW,
    on_decoded: OnFileDecoded | None = None,
) -> Iterator[AnyInspection]:
    waiting = iter(files)
    remote = remote_of(root)
    with FactCache(root) as cache, WorkerPool(limits) as pool:
        while some := list(islice(waiting, window * pool.size)):
            looked = _look_up(root, some, cache)
            unknown = list({id(one): one for one in looked if isinstance(one, _Unknown)}.values())
            if not cache.empty and remote is None:
                _recognize([file for file in unknown if not file.fingerprint], cache, pool)
            asked = [file for file in unknown if file.found is None]
            films = _Films(cache, on_decoded) if on_decoded is not None else None
            answers = _answers(asked, limits, pool, remote, films)
            del asked
            unknown.clear()  # what has been handed on is not kept
            looked.reverse()
            while looked:
                one = looked.pop()
                if isinstance(one, _Unknown):
                    if one.found is None:
                        one.found = _take(one, next(answers), cache)
                    one = one.found
                yield one


@dataclass(slots=True)
class _Unknown:
    """A file as it was at first, of which too little is known: that, and what is found out."""

    path: Path
    wanted: Wanted
    key: Key | None
    fingerprint: str
    facts: Facts
    found: AnyInspection | None = None


@dataclass(frozen=True, slots=True)
class _Films:
    """Files that take long: how far they are is told, and what comes of each is kept at once."""

    cache: FactCache
    on_decoded: OnFileDecoded

    def hear(self, film: _Unknown, frames: int) -> None:
        """Tell how many frames are decoded."""
        reach("film.decoding", str(film.path))
        self.on_decoded(film.path, frames)

    def keep(self, film: _Unknown, answer: Answer) -> None:
        """Remember an answer, which may wait for its turn for hours."""
        _remember(film, answer, self.cache)
        self.cache.flush()


def _look_up(root: Path, files: list[_File], cache: FactCache) -> list[AnyInspection | _Unknown]:
    """One for each file; paths to one unchanged file share theirs."""
    keys = keys_of(root, [path for path, _ in files])
    stored = cache.get(keys, _kinds([wanted for _, wanted in files]))
    shared: dict[tuple[Key | str, Wanted], AnyInspection | _Unknown] = {}
    looked = []
    for (path, wanted), key in zip(files, keys, strict=True):
        same = key or os.fspath(path), wanted
        one = shared.get(same)
        if one is None:
            fingerprint, facts = stored.get(key, _NOTHING) if key else _NOTHING
            facts = _of_interest(facts, wanted)
            one = shared[same] = _known(path, fingerprint, facts, wanted) or _Unknown(
                Path(path), wanted, key, fingerprint, facts if _missing(facts, wanted) else {}
            )
        looked.append(one)
    return looked


def _kinds(wanted: Iterable[Wanted]) -> set[str]:
    """The kinds of facts that are looked up: why a file is refused is with those of its header."""
    return {"probe", "sound"}.union(*set(wanted))


def _of_interest(facts: Facts, wanted: Wanted) -> Facts:
    """The facts that count: a file without a picture may have sound, and the other way round."""
    of_sound = _is_of_sound(wanted)
    if of_sound or "sound" in facts:
        shared = {do: text for do, text in facts.items() if do in _HEARD}
        return shared | {d: t for d, t in facts.items() if (d == "sound") == of_sound}
    if facts.get("probe", "").startswith(_ERROR) and _REFUSED_STILL in facts["probe"]:
        return {do: text for do, text in facts.items() if do != "probe"}
    return facts


def _is_of_sound(wanted: Wanted) -> bool:
    """Whether a file is looked into for its sound alone."""
    return "sound" in wanted


def _known(
    path: str | os.PathLike[str], fingerprint: str, facts: Facts, wanted: Wanted
) -> AnyInspection | None:
    """What the facts say, if they are enough, and are what they should be.

    The cache lies with the dataset, and may come from a stranger.
    """
    try:
        return _inspection(path, fingerprint, facts, wanted)
    except (
        KeyError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError
    ):  # fmt: skip
        return None


def _answers(
    files: list[_Unknown],
    limits: Limits,
    pool: WorkerPool,
    remote: Remote | None,
    films: _Films | None,
) -> Iterator[Answer | Lost | MediaError]:
    """What the workers say of each file, in order; of a remote one that is gone, an error."""
    if remote is None:
        requests = [_request(file, limits) for file in files]
        if films is None:
            return pool.run(requests)
        there = [replace(file, facts={}) for file in files]  # what is found out is not kept
        return pool.run(
            requests,
            lambda number, frames: films.hear(there[number], frames),
            lambda number, answer: films.keep(there[number], answer),
        )
    return _remote_answers(files, limits, pool, remote)


def _remote_answers(
    files: list[_Unknown],
    limits: Limits,
    pool: WorkerPool,
    remote: Remote,
) -> Iterator[Answer | Lost | MediaError]:
    left = iter(files)
    for group in groups_here(remote, [file.path for file in files]):
        here = list(islice(left, len(group)))
        for file in here:  # it may have been written since it was listed
            file.key = staged_key(remote, file.path)
        answers = pool.run(
            [
                _request(file, limits)
                for file, (_, error) in zip(here, group, strict=True)
                if error is None
            ]
        )
        for _, error in group:
            yield next(answers) if error is None else error


def _request(file: _Unknown, limits: Limits) -> InspectionRequest:
    missing = _missing(file.facts, file.wanted)
    seconds = _seconds(file.path, missing, limits)
    return InspectionRequest(("fingerprint", *missing), file.path, seconds)


def _recognize(unknown: list[_Unknown], cache: FactCache, pool: WorkerPool) -> None:
    """Files that were moved, copied or touched hold what was looked into before."""
    requests = [
        InspectionRequest(("fingerprint",), file.path, _seconds(file.path, ("probe",), pool.limits))
        for file in unknown
    ]
    for file, answer in zip(unknown, pool.run(requests), strict=True):
        if isinstance(answer, Lost) or "error" in answer["fingerprint"]:
            continue  # opening it will say why
        fingerprint = answer["fingerprint"]["value"]
        known = cache.of_contents(fingerprint, _kinds([file.wanted]))
        facts = _of_interest(known, file.wanted)
        if facts:
            cache.put(file.key, fingerprint, {})
            file.found = _known(file.path, fingerprint, facts, file.wanted)
            file.facts = facts if _missing(facts, file.wanted) else {}


def _missing(facts: Facts, wanted: Wanted) -> Wanted:
    if any(text.startswith(_ERROR) for text in facts.values()):
        return ()  # what does not open does not decode
    return tuple(kind for kind in wanted if kind not in facts)


def _seconds(path: Path, do: Wanted, limits: Limits) -> float:
    try:
        status = path.stat()
        # A file may be said to be longer than the disk it takes: holes cost no time to speak of.
        size = min(status.st_size, status.st_blocks * _BLOCK or status.st_size)
    except OSError:
        size = 0  # opening it will say what is wrong
    seconds = 0.0
    if "probe" in do or "sound" in do:
        seconds += limits.seconds + size / _READ_RATE
    if not {"scan", "scenes", "transnet", "sound_scan"}.isdisjoint(do):
        seconds += _DECODE_FACTOR * limits.seconds + size / _DECODE_RATE
    return seconds


def _take(file: _Unknown, answer: Answer | Lost | MediaError, cache: FactCache) -> AnyInspection:
    """Adds the facts in an answer; those that last are remembered."""
    if isinstance(answer, MediaError):
        return _refused(answer, file.wanted)
    if isinstance(answer, Lost):
        return _refused(_lost(file.path, answer), file.wanted)
    fingerprint, fresh = _remember(file, answer, cache)
    return _inspection(file.path, fingerprint, file.facts | fresh, file.wanted)


def _remember(file: _Unknown, answer: Answer, cache: FactCache) -> tuple[str, Facts]:
    """The fingerprint and the facts in an answer; those that last are remembered."""
    found = {kind: fact for kind, fact in answer.items() if kind != "fingerprint"}
    hashed = answer["fingerprint"]
    if "error" in hashed:
        found[file.wanted[0]] = hashed
    fingerprint = hashed.get("value")
    facts = {kind: _text(fact) for kind, fact in found.items()}
    if fingerprint is not None:
        lasting = {kind: facts[kind] for kind, fact in found.items() if fact.get("lasts", True)}
        cache.put(file.key, fingerprint, lasting)
    return fingerprint or "", facts


def _text(fact: dict[str, Any]) -> str:
    """A fact as it is kept: without the fingerprint, so that files that are alike have one text."""
    if "error" in fact:
        return json.dumps({"error": fact["error"]})
    value = fact["value"]
    return json.dumps({"value": {name: value[name] for name in value if name != "fingerprint"}})


def _inspection(
    path: str | os.PathLike[str], fingerprint: str, facts: Facts, wanted: Wanted
) -> AnyInspection:
    for text in facts.values():
        if text.startswith(_ERROR):
            return _refused(_error(path, json.loads(text)["error"]), wanted)
    heard = None
    if "sound_scan" in wanted:
        heard = SoundScan.from_json(json.loads(facts["sound_scan"])["value"])
    if _is_of_sound(wanted):
        return SoundInspection(_sound(facts["sound"]), fingerprint, heard)
    alike, shared = _media(facts["probe"])
    scan = None
    if "scan" in wanted:
        scan = FrameScan.from_json(json.loads(facts["scan"])["value"])
    scenes = shots = None
    if "scenes" in wanted:
        scenes = SceneScores.from_json(json.loads(facts["scenes"])["value"])
        _require_all(shared, len(scenes.state))
    if "transnet" in wanted:
        shots = ShotScores.from_json(json.loads(facts["transnet"])["value"])
        _require_all(shared, len(shots.single))
    return Inspection(shared, fingerprint, scan, scenes, shots, alike, heard)


def _require_all(media: MediaInfo, frames: int) -> None:
    if frames != media.frames:
        raise ValueError(f"scores of {frames} of {media.frames} frames")


def _refused(error: MediaError, wanted: Wanted) -> AnyInspection:
    return SoundInspection(error) if _is_of_sound(wanted) else Inspection(error)


@lru_cache(maxsize=4096)
def _sound(text: str) -> SoundInfo:
    return SoundInfo.from_json(json.loads(text)["value"])


@lru_cache(maxsize=4096)
def _media(text: str) -> tuple[int, MediaInfo]:
    """Most files of a dataset have the same size, length and rate: each kind is read once."""
    return next(_numbers), MediaInfo.from_json({**json.loads(text)["value"], "fingerprint": ""})


def _error(path: str | os.PathLike[str], error: dict[str, Any]) -> MediaError:
    remedy = for_file(error["remedy"], path)
    return MediaError(error["message"], code=Code(error["code"]), where=shown(path), remedy=remedy)


def _lost(path: Path, lost: Lost) -> MediaError:
    remedy = "re-encode the file, or remove the sample"
    if lost.why == "time":
        return MediaError(
            f"opening it {lost.detail}",
            code=Code.TIME_LIMIT,
            where=shown(path),
            remedy=f"{remedy}; on a slow disk, validate once with a higher `limits.seconds`",
        )
    return MediaError(
        f"opening it crashes the decoder: {lost.detail}",
        code=Code.DECODER_CRASH,
        where=shown(path),
        remedy=remedy,
    )
