"""A store that is encoded in a second, and what must be true of it after whatever happened."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.assets import write_lists, write_video
from tests.support.warm import Process, Warm
from videoprep.store.layout import ACCEPTED

SOAK = int(os.environ.get("VIDEOPREP_SOAK", "1"))
"""Rounds of the tests that look at random moments; 50 are the long form."""

COMPONENTS = ("video_latents", "image_latents", "prompt_embeds")
NAMES = ("a", "b", "c")
ARTIFACTS = 9
"""Of each of the three clips video latents, image latents and prompt embeddings."""


def write_small_dataset(folder: Path) -> Path:
    """Three clips in two buckets."""
    for number, (name, width, height) in enumerate([("a", 96, 64), ("b", 96, 64), ("c", 64, 96)]):
        path = folder / f"videos/{name}.mp4"
        write_video(path, width=width, height=height, frames=5, lift=60 - 10 * number)
    write_captions(folder, [f"A grey clip named {name}." for name in NAMES])
    return folder


def write_captions(folder: Path, captions: Sequence[str], names: Sequence[str] = NAMES) -> None:
    write_lists(folder, captions, [f"videos/{name}.mp4" for name in names])


@dataclass(frozen=True)
class Small:
    """How a store is encoded, and what comes out when nothing disturbs it.

    Attributes:
        warm: starts processes.
        dataset: what is encoded.
        model: by what.
        store: where to.
        whole: a store of the same that nothing disturbed.
    """

    warm: Warm
    dataset: Path
    model: Path
    store: Path
    whole: Path

    def start(
        self, *more: object, ranks: int = 0, restarts: int = 0, **environment: str
    ) -> Process:
        """Starts encoding, in one process or under torchrun."""
        command = ["encode", self.dataset, "-o", self.store, "--model", self.model]
        command += ["--image-latents", "--output-format", "json", "--device", "cpu", *more]
        return self.warm.start_ranks(*command, ranks=ranks, restarts=restarts, **environment)

    def run(self, *more: object, **options: Any) -> Process:
        """Encodes and waits."""
        process = self.start(*more, **options)
        process.wait()
        return process

    def finish(self, *more: object, **options: Any) -> dict[str, Any]:
        """Encodes, which has to go well, and leaves what an undisturbed run does; its result."""
        process = self.run(*more, **options)
        assert process.returncode == 0, process.stderr
        self.require_whole()
        return result_of(process)

    def require_whole(self) -> None:
        """The store is what an undisturbed run gives, and nothing hidden is in it."""
        assert differences(self.store, self.whole) == []
        assert hidden(self.store) == []
        assert not (self.store / ACCEPTED).exists()

    def require_sound(self) -> None:
        """Whatever is committed is right: each receipt and its shard as in the undisturbed one."""
        whole = visible(self.whole)
        for name, data in visible(self.store).items():
            if name.endswith((".json", ".safetensors")) and "/" in name:
                assert data == whole[name], name
        for receipt in receipts(self.store):
            shard = json.loads(receipt.read_bytes())["shard"]
            assert receipt.with_name(shard).exists()

    def copy_whole(self) -> None:
        """Makes the store what an undisturbed run gives, without running one."""
        shutil.copytree(self.whole, self.store)

    def at(self, store: Path) -> Small:
        """The same elsewhere."""
        return replace(self, store=store)


def result_of(process: Process) -> dict[str, Any]:
    """What a run says that it has done."""
    result: dict[str, Any] = json.loads(process.stdout)
    return result


def counts(result: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Of each component what was encoded, was there already, fails."""
    names = ("encoded", "reused", "set_aside")
    return {c: tuple(r[n] for n in names) for c, r in result["components"].items()}  # type: ignore[misc]


def visible(store: Path) -> dict[str, bytes]:
    """The files of a store that are its contents."""
    return {name: (store / name).read_bytes() for name in _names(store) if not _is_hidden(name)}


def hidden(store: Path) -> list[str]:
    """What processes left behind: files and folders that are not the store's contents.

    The plan of an unfinished run is: it tells the next run what was accepted.
    """
    names = (name for name in _names(store, folders=True) if _is_hidden(name))
    return [name for name in names if name != ACCEPTED]


def differences(store: Path, other: Path) -> list[str]:
    """What a reader sees in one and not in the other."""
    one, two = visible(store), visible(other)
    return [
        *(f"{name} is missing" for name in sorted(two.keys() - one.keys())),
        *(f"{name} is too much" for name in sorted(one.keys() - two.keys())),
        *(f"{name} differs" for name in sorted(one.keys() & two.keys()) if one[name] != two[name]),
    ]


def receipts(store: Path) -> list[Path]:
    return [path for path in sorted(store.glob("[a-z]*/*/*.json")) if path.name[0] != "."]


def shards(store: Path) -> list[Path]:
    return [path for path in sorted(store.glob("*/*/*.safetensors")) if path.name[0] != "."]


def orphans(store: Path) -> list[str]:
    """Shards without a receipt."""
    counted = {path.with_name(json.loads(path.read_bytes())["shard"]) for path in receipts(store)}
    return [path.name for path in shards(store) if path not in counted]


def failures(store: Path) -> list[dict[str, Any]]:
    lines = (store / "failures.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def places(log: Path) -> list[tuple[str, str]]:
    """Where processes came by: name and detail."""
    lines = log.read_text(encoding="utf-8").splitlines()
    parts = (line.split(" ", 2) for line in lines)
    return [(name, detail) for _, name, detail in parts]


def kill_rules(log: Path) -> list[str]:
    """Rules that kill a process at each place at which another one came by, in that order."""
    numbers: dict[str, int] = {}
    rules = []
    for name, _ in places(log):
        numbers[name] = numbers.get(name, 0) + 1
        rules.append(f"{name}=kill*{numbers[name]}")
    return rules


def wait_until(happened: Callable[[], object], seconds: float = 300.0) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def passed(log: Path) -> int:
    """By how many places processes that write this log have come."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


def wait_for_place(process: Process, log: Path, number: int) -> None:
    """Waits until processes have come by so many places, or the first of them has ended."""
    wait_until(lambda: passed(log) >= number or process.poll() is not None)


def fresh(store: Path) -> Path:
    """Room for a store."""
    shutil.rmtree(store, ignore_errors=True)
    return store


def _names(store: Path, *, folders: bool = False) -> Iterator[str]:
    for path in sorted(store.rglob("*")):
        if path.is_file() or (folders and path.is_dir()):
            yield str(path.relative_to(store))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)
