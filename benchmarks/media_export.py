"""Exported media read by the trainers' own code, and compared with what `encode` gives to the VAE.

    python benchmarks/media_export.py SOURCE [--diffusion-pipe CHECKOUT --comfyui CHECKOUT]
        [--musubi-tuner CHECKOUT] [--simpletuner CHECKOUT] [--ai-toolkit CHECKOUT] [--site SITE]

SOURCE is a store or an index. It is exported twice. Of the lossless files each trainer has to get
every frame of every clip to the last bit: so none is dropped, repeated, cropped or resized. Of the
others the worst PSNR of a clip is shown. A CHECKOUT is one of the trainer's repository;
diffusion-pipe reads videos by ComfyUI, its submodule, and is asked for the rate of the clips. SITE
is a folder with packages that the trainers need and this environment lacks: `pip install --target
SITE --no-deps imageio toml voluptuous trainingsample`. Packages that they import and do not use for
reading are stood in for by empty modules.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import math
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import torch
import yaml
from numpy.typing import NDArray

import videoprep as vp
from videoprep.exporters.media.clips import media_clips
from videoprep.exporters.media.run import open_plan
from videoprep.media.clip import load_clip

Pixels = NDArray[np.uint8]
Clip = tuple[str, Pixels, str]
"""Name of a file, its frames ``[F, H, W, 3]`` and its caption, as a trainer reads them."""


class Anything:
    """Stands for a class of a package that reading does not use."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass


class Absent(ModuleType):
    """Stands for a module that is imported, and not used for reading."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Anything,), {"__module__": self.__name__})


class StandIns(MetaPathFinder, Loader):
    """Gives empty modules for some packages, and all that is in them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec of an empty module, or None."""
        if any(name == one or name.startswith(f"{one}.") for one in self.names):
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty module."""
        return Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing."""


def stand_in(*names: str) -> None:
    """Empty modules for packages."""
    for name in ("diffusers", "transformers", "peft"):  # they look what else there is
        importlib.import_module(name)
    sys.meta_path.insert(0, StandIns(names))


def diffusion_pipe(checkout: Path, comfyui: Path, out: Path, fps: float) -> Iterator[Clip]:
    """Its `DirectoryDataset` sorts into size buckets, its `PreprocessMediaFile` reads."""
    stand_in("deepspeed", "torchaudio", "comfy")
    logs = importlib.import_module("deepspeed.utils.logging")
    logs.logger = logging.getLogger()  # type: ignore[attr-defined]
    latest = ModuleType("comfy_api.latest")
    latest.__path__ = [str(comfyui / "comfy_api/latest")]
    sys.modules |= {"comfy_api": ModuleType("comfy_api"), "comfy_api.latest": latest}
    latest.InputImpl = importlib.import_module("comfy_api.latest._input_impl")  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout))
    toml = importlib.import_module("toml")
    dataset = importlib.import_module("utils.dataset")
    reader = importlib.import_module("models.base").PreprocessMediaFile(
        {}, support_video=True, framerate=fps
    )
    config = toml.load(out / "diffusion-pipe.toml")
    for directory in config["directory"]:
        one = dataset.DirectoryDataset(directory, config, "model", framerate=fps)
        one.cache_metadata()
        for bucket in one.get_size_bucket_datasets():
            for row in bucket.metadata_dataset:
                ((video, _, _),) = reader(row["image_spec"], None, bucket.size_bucket)
                pixels = (video.permute(1, 2, 3, 0) * 255).round().to(torch.uint8)
                yield row["image_spec"][1], pixels.numpy(), row["caption"][0]


def musubi_tuner(checkout: Path, out: Path) -> Iterator[Clip]:
    """Its config reader makes `VideoDataset`s, which give the batches that are cached."""
    sys.path.insert(0, str(checkout / "src"))
    configs = importlib.import_module("musubi_tuner.dataset.config_utils")
    logging.getLogger().setLevel(logging.WARNING)
    config = configs.load_user_config(str(out / "musubi-tuner.toml"))
    generator = configs.BlueprintGenerator(configs.ConfigSanitizer())
    blueprint = generator.generate(config, Namespace(), architecture="wan")
    group = configs.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for dataset in group.datasets:
        for _, batch in dataset.retrieve_latent_cache_batches(1):
            for item in batch:
                stem = item.item_key.rpartition("_")[0]
                yield f"{stem}.mp4", item.content, item.caption


def simpletuner(checkout: Path, out: Path, alignment: int) -> Iterator[Clip]:
    """Its config is checked, `load_video` reads, and `TrainingSample` fits."""
    sys.path.insert(0, str(checkout))
    stand_in("simpletuner.simpletuner_sdk")
    load = importlib.import_module("simpletuner.helpers.image_manipulation.load")
    samples = importlib.import_module("simpletuner.helpers.image_manipulation.training_sample")
    configs = importlib.import_module("simpletuner.helpers.data_backend.config")
    tracker = samples.StateTracker
    tracker.set_args(Namespace(aspect_bucket_alignment=alignment, aspect_bucket_rounding=2))
    model = SimpleNamespace(get_transforms=lambda: None, MAXIMUM_CANVAS_SIZE=None)
    prompts = importlib.import_module("simpletuner.helpers.prompts").PromptHandler
    files = SimpleNamespace(
        exists=lambda path: Path(path).exists(), read=lambda path: Path(path).read_bytes()
    )
    for backend in json.loads((out / "multidatabackend.json").read_text()):
        config = configs.create_backend_config(backend, {"model_type": "lora"})
        config.validate({"model_type": "lora"})
        if backend["dataset_type"] != "video":
            continue
        tracker.set_data_backend_config(backend["id"], backend)
        for path in sorted(Path(backend["instance_data_dir"]).glob("*.mp4")):
            video = load.load_video(str(path))
            sample = samples.TrainingSample(video, backend["id"], image_metadata={}, model=model)
            caption = prompts.prepare_instance_prompt_from_textfile(
                str(path), use_captions=True, prepend_instance_prompt=False, data_backend=files
            )
            yield str(path), sample.prepare().image, caption


def ai_toolkit(checkout: Path, out: Path) -> Iterator[Clip]:
    """Its `AiToolkitDataset` sorts into buckets, and its items read."""
    sys.path.insert(0, str(checkout))
    stand_in("albumentations", "torchao", "torchaudio", "optimum", "k_diffusion", "lycoris")
    configs = importlib.import_module("toolkit.config_modules")
    loader = importlib.import_module("toolkit.data_loader")
    nothing = SimpleNamespace()
    model = SimpleNamespace(
        get_bucket_divisibility=lambda: 16,
        model_config=SimpleNamespace(latent_space_version="any"),
        vae=nothing,
        unet=nothing,
        encode_control_in_text_embeddings=False,
        text_embedding_space_version="any",
        te_padding_side="right",
        use_raw_control_images=False,
    )
    section = yaml.safe_load((out / "ai-toolkit.yaml").read_text())["datasets"]
    for raw in configs.preprocess_dataset_raw_config(section):
        dataset = loader.AiToolkitDataset(configs.DatasetConfig(**raw), sd=model)
        for item in dataset.file_list:
            item.load_and_process_video(dataset.transform)
            item.load_caption(None)
            pixels = ((item.tensor.permute(0, 2, 3, 1) + 1) / 2 * 255).round().to(torch.uint8)
            yield item.path, pixels.numpy(), item.caption


def files(out: Path) -> Iterator[Clip]:
    """As PyAV reads them, of whatever trainer."""
    for path in sorted((out / "clips").rglob("*.mp4")):
        with av.open(str(path)) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        yield str(path), np.stack(pictures), path.with_suffix(".txt").read_text(encoding="utf-8")


def compare(
    plan: vp.BucketIndex, out: Path, read: Iterator[Clip], *, lossless: bool
) -> tuple[int, float, float]:
    """How many clips were read, and the lowest and the mean PSNR of them."""
    clips = {str(out / clip.video): clip for clip in media_clips(plan)}
    found: list[float] = []
    for path, pixels, caption in read:
        clip = clips.pop(path)
        prepared = load_clip(clip.clip.pixels).permute(0, 2, 3, 1).numpy()
        require(pixels.shape == prepared.shape, f"{path}: {pixels.shape}, not {prepared.shape}")
        words = caption.split() if isinstance(caption, str) else caption
        require(words == clip.caption.split(), f"{path}: caption {caption!r}")
        require(not lossless or np.array_equal(pixels, prepared), f"{path}: pixels")
        found.append(psnr(pixels, prepared))
    require(not clips, f"not read: {', '.join(clips)}")
    return len(found), min(found), float(np.mean(found))


def psnr(pixels: Pixels, other: Pixels) -> float:
    """In decibels."""
    error = float(np.mean((pixels.astype(np.float64) - other) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def require(holds: bool, what: str) -> None:
    """Ends where the trainer reads something else than was planned."""
    if not holds:
        raise SystemExit(f"not as it was planned: {what}")


def main() -> None:
    """Exports, and reads with each trainer whose checkout is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    for name in ("diffusion-pipe", "comfyui", "musubi-tuner", "simpletuner", "ai-toolkit", "site"):
        parser.add_argument(f"--{name}", type=Path)
    chosen = parser.parse_args()
    if chosen.site:
        sys.path.append(str(chosen.site))
    plan = open_plan(chosen.source)
    with tempfile.TemporaryDirectory() as root:
        for lossless in (True, False):
            out = Path(root).resolve() / ("lossless" if lossless else "default")
            result = vp.export_media(chosen.source, output=out, lossless=lossless)
            size = sum(path.stat().st_size for path in out.rglob("*.mp4"))
            print(f"{out.name}: {size / result.clips / 1e6:.2f} MB a clip", flush=True)
            for name, read in readers(chosen, plan, out, result).items():
                count, worst, mean = compare(plan, out, read(), lossless=lossless)
                told = f"PSNR at least {worst:.1f} dB, {mean:.1f} dB on average"
                told = "equal to the last bit" if lossless else told
                print(f"{name}: {count} clips, frames and sizes as planned, {told}", flush=True)


def readers(
    chosen: Namespace, plan: vp.BucketIndex, out: Path, result: vp.MediaResult
) -> dict[str, Callable[[], Iterator[Clip]]]:
    """Those whose checkouts are given."""
    found: dict[str, Callable[[], Iterator[Clip]]] = {"PyAV": lambda: files(out)}
    if chosen.diffusion_pipe and chosen.comfyui:
        rates = {clip.rate for clip in media_clips(plan)}
        require(len(rates) == 1, f"diffusion-pipe resamples {len(rates)} rates to one")
        found["diffusion-pipe"] = lambda: diffusion_pipe(
            chosen.diffusion_pipe, chosen.comfyui, out, float(rates.pop())
        )
    if chosen.musubi_tuner:
        found["musubi-tuner"] = lambda: musubi_tuner(chosen.musubi_tuner, out)
    if chosen.simpletuner:
        alignment = int(result.commands["SimpleTuner"].rpartition("=")[2])
        found["SimpleTuner"] = lambda: simpletuner(chosen.simpletuner, out, alignment)
    if chosen.ai_toolkit:
        found["ai-toolkit"] = lambda: ai_toolkit(chosen.ai_toolkit, out)
    return found


if __name__ == "__main__":
    main()
