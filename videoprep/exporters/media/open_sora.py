"""Open-Sora: a CSV table with the sizes of each clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from videoprep.exporters.media.file_list import (
    FileList,
    ListedColumns,
    ListedFile,
    csv_lines,
    words_of,
)

_HEADER = (
    "path", "text", "num_frames", "height", "width", "aspect_ratio", "resolution", "fps",
)  # fmt: skip


class OpenSoraList(FileList):
    """It resizes and cuts clips to buckets of its own."""

    name = "Open-Sora"
    file = "open-sora.csv"

    def lines(self, files: Iterable[ListedFile], columns: ListedColumns) -> Iterator[str]:
        del columns
        return csv_lines(_HEADER, (self._row(file) for file in files))

    def command(self, root: str, columns: ListedColumns) -> str:
        del columns
        return (
            words_of(
                *("torchrun", "scripts/diffusion/train.py", "CONFIG.py"),
                *("--dataset.data-path", f"{root}/{self.file}"),
            )
            + f" (paths are relative to {root})"
        )

    @staticmethod
    def _row(file: ListedFile) -> list[object]:
        height, width = file.bucket.height, file.bucket.width
        rate = 0.0 if file.rate is None else float(file.rate)
        ratio = round(height / width, 6)
        return [
            file.path, file.caption, file.bucket.frames, height, width, ratio, height * width, rate,
        ]  # fmt: skip


LIST = OpenSoraList()
