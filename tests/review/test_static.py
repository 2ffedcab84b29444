"""The review as a file: what it replaces, what it leaves alone, and what it is called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.assets import write_video
from tests.support.reviews import served
from videoprep import DatasetSpec
from videoprep.cli.app import app
from videoprep.errors import VideoprepError
from videoprep.review.review import Review
from videoprep.review.static import StaticReview, require_page, write_static
from videoprep.spec.caption_journal import Decision


def write(dataset: Path, page: Path, limit: int = 100) -> StaticReview:
    review = Review(DatasetSpec.from_path(dataset))
    try:
        return write_static(review, page, limit)
    finally:
        review.videos.close()


def data_of(page: Path) -> dict[str, object]:
    text = page.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0]
    data = json.loads(text)
    assert isinstance(data, dict)
    return data


def videos_of(page: Path) -> set[str]:
    items = data_of(page)["items"]
    assert isinstance(items, list)
    return {item["video"].rpartition("/")[2] for item in items}


def drop(dataset: Path, *positions: int) -> None:
    spec = DatasetSpec.from_path(dataset)
    states = spec.caption_states()
    spec.journal.append("review", [Decision(states[at].clip, "drop") for at in positions])


@pytest.mark.parametrize(
    "contents", [b"my notes", b"", b"<!DOCTYPE html><p>A page of mine.</p>", b"\xff\xfe" * 9]
)
def test_what_is_no_page_of_a_review_stays(dataset: Path, tmp_path: Path, contents: bytes) -> None:
    page = tmp_path / "review.html"
    page.write_bytes(contents)
    done = CliRunner().invoke(app, ["review", str(dataset), "--static", str(page)])
    assert isinstance(done.exception, VideoprepError)
    assert "no page of a review" in done.exception.message
    assert page.read_bytes() == contents
    assert not (tmp_path / "review_files").exists()


def test_names_that_are_no_pages(tmp_path: Path) -> None:
    for name in ("review", "review.mp4", "review.htm"):
        with pytest.raises(VideoprepError, match=r"ends in \.html"):
            require_page(tmp_path / name)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(VideoprepError, match="is a folder"):
        require_page(tmp_path / "folder.html")
    os.mkfifo(tmp_path / "pipe.html")
    with pytest.raises(VideoprepError, match="not a regular file"):
        require_page(tmp_path / "pipe.html")


def test_a_page_that_is_written_anew_leaves_no_video_behind(dataset: Path, tmp_path: Path) -> None:
    page, folder = tmp_path / "review.html", tmp_path / "review_files"
    write(dataset, page)
    first = videos_of(page)
    assert {file.name for file in folder.iterdir()} == first
    assert len(first) == 3
    alike = "0" * 32 + ".mp4"
    for name in ("notes.txt", "00001.mp4", alike):
        (folder / name).write_bytes(b"mine")
    drop(dataset, 0)
    assert write(dataset, page).clips == 2
    left = videos_of(page)
    assert left < first
    assert {file.name for file in folder.iterdir()} == {*left, "notes.txt", "00001.mp4", alike}
    for name in ("notes.txt", "00001.mp4", alike):
        (folder / name).unlink()
    drop(dataset, 1, 2)
    assert write(dataset, page).clips == 0
    assert not folder.exists()


def test_a_page_keeps_its_videos_until_another_takes_its_place(
    dataset: Path, tmp_path: Path
) -> None:
    page, folder = tmp_path / "review.html", tmp_path / "review_files"
    write(dataset, page)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    drop(dataset, 0)
    review = Review(DatasetSpec.from_path(dataset))

    def stop(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_static(review, page, 100, stop)
    review.videos.close()
    assert before.items() <= {file.name: file.read_bytes() for file in folder.iterdir()}.items()


def test_what_a_browser_keeps_is_of_the_same_captions(dataset: Path, tmp_path: Path) -> None:
    def write_id() -> object:
        write(dataset, tmp_path / "review.html")
        return data_of(tmp_path / "review.html")["id"]

    before = write_id()
    assert write_id() == before
    (dataset / "prompt.txt").write_text("Another caption.\nA clip.\nOne more.\n")
    assert write_id() != before


def test_it_is_named_as_the_dataset_and_not_as_its_films(tmp_path: Path) -> None:
    write_video(tmp_path / "shelf/films/a.mp4", frames=9)
    dataset = tmp_path / "shelf" / "clips"
    dataset.mkdir()
    (dataset / "samples.csv").write_text("video,caption,start,end\na.mp4,A clip.,0,1\n")
    (dataset / "videoprep.yaml").write_text(
        f"data_root: {tmp_path / 'shelf/films'}\ndataset_file: samples.csv\n"
    )
    spec_file = dataset / "videoprep.yaml"
    write(spec_file, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>Review: clips</title>" in text
    assert data_of(tmp_path / "page.html")["dataset"] == "clips"
    with served(spec_file) as asking:
        assert b"<title>Review: clips</title>" in asking.get("").body


def test_a_dataset_that_is_here_has_a_name(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(dataset / "videos")
    review = Review(DatasetSpec.from_path(".."))
    assert review.title == "dataset"
    review.videos.close()


def test_remedies_are_spelled_as_on_the_command_line(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", width=80)
    (tmp_path / "a.txt").write_text("A grey clip.")
    page = tmp_path / "review.html"
    done = CliRunner().invoke(app, ["review", str(tmp_path), "--static", str(page)])
    assert done.exit_code == 0, done.output
    text = page.read_text(encoding="utf-8")
    assert "--reshape center-crop" in text
    assert "reshape=&#39;" not in text
    assert "reshape='" not in text
