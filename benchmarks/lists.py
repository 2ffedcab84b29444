"""How fast lists are read, and how much memory that takes: each format against CSV.

    python benchmarks/lists.py [--rows 1000000] [--clips 100000] [--rounds 1]

The same rows, with three videos that exist, are written as CSV, JSON Lines, a JSON array and
Parquet; as many clips as ``--clips`` says are written as empty files, each with a caption file
beside it. `DatasetSpec.listing` reads each in a process of its own, so that peaks of memory do not
mix; the median of the rounds counts. All is warm, in the page cache.

Asked are, for a million rows: CSV in 20 s and 1.5 GB; JSON and JSON Lines in twice the time of CSV;
Parquet in less than CSV; 100,000 caption files in 10 s.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import videoprep as vp

_NAMES = ("video", "caption", "start", "end", "split")
_VIDEOS = ("a.mp4", "b.mp4", "c.mp4")
_BATCH = 50_000

Row = tuple[str, str, float, float, str]


def rows(count: int) -> Iterator[Row]:
    """Yield rows; captions are about as long as those of real datasets."""
    for number in range(count):
        caption = f"Clip {number}: a brown dog runs along the beach, and waves break behind it."
        start = float(number % 600)
        yield (
            _VIDEOS[number % 3],
            caption,
            start,
            start + 4.5,
            "val" if number % 20 == 0 else "train",
        )


def write_lists(folder: Path, count: int) -> dict[str, Path]:
    """Write the rows in each format; return the files by format."""
    folder.mkdir()
    for name in _VIDEOS:
        (folder / name).write_bytes(name.encode())
    formats = {"csv": "csv", "json-lines": "jsonl", "json": "json", "parquet": "parquet"}
    files = {name: folder / f"list.{ending}" for name, ending in formats.items()}
    with files["csv"].open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_NAMES)
        writer.writerows(rows(count))
    with (
        files["json-lines"].open("w", encoding="utf-8") as lines,
        files["json"].open("w", encoding="utf-8") as array,
    ):
        for number, row in enumerate(rows(count)):
            text = json.dumps(dict(zip(_NAMES, row, strict=True)))
            lines.write(f"{text}\n")
            array.write(f"{',' if number else '['}\n{text}")
        array.write("\n]\n")
    _write_parquet(files["parquet"], count)
    return files


def _write_parquet(path: Path, count: int) -> None:
    kinds = (pa.string(), pa.string(), pa.float64(), pa.float64(), pa.string())
    schema = pa.schema(list(zip(_NAMES, kinds, strict=True)))
    coming = rows(count)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(coming, _BATCH)):
            columns = zip(*batch, strict=True)
            arrays = [pa.array(cells, kind) for cells, kind in zip(columns, kinds, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def write_clips(folder: Path, count: int) -> Path:
    """Write clips with caption files, a thousand a folder."""
    for number in range(count):
        inner = folder / f"{number // 1000:05}"
        if number % 1000 == 0:
            inner.mkdir(parents=True)
        (inner / f"{number}.mp4").touch()
        (inner / f"{number}.txt").write_text(f"Clip {number}: a dog runs.", encoding="utf-8")
    return folder


def measure(path: Path) -> None:
    """Read one dataset, and print what it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    listing = vp.DatasetSpec.from_path(path).listing()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    good = len(listing.samples)
    print(json.dumps({"cpu": cpu, "wall": wall, "peak": peak, "samples": good}))


def measured(path: Path, rounds: int) -> dict[str, float]:
    """Return the medians of reading a dataset in processes of its own."""
    command = [sys.executable, __file__, "--measure", str(path)]
    results = []
    for _ in range(rounds):
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results.append(json.loads(done.stdout))
    return {key: statistics.median(result[key] for result in results) for key in results[0]}


def main() -> None:
    """Write the lists, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure is not None:
        measure(options.measure)
        return
    with tempfile.TemporaryDirectory() as made:
        sources = dict(write_lists(Path(made) / "lists", options.rows))
        sources["caption-files"] = write_clips(Path(made) / "clips", options.clips)
        print(f"{'format':<14}{'samples':>10}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'of CSV':>8}")
        csv_cpu = 0.0
        for name, path in sources.items():
            found = measured(path, options.rounds)
            csv_cpu = csv_cpu or found["cpu"]
            ratio = f"{found['cpu'] / csv_cpu:.2f}" if name != "caption-files" else "-"
            print(
                f"{name:<14}{found['samples']:>10.0f}{found['cpu']:>8.2f}{found['wall']:>8.2f}"
                f"{found['peak'] / 1e6:>9.0f}{ratio:>8}",
                flush=True,
            )


if __name__ == "__main__":
    main()
