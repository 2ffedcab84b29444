"""Weights that are single files, as ComfyUI and musubi-tuner keep them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import videoprep as vp
from tests.support import tiny_hunyuan_video, tiny_wan
from tests.support.fidelity import CAPTIONS, CPU, encode_store, pixels
from videoprep.errors import ModelError
from videoprep.families.model_folder import ModelFolder
from videoprep.families.model_from_files import model_from_files
from videoprep.families.registry import family_of
from videoprep.families.wan import FAMILY as WAN

Tensors = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan.build_wan(tmp_path_factory.mktemp("wan") / "wan", num_res_blocks=2)


def weights_of(folder: Path) -> Tensors:
    """All weights of a part."""
    return {
        k: v for path in sorted(folder.glob("*.safetensors")) for k, v in load_file(path).items()
    }


def configs_alone(model: Path, to: Path) -> Path:
    """A copy of a model folder without weights."""
    return shutil.copytree(model, to, ignore=shutil.ignore_patterns("*.safetensors"))


_MIDDLE = {"resnets.0.": "0.", "attentions.0.": "1.", "resnets.1.": "2."}
_RESIDUAL = {
    "norm1.": "residual.0.", "conv1.": "residual.2.", "norm2.": "residual.3.",
    "conv2.": "residual.6.", "conv_shortcut.": "shortcut.",
}  # fmt: skip


def original_wan_vae(weights: Tensors) -> Tensors:
    """Names of Wan's own checkpoints, as ``Wan2.1_VAE.pth`` and ComfyUI's file have them."""
    return {_original(name): weight for name, weight in weights.items()}


def _original(name: str) -> str:
    for new, old in (("post_quant_conv.", "conv2."), ("quant_conv.", "conv1.")):
        if name.startswith(new):
            return name.replace(new, old)
    name = name.replace("conv_in.", "conv1.").replace("norm_out.", "head.0.")
    name = name.replace("conv_out.", "head.2.")
    if ".mid_block." in name:
        name = name.replace("mid_block.", "middle.")
        for new, old in _MIDDLE.items():
            name = name.replace(new, old)
    name = name.replace("down_blocks.", "downsamples.")
    up = re.match(r"decoder\.up_blocks\.(\d)\.(resnets|upsamplers)\.(\d)\.(.*)", name)
    if up:
        block, kind, place, rest = up.groups()
        number = 4 * int(block) + (3 if kind == "upsamplers" else int(place))
        name = f"decoder.upsamples.{number}.{rest}"
    if re.search(r"\.(middle|downsamples|upsamples)\.", name):
        for new, old in _RESIDUAL.items():
            name = name.replace(f".{new}", f".{old}")
    return name


def original_umt5(weights: Tensors) -> Tensors:
    """Names of Wan's own checkpoints of UMT5, as ``models_t5_umt5-xxl-enc-bf16.pth`` has them."""
    names = (
        (r"^shared\.", "token_embedding."),
        (r"^encoder\.final_layer_norm\.", "norm."),
        (r"^encoder\.block\.(\d+)\.layer\.0\.layer_norm\.", r"blocks.\1.norm1."),
        (r"^encoder\.block\.(\d+)\.layer\.1\.layer_norm\.", r"blocks.\1.norm2."),
        (
            r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias\.",
            r"blocks.\1.pos_embedding.embedding.",
        ),
        (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.", r"blocks.\1.attn."),
        (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_0\.", r"blocks.\1.ffn.gate.0."),
        (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wi_1\.", r"blocks.\1.ffn.fc1."),
        (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.wo\.", r"blocks.\1.ffn.fc2."),
    )
    found = {}
    for name, weight in weights.items():
        pattern, other = next(pair for pair in names if re.search(pair[0], name))
        found[re.sub(pattern, other, name)] = weight
    return found


def in_float8(weights: Tensors) -> Tensors:
    """Matrices in float8 with a scale each, as ComfyUI's ``fp8_e4m3fn_scaled`` files have them."""
    found: Tensors = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, weight in weights.items():
        if weight.dim() < 2 or "shared" in name:
            found[name] = weight
            continue
        scale = weight.abs().max() / 448
        found[name] = (weight / scale).to(torch.float8_e4m3fn)
        found[name.removesuffix(".weight") + ".scale_weight"] = scale
    found["spiece_model"] = torch.arange(16, dtype=torch.uint8)
    return found


def assembled(model: Path, root: Path, **weights: Tensors) -> Path:
    """A model folder of single files, with the configs of another one."""
    (root / "files").mkdir(parents=True)
    files = {part: root / f"files/{part}.safetensors" for part in weights}
    for part, tensors in weights.items():
        save_file(tensors, files[part])
    return model_from_files(files, model=configs_alone(model, root / "configs"))


def latents(model: ModelFolder) -> torch.Tensor:
    """What the VAE makes of a clip."""
    family = family_of(model)
    encoder = family.load_video_encoder(model, CPU, torch.float32, tiling=False)
    return encoder.encode(pixels(9, 32, 32))


def embeds(model: ModelFolder, part: str = "text_encoder") -> list[torch.Tensor]:
    """What a text encoder makes of captions."""
    family = family_of(model)
    encoder = family.load_text_encoder(model, part, CPU, torch.float32, eight_bit=False)
    return list(encoder.encode(CAPTIONS))


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Whether tensors are equal to the bit."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("original", [False, True], ids=["names of diffusers", "original names"])
def test_latents_and_embeddings_are_those_of_the_folder(
    wan: Path, tmp_path: Path, original: bool
) -> None:
    vae, text = weights_of(wan / "vae"), weights_of(wan / "text_encoder")
    if original:
        assert original_wan_vae(vae).keys().isdisjoint({*vae} - {*original_wan_vae(vae)})
        vae, text = original_wan_vae(vae), original_umt5(text)
    folder = assembled(wan, tmp_path, vae=vae, text_encoder=text)
    whole, single = ModelFolder(wan, "whole"), ModelFolder(folder, "single")
    assert torch.equal(latents(single), latents(whole))
    assert same(embeds(single), embeds(whole))


def test_float8_weights_are_scaled_back(wan: Path, tmp_path: Path) -> None:
    small = in_float8(weights_of(wan / "text_encoder"))
    folder = assembled(wan, tmp_path, text_encoder=small)
    # The same numbers, written as float32, in a folder of the usual kind.
    back = {
        name: weight.float() * small.get(name.removesuffix(".weight") + ".scale_weight", 1.0)
        for name, weight in small.items()
        if weight.dtype != torch.uint8
        and not name.endswith("scale_weight")
        and name != "scaled_fp8"
    }
    plain = shutil.copytree(wan, tmp_path / "plain")
    save_file(back, plain / "text_encoder/model.safetensors")
    assert same(embeds(ModelFolder(folder, "f")), embeds(ModelFolder(plain, "p")))
    assert not same(embeds(ModelFolder(folder, "f")), embeds(ModelFolder(wan, "w")))


@pytest.mark.parametrize("prefix", ["", "model."])
def test_llama_and_clip_of_hunyuan_video(tmp_path: Path, prefix: str) -> None:
    model = tiny_hunyuan_video.build(tmp_path / "hunyuan")
    llama = {prefix + name: one for name, one in weights_of(model / "text_encoder").items()}
    clip = weights_of(model / "text_encoder_2")
    if prefix:  # as clip_l.safetensors has it
        clip = {f"text_model.{name}": one for name, one in clip.items()}
    folder = assembled(model, tmp_path, text_encoder=llama, text_encoder_2=clip)
    whole, single = ModelFolder(model, "whole"), ModelFolder(folder, "single")
    for part in ("text_encoder", "text_encoder_2"):
        assert same(embeds(single, part), embeds(whole, part))
    vae = assembled(model, tmp_path / "b", vae=weights_of(model / "vae"))
    assert torch.equal(latents(ModelFolder(vae, "single")), latents(whole))


def test_what_is_not_of_the_model_is_refused(wan: Path, tmp_path: Path) -> None:
    vae, text = weights_of(wan / "vae"), weights_of(wan / "text_encoder")
    with pytest.raises(ModelError, match=r"is no UMT5EncoderModel of this config: .* are missing"):
        assembled(wan, tmp_path / "a", text_encoder=vae)
    with pytest.raises(ModelError, match=r"is no AutoencoderKLWan of this config: .* are missing"):
        assembled(wan, tmp_path / "b", vae=text)
    wide = {name: torch.zeros(*one.shape[:-1], 7) for name, one in text.items()}
    with pytest.raises(ModelError, match=r"is no UMT5EncoderModel of this config: .* do not fit"):
        assembled(wan, tmp_path / "c", text_encoder=wide)
    with pytest.raises(ModelError, match="the model has no part 'image_encoder'"):
        assembled(wan, tmp_path / "d", image_encoder=text)


def test_files_that_cannot_be_used_are_refused(wan: Path, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "vae.pth")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((wan / "vae/diffusion_pytorch_model.safetensors").read_bytes()[:-9])
    for path, message in (
        (tmp_path / "vae.pth", "in pickle form"),
        (cut, "the weights cannot be read"),
        (tmp_path / "none.safetensors", "there is no file"),
    ):
        with pytest.raises(ModelError, match=message):
            model_from_files({"vae": path}, model=wan)
    whole = wan / "vae/diffusion_pytorch_model.safetensors"
    with pytest.raises(ModelError, match="of the family 'wan', and not 'cogvideox'"):
        model_from_files({"vae": whole}, family="cogvideox", model=wan)
    with pytest.raises(ModelError, match="there is no family 'wann'") as error:
        model_from_files({"vae": whole}, family="wann")
    assert "'wan'" in str(error.value)
    with pytest.raises(ModelError, match="need configs and a tokenizer"):
        model_from_files({"vae": whole})


def test_encode_takes_single_files(wan: Path, tmp_path: Path, run_cli: Any) -> None:
    data = encode_store(tmp_path, wan, WAN, image_latents=False)  # of the model folder
    vae, text = tmp_path / "vae.safetensors", tmp_path / "text.safetensors"
    save_file(original_wan_vae(weights_of(wan / "vae")), vae)
    save_file(original_umt5(weights_of(wan / "text_encoder")), text)
    configs = configs_alone(wan, tmp_path / "configs")
    files = ("--family", "wan", "--model", configs, "--vae", vae, "--text-encoder", text)
    done = run_cli("encode", tmp_path / "data", "-o", tmp_path / "single", *files)
    assert done.returncode == 0, done.stderr
    assert "the files make up the model folder" in done.stderr
    for one, other in zip(vp.LatentDataset(tmp_path / "single"), data, strict=True):
        for name in data.components:
            assert torch.equal(one[name], other[name])
    again = run_cli("encode", tmp_path / "data", "-o", tmp_path / "single", *files)
    assert "video_latents 0/0" in again.stderr
    assert "Loading weights" not in done.stderr
    wrong = run_cli("encode", tmp_path / "data", "-o", tmp_path / "c", "--family", "wan")
    assert wrong.returncode == 2
    assert "--vae and --text-encoder" in wrong.stderr
    wrong = run_cli("encode", tmp_path / "data", "-o", tmp_path / "c", "--weights", "vae")
    assert wrong.returncode == 2
    assert "PART=FILE" in wrong.stderr
