"""Trains a LoRA from a store in plain PyTorch.

python examples/train_loop.py latents THUDM/CogVideoX-2b
"""

import argparse

import torch
from diffusers import CogVideoXDPMScheduler, CogVideoXTransformer3DModel
from peft import LoraConfig
from torch.utils.data import DataLoader

import videoprep as vp


def collate(clips):
    """Clips of one bucket have one shape: they stack."""
    return {
        name: torch.stack([clip[name] for clip in clips])
        for name in ("video_latents", "prompt_embeds")
    }


def sample(moments, scale):
    """Draws latents from the stored posterior: [B, 2C, F, H, W] to [B, F, C, H, W]."""
    mean, log_variance = moments.float().chunk(2, dim=1)
    deviation = torch.exp(0.5 * log_variance.clamp(-30, 20))
    return ((mean + deviation * torch.randn_like(mean)) * scale).permute(0, 2, 1, 3, 4)


def main() -> None:
    """Reads the arguments and trains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("model")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()

    data = vp.LatentDataset(options.store)
    scale = data.info.facts["scaling_factor"]
    sampler = vp.BucketBatchSampler(data, batch_size=2)

    scheduler = CogVideoXDPMScheduler.from_pretrained(options.model, subfolder="scheduler")
    transformer = CogVideoXTransformer3DModel.from_pretrained(
        options.model, subfolder="transformer"
    ).to(options.device)
    transformer.requires_grad_(False)
    transformer.add_adapter(LoraConfig(r=16, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    weights = [p for p in transformer.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3)

    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)
        for batch in DataLoader(data, batch_sampler=sampler, collate_fn=collate):
            latents = sample(batch["video_latents"], scale).to(options.device)
            embeds = batch["prompt_embeds"].to(options.device)
            noise = torch.randn_like(latents)
            times = torch.randint(0, 1000, (len(latents),), device=options.device)
            noisy = scheduler.add_noise(latents, noise, times)
            predicted = transformer(noisy, embeds, times, return_dict=False)[0]
            target = scheduler.get_velocity(latents, noise, times)
            loss = torch.nn.functional.mse_loss(predicted, target)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            print(f"epoch {epoch} · loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
