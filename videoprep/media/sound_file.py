"""Looks into a file that a list names for its sound."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from videoprep.errors import Code, MediaError
from videoprep.media.audio_info import AudioInfo, AudioScan
from videoprep.media.probe import FAILURES, open_file
from videoprep.media.refusals import unreadable

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

# Containers write in microseconds when they begin.
_ROUNDED = Fraction(1, av.time_base)

_REMEDY = "use another file, or none: the sound is then the video's own"


@dataclass(frozen=True, slots=True)
class SoundInfo:
    """What is in a file that is named for its sound."""

    audio: AudioInfo
    """Its sound. ``start`` is counted from ``zero``."""
    zero: Fraction
    """Seconds on the file's clock where it begins for a player: with its first sample; in a file
    that has a picture, too, with the earliest stream."""

    def to_json(self) -> dict[str, Any]:
        """Return a form that `json` can write; `from_json` reads it back."""
        return {"audio": self.audio.to_json(), "zero": str(self.zero)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SoundInfo:
        """Return the inverse of `to_json`."""
        return cls(AudioInfo.from_json(data["audio"]), Fraction(data["zero"]))


def probe_sound(path: Path) -> SoundInfo:
    """Look into a sound file, or into the sound of a video. All packets of the sound are read.

    Raises:
        MediaError: with `Code.NO_SOUND` if there is none in it, with `Code.UNREADABLE` if it cannot
            be opened or no sample of it decoded.
    """
    try:
        # A FIFO or device would block every decoder for ever: look before opening.
        if not stat.S_ISREG(path.stat().st_mode):
            raise MediaError("is not a regular file", code=Code.UNREADABLE, remedy=_REMEDY)
        return _probe(path)
    except MediaError as error:
        error.where = str(path)
        raise
    except FAILURES as error:
        raise _not_sound(unreadable(path, error)) from error


def _probe(path: Path) -> SoundInfo:
    with open_file(path) as container:
        picture = container.streams.best("video")
        scan = AudioScan(container, picture)
        scan.read(container)
        audio = scan.info()
        if audio is None:
            raise MediaError("holds no sound", code=Code.NO_SOUND, remedy=_REMEDY)
        if audio.error is not None:
            what = f"its sound cannot be decoded: {audio.error}"
            raise MediaError(what, code=Code.UNREADABLE, remedy=_REMEDY)
        zero = _zero(container, picture, audio)
    return SoundInfo(audio.since(zero), zero)


def _zero(container: InputContainer, picture: Stream | None, audio: AudioInfo) -> Fraction:
    if picture is None or picture.disposition & av.stream.Disposition.attached_pic:
        return audio.start
    begins = Fraction(container.start_time or 0, av.time_base)
    # Sound that starts before zero is what an encoder needs to get going.
    begins = max(begins, Fraction(0))
    return audio.start if abs(begins - audio.start) <= _ROUNDED else begins


def _not_sound(error: MediaError) -> MediaError:
    """The error for a file that cannot be opened, about sound: what it says of videos is none."""
    what = error.message.replace("not a video", "not a sound file").replace("a video", "sound")
    code = Code.UNREADABLE if error.code in _OF_VIDEOS else error.code
    return MediaError(what, code=code, where=error.where, remedy=_REMEDY)


_OF_VIDEOS = (Code.NO_VIDEO_STREAM, Code.STILL_IMAGE, Code.TOO_LARGE)
