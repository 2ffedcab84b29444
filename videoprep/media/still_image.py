"""Still images: what is in them, and their pixels. Decoded by Pillow.

What a picture shows is what viewers show: upright, as its EXIF data say; in sRGB, by its colour
profile; where it is transparent, on a background that is chosen. What a file holds is told by its
first bytes, whatever its name ends in. Formats that are not listed here are never opened.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from videoprep.errors import Code, MediaError
from videoprep.fs.fingerprint import open_regular
from videoprep.media.contents import announced_size, any_picture_format, missing_end
from videoprep.media.media_info import MediaInfo
from videoprep.media.orientation import UPRIGHT, Orientation
from videoprep.media.refusals import MAX_SIDE, out_of_memory, picture_too_large
from videoprep.media.timestamps import Timestamps

if TYPE_CHECKING:
    from PIL import Image, ImageCms

DEFAULT_BACKGROUND = "#ffffff"
"""What transparent pictures are put on, unless another colour is asked for."""

_COLOR = re.compile(r"#[0-9a-f]{6}")

_READ = ("PNG", "JPEG", "WEBP", "AVIF", "HEIF", "BMP", "TIFF", "GIF")
"""Formats that are read, by Pillow's names."""

# EXIF's numbers of how a picture lies.
_ORIENTATION_TAG = 0x0112
_ORIENTATIONS: Mapping[int, Orientation] = {
    2: Orientation(flip_horizontal=True),
    3: Orientation(flip_horizontal=True, flip_vertical=True),
    4: Orientation(flip_vertical=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, flip_horizontal=True),
    7: Orientation(transpose=True, flip_horizontal=True, flip_vertical=True),
    8: Orientation(transpose=True, flip_vertical=True),
}

# A JPEG is looked into at an eighth of its size: all of its data are read, in half the time.
_DRAFT = 8

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_UNSCALED = ("I", "F")
"""Pillow's modes of pixels of which a file does not say which value is white."""

# FFmpeg's numbers of what sRGB is: RGB, full range, BT.709 primaries, IEC 61966-2-1.
_SRGB = {"color_space": 0, "color_range": 2, "color_primaries": 1, "color_transfer": 13}

_CONVERT = "convert it to PNG or JPEG, or remove the sample"
_AGAIN = "copy or download the file again"


def is_color(text: str) -> bool:
    """Return whether a text is a colour that pictures can be put on: ``#rrggbb``, small letters."""
    return _COLOR.fullmatch(text) is not None


def probe_still(path: Path, fingerprint: str) -> MediaInfo:
    """Look into a still image; all of its data are decoded once.

    Raises:
        MediaError: it cannot be used, with the code that says why.
    """
    with _opened(path) as image:
        _require_size(image, path)
        (width, height), mode = image.size, image.mode
        _require_mode(image)
        _require_profile(image)
        format_name = (image.format or "").lower()
        if image.format == "JPEG":
            image.draft("RGB", (image.width // _DRAFT, image.height // _DRAFT))
        image.load()
        turn, alpha = _orientation(image), _is_transparent(image)
    if turn.transpose:
        width, height = height, width
    return MediaInfo(
        fingerprint=fingerprint,
        stream=0,
        width=width,
        height=height,
        timestamps=Timestamps(np.zeros(1, np.int64), Fraction(1), timed=False),
        picture_start=Fraction(0),
        fps=None,
        variable_frame_rate=False,
        orientation=turn,
        sample_aspect_ratio=Fraction(1),
        container=format_name,
        codec=format_name,
        header_frames=0,
        packets=1,
        repeated_times=0,
        cut_off=False,
        interlaced=False,
        pixel_format=mode,
        bit_depth=16 if mode in _SIXTEEN_BITS else 8,
        alpha=alpha,
        **_SRGB,
        audio=None,
    )


def load_still(path: Path, background: str = DEFAULT_BACKGROUND) -> NDArray[np.uint8]:
    """Return the pixels of a still image, upright: uint8 RGB ``[H, W, 3]``, in sRGB.

    Args:
        path: the file.
        background: the colour under transparent pixels, as ``#rrggbb``.

    Raises:
        MediaError: it cannot be used.
    """
    with _opened(path) as image:
        _require_size(image, path)
        _require_mode(image)
        image.load()
        turn = _orientation(image)
        profile = image.info.get("icc_profile")
        colors, alpha = _split(image)
    colors = _to_srgb(colors, profile)
    pixels = np.asarray(colors if alpha is None else _on(background, colors, alpha))
    return turn.apply(pixels)


def load_still_alpha(path: Path) -> NDArray[np.uint8]:
    """Return the alpha channel of a still image, upright, as grey: uint8 ``[H, W, 3]``.

    Args:
        path: the file.

    Raises:
        MediaError: it cannot be used, or has no alpha channel.
    """
    with _opened(path) as image:
        _require_size(image, path)
        _require_mode(image)
        image.load()
        turn, mode = _orientation(image), image.mode
        if mode in _SIXTEEN_BITS:
            alpha = _in_8_bits(image)[1]
        else:
            alpha = image.convert("RGBA").getchannel("A") if _has_transparency(image) else None
    if alpha is None:
        raise MediaError(
            f"has no alpha channel ({mode})",
            code=Code.DECODE_FAILED,
            where=str(path),
            remedy="read its brightness, with `mask_channel='luma'`, or make it anew with alpha",
        )
    return turn.apply(np.asarray(alpha)[:, :, None].repeat(3, axis=2))


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours of a picture in 8 bits, and its transparency, if it has any.

    Colours stay as they are stored, in grey, RGB or CMYK, for their profile to be applied.
    """
    from PIL import Image

    if image.mode in _SIXTEEN_BITS:
        return _in_8_bits(image)
    if image.mode == "P":
        image = image.convert("RGBA" if _has_transparency(image) else "RGB")
    elif image.mode == "1":
        image = image.convert("LA" if "transparency" in image.info else "L")
    elif image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    elif image.mode in ("PA", "RGBa", "La", "RGBX"):
        image = image.convert({"La": "LA", "RGBX": "RGB"}.get(image.mode, "RGBA"))
    if image.mode in ("RGBA", "LA"):
        *bands, alpha = image.split()
        colors = Image.merge("RGB", bands) if len(bands) > 1 else bands[0]
        return colors, alpha if _lets_through(alpha) else None
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("RGB")
    return image, None


def _in_8_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A grey picture of 16 bits: its upper 8 bits, as Pillow takes those of RGB."""
    from PIL import Image

    values = np.asarray(image).astype(np.uint16)
    colors = Image.fromarray((values >> 8).astype(np.uint8))
    key = image.info.get("transparency")
    if not isinstance(key, int) or not (values == key).any():
        return colors, None
    return colors, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))


def _to_srgb(colors: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours as sRGB: by their profile, or taken for sRGB if there is none."""
    from PIL import ImageCms

    own = None if profile is None else _profile(profile)
    if own is None:
        return colors.convert("RGB")
    if colors.mode == "L" and own.profile.xcolor_space.strip() == "RGB":
        colors = colors.convert("RGB")  # a grey picture with the profile of what it was made from
    srgb = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    made = ImageCms.profileToProfile(
        colors, own, srgb, renderingIntent=intent, outputMode="RGB", flags=flags
    )
    assert made is not None  # noqa: S101 (it is not done in place)
    return made


def _profile(data: bytes) -> ImageCms.ImageCmsProfile:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(BytesIO(data))


def _require_profile(image: Image.Image) -> None:
    """Refuse a colour profile that cannot be applied: what its colours mean is not guessed at.

    Raises:
        MediaError: it is damaged, or that of another kind of picture.
    """
    from PIL import ImageCms

    data = image.info.get("icc_profile")
    if data is None:
        return
    try:
        space = _profile(data).profile.xcolor_space.strip()
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError) as error:
        raise _bad_profile("is damaged") from error
    stored = "CMYK" if image.mode == "CMYK" else "GRAY" if _is_grey(image) else "RGB"
    if space != stored and (space, stored) != ("RGB", "GRAY"):
        raise _bad_profile(f"is one of {space} pictures, and its pixels are {stored}")


def _bad_profile(what: str) -> MediaError:
    return MediaError(
        f"its colour profile {what}",
        code=Code.UNREADABLE,
        remedy="save the picture as sRGB, or without a profile if it is sRGB; or remove the sample",
    )


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La", *_SIXTEEN_BITS)


def _on(background: str, colors: Image.Image, alpha: Image.Image) -> Image.Image:
    from PIL import Image

    ground = Image.new("RGB", colors.size, background)
    ground.paste(colors, mask=alpha)
    return ground


def _is_transparent(image: Image.Image) -> bool:
    """Whether some pixel lets the background through."""
    if image.mode in _SIXTEEN_BITS:
        return _in_8_bits(image)[1] is not None
    return _has_transparency(image) and _lets_through(image.convert("RGBA").getchannel("A"))


def _has_transparency(image: Image.Image) -> bool:
    return bool(image.has_transparency_data)


def _lets_through(alpha: Image.Image) -> bool:
    least, _ = cast("tuple[int, int]", alpha.getextrema())
    return least < 255


def _orientation(image: Image.Image) -> Orientation:
    """How a loaded image has to be turned. Pillow has turned those of some formats already.

    Nonsense counts for nothing, as in viewers.
    """
    try:
        return _ORIENTATIONS.get(image.getexif().get(_ORIENTATION_TAG, 1), UPRIGHT)
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OSError):
        return UPRIGHT


def _require_size(image: Image.Image, path: Path) -> None:
    if max(image.size) > MAX_SIDE:
        raise picture_too_large(*image.size, path)


def _require_mode(image: Image.Image) -> None:
    """Refuse pictures that are not one, or of which it is not known what their values mean."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format == "TIFF":
        raise MediaError(
            f"holds {frames} pictures",
            code=Code.UNREADABLE,
            remedy="save each as a file of its own, or remove the sample",
        )
    if image.mode in _UNSCALED:
        raise MediaError(
            "has pixels of 32 bits, and does not say which value is white",
            code=Code.UNREADABLE,
            remedy=_CONVERT,
        )


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image that is open; what goes wrong with it meanwhile is an error of the file."""
    from PIL import Image, ImageCms, UnidentifiedImageError

    name = _format_read(path)
    try:
        with _buffered(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own, milder limits and of odd metadata
            with Image.open(file, formats=[name]) as image:
                yield image
    except Image.DecompressionBombError as error:
        raise picture_too_large(*(announced_size(path) or (0, 0)), path) from error
    except UnidentifiedImageError as error:
        what = f"starts like a picture ({name}), and cannot be read as one"
        raise _unreadable(path, what) from error
    except MemoryError as error:
        raise out_of_memory(path) from error
    except ImageCms.PyCMSError as error:
        raise _bad_profile(f"cannot be applied ({error})") from error
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError) as error:
        raise _unreadable(path, f"cannot be read as a picture: {error}") from error
    except OSError as error:
        if error.errno is not None:  # the file system's fault
            raise
        cut = "truncated" in str(error)
        what = "the picture is cut off" if cut else f"cannot be read as a picture: {error}"
        raise _unreadable(path, what, Code.TRUNCATED if cut else Code.UNREADABLE) from error


def _buffered(path: Path) -> BufferedReader:
    return BufferedReader(cast(RawIOBase, open_regular(path)))


def _unreadable(path: Path, what: str, code: Code = Code.UNREADABLE) -> MediaError:
    missing = missing_end(path)
    if missing is not None:
        what, code = f"the file is cut off: {missing}", Code.TRUNCATED
    return MediaError(what, code=code, where=str(path), remedy=f"{_AGAIN}, or remove the sample")


def _format_read(path: Path) -> str:
    """The format of a file, as Pillow calls it, once it is known that it is read.

    Raises:
        MediaError: it is not.
    """
    from PIL import features

    name = any_picture_format(path)
    if name == "HEIF" and not _reads_heif():
        what = "is a HEIC picture, which is read with pillow-heif only"
        remedy = f"install it (pip install 'videoprep[heif]'); or {_CONVERT}"
    elif name == "AVIF" and not features.check("avif"):
        what = "is an AVIF picture, and this Pillow is built without AVIF"
        remedy = f"install Pillow from PyPI; or {_CONVERT}"
    elif name not in _READ:
        what = f"is a picture in a format that is not read ({name})"
        remedy = _CONVERT
    else:
        return name
    raise MediaError(what, code=Code.UNREADABLE, where=str(path), remedy=remedy)


def _reads_heif() -> bool:
    """Whether Pillow has been taught to read HEIC."""
    from PIL import Image

    if "HEIF" not in Image.OPEN:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            return False
        register_heif_opener()
    return True
