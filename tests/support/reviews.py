"""Reviews that are served, what is asked of them, and a dataset to be reviewed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.small_store import wait_until
from tests.support.warm import Process
from videoprep import DatasetSpec
from videoprep.review.review import Review
from videoprep.review.server import ADDRESS, ReviewServer
from videoprep.spec.caption_journal import Answer, CaptionJournal, Decision, Run
from videoprep.spec.current_captions import text_hash

DESCRIBE = Run("caption", "tiny-describer", "hash", "Describe.")
REFINE = Run("refine", "tiny-refiner", "hash", "Rewrite.")


def add_captions(dataset: Path, described: str, refined: str) -> None:
    """Adds a described and a refined caption of the first sample to the journal."""
    spec = DatasetSpec.from_path(dataset)
    state = spec.caption_states()[0]
    text = Answer(state.clip, DESCRIBE.id, "ok", described, own=text_hash(state.own))
    spec.journal.append("caption", [DESCRIBE, text])
    better = Answer(state.clip, REFINE.id, "ok", refined, of=text_hash(described))
    spec.journal.append("refine", [REFINE, better])


def decisions(dataset: Path) -> list[Decision]:
    """What the journal holds."""
    placed = CaptionJournal(dataset / "videoprep-captions").read("review")
    return [one.record for one in placed if isinstance(one.record, Decision)]


def address_of(process: Process) -> str:
    """Waits for a started command to serve, and returns its address."""

    def said() -> str:
        try:
            return process.stdout
        except FileNotFoundError:  # it is only just starting
            return ""

    wait_until(lambda: "/\n" in said() or process.poll() is not None)
    return said().split("open ")[1].split()[0]


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Asking:
    """Asks a server, as a browser or anyone else would."""

    url: str

    @property
    def token(self) -> str:
        return urlsplit(self.url).path.strip("/")

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def host(self) -> str:
        return f"{ADDRESS}:{self.port}"

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", f"/{self.token}/{path}", None, headers)

    def post(self, path: str, body: object, **headers: str) -> Reply:
        own = {"Content-Type": "application/json", "Origin": f"http://{self.host}"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", f"/{self.token}/{path}", data, {**own, **headers})

    def decide(self, at: int, verdict: str, caption: str = "") -> Reply:
        seen = self.get(f"api/item?at={at}").json["seen"]
        body = {"at": at, "verdict": verdict, "caption": caption, "seen": seen}
        return self.post("api/decide", body)

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        """Asks for a path as it is; an underscore in a header's name is a hyphen."""
        named = {name.replace("_", "-"): value for name, value in headers.items() if value}
        connection = HTTPConnection(ADDRESS, self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": self.host, **named}.items():
                connection.putheader(name, value)
            if body is not None and "Content-Length" not in named:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


@contextmanager
def served(dataset: Path, *, model: str | None = None, **options: Any) -> Iterator[Asking]:
    """Serves a review from a thread of this process."""
    review = Review(DatasetSpec.from_path(dataset, **options), model=model, reviewer="Ann")
    with serving(review) as asking:
        yield asking


@contextmanager
def serving(review: Review) -> Iterator[Asking]:
    """Serves a review that is there, and closes it."""
    with ReviewServer(review) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Asking(server.url)
        finally:
            server.shutdown()
            thread.join()
            review.videos.close()
