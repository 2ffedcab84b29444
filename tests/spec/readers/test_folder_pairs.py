"""A folder of videos and a folder of captions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.readers.reading import codes, made, pairs, read
from videoprep.errors import SpecError


@pytest.mark.parametrize("folder", ["metas", "labels", "captions"])
def test_captions_have_the_names_of_their_videos(tmp_path: Path, folder: str) -> None:
    files = {"videos/x.mp4": "v", "videos/d/x.mp4": "v", "videos/y.mp4": "v"}
    captions = {f"{folder}/x.txt": "one\nfirst", f"{folder}/d/x.txt": "two"}
    listing = read(made(tmp_path, {**files, **captions}))
    assert pairs(listing) == {"videos/x.mp4": ("one", "first"), "videos/d/x.mp4": ("two",)}
    assert codes(listing) == [("VP201", 2)]
    assert listing.reading.summary == f"the videos in videos/ with the captions in {folder}/"


def test_captions_in_inner_folders_alone_are_found(tmp_path: Path) -> None:
    made(tmp_path, {"videos/d/x.mp4": "v", "labels/d/x.txt": "one"})
    assert pairs(read(tmp_path)) == {"videos/d/x.mp4": ("one",)}


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    files = {"videos/x.mp4": "v", "metas/x.txt": "one", "metas/z.txt": "z", "metas/d/q.txt": "q"}
    listing = read(made(tmp_path, files))
    found = {over.kind: over.examples for over in listing.reading.passed_over}
    assert found == {
        "caption files without a video or a still image": ("metas/z.txt", "metas/d/q.txt"),
        "videos outside the folder videos": ("a.mp4", "b.mp4", "c.mp4"),
    }


def test_other_folders_are_named_by_options_or_a_saved_spec(tmp_path: Path) -> None:
    made(tmp_path, {"clips/x.mp4": "v", "texts/x.txt": "one"})
    named = {"format": "folder-pairs", "video_column": "clips", "caption_column": "texts"}
    assert pairs(read(tmp_path, **named)) == {"clips/x.mp4": ("one",)}
    lines = [f"{name}: {value}\n" for name, value in named.items()]
    (tmp_path / "videoprep.yaml").write_text("".join(lines))
    assert pairs(read(tmp_path)) == {"clips/x.mp4": ("one",)}


@pytest.mark.parametrize(
    ("video", "caption"), [("../..", "metas"), ("videos", "../secret"), ("videos", "/etc")]
)
def test_named_folders_stay_inside(tmp_path: Path, video: str, caption: str) -> None:
    made(tmp_path, {"secret/x.txt": "a secret"})
    root = made(tmp_path / "set", {"videos/x.mp4": "v", "metas/x.txt": "one"})
    with pytest.raises(SpecError, match="leads outside the data root"):
        read(root, format="folder-pairs", video_column=video, caption_column=caption)


def test_a_linked_folder_stays_inside(tmp_path: Path) -> None:
    made(tmp_path, {"secret/x.txt": "a secret", "secret/x.mp4": "v"})
    root = made(tmp_path / "set", {"videos/x.mp4": "v"})
    (root / "metas").symlink_to(tmp_path / "secret")
    with pytest.raises(SpecError):
        read(root)
    with pytest.raises(SpecError, match="leads outside the data root"):
        read(root, format="folder-pairs")
    listing = read(root, format="folder-pairs", allow_outside_root=True)
    assert pairs(listing) == {"videos/x.mp4": ("a secret",)}
