"""The errors for files that cannot be used: each says what the file is, and what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import av

from videoprep.errors import Code, MediaError
from videoprep.media.commands import RATED_ANEW, RATED_ANEW_WITHOUT_EDITS, SCALED_DOWN, TIMED_ANEW
from videoprep.media.contents import announced_size, kind_of, missing_end

MAX_SIDE = 8192
"""Pixels that a side may have; the memory for one larger picture is a clip's or a bomb's."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

_FFMPEGS_MOST = 1 << 28  # pixels; FFmpeg decodes no larger pictures, and cannot scale them down


def unreadable(path: Path, error: Exception) -> MediaError:
    """Return the error for a file that FFmpeg cannot make anything of."""
    if isinstance(error, MemoryError):
        return out_of_memory(path)
    if getattr(error, "errno", None) in _GONE and not os.path.exists(path):
        return _missing(path, error)
    missing = missing_end(path)
    if missing:
        return MediaError(
            f"the file is cut off: {missing}",
            code=Code.TRUNCATED,
            where=str(path),
            remedy="copy or download the file again",
        )
    width, height = announced_size(path) or (0, 0)
    if max(width, height) > MAX_SIDE:
        return too_large(width, height, path)
    kind = kind_of(path)
    if kind is not None:
        return MediaError(kind.what, code=kind.code, where=str(path), remedy=kind.remedy)
    return _undecodable(path, error)


def _missing(path: Path, error: Exception) -> MediaError:
    what = "no such file"
    if path.is_symlink():
        led_round = getattr(error, "errno", None) == errno.ELOOP
        how = "which leads back to it" if led_round else "which does not exist"
        what = f"is a symbolic link to {os.readlink(path)}, {how}"
    remedy = "correct the path, or put the file in its place"
    return MediaError(what, code=Code.UNREADABLE, where=str(path), remedy=remedy)


def _undecodable(path: Path, error: Exception) -> MediaError:
    # So FFmpeg refuses a format that is not among those that it may open.
    opened = getattr(error, "filename", None) == os.fspath(path.absolute())
    if isinstance(error, av.error.ArgumentError) and opened:
        what = "is in a format that is not accepted"
        remedy = "convert it to MP4 or MKV, or remove the sample"
    else:
        what = f"cannot be read as a video: {_reason(error)}"
        remedy = "play the file to see whether it is damaged; replace it or remove the sample"
    return MediaError(what, code=Code.UNREADABLE, where=str(path), remedy=remedy)


def out_of_memory(path: Path) -> MediaError:
    """Return the error for a file that wants more memory than it may have."""
    return MediaError(
        "wants more memory than a file may have",
        code=Code.MEMORY_LIMIT,
        where=str(path),
        remedy="re-encode the file, raise `limits.memory_mib`, or remove the sample",
    )


def no_video() -> MediaError:
    """Return the error for a file that holds sound, or only cover art."""
    return MediaError(
        "holds no video stream",
        code=Code.NO_VIDEO_STREAM,
        remedy="replace the file or remove the sample",
    )


def no_film(path: Path) -> MediaError:
    """Return the error for a still image where scenes are looked for."""
    return MediaError(
        "is a still image, which has no scenes",
        code=Code.STILL_IMAGE,
        where=str(path),
        remedy="name films alone",
    )


def too_large(width: int, height: int, path: Path | None = None) -> MediaError:
    """Return the error for a picture that no bucket takes and no memory should hold."""
    scaled = f"scale the video down: {SCALED_DOWN}"
    mends = width * height <= _FFMPEGS_MOST
    return MediaError(
        f"{width}×{height} is larger than {MAX_SIDE} pixels a side",
        code=Code.TOO_LARGE,
        where=None if path is None else str(path),
        remedy=scaled if mends else "replace the file by a smaller one, or remove the sample",
    )


def picture_too_large(width: int, height: int, path: Path) -> MediaError:
    """Return the error for a still image that no bucket takes and no memory should hold."""
    return MediaError(
        f"{width}×{height} is larger than {MAX_SIDE} pixels a side",
        code=Code.TOO_LARGE,
        where=str(path),
        remedy="scale the picture down, or remove the sample",
    )


def bad_times(what: str) -> MediaError:
    """Return the error for a file whose frames have no times, or wrong ones."""
    return MediaError(
        what, code=Code.UNREADABLE, remedy=f"give its frames times anew: {TIMED_ANEW}"
    )


def bad_clock(what: str, formats: Sequence[str]) -> MediaError:
    """Return the error for a file whose time scale is nonsense.

    Args:
        what: what its header says.
        formats: FFmpeg's names of its container; in MP4 the list of edits may be wrong, too.
    """
    command = RATED_ANEW_WITHOUT_EDITS if "mov" in formats else RATED_ANEW
    return MediaError(
        f"{what}: its time scale is wrong",
        code=Code.UNREADABLE,
        remedy=f"write its frames at the rate that is meant, for instance 25 fps: {command}",
    )


def _reason(error: Exception) -> str:
    """Return the library's own words, without the path that the error already names."""
    if isinstance(error, av.error.EOFError):
        return "it ends before its first frame"
    if isinstance(error, av.error.PermissionError) and error.errno == errno.EPERM:
        return "the decoder fails"  # some decoders use the number for failures of any kind
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
