"""Dataset configs read by the trainers' own code, and by videoprep: clips, frames and buckets.

    python benchmarks/against_configs.py [--musubi-tuner CHECKOUT] [--diffusion-pipe CHECKOUT]
        [--comfyui CHECKOUT] [--ai-toolkit CHECKOUT] [--simpletuner CHECKOUT]
        [--finetrainers CHECKOUT] [--site SITE]

A folder is made of videos whose frames are grey and tell their numbers, of several sizes, rates and
lengths, and of still images. For each trainer whose CHECKOUT is given several configs are written
for it. What the trainer's own dataset code makes of the folder is compared with videoprep's
forecast of it: for each file its clips, the bucket of each, and which frames of the file are in it.
Then videoprep's own plan is compared with it.

diffusion-pipe opens videos by ComfyUI, its submodule. Without a checkout of that, PyAV answers in
its place: width, height, announced frames and average rate of the first video stream. SITE is a
folder with packages that the trainers need and this environment lacks: `pip install --target SITE
--no-deps imageio toml voluptuous trainingsample`. Packages that they import and do not use for
reading are stood in for by empty modules.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import logging
import os
import random
import shutil
import sys
import tempfile
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import yaml
from media_export import stand_in
from numpy.typing import NDArray
from PIL import Image

from videoprep.index.forecasts import SampleForecast, forecasts_of
from videoprep.spec.dataset_group import DatasetGroup

PROFILE = "wan"
RATE = 16.0

VIDEOS: Mapping[str, tuple[int, int, int, int]] = {
    "wide": (640, 360, 30, 90),
    "small": (320, 240, 24, 48),
    "tall": (360, 640, 25, 25),
    "large": (960, 540, 60, 130),
    "slow": (640, 360, 12, 36),
    "square": (480, 480, 16, 49),
    "odd": (500, 282, 25, 101),
    "short": (640, 360, 24, 7),
    "ultra": (720, 180, 30, 121),
}
"""Width, height, rate and frames."""
IMAGES: Mapping[str, tuple[int, int]] = {
    "picture": (700, 500), "portrait": (300, 800), "tiny": (200, 120)
}  # fmt: skip

Clip = tuple[str, tuple[int, int, int], tuple[int, ...]]
"""Name of a file, its frames, height and width, and which frames of the file they are."""


def make_folder(folder: Path) -> None:
    """Videos whose frame n is of one grey, and still images; each with a caption."""
    for name, (width, height, rate, frames) in VIDEOS.items():
        path = folder / "videos" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate, options={"qp": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for number in range(frames):
                picture = np.full((height * 3 // 2, width), 128, np.uint8)
                picture[:height] = 30 + number  # luma; every step is one of its own in RGB, too
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")):
                    out.mux(packet)
            for packet in stream.encode():
                out.mux(packet)
        path.with_suffix(".txt").write_text(f"a caption of {name}")
    for name, size in IMAGES.items():
        path = folder / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (20, 20, 20)).save(path)
        path.with_suffix(".txt").write_text(f"a caption of {name}")


class Numbers:
    """Tells which frames of a file pictures are, by their grey."""

    def __init__(self) -> None:
        self._known: dict[str, NDArray[np.float64]] = {}

    def of(self, path: str, greys: Sequence[float]) -> tuple[int, ...]:
        """Frame numbers of a file, whose frames are decoded once."""
        if path.endswith(".png"):
            return (0,) * len(greys)
        if path not in self._known:
            with av.open(path) as file:
                frames = (frame.to_ndarray(format="rgb24") for frame in file.decode(video=0))
                self._known[path] = np.array([float(one.mean()) for one in frames])
        known = self._known[path]
        return tuple(int(np.abs(known - grey).argmin()) for grey in greys)


NUMBERS = Numbers()


def clip_of(path: str, pixels: NDArray[Any]) -> Clip:
    """A clip ``[F, H, W, 3]`` of 0 to 255 as it is compared."""
    greys = pixels.reshape(len(pixels), -1).mean(axis=1)
    return Path(path).name, (len(pixels), *pixels.shape[1:3]), NUMBERS.of(path, greys.tolist())


# ---------------------------------------------------------------------------------- musubi-tuner


def musubi_configs(folder: Path) -> Iterator[tuple[str, str]]:
    """Configs of every way to extract frames, with and without buckets and a rate."""
    for extraction, more in (
        ("head", ""),
        ("chunk", ""),
        ("slide", "frame_stride = 7"),
        ("uniform", "frame_sample = 4"),
        ("full", "max_frames = 61"),
    ):
        for rate in ("", "source_fps = 30.0", "source_fps = 12.0"):
            yield f"{extraction} {rate or 'any rate'}", musubi_text(folder, extraction, more, rate)
    yield "no buckets", musubi_text(folder, "head", "", "", bucket="false")
    yield "no upscale", musubi_text(folder, "head", "", "", no_upscale="true")


def musubi_text(
    folder: Path,
    extraction: str,
    more: str,
    rate: str,
    bucket: str = "true",
    no_upscale: str = "false",
) -> str:
    """A config of videos and images."""
    return f"""
[general]
resolution = [640, 368]
caption_extension = ".txt"
batch_size = 1
enable_bucket = {bucket}
bucket_no_upscale = {no_upscale}
[[datasets]]
video_directory = "{folder}/videos"
cache_directory = "{folder}/cache/videos"
target_frames = [1, 17, 26, 45]
frame_extraction = "{extraction}"
{more}
{rate}
num_repeats = 2
[[datasets]]
image_directory = "{folder}/images"
cache_directory = "{folder}/cache/images"
"""  # fmt: skip


def musubi_tuner(checkout: Path, config: Path) -> Iterator[Clip]:
    """Its config reader makes datasets, which give the batches that are cached."""
    if str(checkout / "src") not in sys.path:
        sys.path.insert(0, str(checkout / "src"))
    configs = importlib.import_module("musubi_tuner.dataset.config_utils")
    user = configs.load_user_config(str(config))
    generator = configs.BlueprintGenerator(configs.ConfigSanitizer())
    blueprint = generator.generate(user, Namespace(), architecture=PROFILE)
    group = configs.generate_dataset_group_by_blueprint(blueprint.dataset_group)
    for dataset in group.datasets:
        is_video = type(dataset).__name__ == "VideoDataset"
        seen = set()
        for _, batch in dataset.retrieve_latent_cache_batches(1):
            for item in batch:
                if item.latent_cache_path in seen:  # the later file replaces the one before
                    continue
                seen.add(item.latent_cache_path)
                body, ending = os.path.splitext(item.item_key)
                path = (body.rpartition("_")[0] if is_video else body) + ending
                pixels = item.content if is_video else item.content[None]
                yield clip_of(path, pixels)


# -------------------------------------------------------------------------------- diffusion-pipe


def pipe_configs(folder: Path) -> Iterator[tuple[str, str]]:
    """Configs of aspect ratios, lengths and listed buckets."""
    directories = f"""
[[directory]]
path = "{folder}/videos"
num_repeats = 2
[[directory]]
path = "{folder}/images"
"""
    ratios = "enable_ar_bucket = true\nmin_ar = 0.5\nmax_ar = 2.0\nnum_ar_buckets = 7\n"
    frames = "frame_buckets = [1, 17, 33]\n"
    yield "two resolutions", f"resolutions = [256, 512]\n{ratios}{frames}{directories}"
    yield "squares", f"resolutions = [[640, 360]]\n{frames}{directories}"
    listed = "ar_buckets = [[16, 9], [1, 1], [9, 16], [4, 3]]\nenable_ar_bucket = true\n"
    yield "listed ratios", f"resolutions = [384]\n{listed}frame_buckets = [9, 49]\n{directories}"
    ascending = "size_buckets = [[352, 640, 17], [480, 480, 17], [640, 352, 33], [640, 352, 1]]\n"
    yield "size buckets", f"{ascending}{directories}"
    unsorted = "size_buckets = [[640, 352, 17], [352, 640, 17], [480, 480, 17], [480, 480, 1]]\n"
    yield "size buckets in another order", f"{unsorted}{directories}"


class PyavVideo:
    """Stands for ComfyUI's video: what diffusion-pipe asks it, answered by PyAV."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height of the first video stream."""
        with av.open(self._path) as file:
            stream = file.streams.video[0]
            return stream.width, stream.height

    def get_frame_count(self) -> int:
        """The frames that the header announces."""
        with av.open(self._path) as file:
            return file.streams.video[0].frames

    def get_frame_rate(self) -> Fraction:
        """The average rate."""
        with av.open(self._path) as file:
            return Fraction(file.streams.video[0].average_rate or 1)

    def get_components(self) -> SimpleNamespace:
        """All frames."""
        import torch

        with av.open(self._path) as file:
            frames = [one.to_ndarray(format="rgb24") for one in file.decode(video=0)]
        images = torch.from_numpy(np.stack(frames)).float() / 255
        return SimpleNamespace(images=images, audio=None, frame_rate=self.get_frame_rate())


def diffusion_pipe(checkout: Path, comfyui: Path | None, config: Path) -> Iterator[Clip]:
    """Its `DirectoryDataset` sorts into size buckets, its `PreprocessMediaFile` reads."""
    if "utils.dataset" not in sys.modules:
        prepare_pipe(checkout, comfyui)
    dataset = importlib.import_module("utils.dataset")
    dataset.NUM_PROC = 1
    toml = importlib.import_module("toml")
    base = importlib.import_module("models.base")
    user = toml.load(str(config))
    reader = base.PreprocessMediaFile({}, support_video=True, framerate=RATE)
    for directory in user["directory"]:
        shutil.rmtree(Path(directory["path"]) / "cache", ignore_errors=True)
        one = dataset.DirectoryDataset(
            directory, user, "model", framerate=RATE, round_to_multiple=16
        )
        one.cache_metadata(regenerate_cache=True)
        for bucket in one.ar_bucket_datasets if not one.use_size_buckets else ():
            for side in one.resolutions:  # as ARBucketDataset.cache_latents does
                width = (side**2 * bucket.ar_frames[0]) ** 0.5
                nearest = dataset.round_to_nearest_multiple
                size = (nearest(width, 16), nearest(side**2 / width, 16), bucket.ar_frames[1])
                yield from pipe_clips(reader, bucket.metadata_dataset, size)
        for bucket in one.size_bucket_datasets if one.use_size_buckets else ():
            yield from pipe_clips(reader, bucket.metadata_dataset, bucket.size_bucket)
        shutil.rmtree(Path(directory["path"]) / "cache", ignore_errors=True)


def pipe_clips(reader: Any, rows: Any, size: Sequence[int]) -> Iterator[Clip]:
    """The clips of a size bucket."""
    for row in rows:
        ((video, _, _),) = reader(row["image_spec"], None, size)
        pixels = (video.permute(1, 2, 3, 0) * 255).numpy()
        yield clip_of(row["image_spec"][1], pixels)


def prepare_pipe(checkout: Path, comfyui: Path | None) -> None:
    """Makes it importable."""
    stand_in("deepspeed", "torchaudio", "comfy", "peft", "accelerate")
    logs = importlib.import_module("deepspeed.utils.logging")
    logs.logger = logging.getLogger()  # type: ignore[attr-defined]
    comm = importlib.import_module("deepspeed.comm.comm")
    comm.get_rank = lambda: 0  # type: ignore[attr-defined]
    latest = ModuleType("comfy_api.latest")
    sys.modules |= {"comfy_api": ModuleType("comfy_api"), "comfy_api.latest": latest}
    if comfyui is not None:
        latest.__path__ = [str(comfyui / "comfy_api/latest")]
        latest.InputImpl = importlib.import_module("comfy_api.latest._input_impl")  # type: ignore[attr-defined]
    else:
        latest.InputImpl = SimpleNamespace(VideoFromFile=PyavVideo)  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout))


# ------------------------------------------------------------------------------------ ai-toolkit


def toolkit_configs(folder: Path) -> Iterator[tuple[str, str]]:
    """Configs of every way to choose frames."""
    ways: Mapping[str, Mapping[str, Any]] = {
        "shrunk": {"num_frames": 33},
        "at a rate": {"num_frames": 17, "shrink_video_to_frames": False, "fps": 16},
        "automatic": {"auto_frame_count": True, "fps": 16},
        "automatic, with its tail": {
            "auto_frame_count": True, "fps": 16, "trim_auto_frame_count_tail": False
        },
        "squares": {"num_frames": 9, "square_crop": True},
    }  # fmt: skip
    for name, way in ways.items():
        datasets = [
            {"folder_path": f"{folder}/{kind}", "resolution": [384, 512], **way}
            for kind in ("videos", "images")
        ]
        process = {"type": "sd_trainer", "model": {"arch": "wan21:1b"}, "datasets": datasets}
        yield name, yaml.safe_dump({"job": "extension", "config": {"process": [process]}})


def ai_toolkit(checkout: Path, config: Path) -> Iterator[Clip]:
    """Its `AiToolkitDataset` sorts into buckets, and its items read."""
    if str(checkout) not in sys.path:
        stand_in("albumentations", "torchao", "torchaudio", "optimum", "k_diffusion", "lycoris")
        sys.path.insert(0, str(checkout))
    configs = importlib.import_module("toolkit.config_modules")
    loader = importlib.import_module("toolkit.data_loader")
    model = SimpleNamespace(
        get_bucket_divisibility=lambda: 16,
        model_config=SimpleNamespace(latent_space_version="any"),
        vae=SimpleNamespace(config=SimpleNamespace(scale_factor_temporal=4)),
        unet=SimpleNamespace(),
        encode_control_in_text_embeddings=False,
        text_embedding_space_version="any",
        te_padding_side="right",
        use_raw_control_images=False,
    )
    random.randint = lambda low, high: low  # type: ignore[assignment]  # the first of all starts
    process = yaml.safe_load(config.read_text())["config"]["process"][0]
    for raw in configs.preprocess_dataset_raw_config(process["datasets"]):
        dataset = loader.AiToolkitDataset(configs.DatasetConfig(**raw), sd=model)
        for item in dataset.file_list:
            if item.is_video:
                item.load_and_process_video(dataset.transform)
                tensor = item.tensor
            else:
                item.load_and_process_image(dataset.transform)
                tensor = item.tensor[None]
            pixels = ((tensor.permute(0, 2, 3, 1) + 1) / 2 * 255).numpy()
            yield clip_of(item.path, pixels)


# ----------------------------------------------------------------------------------- SimpleTuner


def tuner_configs(folder: Path) -> Iterator[tuple[str, str]]:
    """Configs of every kind of resolution, with and without cropping."""
    ways: Mapping[str, Mapping[str, Any]] = {
        "pixels": {"resolution": 384, "resolution_type": "pixel"},
        "megapixels": {"resolution": 0.25, "resolution_type": "area"},
        "another area": {"resolution": 0.4, "resolution_type": "area"},
        "cut to squares": {"resolution": 0.25, "resolution_type": "area", "crop": True,
                           "crop_style": "center", "crop_aspect": "square"},
        "cut": {"resolution": 320, "resolution_type": "pixel", "crop": True,
                "crop_style": "center", "crop_aspect": "preserve"},
        "no small ones": {"resolution": 384, "resolution_type": "pixel",
                          "minimum_image_size": 300},
    }  # fmt: skip
    for name, way in ways.items():
        video = {"num_frames": 33, "min_frames": 17, "max_frames": 150}
        backends = [
            {"id": "videos", "type": "local", "dataset_type": "video", "video": video,
             "instance_data_dir": f"{folder}/videos", "caption_strategy": "textfile", **way},
            {"id": "images", "type": "local", "dataset_type": "image",
             "instance_data_dir": f"{folder}/images", "caption_strategy": "textfile", **way},
            {"id": "text", "type": "local", "dataset_type": "text_embeds", "default": True,
             "cache_dir": f"{folder}/cache"},
        ]  # fmt: skip
        yield name, json.dumps(backends, indent=1)


def simpletuner(checkout: Path, config: Path) -> Iterator[Clip]:
    """Its checks, `load_video`, its model's frame counts, and `TrainingSample`."""
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
        stand_in("simpletuner.simpletuner_sdk")
    load = importlib.import_module("simpletuner.helpers.image_manipulation.load")
    samples = importlib.import_module("simpletuner.helpers.image_manipulation.training_sample")
    backends = importlib.import_module("simpletuner.helpers.metadata.backends.base")
    adjust = frames_of_wan(checkout)
    tracker = samples.StateTracker
    tracker.set_args(Namespace(aspect_bucket_alignment=64, aspect_bucket_rounding=2))
    # It keeps the first size of each aspect ratio in a file of the training run.
    tracker.get_resolution_by_aspect = staticmethod(lambda **_: None)
    tracker.set_resolution_by_aspect = staticmethod(lambda **_: None)
    model = SimpleNamespace(get_transforms=lambda: None, MAXIMUM_CANVAS_SIZE=None)
    for backend in json.loads(config.read_text()):
        if backend["dataset_type"] not in ("video", "image"):
            continue
        tracker.set_data_backend_config(backend["id"], backend)
        video = backend.get("video", {})
        is_video = backend["dataset_type"] == "video"
        rules = SimpleNamespace(
            dataset_config=backend, id=backend["id"], resolution_type=backend["resolution_type"],
            dataset_type=backends.DatasetType.VIDEO if is_video else backends.DatasetType.IMAGE,
            minimum_num_frames=video.get("min_frames"), maximum_num_frames=video.get("max_frames"),
            minimum_image_size=backend.get("minimum_image_size"),
        )  # fmt: skip
        for path in sorted(
            Path(backend["instance_data_dir"]).glob("*.mp4" if is_video else "*.png")
        ):
            media = load.load_video(str(path)) if is_video else load.load_image(str(path))
            if is_video:
                media, _, _ = load.adjust_video_frames_for_model(media, adjust)
            if not backends.MetadataBackend.meets_resolution_requirements(rules, image=media):
                continue
            sample = samples.TrainingSample(media, backend["id"], image_metadata={}, model=model)
            pixels = np.asarray(sample.prepare().image)
            pixels = pixels[: video["num_frames"]] if is_video else pixels[None]
            yield clip_of(str(path), pixels)


def frames_of_wan(checkout: Path) -> Any:
    """Its Wan model's own method for frame counts, without what the model imports."""
    import ast

    text = (checkout / "simpletuner/helpers/models/wan/model.py").read_text()
    found = next(
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.name == "adjust_video_frames"
    )
    found.decorator_list = []
    space: dict[str, Any] = {}
    exec(compile(ast.Module([found], []), "model.py", "exec"), space)
    return SimpleNamespace(adjust_video_frames=lambda count: space[found.name](None, count))


# ---------------------------------------------------------------------------------- finetrainers


def finetrainers_configs(folder: Path) -> Iterator[tuple[str, str]]:
    """Configs of several buckets."""
    for mode in ("bicubic", "resize_crop"):
        datasets = [
            {"data_root": f"{folder}/videos", "dataset_type": "video", "reshape_mode": mode,
             "video_resolution_buckets": [[17, 320, 576], [33, 320, 576], [33, 576, 320],
                                          [33, 480, 480], [49, 320, 576]]},
            # Of single images its resize_crop ends with an error.
            {"data_root": f"{folder}/images", "dataset_type": "image", "reshape_mode": "bicubic",
             "image_resolution_buckets": [[512, 512], [384, 640]]},
        ]  # fmt: skip
        yield mode, json.dumps({"datasets": datasets}, indent=1)


def finetrainers(checkout: Path, config: Path) -> Iterator[Clip]:
    """Its functions that choose a bucket and fit; files are decoded by PyAV."""
    import torch

    image, video = (
        module_at(checkout / f"finetrainers/functional/{name}.py") for name in ("image", "video")
    )
    for one in json.loads(config.read_text())["datasets"]:
        for path in sorted(Path(one["data_root"]).glob("*.txt")):
            name = next(p for p in path.parent.glob(f"{path.stem}.*") if p.suffix != ".txt")
            if one["dataset_type"] == "image":
                picture = torch.from_numpy(np.array(Image.open(name).convert("RGB")))
                fitted = image.resize_to_nearest_bucket_image(
                    picture.permute(2, 0, 1).float(),
                    one["image_resolution_buckets"],
                    one["reshape_mode"],
                )[None]
            else:
                with av.open(str(name)) as file:
                    frames = [one.to_ndarray(format="rgb24") for one in file.decode(video=0)]
                clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float()
                fitted, _ = video.resize_to_nearest_bucket_video(
                    clip, one["video_resolution_buckets"], one["reshape_mode"]
                )
            yield clip_of(str(name), fitted.permute(0, 2, 3, 1).numpy())


def module_at(path: Path) -> Any:
    """A module of its own, without the package around it."""
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------ comparison


def forecast(config: Path) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """What videoprep says that the trainer makes, what the config means, and what it plans."""
    told: list[Clip] = []
    meant: list[Clip] = []
    planned: list[Clip] = []
    for dataset in DatasetGroup.from_path(config, profile=PROFILE).members():
        for sample, one in forecasts_of(dataset):
            assert isinstance(one, SampleForecast)
            name = Path(sample.name).name
            for clips, found in ((told, one.forecast.clips), (meant, one.forecast.planned)):
                clips += [(name, (c.frames, c.height, c.width), c.source) for c in found]
            if isinstance(one.planned, tuple):
                planned += [
                    (name, (c.bucket.frames, c.bucket.height, c.bucket.width),
                     tuple(c.frame_indices.tolist()))
                    for c in one.planned
                ]  # fmt: skip
    return told, meant, planned


def compare(name: str, read: Iterator[Clip], config: Path) -> bool:
    """Prints whether all clips are the same; shows the first that are not."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        theirs = sorted(read)
    told, _, planned = forecast(config)
    ours = sorted(told)
    same = theirs == ours
    counted = f"{len(theirs)} clips of {len({clip[0] for clip in theirs})} files"
    buckets = matching(theirs, planned, lambda clip: clip[:2])
    frames = matching(theirs, planned, lambda clip: clip)
    print(
        f"{name}: {counted}: {'as foretold' if same else 'NOT as foretold'}; "
        f"planned {len(planned)}: {buckets} in the same buckets, {frames} of the same frames",
        flush=True,
    )
    for one in [*(set(theirs) - set(ours))][:4]:
        print(f"  theirs alone: {shown(one)}")
    for one in [*(set(ours) - set(theirs))][:4]:
        print(f"  ours alone: {shown(one)}")
    return same


def matching(one: Sequence[Clip], other: Sequence[Clip], key: Callable[[Clip], Any]) -> int:
    """How many clips of one are among those of the other, each counted once."""
    left: dict[Any, int] = defaultdict(int)
    for clip in other:
        left[key(clip)] += 1
    found = 0
    for clip in one:
        if left[key(clip)]:
            left[key(clip)] -= 1
            found += 1
    return found


def shown(clip: Clip) -> str:
    """A clip in a line."""
    name, bucket, frames = clip
    return f"{name} {'×'.join(map(str, bucket))} frames {list(frames[:6])}…{frames[-1]}"


def main() -> None:
    """Compares with each trainer whose checkout is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ("musubi-tuner", "diffusion-pipe", "ai-toolkit", "simpletuner", "finetrainers")
    for name in (*names, "comfyui", "site"):
        parser.add_argument(f"--{name}", type=Path)
    chosen = parser.parse_args()
    if chosen.site:
        sys.path.append(str(chosen.site))
    logging.disable(logging.WARNING)
    comfyui = chosen.comfyui
    ways: Mapping[str, tuple[Any, Callable[[Path, Path], Iterator[Clip]], str]] = {
        "musubi-tuner": (musubi_configs, musubi_tuner, "musubi.toml"),
        "diffusion-pipe": (
            pipe_configs, lambda checkout, config: diffusion_pipe(checkout, comfyui, config),
            "pipe.toml",
        ),
        "ai-toolkit": (toolkit_configs, ai_toolkit, "toolkit.yaml"),
        "simpletuner": (tuner_configs, simpletuner, "multidatabackend.json"),
        "finetrainers": (finetrainers_configs, finetrainers, "training.json"),
    }  # fmt: skip
    alike = True
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root).resolve()
        make_folder(folder)
        for name, (configs, read, file) in ways.items():
            checkout = getattr(chosen, name.replace("-", "_"))
            for what, text in configs(folder) if checkout else ():
                config = folder / file
                config.write_text(text)
                alike &= compare(f"{name}, {what}", read(checkout, config), config)
    raise SystemExit(0 if alike else 1)


if __name__ == "__main__":
    main()
