"""FastVideo: the Parquet files that its preprocessing writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from videoprep.exporters.contract import Exported, Origin, ShardExporter
from videoprep.exporters.conversion import for_transformer, unscaled
from videoprep.exporters.tensor_files import write_tables
from videoprep.families.registry import families
from videoprep.fs.atomic import Writer
from videoprep.index.bucket import Bucket

if TYPE_CHECKING:
    import torch

_CONFIGS = {
    "wan": "examples/train/configs/fine_tuning/wan/t2v.yaml",
    "hunyuan-video": "examples/train/configs/fine_tuning/hunyuan/t2v.yaml",
}

_IMAGE_TO_VIDEO = "fastvideo/training/wan_i2v_training_pipeline.py"

_TENSORS = ("vae_latent", "text_embedding")
_IMAGE_TENSORS = ("clip_feature", "first_frame_latent", "pil_image")


class FastVideo(ShardExporter):
    """Tensors as bytes of float32 with their shapes, a row a clip, a folder a bucket."""

    name = "fastvideo"
    suffix = "parquet"
    families = tuple(_CONFIGS)
    also = ("pooled_embeds", "condition_latents", "image_embeds")
    posteriors = ("mean", "sample")
    loses = "the posterior (the mean or one sample is left); all becomes float32, as it reads that"

    def refusal(self, origin: Origin) -> str | None:
        if origin.info.family == "hunyuan-video" and "pooled_embeds" not in origin.components:
            return f"the store has no pooled_embeds, which {self.name} needs of hunyuan-video"
        return super().refusal(origin)

    def shard(self, clips: Iterator[Exported], origin: Origin) -> Writer:
        schema = _schema(origin)
        rows = (pa.Table.from_pylist([_row(clip, origin)], schema) for clip in clips)
        return lambda file: write_tables(file, schema, rows)

    def command(self, folder: str, origin: Origin) -> str:
        return "\n".join(_command(folder, origin, bucket) for bucket in origin.buckets)


def _is_image_to_video(origin: Origin) -> bool:
    return "condition_latents" in origin.components


def _schema(origin: Origin) -> pa.Schema:
    tensors = _TENSORS + (_IMAGE_TENSORS if _is_image_to_video(origin) else ())
    fields = [("id", pa.string())]
    for name in tensors:
        fields += [
            (f"{name}_bytes", pa.binary()),
            (f"{name}_shape", pa.list_(pa.int64())),
            (f"{name}_dtype", pa.string()),
        ]
    fields += [(name, pa.string()) for name in ("file_name", "caption", "media_type")]
    fields += [(name, pa.int64()) for name in ("width", "height", "num_frames")]
    fields += [(name, pa.float64()) for name in ("duration_sec", "fps")]
    return pa.schema(fields)


def _row(clip: Exported, origin: Origin) -> dict[str, Any]:
    listed, fps = clip.listed, clip.metadata["fps"]
    row = {
        "id": listed.stem,
        "file_name": listed.stem,
        "caption": listed.caption,
        "media_type": "video" if fps is not None else "image",
        "width": listed.bucket.width,
        "height": listed.bucket.height,
        "num_frames": listed.bucket.frames,
        "duration_sec": None if fps is None else listed.bucket.frames / fps,
        "fps": fps,
        **_columns("vae_latent", unscaled(clip, origin)),
        **_columns("text_embedding", _text(clip, origin)),
    }
    if _is_image_to_video(origin):
        first = for_transformer(clip, origin, "condition_latents")
        row |= _columns("first_frame_latent", first)
        row |= _columns("clip_feature", clip.tensors.get("image_embeds"))
        row |= _columns("pil_image", None)  # only its validation looks at it
    return row


def _text(clip: Exported, origin: Origin) -> torch.Tensor:
    """A row a token; HunyuanVideo's begins with the pooled embedding, filled up with zeros."""
    import torch

    embeds: torch.Tensor = clip.tensors["prompt_embeds"].float()
    if origin.info.family != "hunyuan-video":
        return embeds
    pooled = clip.tensors["pooled_embeds"].float()
    missing = embeds.shape[1] - len(pooled)
    first = torch.nn.functional.pad(pooled, (0, missing))
    return torch.cat([first[None], embeds])


def _columns(name: str, tensor: torch.Tensor | None) -> Mapping[str, Any]:
    """A tensor's bytes, shape and type; all empty where there is none."""
    found = None if tensor is None else tensor.float().contiguous().numpy()
    return {
        f"{name}_bytes": b"" if found is None else found.tobytes(),
        f"{name}_shape": [] if found is None else list(found.shape),
        f"{name}_dtype": "" if found is None else str(found.dtype),
    }


def _command(folder: str, origin: Origin, bucket: Bucket) -> str:
    profile = families()[origin.info.family].profile
    sizes = {
        "num_latent_t": profile.latent_frames(bucket.frames),
        "num_height": bucket.height,
        "num_width": bucket.width,
        "num_frames": bucket.frames,
    }
    data = f"{folder}/{bucket.plain}"
    if _is_image_to_video(origin):
        words = ["torchrun", "--nproc_per_node", "1", _IMAGE_TO_VIDEO, "--num_gpus", "1"]
        words += ["--model_path", origin.info.model]
        words += ["--pretrained_model_name_or_path", origin.info.model, "--data_path", data]
        words += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
        words += ["--train_batch_size", "1", "--mixed_precision", "bf16", "--output_dir", "output"]
        return shlex.join(words)
    words = ["bash", "examples/train/run.sh", _CONFIGS[origin.info.family]]
    words += ["--models.student.init_from", origin.info.model, "--training.data.data_path", data]
    for name, value in sizes.items():
        words += [f"--training.data.{name}", str(value)]
    return shlex.join(words)


EXPORTER = FastVideo()
