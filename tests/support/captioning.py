"""A dataset that is captioned by a scripted server in processes of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.numbered import write_numbered
from tests.support.scripted_server import ScriptedServer
from tests.support.warm import Process, Warm
from videoprep.spec.caption_journal import FOLDER, Answer, CaptionJournal, Run, Stage


def write_films(folder: Path, count: int) -> Path:
    """Short videos without captions, each with other frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write_numbered(folder / f"film{number:02}.mp4", 5 + number)
    return folder


def write_ranges(folder: Path, count: int) -> Path:
    """One video in ranges of four frames, as `videoprep split` writes them: without captions."""
    write_numbered(folder / "film.mp4", 4 * count)
    rows = [f"film.mp4,,{4 * n},{4 * n + 4},clip=c{n:03}" for n in range(count)]
    lines = ["video,caption,start_frame,end_frame,title", *rows]
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder


@dataclass(frozen=True)
class Captioning:
    """How a dataset is captioned."""

    warm: Warm
    dataset: Path
    server: ScriptedServer

    @property
    def journal(self) -> CaptionJournal:
        return CaptionJournal(self.dataset / FOLDER)

    def start(self, *more: object, ranks: int = 0, **environment: str) -> Process:
        """Starts a process, or several under torchrun."""
        command = ["caption", self.dataset, "--endpoint", self.server.url, "--frames", "3"]
        command += ["--output-format", "json", "--retries", "2", *more]
        return self.warm.start_ranks(*command, ranks=ranks, **environment)

    def run(self, *more: object, **options: Any) -> Process:
        process = self.start(*more, **options)
        process.wait()
        return process

    def finish(self, *more: object, code: int = 0, **options: Any) -> dict[str, Any]:
        """Captions to the end; returns what is told, whose counts add up."""
        process = self.run(*more, **options)
        assert process.returncode == code, process.stderr
        told: dict[str, Any] = json.loads(process.stdout)
        parts = [told[name] for name in ("captioned", "limited", "pending", "unusable")]
        parts += [sum(told[name].values()) for name in ("failed", "answered", "skipped")]
        assert sum(parts) == told["samples"]
        return told

    def answers(self, stage: Stage = "caption") -> list[Answer]:
        """Returns all answers, in the order in which they came."""
        records = [placed.record for placed in self.journal.read(stage)]
        return [record for record in records if isinstance(record, Answer)]

    def runs(self) -> list[Run]:
        records = [placed.record for placed in self.journal.read("caption")]
        return [record for record in records if isinstance(record, Run)]

    def captions(self) -> Mapping[str, str]:
        """Returns the captions in the journal by video and start."""
        return {f"{one.video} {one.start}": one.caption for one in self.answers()}

    def require_once(self) -> None:
        """Each clip was asked about exactly once."""
        assert set(self.server.asked().values()) == {1}
