"""Exports read by the trainers' own code, and compared with the store.

    python benchmarks/exports.py STORE [--TARGET CHECKOUT]… [--site SITE]

A CHECKOUT is one of the trainer's repository; targets that do not serve the store's family are left
out. `webdataset` and `hf-datasets` are read by those packages, without a checkout. SITE is a folder
with packages that the trainers need and this environment lacks:
`pip install --target SITE --no-deps decord torchdata toml voluptuous einops`. Nothing of the
trainers' readers is changed; what their packages import besides, and reading does not need, is left
out, and finetrainers' tensors, which it puts on the GPU of its rank, go to the CPU.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import islice
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import accelerate
import torch
import yaml

import videoprep as vp
from videoprep.exporters.folder import NAMES
from videoprep.exporters.musubi_architectures import ARCHITECTURES
from videoprep.exporters.registry import exporters
from videoprep.families.moments import mode
from videoprep.families.registry import families

_HALF = 0.5


def load_module(name: str, path: Path) -> ModuleType:
    """A module of a checkout, by its file."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stand_in(name: str, folder: Path | None = None, **contents: object) -> None:
    """Takes the place of a module whose imports need much that reading does not.

    Args:
        name: its name.
        folder: a package's: the modules in it are the real ones.
        contents: what is taken of it.
    """
    module = ModuleType(name)
    if folder is not None:
        module.__path__ = [str(folder)]
    vars(module).update(contents)
    sys.modules[name] = module


def export(store: Path, to: str, out: Path) -> None:
    """Exports the mean where the target can take it: a draw differs by what is drawn."""
    posterior = "mean" if "mean" in exporters()[to].posteriors else None
    vp.export(store, to=to, output=out, posterior=posterior)


def mean_of(data: vp.LatentDataset, item: dict[str, Any], component: str) -> torch.Tensor:
    """Unscaled float32 ``[C, F', H', W']``."""
    return mode(item[component][None], data.info.facts)[0]


def transformed(data: vp.LatentDataset, latents: torch.Tensor) -> torch.Tensor:
    """Unscaled latents as the family's transformer takes them."""
    facts = {**data.info.facts, "posterior": "mean"}
    return families()[data.info.family].to_transformer(latents[None], facts)[0]


def cogvideox_factory(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `VideoDataset(load_tensors=True)`; gives how many clips were equal."""
    path = next(
        path
        for path in (checkout / "training/cogvideox/dataset.py", checkout / "training/dataset.py")
        if path.is_file()
    )
    module = load_module("cogvideox_factory_dataset", path)
    export(store, "cogvideox-factory", out)
    data = vp.LatentDataset(store)
    kinds = list(data.buckets.kinds)
    theirs = module.VideoDataset(
        data_root=str(out),
        caption_column="prompts.txt",
        video_column="videos.txt",
        max_num_frames=max(kind.frames for kind in kinds),
        height_buckets=sorted({kind.height for kind in kinds}),
        width_buckets=sorted({kind.width for kind in kinds}),
        frame_buckets=sorted({kind.frames for kind in kinds}),
        load_tensors=True,
        image_to_video="image_latents" in data.components,
    )
    require(len(theirs) == len(data), "as many clips")
    for item, their in zip(data, (theirs[n] for n in range(len(theirs))), strict=True):
        require(torch.equal(their["video"], item["video_latents"]), "video latents")
        require(torch.equal(their["prompt"], item["prompt_embeds"]), "prompt embeddings")
        if "image_latents" in data.components:
            require(torch.equal(their["image"], item["image_latents"]), "image latents")
        sides = their["video_metadata"]
        row = item["metadata"]
        found = (sides["num_frames"], sides["height"], sides["width"])
        require(found == (row["frames"], row["height"], row["width"]), "sizes")
    return len(data)


def finetrainers(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `PrecomputedOnceDataIterable`; gives how many clips were equal."""
    stand_in("finetrainers")
    stand_in("finetrainers.logging", get_logger=lambda: None)
    stand_in("finetrainers.utils", delete_files=None)
    module = load_module("precomputation", checkout / "finetrainers/data/precomputation.py")
    export(store, "finetrainers", out)
    data = vp.LatentDataset(store)
    folder = out / module.PRECOMPUTED_DATA_DIR
    load = torch.load
    torch.load = functools.partial(_to_cpu, load)
    try:
        latents, conditions = (
            list(islice(iter(module.PrecomputedOnceDataIterable(0, 1, folder, kind)), len(data)))
            for kind in ("latent", "condition")
        )
    finally:
        torch.load = load
    for item, latent, condition in zip(data, latents, conditions, strict=True):
        moments = item["video_latents"][None]
        if data.info.family == "cogvideox":
            moments = moments.transpose(1, 2)
        require(torch.equal(latent["latents"], moments), "latents")
        embeds = condition["encoder_hidden_states"][0, : len(item["prompt_embeds"])]
        require(torch.equal(embeds, item["prompt_embeds"]), "prompt embeddings")
    return len(data)


def cogvideo_finetune(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `T2VDatasetWithResize`, a size at a time; encoding anything is an error."""
    sys.path.insert(0, str(checkout))
    t2v = importlib.import_module("finetune.datasets.t2v_dataset")
    accelerate.PartialState()  # without which its logger refuses
    export(store, "cogvideo-finetune", out)
    data = vp.LatentDataset(store)
    factor = data.info.facts["scaling_factor"]
    read = 0
    for bucket in data.buckets.counts():
        trainer = SimpleNamespace(
            encode_video=refuse,
            encode_text=refuse,
            args=SimpleNamespace(
                data_root=out,
                model_name="cogvideox1.5-t2v" if "1.5" in data.info.family else "cogvideox-t2v",
                train_resolution=(bucket.frames, bucket.height, bucket.width),
            ),
            accelerator=SimpleNamespace(process_index=0),
        )
        theirs = t2v.T2VDatasetWithResize(
            max_num_frames=bucket.frames, height=bucket.height, width=bucket.width,
            data_root=str(out), caption_column=f"prompts-{bucket.plain}.txt",
            video_column=f"videos-{bucket.plain}.txt", device="cpu", trainer=trainer,
        )  # fmt: skip
        members = [item for item, of in zip(data, data.buckets, strict=True) if of == bucket]
        found = (theirs[n] for n in range(len(theirs)))
        for item, their in zip(members, found, strict=True):
            stored = item["video_latents"]
            mean = (mean_of(data, item, "video_latents") * factor).to(stored.dtype)
            require(torch.equal(their["encoded_video"], mean), "latents")
            require(torch.equal(their["prompt_embedding"], item["prompt_embeds"]), "prompts")
            read += 1
    return read


def refuse(*arguments: object) -> None:
    """In the place of an encoder: what it is asked for was not found."""
    raise SystemExit("the trainer did not find a file, and would encode")


class LTXVersion(str, Enum):
    """In the place of the trainer's names of models, whose module imports all of it."""

    newest = "newest"

    @classmethod
    def latest(cls) -> LTXVersion:
        """The default of its config."""
        return cls.newest


def ltx_trainer(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `PrecomputedDataset`, and the config with the trainer's own."""
    sys.path.insert(0, str(checkout / "src"))
    module = importlib.import_module("ltxv_trainer.datasets")
    stand_in("ltxv_trainer.quantization", QuantizationOptions=str)
    stand_in("ltxv_trainer.model_loader", LtxvModelVersion=LTXVersion)
    config = importlib.import_module("ltxv_trainer.config")
    export(store, "ltx-trainer", out)
    loaded = config.LtxvTrainerConfig(**yaml.safe_load((out / "ltx-trainer.yaml").read_text()))
    require(loaded.data.preprocessed_data_root == str(out), "the config's folder")
    data = vp.LatentDataset(store)
    theirs = module.PrecomputedDataset(str(out))
    require(len(theirs) == len(data), "as many clips")
    names = [path.name for path in theirs.sample_files["latent_conditions"]]
    order = sorted(range(len(theirs)), key=names.__getitem__)
    for item, number in zip(data, order, strict=True):
        latent, text = (theirs[number][f"{kind}_conditions"] for kind in ("latent", "text"))
        stored = item["video_latents"]
        mean = transformed(data, mean_of(data, item, "video_latents")).to(stored.dtype)
        require(torch.equal(latent["latents"], mean), "latents")
        sides = tuple(latent[name] for name in ("num_frames", "height", "width"))
        require(sides == tuple(stored.shape[1:]), "sizes")
        require(latent["fps"] == item["metadata"]["fps"], "frames per second")
        embeds, mask = text["prompt_embeds"], text["prompt_attention_mask"]
        require(torch.equal(embeds[mask], item["prompt_embeds"]), "prompt embeddings")
    return len(data)


def ltx2_trainer(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `PrecomputedDataset` what the strategy of the trainer's own config asks for.

    Its model's paths are placeholders in the config, and are left out. The trainer leaves clips out
    that lack something: with sound in the config those without, which are counted here.
    """
    for part in ("ltx-core", "ltx-trainer"):
        sys.path.insert(0, str(checkout / "packages" / part / "src"))
    for module in ("quantization", "timestep_samplers"):
        stand_in(f"ltx_trainer.{module}", QuantizationOptions=str, TimestepSampler=object)
    datasets = importlib.import_module("ltx_trainer.datasets")
    config = importlib.import_module("ltx_trainer.config")
    export(store, "ltx2-trainer", out)
    written = yaml.safe_load((out / "ltx2-trainer.yaml").read_text())
    written["model"] = {"model_path": str(out), "text_encoder_path": str(out)}
    loaded = config.LtxTrainerConfig(**written)
    data = vp.LatentDataset(store)
    found: set[str] = set()
    for sources in _alone(loaded.training_strategy.get_data_sources()):
        theirs = datasets.PrecomputedDataset(loaded.data.preprocessed_data_root, sources)
        found |= _compared(data, theirs, sources, out)
    require(len(found) == len(data), "as many clips")
    return len(found)


def _alone(sources: dict[str, str]) -> Iterable[dict[str, str]]:
    """Latents and captions, which all clips have, and with them each of the others."""
    always = {name: sources[name] for name in ("latents", "conditions")}
    yield always
    yield from ({**always, name: key} for name, key in sources.items() if name not in always)


def _compared(data: Any, theirs: Any, sources: dict[str, str], out: Path) -> set[str]:
    """Equal as they are stored; gives which clips the trainer has."""
    names = [json.loads(line)["name"] for line in (out / NAMES).read_text().splitlines()]
    items = dict(zip(names, data, strict=True))
    read = [path.stem for path in theirs.sample_files[sources["latents"]]]
    for number, name in enumerate(read):
        sample, item = theirs[number], items[name]
        for folder, key in sources.items():
            _compare_part(data, sample[key], item, folder)
    return set(read)


def _compare_part(data: Any, their: Any, item: Any, folder: str) -> None:
    facts, family = data.info.facts, families()[data.info.family]
    if folder == "conditions":
        mask = their["prompt_attention_mask"].bool()
        for key in ("prompt_embeds", "audio_prompt_embeds"):
            if key in item:
                embeds = their[key if key.startswith("audio") else f"video_{key}"]
                require(torch.equal(embeds[mask], item[key]), key)
    elif folder == "audio_latents":
        packed = family.audio_to_transformer(item[folder][None], facts)[0]
        require(torch.equal(their["latents"].transpose(0, 1).flatten(1), packed), folder)
    elif "mask" in folder:
        given = 1.0 - (item[folder.replace("video_masks", "mask")][0] > _HALF).float()
        require(torch.equal(their["mask"], given), folder)
    else:
        stored = item["video_latents" if folder == "latents" else folder]
        tokens = family.condition_to_transformer(stored[None], facts)[0].to(stored.dtype)
        require(torch.equal(their["latents"].flatten(1).T, tokens), folder)


def musubi(checkout: Path, store: Path, out: Path) -> int:
    """Reads by the dataset config, as its training scripts do."""
    sys.path.insert(0, str(checkout / "src"))
    config_utils = importlib.import_module("musubi_tuner.dataset.config_utils")
    export(store, "musubi", out)
    data = vp.LatentDataset(store)
    user = config_utils.load_user_config(str(out / "musubi.toml"))
    generator = config_utils.BlueprintGenerator(config_utils.ConfigSanitizer())
    arch = ARCHITECTURES[data.info.family].short
    options = argparse.Namespace(debug_dataset=False)
    blueprint = generator.generate(user, options, architecture=arch)
    group = config_utils.generate_dataset_group_by_blueprint(
        blueprint.dataset_group, training=True, shared_epoch=multiprocessing.Value("i", 0)
    )
    (theirs,) = group.datasets
    require(theirs.num_train_items == len(data), "as many clips")
    found = {}
    for number, (bucket, _) in enumerate(theirs.batch_manager.bucket_batch_indices):
        require(theirs.batch_size == 1, "one clip a batch")
        index = sum(b == bucket for b, _ in theirs.batch_manager.bucket_batch_indices[:number])
        name = theirs.batch_manager.buckets[bucket][index].item_key
        found[name] = (bucket, theirs[number])
    for item, name in zip(data, sorted(found), strict=True):
        bucket, their = found[name]
        row = item["metadata"]
        require(bucket == (row["width"], row["height"], row["frames"]), "bucket")
        compare_musubi(data, item, their)
    return len(data)


def compare_musubi(data: vp.LatentDataset, item: dict[str, Any], their: dict[str, Any]) -> None:
    """A batch of one clip: what its script reads of the clip's two files."""
    stored, mean = item["video_latents"], mean_of(data, item, "video_latents")
    latents = _MUSUBI[data.info.family](data, item, their, mean)
    require(torch.equal(their["latents"][0], latents.to(stored.dtype)), "latents")


def _musubi_wan(
    data: vp.LatentDataset, item: dict[str, Any], their: dict[str, Any], mean: torch.Tensor
) -> torch.Tensor:
    stored = item["video_latents"]
    require(torch.equal(their["t5"][0], item["prompt_embeds"]), "prompt embeddings")
    if "condition_latents" in data.components:
        first = transformed(data, mean_of(data, item, "condition_latents")).to(stored.dtype)
        require(torch.equal(their["latents_image"][0, 4:], first), "first frames")
    if "control_latents" in data.components:
        control = transformed(data, mean_of(data, item, "control_latents")).to(stored.dtype)
        require(torch.equal(their["latents_control"][0], control), "control media")
    if "image_embeds" in data.components:
        require(torch.equal(their["clip"][0], item["image_embeds"]), "image embeddings")
    return transformed(data, mean)


def _musubi_hunyuan(
    data: vp.LatentDataset, item: dict[str, Any], their: dict[str, Any], mean: torch.Tensor
) -> torch.Tensor:
    del data
    kept = their["llm"][0][their["llm_mask"][0].bool()]
    require(torch.equal(kept, item["prompt_embeds"]), "prompt embeddings")
    require(torch.equal(their["clipL"][0], item["pooled_embeds"]), "pooled embeddings")
    return mean


def _musubi_hunyuan15(
    data: vp.LatentDataset, item: dict[str, Any], their: dict[str, Any], mean: torch.Tensor
) -> torch.Tensor:
    stored = item["video_latents"]
    require(torch.equal(their["vl_embed"][0], item["prompt_embeds"]), "prompt embeddings")
    require(torch.equal(their["byt5_embed"][0], item["glyph_embeds"]), "glyph embeddings")
    if "image_latents" in data.components:
        first = mean_of(data, item, "image_latents").to(stored.dtype)
        require(torch.equal(their["latents_image"][0, :-1, :1], first), "first frames")
        require(bool(their["latents_image"][0, -1, 0].eq(1).all()), "mask of the first frame")
    if "image_embeds" in data.components:
        require(torch.equal(their["siglip"][0], item["image_embeds"]), "image embeddings")
    return mean


def _musubi_kandinsky5(
    data: vp.LatentDataset, item: dict[str, Any], their: dict[str, Any], mean: torch.Tensor
) -> torch.Tensor:
    require(torch.equal(their["text_embeds"][0], item["prompt_embeds"]), "prompt embeddings")
    require(torch.equal(their["pooled_embed"][0], item["pooled_embeds"]), "pooled embeddings")
    latents = mean * data.info.facts["scaling_factor"]
    ends = latents[:, [0, -1]].to(item["video_latents"].dtype)
    require(torch.equal(their["latents_image"][0], ends), "first and last latent frames")
    return latents


_MUSUBI = {
    "wan": _musubi_wan,
    "hunyuan-video": _musubi_hunyuan,
    "hunyuan-video-1.5": _musubi_hunyuan15,
    "kandinsky5": _musubi_kandinsky5,
}


def fastvideo(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `LatentsParquetMapStyleDataset`, a bucket at a time."""
    package = checkout / "fastvideo"
    stand_in("fastvideo", package)
    stand_in("fastvideo.dataset", package / "dataset")
    stand_in("fastvideo.dataset.dataloader", package / "dataset/dataloader")
    stand_in("fastvideo.platforms", current_platform=None)
    stand_in("fastvideo.logger", init_logger=lambda name: SimpleNamespace(info=lambda *text: None))
    group = SimpleNamespace(barrier=lambda: None)
    stand_in(
        "fastvideo.distributed", get_sp_world_size=lambda: 1, get_world_size=lambda: 1,
        get_world_rank=lambda: 0, get_world_group=lambda: group,
    )  # fmt: skip
    module = importlib.import_module("fastvideo.dataset.parquet_dataset_map_style")
    schemas = importlib.import_module("fastvideo.dataset.dataloader.schema")
    export(store, "fastvideo", out)
    data = vp.LatentDataset(store)
    images = "condition_latents" in data.components
    schema = schemas.pyarrow_schema_i2v if images else schemas.pyarrow_schema_t2v
    read = 0
    for bucket in data.buckets.counts():
        theirs = module.LatentsParquetMapStyleDataset(str(out / bucket.plain), 1, schema)
        members = [item for item, of in zip(data, data.buckets, strict=True) if of == bucket]
        batches = (theirs.__getitems__([n]) for n in range(len(theirs)))
        for item, their in zip(members, batches, strict=True):
            mean = mean_of(data, item, "video_latents")
            require(torch.equal(their["vae_latent"][0], mean), "latents")
            mask = their["text_attention_mask"][0].bool()
            embeds = their["text_embedding"][0][mask]
            if data.info.family == "hunyuan-video":
                pooled, embeds = embeds[0, : len(item["pooled_embeds"])], embeds[1:]
                require(torch.equal(pooled, item["pooled_embeds"].float()), "pooled embeddings")
            require(torch.equal(embeds, item["prompt_embeds"].float()), "prompt embeddings")
            if images:
                first = transformed(data, mean_of(data, item, "condition_latents"))
                require(torch.equal(their["first_frame_latent"][0], first), "first frames")
            read += 1
    return read


def webdataset(checkout: Path, store: Path, out: Path) -> int:
    """Reads with webdataset itself."""
    del checkout
    import webdataset as wds

    vp.export(store, to="webdataset", output=out)
    files = sorted(map(str, out.glob("*/*.tar")))
    items = list(wds.WebDataset(files, shardshuffle=False).decode())
    items.sort(key=lambda item: str(item["__key__"]))
    read = ({name: item[f"{name}.pth"] for name in components(store)} for item in items)
    return compare_all(store, read)


def hf_datasets(checkout: Path, store: Path, out: Path) -> int:
    """Reads with `datasets` itself."""
    del checkout
    import datasets

    vp.export(store, to="hf-datasets", output=out)
    rows: list[dict[str, Any]] = []
    for bucket in vp.LatentDataset(store).buckets.counts():
        rows += datasets.load_dataset(
            str(out), bucket.plain, split="train", cache_dir=str(out.parent / "cache")
        ).with_format("torch")
    rows.sort(key=lambda row: str(row["name"]))
    return compare_all(store, ({name: row[name] for name in components(store)} for row in rows))


def components(store: Path) -> tuple[str, ...]:
    """What every clip of the store has."""
    return vp.LatentDataset(store).components


def compare_all(store: Path, read: Iterable[dict[str, torch.Tensor]]) -> int:
    """All components, equal as they are stored."""
    data = vp.LatentDataset(store)
    for item, their in zip(data, read, strict=True):
        for component in data.components:
            stored = item[component].float()
            # What has no elements, such as glyphs of a caption without quotes, is read as a list.
            read_back = torch.as_tensor(their[component]).float().reshape(stored.shape)
            require(torch.equal(read_back, stored), component)
    return len(data)


def _to_cpu(load: Any, *arguments: Any, **options: Any) -> Any:
    return load(*arguments, **{**options, "map_location": "cpu"})


def require(holds: bool, what: str) -> None:
    """Ends where the trainer reads something else than was stored."""
    if not holds:
        raise SystemExit(f"not equal: {what}")


Reader = Callable[[Path, Path, Path], int]

CHECKED_OUT: dict[str, Reader] = {
    "cogvideox-factory": cogvideox_factory,
    "cogvideo-finetune": cogvideo_finetune,
    "fastvideo": fastvideo,
    "finetrainers": finetrainers,
    "ltx-trainer": ltx_trainer,
    "ltx2-trainer": ltx2_trainer,
    "musubi": musubi,
}

INSTALLED: dict[str, Reader] = {"hf-datasets": hf_datasets, "webdataset": webdataset}


def main() -> None:
    """Exports to each target whose reader is at hand and that serves the store's family."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("store", type=Path)
    for name in CHECKED_OUT:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--site", type=Path)
    chosen = parser.parse_args()
    if chosen.site:
        sys.path.append(str(chosen.site))
    family = vp.LatentDataset(chosen.store).info.family
    with tempfile.TemporaryDirectory() as root:
        for name, read in {**CHECKED_OUT, **INSTALLED}.items():
            checkout = getattr(chosen, name.replace("-", "_"), None)
            served = exporters()[name].families
            if (checkout is None and name in CHECKED_OUT) or (served and family not in served):
                continue
            clips = read(checkout or Path(), chosen.store, Path(root) / name)
            print(f"{family}: {name}: {clips} clips read by its own reader, equal to the store's")


if __name__ == "__main__":
    main()
