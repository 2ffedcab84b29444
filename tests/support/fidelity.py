"""What every family has to keep, whatever its models are."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image

import videoprep as vp
from tests.support.assets import write_lists, write_video
from videoprep.families.clip import pictures_of
from videoprep.families.component import CAPTION, FIRST_FRAME_ZEROS
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of
from videoprep.media.clip import load_clip, normalize

CPU = torch.device("cpu")
CAPTIONS = (
    "A dog.",
    "Ein Wanderer überquert die Brücke, 早上好, and a cafe\u0301.",
    "word " * 700,  # longer than any limit
    "  two   spaces &amp;amp; signs&nbsp;<b> ",
    "it doesnâ€™t\u3000matter\t",  # what ftfy mends
    "",
)


def pixels(frames: int, height: int = 64, width: int = 96, batch: int = 1) -> torch.Tensor:
    """Noise in −1…1: float32 ``[B, 3, F, H, W]``, of values that 8 bits have."""
    generator = torch.Generator().manual_seed(frames)
    shape = (batch, 3, frames, height, width)
    shown = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return 2.0 * (shown.float() / 255.0) - 1.0


def legal(family: Family, frames: int) -> int:
    """Return the largest legal number of frames up to a number."""
    found = family.profile.frames_within(frames)
    assert found is not None
    return found


def load_vae(family: Any, model: ModelFolder) -> Any:
    """The VAE itself, by diffusers' own means."""
    kind = getattr(importlib.import_module("diffusers"), family.vae_class)
    return kind.from_pretrained(str(model.path / "vae"))


def require_moments(family: Family, model: ModelFolder) -> None:
    """Stored moments are those of the VAE, and of the shape that the family says."""
    vae = load_vae(family, model)
    encoder = family.load_video_encoder(model, CPU, torch.float32, tiling=False)
    frames = legal(family, 17)
    clip = pixels(frames)
    with torch.no_grad():
        theirs = vae.encode(clip).latent_dist.parameters
    ours = encoder.encode(clip)
    assert torch.equal(ours, theirs)
    assert tuple(ours.shape[1:]) == family.shape(model, "video_latents", frames, 64, 96)


def require_shapes(family: Family, model: ModelFolder, most: int) -> None:
    """For every legal number of frames up to the most the VAE gives the shape that is said."""
    encoder = family.load_video_encoder(model, CPU, torch.float32, tiling=False)
    side = 2 * family.profile.divisor
    legal = [n for n in range(1, most + 1) if family.profile.accepts_frames(n)]
    assert len(legal) > most // 8
    for frames in legal:
        moments = encoder.encode(torch.zeros(1, 3, frames, side, side))
        shape = family.shape(model, "video_latents", frames, side, side)
        assert tuple(moments.shape[1:]) == shape
        expected = family.profile.latent_tokens(frames, side, side)
        patch = family.profile.patch
        assert expected == shape[1] * (shape[2] // patch) * (shape[3] // patch)


def require_threads(family: Family, model: ModelFolder) -> None:
    """Two clips at once give what they give one after the other."""
    encoder = family.load_video_encoder(model, CPU, torch.float32, tiling=False)
    clips = [pixels(frames, 64, 64) for frames in (17, 33, 17, 9)]
    apart = [encoder.encode(clip) for clip in clips]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(encoder.encode, clips * 3))
    assert all(torch.equal(*pair) for pair in zip(together, apart * 3, strict=True))


def require_round_trip(family: Family, model: ModelFolder) -> None:
    """What is stored in bfloat16 comes back within its precision."""
    encoder = family.load_video_encoder(model, CPU, torch.float32, tiling=False)
    moments = encoder.encode(pixels(9))
    facts = family.facts(model)
    exact, rounded = (
        family.to_transformer(stored, facts, torch.Generator().manual_seed(0))
        for stored in (moments, moments.to(torch.bfloat16))
    )
    assert rounded.dtype == torch.float32
    scale = exact.abs().max().item()
    assert (exact - rounded).abs().max().item() < scale * 2**-6


def encode_store(
    root: Path,
    model: Path,
    family: Family,
    *,
    image_latents: bool = True,
    captions: Sequence[str] = ("One.", "Another one, with more words."),
    **options: Any,
) -> vp.LatentDataset:
    """Encodes two clips; a second run finds nothing to do."""
    data = root / "data"
    side = 2 * family.profile.divisor
    for name, width in (("a", side), ("b", 2 * side)):
        write_video(data / f"{name}.mp4", width=width, height=side, frames=17, lift=ord(name))
    write_lists(data, list(captions), ["a.mp4", "b.mp4"])
    fields = {name: options.pop(name) for name in [*options] if name in vp.DatasetSpec.model_fields}
    spec = vp.DatasetSpec.from_path(data, profile=family.name, **fields)
    for expected in (True, False):
        result = vp.encode(
            spec, model=model, output=root / "store", image_latents=image_latents, device="cpu",
            progress="none", **options,
        )  # fmt: skip
        assert result is not None
        assert result.ok
        assert bool(result.encoded) == expected
    return vp.LatentDataset(root / "store")


def require_store(
    data: vp.LatentDataset,
    family: Family,
    model: ModelFolder,
    asked: AbstractSet[str] = frozenset({"image_latents"}),
) -> None:
    """Items have all that the family makes, in the shapes that it says."""
    assert data.info.family == family.name
    specs = components_of(family, model)
    made = {name for name, spec in specs.items() if not {*spec.options} or asked & {*spec.options}}
    assert set(data.components) == made
    for item in data:
        row = item["metadata"]
        for component in data.components:
            frames = specs[component].source.length(row["frames"])
            shape = family.shape(model, component, frames, row["height"], row["width"])
            found = tuple(item[component].shape)
            if specs[component].source is CAPTION and len(shape) == len(("tokens", "features")):
                assert found[0] <= shape[0]
                found = (shape[0], *found[1:])
            assert found == shape


def padded(embeds: Sequence[torch.Tensor], length: int) -> torch.Tensor:
    """Embeddings with zeros after, ``[B, length, features]``."""
    return torch.stack(
        [torch.cat([one, one.new_zeros(length - len(one), one.shape[1])]) for one in embeds]
    )


def condition(frame: torch.Tensor, frames: int) -> torch.Tensor:
    """The pixels of ``condition_latents``."""
    return FIRST_FRAME_ZEROS.arrange(frame, frames)


def first_call(pipeline: Any, *given: Any, **named: Any) -> dict[str, Any]:
    """Run a pipeline for one step; return what it gives its transformer first."""
    seen: list[dict[str, Any]] = []
    hook = pipeline.transformer.register_forward_pre_hook(
        lambda _, __, call: seen.append(dict(call)), with_kwargs=True
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline(
        *given, num_inference_steps=1, output_type="latent",
        generator=torch.Generator().manual_seed(0), **named,
    )  # fmt: skip
    hook.remove()
    return seen[0]


def require_same_output(
    pipeline: Any, theirs: Mapping[str, Any], ours: Mapping[str, torch.Tensor]
) -> None:
    """The transformer makes the same of our values as of those that the pipeline gives it.

    What is masked in ``encoder_hidden_states`` may differ: the transformer does not see it.
    """
    for name, value in ours.items():
        mask = theirs.get(name.replace("hidden_states", "attention_mask"))
        if name.startswith("encoder_hidden_states") and mask is not None:
            assert torch.equal(value[mask.bool()], theirs[name][mask.bool()]), name
        else:
            assert torch.equal(value.to(theirs[name].dtype), theirs[name]), name
    with torch.no_grad():
        made, expected = (
            pipeline.transformer(**{**theirs, **one, "return_dict": False})[0] for one in (ours, {})
        )
    assert torch.equal(made, expected)


def pictures_of_clip(store: Path, number: int = 0) -> list[Image]:
    """Return the frames of a clip of a store as pictures, decoded anew."""
    clip = list(vp.BucketIndex.load(store / "index.parquet").clips())[number]
    frames = normalize(load_clip(clip.pixels))[:, :, None]  # each as a clip of one frame
    return pictures_of(frames)
