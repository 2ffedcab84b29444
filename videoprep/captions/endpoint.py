"""A captioner behind an OpenAI-compatible server, such as vLLM, SGLang, llama.cpp or Ollama."""

from __future__ import annotations

import json
import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

import numpy as np

from videoprep.captions.chat_request import RequestShape, body_of
from videoprep.captions.failure_judge import FailureJudge
from videoprep.captions.http_client import (
    Deadlines,
    HttpAnswer,
    HttpConnection,
    HttpError,
    ServerAddress,
)
from videoprep.captions.protocol import CaptionFailure, CaptionReply, CaptionRequest, Finish
from videoprep.captions.server_error import ServerError
from videoprep.errors import VideoprepError
from videoprep.fs import Files
from videoprep.text import escape_unprintable

T = TypeVar("T")

KEYS = ("VIDEOPREP_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first that is set counts."""

AUTO = "auto"

RequestChoice = Literal["images", "frames", "video", "auto"]
"""How frames are sent; ``auto`` is the first of ``frames``, ``video`` and ``images`` that a probe
shows to work."""

_MODELS, _COMPLETIONS = "/models", "/chat/completions"
_KNOWN = "endpoints.json"
# Earlier versions have kept failures that may pass as "takes".
_SHAPES = "shapes"

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0
_LONGEST_RETRY_AFTER = 300.0
_LOOK_SECONDS = 0.2
_PROBE_SECONDS = 120.0
_MOST_IN_MESSAGE = 300
_JOIN_SECONDS = 2.0

_TRY_AGAIN = frozenset({408, 409, 425, 429})
# Fields that a request can do without.
_SPARE = ("response_format", "max_tokens", "seed")
_LIMIT = "max_completion_tokens"
# What a server says when it is not there for anybody; other errors may be the question's fault.
_AWAY = frozenset({408, 425, 429, 502, 503, 504})

_LENGTH = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_FILTERED = frozenset(
    {"content_filter", "safety", "blocked", "recitation", "prohibited_content", "sensitive"}
)

PROBE = "videoprep-probe: answer with one word."
"""What is asked to find out whether a server takes videos, or whether it is there."""

_PROBED_TOKENS = 4
_PROBED_FRAMES = (32, 40)
_PROBED_SIDE = 56

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """How a server is asked."""

    url: str
    model_name: str = AUTO
    """The model's name on the server; ``auto`` is the only one that it lists."""
    request: RequestChoice = "images"
    concurrency: int = 8
    """Questions at a time."""
    timeout: float = 600.0
    """Seconds that an answer may take."""
    retries: int = 5
    """How often a question is asked again that got no answer."""
    temperature: float = 0.0
    seed: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of each request."""

    def settings(self) -> dict[str, Any]:
        """Return the fields of each request that are no question."""
        return {"temperature": self.temperature, "seed": self.seed, **self.extra}


def destination(url: str, what: str = "frames and the prompt") -> str:
    """Say where something goes, before it goes there.

    Args:
        url: of the server.
        what: goes there, in the plural.

    Raises:
        VideoprepError: The URL is none of a server.
    """
    address = ServerAddress.parse(url)
    if address.is_here:
        return f"{what} go to {address.netloc}, which is this machine"
    way = "" if address.scheme == "https" else ", unencrypted"
    through = "" if address.proxy is None else f", through the proxy {address.proxy.netloc}"
    return f"{what} leave this machine: they go to {address.netloc}{through}{way}"


def find_key() -> str:
    """Return the server's key from the environment; empty if there is none.

    Raises:
        VideoprepError: It cannot be a key.
    """
    name = next((name for name in KEYS if os.environ.get(name, "").strip()), None)
    if name is None:
        return ""
    key = os.environ[name].strip()
    if not (key.isascii() and key.isprintable()):
        raise VideoprepError(f"the key in {name} has characters that no key has")
    return key


class EndpointCaptioner:
    """Asks a server, several questions at a time, each in a thread with its own connection.

    Args:
        options: how it is asked.
        check: called now and then while answers are waited for; what it raises ends the asking.
        cache: where is remembered what was found out about servers; None: nowhere.

    Raises:
        VideoprepError: The server is not there, wants a key, or has no such model.
    """

    def __init__(
        self,
        options: EndpointOptions,
        check: Callable[[], None] = lambda: None,
        cache: Files | None = None,
    ) -> None:
        self.options = options
        self.address = ServerAddress.parse(options.url)
        self.ahead = options.concurrency
        self._check = check
        self._cache = cache
        self._key = find_key()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._not_before = 0.0
        self._lacks: set[str] = set()  # fields of a request that the server does not know
        self._tasks: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._stack = ExitStack()
        self._deadlines = self._stack.enter_context(Deadlines())
        try:
            self.model = options.model_name
            if self.model == AUTO:
                self.model = self._only_model()
            self.identity = f"{self.address} {self.model}"
            """The server's address and its model."""
            self._reported = _text_or_none(self._known().get("reported"))
            self._judge = FailureJudge(str(self.address), bool(self._known().get("answered")))
            self.shape: RequestShape = self._choose_shape()
            self.settings: Mapping[str, Any] = {"request": self.shape, **options.settings()}
            """All else on which answers depend."""
        except BaseException:
            self.close()
            raise

    def preview(self, request: CaptionRequest) -> dict[str, Any]:
        """Return the body of a request as it would be sent."""
        return body_of(request, self.shape, self.model, self.options.settings())

    def watch(self, check: Callable[[], None]) -> None:
        """Call something else now and then while answers are waited for; see ``check``."""
        self._check = check

    def close(self) -> None:
        """Break off what is in progress; see `Captioner`."""
        self._closing.set()
        for _ in self._threads:
            self._tasks.put(None)
        self._stack.close()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)  # one that looks up a name cannot be broken off
        self._threads.clear()

    def ask(
        self, requests: Iterator[tuple[T, CaptionRequest]]
    ) -> Iterator[tuple[T, CaptionReply | CaptionFailure]]:
        """See `Captioner`.

        Raises:
            VideoprepError: The server is gone, changes its model, or fails each question.
        """
        current = _Round()
        try:
            yield from self._ask_all(requests, current)
        finally:  # what was not waited for is nobody's answer
            current.is_over.set()

    def _ask_all(
        self, requests: Iterator[tuple[T, CaptionRequest]], current: _Round
    ) -> Iterator[tuple[T, CaptionReply | CaptionFailure]]:
        judge = self._judge
        judge.begin()
        asked, over = 0, False
        while True:
            while not over and asked < self.ahead and current.answers.empty():
                question = next(requests, None)
                over = question is None
                if question is not None:
                    self._start(_Question(current, *question), asked)
                    asked += 1
            if not asked:
                break
            item, result = self._next_answer(current)
            asked -= 1
            if isinstance(result, BaseException):
                yield from self._rest(current)
                raise result
            is_foreign = isinstance(result, _Foreign)
            told = result.failure if isinstance(result, _Foreign) else result
            try:
                yield from judge.take(item, told, foreign=is_foreign)
            except VideoprepError:
                yield from self._rest(current)
                raise
        yield from judge.end()

    def _rest(self, current: _Round) -> Iterator[tuple[Any, CaptionReply | CaptionFailure]]:
        """Yield what is there already: answers were paid for, and failures need not be met again.

        What was held back is passed on with the first answer.
        """
        while not current.answers.empty():
            item, result = current.answers.get()
            if isinstance(result, CaptionReply):
                yield from self._judge.take(item, result)
            elif isinstance(result, CaptionFailure):
                yield item, result

    def _start(self, question: _Question, asked: int) -> None:
        if asked >= len(self._threads):
            thread = threading.Thread(target=self._work, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._tasks.put(question)

    def _next_answer(self, current: _Round) -> tuple[Any, _Result]:
        while True:
            self._check()
            try:
                return current.answers.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue

    def _work(self) -> None:
        with self._connected() as connection:
            while (one := self._tasks.get()) is not None:
                if one.round.is_over.is_set():
                    continue
                try:
                    result: _Result = self._ask_one(connection, one)
                except Exception as error:  # noqa: BLE001 (raised in the main thread)
                    result = error
                one.round.answers.put((one.item, result))

    @contextmanager
    def _connected(self) -> Iterator[HttpConnection]:
        """Hold a connection whose exchanges are bounded in time, and close it at the end."""
        connection = HttpConnection(self.address, self._key)
        with self._deadlines.watching(connection), closing(connection):
            yield connection

    def _ask_one(
        self, connection: HttpConnection, question: _Question
    ) -> CaptionReply | CaptionFailure | _Foreign:
        started = time.monotonic()
        whole, is_over = self.preview(question.request), question.round.is_over
        told, body = self._try_until(connection, whole, self.options.retries, is_over)
        if isinstance(told, _Trouble) and told.away:
            self._require_there(connection, told, is_over)
            # It may have come back just now: then it was not the question.
            retries = self.options.retries if told.busy else 0
            told, body = self._try_until(connection, whole, retries, is_over)
        if isinstance(told, _Spoken):
            self._require_model(told.model)
            return told.reply(time.monotonic() - started, _left_out(whole, body))
        if told.blind and question.request.frames and not self._judge.has_answered:
            raise self._blind(told.reason)
        others = "the server answers other questions, but not this one: " if told.away else ""
        failure = CaptionFailure(f"{others}{told.reason}")
        return _Foreign(failure) if told.foreign else failure

    def _try_until(
        self,
        connection: HttpConnection,
        whole: Mapping[str, Any],
        retries: int,
        is_over: threading.Event,
    ) -> tuple[_Spoken | _Trouble, Mapping[str, Any]]:
        """Ask until there is an answer, or no hope of one.

        Args:
            connection: this thread's.
            whole: the body of the request, with all fields.
            retries: how often to ask again.
            is_over: whether nobody waits for the answer any more.

        Returns:
            What came of it, and the body that was sent last.
        """
        tries, body = 0, self._without_lacking(whole)
        data = json.dumps(body).encode()
        while True:
            self._wait_turn(is_over)
            told = self._try(connection, data)
            if isinstance(told, _Spoken):
                return told, body
            if told.field in body:
                self._lack(told.field)
                body = self._without_lacking(whole)
                data = json.dumps(body).encode()
                continue
            if told.final or tries >= retries:
                return told, body
            self._wait_before_retry(tries, told.retry_after)
            tries += 1

    def _require_there(
        self, connection: HttpConnection, trouble: _Trouble, is_over: threading.Event
    ) -> None:
        """Raise that the server is gone, unless it answers to something else.

        A question may be what ends the server or takes it too long: no run would get past it.
        """
        request = CaptionRequest(PROBE, max_tokens=_PROBED_TOKENS)
        whole = body_of(request, "images", self.model, self.options.settings())
        told, _ = self._try_until(connection, whole, self.options.retries, is_over)
        if isinstance(told, _Trouble) and told.away:
            raise self._gone(trouble.reason)

    def _try(self, connection: HttpConnection, body: bytes) -> _Spoken | _Trouble:
        try:
            answer = connection.exchange("POST", _COMPLETIONS, body, self.options.timeout)
        except HttpError as error:
            return _Trouble(str(error), away=True)
        spoken = _read_completion(answer.body) if answer.status == 200 else None
        if spoken is not None:
            return spoken
        told = ServerError.read(answer.status, answer.body)
        self._require_allowed(answer, told)
        if answer.status == 200:
            reason = f"what the server answered is no chat completion{self._said(told)}"
            return _Trouble(reason, foreign=not _is_object(answer.body))
        reason = f"the server answered {answer.status}{self._said(told)}"
        lacks = told.lacking(_SPARE)
        if lacks is not None or told.is_about_pictures:
            return _Trouble(reason, final=True, field=lacks, blind=told.is_about_pictures)
        if answer.status in _TRY_AGAIN or answer.status >= 500:
            wait = _retry_after(answer.headers.get("retry-after", ""))
            busy, away = answer.status in _TRY_AGAIN, answer.status in _AWAY
            return _Trouble(reason, away=away, busy=busy, retry_after=wait)
        return _Trouble(reason, final=True)

    def _wait_turn(self, is_over: threading.Event) -> None:
        """Wait as long as the server has asked all to wait."""
        self._pause(0)
        while (left := self._not_before - time.monotonic()) > 0:
            self._pause(left)
        if is_over.is_set():
            raise _given_up()

    def _wait_before_retry(self, tries: int, retry_after: float | None) -> None:
        if retry_after is not None:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + retry_after)
            if retry_after > 0:
                return
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**tries)
        self._pause(longest * random.uniform(0.5, 1.0))  # noqa: S311 (no secret)

    def _pause(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise _given_up()

    def _lack(self, name: str) -> None:
        """Leave a field out from now on, and say so once."""
        with self._lock:
            is_new = name not in self._lacks
            self._lacks.add(name)
        if is_new:
            instead = f"with {_LIMIT} instead" if name == "max_tokens" else "without it"
            logger.warning("the server does not know the field %s: it is asked %s", name, instead)

    def _without_lacking(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a body without what the server does not know; the limit has two names."""
        lacks = frozenset(self._lacks)
        made = {name: value for name, value in body.items() if name not in lacks}
        if "max_tokens" in lacks and "max_tokens" in body:
            made[_LIMIT] = body["max_tokens"]
        return made

    def _require_allowed(self, answer: HttpAnswer, error: ServerError) -> None:
        """Raise what concerns every question."""
        where, status = str(self.address), answer.status
        if status in (401, 403):
            wants = "does not accept the key" if self._key else "wants a key"
            raise VideoprepError(
                f"the server {wants} ({status}{self._said(error)})",
                where=where,
                remedy=f"put its key into the environment variable {KEYS[0]}, on each machine that "
                "asks",
            )
        if status == 402:
            raise VideoprepError(
                f"the server wants to be paid ({status}{self._said(error)})",
                where=where,
                remedy="top up the account of the key, and run the same command again",
            )
        if status in (404, 405) or error.is_about_model(self.model):
            raise VideoprepError(
                f"the server has no chat completions, or no model {self.model!r} "
                f"({status}{self._said(error)})",
                where=where,
                remedy="name the URL up to and including /v1, and a model of `/v1/models` with "
                "`model_name`",
                option="endpoint",
            )
        if 300 <= status < 400:
            raise VideoprepError(
                f"the server sends elsewhere ({status}); videoprep sends nothing to hosts that "
                "were not named",
                where=where,
                remedy="name the URL that it leads to",
                option="endpoint",
            )

    def _require_model(self, reported: str) -> None:
        with self._lock:
            before, self._reported = self._reported, self._reported or reported
            if before is None and reported:
                self._remember(reported=reported)
            if not self._judge.has_answered and not self._known().get("answered"):
                self._remember(answered=True)
        if before and reported and reported != before:
            raise VideoprepError(
                f"the server changed its model: it now answers as "
                f"{escape_unprintable(reported)!r}, before as {escape_unprintable(before)!r}",
                where=str(self.address),
                remedy="serve the first one again; or name the new one with `model_name`, which "
                "asks about all clips anew",
            )

    def _gone(self, reason: str) -> VideoprepError:
        return VideoprepError(
            f"the server does not answer: {reason}",
            where=str(self.address),
            remedy="start it or wait for it, and run the same command again: what was answered is "
            "kept",
            option="endpoint",
        )

    def _blind(self, reason: str) -> VideoprepError:
        return VideoprepError(
            f"the model {self.model!r} reads text alone and cannot look at frames: {reason}",
            where=str(self.address),
            remedy="serve a vision-language model, such as Qwen/Qwen3-VL-8B-Instruct; llama.cpp "
            "also needs its projector, the file whose name begins with mmproj",
            option="endpoint",
        )

    def _said(self, error: ServerError) -> str:
        """What a server says about an error: short, printable, and without the key."""
        text = error.message
        if self._key:  # before it is cut: half a key is not found
            text = text.replace(self._key, "***")
        text = text[:_MOST_IN_MESSAGE]
        return f": {escape_unprintable(text, keep='')}" if text else ""

    # What is found out about a server.

    def _only_model(self) -> str:
        tries = 0
        with self._connected() as connection:
            while True:
                try:
                    answer = connection.exchange("GET", _MODELS, None, _PROBE_SECONDS)
                except HttpError as error:
                    reason = str(error)
                else:
                    told = ServerError.read(answer.status, answer.body)
                    self._require_allowed(answer, told)
                    if answer.status == 200:
                        return self._only_of(answer.body)
                    reason = f"it answered {answer.status}{self._said(told)}"
                if tries >= min(2, self.options.retries):
                    raise self._gone(reason)
                self._wait_before_retry(tries, None)
                tries += 1

    def _only_of(self, body: bytes) -> str:
        try:
            names = [str(one["id"]) for one in json.loads(body)["data"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            names = []
        if len(names) == 1 and 0 < len(names[0]) <= _MOST_IN_MESSAGE:
            return names[0]
        shown = escape_unprintable(", ".join(names)[:_MOST_IN_MESSAGE], keep="")
        raise VideoprepError(
            f"the server lists {len(names)} models: {shown}" if names else "it lists no models",
            where=f"{self.address}{_MODELS}",
            remedy="name the model with `model_name`, and the URL up to and including /v1",
            option="model_name" if names else "endpoint",
        )

    def _choose_shape(self) -> RequestShape:
        choice = self.options.request
        if choice == "images":
            return choice
        wanted: tuple[RequestShape, ...] = ("frames", "video") if choice == "auto" else (choice,)
        refused = ""
        for shape in wanted:
            refused = self._refused(shape, ask_again=choice != "auto")
            if not refused:
                return shape
        if choice == "auto":
            return "images"
        raise VideoprepError(
            f"the server does not take {choice}: {refused}",
            where=str(self.address),
            remedy="send images with `request='images'`",
            option="request",
        )

    def _refused(self, shape: RequestShape, *, ask_again: bool) -> str:
        """Return why a server does not take a shape; empty if it does.

        What the server has said is remembered; that it failed is not, since that may pass.

        Args:
            shape: how frames are sent.
            ask_again: whether to ask although it is remembered that it does not.
        """
        shapes = self._known().get(_SHAPES)
        known = dict(shapes) if isinstance(shapes, dict) else {}
        before = known.get(shape)
        if isinstance(before, str) and not (before and ask_again):
            return before
        verdict = self._probe(shape)
        if verdict.lasts:
            self._remember(**{_SHAPES: {**known, shape: verdict.refused}})
        elif verdict.refused:
            logger.warning("whether the server takes %s is not clear: %s", shape, verdict.refused)
        return verdict.refused

    def _probe(self, shape: RequestShape) -> _Verdict:
        """Find out whether a server takes a shape.

        Frames that are dropped without a word show by the tokens that it counts.
        """
        counts = []
        for frames in _PROBED_FRAMES:
            told = self._probed(shape, frames)
            if isinstance(told, _Trouble):
                return _Verdict(told.reason, lasts=told.final)
            counts.append(told.prompt_tokens)
        if counts[0] is None or counts[1] is None:
            return _Verdict("it does not say how many tokens a prompt has: nothing is shown")
        few, many = _PROBED_FRAMES
        is_seen = counts[0] < counts[1]
        return _Verdict("" if is_seen else f"of {many} frames it does not see more than {few}")

    def _probed(self, shape: RequestShape, frames: int) -> _Spoken | _Trouble:
        shades = np.linspace(0, 255, frames).astype(np.uint8)
        size = (_PROBED_SIDE, _PROBED_SIDE, 3)
        request = CaptionRequest(
            PROBE,
            [np.full(size, shade, np.uint8) for shade in shades],
            [number / 8 for number in range(frames)],
            frames / 8,
            max_tokens=_PROBED_TOKENS,
        )
        body = body_of(request, shape, self.model, self.options.settings())
        goes_on, retries = threading.Event(), self.options.retries
        with self._connected() as connection:
            told, _ = self._try_until(connection, body, retries, goes_on)
            if isinstance(told, _Trouble) and told.away:
                self._require_there(connection, told, goes_on)
        return told

    def _known(self) -> dict[str, Any]:
        """What is remembered of this server and model."""
        known: dict[str, Any] = self._all_known().get(self.identity, {})
        return known if isinstance(known, dict) else {}

    def _all_known(self) -> dict[str, Any]:
        if self._cache is None:
            return {}
        try:
            known = json.loads(self._cache.read(_KNOWN))
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._give_up_memory(error)
            return {}
        except (ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}

    def _remember(self, **facts: Any) -> None:
        if self._cache is None:
            return
        known = {**self._all_known(), self.identity: {**self._known(), **facts}}
        try:
            self._cache.write_bytes(_KNOWN, json.dumps(known).encode())
        except OSError as error:
            self._give_up_memory(error)

    def _give_up_memory(self, error: OSError) -> None:
        """Go on without what is remembered between runs, and say so once."""
        self._cache = None
        logger.warning(
            "what is found out about the server is not remembered for the next run: %s",
            error.strerror or error,
        )


def _given_up() -> VideoprepError:
    return VideoprepError("the asking was given up")


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether a server takes frames in a shape."""

    refused: str
    """Why it does not; empty if it does."""
    lasts: bool = True
    """Whether it will be so in the next run."""


@dataclass(frozen=True, slots=True)
class _Foreign:
    """A failure that cannot come from a server of chat completions."""

    failure: CaptionFailure


_Result = CaptionReply | CaptionFailure | _Foreign | BaseException


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """One call of `EndpointCaptioner.ask`."""

    answers: queue.SimpleQueue[tuple[Any, _Result]] = field(default_factory=queue.SimpleQueue)
    is_over: threading.Event = field(default_factory=threading.Event)
    """Set when nobody waits for answers any more."""


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """A request on its way to a thread."""

    round: _Round
    item: Any
    """Comes back with the answer."""
    request: CaptionRequest


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why there is no answer yet."""

    reason: str
    away: bool = False
    """Whether the server is not there for anybody."""
    busy: bool = False
    """Whether the server says that it would answer at another time."""
    final: bool = False
    """Whether asking again makes no sense."""
    retry_after: float | None = None
    field: str | None = None
    """The field of the request that the server does not know."""
    blind: bool = False
    """Whether the model reads text alone."""
    foreign: bool = False
    """Whether it cannot come from a server of chat completions."""


@dataclass(frozen=True, slots=True)
class _Spoken:
    """An answer of a model."""

    text: str
    finish: Finish
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None

    def reply(self, seconds: float, left_out: tuple[str, ...]) -> CaptionReply:
        tokens = (self.prompt_tokens, self.completion_tokens)
        return CaptionReply(self.text, self.finish, *tokens, seconds, left_out)


def _left_out(whole: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that were not sent; the limit was, by its other name."""
    return tuple(sorted(whole.keys() - body.keys() - {"max_tokens"}))


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _read_completion(body: bytes) -> _Spoken | None:
    """Read a chat completion, which a stranger may have written; None if it is none."""
    try:
        data = json.loads(body)
        choice = data["choices"][0]
        message = choice["message"]
        text, refusal = _text_of(message.get("content")), message.get("refusal")
        model = data.get("model")
        usage = data.get("usage") or {}
        return _Spoken(
            text or (refusal if isinstance(refusal, str) else ""),
            "filtered" if refusal else _finish(choice.get("finish_reason")),
            model if isinstance(model, str) else "",
            _count(usage.get("prompt_tokens")),
            _count(usage.get("completion_tokens")),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _text_of(content: object) -> str:
    """The text of a message, which may come in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _finish(reason: object) -> Finish:
    word = reason.lower() if isinstance(reason, str) else ""
    if word in _LENGTH:
        return "length"
    return "filtered" if word in _FILTERED else "stop"


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40
    return int(value) if is_count else None  # type: ignore[call-overload]


def _retry_after(header: str) -> float | None:
    """Return the seconds that a server asks to wait, within reason."""
    try:
        seconds = float(header)
    except ValueError:
        try:
            then = parsedate_to_datetime(header)
            seconds = (then - datetime.now(then.tzinfo or timezone.utc)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER) if seconds == seconds else None
