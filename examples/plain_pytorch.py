"""Trains a LoRA from a store in a loop of plain PyTorch, and goes on where it was stopped.

python examples/plain_pytorch.py latents --model THUDM/CogVideoX-2b --save run.pt
python examples/plain_pytorch.py latents --model THUDM/CogVideoX-2b --resume run.pt --steps 48
"""

from itertools import chain, repeat

import torch
from cogvideox_model import COMPONENTS, collate, load, loss_of, run
from torch.utils.data import DataLoader

import videoprep as vp
from videoprep.training.weights import add_lora


def train(options):
    data = vp.LatentDataset(options.store, components=COMPONENTS)
    sampler = vp.BucketBatchSampler(data, batch_size=2)
    loader = sampler.count(DataLoader(data, batch_sampler=sampler, collate_fn=collate))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = load(data, options.model)
    transformer = pipeline.transformer.to(device)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(add_lora(transformer, rank=16), lr=options.learning_rate)
    done = 0
    if options.resume:
        saved = torch.load(options.resume, map_location=device, weights_only=True)
        transformer.load_state_dict(saved["lora"], strict=False)
        optimizer.load_state_dict(saved["optimizer"])
        sampler.load_state_dict(saved["sampler"])
        done = saved["steps"]
    print(sampler.describe())

    batches = chain.from_iterable(repeat(loader))  # epoch after epoch
    for step, batch in zip(range(done + 1, options.steps + 1), batches, strict=False):
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        loss = loss_of(data, pipeline, transformer, batch, seed=step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        shape = tuple(batch["video_latents"].shape)
        print(f"step {step} · latents {shape} · loss {loss.item():.4f}")

    if options.save:
        saved = {
            "lora": {n: w for n, w in transformer.state_dict().items() if "lora" in n},
            "optimizer": optimizer.state_dict(),
            "sampler": sampler.state_dict(),
            "steps": max(done, options.steps),
        }
        torch.save(saved, options.save)


if __name__ == "__main__":
    run(train, "save", "resume")
