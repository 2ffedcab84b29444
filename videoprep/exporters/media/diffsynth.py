"""DiffSynth-Studio: ``metadata.csv``, with a column for each input of its pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from videoprep.exporters.media.file_list import (
    FileList,
    ListedColumns,
    ListedFile,
    csv_lines,
    words_of,
)

_SOUND = "input_audio"


class DiffSynthList(FileList):
    """Columns are the inputs of its pipelines, and are named again on its command line."""

    name = "DiffSynth-Studio"
    file = "diffsynth-metadata.csv"
    columns: ClassVar[Mapping[str, str]] = {
        "control": "control_video",
        "reference": "reference_image",
    }

    def lines(self, files: Iterable[ListedFile], columns: ListedColumns) -> Iterator[str]:
        sound = [_SOUND] if columns.sound else []
        rows = (
            [
                file.path,
                file.caption,
                *(file.beside[role] for role in columns.beside),
                *(file.path for _ in sound),
            ]
            for file in files
        )
        return csv_lines(["video", "prompt", *columns.beside.values(), *sound], rows)

    def command(self, root: str, columns: ListedColumns) -> str:
        more = [*columns.beside.values(), *([_SOUND] if columns.sound else [])]
        return words_of(
            *("accelerate", "launch", "examples/MODEL/model_training/train.py"),
            *("--dataset_base_path", root, "--dataset_metadata_path", f"{root}/{self.file}"),
            *("--data_file_keys", ",".join(["video", *more])),
            *(("--extra_inputs", ",".join(more)) if more else ()),
        )


LIST = DiffSynthList()
