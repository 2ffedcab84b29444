"""Tiny CogVideoX models in the layout of the real one, from the real classes, with fixed seeds.

One is made on the spot; the other is part of this package, and its VAE is trained, by
`tools.demo_model.train_vae`. Both are loaded by the same code as a real model.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from videoprep.demo.scenes import scenes

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKLCogVideoX

_TEXT_WIDTH = 32
VOCABULARY = 512

# English for the tokenizer to learn its pieces from; the demo's captions are added.
_ENGLISH = """
The camera follows a person who walks along a quiet street in the early morning light.
A dog runs across the grass and jumps over a small wooden fence near the house.
Waves roll slowly onto the beach while two children build a castle out of wet sand.
An old man with a grey beard sits at the window and reads a newspaper with great care.
A woman in a white dress dances in the middle of a crowded square, smiling at everyone.
Snow falls on the mountains, and a train passes through the valley below the forest.
A car drives away on a dusty road between tall trees under a clear blue sky.
Close view of hands that cut vegetables on a kitchen table, with steam in the background.
The city shines at night; people cross the bridge and lights are mirrored in the river.
A bird lands on a thin branch, looks around, opens its wings and flies off again.
In slow motion a drop of water falls into a glass and throws rings over the surface.
Several boats with colourful sails move past the harbour as the sun sets behind them.
"""


def build_tiny_model(folder: Path) -> Path:
    """Writes a model of random weights unless it is there already; gives the folder.

    It encodes and trains, and its latents show nothing; `trained_model` has a VAE that learnt.
    """
    if (folder / "model_index.json").exists():
        return folder
    import torch

    # A generator of its own would not reach the modules' initialisers.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = make_vae((8, 8, 8, 8), groups=2, scaling_factor=1.15258426)
        write_model(folder, vae)
    return folder


def trained_model() -> Path:
    """The folder of the model that is part of this package; see docs/demo_model.md."""
    return Path(__file__).parent / "model"


def trained_captioner() -> Path:
    """Return the folder of the captioner that is part of this package.

    It was trained to describe the demo's own scenes in a sentence, and knows nothing else; see
    docs/demo_model.md.
    """
    return Path(__file__).parent / "captioner"


def make_vae(
    widths: tuple[int, int, int, int], *, groups: int, scaling_factor: float
) -> AutoencoderKLCogVideoX:
    """A VAE with CogVideoX's 4 × 8 × 8 compression into 16 channels, its weights random.

    Args:
        widths: channels at full, half, quarter and eighth size.
        groups: into how many a layer's channels are normalised; a divisor of all widths.
        scaling_factor: what brings its latents to a standard deviation of 1.
    """
    from diffusers import AutoencoderKLCogVideoX

    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=groups,
        temporal_compression_ratio=4,
        scaling_factor=scaling_factor,
    )


def write_model(
    folder: Path, vae: AutoencoderKLCogVideoX, dtype: torch.dtype | None = None
) -> None:
    """Writes a VAE, and beside it all else that a model folder holds, its weights random.

    Args:
        folder: where.
        vae: the trained part, or not.
        dtype: of the weights on disk; by default float32.
    """
    import torch
    from diffusers import CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
    from transformers import T5Config, T5EncoderModel

    text_encoder = T5EncoderModel(
        T5Config(
            vocab_size=VOCABULARY,
            d_model=_TEXT_WIDTH,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
        )
    )
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=4,
        attention_head_dim=16,
        in_channels=16,
        out_channels=16,
        time_embed_dim=32,
        text_embed_dim=_TEXT_WIDTH,
        num_layers=2,
        sample_width=12,
        sample_height=8,
        sample_frames=17,
        patch_size=2,
        temporal_compression_ratio=4,
        max_text_seq_length=226,
    )
    scheduler = CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        set_alpha_to_one=True,
        snr_shift_scale=3.0,
        timestep_spacing="trailing",
    )
    parts = {"vae": vae, "text_encoder": text_encoder, "transformer": transformer}
    for name, part in parts.items():
        part.to(dtype or torch.float32).save_pretrained(folder / name)
    scheduler.save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    _write_index(folder)


def write_tokenizer(folder: Path, max_length: int = 226) -> None:
    """A SentencePiece model, the form in which the real one ships, trained on a little English."""
    import sentencepiece

    text = [line for line in _ENGLISH.splitlines() if line]
    text += [scene.caption for scene in scenes()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text),
        model_writer=model,
        model_type="unigram",
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(model.getvalue())
    config = {
        "tokenizer_class": "T5Tokenizer",
        "model_max_length": max_length,
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "extra_ids": 0,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def _write_index(folder: Path) -> None:
    """Written last: a model folder without it is not taken for whole."""
    index = {
        "_class_name": "CogVideoXPipeline",
        "scheduler": ["diffusers", "CogVideoXDDIMScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLCogVideoX"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
