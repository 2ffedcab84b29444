"""Encoding, whole, against the bare model forwards on the same pixels and threads.

    python benchmarks/encode.py

Prints the ratio of `videoprep.encode` (decode, crop, encode, commit) to the VAE and text encoder
forwards alone, both in this run on this CPU. 1.00 would mean that everything else is free.
"""

import tempfile
import time
from pathlib import Path

import torch

import videoprep as vp
from videoprep.demo.scenes import Scene, write_scene
from videoprep.demo.tiny_model import build_tiny_model
from videoprep.families.cogvideox import FAMILY
from videoprep.families.model_folder import ModelFolder
from videoprep.media.clip import load_clip, normalize

CLIPS, FRAMES, HEIGHT, WIDTH = 6, 17, 128, 192


def make_dataset(folder: Path) -> None:
    """Some clips, large enough that the models and not the set-up dominate."""
    names, captions = [], []
    for number in range(CLIPS):
        colour = ("red", "green", "blue", "yellow", "purple", "orange")[number % 6]
        scene = Scene("ball", colour, "bounces up and down", "at noon", WIDTH, HEIGHT, FRAMES)
        names.append(f"{number}.mp4")
        captions.append(f"{scene.caption} Take {number}.")
        write_scene(folder / names[-1], scene)
    (folder / "prompt.txt").write_text("\n".join(captions) + "\n")
    (folder / "videos.txt").write_text("\n".join(names) + "\n")


def forwards(index: vp.BucketIndex, model: Path) -> float:
    """Seconds of the forwards alone, pixels decoded before."""
    folder, cpu = ModelFolder(model, "tiny"), torch.device("cpu")
    clips = list(index.clips())
    pixels = [normalize(load_clip(c.pixels, "pyav")).permute(1, 0, 2, 3)[None] for c in clips]
    text = FAMILY.load_text_encoder(folder, cpu, torch.float32)
    video = FAMILY.load_video_encoder(folder, cpu, torch.float32, tiling=False)
    video.encode(pixels[0])  # warm up
    started = time.perf_counter()
    for clip in clips:
        text.encode([clip.caption])
    for clip in pixels:
        video.encode(clip)
    return time.perf_counter() - started


def main() -> None:
    """Measures three times and prints the ratios."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_dataset(root / "data")
        model = build_tiny_model(root / "model")
        index = vp.BucketIndex.build(vp.DatasetSpec.from_path(root / "data"))
        vp.encode(index, model=model, output=root / "warm-up", device="cpu")
        ratios = []
        for attempt in range(3):
            bare = forwards(index, model)
            started = time.perf_counter()
            vp.encode(index, model=model, output=root / f"store-{attempt}", device="cpu")
            ratios.append((time.perf_counter() - started) / bare)
    print(f"{CLIPS} clips of {FRAMES}×{HEIGHT}×{WIDTH}, CPU, one thread")
    print(f"videoprep.encode / bare forwards: {', '.join(f'{r:.2f}' for r in ratios)}")


if __name__ == "__main__":
    main()
