"""Models with Wan's VAE and text encoder under other names: equal to what their pipelines make."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

import videoprep as vp
from tests.families.test_wan import first_and_last_frame_mask, first_frame_mask
from tests.support import fidelity, tiny_wan
from tests.support.assets import write_video
from tests.support.family_pages import run_page
from tests.support.fidelity import CAPTIONS, CPU, padded, pixels
from tests.support.stopped_pipeline import pictures
from videoprep.errors import ModelError
from videoprep.families.contract import Family
from videoprep.families.model_folder import ModelFolder
from videoprep.families.registry import components_of, families, family_of
from videoprep.media.clip import load_clip
from videoprep.spec.roles import Role

BUILD: dict[str, Callable[[Path], Path]] = {
    "SkyReelsV2ImageToVideoPipeline": tiny_wan.build_skyreels_i2v,
    "SkyReelsV2DiffusionForcingPipeline": tiny_wan.build_skyreels_df,
    "AnyFlowFARPipeline": tiny_wan.build_anyflow,
    "LucyEditPipeline": tiny_wan.build_lucy_edit,
    "ChronoEditPipeline": tiny_wan.build_chronoedit,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFolder]:
    root = tmp_path_factory.mktemp("aliases")
    return {name: ModelFolder(build(root / name), name) for name, build in BUILD.items()}


@pytest.fixture(params=BUILD)
def model(request: pytest.FixtureRequest, models: dict[str, ModelFolder]) -> ModelFolder:
    return models[request.param]


def load_pipeline(model: ModelFolder, name: str | None = None) -> Any:
    """The model's own pipeline, or another with its parts, without a transformer."""
    kind = getattr(diffusers, name or model.name)
    family: Any = family_of(model)
    has = model.class_of
    parts: dict[str, Any] = {
        "tokenizer": transformers.AutoTokenizer.from_pretrained(str(model.path / "tokenizer")),
        "text_encoder": transformers.UMT5EncoderModel.from_pretrained(
            str(model.path / "text_encoder")
        ).eval(),
        "vae": fidelity.load_vae(family, model),
        "scheduler": diffusers.UniPCMultistepScheduler(),
    }
    if vision := has("image_encoder"):
        encoder = getattr(transformers, vision).from_pretrained(str(model.path / "image_encoder"))
        processor = transformers.CLIPImageProcessor.from_pretrained(
            str(model.path / "image_processor")
        )
        parts |= {"image_encoder": encoder.eval(), "image_processor": processor}
    wanted = inspect.signature(kind.__init__).parameters
    return kind(**{"transformer": None, **{n: p for n, p in parts.items() if n in wanted}})


def made(model: ModelFolder, component: str, clip: torch.Tensor, *roles: str) -> torch.Tensor:
    """What the family stores of a clip, and brings to the transformer if it is latents."""
    family = family_of(model)
    spec = components_of(family, model, map(Role, roles))[component]
    encoder = family.load_frame_encoder(model, spec, CPU, torch.float32, tiling=False)
    frames = clip.shape[2]
    read = spec.source.arrange(clip[:, :, list(spec.source.decoded(frames))], frames)
    stored = encoder.encode(read)
    assert tuple(stored.shape[1:]) == family.shape(
        model, spec.declared, spec.source.length(frames), *clip.shape[3:]
    )
    return family.to_transformer(stored, family.facts(model)) if spec.posterior else stored


def shown(clip: torch.Tensor) -> list[Any]:
    """Frames in −1…1 as pictures."""
    return pictures(((clip[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 0, 2, 3))


def test_embeddings_equal_the_pipelines(model: ModelFolder) -> None:
    with torch.no_grad():
        theirs, _ = load_pipeline(model).encode_prompt(
            list(CAPTIONS), do_classifier_free_guidance=False, max_sequence_length=512, device=CPU
        )
    family = family_of(model)
    encoder = family.load_text_encoder(model, "text_encoder", CPU, torch.float32, eight_bit=False)
    assert torch.equal(padded(encoder.encode(CAPTIONS), 512), theirs)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("skyreels-v2", "skyreels_v2.pipeline_skyreels_v2"),
        ("skyreels-v2", "skyreels_v2.pipeline_skyreels_v2_diffusion_forcing"),
        ("anyflow", "anyflow.pipeline_anyflow_far"),
        ("lucy-edit", "lucy.pipeline_lucy_edit"),
        ("chronoedit", "chronoedit.pipeline_chronoedit"),
        ("wan-vace", "wan.pipeline_wan_vace"),
    ],
)
def test_lengths_and_limits_are_the_pipelines_defaults(name: str, module: str) -> None:
    import importlib

    found = importlib.import_module(f"diffusers.pipelines.{module}")
    (kind,) = (
        one
        for key, one in vars(found).items()
        if key.endswith("Pipeline") and getattr(one, "__module__", "") == found.__name__
    )
    defaults = inspect.signature(kind.__call__).parameters
    family = families()[name]
    assert family.profile.num_frames == defaults["num_frames"].default
    assert family.max_tokens == defaults["max_sequence_length"].default
    assert kind.__name__ in family.pipelines  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["SkyReelsV2ImageToVideoPipeline", "ChronoEditPipeline"])
@pytest.mark.parametrize("frames", [5, 17])
def test_image_conditions_equal_the_pipelines(
    models: dict[str, ModelFolder], name: str, frames: int
) -> None:
    model, clip = models[name], pixels(frames)
    pipeline = load_pipeline(model)
    _, theirs = pipeline.prepare_latents(clip[:, :, 0], 1, 4, 64, 96, frames, torch.float32, CPU)
    condition = made(model, "condition_latents", clip)
    mask = first_frame_mask(frames, condition.shape[-2:])
    assert torch.equal(torch.cat([mask, condition], dim=1), theirs)
    with torch.no_grad():
        embeds = pipeline.encode_image(shown(clip)[0], CPU)
    assert torch.equal(made(model, "image_embeds", clip), embeds)


def test_first_and_last_frames_of_skyreels_equal_the_pipelines(
    models: dict[str, ModelFolder],
) -> None:
    model, clip = models["SkyReelsV2ImageToVideoPipeline"], pixels(9)
    pipeline = load_pipeline(model)
    _, theirs = pipeline.prepare_latents(
        clip[:, :, 0], 1, 4, 64, 96, 9, torch.float32, CPU, None, None, clip[:, :, -1]
    )
    condition = made(model, "first_last_latents", clip)
    mask = first_and_last_frame_mask(9, condition.shape[-2:])
    assert torch.equal(torch.cat([mask, condition], dim=1), theirs)
    with torch.no_grad():
        both = pipeline.encode_image([shown(clip)[0], shown(clip)[-1]], CPU)
    ours = [made(model, name, clip) for name in ("image_embeds", "last_image_embeds")]
    assert torch.equal(torch.cat(ours), both)


def test_frames_of_diffusion_forcing_equal_the_pipelines(models: dict[str, ModelFolder]) -> None:
    """One frame to the bit. Two are a batch in the pipeline, which rounds in another way."""
    model, clip = models["SkyReelsV2DiffusionForcingPipeline"], pixels(9)
    pipeline = load_pipeline(model, "SkyReelsV2DiffusionForcingImageToVideoPipeline")

    def theirs(*frames: torch.Tensor) -> torch.Tensor:
        last = frames[1] if len(frames) > 1 else None
        _, _, latents, count = pipeline.prepare_latents(
            frames[0], 1, 4, 64, 96, 9, torch.float32, CPU, None, None, last
        )
        assert count == 1
        return latents  # type: ignore[no-any-return]

    first, last = (made(model, name, clip) for name in ("image_latents", "last_image_latents"))
    assert torch.equal(first, theirs(clip[:, :, 0]))
    assert torch.equal(last, theirs(clip[:, :, -1]))
    both = theirs(clip[:, :, 0], clip[:, :, -1])
    assert torch.allclose(torch.cat([first, last]), both, rtol=0, atol=1e-5)


def test_a_video_that_goes_on_equals_the_pipelines(models: dict[str, ModelFolder]) -> None:
    """Diffusion forcing takes the latents of what was before: the first ones of a clip."""
    model, clip = models["SkyReelsV2DiffusionForcingPipeline"], pixels(17)
    pipeline = load_pipeline(model, "SkyReelsV2DiffusionForcingVideoToVideoPipeline")
    _, _, theirs, count = pipeline.prepare_latents(
        clip[:, :, :9], 1, 4, 64, 96, 17, torch.float32, CPU, overlap_history=9,
        causal_block_size=1, long_video_iter=0, base_latent_num_frames=5,
        overlap_history_latent_frames=3,
    )  # fmt: skip
    assert count == 3
    ours = made(model, "video_latents", clip)[:, :, :3]
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["AnyFlowPipeline", "AnyFlowFARPipeline"])
@pytest.mark.parametrize("frames", [1, 9])
def test_latents_of_anyflow_equal_the_pipelines(
    models: dict[str, ModelFolder], name: str, frames: int
) -> None:
    model, clip = models["AnyFlowFARPipeline"], pixels(17)
    pipeline = load_pipeline(model, name)
    with torch.no_grad():
        theirs = pipeline.encode_video(shown(clip[:, :, :frames]), 64, 96)
    ours = made(model, "video_latents", clip)[:, :, : 1 + (frames - 1) // 4]
    assert torch.equal(ours.transpose(1, 2), theirs)
    if frames == 1:
        assert torch.equal(made(model, "image_latents", clip).transpose(1, 2), theirs)


def test_the_control_of_lucy_edit_equals_the_pipelines(models: dict[str, ModelFolder]) -> None:
    model, clip = models["LucyEditPipeline"], pixels(9)
    _, theirs = load_pipeline(model).prepare_latents(
        clip, 1, 6, 64, 96, torch.float32, CPU, torch.Generator()
    )
    assert torch.equal(made(model, "control_latents", clip, "control"), theirs)


def test_a_store_of_lucy_edit(models: dict[str, ModelFolder], tmp_path: Path) -> None:
    """A pair of videos: what is edited is the control."""
    model = models["LucyEditPipeline"]
    for name, lift in {"before": 40, "after": 60}.items():
        write_video(tmp_path / f"data/{name}.mp4", frames=9, width=96, height=64, lift=lift)
    (tmp_path / "data/list.csv").write_text("video,caption,control\nafter.mp4,Edit.,before.mp4\n")
    result = vp.encode(
        tmp_path / "data", model=model.path, output=tmp_path / "store", device="cpu",
        progress="none", dtype="fp32", reshape="center-crop",
    )  # fmt: skip
    assert result is not None
    assert result.ok
    assert vp.verify(tmp_path / "store").ok
    page = run_page("families/lucy-edit.md", tmp_path)
    clip = next(iter(vp.BucketIndex.load(tmp_path / "store/index.parquet").clips()))
    before = clip.pixels_of(Role("control"))
    assert before is not None
    pipeline = load_pipeline(model)
    video = pipeline.video_processor.preprocess_video(
        pictures(load_clip(before)), height=clip.bucket.height, width=clip.bucket.width
    )
    _, theirs = pipeline.prepare_latents(
        video, 1, 6, clip.bucket.height, clip.bucket.width, torch.float32, CPU
    )
    assert torch.equal(page["before"], theirs)


@pytest.mark.parametrize("name", [one for one in BUILD if not one.startswith("Lucy")])
def test_a_store(models: dict[str, ModelFolder], name: str, tmp_path: Path) -> None:
    model = models[name]
    family: Family = family_of(model)
    last = name.startswith("SkyReels")
    data = fidelity.encode_store(tmp_path, model.path, family, last_frame=last)
    asked = {"image_latents", *(["last_frame"] if last else [])}
    fidelity.require_store(data, family, model, asked)
    assert vp.verify(tmp_path / "store").ok
    shown_pairs = vp.preview(
        tmp_path / "store", model=model.path, output=tmp_path / "seen.html", clips=1
    )
    assert shown_pairs.ok
    page = run_page(f"families/{family.name}.md", tmp_path)
    latents = family.to_transformer(data[0]["video_latents"][None], data.info.facts)
    assert torch.equal(page["latents"], latents)


def test_a_text_to_video_folder_has_no_conditions(tmp_path: Path) -> None:
    folder = tiny_wan.build_wan(tmp_path / "model", pipeline="SkyReelsV2Pipeline")
    family = families()["skyreels-v2"]
    assert set(components_of(family, ModelFolder(folder, "t2v"))) == {
        "prompt_embeds", "video_latents",
    }  # fmt: skip
    with pytest.raises(ModelError, match="`image_latents` asks for first frames"):
        fidelity.encode_store(tmp_path, folder, family)


FOLDERS: dict[str, Callable[[Path], Path]] = {
    **BUILD,
    "WanVACEPipeline": tiny_wan.build_wan_vace,
    "WanAnimatePipeline": tiny_wan.build_wan_animate,
}


@pytest.mark.parametrize("part", ["vae", "text_encoder", "image_encoder"])
@pytest.mark.parametrize("name", FOLDERS)
def test_half_a_folder_is_refused(name: str, part: str, tmp_path: Path) -> None:
    folder = FOLDERS[name](tmp_path / "model")
    model = ModelFolder(folder, name)
    if model.class_of(part) is None:
        assert not (folder / part).exists()
        return
    family_of(model).check(model)
    shutil.rmtree(folder / part)
    half = ModelFolder(folder, name)
    with pytest.raises(ModelError) as raised:
        family_of(half).check(half)
    assert part in str(raised.value)


def test_an_image_encoder_of_the_other_class_is_refused(tmp_path: Path) -> None:
    """SkyReels-V2 and Wan have different ones."""
    folder = tiny_wan.build_wan_i2v(
        tmp_path / "model", pipeline="SkyReelsV2ImageToVideoPipeline", vision="CLIPVisionModel"
    )
    model = ModelFolder(folder, "mixed")
    with pytest.raises(ModelError, match="its image_encoder is a CLIPVisionModel"):
        family_of(model).check(model)


@pytest.mark.parametrize("name", ["WanVACEPipeline", "WanAnimatePipeline", "ChronoEditPipeline"])
def test_a_vae_that_takes_patches_is_of_none_of_them(name: str, tmp_path: Path) -> None:
    folder = tiny_wan.build_wan22_5b(tmp_path / "model", pipeline=name)
    with pytest.raises(ModelError, match=f"its pipeline '{name}' is of no known family"):
        family_of(ModelFolder(folder, "5b"))


@pytest.mark.parametrize("name", FOLDERS)
def test_only_lengths_that_the_vae_takes_whole_are_legal(name: str, tmp_path: Path) -> None:
    """Of 4k+2 to 4k+4 frames it leaves out the last ones, and says nothing."""
    profile = family_of(ModelFolder(FOLDERS[name](tmp_path / "model"), name)).profile
    assert [n for n in range(1, 19) if profile.accepts_frames(n)] == [1, 5, 9, 13, 17]
