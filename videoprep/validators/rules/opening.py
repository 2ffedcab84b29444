"""VP103 to VP108, VP121 and VP133: what opening a file reports."""

from __future__ import annotations

from videoprep.errors import Code
from videoprep.validators.protocol import Need, ReaderRule

_REPLACE = "Replace or re-encode the file, or remove the sample."


class _OpeningRule(ReaderRule):
    needs = frozenset({Need.HEADER})
    remedy = _REPLACE
    why = "It cannot be encoded; found now, it does not stop a job of days."


class Unreadable(_OpeningRule):
    """FFmpeg cannot make anything of it."""

    code = Code.UNREADABLE.value
    name = "unreadable"
    summary = "The file opens as a video, and its first frame decodes."
    example = "A web page, a Git LFS pointer or a playlist called .mp4; an empty file."


class NoVideoStream(_OpeningRule):
    """There is sound, or only cover art."""

    code = Code.NO_VIDEO_STREAM.value
    name = "no-video-stream"
    summary = "The file holds a video stream; cover art is none."
    example = "An audio file, with or without a picture of its album."


class NoSound(_OpeningRule):
    """The file that a list names for its sound has none."""

    code = Code.NO_SOUND.value
    name = "no-sound"
    summary = "A file that is named for its sound holds an audio stream."
    why = "What was meant to be heard with the clip would be missing in training."
    example = "A column audio that names the silent video itself."
    remedy = "Name another file, or leave the cell empty: the sound is then the video's own."


class TimeLimit(_OpeningRule):
    """Opening it was stopped."""

    code = Code.TIME_LIMIT.value
    name = "time-limit"
    summary = "The file opens within the time limit, which grows with its size."
    example = "A file made to keep a decoder busy for hours; a disk that hangs."
    remedy = (
        "Re-encode the file or remove the sample; where the disk is slow, raise `limits.seconds`."
    )


class DecoderCrash(_OpeningRule):
    """The process that opened it ended; it was tried twice."""

    code = Code.DECODER_CRASH.value
    name = "decoder-crash"
    summary = "Opening the file does not crash the decoder."
    example = "A damaged or malicious file that makes a decoder read outside its memory."


class MemoryLimit(_OpeningRule):
    """The process that opened it came to its memory limit."""

    code = Code.MEMORY_LIMIT.value
    name = "memory-limit"
    summary = "The file opens within the memory limit."
    example = "A picture of gigapixels in a few kilobytes."
    remedy = "Re-encode the file, raise `limits.memory_mib`, or remove the sample."


class StillImage(_OpeningRule):
    """One picture is no video."""

    code = Code.STILL_IMAGE.value
    name = "still-image"
    summary = "The file is a video, not a picture."
    example = "A PNG, a JPEG or a GIF of one frame, whatever its name ends in."


class TooLarge(_OpeningRule):
    """No bucket takes it, and a picture of that size may be a decompression bomb."""

    code = Code.TOO_LARGE.value
    name = "too-large"
    summary = "Width and height are 8192 pixels at most."
    example = "A header that says 16384×8192; a GIF of 65535×65535 in a few bytes."
    remedy = "Scale the video down; the finding gives the command."
