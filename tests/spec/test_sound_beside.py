"""Sound files that lie beside videos: found in every format, said, and never guessed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import videoprep as vp
from tests.spec.readers.reading import VIDEOS, codes, made, read
from videoprep.spec.entries import Reading
from videoprep.spec.sample import Listing
from videoprep.spec.sound_beside import SoundNames

CAPTIONS = {"a.txt": "one", "b.txt": "two", "c.txt": "three"}


def sounds(listing: Listing) -> dict[str, str | None]:
    """The sound file of each sample, by video."""
    return {
        sample.name: next((one.name for one in sample.beside), None) for sample in listing.samples
    }


@pytest.mark.parametrize(
    "name", ["a.wav", "a.flac", "a.mp3", "a.m4a", "a.ogg", "a.opus", "a.WAV", "a.mp4.wav"]
)
def test_is_found_by_the_name_of_the_video(tmp_path: Path, name: str) -> None:
    listing = read(made(tmp_path, {**CAPTIONS, name: "sound"}))
    assert sounds(listing) == {"a.mp4": name, "b.mp4": None, "c.mp4": None}
    assert codes(listing) == []
    assert [str(media.role) for media in listing.samples[0].beside] == ["audio"]


@pytest.mark.parametrize(
    ("files", "prefix"),
    [
        (CAPTIONS, ""),
        ({"captions.json": '{"a.mp4": "one", "b.mp4": "two", "c.mp4": "three"}'}, ""),
        ({"prompt.txt": "one\ntwo\nthree\n", "videos.txt": "a.mp4\nb.mp4\nc.mp4\n"}, ""),
        ({"list.csv": "video,caption\na.mp4,one\nb.mp4,two\nc.mp4,three\n"}, ""),
        ({"list.jsonl": '{"video": "a.mp4", "caption": "one"}\n'}, ""),
        ({"train/metadata.csv": "file_name,caption\nx.mp4,one\n", "train/x.mp4": "v"}, "train/x"),
        ({"videos/x.mp4": "v", "metas/x.txt": "one"}, "videos/x"),
    ],
)
def test_is_found_in_every_format_and_said(
    tmp_path: Path, files: dict[str, str], prefix: str
) -> None:
    sound = f"{prefix or 'a'}.wav"
    listing = read(made(tmp_path, {**files, sound: "sound"}))
    assert sounds(listing)[f"{prefix or 'a'}.mp4"] == sound
    assert listing.reading.sounds_beside == 1
    assert next(listing.reading.sentences()).endswith("sound beside videos (1)")
    assert not any(sound in one.examples for one in listing.reading.passed_over)
    assert Reading.from_json(listing.reading.to_json()) == listing.reading


def test_of_folders_that_have_none_nothing_is_said(tmp_path: Path) -> None:
    """An index of before keeps its bytes: how it was read is a part of it."""
    reading = read(made(tmp_path, CAPTIONS)).reading
    assert "sound" not in next(reading.sentences())
    assert "sounds_beside" not in reading.to_json()


def test_several_are_refused(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {**CAPTIONS, "a.wav": "s", "a.flac": "s", "b.wav": "s"}))
    assert codes(listing) == [("VP024", 1)]
    (problem,) = listing.problems
    assert problem.message == "its audio: several sound files lie beside it: a.flac, a.wav"
    assert "keep one of them" in problem.remedy
    assert problem.video == "a.mp4"
    assert sounds(listing) == {"b.mp4": "b.wav", "c.mp4": None}
    (code,) = {one.code for one in vp.BucketIndex.build(tmp_path).left_out if one.video == "a.mp4"}
    assert code == "VP024"


def test_one_of_several_videos_is_refused(tmp_path: Path) -> None:
    """Which of them the sound belongs to, its whole name says."""
    files = {**CAPTIONS, "a.mov": "v", "a.wav": "s"}
    listing = read(made(tmp_path, files))
    assert {code for code, _ in codes(listing)} == {"VP024"}
    assert {one.video for one in listing.problems} == {"a.mov", "a.mp4"}
    assert "a.wav lies beside several videos: a.mov, a.mp4" in listing.problems[0].message
    assert "a.mov.wav" in listing.problems[0].remedy
    (tmp_path / "a.wav").rename(tmp_path / "a.mp4.wav")
    named = read(tmp_path)
    assert codes(named) == []
    assert sounds(named)["a.mp4"] == "a.mp4.wav"
    assert sounds(named)["a.mov"] is None


def test_a_column_counts_alone(tmp_path: Path) -> None:
    """Where it is empty the sound is the video's own, as the user has written."""
    rows = "video,caption,audio\na.mp4,one,x.wav\nb.mp4,two,\n"
    listing = read(made(tmp_path, {"list.csv": rows, "x.wav": "s", "b.wav": "s"}))
    assert sounds(listing) == {"a.mp4": "x.wav", "b.mp4": None}
    assert listing.reading.sounds_beside == 0


@pytest.mark.parametrize("format_", ["caption-files", "line-files"])
def test_is_turned_off(tmp_path: Path, format_: str) -> None:
    lists = {"prompt.txt": "one\ntwo\nthree\n", "videos.txt": "a.mp4\nb.mp4\nc.mp4\n"}
    files = CAPTIONS if format_ == "caption-files" else lists
    root = made(tmp_path, {**files, "a.wav": "s", "b.wav": "s", "b.mp3": "s"})
    listing = read(root, audio_column="")
    assert listing.reading.format == format_
    assert [*sounds(listing).values()] == [None] * 3
    (root / "videoprep.yaml").write_text("audio_column: ''\n")
    assert [*sounds(read(root)).values()] == [None] * 3


def test_what_belongs_to_no_video_is_pointed_out(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {**CAPTIONS, "a.wav": "s", "music.mp3": "s", "sub/x.flac": "s"}))
    (over,) = listing.reading.passed_over
    assert (over.kind, over.count) == ("sound files without a video", 2)
    assert over.examples == ("music.mp3", "sub/x.flac")


def test_one_video_listed_twice_has_its_sound_twice(tmp_path: Path) -> None:
    rows = "video,caption,start,end\na.mp4,one,0,1\n./a.mp4,two,1,2\n"
    listing = read(made(tmp_path, {"list.csv": rows, "a.wav": "s"}))
    assert [sample.beside[0].name for sample in listing.samples] == ["a.wav", "./a.wav"]


def test_what_is_no_file_is_no_sound(tmp_path: Path) -> None:
    """A folder is passed over; a link that leads nowhere or outside costs its sample."""
    (tmp_path / "data/a.wav").mkdir(parents=True)
    (tmp_path / "outside.wav").write_bytes(b"s")
    (tmp_path / "data/b.wav").symlink_to("annex/objects/x")
    (tmp_path / "data/c.wav").symlink_to(tmp_path / "outside.wav")
    (tmp_path / "data/._a.wav").write_bytes(b"what macOS keeps beside a file")
    rows = "video,caption\na.mp4,one\nb.mp4,two\nc.mp4,three\n"
    listing = read(made(tmp_path / "data", {"list.csv": rows}))
    assert codes(listing) == [("VP022", 2), ("VP006", 3)]
    assert all(one.message.startswith("its audio: ") for one in listing.problems)
    assert sounds(listing) == {"a.mp4": None}
    trusted = read(tmp_path / "data", allow_outside_root=True)
    assert sounds(trusted) == {"a.mp4": None, "c.mp4": "c.wav"}


def test_a_folder_outside_is_not_looked_into(tmp_path: Path) -> None:
    made(tmp_path / "out", {"a.wav": "s", "a.flac": "s"})
    root = made(tmp_path / "data", {"list.csv": "video,caption\n../out/a.mp4,one\n"})
    assert codes(read(root)) == [("VP006", 1)]
    assert codes(read(root, allow_outside_root=True)) == [("VP024", 1)]
    os.unlink(tmp_path / "out/a.flac")
    assert sounds(read(root, allow_outside_root=True)) == {"../out/a.mp4": "../out/a.wav"}


def test_names_with_and_without_the_ending_of_the_video() -> None:
    names = SoundNames(["clip.mp4", "clip.mp4.wav", "clip.wav", "clip.mov", "x.tar.mp4", "x.wav"])
    assert names.of("clip.mp4") == ["clip.mp4.wav"]
    assert names.of("clip.mov") == ["clip.wav"]
    assert names.sharing("clip.mov") == ["clip.mov"]
    assert names.of("x.tar.mp4") == []


# In a folder of their own


@pytest.mark.parametrize("folder", ["audio", "Sounds"])
@pytest.mark.parametrize(
    "files",
    [
        {"videos/a.txt": "one", "videos/b.txt": "two", "videos/sub/c.txt": "three"},
        {"list.csv": "video,caption\nvideos/a.mp4,1\nvideos/b.mp4,2\n./videos/sub/c.mp4,3\n"},
        {"prompt.txt": "1\n2\n3\n", "videos.txt": "videos/a.mp4\nvideos/b.mp4\nvideos/sub/c.mp4\n"},
        {"metas/a.txt": "one", "metas/b.txt": "two", "metas/sub/c.txt": "three"},
    ],
)  # fmt: skip
def test_a_folder_of_sounds_is_found_in_every_format(
    tmp_path: Path, files: dict[str, str], folder: str
) -> None:
    videos = dict.fromkeys(("videos/a.mp4", "videos/b.mp4", "videos/sub/c.mp4"), "v")
    named = {f"{folder}/a.wav": "s", f"{folder}/sub/c.mp4.FLAC": "s", f"{folder}/x.wav": "s"}
    root = made(tmp_path, {**files, **videos, **named})
    for name in VIDEOS:
        (root / name).unlink()
    listing = read(root)
    assert codes(listing) == []
    assert {Path(video).name: sound for video, sound in sounds(listing).items()} == {
        "a.mp4": f"{folder}/a.wav", "b.mp4": None, "c.mp4": f"{folder}/sub/c.mp4.FLAC",
    }  # fmt: skip
    reading = listing.reading
    assert (reading.columns["audio"], reading.sounds_beside) == (f"{folder}/", 2)
    (over,) = (one for one in reading.passed_over if "sound" in one.kind)
    assert over.examples == (f"{folder}/x.wav",)
    assert not any(folder in example for one in reading.passed_over if one != over
                   for example in one.examples)  # fmt: skip
    off = read(tmp_path, audio_column="")
    assert [*sounds(off).values()] == [None] * 3


def test_a_folder_of_sounds_beside_the_videos_themselves(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {**CAPTIONS, "audio/a.wav": "s", "audio/b.wav": "s"}))
    assert sounds(listing) == {"a.mp4": "audio/a.wav", "b.mp4": "audio/b.wav", "c.mp4": None}


def test_a_sound_beside_a_video_and_one_in_the_folder_are_several(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {**CAPTIONS, "a.wav": "s", "audio/a.wav": "s"}))
    assert codes(listing) == [("VP024", 1)]
    assert "a.wav, audio/a.wav" in listing.problems[0].message


def test_a_sound_in_the_folder_for_two_videos_is_refused(tmp_path: Path) -> None:
    listing = read(made(tmp_path, {**CAPTIONS, "a.mov": "v", "audio/a.wav": "s"}))
    assert {one.video for one in listing.problems} == {"a.mov", "a.mp4"}
    assert "audio/a.wav lies beside several videos: a.mov, a.mp4" in listing.problems[0].message


@pytest.mark.parametrize("more", [{"sound/b.wav": "s"}, {"audio/v.mp4": "v"}])
def test_a_folder_that_leaves_it_open_is_not_taken(tmp_path: Path, more: dict[str, str]) -> None:
    """Of two nobody knows which is meant; one with videos holds samples."""
    listing = read(made(tmp_path, {**CAPTIONS, "audio/a.wav": "s", **more}))
    assert set(sounds(listing).values()) == {None}
    over = {one.kind: one.count for one in listing.reading.passed_over}
    assert over["sound files without a video"] == len({"audio/a.wav", *more} - {"audio/v.mp4"})


def test_a_folder_of_sounds_outside_is_not_looked_into(tmp_path: Path) -> None:
    made(tmp_path / "out", {"a.wav": "s"})
    made(tmp_path / "data", CAPTIONS)
    (tmp_path / "data/audio").symlink_to(tmp_path / "out")
    assert set(sounds(read(tmp_path / "data")).values()) == {None}
