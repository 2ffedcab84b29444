"""What is seen of a clip: the frames really chosen, and what its latents decode to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import MediaError, SourceError, StoreError
from videoprep.families.component import FRAMES, Component, Source
from videoprep.fs.staging import Staging
from videoprep.index.clip import Clip
from videoprep.index.shown import stretch_of
from videoprep.media.clip import ClipPixels, normalize
from videoprep.media.clip_request import ClipRequest
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.media.geometry import Box, letter_box, whole
from videoprep.previewing.choose import spread_frames
from videoprep.previewing.clips import Clips
from videoprep.previewing.reconstruct import NotFiniteError, Reconstructor, psnr, to_uint8
from videoprep.previewing.waveform import Waveform

if TYPE_CHECKING:
    import torch

Frames = NDArray[np.uint8]
"""uint8 RGB ``[F, H, W, 3]``."""

LOW = 15.0
"""dB below which a reconstruction is hardly the same picture."""

# The whole frames around a crop are shown no larger than this, in pixels a side.
_WHOLE_SIDE = 480

# Two processes decode ahead, of pixels no more than this, beside a clip that is larger itself.
_WORKERS = 2
_MEMORY = 1 << 28

# Of so many clips it is looked up whether any has to be resized, for which workers import torch.
_FEW = 100

FaultKind = Literal["not finite", "damaged", "source", "low", "sound"]
"""What is wrong with a clip.

- ``not finite``: its latents, or what they decode to, hold NaN or infinity.
- ``damaged``: its latents cannot be read, or have another shape than the clip's.
- ``source``: its video is gone, has changed since it was planned, or does not decode.
- ``low``: its reconstruction is hardly the same picture.
- ``sound``: its sound does not decode, or is damaged.
"""


@dataclass(frozen=True, slots=True)
class ClipFault:
    """Something wrong with a clip.

    Attributes:
        kind: in a stable word, see `FaultKind`.
        what: in words.
    """

    kind: FaultKind
    what: str


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """How well a clip's latents give it back.

    Attributes:
        number: the clip's number among those of the store or plan.
        clip: as it was planned.
        psnr: dB over all frames; None where nothing was decoded, or there is no source.
        image_psnr: the same of the frames that have latents of their own, such as the first; the
            least, if there are several such latents.
        faults: what is wrong with it.
    """

    number: int
    clip: Clip
    psnr: float | None = None
    image_psnr: float | None = None
    faults: tuple[ClipFault, ...] = ()

    @property
    def name(self) -> str:
        """The video, as the dataset names it, and which clip of it where that is not the first."""
        more = f" #{self.clip.number}" if self.clip.number else ""
        return f"{self.clip.video}{more}"

    def to_json(self) -> dict[str, Any]:
        """For machines; without pixels."""
        clip = self.clip
        return {
            "number": self.number,
            "video": clip.video,
            "clip": clip.number,
            "caption": clip.caption,
            **({"captions": list(clip.captions)} if clip.further_captions else {}),
            "bucket": clip.bucket.plain,
            "fps": clip.fps,
            "has_audio": clip.has_audio,
            "psnr": None if self.psnr is None else round(self.psnr, 3),
            "image_psnr": None if self.image_psnr is None else round(self.image_psnr, 3),
            "faults": [{"kind": fault.kind, "what": fault.what} for fault in self.faults],
        }


@dataclass(frozen=True, slots=True, eq=False)
class PictureBeside:
    """What is seen of a medium beside a clip's video."""

    role: str
    """What it is to the clip."""
    frames: Frames | None
    """As many as are shown of the clip; None if they do not decode."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipPicture:
    """What is seen of a clip. All pictures have as many frames.

    Attributes:
        measure: which clip it is, and how well it is given back.
        frames: which of the clip's frames are here, from 0.
        source: the frames really chosen, cut and resized as for encoding; None where the video is
            gone, has changed, or does not decode.
        decoded: what the clip's latents decode to; None where there is no VAE, or nothing finite.
        whole: the video's frames uncut, smaller; only without a VAE.
        crop: the part of ``whole`` that ``source`` is, in its pixels; only without a VAE.
        sound: the sound of the whole clip; None if it has none, or none that decodes.
    """

    measure: Reconstruction
    frames: tuple[int, ...]
    source: Frames | None = None
    decoded: Frames | None = None
    whole: Frames | None = None
    crop: Box | None = None
    beside: tuple[PictureBeside, ...] = ()
    """What it has beside its video, such as control media."""
    sound: Waveform | None = None

    @property
    def moments(self) -> list[float]:
        """When these frames are shown, as shares of the clip's time."""
        return [place / self.measure.clip.bucket.frames for place in self.frames]

    @property
    def file_frames(self) -> list[int]:
        """The numbers that these frames have in the video file."""
        indices = self.measure.clip.pixels.frames.indices
        return [int(indices[place]) for place in self.frames]


def pictures(
    clips: Clips,
    numbers: Sequence[int],
    reconstructor: Reconstructor | None,
    *,
    frames: int | None = 5,
    low: float = LOW,
    sound: bool = True,
) -> Iterator[ClipPicture]:
    """Pictures of some clips, one at a time.

    Sources are decoded in worker processes, as for encoding: a hostile video costs one picture.

    Args:
        clips: of which.
        numbers: of which clips; they ascend.
        reconstructor: the VAE; None: the crops are shown alone.
        frames: how many frames of each clip are kept; None: all. All of them are measured.
        low: dB below which a clip is called `low <FaultKind>`.
        sound: whether to draw the sound of clips that have some.
    """
    if reconstructor is None:
        yield from _crops(clips, numbers, frames, sound=sound)
        return
    for number, clip, source in _sources(clips, numbers, lambda pixels: (pixels,), sound=sound):
        yield _reconstruction(clips, number, clip, source, reconstructor, frames, low)


# Reconstructions


def _reconstruction(
    clips: Clips,
    number: int,
    clip: Clip,
    sources: Sequence[_Source],
    reconstructor: Reconstructor,
    frames: int | None,
    low: float,
) -> ClipPicture:
    source, heard = sources[0], sources[-1]
    faults = [] if source.fault is None else [source.fault]
    decoded = _decode(clips, number, clip, reconstructor, faults)
    of_parts = {
        name: _measure(_read(source.pixels, clips.sources[name]), _read(made, clips.sources[name]))
        for name, made in decoded.items()
    }
    whole = next((name for name in decoded if clips.sources[name] == FRAMES), None)
    video = None if whole is None else decoded[whole]
    measured = None if whole is None else of_parts.pop(whole)
    of_image = min((one for one in of_parts.values() if one is not None), default=None)
    if measured is not None and measured < low:
        what = f"{measured:.1f} dB: hardly the same picture; another clip's latents, or another VAE"
        faults.append(ClipFault("low", what))
    if heard.is_of_sound and heard.fault is not None:
        faults.append(heard.fault)
    shown = spread_frames(clip.bucket.frames, frames)
    return ClipPicture(
        measure=Reconstruction(number, clip, measured, of_image, tuple(faults)),
        frames=tuple(shown),
        source=None if source.pixels is None else _as_frames(source.pixels, shown),
        decoded=None if video is None else to_uint8(_aligned(video, clip.bucket.frames)[shown]),
        sound=heard.sound,
    )


def _decode(
    clips: Clips, number: int, clip: Clip, reconstructor: Reconstructor, faults: list[ClipFault]
) -> Mapping[Component, torch.Tensor]:
    """What each of a clip's latents decodes to; what fails is added to the faults."""
    decoded: dict[Component, torch.Tensor] = {}
    try:
        latents = clips.latents(number)
    except StoreError as error:
        faults.append(ClipFault("damaged", error.message))
        return decoded
    for component, stored in latents.items():
        expected = reconstructor.shape(component, clips.sources[component], clip.bucket)
        if tuple(stored.shape) != expected:
            what = f"{component} are {list(stored.shape)}, those of the clip {list(expected)}"
            faults.append(ClipFault("damaged", what))
            continue
        try:
            decoded[component] = reconstructor.decode(stored, component)
        except NotFiniteError as error:
            faults.append(ClipFault("not finite", f"{component}: {error}"))
    return decoded


def _measure(source: torch.Tensor | None, decoded: torch.Tensor | None) -> float | None:
    """PSNR of the frames that both have: some VAEs give more or fewer, which differ at the start.

    Args:
        source: uint8 ``[F, 3, H, W]``.
        decoded: float32 ``[F', 3, H, W]``.
    """
    if source is None or decoded is None:
        return None
    common = min(len(source), len(decoded))
    return psnr(normalize(source[-common:]), decoded[-common:])


def _aligned(decoded: torch.Tensor, frames: int) -> torch.Tensor:
    """As many frames as the clip has, the last ones in step; at the start the first is repeated."""
    missing = frames - len(decoded)
    if missing <= 0:
        return decoded[-frames:]
    return decoded[[0] * missing + list(range(len(decoded)))]


def _read(frames: torch.Tensor | None, source: Source) -> torch.Tensor | None:
    """The frames ``[F, 3, H, W]`` that a source reads; all, if they are no more than these."""
    if frames is None or source.positions is None or len(frames) <= len(source.positions):
        return frames
    return frames[list(source.decoded(len(frames)))]


def _as_frames(pixels: torch.Tensor, shown: Sequence[int]) -> Frames:
    array: Frames = pixels[list(shown)].permute(0, 2, 3, 1).contiguous().numpy()
    return array


# Crops alone


def _crops(
    clips: Clips, numbers: Sequence[int], frames: int | None, *, sound: bool
) -> Iterator[ClipPicture]:
    policy = clips.policy

    def wanted(pixels: ClipPixels) -> tuple[ClipPixels, ...]:
        shown = frames_only(pixels, spread_frames(len(pixels.frames.indices), frames))
        return shown, _uncut(shown, policy)

    for number, clip, (fitted, uncut, *heard) in _sources(clips, numbers, wanted, sound=sound):
        shown = spread_frames(clip.bucket.frames, frames)
        faults = tuple(one.fault for one in (fitted, *heard) if one.fault is not None)
        there = range(len(shown))
        yield ClipPicture(
            measure=Reconstruction(number, clip, faults=faults),
            frames=tuple(shown),
            source=None if fitted.pixels is None else _as_frames(fitted.pixels, there),
            whole=None if uncut.pixels is None else _as_frames(uncut.pixels, there),
            crop=_scaled_crop(clip.pixels, policy),
            sound=heard[0].sound if heard else None,
        )


def frames_only(pixels: ClipPixels, places: Sequence[int]) -> ClipPixels:
    """Return the same with some of its frames alone."""
    frames = pixels.frames
    ticks = None if frames.ticks is None else [frames.ticks[place] for place in places]
    indices = [frames.indices[place] for place in places]
    return replace(pixels, frames=replace(frames, indices=indices, ticks=ticks))


def _uncut(pixels: ClipPixels, policy: Mapping[str, Any]) -> ClipPixels:
    """The same frames uncut, in their true shape, and no larger than they are shown."""
    width, height = pixels.source_width, pixels.source_height
    across, down = stretch_of(pixels.crop, pixels.fit, policy)
    shape = round(width * across), round(height * down)
    size = letter_box(*shape, _WHOLE_SIDE, _WHOLE_SIDE)
    fit = whole(size.width, size.height)
    return replace(pixels, crop=whole(width, height), fit=fit, width=fit.width, height=fit.height)


def _scaled_crop(pixels: ClipPixels, policy: Mapping[str, Any]) -> Box:
    """Where the crop lies in the uncut frames as they are shown."""
    size, crop = _uncut(pixels, policy), pixels.crop
    across, down = size.width / pixels.source_width, size.height / pixels.source_height
    left, top = round(crop.x * across), round(crop.y * down)
    right = round((crop.x + crop.width) * across)
    bottom = round((crop.y + crop.height) * down)
    return Box(left, top, max(1, right - left), max(1, bottom - top))


# Sources


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Decoded pixels, uint8 ``[F, 3, H, W]``, or sound, or why there are none."""

    pixels: torch.Tensor | None = None
    fault: ClipFault | None = None
    sound: Waveform | None = None
    is_of_sound: bool = False


def _sources(
    clips: Clips,
    numbers: Sequence[int],
    wanted: Callable[[ClipPixels], tuple[ClipPixels, ...]],
    *,
    sound: bool,
) -> Iterator[tuple[int, Clip, list[_Source]]]:
    """Each clip with what is wanted of its video; the pixels are valid until the next is asked for.

    What is known of its sound comes last, if it has any.

    Args:
        clips: of which.
        numbers: which.
        wanted: says what, one thing or several.
        sound: whether it is wanted.
    """
    staging = Staging.of(clips.data_root)
    fetched: dict[int, list[Path]] = {}

    def requests() -> Iterator[tuple[tuple[int, Clip, bool], ClipPixels | ClipRequest]]:
        for number, clip in clips.take(numbers):
            things: list[ClipPixels | ClipRequest] = [*wanted(clip.pixels)]
            files = [clip.pixels.frames.path]
            if sound and clip.has_audio:
                heard = clip.sound(pad=True)
                things.append(ClipRequest(None, heard))
                files.append(heard.path)
            fetched[number] = _fetch(staging, files)
            for place, thing in enumerate(things, 1):
                yield (number, clip, place == len(things)), thing

    resizing = len(numbers) > _FEW or any(
        pixels.is_resized for _, clip in clips.take(numbers) for pixels in wanted(clip.pixels)
    )
    size = min(_WORKERS, len(numbers))
    with DecodePool(size=size, memory=_MEMORY, resizing=resizing, allow_damaged=True) as pool:
        answers: list[Decoded | MediaError | SourceError] = []
        for (number, clip, is_last), answer in pool.run(requests()):
            answers.append(answer)
            if not is_last:
                continue
            of_sound = len(answers) - (1 if sound and clip.has_audio else 0)
            yield (
                number,
                clip,
                [_source(one, is_of_sound=place == of_sound) for place, one in enumerate(answers)],
            )
            for one in answers:
                if isinstance(one, Decoded):
                    one.release()
            for path in fetched.pop(number):
                staging.done(path)
            answers = []


def _fetch(staging: Staging, files: Sequence[Path]) -> list[Path]:
    """Bring files here; return those that are there. Of the others the worker will say so."""
    there = []
    for path in dict.fromkeys(files):
        with suppress(SourceError):
            staging.fetch(path)
            there.append(path)
    return there


def _source(answer: Decoded | MediaError | SourceError, *, is_of_sound: bool) -> _Source:
    kind: FaultKind = "sound" if is_of_sound else "source"
    if not isinstance(answer, Decoded):
        return _Source(fault=ClipFault(kind, answer.message), is_of_sound=is_of_sound)
    fault = None if answer.damage is None else ClipFault(kind, answer.damage)
    if answer.sound is not None:
        return _Source(fault=fault, sound=Waveform.of(answer.sound), is_of_sound=True)
    return _Source(answer.pixels, fault)
