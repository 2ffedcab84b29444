"""Sound files that lie beside videos under their names: ``clip.wav`` beside ``clip.mp4``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from videoprep.errors import Code, Problem
from videoprep.fs.mirror import remote_of
from videoprep.spec.entries import Entries, Entry
from videoprep.spec.roles import AUDIO
from videoprep.spec.video_files import is_sound_name, is_video_name, suffix_of
from videoprep.spec.video_lookup import is_inside


class SoundNames:
    """Finds the sound files of videos among the names of a folder.

    ``clip.mp4`` has ``clip.mp4.wav`` if there is such a file, or else ``clip.wav``, with the ending
    of any sound file in any letter case.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._sounds: dict[str, list[str]] = {}  # by what precedes their endings
        self._videos: dict[str, list[str]] = {}
        names = list(names)
        for name in names:
            if is_sound_name(name) and not name.startswith("."):
                self._sounds.setdefault(_stem(name), []).append(name)
        for name in names if self._sounds else ():
            if is_video_name(name):
                self._videos.setdefault(_stem(name), []).append(name)

    def __bool__(self) -> bool:
        return bool(self._sounds)

    def of(self, video: str) -> Sequence[str]:
        """Return the names of a video's sound files, in order; more than one leave it open."""
        found = self._sounds.get(video) or self._sounds.get(_stem(video)) or []
        return sorted(name for name in found if name != video)

    def sharing(self, video: str) -> Sequence[str]:
        """Return the videos of one stem whose sound files are those of this one, in order."""
        if video in self._sounds:
            return (video,)
        alike = self._videos.get(_stem(video), ())
        return sorted({video, *(one for one in alike if one not in self._sounds)})


def add_sounds_beside(found: Entries, root: Path, *, allow_outside: bool = False) -> None:
    """Give each entry that names no sound the file that lies beside its video.

    An entry with several of them has a flaw, and so has one whose file may be that of another
    video. Of a table with a column of sound files nothing is looked for: there an empty cell means
    the video's own sound.

    Args:
        found: the entries.
        root: the data root.
        allow_outside: whether to look into folders outside it.
    """
    if AUDIO in found.columns:
        return
    names_of = _names_of(root, allow_outside=allow_outside)
    folders: dict[str, SoundNames] = {}
    for place, entry in enumerate(found.entries):
        folder, slash, video = entry.video.rpartition("/")
        names = folders.get(folder)
        if names is None:
            names = folders[folder] = SoundNames(names_of(folder + slash))
        if not names:
            continue
        sounds, videos = names.of(video), names.sharing(video)
        if len(sounds) > 1 or (sounds and len(videos) > 1):
            flaw = _flaw(entry, folder + slash, sounds, videos)
            found.flaws.setdefault(entry.number, []).append(flaw)
        elif sounds:
            medium = AUDIO, f"{folder}{slash}{sounds[0]}"
            found.entries[place] = entry._replace(beside=(medium, *entry.beside))
            found.sounds_beside += 1


def _flaw(entry: Entry, folder: str, sounds: Sequence[str], videos: Sequence[str]) -> Problem:
    if len(sounds) > 1:
        message = f"its audio: several sound files lie beside it: {_listed(folder, sounds)}"
        remedy = "keep one of them"
    else:
        message = (
            f"its audio: {folder}{sounds[0]} lies beside several videos: {_listed(folder, videos)}"
        )
        remedy = f"name it after one of them, such as {videos[0]}{suffix_of(sounds[0])}"
    return Problem(
        Code.SEVERAL_MEDIA,
        message,
        f"{remedy}; or take the videos' own sound with `audio_column=''`",
        entry.file,
        entry.line,
        entry.row,
        entry.number,
        video=entry.video,
    )


_SHOWN = 3


def _listed(folder: str, names: Sequence[str]) -> str:
    more = ", …" if len(names) > _SHOWN else ""
    return ", ".join(folder + name for name in names[:_SHOWN]) + more


def _names_of(root: Path, *, allow_outside: bool) -> Callable[[str], Iterable[str]]:
    """What lists the files of a folder, which is relative to the data root and ends in a slash."""
    remote = remote_of(root)
    if remote is None:
        real = os.path.realpath(root)
        return lambda folder: _listing(os.path.join(root, folder), real, allow_outside)
    listed: dict[str, list[str]] = {}
    for whole in remote.listing():
        folder, slash, name = whole.rpartition("/")
        listed.setdefault(folder + slash, []).append(name)
    return lambda folder: listed.get(os.path.normpath(folder) + "/" if folder else "", ())


def _listing(folder: str, root: str, allow_outside: bool) -> Iterator[str]:
    """The names in a folder, without those of folders: a link that leads nowhere is a file."""
    if not allow_outside and not is_inside(os.path.realpath(folder), root):
        return  # what lies out there is not the list's business
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not (is_sound_name(entry.name) and entry.is_dir()):
                    yield entry.name
    except (OSError, ValueError):
        return  # the video is not there, which is told


def _stem(name: str) -> str:
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix else name
