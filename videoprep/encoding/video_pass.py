"""Clips and first frames to latents: decode → encode → commit, each beside the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import torch

from videoprep.device import free_memory, is_out_of_memory
from videoprep.encoding.draws import add_noise, draw_names, reduce_moments
from videoprep.encoding.unit_work import EncodeContext, UnitBatch, UnitWork
from videoprep.engine.device_stream import MicroBatches, PendingResult
from videoprep.errors import Code, MediaError, ModelError
from videoprep.failpoints import reach
from videoprep.families.component import MASK_ROLE, ComponentSpec, Source
from videoprep.families.contract import ClipContext, SoundEncoder, VideoEncoder
from videoprep.families.masks import luma, shape_of
from videoprep.families.moments import MOMENTS
from videoprep.index.clip import Clip
from videoprep.media.audio import MOST_MISSING, Sound
from videoprep.media.clip import ClipPixels, to_unit
from videoprep.media.clip_request import ClipRequest
from videoprep.media.decode_pool import Decoded
from videoprep.media.decoded_clips import decoded_clips

# On an accelerator a micro-batch is never larger than this, unless it is asked for.
_MOST = 8

# On a CPU so many clips are encoded side by side: threads of one forward wait for each other.
_MOST_SIDE_BY_SIDE = 2

_MOST_WORKERS = 8

Shape = tuple[int, ...]
Kind = tuple[str | int, ...]
Place = tuple[UnitWork, int, bool]
"""A unit, a place in it, and whether it is the mask that belongs to what is made there."""
Request = tuple[Place, ClipPixels | ClipRequest]
"""What to decode, and for which place."""


def resize_pool(context: EncodeContext) -> None:
    """Fit the processes that decode to the rank; they start when they are needed."""
    size = context.options.decode_workers or _workers(context)
    context.pool.resize(size, max(2 * size, at_once(context)), context.rank.check)


def at_once(context: EncodeContext) -> int:
    """Return how many clips are encoded at once at most: as a micro-batch, or side by side."""
    beside = context.stream.one_by_one
    most = min(_MOST_SIDE_BY_SIDE, context.rank.cores) if beside else _MOST
    return context.options.batch_size or most


def _workers(context: EncodeContext) -> int:
    """As many as this rank's share of the machine; on a CPU the model needs a part of it."""
    cores = context.rank.cores
    share = cores // 2 if context.stream.one_by_one else cores
    return max(1, min(share, _MOST_WORKERS))


def context_of(clip: Clip, source: Source, mask: torch.Tensor | None = None) -> ClipContext:
    """Return what an encoder is told of a clip: nothing that the artifact's key does not name.

    Args:
        clip: which.
        source: what of it is read.
        mask: float32 ``[F, H, W]``, if the source reads it.
    """
    return ClipContext(
        caption=clip.caption if source.caption else None,
        fps=clip.fps if source.fps else None,
        mask=mask,
        size=(clip.bucket.height, clip.bucket.width) if source.placed else None,
    )


def encode_video(
    context: EncodeContext, works: Iterator[UnitWork], encoder: VideoEncoder | SoundEncoder
) -> Generator[UnitWork, None, None]:
    """Yield units of frames or sound once all that they hold is made or failed.

    Raises:
        SourceError: A video is gone or another one than was planned.
        ModelError: The model gives latents of another shape than its family says.
    """
    with ThreadPoolExecutor(at_once(context)) as side_by_side:
        run = _VideoPass(context, encoder, side_by_side)
        requests, root = run.requests(works), context.job.index.data_root
        for place, answer in decoded_clips(context.pool, requests, root, context.rank):
            run.take(place, answer)
            yield from run.pop_whole()
        run.flush()
        yield from run.pop_whole()


@dataclass(frozen=True, slots=True)
class _Item:
    """A clip that is decoded, and of which unit and place in it it is."""

    work: UnitWork
    at: int
    decoded: Decoded
    mask: Decoded | None = None
    """Of the clip, if its source reads it."""

    @property
    def clip(self) -> Clip:
        return self.work.clips[self.at]

    @property
    def key(self) -> str:
        return self.work.keys[self.at]

    @property
    def frames(self) -> int:
        """Frames of what is made, which may be more than those that were decoded."""
        source = self.work.source
        if source.sound:
            return 0
        return source.length(len(_pixels_of(self.clip, source).frames.indices))

    @property
    def size(self) -> tuple[int, int, int]:
        """What the family is asked the shape for: frames and sides, or samples."""
        if self.decoded.sound is not None:
            return self.decoded.sound.samples.shape[1], 0, 0
        if self.work.source.placed:
            return self.frames, self.clip.bucket.height, self.clip.bucket.width
        height, width = self.decoded.pixels.shape[2:]
        return self.frames, height, width

    @property
    def kind(self) -> Kind:
        """What goes together in a micro-batch."""
        sound = self.decoded.sound
        shape = self.decoded.pixels.shape if sound is None else sound.samples.shape
        placed = self.size if self.work.source.placed else ()
        return self.work.component, self.frames, *shape, *placed

    @property
    def damage(self) -> str | None:
        """What is damaged of what was decoded, in words."""
        if self.decoded.damage is None and self.mask is not None and self.mask.damage is not None:
            return f"its mask: {self.mask.damage}"
        return self.decoded.damage

    def release(self) -> None:
        self.decoded.release()
        if self.mask is not None:
            self.mask.release()


@dataclass(slots=True)
class _VideoPass:
    """Gathers decoded clips, and encodes them together."""

    context: EncodeContext
    encoder: VideoEncoder | SoundEncoder
    """Of the pass: a VAE, or an image encoder."""
    side_by_side: ThreadPoolExecutor
    """Threads for clips that are encoded each for itself."""
    sizes: MicroBatches[Kind] = field(init=False)
    """Of micro-batches, by kind."""
    batch: list[_Item] = field(default_factory=list)
    """What has gathered, of one shape if it is to be one batch."""
    whole: list[UnitWork] = field(default_factory=list)
    """Units of which all is made or failed."""
    expected: dict[Kind, Shape] = field(default_factory=dict)
    """Shapes of what is made, by kind."""
    mask: Decoded | MediaError | None = None
    """That of the clip which is decoded next."""

    def __post_init__(self) -> None:
        self.sizes = MicroBatches(at_once(self.context))

    def requests(self, works: Iterator[UnitWork]) -> Iterator[Request]:
        """Yield what is to be decoded. Taking the next claims units when they are needed."""
        for work in works:
            for at, clip in enumerate(work.clips):
                if work.is_deadly(at):
                    self._close_if_whole(work)
                    continue
                if (mask := self._mask_request(work, clip)) is not None:
                    yield (work, at, True), mask
                yield (work, at, False), self._request(work, clip)

    def _mask_request(self, work: UnitWork, clip: Clip) -> ClipPixels | None:
        pixels = clip.pixels_of(MASK_ROLE) if work.source.masked else None
        if pixels is None:
            return None
        reading = self.context.job.settings.mask_reading
        return replace(pixels, frames=work.source.choose(pixels.frames), mask=reading)

    def _request(self, work: UnitWork, clip: Clip) -> ClipPixels | ClipRequest:
        sound = self.context.job.specs[work.component].sound
        if sound is not None:
            rate, channels = sound.sample_rate, sound.channels
            return ClipRequest(None, clip.sound(sample_rate=rate, channels=channels, pad=True))
        pixels = _pixels_of(clip, work.source)
        mask = self.context.job.settings.mask_reading if work.source.is_mask else None
        return replace(pixels, frames=work.source.choose(pixels.frames), mask=mask)

    def pop_whole(self) -> list[UnitWork]:
        """Return the units that have become whole since the last call."""
        whole, self.whole = self.whole, []
        return whole

    def take(self, place: Place, answer: Decoded | MediaError) -> None:
        """Takes what has become of a clip that was to be decoded, or of its mask before it."""
        work, at, of_mask = place
        if of_mask:
            self.mask = answer
            return
        mask, self.mask = self.mask, None
        for one in (answer, mask):
            if isinstance(one, MediaError):
                self._fail(work, at, one.code, one.message)
                _release(answer, mask)
                return
        assert isinstance(answer, Decoded)  # noqa: S101 (errors were told)
        self._gather(_Item(work, at, answer, mask if isinstance(mask, Decoded) else None))

    def _gather(self, item: _Item) -> None:
        work, at, answer, damage = item.work, item.at, item.decoded, item.damage
        if answer.sound is not None and (missing := _missing(answer.sound)) is not None:
            if not self.context.options.allow_damaged:
                answer.release()
                self._fail(work, at, Code.DAMAGED_SOUND, missing)
                return
            damage = damage or missing
        if damage is not None:
            work.damaged[item.key] = damage
        if self.batch and not self._go_together(self.batch[0], item):
            self.flush()
        self.batch.append(item)
        if len(self.batch) >= self._size(item):
            self.flush()

    def flush(self) -> None:
        """Encodes what has gathered; where memory does not suffice in halves, down to one clip."""
        batch, self.batch = self.batch, []
        if self.context.stream.one_by_one:
            self._encode_side_by_side(batch)
            return
        pieces = [batch] if batch else []
        while pieces:
            piece = pieces.pop(0)
            with self.context.stream.working():
                fits = self._encode(piece)
            self._learn(piece, fits)
            if fits:
                self._settle(piece)
            elif len(piece) > 1:
                half = len(piece) // 2
                pieces[:0] = [piece[:half], piece[half:]]
            else:
                self._encode_sparingly(piece[0])

    def _encode_side_by_side(self, batch: Sequence[_Item]) -> None:
        with self.context.stream.working():
            fit = list(self.side_by_side.map(self._encode, [[item] for item in batch]))
        for item, fits in zip(batch, fit, strict=True):
            if fits:
                self._settle([item])
            else:
                self._encode_sparingly(item)

    def _go_together(self, one: _Item, other: _Item) -> bool:
        if one.work.careful or other.work.careful:
            return False
        return self.context.stream.one_by_one or one.kind == other.kind

    def _size(self, item: _Item) -> int:
        if item.work.careful:
            return 1
        return (
            at_once(self.context) if self.context.stream.one_by_one else self.sizes.size(item.kind)
        )

    def _learn(self, piece: Sequence[_Item], fits: bool) -> None:
        tell = self.sizes.succeeded if fits else self.sizes.failed
        tell(piece[0].kind, len(piece))

    def _encode(self, piece: Sequence[_Item]) -> bool:
        """Send the latents of some clips on their way; False if memory does not suffice."""
        rank, first = self.context.rank, piece[0]
        names = " ".join(f"{item.key} {item.work.clips[item.at].video}" for item in piece)
        landing = None
        with first.work.claimed.doing(first.key):
            try:
                with rank.watchdog.watching(f"encoding {names} of the unit {first.work.name}"):
                    reach("clip.encoding", names)
                    landing = self._forward(piece)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if landing is not None and first.work.careful:
                landing.wait()
        if landing is None:  # only here does nothing hold what there was any more
            free_memory(self.context.device)
            return False
        for work in {id(item.work): item.work for item in piece}.values():
            places = {n: item.key for n, item in enumerate(piece) if item.work is work}
            work.sent.append(UnitBatch(landing, places))
        return True

    def _forward(self, piece: Sequence[_Item]) -> PendingResult:
        settings, spec = self.context.job.settings, self._spec(piece[0])
        if isinstance(self.encoder, SoundEncoder):
            made = self._made_of_sound(piece, self.encoder)
        else:
            pixels = self._pixels(piece)
            if spec.noise:
                noisy = self._forward_noisy(piece, pixels, self.encoder)
                return self.context.stream.down(noisy)
            made = self._made(piece, pixels, self.encoder)
        if spec.posterior is not None:
            keys = [item.key for item in piece]
            made = reduce_moments(made, settings.posterior, keys, spec.posterior)
        return self.context.stream.down(made.to(getattr(torch, settings.dtype)))

    def _pixels(self, piece: Sequence[_Item]) -> torch.Tensor:
        """The frames of some clips as encoders take them: ``[B, 3, F, H, W]``."""
        first = piece[0]
        pixels = self.context.stream.up([item.decoded.pixels for item in piece])
        scaled = self._spec(first).pixels.scale(to_unit(pixels).permute(0, 2, 1, 3, 4))
        return first.work.source.arrange(scaled, first.frames)

    def _made_of_sound(self, piece: Sequence[_Item], encoder: SoundEncoder) -> torch.Tensor:
        sounds = [item.decoded.sound for item in piece]
        samples = [torch.from_numpy(sound.samples) for sound in sounds if sound is not None]
        made = encoder.encode(self.context.stream.up(samples))
        self._require_shape(tuple(made.shape[1:]), piece[0])
        return made

    def _spec(self, item: _Item) -> ComponentSpec:
        return self.context.job.specs[item.work.component]

    def _forward_noisy(
        self, piece: Sequence[_Item], pixels: torch.Tensor, encoder: VideoEncoder
    ) -> torch.Tensor:
        """One draw of noise after the other: ``[B, draws, …]``."""
        settings = self.context.job.settings
        form = self._spec(piece[0]).posterior or MOMENTS
        keys = [item.key for item in piece]
        draws = []
        for number in range(settings.image_noise):
            names = draw_names(keys, number)
            moments = self._made(piece, add_noise(pixels, names), encoder)
            # Of other seeds than the noise, with which the draw would go together.
            seeds = draw_names(names, number)
            draws.append(reduce_moments(moments, settings.posterior, seeds, form))
        return torch.stack(draws, dim=1).to(getattr(torch, settings.dtype))

    def _made(
        self, piece: Sequence[_Item], pixels: torch.Tensor, encoder: VideoEncoder
    ) -> torch.Tensor:
        clips = [context_of(item.clip, item.work.source, self._mask_of(item)) for item in piece]
        made = encoder.encode_clips(pixels, clips)
        self._require_shape(tuple(made.shape[1:]), piece[0])
        return made

    def _mask_of(self, item: _Item) -> torch.Tensor | None:
        if item.mask is None:
            return None
        pixels = self.context.stream.up([item.mask.pixels])
        return luma(to_unit(pixels).permute(0, 2, 1, 3, 4))[0]

    def _encode_sparingly(self, item: _Item) -> None:
        """One clip for which memory does not suffice: in slices, in tiles, or not at all."""
        encoder, tiles = self.encoder, ""
        if not isinstance(encoder, SoundEncoder):
            if self._fits_in_pieces(item, encoder):
                self._settle([item])
                return
            tiles = ", not even in tiles"
        item.release()
        reason = f"memory does not suffice for this clip alone{tiles}"
        self._fail(item.work, item.at, Code.OUT_OF_MEMORY, reason)

    def _fits_in_pieces(self, item: _Item, encoder: VideoEncoder) -> bool:
        asked = self.context.job.settings.tiling
        always = self.context.family.works_in_tiles(self._spec(item).part, asked=asked)
        for tiling in (False, True):
            encoder.save_memory(slicing=True, tiling=tiling or always)
            with self.context.stream.working():
                fits = self._encode([item])
            encoder.save_memory(slicing=False, tiling=always)
            if fits and tiling and not always:
                item.work.tiled.append(item.key)
            if fits:
                return True
        return False

    def _settle(self, piece: Sequence[_Item]) -> None:
        for item in piece:
            item.release()
            item.work.settle()
            self._close_if_whole(item.work)
        reach("clip.encoded", " ".join(item.key for item in piece))

    def _fail(self, work: UnitWork, at: int, code: Code, reason: str) -> None:
        work.fail(at, code, reason)
        self._close_if_whole(work)

    def _close_if_whole(self, work: UnitWork) -> None:
        if not work.left:
            self.whole.append(work)

    def _require_shape(self, found: Shape, item: _Item) -> None:
        job, family = self.context.job, self.context.family
        expected = self.expected.get(item.kind)
        if expected is None:  # the family reads the model's config for it
            expected = shape_of(family, job.model, self._spec(item), *item.size)
            self.expected[item.kind] = expected
        if found != expected:
            spec = self._spec(item)
            raise ModelError(
                f"the {spec.part or spec.source.label} gave {spec.name} {found} where {expected} "
                "was expected",
                where=str(job.model.path),
                remedy=f"the family {family.name!r} does not describe this model: report it",
            )


def _pixels_of(clip: Clip, source: Source) -> ClipPixels:
    """The pixels that a source reads of a clip that has an artifact of it."""
    pixels = clip.pixels_of(source.role)
    assert pixels is not None  # noqa: S101 (the artifact has a key)
    return pixels


def _release(*answers: Decoded | MediaError | None) -> None:
    for one in answers:
        if isinstance(one, Decoded):
            one.release()


def _missing(sound: Sound) -> str | None:
    """What a clip lacks of its sound, in words; None if that is next to nothing."""
    if sound.is_none:
        return "the file has no sound at the time of the clip, although it has a sound track"
    if sound.late + sound.early <= MOST_MISSING * sound.sample_rate:
        return None
    return f"the sound does not span the clip: it {sound.state}"
