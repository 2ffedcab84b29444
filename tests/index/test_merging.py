"""`scaffold` where a ``videoprep.yaml`` is already, for a model that is named, and elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

import videoprep as vp
from tests.spec.test_hostile_lists import HOSTILE_SPECS
from tests.support.assets import write_video
from videoprep.errors import ModelError, SpecError
from videoprep.families.registry import profiles
from videoprep.index.merging import ChangedSetting
from videoprep.index.scaffold import ReadOnlyError, Scaffold, columns_of, scaffold
from videoprep.spec.dataset import DatasetSpec

HEADER = "video,caption,notes\n"
ROWS = "videos/a.mp4,one,x\nvideos/b.mp4,two,y\n"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clips") / "videos"
    for name, rate, height in (("a", 24, 64), ("b", 30, 48), ("c", 60, 64)):
        write_video(made / f"{name}.mp4", fps=rate, height=height, frames=30)
    return made


@pytest.fixture
def folder(tmp_path: Path, clips: Path) -> Path:
    """Three videos of mixed rates and sizes; a table that names two."""
    shutil.copytree(clips, tmp_path / "data/videos")
    (tmp_path / "data/list.csv").write_text(HEADER + ROWS)
    return tmp_path / "data"


def _yaml(folder: Path) -> Path:
    return folder / "videoprep.yaml"


def _saved(folder: Path) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load(_yaml(folder).read_text())
    return loaded


def _seen(folder: Path) -> list[Path]:
    """What is in a folder, but for the cache of what is in its videos."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _write(made: Scaffold) -> bool:
    """Whether there was anything to write."""
    made.write()
    return made.changes


def _captions(path: Path) -> list[str]:
    return [sample.caption for sample in DatasetSpec.from_path(path).samples()]


# For a model.


def test_proposals_are_for_the_profile_that_is_named(folder: Path) -> None:
    made = scaffold(folder, profile="wan")
    assert made.profile == "wan"
    assert made.fields["profile"] == "wan"
    values = {name: proposal.value for name, proposal in made.proposed.items()}
    assert values == {"reshape": "center-crop", "max_num_frames": 81, "target_fps": 16}
    assert "2 of 2 videos looked at do not have 4k+1 frames" in made.proposed["reshape"].why
    assert "trained at 16 frames a second; the videos have 24 to 30" in (
        made.proposed["target_fps"].why
    )


@pytest.mark.parametrize("name", profiles())
@pytest.mark.parametrize("accept", [False, True])
def test_what_is_proposed_is_legal_with_every_profile(
    name: str, accept: bool, folder: Path
) -> None:
    made = scaffold(folder, profile=name, accept=accept)
    made.write()
    spec = DatasetSpec.from_path(folder)
    assert spec.profile == name
    profile = profiles()[name]
    if accept:
        assert spec.target_fps == (profile.fps or 24)
        assert (spec.max_num_frames or 49) == (profile.num_frames or 49)


@pytest.mark.parametrize("name", ["cogvideox", "wan"])
def test_a_plan_of_mixed_rates_is_made_of_what_is_accepted(name: str, folder: Path) -> None:
    """At 24, 30 and 60 frames a second each video gives as many frames as it lasts."""
    (folder / "list.csv").write_text(HEADER + ROWS + "videos/c.mp4,three,z\n")
    scaffold(folder, profile=name, accept=True).write()
    clips = vp.BucketIndex.build(folder).clips()
    profile, seconds = profiles()[name], {"a": 30 / 24, "b": 30 / 30, "c": 30 / 60}
    assert profile.fps is not None
    for clip in clips:
        assert clip.fps == profile.fps
        lasts = seconds.pop(Path(clip.video).stem)
        assert clip.bucket.frames == profile.frames_within(int(lasts * profile.fps))
    assert not seconds


def test_a_rate_that_all_videos_have_is_not_proposed(folder: Path) -> None:
    shutil.rmtree(folder / "videos")
    for name in "ab":
        write_video(folder / f"videos/{name}.mp4", fps=16)
    assert "target_fps" not in scaffold(folder, profile="wan").proposed
    write_video(folder / "videos/b.mp4", fps=10)
    why = scaffold(folder, profile="wan").proposed["target_fps"].why
    assert why.endswith("Frames of 1 of 2 videos looked at will be repeated: it is slower.")


def test_the_profile_is_that_of_the_model(folder: Path, tmp_path: Path, tiny_model: Path) -> None:
    configs = tmp_path / "model"  # weights are not needed
    shutil.copytree(tiny_model, configs, ignore=shutil.ignore_patterns("*.safetensors"))
    made = scaffold(folder, model=str(configs))
    assert made.fields["profile"] == made.profile == "cogvideox"
    assert scaffold(folder, model=str(configs), profile="cogvideox").profile == "cogvideox"
    with pytest.raises(SpecError, match="takes the profile 'cogvideox', not 'wan'"):
        scaffold(folder, model=str(configs), profile="wan")


def test_a_model_of_no_family_is_refused(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    with pytest.raises(ModelError, match=r"lacks model_index\.json"):
        scaffold(folder, model=str(model))
    (model / "model_index.json").write_text(json.dumps({"_class_name": "OtherPipeline"}))
    with pytest.raises(ModelError, match="'OtherPipeline' is of no known family"):
        scaffold(folder, model=str(model))
    with pytest.raises(SpecError, match="did you mean 'wan'"):
        scaffold(folder, profile="wann")


def test_nobody_is_asked_for_a_profile_that_is_known(folder: Path) -> None:
    asked = []

    def ask() -> str | None:
        asked.append(1)
        return "ltx-video"

    made = scaffold(folder, ask=ask)
    assert made.fields["profile"] == "ltx-video"
    made.write()
    scaffold(folder, ask=ask)
    scaffold(folder, ask=ask, profile="wan")
    assert len(asked) == 1


# Run again.


def test_run_again_nothing_is_written(folder: Path) -> None:
    for options in ({}, {"profile": "wan"}, {"profile": "wan", "accept": True}):
        scaffold(folder, **options).write()
        before = {path: path.stat().st_mtime_ns for path in _seen(folder)}
        assert not _write(scaffold(folder, **options))
        assert {path: path.stat().st_mtime_ns for path in _seen(folder)} == before


def test_settings_and_comments_are_kept_and_the_old_file_too(folder: Path) -> None:
    text = "# for the L40\nprofile: wan  # not 2.2\nmax_num_frames: 33\n"
    _yaml(folder).write_text(text)
    made = scaffold(folder, accept=True)
    assert made.merged.kept == {"profile": "wan", "max_num_frames": 33}
    assert set(made.merged.added) == {
        *("dataset_file", "caption_column", "video_column", "reshape", "target_fps"),
    }
    assert made.merged.changed == ()
    assert made.write() == folder / "videoprep.yaml.bak"
    assert (folder / "videoprep.yaml.bak").read_text() == text
    for line in text.splitlines():
        assert line in _yaml(folder).read_text().splitlines()
    assert _saved(folder)["max_num_frames"] == 33
    assert _captions(folder) == ["one", "two"]


def test_a_profile_that_is_named_now_replaces_the_old_one(folder: Path) -> None:
    _yaml(folder).write_text("profile: wann\n")
    with pytest.raises(SpecError, match=r"videoprep\.yaml: there is no profile 'wann'"):
        scaffold(folder)
    made = scaffold(folder, profile="wan")
    assert made.merged.changed == (ChangedSetting("profile", "wann", "wan", "as you asked"),)
    made.write()
    assert _saved(folder)["profile"] == "wan"


def test_a_list_that_is_gone_is_replaced(folder: Path) -> None:
    _yaml(folder).write_text(
        "dataset_file: old.csv  # from Anna\ncaption_column: text\nid_token: zx\nstart_column: t\n"
    )
    made = scaffold(folder)
    changes = {change.name: change for change in made.merged.changed}
    assert {name: change.new for name, change in changes.items()} == {
        "dataset_file": "list.csv",
        "caption_column": "caption",
        "start_column": None,
    }
    assert "old.csv: no such file" in changes["dataset_file"].why
    assert changes["start_column"].why == "there is no column 't'"
    made.write()
    assert _captions(folder) == ["zx one", "zx two"]
    assert "from Anna" not in _yaml(folder).read_text()


def test_a_column_that_is_gone_is_replaced(folder: Path) -> None:
    _yaml(folder).write_text("dataset_file: list.csv\ncaption_column: prompt\n")
    made = scaffold(folder)
    (change,) = made.merged.changed
    assert (change.name, change.new) == ("caption_column", "caption")
    assert "there is no column 'prompt'" in change.why
    assert made.merged.kept == {"dataset_file": "list.csv"}


def test_a_users_choice_of_columns_and_lists_holds(folder: Path) -> None:
    (folder / "other.csv").write_text("video,caption,long,start,end\nvideos/c.mp4,c,see,0,1\n")
    _yaml(folder).write_text("dataset_file: other.csv\ncaption_column: long\n")
    made = scaffold(folder)
    made.write()
    assert made.merged.changed == ()
    used = {"caption": "long", "video": "video", "start": "start", "end": "end"}
    assert columns_of(made) == used
    assert _captions(folder) == ["see"]
    scaffold(folder, caption_column="caption").write()  # named now
    assert _captions(folder) == ["c"]
    made = scaffold(folder / "list.csv")
    assert [(one.name, one.old, one.new) for one in made.merged.changed] == [
        ("dataset_file", "other.csv", "list.csv"),
        ("start_column", "start", None),
        ("end_column", "end", None),
    ]
    made.write()
    assert _captions(folder) == ["one", "two"]


def test_line_files_that_were_named_are_kept(folder: Path) -> None:
    (folder / "c.txt").write_text("uno\n")
    (folder / "v.txt").write_text("a.mp4\n")
    _yaml(folder).write_text("data_root: videos\ncaption_column: c.txt\nvideo_column: v.txt\n")
    made = scaffold(folder)
    assert set(made.merged.kept) == {"data_root", "caption_column", "video_column"}
    assert made.merged.added == {}
    assert made.seen[0].startswith("Videos looked at: 1.")
    made.write()
    assert _captions(folder) == ["uno"]
    (folder / "v.txt").unlink()
    made = scaffold(folder)
    made.write()
    assert {change.name for change in made.merged.changed} == {
        *("data_root", "caption_column", "video_column"),
    }
    assert _captions(folder) == ["one", "two"]


def test_a_data_root_that_is_gone_is_replaced(folder: Path) -> None:
    (folder / "list.csv").write_text("video,caption\na.mp4,one\n")
    _yaml(folder).write_text("data_root: moved\ndataset_file: list.csv\n")
    made = scaffold(folder)
    assert [(one.name, one.new) for one in made.merged.changed] == [("data_root", "videos")]
    made.write()
    assert _captions(folder) == ["one"]


def test_overwrite_starts_from_scratch_and_keeps_the_old_file(folder: Path) -> None:
    _yaml(folder).write_text("profile: wan\n")
    scaffold(folder, overwrite=True).write()
    assert "profile" not in _saved(folder)
    assert (folder / "videoprep.yaml.bak").read_text() == "profile: wan\n"
    _yaml(folder).write_text("profile: wan\n")
    assert scaffold(folder, overwrite=True).write() == folder / "videoprep.yaml.bak"
    _yaml(folder).write_text("profile: ltx-video\n")
    written = scaffold(folder, overwrite=True).write()
    assert written == folder / "videoprep.yaml.bak2"
    assert (folder / "videoprep.yaml.bak").read_text() == "profile: wan\n"


@pytest.mark.parametrize(
    "text", ["a: [", "- profile\n", "data_root: /etc\n", "profile: &a wan\nx: *a\n"]
)
def test_a_file_that_cannot_be_read_is_not_replaced(text: str, folder: Path) -> None:
    _yaml(folder).write_text(text)
    with pytest.raises(SpecError, match="start from scratch with `overwrite`"):
        scaffold(folder)
    scaffold(folder, overwrite=True).write()
    assert (folder / "videoprep.yaml.bak").read_text() == text


def test_a_file_of_comments_alone_sets_nothing(folder: Path) -> None:
    _yaml(folder).write_text("# profile: wan\n\n")
    scaffold(folder).write()
    assert "# profile: wan\n" in _yaml(folder).read_text()
    assert _captions(folder) == ["one", "two"]


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("profile: wan\n")
    _yaml(folder).symlink_to(tmp_path / "secret")
    for overwrite in (False, True):
        with pytest.raises(SpecError, match="is a folder, a link or a device"):
            scaffold(folder, overwrite=overwrite)


def test_a_change_meanwhile_is_not_lost(folder: Path) -> None:
    made, again = scaffold(folder), scaffold(folder, profile="wan")
    made.write()
    with pytest.raises(SpecError, match="has just been changed"):
        again.write()
    _yaml(folder).write_text("profile: wan\n")
    made = scaffold(folder)
    _yaml(folder).write_text("profile: ltx-video\n")
    with pytest.raises(SpecError, match="has just been changed"):
        made.write()
    assert _yaml(folder).read_text() == "profile: ltx-video\n"


@pytest.mark.parametrize("name", HOSTILE_SPECS)
def test_a_hostile_file_is_refused_or_kept(name: str, folder: Path) -> None:
    _yaml(folder).write_bytes(os.fsencode(HOSTILE_SPECS[name]))
    (folder / "all").symlink_to("/")
    with suppress(SpecError):
        made = scaffold(folder)
        made.write()
        assert not made.merged.changed
        assert made.merged.kept.items() <= _saved(folder).items() or name == "names"
        assert not _write(scaffold(folder))
        return
    assert _yaml(folder).read_bytes() == os.fsencode(HOSTILE_SPECS[name])


def test_odd_values_are_kept_for_validate_to_name(folder: Path) -> None:
    odd = "allow_outside_root: false\ntarget_fps: .nan\nbuckets: {a: 1}\nid_token: |\n  # a\n  b\n"
    _yaml(folder).write_text(odd)
    made = scaffold(folder)
    assert made.merged.changed == ()
    made.write()
    assert all(line in _yaml(folder).read_text().splitlines() for line in odd.splitlines())
    assert not _write(scaffold(folder))


# Elsewhere.


def _relative(made: Scaffold) -> bool:
    return not os.path.isabs(str(made.fields["data_root"]))


@pytest.mark.parametrize("lists", ["table", "lines", "beside", "inside"])
@pytest.mark.parametrize("where", ["above", "far", "in"])
def test_a_file_elsewhere_describes_the_dataset(lists: str, where: str, folder: Path) -> None:
    if lists == "inside":  # the videos are named from a folder inside
        (folder / "list.csv").write_text("video,caption\na.mp4,one\nb.mp4,two\n")
    elif lists != "table":
        (folder / "list.csv").unlink()
    if lists == "lines":
        (folder / "texts.txt").write_text("one\ntwo\n")
        (folder / "files.txt").write_text("videos/a.mp4\nvideos/b.mp4\n")
    if lists == "beside":
        for name, text in (("a", "one"), ("b", "two"), ("c", "three")):
            (folder / f"videos/{name}.txt").write_text(text)
    place = {"above": folder.parent, "far": folder.parent / "new/place", "in": folder}[where]
    target = place / "my.yaml"
    before = _seen(folder)
    made = scaffold(folder, output=target, profile="wan")
    assert _write(made)
    assert (where == "far") == (where != "in" and not _relative(made))
    assert _seen(folder) == before or where == "in"
    assert _captions(target)[:2] == ["one", "two"]
    assert not _write(scaffold(folder, output=target))  # read again, with all that it sets
    assert _write(scaffold(folder, output=target, profile="ltx-video"))
    assert _captions(target)[:2] == ["one", "two"]


def test_a_file_elsewhere_for_another_dataset(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "far/my.yaml"
    scaffold(folder, output=target, profile="wan").write()
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "list.csv").write_text(HEADER + "videos/c.mp4,three,z\n")
    made = scaffold(other, output=target)
    assert {change.name for change in made.merged.changed} == {"data_root"}
    assert made.merged.changed[0].why == f"{other} was named"
    made.write()
    assert _captions(target) == ["three"]


def test_an_output_has_to_be_yaml(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"give it a name that ends in \.yaml"):
        scaffold(folder, output=tmp_path / "my.csv")
    (tmp_path / "my.yaml").mkdir()
    with pytest.raises(SpecError, match="is a folder, a link or a device"):
        scaffold(folder, output=tmp_path / "my.yaml")


def test_a_read_only_folder_stays_as_it_is(folder: Path, tmp_path: Path) -> None:
    folder.chmod(0o555)  # root could still write: the missing write bits are what counts
    try:
        with pytest.raises(ReadOnlyError, match="write the file elsewhere with `output`"):
            scaffold(folder).write()
        scaffold(folder, output=tmp_path / "my.yaml").write()
    finally:
        folder.chmod(0o755)
    assert _captions(tmp_path / "my.yaml") == ["one", "two"]


# What is used, and what is not.


def test_what_is_not_used_is_named(folder: Path) -> None:
    (folder / "still.png").touch()
    (folder / ".hidden.mp4").touch()
    made = scaffold(folder)
    assert made.unused == (
        "Columns that are not used: notes",
        "Videos that the list does not name: videos/c.mp4",
        "Images that are not used: still.png",
    )
    assert all(one in made.text for one in made.unused)
    assert columns_of(made) == {"caption": "caption", "video": "video"}


def test_a_video_without_a_caption_is_named(folder: Path) -> None:
    (folder / "list.csv").unlink()
    (folder / "still.png").touch()
    (folder / "videos/a.txt").write_text("one")
    (folder / "videos/b.txt").write_text(" \n")
    unusable, passed = scaffold(folder).unused
    assert unusable.startswith("Cannot be used: ")
    assert "b.txt" in unusable
    assert "c.mp4" in unusable
    assert passed == "Passed over: still images without a caption (1): still.png"


def test_what_cannot_be_used_is_said_once_in_one_place(folder: Path) -> None:
    (folder / "videos/b.mp4").write_bytes(b"no video")
    made = scaffold(folder)
    told = [one for one in (*made.unused, *made.seen) if "annot be used" in one]
    assert told == ["Cannot be used: videos/b.mp4: is a text, not a video: 'no video'"]
    (folder / "list.csv").unlink()
    (folder / "videos/a.txt").write_text("one")
    (folder / "videos/b.txt").write_text("two")
    made = scaffold(folder)
    (told_now,) = [one for one in (*made.unused, *made.seen) if "annot be used" in one]
    assert told_now.startswith("Cannot be used: videos/c.mp4: there is no caption file for it; ")
    assert told_now.endswith("; videos/b.mp4: is a text, not a video: 'no video'")


def test_a_list_that_an_earlier_version_made_is_not_used_any_more(folder: Path) -> None:
    (folder / "list.csv").rename(folder / "videoprep-list.csv")
    for name in "abc":
        (folder / f"videos/{name}.txt").write_text(f"new {name}")
    old = "dataset_file: videoprep-list.csv\ncaption_column: caption\nvideo_column: video\n"
    _yaml(folder).write_text(f"{old}id_token: zx\n")
    scaffold(folder).write()
    assert _saved(folder) == {"format": "caption-files", "id_token": "zx"}
    assert _captions(folder) == ["zx new a", "zx new b", "zx new c"]


@pytest.mark.parametrize("root", ["", "data_root: videos\n"])
def test_a_folder_format_is_kept(root: str, folder: Path) -> None:
    for name in "abc":
        (folder / f"videos/{name}.txt").write_text(f"new {name}")
    _yaml(folder).write_text(f"format: caption-files\n{root}")
    made = scaffold(folder)
    assert made.merged.changed == ()
    assert made.merged.added == {}
    assert made.seen[0].startswith("Videos looked at: 3.")
    made.write()
    assert _captions(folder) == ["new a", "new b", "new c"]
