"""What a run says of itself: JSON lines, and TensorBoard where it is installed."""

from __future__ import annotations

import json
import logging
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from videoprep.fs.atomic import write_bytes

LOG_NAME = "log.jsonl"

_logger = logging.getLogger(__name__)


class Logs:
    """The first process's logs of a run.

    Args:
        run: its folder.
        begun: the step after which it goes on; what was logged of later ones is dropped.
    """

    def __init__(self, run: Path, begun: int) -> None:
        self.path = run / LOG_NAME
        write_bytes(self.path, "".join(_lines_until(self.path, begun)).encode())
        self._file = self.path.open("a", encoding="utf-8")
        self._board: Any = None
        if find_spec("tensorboard") is None:
            _logger.warning("tensorboard is not installed: the run is logged in %s alone", LOG_NAME)
        else:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(run / "tensorboard", purge_step=begun + 1)

    def write(self, step: int, **values: float) -> None:
        """Logs numbers of a step; one that is not finite is null in JSON."""
        told = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **told}) + "\n")
        self._file.flush()
        for name, value in values.items():
            if self._board is not None:
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _lines_until(path: Path, step: int) -> list[str]:
    """Those of steps up to one; a line that a killed run left half is dropped, too."""
    if not step or not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
