"""Encoding: the right tensors, counts that add up, and only what is missing."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

import videoprep as vp
from tests.conftest import need
from tests.support.assets import spoil_video, write_lists, write_video
from videoprep.errors import ModelError, PlanError, SourceError, StoreError, VideoprepError
from videoprep.index.calibration import recall
from videoprep.training.run import _stored

COMPONENTS = ("video_latents", "image_latents", "prompt_embeds")


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a store by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def encode(dataset: Path, model: Path, store: Path, **options):
    result = vp.encode(dataset, model=model, output=store, device="cpu", **options)
    assert result is not None
    return result


def _counts(result) -> dict[str, tuple[int, int, int]]:
    return {n: (r.encoded, r.reused, r.set_aside) for n, r in result.components.items()}


def _decode_with_pyav(path: Path, indices: list[int]) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(stream)]
    return [frames[n] for n in indices]


def _moments_made_apart(item: dict, root: Path, model: Path, first_only: bool) -> torch.Tensor:
    """Decodes, crops and encodes without any code of videoprep."""
    from diffusers import AutoencoderKLCogVideoX

    row = item["metadata"]
    indices = row["frame_indices"][:1] if first_only else row["frame_indices"]
    frames = np.stack(_decode_with_pyav(root / row["video"], indices))
    x, y = row["crop_x"], row["crop_y"]
    frames = frames[:, y : y + row["crop_height"], x : x + row["crop_width"]]
    assert frames.shape[1:3] == (row["height"], row["width"]), "the clip was to be cropped only"
    pixels = torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None].float()
    vae = AutoencoderKLCogVideoX.from_pretrained(str(model / "vae"))
    with torch.no_grad():
        return vae._encode(pixels / 255.0 * 2.0 - 1.0)[0]


def test_stored_tensors_equal_those_made_apart(tmp_path: Path, tiny_model: Path) -> None:
    from transformers import AutoTokenizer, T5EncoderModel

    root = tmp_path / "data"
    write_video(root / "wide.mp4", width=110, height=64, frames=17)
    write_video(root / "tall.mp4", width=64, height=106, frames=10, matrix="turned-180")
    write_lists(root, ["a wide clip", "a tall clip"], ["wide.mp4", "tall.mp4"])
    spec = vp.DatasetSpec.from_path(root, reshape="center-crop", id_token="sks")
    index = vp.BucketIndex.build(spec, height_buckets=(64, 106 // 32 * 32), width_buckets=(64, 96))
    encode(index, tiny_model, tmp_path / "store", image_latents=True)
    data = vp.LatentDataset(tmp_path / "store")
    assert [item["metadata"]["crop_width"] for item in data] == [96, 64]

    # The turned clip checks orientation elsewhere; PyAV by itself does not turn.
    item = data[0]
    for name, first_only in (("video_latents", False), ("image_latents", True)):
        assert torch.equal(item[name], _moments_made_apart(item, root, tiny_model, first_only))

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model / "tokenizer"))
    encoder = T5EncoderModel.from_pretrained(str(tiny_model / "text_encoder"))
    for item in data:
        assert item["caption"].startswith("sks a ")
        ids = tokenizer(
            item["caption"], padding="max_length", max_length=226, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            assert torch.equal(item["prompt_embeds"], encoder(ids)[0][0])


def test_real_clips_are_encoded_faithfully(
    real_clips: Path, tmp_path: Path, tiny_model: Path
) -> None:
    names = ["bunny", "hiker_tiny", "nasa"]
    write_lists(tmp_path, names, [f"{real_clips}/videos/{name}.mp4" for name in names])
    spec = vp.DatasetSpec.from_path(
        tmp_path, allow_outside_root=True, reshape="center-crop", max_num_frames=5, target_fps=8
    )
    index = vp.BucketIndex.build(spec, profile="cogvideox")
    encode(index, tiny_model, tmp_path / "store")
    data = vp.LatentDataset(tmp_path / "store")
    assert [item["metadata"]["frame_indices"][1] for item in data] == [3, 1, 4]
    cropped = [item for item in data if item["metadata"]["crop_width"] == item["metadata"]["width"]]
    assert len(cropped) == 2, "the pixels of bunny are not square"
    for item in cropped:
        apart = _moments_made_apart(item, real_clips, tiny_model, False)
        assert torch.equal(item["video_latents"], apart)


def test_a_rerun_does_nothing(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    store = tmp_path / "store"
    first = encode(dataset, tiny_model, store, image_latents=True)
    assert first.ok
    assert _counts(first) == dict.fromkeys(COMPONENTS, (3, 0, 0))
    before = contents(store)
    second = encode(dataset, tiny_model, store, image_latents=True)
    assert second.encoded == 0
    assert _counts(second) == dict.fromkeys(COMPONENTS, (0, 3, 0))
    assert contents(store) == before


def test_image_latents_can_be_added_and_are_kept_complete(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    assert "image_latents" not in vp.LatentDataset(store)[0]
    added = encode(dataset, tiny_model, store, image_latents=True)
    assert _counts(added) == {
        "video_latents": (0, 3, 0),
        "image_latents": (3, 0, 0),
        "prompt_embeds": (0, 3, 0),
    }
    write_video(dataset / "videos/d.mp4", frames=5)
    names = ["a", "b", "c", "d"]
    write_lists(dataset, names, [f"videos/{n}.mp4" for n in names])
    more = encode(dataset, tiny_model, store)
    assert _counts(more)["image_latents"] == (1, 3, 0)
    assert len(vp.LatentDataset(store)) == 4


def test_a_new_caption_re_encodes_one_text(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    write_lists(dataset, ["A grey clip named a.", "edited", "A grey clip named c."])
    result = encode(dataset, tiny_model, store)
    assert _counts(result) == {"video_latents": (0, 3, 0), "prompt_embeds": (1, 2, 0)}
    assert vp.LatentDataset(store)[1]["caption"] == "edited"


def test_equal_clips_and_captions_are_encoded_once(tmp_path: Path, tiny_model: Path) -> None:
    root = tmp_path / "data"
    write_video(root / "a.mp4", frames=5)
    shutil.copy(root / "a.mp4", root / "copy.mp4")
    write_lists(root, ["same", "same", "other"], ["a.mp4", "copy.mp4", "a.mp4"])
    result = encode(root, tiny_model, tmp_path / "store")
    assert _counts(result) == {"video_latents": (1, 0, 0), "prompt_embeds": (2, 0, 0)}
    assert (result.samples, result.complete) == (3, 3)
    data = vp.LatentDataset(tmp_path / "store")
    assert [item["caption"] for item in data] == ["same", "same", "other"]


def test_left_out_samples_are_named(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    write_video(dataset / "videos/odd.mp4", width=90)
    write_lists(dataset, ["one", "two"], ["videos/a.mp4", "videos/odd.mp4"])
    result = encode(dataset, tiny_model, tmp_path / "store")
    assert not result.ok
    assert (result.samples, result.clips, result.complete) == (2, 1, 1)
    assert [(s.video, s.code) for s in result.left_out] == [("videos/odd.mp4", "VP101")]


def test_a_clip_that_does_not_decode_costs_itself_alone(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    spoil_video(dataset / "videos/b.mp4")
    store = tmp_path / "store"
    options = {"image_latents": True}
    result = encode(dataset, tiny_model, store, **options)
    assert not result.ok
    assert (result.samples, result.clips, result.complete) == (3, 3, 2)
    assert _counts(result) == {
        "video_latents": (2, 0, 1),
        "image_latents": (3, 0, 0),
        "prompt_embeds": (3, 0, 0),
    }
    lines = [json.loads(line) for line in (store / "failures.jsonl").read_text().splitlines()]
    assert [(line["video"], line["code"]) for line in lines] == [("videos/b.mp4", "VP401")]
    data = vp.LatentDataset(store)
    assert (len(data), data.incomplete) == (2, 1)
    again = encode(dataset, tiny_model, store, **options)
    assert again.encoded == 0
    assert not again.ok


def test_a_source_that_changed_since_the_plan_is_never_encoded(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    index = vp.BucketIndex.build(vp.DatasetSpec.from_path(dataset))
    original = (dataset / "videos/b.mp4").read_bytes()
    write_video(dataset / "videos/b.mp4", frames=9, lift=7)
    with pytest.raises(PlanError, match=r"videos/b\.mp4: its contents changed"):
        encode(index, tiny_model, tmp_path / "store")

    class Raced(vp.BucketIndex):
        """Its videos change as soon as they are checked."""

        def check_sources(self, on_missing: Any = "error") -> vp.BucketIndex:
            (dataset / "videos/b.mp4").write_bytes(original)
            checked = super().check_sources(on_missing)
            changes.pop()()
            return checked

    changes: list[Callable[[], object]] = [
        (dataset / "videos/b.mp4").unlink,
        lambda: write_video(dataset / "videos/b.mp4", frames=9, lift=7),
    ]
    raced = Raced(index.table, index.data_root, index.policy)
    with pytest.raises(SourceError, match="changed after it was planned"):
        encode(raced, tiny_model, tmp_path / "store")
    with pytest.raises(SourceError, match="cannot be read"):
        encode(raced, tiny_model, tmp_path / "store")

    (dataset / "videos/b.mp4").write_bytes(original)
    assert encode(index, tiny_model, tmp_path / "store").ok
    untouched = encode(index, tiny_model, tmp_path / "other")
    assert untouched.ok
    assert contents(tmp_path / "store") == contents(tmp_path / "other")


def test_a_model_that_does_not_load_binds_no_store(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    weights = model / "vae/diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    with pytest.raises(ModelError, match="the weights cannot be read"):
        encode(dataset, model, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    weights.write_bytes(whole)
    (model / "tokenizer/spiece.model").write_bytes(b"no tokenizer")
    with pytest.raises(ModelError, match="the text_encoder cannot be loaded"):
        encode(dataset, model, tmp_path / "store")
    shutil.copy(tiny_model / "tokenizer/spiece.model", model / "tokenizer/spiece.model")
    assert encode(dataset, model, tmp_path / "store").ok


def test_clips_that_leave_the_plan_are_counted(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    videos = [f"videos/{name}.mp4" for name in "abc"]
    write_lists(dataset, ["edited", "A grey clip named b.", "A grey clip named c."], videos)
    assert encode(dataset, tiny_model, store).unlisted == 0, "an edited caption drops no clip"
    write_lists(dataset, ["edited"], ["videos/a.mp4"])
    result = encode(dataset, tiny_model, store)
    assert (result.encoded, result.unlisted) == (0, 2)
    assert len(vp.LatentDataset(store)) == 1


def test_several_padded_clips_a_video_in_splits(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    index = vp.BucketIndex.build(
        dataset,
        reshape="pad",
        buckets=("4x64x64",),
        clip_mode="chunk",
        split={"train": 0.5, "val": 0.5},
    )
    result = encode(index, tiny_model, store)
    assert (result.samples, result.clips, result.complete) == (3, 5, 5)
    data = vp.LatentDataset(store)
    taken = [(item["metadata"]["clip"], item["metadata"]["frame_indices"]) for item in data]
    assert taken == [(0, [0, 1, 2, 3]), (1, [4, 5, 6, 7])] * 2 + [(0, [0, 1, 2, 3])]
    sizes = {name: len(vp.LatentDataset(store, split=name)) for name in data.splits}
    assert sum(sizes.values()) == 5
    assert sizes == {"train": 3, "val": 2}
    assert len(_stored(store, None)) == 3, "what is kept for validation is not trained on"
    assert len(_stored(store, "val")) == 2
    with pytest.raises(StoreError, match="there is no split 'vla'; there are: "):
        vp.LatentDataset(store, split="vla")
    for bad in ("a.mp4", "b.mp4"):
        (dataset / "videos" / bad).unlink()
    left = index.check_sources("skip")
    again = encode(left, tiny_model, store)
    assert (again.samples, again.clips, again.complete, again.encoded) == (3, 1, 1, 0)
    assert [entry.code for entry in again.left_out] == ["VP403", "VP403"]


def test_values_that_are_not_finite_are_set_aside(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    from safetensors.torch import load_file, save_file

    model = shutil.copytree(tiny_model, tmp_path / "model")
    path = model / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["encoder.conv_out.conv.bias"].fill_(float("nan"))
    save_file(weights, path, metadata={"format": "pt"})
    result = encode(dataset, model, tmp_path / "store")
    assert _counts(result) == {"video_latents": (0, 0, 3), "prompt_embeds": (3, 0, 0)}
    assert {entry.code for entry in result.set_aside} == {"VP402"}


def test_the_pace_is_kept_for_estimates(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    assert recall(dataset) is None
    encode(dataset, tiny_model, tmp_path / "store")
    kept = recall(dataset)
    assert kept is not None
    assert (kept.model, kept.device, kept.dtype) == (str(tiny_model), "cpu", "float32")
    assert kept.pixels_per_second > 0
    assert kept.captions_per_second > 0
    encode(dataset, tiny_model, tmp_path / "store")
    assert recall(dataset) == kept, "a run that encodes nothing tells nothing"


def test_long_captions_are_counted(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    write_lists(dataset, ["short", "very " * 300 + "long", "short too"])
    assert encode(dataset, tiny_model, tmp_path / "store").truncated == 1
    assert encode(dataset, tiny_model, tmp_path / "store").truncated == 1


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision(dataset: Path, tmp_path: Path, tiny_model: Path, dtype: str) -> None:
    encode(dataset, tiny_model, tmp_path / "store", dtype=dtype)
    item = vp.LatentDataset(tmp_path / "store")[0]
    expected = {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    assert {item[name].dtype for name in ("video_latents", "prompt_embeds")} == {expected}


def test_another_recipe_makes_only_what_it_decides_and_the_old_one_is_taken_up_again(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    before = contents(store)
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "vae/config.json").read_text())
    (model / "vae/config.json").write_text(json.dumps({**config, "scaling_factor": 0.7}))
    other = encode(dataset, model, store)
    assert _counts(other) == {"video_latents": (3, 0, 0), "prompt_embeds": (0, 3, 0)}
    assert vp.LatentDataset(store).info.facts["scaling_factor"] == 0.7
    tiled = encode(dataset, tiny_model, store, use_tiling=True)
    assert _counts(tiled) == {"video_latents": (3, 0, 0), "prompt_embeds": (0, 3, 0)}
    eight = encode(dataset, tiny_model, store, text_encoder_dtype="bf16")
    assert _counts(eight) == {"video_latents": (0, 3, 0), "prompt_embeds": (3, 0, 0)}
    again = encode(dataset, tiny_model, store)
    assert again.encoded == 0
    after = contents(store)
    assert {n: after[n] for n in before if n != "store.json"} == {
        n: data for n, data in before.items() if n != "store.json"
    }
    assert len(vp.LatentDataset(store).info.earlier) == 3


def test_a_text_encoder_in_eight_bits(
    dataset: Path, tmp_path: Path, tiny_model: Path, cold_cli: Callable, run_cli: Callable
) -> None:
    site = Path(sys.prefix) / "int8"  # apart, since every import of transformers would load it
    if not site.is_dir():
        need("bitsandbytes: `make` installs it")
    command = ("encode", dataset, "--model", tiny_model, "--device", "cpu")
    assert run_cli(*command, "-o", tmp_path / "whole").returncode == 0
    options = ("-o", tmp_path / "eight", "--text-encoder-dtype", "int8")
    done = cold_cli(*command, *options, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert "MatMul8bit" not in done.stderr
    whole, eight = (vp.LatentDataset(tmp_path / name)[0] for name in ("whole", "eight"))
    assert torch.equal(whole["video_latents"], eight["video_latents"])
    assert eight["prompt_embeds"].dtype == torch.float32
    pairs = whole["prompt_embeds"].flatten(), eight["prompt_embeds"].flatten()
    assert 0.97 < float(torch.cosine_similarity(*pairs, dim=0)) < 1 - 1e-7


@pytest.mark.parametrize("posterior", ["mean", "sample"])
def test_another_posterior(dataset: Path, tmp_path: Path, tiny_model: Path, posterior: str) -> None:
    encode(dataset, tiny_model, tmp_path / "moments", image_latents=True)
    for name in ("one", "two"):
        encode(dataset, tiny_model, tmp_path / name, image_latents=True, posterior=posterior)
    moments, one = (vp.LatentDataset(tmp_path / name)[0] for name in ("moments", "one"))
    for component in ("video_latents", "image_latents"):
        mean, log_variance = moments[component].chunk(2)
        assert one[component].shape == mean.shape
        if posterior == "mean":
            assert torch.equal(one[component], mean)
        else:
            drawn = (one[component] - mean) / torch.exp(0.5 * log_variance.clamp(-30, 20))
            assert abs(float(drawn.mean())) < 0.2
            assert 0.8 < float(drawn.std()) < 1.2
    assert vp.LatentDataset(tmp_path / "one").info.facts["posterior"] == posterior
    assert contents(tmp_path / "one") == contents(tmp_path / "two"), "the draw is the artifact's"


@pytest.mark.parametrize("part", ["vae", "text_encoder", "tokenizer", "model_index.json"])
def test_half_a_model_is_refused_before_anything_is_written(
    dataset: Path, tmp_path: Path, tiny_model: Path, part: str
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    path = model / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelError, match="lacks"):
        encode(dataset, model, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_plan_that_the_family_cannot_encode(
    dataset: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from videoprep.families.cogvideox import CogVideoX
    from videoprep.families.profile import FrameRule, Profile

    monkeypatch.setattr(CogVideoX, "profile", Profile("cogvideox", 64, (FrameRule(4, 1),)))
    with pytest.raises(PlanError, match="cannot encode the buckets 5×96×64, 9×64×96"):
        encode(dataset, tiny_model, tmp_path / "store", profile="default")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "`dtype`: expected 'auto', 'fp32', 'fp16' or 'bf16', got 'int8'"),
        ({"device": "quantum"}, "the device 'quantum' cannot be used"),
        ({"posterior": "median"}, "`posterior`: expected .* got 'median'"),
        ({"text_encoder_dtype": "int4"}, "`text_encoder_dtype`: expected .* got 'int4'"),
        ({"num_jobs": 2, "job_id": 2}, "2 is not below `num_jobs=2`"),
        ({"num_shards": 2, "shard_id": 2}, "2 is not below `num_jobs=2`"),
        ({"batch_size": 0}, "`batch_size`: expected a whole number of 1 or more, got 0"),
        ({"batchsize": 1}, "unknown option `batchsize`"),
        ({"reshap": "pad"}, "unknown option `reshap`"),
    ],
)
def test_wrong_options(
    dataset: Path, tmp_path: Path, tiny_model: Path, options: dict[str, str], message: str
) -> None:
    with pytest.raises(VideoprepError, match=message):
        vp.encode(
            dataset, model=tiny_model, output=tmp_path / "store", **{"device": "cpu", **options}
        )
    assert not (tmp_path / "store").exists()


def test_text_encoder_and_vae_are_never_loaded_together(
    dataset: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gc
    import weakref

    from diffusers import AutoencoderKLCogVideoX
    from transformers import T5EncoderModel

    from videoprep.families.cogvideox import CogVideoX

    texts: list[weakref.ref] = []
    alive_when_vae_loads: list[int] = []
    load_text, load_video = CogVideoX.load_text_encoder, CogVideoX.load_video_encoder

    def text(self, *arguments, **options):
        encoder = load_text(self, *arguments, **options)
        assert isinstance(encoder._model, T5EncoderModel)
        texts.append(weakref.ref(encoder._model))
        return encoder

    def video(self, *arguments, **options):
        gc.collect()
        alive_when_vae_loads.append(sum(ref() is not None for ref in texts))
        encoder = load_video(self, *arguments, **options)
        assert isinstance(encoder._vae, AutoencoderKLCogVideoX)
        return encoder

    monkeypatch.setattr(CogVideoX, "load_text_encoder", text)
    monkeypatch.setattr(CogVideoX, "load_video_encoder", video)
    encode(dataset, tiny_model, tmp_path / "store")
    assert len(texts) == 1
    assert alive_when_vae_loads == [0]


def test_progress_is_told(dataset: Path, tmp_path: Path, tiny_model: Path) -> None:
    told = []
    encode(dataset, tiny_model, tmp_path / "store", on_progress=told.append)
    last = {name: (c.done, c.total, c.failed) for name, c in told[-1].groups.items()}
    assert last == {"video_latents": (3, 3, 0), "prompt_embeds": (3, 3, 0)}
    assert told[-1].phase == "done"
    assert told[-1].seconds_left == 0
    assert 0 < told[-1].busy <= 1


def test_a_damaged_catalogue_is_written_anew(
    dataset: Path, tmp_path: Path, tiny_model: Path
) -> None:
    store = tmp_path / "store"
    encode(dataset, tiny_model, store)
    before = contents(store)
    for damage in (b"", b"PAR1" + b"\xff" * 100 + b"PAR1"):
        (store / "catalogue.parquet").write_bytes(damage)
        assert encode(dataset, tiny_model, store).encoded == 0
        assert contents(store) == before
