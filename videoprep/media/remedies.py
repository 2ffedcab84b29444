"""Commands of FFmpeg that mend a file, for messages that say what to run.

Each replaces the file, keeps the original under another name, is quoted for a shell, and does all
that this file needs: it converts from what the file says of itself, and keeps its sound, its times
and all that is not to be mended. Pictures that have to be encoded again lose next to nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction

import numpy as np

from videoprep.media.commands import ENCODED, input_name, output
from videoprep.media.probe import MediaInfo
from videoprep.media.timestamps import USUAL_RATES

HDR_TRANSFERS = {16: "PQ (HDR10)", 18: "HLG"}
"""FFmpeg's numbers of transfer curves that are not made for 8 bit."""

BT709, UNTAGGED, BT601 = 1, 2, 6
"""FFmpeg's numbers of the usual matrices, and of none."""

_NAMES = {BT709: "bt709", BT601: "smpte170m"}

# Filters that write the matrix into the stream itself, where decoders look for it first.
_STREAM_TAGS = {
    "h264": "h264_metadata=matrix_coefficients={number}",
    "hevc": "hevc_metadata=matrix_coefficients={number}",
    "av1": "av1_metadata=matrix_coefficients={number}",
    "mpeg2video": "mpeg2_metadata=matrix_coefficients={number}",
    "prores": "prores_metadata=colorspace={name}",
    "vp9": "vp9_metadata=color_space={short}",
}
_SHORT = {BT709: "bt709", BT601: "smpte170"}
_CODECS = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx-vp9": "vp9"}

# Containers whose packets can be copied as they are, and the endings by which FFmpeg knows them.
_ENDINGS = {
    "mov": (".mp4", ".mov"),
    "matroska": (".mkv", ".webm"),
    "mpegts": (".ts", ".m2ts", ".mts"),
    "flv": (".flv",),
    "h264": (".h264", ".264"),
    "hevc": (".hevc", ".h265", ".265"),
}
_BESIDE = ("vp8", "vp9")
_OF_BOTH, _OF_MP4 = ("h264", "hevc", "mpeg2video", "mpeg4"), ("av1", "vp9")  # others are MOV's
_TAGGED_CONTAINERS = ("mov", "matroska")  # those that have colour tags of their own

# SDR white of an HDR recording, and the brightest that is told apart, in nits (ITU-R BT.2408). What
# is darker than 0.9 of white is left as it is: so SDR pictures in HDR come out as they were.
_WHITE, _PEAK, _KNEE = 203, 1000, 0.9

# FFmpeg's numbers of transfer curves that zscale reads from a frame.
_KNOWN_TRANSFERS = (1, 4, 5, 6, 8, 9, 10, 11, 13, 14, 15, 16, 18)
_BT2020 = 9
_BITS = 8
_HD_HEIGHT = 720

_USUAL_SPACES = (1, 2, 5, 6)
_USUAL_PRIMARIES = (1, 2, 5, 6, 7)
_SPACES = {
    0: "RGB of pixels that are not", 4: "FCC", 7: "SMPTE 240M", 8: "YCgCo", 9: "BT.2020",
    10: "BT.2020 constant luminance", 14: "ICtCp",
}  # fmt: skip
_PRIMARIES = {8: "film", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}
_GREY = "format=yuv420p,setparams=colorspace=bt709"  # x264's own grey is read as untagged colour


class MendingStep(str, Enum):
    """What a command does to a file; the value completes "the command also …"."""

    DEINTERLACE = "deinterlaces it"
    SQUARE = "scales it to square pixels"
    EVEN = "cuts its odd line or column"
    GROUND = "puts it on a white ground"
    TONE_MAP = "tone-maps it to BT.709"
    BT709 = "converts it to BT.709"
    EIGHT_BITS = "converts it to 8 bit"
    TAG_BT709 = "tags it as BT.709"
    TAG_BT601 = "tags it as BT.601"
    EVEN_TIMES = "makes the rate even"


def steps_of(media: MediaInfo, *, square: bool) -> frozenset[MendingStep]:
    """Return all that a file needs.

    Args:
        media: what is in it.
        square: whether the file has to hold square pixels; if not, fitting makes them square.
    """
    stretched = square and media.pixel_aspect != 1
    needed = {
        MendingStep.DEINTERLACE: media.interlaced,
        MendingStep.SQUARE: stretched,
        MendingStep.EVEN: not stretched and bool(media.width % 2 or media.height % 2),
        MendingStep.GROUND: media.alpha and media.pixel_format != "pal8",
        MendingStep.TONE_MAP: media.color_transfer in HDR_TRANSFERS,
        MendingStep.BT709: media.color_transfer not in HDR_TRANSFERS
        and bool(unusual_colors(media)),
        MendingStep.EIGHT_BITS: media.color_transfer not in HDR_TRANSFERS
        and media.bit_depth > _BITS,
    }
    steps = {step for step, is_needed in needed.items() if is_needed}
    if is_untagged(media) and not steps & {MendingStep.TONE_MAP, MendingStep.BT709}:
        steps.add(MendingStep.TAG_BT709 if _is_large(media) else MendingStep.TAG_BT601)
    return frozenset(steps)


def advice(path: str, media: MediaInfo, lead: str, own: MendingStep, *, square: bool) -> str:
    """Return what a finding advises, ending with the one command that does all a file needs.

    All findings of a file have the same command, so that it does not matter which is pasted: were
    pixels scaled before fields are put together, or the other way round in a second command, the
    combs would be part of the picture.

    Args:
        path: the file.
        media: what is in it.
        lead: what the finding itself advises.
        own: the step that does this.
        square: see `steps_of`.
    """
    steps = steps_of(media, square=square)
    if own is MendingStep.EVEN_TIMES:
        steps |= {own}
    rest = [step.value for step in MendingStep if step in steps and step is not own]
    also = f"; the command also {' and '.join(rest)}" if rest else ""
    return f"{lead}{also}: {_command(path, media, steps)}"


def is_untagged(media: MediaInfo) -> bool:
    """Whether a file does not say which matrix its colours were made with, and has to."""
    return media.color_space == UNTAGGED and media.pixel_format.startswith(("yuv", "nv"))


def matrix_meant(media: MediaInfo) -> int:
    """Return the matrix that an untagged picture of this size was most likely made with."""
    return BT709 if _is_large(media) else BT601


def unusual_colors(media: MediaInfo) -> tuple[str, ...]:
    """Return which of a file's colours are not those of most videos, in words."""
    if media.is_still:
        return ()  # their pixels are made sRGB when they are read
    parts = []
    exact = media.color_space == 0 and is_rgb(media.pixel_format)
    if media.color_space not in _USUAL_SPACES and not exact:
        parts.append(f"matrix {_SPACES.get(media.color_space, media.color_space)}")
    if media.color_primaries not in _USUAL_PRIMARIES:
        primaries = media.color_primaries
        parts.append(f"primaries {_PRIMARIES.get(primaries, primaries)}")
    return tuple(parts)


def square_sides(media: MediaInfo) -> tuple[int, int]:
    """Return ``(width, height)`` of the picture with square pixels: as it is shown, but even."""
    width, height = media.shown_size
    return _nearest_even(width), _nearest_even(height)


def _command(path: str, media: MediaInfo, steps: frozenset[MendingStep]) -> str:
    """Return the command that takes all steps in the order in which they do no harm."""
    if len(steps) == 1 and steps <= {MendingStep.TAG_BT709, MendingStep.TAG_BT601}:
        return _tagged(path, media, matrix_meant(media))
    if (
        steps == {MendingStep.BT709}
        and _says_rgb(media)
        and media.color_primaries in _USUAL_PRIMARIES
    ):
        return _tagged(path, media, BT709)  # it is not so: there is nothing to convert from
    before, after = ",".join(_before(media, steps)), ",".join(_after(media, steps))
    if MendingStep.GROUND in steps:
        return _on_ground(path, media, steps, before, after)
    filters = ",".join(part for part in (before, after) if part)
    to_rgb = is_rgb(media.pixel_format) and not steps & {MendingStep.TONE_MAP, MendingStep.BT709}
    how = f"-vf {filters} {_times(media, steps)}-c:v libx264{'rgb' if to_rgb else ''} {ENCODED}"
    return _line(path, media, how, _ending(path, media))


def _before(media: MediaInfo, steps: frozenset[MendingStep]) -> Iterator[str]:
    """Yield the filters that make whole frames, of the right shape, at the right times."""
    if steps & {MendingStep.TAG_BT709, MendingStep.TAG_BT601}:
        yield f"setparams=colorspace={_NAMES[matrix_meant(media)]}"
    if MendingStep.BT709 in steps and _says_rgb(media):
        yield "setparams=colorspace=bt709"
    if MendingStep.DEINTERLACE in steps:
        yield "bwdif=mode=send_frame"
    if MendingStep.EVEN_TIMES in steps:
        yield f"fps={_usual_rate(media)}"
    if MendingStep.SQUARE in steps:
        width, height = square_sides(media)
        yield f"scale={width}:{height},setsar=1"
    if MendingStep.EVEN in steps:
        yield f"crop={_even(media.width)}:{_even(media.height)}:0:0"


def _after(media: MediaInfo, steps: frozenset[MendingStep]) -> Iterator[str]:
    """Yield the filters that convert colours."""
    if MendingStep.TONE_MAP in steps:
        yield (
            f"{_told(media)}zscale=t=linear:npl={_WHITE},format=gbrpf32le,zscale=p=bt709,"
            f"tonemap=mobius:param={_KNEE}:desat=0:peak={_PEAK / _WHITE:.3g},{_to_bt709(media)}"
        )
    elif MendingStep.BT709 in steps:
        yield _told(media) + _to_bt709(media)
    elif MendingStep.GROUND in steps:
        return  # it makes RGB of 8 bits
    elif _is_grey(media):
        yield _GREY
    elif MendingStep.EIGHT_BITS in steps:
        yield f"format={_eight_bit(media)}"


def _on_ground(
    path: str, media: MediaInfo, steps: frozenset[MendingStep], before: str, after: str
) -> str:
    """Return the command that puts a transparent picture on a white ground."""
    ground = "lutrgb=r=maxval:g=maxval:b=maxval:a=maxval"
    into, out = f"{before}," if before else "", f",{after}" if after else ""
    graph = (
        f"[0:{media.stream}]{into}format=rgba,split[a][b];[a]{ground}[c];"
        f"[c][b]overlay=format=rgb{out}[v]"
    )
    # FFmpeg's own decoders pass over the alpha that WebM keeps beside the picture.
    codec = _CODECS.get(media.codec, media.codec)
    decoder = f"-c:v lib{'vpx-vp9' if codec == 'vp9' else 'vpx'} " if codec in _BESIDE else ""
    encoder = "libx264" if after else "libx264rgb"
    return (
        f"ffmpeg -nostdin {decoder}-i {input_name(path)} -filter_complex '{graph}' "
        f"-map '[v]' -map '0:a?' {_times(media, steps)}-c:v {encoder} {ENCODED} "
        f"{output(path, _ending(path, media))}"
    )


def _tagged(path: str, media: MediaInfo, matrix: int) -> str:
    """Return the command that says in the file with which matrix its colours were made."""
    names = {"number": matrix, "name": _NAMES[matrix], "short": _SHORT[matrix]}
    codec = _CODECS.get(media.codec, media.codec)
    in_stream = _STREAM_TAGS.get(codec)
    container = next((name for name in media.container.split(",") if name in _ENDINGS), None)
    if container is None or (in_stream is None and container not in _TAGGED_CONTAINERS):
        filters = f"-vf setparams=colorspace={_NAMES[matrix]}"
        how = f"{filters} {_times(media, frozenset())}-c:v libx264 {ENCODED}"
        return _line(path, media, how, _ending(path, media))
    own = os.path.splitext(path)[1].lower()
    endings = _ENDINGS[container]
    if container == "mov" and codec not in _OF_BOTH:
        endings = (".mp4",) if codec in _OF_MP4 else (".mov",)
    tags = f"-bsf:v {in_stream.format(**names)}" if in_stream else _container_tags(media, matrix)
    return _line(path, media, f"-c copy {tags}", own if own in endings else endings[0])


def _container_tags(media: MediaInfo, matrix: int) -> str:
    """Return the options that tag a container; MP4 has room for all three or none."""
    tags = {"colorspace": UNTAGGED, "color_primaries": media.color_primaries}
    tags["color_trc"] = media.color_transfer
    return " ".join(f"-{tag}:v {_NAMES[matrix]}" for tag in tags if tags[tag] in (0, UNTAGGED))


def is_rgb(pixel_format: str) -> bool:
    """Whether pixels are stored as RGB: no matrix plays a part in decoding them."""
    return re.search("rgb|bgr|gbr|pal8", pixel_format) is not None


def _times(media: MediaInfo, steps: frozenset[MendingStep]) -> str:
    """Return the option that keeps uneven times, which FFmpeg would round to the average rate."""
    uneven = media.variable_frame_rate and MendingStep.EVEN_TIMES not in steps
    return "-enc_time_base 1:90000 " if uneven else ""


def _line(path: str, media: MediaInfo, how: str, ending: str) -> str:
    """Return a command line. FFmpeg would take what is pasted after it for keys, but for -nostdin.

    FFmpeg itself may choose another stream than the one that is read here.
    """
    streams = f"-map 0:{media.stream} -map '0:a?'"
    return f"ffmpeg -nostdin -i {input_name(path)} {streams} {how} {output(path, ending)}"


def _ending(path: str, media: MediaInfo) -> str:
    """Return the ending of a container that takes the sound of the file's own as it is."""
    if "mov" not in media.container.split(","):
        return ".mkv"
    own = os.path.splitext(path)[1].lower()
    return ".mov" if own in (".mov", ".qt", ".3gp", ".3g2") else ".mp4"


def _told(media: MediaInfo) -> str:
    """Return a filter that says what zscale has to know and a file does not say itself."""
    hdr, wide = media.color_transfer in HDR_TRANSFERS, media.color_primaries == _BT2020
    unsaid = media.color_primaries in (0, UNTAGGED)
    told = []
    if media.color_space in (0, UNTAGGED) and not is_rgb(media.pixel_format):
        told.append(f"colorspace={'bt2020nc' if wide or (hdr and unsaid) else 'bt709'}")
    if unsaid:
        told.append(f"color_primaries={'bt2020' if hdr else 'bt709'}")
    if media.color_transfer not in _KNOWN_TRANSFERS:
        told.append("color_trc=bt709")
    return f"setparams={':'.join(told)}," if told else ""


def _to_bt709(media: MediaInfo) -> str:
    return f"zscale=p=bt709:t=bt709:m=bt709:r=tv,format={_eight_bit(media, rgb=False)}"


def _eight_bit(media: MediaInfo, *, rgb: bool = True) -> str:
    """Return the pixel format of 8 bits that has as many chroma samples."""
    name = media.pixel_format
    if is_rgb(name):
        return "rgb24" if rgb else "yuv444p"
    if re.search("444|440|nv24|nv42|p4|ayuv|vuy|xyz|xv", name):
        return "yuv444p"
    return "yuv422p" if re.search("422|nv16|nv20|p2|y2", name) else "yuv420p"


def _is_grey(media: MediaInfo) -> bool:
    return re.match("gray|ya|mono", media.pixel_format) is not None


def _is_large(media: MediaInfo) -> bool:
    return min(media.width, media.height) >= _HD_HEIGHT


def _says_rgb(media: MediaInfo) -> bool:
    """Whether a file says that its pixels are RGB, and they are not."""
    return media.color_space == 0 and not is_rgb(media.pixel_format)


def _even(side: int) -> int:
    return side - side % 2


def _nearest_even(side: int) -> int:
    return max(2, side + side % 2)


def _usual_rate(media: MediaInfo) -> str:
    """Return the rate that most frames of a file keep."""
    gaps = np.diff(media.timestamps.seconds())
    middle = float(np.median(gaps))
    rate = 1 / float(gaps[np.abs(gaps - middle) <= 0.2 * middle].mean())
    near = min(USUAL_RATES, key=lambda usual: abs(float(usual) / rate - 1))
    if abs(float(near) / rate - 1) > 0.03:
        near = Fraction(rate).limit_denominator(100)
    return str(near)
