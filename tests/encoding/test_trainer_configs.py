"""A trainer's dataset config encoded: the clips that it makes, and only what changes is redone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.support.assets import write_video
from videoprep.encoding.repair import verify
from videoprep.encoding.run import encode
from videoprep.encoding.status import status
from videoprep.store.dataset import LatentDataset

CONFIG = """
[general]
resolution = [96, 64]
caption_extension = ".txt"
enable_bucket = true
[[datasets]]
video_directory = "clips"
target_frames = [5, 9]
num_repeats = 3
"""


def test_a_config_is_encoded_and_known_again(tmp_path: Path, tiny_model: Path) -> None:
    for name, frames in (("long", 17), ("short", 5)):
        write_video(tmp_path / f"clips/{name}.mp4", frames=frames)
        (tmp_path / f"clips/{name}.txt").write_text(name)
    config, store = tmp_path / "musubi.toml", tmp_path / "store"
    config.write_text(CONFIG)
    result = encode(config, model=tiny_model, output=store, progress="none")
    assert result is not None
    assert (result.clips, result.complete, result.failed) == (3, 3, 0)
    data = LatentDataset(store)
    assert Counter(map(str, data.buckets)) == {"5×64×96": 2, "9×64×96": 1}
    assert {data.row(number)["repeats"] for number in range(len(data))} == {3}
    assert verify(store).ok
    again = encode(config, model=tiny_model, output=store, progress="none")
    assert again is not None
    assert {one.encoded for one in again.components.values()} == {0}
    assert status(store, config).changes == {}

    config.write_text(config.read_text().replace("[5, 9]", "[5]"))
    told = status(store, config)
    assert ["`treatment` of the dataset clips" in one.what for one in told.differences] == [True]
    assert sum(told.changes.values()) == 1
