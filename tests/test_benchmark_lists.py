"""The benchmark of lists runs, and reads all that it writes."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY


def test_every_format_is_read_as_a_whole() -> None:
    command = [sys.executable, str(REPOSITORY / "benchmarks/lists.py")]
    command += ["--rows", "500", "--clips", "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = {line.split()[0]: int(line.split()[1]) for line in done.stdout.splitlines()[1:]}
    assert found == {
        "csv": 500, "json-lines": 500, "json": 500, "parquet": 500, "caption-files": 40,
    }  # fmt: skip
