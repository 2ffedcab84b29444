"""The local captioner with more classes of transformers, each with tiny weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.captions.test_local_model import ASKED, answers, question, sees
from tests.support.tiny_vlm import build_tiny_qwen3_vl
from tests.support.tiny_vlm_classes import CLASSES, build_tiny
from videoprep.captions.local_model import open_local_captioner
from videoprep.captions.protocol import CaptionReply, CaptionRequest

pytestmark = pytest.mark.heavy

COUNT = 5


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_sees_all_frames_and_answers_in_batches_as_alone(name: str, tmp_path: Path) -> None:
    folder = str(build_tiny(name, tmp_path / "model"))
    together = open_local_captioner(folder, device="cpu", batch_size=6)
    assert together.settings["class"] == name
    assert together.settings["frames"] == ("images" if "Gemma3" in name else "video")

    tensors = sees(together, question(1, count=COUNT))
    if "video_grid_thw" in tensors:  # of pairs of frames
        assert tensors["video_grid_thw"][0, 0] == (COUNT + 1) // 2
    elif "pixel_values_videos" in tensors:
        assert tensors["pixel_values_videos"].shape[1] == COUNT
    else:
        assert tensors["pixel_values"].shape[0] == COUNT

    asked = [
        question(0, max_tokens=32),
        question(1, max_tokens=32, instruction=ASKED * 5),
        question(2, max_tokens=32, size=(96, 64)),
        question(3, max_tokens=32, count=1),
        question(4, max_tokens=32, count=3),
        CaptionRequest("Shorten: a grey cat stands in place.", max_tokens=32),
    ]
    alone = open_local_captioner(folder, device="cpu", batch_size=1)
    for one, other in zip(answers(together, asked), answers(alone, asked), strict=True):
        assert isinstance(one, CaptionReply), one
        assert isinstance(other, CaptionReply), other
        assert one.text
        assert (one.text, one.prompt_tokens) == (other.text, other.prompt_tokens)


_WITHOUT_TORCHVISION = """
import sys
sys.modules["torchvision"] = None
from tests.captions.test_local_model import question, said
from videoprep.captions.local_model import open_local_captioner
from videoprep.errors import ModelError
print(said(open_local_captioner(sys.argv[1], device="cpu"), [question(0, max_tokens=32)])[0])
try:
    open_local_captioner(sys.argv[2], device="cpu")
except ModelError as error:
    print(error)
"""


def test_models_of_images_need_no_torchvision_and_those_of_videos_say_so(tmp_path: Path) -> None:
    images = build_tiny("Gemma3ForConditionalGeneration", tmp_path / "images")
    videos = build_tiny_qwen3_vl(tmp_path / "videos")
    command = [sys.executable, "-c", _WITHOUT_TORCHVISION, str(images), str(videos)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, error, remedy = done.stdout.splitlines()
    assert said
    assert "requires the Torchvision library" in error
    assert "pip install 'videoprep[caption]'" in remedy
