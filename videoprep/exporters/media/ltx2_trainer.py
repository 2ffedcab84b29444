"""LTX-2's trainer: ``dataset.json``, an object a clip, with paths relative to the list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from videoprep.exporters.media.file_list import (
    FileList,
    ListedColumns,
    ListedFile,
    json_lines,
    words_of,
)


class Ltx2TrainerList(FileList):
    """It encodes the sound of a video that has some, at the video's own rate."""

    name = "LTX-2"
    file = "ltx-2-dataset.json"
    columns: ClassVar[Mapping[str, str]] = {
        "control": "reference_video",
        "reference": "reference_video",
        "mask": "video_mask",
    }
    stills = False

    def lines(self, files: Iterable[ListedFile], columns: ListedColumns) -> Iterator[str]:
        return json_lines(
            {
                "caption": file.caption,
                "video": file.path,
                **{name: file.beside[role] for role, name in columns.beside.items()},
            }
            for file in files
        )

    def command(self, root: str, columns: ListedColumns) -> str:
        del columns
        return words_of(
            *("uv", "run", "python", "scripts/process_dataset.py", f"{root}/{self.file}"),
            *("--resolution-buckets", "WIDTHxHEIGHTxFRAMES", "--model-path", "MODEL.safetensors"),
            *("--text-encoder-path", "GEMMA"),
        )


LIST = Ltx2TrainerList()
