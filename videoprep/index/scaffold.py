"""Makes ``videoprep.yaml`` for a folder that has none: what was found, and what it suggests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoprep.durable import create_bytes, may_write, write_bytes, write_file
from videoprep.errors import SpecError
from videoprep.index.proposals import describe, glance, propose
from videoprep.mirror import local_path, remote_of, shown
from videoprep.spec.commented import Comments, Proposal, commented_text
from videoprep.spec.discovery import Found, discover
from videoprep.spec.spec_file import NAME


@dataclass(frozen=True, slots=True)
class Scaffold:
    """A ``videoprep.yaml`` that is not written yet.

    Attributes:
        found: the dataset.
        fields: what it sets.
        proposed: what it shows without setting it.
        seen: what the videos looked at are like, in sentences.
        text: the file's text.
    """

    found: Found
    fields: dict[str, Any]
    proposed: dict[str, Proposal]
    seen: tuple[str, ...]
    text: str

    @property
    def path(self) -> Path:
        """Where it belongs."""
        return self.found.folder / NAME

    def write(self, *, overwrite: bool = False) -> list[Path]:
        """Writes it, and the list where one has to be made; each is whole or not there.

        Raises:
            SpecError: one is there already, or the folder is read-only.
        """
        folder, gathered = self.found.folder, self.found.gathered
        targets = [folder / gathered.name] if gathered is not None else []
        targets.append(self.path)
        for target in targets:
            if not overwrite and os.path.lexists(target):
                raise _exists(target)
            if target.is_dir():
                raise SpecError("is a folder", where=str(target), remedy="remove it, or rename it")
        if not may_write(folder):
            raise SpecError(
                "the folder is read-only, so that no videoprep.yaml can be written there",
                where=str(folder),
                remedy="copy the dataset; or print the file with --dry-run",
            )
        if gathered is not None:
            write_file(targets[0], gathered.write)
        data = self.text.encode()
        if overwrite:
            write_bytes(self.path, data)
        elif not create_bytes(self.path, data):  # made by another process meanwhile
            raise _exists(self.path)
        return targets


def scaffold(
    path: str | os.PathLike[str],
    *,
    caption_column: str | None = None,
    video_column: str | None = None,
    accept: bool = False,
) -> Scaffold:
    """Looks at a folder, or at a list, and makes its ``videoprep.yaml``. Writes nothing.

    Of the list the first thousand samples are looked at, and of these a few videos are opened.

    Args:
        path: a folder, or one CSV, TSV, JSON lines or Parquet file.
        caption_column: the table's column of captions, where it is not recognized.
        video_column: likewise of videos.
        accept: set what is proposed, too.

    Raises:
        SpecError: there is nothing that could be a dataset; it says what to do.
    """
    where = local_path(path)
    if remote_of(where) is not None:
        raise SpecError(
            "nothing is written into a remote folder",
            where=shown(where),
            remedy="write the file here, and copy it there",
        )
    columns = {"caption_column": caption_column, "video_column": video_column}
    found = discover(where, {name: column for name, column in columns.items() if column})
    seen = glance(found.root, found.names)
    proposed = propose(seen)
    fields = dict(found.fields)
    if accept:
        fields |= {name: proposal.value for name, proposal in proposed.items()}
    sentences = tuple(describe(seen))
    top = (f"Found: {found.what}.", *found.notes, *sentences)
    text = commented_text(fields, Comments(top, proposed))
    return Scaffold(found, fields, {} if accept else proposed, sentences, text)


def _exists(path: Path) -> SpecError:
    return SpecError(
        "is there already", where=str(path), remedy="replace it with --overwrite, or edit it"
    )
