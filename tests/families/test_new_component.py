"""A family with components that no other has, defined here alone, goes through all of videoprep."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import videoprep as vp
from tests.support.assets import write_lists, write_video
from tests.support.tiny_parts import copy_as
from videoprep.engine.coordination import SingleProcess
from videoprep.errors import ModelError
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.component import (
    CAPTION_FIRST_FRAME,
    FIRST_LAST_FRAME_ZEROS,
    LAST_FRAME,
    VIDEO_LATENTS,
    ComponentSpec,
    Source,
    prompt_embeds,
)
from videoprep.families.contract import (
    CaptionedVideoEncoder,
    ClipContext,
    TextEncoder,
    VideoEncoder,
)
from videoprep.families.model_folder import ModelFolder
from videoprep.families.moments import MOMENTS
from videoprep.families.registry import components_of, registry
from videoprep.index.summary import summarize
from videoprep.media.clip import load_clip, normalize
from videoprep.store.layout import Store

TOKENS = 226
CPU = torch.device("cpu")

LAST = ComponentSpec(name="last_latents", source=LAST_FRAME, part="vae", posterior=MOMENTS)
OTHER = replace(LAST, name="other_latents")
ENDS = ComponentSpec(
    name="ends_latents", source=FIRST_LAST_FRAME_ZEROS, part="vae", posterior=MOMENTS
)
SIGHT = ComponentSpec(
    name="sight_embeds", source=CAPTION_FIRST_FRAME, part="text_encoder", shape=(TOKENS, 32)
)


class Sight(CaptionedVideoEncoder):
    """Embeddings of captions, as bright as the frame beside them."""

    def __init__(self, text: TextEncoder) -> None:
        self._text = text

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def encode_clips(self, pixels: torch.Tensor, clips: Sequence[ClipContext]) -> torch.Tensor:
        embeds = torch.stack(list(self._text.encode([clip.caption or "" for clip in clips])))
        return embeds * pixels.mean(dim=(1, 2, 3, 4))[:, None, None]

    def save_memory(self, *, slicing: bool, tiling: bool) -> None:
        del slicing, tiling


class Echo(CogVideoX):
    """CogVideoX that is shown where a clip ends, and whose captions are read beside its frame."""

    name = "echo"
    profile = replace(
        CogVideoX.profile,
        name="echo",
        components=(prompt_embeds(TOKENS, 32), SIGHT, VIDEO_LATENTS, LAST, ENDS),
    )

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "EchoPipeline"

    def load_frame_encoder(
        self,
        model: ModelFolder,
        component: ComponentSpec,
        device: torch.device,
        dtype: torch.dtype,
        *,
        tiling: bool,
    ) -> VideoEncoder:
        if component is SIGHT:
            return Sight(
                self.load_text_encoder(model, "text_encoder", device, dtype, eight_bit=False)
            )
        return super().load_frame_encoder(model, component, device, dtype, tiling=tiling)


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    family = Echo()
    monkeypatch.setitem(registry().families, "echo", family)
    return family


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    folder = copy_as(tiny_model, tmp_path / "model", pipeline="EchoPipeline")
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three clips; the first two have one caption."""
    for name in "abc":
        write_video(tmp_path / f"data/{name}.mp4", width=96, height=64, frames=9, lift=ord(name))
    write_lists(tmp_path / "data", ["One.", "One.", "Two."], [f"{name}.mp4" for name in "abc"])
    return tmp_path / "data"


def _encode(dataset: Path, model: Path, store: Path, **options: Any) -> vp.EncodeResult:
    result = vp.encode(dataset, model=model, output=store, device="cpu", **options)
    assert result is not None
    assert result.ok
    return result


def test_encodes_verifies_and_is_what_the_sources_say(
    dataset: Path, model: Path, tmp_path: Path, echo: Echo
) -> None:
    result = _encode(dataset, model, tmp_path / "store")
    assert {name: one.encoded for name, one in result.components.items()} == {
        "video_latents": 3, "ends_latents": 3, "last_latents": 3,
        "prompt_embeds": 2, "sight_embeds": 3,
    }  # fmt: skip
    assert vp.verify(tmp_path / "store").ok
    data = vp.LatentDataset(tmp_path / "store")
    assert set(data.components) == {*result.components}
    folder = ModelFolder(model, "echo")
    vae = echo.load_video_encoder(folder, CPU, torch.float32, tiling=False)
    text = echo.load_text_encoder(folder, "text_encoder", CPU, torch.float32, eight_bit=False)
    for number, clip in enumerate(Store.open(tmp_path / "store").load_index().clips()):
        pixels = normalize(load_clip(clip.pixels)[None]).permute(0, 2, 1, 3, 4)
        ends = torch.zeros_like(pixels)
        ends[:, :, [0, -1]] = pixels[:, :, [0, -1]]
        assert torch.equal(data[number]["last_latents"], vae.encode(pixels[:, :, -1:])[0])
        assert torch.equal(data[number]["ends_latents"], vae.encode(ends)[0])
        sight = Sight(text).encode_clips(pixels[:, :, :1], [ClipContext(clip.caption)])[0]
        assert torch.equal(data[number]["sight_embeds"], sight)
    assert not torch.equal(data[0]["sight_embeds"], data[1]["sight_embeds"])
    again = _encode(dataset, model, tmp_path / "store")
    assert again.encoded == 0


def test_ranks_share_the_passes_of_one_part_each_by_itself(
    dataset: Path, model: Path, tmp_path: Path
) -> None:
    """The text encoder has two: of captions, and of captions beside frames."""
    log = tmp_path / "counters"

    class Counting(SingleProcess):
        def add(self, name: str, amount: int) -> int:
            with log.open("a") as file:
                file.write(f"{name}\n")
            return super().add(name, amount)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("videoprep.engine.run.join", Counting)
        _encode(dataset, model, tmp_path / "store")
    counters = {name for name in log.read_text().splitlines() if name.startswith("claimed/")}
    assert len(counters) == 3, "captions, captions beside frames, and the VAE"


def test_only_what_depends_on_a_caption_is_made_again(
    dataset: Path, model: Path, tmp_path: Path
) -> None:
    before = vp.BucketIndex.build(dataset, profile="echo")
    _encode(dataset, model, tmp_path / "store")
    write_lists(dataset, ["One.", "Another.", "Two."], [f"{name}.mp4" for name in "abc"])
    after = vp.BucketIndex.build(dataset, profile="echo")
    expected = {
        "video_latents": 0, "ends_latents": 0, "last_latents": 0,
        "prompt_embeds": 1, "sight_embeds": 1,
    }  # fmt: skip
    assert after.diff(before).to_encode == expected
    found = vp.status(tmp_path / "store", dataset)
    assert {name: one.to_do for name, one in found.components.items()} == expected
    assert found.components["sight_embeds"].why == {"caption": 1}
    result = _encode(dataset, model, tmp_path / "store")
    assert {name: one.encoded for name, one in result.components.items()} == expected
    assert {one.name: one.artifacts for one in summarize(after).components} == {
        "video_latents": 3, "ends_latents": 3, "last_latents": 3,
        "prompt_embeds": 3, "sight_embeds": 3,
    }  # fmt: skip


def test_is_repaired_exported_previewed_and_trained_on(
    dataset: Path, model: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    _encode(dataset, model, store)
    whole = {file: file.read_bytes() for file in store.glob("*_*/*/*")}
    for shard in store.glob("sight_embeds/*/*.safetensors"):
        shard.unlink()
    report = vp.verify(store)
    assert {fault.name.partition("/")[0] for fault in report.faults} == {"sight_embeds"}
    vp.verify(store, repair=True, device="cpu")
    assert {file: file.read_bytes() for file in store.glob("*_*/*/*")} == whole

    vp.export(store, to="webdataset", output=tmp_path / "tar")
    (tar,) = (tmp_path / "tar").rglob("*.tar")
    with tarfile.open(tar) as opened:
        suffixes = {name.partition(".")[2] for name in opened.getnames()}
    assert {"sight_embeds.pth", "ends_latents.pth", "last_latents.pth"} <= suffixes

    assert vp.preview(store, output=tmp_path / "page.html", device="cpu").measured == 3
    trained = vp.train(
        store, model=model, output=tmp_path / "run", steps=2, rank=2, batch_size=1, device="cpu"
    )
    assert trained.steps == 2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(LAST, name="video_latents"), "video_latents is declared 2 times"),
        (replace(LAST, name="Last Latents"), "'Last Latents' is not lower-case words"),
        (
            replace(OTHER, source=Source("depth", "depths", ("video_key",))),
            "unknown source 'depth'",
        ),
        (replace(OTHER, part="unet"), "made by 'unet', which is not among the family's parts"),
    ],
)
def test_a_component_that_is_declared_wrongly_is_refused(
    spec: ComponentSpec, message: str, dataset: Path, model: Path, tmp_path: Path, echo: Echo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        Echo, "profile", replace(Echo.profile, components=(*Echo.profile.components, spec))
    )
    with pytest.raises(ModelError, match=message):
        components_of(echo, ModelFolder(model, "echo"))
    with pytest.raises(ModelError, match=message):
        vp.encode(dataset, model=model, output=tmp_path / "store", device="cpu")
    assert not (tmp_path / "store").exists()


def test_each_caption_of_several_is_read_beside_the_frame(
    dataset: Path, model: Path, tmp_path: Path, echo: Echo
) -> None:
    texts = {"a.mp4": ["One.", "Two."], "b.mp4": ["One."], "c.mp4": ["Two.", "Three.", "One."]}
    for name in ("prompt.txt", "videos.txt"):
        (dataset / name).unlink()
    rows = [json.dumps({"video": name, "caption": own}) for name, own in texts.items()]
    (dataset / "list.jsonl").write_text("\n".join(rows))
    result = _encode(dataset, model, tmp_path / "store")
    assert {name: one.encoded for name, one in result.components.items()} == {
        "video_latents": 3, "ends_latents": 3, "last_latents": 3,
        "prompt_embeds": 3, "sight_embeds": 6,
    }  # fmt: skip
    assert vp.verify(tmp_path / "store").ok
    data = vp.LatentDataset(tmp_path / "store")
    text = echo.load_text_encoder(
        ModelFolder(model, "echo"), "text_encoder", CPU, torch.float32, eight_bit=False
    )
    for number, clip in enumerate(Store.open(tmp_path / "store").load_index().clips()):
        pixels = normalize(load_clip(clip.pixels)[None]).permute(0, 2, 1, 3, 4)
        assert clip.captions == tuple(texts[clip.video])
        for caption, said in enumerate(clip.captions):
            sight = Sight(text).encode_clips(pixels[:, :, :1], [ClipContext(said)])[0]
            assert torch.equal(data[vp.ClipDraw(number, caption)]["sight_embeds"], sight)
    shard = next(iter((tmp_path / "store").glob("sight_embeds/*/*.safetensors")))
    shard.unlink()
    assert not vp.verify(tmp_path / "store").ok
    assert vp.verify(tmp_path / "store", repair=True, device="cpu").ok
