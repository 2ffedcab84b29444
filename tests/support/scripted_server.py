"""A real OpenAI-compatible server on loopback that answers by a script, and counts.

A script is a function from a question to a `ScriptedReply`; what servers do wrong is among those
below. Use it in a ``with`` block::

    with ScriptedServer(failing(2, status=500)) as server:
        run_cli("caption", dataset, "--endpoint", server.url)
        assert set(server.asked().values()) == {3}
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

MODEL = "tiny-vl"
_TOKENS_A_FRAME = 100
_SECONDS = 60.0
_NAMED = re.compile(r"clip=([\w./-]+)")
_DATA = re.compile(r"data:([\w/]+);base64,(.*)", re.DOTALL)

Shape = Literal["text", "images", "frames", "video"]


@dataclass(frozen=True)
class ChatQuestion:
    """One request for a chat completion."""

    number: int
    """How many came before it."""
    headers: Mapping[str, str]
    body: dict[str, Any]

    @cached_property
    def parts(self) -> list[dict[str, Any]]:
        """The parts of all messages."""
        found: list[dict[str, Any]] = []
        for message in self.body["messages"]:
            content = message["content"]
            found += [{"type": "text", "text": content}] if isinstance(content, str) else content
        return found

    @property
    def text(self) -> str:
        """All that is said in words."""
        return "\n".join(part["text"] for part in self.parts if part["type"] == "text")

    @property
    def addresses(self) -> list[str]:
        """What pictures and videos are named by."""
        kinds = ("image_url", "video_url")
        return [part[part["type"]]["url"] for part in self.parts if part["type"] in kinds]

    @property
    def shape(self) -> Shape:
        """How frames are sent."""
        first = next(iter(self.addresses), "")
        if not first:
            return "text"
        if first.startswith("data:video/jpeg"):
            return "frames"
        return "video" if first.startswith("data:video") else "images"

    @property
    def pictures(self) -> list[NDArray[np.uint8]]:
        """The frames as they came, RGB; none of a video that is one file."""
        if self.shape == "video":
            return []
        data = [piece for address in self.addresses for piece in _payload(address).split(",")]
        return [_picture(base64.b64decode(one)) for one in data]

    @property
    def frames(self) -> int:
        """How many frames it shows."""
        if self.shape != "video":
            return sum(len(_payload(address).split(",")) for address in self.addresses)
        data = io.BytesIO(base64.b64decode(_payload(self.addresses[0])))
        with av.open(data) as container:
            return sum(1 for _ in container.decode(video=0))

    @property
    def clip(self) -> str:
        """What tells the clip: ``clip=NAME`` in the text, or what is shown of it."""
        named = _NAMED.search(self.text)
        if named:
            return named[1]
        told = self.addresses or [self.text]
        return hashlib.sha256(" ".join(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ScriptedReply:
    """What the server answers."""

    text: str = ""
    finish: str | None = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    """Which model it says that it was; by default the server's."""
    raw: bytes | None = None
    """The whole body, instead of a chat completion."""
    cut: bool = False
    """Whether the connection ends in the middle of the body."""
    seconds: float = 0.0
    """How long it takes."""


Script = Callable[[ChatQuestion], ScriptedReply]


def caption_of(clip: str) -> str:
    """Return what `describe` says of a clip."""
    return f"A grey ball numbered {clip} rolls slowly across a wooden floor."


def describe(question: ChatQuestion) -> ScriptedReply:
    """Answer as one should: another caption for each clip."""
    return ScriptedReply(caption_of(question.clip))


def saying(text: str, finish: str = "stop") -> Script:
    """Answer the same to all."""
    return lambda _: ScriptedReply(text, finish)


def thinking(question: ChatQuestion) -> ScriptedReply:
    """Think aloud before the answer."""
    caption = caption_of(question.clip)
    return ScriptedReply(f"<think>Is it a ball? It is.</think>\nHere is the caption: {caption}")


def slow(seconds: float, then: Script = describe) -> Script:
    """Take so long for each answer."""

    def script(question: ChatQuestion) -> ScriptedReply:
        time.sleep(seconds)
        return then(question)

    return script


def failing(
    times: int,
    *,
    status: int = 500,
    headers: Mapping[str, str] | None = None,
    message: str = "try later",
    then: Script = describe,
) -> Script:
    """Fail for each clip so many times before the answer; for ever if that is below zero."""
    tried: Counter[str] = Counter()
    lock = threading.Lock()
    body = json.dumps({"error": {"message": message}}).encode()

    def script(question: ChatQuestion) -> ScriptedReply:
        with lock:
            tried[question.clip] += 1
            fails = times < 0 or tried[question.clip] <= times
        if not fails:
            return then(question)
        return ScriptedReply(status=status, headers=headers or {}, raw=body)

    return script


def breaking(times: int, then: Script = describe) -> Script:
    """Cut the body of the first answers about each clip."""
    tried: Counter[str] = Counter()
    lock = threading.Lock()

    def script(question: ChatQuestion) -> ScriptedReply:
        with lock:
            tried[question.clip] += 1
            cut = tried[question.clip] <= times
        return ScriptedReply(then(question).text, cut=cut)

    return script


def of_clips(answers: Mapping[str, ScriptedReply], then: Script = describe) -> Script:
    """Answer differently about some clips."""
    return lambda question: answers.get(question.clip) or then(question)


class ScriptedServer:
    """The server, in threads of this process.

    Args:
        script: what it answers.
        model: what it calls its model; may be changed at any time.
        key: the key that it wants; empty for none.
        accepts: the shapes of requests that it takes.
        most_frames: frames of a video beyond it are dropped without a word; None: none are.
        port: where it listens; by default a free one.
    """

    def __init__(
        self,
        script: Script = describe,
        *,
        model: str = MODEL,
        key: str = "",
        accepts: Sequence[Shape] = ("text", "images"),
        most_frames: int | None = None,
        port: int = 0,
    ) -> None:
        self.script, self.model, self.key = script, model, key
        self.accepts, self.most_frames = accepts, most_frames
        self.questions: list[ChatQuestion] = []
        self.paths: list[str] = []
        self._connections = 0
        self._changed = threading.Condition()
        self._open = threading.Event()
        self._open.set()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.scripted = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.daemon = True

    @property
    def url(self) -> str:
        """The URL that `--endpoint` takes."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def asked(self) -> Counter[str]:
        """Return how often each clip was asked about; probes are not counted."""
        with self._changed:
            about = [q for q in self.questions if q.addresses and "videoprep-probe" not in q.text]
            return Counter(question.clip for question in about)

    def hold(self) -> None:
        """Answer nothing until `release`."""
        self._open.clear()

    def release(self) -> None:
        """Answer what waits, and all that comes."""
        self._open.set()

    def wait_for(self, count: int) -> None:
        """Wait until so many questions came, over all."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.questions) >= count, _SECONDS)
        assert came, f"{len(self.questions)} of {count} questions came"

    def wait_until_left(self) -> None:
        """Wait until no client has a connection."""
        with self._changed:
            left = self._changed.wait_for(lambda: not self._connections, _SECONDS)
        assert left, f"{self._connections} connections are open"

    def count_connections(self, more: int) -> None:
        """Note that connections were opened, or closed."""
        with self._changed:
            self._connections += more
            self._changed.notify_all()

    def take(self, headers: Mapping[str, str], body: dict[str, Any]) -> ScriptedReply:
        """Answer a question."""
        with self._changed:
            question = ChatQuestion(len(self.questions), headers, body)
            self.questions.append(question)
            self._changed.notify_all()
        self._open.wait(_SECONDS)
        if question.shape not in self.accepts:
            return error_reply(400, f"content of the kind {question.shape} is not supported")
        reply = self.script(question)
        time.sleep(reply.seconds)
        return reply

    def is_allowed(self, authorization: str) -> bool:
        """Return whether a key is the right one."""
        return not self.key or authorization == f"Bearer {self.key}"

    def completion(self, body: dict[str, Any], reply: ScriptedReply) -> bytes:
        """Return an answer as the protocol has it."""
        if reply.raw is not None:
            return reply.raw
        question = ChatQuestion(0, {}, body)
        frames = question.frames
        if question.shape in ("frames", "video") and self.most_frames is not None:
            frames = min(frames, self.most_frames)
        prompt, completion = 10 + _TOKENS_A_FRAME * frames, len(reply.text.split())
        message = {"role": "assistant", "content": reply.text}
        return json.dumps(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "model": reply.model or self.model,
                "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
                "usage": {"prompt_tokens": prompt, "completion_tokens": completion},
            }
        ).encode()


def error_reply(status: int, message: str) -> ScriptedReply:
    """Return an error as servers send it."""
    return ScriptedReply(status=status, raw=json.dumps({"error": {"message": message}}).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    scripted: ScriptedServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed break off."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Count the connection."""
        super().setup()
        self.server.scripted.count_connections(1)

    def finish(self) -> None:
        """Count it no more."""
        self.server.scripted.count_connections(-1)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Say nothing."""

    def do_GET(self) -> None:
        scripted = self.server.scripted
        scripted.paths.append(self.path)
        if not self._is_allowed():
            return
        if self.path == "/v1/models":
            models = {"object": "list", "data": [{"id": scripted.model, "object": "model"}]}
            self._send(200, json.dumps(models).encode(), {})
        else:
            self._send(404, b'{"error": {"message": "not found"}}', {})

    def do_POST(self) -> None:
        scripted = self.server.scripted
        scripted.paths.append(self.path)
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_allowed():
            return
        if self.path != "/v1/chat/completions":
            self._send(404, b'{"error": {"message": "not found"}}', {})
            return
        body = json.loads(data)
        reply = scripted.take(dict(self.headers), body)
        answer = scripted.completion(body, reply)
        self._send(reply.status, answer, reply.headers, cut=reply.cut)

    def _is_allowed(self) -> bool:
        if self.server.scripted.is_allowed(self.headers.get("Authorization", "")):
            return True
        self._send(401, b'{"error": {"message": "no valid key"}}', {})
        return False

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str], *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()
        if cut:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


def _payload(address: str) -> str:
    found = _DATA.fullmatch(address)
    return found[2] if found else address


def _picture(data: bytes) -> NDArray[np.uint8]:
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, binascii.Error) as error:
        raise AssertionError("no picture was sent") from error
    assert decoded is not None, "no picture was sent"
    return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process ends: ``python -m tests.support.scripted_server --port 8000``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    given = parser.parse_args(arguments)
    with ScriptedServer(slow(given.seconds), port=given.port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
