"""The example task with a stage that asks for a GPU, and says which one it got."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

from tests.engine.hash_task import HashTask
from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.task import TaskDescription
from videoprep.fs import Files


class GpuTask(HashTask):
    def describe(self) -> TaskDescription:
        plain = super().describe()
        return replace(plain, stages=[replace(stage, gpus=1) for stage in plain.stages])

    def run(
        self, opened: str, works: Iterator[ClaimedUnit], rank: RankContext
    ) -> Generator[tuple[ClaimedUnit, dict[str, str]], None, None]:
        for work in works:
            yield work, {"gpu": os.environ["CUDA_VISIBLE_DEVICES"]}


def load(files: Files, folder: str) -> GpuTask:
    return GpuTask(Path(json.loads(files.read(f"{folder}/task.json"))), files)
