"""Roles: what a medium is to its sample, and what follows from that.

The target is the ``video``. Any other role may be absent. A role that may come several times has a
suffix: ``control:depth``, ``reference:0``.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from videoprep.errors import SpecError, nearest

if TYPE_CHECKING:
    from videoprep.spec.sample import Location

Alignment = Literal["frames", "time", "free"]
"""How a medium follows the video. ``frames``: it has the same frames, crop and bucket; ``time``: it
lasts as long as the clip, at the same time; ``free``: it does not."""

_SUFFIX = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")

# What may stand around the suffix of a role in the name of a column or a folder.
_FILLING = ("input", "video", "videos", "image", "images", "media", "file", "path")

# What a column is about that is called like a role and holds none of it.
_OTHER_MEDIA = ("audio", "sound", "caption", "prompt", "text")


@dataclass(frozen=True, slots=True)
class RoleKind:
    """What is the same for a role with any suffix."""

    name: str
    alignment: Alignment
    label: str
    """What a column of it holds, in words."""
    columns: tuple[str, ...]
    """Column names taken for its files if none is named, normalized, in order of preference."""
    alike: str = ""
    """A regular expression for further names of columns that may hold its files, normalized. Such a
    column is pointed out if nothing is read from it."""
    several: bool = False
    """Whether a sample may have several, which a suffix tells apart. Which columns and folders hold
    them, the option ``roles`` says, or their names: ``control_depth`` holds ``control:depth``."""
    listed: bool = False
    """Whether lists name its files: there is an option ``NAME_column``."""
    in_video: bool = False
    """Whether the video itself holds it if no other file is named."""


_OTHERS = "a control, reference or mask"
_FRAMES = "a first or last frame"

ROLES: Mapping[str, RoleKind] = {
    one.name: one
    for one in (
        RoleKind(
            "video",
            "frames",
            "the video or still image",
            ("video", "videos", "video_path", "file_name", "filename", "path", "file", "file_path",
             "filepath", "media_path", "clip_path", "image", "images", "image_path", "img_path"),
            listed=True,
            in_video=True,
        ),
        RoleKind(
            "audio",
            "time",
            "sound",
            ("audio", "audio_path", "audio_file", "audio_file_path", "audio_filepath", "sound",
             "sound_path", "sound_file"),
            r"(audio|sound|wav|speech|music)(_.*)?|.*_audio(_path)?",
            listed=True,
            in_video=True,
        ),
        RoleKind(
            "control",
            "frames",
            _OTHERS,
            ("control", "control_video", "control_path", "control_file_path", "control_image",
             "control_video_path", "control_image_path", "vace_video"),
            r"(control|conditioning|depth|pose|canny|vace)(_.*)?|.*_control",
            several=True,
        ),
        RoleKind(
            "reference",
            "free",
            _OTHERS,
            ("reference", "reference_video", "reference_image", "reference_path", "ref_media_path",
             "ref_file_path", "reference_video_path", "reference_image_path", "reference_file_path",
             "ref", "ref_path", "vace_reference_image"),
            r"(reference|ref)(_.*)?",
            several=True,
        ),
        RoleKind(
            "mask",
            "frames",
            _OTHERS,
            ("mask", "mask_path", "mask_file_path", "video_mask", "loss_mask_path", "mask_video",
             "mask_image", "mask_video_path", "mask_image_path", "loss_mask"),
            r"mask(_.*)?|.*_mask|(video|loss)_mask(_path)?",
            several=True,
        ),
        RoleKind(
            "first_frame",
            "free",
            _FRAMES,
            ("first_frame", "first_frame_path", "first_image", "input_image"),
            r"first_?(frame|image)(_.*)?|input_image",
        ),
        RoleKind(
            "last_frame",
            "free",
            _FRAMES,
            ("last_frame", "last_frame_path", "last_image", "end_image"),
            r"last_?(frame|image)(_.*)?|end_image",
        ),
    )
}  # fmt: skip
"""Every kind of role, by name."""


class Role(str):
    """A role, such as ``audio`` or ``control:depth``.

    Raises:
        SpecError: there is no such role.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Role:
        """Check a role that is written as text."""
        name, colon, suffix = text.partition(":")
        kind = ROLES.get(name)
        if kind is None:
            raise SpecError(
                f"there is no role {text[:100]!r}", remedy=nearest(name, ROLES, "the roles are")
            )
        if colon and not kind.several:
            raise SpecError(
                f"the role {text[:100]!r} has a suffix, and a sample has only one {name}",
                remedy=f"say {name!r}",
            )
        if colon and not _SUFFIX.fullmatch(suffix):
            raise SpecError(
                f"the role {text[:100]!r} has an invalid suffix",
                remedy="use lower-case letters and digits, and underscores between them",
            )
        return super().__new__(cls, text)

    @classmethod
    def from_words(cls, words: str) -> Role:
        """Return the role of which `words` is this.

        Raises:
            SpecError: there is none.
        """
        if words in ROLES:
            return cls(words)
        kind = next((one for one in ROLES if words.startswith(f"{one}_")), words)
        return cls(words.replace(f"{kind}_", f"{kind}:", 1))

    @property
    def kind(self) -> RoleKind:
        """What is the same with any suffix."""
        return ROLES[self.partition(":")[0]]

    @property
    def is_mask(self) -> bool:
        """Whether it says which part of a clip counts."""
        return self.kind.name == "mask"

    @property
    def words(self) -> str:
        """As a part of the names of columns: ``control_depth``."""
        return self.replace(":", "_")


def role_called(words: str) -> Role | None:
    """Return the role with a suffix of which a column or a folder has the name, if it has one.

    ``control_depth``, ``control_depth_path``, ``control_input_depth`` and ``Control Depth Video``
    are of ``control:depth``, ``control_path_0`` is of ``control:0``.

    Args:
        words: the name, normalized: lower-case words with underscores between them.
    """
    name, *left = words.split("_")
    name = _SHORT.get(name, name)
    suffix = [word for word in left if word not in _FILLING]
    kind = ROLES.get(name)
    if kind is None or not kind.several or not suffix or not {*suffix}.isdisjoint(_OTHER_MEDIA):
        return None
    text = "_".join(suffix)
    return Role(f"{name}:{text}") if _SUFFIX.fullmatch(text) else None


_SHORT = {"ref": "reference", "controls": "control", "references": "reference", "masks": "mask"}

VIDEO = Role("video")
AUDIO = Role("audio")

LISTED: tuple[Role, ...] = tuple(
    Role(kind.name) for kind in ROLES.values() if kind.listed and kind.name != VIDEO
)
"""The roles that a table may name beside the video, each with an option ``NAME_column``."""


def has_own_option(name: str) -> bool:
    """Return whether what a column holds is told by an option ``NAME_column``, not by ``roles``."""
    return name.partition(":")[0] not in _SEVERAL


_SEVERAL = frozenset(kind.name for kind in ROLES.values() if kind.several)


class Media(NamedTuple):
    """A file of a sample."""

    role: Role
    """What it is to the sample."""
    name: str
    """Its path as the dataset writes it."""
    root: Path
    """The folder that ``name`` is relative to."""
    source: Location
    """The file and the line or row that names it."""

    @property
    def path(self) -> str:
        """The file as text."""
        return os.path.join(self.root, self.name)


def distinct(names: Iterable[str]) -> tuple[Role, ...]:
    """Return roles in the order of `ROLES`.

    Args:
        names: of roles, each once.

    Raises:
        SpecError: a name is not a role's, or occurs twice.
    """
    roles = [Role(name) for name in names]
    twice = [role for role, count in Counter(roles).items() if count > 1]
    if twice:
        raise SpecError(
            f"the role {twice[0]!r} occurs {roles.count(twice[0])} times",
            remedy="tell them apart by suffixes, such as 'control:depth' and 'control:pose'"
            if twice[0].kind.several
            else "give it once",
        )
    return tuple(sorted(roles, key=_place))


@cache
def _place(role: Role) -> tuple[int, str]:
    return list(ROLES).index(role.kind.name), role
