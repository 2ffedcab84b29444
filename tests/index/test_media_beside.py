"""The columns of an index for media beside the video: sound from files of its own."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import videoprep as vp
from tests.media.sounds import noise, write_film, write_wav
from videoprep.errors import ListError, PlanError
from videoprep.index.clip import has_own_keys
from videoprep.index.schema import (
    FILE_SCHEMA,
    SCHEMA,
    FurtherColumns,
    media_columns,
    roles_in,
)
from videoprep.spec.roles import AUDIO, Role

RATE = 16_000
COLUMNS = ["audio_path", "audio_fingerprint", "audio_stream", "audio_start"]


def write_films(
    folder: Path, rows: str = "a.mov,one,s.wav\na.mov,two,\nb.mov,three,t.wav\n"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_film(folder / "a.mov", noise(3, RATE), rate=RATE, frames=17, fps=8)
    write_film(folder / "b.mov", frames=17, fps=8)
    write_wav(folder / "s.wav", noise(3, RATE, seed=1), RATE)
    write_wav(folder / "t.wav", noise(3, RATE, seed=2), RATE)
    (folder / "list.csv").write_text(f"video,caption,audio\n{rows}")
    return folder


def header(path: Path) -> dict[str, Any]:
    return dict(json.loads(pq.read_schema(path).metadata[b"videoprep.index"]))


def saved(index: vp.BucketIndex, path: Path) -> bytes:
    index.save(path)
    return path.read_bytes()


def test_without_further_media_nothing_is_different(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data", "a.mov,one,\nb.mov,two,\n")
    index = vp.BucketIndex.build(folder)
    assert index.table.schema == SCHEMA
    index.save(tmp_path / "index.parquet")
    assert header(tmp_path / "index.parquet")["version"] == 3
    assert pq.read_schema(tmp_path / "index.parquet").names == FILE_SCHEMA.names


def test_rows_say_which_file_and_what_of_it(tmp_path: Path) -> None:
    index = vp.BucketIndex.build(write_films(tmp_path / "data"))
    assert index.roles == (AUDIO,)
    named, own, silent = index.clips()
    assert [set(clip.media) for clip in (named, own, silent)] == [{"audio"}, set(), {"audio"}]
    media = named.media["audio"]
    assert (media.name, media.stream, media.start) == ("s.wav", 0, 0)
    assert media.path == index.data_root / "s.wav"
    sound = named.sound(sample_rate=RATE)
    assert (sound.path, sound.fingerprint) == (media.path, media.fingerprint)
    assert (sound.start, sound.length) == (0, Fraction(17, 8))
    assert own.sound().path == own.pixels.frames.path
    assert len({clip.audio_key for clip in (named, own, silent)}) == 3
    assert named.video_key == own.video_key
    assert all(has_own_keys(clip) for clip in (named, own, silent))


def test_an_index_with_media_is_read_back(tmp_path: Path) -> None:
    index = vp.BucketIndex.build(write_films(tmp_path / "data"))
    path = tmp_path / "index.parquet"
    data = saved(index, path)
    assert header(path)["version"] == 4
    assert pq.read_schema(path).names == [*FILE_SCHEMA.names, *COLUMNS]
    again = vp.BucketIndex.load(path)
    assert again.table.equals(index.table)
    assert again.table.schema == FurtherColumns((AUDIO,)).memory_schema
    assert saved(again, tmp_path / "copy.parquet") == data
    assert again.check_sources().table is again.table
    ids = [(clip.sample, clip.number) for clip in index.clips()]
    parts = vp.BucketIndex.excerpts(path, ids)
    assert [clip.media for part in parts for clip in part.clips()] == [
        clip.media for clip in index.clips()
    ]


def test_a_part_without_media_is_an_ordinary_index(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    part = vp.BucketIndex.build(folder).filter(caption="two")
    plain = vp.BucketIndex.build(folder, audio_column="").filter(caption="two")
    part.save(tmp_path / "part.parquet")
    assert header(tmp_path / "part.parquet")["version"] == 3
    assert vp.BucketIndex.load(tmp_path / "part.parquet").table.equals(plain.table)


def test_where_in_the_file_the_clip_is(tmp_path: Path) -> None:
    """Times are a player's, also of a picture that starts after the video's own sound."""
    folder = tmp_path / "data"
    write_films(folder)
    write_film(folder / "late.mkv", noise(4, RATE), rate=RATE, frames=17, fps=8, late=-0.5)
    (folder / "list.csv").write_text(
        "video,caption,audio,start,end\na.mov,one,s.wav,0.5,\nlate.mkv,two,s.wav,,\n"
        "late.mkv,three,late.mkv,,\nlate.mkv,four,,,\n"
    )
    index = vp.BucketIndex.build(folder, frame_buckets=(9,))
    first, late, same, own = index.clips()
    assert [clip.sound().start for clip in (first, late, same, own)] == [Fraction(1, 2)] * 4
    assert same.audio_key == own.audio_key


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("audio_fingerprint", None, "it has no audio_fingerprint"),
        ("audio_stream", -1, "its audio_stream is out of bounds"),
        ("audio_start", "soon", "its audio_start is no time"),
        ("audio_start", "1/0", "its audio_start is no time"),
        ("audio_start", None, "it has no audio_start"),
        ("audio_path", "a\0b", "holds a NUL byte"),
    ],
)
def test_what_no_plan_can_hold_is_refused(
    tmp_path: Path, column: str, value: object, words: str
) -> None:
    path = tmp_path / "index.parquet"
    vp.BucketIndex.build(write_films(tmp_path / "data")).save(path)
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[0] = value
    at = table.schema.get_field_index(column)
    changed = table.set_column(
        at, table.schema.field(at), pa.array(values, table.schema.field(at).type)
    )
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(PlanError, match=words):
        vp.BucketIndex.load(path)


@pytest.mark.parametrize("version", [2, 3])
def test_columns_belong_to_a_version(tmp_path: Path, version: int) -> None:
    path = tmp_path / "index.parquet"
    vp.BucketIndex.build(write_films(tmp_path / "data")).save(path)
    table = pq.read_table(path)
    metadata = {
        key: data.replace(b'"version": 4', b'"version": %d' % version)
        for key, data in table.schema.metadata.items()
    }
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(PlanError, match="its columns are not those of an index"):
        vp.BucketIndex.load(path)


def test_a_start_that_was_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    index = vp.BucketIndex.build(write_films(tmp_path / "data"))
    at = index.table.schema.get_field_index("audio_start")
    starts = pa.array(["1/2", None, "0"], pa.string()).dictionary_encode()
    table = index.table.set_column(at, index.table.schema.field(at), starts)
    with pytest.raises(PlanError, match="was changed after it was made"):
        vp.BucketIndex(table, index.data_root, index.policy).check_sources()


def test_a_sound_file_that_changes_is_the_only_change(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    before = vp.BucketIndex.build(folder)
    write_wav(folder / "s.wav", noise(3, RATE, seed=9), RATE)
    after = vp.BucketIndex.build(folder)
    diff = after.diff(before)
    assert (dict(diff.counts), diff.unchanged) == ({"audio": 1}, 2)
    assert [clip.video_key for clip in after.clips()] == [clip.video_key for clip in before.clips()]
    pairs = zip(after.clips(), before.clips(), strict=True)
    assert [new.audio_key == old.audio_key for new, old in pairs] == [
        False, True, True,
    ]  # fmt: skip
    without = vp.BucketIndex.build(folder, audio_column="")
    assert dict(without.diff(after).counts) == {"audio": 2}
    assert dict(after.diff(without).counts) == {"audio": 2}


def test_a_sound_file_elsewhere_is_no_change(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    before = vp.BucketIndex.build(folder)
    (folder / "s.wav").rename(folder / "u.wav")
    (folder / "list.csv").write_text((folder / "list.csv").read_text().replace("s.wav", "u.wav"))
    assert dict(vp.BucketIndex.build(folder).diff(before).counts) == {}


def test_a_finished_plan_notices_what_became_of_sound_files(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data", "a.mov,one,s.wav\na.mov,two,\na.mov,three,t.wav\n")
    index = vp.BucketIndex.build(folder)
    write_wav(folder / "s.wav", noise(3, RATE, seed=9), RATE)
    (folder / "t.wav").unlink()
    with pytest.raises(PlanError, match=r"2 files are not as they were planned: s\.wav"):
        index.check_sources()
    left = index.check_sources("skip")
    assert [clip.caption for clip in left.clips()] == ["two"]
    assert [(one.line, one.code) for one in left.left_out] == [(2, "VP403"), (4, "VP403")]
    first, second = (one.reason for one in left.left_out)
    assert "its audio s.wav is not as it was: its contents changed" in first
    assert "its audio t.wav is not as it was: cannot be opened: no such file" in second or (
        "no such file" in second
    )
    left.save(tmp_path / "left.parquet")
    again = vp.BucketIndex.load(tmp_path / "left.parquet")
    assert again.table.to_pylist() == left.table.to_pylist()


def test_sound_files_stay_in_the_root(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    index = vp.BucketIndex.build(folder)
    (folder / "s.wav").rename(tmp_path / "s.wav")
    (folder / "s.wav").symlink_to(tmp_path / "s.wav")
    with pytest.raises(PlanError, match=r"1 file outside the data root: s\.wav"):
        index.check_sources()


def test_indices_with_and_without_media_are_joined(tmp_path: Path) -> None:
    one = vp.BucketIndex.build(write_films(tmp_path / "x/one"))
    other = vp.BucketIndex.build(write_films(tmp_path / "x/two"), audio_column="")
    for parts in ([one, other], [other, one]):
        joined = vp.BucketIndex.concat(parts)
        assert joined.roles == (AUDIO,)
        names = [media.name for clip in joined.clips() for media in clip.media.values()]
        assert names == ["one/s.wav", "one/t.wav"]
        assert joined.check_sources() is joined
    assert vp.BucketIndex.concat([other]).roles == ()


def test_a_skipped_sample_keeps_what_it_names(tmp_path: Path) -> None:
    rows = "a.mov,one,gone.wav\nb.mov,two,b.mov\na.mov,three,s.wav\na.mov,four,list.csv\n"
    index = vp.BucketIndex.build(write_films(tmp_path / "data", rows), audio_column="audio")
    assert [clip.caption for clip in index.clips()] == ["three"]
    told = {one.line: (one.code, one.reason) for one in index.left_out}
    assert told[2] == ("VP022", "its audio: no such file: gone.wav")
    assert told[3] == ("VP133", "its audio b.mov: holds no sound")
    assert told[5][0] == "VP103"
    assert told[5][1].startswith("its audio list.csv: is a text, not a sound file")
    paths = dict(zip(*(index.table[n].to_pylist() for n in ("line", "audio_path")), strict=True))
    assert paths == {2: "gone.wav", 3: "b.mov", 4: "s.wav", 5: "list.csv"}
    assert len(index) + len(index.left_out) == index.samples == 4


def test_sound_that_ends_early_is_noticed(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    write_wav(folder / "s.wav", noise(1, RATE), RATE)
    index = vp.BucketIndex.build(folder)
    assert (len(index), index.short_sounds) == (3, 1)
    assert index.check_sources().short_sounds == 1
    report = vp.validate(folder, select=["VP134"])
    (finding,) = report.findings
    assert (finding.code, finding.line, finding.severity) == ("VP134", 2, "warning")
    assert "ends 1.12 s before the last clip does" in finding.message
    long = vp.BucketIndex.build(folder, frame_buckets=(5,))
    assert long.short_sounds == 0


def test_sound_before_the_clip_is_none(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    write_wav(folder / "s.wav", noise(0.5, RATE), RATE)
    (folder / "list.csv").write_text("video,caption,audio,start\na.mov,one,s.wav,1\n")
    (clip,) = vp.BucketIndex.build(folder, frame_buckets=(9,)).clips()
    assert clip.audio_key == ""


def test_every_role_has_columns_by_its_alignment() -> None:
    depth, mask = Role("control:depth"), Role("mask")
    names = FurtherColumns((AUDIO, depth)).file_schema.names[len(FILE_SCHEMA.names) :]
    assert names[: len(COLUMNS)] == COLUMNS
    assert {"control_depth_path", "control_depth_frame_indices", "control_depth_time_base"} <= {
        *names
    }
    assert roles_in(FurtherColumns((AUDIO, depth)).file_schema.names) == (AUDIO, depth)
    assert media_columns(mask) == media_columns(depth) != media_columns(AUDIO)


def test_names_of_samples_are_unique_among_the_unusable(tmp_path: Path) -> None:
    rows = "a.mov,one,s.wav\na.mov,two,gone.wav\na.mov,,s.wav\n"
    index = vp.BucketIndex.build(write_films(tmp_path / "data", rows))
    assert (len(index), len(index.left_out)) == (1, 2)
    assert len(set(index.table["sample"].to_pylist())) == 3
    assert vp.BucketIndex.concat([index]).samples == 3
    assert not index.diff(index).changes


def test_a_missing_sound_file_is_an_error_if_asked(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data", "a.mov,one,gone.wav\nb.mov,two,t.wav\n")
    with pytest.raises(ListError, match="VP022"):
        vp.BucketIndex.build(folder, on_missing="error")
    assert len(vp.BucketIndex.build(folder, on_missing="skip")) == 1


def test_a_sample_that_is_skipped_for_a_nul_does_not_spoil_the_file(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    rows = [{"video": "a.mov", "caption": "one", "audio": "s\0.wav"}]
    rows.append({"video": "b.mov", "caption": "two", "audio": "t.wav"})
    (folder / "list.csv").unlink()
    (folder / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    index = vp.BucketIndex.build(folder, audio_column="audio")
    index.save(tmp_path / "index.parquet")
    assert len(vp.BucketIndex.load(tmp_path / "index.parquet")) == len(index) == 1


def test_the_digest_tells_sound_files_apart(tmp_path: Path) -> None:
    folder = write_films(tmp_path / "data")
    before = vp.BucketIndex.build(folder).digest
    assert vp.BucketIndex.build(folder).digest == before
    write_wav(folder / "s.wav", noise(3, RATE, seed=8), RATE)
    assert vp.BucketIndex.build(folder).digest != before


@pytest.mark.parametrize("column", ["audio_start", "time_base"])
def test_a_hostile_fraction_takes_no_time(tmp_path: Path, column: str) -> None:
    """Worked out, this number has a billion digits."""
    index = vp.BucketIndex.build(write_films(tmp_path / "data"))
    values = ["1e1000000000"] * len(index.table)
    at = index.table.schema.get_field_index(column)
    field = index.table.schema.field(at)
    table = index.table.set_column(at, field, pa.array(values).cast(field.type))
    vp.BucketIndex(table, index.data_root, index.policy).save(tmp_path / "index.parquet")
    with pytest.raises(PlanError, match=r"cannot be a clip's"):
        vp.BucketIndex.load(tmp_path / "index.parquet")


def test_optional_columns_are_there_only_if_they_are_used(tmp_path: Path) -> None:
    index = vp.BucketIndex.build(write_films(tmp_path / "data", "a.mov,one,\n"))
    table = FurtherColumns(optional=("dataset",)).of(index.table)
    index.save(tmp_path / "index.parquet")
    vp.BucketIndex(table, index.data_root, index.policy).save(tmp_path / "unused.parquet")
    assert (tmp_path / "unused.parquet").read_bytes() == (tmp_path / "index.parquet").read_bytes()

    at = table.schema.get_field_index("dataset")
    column = pa.array(["films"] * table.num_rows, table.schema.field(at).type)
    named = table.set_column(at, table.schema.field(at), column)
    used = vp.BucketIndex(named, index.data_root, index.policy)
    used.save(tmp_path / "used.parquet")
    metadata = pq.read_schema(tmp_path / "used.parquet").metadata
    assert [json.loads(text)["version"] for text in metadata.values()] == [5]
    again = vp.BucketIndex.load(tmp_path / "used.parquet")
    assert again.table["dataset"].to_pylist() == ["films"]
    assert vp.BucketIndex.concat([again]).table.column_names[-1] == "dataset"
    older = pq.read_table(tmp_path / "used.parquet")
    text = json.dumps({**json.loads(next(iter(metadata.values()))), "version": 3})
    pq.write_table(
        older.replace_schema_metadata({next(iter(metadata)): text}), tmp_path / "older.parquet"
    )
    with pytest.raises(PlanError, match="columns"):
        vp.BucketIndex.load(tmp_path / "older.parquet")
