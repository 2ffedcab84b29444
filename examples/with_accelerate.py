"""Trains a LoRA from a store with accelerate, in as many processes as one likes.

python examples/with_accelerate.py latents --model THUDM/CogVideoX-2b
torchrun --nproc-per-node 2 examples/with_accelerate.py latents --model THUDM/CogVideoX-2b
"""

from itertools import chain, repeat

import torch
from accelerate import Accelerator
from cogvideox_model import COMPONENTS, collate, load, loss_of, run
from torch.utils.data import DataLoader

import videoprep as vp
from videoprep.training.weights import add_lora


def train(options):
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    rank, ranks = accelerator.process_index, accelerator.num_processes
    data = vp.LatentDataset(options.store, components=COMPONENTS)
    # accelerate deals the batches out: it gets those of all processes, in turn.
    sampler = vp.BucketBatchSampler(data, batch_size=2, rank=None, world_size=ranks)
    loader = DataLoader(data, batch_sampler=sampler, collate_fn=collate)
    pipeline = load(data, options.model)
    torch.manual_seed(0)
    weights = add_lora(pipeline.transformer, rank=16)
    optimizer = torch.optim.AdamW(weights, lr=options.learning_rate)
    transformer, optimizer, loader = accelerator.prepare(pipeline.transformer, optimizer, loader)
    loader = sampler.count(loader)
    accelerator.register_for_checkpointing(sampler)
    if options.resume:
        accelerator.load_state(options.resume)
    state = sampler.state_dict()
    done = state["epoch"] * sampler.steps + state["batch"]  # epochs are of one length here
    accelerator.print(sampler.describe())

    batches = chain.from_iterable(repeat(loader))  # epoch after epoch
    for step, batch in zip(range(done + 1, options.steps + 1), batches, strict=False):
        loss = loss_of(data, pipeline, transformer, batch, seed=step * ranks + rank)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        shape = tuple(batch["video_latents"].shape)
        print(f"step {step} · rank {rank} · latents {shape} · loss {loss.item():.4f}")

    if options.save:
        accelerator.save_state(options.save)
    accelerator.end_training()


if __name__ == "__main__":
    run(train, "save", "resume")
