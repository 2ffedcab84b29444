"""The body of a request to an OpenAI-compatible server: frames, times and an instruction."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videoprep.captions.protocol import CaptionRequest
from videoprep.media.x264 import set_repeatable

RequestShape = Literal["images", "frames", "video"]
"""How frames are sent: as images with their times, which every server takes; as the frames of one
video; or as a video file."""

QUALITY = 90
"""Of JPEGs."""

_CRF = "12"
_SHOWN = 40


def messages_of(request: CaptionRequest, shape: RequestShape) -> list[dict[str, Any]]:
    """Return the messages of a question: one, by the user."""
    if not request.frames:
        return [{"role": "user", "content": request.instruction}]
    content = [*_PARTS[shape](request), {"type": "text", "text": request.instruction}]
    return [{"role": "user", "content": content}]


def body_of(
    request: CaptionRequest, shape: RequestShape, model: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of a request.

    Args:
        request: the question.
        shape: how frames are sent.
        model: its name on the server.
        settings: all else, such as a temperature.
    """
    body: dict[str, Any] = {"model": model, "messages": messages_of(request, shape)}
    if request.frames and shape == "frames":
        body["media_io_kwargs"] = {"video": _timing(request)}
    if request.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "caption", "strict": True, "schema": dict(request.schema)},
        }
    return {**body, "max_tokens": request.max_tokens, **settings}


def shortened(body: Any) -> Any:
    """Return a body for people: pictures are told by their size."""
    if isinstance(body, dict):
        return {name: shortened(value) for name, value in body.items()}
    if isinstance(body, list):
        return [shortened(value) for value in body]
    if isinstance(body, str) and body.startswith("data:") and len(body) > _SHOWN:
        return f"{body[:_SHOWN]}… ({len(body):,} characters)"
    return body


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    """Return a frame, RGB ``[H, W, 3]``, as a JPEG.

    Raises:
        ValueError: It cannot be one: it has more than 65,535 pixels a side.
    """
    flags = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise ValueError("a frame cannot be written as a JPEG")
    return data.tobytes()


def video_file(frames: Sequence[NDArray[np.uint8]], rate: Fraction) -> bytes:
    """Return frames, all of one size, as an MP4 file. An odd side loses a pixel."""
    height, width = (side - side % 2 for side in frames[0].shape[:2])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = cast(VideoStream, container.add_stream("libx264", rate=rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        set_repeatable(stream, {"crf": _CRF, "preset": "veryfast"})
        for frame in frames:
            cut = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cut, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def _as_images(request: CaptionRequest) -> Iterator[dict[str, Any]]:
    count = len(request.frames)
    if not request.duration:  # a still image
        yield _text("A still image.")
        yield _address("image_url", "image/jpeg", _base64(jpeg(request.frames[0])))
        return
    yield _text(f"{count} frames of a video clip of {request.duration:.2f} s, in order.")
    for number, (frame, time) in enumerate(zip(request.frames, request.times, strict=True), 1):
        yield _text(f"Frame {number} of {count}, at {time:.2f} s:")
        yield _address("image_url", "image/jpeg", _base64(jpeg(frame)))


def _as_frames(request: CaptionRequest) -> Iterator[dict[str, Any]]:
    data = ",".join(_base64(jpeg(frame)) for frame in request.frames)
    yield _address("video_url", "video/jpeg", data)


def _as_video(request: CaptionRequest) -> Iterator[dict[str, Any]]:
    rate = Fraction(_rate(request)).limit_denominator(1000)
    yield _address("video_url", "video/mp4", _base64(video_file(request.frames, rate)))


_PARTS = {"images": _as_images, "frames": _as_frames, "video": _as_video}


def _rate(request: CaptionRequest) -> float:
    """Frames a second: they are shown at even times."""
    span = request.times[-1] - request.times[0] if request.times else 0.0
    return max(0.01, (len(request.times) - 1) / span) if span > 0 else 1.0


def _timing(request: CaptionRequest) -> dict[str, Any]:
    """Say when frames are shown, and that all of them count: vLLM takes 32 otherwise."""
    count = len(request.frames)
    return {
        "fps": _rate(request),
        "frames_indices": list(range(count)),
        "total_num_frames": count,
        "duration": request.duration,
        "num_frames": -1,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _address(kind: str, media: str, data: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": f"data:{media};base64,{data}"}}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
