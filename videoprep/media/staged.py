"""Files of a remote dataset, brought to this machine a little ahead of those that read them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from videoprep.errors import Code, MediaError, SourceError
from videoprep.fs.mirror import Remote
from videoprep.fs.staging import Staging
from videoprep.media.clip import ClipPixels
from videoprep.media.clip_request import ClipRequest, request_of

# While one group of files is read, the next is downloaded.
_GROUP_BYTES = 1 << 30
_GROUP_FILES = 64
_DOWNLOADS = 8

# While one clip is decoded, the files of the next are downloaded.
_CLIPS_AHEAD = 4

T = TypeVar("T")
R = TypeVar("R", bound=ClipPixels | ClipRequest)

Here = tuple[Path, MediaError | None]
"""A file that is here, or why there is none."""


def groups_here(remote: Remote, paths: Sequence[Path]) -> Iterator[list[Here]]:
    """The files in groups, in order; those of a group are here until the next one is asked for.

    Raises:
        SourceError: one cannot be brought here, though it may be there.
    """
    staging = Staging.of(remote.root)
    with ThreadPoolExecutor(_DOWNLOADS) as threads:
        groups = _groups(remote, paths)
        coming: list[list[tuple[Path, Future[None]]]] = []

        def start() -> None:
            group = next(groups, None)
            if group is not None:
                coming.append([(path, threads.submit(staging.fetch, path)) for path in group])

        try:
            start()
            while coming:
                start()
                yield [(path, _missing(path, remote, future)) for path, future in coming[0]]
                _release(staging, coming.pop(0))
        finally:
            for group in coming:
                _release(staging, group)


def clips_here(requests: Iterator[tuple[T, R]], staging: Staging) -> Iterator[tuple[T, R]]:
    """Clips whose files are here, in order; who is done with one says so to the staging.

    Raises:
        SourceError: a file is gone, or cannot be brought here.
    """
    if not staging.is_remote:
        yield from requests
        return
    ahead: deque[tuple[tuple[T, R], list[Future[None]]]] = deque()
    with ThreadPoolExecutor(_CLIPS_AHEAD) as threads:
        for request in requests:
            paths = request_of(request[1]).paths
            ahead.append((request, [threads.submit(staging.fetch, path) for path in paths]))
            if len(ahead) > _CLIPS_AHEAD:
                yield _when_here(*ahead.popleft())
        while ahead:
            yield _when_here(*ahead.popleft())


def _when_here(request: tuple[T, R], fetched: Sequence[Future[None]]) -> tuple[T, R]:
    for future in fetched:
        future.result()
    return request


def _groups(remote: Remote, paths: Sequence[Path]) -> Iterator[list[Path]]:
    listing = remote.listing()
    group: list[Path] = []
    size = 0
    for path in paths:
        found = listing.get(remote.name_of(path) or "")
        more = found.size if found is not None else 0
        if group and (size + more > _GROUP_BYTES or len(group) == _GROUP_FILES):
            yield group
            group, size = [], 0
        group.append(path)
        size += more
    if group:
        yield group


def _missing(path: Path, remote: Remote, future: Future[None]) -> MediaError | None:
    """Waits for a download. A file that is gone costs itself only; anything else stops the run."""
    try:
        future.result()
    except SourceError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return MediaError(
            "cannot be opened: no such file",
            code=Code.UNREADABLE,
            where=remote.files.where(remote.name_of(path) or str(path)),
            remedy="bring it back, or remove the sample",
        )
    return None


def _release(staging: Staging, group: list[tuple[Path, Future[None]]]) -> None:
    for path, future in group:
        if not future.cancel() and future.exception() is None:
            staging.done(path)
