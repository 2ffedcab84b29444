"""Makes the captioner of `videoprep demo --from-footage`: trains it on the demo's own scenes.

    python -m tools.demo_captioner.train_captioner --output FOLDER [--seed N]
    python -m tools.demo_captioner.train_captioner --evaluate [--model FOLDER]

The first writes a model folder; the second prints how often it says the right thing of scenes that
it never saw. The same seed gives the same weights on the same kind of CPU.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from tools.demo_captioner.evaluate import evaluate, print_table
from tools.demo_captioner.model import make_model, make_processor, save
from tools.demo_captioner.shown_scenes import draw_scene, draw_view, kinds
from tools.demo_model.muon import Muon
from videoprep.captions.prompts import PRESETS
from videoprep.demo.scenes import COLOURS, MOTIONS, SHAPES, SKIES, Scene
from videoprep.demo.tiny_model import trained_captioner
from videoprep.library_logging import quiet_libraries

_LOOK_STEPS, _TALK_STEPS = 2200, 700
_LOOK_SCENES, _LOOK_FRAMES = 48, 3
_NEAREST = 0.4  # the share of a picture's sides that is seen, at the least
_BATCH = 32
_FEWEST, _MOST = 4, 12  # frames

_MATRIX_LR = 0.02
_OTHER_LR = 3e-3
_WARM_UP = 40
_EMA_DECAY = 0.98
_REPORT_EVERY = 50

Kinds = Sequence[tuple[str, str, str, str]]


class SceneHeads(torch.nn.Module):
    """What is asked of the features of a frame while the vision tower learns to look.

    Args:
        width: of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        names = {"shape": SHAPES, "colour": COLOURS, "sky": SKIES}
        self.kinds = torch.nn.ModuleDict(
            {name: torch.nn.Linear(2 * width, len(words)) for name, words in names.items()}
        )
        self.place = torch.nn.Linear(2 * width, 2)

    def loss(
        self, features: torch.Tensor, scenes: Sequence[Scene], places: torch.Tensor
    ) -> torch.Tensor:
        """Return how wrong they are.

        Args:
            features: of the patches of frames, ``[frames, patches, width]``.
            scenes: that of each frame.
            places: where the shape is in each, ``[frames, 2]``.
        """
        # The shape is in few of the patches: the largest values tell of it.
        pooled = torch.cat([features.mean(dim=1), features.amax(dim=1)], dim=-1)
        named = {
            "shape": [SHAPES.index(one.shape) for one in scenes],
            "colour": [COLOURS.index(one.colour) for one in scenes],
            "sky": [SKIES.index(one.sky) for one in scenes],
        }
        losses = [
            torch.nn.functional.cross_entropy(head(pooled), torch.tensor(named[name]))
            for name, head in self.kinds.items()
        ]
        far = torch.nn.functional.mse_loss(self.place(pooled), places)
        return torch.stack([*losses, 10 * far]).sum()


def learn_to_look(rng: np.random.Generator, tower: Any, steps: int) -> None:
    """Train a vision tower to tell shape, colour, sky and place from single frames.

    Args:
        rng: decides the scenes.
        tower: is changed.
        steps: batches to learn from.
    """
    heads = SceneHeads(tower.config.hidden_size)
    among = kinds(held_out=False)

    def loss() -> torch.Tensor:
        shown = [draw_scene(rng, among) for _ in range(_LOOK_SCENES)]
        views = [
            draw_view(rng, scene, _LOOK_FRAMES, rng.uniform(0, 0.5), least=_NEAREST)
            for scene in shown
        ]
        frames = torch.from_numpy(np.concatenate([view.frames for view in views]))
        places = torch.from_numpy(np.concatenate([view.places for view in views]))
        features = tower(_pixels(frames)).last_hidden_state
        scenes = [scene for scene in shown for _ in range(_LOOK_FRAMES)]
        return heads.loss(features, scenes, places)

    _descend(torch.nn.ModuleList([tower, heads]), loss, steps, "look")


def learn_to_talk(rng: np.random.Generator, model: Any, processor: Any, steps: int) -> None:
    """Train a captioner to say what its vision tower, which stays as it is, tells of frames.

    Args:
        rng: decides the scenes and the questions.
        model: is changed.
        processor: turns questions into tokens.
        steps: batches to learn from.
    """
    among = kinds(held_out=False)
    model.model.vision_tower.requires_grad_(False)
    _descend(model, lambda: model(**_batch(rng, processor, among)).loss, steps, "talk")
    model.requires_grad_(True)


def _descend(
    model: torch.nn.Module, loss: Callable[[], torch.Tensor], steps: int, what: str
) -> None:
    """Train what has gradients, and leave a running average of its weights."""
    optimizers = _optimizers(model)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(one, lambda step: _pace(step, steps))
        for one in optimizers
    ]
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    averages = [weights.detach().clone() for weights in trained]
    losses, began = [], time.perf_counter()
    for step in range(1, steps + 1):
        model.zero_grad()
        found = loss()
        found.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        for average, weights in zip(averages, trained, strict=True):
            average.lerp_(weights.detach(), 1 - _EMA_DECAY)
        losses.append(found.item())
        if step % _REPORT_EVERY == 0:
            took = time.perf_counter() - began
            print(f"{what} {step}: {statistics.fmean(losses):.4f}, {took:.0f} s", flush=True)
            losses.clear()
    with torch.no_grad():
        for average, weights in zip(averages, trained, strict=True):
            weights.copy_(average)


def _optimizers(model: torch.nn.Module) -> tuple[torch.optim.Optimizer, ...]:
    """Return Muon for the matrices of layers; AdamW for embeddings, biases and norms."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, weights in model.named_parameters():
        if not weights.requires_grad:
            continue
        is_matrix = weights.ndim >= 2 and "embed" not in name and "lm_head" not in name
        (matrices if is_matrix else others).append(weights)
    adam = torch.optim.AdamW(others, lr=_OTHER_LR, betas=(0.9, 0.98), weight_decay=0)
    return Muon(matrices, lr=_MATRIX_LR), adam


def _pace(step: int, steps: int) -> float:
    """The share of the learning rate: up, and then down along a cosine."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def _batch(rng: np.random.Generator, processor: Any, among: Kinds) -> dict[str, torch.Tensor]:
    """Return the same question on scenes, each with its answer. Only answers are learnt from."""
    count = int(rng.integers(_FEWEST, _MOST + 1))
    shown = [draw_scene(rng, among) for _ in range(_BATCH)]
    frames = np.stack([draw_view(rng, scene, count, rng.uniform(0.6, 1)).frames for scene in shown])
    asked = _tokens_of_question(processor, _question(rng), frames[0])
    answers = [
        processor.tokenizer(scene.caption + processor.tokenizer.eos_token)["input_ids"]
        for scene in shown
    ]
    longest = max(map(len, answers))
    ids = torch.full((_BATCH, len(asked) + longest), processor.tokenizer.pad_token_id)
    labels = torch.full_like(ids, -100)
    for row, answer in enumerate(answers):
        end = len(asked) + len(answer)
        ids[row, : len(asked)] = torch.tensor(asked)
        ids[row, len(asked) : end] = labels[row, len(asked) : end] = torch.tensor(answer)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": labels,
        "pixel_values_videos": _pixels(torch.from_numpy(frames)),
    }


def _pixels(frames: torch.Tensor) -> torch.Tensor:
    """Return frames as the model takes them: ``[…, 3, SIDE, SIDE]`` from −1 to 1."""
    return frames.movedim(-1, -3) * 2 - 1


def _question(rng: np.random.Generator) -> str:
    """Return words that are asked for a caption with: it says the same however it is asked."""
    words = list(PRESETS.values())[rng.integers(len(PRESETS))].split()
    if rng.random() < 0.15:
        return " ".join(words)
    begin = int(rng.integers(len(words)))
    return " ".join(words[begin : begin + int(rng.integers(1, 16))])


def _tokens_of_question(processor: Any, question: str, frames: Any) -> list[int]:
    parts = [{"type": "video"}, {"type": "text", "text": question}]
    text = processor.apply_chat_template(
        [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
    )
    made = processor(text=[text], videos=[(frames * 255).astype(np.uint8)], do_sample_frames=False)
    tokens: list[int] = made["input_ids"][0]
    return tokens


def _sentences() -> list[str]:
    """Return what the vocabulary is learnt from: the scenes' words first, then those asked with."""
    every = [
        Scene(shape, colour, motion, sky, 64, 64, 17).caption
        for shape in SHAPES
        for colour in COLOURS
        for motion in MOTIONS
        for sky in SKIES
    ]
    return [*every, *(preset for preset in PRESETS.values() for _ in range(8))]


def make(folder: Path, seed: int, *, steps: tuple[int, int] = (_LOOK_STEPS, _TALK_STEPS)) -> None:
    """Train and write the model folder.

    Args:
        folder: where.
        seed: decides the first weights and all that is shown.
        steps: batches of single frames, and batches of clips with captions.
    """
    # One thread gives the same weights wherever it runs.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    processor = make_processor(_sentences())
    model = make_model(processor.tokenizer)
    look, talk = steps
    learn_to_look(rng, model.model.vision_tower, look)
    learn_to_talk(rng, model, processor, talk)
    save(model.eval(), processor, folder)


def main(arguments: list[str] | None = None) -> None:
    """Train or evaluate."""
    parser = argparse.ArgumentParser(description="Makes or evaluates the demo's captioner.")
    what: Any = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", type=Path, help="train, and write the model into this folder")
    what.add_argument("--evaluate", action="store_true", help="ask it about scenes it never saw")
    parser.add_argument("--model", type=Path, default=trained_captioner(), help="to evaluate")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with quiet_libraries():
        if options.evaluate:
            print_table(evaluate(options.model))
        else:
            make(options.output, options.seed)


if __name__ == "__main__":
    main()
