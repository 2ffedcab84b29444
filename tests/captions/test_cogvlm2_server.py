"""The example server of CogVLM2-Caption, with a stand-in for the model: it needs old packages."""

from __future__ import annotations

import importlib.util
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import HTTPServer
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.captions.test_local_model import question
from tests.captions.test_transformers_serve import numbered
from tests.conftest import REPOSITORY
from videoprep.captions.protocol import CaptionFailure, CaptionReply, CaptionRequest

pytestmark = pytest.mark.heavy

FOLDER = REPOSITORY / "examples/cogvlm2_server"
NAME = "cogvlm2-llama3-caption"
MOST_FRAMES = 24


class StandIn:
    """Takes what the code of CogVLM2-Caption takes, and tells in words what it was given."""

    def __init__(self) -> None:
        import torch

        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.queries: list[str] = []
        self.videos: list[Any] = []

    def build_conversation_input_ids(
        self, tokenizer: Any, *, query: str, history: Any, images: Any, template_version: str
    ) -> dict[str, Any]:
        import torch

        assert (history, template_version) == ([], "chat")
        (video,) = images
        assert video.dtype == torch.uint8
        if video.shape[1] > MOST_FRAMES:
            raise ValueError("too many frames")
        self.queries.append(query)
        self.videos.append(video)
        prompt = torch.zeros(7, dtype=torch.long)
        names = ("input_ids", "token_type_ids", "attention_mask")
        return {**dict.fromkeys(names, prompt), "labels": None, "images": [video / 255]}

    def generate(self, **inputs: Any) -> Any:
        import torch

        assert inputs["input_ids"].shape == (1, 7)
        assert not inputs["do_sample"]
        video = inputs["images"][0][0]
        text = f"{video.shape[1]} frames of {video.shape[3]} by {video.shape[2]}"
        said = [*text.encode()][: inputs["max_new_tokens"]]
        return torch.tensor([[0] * 7 + said])


class Letters:
    """A tokenizer of one token a byte."""

    def decode(self, tokens: Any, skip_special_tokens: bool) -> str:
        return bytes(tokens.tolist()).decode()


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cogvlm2_server", FOLDER / "server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model() -> StandIn:
    return StandIn()


@pytest.fixture
def address(module: ModuleType, model: StandIn) -> Iterator[str]:
    class Quiet(module.Handler):  # type: ignore[misc, name-defined]
        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server: Any = HTTPServer(("127.0.0.1", 0), Quiet)
    server.name, server.loaded = NAME, (model, Letters())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def get(address: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_server_is_short_and_its_packages_are_pinned() -> None:
    lines = (FOLDER / "server.py").read_text(encoding="utf-8").splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 42
    needed = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {"torch==2.1.0", "transformers==4.42.4"} <= set(needed)


def test_it_names_its_model(address: str) -> None:
    status, listed = get(f"{address}/models")
    assert status == 200
    assert [one["id"] for one in listed["data"]] == [NAME]


def test_the_model_gets_the_frames_in_order_and_the_instruction_alone(
    address: str, model: StandIn
) -> None:
    asked = question(4, count=5)
    status, answer = get(f"{address}/chat/completions", numbered(asked, FOLDER, temperature=0))
    assert status == 200, answer
    (choice,) = answer["choices"]
    assert choice["message"]["content"] == "5 frames of 128 by 72"
    assert choice["finish_reason"] == "stop"
    assert model.queries == [asked.instruction]
    shown = model.videos[0].permute(1, 2, 3, 0).numpy().astype(float)
    assert np.abs(shown - np.stack(list(asked.frames))).mean() < 8  # JPEG


def test_what_the_model_refuses_is_an_error_of_the_question(address: str) -> None:
    body = numbered(question(0, count=MOST_FRAMES + 1), FOLDER)
    status, answer = get(f"{address}/chat/completions", body)
    assert status == 400
    assert "too many frames" in answer["error"]["message"]
    body = {"messages": [{"role": "user", "content": "no picture"}]}
    assert get(f"{address}/chat/completions", body)[0] == 400


def test_the_client_asks_it(address: str, model: StandIn) -> None:
    endpoint = pytest.importorskip("videoprep.captions.endpoint")
    captioner = endpoint.EndpointCaptioner(endpoint.EndpointOptions(address, concurrency=2))
    try:
        assert captioner.model == NAME
        asked = [question(0), question(1, count=MOST_FRAMES + 1), question(2, max_tokens=4)]
        replies = dict(captioner.ask(iter(enumerate(asked))))
    finally:
        captioner.close()
    assert set(model.queries) == {CaptionRequest(asked[0].instruction).instruction}
    assert isinstance(replies[0], CaptionReply)
    assert replies[0].text == "8 frames of 128 by 72"
    assert isinstance(replies[1], CaptionFailure)
    assert "too many frames" in replies[1].reason
    assert isinstance(replies[2], CaptionReply)
    assert (replies[2].text, replies[2].finish) == ("8 fr", "length")
