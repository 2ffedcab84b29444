"""Trains a LoRA from a store with Lightning.

python examples/with_lightning.py latents --model THUDM/CogVideoX-2b --save cp
python examples/with_lightning.py latents --model THUDM/CogVideoX-2b --resume cp/step=20.ckpt
"""

import lightning
import torch
from cogvideox_model import COMPONENTS, collate, load, loss_of, run
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

import videoprep as vp
from videoprep.training.weights import add_lora


class Model(lightning.LightningModule):
    """A CogVideoX that learns from a store."""

    strict_loading = False  # checkpoints hold the LoRA alone

    def __init__(self, options):
        super().__init__()
        self.data = vp.LatentDataset(options.store, components=COMPONENTS)
        self.pipeline = load(self.data, options.model)
        self.transformer = self.pipeline.transformer
        torch.manual_seed(0)
        self.weights = add_lora(self.transformer, rank=16)
        self.learning_rate = options.learning_rate

    def train_dataloader(self):
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        sampler = vp.BucketBatchSampler(self.data, batch_size=2, rank=rank, world_size=ranks)
        print(sampler.describe())
        return sampler.count(DataLoader(self.data, batch_sampler=sampler, collate_fn=collate))

    def training_step(self, batch, number):
        step, rank, ranks = self.global_step + 1, self.global_rank, self.trainer.world_size
        loss = loss_of(self.data, self.pipeline, self.transformer, batch, step * ranks + rank)
        shape = tuple(batch["video_latents"].shape)
        print(f"step {step} · rank {rank} · latents {shape} · loss {loss.item():.4f}")
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.weights, lr=self.learning_rate)

    def on_save_checkpoint(self, checkpoint):
        weights = checkpoint["state_dict"].items()
        checkpoint["state_dict"] = {name: w for name, w in weights if "lora" in name}


def train(options):
    checkpoints = ModelCheckpoint(options.save, filename="{step}", every_n_train_steps=10)
    trainer = lightning.Trainer(
        max_steps=options.steps,
        callbacks=[checkpoints] if options.save else [],
        enable_checkpointing=bool(options.save),
        enable_progress_bar=False,
        logger=False,
    )
    trainer.fit(Model(options), ckpt_path=options.resume, weights_only=True)


if __name__ == "__main__":
    run(train, "save", "resume")
