"""What videos and still images are called: the one list of endings, for all that looks for them.

What a file is only its contents tell; the probe decides. Each of these endings stands for a format
that the probe accepts, and each such format has its endings here.
"""

from __future__ import annotations

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".mj2", ".3gp", ".3g2", ".3gpp",  # mov
    ".mkv", ".webm", ".mk3d",
    ".avi", ".divx",
    ".ts", ".mts", ".m2ts", ".m2t", ".mpg", ".mpeg", ".mpe", ".m2v", ".m1v", ".vob",
    ".flv", ".f4v", ".asf", ".wmv", ".ogv", ".ogm", ".rm", ".rmvb", ".mxf", ".nut", ".dv",
    ".ivf", ".obu", ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".y4m",
    ".gif", ".apng",
})  # fmt: skip
"""Endings of video files, in lower case."""

STILL_SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif",
    ".avif",
})  # fmt: skip
"""Endings of still images, in lower case."""

UNREAD_SUFFIXES = frozenset({".jxl", ".tga", ".exr", ".psd", ".jp2", ".ppm"})
"""Endings of still images in formats that are not read, in lower case."""
SOUND_SUFFIXES = frozenset({
    ".wav", ".wave", ".w64", ".flac", ".mp3", ".m4a", ".m4b", ".aac", ".ogg", ".oga", ".opus",
    ".mka", ".aif", ".aiff", ".aifc", ".au", ".ac3", ".eac3", ".wma", ".caf", ".mp2", ".mpga",
    ".weba", ".amr", ".ape", ".wv", ".tta", ".dts",
})  # fmt: skip
"""Endings of sound files, in lower case."""


def suffix_of(name: str) -> str:
    """Return a name's ending in lower case, with its dot; ``""`` if it has none."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if dot and stem else ""


def is_video_name(name: str) -> bool:
    """Return whether a file is called like a video; spaces around the name do not count."""
    return suffix_of(name.strip()) in VIDEO_SUFFIXES


def is_sound_name(name: str) -> bool:
    """Return whether a file is called like a sound file."""
    return suffix_of(name.strip()) in SOUND_SUFFIXES


def is_still_name(name: str) -> bool:
    """Return whether a file is called like a still image."""
    return suffix_of(name.strip()) in STILL_SUFFIXES


def is_media_name(name: str) -> bool:
    """Return whether a file is called like a video or a still image."""
    return is_video_name(name) or is_still_name(name)


def is_unread_name(name: str) -> bool:
    """Return whether a file is called like a still image in a format that is not read."""
    return suffix_of(name.strip()) in UNREAD_SUFFIXES


def stem_of(name: str) -> str:
    """Return a name without its ending."""
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix else name
