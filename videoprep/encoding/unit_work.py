"""What one process encodes with, and the units that it has in progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from videoprep.encoding.job import EncodeJob
from videoprep.encoding.options import EncodeOptions
from videoprep.engine.device_stream import DeviceStream, PendingResult
from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.errors import Code
from videoprep.families.component import Source
from videoprep.families.contract import Family
from videoprep.index.clip import Clip
from videoprep.store.receipt import Failure

if TYPE_CHECKING:
    import torch

    from videoprep.media.decode_pool import DecodePool


@dataclass(frozen=True, slots=True)
class EncodeContext:
    """What one process encodes with."""

    job: EncodeJob
    """The index, the model and the recipes."""
    family: Family
    """The model's."""
    options: EncodeOptions
    """Micro-batches, workers and limits."""
    rank: RankContext
    """This process among the others of the run."""
    device: torch.device
    """Where the models run."""
    stream: DeviceStream
    """How the device is fed."""
    pool: DecodePool
    """The processes that decode."""


@dataclass(frozen=True, slots=True)
class UnitBatch:
    """A unit's part of a micro-batch of results, on its way to the host."""

    landing: PendingResult
    """``[B, …]``."""
    keys: Mapping[int, str]
    """The artifacts, by their places in the micro-batch."""


@dataclass(slots=True, eq=False)
class UnitWork:
    """A unit in progress, and what is made of it so far."""

    claimed: ClaimedUnit
    keys: Sequence[str]
    """The artifacts, in the order in which they are made."""
    clips: Sequence[Clip]
    """What each is made from."""
    source: Source
    """What of each clip is read."""
    sent: list[UnitBatch] = field(default_factory=list)
    """The results."""
    failures: list[Failure] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    """Keys of captions that were cut."""
    tiled: list[str] = field(default_factory=list)
    """Keys of latents that were made in tiles for lack of memory."""
    damaged: dict[str, str] = field(default_factory=dict)
    """What is damaged of the frames of some artifacts, by key."""
    left: int = field(init=False)
    """How many artifacts are neither made nor failed yet."""

    def __post_init__(self) -> None:
        self.left = len(self.keys)

    @property
    def name(self) -> str:
        """The unit's name."""
        return self.claimed.unit.name

    @property
    def component(self) -> str:
        """What is made."""
        return self.claimed.unit.group

    @property
    def careful(self) -> bool:
        """Whether artifacts are made one at a time."""
        return self.claimed.careful

    @property
    def frames(self) -> int:
        """How many frames one artifact is made from; none for a caption."""
        return len(self.source.decoded(self.clips[0].bucket.frames))

    def settle(self, count: int = 1) -> None:
        """Count artifacts as made."""
        self.claimed.settle(done=count, amount=self.frames)
        self.left -= count

    def fail(self, at: int, code: Code, reason: str) -> None:
        """Count the artifact at a place as failed."""
        self.failures.append(Failure(self.keys[at], code.value, reason))
        self.claimed.settle(failed=1)
        self.left -= 1

    def is_deadly(self, at: int) -> bool:
        """Return whether an artifact has ended its process too often; it fails then."""
        reason = self.claimed.kills(self.keys[at])
        if reason is None:
            return False
        self.fail(at, Code.KILLS_ITS_PROCESS, reason)
        return True
