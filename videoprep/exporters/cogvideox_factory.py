"""cogvideox-factory: what its training scripts take with ``--load_tensors``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from videoprep.durable import Writer
from videoprep.exporters.contract import Exported, Exporter
from videoprep.exporters.folder import Folder
from videoprep.exporters.pt_file import saving
from videoprep.index.bucket import Bucket
from videoprep.store.layout import StoreInfo


class CogVideoXFactory(Exporter):
    """A tensor a file, bare, in a folder a component; two lists that name them."""

    name = "cogvideox-factory"
    families = ("cogvideox",)
    also = ("image_latents",)
    needs_moments = True

    def files(self, clip: Exported, info: StoreInfo) -> Mapping[str, Writer]:
        del info
        return {
            f"{component}/{clip.stem}.pt": saving(tensor)
            for component, tensor in clip.tensors.items()
        }

    def finish(self, clips: Iterable[tuple[str, str]], folder: Folder, info: StoreInfo) -> None:
        del info
        captions, videos = [], []
        for stem, caption in clips:
            captions.append(" ".join(caption.split()))  # a line each
            videos.append(f"videos/{stem}.mp4")
        folder.write_text("prompts.txt", "".join(f"{line}\n" for line in captions))
        folder.write_text("videos.txt", "".join(f"{line}\n" for line in videos))
        # It asks for the folder, and with --load_tensors for none of the files.
        (folder.path / "videos").mkdir(exist_ok=True)

    def command(self, folder: str, info: StoreInfo, buckets: Sequence[Bucket]) -> str:
        sides = {
            "height": sorted({bucket.height for bucket in buckets}),
            "width": sorted({bucket.width for bucket in buckets}),
            "frame": sorted({bucket.frames for bucket in buckets}),
        }
        words = ["python", "training/cogvideox/cogvideox_text_to_video_lora.py"]
        words += ["--pretrained_model_name_or_path", info.model, "--data_root", folder]
        words += ["--caption_column", "prompts.txt", "--video_column", "videos.txt"]
        words += ["--load_tensors"]
        for name, values in sides.items():
            words += [f"--{name}_buckets", *map(str, values)]
        return shlex.join(words)


EXPORTER = CogVideoXFactory()
