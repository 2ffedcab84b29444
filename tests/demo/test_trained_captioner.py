"""The captioner that is part of the package: small, whole, and it says what it sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tools.demo_captioner.evaluate import evaluate, print_table
from tools.demo_captioner.shown_scenes import draw_scene, draw_view, kinds
from tools.demo_captioner.train_captioner import make
from videoprep.captions.local_folder import open_caption_folder
from videoprep.captions.local_model import open_local_captioner
from videoprep.captions.prompts import PRESETS, Preset
from videoprep.captions.protocol import CaptionReply, CaptionRequest
from videoprep.demo.scenes import Scene, pictures
from videoprep.demo.tiny_model import trained_captioner

CAPTIONER = trained_captioner()


def test_it_is_small_and_says_where_it_comes_from() -> None:
    assert sum(path.stat().st_size for path in CAPTIONER.iterdir()) < 600_000
    assert "Apache-2.0" in (CAPTIONER / "LICENSE").read_text()


def test_it_is_of_a_real_class() -> None:
    folder = open_caption_folder(str(CAPTIONER))
    assert folder.architecture == "LlavaOnevisionForConditionalGeneration"
    assert folder.reads_frames


def _said(scene: Scene, count: int, instruction: str) -> CaptionReply:
    captioner = open_local_captioner(str(CAPTIONER), device="cpu")
    frames = list(pictures(scene, np.linspace(0, scene.frames - 1, count)))
    times = tuple(np.linspace(0, 2, count))
    request = CaptionRequest(instruction, frames, times, 2.0, max_tokens=64)
    ((_, reply),) = captioner.ask(iter([(None, request)]))
    assert isinstance(reply, CaptionReply)
    assert reply.finish == "stop"
    return reply


def test_it_is_right_about_most_scenes_that_it_never_saw() -> None:
    said = evaluate(CAPTIONER)
    rights = [one.rights() for one in said]
    share = {name: np.mean([one[name] for one in rights]) for name in rights[0]}
    assert min(share["colour"], share["motion"], share["sky"]) >= 0.9, share
    assert share["shape"] >= 0.6, share


@pytest.mark.parametrize("preset", PRESETS)
def test_it_answers_alike_however_it_is_asked(preset: Preset) -> None:
    kind = ("star", "yellow", "rolls from left to right", "at noon")
    scene = Scene(*kind, 192, 128, 24)
    assert _said(scene, 16, PRESETS[preset]).text == scene.caption


def test_what_it_never_saw_was_never_shown() -> None:
    shown, held = set(kinds(held_out=False)), set(kinds(held_out=True))
    assert len(shown) + len(held) == 3 * 6 * 3 * 3
    assert not shown & held
    rng = np.random.default_rng(0)
    drawn = [draw_scene(rng, sorted(shown)) for _ in range(200)]
    assert not held & {(one.shape, one.colour, one.motion, one.sky) for one in drawn}


def test_frames_come_from_their_seed() -> None:
    scene = Scene(*kinds(held_out=True)[0], 96, 64, 17)
    first, same, other = (
        draw_view(np.random.default_rng(seed), scene, 5, 0.8).frames for seed in (1, 1, 2)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert 0 <= first.min() < first.max() <= 1


def test_the_table_counts(capsys: pytest.CaptureFixture[str]) -> None:
    said = evaluate(CAPTIONER)[:3]
    print_table(said)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("| the whole sentence | ")
    assert all(line.endswith(" of 3 |") for line in lines[2:])


@pytest.mark.slow  # four steps of training, twice
def test_the_same_seed_makes_the_same_weights(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        for name in ("one", "other"):
            make(tmp_path / name, seed=5, steps=(2, 2))
    torch.set_num_threads(threads)
    one, other = (tmp_path / name / "model.safetensors" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
