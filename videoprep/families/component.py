"""What is stored of a clip: the components, and what of the clip each is made from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from videoprep.errors import SpecError, StoreError, nearest
from videoprep.families.caption_places import (
    FURTHER_KEYS,
    CaptionPlaces,
    Places,
    further_rows,
    relisted,
)
from videoprep.families.moments import MOMENTS, PosteriorForm
from videoprep.spec.roles import AUDIO, VIDEO, Role, distinct

if TYPE_CHECKING:
    import torch

    from videoprep.media.audio import Channels
    from videoprep.media.decode import FrameChoice

Component = str
"""The name of one kind of stored tensor, such as ``video_latents``."""
MASK_ROLE = Role("mask")
"""The role of the masks that say what of a control is given; those with a suffix do not."""
_MASK_KEY = "mask_key"
NO_AUDIO = ""
"""The ``audio_key`` of a planned clip without sound. Null means that it is not known."""
Condition = Literal["image_latents", "image_noise", "last_frame"]
"""An option of encoding that asks for components of conditions."""
FIRST_FRAMES: Condition = "image_latents"
"""The option that asks for what is made of first frames, whatever the family calls it."""
CONDITION_WORDS: Mapping[Condition, str] = {
    FIRST_FRAMES: "first frames",
    "image_noise": "noise on first frames",
    "last_frame": "last frames",
}
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PixelScale:
    """Pixels from 0 to 1, minus a mean and divided by a deviation, of red, green and blue."""

    mean: _RGB
    deviation: _RGB

    def scale(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return pixels as the encoder wants them.

        Args:
            pixels: float32 ``[B, 3, F, H, W]`` in 0…1, on any device.
        """
        if self == MINUS_ONE_TO_ONE:
            return 2.0 * pixels - 1.0  # as diffusers' `VideoProcessor`, to the bit
        mean, deviation = self._along(pixels)
        return (pixels - mean) / deviation

    def unscale(self, values: torch.Tensor) -> torch.Tensor:
        """Return what a decoder gives, from −1 to 1: float32 ``[B, 3, F, H, W]``."""
        if self == MINUS_ONE_TO_ONE:
            return values
        mean, deviation = self._along(values)
        return 2.0 * (values * deviation + mean) - 1.0

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What recipes say of it; nothing of −1…1, which is usual."""
        if self == MINUS_ONE_TO_ONE:
            return {}
        return {"pixel_mean": list(self.mean), "pixel_deviation": list(self.deviation)}

    def _along(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, deviation = (
            pixels.new_tensor(values).view(1, 3, 1, 1, 1) for values in (self.mean, self.deviation)
        )
        return mean, deviation


MINUS_ONE_TO_ONE = PixelScale((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
ZERO_TO_ONE = PixelScale((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
IMAGENET = PixelScale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, slots=True)
class Source:
    """What of a clip an artifact is made from. `SOURCES` holds every one there is."""

    name: str
    """What recipes call it."""
    label: str
    """What is read, in words."""
    key_columns: tuple[str, ...]
    """Index columns that name what is read. Together they name the artifact."""
    positions: tuple[int, ...] | None = ()
    """Positions of the clip's frames that are decoded; negative ones count from the end; None: all
    of them."""
    zeros: bool = False
    """Whether zeros, which are grey in −1…1, stand for the frames that are not decoded."""
    caption: bool = False
    """Whether the caption is read."""
    sound: bool = False
    """Whether the sound of the clip's frames is read."""
    fps: bool = False
    """Whether the frames a second are read, at which the clip's frames are taken."""
    masked: bool = False
    """Whether the clip's mask is read, too, if it has one: that of the role ``mask``."""
    placed: bool = False
    """Whether the encoder puts it into a picture of the clip's size, which it is told."""
    role: Role = VIDEO
    """The role of the media that is read, if any is. Without a suffix it stands for every role of
    its kind: a dataset with ``control:depth`` has artifacts of that."""
    recipe: tuple[tuple[str, str], ...] = ()
    """Fields that every recipe of this source has, and their values."""

    @property
    def frames(self) -> bool:
        """Whether frames are read."""
        return self.positions != ()

    @property
    def of_video_alone(self) -> bool:
        """Whether it is read of videos alone: still images have neither a rate nor what follows.

        Components for image-to-video are made from the first or last frame of a video. Of a still
        image that would be all there is.
        """
        return self.role == VIDEO and (bool(self.positions) or self.fps)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of an index that `keys` reads."""
        further = [*(["fps"] if self.of_video_alone else []), *([_MASK_KEY] if self.masked else [])]
        return tuple(dict.fromkeys([*self.key_columns, *further]))

    @property
    def media(self) -> bool:
        """Whether a file of the clip is read: its frames or its sound."""
        return self.frames or self.sound

    @property
    def is_mask(self) -> bool:
        """Whether masks are read, of which no part of the model makes anything."""
        return self.role.is_mask

    @property
    def may_lack(self) -> bool:
        """Whether clips may be without it, such as those without sound or control, or stills."""
        return self.role != VIDEO or self.of_video_alone

    @property
    def size_columns(self) -> tuple[str, str, str]:
        """Index columns with the frames, the height and the width of what is read.

        Of what is placed into a picture of the clip's size those of the clip.
        """
        of_its_own = self.role.kind.alignment == "free" and not self.placed
        own = f"{self.role.words}_" if of_its_own else ""
        return f"{own}frames", f"{own}height", f"{own}width"

    def of_role(self, role: Role) -> Source:
        """Return the same of another role of its kind, such as ``control:depth``."""
        own, new = (f"{one.words}_key" for one in (self.role, role))
        columns = tuple(new if name == own else name for name in self.key_columns)
        label = self.label if role == self.role else f"{self.label} ({role})"
        return replace(self, role=role, key_columns=columns, label=label)

    def sizes(self, table: pa.Table) -> pa.Table:
        """Return the frames, the height and the width of what each row of an index has of it."""
        return self._columns(table, self.size_columns, pa.int32())

    @property
    def kind(self) -> Literal["captions", "frames", "sound"]:
        """What makes it is of this kind: it takes captions alone, frames or sound."""
        if self.sound:
            return "sound"
        return "frames" if self.frames else "captions"

    def keys(self, table: pa.Table) -> pa.ChunkedArray:
        """Return the artifact that each row of an index needs: strings, null if it needs none.

        A clip without sound needs none that is made from sound, and so it is with other media; a
        still image needs none that is made of videos alone.
        """
        columns = self._columns(table, self.key_columns, pa.string()).columns
        if self.masked:  # a clip without a mask needs the artifact, too
            (masks,) = self._columns(table, [_MASK_KEY], pa.string()).columns
            columns.append(pc.fill_null(masks, ""))
        keys = columns[0] if len(columns) == 1 else _joined(columns)
        if self.of_video_alone and table["fps"].null_count:
            keys = pc.if_else(pc.is_valid(table["fps"]), keys, pa.scalar(None, pa.string()))
        if not self.sound:
            return keys
        return pc.if_else(pc.equal(keys, NO_AUDIO), pa.scalar(None, pa.string()), keys)

    def all_keys(self, table: pa.Table) -> pa.ChunkedArray:
        """Return the artifacts that an index needs, by `CaptionPlaces`; null if a row needs none.

        They are those of `keys`, and after them those of further captions, if these are read.
        """
        first = self.keys(table)
        if not self.caption or FURTHER_KEYS not in table.column_names:
            return first
        further = self.keys(further_rows(table, self.columns))
        return pa.chunked_array([*first.chunks, *further.chunks], pa.string())

    def keys_at(self, table: pa.Table, places: Places) -> pa.ChunkedArray:
        """Return those of `all_keys` at some places."""
        return self.keys(CaptionPlaces.of(table).take(table, self.columns, places))

    def key_lists(self, table: pa.Table) -> pa.Array:
        """Return the artifacts of the further captions of each row: lists, null if it has none."""
        further = self.keys(further_rows(table, self.columns)).combine_chunks()
        return relisted(table[FURTHER_KEYS], further)

    def _columns(self, table: pa.Table, names: Iterable[str], kind: pa.DataType) -> pa.Table:
        """Some columns of an index, null if it has none of the role."""
        there = frozenset(table.column_names)
        none = pa.chunked_array([pa.nulls(table.num_rows, kind)])
        return pa.table({name: table[name] if name in there else none for name in names})

    def decoded(self, frames: int) -> tuple[int, ...]:
        """Return the positions that are decoded of a clip of ``frames`` frames, in order.

        The first and the last frame of a clip of one frame are the same: it is decoded once.
        """
        if self.positions is None:
            return tuple(range(frames))
        return tuple(dict.fromkeys(range(frames)[position] for position in self.positions))

    def length(self, frames: int) -> int:
        """Return how many frames the artifact is made from, zeros included; 0 for a caption."""
        return frames if self.zeros else len(self.decoded(frames))

    def size(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Return the size of what the artifact is made from; zeros if only a caption is read.

        Artifacts of one size lie together in shards. Sound is as long as the frames.
        """
        if self.sound:
            return frames, 0, 0
        return (self.length(frames), height, width) if self.frames else (0, 0, 0)

    def choose(self, frames: FrameChoice) -> FrameChoice:
        """Return the frames to decode, of those of the clip."""
        return frames.select(self.decoded(len(frames.indices)))

    def arrange(self, pixels: torch.Tensor, frames: int) -> torch.Tensor:
        """Put decoded frames in their places, between zeros.

        Args:
            pixels: float32 ``[B, 3, F', H, W]``, scaled: the decoded frames.
            frames: F, of the clip.

        Returns:
            ``[B, 3, F, H, W]``, or ``pixels`` if there are no zeros.
        """
        if not self.zeros or pixels.shape[2] == frames:
            return pixels
        batch, channels, _, height, width = pixels.shape
        whole = pixels.new_zeros(batch, channels, frames, height, width)
        whole[:, :, list(self.decoded(frames))] = pixels
        return whole


FRAMES = Source("frames", "clips", ("video_key",), None)
FIRST_FRAME = Source("first_frame", "first frames", ("image_key",), (0,))
# Those below are as many frames as the clip, or depend on its end: they are the clip's own.
LAST_FRAME = Source("last_frame", "last frames", ("video_key",), (-1,))
FIRST_FRAME_ZEROS = Source(
    "first_frame_zeros",
    "first frames",
    ("video_key",),
    (0,),
    zeros=True,
    recipe=(("after_first", "zeros"),),
)
FIRST_LAST_FRAME_ZEROS = Source(
    "first_last_frame_zeros",
    "first and last frames",
    ("video_key",),
    (0, -1),
    zeros=True,
    recipe=(("between", "zeros"),),
)
CAPTION = Source("caption", "captions", ("prompt_key",), caption=True)
CAPTION_FIRST_FRAME = Source(
    "caption_first_frame",
    "captions with first frames",
    ("prompt_key", "image_key"),
    (0,),
    caption=True,
)
CAPTION_FRAMES = Source(
    "caption_frames", "captions with clips", ("prompt_key", "video_key"), None, caption=True
)
SOUND = Source("sound", "sound", ("audio_key",), sound=True, role=AUDIO)
CONTROL = Source("control", "control media", ("control_key",), None, role=Role("control"))
REFERENCE = Source("reference", "references", ("reference_key",), None, role=Role("reference"))
REFERENCE_FRAME = Source(
    "reference_frame",
    "first frames of references",
    ("reference_key",),
    (0,),
    role=Role("reference"),
)
PLACED_REFERENCE = Source(
    "placed_reference",
    "references in the size of the clip",
    ("reference_key", "height", "width"),
    (0,),
    placed=True,
    role=Role("reference"),
)
MASKED_CONTROL = Source(
    "masked_control",
    "control media with masks",
    ("control_key",),
    None,
    masked=True,
    role=Role("control"),
)
MASKS = Source("mask", "masks", (_MASK_KEY,), None, role=MASK_ROLE)
CAPTION_FRAMES_FPS = Source(
    "caption_frames_fps",
    "captions with clips and their frame rates",
    ("prompt_key", "video_key", "fps"),
    None,
    caption=True,
    fps=True,
)

SOURCES: Mapping[str, Source] = {
    one.name: one
    for one in (
        FRAMES,
        FIRST_FRAME,
        LAST_FRAME,
        FIRST_FRAME_ZEROS,
        FIRST_LAST_FRAME_ZEROS,
        CAPTION,
        CAPTION_FIRST_FRAME,
        CAPTION_FRAMES,
        SOUND,
        CAPTION_FRAMES_FPS,
        CONTROL,
        MASKED_CONTROL,
        REFERENCE,
        REFERENCE_FRAME,
        PLACED_REFERENCE,
        MASKS,
    )
}
"""Every source, by name."""

_CLASSIC: Mapping[Component, Source] = {
    "video_latents": FRAMES,
    "image_latents": FIRST_FRAME,
    "condition_latents": FIRST_FRAME_ZEROS,
    "noisy_image_latents": FIRST_FRAME,
    "image_embeds": FIRST_FRAME,
    "prompt_embeds": CAPTION,
    "pooled_embeds": CAPTION,
}
"""The components whose recipes do not name their source, in the order of the catalogue's columns.

Stores were written before recipes did. To name it now would change the recipes' ids, and so make
what these stores hold stale.
"""


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """The form in which an encoder takes sound."""

    sample_rate: int
    """Samples a second."""
    channels: Channels
    """Mono or stereo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentSpec:
    """A component of a family: what it is made from, by what, and what is stored of the result."""

    name: Component
    """Lower-case words joined by underscores. Names the component's folder and columns."""
    source: Source
    """What of a clip it is made from."""
    part: str
    """The part of the model that makes it, such as ``vae``; empty for the masks of latents, which
    none makes. A mask of a family's own names the part whose config says its form."""
    own_encoder: bool = False
    """Whether `load_frame_encoder` returns another encoder for it than for the other components of
    its part. It is loaded anew then."""
    posterior: PosteriorForm | None = None
    """What the part gives of a posterior over latents, which the option ``posterior`` reduces.
    None: there is none, and what the part gives is stored as it is."""
    pixels: PixelScale = MINUS_ONE_TO_ONE
    """How the part wants pixels."""
    mask: bool = False
    """Whether it says which tokens of the part's embeddings are not padding: uint8 ``[tokens]``, 1
    or 0. Made by `TextEncoder.mask`, without running the encoder."""
    sound: SoundFormat | None = None
    """In which form sound is given to the part, if the source is sound."""
    noise: bool = False
    """Whether it is made several times, with noise on the pixels; see ``image_noise``."""
    asked_by: Condition | tuple[Condition, ...] | None = None
    """The option that asks for it, or several, of which each does; None: it is always made."""
    shape: tuple[int, ...] | None = None
    """Of the longest one, to estimate what it takes when no model is at hand; None: the profile's
    moments of as many frames as the source has."""
    channels: int | None = None
    """Values of each latent pixel, for the same estimate; None: those of moments."""

    declared_as: Component | None = None
    """Of one that a dataset's roles bring: the component of the family that it is made like. None:
    the family has it under its own name."""

    @property
    def declared(self) -> Component:
        """The name by which its family knows it."""
        return self.declared_as or self.name

    def is_masked_by(self, other: ComponentSpec) -> bool:
        """Return whether another component is the mask of this one."""
        of_one_text = (self.source, self.part) == (CAPTION, other.part)
        return other.mask and other.source is CAPTION and of_one_text and not self.mask

    @property
    def reads_given_parts(self) -> bool:
        """Whether masks tell its encoder which part of a clip is given, and which is generated."""
        return self.source.masked or (self.source.is_mask and bool(self.part))

    @property
    def options(self) -> tuple[Condition, ...]:
        """The options that ask for it; none if it is always made."""
        asked_by = self.asked_by
        return asked_by if isinstance(asked_by, tuple) else () if asked_by is None else (asked_by,)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What of the spec decides the artifacts, for the recipe."""
        fields: dict[str, Any] = dict(self.source.recipe)
        fields |= {} if self.source.is_mask else self.pixels.recipe
        if _CLASSIC.get(self.name) is not self.source:
            fields["source"] = self.source.name
        if ":" in self.source.role:
            fields["role"] = str(self.source.role)
        if self.posterior not in (None, MOMENTS):
            fields["posterior_form"] = self.posterior.name
        if self.sound is not None:
            fields["sound"] = asdict(self.sound)
        return fields


def prompt_embeds(tokens: int, features: int) -> ComponentSpec:
    """Return the component of a text encoder's embeddings, one a token.

    Args:
        tokens: how many it has at most.
        features: of each.
    """
    return ComponentSpec(
        name="prompt_embeds", source=CAPTION, part="text_encoder", shape=(tokens, features)
    )


VIDEO_LATENTS = ComponentSpec(name="video_latents", source=FRAMES, part="vae", posterior=MOMENTS)
IMAGE_LATENTS = ComponentSpec(
    name="image_latents",
    source=FIRST_FRAME,
    part="vae",
    posterior=MOMENTS,
    asked_by="image_latents",
)
CONDITION_LATENTS = ComponentSpec(
    name="condition_latents",
    source=FIRST_FRAME_ZEROS,
    part="vae",
    posterior=MOMENTS,
    asked_by="image_latents",
)
LAST_IMAGE_LATENTS = ComponentSpec(
    name="last_image_latents",
    source=LAST_FRAME,
    part="vae",
    posterior=MOMENTS,
    asked_by="last_frame",
)
FIRST_LAST_LATENTS = ComponentSpec(
    name="first_last_latents",
    source=FIRST_LAST_FRAME_ZEROS,
    part="vae",
    posterior=MOMENTS,
    asked_by="last_frame",
)
NOISY_IMAGE_LATENTS = ComponentSpec(
    name="noisy_image_latents",
    source=FIRST_FRAME,
    part="vae",
    posterior=MOMENTS,
    noise=True,
    asked_by="image_noise",
)


CONTROL_LATENTS = ComponentSpec(
    name="control_latents", source=CONTROL, part="vae", posterior=MOMENTS
)
REFERENCE_LATENTS = ComponentSpec(
    name="reference_latents", source=REFERENCE, part="vae", posterior=MOMENTS
)
PLACED_REFERENCE_LATENTS = ComponentSpec(
    name="reference_latents",
    source=PLACED_REFERENCE,
    part="vae",
    posterior=MOMENTS,
    own_encoder=True,
)


MASK = ComponentSpec(name="mask", source=MASKS, part="", pixels=ZERO_TO_ONE, channels=1)
"""The masks of a clip at the resolution of its latents: ``[1, F', H', W']``, from 0 to 1.

No family declares it: it is made of any that has latents of whole clips. A family whose models
take masks in another form declares a component of `MASKS` besides.
"""


def for_roles(specs: Iterable[ComponentSpec], roles: Iterable[Role]) -> list[ComponentSpec]:
    """Return the components of a family for a dataset with media of some roles beside its videos.

    What a family makes of control media it makes of each: a dataset with ``control:depth`` and
    ``control:pose`` has ``control_depth_latents`` and ``control_pose_latents``, one without any has
    none. Masks are made for every family that has latents of whole clips.

    Args:
        specs: the family's.
        roles: those of the dataset.
    """
    there, specs = distinct(set(roles)), list(specs)
    found: list[ComponentSpec] = []
    for spec in [*specs, MASK] if whole_clips(specs) else specs:
        kind = spec.source.role.kind
        own = [role for role in there if role.kind is kind]
        found += [_of_role(spec, role) for role in own] if kind.several else [spec]
    return found


def whole_clips(specs: Iterable[ComponentSpec]) -> ComponentSpec | None:
    """Return the component of the latents of whole clips, if there is one."""
    return next((one for one in specs if one.source is FRAMES and one.posterior), None)


def roles_read(recipes: Iterable[Mapping[str, Any]]) -> set[Role]:
    """Return the roles that a store has components of, which `for_roles` derives.

    Args:
        recipes: the fields of each recipe.
    """
    found = (_role_of(str(recipe.get("source")), recipe) for recipe in recipes)
    return {role for role in found if role is not None and role.kind.several}


def _of_role(spec: ComponentSpec, role: Role) -> ComponentSpec:
    if role == spec.source.role:
        return spec
    name = spec.name.replace(spec.source.role.words, role.words, 1)
    return replace(spec, name=name, source=spec.source.of_role(role), declared_as=spec.declared)


def _role_of(source: str, recipe: Mapping[str, Any]) -> Role | None:
    """The role of a recipe; None if this version of videoprep does not know it."""
    known = SOURCES.get(source)
    try:
        return None if known is None else Role(str(recipe.get("role", known.role)))
    except SpecError:
        return None


def source_of(component: Component, recipe: Mapping[str, Any]) -> Source:
    """Return what a stored component was made from.

    Args:
        component: its name.
        recipe: the fields of its recipe.

    Raises:
        StoreError: The recipe names no source that this version of videoprep knows.
    """
    name = recipe.get("source")
    source = _CLASSIC.get(component) if name is None else SOURCES.get(str(name))
    if source is None:
        raise StoreError(
            f"{component} is made from {name!r}, which is not a known source",
            remedy=f"upgrade videoprep; {nearest(str(name), SOURCES, 'the sources are')}",
        )
    if "role" not in recipe:
        return source
    role = _role_of(str(name), recipe)
    if role is None or role.kind is not source.role.kind:
        raise StoreError(
            f"{component} is made from the unknown role {recipe['role']!r}",
            remedy="upgrade videoprep",
        )
    return source.of_role(role)


def ordered(components: Iterable[Component]) -> tuple[Component, ...]:
    """Return distinct components in the order in which they are listed and stored."""
    places = {name: place for place, name in enumerate(_CLASSIC)}
    return tuple(sorted(set(components), key=lambda name: (places.get(name, len(places)), name)))


def is_component_name(name: str) -> bool:
    """Return whether a component may be called this."""
    return _NAME.fullmatch(name) is not None


def _joined(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Keys of what several columns name together; null if one of them is."""
    texts = [column.cast(pa.string()) for column in columns]
    pairs = pc.binary_join_element_wise(*texts, " ").combine_chunks().dictionary_encode()
    digests = [
        hashlib.sha256(pair.encode()).hexdigest()[:32] for pair in pairs.dictionary.to_pylist()
    ]
    return pa.chunked_array([pa.array(digests, pa.string()).take(pairs.indices)])
