"""`split`: finds the scenes of films, and writes a dataset of time ranges."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import xxhash

from videoprep.errors import Code, MediaError, SpecError, VideoprepError
from videoprep.fs.atomic import is_abandoned, may_write, write_bytes, write_file
from videoprep.fs.mirror import remote_of, shown
from videoprep.index.placement import late_start
from videoprep.media.inspect import Inspection, inspect_all, inspect_scenes
from videoprep.scenes.options import SplitOptions
from videoprep.scenes.ranges import REASONS, FilmPiece, FilmTimes, Reason, cut_film
from videoprep.scenes.statistics import StatisticsWriter
from videoprep.scenes.transitions import Sensitivity, Transition, find_transitions
from videoprep.scenes.transnet import require_transnet, shot_transitions
from videoprep.spec.folder import levels
from videoprep.spec.own_roots import remember_root
from videoprep.spec.path_hints import dataset_path, nowhere
from videoprep.spec.spec_file import NAME, read_spec_file, spec_text
from videoprep.spec.video_files import is_video_name
from videoprep.spec.video_lookup import is_inside
from videoprep.text import rounded_parts
from videoprep.workers.pool import Limits

SAMPLES = "samples.csv"
"""The list of the ranges: the dataset."""
LEFT_OVER = "left_over.csv"
"""The list of what is in no range, with reasons. It lies in a folder of its own, for a folder with
two tables would be no dataset."""
_NOTES = "split"
_RECORD = "split.json"

_COLUMNS = ("video", "caption", "start", "end")
_LEFT_COLUMNS = ("video", "start", "end", "seconds", "frames", "reason", "detail")

# Seconds that a frame may take to decode and compare, at the slowest; TransNetV2 takes more.
_FRAME_SECONDS, _NETWORK_SECONDS = 0.1, 1.0
# What `inspect_scenes` allows is so many times the limit.
_FACTOR = 10

_NOT_VIDEOS = "files that are not called like videos"

# Where no TransNetV2 threshold is given.
_NETWORK_THRESHOLD = 0.5

OnProgress = Callable[[str, int, int], None]
"""Called with what is done, how many of it, and of how many: films, or seconds of them."""


@dataclass(frozen=True, slots=True)
class FailedFilm:
    """A film that cannot be used."""

    video: str
    """Its path, as it would stand in the list."""
    code: str
    """As `videoprep validate` gives it."""
    message: str
    """What is wrong."""


@dataclass(frozen=True, slots=True)
class SplitFilm:
    """What became of one film."""

    video: str
    """Its path, as it stands in the list."""
    path: Path
    """Where it lies."""
    times: FilmTimes
    """When its frames are shown."""
    transitions: tuple[Transition, ...]
    """Where scenes change."""
    pieces: tuple[FilmPiece, ...]
    """All of it, in order."""


@dataclass(slots=True)
class SplitResult:
    """What a run of `split` wrote, and counts that add up."""

    output: Path
    """The dataset's folder."""
    films: int = 0
    """Films that were cut."""
    failed: list[FailedFilm] = field(default_factory=list)
    """Films that cannot be used."""
    samples: int = 0
    """Ranges."""
    seconds: float = 0.0
    """Length of all films together."""
    sample_seconds: float = 0.0
    """Length of all ranges together."""
    left_over: dict[Reason, float] = field(default_factory=dict)
    """Seconds that are in no range, by reason."""
    transitions: dict[str, int] = field(default_factory=dict)
    """How often scenes change, by kind."""
    passed_over: dict[str, int] = field(default_factory=dict)
    """How much in the folder was passed over, by what it is."""
    found_by_folder: bool = True
    """Whether the folder is enough for the other commands to find the films."""
    is_kept: bool = False
    """Whether a list that was there was left as it is, for there is no range."""

    @property
    def ok(self) -> bool:
        """Whether every film was cut, and there is a range."""
        return not self.failed and self.samples > 0

    def shown_seconds(self) -> tuple[float, list[tuple[Reason, float]]]:
        """Return the seconds in ranges, and those in none by reason, the most first.

        They are rounded to tenths so that they add up to ``seconds`` as it is shown.
        """
        left = sorted(self.left_over.items(), key=lambda item: -item[1])
        kept, *rest = rounded_parts([self.sample_seconds, *(seconds for _, seconds in left)], 1)
        return kept, [(reason, seconds) for (reason, _), seconds in zip(left, rest, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write."""
        return {**asdict(self), "output": str(self.output), "ok": self.ok}


def split(
    footage: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    overwrite: bool = False,
    stats: str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
    on_film: Callable[[SplitFilm], None] | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
    **options: Any,
) -> SplitResult:
    """Find the scenes of films, and write a dataset of time ranges. No film is changed or copied.

    Decoding is done once: what it showed is kept beside the films, by their contents. If there is
    no range, a list that is there is left as it is, with all that belongs to it.

    Args:
        footage: a video, or a folder with videos at any depth.
        output: the folder of the dataset.
        overwrite: whether to replace a list of ranges that was changed since it was written.
        stats: a CSV file for the scores of all frames.
        limits: what one film may take; the time grows with its length.
        on_film: called with each film that was cut.
        on_progress: called with how far it is.
        options: see `SplitOptions`.

    Raises:
        SpecError: there are no videos, or the output holds something else.
        VideoprepError: an option is wrong, or no worker can be started.
    """
    chosen = SplitOptions.of(**options)
    if chosen.detector == "transnet":
        require_transnet()
    root, names, passed_over = _footage(dataset_path(footage))
    folder = _Folder(dataset_path(output), root, overwrite)
    folder.require_usable()
    result = SplitResult(folder.path, passed_over=passed_over)
    films = _films(root, names, chosen, limits or Limits(), on_progress)
    with ExitStack() as closing:
        statistics = None
        if stats is not None:
            statistics = closing.enter_context(StatisticsWriter(Path(stats)))
        rows = closing.enter_context(_CsvRows(_COLUMNS))
        left = closing.enter_context(_CsvRows(_LEFT_COLUMNS))
        for name, found in films:
            film = _cut(root, name, found, chosen)
            if isinstance(film, FailedFilm):
                _note_failure(film, result, left)
                continue
            assert found.scenes is not None  # noqa: S101
            _note(film, result, rows, left)
            if statistics is not None:
                statistics.add(film.video, film.times, found.scenes, found.shots)
            if on_film is not None:
                on_film(film)
        result.is_kept = not result.samples and folder.has_list
        if not result.is_kept:
            folder.write(rows, left, chosen)
    result.found_by_folder = folder.is_found
    return result


def _footage(path: Path) -> tuple[Path, list[str], dict[str, int]]:
    """The data root, the videos in it, and how much else there is, by kind."""
    if remote_of(path) is not None:
        raise SpecError(
            "films behind a URL are not split",
            where=shown(path),
            remedy="copy them to a disk first",
        )
    if path.is_file():
        return path.absolute().parent, [path.name], {}
    if not path.is_dir():
        raise SpecError(
            "no such file or folder", where=str(path), remedy=nowhere(path, "check the path")
        )
    names, others = [], Counter[str]()
    for level in levels(path):
        for name in level.files:
            if is_video_name(name):
                names.append(level.prefix + name)
            else:
                others[_NOT_VIDEOS] += 1
        others.update(kind for kind, _ in level.other)
    if not names:
        raise SpecError(
            "there are no videos in this folder",
            where=str(path),
            remedy="name the folder of your films, or one film",
        )
    return path.absolute(), names, dict(others)


def _films(
    root: Path, names: list[str], options: SplitOptions, limits: Limits, told: OnProgress
) -> Iterator[tuple[str, Inspection]]:
    """What is found out about each film. Headers come first: they say how long decoding may take.

    The longest film decides for all: a limit is for what hangs.
    """
    paths = [os.path.join(root, name) for name in names]
    longest, lengths = 0, dict[str, tuple[float, int]]()
    for done, found in enumerate(inspect_all(root, paths, limits=limits), start=1):
        if not isinstance(found.shared, MediaError):
            longest = max(longest, found.shared.frames)
            lengths[paths[done - 1]] = found.shared.duration or 0.0, found.shared.frames
        told("opened", done, len(paths))
    network = options.detector == "transnet"
    a_frame = _NETWORK_SECONDS if network else _FRAME_SECONDS
    seconds = max(limits.seconds, longest * a_frame / _FACTOR)
    patient = Limits(seconds=min(seconds, 9e5), memory_mib=limits.memory_mib)
    clock = _FilmClock(lengths, told)
    looked = inspect_scenes(root, paths, shots=network, limits=patient, on_decoded=clock.at)
    for done, (name, found) in enumerate(zip(names, looked, strict=True), start=1):
        clock.finish(paths[done - 1])
        yield name, found
        told("split", done, len(paths))


@dataclass(slots=True)
class _FilmClock:
    """How many seconds of all films together have been looked at."""

    lengths: Mapping[str, tuple[float, int]]
    """Seconds and frames of the films that can be opened, by their paths."""
    told: OnProgress
    seconds: dict[str, float] = field(default_factory=dict)

    def at(self, path: Path, frames: int) -> None:
        """Tell that so many frames of a film are decoded."""
        length, total = self.lengths.get(str(path), (0.0, 0))
        self._tell(str(path), length * min(1.0, frames / max(total, 1)))

    def finish(self, path: str) -> None:
        """Tell that a film is done, or was done before."""
        self._tell(path, self.lengths.get(path, (0.0, 0))[0])

    def _tell(self, path: str, seconds: float) -> None:
        self.seconds[path] = seconds
        total = sum(length for length, _ in self.lengths.values())
        if total:
            self.told("seconds of film", round(sum(self.seconds.values())), round(total))


def _cut(root: Path, name: str, found: Inspection, options: SplitOptions) -> SplitFilm | FailedFilm:
    if isinstance(found.shared, MediaError):
        error = found.shared
        return FailedFilm(name, error.code.value, error.message)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return FailedFilm(
            name, Code.NOT_UTF8.value, "its name is not UTF-8, and no list can hold it"
        )
    path = root / name
    if not is_inside(os.path.realpath(path), os.path.realpath(root)):
        return FailedFilm(name, Code.OUTSIDE_ROOT.value, "is a link that leads out of the folder")
    if name != name.strip() or "\n" in name or "\r" in name:
        return FailedFilm(
            name, Code.BAD_VALUE.value, "its name begins or ends with a space, or has a line end"
        )
    assert found.scenes is not None  # noqa: S101
    transitions = _transitions(found, options)
    times = FilmTimes.of(found.shared, late_start(found.shared))
    pieces = cut_film(found.scenes, transitions, times, options)
    return SplitFilm(name, path, times, tuple(transitions), tuple(pieces))


def _transitions(found: Inspection, options: SplitOptions) -> list[Transition]:
    assert found.scenes is not None  # noqa: S101
    if options.detector == "transnet":
        assert found.shots is not None  # noqa: S101
        return shot_transitions(found.shots, options.threshold or _NETWORK_THRESHOLD)
    usual = Sensitivity()
    sensitivity = Sensitivity(options.threshold or usual.cut, options.dissolve_threshold)
    return find_transitions(found.scenes, sensitivity)


class _CsvRows:
    """Rows of a CSV file, kept in a temporary one until all are there."""

    def __init__(self, columns: Iterable[str]) -> None:
        self.file = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115
        self._text = io.TextIOWrapper(self.file, "utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._writer.writerow(columns)

    def __enter__(self) -> _CsvRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def add(self, *cells: object) -> None:
        """Write a row."""
        self._writer.writerow(cells)

    def copy(self, target: BinaryIO) -> None:
        """Copy all rows to another file."""
        self._text.flush()
        self.file.seek(0)
        shutil.copyfileobj(self.file, target)


def _note(film: SplitFilm, result: SplitResult, rows: _CsvRows, left: _CsvRows) -> None:
    """Write a film's ranges and what is left of it, and count them."""
    result.films += 1
    for one in film.transitions:
        result.transitions[one.kind] = result.transitions.get(one.kind, 0) + 1
    for piece in film.pieces:
        seconds = film.times.length(piece.first, piece.after)
        result.seconds += seconds
        if piece.reason is None:
            result.samples += 1
            result.sample_seconds += seconds
            rows.add(film.video, "", *film.times.written(piece.first, piece.after))
            continue
        start, end = film.times.seen(piece.first, piece.after)
        result.left_over[piece.reason] = result.left_over.get(piece.reason, 0.0) + seconds
        frames = piece.after - piece.first
        left.add(
            film.video, start, end, f"{seconds:.3f}", frames, piece.reason, REASONS[piece.reason]
        )


def _note_failure(film: FailedFilm, result: SplitResult, left: _CsvRows) -> None:
    result.failed.append(film)
    name = film.video.encode("utf-8", "backslashreplace").decode()
    left.add(name, "", "", "", "", "failed", f"{film.code} {film.message}")


@dataclass(slots=True)
class _Folder:
    """The folder of a dataset: what is there, and what is put there."""

    path: Path
    root: Path
    overwrite: bool
    is_found: bool = True

    @property
    def _samples(self) -> Path:
        return self.path / SAMPLES

    @property
    def has_list(self) -> bool:
        """Whether there is a list already."""
        return self._samples.exists()

    def require_usable(self) -> None:
        """Refuse before the work to replace what somebody wrote.

        Raises:
            SpecError: the folder cannot be used.
        """
        if self.path.exists() and not self.path.is_dir():
            raise SpecError(
                "is not a folder", where=str(self.path), remedy="name another with `output`"
            )
        there = next(one for one in (self.path, *self.path.absolute().parents) if one.is_dir())
        if not may_write(there):
            raise SpecError(
                "the folder is read-only", where=str(there), remedy="name another with `output`"
            )
        if (
            self._samples.exists()
            and not self.overwrite
            and _digest(self._samples) != self._written()
        ):
            raise SpecError(
                "this list was changed since it was written, or is of something else",
                where=str(self._samples),
                remedy="name another `output`, or replace it with `overwrite`; a copy is kept",
            )
        spec = self.path / NAME
        if spec.exists() and not self.overwrite and not self._is_ours(spec):
            raise SpecError(
                "describes another dataset",
                where=str(spec),
                remedy="name another `output`, or replace it with `overwrite`; a copy is kept",
            )

    def _written(self) -> str | None:
        """The digest of the list as it was written last."""
        try:
            record = json.loads((self.path / _NOTES / _RECORD).read_bytes())
            return str(record[SAMPLES])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _is_ours(self, spec: Path) -> bool:
        """Whether a ``videoprep.yaml`` is of these films and this list; it may set more."""
        try:
            fields = read_spec_file(spec, named=True)
        except VideoprepError:
            return False
        root, table = Path(fields["data_root"]), Path(str(fields.get("dataset_file", "")))
        return os.path.realpath(root) == os.path.realpath(self.root) and (
            os.path.realpath(table) == os.path.realpath(self._samples)
        )

    def write(self, samples: _CsvRows, left: _CsvRows, options: SplitOptions) -> None:
        """Write all files, each whole or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        for left_there in self.path.glob(f".{SAMPLES}.*"):
            if is_abandoned(left_there):  # by a process that was killed
                left_there.unlink(missing_ok=True)

        def write(file: BinaryIO) -> None:
            samples.copy(file)
            self._keep_changed()  # films take long: somebody may have edited the list meanwhile

        write_file(self._samples, write)
        write_file(self.path / _NOTES / LEFT_OVER, left.copy)
        record = {"version": 1, SAMPLES: _digest(self._samples), "options": options.model_dump()}
        write_bytes(self.path / _NOTES / _RECORD, json.dumps(record, indent=2).encode() + b"\n")
        self._describe()

    def _keep_changed(self) -> None:
        """Copy a list that is not as it was written last."""
        if self._samples.exists() and _digest(self._samples) != self._written():
            shutil.copy2(self._samples, _free_backup(self._samples))

    def _describe(self) -> None:
        """Write ``videoprep.yaml``, unless it is there: the user may have added settings."""
        real_root, real_path = os.path.realpath(self.root), os.path.realpath(self.path)
        inside = is_inside(real_root, real_path)
        spec = self.path / NAME
        if not (spec.exists() and self._is_ours(spec)):
            if spec.exists():
                shutil.copy2(spec, _free_backup(spec))
            data_root = os.path.relpath(real_root, real_path) if inside else real_root
            fields = {
                "data_root": Path(data_root).as_posix(),
                "dataset_file": SAMPLES,
                "video_column": "video",
                "caption_column": "caption",
            }
            text = "# Written by videoprep split: ranges of the films, which stay where they are.\n"
            write_bytes(spec, (text + spec_text(fields)).encode())
        self.is_found = inside or remember_root(self.path, self.root)


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(1 << 18):
            digest.update(chunk)
    return digest.hexdigest()


def _free_backup(path: Path) -> Path:
    number = 1
    while (backup := path.with_name(f"{path.name}.bak{number if number > 1 else ''}")).exists():
        number += 1
    return backup
