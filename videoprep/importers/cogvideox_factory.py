"""cogvideox-factory: what its prepare_dataset.py writes for ``--load_tensors``."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videoprep.errors import StoreError
from videoprep.families.component import Component
from videoprep.importers.plan import FlawError, Importer, Precomputed

if TYPE_CHECKING:
    import torch

_CAPTIONS, _VIDEOS = "prompts.txt", "videos.txt"
_REQUIRED: tuple[Component, ...] = ("video_latents", "prompt_embeds")


class CogVideoXFactoryImporter(Importer):
    """A tensor a file, bare, in a folder a component, named by the video's stem."""

    name = "cogvideox-factory"
    families = ("cogvideox",)
    fps = 8

    def clips(self, folder: Path) -> Iterator[Precomputed]:
        captions, videos = (_lines(folder, name) for name in (_CAPTIONS, _VIDEOS))
        if len(captions) != len(videos):
            raise StoreError(
                f"{_CAPTIONS} has {len(captions):,} lines and {_VIDEOS} {len(videos):,}",
                where=str(folder),
                remedy="bring them into step; captions with line breaks take several lines there",
            )
        components = [*_REQUIRED]
        if (folder / "image_latents").is_dir():
            components.append("image_latents")
        stems = [_stem(video) for video in videos]
        often = Counter(stems)
        for line, (caption, video, stem) in enumerate(
            zip(captions, videos, stems, strict=True), start=1
        ):
            yield Precomputed(
                video=video,
                caption=caption,
                file=_VIDEOS,
                line=line,
                files=_files(folder, stem, components),
                flaw=_flaw(caption, stem, often[stem]),
            )

    def load(self, file: Path) -> torch.Tensor:
        import torch

        try:
            tensor = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except FileNotFoundError as error:
            raise FlawError(f"{file.parent.name}/{file.name} is missing") from error
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise FlawError(f"{file.parent.name}/{file.name} cannot be read: {reason}") from error
        if not isinstance(tensor, torch.Tensor):
            raise FlawError(f"{file.parent.name}/{file.name} holds no tensor")
        return tensor


def _lines(folder: Path, name: str) -> Sequence[str]:
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StoreError(
            f"has no {name}",
            where=str(folder),
            remedy="give the folder that prepare_dataset.py wrote, with video_latents in it",
        ) from error
    except UnicodeDecodeError as error:
        raise StoreError(
            "is not UTF-8", where=str(folder / name), remedy="write it anew as UTF-8"
        ) from error
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _stem(video: str) -> str:
    """As its reader finds the files: up to the first dot."""
    return video.strip().rpartition("/")[2].partition(".")[0]


def _files(folder: Path, stem: str, components: Sequence[Component]) -> Mapping[Component, Path]:
    return {component: folder / component / f"{stem}.pt" for component in components}


def _flaw(caption: str, stem: str, often: int) -> str | None:
    if not caption.strip():
        return f"its line of {_CAPTIONS} is blank"
    if not stem or "\0" in stem:
        return f"its line of {_VIDEOS} names no video"
    if often > 1:
        return (
            f"{often} videos are called {stem!r} up to their first dot: their files overwrote "
            "each other, and nobody can tell whose they are"
        )
    return None


IMPORTER = CogVideoXFactoryImporter()
