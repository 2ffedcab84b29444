"""Clips that are encoded as they are asked for, by what `encode` uses: training from videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch.utils.data import Dataset

from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.pool import decode_pool
from videoprep.encoding.run import asked_components, open_checked
from videoprep.encoding.video_pass import context_of
from videoprep.errors import MediaError, ModelError, listed
from videoprep.families.caption_places import FURTHER_KEYS
from videoprep.families.component import FIRST_FRAMES, Component, ordered
from videoprep.families.contract import TextEncoder, VideoEncoder
from videoprep.families.registry import components_of
from videoprep.index.clip import Clip
from videoprep.index.multiplicity import digest_of
from videoprep.index.table import BucketIndex
from videoprep.media.clip import to_unit
from videoprep.store.layout import StoreInfo


class OnlineClips(Dataset[dict[str, Any]]):
    """The clips of a plan, with the interface of `LatentDataset`. Use it in a ``with`` block.

    Needs VAE, text encoder and decoding at each step: a store is faster, and takes less memory.

    Args:
        index: the plan.
        model: the model folder or hub id.
        revision: of the model on the hub.
        images: whether first frames are wanted.
        device: where the encoders run.
        dtype: what they compute in, and the tensors come in.

    Attributes:
        info: as of a store.
        components: the tensors that each item has.
        splits: of the plan.
        caption_counts: how many captions each clip has; None if each has one.
        incomplete: none: all are made.
    """

    incomplete = 0

    def __init__(
        self,
        index: BucketIndex,
        model: str,
        *,
        revision: str | None,
        images: bool,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        index.require_clips()
        index.check_sources()
        self._index, self._device, self._dtype = index, device, dtype
        self._model, self._family = open_checked(model, revision)
        self._specs = components_of(self._family, self._model)
        wanted = asked_components(self._specs, {FIRST_FRAMES} if images else set())
        if of_sound := sorted(name for name in wanted if self._specs[name].source.sound):
            raise ModelError(
                f"{', '.join(of_sound)} cannot be made while training",
                where=str(self._model.path),
                remedy="encode a store with `videoprep encode`, and train from it",
            )
        self.components = ordered(wanted)
        facts = {**self._family.facts(self._model), "posterior": "moments"}
        self.info = StoreInfo(self._family.name, model, revision, facts, {})
        self.splits = index.split_names
        self.buckets, self.multiplicity = index.buckets, index.multiplicity
        self.caption_counts = index.caption_counts
        self.draws, self.has_regularization = index.draws, index.has_regularization
        self._pool = decode_pool(EncodeOptions(), index)

    def __enter__(self) -> OnlineClips:
        self._pool.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._pool.__exit__(*raised)

    @cached_property
    def digest(self) -> str:
        """That of a store of the same clips: its batches are these."""
        sources = {name: self._specs[name].source for name in self.components}
        columns = dict.fromkeys(name for one in sources.values() for name in one.columns)
        several = [FURTHER_KEYS] if FURTHER_KEYS in self._index.table.column_names else []
        rows = self._index._planned_rows([*columns, *self._index._draw_columns, *several])
        made = {f"{name}_key": source.keys(rows) for name, source in sources.items()}
        if several:
            made |= {f"{n}_keys": s.key_lists(rows) for n, s in sources.items() if s.caption}
        for name, keys in made.items():
            rows = rows.append_column(name, keys)
        return digest_of(rows, made)

    @property
    def split(self) -> None:
        """The plan was filtered before."""
        return

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, number: int) -> dict[str, Any]:
        (item,) = self.__getitems__([number])
        return item

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Decodes a batch side by side, and encodes it clip by clip.

        Raises:
            MediaError: a clip cannot be decoded.
        """
        drawn = [getattr(number, "caption", 0) for number in numbers]  # of a `ClipDraw`
        own = map(self._clip, numbers)
        clips = [clip.with_caption(n) for clip, n in zip(own, drawn, strict=True)]
        requests = ((at, clip.pixels) for at, clip in enumerate(clips))
        items: list[dict[str, Any]] = [{} for _ in clips]
        for at, answer in self._pool.run(requests):
            if isinstance(answer, Exception):
                raise _refused(answer, clips[at])
            item = self._item(clips[at], answer.pixels)
            items[at] = {**item, "caption_number": drawn[at]}
            answer.release()
        return items

    def _clip(self, number: int) -> Clip:
        (clip,) = self._index.clips_of_rows(self._index._rows[number : number + 1])
        return clip

    @torch.inference_mode()
    def _item(self, clip: Clip, pixels: torch.Tensor) -> dict[str, Any]:
        """A clip's tensors; pixels are uint8 ``[F, 3, H, W]``."""
        whole = to_unit(pixels.to(self._device)[None]).permute(0, 2, 1, 3, 4)
        made: dict[str, Any] = {}
        for component in self.components:
            if clip.is_still and self._specs[component].source.of_video_alone:
                continue
            if self._specs[component].source.frames:
                made[component] = self._of_frames(component, whole, clip)
            else:
                made[component] = self._embeds(component, clip.caption)
        tensors = {name: tensor.clone() for name, tensor in made.items()}  # out of inference mode
        bucket = clip.bucket
        metadata = {
            "video": clip.video, "fps": clip.fps,
            "frames": bucket.frames, "height": bucket.height, "width": bucket.width,
        }  # fmt: skip
        return {**tensors, "caption": clip.caption, "metadata": metadata}

    def _of_frames(self, component: Component, whole: torch.Tensor, clip: Clip) -> torch.Tensor:
        """A component of a clip whose pixels are ``[1, 3, F, H, W]`` in 0…1."""
        spec, frames = self._specs[component], whole.shape[2]
        source = spec.source
        scaled = spec.pixels.scale(whole[:, :, list(source.decoded(frames))])
        read = source.arrange(scaled, frames)
        made = self._frame_encoders[component].encode_clips(read, [context_of(clip, source)])
        return made[0].to("cpu", self._dtype)

    def _embeds(self, component: Component, caption: str) -> torch.Tensor:
        text = self._texts[component]
        if self._specs[component].mask:
            mask: torch.Tensor = text.mask([caption])[0]
            return mask.to("cpu")
        made: torch.Tensor = text.encode_for(self._specs[component].declared, [caption])[0]
        return made.to("cpu", self._dtype)

    def empty_caption(self) -> Mapping[str, torch.Tensor]:
        """The embeddings of the empty caption, by component."""
        names = [name for name in self.components if self._specs[name].source.kind == "captions"]
        return {name: self._embeds(name, "").clone() for name in names}

    @cached_property
    def _frame_encoders(self) -> Mapping[Component, VideoEncoder]:
        """A part that makes several components in one way is loaded once."""
        loaded: dict[str, VideoEncoder] = {}
        encoders = {}
        for name in self.components:
            spec = self._specs[name]
            if not spec.source.frames:
                continue
            part = f"{spec.part} of {name}" if spec.own_encoder else spec.part
            if part not in loaded:
                dtype = self._family.dtype_of(spec.part, self._dtype)
                tiling = self._family.works_in_tiles(spec.part, asked=False)
                loaded[part] = self._family.load_frame_encoder(
                    self._model, spec, self._device, dtype, tiling=tiling
                )
            encoders[name] = loaded[part]
        return encoders

    @cached_property
    def _texts(self) -> Mapping[Component, TextEncoder]:
        names = [name for name in self.components if self._specs[name].source.kind == "captions"]
        parts = {self._specs[name].part for name in names}
        loaded = {part: self._load_text(part) for part in sorted(parts)}
        return {name: loaded[self._specs[name].part] for name in names}

    def _load_text(self, part: str) -> TextEncoder:
        dtype = self._family.dtype_of(part, self._dtype)
        return self._family.load_text_encoder(
            self._model, part, self._device, dtype, eight_bit=False
        )


def _refused(error: Exception, clip: Clip) -> Exception:
    if not isinstance(error, MediaError):
        return error
    return MediaError(
        f"a clip cannot be decoded: {error.message}",
        code=error.code,
        where=listed(clip.video, clip.file, clip.line),
        remedy="leave it out of the list, or encode a store, which records such clips as failed",
    )
