"""An example of a task: the hash of each file of a folder, each into a file of its own."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from videoprep.engine.progress import Phase, UnitGroup
from videoprep.engine.rank import ClaimedUnit, RankContext
from videoprep.engine.run import TaskPlan, run_task
from videoprep.engine.task import (
    JobShare,
    Stage,
    TaskDescription,
    TaskOptions,
    TaskUnit,
    receipts_of,
)
from videoprep.failpoints import reach
from videoprep.fs import Files, open_files


class HashTask:
    """Hashes the files of a folder. One that is empty fails."""

    def __init__(self, source: Path, files: Files) -> None:
        self.source, self.files = source, files

    def describe(self) -> TaskDescription:
        phase, group = Phase("hash", "Hashing", "files"), UnitGroup("text", "hash")
        return TaskDescription("files", [phase], [Stage("hash", "hash")], [group])

    def units(self, share: JobShare) -> Sequence[TaskUnit]:
        files = sorted(self.source.iterdir())
        return share.of([TaskUnit("hash", f.name, "hash", "text", f.stat().st_size) for f in files])

    def committed(self, units: Sequence[TaskUnit]) -> Collection[str]:
        return receipts_of(self.files, units)

    def process(self, rank: RankContext) -> AbstractContextManager[None]:
        return nullcontext()

    def open(self, stage: str, rank: RankContext) -> AbstractContextManager[str]:
        return nullcontext("sha256")

    def run(
        self, opened: str, works: Iterator[ClaimedUnit], rank: RankContext
    ) -> Generator[tuple[ClaimedUnit, dict[str, str]], None, None]:
        for work in works:
            name = work.unit.name
            deadly = work.kills(name)
            if deadly is not None:
                yield work, {"failed": deadly}
                continue
            with work.doing(name):
                reach("clip.encoding", name)
                data = (self.source / name).read_bytes()
                digest = hashlib.new(opened, data).hexdigest()
            yield work, {opened: digest} if data else {"failed": "it is empty"}

    def commit(self, work: ClaimedUnit, result: dict[str, str]) -> int:
        self.files.create(work.unit.receipt, json.dumps(result).encode())
        return int("failed" in result)

    def save(self, files: Files, folder: str) -> None:
        files.write_bytes(f"{folder}/task.json", json.dumps(str(self.source)).encode())


def load(files: Files, folder: str) -> HashTask:
    return HashTask(Path(json.loads(files.read(f"{folder}/task.json"))), files)


def main(arguments: Sequence[str]) -> None:
    source, output, share, given = arguments
    files = open_files(output)
    options = TaskOptions(share=JobShare(*json.loads(share)), **json.loads(given))
    result = run_task(TaskPlan(lambda: HashTask(Path(source), files), load, files), options=options)
    if result is not None:
        print(json.dumps({"units": len(result.units), "swept": list(result.swept)}))


if __name__ == "__main__":
    main(sys.argv[1:])
