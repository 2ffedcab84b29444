"""What a run would change of what a store already holds, found before anything is encoded."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from videoprep.encoding.options import EncodeOptions
from videoprep.encoding.recipes import MASK_OPTIONS
from videoprep.errors import Code, PlanError
from videoprep.families.caption_places import CaptionPlaces
from videoprep.families.component import Component
from videoprep.index.calibration import estimate, recall
from videoprep.index.diff import compare
from videoprep.index.policy import options_of
from videoprep.index.row_words import CLIP, row_word
from videoprep.index.summary import summarize
from videoprep.index.table import BucketIndex
from videoprep.sources import Source, kind_of
from videoprep.spec.dataset import DatasetSpec
from videoprep.spec.dataset_group import DatasetGroup
from videoprep.spec.path_hints import dataset_path
from videoprep.spec.spec_file import DATASETS
from videoprep.store.catalogue import is_among, read_artifacts, without
from videoprep.store.layout import ACCEPTED, INDEX, Store, StoreInfo
from videoprep.store.recipe import Recipe
from videoprep.text import counted, duration

logger = logging.getLogger(__name__)

OnReplan = Callable[["Replan"], bool]
"""Called before a run changes what a store already holds; returns whether to go on."""

# Which option decides a field of a recipe. Fingerprints of the model's files and the classes that
# load them are the model's; any other field is that of a version of videoprep or a library.
_OPTIONS = {
    "dtype": "dtype",
    "computed_in": "text_encoder_dtype",
    "posterior": "posterior",
    "tiling": "use_tiling",
    "draws": "image_noise",
    **{name: name for name in MASK_OPTIONS},
}
_FINGERPRINT = re.compile(r"[0-9a-f]{32}")
_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}

# What another plan may make of clips, in words: of several, and of one.
_WHAT = {
    "frames": "get other frames",
    "picture": "get another crop or size",
    "dropped": "are no longer planned",
    "caption": "get an earlier caption back",
}
_OF_ONE = {
    "get other frames": "gets other frames",
    "get another crop or size": "gets another crop or size",
    "are no longer planned": "is no longer planned",
    "get an earlier caption back": "gets an earlier caption back",
}
# Codes of samples that the options refuse, whatever the state of the file and the caption.
_OF_OPTIONS = (Code.SIZE_NOT_DIVISIBLE.value, Code.FRAME_COUNT.value, "VP3")


@dataclass(frozen=True, slots=True)
class Difference:
    """An option that is not what it was when the store was encoded.

    Attributes:
        option: its name; None: a version of videoprep or of a library decides it.
        what: what it decides, if it has no name.
        stored: its value then; None: the default.
        now: its value now.
        given: whether it was given now, and is not just missing.
    """

    option: str | None
    what: str
    stored: Any
    now: Any
    given: bool

    def __str__(self) -> str:
        name = self.what if self.option is None else f"`{self.option}`"
        name += f" ({self.what})" if self.option not in (None, self.what) else ""
        return f"{name}: {_said(self.stored)} in the store, {_said(self.now)} now"


@dataclass(frozen=True, slots=True)
class Replan:
    """What a run would change of what a store already holds.

    New clips, edited captions and videos with other contents are not part of it: encoding them is
    what a run is for.

    Attributes:
        store: path or URL.
        differences: the options that differ.
        changes: clips by what becomes of them, in words.
        clips: how many clips would be encoded again; what they are called says `word`.
        seconds: how long that takes one process, from the last run's speed; None: not known.
    """

    store: str
    differences: tuple[Difference, ...]
    changes: Mapping[str, int]
    clips: int
    seconds: float | None
    word: str = CLIP

    @property
    def forgotten(self) -> tuple[Difference, ...]:
        """The differences that nobody asked for: options that were given before and not now."""
        return tuple(one for one in self.differences if not one.given)

    @property
    def lines(self) -> tuple[str, ...]:
        """What would change, and how much work it is."""
        lines = [str(one) for one in self.differences]
        if self.changes:
            changes = (
                f"{counted(count, self.word)} {_OF_ONE[what] if count == 1 else what}"
                for what, count in self.changes.items()
            )
            lines.append(", ".join(changes))
        if self.clips or not self.changes:
            about = "" if self.seconds is None else f", about {duration(self.seconds)}"
            lines.append(f"{counted(self.clips, self.word)} to encode again{about}")
        return tuple(lines)

    def refusal(self) -> PlanError:
        """Return the error that says what would change, and the two ways out."""
        wanted = self.forgotten or self.differences
        named = [(one.option, one.stored) for one in wanted if one.option is not None]
        give = [f"{name}={value!r}" for name, value in named if value is not None]
        unset = [f"`{name}`" for name, value in named if value is None]
        ways = [f"give `{', '.join(give)}`"] if give else []
        ways += [f"leave out {', '.join(unset)}"] if unset else []
        if _OLDER in self.differences:
            return PlanError(
                f"encoding would go back to an earlier plan: {'; '.join(self.lines)}",
                where=self.store,
                remedy="give the dataset itself, or an index saved since; to go back, give "
                "`yes=True`",
            )
        if not self.clips and not self.changes:
            return PlanError(
                f"the store would say otherwise of what it holds: {'; '.join(self.lines)}",
                where=self.store,
                remedy=f"to keep it as it is, {' and '.join(ways)}; to change it, give `yes=True`",
                option=next((one.option for one in wanted if one.option is not None), None),
            )
        keep = f"to keep what is encoded, {' and '.join(ways)}; " if ways else ""
        if self.clips:
            verb, otherwise = "replace", "to encode it again"
        else:
            verb, otherwise = "drop", "to drop these clips"
        return PlanError(
            f"encoding would {verb} what the store holds: {'; '.join(self.lines)}",
            where=self.store,
            remedy=f"{keep}{otherwise}, give `yes=True`",
            option=next((one.option for one in wanted if one.option is not None), None),
        )


# The options are the same, and clips of the same videos are others all the same: buckets were
# chosen for other neighbours, or another version of videoprep plans otherwise.
_REPLANNED = Difference(
    None, "the plan of videos that did not change", "one plan", "another", given=False
)


# An index that was saved before the store's own plan: what it lacks need not be anybody's wish.
_OLDER = Difference(None, "the plan", "a newer one", "an index saved before it", given=False)


def is_older(store: Store, source: Source) -> bool:
    """Return whether a finished plan was saved before the one that a store follows.

    Times of files tell; where they are not known, as behind a URL, it is not taken for older.
    """
    if isinstance(source, BucketIndex | DatasetSpec | DatasetGroup) or kind_of(source) == "dataset":
        return False
    path = Path(dataset_path(source))
    if kind_of(source) == "store":
        path /= INDEX
    own = [store.files.path(name) for name in (ACCEPTED, INDEX)]
    try:
        kept = next(one for one in own if one is not None and one.exists())
        return path.stat().st_mtime_ns < kept.stat().st_mtime_ns
    except (OSError, StopIteration):
        return False


def options_given(source: Source, options: Mapping[str, Any]) -> AbstractSet[str] | None:
    """Return the options of a dataset that were given; None: all, as in a plan that is finished."""
    if kind_of(source) != "dataset":
        return None
    named = {name for name, value in options.items() if value is not None}
    if isinstance(source, DatasetGroup):
        return named | source.options.keys()
    return named | source.model_fields_set if isinstance(source, DatasetSpec) else named


def find_replan(
    store: Store,
    index: BucketIndex,
    recipes: Mapping[Component, Recipe],
    model: str,
    options: EncodeOptions,
    given: AbstractSet[str] | None,
    *,
    older: bool = False,
) -> Replan | None:
    """Compare a plan and its recipes with what a store holds.

    Args:
        store: where it is to be encoded to; its ``store.json`` is there.
        index: the plan.
        recipes: how each component is to be made.
        model: what the model is called.
        options: of the run.
        given: see `options_given`.
        older: see `is_older`.

    Returns:
        What would change; None if nothing that is stored would be encoded again or lost.
    """
    info = store.read_info()
    settled = {name: read_artifacts(store, recipe).settled for name, recipe in recipes.items()}
    remade = {name: _remade(store, index, info, recipes, name, settled[name]) for name in recipes}
    lacking = any(_lacks(index, recipe, settled[name]) for name, recipe in recipes.items())
    planned, changes = compare_plans(store, index, given, lacking=lacking, older=older)
    other = [
        name
        for name in recipes
        if len(remade[name]) or (planned and name in info.recipes and recipes[name].source.media)
    ]
    differences = [*planned, *_of_recipes(info, recipes, other, model, options)]
    differences += _of_meaning(info, recipes, model, options)
    if not differences:
        return None
    waiting = {
        name: _waiting(index, recipe, settled[name], remade[name], moved=bool(planned))
        for name, recipe in recipes.items()
    }
    rows = np.logical_or.reduce(list(waiting.values()))
    return Replan(
        store=store.location,
        differences=tuple(one for n, one in enumerate(differences) if one not in differences[:n]),
        changes=changes,
        clips=int(rows.sum()),
        seconds=_seconds(index, rows, {name for name, mask in waiting.items() if mask.any()}),
        word=row_word(index.policy),
    )


def _remade(
    store: Store,
    index: BucketIndex,
    info: StoreInfo,
    recipes: Mapping[Component, Recipe],
    component: Component,
    settled: pa.Array,
) -> pa.Array:
    """The planned artifacts that the store has by its own recipe, and not by the new one."""
    own = info.recipes.get(component)
    if own is None or own.id == recipes[component].id:
        return pa.array([], pa.string())
    made = read_artifacts(store, own)
    planned = made.planned(index.table)
    return without(planned.filter(is_among(planned, made.settled)), settled)


def _of_recipes(
    info: StoreInfo,
    recipes: Mapping[Component, Recipe],
    components: Sequence[Component],
    model: str,
    options: EncodeOptions,
) -> Iterator[Difference]:
    given = options.model_fields_set
    for component in components:
        own, recipe = info.recipes[component].fields, recipes[component]
        for name in sorted({*own, *recipe.fields}):
            stored, now = own.get(name), recipe.fields.get(name)
            if stored == now:
                continue
            if name in _OPTIONS:
                option = _OPTIONS[name]
                asked = option in given or (name == "computed_in" and "dtype" in given)
                yield Difference(option, option, _worded(stored), _worded(now), asked)
            elif name == "class" or _FINGERPRINT.fullmatch(str(stored or now)):
                # Under the same name its files changed: then these are what differs.
                part = name.replace("_", " ")
                if info.model == model:
                    yield Difference(None, f"{model}, {part}", "other files", "these", given=True)
                else:
                    yield Difference("model", part, info.model, model, given=True)
            else:
                yield Difference(None, f"{component}, {name}", stored, now, given=False)


def _of_meaning(
    info: StoreInfo, recipes: Mapping[Component, Recipe], model: str, options: EncodeOptions
) -> Iterator[Difference]:
    """What the store would say otherwise of what it keeps, and nobody has asked for."""
    same = [name for name, own in info.recipes.items() if _is_same(own, recipes.get(name))]
    found = _of_recipes(info, recipes, same, model, options)
    yield from (one for one in found if not one.given)


def _is_same(own: Recipe, other: Recipe | None) -> bool:
    return other is not None and own.id == other.id


def _lacks(index: BucketIndex, recipe: Recipe, settled: pa.Array) -> bool:
    """Whether something of a clip's frames or sound is still to be made."""
    if not recipe.source.media:
        return False
    keys = pc.drop_null(recipe.source.all_keys(index.table))
    return not pc.all(pc.is_in(keys, value_set=settled)).as_py()


def compare_plans(
    store: Store,
    index: BucketIndex,
    given: AbstractSet[str] | None,
    *,
    lacking: bool = True,
    older: bool = False,
) -> tuple[list[Difference], Mapping[str, int]]:
    """Compare a plan with the store's own.

    Args:
        store: where the plan is to be encoded to.
        index: the plan.
        given: see `options_given`.
        lacking: whether something is still to be made; if nothing is, and the options are the same,
            the store's own plan is not read.
        older: see `is_older`. Then clips that it lacks and captions that it has otherwise count.

    Returns:
        The options that differ and that decide what becomes of stored clips, and how many clips
        get other frames, another picture, or are dropped.
    """
    own = _accepted(store, index, lacking or older)
    if own is None or own.table.equals(index.table):
        return [], {}
    stored, now = options_of(own.policy), options_of(index.policy)
    found = list(_options_that_differ(stored, now, given))
    changes = _changes(index, own, older)
    if not found and not older:  # the user removed samples from the list on purpose
        changes = {words: count for words, count in changes.items() if words != _WHAT["dropped"]}
    if not changes:
        return [], {}
    if older and {_WHAT["dropped"], _WHAT["caption"]} & changes.keys():
        found.append(_OLDER)
    return found or [_REPLANNED], changes


def _options_that_differ(
    stored: Mapping[str, Any], now: Mapping[str, Any], given: AbstractSet[str] | None
) -> Iterator[Difference]:
    """The options of a dataset, and of those of several that both plans have."""
    for name in dict.fromkeys((*stored, *now)):
        before, after = stored.get(name), now.get(name)
        if name == DATASETS and before is not None and after is not None:
            for dataset in before.keys() & after.keys():
                yield from _of_one(dataset, before[dataset], after[dataset], given)
        elif name != DATASETS and before != after:
            yield Difference(name, name, before, after, _is_given(name, given))


def _of_one(
    dataset: str,
    stored: Mapping[str, Any],
    now: Mapping[str, Any],
    given: AbstractSet[str] | None,
) -> Iterator[Difference]:
    for name in dict.fromkeys((*stored, *now)):
        if stored.get(name) != now.get(name):
            what = f"`{name}` of the dataset {dataset}"
            is_given = given is not None and _is_given(name, given)
            yield Difference(None, what, stored.get(name), now.get(name), is_given)


def _accepted(store: Store, index: BucketIndex, lacking: bool) -> BucketIndex | None:
    """The plan that the last run followed, if it may differ in what is to be made."""

    def load(path: Path) -> BucketIndex | None:
        same = options_of(BucketIndex.policy_of(path)) == options_of(index.policy)
        return BucketIndex.load(path) if lacking or not same else None

    try:
        return store.read_accepted(load)
    except PlanError as error:
        logger.warning("the store's own plan is not compared with the new one: %s", error)
        return None


def needs_accepting(store: Store, index: BucketIndex) -> bool:
    """Return whether the store does not know the options of a plan yet."""
    try:
        policy = store.read_accepted(BucketIndex.policy_of)
    except PlanError:
        return True
    return policy is None or options_of(policy) != options_of(index.policy)


def _changes(index: BucketIndex, own: BucketIndex, older: bool) -> Mapping[str, int]:
    """Clips of the store's plan that are others now, although their videos are not.

    Those that an older plan lacks, or has with another caption, are among them.
    """
    codes = index.table.select(["video", "line", "left_out_code"])
    codes = codes.filter(pc.is_valid(codes["left_out_code"]))
    left_out = {(row["video"], row["line"]): row["left_out_code"] for row in codes.to_pylist()}
    unusable = {video for (video, _), code in left_out.items() if not code.startswith(_OF_OPTIONS)}
    # The further clips of a video that became unusable are gone with it.
    usable = set(index.table["video"].unique().to_pylist()) - unusable
    counts: Counter[str] = Counter()
    for change in compare(index.table, own.table).changes:
        if "contents" in change.what:
            continue
        code = left_out.get((change.video, change.line))
        if "skipped" in change.what and code is not None:
            counts["dropped"] += code.startswith(_OF_OPTIONS)
        elif "removed" in change.what:
            counts["dropped"] += older or change.video in usable
        elif "skipped" not in change.what:
            telling = ("frames", "picture", *(("caption",) if older else ()))
            what = next((what for what in telling if what in change.what), None)
            if what is not None:
                counts[what] += 1
    return {words: counts[what] for what, words in _WHAT.items() if counts[what]}


def _is_given(name: str, given: AbstractSet[str] | None) -> bool:
    """Whether an option was given, or follows from one that was."""
    if given is None or name in given:
        return True
    if name == "reshape":
        return "buckets" in given
    return name == "max_num_frames" and bool({"buckets", "frame_buckets"} & given)


def _waiting(
    index: BucketIndex, recipe: Recipe, settled: pa.Array, remade: pa.Array, *, moved: bool
) -> NDArray[np.bool_]:
    """Of each row whether an artifact is to be made because of what differs."""
    column = recipe.source.all_keys(index.table).combine_chunks()
    needed = pc.is_in(column, value_set=remade)
    if moved and recipe.source.media:
        lacking = pc.invert(pc.is_in(column, value_set=settled))
        needed = pc.or_(needed, pc.and_(lacking, pc.is_valid(column)))
    places = np.flatnonzero(needed.to_numpy(zero_copy_only=False))
    mask = np.zeros(index.table.num_rows, np.bool_)
    mask[CaptionPlaces.of(index.table).rows(places)] = True
    return mask


def _seconds(
    index: BucketIndex, rows: NDArray[np.bool_], components: AbstractSet[Component]
) -> float | None:
    speed = recall(index.data_root)
    if speed is None or not components:
        return None
    work = summarize(index.filter(rows)).components
    return estimate((one for one in work if one.name in components), speed, image_latents=True)


def _worded(value: Any) -> Any:
    return _DTYPES.get(value, value) if isinstance(value, str) else value


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    return ",".join(map(str, value)) if isinstance(value, tuple) else repr(value)
