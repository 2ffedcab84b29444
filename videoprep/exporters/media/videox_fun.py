"""VideoX-Fun: ``metadata.json``, an object a clip."""

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

_SOUND = "audio_path"


class VideoXFunList(FileList):
    """It resizes and crops by options of its own."""

    name = "VideoX-Fun"
    file = "videox-fun-metadata.json"
    columns: ClassVar[Mapping[str, str]] = {
        "control": "control_file_path",
        "mask": "mask_file_path",
    }

    def lines(self, files: Iterable[ListedFile], columns: ListedColumns) -> Iterator[str]:
        return json_lines(
            {
                "file_path": file.path,
                "text": file.caption,
                "type": "image" if file.rate is None else "video",
                "width": file.bucket.width,
                "height": file.bucket.height,
                **{name: file.beside[role] for role, name in columns.beside.items()},
                **({_SOUND: file.path} if columns.sound else {}),
            }
            for file in files
        )

    def command(self, root: str, columns: ListedColumns) -> str:
        script = (
            "train_control.py" if "control_file_path" in columns.beside.values() else "train.py"
        )
        return words_of(
            *("accelerate", "launch", f"scripts/MODEL/{script}"),
            *("--train_data_dir", root, "--train_data_meta", f"{root}/{self.file}"),
        )


LIST = VideoXFunList()
