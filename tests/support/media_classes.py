"""Small files of every media class, each with the command that makes it.

`make_all` writes them; run as a script it does so into the folder that is named:
``python -m tests.support.media_classes FOLDER``.
"""

# ruff: noqa: E501 (a table: one command a line)
from __future__ import annotations

import random
import shlex
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path], None]
"""Writes a file; those named before it lie beside it."""


@dataclass(frozen=True)
class MediaClass:
    """One file, how it is made, and the codes that it must be reported with, and no others."""

    name: str
    make: Make
    codes: frozenset[str]


CLASSES: dict[str, MediaClass] = {}


def _add(name: str, make: Make | str, codes: str = "") -> None:
    assert name not in CLASSES
    CLASSES[name] = MediaClass(
        name, _ffmpeg(make) if isinstance(make, str) else make, frozenset(codes.split())
    )


def make_all(folder: Path) -> dict[str, str]:
    """Writes all files; gives those that cannot be made here, with FFmpeg's reason."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {}
    for item in CLASSES.values():
        try:
            item.make(folder / item.name)
        except subprocess.CalledProcessError as error:
            missing[item.name] = error.stderr.decode(errors="replace").strip()
            (folder / item.name).unlink(missing_ok=True)
        except FileNotFoundError as error:  # made from one of those
            missing[item.name] = str(error)
    return missing


def _ffmpeg(arguments: str) -> Make:
    """``@name`` in the arguments is a file made before."""

    def make(path: Path) -> None:
        words = [word.replace("@", f"{path.parent}/") for word in shlex.split(arguments)]
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", *words]
        subprocess.run([*command, str(path)], check=True, capture_output=True, timeout=120)

    return make


def _bytes(data: bytes) -> Make:
    return lambda path: path.write_bytes(data) and None


def _cut(name: str, share: float) -> Make:
    """The first part of a file: a download that was not finished."""

    def make(path: Path) -> None:
        data = (path.parent / name).read_bytes()
        path.write_bytes(data[: int(len(data) * share) - 5])

    return make


def _overwritten(name: str, at: float, count: int = 64) -> Make:
    """A file with other bytes at one place."""

    def make(path: Path) -> None:
        data = bytearray((path.parent / name).read_bytes())
        start = int(len(data) * at)
        data[start : start + count] = random.Random(7).randbytes(count)
        path.write_bytes(data)

    return make


def _patched(name: str, old: bytes, new: bytes) -> Make:
    def make(path: Path) -> None:
        data = (path.parent / name).read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))

    return make


def _copy(name: str) -> Make:
    return lambda path: shutil.copyfile(path.parent / name, path) and None


def _names(text: str) -> Make:
    """A text that names another file of the folder."""
    return lambda path: path.write_text(text.replace("@", f"{path.parent}/")) and None


def _without_index(path: Path) -> None:
    """What a recorder leaves that is killed: the frames, and no ``moov``."""
    data = (path.parent / "whole.mp4").read_bytes()
    at = data.index(b"mdat") - 4
    path.write_bytes(data[:at] + bytes(4) + data[at + 4 : data.index(b"moov") - 4])


def _wider(name: str, width: int, height: int) -> Make:
    """An MP4 whose header alone claims another size."""

    def make(path: Path) -> None:
        data = bytearray((path.parent / name).read_bytes())
        at = data.index(b"stsd") + 44
        struct.pack_into(">HH", data, at, width, height)
        path.write_bytes(data)

    return make


def _png_header(width: int, height: int) -> bytes:
    """A picture of gigapixels in a few bytes."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    return data


# 25 frames that move, and the tags that say how their colours are meant.
_MOVING = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=1"
_SOUND = "-f lavfi -i sine=duration={}"
_TAGS = "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv"
_X264 = f"-c:v libx264 -pix_fmt yuv420p -g 12 {_TAGS}"
_CLIP = f"{_MOVING} {_X264}"
_PRORES = "-vf setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709 -c:v prores_ks"

# --- whole files: nothing to report -----------------------------------------------------------
_add("whole.mp4", _CLIP)
_add("faststart.mp4", f"{_CLIP} -movflags +faststart")
_add("fragmented.mp4", f"{_CLIP} -movflags +frag_keyframe+empty_moov")
_add("dash.mp4", f"{_CLIP} -movflags +dash+frag_keyframe+separate_moof")
_add("whole.mov", _CLIP)
_add("whole.mkv", _CLIP)
_add("live.mkv", f"{_CLIP} -live 1")
_add("whole.avi", f"{_CLIP} -bf 0")
_add("whole.flv", _CLIP)
_add("whole.ts", _CLIP)
_add("whole.m2ts", f"{_CLIP} -f mpegts -mpegts_m2ts_mode 1")
_add("whole.nut", _CLIP)
_add("raw.h264", _CLIP)
_add("open-gop.mp4", f"{_CLIP} -x264-params open-gop=1:bframes=3:b-pyramid=normal")
_add("no-b-frames.mp4", f"{_CLIP} -bf 0")
_add("one-key-frame.mp4", f"{_CLIP} -g 999")
_add("slices.mp4", f"{_CLIP} -x264-params slices=4")
_add(
    "hevc.mp4",
    f"{_MOVING} -c:v libx265 -x265-params log-level=error:pools=1 {_TAGS} -pix_fmt yuv420p",
)
_add(
    "hevc.mkv",
    f"{_MOVING} -c:v libx265 -x265-params log-level=error:pools=1:open-gop=1:keyint=9 {_TAGS} -pix_fmt yuv420p",
)
_add(
    "raw.hevc",
    f"{_MOVING} -c:v libx265 -x265-params log-level=error:pools=1 {_TAGS} -pix_fmt yuv420p",
)
_add("vp9.webm", f"{_MOVING} -c:v libvpx-vp9 -deadline realtime -pix_fmt yuv420p {_TAGS}")
_add(
    "vp9-lagged.webm",
    f"{_MOVING} -c:v libvpx-vp9 -auto-alt-ref 1 -lag-in-frames 16 -b:v 100k -cpu-used 4 -pix_fmt yuv420p {_TAGS}",
)
_add("vp9.mp4", f"{_MOVING} -c:v libvpx-vp9 -deadline realtime -pix_fmt yuv420p {_TAGS}")
_add("av1-svt.mp4", f"{_MOVING} -c:v libsvtav1 -preset 12 -pix_fmt yuv420p {_TAGS}")
_add(
    "av1-aom.mkv", f"{_MOVING} -c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p {_TAGS}"
)
_add(
    "av1-aom-lagged.webm",
    f"{_MOVING} -c:v libaom-av1 -cpu-used 8 -lag-in-frames 19 -pix_fmt yuv420p {_TAGS}",
)
_add("mpeg4.mp4", f"{_MOVING} -c:v mpeg4 -bf 2 -q:v 4", "VP117")
_add("mpeg4.avi", f"{_MOVING} -c:v mpeg4 -q:v 4", "VP117")
_add("mpeg4-b.avi", f"{_MOVING} -c:v mpeg4 -bf 2 -q:v 4", "VP117")
_add(
    "vp8.webm",
    f"{_MOVING} -c:v libvpx -auto-alt-ref 1 -lag-in-frames 16 -deadline good -cpu-used 4 -b:v 100k",
    "",
)
_add("theora.ogv", f"{_MOVING} -c:v libtheora -q:v 7", "VP117")
_add("wmv2.wmv", f"{_MOVING} -c:v wmv2 -q:v 4", "VP117")
_add("flv1.flv", f"{_MOVING} -c:v flv1 -q:v 4", "VP117")
_add("mpeg2.mpg", f"{_MOVING} -c:v mpeg2video -bf 2 -q:v 4 -f vob", "VP117")
_add("mpeg2.ts", f"{_MOVING} -c:v mpeg2video -bf 2 -q:v 4 {_TAGS}")
_add("prores.mov", f"{_MOVING} {_PRORES} -profile:v 1", "VP116")
_add("ffv1.mkv", f"{_MOVING} -c:v ffv1 -pix_fmt yuv420p {_TAGS}")
_add(
    "ffv1-slices.mkv",
    f"{_MOVING} -c:v ffv1 -level 3 -slicecrc 1 -slices 4 -pix_fmt yuv420p {_TAGS}",
)
_add("mjpeg.avi", f"{_MOVING} -c:v mjpeg -q:v 4")
_add("mjpeg.mov", f"{_MOVING} -c:v mjpeg -q:v 4 {_TAGS}")
_add("mjpeg.mkv", f"{_MOVING} -c:v mjpeg -q:v 4")
_add("png.mov", f"{_MOVING} -c:v png -pix_fmt rgb24")
_add("animated.gif", f"{_MOVING}")
_add("animated.webp", f"{_MOVING} -c:v libwebp_anim -loop 0", "VP103")  # FFmpeg reads none
_add("animated.apng", f"{_MOVING} -pix_fmt rgb24")
_add("animated-gif-called.mp4", f"{_MOVING} -vf hflip -f gif")
_add("animated-apng-called.png", f"{_MOVING} -vf hflip -pix_fmt rgb24 -f apng")
_add(
    "animated.avif",
    f"{_MOVING} -c:v libaom-av1 -cpu-used 8 -usage realtime -pix_fmt yuv420p {_TAGS} -f mp4 -brand avis",
)

# --- whole files with sound -------------------------------------------------------------------
for _ending in ("mp4", "mov", "mkv", "ts", "flv", "avi"):
    _long = f"{_MOVING} {_SOUND.format(3)} {_X264} -bf 0 -c:a aac"
    _short = f"{_MOVING} {_SOUND.format(0.2)} {_X264} -bf 0 -c:a aac"
    # FFmpeg puts empty packets after the first frame of an AVI, and counts them.
    _add(f"longer-sound.{_ending}", _long, "VP110" if _ending == "avi" else "")
    _add(f"shorter-sound.{_ending}", _short, "VP110" if _ending == "avi" else "")
_add(
    "longer-sound.webm",
    f"{_MOVING} {_SOUND.format(3)} -c:v libvpx-vp9 -deadline realtime -pix_fmt yuv420p {_TAGS} -c:a libopus",
)
_add("late-sound.mp4", f"{_MOVING} -itsoffset 2 {_SOUND.format(1)} {_X264} -c:a aac")
_add(
    "late-video.mp4",
    f"-itsoffset 2 {_MOVING} {_SOUND.format(1)} -vsync passthrough {_X264} -c:a aac",
    "VP131",
)
_add(
    "very-late-video.mp4",
    f"-itsoffset 15 {_MOVING} {_SOUND.format(1)} -vsync passthrough {_X264} -c:a aac",
    "VP131",
)
_add("late-video.mkv", f"-itsoffset 2 {_MOVING} {_SOUND.format(1)} {_X264} -c:a aac", "VP131")
_add("late-video.ts", f"-itsoffset 2 {_MOVING} {_SOUND.format(1)} {_X264} -c:a aac", "VP131")
_add("late-video-alone.mkv", f"{_MOVING} {_X264} -output_ts_offset 5")
_add(
    "two-videos.mkv",
    f"{_MOVING} -f lavfi -i testsrc2=size=320x192:rate=25:duration=0.4 -map 0 -map 1 {_X264}",
)
_add(
    "two-videos.mp4",
    f"{_MOVING} -f lavfi -i testsrc2=size=320x192:rate=25:duration=0.4 -map 0 -map 1 {_X264}",
)

# --- whole files whose times are not told for each frame ---------------------------------------
_EVERY_THIRD = "-vf 'select=not(mod(n\\,3))' -fps_mode vfr -enc_time_base 1:25"
for _codec in ("mjpeg -q:v 4", "mpeg4 -bf 2 -q:v 4", "libx264 -bf 3"):
    # The header counts the empty chunks, too.
    _add(
        f"empty-chunks-{_codec.split()[0]}.avi",
        f"{_MOVING} {_EVERY_THIRD} -c:v {_codec}",
        "VP110" if _codec.startswith("mjpeg") else "VP110 VP117",
    )
_add("h264.vob", f"{_MOVING} {_X264} -f vob")
_add("mpeg4.vob", f"{_MOVING} -c:v mpeg4 -bf 0 -q:v 4 -f vob -packetsize 1324", "VP117")

_add("titled.avi", f"{_CLIP} -bf 0 -metadata title=TITLE-1")
_add("title-in-latin-1.avi", _patched("titled.avi", b"TITLE-1", b"caf\xe9 \xff\x80"))

# --- unreadable -------------------------------------------------------------------------------
_add("text.mp4", _bytes(b"hello, I am a text\n" * 50), "VP103")
_add("page.mp4", _bytes(b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n" * 9), "VP103")
_add("empty.mp4", _bytes(b""), "VP103")
_add("one-byte.mp4", _bytes(b"\0"), "VP103")
_add("zeros.mp4", _bytes(bytes(10_000)), "VP103")
_add("random.mp4", _bytes(random.Random(1).randbytes(50_000)), "VP103")
_add("random.ts", _bytes(random.Random(2).randbytes(50_000)), "VP103")
_add(
    "playlist.m3u8",
    _names("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n@whole.ts\n#EXT-X-ENDLIST\n"),
    "VP103",
)
_add(
    "playlist.mp4",
    _names("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n@whole.ts\n#EXT-X-ENDLIST\n"),
    "VP103",
)
_add("concat.mp4", _names("file @whole.mp4\n"), "VP103")
_add("ffconcat.mp4", _names("ffconcat version 1.0\nfile @whole.mp4\n"), "VP103")
_add(
    "session.sdp",
    _names(
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    ),
    "VP103",
)
_add("words.srt", _names("1\n00:00:00,000 --> 00:00:02,000\nhello\n"), "VP103")
_add(
    "dash.mpd",
    _names(
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet><Representation id="1" mimeType="video/mp4"><BaseURL>@dash.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ),
    "VP103",
)
_add(
    "drawing.svg",
    _names(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="@whole.mp4"/></svg>'
    ),
    "VP103",
)
_add("pointer.mp4", _bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "VP103")
_add("answer.mp4", _bytes(b'{"error": "rate limit exceeded", "status": 429}'), "VP103")
_add("archive.zip", _bytes(b"PK\x03\x04" + random.Random(3).randbytes(5000)), "VP103")


def _time_scale(name: str, scale: int) -> Make:
    """An MP4 whose header counts the time of its frames in other units."""

    def make(path: Path) -> None:
        data = bytearray((path.parent / name).read_bytes())
        struct.pack_into(">I", data, data.index(b"mdhd") + 16, scale)
        path.write_bytes(data)

    return make


_add("no-time-scale.mp4", _time_scale("whole.mp4", 0), "VP103")
_add("time-scale-of-1.mp4", _time_scale("whole.mp4", 1), "VP103")
_add("no-edit-list.mp4", f"{_CLIP} -bf 0 -use_editlist 0")
_add("time-scale-of-25.mp4", _time_scale("no-edit-list.mp4", 25), "VP103")
_add("seven-times-the-time-scale.mp4", _time_scale("no-edit-list.mp4", 90_000), "VP103")
_add("huge-time-scale.mp4", _time_scale("whole.mp4", 2**31 - 1), "VP103")

# --- no video ---------------------------------------------------------------------------------
_add("sound.m4a", f"{_SOUND.format(1)} -c:a aac", "VP104")
_add("sound.mp4", f"{_SOUND.format(1)} -c:a aac", "VP104")
_add("sound.mp3", f"{_SOUND.format(1)} -c:a libmp3lame", "VP104")
_add("sound.wav", f"{_SOUND.format(1)}", "VP104")
_add("sound.flac", f"{_SOUND.format(1)}", "VP104")
_add("sound.ogg", f"{_SOUND.format(1)} -c:a libvorbis", "VP104")
_add("sound.mka", f"{_SOUND.format(1)} -c:a libopus", "VP104")
_add("sound-called.mp4", f"{_SOUND.format(1)} -c:a libmp3lame -f mp3", "VP104")
_add("sound.aac", f"{_SOUND.format(1)} -c:a aac -f adts", "VP104")

# --- pictures ---------------------------------------------------------------------------------
_PICTURE = f"{_MOVING} -frames:v 1"


def _tinted(name: str) -> str:
    """Other colours for each, so that no two have the same contents."""
    return f"-vf hue=h={zlib.crc32(name.encode()) % 360}"


for _ending, _how in {
    "png": "-f image2 -c:v png", "jpg": "-f image2 -c:v mjpeg", "webp": "-c:v libwebp -f webp", "bmp": "-f image2 -c:v bmp",
    "gif": "-f gif", "tiff": "-f image2 -c:v tiff", "ppm": "-f image2 -c:v ppm",
    "apng": "-f apng", "jp2": "-f image2 -c:v jpeg2000", "jxl": "-f image2 -c:v libjxl",
}.items():  # fmt: skip
    _code = "VP103" if _ending in ("ppm", "jp2", "jxl") else "VP108"
    for _name in (f"picture.{_ending}", f"picture-{_ending}-called.mp4"):
        _add(_name, f"{_PICTURE} {_tinted(_name)} {_how}", _code)
_AV1 = f"-c:v libaom-av1 -cpu-used 8 -still-picture 1 -pix_fmt yuv420p {_TAGS} -f avif"
for _name in ("picture.avif", "picture-avif-called.mp4"):
    _add(_name, f"{_PICTURE} {_tinted(_name)} {_AV1}", "VP108")
_add(
    "cover.mp3",
    f"{_SOUND.format(1)} -i @picture.png -map 0 -map 1 -c:a libmp3lame -c:v mjpeg -disposition:v:0 attached_pic",
    "VP104",
)
_add(
    "cover.m4a",
    f"{_SOUND.format(1)} -i @picture.png -map 0 -map 1 -c:a aac -c:v mjpeg -disposition:v:0 attached_pic",
    "VP104",
)
_add(
    "cover-called.mp4",
    f"{_SOUND.format(1)} -i @picture.png -map 0 -map 1 -c:a aac -c:v mjpeg -disposition:v:0 attached_pic",
    "VP104",
)
_add(
    "cover.flac",
    f"{_SOUND.format(1)} -i @picture.png -map 0 -map 1 -c:v png -disposition:v:0 attached_pic",
    "VP104",
)
_add(
    "cover.mka",
    f"{_SOUND.format(1)} -c:a libopus -attach @picture.jpg -metadata:s:t mimetype=image/jpeg",
    "VP104",
)
_add(
    "cover-and-video.mp4",
    f"{_MOVING} -f lavfi -i testsrc2=size=640x480:rate=1:duration=1 -map 0 -map 1 {_X264} -c:v:1 mjpeg -disposition:v:1 attached_pic",
)
_add("one-frame.mp4", f"{_PICTURE} {_X264}")

# --- truncated --------------------------------------------------------------------------------
for _name in (
    "whole.mp4", "faststart.mp4", "fragmented.mp4", "dash.mp4", "whole.mov", "whole.mkv",
    "vp9.webm", "whole.ts", "whole.m2ts", "whole.avi", "whole.flv", "hevc.mp4", "longer-sound.mp4",
    "longer-sound.mkv", "longer-sound.ts", "longer-sound.flv", "longer-sound.avi", "mpeg4.avi",
    "prores.mov", "ffv1.mkv", "picture-avif-called.mp4",
):  # fmt: skip
    _also = {"mpeg4.avi": "VP117"}.get(_name, "")
    for _share in (0.9, 0.6):
        _add(f"{int(_share * 100)}-percent-of-{_name}", _cut(_name, _share), f"VP109 {_also}")
_add("head-of-whole.mkv", _cut("whole.mkv", 0.02), "VP109")
_add("head-of-whole.mp4", _cut("whole.mp4", 0.005), "VP109")
_add("head-of-faststart.mp4", _cut("faststart.mp4", 0.02), "VP109")
_add("no-index.mp4", lambda path: _without_index(path), "VP109")

# --- damaged ----------------------------------------------------------------------------------
for _name in (
    "faststart.mp4", "whole.mkv", "open-gop.mp4", "hevc.mp4", "vp9.webm", "av1-svt.mp4",
    "av1-aom.mkv", "mpeg4.mp4", "prores.mov", "ffv1-slices.mkv", "mjpeg.mov", "mpeg2.ts",
    "whole.ts", "whole.flv", "theora.ogv", "png.mov", "whole.avi",
):  # fmt: skip
    _also = {"mpeg4.mp4": "VP117", "prores.mov": "VP116", "theora.ogv": "VP117"}
    _also["whole.ts"] = "VP111"  # a packet, and with it a frame, is lost
    _at = 0.5 if _name == "whole.flv" else 0.6  # not all damage can be seen
    _add(f"damaged-{_name}", _overwritten(_name, _at, 400), f"VP122 {_also.get(_name, '')}")

# --- frame counts and times -------------------------------------------------------------------
_add("trimmed.mp4", "-ss 0.6 -i @whole.mp4 -c copy", "VP110")
_add("trimmed.mov", "-ss 0.6 -i @whole.mov -c copy", "VP110")
_add("trimmed.mkv", "-ss 0.6 -i @whole.mkv -c copy")
_add("trimmed-end.mp4", "-i @whole.mp4 -t 0.6 -c copy", "VP111")  # a gap before the last frame
_add("variable.mp4", f"{_MOVING} -vf select='not(eq(mod(n\\,5)\\,3))' -vsync vfr {_X264}", "VP111")
_add("variable.mkv", f"{_MOVING} -vf select='not(eq(mod(n\\,5)\\,3))' -vsync vfr {_X264}", "VP111")
_TWICE = "-vf 'setpts=(N-gt(N\\,12))/25/TB' -fps_mode passthrough"
_add("time-of-two-frames.mkv", f"{_MOVING} {_TWICE} {_X264} -bf 0", "VP132")
_add("ntsc.mp4", f"-f lavfi -i testsrc2=size=160x96:rate=30000/1001:duration=1 {_X264}")
_add("ntsc.mkv", f"-f lavfi -i testsrc2=size=160x96:rate=24000/1001:duration=1 {_X264}")
_add("fast.mp4", f"-f lavfi -i testsrc2=size=160x96:rate=120:duration=0.3 {_X264}", "VP120")
_add("just-not-fast.mp4", f"-f lavfi -i testsrc2=size=160x96:rate=32:duration=0.5 {_X264}")

# --- shapes -----------------------------------------------------------------------------------
for _turn in (90, 180, 270):
    _add(f"turned-{_turn}.mp4", f"-i @whole.mp4 -c copy -metadata:s:v rotate={_turn}", "VP112")
_add("wide-pixels.mp4", f"{_MOVING} -vf setsar=32/27 {_X264}", "VP113")
_add("wide-pixels.mkv", f"{_MOVING} -vf setsar=32/27 {_X264}", "VP113")
_add("wide-pixels.avi", f"{_MOVING} -vf setsar=32/27 {_X264} -bf 0", "VP113")
_add("wide-pixels.ts", f"{_MOVING} -vf setsar=32/27 {_X264}", "VP113")
_add(
    "wide-pixels-prores.mov",
    f"{_MOVING} {_PRORES.replace('-vf ', '-vf setsar=32/27,')}",
    "VP113 VP116",
)
_add(
    "odd.mp4", f"{_MOVING} -vf scale=161:97,setsar=1 -c:v libx264 -pix_fmt yuv444p {_TAGS}", "VP114"
)
_add("odd.mkv", f"{_MOVING} -vf scale=161:96,setsar=1 -c:v ffv1 -pix_fmt yuv420p {_TAGS}", "VP114")
_add(
    "odd-hevc.mp4",
    f"{_MOVING} -vf scale=161:97,setsar=1 -c:v libx265 -x265-params log-level=error:pools=1 -pix_fmt yuv444p {_TAGS}",
    "VP114",
)
_FIELDS = "-vf setfield=tff -flags +ilme+ildct"
_add("interlaced.mp4", f"{_MOVING} {_FIELDS} -x264opts tff=1 {_X264}", "VP115")
_add("interlaced.ts", f"{_MOVING} {_FIELDS} -c:v mpeg2video -q:v 4 -top 1 {_TAGS}", "VP115")
_add("interlaced.mpg", f"{_MOVING} {_FIELDS} -c:v mpeg2video -q:v 4 -top 0 -f vob", "VP115 VP117")
_add(
    "interlaced.mov",
    f"{_MOVING} {_PRORES.replace('-vf ', '-vf setfield=tff,')} -flags +ilme+ildct",
    "VP115 VP116",
)
_add(
    "interlaced.avi",
    "-f lavfi -i testsrc2=size=720x576:rate=25:duration=0.2 -c:v dvvideo -pix_fmt yuv420p",
    "VP115 VP117",
)
_add("ffv1.mov", f"{_MOVING} -c:v ffv1 -pix_fmt yuv420p {_TAGS}")
_add("header-16384x16384.mov", _wider("ffv1.mov", 16384, 16384), "VP103")  # FFmpeg refuses
_add("header-16384x8192.mov", _wider("ffv1.mov", 16384, 8192), "VP121")
_add("header-8194x96.mov", _wider("ffv1.mov", 8194, 96), "VP121")
_add("header-lies.mov", _wider("png.mov", 16384, 16384), "")  # its frames are small
_add(
    "giant.mkv",
    f"-f lavfi -i color=size=8448x64:rate=25:duration=0.2 -c:v ffv1 -pix_fmt yuv420p {_TAGS}",
    "VP121",
)
_add("giant-raw.h264", f"-f lavfi -i color=size=8448x64:rate=25:duration=0.2 {_X264}", "VP121")
_add(
    "giant.gif",
    lambda path: (
        path.write_bytes(
            b"GIF89a\x00\x24\x00\x24\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x00\x24\x00\x24\0\x02\x02D\x01\0;"
        )
        and None
    ),
    "VP121",
)
_add(
    "giant-of-65535.gif",
    _bytes(
        b"GIF89a"
        + b"\xff" * 4
        + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0"
        + b"\xff" * 4
        + b"\0\x02\x02D\x01\0;"
    ),
    "VP121",
)
_add("giant.png", lambda path: path.write_bytes(_png_header(16384, 16384)) and None, "VP121")
_add(
    "largest.mkv",
    f"-f lavfi -i testsrc2=size=8192x64:rate=25:duration=0.2 -c:v ffv1 -pix_fmt yuv420p {_TAGS}",
)

# --- colours ----------------------------------------------------------------------------------
_HEVC = "-c:v libx265 -x265-params log-level=error:pools=1"
_add("ten-bit.mp4", f"{_MOVING} -c:v libx264 -pix_fmt yuv420p10le {_TAGS}", "VP116")
_add("ten-bit-hevc.mp4", f"{_MOVING} {_HEVC} -pix_fmt yuv420p10le {_TAGS}", "VP116")
_WIDE = "-color_primaries bt2020 -colorspace bt2020nc"
_add(
    "pq.mp4", f"{_MOVING} {_HEVC} -pix_fmt yuv420p10le {_WIDE} -color_trc smpte2084", "VP116 VP118"
)
_add(
    "hlg.mkv",
    f"{_MOVING} {_HEVC} -pix_fmt yuv420p10le {_WIDE} -color_trc arib-std-b67",
    "VP116 VP118",
)
_add("hlg-8-bit.mp4", f"{_MOVING} {_X264} -color_trc arib-std-b67", "VP116")
_add("wide-gamut.mp4", f"{_MOVING} -c:v libx264 -pix_fmt yuv420p {_WIDE} -color_trc bt709", "VP118")
_add(
    "smpte240m.mp4",
    f"{_MOVING} -c:v libx264 -pix_fmt yuv420p -colorspace smpte240m -color_primaries smpte240m -color_trc smpte240m",
    "VP118",
)
_add(
    "bt601.mp4",
    f"{_MOVING} -c:v libx264 -pix_fmt yuv420p -colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m",
)
_add("rgb.mkv", f"{_MOVING} -c:v ffv1 -pix_fmt bgr0")
_add("gbrp.mp4", f"{_MOVING} -c:v libx264rgb")
_add("no-rgb.mkv", f"{_MOVING} -vf setparams=colorspace=gbr -c:v ffv1 -pix_fmt yuv420p", "VP118")
_add("untagged.mp4", f"{_MOVING} -c:v libx264 -pix_fmt yuv420p", "VP117")
_add(
    "untagged-hd.mp4",
    "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=0.2 -c:v libx264 -pix_fmt yuv420p",
    "VP117",
)
_add("grey.mkv", f"{_MOVING} -c:v ffv1 -pix_fmt gray")
_add("alpha.mov", f"{_MOVING} {_PRORES} -profile:v 4444 -pix_fmt yuva444p10le", "VP116 VP119")
_add(
    "alpha.webm",
    f"{_MOVING} -vf format=yuva420p -c:v libvpx-vp9 -deadline realtime -pix_fmt yuva420p -auto-alt-ref 0 {_TAGS}",
    "VP119",
)
_add(
    "alpha-in-capitals.webm",
    f"{_MOVING} -vf format=yuva420p -c:v libvpx-vp9 -deadline realtime -pix_fmt yuva420p -auto-alt-ref 0 {_TAGS} -metadata:s:v ALPHA_MODE=1",
    "VP119",
)
_add("alpha-qtrle.mov", f"{_MOVING} -c:v qtrle -pix_fmt argb", "VP119")
_add("alpha-png.mov", f"{_MOVING} -c:v png -pix_fmt rgba", "VP119")
_add("alpha.apng", f"{_MOVING} -pix_fmt rgba", "VP119")

# --- what is seen -----------------------------------------------------------------------------
_add("black.mp4", f"-f lavfi -i color=black:size=160x96:rate=25:duration=1 {_X264}", "VP123 VP124")
_add("fade-in.mp4", f"{_MOVING} -vf tpad=start=6:color=black {_X264}", "VP123 VP126")
_add("dark.mp4", f"{_MOVING} -vf eq=brightness=-0.3 {_X264}")
_add(
    "frozen.mp4",
    f"-f lavfi -i testsrc2=size=160x96:rate=25:duration=1 -vf loop=24:1:0,trim=end_frame=25 {_X264}",
    "VP124",
)
_add("white.mp4", f"-f lavfi -i color=white:size=160x96:rate=25:duration=1 {_X264}", "VP124")
_add(
    "blurred.mp4",
    f"-f lavfi -i testsrc2=size=320x192:rate=25:duration=1 -vf gblur=sigma=12 {_X264}",
    "VP125",
)
_add("mandelbrot.mp4", f"-f lavfi -i mandelbrot=size=320x192:rate=25 -t 1 {_X264}")
_add(
    "noise.mp4",
    f"-f lavfi -i testsrc2=size=160x96:rate=25:duration=1 -vf noise=alls=40:allf=t {_X264}",
)
_CUT = "-f lavfi -i mandelbrot=size=160x96:rate=25 -filter_complex [0]trim=end_frame=12[a];[1]trim=end_frame=12[b];[a][b]concat"
_add("cut.mp4", f"{_MOVING} {_CUT} {_X264}", "VP126")
_add(
    "pan.mp4",
    "-f lavfi -i mandelbrot=size=640x384:rate=25:end_scale=0.3 -t 1 -vf crop=160:96:x=n*8:y=96 "
    + _X264,
)

# --- the same contents ------------------------------------------------------------------------
_add("copied.mp4", _copy("whole.mp4"), "VP127")


if __name__ == "__main__":
    for _file, _why in make_all(Path(sys.argv[1])).items():
        print(f"{_file} cannot be made: {_why}")
