"""FastVideo: ``videos2caption.json``, an object a clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from videoprep.exporters.media.file_list import (
    FileList,
    ListedColumns,
    ListedFile,
    json_lines,
    words_of,
)


class FastVideoList(FileList):
    """It draws one of a clip's captions."""

    name = "FastVideo"
    file = "videos2caption.json"
    stills = False

    def lines(self, files: Iterable[ListedFile], columns: ListedColumns) -> Iterator[str]:
        del columns
        return json_lines(
            {
                "path": file.path,
                "resolution": {"width": file.bucket.width, "height": file.bucket.height},
                "fps": float(file.rate or 0),
                "duration": file.seconds,
                "num_frames": file.bucket.frames,
                "cap": list(file.captions),
            }
            for file in files
        )

    def command(self, root: str, columns: ListedColumns) -> str:
        del columns
        return (
            f"{words_of('echo', f'{root},{root}/{self.file}')} > merge.txt; "
            "give merge.txt as data_merge_path to its preprocessing"
        )


LIST = FastVideoList()
