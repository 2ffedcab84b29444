"""`status`: what of a plan a store holds, what is to be made anew, and why."""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import Unpack

from videoprep.encoding.dataset_status import DatasetStatus, dataset_statuses
from videoprep.encoding.options import (
    CONDITIONS,
    STATUS_OPTIONS,
    EncodeOptions,
    StatusKeywords,
    divided,
)
from videoprep.encoding.recipes import MASK_OPTIONS, changed_settings, make_recipes, settings_of
from videoprep.encoding.replan import Difference, compare_plans, is_older, options_given
from videoprep.encoding.run import asked_components, open_checked, wanted_components
from videoprep.engine.claims import AtWork, presence_at
from videoprep.errors import Code, PlanError, StoreError, listed
from videoprep.families.caption_places import CaptionPlaces
from videoprep.families.component import FRAMES, Component, for_roles, ordered, roles_read
from videoprep.families.component import Source as ComponentSource
from videoprep.families.model_folder import open_model
from videoprep.families.registry import components_of, families
from videoprep.index.diff import IndexDiff, compare, no_longer_planned
from videoprep.index.row_words import CLIP, row_word
from videoprep.index.table import BucketIndex, LeftOutSample, OnMissing
from videoprep.sources import Source, name_of, open_index
from videoprep.spec.roles import VIDEO, Role
from videoprep.store.catalogue import (
    Artifacts,
    DamagedClip,
    damaged_clips,
    further_places,
    gather,
    is_among,
    read_artifacts,
    set_aside,
    whole,
)
from videoprep.store.layout import CATALOGUE, INDEX, Store, StoreInfo, component_folders
from videoprep.store.plan_check import read_catalogue
from videoprep.store.receipt import read_receipts
from videoprep.store.recipe import Recipe
from videoprep.store.verify import earlier_recipe
from videoprep.store.verify_report import ENCODE_AGAIN, EarlierRecipe
from videoprep.text import counted

CatalogueState = Literal["current", "outdated", "missing", "damaged"]

_EXAMPLES = 3

_FAIL_AGAIN = (
    Code.DAMAGED_FRAMES.value,
    Code.DAMAGED_SOUND.value,
    Code.CHANGES_MIDWAY.value,
)

NEW, NOT_MADE, RECIPE = "new sample", "not made yet", "recipe"


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """The artifacts of one component, distinct ones.

    Attributes:
        planned: those that the plan needs: ``done``, ``set_aside`` and ``to_do``; None without a
            plan.
        done: stored, by the recipe that is asked for.
        set_aside: could not be made.
        to_do: neither; they are made by the next run.
        stale: those of ``to_do`` for which the store holds something older.
        why: how many are to be made, by the reason; together ``to_do``.
        recipe_changed: how the recipe that is asked for differs from the store's, in words.
        orphans: stored, but no clip of the plan needs them.
        orphan_bytes: their size.
        damages: receipts that do not hold; the next run makes their units anew.
        absent: clips that do without it, such as those without sound: nothing of it is planned for
            them.
    """

    planned: int | None
    done: int
    set_aside: int
    to_do: int
    stale: int
    why: Mapping[str, int]
    recipe_changed: tuple[str, ...]
    orphans: int
    orphan_bytes: int
    damages: tuple[str, ...]
    absent: int = 0


@dataclass(frozen=True, slots=True)
class SetAsideGroup:
    """What could not be made, for one reason.

    Attributes:
        component: what.
        code: why, in a stable word.
        artifacts: how many.
        clips: how many clips lack them.
        attempts: how often the most tried of them was tried.
        examples: the first, as ``video (list:line): reason``.
    """

    component: Component
    code: str
    artifacts: int
    clips: int
    attempts: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Redo:
    """A clip of the new plan for which something is to be made, and why.

    Attributes:
        video: the file, as the dataset names it.
        file: the list that names it.
        line: the line in that list.
        clip: which of the sample's clips.
        components: what is to be made.
        why: ``new sample``, or what changed: contents, frames, picture, caption.
    """

    video: str
    file: str
    line: int
    clip: int
    components: tuple[Component, ...]
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """A clip of the store's plan that the new one does not plan.

    Attributes:
        video: the file.
        file: the list that named it; the video itself if none did.
        line: the line in the list as it was.
        clip: which of the sample's clips.
    """

    video: str
    file: str
    line: int | None
    clip: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """How a store stands to a plan.

    Attributes:
        store: which one.
        plan: what it was compared with: ``index.parquet``, or what was given; None: there is none.
        model: the model that made the store, or that was asked for.
        clips: how many rows are planned, which `word` names.
        left_out: samples that the plan leaves out, with reasons.
        components: counts.
        set_aside: what could not be made, by component and code.
        redo: clips for which something is to be made because they are new or have changed.
        gone: clips that are no longer planned: removed, or their samples skipped.
        changes: how many clips have changed in which way, since the store's own plan.
        earlier: artifacts of other recipes than the one asked for.
        at_work: processes that work at the store now.
        leftovers: what processes left that died; the next run, or `verify` with repair, removes it.
        catalogue: ``current``, ``outdated`` (it follows another plan than ``index.parquet``, or
            lacks what was made since), ``missing`` or ``damaged``.
    """

    store: str
    plan: str | None
    model: str
    clips: int
    left_out: tuple[LeftOutSample, ...]
    components: Mapping[Component, ComponentStatus]
    set_aside: tuple[SetAsideGroup, ...]
    redo: tuple[Redo, ...]
    gone: tuple[Gone, ...]
    changes: Mapping[str, int]
    earlier: tuple[EarlierRecipe, ...]
    at_work: tuple[AtWork, ...]
    leftovers: tuple[str, ...]
    catalogue: CatalogueState
    differences: tuple[Difference, ...] = ()
    """Options of the dataset that decide what is stored, and that the store was made with
    otherwise."""
    keep: Mapping[str, Any] = field(default_factory=dict)
    """Options that `encode` needs to keep what is stored, and that were not given."""
    damaged: tuple[DamagedClip, ...] = ()
    """Clips whose frames are damaged, and that were encoded all the same."""
    reading: Mapping[str, Any] | None = None
    """How the plan's dataset was read: the files and columns, and what was passed over."""
    word: str = CLIP
    """What ``clips`` counts, and what ``gone`` and ``redo`` name: ``clip``, or ``bucket
    assignment`` if a clip may be in several buckets."""
    datasets: tuple[DatasetStatus, ...] = ()
    """How far each dataset is, if there are several."""

    @property
    def ok(self) -> bool:
        """Whether all that is planned is there, and readers find it."""
        counts = self.components.values()
        done = all(one.planned is not None and one.done == one.planned for one in counts)
        return done and self.catalogue == "current"

    @property
    def only_failed(self) -> bool:
        """Whether all that is left was tried and failed: only trying it again can help."""
        counts = self.components.values()
        to_do = any(one.planned is None or one.to_do or one.damages for one in counts)
        return not to_do and any(one.set_aside for one in counts)

    @property
    def is_hopeless(self) -> bool:
        """Whether trying again would fail again, as long as the files are what they are."""
        codes = {group.code for group in self.set_aside}
        return self.only_failed and codes <= {*_FAIL_AGAIN} and self.catalogue == "current"

    def to_json(self) -> dict[str, Any]:
        """A form that `json` can write."""
        values = {"ok": self.ok, **asdict(self)}
        return values if self.datasets else {n: v for n, v in values.items() if n != "datasets"}

    def _repr_html_(self) -> str:
        names = ("planned", "done", "set_aside", "to_do", "stale", "orphans")
        head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in ("", *names))
        rows = "".join(
            f"<tr><td>{component}</td>"
            + "".join(f"<td>{getattr(one, name)}</td>" for name in names)
            + "</tr>"
            for component, one in self.components.items()
        )
        return (
            f"<p><b>{html.escape(self.store)}</b>: {counted(self.clips, self.word)}, "
            f"catalogue {self.catalogue}</p><table><tr>{head}</tr>{rows}</table>"
        )


def status(
    store: str | os.PathLike[str],
    source: Source | None = None,
    model: str | os.PathLike[str] | None = None,
    *,
    on_missing: OnMissing | None = None,
    on_planned: Callable[[int, int], None] | None = None,
    **options: Unpack[StatusKeywords],
) -> Status:
    """Says what of a plan is done, to do and failed, and what is stale and why.

    Changes nothing and imports no torch. Shards are not read: `verify` does that.

    Args:
        store: path or URL.
        source: the plan to compare with: of a dataset, an index or another store; None: the
            store's own. If a dataset names no profile, that of the store's family is used.
        model: the model to compare with; its weights are read once to fingerprint them. None: the
            store's own, without looking at it.
        on_missing: what to do with videos that are missing or have changed; see `open_index`.
        on_planned: called while a dataset is planned, with how many samples are done, and how many
            there are.
        options: `STATUS_OPTIONS`, which say what `encode` would be asked for, and fields of
            `DatasetSpec` for a dataset.

    Raises:
        StoreError: there is no store, or its ``store.json`` or ``index.parquet`` is damaged.
        VideoprepError: dataset, plan or model cannot be read.
    """
    wishes, dataset = divided(options, STATUS_OPTIONS)
    name = None if model is None else str(model)
    place = Store.open(store)
    info = place.read_info()
    own = _own_index(place)
    given = None
    if source is not None:
        given = open_index(
            source,
            on_missing=on_missing,
            on_progress=on_planned,
            default_profile=info.family if info.family in families() else None,
            **dataset,
        )
    elif dataset:
        first = next(iter(dataset))
        raise PlanError(
            f"`{first}` is an option of a dataset, and none is given",
            remedy="give the dataset as the source",
            option=first,
        )
    roles = () if (plan_now := given or own) is None else plan_now.roles
    asked, sources = _asked(place, info, name, wishes, roles)
    plan = None if source is None else name_of(source)
    found = _Comparison(place, info, own, given, name or info.model, asked, sources).status(plan)
    differences: list[Difference] = []
    if source is not None and given is not None:
        differences, _ = compare_plans(
            place, given, options_given(source, dataset), older=is_older(place, source)
        )
    return replace(
        found,
        differences=tuple(differences),
        keep={**_forgotten(differences), **_of_recipes(info, wishes)},
    )


def _forgotten(differences: Iterable[Difference]) -> dict[str, Any]:
    """The options of the store's own plan that were not given."""
    missing = (one for one in differences if not one.given and one.stored is not None)
    return {one.option: one.stored for one in missing if one.option is not None}


def _of_recipes(info: StoreInfo, wishes: EncodeOptions) -> dict[str, Any]:
    """The options that latents and masks were made with, if these are not the defaults."""
    latents = (recipe.fields for recipe in info.recipes.values() if "tiling" in recipe.fields)
    fields = next(latents, {})
    stored = {"posterior": fields.get("posterior"), "use_tiling": fields.get("tiling")}
    masks = next((one.fields for one in info.recipes.values() if one.source.is_mask), {})
    stored |= {name: masks.get(name) for name in MASK_OPTIONS}
    return {
        name: value
        for name, value in stored.items()
        if name not in wishes.model_fields_set
        and value not in (None, EncodeOptions.model_fields[name].default)
    }


@dataclass(frozen=True)
class _Comparison:
    """A store, what it holds, and what is asked for."""

    store: Store
    info: StoreInfo
    own: BucketIndex | None
    given: BucketIndex | None
    model: str
    recipes: Mapping[Component, Recipe | None]
    sources: Mapping[Component, ComponentSource]

    @property
    def index(self) -> BucketIndex | None:
        return self.own if self.given is None else self.given

    @cached_property
    def diff(self) -> IndexDiff | None:
        """What changed since the store's own plan."""
        if self.given is None or self.own is None:
            return None
        return compare(self.given.table, self.own.table)

    @cached_property
    def changed(self) -> Mapping[tuple[str, int | None, int | None], tuple[str, ...]]:
        """What changed of each clip of the new plan, by video, line and clip."""
        changes = () if self.diff is None else self.diff.changes
        return {(c.video, c.line, c.clip): c.what for c in changes if c.what != ("removed",)}

    @cached_property
    def made(self) -> Mapping[Component, Artifacts]:
        """What is there by the recipes that are asked for."""
        return {
            component: gather((), "", self.sources[component])
            if recipe is None
            else read_artifacts(self.store, recipe)
            for component, recipe in self.recipes.items()
        }

    @cached_property
    def before(self) -> Mapping[Component, Artifacts]:
        """What is there by the store's own recipes."""
        found = {}
        for component, recipe in self.info.recipes.items():
            asked = self.recipes[component]
            same = asked is not None and asked.id == recipe.id
            found[component] = self.made[component] if same else read_artifacts(self.store, recipe)
        return found

    def status(self, plan: str | None) -> Status:
        """All of it."""
        presence = presence_at(self.store.files)
        counts = {component: self._count(component) for component in self.recipes}
        index = self.index
        name = plan if self.given is not None else INDEX if self.own is not None else None
        return Status(
            store=self.store.location,
            plan=name,
            model=self.model,
            clips=0 if index is None else len(index),
            left_out=() if index is None else tuple(index.left_out),
            components=counts,
            set_aside=() if index is None else tuple(_groups(index, self.made)),
            redo=tuple(self._redo()),
            gone=tuple(self._gone()),
            changes={} if self.diff is None else dict(self.diff.counts),
            earlier=tuple(self._earlier()),
            at_work=presence.at_work,
            leftovers=presence.dead,
            catalogue=self._catalogue(),
            damaged=() if index is None else tuple(damaged_clips(index, self.made)),
            word=row_word(None if index is None else index.policy),
            reading=None if index is None else index.policy.get("reading"),
            datasets=() if index is None else dataset_statuses(index, self.made),
        )

    def _count(self, component: Component) -> ComponentStatus:
        made = self.made[component]
        damages = tuple(f"{damage.name}: {damage.what}" for damage in made.damages)
        recipe = self._recipe_changed(component)
        if self.index is None:
            stored, failed = made.stored.num_rows, made.failed.num_rows
            return ComponentStatus(None, stored, failed, 0, 0, {}, recipe, 0, 0, damages)
        counts = made.count(self.index.table)
        why, stale = self._reasons(component)
        return ComponentStatus(
            planned=counts.planned,
            done=counts.stored,
            set_aside=counts.failed,
            to_do=counts.planned - counts.stored - counts.failed,
            stale=stale,
            why=why,
            recipe_changed=recipe,
            orphans=counts.orphans,
            orphan_bytes=counts.orphan_bytes,
            damages=damages,
            absent=_count_absent(self.index.table, made),
        )

    def _recipe_changed(self, component: Component) -> tuple[str, ...]:
        asked, own = self.recipes[component], self.info.recipes.get(component)
        if asked is None or own is None:
            return ()
        return tuple(asked.differences(own.fields))

    def _waiting(self, component: Component) -> pa.Array:
        """For each place of the plan, a row or a further caption, whether it is to be made."""
        assert self.index is not None  # noqa: S101
        column = whole(self.sources[component].all_keys(self.index.table))
        known = is_among(column, self.made[component].settled)
        return pc.and_(pc.invert(known), pc.is_valid(column))

    def _waiting_rows(self, component: Component) -> NDArray[np.bool_]:
        """For each row of the plan, whether something of it is to be made."""
        assert self.index is not None  # noqa: S101
        places = np.flatnonzero(self._waiting(component).to_numpy(zero_copy_only=False))
        rows = np.zeros(self.index.table.num_rows, np.bool_)
        rows[CaptionPlaces.of(self.index.table).rows(places)] = True
        return rows

    def _reasons(self, component: Component) -> tuple[dict[str, int], int]:
        """Why artifacts are to be made, and for how many the store has something older."""
        assert self.index is not None  # noqa: S101
        waiting = np.flatnonzero(self._waiting(component).to_numpy(zero_copy_only=False))
        source, places = self.sources[component], CaptionPlaces.of(self.index.table)
        keys = source.keys_at(self.index.table, waiting)
        first = pc.index_in(pc.unique(keys), value_set=whole(keys))
        of_index = pa.array(places.rows(waiting[first.to_numpy(zero_copy_only=False)]))
        rows = self.index.table.select(["video", "line", "clip"]).take(of_index)
        before = self.before.get(component)
        older = pa.array([], pa.string()) if before is None else before.stored["key"]
        there = is_among(keys.take(first), older)
        counts: Counter[str] = Counter()
        stale = 0
        for row, again in zip(rows.to_pylist(), there.to_pylist(), strict=True):
            what = self.changed.get((row["video"], row["line"], row["clip"]), ())
            aspects = [name for name in _aspects(source) if name in what]
            if aspects:
                reason = ", ".join(aspects)
            elif again:
                reason = RECIPE
            else:
                reason = NEW if "added" in what else NOT_MADE
            stale += reason not in (NEW, NOT_MADE)
            counts[reason] += 1
        return dict(counts), stale

    def _redo(self) -> Iterator[Redo]:
        """The clips that are new or have changed, and for which something is to be made."""
        if self.diff is None or self.given is None:
            return
        waiting = {c: self._waiting_rows(c) for c in self.recipes}
        numbers = np.flatnonzero(np.logical_or.reduce(list(waiting.values())))
        names = ["video", "file", "line", "clip"]
        rows = self.given.table.select(names).take(pa.array(numbers)).to_pylist()
        for number, row in zip(numbers.tolist(), rows, strict=True):
            what = self.changed.get((row["video"], row["line"], row["clip"]), ())
            components = tuple(c for c, mask in waiting.items() if mask[number])
            telling = {name for c in components for name in _aspects(self.sources[c])}
            why = (NEW,) if "added" in what else tuple(w for w in what if w in telling)
            if why:
                yield Redo(**row, components=components, why=why)

    def _gone(self) -> Iterator[Gone]:
        """The clips of the store's plan that are removed or skipped."""
        if self.given is None or self.own is None:
            return
        names = ["video", "file", "line", "clip"]
        gone = no_longer_planned(self.given.table, self.own.table).select(names)
        yield from (Gone(**row) for row in gone.to_pylist())

    def _earlier(self) -> Iterator[EarlierRecipe]:
        """The folders of recipes that are not asked for."""
        for component in component_folders(self.store.files):
            asked = self.recipes.get(component)
            for name in self.store.files.folders(component):
                if asked is not None and name == asked.id:
                    continue
                folder = f"{component}/{name}"
                receipts = read_receipts(self.store.files, folder)
                made = gather(receipts, folder, FRAMES)  # they are only counted
                yield earlier_recipe(self.info, component, name, made, asked)

    def _catalogue(self) -> CatalogueState:
        if self.store.files.size(CATALOGUE) is None:
            return "missing"
        listed = read_catalogue(self.store)
        if listed.table is None:
            return "damaged"
        if self.own is None or listed.index_xxh3 != self.store.digest(INDEX):
            return "outdated"
        for component, made in self.before.items():
            column = f"{component}_shard"
            if column not in listed.table.schema.names:
                return "outdated"
            there = listed.table.filter(pc.is_valid(listed.table[column]))[f"{component}_key"]
            further = further_places(listed.table, component)
            there = pa.chunked_array([*there.chunks, further["key"].combine_chunks()], pa.string())
            if len(pc.unique(there)) != made.count(self.own.table).stored:
                return "outdated"
        return "current"


def _own_index(store: Store) -> BucketIndex | None:
    if store.files.size(INDEX) is None:
        return None
    try:
        return store.load_index()
    except PlanError as error:
        raise StoreError(
            f"cannot be relied on: {error.message}",
            where=store.files.where(INDEX),
            remedy=ENCODE_AGAIN,
        ) from error


def _asked(
    store: Store,
    info: StoreInfo,
    model_name: str | None,
    wishes: EncodeOptions,
    roles: Collection[Role],
) -> tuple[dict[Component, Recipe | None], dict[Component, ComponentSource]]:
    """Return the recipes and sources of what is asked for.

    The recipe is None for a component that the store lacks, if it is not needed to know more.
    """
    name = model_name or info.model
    revision = wishes.revision if model_name else wishes.revision or info.revision
    sources = {one: recipe.source for one, recipe in info.recipes.items()}
    of_store = roles_read(recipe.fields for recipe in info.recipes.values())
    if model_name is None and wishes.model_fields_set <= {*CONDITIONS}:  # recipes are known
        wanted = {*info.recipes}
        if family := families().get(info.family):
            brought = for_roles(family.profile.components, {*roles} - of_store)
            sources |= {
                one.name: one.source
                for one in brought
                if one.source.role.kind.several and not one.options
            }
            wanted |= sources.keys()
        if wishes.conditions:
            possible = components_of(
                families()[info.family], open_model(name, (), revision), {*roles, *of_store}
            )
            wanted |= asked_components(possible, wishes.conditions)
            sources |= {one: possible[one].source for one in wanted & possible.keys()}
        return {one: info.recipes.get(one) for one in ordered(wanted)}, sources
    model, family = open_checked(name, revision)
    if family.name != info.family:
        raise StoreError(
            f"holds artifacts for the family {info.family!r}, and the model is of {family.name!r}",
            where=store.location,
            remedy="a store is for one family: encode into another",
        )
    possible = components_of(family, model, {*roles, *of_store})
    asked = set[Component]()
    if wishes.conditions:
        asked = asked_components(possible, wishes.conditions)
    components = wanted_components(store, info.recipes, possible, asked)
    settings = changed_settings(settings_of(info, store.location), wishes)
    made = make_recipes(family, model, components, settings)
    return dict(made), {spec.name: spec.source for spec in components}


def _aspects(source: ComponentSource) -> tuple[str, ...]:
    """What of a sample makes artifacts of a source stale, as `IndexDiff` calls it."""
    if source.sound:
        return ("contents", "frames", source.role)
    if source.role != VIDEO:  # what its clip has of it changes with the clip, too
        return (source.role,)
    frames = ("contents", "frames", "picture") if source.frames else ()
    return (*frames, "caption") if source.caption else frames


def _groups(index: BucketIndex, made: Mapping[Component, Artifacts]) -> Iterator[SetAsideGroup]:
    """What failed, by component and code, the most frequent first."""
    entries = set_aside(index, made)
    places = Counter((entry.component, entry.code) for entry in entries)
    for (component, code), clips in places.most_common():
        failed = made[component].failed
        planned = made[component].planned(index.table)
        own = failed.filter(pc.equal(failed["code"], code))
        own = own.filter(is_among(own["key"], planned))
        same = (e for e in entries if (e.component, e.code) == (component, code))
        examples = [
            f"{listed(entry.video, entry.file, entry.line)}: {entry.reason}"
            for entry, _ in zip(same, range(_EXAMPLES), strict=False)
        ]
        attempts = pc.max(own["attempt"]).as_py() or 0
        yield SetAsideGroup(component, code, own.num_rows, clips, attempts, tuple(examples))


def _count_absent(table: pa.Table, made: Artifacts) -> int:
    """How many planned clips do without what is made of one kind."""
    if not made.source.may_lack:
        return 0
    lacks = pc.and_(pc.is_null(made.source.keys(table)), pc.is_null(table["left_out_code"]))
    return int(pc.sum(lacks).as_py() or 0)
