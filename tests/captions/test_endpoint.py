"""Asking a server: what it is sent, and what becomes of all that servers do wrong."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scripted_server import (
    ChatQuestion,
    Script,
    ScriptedReply,
    ScriptedServer,
    breaking,
    caption_of,
    describe,
    error_reply,
    failing,
    of_clips,
    saying,
    slow,
)
from videoprep.captions import endpoint
from videoprep.captions.chat_request import body_of, shortened, video_file
from videoprep.captions.endpoint import EndpointCaptioner, EndpointOptions, destination
from videoprep.captions.http_client import Deadlines, HttpConnection, HttpError, ServerAddress
from videoprep.captions.prompts import STRUCTURED_SCHEMA
from videoprep.captions.protocol import CaptionFailure, CaptionReply, CaptionRequest
from videoprep.errors import VideoprepError
from videoprep.fs import LocalFiles

Replies = dict[int, CaptionReply | CaptionFailure]


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in endpoint.KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint, "_FIRST_WAIT", 0.01)


def request_of(number: int, frames: int = 4, **more: Any) -> CaptionRequest:
    shown = [np.full((32, 48, 3), (10 * number + at) % 256, np.uint8) for at in range(frames)]
    times = [at / 2 for at in range(frames)]
    return CaptionRequest(f"Describe clip=c{number}", shown, times, frames / 2, **more)


def questions(count: int) -> Iterator[tuple[int, CaptionRequest]]:
    return ((number, request_of(number)) for number in range(count))


def ask(url: str, count: int = 4, **options: Any) -> Replies:
    captioner = EndpointCaptioner(EndpointOptions(url, **options))
    try:
        return dict(captioner.ask(questions(count)))
    finally:
        captioner.close()


def texts(replies: Replies) -> dict[int, str]:
    return {n: one.text for n, one in replies.items() if isinstance(one, CaptionReply)}


def all_described(count: int) -> dict[int, str]:
    return {number: caption_of(f"c{number}") for number in range(count)}


# --- What is sent ---


def test_each_question_is_asked_once_and_gets_its_own_answer() -> None:
    with ScriptedServer() as server:
        assert texts(ask(server.url, 30)) == all_described(30)
        assert server.asked() == {f"c{number}": 1 for number in range(30)}


def test_nothing_but_frames_and_the_prompt_is_sent() -> None:
    with ScriptedServer() as server:
        ask(server.url, 1)
        (question,) = server.questions
    assert question.body.keys() == {"model", "messages", "max_tokens", "temperature", "seed"}
    assert question.text.splitlines() == [
        "4 frames of a video clip of 2.00 s, in order.",
        "Frame 1 of 4, at 0.00 s:",
        "Frame 2 of 4, at 0.50 s:",
        "Frame 3 of 4, at 1.00 s:",
        "Frame 4 of 4, at 1.50 s:",
        "Describe clip=c0",
    ]
    assert [int(picture.mean().round()) for picture in question.pictures] == [0, 1, 2, 3]
    assert question.headers.keys() == {
        *("Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length"),
    }


def test_further_fields_are_sent() -> None:
    with ScriptedServer() as server:
        ask(server.url, 1, extra={"chat_template_kwargs": {"enable_thinking": False}})
        assert server.questions[0].body["chat_template_kwargs"] == {"enable_thinking": False}


def test_no_more_questions_than_allowed_are_open_at_a_time() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def script(question: ChatQuestion) -> ScriptedReply:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return describe(question)

    with ScriptedServer(script) as server:
        assert len(ask(server.url, 20, concurrency=3)) == 20
    assert most == 3


def test_no_more_questions_than_allowed_are_held() -> None:
    taken, done = 0, 0

    def counted() -> Iterator[tuple[int, CaptionRequest]]:
        nonlocal taken
        for question in questions(12):
            taken += 1
            assert taken - done <= 3
            yield question

    with ScriptedServer() as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=3))
        for _ in captioner.ask(counted()):
            done += 1
        captioner.close()
    assert done == 12


@pytest.mark.parametrize("shape", ["frames", "video"])
def test_frames_as_a_video(shape: Any) -> None:
    with ScriptedServer(accepts=("text", "images", shape)) as server:
        assert texts(ask(server.url, 2, request=shape)) == all_described(2)
        last = server.questions[-1]
    assert last.shape == shape
    if shape == "frames":
        timing = last.body["media_io_kwargs"]["video"]
        assert timing["num_frames"] == -1
        assert (timing["fps"], timing["total_num_frames"], timing["duration"]) == (2.0, 4, 2.0)


def test_a_video_file_has_the_frames(tmp_path: Path) -> None:
    import av

    shades = [20, 90, 160, 230]
    frames = [np.full((33, 49, 3), shade, np.uint8) for shade in shades]
    file = tmp_path / "clip.mp4"
    file.write_bytes(video_file(frames, 2))  # type: ignore[arg-type]
    with av.open(str(file)) as container:
        means = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    assert means == pytest.approx(shades, abs=3)


@pytest.mark.parametrize(
    ("accepts", "most_frames", "shape"),
    [
        (("text", "images", "frames", "video"), None, "frames"),
        (("text", "images", "video"), None, "video"),
        (("text", "images"), None, "images"),
        (("text", "images", "frames"), 32, "images"),  # others are dropped without a word
    ],
)
def test_a_probe_shows_how_frames_can_be_sent(
    tmp_path: Path, accepts: Any, most_frames: int | None, shape: str
) -> None:
    cache = LocalFiles(tmp_path)
    with ScriptedServer(accepts=accepts, most_frames=most_frames) as server:
        options = EndpointOptions(server.url, request="auto")
        for _ in range(2):
            captioner = EndpointCaptioner(options, cache=cache)
            assert captioner.shape == captioner.settings["request"] == shape
            captioner.close()
            probes = len(server.questions)
        assert probes == len(server.questions) > 0  # the second time they are remembered


def test_a_shape_that_is_not_taken_is_an_error() -> None:
    with ScriptedServer() as server, pytest.raises(VideoprepError, match="does not take video"):
        ask(server.url, request="video")


@pytest.mark.parametrize("fault", ["503", "broken", "late", "no chat"])
def test_a_probe_that_fails_says_nothing_of_the_server(tmp_path: Path, fault: str) -> None:
    """What passes must not decide for ever how frames are sent."""
    cache, faulty = LocalFiles(tmp_path), True

    def script(question: ChatQuestion) -> ScriptedReply:
        if not faulty or not question.addresses:
            return describe(question)
        if fault == "late":
            server.wait_for(question.number + 2)  # until something else is asked
        return {"503": failing(-1, status=503)(question), "broken": ScriptedReply(cut=True)}.get(
            fault, _html(question)
        )

    with ScriptedServer(script, accepts=("text", "images", "frames")) as server:
        options = EndpointOptions(server.url, request="auto", retries=0, timeout=0.3)
        assert _shape(options, cache) == "images"
        faulty = False
        assert _shape(options, cache) == "frames"


def test_a_probe_is_asked_again_and_without_what_the_server_does_not_know() -> None:
    passing = failing(2, status=503)

    def script(question: ChatQuestion) -> ScriptedReply:
        if "seed" in question.body:
            return error_reply(400, 'json: unknown field "seed"')
        return passing(question)

    with ScriptedServer(script, accepts=("text", "images", "frames")) as server:
        assert _shape(EndpointOptions(server.url, request="auto")) == "frames"


def test_a_server_that_is_gone_when_it_is_probed_is_an_error(tmp_path: Path) -> None:
    accepts = ("text", "images", "frames")
    with ScriptedServer(failing(-1, status=503), accepts=accepts) as server:
        options = EndpointOptions(server.url, request="auto", retries=0)
        with pytest.raises(VideoprepError, match="does not answer: the server answered 503"):
            _shape(options, LocalFiles(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_shape_that_is_named_is_probed_again_after_it_was_refused(tmp_path: Path) -> None:
    """The server may have been started with other options since."""
    cache = LocalFiles(tmp_path)
    with ScriptedServer(accepts=("text", "images")) as server:
        assert _shape(EndpointOptions(server.url, request="auto"), cache) == "images"
        server.accepts = ("text", "images", "video")
        assert _shape(EndpointOptions(server.url, request="video"), cache) == "video"
        assert _shape(EndpointOptions(server.url, request="auto"), cache) == "video"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"shapes": ["frames"], "reported": 5, "answered": {}},
        {"shapes": {"frames": 5, "video": None}, "reported": ["a"]},
        {"takes": {"frames": "the server answered 503"}, "shapes": True},
        "tiny-vl",
    ],
)
def test_what_is_remembered_may_be_anything(tmp_path: Path, spoiled: object) -> None:
    cache = LocalFiles(tmp_path)
    with ScriptedServer(accepts=("text", "images", "frames")) as server:
        known = {f"{server.url} tiny-vl": spoiled}
        cache.write_bytes("endpoints.json", json.dumps(known).encode())
        captioner = EndpointCaptioner(EndpointOptions(server.url, request="auto"), cache=cache)
        assert captioner.shape == "frames"
        assert texts(dict(captioner.ask(questions(3)))) == all_described(3)
        captioner.close()


def test_a_memory_that_cannot_be_used_does_not_end_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "endpoints.json").mkdir()  # neither read nor replaced
    with ScriptedServer() as server:
        options = EndpointOptions(server.url, request="auto")
        captioner = EndpointCaptioner(options, cache=LocalFiles(tmp_path))
        assert texts(dict(captioner.ask(questions(5)))) == all_described(5)
        captioner.close()
    assert caplog.text.count("not remembered for the next run") == 1


def test_a_memory_that_takes_nothing_more_does_not_end_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    with ScriptedServer() as server:
        options = EndpointOptions(server.url)
        captioner = EndpointCaptioner(options, cache=LocalFiles(tmp_path / "file" / "folder"))
        assert texts(dict(captioner.ask(questions(5)))) == all_described(5)
        captioner.close()
    assert caplog.text.count("not remembered for the next run") == 1


def test_connections_are_closed_once_nothing_is_asked_on_them() -> None:
    with ScriptedServer(accepts=("text", "images", "frames")) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, request="auto"))
        server.wait_until_left()
        assert len(texts(dict(captioner.ask(questions(5))))) == 5
        captioner.close()
        server.wait_until_left()


def _shape(options: EndpointOptions, cache: LocalFiles | None = None) -> str:
    captioner = EndpointCaptioner(options, cache=cache)
    captioner.close()
    return captioner.shape


def test_fields_that_a_server_does_not_know_are_left_out() -> None:
    def script(question: ChatQuestion) -> ScriptedReply:
        for name in ("response_format", "max_tokens", "seed"):
            if name in question.body:
                return error_reply(400, f"Unsupported parameter: '{name}'")
        return describe(question)

    with ScriptedServer(script) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=1))
        asked = [(n, request_of(n, schema=STRUCTURED_SCHEMA)) for n in range(3)]
        assert texts(dict(captioner.ask(iter(asked)))) == all_described(3)
        captioner.close()
        assert server.asked() == {"c0": 4, "c1": 1, "c2": 1}
        assert server.questions[-1].body["max_completion_tokens"] == 512


def test_a_field_that_is_not_known_costs_none_of_the_questions_in_flight() -> None:
    """All of them were sent before the first answer said so."""

    def script(question: ChatQuestion) -> ScriptedReply:
        server.wait_for(4)
        if "seed" in question.body:
            return error_reply(400, 'json: unknown field "seed"')
        return describe(question)

    with ScriptedServer(script) as server:
        replies = ask(server.url, 4, concurrency=4)
        assert texts(replies) == all_described(4)
        assert set(server.asked().values()) == {2}
    left_out = [one.left_out for one in replies.values() if isinstance(one, CaptionReply)]
    assert left_out == [("seed",)] * 4


def test_a_request_that_is_too_long_keeps_its_fields() -> None:
    message = "maximum context length is 4096 tokens: 4000 in messages, 512 in max_tokens; seed 0"
    long = {"c1": error_reply(400, message)}
    with ScriptedServer(of_clips(long)) as server:
        replies = ask(server.url, 4, concurrency=1)
        assert replies.pop(1) == CaptionFailure(f"the server answered 400: {message}")
        assert texts(replies).keys() == {0, 2, 3}
        assert set(server.asked().values()) == {1}
        assert all({"max_tokens", "seed"} <= one.body.keys() for one in server.questions)


def test_a_request_can_be_shown() -> None:
    body = body_of(request_of(0), "images", "tiny", {"temperature": 0.0})
    text = json.dumps(shortened(body))
    assert len(text) < 1500
    assert "characters)" in text


# --- What goes wrong, and passes ---


def test_errors_that_pass_are_waited_for() -> None:
    with ScriptedServer(failing(2, status=503)) as server:
        assert texts(ask(server.url)) == all_described(4)
        assert set(server.asked().values()) == {3}


def test_a_body_that_breaks_off_is_asked_for_again() -> None:
    with ScriptedServer(breaking(1)) as server:
        assert texts(ask(server.url)) == all_described(4)
        assert set(server.asked().values()) == {2}


def test_a_server_says_how_long_to_wait() -> None:
    script = failing(1, status=429, headers={"Retry-After": "1"})
    with ScriptedServer(script) as server:
        began = time.monotonic()
        assert texts(ask(server.url, 2)) == all_described(2)
        assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0), ("1e9", 300.0), ("-5", 0.0), ("nan", None), ("soon", None), ("", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Wed, 21 Oct 9999 07:28:00 GMT", 300.0),
    ],
)  # fmt: skip
def test_how_long_to_wait_is_bounded(header: str, seconds: float | None) -> None:
    assert endpoint._retry_after(header) == seconds


def test_how_an_answer_ended_is_told() -> None:
    answers = {
        "c0": ScriptedReply("A cat. A do", "length"),
        "c1": ScriptedReply("", "content_filter"),
        "c2": ScriptedReply("A cat.", None),
    }
    with ScriptedServer(of_clips(answers)) as server:
        replies = ask(server.url, 3)
    ends = [one.finish for _, one in sorted(replies.items()) if isinstance(one, CaptionReply)]
    assert ends == ["length", "filtered", "stop"]
    assert isinstance(replies[0], CaptionReply)
    assert (replies[0].prompt_tokens, replies[0].completion_tokens) == (410, 4)


def test_one_question_that_is_refused_costs_itself() -> None:
    with ScriptedServer(of_clips({"c1": error_reply(400, "too \x1b[31mlong")})) as server:
        replies = ask(server.url, 10)
        assert replies.pop(1) == CaptionFailure("the server answered 400: too \\x1b[31mlong")
        assert len(texts(replies)) == 9
        assert server.asked()["c1"] == 1


def test_one_question_that_always_fails_costs_itself() -> None:
    with ScriptedServer(of_clips({"c1": error_reply(500, "out of memory")})) as server:
        replies = ask(server.url, 10, retries=2)
        assert replies.pop(1) == CaptionFailure("the server answered 500: out of memory")
        assert len(texts(replies)) == 9
        assert server.asked()["c1"] == 3


def test_what_is_refused_at_first_is_told_before_the_run_ends() -> None:
    """So that the next run does not meet the same questions again."""
    with ScriptedServer(failing(-1, status=422, message="unreadable picture")) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=1))
        told: Replies = {}
        with pytest.raises(VideoprepError, match="the first 3 questions all failed in") as error:
            list(_noted(captioner.ask(questions(20)), told))
        captioner.close()
    assert [one.reason for one in told.values() if isinstance(one, CaptionFailure)] == [
        "the server answered 422: unreadable picture"
    ] * 3
    assert "retry_failed" in str(error.value.remedy)


def test_what_no_such_server_answers_is_not_held_against_questions() -> None:
    with ScriptedServer(_html) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=1, retries=0))
        told: Replies = {}
        with pytest.raises(VideoprepError, match="no chat completion"):
            list(_noted(captioner.ask(questions(20)), told))
        captioner.close()
    assert told == {}


def test_more_may_fail_of_a_model_that_has_answered_before(tmp_path: Path) -> None:
    cache = LocalFiles(tmp_path)
    bad = {f"c{number}": error_reply(413, "too large") for number in range(10)}
    with ScriptedServer() as server:
        for script in (describe, of_clips(bad)):
            server.script = script
            captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=1), cache=cache)
            replies: Replies = dict(captioner.ask(questions(12)))
            captioner.close()
    assert texts(replies).keys() == {10, 11}


def _noted(
    answers: Iterator[tuple[int, CaptionReply | CaptionFailure]], told: Replies
) -> Iterator[tuple[int, CaptionReply | CaptionFailure]]:
    for number, answer in answers:
        told[number] = answer
        yield number, answer


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("fault", ["502", "503", "504", "408", "429", "broken", "late", "long"])
def test_one_question_that_is_never_answered_costs_itself(fault: str, concurrency: int) -> None:
    def script(question: ChatQuestion) -> ScriptedReply:
        if question.clip not in ("c1", "c2"):
            return describe(question)
        if fault == "late":
            time.sleep(1)
        reply = {"broken": ScriptedReply(cut=True), "long": ScriptedReply(raw=b" " * (9 << 20))}
        if fault.isdecimal():
            return error_reply(int(fault), "the backend has died")
        return reply.get(fault, describe(question))

    timeout = 0.3 if fault == "late" else 60
    with ScriptedServer(script) as server:
        replies = ask(server.url, 8, retries=1, concurrency=concurrency, timeout=timeout)
        for number in (1, 2):
            failure = replies.pop(number)
            assert isinstance(failure, CaptionFailure)
            assert failure.reason.startswith("the server answers other questions, but not this")
    assert texts(replies).keys() == {0, 3, 4, 5, 6, 7}


def test_a_question_is_not_to_blame_for_a_server_that_comes_back() -> None:
    """It was away as long as the question was asked, and is there when another one is asked."""

    def script(question: ChatQuestion) -> ScriptedReply:
        return error_reply(502, "starting") if question.number < 2 else describe(question)

    with ScriptedServer(script) as server:
        assert texts(ask(server.url, 1, retries=1)) == all_described(1)


def test_answers_that_nobody_waited_for_are_nobody_elses() -> None:

    def script(question: ChatQuestion) -> ScriptedReply:
        server.wait_for(4)
        return describe(question)

    with ScriptedServer(script) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=4))
        answers = captioner.ask(questions(4))
        next(answers)
        answers.close()  # three are not taken
        later = [(number, request_of(number)) for number in range(10, 16)]
        replies = texts(dict(captioner.ask(iter(later))))
        captioner.close()
    assert replies == {number: caption_of(f"c{number}") for number in range(10, 16)}


def test_after_an_error_questions_are_asked_as_at_first() -> None:
    refused = {f"c{number}": error_reply(413, "too large") for number in range(20)}
    with ScriptedServer(of_clips(refused)) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=4))
        with pytest.raises(VideoprepError, match="the first 3 questions"):
            list(captioner.ask(questions(20)))
        later = [(number, request_of(number)) for number in (0, 1, 20, 21)]
        replies = dict(captioner.ask(iter(later)))
        captioner.close()
    assert replies.keys() == {0, 1, 20, 21}
    assert texts(replies).keys() == {20, 21}


# --- What ends the run ---


def _html(_: ChatQuestion) -> ScriptedReply:
    return ScriptedReply(raw=b"<html>Welcome</html>")


def _error(status: int, message: str, **told: str) -> Script:
    raw = json.dumps({"error": {"message": message, **told}}).encode()
    return lambda _: ScriptedReply(status=status, raw=raw)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (failing(-1, status=503), "does not answer: the server answered 503: try later"),
        (failing(-1, status=400, message="no"), "the first 3 questions all failed .* 400: no"),
        (failing(-1, status=404, message="no such model"), "no model 'tiny-vl' .*no such model"),
        (failing(-1, status=302, headers={"Location": "http://a.b"}), "sends elsewhere"),
        (failing(-1, status=402, message="no credit"), "wants to be paid .402: no credit"),
        (_error(400, "Invalid model name passed in model=tiny-vl"), "no model 'tiny-vl'"),
        (_error(400, "it is gone", code="model_not_found"), "no model 'tiny-vl'"),
        (_error(400, "tiny-vl is not a multimodal model"), "reads text alone and cannot look"),
        (_error(500, "image input is not supported - you may need mmproj"), "reads text alone"),
        (_html, "the first 3 questions all failed .*: what the server answered is no chat"),
        (lambda _: ScriptedReply(raw=b"[" * 200_000), "no chat completion"),
        (lambda _: ScriptedReply(raw=b'{"choices": []}'), "no chat completion"),
        (lambda _: ScriptedReply(raw=b" " * (9 << 20)), "more than 8 MiB"),
        (breaking(99), "broke off"),
    ],
)
def test_what_all_questions_fail_with_is_an_error(script: Script, message: str) -> None:
    with ScriptedServer(script) as server, pytest.raises(VideoprepError, match=message):
        ask(server.url, 20, retries=1, concurrency=2)


def test_a_server_that_is_not_there() -> None:
    with ScriptedServer() as server:
        url = server.url
    with pytest.raises(VideoprepError, match="nothing listens there") as error:
        ask(url, retries=1)
    assert error.value.option == "endpoint"
    with pytest.raises(VideoprepError, match="nothing listens there"):
        ask(url, retries=1, model_name="tiny-vl")


def test_a_server_that_is_too_slow() -> None:
    with ScriptedServer(slow(30)) as server, pytest.raises(VideoprepError, match="in time"):
        ask(server.url, retries=0, timeout=0.5)


def test_a_server_that_dawdles_is_not_waited_for_without_end() -> None:
    """It sends a byte now and then, so that no read of the socket takes long."""
    import socket

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)
        except OSError:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(VideoprepError, match="does not answer in time"):
            ask(url, 1, retries=0, timeout=0.5, model_name="tiny")
        thread.join()


def test_a_connection_that_was_given_up_asks_nothing_more() -> None:
    """Whoever begins to ask just then would be waited for as long as the answer takes."""
    with ScriptedServer() as server:
        connection = HttpConnection(ServerAddress.parse(server.url))
        with Deadlines() as deadlines:
            deadlines.add(connection)
            assert connection.exchange("GET", "/models", None, 60).status == 200
        late = HttpConnection(ServerAddress.parse(server.url))
        deadlines.add(late)
        for one in (connection, late):
            with pytest.raises(HttpError, match="given up"):
                one.exchange("GET", "/models", None, 60)
        assert server.paths == ["/v1/models"]


def test_a_key_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-secret-1234"
    with ScriptedServer(key=key) as server:
        with pytest.raises(VideoprepError, match="wants a key") as error:
            ask(server.url)
        assert "VIDEOPREP_API_KEY" in str(error.value)
        monkeypatch.setenv("OPENAI_API_KEY", "wrong")
        with pytest.raises(VideoprepError, match="does not accept the key"):
            ask(server.url)
        monkeypatch.setenv("VIDEOPREP_API_KEY", key)
        assert len(texts(ask(server.url))) == 4


def test_a_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-secret-1234"
    monkeypatch.setenv("VIDEOPREP_API_KEY", key)
    script = failing(-1, status=403, message=f"the key {key} has no credit")
    with ScriptedServer(script) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url))
        with captioner._connected() as connection:
            assert key not in repr(connection)
        with pytest.raises(VideoprepError, match=r"the key \*\*\* has no credit"):
            list(captioner.ask(questions(1)))
        captioner.close()


def test_a_model_that_changes_in_mid_run_ends_it(tmp_path: Path) -> None:
    cache = LocalFiles(tmp_path)

    def script(question: ChatQuestion) -> ScriptedReply:
        other = "other" if question.number >= 5 else None
        return ScriptedReply(caption_of(question.clip), model=other)

    with ScriptedServer(script) as server:
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=1), cache=cache)
        answers = captioner.ask(questions(20))
        got = []
        with pytest.raises(VideoprepError, match="now answers as 'other', before as 'tiny-vl'"):
            got.extend(answers)
        captioner.close()
        assert len(server.questions) == 6
        # Nor is it another one when the next run begins.
        server.questions.clear()
        server.script = lambda question: ScriptedReply("A cat.", model="other")
        captioner = EndpointCaptioner(EndpointOptions(server.url, concurrency=1), cache=cache)
        with pytest.raises(VideoprepError, match="changed its model"):
            list(captioner.ask(questions(20)))
        captioner.close()


def test_several_models_have_to_be_told_apart() -> None:
    with ScriptedServer(model="") as server, pytest.raises(VideoprepError, match="lists 1 models"):
        ask(server.url)
    with ScriptedServer() as server:
        assert len(ask(server.url, model_name="anything")) == 4
        assert server.paths[0] == "/v1/chat/completions"


# --- Addresses ---


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000, which is this machine"),
        ("http://localhost:8000/v1/chat/completions", "which is this machine"),
        ("http://[::1]:8000/v1", "[::1]:8000, which is this machine"),
        ("https://api.example.com/v1", "leave this machine: they go to api.example.com"),
        ("http://10.0.0.5:8000/v1", "leave this machine: they go to 10.0.0.5:8000, unencrypted"),
        ("http://127.0.0.1.example.com/v1", "leave this machine"),
    ],
)
def test_the_host_is_named(url: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert told in destination(url)


def test_a_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert "through the proxy proxy.example.com:3128" in destination("https://api.example.com/v1")
    assert "proxy" not in destination("http://127.0.0.1:8000/v1")


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://a/v1", "http://", "http://a b/v1", "http://a:99999/v1",
     "http://user:pass@a/v1", "http://a/v1?key=1", "http://a/\nv1", "file:///etc/passwd"],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(VideoprepError) as error:
        destination(url)
    assert error.value.option == "endpoint"
    assert "pass" not in str(error.value).replace("passwd", "")


def test_saying_is_the_same_for_all() -> None:
    with ScriptedServer(saying("A cat.")) as server:
        assert set(texts(ask(server.url)).values()) == {"A cat."}
