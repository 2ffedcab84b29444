"""cogvideox-factory: what its training scripts take with ``--load_tensors``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from functools import partial

from videoprep.exporters.contract import ClipExporter, Exported, ListedClip, Origin
from videoprep.exporters.folder import Folder
from videoprep.exporters.tensor_files import pt_file
from videoprep.families.component import Component
from videoprep.fs.atomic import Writer


class CogVideoXFactoryExporter(ClipExporter):
    """A tensor a file, bare, in a folder a component; two lists that name them."""

    name = "cogvideox-factory"
    families = ("cogvideox",)
    also = ("image_latents",)
    lists_captions = True
    loses = "line breaks of captions, which its lists cannot hold"

    def files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        return _files(clip, [name for name in clip.tensors if name.endswith("_latents")])

    def caption_files(self, clip: Exported, origin: Origin) -> Mapping[str, Writer]:
        return _files(clip, ["prompt_embeds"])

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        folder.write_lines("prompts.txt", (clip.line for clip in clips))
        folder.write_lines("videos.txt", (f"videos/{clip.stem}.mp4" for clip in clips))
        # It asks for the folder, and with --load_tensors for none of the files.
        (folder.path / "videos").mkdir(exist_ok=True)

    def command(self, folder: str, origin: Origin) -> str:
        sides = {
            "height": sorted({bucket.height for bucket in origin.buckets}),
            "width": sorted({bucket.width for bucket in origin.buckets}),
            "frame": sorted({bucket.frames for bucket in origin.buckets}),
        }
        kind = "image" if "image_latents" in origin.components else "text"
        words = ["python", f"training/cogvideox/cogvideox_{kind}_to_video_lora.py"]
        words += ["--pretrained_model_name_or_path", origin.info.model, "--data_root", folder]
        words += ["--caption_column", "prompts.txt", "--video_column", "videos.txt"]
        words += ["--load_tensors"]
        for name, values in sides.items():
            words += [f"--{name}_buckets", *map(str, values)]
        return shlex.join(words)


def _files(clip: Exported, components: Iterable[Component]) -> Mapping[str, Writer]:
    return {
        f"{component}/{clip.listed.stem}.pt": pt_file(partial(clip.tensors.__getitem__, component))
        for component in components
    }


EXPORTER = CogVideoXFactoryExporter()
