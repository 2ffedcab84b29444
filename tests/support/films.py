"""Films with known cuts: textured scenes under a moving camera, joined in every way.

A scene is a picture larger than the frame, with things that move in front of it. What joins scenes,
and what happens in them, is chosen by the test or drawn from a seed; `Film.joins` is the truth.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tests.conftest import need

Picture = NDArray[np.uint8]
How = Literal["cut", "dissolve", "fade"]
Camera = Literal["still", "pan", "zoom", "handheld", "whip"]

WIDTH, HEIGHT = 320, 180
_WORLD = 1024
# The corner that tells a scene: its side, what is in it, and what the codec may make of it.
_STAMP = 24
_COLOURS = (
    (40, 40, 40), (210, 60, 60), (60, 190, 60), (60, 60, 210), (210, 200, 60), (60, 200, 210),
    (200, 60, 200), (220, 220, 220),
)  # fmt: skip
_NEAR = 14
_LARGEST = 300  # pixels of a world: nothing in it varies more slowly


@dataclass(frozen=True, slots=True)
class Join:
    """How one scene follows another, and on which frames."""

    how: How
    first: int
    """The first frame that is no longer the old scene alone."""
    after: int
    """The first frame that is the new scene alone; for a cut the same."""


@dataclass(frozen=True, slots=True)
class Take:
    """A scene of a film that is to be made."""

    frames: int
    """How long it is seen, not counting the transitions beside it."""
    camera: Camera = "still"
    flash: int | None = None
    """The frame of it at which a flash begins."""
    join: How = "cut"
    """How it follows the scene before."""
    length: int = 0
    """Frames of that transition: the mixed ones of a dissolve, those that dim on either side."""
    hold: int = 6
    """Black frames in the middle of a fade."""
    things: int = 3
    """How many things move in it."""


@dataclass(slots=True)
class Film:
    """Takes one after the other."""

    takes: Sequence[Take]
    seed: int
    width: int = WIDTH
    height: int = HEIGHT
    stamped: bool = False
    """Whether each frame has a corner that tells its scene."""
    joins: list[Join] = field(default_factory=list)

    def __post_init__(self) -> None:
        at = 0
        for number, take in enumerate(self.takes):
            if number:
                after = at + _frames_between(take)
                self.joins.append(Join(take.join, at, after))
                at = after
            at += take.frames

    @property
    def frames(self) -> int:
        """How many there are."""
        between = sum(join.after - join.first for join in self.joins)
        return between + sum(take.frames for take in self.takes)

    def pictures(self) -> Iterator[Picture]:
        """Yield the frames, uint8 RGB ``[height, width, 3]``."""
        rng = np.random.default_rng(self.seed)
        palette = _Palette(rng.uniform(50, 190, 3), rng.normal(0, 1, (2, 3)))
        shots = [_Shot(rng, take, palette, self.width, self.height) for take in self.takes]
        for number, shot in enumerate(shots):
            shot.stamp = _COLOURS[number % len(_COLOURS)] if self.stamped else None
        for number, (take, shot) in enumerate(zip(self.takes, shots, strict=True)):
            lead = _frames_between(take) if number else 0
            for n in range(take.frames):
                yield shot.picture(lead + n)
            if number + 1 < len(shots):
                follower = self.takes[number + 1]
                yield from _between(follower, shot, shots[number + 1], lead + take.frames)

    def write(
        self,
        path: Path,
        rate: Fraction = Fraction(24),
        *,
        crf: int = 20,
        params: str = "",
        times: Sequence[int] | None = None,
    ) -> Path:
        """Encode it as H.264, by default with B-frames as x264 likes them.

        Args:
            path: its ending chooses the container.
            rate: frames a second.
            crf: quality, as x264 takes it.
            params: further options of x264.
            times: milliseconds at which the frames are shown, instead of the rate.
        """
        with av.open(str(path), "w") as container:
            options = {"crf": str(crf), "preset": "veryfast", "x264-params": params}
            stream = cast(VideoStream, container.add_stream("libx264", rate=rate, options=options))
            stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
            if times is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            for number, picture in enumerate(self.pictures()):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if times is not None:
                    frame.pts, frame.time_base = times[number], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    def scene_of(self, number: int) -> int | None:
        """The number of the scene to which a frame belongs; None for one of a transition."""
        if any(join.first <= number < join.after for join in self.joins):
            return None
        return sum(join.after <= number for join in self.joins)


def ffmpeg(arguments: str) -> None:
    """Run FFmpeg; the test is skipped if there is none."""
    try:
        subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments.split()], check=True)
    except FileNotFoundError:
        need("ffmpeg")


def stamp_on(picture: Picture) -> int | None:
    """Read the number of the scene off a frame of a stamped film; None if it is a mixture."""
    height, width = picture.shape[:2]
    side = _STAMP * width // WIDTH
    patch = picture[height - side + 3 : height - 3, 3 : side - 3].reshape(-1, 3).mean(axis=0)
    distances = np.abs(np.array(_COLOURS) - patch).max(axis=1)
    return int(distances.argmin()) if distances.min() < _NEAR else None


def drawn_film(kind: str, seed: int, scenes: int = 8) -> Film:
    """Draw a film of one kind from a seed.

    Args:
        kind: one of `KINDS`.
        seed: decides all of it.
        scenes: how many.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    takes = []
    for _ in range(scenes):
        frames = int(rng.integers(40, 110))
        camera = cast(Camera, rng.choice(["still", "pan", "zoom", "handheld"]))
        join: How = "cut"
        length = hold = 0
        flash = None
        if kind == "dissolves":
            join, length = "dissolve", int(rng.integers(8, 25))
        elif kind == "fades":
            join, length, hold = "fade", int(rng.integers(6, 25)), int(rng.integers(0, 12))
        elif kind == "flashes":
            flash = int(rng.integers(10, frames - 15))
        elif kind == "whip pans":
            camera = "whip" if rng.random() < 0.7 else camera
        elif kind == "handheld":
            camera = "handheld"
        elif kind == "mixed":
            join = cast(How, rng.choice(["cut", "cut", "dissolve", "fade"]))
            length, hold = int(rng.integers(8, 25)), int(rng.integers(0, 12))
            camera = cast(Camera, rng.choice(["still", "pan", "zoom", "handheld", "whip"]))
            flash = int(rng.integers(10, frames - 15)) if rng.random() < 0.3 else None
        things = int(rng.integers(0, 5))
        takes.append(Take(frames, camera, flash, join, length, hold, things))
    return Film(takes, seed)


KINDS = ("hard cuts", "dissolves", "fades", "flashes", "whip pans", "handheld", "mixed")
"""What `drawn_film` draws."""


def _frames_between(take: Take) -> int:
    """Frames of the transition into a take."""
    if take.join == "dissolve":
        return take.length
    return 2 * take.length + take.hold if take.join == "fade" else 0


def _between(take: Take, old: _Shot, new: _Shot, at: int) -> Iterator[Picture]:
    """The frames of the transition into a take; ``at`` is the old shot's own next frame."""
    if take.join == "dissolve":
        for n in range(take.length):
            share = (n + 1) / (take.length + 1)
            yield _blend(old.picture(at + n), new.picture(n), share)
    elif take.join == "fade":
        black = np.zeros_like(old.picture(at))
        dims = range(1, take.length + 1)
        for n in dims:
            yield _blend(old.picture(at + n - 1), black, n / (take.length + 1))
        for _ in range(take.hold):
            yield black
        for n in dims:
            lead = take.length + take.hold + n - 1
            yield _blend(black, new.picture(lead), n / (take.length + 1))


def _blend(old: Picture, new: Picture, share: float) -> Picture:
    return cast(Picture, cv2.addWeighted(old, 1 - share, new, share, 0))


@dataclass(frozen=True, slots=True)
class _Palette:
    """The colours of a film: half of its scenes have much the same."""

    base: NDArray[np.float64]
    tint: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if rng.random() < 0.5:
            return self.base + rng.normal(0, 8, 3), self.tint + rng.normal(0, 0.1, (2, 3))
        return rng.uniform(50, 190, 3), rng.normal(0, 1, (2, 3))


class _Shot:
    """One scene: what is seen through its camera at a frame."""

    def __init__(
        self, rng: np.random.Generator, take: Take, palette: _Palette, width: int, height: int
    ) -> None:
        self._take, self._size = take, (width, height)
        self.stamp: tuple[int, int, int] | None = None
        self._noise = np.random.default_rng(int(rng.integers(1 << 30)))
        self._world = _world(rng, palette)
        self._scale = float(rng.uniform(1.0, 2.2)) * width / WIDTH
        self._speed = rng.uniform(-2.5, 2.5, 2)
        self._zoom = float(rng.choice([-1, 1]) * rng.uniform(0.001, 0.004))
        self._start = rng.uniform(-120, 120, 2)
        self._shake = np.cumsum(rng.normal(0, 2.2, (2, 400)), axis=1) * 0.25
        self._shake += rng.normal(0, 1.1, (2, 400))
        self._whip_at = int(rng.integers(8, max(9, take.frames - 16)))
        self._whip = float(rng.choice([-1, 1]) * rng.uniform(35, 75))
        self._things = [_Thing(rng, width, height) for _ in range(take.things)]
        self._grain = float(rng.uniform(0.5, 3))
        self._flash_frames = int(rng.integers(1, 4))
        self._flash_power = float(rng.uniform(0.5, 1.0))
        self._gain = float(rng.uniform(0.55, 1.1))

    def picture(self, n: int) -> Picture:
        picture = self._seen(n)
        if self.stamp is not None:
            side = _STAMP * self._size[0] // WIDTH
            picture[-side:, :side] = self.stamp
        return picture

    def _seen(self, n: int) -> Picture:
        width, height = self._size
        (x, y), zoom, blur = self._camera(n)
        scale = self._scale * zoom
        centre = _WORLD / 2
        matrix = np.array(
            [
                [scale, 0, width / 2 - scale * (centre + x)],
                [0, scale, height / 2 - scale * (centre + y)],
            ]
        )
        how = cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS
        seen = cv2.warpAffine(
            self._world, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT
        )
        for thing in self._things:
            thing.draw(seen, n)
        if blur > 1.5:  # the shutter is open for half a frame
            seen = cv2.blur(seen, (max(1, round(blur / 2)), 1))
        lit = seen.astype(np.float32) * self._gain
        grain = self._noise.normal(0, self._grain, lit.shape[:2]).astype(np.float32)
        lit += grain[..., None]
        flash = self._take.flash
        if flash is not None and 0 <= n - flash < self._flash_frames:
            lit = lit * (1 + 2 * self._flash_power) + 140 * self._flash_power
        return cast(Picture, np.clip(lit, 0, 255).astype(np.uint8))

    def _camera(self, n: int) -> tuple[NDArray[np.float64], float, float]:
        """Where it looks, how near, and how far it moves in a frame, in pixels."""
        kind, place = self._take.camera, self._start.copy()
        if kind == "pan":
            return place + n * self._speed, 1.0, float(abs(self._speed[0])) * self._scale
        if kind == "zoom":
            return place, float(np.exp(n * self._zoom)), 0.0
        if kind == "handheld":
            return place + 3 * self._shake[:, n % 400], 1.0, 0.0
        if kind == "whip":
            # Eight frames that begin and end gently.
            done = np.clip((n - self._whip_at) / 8, 0, 1)
            share = done * done * (3 - 2 * done)
            rate = 6 * done * (1 - done) / 8
            place[0] += self._whip * 8 * share
            return place, 1.0, abs(self._whip * 8 * rate * self._scale)
        return place, 1.0, 0.0


class _Thing:
    """Something that moves through the picture."""

    def __init__(self, rng: np.random.Generator, width: int, height: int) -> None:
        self._size = int(rng.integers(12, 50) * width / WIDTH)
        self._place = rng.uniform((0, 0), (width, height))
        self._speed = rng.normal(0, 2.5, 2)
        self._wave = rng.uniform(0, 6), rng.uniform(0.05, 0.3), rng.uniform(0, 6)
        side = 2 * self._size
        texture = _texture(rng, side, 1.3)
        colour = rng.uniform(40, 220, 3)
        self._picture = np.clip(colour + 50 * texture[..., None], 0, 255).astype(np.uint8)
        mask = np.zeros((side, side), np.uint8)
        axes = (
            int(self._size * rng.uniform(0.5, 1)) - 1,
            int(self._size * rng.uniform(0.5, 1)) - 1,
        )
        cv2.ellipse(mask, (self._size, self._size), axes, 0, 0, 360, 255, -1)
        self._mask = mask > 0

    def draw(self, picture: Picture, n: int) -> None:
        height, width = picture.shape[:2]
        size, rate, phase = self._wave
        swing = size * np.sin(rate * n + phase)
        span = np.array([width + 2 * self._size, height + 2 * self._size])
        x, y = (self._place + n * self._speed + swing) % span - 2 * self._size
        left, top = int(x), int(y)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + 2 * self._size, width), min(top + 2 * self._size, height)
        if x0 >= x1 or y0 >= y1:
            return
        part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        mask = self._mask[part]
        picture[y0:y1, x0:x1][mask] = self._picture[part][mask]


def _world(rng: np.random.Generator, palette: _Palette) -> Picture:
    """A picture with structure at all sizes, a horizon, and things with edges; uint8 RGB."""
    slope = float(rng.uniform(1.0, 1.5))
    layers = np.stack([_texture(rng, _WORLD, slope) for _ in range(2)], axis=-1)
    base, tint = palette.draw(rng)
    contrast = float(rng.uniform(25, 55))
    world = base + contrast * (layers @ tint) / np.linalg.norm(tint)
    horizon = int(rng.uniform(0.35, 0.65) * _WORLD)
    world[:horizon] = 0.5 * world[:horizon] + 0.5 * rng.uniform(80, 230, 3)
    drawn = np.clip(world, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(80, 300))):
        centre = rng.integers(0, _WORLD, 2)
        points = centre + rng.normal(0, rng.uniform(6, 60), (int(rng.integers(3, 7)), 2))
        colour = drawn[centre[1], centre[0]] * rng.uniform(0.4, 1.7) + rng.normal(0, 25, 3)
        hull = cv2.convexHull(points.astype(np.int32))
        cv2.fillConvexPoly(drawn, hull, np.clip(colour, 0, 255).tolist(), lineType=cv2.LINE_AA)
    grain = 8 * _texture(rng, _WORLD, 0.8)[..., None]
    return cast(Picture, np.clip(drawn + grain, 0, 255).astype(np.uint8))


def _texture(rng: np.random.Generator, side: int, slope: float) -> NDArray[np.float32]:
    """Noise whose power falls with the frequency, as in pictures of nature: mean 0, deviation 1."""
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(rows, columns)
    frequency = np.maximum(frequency, 1 / _LARGEST)
    phases = np.exp(2j * np.pi * rng.random(frequency.shape))
    spectrum = phases / frequency**slope
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(side, side))
    return cast("NDArray[np.float32]", (noise / noise.std()).astype(np.float32))
