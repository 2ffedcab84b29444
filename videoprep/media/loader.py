"""The process that decodes clips. What a hostile file does to it costs one clip.

Requests and pixels lie in memory that it shares with its parent: the request of a clip where its
pixels will be, so that what comes through the pipe is always short. See `videoprep.media.serving`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videoprep.collection import no_collection
from videoprep.errors import Code, MediaError, SourceError, VideoprepError
from videoprep.failpoints import reach
from videoprep.media.clip import ClipPixels, load_clip_into
from videoprep.media.decode import DecoderName, choose_decoder
from videoprep.media.probe import out_of_memory
from videoprep.media.serving import Service, limit_memory, unlimit_memory
from videoprep.media.shared_memory import SharedMemory
from videoprep.media.source import SourceGuard

# How torch says that memory is used up, and how others do: a thread, too, takes memory to start.
_NO_MEMORY_WORDS = "allocate memory"
_NO_MEMORY = (MemoryError, BlockingIOError)


def serve(decoder: str, memory_mib: int, number: int, size: int, resizing: int) -> None:
    """Loads clips until standard input ends.

    Args:
        decoder: which is asked first; ``auto`` as `choose_decoder` chooses.
        memory_mib: what a clip may take beside its pixels.
        number: the descriptor of the shared memory.
        size: its size, see `SharedMemory`.
        resizing: not 0: clips have to be resized.
    """
    service = Service()
    if resizing:
        with no_collection():
            importlib.import_module("torch")
    service.run(_Loader(decoder, memory_mib, SharedMemory(number, size)).answer)


@dataclass(slots=True)
class _Loader:
    asked: str
    memory_mib: int
    memory: SharedMemory
    sources: SourceGuard = field(default_factory=SourceGuard)
    decoder: DecoderName = "pyav"

    def answer(self, line: bytes) -> str:
        """Does one request: ``{}``, or ``{"error": …}``."""
        where = json.loads(line)
        start = where["start"]
        clip = ClipPixels.from_json(json.loads(self.memory.read(start, where["length"])))
        try:
            self._load(clip, start)
        except VideoprepError as error:
            return _text(error)
        except Exception as error:  # noqa: BLE001 (no clip may end this process)
            return _text(_unexpected(clip.frames.path, error))
        return "{}"

    def _load(self, clip: ClipPixels, start: int) -> None:
        path = clip.frames.path
        pixels = self.memory.array(start, clip.shape)
        self._import(clip)
        limit_memory(self.memory_mib)
        self.sources.require(path, clip.fingerprint)
        reach("decode", os.fspath(path))
        try:
            load_clip_into(pixels, clip, self.decoder)
        finally:
            # Again: a file that is written while it is decoded is noticed, too.
            self.sources.require(path, clip.fingerprint)

    def _import(self, clip: ClipPixels) -> None:
        """Imports what a clip needs, once: that is not the clip's memory."""
        if "torch" in sys.modules and (self.decoder == "torchcodec" or not clip.is_late):
            return
        unlimit_memory()
        with no_collection():
            if clip.is_resized:
                importlib.import_module("torch")
            if clip.is_late:
                self.decoder = choose_decoder(self.asked)


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
