"""Makes sure that what is decoded is what was planned."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import Lock

from videoprep.errors import SourceError
from videoprep.fs.fingerprint import fingerprint_of
from videoprep.fs.mirror import shown

Signature = tuple[int, int, int, int]

# Files that are remembered: a dataset may have many millions.
_REMEMBERED = 100_000


class SourceGuard:
    """Compares files with the fingerprints that were planned, reading each file once.

    While a file's size, times and inode stay, it is not read again, unless many others were
    meanwhile.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Path, tuple[Signature, str]] = OrderedDict()
        self._lock = Lock()

    def require(self, path: Path, fingerprint: str) -> None:
        """Checks one file.

        Raises:
            SourceError: it cannot be read, or holds something else than was planned.
        """
        try:
            signature = signature_of(path)
            with self._lock:
                known = self._known.get(path)
            found = known[1] if known and known[0] == signature else fingerprint_of(path)
        except OSError as error:
            raise SourceError(
                f"the file cannot be read: {error.strerror}",
                where=shown(path),
                remedy="bring it back, or plan anew; what is encoded so far is kept",
            ) from error
        with self._lock:
            self._known[path] = signature, found
            self._known.move_to_end(path)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if found != fingerprint:
            raise SourceError(
                "the file changed after it was planned",
                where=shown(path),
                remedy="plan anew: run the same command on the dataset, or `videoprep index`; "
                "what is encoded so far is kept",
            )


def signature_of(path: Path) -> Signature:
    """What changes when a file is written: size, modification and change time, inode."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
