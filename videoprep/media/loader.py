"""The process that decodes clips. What a hostile file does to it costs one clip.

Requests, pixels and sound lie in memory that it shares with its parent: the request of a clip where
its pixels will be, so that what comes through the pipe is always short. See
`videoprep.workers.child`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from videoprep.errors import Code, MediaError, SourceError, VideoprepError
from videoprep.failpoints import reach
from videoprep.gc_pause import gc_paused
from videoprep.media.audio import Sound, load_audio, time_of_frame
from videoprep.media.clip import ClipPixels, damaged, load_clip_into
from videoprep.media.clip_request import ClipRequest, ClipSound
from videoprep.media.contents import missing_end
from videoprep.media.decode import FrameDecoder
from videoprep.media.refusals import out_of_memory
from videoprep.media.source import SourceGuard
from videoprep.workers.child import Service, limit_memory, unlimit_memory
from videoprep.workers.shared_memory import SharedMemory

# How torch says that memory is used up, and how others do: a thread, too, takes memory to start.
_NO_MEMORY_WORDS = "allocate memory"
_NO_MEMORY = (MemoryError, BlockingIOError)


def serve(memory_mib: int, number: int, size: int, resizing: int, allow_damaged: int) -> None:
    """Loads clips until standard input ends.

    Args:
        memory_mib: what a clip may take beside its pixels and its sound.
        number: the descriptor of the shared memory.
        size: its size, see `SharedMemory`.
        resizing: not 0: clips have to be resized.
        allow_damaged: not 0: damaged frames and sound are taken, and told.
    """
    service = Service()
    if resizing:
        with gc_paused():
            importlib.import_module("torch")
    loader = _ClipLoader(memory_mib, SharedMemory(number, size), bool(allow_damaged))
    service.run(loader.answer)


@dataclass(slots=True)
class _ClipLoader:
    memory_mib: int
    memory: SharedMemory
    allow_damaged: bool
    sources: SourceGuard = field(default_factory=SourceGuard)
    decoder: FrameDecoder = field(default_factory=FrameDecoder)
    decoded: str | None = None  # fingerprint of the file that the decoder may hold open
    cut_off: str | None = None  # why that file is known to end too early

    def answer(self, line: bytes) -> str:
        """Does one request: ``{}`` with what is to be told of the file, or ``{"error": …}``."""
        where = json.loads(line)
        start = where["start"]
        clip = ClipRequest.from_json(json.loads(self.memory.read(start, where["length"])))
        try:
            return json.dumps(self._load(clip, start))
        except VideoprepError as error:
            return _text(error)
        except Exception as error:  # noqa: BLE001 (no clip may end this process)
            return _text(_unexpected(clip.path, error))

    def _load(self, clip: ClipRequest, start: int) -> dict[str, Any]:
        """Loads what is asked for; gives what is to be told of it."""
        if clip.pixels is not None and clip.pixels.is_resized and "torch" not in sys.modules:
            unlimit_memory()  # what it takes is not the clip's memory
            with gc_paused():
                importlib.import_module("torch")
        limit_memory(self.memory_mib)
        told: dict[str, Any] = {}
        damage = []
        if clip.pixels is not None:
            damage.append(self._load_pixels(clip.pixels, start))
            told["cut_off"] = self.cut_off
        if clip.sound is not None:
            if clip.pixels is None:
                reach("decode", os.fspath(clip.path))
            sound = self._load_sound(clip.sound)
            told["sound"] = self._put(sound, start + clip.sound_offset, clip.sound.most_bytes)
            damage.append(sound.damage and f"damaged sound (the decoder says: {sound.damage})")
        told["damage"] = "; ".join(filter(None, damage)) or None
        return {name: value for name, value in told.items() if value is not None}

    def _load_pixels(self, clip: ClipPixels, start: int) -> str | None:
        path = clip.frames.path
        pixels = self.memory.array(start, clip.shape)
        self.sources.require(path, clip.fingerprint)
        reach("decode", os.fspath(path))
        if clip.fingerprint != self.decoded:
            self.decoder.close()  # the same path may now be another file
            self.decoded, self.cut_off = clip.fingerprint, missing_end(path)
        try:
            damage = load_clip_into(pixels, clip, self.decoder)
        finally:
            # Again: a file that is written while it is decoded is noticed, too.
            self.sources.require(path, clip.fingerprint)
        if damage is not None and not self.allow_damaged:
            raise damaged(clip, damage)
        return None if damage is None else str(damage)

    def _load_sound(self, clip: ClipSound) -> Sound:
        path = clip.path
        self.sources.require(path, clip.fingerprint)
        try:
            start = time_of_frame(path, clip.frame) if clip.start is None else clip.start
            return load_audio(
                path,
                (start, start + clip.length),
                clip.sample_rate,
                clip.channels,
                pad=clip.pad,
                allow_damaged=self.allow_damaged,
            )
        finally:
            self.sources.require(path, clip.fingerprint)

    def _put(self, sound: Sound, start: int, room: int) -> dict[str, Any]:
        """Writes samples to where there is room for them; gives the rest."""
        samples = sound.samples
        if samples.size:
            data = samples.reshape(-1).view(np.uint8)
            if data.size > room:
                raise MemoryError(f"{data.size} bytes of sound in room for {room}")
            self.memory.array(start, (data.size,))[:] = data
        told = {name: getattr(sound, name) for name in sound.__slots__ if name != "samples"}
        return {**told, "shape": samples.shape}


def _unexpected(path: Path, error: Exception) -> MediaError:
    if isinstance(error, _NO_MEMORY) or _NO_MEMORY_WORDS in str(error):
        return out_of_memory(path)
    return MediaError(
        f"does not decode: {type(error).__name__}: {error}",
        code=Code.DECODE_FAILED,
        remedy="re-encode the file, or remove the sample",
    )


def _text(error: VideoprepError) -> str:
    if isinstance(error.__cause__, _NO_MEMORY):
        error = out_of_memory(Path())
    data = {"message": error.message, "remedy": error.remedy}
    return json.dumps({"error": data | {"code": _code(error)}})


def _code(error: VideoprepError) -> str | None:
    """That of an error of the clip; None where the source is not what was planned."""
    if isinstance(error, MediaError):
        return error.code.value
    return None if isinstance(error, SourceError) else Code.DECODE_FAILED.value


def error_of(answer: dict[str, Any], path: Path) -> MediaError | SourceError | None:
    """What an answer says went wrong with a file.

    Raises:
        ValueError: it is no answer.
    """
    try:
        error = answer.get("error")
        if error is None:
            return None
        message, remedy, code = error["message"], error["remedy"], error["code"]
    except (AttributeError, KeyError, TypeError) as mistake:
        raise ValueError(f"no answer: {answer}") from mistake
    if code is None:
        return SourceError(message, where=str(path), remedy=remedy)
    return MediaError(message, code=Code(code), where=str(path), remedy=remedy)
