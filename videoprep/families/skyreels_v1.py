"""SkyReels V1, image-to-video: HunyuanVideo that sees its first frame beside the noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from videoprep.families.hunyuan_video import HunyuanVideo
from videoprep.families.model_folder import ModelFolder


class SkyreelsV1(HunyuanVideo):
    """SkyReels V1, image-to-video. Its text-to-video has the pipeline of HunyuanVideo."""

    pipeline = "HunyuanSkyreelsImageToVideoPipeline"
    name = "skyreels-v1"
    published = None
    profile = replace(
        HunyuanVideo.profile,
        name="skyreels-v1",
        models="SkyReels V1, image-to-video",
        num_frames=97,
        stills=False,
    )

    def facts(self, model: ModelFolder) -> Mapping[str, Any]:
        return {**super().facts(model), "image_posterior": "sample"}


FAMILY = SkyreelsV1()
