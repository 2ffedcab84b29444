"""`report`: one page on a whole dataset."""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from typing_extensions import Unpack

from videoprep.dataset_report.facts import Facts
from videoprep.dataset_report.gallery import Gallery, choose_rows, make_gallery
from videoprep.dataset_report.gather import Given, gather
from videoprep.dataset_report.page import as_html, gallery_notes
from videoprep.dataset_report.pictures import Strips, make_strips, make_thumbnails, pictured
from videoprep.dataset_report.rows import ReportRows
from videoprep.errors import ListError, PlanError, StoreError
from videoprep.families.registry import families
from videoprep.fs.atomic import write_file
from videoprep.fs.mirror import shown
from videoprep.index.table import BucketIndex
from videoprep.pages.replacing import require_replaceable
from videoprep.sources import (
    Source,
    kind_of,
    name_of,
    open_dataset,
    open_index,
    refuse_options,
)
from videoprep.spec.dataset_group import Datasets, with_default_profile
from videoprep.spec.dataset_options import DatasetOptions
from videoprep.spec.path_hints import dataset_path
from videoprep.store.layout import Store
from videoprep.validators.engine import validate

if TYPE_CHECKING:
    from videoprep.previewing.run import Preview

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

# A notebook holds a page that is not larger; of a larger one it shows the counts.
_INLINE_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """A page that was written, and what it tells. Shows itself in a notebook.

    Attributes:
        path: the page.
        bytes: its size.
        facts: of the dataset as a whole.
        in_gallery: clips in the gallery.
        pictures: of those, how many have a picture.
        notes: what the page says that it does not show.
    """

    path: Path
    bytes: int
    facts: Facts = field(repr=False)
    in_gallery: int
    pictures: int
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed, was skipped or is to do, and no rule is broken."""
        return self.facts.ok

    def to_json(self) -> dict[str, Any]:
        """The counts, in a form that `json` can write."""
        about = {name: getattr(self, name) for name in ("bytes", "in_gallery", "pictures")}
        return {
            "output": str(self.path),
            **about,
            "notes": list(self.notes),
            **self.facts.to_json(),
        }

    def _repr_html_(self) -> str:
        name = html.escape(str(self.path))
        counts = ", ".join(f"{count:,} {state}" for state, count in self.facts.samples.items())
        line = f"<p><b>{html.escape(self.facts.name)}</b>: {counts or 'no plan'} · {name}</p>"
        if self.bytes > _INLINE_BYTES:
            return line
        page = html.escape(self.path.read_text(encoding="utf-8"), quote=True)
        return (
            f'{line}<iframe srcdoc="{page}" sandbox="allow-scripts" title="report" width="100%" '
            'height="720" style="border:1px solid #8884;border-radius:8px"></iframe>'
        )


def report(
    source: Source,
    output: str | os.PathLike[str] = "report.html",
    *,
    store: str | os.PathLike[str] | None = None,
    previews: int | Preview = 4,
    model: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[DatasetOptions],
) -> DatasetReport:
    """Writes one self-contained page on a dataset: asked, planned, encoded, and its clips.

    Of a dataset the rules are applied and a plan is made, without samples whose video is not there.
    Of an index or a store their own plan is taken; videos that have gone since have no picture.

    Args:
        source: a store, a saved index, or a dataset, or the path or URL of one.
        output: the page. It replaces a page of videoprep, and nothing else.
        store: where the dataset or the index was encoded to.
        previews: of so many clips of the store the latents are decoded, where the VAE is at hand;
            or a preview of the store that was made before.
        model: where that is; None: where the store says.
        on_progress: called as it goes on.
        options: fields of the dataset's spec to replace. An index or a store takes ``data_root``
            alone: the folder that its videos were moved to.

    Raises:
        StoreError: a store is damaged.
        SpecError: there is nothing to tell about.
        PlanError: options are given that a finished plan cannot take.
        VideoprepError: something else than a page has the output's name.
    """
    target = Path(output)
    require_replaceable(target, "output")
    given = _given(source, store, options, on_progress or _nothing)
    facts, rows = gather(given)
    gallery: Gallery | None = None
    strips: Strips | None = None
    notes: list[str] = []
    pictures = 0
    if rows is not None and len(rows.state):
        strips = _strips(given, rows, previews, model)
        gallery, notes, pictures = _gallery(rows, strips)

    def write(file: BinaryIO) -> None:
        for piece in as_html(facts, gallery, strips, notes):
            file.write(piece.encode())

    write_file(target, write)
    shown_clips = 0 if gallery is None else len(gallery.rows)
    size = target.stat().st_size
    return DatasetReport(
        target,
        size,
        facts,
        shown_clips,
        pictures,
        (*notes, *([strips.note] if strips else [])),
    )


def _nothing(what: str, done: int, total: int) -> None:
    del what, done, total


def _strips(
    given: Given, rows: ReportRows, previews: int | Preview, model: str | os.PathLike[str] | None
) -> Strips | None:
    """Reconstructions, where a store and its videos are there."""
    if given.store is None or not previews or not rows.index.data_root.is_dir():
        return None
    return make_strips(rows, given.store.location, previews, model)


def _gallery(rows: ReportRows, strips: Strips | None) -> tuple[Gallery, list[str], int]:
    """The gallery, what it does not show, and how many pictures it has."""
    chosen = choose_rows(rows)
    found = make_thumbnails(rows, pictured(rows, chosen))
    decoded = {} if strips is None else strips.of_rows
    psnr = {row: strip.psnr for row, strip in decoded.items() if strip.psnr is not None}
    gallery = make_gallery(rows, chosen, found.of_rows, psnr)
    count = len(found.of_rows)
    notes = gallery_notes(gallery, count, found.looked_for, found.gone, found.why_none)
    return gallery, notes, count


def _given(
    source: Source,
    store: str | os.PathLike[str] | None,
    options: DatasetOptions,
    on_progress: OnProgress,
) -> Given:
    """What is asked about, and what there is of it."""
    place = None if store is None else Store.open(store)
    kind = kind_of(source)
    if kind == "dataset":
        assert not isinstance(source, BucketIndex)  # noqa: S101
        spec = open_dataset(source, **options)
        if place is not None and (family := place.read_info().family) in families():
            spec = with_default_profile(spec, family)  # as `encode` has planned it
        return _of_dataset(spec, place, on_progress)
    refuse_options(source, options)
    if kind == "store":
        assert isinstance(source, (str, os.PathLike))  # noqa: S101
        return _of_store(Store.open(shown(dataset_path(source))), options.get("data_root"))
    index = open_index(source, check_videos=False, **options)
    name = shown(source.data_root) if isinstance(source, BucketIndex) else name_of(source)
    return Given(name, "plan", index, store=place)


def _of_store(store: Store, data_root: str | os.PathLike[str] | None) -> Given:
    try:
        index = store.load_index()
    except StoreError as error:
        why = f"{error.message}; give the dataset's path and `store` to see what is left"
        return Given(store.location, "store", None, why, store)
    return Given(store.location, "store", index.moved(data_root), store=store)


def _of_dataset(spec: Datasets, store: Store | None, on_progress: OnProgress) -> Given:
    findings = validate(spec, on_progress=lambda done, total: on_progress("checked", done, total))
    index, why = None, None
    try:
        index = open_index(
            spec,
            on_missing="skip",
            on_progress=lambda done, total: on_progress("planned", done, total),
        )
    except (ListError, PlanError) as error:
        why = str(error)
    return Given(name_of(spec), "dataset", index, why, store, spec, findings)
