"""Whether an MP4's or MOV's header contradicts itself about how long a track lasts."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from videoprep.fs.fingerprint import open_regular
from videoprep.media.boxes import MovieBox, boxes

# A muxer may be wrong by a few frames, or leave out an edit list; not by such a factor.
_FACTOR, _SECONDS = 4.0, 0.5

_MOST_BOXES = 10_000
_MOST_RUNS = 1 << 16  # of frames that last equally long; a longer table is not read
_UNKNOWN = (0, 2**32 - 1, 2**64 - 1)


class _BoxReader:
    """Reads boxes and the numbers in them."""

    def __init__(self, file: int) -> None:
        self._file = file

    def boxes(self, within: MovieBox) -> Iterator[MovieBox]:
        """The boxes that lie in another one, after its header."""
        for box in boxes(self._file, within.start, within.end, _MOST_BOXES):
            yield box if box.end <= within.end else replace(box, end=within.end)

    def find(self, within: MovieBox | None, *path: bytes) -> MovieBox | None:
        """The first box on a path of kinds, from the outermost one on."""
        for kind in path:
            if within is None:
                return None
            within = next((box for box in self.boxes(within) if box.kind == kind), None)
        return within

    def clock(self, box: MovieBox) -> tuple[int, int]:
        """Units a second and duration, as ``mvhd`` and ``mdhd`` have them."""
        if self._version(box):
            scale, duration = self._unpack(">IQ", box.start + 20)
        else:
            scale, duration = self._unpack(">II", box.start + 12)
        return scale, duration

    def track(self, box: MovieBox) -> tuple[int, int]:
        """A track's number and duration, as ``tkhd`` has them."""
        if self._version(box):
            number, _, duration = self._unpack(">IIQ", box.start + 20)
        else:
            number, _, duration = self._unpack(">III", box.start + 12)
        return number, duration

    def frame_times(self, box: MovieBox) -> int | None:
        """How long all frames last together, as ``stts`` has it; None for a long table."""
        (count,) = self._unpack(">I", box.start + 4)
        if count > _MOST_RUNS:
            return None
        runs = struct.iter_unpack(">II", os.pread(self._file, 8 * count, box.start + 8))
        return sum(int(frames) * int(time) for frames, time in runs)

    def longest_edit(self, box: MovieBox) -> int:
        """The longest stretch of frames that an ``elst`` shows once; 0 where it shows none."""
        (count,) = self._unpack(">I", box.start + 4)
        form = ">Qqhh" if self._version(box) else ">Iihh"
        data = os.pread(self._file, struct.calcsize(form) * min(count, _MOST_BOXES), box.start + 8)
        edits = struct.iter_unpack(form, data)
        # Those without a place in the media show nothing, those without a speed a frame for long.
        return max((lasts for lasts, at, speed, _ in edits if at >= 0 and speed == 1), default=0)

    def _version(self, box: MovieBox) -> int:
        (version,) = self._unpack(">B", box.start)
        return int(version)

    def _unpack(self, form: str, at: int) -> tuple[int, ...]:
        return struct.unpack(form, os.pread(self._file, struct.calcsize(form), at))


def contradiction(path: Path, track: int) -> str | None:
    """What is impossible about a track's times, in words; None where nothing is known to be.

    Args:
        path: an MP4 or MOV file.
        track: the track's number in the file.
    """
    try:
        with open_regular(path) as file:
            number = file.fileno()
            whole = MovieBox(b"", 0, os.fstat(number).st_size)
            return _contradiction(_BoxReader(number), whole, track)
    except (OSError, struct.error):
        return None  # FFmpeg reads what it can


def _contradiction(reader: _BoxReader, whole: MovieBox, number: int) -> str | None:
    movie = reader.find(whole, b"moov")
    if movie is None or reader.find(movie, b"mvex") is not None:  # the times lie in its pieces
        return None
    header = reader.find(movie, b"mvhd")
    for box in reader.boxes(movie):
        heading, media = reader.find(box, b"tkhd"), reader.find(box, b"mdia", b"mdhd")
        if box.kind != b"trak" or heading is None or media is None or header is None:
            continue
        found, lasts = reader.track(heading)
        if found == number:
            return _of_track(reader, box, reader.clock(media), (*reader.clock(header), lasts))
    return None


def _of_track(
    reader: _BoxReader, track: MovieBox, media: tuple[int, int], movie: tuple[int, int, int]
) -> str | None:
    """What contradicts the times of a track's frames.

    Args:
        reader: reads the file.
        track: the track.
        media: units a second of the frames' times, and how many they take.
        movie: units a second of the rest, and how many the movie and the track take.
    """
    scale, duration = media
    if not scale:
        return "its header says that a second has 0 units"
    table = reader.find(track, b"mdia", b"minf", b"stbl", b"stts")
    told = None if table is None else reader.frame_times(table)
    edits = reader.find(track, b"edts", b"elst")
    movie_scale, whole, lasts = movie
    shown = lasts if edits is None else reader.longest_edit(edits)
    # Some muxers write the one duration in the units of the other.
    if not told or not movie_scale or shown in _UNKNOWN or shown in (duration, told):
        return None
    frames, track_lasts, movie_lasts = told / scale, shown / movie_scale, whole / movie_scale
    # An edit list may hide most of the frames; it cannot show more than there are. What the movie
    # as a whole does not confirm is the track's mistake, and not that of its frames.
    if frames > track_lasts:
        wrong = edits is None and _differ(frames, max(track_lasts, movie_lasts))
    else:
        wrong = _differ(min(track_lasts, movie_lasts), frames)
    if not wrong:
        return None
    return f"its header has frames for {frames:.6g} s in a track of {track_lasts:.6g} s"


def _differ(longer: float, shorter: float) -> bool:
    return longer > _FACTOR * shorter and longer - shorter > _SECONDS
