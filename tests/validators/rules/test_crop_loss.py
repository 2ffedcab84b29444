"""VP306: how much of the picture is cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import videoprep as vp
from tests.support.assets import write_lists, write_video
from tests.support.rules import BUCKETS, clip, rule_test
from videoprep.validators.rules.crop_loss import CropLoss

test_crop_loss = rule_test(
    CropLoss,
    breaks=[clip(96, 160, 9, **BUCKETS)],
    clean=[clip(96, 72, 9, **BUCKETS)],
)


def test_what_quiets_it_is_advised(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", width=64, height=96)
    write_lists(tmp_path, ["a"], ["a.mp4"])
    options: dict[str, Any] = {"reshape": "center-crop", "buckets": ("1x32x64",)}
    [finding] = [f for f in vp.validate(tmp_path, **options).findings if f.code == "VP306"]
    share = float(finding.remedy.partition("'share': ")[2].partition("}")[0])
    quiet = {"VP306": {"share": share}}
    report = vp.validate(tmp_path, **options, rule_options=quiet)
    assert "VP306" not in report.by_code
