"""VP315 and VP316: control media and masks that cannot follow their video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import videoprep as vp
from tests.index.test_placement import media, policy
from tests.support.assets import write_video
from tests.support.rules import rule_test, sample
from videoprep.index.aligned import PlannedClip, align
from videoprep.index.placement import LeftOut, place
from videoprep.media.probe import MediaInfo
from videoprep.validators.protocol import Subject
from videoprep.validators.rules.media_beside import NotSpanned, OtherAspect


def with_control(control: MediaInfo) -> Subject:
    """A video of 49 frames at 24 fps, 1280×704, with a control."""
    info, rules = media(1280, 704, 49, fps=24), policy()
    plan = place(info, rules)
    assert not isinstance(plan, LeftOut)
    aligned = align(control, PlannedClip(info, plan[0]))
    plan_with = aligned if isinstance(aligned, LeftOut) else plan
    return replace(Subject(sample(), rules, _media=info), _plan=plan_with, _beside={})


test_not_spanned = rule_test(
    NotSpanned,
    breaks=[with_control(media(1280, 704, 48, fps=24)), with_control(media(640, 352, 32, fps=16))],
    clean=[
        with_control(media(640, 352, 33, fps=16)),
        with_control(media(640, 352, 1, fps=25)),
        with_control(media(704, 704, 49, fps=24)),
    ],
)

test_other_aspect = rule_test(
    OtherAspect,
    breaks=[with_control(media(704, 704, 49, fps=24)), with_control(media(1280, 720, 49, fps=24))],
    clean=[with_control(media(872, 480, 49, fps=24)), with_control(media(640, 352, 33, fps=16))],
)


def test_one_video_with_two_controls_is_no_duplicate(tmp_path: Path) -> None:
    """They are two samples with one target; the same row twice is still one too many."""
    for name in ("a.mp4", "depth.mp4", "pose.mp4"):
        write_video(tmp_path / name, frames=9)
    head, rows = "video,caption,control\n", ["a.mp4,one,depth.mp4\n", "a.mp4,two,pose.mp4\n"]
    (tmp_path / "list.csv").write_text(head + "".join(rows))
    assert not vp.validate(tmp_path, select=["VP013"]).findings
    (tmp_path / "list.csv").write_text(head + "".join([*rows, rows[1]]))
    (finding,) = vp.validate(tmp_path, select=["VP013"]).findings
    assert finding.line == 4
