"""ai-toolkit: the ``datasets`` section of its config, with a dataset a folder."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

import yaml

from videoprep.exporters.media.contract import (
    CAPTION_SUFFIX,
    BesideFolder,
    ClipFolder,
    Trainer,
)
from videoprep.index.bucket import Bucket

# What its video models want of the sides, which is no option.
_SIDE = 16

_CONTROLS = 3


class AiToolkit(Trainer):
    """It spreads ``num_frames`` over the whole file: of a clip with as many it takes each."""

    name = "ai-toolkit"
    config = "ai-toolkit.yaml"

    def text(self, folders: Sequence[ClipFolder], cache: str) -> str:
        del cache  # it is beside the clips, always
        section = {"datasets": [self._dataset(folder) for folder in folders]}
        head = "# Put this where `datasets` is in the process of an ai-toolkit config.\n"
        return head + yaml.safe_dump(section, sort_keys=False, allow_unicode=True)

    def alters(self, bucket: Bucket, *, stills: bool = False) -> str | None:
        if bucket.frames == 1 and not stills:
            return "passes over videos of one frame"
        if bucket.height % _SIDE or bucket.width % _SIDE:
            return f"resizes and crops to multiples of {_SIDE} or more"
        return None

    def reads(self, folder: ClipFolder) -> list[BesideFolder]:
        """Up to three controls, and one mask that is a picture.

        Controls that are videos are read for models that take some; it opens masks as pictures.
        """
        return folder.of("control")[:_CONTROLS] + folder.of("mask", pictures=True)[:1]

    def command(self, config: str, folders: Sequence[ClipFolder]) -> str:
        del folders
        return f"put the section in {shlex.quote(config)} into its config"

    def _dataset(self, folder: ClipFolder) -> dict[str, Any]:
        bucket, beside = folder.bucket, self.reads(folder)
        controls = [one.path for one in beside if not one.role.is_mask]
        masks = [one.path for one in beside if one.role.is_mask]
        return {
            "folder_path": folder.path,
            "caption_ext": CAPTION_SUFFIX,
            "num_frames": bucket.frames,
            "shrink_video_to_frames": True,
            "auto_frame_count": False,
            # The side of a square at least as large: it never enlarges, and then keeps the size.
            "resolution": math.isqrt(bucket.height * bucket.width - 1) + 1,
            "random_crop": False,
            "num_repeats": 1,
            **({"control_path": controls} if controls else {}),
            **({"mask_path": masks[0]} if masks else {}),
        }


TRAINER = AiToolkit()
