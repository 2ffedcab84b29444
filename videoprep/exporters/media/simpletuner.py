"""SimpleTuner: its ``multidatabackend.json``, with a data backend a folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from videoprep.exporters.media.contract import BesideFolder, ClipFolder, Trainer
from videoprep.index.bucket import Bucket

_SIDES, _FRAMES = (64, 32, 16, 8), 8

_CONDITIONING = {"control": "controlnet", "mask": "mask", "reference": "reference_loose"}
"""What it calls media beside clips, by kind of role."""


class SimpleTuner(Trainer):
    """It finds a clip's size from its shorter side, its shape and an alignment, which is an option.

    The shape is rounded to hundredths; the alignment makes good for that.
    """

    name = "SimpleTuner"
    config = "multidatabackend.json"

    def text(self, folders: Sequence[ClipFolder], cache: str) -> str:
        backends = [one for folder in folders for one in self._backends(folder, f"{cache}/vae")]
        embeds = {
            "id": "captions",
            "type": "local",
            "dataset_type": "text_embeds",
            "default": True,
            "cache_dir": f"{cache}/text",
        }
        return json.dumps([*backends, embeds], indent=2, ensure_ascii=False) + "\n"

    def alters(self, bucket: Bucket, *, stills: bool = False) -> str | None:
        del stills
        if _kept(bucket, _alignment([bucket])) != (bucket.width, bucket.height):
            return "resizes and crops"
        rest = (bucket.frames - 1) % _FRAMES
        return f"takes the first {bucket.frames - rest} frames for most models" if rest else None

    def reads(self, folder: ClipFolder) -> tuple[BesideFolder, ...]:
        """All of them: each is a data backend that the clips' own names."""
        return folder.beside

    def _backends(self, folder: ClipFolder, cache: str) -> list[dict[str, Any]]:
        own = _backend(folder, f"{cache}/{folder.name}")
        beside = [_beside(one, folder, cache) for one in self.reads(folder)]
        if beside:
            own["conditioning_data"] = [one["id"] for one in beside]
        return [own, *beside]

    def command(self, config: str, folders: Sequence[ClipFolder]) -> str:
        alignment = _alignment([folder.bucket for folder in folders])
        return (
            f"simpletuner train --data_backend_config={shlex.quote(config)} "
            f"--aspect_bucket_alignment={alignment}"
        )


def _backend(folder: ClipFolder, cache: str) -> dict[str, Any]:
    bucket = folder.bucket
    video = {
        "num_frames": bucket.frames,
        "min_frames": bucket.frames,
        "max_frames": bucket.frames,
        "bucket_strategy": "resolution_frames",
    }
    return {
        "id": f"clips-{folder.name}",
        "type": "local",
        "dataset_type": "image" if folder.stills else "video",
        "instance_data_dir": folder.path,
        "cache_dir_vae": cache,
        "metadata_backend": "discovery",
        "caption_strategy": "textfile",
        "crop": False,
        "resolution": min(bucket.height, bucket.width),
        "resolution_type": "pixel",
        "minimum_image_size": 0,
        "repeats": 0,
        **({} if folder.stills else {"video": video}),
    }


def _beside(one: BesideFolder, folder: ClipFolder, cache: str) -> dict[str, Any]:
    """The backend of what lies beside the clips of a folder, which has no captions."""
    words, clips = one.role.words, _backend(folder, f"{cache}/{one.role.words}-{folder.name}")
    if one.pictures:
        clips.pop("video", None)
    return {
        **clips,
        "id": f"{words}-{folder.name}",
        "dataset_type": "conditioning",
        "conditioning_type": _CONDITIONING[one.role.kind.name],
        "source_dataset_id": clips["id"],
        "instance_data_dir": one.path,
        "caption_strategy": None,
    }


def _alignment(buckets: Sequence[Bucket]) -> int:
    """The coarsest of its alignments that all sides keep."""
    sides = [side for bucket in buckets for side in (bucket.height, bucket.width)]
    return next((s for s in _SIDES if not any(side % s for side in sides)), _SIDES[-1])


def _kept(bucket: Bucket, alignment: int) -> tuple[int, int]:
    """Width and height that it would make of a bucket's clip."""
    shape = round(bucket.width / bucket.height, 2)
    short = min(bucket.width, bucket.height)
    wide = bucket.width >= bucket.height
    sides = (int(short * shape), short) if wide else (short, int(short / shape))
    width, height = (max(1, round(side / alignment)) * alignment for side in sides)
    return width, height


TRAINER = SimpleTuner()
