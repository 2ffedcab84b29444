"""What is seen of the media beside a clip's video: the frames and the part that go with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from videoprep.errors import MediaError, SourceError
from videoprep.fs.staging import Staging
from videoprep.media.clip import ClipPixels, MaskReading
from videoprep.media.decode_pool import Decoded, DecodePool
from videoprep.previewing.choose import spread_frames
from videoprep.previewing.clips import Clips
from videoprep.previewing.pictures import (
    ClipFault,
    ClipPicture,
    Frames,
    PictureBeside,
    frames_only,
)
from videoprep.spec.roles import Role

_MEMORY = 1 << 28


def with_media(pictures: Iterable[ClipPicture], clips: Clips) -> Iterator[ClipPicture]:
    """Yield pictures with what their clips have beside the video, such as control media.

    Args:
        pictures: of the clips.
        clips: whose they are.
    """
    staging, readings = Staging.of(clips.data_root), _mask_readings(clips)
    for picture in pictures:
        wanted = dict(_wanted(picture, readings))
        if not wanted:
            yield picture
            continue
        resizing = any(pixels.is_resized for pixels in wanted.values())
        with DecodePool(size=1, memory=_MEMORY, resizing=resizing, allow_damaged=True) as pool:
            yield _added(picture, wanted, pool, staging)


def _mask_readings(clips: Clips) -> Mapping[Role, MaskReading]:
    """How the store's masks are read, by role; in a plan alone white is white."""
    recipes = () if clips.info is None else clips.info.recipes.values()
    return {
        one.source.role: MaskReading(one.fields["mask_channel"], one.fields["invert_masks"])
        for one in recipes
        if one.source.is_mask
    }


def _wanted(
    picture: ClipPicture, readings: Mapping[Role, MaskReading]
) -> Iterator[tuple[str, ClipPixels]]:
    """The pixels to show: of what follows the clip its frames, of a reference some of its own."""
    count = len(picture.frames)
    for media in picture.measure.clip.beside:
        if media.pixels is None:
            continue
        places = picture.frames
        if media.role.kind.alignment != "frames":
            own = spread_frames(len(media.pixels.frames.indices), count)
            places = tuple((own + own[-1:] * count)[:count])
        shown = frames_only(media.pixels, places)
        yield media.role, replace(shown, mask=readings.get(media.role))


def _added(
    picture: ClipPicture, wanted: dict[str, ClipPixels], pool: DecodePool, staging: Staging
) -> ClipPicture:
    faults = list(picture.measure.faults)
    beside = []
    for pixels in wanted.values():
        try:
            staging.fetch(pixels.frames.path)
        except SourceError:
            continue  # the worker, who does not find it, will say so
    for role, answer in pool.run((role, pixels) for role, pixels in wanted.items()):
        beside.append(PictureBeside(role, _frames(answer)))
        what = answer.damage if isinstance(answer, Decoded) else answer.message
        if what is not None:
            faults.append(ClipFault("source", f"its {role}: {what}"))
        if isinstance(answer, Decoded):
            answer.release()
    for pixels in wanted.values():
        staging.done(pixels.frames.path)
    measure = replace(picture.measure, faults=tuple(faults))
    return replace(picture, measure=measure, beside=tuple(beside))


def _frames(answer: Decoded | MediaError | SourceError) -> Frames | None:
    if not isinstance(answer, Decoded):
        return None
    frames: Frames = answer.pixels.permute(0, 2, 3, 1).contiguous().numpy().copy()
    return frames
