"""The thin trainer: reads a store and trains a LoRA. Never looks into `videoprep.encoding`."""
