"""Sound files that lie beside videos under their names: ``clip.wav`` beside ``clip.mp4``.

Or in a folder of their own: ``audio/a/clip.wav`` for ``videos/a/clip.mp4``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from videoprep.errors import Code, Problem
from videoprep.fs.mirror import remote_of
from videoprep.spec.columns import normalized
from videoprep.spec.entries import Entries, Entry, PassedOver
from videoprep.spec.folder import levels
from videoprep.spec.role_folders import prefix_of, top_folders
from videoprep.spec.roles import AUDIO
from videoprep.spec.video_files import is_media_name, is_sound_name, is_video_name, suffix_of
from videoprep.spec.video_lookup import is_inside

UNPAIRED_SOUND = "sound files without a video"

_FOLDERS = ("audio", "audios", "sound", "sounds")
"""What a folder of sound files is called, normalized."""


def sound_folder(root: Path) -> str | None:
    """Return the folder of the data root that holds the videos' sound files, if there is one.

    It is called like one, holds sound files, and no videos and still images, which are samples
    themselves. Of several such folders none is.
    """
    found = []
    if remote_of(root) is None and not os.path.isdir(root):
        return None
    for name in top_folders(root, _is_called_so):
        names = [one for level in levels(root / name, within=root) for one in level.files]
        if any(map(is_sound_name, names)) and not any(map(is_media_name, names)):
            found.append(name)
    return found[0] if len(found) == 1 else None


def _is_called_so(name: str) -> bool:
    return len(name) <= _LONGEST and normalized(name) in _FOLDERS


_LONGEST = max(map(len, _FOLDERS))


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
    second = _second_folder(root, [entry.video for entry in found.entries])
    folders: dict[str, list[tuple[str, SoundNames]]] = {}
    used: set[str] = set()
    for place, entry in enumerate(found.entries):
        folder, slash, video = entry.video.rpartition("/")
        places = folders.get(folder)
        if places is None:
            places = folders[folder] = _places(folder + slash, names_of, second)
        sounds = [prefix + name for prefix, names in places for name in names.of(video)]
        if not sounds:
            continue
        having = [names for _, names in places if names.of(video)]
        videos = sorted({one for names in having for one in names.sharing(video)})
        if len(sounds) > 1 or len(videos) > 1:
            flaw = _flaw(entry, folder + slash, sounds, videos)
            found.flaws.setdefault(entry.number, []).append(flaw)
        else:
            found.entries[place] = entry._replace(beside=((AUDIO, sounds[0]), *entry.beside))
            found.sounds_beside += 1
            used.add(sounds[0])
    if second is not None:
        _tell(found, second, used)


class _SecondFolder(NamedTuple):
    """A folder of sound files, and how its files are called."""

    name: str
    names: Mapping[str, Sequence[str]]
    """Of each folder in it: relative to it, empty or with a slash at its end."""
    prefix: str
    """What of the videos' paths it does not have."""


def _second_folder(root: Path, videos: Iterable[str]) -> _SecondFolder | None:
    name = sound_folder(root)
    if name is None:
        return None
    names = {
        level.prefix: [one for one in level.files if is_sound_name(one)]
        for level in levels(root / name, within=root)
    }
    stems = {_stem(prefix + one) for prefix, files in names.items() for one in files}
    of_videos = [_stem(os.path.normpath(video)) for video in videos]
    return _SecondFolder(name, names, prefix_of(of_videos, stems))


def _tell(found: Entries, second: _SecondFolder, used: Collection[str]) -> None:
    """Say that the folder is read, and which of its files are those of no video."""
    files = [f"{second.name}/{prefix}{one}" for prefix, own in second.names.items() for one in own]
    left = sorted(name for name in files if name not in used)
    if len(left) < len(files):
        found.columns[AUDIO] = f"{second.name}/"
    if left:
        over = PassedOver(UNPAIRED_SOUND, len(left), tuple(left[:_SHOWN]))
        found.passed_over.append(over)


def _places(
    folder: str, names_of: Callable[[str], Iterable[str]], second: _SecondFolder | None
) -> list[tuple[str, SoundNames]]:
    """Where the sound files of a folder's videos may lie, and which are there."""
    names = list(names_of(folder))
    places = [(folder, SoundNames(names))]
    if second is not None:
        inner = os.path.normpath(folder or ".")
        within = "" if inner == "." else f"{inner}/".removeprefix(second.prefix)
        files = second.names.get(within, ())
        videos = [name for name in names if not is_sound_name(name)]
        places.append((f"{second.name}/{within}", SoundNames([*files, *videos])))
    return [(prefix, sounds) for prefix, sounds in places if sounds]


def _flaw(entry: Entry, folder: str, sounds: Sequence[str], videos: Sequence[str]) -> Problem:
    if len(sounds) > 1:
        message = f"its audio: several sound files lie beside it: {_listed('', sounds)}"
        remedy = "keep one of them"
    else:
        message = f"its audio: {sounds[0]} lies beside several videos: {_listed(folder, videos)}"
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
