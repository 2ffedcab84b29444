"""The server of a review: for browsers of this machine that know its address, and nobody else.

A page of another site may make a browser ask this server for anything. So every request has to
name a secret token in its path and this machine in its `Host`, which a name that was rebound to
this machine does not; and what changes something has to come from this server's own page. The
client names clips by number; no path comes from it.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
import select
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from videoprep.errors import VideoprepError
from videoprep.review.items import ClipFilter
from videoprep.review.page import served_page
from videoprep.review.review import RefusedDecisionError, Review, StaleDecisionError
from videoprep.text import escape_unprintable

logger = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"

# A caption of the most characters, each written as an escape of two code units.
_MOST_BYTES = 2 << 20
_MOST_ROWS = 40
_MOST_FIELDS = 16

_TOKEN_BYTES = 24
_IDLE_SECONDS = 60.0

_JSON = "application/json"

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves a review on the loopback interface.

    Args:
        review: what is served.
        port: 0 for any that is free.

    Raises:
        VideoprepError: somebody else has the port.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, review: Review, port: int = 0) -> None:
        try:
            super().__init__((ADDRESS, port), ReviewHandler)
        except (OSError, OverflowError) as error:
            raise VideoprepError(
                f"port {port} cannot be used: {error}",
                remedy="name another `port`, or none for any that is free",
                option="port",
            ) from error
        self.review = review
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a browser may call this server."""
        return f"{ADDRESS}:{self.server_port}", f"localhost:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over a browser that went away; log what else goes wrong."""
        del request, client_address
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            logger.exception("the review's server could not answer a request")


class RefusedRequestError(Exception):
    """A request is answered with an error.

    Args:
        status: of the answer.
        message: what is wrong.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ServerReply:
    """What a request is answered with."""

    data: bytes
    kind: str
    """Its media type."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further ones."""
    status: HTTPStatus = HTTPStatus.OK

    @classmethod
    def of_json(cls, answer: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> ServerReply:
        """Return an answer that the page's script reads."""
        return cls(json.dumps(answer).encode(), _JSON, status=status)


class ReviewHandler(BaseHTTPRequestHandler):
    """Answers one request after the other of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "videoprep"
    sys_version = ""
    timeout = _IDLE_SECONDS
    server: ReviewServer

    def do_GET(self) -> None:
        """Answer a request that changes nothing."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a request that may change something."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the parent's name)
        """Log nothing: the address has the token in it."""

    def _answer(self, how: Callable[[str, Mapping[str, str]], ServerReply]) -> None:
        self._send(self._reply(how))

    def _reply(self, how: Callable[[str, Mapping[str, str]], ServerReply]) -> ServerReply:
        path = ""
        try:
            path, query = self._allowed()
            return how(path, query)
        except RefusedRequestError as error:
            self.close_connection = True  # what else was sent is not read
            return ServerReply.of_json({"error": str(error)}, error.status)
        except RefusedDecisionError as error:
            return ServerReply.of_json({"error": error.message}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except VideoprepError as error:
            text = escape_unprintable(str(error))
            return ServerReply.of_json({"error": text}, HTTPStatus.INTERNAL_SERVER_ERROR)
        except Exception:
            self.close_connection = True
            # The path without the token, which opens the page.
            logger.exception("the review's server failed at %s %.200r", self.command, path)
            text = "this is a fault of videoprep: the command has written its traceback"
            return ServerReply.of_json({"error": text}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _allowed(self) -> tuple[str, Mapping[str, str]]:
        """Return the path after the token, and the query, of a request that may be answered."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0] not in self.server.hosts:
            raise RefusedRequestError(HTTPStatus.FORBIDDEN, "this is another host")
        try:
            split = urlsplit(self.path)
            query = parse_qs(split.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError as error:
            raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "it is no address") from error
        token, _, path = split.path.removeprefix("/").partition("/")
        given, wanted = token.encode("utf-8", "replace"), self.server.token.encode()
        if not hmac.compare_digest(given, wanted):
            raise RefusedRequestError(HTTPStatus.FORBIDDEN, "open the address that was printed")
        self._require_own_origin(hosts[0], is_page=path == "" and self.command == "GET")
        return path, {name: values[-1] for name, values in query.items()}

    def _require_own_origin(self, host: str, *, is_page: bool) -> None:
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        is_wrong = origin != f"http://{host}" if origin is not None else self.command == "POST"
        if site not in ("same-origin", "none"):
            # A link on another page may lead here; its scripts and frames may not.
            names = ("Sec-Fetch-Mode", "Sec-Fetch-Dest")
            how = tuple(self.headers.get(name) for name in names)
            is_wrong = is_wrong or not is_page or how != ("navigate", "document")
        if is_wrong:
            raise RefusedRequestError(HTTPStatus.FORBIDDEN, "another page asks for this")

    def _get(self, path: str, query: Mapping[str, str]) -> ServerReply:
        review = self.server.review
        if path == "":
            html, policy = served_page(review.title)
            headers = {"Content-Security-Policy": policy}
            return ServerReply(html.encode(), "text/html; charset=utf-8", headers)
        if path == "api/state":
            return ServerReply.of_json(review.summary())
        if path == "api/list":
            wanted = ClipFilter.of(
                query.get("show", "all"), query.get("code", ""), query.get("text", "")[:1000]
            )
            rows = review.rows(wanted, _number(query, "after", -1), _MOST_ROWS)
            return ServerReply.of_json(rows)
        if path == "api/item":
            return ServerReply.of_json(review.item(_number(query, "at")))
        if path == "api/plan":
            return ServerReply.of_json(review.plan(_number(query, "at")))
        if path == "clip.mp4":
            at, part = _number(query, "at"), _number(query, "part", 0)
            return self._part_of(review.video(at, part, is_wanted=self._is_waited_for))
        raise RefusedRequestError(HTTPStatus.NOT_FOUND, "there is nothing there")

    def _post(self, path: str, query: Mapping[str, str]) -> ServerReply:
        del query
        review, asked = self.server.review, self._body()
        at, text = _field(asked, "at", int), _field(asked, "caption", str, "")
        if path == "api/check":
            return ServerReply.of_json(review.check(at, text))
        if path == "api/decide":
            verdict, seen = _field(asked, "verdict", str), _field(asked, "seen", str)
            return self._decide(at, lambda: review.decide(at, verdict, text, seen))
        if path == "api/undo":
            seen = _field(asked, "seen", str)
            earlier = asked.get("verdict") and _field(asked, "verdict", str)
            return self._decide(at, lambda: review.undo(at, earlier or None, text, seen))
        raise RefusedRequestError(HTTPStatus.NOT_FOUND, "there is nothing there")

    def _decide(self, at: int, decide: Callable[[], dict[str, Any]]) -> ServerReply:
        """Take a decision; one about a clip that has changed is answered with the clip."""
        try:
            return ServerReply.of_json(decide())
        except StaleDecisionError as error:
            answer = {"error": error.message, "item": self.server.review.item(at)}
            return ServerReply.of_json(answer, HTTPStatus.CONFLICT)

    def _body(self) -> dict[str, Any]:
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != _JSON:
            raise RefusedRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {_JSON}")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            raise RefusedRequestError(HTTPStatus.LENGTH_REQUIRED, "say how long it is")
        if len(length) > 12 or int(length) > _MOST_BYTES:
            raise RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "it is too long")
        try:
            body = self.rfile.read(int(length))
        except OSError as error:
            raise RefusedRequestError(
                HTTPStatus.REQUEST_TIMEOUT, "it did not come whole"
            ) from error
        try:
            asked = json.loads(body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "it is not a JSON object")
        return asked

    def _is_waited_for(self) -> bool:
        """Return whether the browser keeps the connection open; it sends nothing meanwhile."""
        look = select.poll()
        look.register(self.connection, select.POLLIN)
        try:
            return not look.poll(0) or bool(self.connection.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def _part_of(self, data: bytes) -> ServerReply:
        """Return a video, or the part of it that is asked for: browsers seek so."""
        span = _span(self.headers.get("Range"), len(data))
        headers = {"Accept-Ranges": "bytes"}
        if span is None:
            return ServerReply(data, "video/mp4", headers)
        start, end = span
        if start >= end:
            headers["Content-Range"] = f"bytes */{len(data)}"
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            return ServerReply(b"", "video/mp4", headers, status)
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
        return ServerReply(data[start:end], "video/mp4", headers, HTTPStatus.PARTIAL_CONTENT)

    def _send(self, reply: ServerReply) -> None:
        self.send_response(reply.status)
        everything = {"Content-Type": reply.kind, "Content-Length": str(len(reply.data))}
        for name, value in {**everything, **_HEADERS, **reply.headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.data)
        self.wfile.flush()


def _number(query: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = query.get(name, "" if default is None else str(default))
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 12):
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, f"{name} is no number")
    return int(text)


def _field(asked: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = asked.get(name, default)
    if type(value) is not kind:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, f"{name} is missing or of a wrong type")
    return value


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the bytes that a range asks for, or None for all: several ranges are not served."""
    unit, _, text = (header or "").partition("=")
    first, dash, last = text.strip().partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isascii():
        return None
    if not (first.isdigit() or first == "") or not (last.isdigit() or last == "") or len(text) > 40:
        return None
    if first:
        return int(first), min(size, int(last) + 1 if last else size)
    return (max(0, size - int(last)), size) if last else None
