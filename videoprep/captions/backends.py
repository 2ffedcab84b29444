"""Who describes clips: a server, a model in this process, or a plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from videoprep.captions.endpoint import EndpointCaptioner, EndpointOptions
from videoprep.captions.protocol import Captioner
from videoprep.captions.task import work_files
from videoprep.engine.rank import RankContext
from videoprep.errors import VideoprepError, nearest
from videoprep.fs import Files
from videoprep.spec.caption_journal import CaptionJournal

ENTRY_POINTS = "videoprep.captioners"
"""Third parties name their captioners in this entry-point group: functions that take the model, as
the user names it, and return a `Captioner`."""

BackendKind = Literal["endpoint", "local", "plugin"]


@dataclass(frozen=True, slots=True)
class CaptionerChoice:
    """Which captioner is meant, and how it is made; every process makes its own."""

    kind: BackendKind
    model: str
    """The server's URL, or the model as the user names it."""
    options: Mapping[str, Any] = field(default_factory=dict)

    def open(
        self, check: Callable[[], None] = lambda: None, cache: Files | None = None
    ) -> Captioner:
        """Return the captioner; close it when it is no longer needed.

        Args:
            check: called now and then while a server is waited for; what it raises ends that.
            cache: where is remembered what was found out about servers.

        Raises:
            VideoprepError: There is no such server, model or plugin.
        """
        if self.kind == "endpoint":
            return EndpointCaptioner(EndpointOptions(self.model, **self.options), check, cache)
        if self.kind == "plugin":
            return _plugin(self.options["name"])(self.model)
        from videoprep.captions.local_model import open_local_captioner

        captioner: Captioner = open_local_captioner(self.model, **self.options)
        return captioner

    def resolved(self, captioner: Captioner) -> CaptionerChoice:
        """Return the same with what was found out when it was opened, for other processes."""
        if not isinstance(captioner, EndpointCaptioner):
            return self
        found = {"model_name": captioner.model, "request": captioner.shape}
        return CaptionerChoice(self.kind, self.model, {**self.options, **found})


@dataclass(slots=True)
class CaptionerAsking:
    """A part of an `Asking`: who is asked."""

    run: str
    """See `Asking`."""
    choice: CaptionerChoice
    """Who is asked."""
    journal: CaptionJournal
    """Beside which is remembered what was found out about servers."""
    opened: Captioner | None = field(default=None, kw_only=True)
    """One that is open already, for the first process."""
    cpus: float = field(default=1.0, kw_only=True)
    """See `Asking`."""
    gpus: float = field(default=0.0, kw_only=True)
    """See `Asking`."""

    @contextmanager
    def captioner(self, rank: RankContext) -> Iterator[Captioner]:
        """Open the captioner in this process, and close it at the end."""
        captioner = self.opened
        if captioner is None:
            captioner = self.choice.open(rank.check, work_files(self.journal))
        elif isinstance(captioner, EndpointCaptioner):  # opened before there was a rank
            captioner.watch(rank.check)
        try:
            yield captioner
        finally:
            captioner.close()
            self.opened = None

    def shared_json(self) -> dict[str, Any]:
        """Return these fields as plain values, for processes that may begin in another folder."""
        is_address = self.choice.kind == "endpoint"
        model = self.choice.model if is_address else findable(self.choice.model)
        return {
            "run": self.run,
            "choice": [self.choice.kind, model, dict(self.choice.options)],
            "journal": str(self.journal.folder.absolute()),
        }


def findable(name: str) -> str:
    """Return a model's name, as the path from the root if it is that of a folder here."""
    path = Path(name)
    return str(path.absolute()) if name and path.exists() else name


def shared_fields(data: dict[str, Any]) -> tuple[str, CaptionerChoice, CaptionJournal]:
    """Return the inverse of `CaptionerAsking.shared_json`."""
    return data["run"], CaptionerChoice(*data["choice"]), CaptionJournal(Path(data["journal"]))


def _plugin(name: str) -> Callable[[str], Captioner]:
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in points:
        raise VideoprepError(
            f"no installed package has a captioner {name!r}",
            remedy=nearest(name, points, "there are") if points else "install one",
            option="captioner",
        )
    try:
        made: Callable[[str], Captioner] = points[name].load()
    except Exception as error:  # (a stranger's code may raise anything)
        raise VideoprepError(
            f"the captioner {name!r} cannot be loaded: {type(error).__name__}: {error}",
            remedy="repair or remove its package",
            option="captioner",
        ) from error
    return made
