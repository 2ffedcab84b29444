"""How well units are spread over many ranks: simulated encoders that sleep.

    python benchmarks/claims.py

Everything but the encoding is real: a TCPStore with a connection of its own for each of 64 ranks,
the claims on disk, dearest first, and a receipt for each of 2,000 units. Their costs are skewed
1:50. Prints the makespan over the lower bound, which is the greater of the mean load of a rank and
the dearest unit.
"""

import random
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

from torch.distributed import TCPStore

from videoprep.engine.claims import Claims
from videoprep.engine.coordination import Ranks
from videoprep.engine.rank import claimed
from videoprep.engine.sessions import Session
from videoprep.engine.task import TaskUnit, most_expensive_first, receipts_of
from videoprep.fs import LocalFiles

RANKS, UNITS, SKEW = 64, 2000, 50
MEAN_SECONDS = 1.0


def make_units() -> list[TaskUnit]:
    """Units of which the dearest costs fifty times as much as the cheapest, mostly cheap ones."""
    draw = random.Random(0)
    costs = [int(1000 * SKEW ** draw.random() ** 2) for _ in range(UNITS - 2)]
    costs += [1000, 1000 * SKEW]
    named = enumerate(costs)
    return most_expensive_first(TaskUnit("f", f"unit-{n}", "s", "g", cost) for n, cost in named)


def work(number: int, port: int, root: Path, units: list[TaskUnit], scale: float, begin) -> None:
    """One rank: claims units, sleeps for as long as each costs, commits it."""
    store = TCPStore("127.0.0.1", port, RANKS, is_master=False, timeout=timedelta(minutes=5))
    coordinator = Ranks(store, number, RANKS)
    files = LocalFiles(root)
    with Session(files) as session:
        rank = SimpleNamespace(
            coordinator=coordinator,
            check=lambda: None,
            claims=Claims(files, session),
            stats=None,
        )
        begin.wait()
        for taken in claimed(rank, units, "video", lambda one: receipts_of(files, one)):
            time.sleep(taken.unit.cost * scale)
            files.create(taken.unit.receipt, b"{}")
            rank.claims.release(taken.claim)
    coordinator.close()


def run() -> tuple[float, float]:
    """Makespan and lower bound, in seconds."""
    units = make_units()
    total = sum(unit.cost for unit in units)
    scale = MEAN_SECONDS * UNITS / total
    bound = max(total / RANKS, max(unit.cost for unit in units)) * scale
    server = TCPStore("127.0.0.1", 0, RANKS, is_master=True, wait_for_workers=False)
    begin = threading.Barrier(RANKS + 1)
    with tempfile.TemporaryDirectory() as name:
        arguments = (server.port, Path(name), units, scale, begin)
        threads = [threading.Thread(target=work, args=(n, *arguments)) for n in range(RANKS)]
        for thread in threads:
            thread.start()
        begin.wait()
        started = time.perf_counter()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - started
        committed = len(list((Path(name) / "f").glob("*.json")))
    assert committed == UNITS, f"{committed} of {UNITS} units were committed"
    return took, bound


def main() -> None:
    """Measures three times."""
    ratios = []
    for _ in range(3):
        took, bound = run()
        ratios.append(took / bound)
    print(f"{RANKS} ranks, {UNITS} units, costs 1:{SKEW}, {MEAN_SECONDS:g} s a unit on average")
    print(f"makespan / lower bound: {', '.join(f'{ratio:.3f}' for ratio in ratios)} (asked: 1.05)")


if __name__ == "__main__":
    main()
