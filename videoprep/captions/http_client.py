"""A connection to one server, on which each exchange is bounded in time and in size.

Redirects are not followed: what is sent goes to the host that the user has named, or nowhere.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from urllib.parse import urlsplit

from videoprep import __version__
from videoprep.errors import VideoprepError

MOST_BYTES = 8 << 20
"""Of an answer's body; longer ones are no answers."""

_PIECE = 1 << 16
_CONNECT_SECONDS = 30.0
_LOOK_SECONDS = 0.25
_PORTS = {"http": 80, "https": 443}
_COMPLETIONS = "/chat/completions"
_GIVEN_UP = "it was given up"


@dataclass(frozen=True)
class ServerAddress:
    """Where a server is."""

    scheme: str
    host: str
    port: int
    path: str
    """Without a slash at its end."""

    @classmethod
    def parse(cls, url: str) -> ServerAddress:
        """Return the address in a URL. One without a path gets ``/v1``.

        Raises:
            VideoprepError: It is no URL of an HTTP server, or holds a password.
        """
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _no_address(url, str(error)) from error
        if parts.scheme not in _PORTS or not host:
            raise _no_address(url, "it does not begin with http:// or https:// and a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise VideoprepError(
                "the URL of the server has more than a host, a port and a path",
                remedy="put a key into the environment variable VIDEOPREP_API_KEY",
                option="endpoint",
            )
        if not (url.isascii() and url.strip().isprintable() and " " not in url.strip()):
            raise _no_address(url, "it has characters that a URL cannot have")
        path = parts.path.rstrip("/").removesuffix(_COMPLETIONS) or "/v1"
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], path)

    @property
    def netloc(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"

    @cached_property
    def is_here(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @cached_property
    def proxy(self) -> ServerAddress | None:
        """The proxy that the environment names for it."""
        named = None if self.is_here else urllib.request.getproxies().get(self.scheme)
        if not named or urllib.request.proxy_bypass(self.host):
            return None
        parts = urlsplit(named if "://" in named else f"http://{named}")
        if parts.scheme != "http" or not parts.hostname or parts.username is not None:
            raise VideoprepError(
                f"the proxy for {self.netloc} is not a plain HTTP proxy",
                remedy="correct HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY",
                option="endpoint",
            )
        return ServerAddress("http", parts.hostname, parts.port or 80, "")


def _no_address(url: str, why: str) -> VideoprepError:
    return VideoprepError(
        f"{url!r} is no address of a server: {why}",
        remedy="name it as http://127.0.0.1:8000/v1",
        option="endpoint",
    )


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """With names in lower case."""
    body: bytes


class HttpError(Exception):
    """There is no answer: the server cannot be reached, is too slow, or broke off."""


@dataclass(eq=False)
class HttpConnection:
    """One connection that is kept open. For one thread; `abort` is for others."""

    address: ServerAddress
    key: str = field(default="", repr=False)
    deadline: float | None = None
    """When the exchange in progress has to be over, by the monotonic clock."""
    _connection: http.client.HTTPConnection | None = None
    _aborted: str = ""
    _given_up: str = ""

    def exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> HttpAnswer:
        """Send a request and return the answer.

        Args:
            method: such as ``POST``.
            path: after the address's own.
            body: JSON.
            seconds: how long all of it may take.

        Raises:
            HttpError: There is none.
        """
        reused = self._connection is not None
        self._aborted, self.deadline = "", time.monotonic() + seconds
        try:
            self._require_going_on()  # only now: giving up may have come just before
            try:
                return self._exchange(method, path, body, seconds)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if not reused or self._aborted:  # a server may close what was idle
                    raise
                self._require_going_on()
                return self._exchange(method, path, body, seconds)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            self.close()
            raise HttpError(self._aborted or _meaning(error)) from error
        except HttpError as error:
            self.close()
            raise HttpError(self._aborted or str(error)) from error
        finally:
            self.deadline = None

    def give_up(self, reason: str) -> None:
        """End the exchange in progress, and let none begin. May be called from any thread."""
        self._given_up = reason
        self.abort(reason)

    def abort(self, reason: str) -> None:
        """End the exchange in progress. May be called from any thread."""
        self._aborted = reason
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):  # it is closed already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next exchange opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _require_going_on(self) -> None:
        if self._given_up:
            raise HttpError(self._given_up)

    def _exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> HttpAnswer:
        connection = self._open(seconds)
        target = f"{self.address.path}{path}"
        if self.address.proxy is not None and self.address.scheme == "http":
            target = f"http://{self.address.netloc}{target}"
        connection.request(method, target, body, self._headers(body))
        response = connection.getresponse()
        data = _read(response)
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        return HttpAnswer(response.status, headers, data)

    def _open(self, seconds: float) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = self._new()
            self._connection.timeout = min(seconds, _CONNECT_SECONDS)
            self._connection.connect()
            if self._aborted or self._given_up:
                raise HttpError(self._aborted or self._given_up)
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sock.settimeout(seconds)
        return self._connection

    def _new(self) -> http.client.HTTPConnection:
        own, proxy = self.address, self.address.proxy
        to = proxy or own
        if own.scheme == "http":
            return http.client.HTTPConnection(to.host, to.port)
        made = http.client.HTTPSConnection(to.host, to.port, context=ssl.create_default_context())
        if proxy is not None:
            made.set_tunnel(own.host, own.port)
        return made

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {
            "Host": self.address.netloc,
            "User-Agent": f"videoprep/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return headers


def _read(response: http.client.HTTPResponse) -> bytes:
    pieces, size = [], 0
    while piece := response.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise HttpError(f"its answer has more than {MOST_BYTES >> 20} MiB")
    if response.length:
        raise HttpError("it broke off in the middle of its answer")
    return b"".join(pieces)


def _meaning(error: Exception) -> str:
    """Say in words what went wrong, without what a server may have put into it."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {error.reason or 'it is no TLS server'}"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "it closed the connection"
    if isinstance(error, http.client.IncompleteRead):
        return "it broke off in the middle of its answer"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "what it sends is not HTTP"


class Deadlines:
    """Ends exchanges that take too long. Use it in a ``with`` block.

    A timeout of a socket begins anew with each byte; a server that sends one now and then would be
    waited for without end.
    """

    def __init__(self) -> None:
        self._connections: list[HttpConnection] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Deadlines:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        for connection in list(self._connections):
            connection.give_up(_GIVEN_UP)
        self._thread.join()

    def add(self, connection: HttpConnection) -> None:
        """Watch over a connection from now on."""
        self._connections.append(connection)
        if self._closed.is_set():
            connection.give_up(_GIVEN_UP)

    @contextlib.contextmanager
    def watching(self, connection: HttpConnection) -> Iterator[None]:
        """Watch over a connection for a while."""
        self.add(connection)
        try:
            yield
        finally:
            self._connections.remove(connection)

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            now = time.monotonic()
            for connection in self._late(now):
                connection.abort("it does not answer in time")

    def _late(self, now: float) -> Iterator[HttpConnection]:
        for connection in list(self._connections):
            deadline = connection.deadline
            if deadline is not None and deadline < now:
                yield connection
