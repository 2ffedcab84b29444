"""Makes the model that `videoprep demo` encodes with: trains its VAE on rendered scenes.

    python -m tools.demo_model.train_vae --output FOLDER [--steps N] [--seed N]
    python -m tools.demo_model.train_vae --evaluate DATASET

The first writes a model folder, the second prints how well the model that is part of the package
gives the clips of a dataset back. The same seed gives the same weights on the same kind of CPU.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from tools.demo_model.muon import Muon
from tools.demo_model.natural_scenes import render_clip
from tools.demo_model.reconstruction import evaluate
from videoprep.demo.tiny_model import make_vae, trained_model, write_model
from videoprep.index.bucket import Bucket
from videoprep.library_logging import quiet_libraries

if TYPE_CHECKING:
    from diffusers import AutoencoderKLCogVideoX

_WIDTHS = (16, 32, 48, 48)
_GROUPS = 8
_STEPS = 5000
_BUCKET = Bucket(17, 64, 96)

# Clips, frames, height and width of a batch. First pictures alone, which teach most in a second.
_PICTURES = (8, 1, 64, 64)
_IN_TURN = ((1, 17, 64, 64), _PICTURES)

_KERNEL_LR = 0.02
_OTHER_LR = 2e-3
_WARM_UP = 100
_KL_WEIGHT = 1e-5
_EMA_DECAY = 0.998


def train(
    rng: np.random.Generator, steps: int, *, report_every: int = 250
) -> AutoencoderKLCogVideoX:
    """Trains a VAE on rendered scenes, and gives a running average of its weights.

    Weights begin, and latents are drawn, by torch's own generator.

    Args:
        rng: decides the scenes.
        steps: batches to learn from.
        report_every: after how many steps a line is printed.
    """
    vae = make_vae(_WIDTHS, groups=_GROUPS, scaling_factor=1.0)
    _begin_plainly(vae)
    optimizers = _optimizers(vae)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, steps))
        for optimizer in optimizers
    ]
    averaged = torch.optim.swa_utils.AveragedModel(
        vae, avg_fn=lambda old, new, _: old.lerp(new, 1 - _EMA_DECAY)
    )
    errors, started = [], time.perf_counter()
    for step, shape in enumerate(_shapes(steps), start=1):
        vae.zero_grad()
        loss, error = _loss(vae, _batch(rng, *shape))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
        averaged.update_parameters(vae)
        errors.append(error)
        if step % report_every == 0:
            mean = 10 * math.log10(4 / statistics.fmean(errors))
            print(f"step {step}: {mean:.2f} dB, {time.perf_counter() - started:.0f} s", flush=True)
            errors.clear()
    return averaged.module.eval()


def _begin_plainly(vae: AutoencoderKLCogVideoX) -> None:
    """First the decoder's norms only normalise, and latents are drawn with little noise."""
    with torch.no_grad():
        for name, module in vae.named_modules():
            if name.endswith(("conv_y", "conv_b")):
                module.conv.weight.mul_(0.3)
                module.conv.bias.fill_(1.0 if name.endswith("conv_y") else 0.0)
        log_variance = vae.encoder.conv_out.conv.bias[vae.config.latent_channels :]
        log_variance.fill_(-5)


def _shapes(steps: int) -> Iterator[tuple[int, int, int, int]]:
    """The shape of each step's batch."""
    yield from itertools.repeat(_PICTURES, steps // 2)
    yield from itertools.islice(itertools.cycle(_IN_TURN), steps - steps // 2)


def _optimizers(vae: AutoencoderKLCogVideoX) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the kernels of convolutions; AdamW for biases and all that norms are made of."""
    kernels: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, weights in vae.named_parameters():
        is_kernel = weights.ndim >= 4 and not {"conv_y", "conv_b"} & set(name.split("."))
        (kernels if is_kernel else others).append(weights)
    adam = torch.optim.AdamW(others, lr=_OTHER_LR, betas=(0.9, 0.99), weight_decay=0)
    return Muon(kernels, lr=_KERNEL_LR), adam


def _pace(step: int, steps: int) -> float:
    """Share of the learning rate: up, and then down along a cosine."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps))


def _batch(
    rng: np.random.Generator, clips: int, frames: int, height: int, width: int
) -> torch.Tensor:
    """Rendered clips as the VAE takes them: ``[B, 3, F, H, W]`` from −1 to 1."""
    rendered = np.stack([render_clip(rng, frames, height, width) for _ in range(clips)])
    return torch.from_numpy(rendered).permute(0, 4, 1, 2, 3) * 2 - 1


def _loss(vae: AutoencoderKLCogVideoX, pixels: torch.Tensor) -> tuple[torch.Tensor, float]:
    """What is learnt from, and the mean square error in it.

    Through the same `encode` and `decode` as ever: they go a few frames at a time, and norms see
    no more than these.
    """
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(pixels).latent_dist
        decoded = vae.decode(posterior.sample()).sample
    error = torch.nn.functional.mse_loss(decoded.float(), pixels)
    divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return error + _KL_WEIGHT * divergence, error.item()


@torch.inference_mode()
def scaling_factor(vae: AutoencoderKLCogVideoX, rng: np.random.Generator) -> float:
    """What brings the latents of scenes that training did not see to a standard deviation of 1."""
    drawn = [
        vae.encode(_batch(rng, 1, _BUCKET.frames, _BUCKET.height, _BUCKET.width)).latent_dist
        for _ in range(64)
    ]
    deviation = torch.cat([posterior.sample() for posterior in drawn]).std()
    return round(1 / deviation.item(), 6)


def print_table(model: Path, data: Path) -> None:
    """Prints the PSNR of every clip, and their median."""
    print(f"| clip, {_BUCKET} | PSNR |\n| --- | --- |")
    values = []
    for name, value in evaluate(model, data, _BUCKET):
        print(f"| {name} | {value:.1f} dB |")
        values.append(value)
    print(f"| median | {statistics.median(values):.1f} dB |")


def main(arguments: list[str] | None = None) -> None:
    """Trains or evaluates."""
    parser = argparse.ArgumentParser(description="Makes or evaluates the demo's model.")
    what: Any = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--output", type=Path, help="train, and write the model into this folder")
    what.add_argument("--evaluate", type=Path, metavar="DATASET", help="print PSNR of its clips")
    parser.add_argument("--model", type=Path, default=trained_model(), help="to evaluate")
    parser.add_argument("--steps", type=int, default=_STEPS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with quiet_libraries():
        if options.evaluate:
            print_table(options.model, options.evaluate)
        else:
            make(options.output, options.steps, options.seed)


def make(folder: Path, steps: int, seed: int) -> None:
    """Trains, measures the scaling factor and writes the model folder."""
    # Layers are so small that threads wait for each other more than they work; and one thread
    # gives the same weights wherever it runs.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    vae = train(rng, steps)
    vae.register_to_config(scaling_factor=scaling_factor(vae, rng))
    torch.manual_seed(seed)
    write_model(folder, vae, torch.float16)


if __name__ == "__main__":
    main()
