"""diffusion-pipe: its ``dataset.toml``, with a size bucket a folder."""

from __future__ import annotations

from collections.abc import Sequence

from videoprep.exporters.media.contract import BesideFolder, ClipFolder, Trainer
from videoprep.exporters.media.toml import quoted
from videoprep.index.bucket import Bucket

_SIDE, _FRAMES = 16, 4


class DiffusionPipe(Trainer):
    """It takes a clip's rate from its file, and resamples to that of the model."""

    name = "diffusion-pipe"
    config = "diffusion-pipe.toml"
    draws_captions = True
    resamples = (
        "resamples to the frames a second of its model (16 of Wan and Cosmos-Predict2, 24 of "
        "HunyuanVideo and LTX-2, 25 of LTX-Video)"
    )

    def text(self, folders: Sequence[ClipFolder], cache: str) -> str:
        del cache  # it is beside the clips, always
        lines = ["# dataset.toml of diffusion-pipe: size_buckets are width, height, frames"]
        for folder in folders:
            bucket = folder.bucket
            lines += ["", "[[directory]]", f"path = {quoted(folder.path)}", "num_repeats = 1"]
            lines += [f"size_buckets = [[{bucket.width}, {bucket.height}, {bucket.frames}]]"]
            for one in self.reads(folder):
                lines += [f"{one.role.kind.name}_path = {quoted(one.path)}"]
        return "\n".join(lines) + "\n"

    def alters(self, bucket: Bucket, *, stills: bool = False) -> str | None:
        del stills
        if bucket.height % _SIDE or bucket.width % _SIDE:
            return f"resizes to multiples of {_SIDE}"
        rest = (bucket.frames - 1) % _FRAMES
        return f"takes the first {bucket.frames - rest} frames" if rest else None

    def reads(self, folder: ClipFolder) -> list[BesideFolder]:
        """One mask that is a picture, and of a still image one control, which is the image edited.

        It opens masks as pictures, and takes controls for edit models only.
        """
        masks = folder.of("mask", pictures=True)[:1]
        return masks + (folder.of("control")[:1] if folder.stills else [])

    def command(self, config: str, folders: Sequence[ClipFolder]) -> str:
        del folders
        return f"set dataset = {quoted(config)} in its config"


TRAINER = DiffusionPipe()
