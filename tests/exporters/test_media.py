"""`export --to media`: pixels, times and captions of the files, the configs, going on."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

import videoprep as vp
from tests.spec.test_remote import put
from tests.support.assets import write_dataset, write_video
from tests.support.numbered import write_numbered
from videoprep.engine.progress import Progress
from videoprep.errors import Code, PlanError, SpecError, StoreError, VideoprepError
from videoprep.exporters.media import ai_toolkit, diffusion_pipe, musubi_tuner, simpletuner
from videoprep.exporters.media.clips import MediaClip, media_clips
from videoprep.exporters.media.run import NAMES, open_plan
from videoprep.index.bucket import Bucket
from videoprep.index.clip import rate_of
from videoprep.media.clip import load_clip

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Pixels = NDArray[np.uint8]

# Of half-saturated colours at the edges of blocks, in which 4:2:0 keeps a quarter of the chroma.
WORST_PSNR = 30.0


def plan(folder: Path, rows: Sequence[dict[str, Any]] = (), **options: Any) -> Path:
    """An index of a folder's lists; or of a table: these rows, or else one a video."""
    source = folder
    if rows or not (folder / "videos.txt").exists():
        rows = rows or [{"video": p.name, "caption": p.stem} for p in sorted(folder.glob("*.mp4"))]
        source = folder / "list.csv"
        with source.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    path = folder.parent / f"{folder.name}.parquet"
    vp.BucketIndex.build(source, **options).save(path)
    return path


def frames_of(path: Path) -> Pixels:
    """All frames ``[F, H, W, 3]``, as any reader decodes them."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def prepared(clip: MediaClip) -> Pixels:
    """What `encode` gives to the VAE."""
    return load_clip(clip.clip.pixels).permute(0, 2, 3, 1).numpy()


def psnr(one: Pixels, other: Pixels) -> float:
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return 10 * np.log10(255**2 / error) if error else float("inf")


def exported(source: Path, output: Path, **options: Any) -> Iterator[tuple[MediaClip, Path]]:
    """Exports, and gives each planned clip with its file."""
    result = vp.export_media(source, output=output, **options)
    assert result.ok
    clips = list(media_clips(open_plan(source)))
    assert result.clips == len(clips)
    return ((clip, output / clip.video) for clip in clips)


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for the configs, which name the folder."""
    files = (path for path in (folder / "clips").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# Pixels


def _plain(folder: Path) -> dict[str, Any]:
    write_dataset(folder)
    return {}


def _resized(folder: Path) -> dict[str, Any]:
    write_dataset(folder)
    return {"reshape": "center-crop", "buckets": ("5x32x64",)}


def _padded(folder: Path) -> dict[str, Any]:
    write_dataset(folder)
    return {"reshape": "pad", "buckets": ("5x64x64",)}


def _variable_rate(folder: Path) -> dict[str, Any]:
    times = [0, 1, 4, 5, 9, 10, 15, 22, 23, 24, 30]
    write_video(folder / "a.mp4", frames=len(times), fps=24, times=times)
    return {"target_fps": 8, "frame_buckets": (5,)}


def _turned(folder: Path) -> dict[str, Any]:
    for matrix in ("turned-90", "turned-180", "mirrored"):
        write_video(folder / f"{matrix}.mp4", frames=5, matrix=matrix)
    return {}


def _b_frames(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    write_numbered(folder / "a.mp4", 40)
    return {"frame_buckets": (9,), "clip_mode": "chunk", "target_fps": "12.5"}


SOURCES = (_plain, _resized, _padded, _variable_rate, _turned, _b_frames)


@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__.strip("_"))
def test_frames_are_those_that_are_encoded(make: Any, tmp_path: Path) -> None:
    source = plan(tmp_path / "data", **make(tmp_path / "data"))
    for clip, path in exported(source, tmp_path / "lossless", lossless=True):
        assert np.array_equal(frames_of(path), prepared(clip))
    for clip, path in exported(source, tmp_path / "lossy"):
        found, expected = frames_of(path), prepared(clip)
        assert found.shape == expected.shape
        assert min(map(psnr, found, expected)) > WORST_PSNR


def test_frames_of_a_part_of_the_video(tmp_path: Path) -> None:
    write_numbered(tmp_path / "data.mp4", 60)
    (tmp_path / "data").mkdir()
    (tmp_path / "data.mp4").rename(tmp_path / "data/a.mp4")
    rows = [
        {"video": "a.mp4", "caption": "early", "start": 0.2, "end": 0.6},
        {"video": "a.mp4", "caption": "late", "start": 1, "end": 2},
    ]
    source = plan(tmp_path / "data", rows, frame_buckets=(9,))
    whole = frames_of(tmp_path / "data/a.mp4")
    (_, early), (_, late) = exported(source, tmp_path / "out", lossless=True)
    assert np.array_equal(frames_of(early), whole[5:14])
    assert np.array_equal(frames_of(late), whole[25:34])
    assert early.with_suffix(".txt").read_text() == "early"


def test_colours_are_those_that_other_readers_see(tmp_path: Path) -> None:
    """OpenCV passes over what a file says of its colours."""
    import cv2

    source = plan(tmp_path / "data", **_b_frames(tmp_path / "data"))
    for options in ({"lossless": True}, {"lossless": False}):
        for clip, path in exported(source, tmp_path / str(options), **options):
            reader = cv2.VideoCapture(str(path))
            for expected in prepared(clip):
                _, picture = reader.read()
                assert picture is not None
                assert psnr(picture[..., ::-1].astype(np.uint8), expected) > WORST_PSNR
            assert not reader.read()[0]


# Times


@pytest.mark.parametrize(
    ("fps", "target", "rate"),
    [
        (8, None, Fraction(8)),
        (Fraction(30000, 1001), None, Fraction(30000, 1001)),
        (Fraction(24000, 1001), None, Fraction(24000, 1001)),
        (Fraction(120000, 1001), None, Fraction(120000, 1001)),
        (30, 16, Fraction(16)),
        (30, "23.976", Fraction(2997, 125)),
        (30, 24000 / 1001, Fraction(24000, 1001)),
        (90, "12.5", Fraction(25, 2)),
    ],
)
def test_rates_are_exact(fps: Any, target: Any, rate: Fraction, tmp_path: Path) -> None:
    write_video(tmp_path / "data/a.mp4", frames=45, fps=fps)
    options = {} if target is None else {"target_fps": target}
    source = plan(tmp_path / "data", frame_buckets=(5,), **options)
    for _, path in exported(source, tmp_path / "out"):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == stream.guessed_rate == rate
            assert stream.frames == 5
            times = [(frame.pts, frame.time_base) for frame in container.decode(stream)]
        assert [pts * base for pts, base in times if pts is not None and base is not None] == [
            number / rate for number in range(5)
        ]


def test_a_variable_rate_becomes_its_average(tmp_path: Path) -> None:
    times = [0, 1, 4, 5, 9, 10, 15, 22, 23]
    write_video(tmp_path / "data/a.mp4", frames=len(times), fps=24, times=times)
    ((clip, path),) = exported(plan(tmp_path / "data", frame_buckets=(5,)), tmp_path / "out")
    assert clip.rate == rate_of(clip.clip.fps)
    assert float(clip.rate) == pytest.approx(clip.clip.fps, rel=1e-9)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == clip.rate


# Captions and names


def test_captions_are_one_line_each(tmp_path: Path) -> None:
    captions = ['two\n\nlines  of "text"', "<b>bold</b> &amp; 100 %", "Übung: 犬が走る 🐕", "plain"]
    for number in range(len(captions)):
        write_video(tmp_path / f"data/{number}.mp4", frames=5, lift=40 + number)
    rows = [{"video": f"{n}.mp4", "caption": text} for n, text in enumerate(captions)]
    files = [path for _, path in exported(plan(tmp_path / "data", rows), tmp_path / "out")]
    written = [path.with_suffix(".txt").read_bytes().decode() for path in files]
    assert written == ['two lines of "text"', *captions[1:]]
    lines = (tmp_path / "out" / NAMES).read_text(encoding="utf-8").splitlines()
    listed = [json.loads(line) for line in lines]
    assert [entry["caption"] for entry in listed] == captions
    assert [tmp_path / "out" / entry["name"] for entry in listed] == files


def test_names_do_not_collide(tmp_path: Path) -> None:
    names = ("a/clip.1.mp4", "b/clip.1.mp4", "früh am Morgen.mp4")
    for number, name in enumerate(names):
        write_video(tmp_path / "data" / name, frames=9, lift=40 + number)
    rows = [{"video": name, "caption": name} for name in names]
    source = plan(tmp_path / "data", rows, frame_buckets=(4,), clip_mode="chunk")
    files = [path for _, path in exported(source, tmp_path / "out")]
    assert len(set(files)) == len(files) == 6
    assert all(path.name.isascii() and path.name.count(".") == 1 for path in files)


# Configs


def test_layout_and_configs(dataset: Path, tmp_path: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    out = tmp_path / "out"
    result = vp.export_media(plan(dataset), output=out)
    assert (result.clips, result.written) == (3, 6)
    assert sorted(contents(out)) == [
        "clips/5x96x64/00000002_c.mp4",
        "clips/5x96x64/00000002_c.txt",
        "clips/9x64x96/00000000_a.mp4",
        "clips/9x64x96/00000000_a.txt",
        "clips/9x64x96/00000001_b.mp4",
        "clips/9x64x96/00000001_b.txt",
    ]
    folders = [str(out / "clips" / name) for name in ("5x96x64", "9x64x96")]
    sizes = [(64, 96, 5), (96, 64, 9)]

    pipe = tomllib.loads((out / "diffusion-pipe.toml").read_text())
    assert [entry["path"] for entry in pipe["directory"]] == folders
    assert [entry["size_buckets"] for entry in pipe["directory"]] == [[list(s)] for s in sizes]

    musubi = tomllib.loads((out / "musubi-tuner.toml").read_text())
    assert musubi["general"]["caption_extension"] == ".txt"
    for entry, folder, (width, height, frames) in zip(
        musubi["datasets"], folders, sizes, strict=True
    ):
        assert entry["video_directory"] == folder
        assert entry["resolution"] == [width, height]
        assert entry["target_frames"] == [frames]
        assert entry["frame_extraction"] == "head"
        assert "source_fps" not in entry
    assert len({entry["cache_directory"] for entry in musubi["datasets"]}) == 2

    *backends, captions = json.loads((out / "multidatabackend.json").read_text())
    assert captions["dataset_type"] == "text_embeds"
    assert len({backend["id"] for backend in backends}) == 2
    for backend, folder, (width, height, frames) in zip(backends, folders, sizes, strict=True):
        assert backend["instance_data_dir"] == folder
        assert backend["caption_strategy"] == "textfile"
        assert (backend["resolution_type"], backend["resolution"]) == ("pixel", min(width, height))
        assert {backend["video"][f"{which}_frames"] for which in ("num", "min", "max")} == {frames}
    assert result.commands["SimpleTuner"].endswith("--aspect_bucket_alignment=32")

    toolkit = yaml.safe_load((out / "ai-toolkit.yaml").read_text())["datasets"]
    for entry, folder, (width, height, frames) in zip(toolkit, folders, sizes, strict=True):
        assert entry["folder_path"] == folder
        assert entry["num_frames"] == frames
        assert (entry["resolution"] - 1) ** 2 < width * height <= entry["resolution"] ** 2


def test_paths_are_quoted(dataset: Path, tmp_path: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    out = tmp_path / 'a "strange"\\\n# name, 犬'
    vp.export_media(plan(dataset), output=out)
    for name, entry in (("diffusion-pipe", "directory"), ("musubi-tuner", "datasets")):
        config = tomllib.loads((out / f"{name}.toml").read_text(encoding="utf-8"))
        assert str(out / "clips/5x96x64") in config[entry][0].values()
    toolkit = yaml.safe_load((out / "ai-toolkit.yaml").read_text(encoding="utf-8"))
    assert toolkit["datasets"][0]["folder_path"] == str(out / "clips/5x96x64")


@pytest.mark.parametrize(
    ("trainer", "bucket", "told"),
    [
        (diffusion_pipe.TRAINER, Bucket(49, 480, 720), None),
        (diffusion_pipe.TRAINER, Bucket(48, 480, 720), "takes the first 45 frames"),
        (diffusion_pipe.TRAINER, Bucket(49, 480, 728), "resizes to multiples of 16"),
        (musubi_tuner.TRAINER, Bucket(49, 256, 1024), None),
        (musubi_tuner.TRAINER, Bucket(49, 64, 1024), "resizes and crops: it knows no shape as"),
        (musubi_tuner.TRAINER, Bucket(48, 480, 720), "takes the first 45 frames"),
        (musubi_tuner.TRAINER, Bucket(49, 480, 728), "resizes to multiples of 16"),
        (simpletuner.TRAINER, Bucket(49, 480, 720), None),
        (simpletuner.TRAINER, Bucket(49, 1024, 64), "resizes and crops"),
        (simpletuner.TRAINER, Bucket(45, 480, 720), "takes the first 41 frames for most models"),
        (ai_toolkit.TRAINER, Bucket(48, 480, 720), None),
        (ai_toolkit.TRAINER, Bucket(1, 480, 720), "passes over videos of one frame"),
    ],
)
def test_what_a_trainer_changes_all_the_same_is_told(
    trainer: Any, bucket: Bucket, told: str | None
) -> None:
    found = trainer.alters(bucket)
    assert found is None if told is None else found.startswith(told)


def test_notes_name_trainer_bucket_and_rate(dataset: Path, tmp_path: Path) -> None:
    source = plan(dataset, frame_buckets=(4,), reshape="center-crop")
    notes = vp.export_media(source, output=tmp_path / "out").notes
    assert "musubi-tuner takes the first 1 frames of the clips of 4×64×96" in notes
    assert any(note.startswith("diffusion-pipe resamples") and "have 8" in note for note in notes)


# Sources that are gone, or do not decode


def test_a_source_that_changed_is_an_error(dataset: Path, tmp_path: Path) -> None:
    source = plan(dataset)
    (dataset / "videos/a.mp4").unlink()
    write_video(dataset / "videos/b.mp4", frames=9, lift=11)
    with pytest.raises(PlanError, match="2 videos are not as they were planned") as raised:
        vp.export_media(source, output=tmp_path / "out")
    assert "videos/a.mp4" in str(raised.value)
    assert "`on_missing='skip'`" in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_gone_can_be_left_out_and_come_back(dataset: Path, tmp_path: Path) -> None:
    source, out = plan(dataset), tmp_path / "out"
    vp.export_media(source, output=tmp_path / "whole")
    (dataset / "videos/c.mp4").rename(tmp_path / "c.mp4")
    result = vp.export_media(source, output=out, on_missing="skip")
    assert (result.ok, result.clips, result.written) == (False, 2, 4)
    ((left_out,),) = (result.left_out,)
    assert (left_out.video, left_out.code) == ("videos/c.mp4", Code.SOURCE_CHANGED.value)
    assert "5x96x64" not in (out / "musubi-tuner.toml").read_text()
    assert (out / NAMES).read_text().count("\n") == 2
    (tmp_path / "c.mp4").rename(dataset / "videos/c.mp4")
    again = vp.export_media(source, output=out)
    assert (again.ok, again.clips, again.written) == (True, 3, 2)
    assert "5x96x64" in (out / "musubi-tuner.toml").read_text()
    assert contents(out) == contents(tmp_path / "whole")


def test_a_clip_that_does_not_decode_fails(run_cli: Run, dataset: Path, tmp_path: Path) -> None:
    bad = {"VIDEOPREP_FAILPOINTS": "decode=segv*0@b.mp4"}
    command = ("export", plan(dataset), "--to", "media", "-o", tmp_path / "out")
    failed = run_cli(*command, **bad)
    again = run_cli(*command)
    for done in (failed, again):
        assert done.returncode == 1, done.stderr
        assert "2 clips as media, 1 failed\n" in done.stdout
        assert f"failed videos/b.mp4 (videos.txt:2): {Code.DECODER_CRASH.value} " in done.stdout
    done = run_cli(*command, "--retry-failed")
    assert done.returncode == 0, done.stderr
    assert "3 clips as media\n" in done.stdout


# Going on


def test_it_goes_on_after_a_kill(run_cli: Run, dataset: Path, tmp_path: Path) -> None:
    source, out = plan(dataset), tmp_path / "out"
    vp.export_media(source, output=tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    killed = run_cli(
        *("export", source, "--to", "media", "-o", out),
        VIDEOPREP_FAILPOINTS="file.written=kill*2@.mp4",
    )
    assert killed.returncode == -9
    left = {name: data for name, data in contents(out).items() if Path(name).name[0] != "."}
    assert len([name for name in left if name.endswith(".mp4")]) == 1
    assert left.items() <= whole.items()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("0*.mp4")}
    done = run_cli("export", source, "--to", "media", "-o", out, "--output-format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["written"] == len(whole) - len(left)
    assert whole.items() <= contents(out).items()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_nothing_is_written_again(dataset: Path, tmp_path: Path) -> None:
    source, out = plan(dataset), tmp_path / "out"
    vp.export_media(source, output=out)
    lost = out / "clips/9x64x96/00000001_b.txt"
    lost.unlink()
    assert vp.export_media(source, output=out).written == 1
    assert vp.export_media(source, output=out).written == 0
    with pytest.raises(StoreError, match="made otherwise: lossless False, not True"):
        vp.export_media(source, output=out, lossless=True)


def test_equal_plans_give_equal_bytes(demo_dataset: Path, tmp_path: Path) -> None:
    """Whatever was in memory before."""
    index = vp.BucketIndex.build(demo_dataset)
    for name, lossless in (("one", False), ("between", True), ("two", False)):
        vp.export_media(index, output=tmp_path / name, lossless=lossless)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert contents(tmp_path / "one") != contents(tmp_path / "between")


def test_configs_name_the_folder_where_it_is_now(dataset: Path, tmp_path: Path) -> None:
    source = plan(dataset)
    vp.export_media(source, output=tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "moved")
    assert vp.export_media(source, output=tmp_path / "moved").written == 0
    assert str(tmp_path / "moved/clips") in (tmp_path / "moved/diffusion-pipe.toml").read_text()


# What is exported


def test_a_store_gives_what_its_plan_gives(
    demo_store: Path, demo_dataset: Path, tmp_path: Path
) -> None:
    shutil.copytree(demo_dataset, tmp_path / "moved")
    index = vp.BucketIndex.load(demo_store / "index.parquet", data_root=tmp_path / "moved")
    of_plan = vp.export_media(index, output=tmp_path / "plan")
    of_store = vp.export_media(demo_store, output=tmp_path / "store", data_root=tmp_path / "moved")
    assert of_store.clips == of_plan.clips == 12
    assert contents(tmp_path / "store") == contents(tmp_path / "plan")
    data = vp.LatentDataset(demo_store)
    names = [json.loads(line) for line in (tmp_path / "plan" / NAMES).read_text().splitlines()]
    captions = [data.row(number)["caption"] for number in range(len(data))]
    assert [entry["caption"] for entry in names] == captions


def test_a_dataset_behind_a_url(
    s3: str, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOPREP_MIRRORS", str(tmp_path / "mirrors"))
    put(dataset, f"{s3}/data")
    vp.BucketIndex.build(f"{s3}/data").save(tmp_path / "remote.parquet")
    assert vp.export_media(tmp_path / "remote.parquet", output=tmp_path / "remote").ok
    assert vp.export_media(plan(dataset), output=tmp_path / "here").ok
    assert contents(tmp_path / "remote") == contents(tmp_path / "here")


def test_one_split(dataset: Path, tmp_path: Path) -> None:
    rows = [
        {"video": f"videos/{name}.mp4", "caption": name, "split": split}
        for name, split in (("a", "train"), ("b", "val"), ("c", "train"))
    ]
    source = plan(dataset, rows)
    assert vp.export_media(source, output=tmp_path / "val", split="val").clips == 1
    with pytest.raises(PlanError, match="no clip of the split 'test'") as raised:
        vp.export_media(source, output=tmp_path / "test", split="test")
    assert "its splits are: train, val" in str(raised.value)


def test_what_is_neither_store_nor_index(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file or folder"):
        vp.export_media(tmp_path / "plan.parquet", output=tmp_path / "out")
    with pytest.raises(SpecError, match="no dataset here"):
        vp.export_media(tmp_path, output=tmp_path / "out")
    with pytest.raises(VideoprepError, match="made of the plan's videos") as raised:
        vp.export(tmp_path, to="media", output=tmp_path / "out")
    assert "videoprep.export_media" in str(raised.value)


def test_options_of_media_are_for_media(run_cli: Run, demo_store: Path, tmp_path: Path) -> None:
    done = run_cli("export", demo_store, "--to", "finetrainers", "-o", tmp_path, "--lossless")
    assert done.returncode == 2
    assert "for --to media" in " ".join(done.stderr.replace("│", " ").split())


def test_what_is_decoded_at_a_time_does_not_grow(tmp_path: Path) -> None:
    """Many clips of a long video: shared memory is that of a few of them."""
    write_video(tmp_path / "data/a.mp4", width=320, height=192, frames=400)
    source = plan(tmp_path / "data", frame_buckets=(5,), clip_mode="chunk")
    held: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            if sum(1 for _ in (tmp_path / "out/clips").rglob("*.mp4")) >= 20:
                held.append(int(Path("/proc/self/statm").read_text().split()[2]))

    watching = threading.Thread(target=watch)
    watching.start()
    result = vp.export_media(source, output=tmp_path / "out")
    ended.set()
    watching.join()
    assert result.clips == 80
    clip_bytes = 5 * 320 * 192 * 3
    assert (max(held) - held[0]) * os.sysconf("SC_PAGE_SIZE") < 20 * clip_bytes


def test_progress_adds_up(dataset: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    vp.export_media(plan(dataset), output=tmp_path / "out", on_progress=told.append)
    assert (told[-1].phase, told[-1].items, told[-1].amounts) == ("done", "clips", "frames")
    clips = told[-1].groups["clips"]
    assert (clips.done, clips.total, clips.failed) == (3, 3, 0)
    assert clips.cost_done == clips.cost_total == (2 * 9 + 5) * 64 * 96


def test_the_real_clips(real_clips: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(real_clips, tmp_path / "data"))
    folder.chmod(0o755)
    source = plan(
        folder,
        reshape="center-crop",
        profile="cogvideox",
        buckets="auto",
        max_pixels=480 * 720,
        target_fps=8,
    )
    for clip, path in exported(source, tmp_path / "out"):
        found, expected = frames_of(path), prepared(clip)
        assert found.shape == expected.shape
        assert min(map(psnr, found, expected)) > 38
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == 8
