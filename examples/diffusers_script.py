"""A LoRA script in the manner of diffusers, whose videos are swapped for a store.

python examples/diffusers_script.py latents --model THUDM/CogVideoX-2b --save lora

In diffusers' examples/cogvideo/train_cogvideox_lora.py these lines are swapped; tokenizer, text
encoder, VAE, and the encoding of all videos before the first step, go without substitute:
-   train_dataset = VideoDataset(instance_data_root=args.instance_data_root, …)
+   train_dataset = vp.LatentDataset(args.store, components=COMPONENTS)
+   family, facts = families()[train_dataset.info.family], train_dataset.info.facts
-   train_dataloader = DataLoader(train_dataset, batch_size=args.train_batch_size, collate_fn=…)
+   ranks = accelerator.num_processes
+   sampler = vp.BucketBatchSampler(train_dataset, batch_size=2, rank=None, world_size=ranks)
+   train_dataloader = DataLoader(train_dataset, batch_sampler=sampler, collate_fn=collate)
-   model_input = batch["videos"].to(dtype=weight_dtype)  # [B, F, C, H, W]
+   model_input = family.to_transformer(batch["video_latents"], facts).to(weight_dtype)
-   prompt_embeds = compute_prompt_embeddings(tokenizer, text_encoder, batch["prompts"], …)
+   prompt_embeds = batch["prompt_embeds"].to(weight_dtype)
-   image_rotary_emb = prepare_rotary_positional_embeddings(height=args.height, …)
+   image_rotary_emb = positions_of(pipe, model_input)
"""

from itertools import chain, repeat

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from cogvideox_model import COMPONENTS, collate, load, positions_of, run
from diffusers import CogVideoXPipeline
from diffusers.training_utils import cast_training_params
from peft import LoraConfig, get_peft_model_state_dict
from torch.utils.data import DataLoader

import videoprep as vp
from videoprep.families.registry import families


def main(args):
    gpu = torch.cuda.is_available()
    accelerator = Accelerator(mixed_precision="bf16" if gpu else "no", cpu=not gpu)
    set_seed(0, device_specific=True)
    train_dataset = vp.LatentDataset(args.store, components=COMPONENTS)
    family, facts = families()[train_dataset.info.family], train_dataset.info.facts
    ranks = accelerator.num_processes
    sampler = vp.BucketBatchSampler(train_dataset, batch_size=2, rank=None, world_size=ranks)
    train_dataloader = DataLoader(train_dataset, batch_sampler=sampler, collate_fn=collate)

    pipe = load(train_dataset, args.model)
    scheduler, weight_dtype = pipe.scheduler, pipe.transformer.dtype
    pipe.transformer.requires_grad_(False)
    lora = LoraConfig(r=16, lora_alpha=16, target_modules=["to_k", "to_q", "to_v", "to_out.0"])
    pipe.transformer.add_adapter(lora)
    cast_training_params(pipe.transformer)
    trained = [weight for weight in pipe.transformer.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.learning_rate)
    transformer, optimizer = accelerator.prepare(pipe.transformer, optimizer)
    batches = chain.from_iterable(repeat(accelerator.prepare(train_dataloader)))
    for global_step, batch in zip(range(args.steps), batches, strict=False):
        model_input = family.to_transformer(batch["video_latents"], facts).to(weight_dtype)
        prompt_embeds = batch["prompt_embeds"].to(weight_dtype)
        noise = torch.randn_like(model_input)
        timesteps = torch.randint(0, 1000, (len(noise),), device=noise.device)
        image_rotary_emb = positions_of(pipe, model_input)
        noisy_model_input = scheduler.add_noise(model_input, noise, timesteps)
        conditions = {"timestep": timesteps, "image_rotary_emb": image_rotary_emb}
        model_output = transformer(noisy_model_input, prompt_embeds, **conditions).sample
        model_pred = scheduler.get_velocity(model_output, noisy_model_input, timesteps)
        weights = 1 / (1 - scheduler.alphas_cumprod[timesteps]).view(-1, 1, 1, 1, 1)
        loss = torch.mean(weights * (model_pred - model_input) ** 2)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.print(f"step {global_step + 1} · loss {loss.item():.4f}")
    if args.save and accelerator.is_main_process:
        layers = get_peft_model_state_dict(accelerator.unwrap_model(transformer))
        CogVideoXPipeline.save_lora_weights(args.save, layers)


if __name__ == "__main__":
    run(main, "save")
