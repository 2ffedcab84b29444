"""Renders endless random clips with the statistics of natural ones, to train the demo's VAE on.

Every clip is made from noise and drawn shapes, and from a seed: there is no picture behind it.
What natural pictures have in common is imitated: energy that falls with frequency, objects of
all sizes that hide each other ("dead leaves"), few strong colours, shading, texture, print, and
things that move on their own before a background that the camera moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
"""Values around 0 … 1: ``[H, W]``, or ``[H, W, 3]`` in RGB."""
Points = NDArray[np.float64]

# Columns: brightness and two differences of colour, as in natural pictures uncorrelated.
_TO_RGB = np.array([[1, 0.9, 0.3], [1, -0.1, -0.45], [1, -0.8, 0.5]], dtype=np.float32)
_LETTERS = "ABCDEFGHKLMNOPRSTUVXYZabcdefghkmnoprstuvwz0123456789"


def render_clip(rng: np.random.Generator, frames: int, height: int, width: int) -> Plane:
    """A clip of a scene that was never seen before.

    Args:
        rng: decides everything.
        frames: how many.
        height: rows.
        width: pixels a row.

    Returns:
        float32 ``[F, H, W, 3]``, RGB from 0 to 1.
    """
    layers = [_Layer.background(rng, height, width)]
    layers += [_Layer.object(rng, height, width) for _ in range(rng.integers(0, 4))]
    ripple = _Ripple(rng, height, width) if rng.random() < 0.2 else None
    light = rng.normal(0, 0.15) if rng.random() < 0.3 else 0.0
    blur = rng.uniform(0.4, 1.5) if rng.random() < 0.25 else 0.0
    grain = rng.uniform(0, 0.02) if rng.random() < 0.5 else 0.0
    clip = np.empty((frames, height, width, 3), dtype=np.float32)
    for time in range(frames):
        picture = layers[0].at(time)[..., :3]
        for layer in layers[1:]:
            front = layer.at(time)
            picture = picture + front[..., 3:] * (front[..., :3] - picture)
        if ripple is not None:
            picture = ripple.at(time, picture)
        if blur:
            picture = _float(cv2.GaussianBlur(picture, (0, 0), blur))
        clip[time] = picture * (1 + light * time / 17)
    if grain:
        clip += rng.normal(0, grain, clip.shape).astype(np.float32)
    return np.clip(clip, 0, 1)


@dataclass
class _Layer:
    """A canvas and the way it moves before the camera.

    Attributes:
        canvas: ``[h, w, 4]``, RGB and coverage.
        size: height and width of a frame.
        center: where on the frame the canvas' center is at first, in pixels x and y.
        speed: pixels a frame, x and y.
        zoom: pixels of the frame per pixel of the canvas.
        growth: natural logarithm of the change of zoom a frame.
        angle: turn at first, in radians.
        spin: turn a frame.
        shake: how far the camera trembles, in pixels, and how fast.
    """

    canvas: Plane
    size: tuple[int, int]
    center: tuple[float, float]
    speed: tuple[float, float]
    zoom: float
    growth: float
    angle: float
    spin: float
    shake: tuple[float, float]

    @classmethod
    def background(cls, rng: np.random.Generator, height: int, width: int) -> _Layer:
        """One that fills the frame, wherever it moves: its canvas is continued by mirroring."""
        rows, columns = round(height * 1.75), round(width * 1.75)
        canvas = _picture(rng, rows, columns)
        opaque = np.ones((rows, columns, 1), dtype=np.float32)
        return cls(
            np.concatenate([canvas, opaque], axis=2),
            (height, width),
            (width / 2, height / 2),
            _velocity(rng, 2.5),
            zoom=float(rng.uniform(0.55, 1.3)),
            growth=float(rng.normal(0, 0.006)),
            angle=float(rng.uniform(-0.4, 0.4)),
            spin=float(rng.normal(0, 0.006)),
            shake=(float(rng.exponential(0.3)), float(rng.uniform(0.2, 2))),
        )

    @classmethod
    def object(cls, rng: np.random.Generator, height: int, width: int) -> _Layer:
        """One shape, textured, that moves on its own."""
        side = round(min(height, width) * float(np.exp(rng.uniform(math.log(0.2), 0.1))))
        side = max(side, 12)
        mask = np.zeros((side, side), dtype=np.float32)
        _fill(mask, _outline(rng, side / 2, side / 2, side * 0.42), np.ones(1))
        if rng.random() < 0.4:
            mask = _float(cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 2.5)))
        # A rim of nothing, so that continuing the canvas continues nothing.
        mask[[0, -1], :] = mask[:, [0, -1]] = 0
        canvas = np.concatenate([_picture(rng, side, side), mask[..., None]], axis=2)
        return cls(
            canvas,
            (height, width),
            (float(rng.uniform(0, width)), float(rng.uniform(0, height))),
            _velocity(rng, 4),
            zoom=float(rng.uniform(0.7, 1.2)),
            growth=float(rng.normal(0, 0.01)),
            angle=float(rng.uniform(-math.pi, math.pi)),
            spin=float(rng.normal(0, 0.03)),
            shake=(float(rng.exponential(0.5)), float(rng.uniform(0.2, 1))),
        )

    def at(self, time: int) -> Plane:
        """The layer in one frame: ``[H, W, 4]``."""
        rows, columns = self.canvas.shape[:2]
        zoom = self.zoom * math.exp(self.growth * time)
        angle = self.angle + self.spin * time
        far, fast = self.shake
        x = self.center[0] + self.speed[0] * time + far * math.sin(fast * time)
        y = self.center[1] + self.speed[1] * time + far * math.cos(1.3 * fast * time)
        cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
        matrix = np.array(
            [
                [cos, -sin, x - cos * columns / 2 + sin * rows / 2],
                [sin, cos, y - sin * columns / 2 - cos * rows / 2],
            ]
        )
        filled = bool(self.canvas[0, 0, 3])
        border = cv2.BORDER_REFLECT_101 if filled else cv2.BORDER_CONSTANT
        size = self.size[::-1]
        return _float(cv2.warpAffine(self.canvas, matrix, size, borderMode=border))


class _Ripple:
    """Waves that run over the picture, as of water, cloth or hot air."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self._y, self._x = np.mgrid[:height, :width].astype(np.float32)
        self._length = float(rng.uniform(8, 48))
        self._height = float(rng.uniform(0.2, 1.5))
        self._speed = float(rng.uniform(0.05, 0.8))
        self._turn = float(rng.uniform(0, math.pi))

    def at(self, time: int, picture: Plane) -> Plane:
        """The picture as the waves bend it."""
        along = self._x * math.cos(self._turn) + self._y * math.sin(self._turn)
        shift = self._height * np.sin(2 * math.pi * along / self._length + self._speed * time)
        x, y = self._x + shift, self._y + 0.6 * shift
        return _float(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))


def _velocity(rng: np.random.Generator, most: float) -> tuple[float, float]:
    """Slow more often than fast, and often not at all."""
    if rng.random() < 0.2:
        return 0.0, 0.0
    speed = most * rng.random() ** 2.5
    angle = rng.uniform(-math.pi, math.pi)
    return speed * math.cos(angle), 0.6 * speed * math.sin(angle)


def _picture(rng: np.random.Generator, height: int, width: int) -> Plane:
    """A still picture ``[height, width, 3]``."""
    palette = _palette(rng)
    makers: Sequence[Callable[..., Plane]] = (_leaves, _clouds, _landscape)
    make = makers[rng.choice(3, p=[0.6, 0.2, 0.2])]
    picture = make(rng, height, width, palette)
    if rng.random() < 0.25:
        _write(rng, picture, palette)
    return _float(picture * _shading(rng, height, width))


def _palette(rng: np.random.Generator) -> Plane:
    """Colours ``[n, 3]`` that go together: all shades of brightness, mostly few and weak hues."""
    count = rng.integers(3, 9)
    if rng.random() < 0.15:  # paint, cloth, neon
        return _float(rng.beta(0.6, 0.6, (count, 3)))
    brightness = rng.beta(1.0, 1.4, count)
    common = rng.normal(0, 0.1, 2)
    hues = common + rng.laplace(0, rng.uniform(0.01, 0.2), (count, 2))
    hues *= np.sqrt(brightness)[:, None]
    return _float(np.clip(np.column_stack([brightness, hues]) @ _TO_RGB.T, 0, 1))


def _noise(rng: np.random.Generator, height: int, width: int, slope: float) -> Plane:
    """Noise ``[height, width]`` whose amplitude falls as frequency to the slope; mean 0, std 1."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    stretch = float(np.exp(rng.normal(0, 0.5)))
    frequency = np.sqrt((fy * stretch) ** 2 + (fx / stretch) ** 2)
    frequency[0, 0] = 1
    shape = frequency.shape
    spectrum = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    spectrum *= frequency**-slope
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(height, width))
    return _float(noise / noise.std())


def _stripes(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Parallel lines ``[height, width]``, soft or hard, straight or bent."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, length = rng.uniform(0, math.pi), np.exp(rng.uniform(math.log(3), math.log(24)))
    along = x * math.cos(angle) + y * math.sin(angle)
    along += rng.uniform(0, 3) * np.sin(y / rng.uniform(5, 30))
    wave = np.sin(2 * math.pi * along / length)
    return _float(np.tanh(wave * rng.uniform(0.5, 4)))


def _leaves(rng: np.random.Generator, height: int, width: int, palette: Plane) -> Plane:
    """Shapes of all sizes, each over those before it, each with a colour and a texture."""
    picture = _clouds(rng, height, width, palette[:2])
    # How much of three textures shows in each place.
    amount = np.zeros((height, width, 3), dtype=np.float32)
    smallest, largest = rng.uniform(1.2, 4), rng.uniform(0.15, 0.6) * min(height, width)
    count = int(rng.integers(10, 120))
    # Areas such that the picture looks the same from near and far.
    uniform = np.sort(rng.random(count))
    radii = 1 / np.sqrt(smallest**-2 + uniform * (largest**-2 - smallest**-2))
    for radius in radii[::-1]:
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        colour = palette[rng.integers(len(palette))] + rng.normal(0, 0.04)
        texture = np.zeros(3)
        texture[rng.integers(3)] = rng.exponential(0.06)
        outline = _outline(rng, x, y, radius)
        _fill(picture, outline, colour)
        _fill(amount, outline, texture)
    textures = [_noise(rng, height, width, rng.uniform(0.2, 1.5)) for _ in range(2)]
    textures.append(_stripes(rng, height, width))
    return _float(picture + (amount * np.stack(textures, axis=2)).sum(axis=2, keepdims=True))


def _clouds(rng: np.random.Generator, height: int, width: int, palette: Plane) -> Plane:
    """Noise alone: the palette, mixed smoothly."""
    slope = rng.uniform(0.8, 2)
    level = rng.uniform(0.2, 0.5) * _noise(rng, height, width, slope)
    mix = np.clip(0.5 + level, 0, 1)[..., None]
    fine = rng.exponential(0.04) * _noise(rng, height, width, rng.uniform(0.3, 1.2))
    return _float(palette[0] * (1 - mix) + palette[1] * mix + fine[..., None])


def _landscape(rng: np.random.Generator, height: int, width: int, palette: Plane) -> Plane:
    """Ridges behind each other under a sky, or walls and floors."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    picture = np.repeat(palette[0] * (1 - down) + palette[1] * down, width, axis=1)
    rows = np.arange(height, dtype=np.float32)[:, None]
    for _ in range(rng.integers(1, 5)):
        ridge = _noise(rng, 2, width, rng.uniform(1, 2))[0] * rng.uniform(0, 0.12)
        top = (rng.uniform(0.2, 0.9) + ridge) * height
        inside = np.clip(rows - top + 0.5, 0, 1)[..., None]
        colour = palette[rng.integers(len(palette))]
        texture = rng.exponential(0.08) * _noise(rng, height, width, rng.uniform(0.3, 1.4))
        picture += inside * (colour + texture[..., None] - picture)
    return picture


def _shading(rng: np.random.Generator, height: int, width: int) -> Plane:
    """Light that falls unevenly: ``[height, width, 1]`` around 1."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    sideways, downwards, edge = rng.normal(0, 0.15, 3)
    light = 1 + sideways * x + downwards * y - abs(edge) * (x * x + y * y)
    return _float(np.clip(light, 0.1, 1.6)[..., None])


def _write(rng: np.random.Generator, picture: Plane, palette: Plane) -> None:
    """Lines of print, straight into the picture."""
    height, width = picture.shape[:2]
    ink = np.zeros((height, width), dtype=np.uint8)
    scale = rng.uniform(0.25, 1.0)
    for _ in range(rng.integers(1, 4)):
        text = "".join(rng.choice(list(_LETTERS), rng.integers(2, 10)))
        place = int(rng.uniform(-0.1, 0.7) * width), int(rng.uniform(0.1, 1) * height)
        font, thick = int(rng.integers(0, 5)), int(rng.integers(1, 3))
        cv2.putText(ink, text, place, font, scale, 255, thick, cv2.LINE_AA)
    picture += ink[..., None] / np.float32(255) * (palette[-1] - picture)


def _outline(rng: np.random.Generator, x: float, y: float, radius: float) -> Points:
    """Corners ``[n, 2]`` of an ellipse, a polygon, a blob or a beam."""
    kind = int(np.searchsorted((0.35, 0.65, 0.85), rng.random()))
    turn = rng.uniform(0, 2 * math.pi)
    flat = rng.uniform(0.3, 1)
    steps = (16, int(rng.integers(3, 6)), 16, 4)[kind]
    angles = np.arange(steps) * 2 * math.pi / steps
    if kind == 1:
        angles = angles + rng.normal(0, 0.3, steps)
    reach = np.full(steps, radius)
    if kind == 2:
        reach = reach * (1 + 0.3 * np.sin(angles * rng.integers(2, 6) + turn))
    across, along = reach * np.cos(angles), reach * np.sin(angles) * flat
    if kind == 3:
        across, along = across * 2, along * rng.uniform(0.05, 0.25)
    corners = np.empty((steps, 2))
    corners[:, 0] = x + across * math.cos(turn) - along * math.sin(turn)
    corners[:, 1] = y + across * math.sin(turn) + along * math.cos(turn)
    return corners


def _fill(plane: Plane, outline: Points, value: NDArray[Any]) -> None:
    """Draws one value into a plane, a number a channel."""
    # Sixteenths of a pixel: thin and small things keep their place.
    points = np.round(outline * 16).astype(np.int32)
    cv2.fillPoly(plane, [points], value.tolist(), cv2.LINE_8, shift=4)


def _float(values: NDArray[Any]) -> Plane:
    """The same as float32."""
    return values.astype(np.float32, copy=False)
