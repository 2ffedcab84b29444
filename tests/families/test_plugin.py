"""Families from plugins: the one in examples, installed by pip; ones that cannot be used."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import videoprep as vp
from tests.conftest import REPOSITORY
from tests.support.assets import write_lists, write_video
from tests.support.fidelity import CAPTIONS, CPU, pixels
from tests.support.tiny_latte import build
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder

Run = Callable[..., "subprocess.CompletedProcess[str]"]

EXAMPLE = REPOSITORY / "examples/family"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example."""
    source = tmp_path_factory.mktemp("source") / "family"
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return target


@pytest.fixture(scope="module")
def tiny_latte(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("latte") / "model")


@pytest.fixture(scope="module")
def latte() -> Family:
    """The family itself, from its one file."""
    spec = importlib.util.spec_from_file_location("latte_alone", EXAMPLE / "videoprep_latte.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    family = module.FAMILY
    assert isinstance(family, Family)
    return family


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for name in "ab":
        write_video(tmp_path / f"data/{name}.mp4", width=64, height=48, frames=13, lift=ord(name))
    write_lists(tmp_path / "data", ["One.", "Another, with more words."], ["a.mp4", "b.mp4"])
    return tmp_path / "data"


def test_the_example_encodes(
    cold_cli: Run, run_cli: Run, installed: Path, tiny_latte: Path, clips: Path, tmp_path: Path
) -> None:
    search = os.pathsep.join([str(installed), str(REPOSITORY)])
    store = tmp_path / "store"
    command = ["encode", clips, "--model", tiny_latte, "--output", store, "--device", "cpu"]
    done = cold_cli(*command, "--profile", "latte", PYTHONPATH=search)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    unknown = run_cli(*command)
    assert unknown.returncode == 2
    assert "'LattePipeline' is of no known family" in unknown.stderr
    assert "docs/families.md" in unknown.stderr.replace("\n", "")
    data = vp.LatentDataset(store)
    assert data.info.family == "latte"
    assert {tuple(item["video_latents"].shape) for item in data} == {(8, 13, 6, 8)}
    assert len(data[0]["prompt_embeds"]) < len(data[1]["prompt_embeds"]) < 30


def test_the_example_gives_what_the_pipeline_gives(latte: Family, tiny_latte: Path) -> None:
    from diffusers import LattePipeline

    model = ModelFolder(tiny_latte, "tiny")
    assert latte.recognizes(model)
    latte.check(model)
    pipeline = LattePipeline.from_pretrained(tiny_latte, transformer=None, scheduler=None)
    clip = pixels(3)
    with torch.no_grad():
        posterior = pipeline.vae.encode(clip[0].transpose(0, 1)).latent_dist
    moments = latte.load_video_encoder(model, CPU, torch.float32, tiling=False).encode(clip)
    assert torch.equal(moments[0].transpose(0, 1), posterior.parameters)
    assert tuple(moments.shape[1:]) == latte.shape(model, "video_latents", 3, 64, 96)
    facts = latte.facts(model)
    assert (facts["spatial_compression"], facts["temporal_compression"]) == (8, 1)
    mean_alone = {**facts, "posterior": "mean"}
    latents = latte.to_transformer(moments[:, :4], mean_alone)
    with torch.no_grad():
        theirs = pipeline.decode_latents(latents, 3)
    ours = latte.load_video_decoder(model, CPU, torch.float32).decode(moments[:, :4])
    torch.testing.assert_close(ours, theirs.clamp(-1, 1), rtol=1e-5, atol=1e-5)
    encoder = latte.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    for caption, embeds in zip(CAPTIONS, encoder.encode(CAPTIONS), strict=True):
        with torch.no_grad():
            prompt, _ = pipeline.encode_prompt(
                caption, do_classifier_free_guidance=False, clean_caption=True, device=CPU
            )
        assert torch.equal(embeds, prompt[0])


PLUGIN = """
from dataclasses import replace
from videoprep.families.cogvideox import CogVideoX

class Renamed(CogVideoX):
    name = "cogvideox-like"
    profile = replace(CogVideoX.profile, name="cogvideox-like")

    def recognizes(self, model):
        return False

class Nameless(Renamed):
    name = None

class OtherProfile(Renamed):
    name = "other"

class Greedy(Renamed):
    name = "greedy"
    profile = replace(CogVideoX.profile, name="greedy")

    def recognizes(self, model):
        return True

class Failing(Greedy):
    def recognizes(self, model):
        raise RuntimeError("not today")

good, nameless, other, taken = Renamed(), Nameless(), OtherProfile(), CogVideoX()
greedy, failing = Greedy(), Failing()
number = 7
raise_ = None
"""


_BAD = {
    "bad_family:missing": "AttributeError",
    "bad_family:number": "no instance of videoprep.families.contract.Family",
    "bad_family:nameless": "Nameless lacks name",
    "bad_family:taken": "the name 'cogvideox' is taken",
    "bad_family:other": "its profile is called 'cogvideox-like', and the family 'other'",
    "no_such_module:x": "ModuleNotFoundError",
}


def test_plugins_that_cannot_be_used_are_said_and_left_out(
    cold_cli: Run, tmp_path: Path, dataset: Path
) -> None:
    points = [f"bad-{number} = {value}" for number, value in enumerate(_BAD)]
    search = _site(tmp_path / "site", "\n".join([*points, "good = bad_family:good", ""]))
    done = cold_cli("validate", dataset, "--profile", "nonsense", PYTHONPATH=search)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    for reason in _BAD.values():
        assert said.count(reason) == 1, (reason, said)
    assert said.count("(of bad-family)") == said.count("cannot be used") == len(_BAD)
    profiles = said.partition("the profiles are: ")[2]
    assert "cogvideox-like, " in profiles, "the good one's is among them"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("greedy", "it is recognized by the families 'cogvideox' and 'greedy'"),
        ("failing", "the plugin's family 'greedy' fails: RuntimeError: not today"),
    ],
)
def test_a_plugin_that_is_in_the_way_is_named(
    cold_cli: Run, tmp_path: Path, dataset: Path, tiny_model: Path, name: str, said: str
) -> None:
    search = _site(tmp_path / "site", f"it = bad_family:{name}\n")
    command = ["encode", dataset, "--model", tiny_model, "-o", tmp_path / "store"]
    done = cold_cli(*command, "--device", "cpu", PYTHONPATH=search)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def _site(site: Path, points: str) -> str:
    """A folder of packages with the plugin; gives Python's search path."""
    info = site / "bad_family-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-family\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[videoprep.families]\n{points}")
    (site / "bad_family.py").write_text(PLUGIN)
    return os.pathsep.join([str(site), str(REPOSITORY)])
