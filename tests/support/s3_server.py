"""A real S3 server for tests: moto's, in a process of its own, which remembers its requests.

Requests are answered one after the other: moto looks whether a key is there and then writes it, and
S3 does both in one step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

ACCESS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
_LOG = "/_requests"


@dataclass(frozen=True, slots=True)
class S3Server:
    """One that runs.

    Attributes:
        endpoint: its address.
    """

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What a user would set to work with it."""
        return {**ACCESS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}

    def make_bucket(self, name: str) -> None:
        """A new, empty bucket."""
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200

    def requests(self) -> list[str]:
        """``GET /bucket/key?query`` and the like, since this was last asked for."""
        with urllib.request.urlopen(self.endpoint + _LOG) as answer:
            return list(json.load(answer))

    def downloads(self, ending: str = ".mp4") -> list[str]:
        """The requests for contents of such files, since requests were last asked for."""
        wanted = [request for request in self.requests() if request.startswith("GET ")]
        return [request for request in wanted if request.partition("?")[0].endswith(ending)]


@contextmanager
def running_server() -> Iterator[S3Server]:
    """Starts one and ends it."""
    command = [sys.executable, "-m", "tests.support.s3_server"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield S3Server(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait()


def _recorded(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    seen: list[str] = []
    lock = Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            if environ["PATH_INFO"] == _LOG:
                start_response("200 OK", [("Content-Type", "application/json")])
                body = json.dumps(seen).encode()
                seen.clear()
                return [body]
            query = environ.get("QUERY_STRING", "")
            path = environ["PATH_INFO"] + (f"?{query}" if query else "")
            seen.append(f"{environ['REQUEST_METHOD']} {path}")
            return list(app(environ, start_response))

    return serve


def _serve() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = _recorded(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    os.environ.update(ACCESS)
    _serve()
