"""The embedding of the empty caption: made with the others, checked, added where it lacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import videoprep as vp
from tests.support import fidelity, tiny_hunyuan_video
from videoprep.errors import StoreError
from videoprep.families.hunyuan_video import FAMILY as HUNYUAN_VIDEO
from videoprep.families.model_folder import ModelFolder


@pytest.fixture
def store(demo_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_store, tmp_path / "store"))


def file_of(store: Path) -> Path:
    (file,) = (store / "empty_caption").iterdir()
    return file


def test_it_is_what_the_encoder_makes(demo_store: Path, tiny_model: Path) -> None:
    from transformers import T5EncoderModel, T5Tokenizer

    tokenizer = T5Tokenizer.from_pretrained(str(tiny_model / "tokenizer"))
    encoder = T5EncoderModel.from_pretrained(str(tiny_model / "text_encoder"))
    tokens = tokenizer("", padding="max_length", max_length=226, return_tensors="pt").input_ids
    with torch.no_grad():
        (expected,) = encoder(tokens)[0]
    assert torch.equal(vp.LatentDataset(demo_store).empty_caption()["prompt_embeds"], expected)


def test_every_text_encoder_makes_one(tmp_path: Path) -> None:
    model = tiny_hunyuan_video.build(tmp_path / "model")
    data = fidelity.encode_store(tmp_path, model, HUNYUAN_VIDEO)
    made = data.empty_caption()
    assert set(made) == {"prompt_embeds", "pooled_embeds"}
    folder = ModelFolder(model, "tiny")
    for component, part in (("prompt_embeds", "text_encoder"), ("pooled_embeds", "text_encoder_2")):
        encoder = HUNYUAN_VIDEO.load_text_encoder(
            folder, part, torch.device("cpu"), torch.float32, eight_bit=False
        )
        assert torch.equal(made[component], encoder.encode([""])[0])


def test_a_store_that_lacks_it_gets_it(
    store: Path, demo_dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    before = file_of(store).read_bytes()
    shutil.rmtree(store / "empty_caption")
    with pytest.raises(StoreError, match="no embedding of the empty caption"):
        vp.LatentDataset(store).empty_caption()
    assert vp.verify(store).ok
    result = vp.encode(demo_dataset, model=tiny_model, output=store, progress="none")
    assert result is not None
    assert not result.encoded
    assert file_of(store).read_bytes() == before


def _shard(header: bytes, size: int) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(size)


@pytest.mark.parametrize("damage", ["flip", "cut", "nonsense", "shape", "nested"])
def test_damage_is_found_and_mended(
    damage: str, store: Path, demo_dataset: Path, tiny_model: Path
) -> None:
    file = file_of(store)
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
    damaged = {"flip": data, "cut": data[:-8], "nonsense": b"nonsense"}
    damaged["shape"] = _shard(b'{"x":{"dtype":"F16","shape":[-1,-8],"data_offsets":[0,16]}}', 16)
    damaged["nested"] = _shard(b"[" * 100_000, 0)
    file.write_bytes(damaged[damage])
    with pytest.raises(StoreError, match="empty caption is damaged"):
        vp.LatentDataset(store).empty_caption()
    report = vp.verify(store)
    assert [fault.name for fault in report.faults] == [f"empty_caption/{file.name}"]
    assert vp.verify(store, repair=True).ok
    assert not file.exists()
    vp.encode(demo_dataset, model=tiny_model, output=store, progress="none")
    assert vp.LatentDataset(store).empty_caption()


def test_verify_takes_it_for_its_own(demo_store: Path) -> None:
    report = vp.verify(demo_store)
    assert report.ok
    assert not report.notes
