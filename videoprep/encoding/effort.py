"""How a run goes about its work. Nothing of this changes what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field

from videoprep.errors import VideoprepError
from videoprep.index.table import BucketIndex
from videoprep.media.decode_pool import DecodePool
from videoprep.media.workers import Limits


@dataclass(frozen=True, slots=True)
class Effort:
    """How a run goes about it.

    Attributes:
        batch_size: clips or captions in a micro-batch at most; None: found by trial.
        decode_workers: processes that decode; None: as the machine allows.
        decode_memory: bytes of decoded pixels that may wait for the device.
        max_failures: the run stops when more artifacts than this are set aside; None: never.
        watchdog: seconds that one step of the device or one commit may take; 0: for ever.
        limits: what decoding one clip may take.
    """

    batch_size: int | None = None
    decode_workers: int | None = None
    decode_memory: int = 1 << 30
    max_failures: int | None = None
    watchdog: float = 1800.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in ("batch_size", "decode_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise VideoprepError(f"{name} is {value}", remedy="give 1 or more, or leave it out")
        if self.watchdog < 0 or (self.max_failures is not None and self.max_failures < 0):
            raise VideoprepError(
                "watchdog and max_failures are not negative", remedy="give 0 or more"
            )

    def decode_pool(self, decoder: str, index: BucketIndex) -> DecodePool:
        """The processes that decode a plan's clips: one at first, see `DecodePool.resize`."""
        return DecodePool(
            decoder,
            size=1,
            memory=self.decode_memory,
            limits=self.limits,
            resizing=index.is_resizing,
        )


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the work is this job's, where several jobs share it without talking.

    Attributes:
        number: this job, from 0.
        count: how many jobs there are.
    """

    number: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise VideoprepError(
                f"there is no shard {self.number} of {self.count}",
                remedy="the first is 0: --shard-id is below --num-shards",
            )
