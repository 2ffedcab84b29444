"""The trainer's other sides: image-to-video, processes, dropout, refusals, logs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from safetensors.torch import load_file

import videoprep as vp
from tests.conftest import need
from tests.support.assets import spoil_video, write_lists, write_video
from tests.training.models import build
from videoprep.encoding.online import OnlineClips
from videoprep.errors import ModelError, StoreError, TrainError
from videoprep.training.batches import Batches, CaptionDropout
from videoprep.training.settings import TrainSettings
from videoprep.training.weights import WEIGHTS_NAME, require_optimizer

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Torchrun = Callable[..., "subprocess.CompletedProcess[str]"]


def train(store: Path, model: Path, output: Path, **options: Any) -> vp.TrainResult:
    return vp.train(
        store, model=model, output=output, **{"steps": 3, "rank": 4, "device": "cpu", **options}
    )


@pytest.fixture(scope="module")
def i2v(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tiny_model, tmp_path_factory.mktemp("models") / "model", "5b-i2v")


@pytest.fixture(scope="module")
def whole_store17(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store17")
    names = [f"{number}.mp4" for number in range(4)]
    for number, name in enumerate(names):
        write_video(folder / "data" / name, width=96, height=64, frames=17, lift=40 * number)
    write_lists(folder / "data", [f"Clip {number}." for number in range(4)], names)
    vp.encode(
        folder / "data", model=tiny_model, output=folder / "store", image_latents=True,
        device="cpu", progress="none",
    )  # fmt: skip
    return folder / "store"


@pytest.fixture
def store17(whole_store17: Path, tmp_path: Path) -> Path:
    """Four clips of 17 frames, of which learned positions are made, with first frames."""
    return Path(shutil.copytree(whole_store17, tmp_path / "store"))


# Image-to-video, all weights, several processes


def test_image_to_video_trains(store17: Path, i2v: Path, tmp_path: Path) -> None:
    result = train(store17, i2v, tmp_path / "run", steps=30, rank=16)
    assert result.loss_after < result.loss_before
    from diffusers import CogVideoXImageToVideoPipeline

    pipeline = CogVideoXImageToVideoPipeline.from_pretrained(str(i2v))
    pipeline.load_lora_weights(str(tmp_path / "run"))


def test_image_to_video_without_images(
    dataset: Path, tiny_model: Path, i2v: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    vp.encode(dataset, model=tiny_model, output=store, device="cpu", progress="none")
    with pytest.raises(TrainError, match="the store has no image latents") as raised:
        train(store, i2v, tmp_path / "run")
    assert "`image_latents`" in str(raised.value)


def test_sizes_that_the_positions_are_not_learned_for(
    demo_store: Path, i2v: Path, tmp_path: Path
) -> None:
    """Told before the first step, not at the first clip of another size."""
    with pytest.raises(TrainError, match=r"learned positions of 64×96 alone; .* 17×64×64"):
        train(demo_store, i2v, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_all_weights(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    from diffusers import CogVideoXTransformer3DModel

    result = train(
        demo_store, tiny_model, tmp_path / "run", full=True, steps=20, learning_rate=1e-3
    )
    assert result.loss_after < result.loss_before
    before = CogVideoXTransformer3DModel.from_pretrained(str(tiny_model / "transformer"))
    after = CogVideoXTransformer3DModel.from_pretrained(result.weights)
    assert {**after.config, "_name_or_path": ""} == {**before.config, "_name_or_path": ""}
    changed = [
        not torch.equal(one, other)
        for one, other in zip(before.parameters(), after.parameters(), strict=True)
    ]
    assert all(changed)


@pytest.mark.parametrize("kind", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_two_processes(
    kind: str, torchrun: Torchrun, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    full = ["--full", "--learning-rate", "1e-3"] if kind == "full" else ["--rank", "4"]
    for name in ("one", "two"):
        done = torchrun(
            2, "train", demo_store, "--model", tiny_model, "-o", tmp_path / name, "--steps", 6,
            "--device", "cpu", "--checkpoint-every", 3, "--sample-every", 4, *full,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained on 12 clips") == 1
        assert [path.name for path in (tmp_path / name / "samples").iterdir()] == [
            "step-00000004.mp4"
        ]
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("one", "two")]
    one, two = ([json.loads(line)["loss"] for line in log] for log in logs)
    assert one == two
    where = "transformer/diffusion_pytorch_model.safetensors" if kind == "full" else WEIGHTS_NAME
    weights = load_file(tmp_path / "one" / where)
    assert all(tensor.isfinite().all() for tensor in weights.values())
    if kind == "full":
        done = torchrun(
            2, "train", demo_store, "--model", tiny_model, "-o", tmp_path / "one", "--steps", 8,
            "--device", "cpu", "--checkpoint-every", 3, "--resume", *full,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "one/result.json").read_text())["steps"] == 8


# From videos


def test_batches_from_videos_are_the_stores(
    demo_dataset: Path, demo_store: Path, tiny_model: Path
) -> None:
    stored = vp.LatentDataset(demo_store)
    index = vp.BucketIndex.build(demo_dataset)
    with OnlineClips(
        index, str(tiny_model), revision=None, images=True, device=torch.device("cpu"),
        dtype=torch.float32,
    ) as online:  # fmt: skip
        assert len(online) == len(stored)
        assert online.digest == stored.digest
        assert dict(online.info.facts) == dict(stored.info.facts)
        batches = [
            iter(Batches(data, vp.BucketBatchSampler(data, 2, seed=3))) for data in (stored, online)
        ]
        for _ in range(len(vp.BucketBatchSampler(stored, 2, seed=3))):
            one, other = (next(batch) for batch in batches)
            assert one.videos == other.videos
            assert set(one.tensors) == set(other.tensors)
            for name, tensor in one.tensors.items():
                assert torch.equal(tensor, other.tensors[name])
        empty = online.empty_caption()
        for name, tensor in stored.empty_caption().items():
            assert torch.equal(tensor, empty[name])


def test_training_from_videos_is_training_from_the_store(
    run_cli: Run, demo_dataset: Path, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    more = ("--model", tiny_model, "--steps", 4, "--rank", 4, "--device", "cpu", "--seed", 5)
    done = run_cli("train", demo_dataset, "--from-videos", *more, "-o", tmp_path / "videos")
    assert done.returncode == 0, done.stderr
    # The tiny model is for text-to-video, so that first frames are not encoded, and not counted
    # among what the order of the clips follows from.
    store = tmp_path / "store"
    vp.encode(demo_dataset, model=tiny_model, output=store, device="cpu", progress="none")
    done = run_cli("train", store, *more, "-o", tmp_path / "store-run")
    assert done.returncode == 0, done.stderr
    logs = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").open()]
        for name in ("videos", "store-run")
    ]
    assert logs[0] == logs[1]


def test_a_video_that_does_not_decode_is_named(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    index = vp.BucketIndex.build(dataset)
    index.save(tmp_path / "plan.parquet")
    video = next(index.clips()).pixels.frames.path
    size = video.stat().st_size
    video.write_bytes(video.read_bytes()[: size // 2])
    with pytest.raises(vp.VideoprepError, match=video.name):
        train(tmp_path / "plan.parquet", tiny_model, tmp_path / "run", from_videos=True)


# Captions


def test_caption_dropout() -> None:
    tensors = {"prompt_embeds": torch.ones(2000, 3, 4), "video_latents": torch.ones(2000, 1)}
    dropout = CaptionDropout(0.25, {"prompt_embeds": torch.zeros(3, 4)})
    changed = dropout(tensors, torch.Generator().manual_seed(0))
    gone = (changed["prompt_embeds"] == 0).flatten(1).all(dim=1)
    kept = (changed["prompt_embeds"] == 1).flatten(1).all(dim=1)
    assert (gone | kept).all()
    assert 400 < gone.sum() < 600
    assert changed["video_latents"] is tensors["video_latents"]
    assert tensors["prompt_embeds"].all()


def test_caption_dropout_without_the_empty_caption(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import shutil

    store = Path(shutil.copytree(demo_store, tmp_path / "store"))
    shutil.rmtree(store / "empty_caption")
    with pytest.raises(StoreError, match="no embedding of the empty caption"):
        train(store, tiny_model, tmp_path / "run", caption_dropout=0.1)


def test_all_captions_left_out_are_the_empty_one(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    def losses(name: str, **options: Any) -> list[float]:
        train(demo_store, tiny_model, tmp_path / name, **options)
        return [json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").open()]

    assert losses("all", caption_dropout=1.0) != losses("none")


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stepz": 3}, "unknown option `stepz`"),
        ({"steps": 0}, "`steps`: expected a whole number of 1 or more, got 0"),
        ({"caption_dropout": 1.5}, "`caption_dropout`: expected a number from 0 to 1, got 1.5"),
        ({"optimizer": "adam"}, "`optimizer`: expected 'adamw' or 'adamw8bit', got 'adam'"),
        (
            {"learning_rate": float("nan")},
            "`learning_rate`: expected a number of 0 or more",
        ),
    ],
)
def test_wrong_options(
    options: dict[str, Any], message: str, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainError, match=message):
        train(demo_store, tiny_model, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_an_unknown_option_has_a_nearest_one() -> None:
    with pytest.raises(TrainError, match="did you mean `batch_size`"):
        TrainSettings.of(batchsize=2)


def test_a_store_without_a_whole_clip(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    """All clips failed: the store is there, and empty."""
    for video in dataset.rglob("*.mp4"):
        spoil_video(video)
    done = vp.encode(
        dataset, model=tiny_model, output=tmp_path / "store", device="cpu",
        progress="none",
    )  # fmt: skip
    assert done.complete == 0
    with pytest.raises(TrainError, match="no complete clip"):
        train(tmp_path / "store", tiny_model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fewer_clips_than_a_global_batch(dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    vp.encode(dataset, model=tiny_model, output=store, device="cpu", progress="none")
    count = len(vp.LatentDataset(store))
    with pytest.raises(TrainError, match=f"{count} clips are fewer than a global batch of 64 × 1"):
        train(store, tiny_model, tmp_path / "run", batch_size=64)


def test_eight_bits_without_bitsandbytes(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainError, match="adamw8bit needs bitsandbytes"):
        train(demo_store, tiny_model, tmp_path / "run", optimizer="adamw8bit")


_EIGHT_BITS = """
import sys, videoprep as vp
store, model, folder = sys.argv[1:]
for name, steps, resume in ("whole", 5, False), ("broken", 3, False), ("broken", 5, True):
    vp.train(store, model=model, output=f"{folder}/{name}", steps=steps, resume=resume, rank=128,
             optimizer="adamw8bit", checkpoint_every=2, device="cpu")
"""


def test_eight_bits(
    demo_store: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped and resumed, the moments in 8 bits are what they would have been."""
    site = Path(sys.prefix) / "int8"  # apart, since every import of transformers would load it
    if not site.is_dir():
        need("bitsandbytes: `make` installs it")
    subprocess.run(
        [sys.executable, "-c", _EIGHT_BITS, demo_store, tiny_model, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        check=True,
    )
    whole, broken = ((tmp_path / name / WEIGHTS_NAME).read_bytes() for name in ("whole", "broken"))
    assert whole == broken
    moments = load_file(tmp_path / "whole/checkpoints/step-00000005/optimizer.safetensors")
    assert torch.uint8 in {tensor.dtype for tensor in moments.values()}
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(TrainError, match="shared out among processes"):
        require_optimizer(TrainSettings(optimizer="adamw8bit", full=True), 2)


def test_steps_that_are_not_finite_are_skipped_by_choice(
    store17: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """A clip whose latents are huge: its loss overflows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _spoil(store17)
    with pytest.raises(TrainError, match=r"the loss is nan at step [234]; clips: 2\.mp4\n"):
        train(store17, tiny_model, tmp_path / "stopped", steps=8, seed=1)
    lines = [json.loads(line) for line in (tmp_path / "stopped/log.jsonl").open()]
    board = EventAccumulator(str(tmp_path / "stopped/tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss")] == [line["step"] for line in lines]
    result = train(store17, tiny_model, tmp_path / "run", steps=8, on_nonfinite="skip")
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").open()]
    assert result.skipped == [line["loss"] for line in lines].count(None) == 2
    weights = load_file(result.weights)
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_clips_of_another_process_are_named(
    torchrun: Torchrun, store17: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """The first process, too, tells of the other's clip, and not of its own."""
    _spoil(store17)
    done = torchrun(
        2, "train", store17, "--model", tiny_model, "-o", tmp_path / "run", "--steps", 8,
        "--rank", 4, "--device", "cpu", "--seed", 1,
    )  # fmt: skip
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if "not finite" in line or "is nan" in line]
    assert told
    assert all(line.endswith("clips: 2.mp4") for line in told)
    assert "Traceback" not in done.stderr.partition("torch/distributed")[0]


def _spoil(store: Path) -> None:
    """Makes the latents of one clip infinite, and the store sound again."""
    import pyarrow.parquet as pq

    (row,) = (
        row
        for row in pq.read_table(store / "catalogue.parquet").to_pylist()
        if row["video"] == "2.mp4"
    )
    shard = store / row["video_latents_shard"]
    data = bytearray(shard.read_bytes())
    start, size = row["video_latents_offset"], row["video_latents_bytes"]
    inf = torch.full((size // 4,), float("inf")).numpy().tobytes()
    data[start : start + size] = inf
    shard.write_bytes(data)


# Stores elsewhere, parts that lack


def test_a_store_on_s3(
    run_cli: Run, s3: str, demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import fsspec

    fsspec.filesystem("s3").put(str(demo_store), f"{s3}/store", recursive=True)
    train(demo_store, tiny_model, tmp_path / "here")
    done = run_cli(
        "train", f"{s3}/store", "--model", tiny_model, "-o", tmp_path / "there", "--steps", 3,
        "--rank", 4, "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    here, there = (tmp_path / name / WEIGHTS_NAME for name in ("here", "there"))
    assert here.read_bytes() == there.read_bytes()


def test_samples_without_a_vae(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Told before the first step, not at the first sample."""
    model = shutil.copytree(tiny_model, tmp_path / "model", ignore=shutil.ignore_patterns("vae"))
    train(demo_store, model, tmp_path / "run", steps=1)
    with pytest.raises(ModelError, match=r"lacks vae/config\.json"):
        train(demo_store, model, tmp_path / "other", sample_every=100)
    assert not (tmp_path / "other").exists()


def test_samples_from_videos(demo_dataset: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="`workers` read a store"):
        train(demo_dataset, tiny_model, tmp_path / "run", from_videos=True, workers=1)
    train(demo_dataset, tiny_model, tmp_path / "run", from_videos=True, steps=1, sample_every=1)
    assert (tmp_path / "run/samples/step-00000001.mp4").stat().st_size > 1000


def test_splits_none_of_which_is_to_train_on(tiny_model: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_video(tmp_path / f"{number}.mp4", width=96, height=64, frames=9, lift=40 * number)
    (tmp_path / "list.csv").write_text("video,caption,split\n0.mp4,A.,one\n1.mp4,B.,two\n")
    with pytest.raises(TrainError, match="none is called train: one, two"):
        train(tmp_path / "list.csv", tiny_model, tmp_path / "run", from_videos=True)


# What is logged


def test_logs_validation_and_samples(tiny_model: Path, tmp_path: Path) -> None:
    for number in range(4):
        write_video(
            tmp_path / f"data/{number}.mp4", width=96, height=64, frames=9, lift=40 * number
        )
    rows = "".join(
        f"{number}.mp4,Clip {number}.,{'validation' if number == 3 else 'train'}\n"
        for number in range(4)
    )
    (tmp_path / "data/list.csv").write_text(f"video,caption,split\n{rows}")
    store = tmp_path / "store"
    vp.encode(
        tmp_path / "data/list.csv", model=tiny_model, output=store, device="cpu", progress="none"
    )
    result = train(store, tiny_model, tmp_path / "run", steps=4, validate_every=2, sample_every=4)
    assert result.clips == 3
    assert result.split == "train"
    assert result.validation_loss is not None
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").open()]
    validated = [(one["step"], one["validation_loss"]) for one in lines if "validation_loss" in one]
    assert [step for step, _ in validated] == [2, 4]
    assert validated[-1][1] == result.validation_loss
    assert list((tmp_path / "run/tensorboard").glob("events.*"))
    (sample,) = (tmp_path / "run/samples").iterdir()
    with av.open(str(sample)) as container:
        frames = list(container.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (9, 96, 64)


def test_no_split_to_validate_on(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="no split called validation"):
        train(demo_store, tiny_model, tmp_path / "run", validate_every=1)


def test_samples_from_first_frames(store17: Path, i2v: Path, tmp_path: Path) -> None:
    train(store17, i2v, tmp_path / "run", steps=2, sample_every=2)
    assert (tmp_path / "run/samples/step-00000002.mp4").stat().st_size > 1000


def test_gradient_checkpointing_changes_nothing(
    demo_store: Path, tiny_model: Path, tmp_path: Path
) -> None:
    one, two = (
        train(demo_store, tiny_model, tmp_path / str(flag), gradient_checkpointing=flag)
        for flag in (False, True)
    )
    assert load_file(one.weights).keys() == load_file(two.weights).keys()
    assert one.loss_after == pytest.approx(two.loss_after, rel=1e-4)


def test_bf16(demo_store: Path, tiny_model: Path, tmp_path: Path) -> None:
    result = train(demo_store, tiny_model, tmp_path / "run", dtype="bf16", steps=20)
    assert result.loss_after < result.loss_before


def test_the_command_says_what_it_takes(run_cli: Run) -> None:
    done = run_cli("train", "--help", COLUMNS="200")
    shown = " ".join(done.stdout.split())
    for name in TrainSettings.model_fields:
        assert f"--{name.replace('_', '-')}" in shown
