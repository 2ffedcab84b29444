"""WebDataset: tar files that are read from beginning to end, also over a network."""

from __future__ import annotations

import glob
import io
import json
import shlex
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from videoprep.exporters.contract import Exported, Origin, ShardExporter
from videoprep.exporters.conversion import as_asked
from videoprep.exporters.tensor_files import pt_file
from videoprep.fs.atomic import Writer


class WebDataset(ShardExporter):
    """A file a component and clip, the caption, and its row of the catalogue.

    Further captions are numbered: ``1.txt`` with ``prompt_embeds.1.pth`` is the second.
    """

    name = "webdataset"
    captions = "all"
    apart = True
    suffix = "tar"
    also = None
    posteriors = ("moments", "sample", "mean")

    def shard(self, clips: Iterator[Exported], origin: Origin) -> Writer:
        def write(file: BinaryIO) -> None:
            with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for clip in clips:
                    for suffix, data in _members(clip, origin):
                        _add(tar, f"{clip.listed.stem}.{suffix}", data)

        return write

    def command(self, folder: str, origin: Origin) -> str:
        pattern = f"{glob.escape(folder)}/{origin.largest_group}/*.{self.suffix}"
        files = f"sorted(glob.glob({pattern!r}))"
        reading = f"wds.WebDataset({files}, shardshuffle=False).decode()"
        code = f"import glob, webdataset as wds; print(next(iter({reading})))"
        return shlex.join(["python", "-c", code])


def _members(clip: Exported, origin: Origin) -> Iterator[tuple[str, bytes]]:
    yield "txt", clip.listed.caption.encode()
    yield "json", json.dumps(dict(clip.metadata)).encode()
    for component in clip.tensors:
        data = io.BytesIO()
        pt_file(partial(as_asked, clip, origin, component))(data)
        yield f"{component}.pth", data.getvalue()
    for further in clip.further:
        yield f"{further.number}.txt", further.caption.encode()
        own = replace(clip, tensors=further.tensors)
        for component in further.tensors:
            data = io.BytesIO()
            pt_file(partial(as_asked, own, origin, component))(data)
            yield f"{component}.{further.number}.pth", data.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # No time and no owner: the same clips give the same file.
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


EXPORTER = WebDataset()
