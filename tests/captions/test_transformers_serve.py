"""What the real `transformers serve` makes of requests with numbered images."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.captions.test_local_model import question
from tests.conftest import need
from tests.support.tiny_vlm import build_tiny_qwen3_vl
from tests.support.transformers_server import lacks, transformers_server
from videoprep.captions.protocol import CaptionReply, CaptionRequest

pytestmark = pytest.mark.heavy

ENDS = (" at eye level.", " from behind.", " towards the right.")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_qwen3_vl(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if missing := lacks():
        need(" ".join(missing))
    with transformers_server(model, tmp_path_factory.mktemp("hub")) as address:
        yield address


def post(address: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def numbered(request: CaptionRequest, model: Path, **more: Any) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for number, (frame, time) in enumerate(zip(request.frames, request.times, strict=True), 1):
        _, jpeg = cv2.imencode(".jpg", frame[..., ::-1])
        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
        content.append({"type": "text", "text": f"Frame {number}, at {time:.2f} s:"})
        content.append({"type": "image_url", "image_url": {"url": url}})
    content.append({"type": "text", "text": request.instruction})
    messages = [{"role": "user", "content": content}]
    return {"model": str(model), "messages": messages, "max_tokens": 64, **more}


def test_numbered_images_are_answered_and_counted(server: str, model: Path) -> None:
    texts = set()
    for seed in range(4):
        status, answer = post(server, numbered(question(seed, count=3), model, temperature=0.0))
        assert status == 200, answer
        (choice,) = answer["choices"]
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"].endswith(ENDS)
        texts.add(choice["message"]["content"])
        assert answer["usage"]["prompt_tokens"] > 3 * len("Frame 1, at 0.00 s:")
        assert answer["usage"]["completion_tokens"] >= 9
    assert len(texts) > 1, "it does not look at the pictures"


def test_a_limit_of_tokens_is_told(server: str, model: Path) -> None:
    body = numbered(question(0, count=2), model)
    status, answer = post(server, {**body, "max_tokens": 3})
    assert status == 200
    assert answer["choices"][0]["finish_reason"] == "length"


def test_an_unknown_field_is_refused(server: str, model: Path) -> None:
    """By which a client tells what a server lacks."""
    status, answer = post(server, numbered(question(0, count=1), model, media_io_kwargs={}))
    assert status == 422
    assert "media_io_kwargs" in json.dumps(answer)


def test_the_client_asks_the_server(server: str, model: Path) -> None:
    endpoint = pytest.importorskip("videoprep.captions.endpoint")
    options = endpoint.EndpointOptions(server, model_name=str(model), concurrency=2)
    captioner = endpoint.EndpointCaptioner(options)
    try:
        asked = [(number, question(number, count=3)) for number in range(4)]
        rewrite = (9, CaptionRequest("Shorten: a grey cat stands in place."))
        replies = dict(captioner.ask(iter([*asked, rewrite])))
    finally:
        captioner.close()
    assert sorted(replies) == [0, 1, 2, 3, 9]
    for reply in replies.values():
        assert isinstance(reply, CaptionReply), reply
        assert reply.finish == "stop"
        assert reply.text.rstrip().endswith(tuple(end.strip() for end in ENDS))
        assert reply.completion_tokens


def test_the_client_finds_out_that_it_takes_images_alone(server: str, model: Path) -> None:
    endpoint = pytest.importorskip("videoprep.captions.endpoint")
    options = endpoint.EndpointOptions(server, model_name=str(model), request="auto")
    captioner = endpoint.EndpointCaptioner(options)
    try:
        assert captioner.shape == "images"
    finally:
        captioner.close()
