"""VP112: a flag that turns the picture."""

from __future__ import annotations

from tests.support.rules import check, file, rule_test
from videoprep.media.orientation import Orientation
from videoprep.validators.rules.rotated import Rotated

test_rotated = rule_test(
    Rotated,
    breaks=[file(orientation=Orientation(transpose=True, flip_horizontal=True))],
    clean=[file()],
)


def test_an_image_is_called_one() -> None:
    turn = Orientation(transpose=True, flip_horizontal=True)
    (video,) = check(Rotated, file(orientation=turn))
    (image,) = check(Rotated, file(frames=1, orientation=turn, fps=None))
    assert video.message == "the video has a rotation flag, which is followed"
    assert image.message == "the image has a rotation flag, which is followed"
