"""musubi-tuner: its dataset config, with a dataset a folder."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from videoprep.exporters.media.contract import (
    CAPTION_SUFFIX,
    BesideFolder,
    ClipFolder,
    Trainer,
)
from videoprep.exporters.media.toml import quoted
from videoprep.index.bucket import Bucket

_SIDE, _FRAMES = 16, 4


class MusubiTuner(Trainer):
    """Without ``source_fps`` it takes frames as they come, whatever the model's rate."""

    name = "musubi-tuner"
    config = "musubi-tuner.toml"

    def text(self, folders: Sequence[ClipFolder], cache: str) -> str:
        lines = [
            "# dataset config of musubi-tuner: without source_fps no frame is dropped",
            "[general]",
            f"caption_extension = {quoted(CAPTION_SUFFIX)}",
            "batch_size = 1",
            "num_repeats = 1",
            "enable_bucket = true",
            "bucket_no_upscale = false",
        ]
        for folder in folders:
            bucket = folder.bucket
            kind = "image" if folder.stills else "video"
            lines += ["", "[[datasets]]", f"{kind}_directory = {quoted(folder.path)}"]
            lines += [f"control_directory = {quoted(one.path)}" for one in self.reads(folder)]
            lines += [f"cache_directory = {quoted(f'{cache}/{folder.name}')}"]
            lines += [f"resolution = [{bucket.width}, {bucket.height}]"]
            if not folder.stills:
                lines += [f"target_frames = [{bucket.frames}]", 'frame_extraction = "head"']
        return "\n".join(lines) + "\n"

    def alters(self, bucket: Bucket, *, stills: bool = False) -> str | None:
        del stills
        if bucket.height % _SIDE or bucket.width % _SIDE:
            return f"resizes to multiples of {_SIDE}"
        # The narrowest of the shapes that it makes of an area.
        narrowest = math.isqrt(bucket.height * bucket.width) // 2 // _SIDE * _SIDE
        if min(bucket.height, bucket.width) < narrowest:
            return "resizes and crops: it knows no shape as narrow"
        rest = (bucket.frames - 1) % _FRAMES
        return f"takes the first {bucket.frames - rest} frames" if rest else None

    def reads(self, folder: ClipFolder) -> list[BesideFolder]:
        """One control, with a file for every clip of its folder, as it wants it."""
        return folder.of("control")[:1]

    def command(self, config: str, folders: Sequence[ClipFolder]) -> str:
        del folders
        quoted_config = shlex.quote(config)
        return f"give its scripts for caching and training --dataset_config {quoted_config}"


TRAINER = MusubiTuner()
