"""`videoprep demo --from-footage`: from films to an encoded store, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from videoprep.cli.demo_parts import (
    copy_folder,
    encode_plan,
    list_commands,
    list_made,
    of_preview,
    preview_store,
    print_panel,
    print_step,
    program,
)
from videoprep.cli.options import as_options
from videoprep.cli.output import command_of, safe, stdout, table
from videoprep.errors import VideoprepError

if TYPE_CHECKING:
    from videoprep.captions.run import CaptionResult
    from videoprep.encoding.result import EncodeResult
    from videoprep.index.table import BucketIndex
    from videoprep.previewing.run import Preview
    from videoprep.scenes.run import SplitResult
    from videoprep.spec.dataset import DatasetSpec

# A tiny model on a CPU encodes these in a second. At 8 frames a second the shortest clip that
# `split` makes, of two seconds, has 16.
_SHAPE: dict[str, Any] = {
    "reshape": "center-crop",
    "target_fps": 8,
    "frame_buckets": (9, 17),
    "height_buckets": (64, 96),
    "width_buckets": (64, 96),
}

# The tiny captioner says a sentence.
_MOST_TOKENS = 64
_SHOWN = 10

_A_CAPTIONER = "Qwen/Qwen3-VL-8B-Instruct"
_A_MODEL = "THUDM/CogVideoX-2b"


def demo_footage(data: Path | None, output: Path) -> bool:
    """Run the demo, and return whether all of it worked.

    Args:
        data: a film or a folder of films; None renders some.
        output: the folder for all that is made.
    """
    from videoprep.captions.local_folder import open_caption_folder
    from videoprep.demo.footage import render_footage
    from videoprep.demo.tiny_model import trained_captioner, trained_model

    open_caption_folder(str(trained_captioner()))  # says now if a package is missing
    print_step("1. films")
    films = output / "films" if data is None else data
    work = output / ("from-footage" if data is None else f"from-{data.resolve().stem}")
    if data is None:
        render_footage(films)
        stdout.print(safe(f"two films of several scenes in {films}"))
    else:
        stdout.print(safe(f"your own, in {films}; they are read, and never changed"))
    clips, store = work / "clips", work / "latents"
    found = _split(films, clips, work / "cuts.html")
    captioner = copy_folder(trained_captioner(), output / "captioner")
    captioned = _caption(clips, captioner, own=data is not None)
    spec, is_clean = _validate(clips)
    index = _index(spec, clips, work / "index.parquet")
    encoded = _encode(index, work / "index.parquet", output / "model", store, trained_model())
    seen = _look(store, work / "preview.png", output / "model")
    made = _made(films, work, found, captioned, index, encoded, seen)
    print_panel(made + _next(clips), "videoprep demo --from-footage")
    return found.ok and captioned.ok and is_clean and encoded.ok and seen.ok


def _next(clips: Path) -> Text:
    """Return what to type next."""
    return list_commands(
        "Look at the clips in a browser, and edit their captions or drop some:",
        [command_of("review", clips).removeprefix("videoprep ")],
    ) + list_commands(
        "With films and models of your own:",
        (
            "split FOOTAGE -o dataset",
            f"caption dataset --model {_A_CAPTIONER}",
            "review dataset",
            f"encode dataset -o latents --model {_A_MODEL} --reshape center-crop",
        ),
    )


def _print_command(*words: object) -> None:
    """Print the command that does the same."""
    command = command_of(*words).removeprefix("videoprep")
    stdout.print(safe(f"$ {program()}{command}", "cyan"))


def _split(films: Path, clips: Path, page: Path) -> SplitResult:
    from videoprep.cli.split import print_result, write_page
    from videoprep.pages.split import CutList
    from videoprep.scenes.run import split

    print_step("2. split: find the scenes, and list them as time ranges")
    _print_command("split", films, "-o", clips, "--page", page)
    cuts = CutList()
    found = split(films, output=clips, on_film=cuts.add)
    write_page(cuts, found, page)
    print_result(found, None, page)
    if not found.samples:
        raise VideoprepError(
            "no scene of these films is long enough",
            where=str(films),
            remedy="name films with scenes of two seconds or more",
        )
    return found


def _caption(clips: Path, captioner: Path, *, own: bool) -> CaptionResult:
    from videoprep.captions.options import CaptionOptions
    from videoprep.captions.run import caption
    from videoprep.cli.caption import print_result

    print_step("3. caption, with a tiny LLaVA-OneVision")
    how: dict[str, Any] = {"preset": "short", "max_tokens": _MOST_TOKENS, "device": "cpu"}
    words = as_options(how, CaptionOptions)
    _print_command("caption", clips, "--model", captioner, *words)
    if own:
        stdout.print(
            "the tiny captioner knows the demo's own scenes alone: what it says of your films is "
            "wrong",
            style="yellow",
        )
    asked = caption(
        clips,
        model=str(captioner),
        **how,
    )
    if asked is None:
        raise VideoprepError("the demo runs in one process", remedy="start it without torchrun")
    print_result(asked)
    _print_captions(clips)
    return asked


def _print_captions(clips: Path) -> None:
    """Print what was said of the first clips."""
    from videoprep.spec.dataset import DatasetSpec

    rows = table("", "film", ">from", ">to", "caption")
    rows.title = None
    states = DatasetSpec.from_path(clips).caption_states()
    for state in states[:_SHOWN]:
        sample = state.sample
        start, end = sample.extras.start or 0.0, sample.extras.end or 0.0
        rows.add_row(safe(sample.name), f"{start:.2f} s", f"{end:.2f} s", safe(sample.written))
    stdout.print(rows)
    if len(states) > _SHOWN:
        stdout.print(f"… and {len(states) - _SHOWN} more")


def _validate(clips: Path) -> tuple[DatasetSpec, bool]:
    from videoprep.cli.validate import print_report
    from videoprep.spec.dataset import DatasetSpec
    from videoprep.validators.engine import validate

    print_step("4. validate")
    _print_command("validate", clips, *as_options(_SHAPE))
    spec = DatasetSpec.from_path(clips, **_SHAPE)
    report = validate(spec)
    print_report(report)
    return spec, report.ok


def _index(spec: DatasetSpec, clips: Path, path: Path) -> BucketIndex:
    from videoprep.cli.index import build_index, print_index

    print_step("5. plan buckets, frames and crops")
    _print_command("index", clips, *as_options(_SHAPE), "-o", path)
    index = build_index(spec)
    index.require_clips()
    index.save(path)
    print_index(index, spec)
    return index


def _encode(index: BucketIndex, plan: Path, model: Path, store: Path, tiny: Path) -> EncodeResult:
    print_step("6. encode, with a tiny CogVideoX")
    _print_command("encode", plan, "-o", store, "--model", model, "--device", "cpu")
    return encode_plan(index, copy_folder(tiny, model), store, image_latents=False)


def _look(store: Path, picture: Path, model: Path) -> Preview:
    from videoprep.cli.status import print_status
    from videoprep.encoding.status import status

    print_step("7. look at it")
    _print_command("status", store)
    print_status(status(store))
    _print_command("preview", store, "-o", picture)
    return preview_store(store, model, picture)


def _made(
    films: Path,
    work: Path,
    found: SplitResult,
    captioned: CaptionResult,
    index: BucketIndex,
    encoded: EncodeResult,
    seen: Preview,
) -> Text:
    buckets = len(set(index.buckets))
    journal = found.output / Path(captioned.journal).name
    return list_made(
        [
            ("films", films, f"{found.seconds:.0f} s, as they were"),
            ("dataset", found.output, f"samples.csv: {found.samples} time ranges of the films"),
            ("cuts", work / "cuts.html", "both sides of every cut; open it in a browser"),
            ("captions", journal, "beside the dataset; no other file is changed"),
            ("plan", work / "index.parquet", f"{len(index)} clips in {buckets} buckets"),
            ("latents", work / "latents", f"{encoded.complete} clips with all components"),
            ("picture", work / "preview.png", of_preview(seen)),
        ]
    )
