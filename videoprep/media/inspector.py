"""The process that opens videos. What a hostile file does to it costs one file.

It reads one JSON request a line from standard input and answers each with one JSON line; see
`videoprep.workers.child`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.media.contents import picture_format
from videoprep.media.frame_scan import scan_frames
from videoprep.media.geometry import square_size
from videoprep.media.orientation import orientation_of
from videoprep.media.probe import best_video_stream, open_file, probe_contents
from videoprep.media.refusals import out_of_memory, unreadable
from videoprep.media.scene_scan import OnDecoded, scan_scenes
from videoprep.media.sound_file import probe_sound
from videoprep.media.sound_scan import scan_sound
from videoprep.media.source import signature_of
from videoprep.media.still_image import load_still
from videoprep.media.video_reader import VideoReader
from videoprep.workers.child import MIB, Service, limit_memory, unlimit_memory

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_LARGE = 1 << 30
_LONGEST_ANSWER = 16 * MIB

# Of thumbnails: the longer side, in pixels.
_SIDE = 192
_QUALITY = 70


def serve(memory_mib: int) -> None:
    """Answers requests until standard input ends."""
    service = Service()
    cv2.setNumThreads(1)

    def answer(line: bytes) -> str:
        request = json.loads(line)
        if "transnet" in request["do"]:
            unlimit_memory()  # what the network takes is not the file's memory
            _load_network()
        limit_memory(memory_mib)
        tell = _teller(service) if request.get("tells") else None
        return _text(request, _answer(request, tell))

    service.run(answer)


def _teller(service: Service) -> OnDecoded:
    """What is called with how many frames are decoded."""
    return lambda frames: service.tell(json.dumps({"at": frames}))


def _text(request: dict[str, Any], answer: dict[str, Any]) -> str:
    """An answer as JSON; one that would swell the parent is an error, too."""
    text = json.dumps(answer)
    if len(text) <= _LONGEST_ANSWER:
        return text
    error = _error(out_of_memory(Path(request["path"])), lasts=False)
    keep = ("fingerprint",)
    return json.dumps({do: answer.get(do) if do in keep else error for do in request["do"]})


def _answer(request: dict[str, Any], tell: OnDecoded | None) -> dict[str, Any]:
    """Does one thing after the other, up to the first that fails; tells how far the last one is."""
    path = Path(request["path"])
    before = _signature(path)
    answer: dict[str, Any] = {}
    for do in request["do"]:
        known = answer.get("fingerprint", {}).get("value")
        told = tell if do == request["do"][-1] else None
        answer[do] = _attempt(do, path, known, request.get("frames", ()), told)
        if "error" in answer[do]:
            break
    if _signature(path) != before:  # what was found may not be of what the fingerprint is of
        for fact in answer.values():
            fact["lasts"] = False
    return answer


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        return signature_of(path)
    except (OSError, ValueError):
        return None  # opening it will say what is wrong


def _attempt(
    do: str,
    path: Path,
    fingerprint: str | None,
    frames: Sequence[int],
    tell: OnDecoded | None,
) -> dict[str, Any]:
    try:
        if do == "fingerprint" and path.stat().st_size > _LARGE:
            open_file(path).close()  # what is no video is not read through to its end
        if do == "probe":
            return {"value": probe_contents(path, fingerprint).to_json()}
        if do == "scenes":
            return {"value": scan_scenes(path, fingerprint, tell).to_json()}
        if do == "transnet":
            return {"value": _shots(path, fingerprint, tell)}
        if do == "pictures":
            return {"value": [base64.b64encode(one).decode() for one in pictures(path, frames)]}
        return {"value": _DO[do](path)}
    except MediaError as error:
        passing = error.code is Code.MEMORY_LIMIT or isinstance(error.__cause__, OSError)
        return _error(error, lasts=not passing or error.code is Code.TRUNCATED)
    except Exception as error:  # noqa: BLE001 (no file may end this process)
        # The file system's fault may pass; the file's will not.
        return _error(unreadable(path, error), lasts=not isinstance(error, (OSError, MemoryError)))


def _load_network() -> None:
    """Import torch, and load what the first film would load."""
    from videoprep.media.transnet import network

    network()


def _shots(path: Path, fingerprint: str | None, tell: OnDecoded | None) -> dict[str, Any]:
    from videoprep.media.transnet import scan_shots

    return scan_shots(path, fingerprint, tell).to_json()


def _error(error: MediaError, lasts: bool) -> dict[str, Any]:
    what = {"message": error.message, "code": error.code.value, "remedy": error.remedy}
    return {"error": what, "lasts": lasts}


def thumbnail(path: Path) -> bytes:
    """The first frame, as players show it, as a JPEG whose longer side has at most 192 pixels.

    Raises:
        MediaError: no frame of it can be decoded.
        av.error.FFmpegError: the file cannot be opened.
    """
    if picture_format(path) is not None:
        return _small_still(path)
    with open_file(path) as container:
        stream = best_video_stream(container)
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            return _small(
                frame, stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
            )
    raise MediaError("no frame of it can be decoded", code=Code.UNREADABLE, where=str(path))


def pictures(path: Path, frames: Sequence[int]) -> Iterator[bytes]:
    """Yield frames as `thumbnail` does the first; nothing for one that cannot be decoded.

    Args:
        path: the file.
        frames: their numbers, in ascending order.

    Raises:
        MediaError: the file cannot be used.
        av.error.FFmpegError: it cannot be read.
    """
    info = probe_contents(path, "-")
    if info.is_still:
        yield from (_small_still(path) if number == 0 else b"" for number in frames)
        return
    times = info.timestamps
    with VideoReader(path, info.stream) as reader:
        for number in frames:
            if not 0 <= number < info.frames:
                yield b""
                continue
            try:
                found = (
                    reader.at_time(int(times.ticks[number]))
                    if times.timed
                    else reader.by_number(number)
                )
            except av.error.InvalidDataError:
                found = None
            yield b"" if found is None else _small(found.frame, found.pixel_aspect)


def _small(frame: VideoFrame, aspect: Fraction | None) -> bytes:
    """A frame, upright, as a JPEG whose longer side has at most 192 pixels."""
    size = square_size(frame.width, frame.height, Fraction(aspect or 1))
    scale = min(1.0, _SIDE / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    small = frame.reformat(width=width, height=height, format="bgr24").to_ndarray()
    return _jpeg(orientation_of(frame).apply(cast("NDArray[np.uint8]", small)))


def _small_still(path: Path) -> bytes:
    picture = cast("NDArray[np.uint8]", cv2.cvtColor(load_still(path), cv2.COLOR_RGB2BGR))
    height, width = picture.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return _jpeg(cast("NDArray[np.uint8]", cv2.resize(picture, size, interpolation=cv2.INTER_AREA)))


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    upright = np.ascontiguousarray(picture)
    done, data = cv2.imencode(".jpg", upright, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("the picture cannot be written as a JPEG")
    return data.tobytes()


_DO: dict[str, Callable[[Path], Any]] = {
    "fingerprint": fingerprint_of,
    "scan": lambda path: scan_frames(path).to_json(),
    "sound": lambda path: probe_sound(path).to_json(),
    "sound_scan": lambda path: scan_sound(path).to_json(),
    "thumbnail": lambda path: base64.b64encode(thumbnail(path)).decode(),
}
