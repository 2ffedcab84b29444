"""Text encoders beside the first: masks, bytes for tokens, chat templates, modular pipelines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import videoprep as vp
from tests.support import tiny_hunyuan_video
from tests.support.assets import write_lists, write_video
from tests.support.fidelity import CAPTIONS, CPU
from videoprep.errors import ModelError
from videoprep.families.cogvideox import CogVideoX
from videoprep.families.component import CAPTION, VIDEO_LATENTS, ComponentSpec, prompt_embeds
from videoprep.families.contract import TextEncoder
from videoprep.families.hunyuan_video import FAMILY as HUNYUAN
from videoprep.families.model_folder import ModelFolder, open_model
from videoprep.families.model_parts import load_encoder, load_tokenizer
from videoprep.families.registry import components_of, family_of, registry
from videoprep.families.t5 import T5Text
from videoprep.families.tokenizer import load_token_counter
from videoprep.index.summary import summarize
from videoprep.store.layout import Store

TOKENS = 24

_LETTERS = ComponentSpec(
    name="letter_embeds", source=CAPTION, part="text_encoder_2", shape=(TOKENS, 16)
)
_MASK = ComponentSpec(
    name="letter_mask", source=CAPTION, part="text_encoder_2", mask=True, shape=(TOKENS,)
)


class Letters(CogVideoX):
    """CogVideoX that reads captions letter by letter, too, by ByT5."""

    name = "letters"
    profile = replace(
        CogVideoX.profile,
        name="letters",
        components=(prompt_embeds(226, 32), _LETTERS, _MASK, VIDEO_LATENTS),
    )
    parts = (*CogVideoX.parts, "tokenizer_2", "text_encoder_2")
    tokenizers: ClassVar[Mapping[str, str]] = {
        **CogVideoX.tokenizers,
        "text_encoder_2": "tokenizer_2",
    }
    tokenizer_files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **CogVideoX.tokenizer_files,
        "tokenizer_2": ("tokenizer.json",),
    }
    text_classes: ClassVar[Mapping[str, str]] = {
        **CogVideoX.text_classes,
        "text_encoder_2": "T5EncoderModel",
    }

    def recognizes(self, model: ModelFolder) -> bool:
        return model.index.get("_class_name") == "LettersModularPipeline"

    def embeds_shape(self, model: ModelFolder, component: str) -> tuple[int, ...]:
        if component == "letter_embeds":
            return TOKENS, 16
        return super().embeds_shape(model, component)

    def load_text_encoder(
        self,
        model: ModelFolder,
        part: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        eight_bit: bool,
    ) -> TextEncoder:
        if part != "text_encoder_2":
            return super().load_text_encoder(model, part, device, dtype, eight_bit=eight_bit)
        encoder = load_encoder("T5EncoderModel", model, part, device, dtype)
        tokenizer = load_tokenizer(model, "tokenizer_2")
        return T5Text(tokenizer, encoder, TOKENS, masked=True, keep_padding=True)


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> Letters:
    family = Letters()
    monkeypatch.setitem(registry().families, family.name, family)
    return family


def _modular(folder: Path) -> None:
    """Write the index as diffusers writes that of a modular pipeline."""
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").unlink()
    parts = {
        name: [None, None, {"type_hint": kind, "subfolder": name, "revision": None}]
        for name, kind in index.items()
        if isinstance(kind, list)
    }
    written = {**parts, "_class_name": "LettersModularPipeline", "_blocks_class_name": "Blocks"}
    (folder / "modular_model_index.json").write_text(json.dumps(written))


@pytest.fixture(scope="module")
def whole_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import ByT5Tokenizer, T5Config, T5EncoderModel

    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("models") / "letters")
    tokenizer = ByT5Tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer_2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = T5Config(
            vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2
        )
        T5EncoderModel(config).save_pretrained(folder / "text_encoder_2")
    _modular(folder)
    return folder


@pytest.fixture
def model(whole_model: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return shutil.copytree(whole_model, tmp_path / "model")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in "ab":
        write_video(tmp_path / f"data/{name}.mp4", width=96, height=64, frames=9, lift=ord(name))
    write_lists(tmp_path / "data", ["Été.", "A caption of more letters."], ["a.mp4", "b.mp4"])
    return tmp_path / "data"


def test_a_second_sequence_is_stored_with_its_mask(
    dataset: Path, model: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer, T5EncoderModel

    store = tmp_path / "store"
    result = vp.encode(dataset, model=model, output=store, device="cpu", dtype="bf16")
    assert result is not None
    assert result.ok
    assert result.components["letter_mask"].encoded == 2
    assert vp.verify(store).ok
    data = vp.LatentDataset(store)
    tokenizer = AutoTokenizer.from_pretrained(str(model / "tokenizer_2"))
    encoder = T5EncoderModel.from_pretrained(str(model / "text_encoder_2"), dtype=torch.bfloat16)
    for item in data:
        tokens = tokenizer(
            [item["caption"]],
            padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            theirs = encoder(tokens.input_ids, tokens.attention_mask)[0][0]
        assert item["letter_embeds"].dtype == torch.bfloat16
        assert item["letter_mask"].dtype == torch.uint8
        assert torch.equal(item["letter_embeds"], theirs)
        assert torch.equal(item["letter_mask"], tokens.attention_mask[0].to(torch.uint8))
    assert [int(item["letter_mask"].sum()) for item in data] == [7, TOKENS]
    empty = data.empty_caption()
    assert int(empty["letter_mask"].sum()) == 1
    assert tuple(empty["letter_embeds"].shape) == (TOKENS, 16)
    sizes = {one.name: one.bytes for one in summarize(Store.open(store).load_index()).components}
    assert sizes["letter_mask"] == 2 * TOKENS
    vp.export(store, to="webdataset", output=tmp_path / "tar")

    # Neither the type nor another text dtype decides a mask.
    again = vp.encode(dataset, model=model, output=store, device="cpu", dtype="fp32")
    assert again is not None
    assert again.components["letter_embeds"].encoded == 2
    assert again.components["letter_mask"].encoded == 0


def test_a_mask_of_nothing_is_refused(
    model: Path, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(_MASK, part="text_encoder_3")
    monkeypatch.setattr(Letters, "parts", (*Letters.parts, "text_encoder_3"))
    monkeypatch.setattr(Letters, "profile", replace(Letters.profile, components=(spec,)))
    with pytest.raises(ModelError, match="letter_mask is a mask, but no embeddings of captions"):
        components_of(letters, ModelFolder(model, "letters"))


def test_a_chat_template_is_part_of_the_recipe(model: Path, letters: Letters) -> None:
    def identities() -> dict[str, Mapping[str, Any]]:
        folder = ModelFolder(model, "letters")
        return {
            spec.name: letters.identity(folder, spec.name) for spec in letters.components(folder)
        }

    before = identities()
    template = model / "tokenizer_2/chat_template.jinja"
    template.write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    letters.check(ModelFolder(model, "letters"))
    after = identities()
    assert after["letter_embeds"] != before["letter_embeds"]
    assert after["letter_mask"] != before["letter_mask"]
    assert after["prompt_embeds"] == before["prompt_embeds"]
    template.write_text("{{ messages[0]['content'] }}")
    assert identities()["letter_embeds"] != after["letter_embeds"]


def test_what_is_downloaded_includes_chat_templates_and_both_indexes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    asked: list[str] = []

    def snapshot(name: str, *, allow_patterns: list[str], **_: object) -> str:
        asked.extend(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    open_model("some/model", ("tokenizer",))
    assert {"tokenizer/*.jinja", "modular_model_index.json", "model_index.json"} <= {*asked}


def test_a_tokenizer_of_bytes_has_no_vocabulary(model: Path, letters: Letters) -> None:
    from transformers import AutoTokenizer

    folder = model / "tokenizer_2"
    assert not [
        path.name for path in folder.iterdir() if path.name in ("tokenizer.json", "spiece.model")
    ]
    letters.check(ModelFolder(model, "letters"))
    theirs, count = AutoTokenizer.from_pretrained(str(folder)), load_token_counter(folder)
    captions = [*CAPTIONS, "naïve café 漢字 🐈"]
    assert [count(one) for one in captions] == [len(theirs(one).input_ids) for one in captions]

    config = json.loads((folder / "tokenizer_config.json").read_text())
    changed = {**config, "tokenizer_class": "T5Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(changed))
    with pytest.raises(ModelError, match=r"lacks tokenizer_2/tokenizer\.json"):
        letters.check(ModelFolder(model, "letters"))


def test_a_modular_pipeline_is_a_model_folder(model: Path, letters: Letters) -> None:
    folder = open_model(str(model), ())
    assert family_of(folder) is letters
    assert folder.class_of("vae") == "AutoencoderKLCogVideoX"
    assert folder.class_of("unet") is None
    path = model / "modular_model_index.json"
    index = json.loads(path.read_text())
    index["vae"][2]["type_hint"] = ["diffusers", "AutoencoderKLWan"]
    path.write_text(json.dumps(index))
    with pytest.raises(ModelError, match="its vae is a AutoencoderKLWan") as raised:
        letters.check(ModelFolder(model, "letters"))
    assert "modular_model_index.json" in str(raised.value)
    with pytest.raises(ModelError, match=f"the folder of the whole model as `model`: {model}"):
        open_model(str(model / "vae/config.json"), ())
    # A pipeline's own index says more.
    (model / "model_index.json").write_text(json.dumps({"_class_name": "CogVideoXPipeline"}))
    assert family_of(ModelFolder(model, "both")).name == "cogvideox"


def test_tokens_within_a_template_are_counted_without_torch(tmp_path: Path) -> None:
    model = ModelFolder(tiny_hunyuan_video.build(tmp_path / "model"), "hunyuan")
    text = HUNYUAN.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    count: Callable[[str], int] = HUNYUAN.load_token_counter(model)
    assert [count(one) for one in CAPTIONS] == [text.count_tokens(one) for one in CAPTIONS]
