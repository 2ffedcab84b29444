"""`AskingTask`: asking models about clips, as a task of the engine.

What is asked and what is made of a reply is an `Asking`'s: describing frames, or rewriting a text.
What is done is told by the caption journal alone, to which each answer is added as soon as it is
there: a process that is killed loses what was in flight, and nothing else.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videoprep.engine.progress import Phase, UnitGroup
from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.task import JobShare, TaskDescription, TaskUnit
from videoprep.engine.task import Stage as TaskStage
from videoprep.failpoints import reach
from videoprep.fs import Files, LocalFiles
from videoprep.spec.caption_journal import (
    MOST_CHARACTERS,
    Answer,
    CaptionJournal,
    Outcome,
    Position,
    Stage,
)

T = TypeVar("T")

WORK = ".work"
"""The folder in a journal's folder in which processes say what they work on."""

MOST_IN_CAPTION = 20_000
"""Characters; a longer text is no caption."""

_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

_UNITS = 1024
_UNIT_BITS = 10

_PLAN, _CLIPS = "asking.json", "clips.parquet"

_MOST_IN_REASON = 2000
_MOST_IN_FIELDS = 50_000

_SCHEMA = pa.schema(
    [
        ("key", pa.binary(16)),
        ("number", pa.int64()),
        ("video", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("own", pa.string()),
        ("own_first", pa.string()),
        ("own_captions", pa.int32()),
        ("of", pa.string()),
        ("context", pa.string()),
        ("payload", pa.large_string()),
    ]
)


@dataclass(frozen=True, slots=True)
class AskedClip:
    """One clip that is asked about."""

    key: str
    """See `videoprep.spec.caption_journal.clip_key`."""
    number: int
    """Of its sample in the dataset, from 1."""
    video: str
    """As the dataset writes it."""
    start: float | None
    """The range as the dataset writes it."""
    end: float | None
    own: str
    """Hash of the captions that the dataset itself has, of the first alone if that is what is
    rewritten; empty if it has none."""
    of: str
    """Hash of the text that is rewritten; empty if frames are described."""
    payload: str
    """What asking takes, such as a text, or which frames are shown."""
    context: str = ""
    """Hash of what is known about it and told with the question; empty for nothing."""
    own_first: str = ""
    """Hash of the first of those captions alone, if ``own`` is of several."""
    own_captions: int = 0
    """How many captions ``own`` is of; 0 if it is of the first alone, of however many."""


class AskedClips:
    """Clips that are asked about, each once, in the order of their keys; some 100 bytes each.

    Args:
        table: with the columns of a clip, sorted by key.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        keys = _keys_in(self.table)
        self._high, self._low = keys[:, 0], keys[:, 1]
        self.units = (self._high >> np.uint64(64 - _UNIT_BITS)).astype(np.int64)
        """The number of each clip's unit."""

    @classmethod
    def of(cls, clips: Iterable[AskedClip]) -> AskedClips:
        """Return clips in order; of several with one key the first."""
        columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
        for clip in clips:
            for name, values in columns.items():
                value = getattr(clip, name)
                values.append(bytes.fromhex(value) if name == "key" else value)
        table = pa.table(columns, schema=_SCHEMA)
        keys = _keys_in(table)
        order = np.lexsort((np.arange(len(keys)), keys[:, 1], keys[:, 0]))
        ordered = keys[order]
        first = np.ones(len(order), bool)
        first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        return cls(table.take(order[first]))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, row: int) -> AskedClip:
        values = {name: self.table.column(name)[row].as_py() for name in _SCHEMA.names}
        return AskedClip(**{**values, "key": values["key"].hex()})

    def __iter__(self) -> Iterator[AskedClip]:
        return (self[row] for row in range(len(self)))

    def take(self, rows: NDArray[np.int64]) -> AskedClips:
        """Return some of them, by their places."""
        return AskedClips(self.table.take(rows))

    def with_payloads(self, payloads: Sequence[str]) -> AskedClips:
        """Return the same with other payloads."""
        at = self.table.schema.get_field_index("payload")
        column = pa.array(payloads, pa.large_string())
        return AskedClips(self.table.set_column(at, _SCHEMA.field("payload"), column))

    def find(self, key: str) -> int | None:
        """Return the place of a clip; None if it is not one of them."""
        if len(key) != 2 * _SCHEMA.field("key").type.byte_width:
            return None
        high, low = int(key[:16], 16), int(key[16:], 16)
        row = int(np.searchsorted(self._high, np.uint64(high)))
        while row < len(self) and int(self._high[row]) == high:
            if int(self._low[row]) == low:
                return row
            row += 1
        return None

    def rows_of(self, unit: int) -> range:
        """Return the places of a unit's clips."""
        first, last = np.searchsorted(self.units, [unit, unit + 1])
        return range(int(first), int(last))

    def save(self, files: Files, name: str) -> None:
        """Write them to a file."""
        sink = pa.BufferOutputStream()
        pq.write_table(self.table, sink)
        files.write_bytes(name, sink.getvalue().to_pybytes())

    @classmethod
    def load(cls, files: Files, name: str) -> AskedClips:
        """Return what `save` wrote."""
        return cls(pq.read_table(pa.BufferReader(files.read(name)), schema=_SCHEMA))


def _keys_in(table: pa.Table) -> NDArray[np.uint64]:
    data = b"".join(table.column("key").to_pylist())
    return np.frombuffer(data, ">u8").astype(np.uint64).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class ClipAnswer:
    """What was made of the replies about one clip."""

    outcome: Outcome
    caption: str = ""
    """Empty unless the outcome is ``ok``."""
    raw: str = ""
    """The reply as it came."""
    reason: str = ""
    """Why there is no caption, in a sentence."""
    frames: tuple[float, ...] = ()
    """When the frames are shown that were sent, in seconds from the clip's first frame."""
    cleaning: tuple[str, ...] = ()
    """Names of the cleaning rules that changed the text."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """What a structured reply said."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    """How long it took."""
    left_out: tuple[str, ...] = ()
    """Fields of requests without which it was asked, since the server does not know them."""

    def bounded(self) -> ClipAnswer:
        """Return the same as the journal takes it: no text too long, and each of them Unicode."""
        answer = self
        if len(self.caption) > MOST_IN_CAPTION:
            reason = f"{len(self.caption):,} characters are no caption"
            answer = replace(answer, outcome="malformed", caption="", reason=reason)
        return replace(
            answer,
            caption=_unicode(answer.caption),
            raw=_unicode(answer.raw[:MOST_CHARACTERS]),
            reason=_unicode(answer.reason[:_MOST_IN_REASON]),
            fields=_bounded_fields(answer.fields),
        )


def _unicode(text: str) -> str:
    """The text without lone surrogates, which no UTF-8 file can hold."""
    return text.encode("utf-8", "replace").decode()


def _bounded_fields(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    if not fields:
        return {}
    text = _unicode(json.dumps(dict(fields), ensure_ascii=False))
    made: dict[str, Any] = json.loads(text) if len(text) <= _MOST_IN_FIELDS else {}
    return made


class Asker(Protocol):
    """Asks, in one process, with all that it needs for that opened."""

    def ask(
        self, clips: Iterator[tuple[T, AskedClip]], take: Callable[[T, ClipAnswer], None]
    ) -> Iterator[tuple[T, ClipAnswer]]:
        """Yield the answer about each clip, in any order, each with what came with its clip.

        Takes the next clip only when there is room for it: taking it claims it.

        Args:
            clips: with what came with each.
            take: is given the answer about a clip that fails before it is asked about, at once,
                instead of yielding it: others may be waited for meanwhile.

        Raises:
            VideoprepError: it makes no sense to go on; what is asked later would fail, too.
        """


class Asking(Protocol):
    """What is asked of clips, and what is made of the replies."""

    stage: Stage
    """In which file of the journal the answers stand."""
    run: str
    """The way of asking; see `videoprep.spec.caption_journal.Run.id`."""
    label: str
    """What is being done, for people, such as ``Captioning``."""

    cpus: float
    """How many CPU cores one process takes, for executors that allot them."""
    gpus: float
    """How many GPUs, likewise."""

    def open(self, rank: RankContext) -> AbstractContextManager[Asker]:
        """Return what asks in this process, such as a model that is loaded."""

    def to_json(self) -> dict[str, Any]:
        """Return what other processes need to make the same."""


@dataclass(slots=True)
class AnswerLog:
    """Which of some clips have answers of one way of asking, as far as the journal was read."""

    journal: CaptionJournal
    stage: Stage
    run: str
    clips: AskedClips
    at: Position
    """Answers before it do not count, such as failures that are to be tried again."""
    _codes: NDArray[np.int8] = field(init=False)  # by place: 0, or 1 more than in OUTCOMES
    _asked: dict[str, list[str]] = field(init=False)  # own, own_first, of, context, by place

    def __post_init__(self) -> None:
        self._codes = np.zeros(len(self.clips), np.int8)
        asked = self.clips.table.select(["own", "own_first", "of", "context"])
        self._asked = asked.to_pydict()

    def read(self) -> None:
        """Read on to the journal's present end."""
        for placed in self.journal.read(self.stage, self.at):
            record = placed.record
            if not isinstance(record, Answer) or record.run != self.run:
                continue
            row = self.clips.find(record.clip)
            if row is None:
                continue
            asked = self._asked
            own = asked["own"][row]
            if not record.own_captions:
                own = asked["own_first"][row] or own
            if record.context != asked["context"][row]:
                self._codes[row] = 0  # the answer in another context is the current one
            elif record.of == asked["of"][row] and own in ("", record.own):
                self._codes[row] = _OUTCOMES.index(record.outcome) + 1

    def outcome(self, row: int) -> Outcome | None:
        """Return how asking about a clip ended last; None if it has no answer."""
        code = int(self._codes[row])
        return _OUTCOMES[code - 1] if code else None

    def counts(self) -> Counter[Outcome]:
        """Return how many clips there are of each outcome."""
        found = np.bincount(self._codes, minlength=len(_OUTCOMES) + 1)[1:].tolist()
        return Counter({one: count for one, count in zip(_OUTCOMES, found, strict=True) if count})

    def open_rows(self, rows: range) -> list[int]:
        """Return the places, of some, of clips without an answer."""
        return [row for row in rows if not self._codes[row]]


@dataclass(slots=True, eq=False)
class _UnitInHand:
    claimed: ClaimedUnit
    left: int
    failed: int = 0


def _popped(units: deque[_UnitInHand]) -> Iterator[tuple[ClaimedUnit, int]]:
    while units:
        unit = units.popleft()
        yield unit.claimed, unit.failed


class AskingTask:
    """Asking about clips, as a task of the engine.

    Args:
        clips: who are asked about.
        asking: what is asked.
        journal: where the answers go.
        files: where processes say what they work on.
        since: answers before this place of the journal do not count.
        on_answer: called with each answer that this process gets.
    """

    def __init__(
        self,
        clips: AskedClips,
        asking: Asking,
        journal: CaptionJournal,
        files: Files,
        since: Position,
        on_answer: Callable[[AskedClip, ClipAnswer], None] | None = None,
    ) -> None:
        self.files = files
        self.clips = clips
        self.asking = asking
        self.journal = journal
        self._since = since
        at = Position(since.offset, since.line)
        self.log = AnswerLog(journal, asking.stage, asking.run, clips, at)
        """The answers since then."""
        self.in_hand = 0
        """Clips that are being asked about in this process, or made ready for it."""
        self._on_answer = on_answer
        self._name = asking.stage

    def describe(self) -> TaskDescription:
        """See `Task`."""
        return TaskDescription(
            items="clips",
            phases=[Phase(self._name, self.asking.label, "clips", "tokens", is_timed=False)],
            stages=[TaskStage(self._name, self._name, self.asking.cpus, self.asking.gpus)],
            groups=[UnitGroup("captions", self._name)],
            failures=f"see {self.journal.file(self.asking.stage)}; what is answered so far is kept",
        )

    def units(self, share: JobShare) -> Sequence[TaskUnit]:
        """See `Task`. Shares are of all units there can be: jobs may begin when others are done."""
        every = [
            TaskUnit(self._name, self._unit_name(n), self._name, "captions") for n in range(_UNITS)
        ]
        counts = np.bincount(self.clips.units, minlength=_UNITS)
        sized = zip(every, counts.tolist(), strict=True)
        left = {unit.id: count for unit, count in sized if count}
        return [
            replace(unit, cost=left[unit.id], items=left[unit.id])
            for unit in share.of(every)
            if unit.id in left
        ]

    def committed(self, units: Sequence[TaskUnit]) -> Collection[str]:
        """See `Task`."""
        self.log.read()
        return {unit.id for unit in units if not self._left(unit)}

    def process(self, rank: RankContext) -> AbstractContextManager[None]:
        """See `Task`."""
        return nullcontext()

    def open(self, stage: str, rank: RankContext) -> AbstractContextManager[Asker]:
        """See `Task`."""
        return self.asking.open(rank)

    def run(
        self, opened: Asker, works: Iterator[ClaimedUnit], rank: RankContext
    ) -> Generator[tuple[ClaimedUnit, int], None, None]:
        """See `Task`. An answer is in the journal before the next one is waited for."""
        over: deque[_UnitInHand] = deque()

        def take(place: tuple[_UnitInHand, int], answer: ClipAnswer) -> None:
            unit, row = place
            self._take(unit, row, answer.bounded())
            if not unit.left:
                over.append(unit)

        for place, answer in opened.ask(self._asked(works, over), take):
            take(place, answer)
            yield from _popped(over)
            rank.check()
        yield from _popped(over)

    def commit(self, work: ClaimedUnit, result: int) -> int:
        """See `Task`. All of a unit is in the journal already."""
        return result

    def save(self, files: Files, folder: str) -> None:
        """See `Task`."""
        self.clips.save(files, f"{folder}/{_CLIPS}")
        data = {
            "journal": str(self.journal.folder.absolute()),
            "since": [self._since.offset, self._since.line],
            "asking": self.asking.to_json(),
        }
        files.write_bytes(f"{folder}/{_PLAN}", json.dumps(data).encode())

    def _asked(
        self, works: Iterator[ClaimedUnit], over: deque[_UnitInHand]
    ) -> Iterator[tuple[tuple[_UnitInHand, int], AskedClip]]:
        for work in works:  # taking it has read the journal to its end
            rows = self._left(work.unit)
            unit = _UnitInHand(work, len(rows))
            if not rows:  # somebody else was faster
                over.append(unit)
            for row in rows:
                self.in_hand += 1
                yield (unit, row), self.clips[row]

    def _left(self, unit: TaskUnit) -> list[int]:
        number = self._number(unit)
        if number is None:
            return []
        return self.log.open_rows(self.clips.rows_of(number))

    def _unit_name(self, number: int) -> str:
        return f"{self.asking.run}-{number:04d}"

    def _number(self, unit: TaskUnit) -> int | None:
        """The number of one of this task's units."""
        run, _, number = unit.name.rpartition("-")
        own = unit.folder == self._name and run == self.asking.run
        return int(number) if own and number.isdecimal() else None

    def _take(self, unit: _UnitInHand, row: int, answer: ClipAnswer) -> None:
        clip = self.clips[row]
        reach("caption.answered", clip.video)
        self.journal.append(self.asking.stage, [self._record(clip, answer)])
        reach("caption.written", clip.video)
        failed = answer.outcome != "ok"
        self.in_hand -= 1
        unit.left -= 1
        unit.failed += failed
        tokens = (answer.prompt_tokens or 0) + (answer.completion_tokens or 0)
        unit.claimed.settle(done=int(not failed), failed=int(failed), amount=tokens)
        if self._on_answer is not None:
            self._on_answer(clip, answer)

    def _record(self, clip: AskedClip, answer: ClipAnswer) -> Answer:
        return Answer(
            clip=clip.key,
            run=self.asking.run,
            outcome=answer.outcome,
            caption=answer.caption,
            raw=answer.raw,
            reason=answer.reason,
            own=clip.own,
            own_captions=clip.own_captions,
            of=clip.of,
            context=clip.context,
            video=_unicode(clip.video),
            start=clip.start,
            end=clip.end,
            frames=tuple(round(time, 4) for time in answer.frames),
            cleaning=answer.cleaning,
            fields=answer.fields,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            seconds=None if answer.seconds is None else round(answer.seconds, 4),
            left_out=answer.left_out,
            at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )


def load_asking_task(
    files: Files, folder: str, make: Callable[[dict[str, Any]], Asking]
) -> AskingTask:
    """Return the task that another process has saved.

    Args:
        files: see `TaskLoader`.
        folder: likewise.
        make: makes an asking of what its `Asking.to_json` returned.
    """
    data = json.loads(files.read(f"{folder}/{_PLAN}"))
    return AskingTask(
        AskedClips.load(files, f"{folder}/{_CLIPS}"),
        make(data["asking"]),
        CaptionJournal(Path(data["journal"])),
        files,
        Position(*data["since"]),
    )


def work_files(journal: CaptionJournal) -> LocalFiles:
    """Return where processes that write to a journal say what they work on."""
    return LocalFiles(journal.folder / WORK)


@dataclass(frozen=True, slots=True)
class ClipsToAsk:
    """Who is asked about, of those that could be."""

    clips: AskedClips
    """Those."""
    since: Position
    """Where the journal ended when they were chosen."""
    answered: Counter[Outcome]
    """The others, by how asking about them ended."""
    limited: int
    """How many are left for later."""


def choose_clips(
    journal: CaptionJournal,
    stage: Stage,
    run: str,
    clips: AskedClips,
    wanted: Callable[[Outcome | None], bool] = lambda outcome: outcome is None,
    limit: int | None = None,
) -> ClipsToAsk:
    """Choose the clips that are asked about in one way of asking.

    Args:
        journal: where answers stand.
        stage: in which file.
        run: the way of asking.
        clips: who could be asked about.
        wanted: whether one is asked about whose last answer ended in this way; None: it has none.
        limit: no more than so many, the first ones of the dataset.
    """
    log = AnswerLog(journal, stage, run, clips, Position())
    log.read()
    outcomes = [log.outcome(row) for row in range(len(clips))]
    left = np.array([row for row, one in enumerate(outcomes) if wanted(one)], np.int64)
    answered = Counter(one for one in outcomes if one is not None and not wanted(one))
    numbers = clips.table.column("number").to_numpy()[left]
    first = np.sort(left[np.argsort(numbers, kind="stable")][:limit])
    return ClipsToAsk(clips.take(first), log.at, answered, len(left) - len(first))
