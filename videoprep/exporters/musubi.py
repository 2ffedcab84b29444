"""musubi-tuner: its caches of latents and text encoder outputs."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from videoprep.exporters.contract import ClipExporter, Exported, ListedClip, Origin
from videoprep.exporters.folder import Folder
from videoprep.exporters.musubi_architectures import ARCHITECTURES
from videoprep.exporters.tensor_files import safetensors_file
from videoprep.families.component import Component
from videoprep.fs.atomic import Writer
from videoprep.store.layout import StoreInfo

_CACHE, _VIDEOS, _CONFIG = "cache", "videos", "musubi.toml"
_VERSION = "1.0.1"

# Its buckets are multiples of this; clips of other sizes would be put into other buckets.
_STEP = 16


class Musubi(ClipExporter):
    """Two safetensors files a clip, whose names say its size, and a dataset config."""

    name = "musubi"
    families = tuple(ARCHITECTURES)
    loses = "the posterior: one sample or the mean is left"
    posteriors = ("sample", "mean")

    def taken(self, info: StoreInfo) -> Sequence[Component]:
        architecture = ARCHITECTURES.get(info.family)
        also = () if architecture is None else (*architecture.needs, *architecture.also)
        return [name for name in info.recipes if name in (*self.needs, *also)]

    def refusal(self, origin: Origin) -> str | None:
        family = origin.info.family
        architecture = ARCHITECTURES.get(family)
        for component in () if architecture is None else architecture.needs:
            if component not in origin.components:
                return f"the store has no {component}, which {self.name} needs of {family}"
        return super().refusal(origin)

    def bucket_refusal(self, origin: Origin) -> str | None:
        for bucket in origin.buckets:
            if bucket.height % _STEP or bucket.width % _STEP:
                return f"the sides of {bucket} are no multiples of {_STEP}, which {self.name} needs"
        return None

    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        architecture = ARCHITECTURES[origin.info.family]
        bucket = clip.listed.bucket
        size = f"00000-{bucket.frames:03d}_{bucket.width:04d}x{bucket.height:04d}"
        metadata = {
            "architecture": architecture.long,
            "width": str(bucket.width),
            "height": str(bucket.height),
            "frame_count": str(bucket.frames),
            "format_version": _VERSION,
        }
        path = f"{_CACHE}/{clip.listed.stem}_{size}_{architecture.short}.safetensors"
        return {path: safetensors_file(partial(architecture.latents, clip, origin), metadata)}

    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        architecture = ARCHITECTURES[origin.info.family]
        metadata = {
            "architecture": architecture.long,
            "caption1": clip.listed.caption,
            "format_version": _VERSION,
        }
        path = f"{_CACHE}/{clip.listed.stem}_{architecture.short}_te.safetensors"
        return {path: safetensors_file(partial(architecture.texts, clip, origin), metadata)}

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        (folder.path / _VIDEOS).mkdir(exist_ok=True)  # it asks for one, and looks into its cache
        folder.write_text(_CONFIG, _config(folder.path.resolve().as_posix(), origin))

    def command(self, folder: str, origin: Origin) -> str:
        architecture = ARCHITECTURES[origin.info.family]
        script = f"src/musubi_tuner/{architecture.script}_train_network.py"
        words = ["accelerate", "launch", script]
        task = architecture.task(origin)
        words += [] if task is None else ["--task", task]
        words += ["--dit", "DIT.safetensors", "--vae", "VAE.safetensors", *architecture.more]
        words += ["--dataset_config", f"{folder}/{_CONFIG}", "--mixed_precision", "bf16"]
        words += ["--sdpa", "--network_module", architecture.network]
        words += ["--output_dir", "output", "--output_name", "lora"]
        return shlex.join(words)


def _config(folder: str, origin: Origin) -> str:
    """Its dataset config: JSON's strings and lists are TOML's, too."""
    # With bucket_no_upscale clips of no more pixels than this keep their size.
    pixels = max(bucket.height * bucket.width for bucket in origin.buckets)
    side = math.ceil(math.sqrt(pixels) / _STEP) * _STEP
    values = {
        "video_directory": f"{folder}/{_VIDEOS}",
        "cache_directory": f"{folder}/{_CACHE}",
        "resolution": [side, side],
        "enable_bucket": True,
        "bucket_no_upscale": True,
        "target_frames": sorted({bucket.frames for bucket in origin.buckets}),
        "frame_extraction": "head",
        "batch_size": 1,
        "num_repeats": 1,
        "caption_extension": ".txt",
    }
    lines = (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return "\n".join(("[[datasets]]", *lines, ""))


EXPORTER = Musubi()
