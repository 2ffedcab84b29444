"""A clip in several buckets is several clips to a trainer: no file takes the name of another."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import videoprep as vp
from tests.families.test_every_family import MODELS
from tests.support.assets import write_lists, write_video
from videoprep.exporters.contract import ClipExporter
from videoprep.exporters.registry import exporters
from videoprep.exporters.run import _Clips, _open
from videoprep.families.registry import families

_NAMES = {
    "cogvideox": "cogvideox",
    "wan": "wan-t2v",
    "ltx-video": "ltx",
    "ltx-2": "ltx2",
    "hunyuan-video": "hunyuan",
}


def write(folder: Path, side: int) -> Path:
    """Two videos of one name in different folders, and the sizes that are asked for."""
    for part in ("a", "b"):
        write_video(folder / f"{part}/same.name.mp4", width=2 * side, height=side, frames=17)
    write_lists(folder, ["One.", "Two."], ["a/same.name.mp4", "b/same.name.mp4"])
    return folder


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, vp.LatentDataset]:
    """A store by family: two clips in four buckets each."""
    made = {}
    for family, name in _NAMES.items():
        root = tmp_path_factory.mktemp(family)
        build, known = MODELS[name]
        assert known == family
        side = 2 * families()[family].profile.divisor
        index = vp.BucketIndex.build(
            write(root / "data", side),
            profile=family,
            reshape="center-crop",
            buckets=[(n, s, 2 * s) for n in (17, 9) for s in (side, side // 2)],
            multi_bucket=True,
        )
        assert len(index) == 8
        done = vp.encode(
            index, model=build(root / "model"), output=root / "store", device="cpu", progress="none"
        )
        assert done is not None
        assert done.ok
        assert done.components["prompt_embeds"].encoded == 2
        made[family] = vp.LatentDataset(root / "store")
    return made


@pytest.mark.parametrize("name", sorted(exporters()))
def test_each_clip_in_each_bucket_has_files_of_its_own(
    name: str, stores: dict[str, vp.LatentDataset], tmp_path: Path
) -> None:
    exporter = exporters()[name]
    family = next(f for f in (exporter.families or _NAMES) if f in stores)
    location = stores[family].location
    result = vp.export(location, to=name, output=tmp_path / "out")
    assert result.clips == 8
    named = (tmp_path / "out/videoprep-clips.jsonl").read_text().splitlines()
    stems = [json.loads(line)["name"] for line in named]
    assert len(set(stems)) == 8
    if not isinstance(exporter, ClipExporter):
        return
    data, origin = _open(location, exporter, None, None, 0)
    clips = _Clips(data, exporter, "bucket assignment")
    files = Counter(path for n in range(8) for path in exporter.files(clips[n], origin))
    assert set(files.values()) == {1}
    assert all((tmp_path / "out" / path).is_file() for path in files)
    for number in range(8):
        for other in range(number):
            shared = set(exporter.caption_files(clips[number], origin)) & set(
                exporter.caption_files(clips[other], origin)
            )
            one, two = data[number]["caption"], data[other]["caption"]
            assert not shared or one == two


def test_media_of_each_bucket_lie_in_a_folder_of_their_own(
    stores: dict[str, vp.LatentDataset], tmp_path: Path
) -> None:
    done = vp.export_media(stores["cogvideox"].location, output=tmp_path / "out", sound=False)
    assert done is not None
    assert done.ok
    assert done.clips == 8
    videos = sorted((tmp_path / "out/clips").rglob("*.mp4"))
    assert len(videos) == len({video.name for video in videos}) == 8
    assert len({video.parent for video in videos}) == 4
    for video in videos:
        info = vp.probe(video)
        assert f"{info.frames}x{info.height}x{info.width}" == video.parent.name


def test_a_store_of_several_buckets_is_whole(
    stores: dict[str, vp.LatentDataset], tmp_path: Path
) -> None:
    data = stores["cogvideox"]
    assert vp.verify(data.location).ok
    assert vp.status(data.location).catalogue == "current"
    assert [row["clip"] for row in map(data.row, range(8))] == [0, 1, 2, 3] * 2
    assert data.multiplicity.tolist() == [0.25] * 8
    assert Counter(map(str, data.buckets)) == Counter({str(b): 2 for b in set(data.buckets)})
    for number, bucket in enumerate(data.buckets):
        shape = data[number]["video_latents"].shape
        profile = families()["cogvideox"].profile
        assert shape[1] == profile.latent_frames(bucket.frames)
