"""THUDM/CogVideo's finetune: the caches that its datasets look for before they encode."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from videoprep.exporters.contract import ClipExporter, Exported, ListedClip, Origin
from videoprep.exporters.conversion import unscaled
from videoprep.exporters.folder import Folder
from videoprep.exporters.tensor_files import safetensors_file
from videoprep.fs.atomic import Writer
from videoprep.index.bucket import Bucket

if TYPE_CHECKING:
    import torch

_MODEL_NAMES = {"cogvideox": "cogvideox-t2v", "cogvideox1.5": "cogvideox1.5-t2v"}

# It refuses other frame counts.
_FRAME_STEP = 8


class CogVideoFinetune(ClipExporter):
    """A safetensors file a clip and one a prompt, whose name is the hash of its line."""

    name = "cogvideo-finetune"
    families = tuple(_MODEL_NAMES)
    lists_captions = True
    posteriors = ("sample", "mean")
    loses = (
        "the posterior (one sample or the mean is left), and what is stored of first frames: "
        "its image-to-video reads pictures"
    )

    def bucket_refusal(self, origin: Origin) -> str | None:
        for bucket in origin.buckets:
            if bucket.frames % _FRAME_STEP != 1:
                return f"clips of {bucket} have not 8k + 1 frames, which {self.name} needs"
        return None

    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        folder = f"cache/video_latent/{_MODEL_NAMES[origin.info.family]}/{clip.listed.bucket.plain}"
        name = f"{folder}/{clip.listed.stem}.safetensors"
        return {
            name: safetensors_file(lambda: {"encoded_video": _latent(clip, origin)}),
            # It asks that the video is there, and does not open it.
            _video(clip.listed): lambda file: None,
        }

    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        name = hashlib.sha256(clip.listed.line.encode()).hexdigest()
        path = f"cache/prompt_embeddings/{name}.safetensors"
        return {path: safetensors_file(lambda: {"prompt_embedding": clip.tensors["prompt_embeds"]})}

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        # A run of it has one size: each has lists of its own.
        for bucket in origin.buckets:
            inside = partial(_of_bucket, clips, bucket)
            folder.write_lines(f"prompts-{bucket.plain}.txt", (clip.line for clip in inside()))
            folder.write_lines(f"videos-{bucket.plain}.txt", map(_video, inside()))

    def command(self, folder: str, origin: Origin) -> str:
        return "\n".join(_command(folder, origin, bucket) for bucket in origin.buckets)


def _latent(clip: Exported, origin: Origin) -> torch.Tensor:
    stored: torch.Tensor = clip.tensors["video_latents"]
    scaled: torch.Tensor = unscaled(clip, origin) * origin.info.facts["scaling_factor"]
    return scaled.to(stored.dtype)


def _video(clip: ListedClip) -> str:
    return f"videos/{clip.stem}.mp4"


def _of_bucket(clips: Iterable[ListedClip], bucket: Bucket) -> Iterable[ListedClip]:
    return (clip for clip in clips if clip.bucket == bucket)


def _command(folder: str, origin: Origin, bucket: Bucket) -> str:
    words = ["accelerate", "launch", "train.py", "--model_path", origin.info.model]
    words += ["--model_name", _MODEL_NAMES[origin.info.family], "--model_type", "t2v"]
    words += ["--training_type", "lora", "--output_dir", "train_results", "--data_root", folder]
    words += [
        "--caption_column",
        f"prompts-{bucket.plain}.txt",
        "--video_column",
        f"videos-{bucket.plain}.txt",
    ]
    words += ["--train_resolution", bucket.plain, "--report_to", "tensorboard"]
    words += ["--mixed_precision", "bf16"]
    return shlex.join(words)


EXPORTER = CogVideoFinetune()
