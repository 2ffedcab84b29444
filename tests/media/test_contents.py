"""A file that is no video is named for what it is, with what to do."""

# ruff: noqa: E501 (a table: one file a line)
from __future__ import annotations

import struct
from pathlib import Path

import pytest

from videoprep.errors import Code, MediaError
from videoprep.media.contents import kind_of
from videoprep.media.probe import probe

_ERROR_PAGE = '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
_GIF = (
    b"GIF89a" + b"\xff" * 4 + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + b"\xff" * 4 + b"\0\2\2D\1\0;"
)
_VALUES = bytes(range(256))


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (b"", "is empty", "copy or download"),
        (b"\0", "has 1 byte, too few", "copy or download"),
        (b"Not Found", "is a text, not a video: 'Not Found'", "replace"),
        (bytes(9999), "starts with 4096 zero bytes", "copy or download"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
            "is a Git LFS pointer",
            "run git lfs pull",
        ),
        (b"../../.git/annex/objects/1/2/SHA256E-s3--4.mp4\n", "is a git-annex pointer", "annex get"),
        (b"\n<!-- x --><HTML><title> 404 Not Found\n</title>", "(HTML), not a video: '404 Not Fo", "down"),
        (b"\xef\xbb\xbf<!DOCTYPE html><p>Please log in</p>", "is a web page", "download"),
        (b'{"error": "rate limit exceeded"}', "JSON document, not a video: '{\"error\"", "download"),
        (_ERROR_PAGE.encode(), "XML document, not a video: '<Error><Code>Acc", "download"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is a drawing (SVG)", "replace"),
        (b"#EXTM3U\n#EXTINF:9,\na.ts\n", "is a playlist (M3U)", "name those"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "is a list for FFmpeg", "name those"),
        (b"<?xml version='1.0'?>\n<MPD type='static'></MPD>", "playlist (DASH)", "name those"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "description of a stream", "name those"),
        (b"1\r\n00:00:00,000 --> 00:00:02,000\r\nhello\r\n", "is subtitles (SubRip)", "replace"),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\n", "is subtitles (WebVTT)", "replace"),
        ("a text that is long enough".encode("utf-16"), "is a text, not a video: 'a t", "replace"),
        (b"PK\3\4" + _VALUES, "is an archive (ZIP)", "unpack"),
        (b"a.mp4".ljust(257, b"\0") + b"ustar\0" + bytes(300), "is an archive (tar)", "unpack"),
        (b"%PDF-1.7\n1 0 obj <</Type/Catalog>> endobj", "is a PDF document", "replace"),
        (b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(50), "AppleDouble", "remove the sample"),
        (b"#!AMR\n" + _VALUES, "holds sound, not a video", "replace"),
        (b"CWS\x08" + _VALUES, "is a Flash animation", "convert"),
        (b"RIFF\x7e\0\0\0WEBPVP8X\x0a\0\0\0\x02" + bytes(9) + b"ANIM" + bytes(100), "animated WebP", "convert"),
        (_GIF, "65535×65535 is larger than 8192", "replace"),
    ],
)  # fmt: skip
def test_what_a_file_is(tmp_path: Path, content: bytes, what: str, remedy: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError) as raised:
        probe(path)
    assert what in raised.value.message
    assert remedy in str(raised.value.remedy)
    assert "play the file" not in str(raised.value.remedy)


def test_a_format_that_is_not_accepted(tmp_path: Path) -> None:
    path = tmp_path / "clip.wtv"
    path.write_bytes(bytes.fromhex("b7d800203749da11a64e0007e95ead8d") + _VALUES * 9)
    with pytest.raises(MediaError, match="is in a format that is not accepted") as raised:
        probe(path)
    assert (raised.value.code, raised.value.remedy) == (
        Code.UNREADABLE,
        "convert it to MP4 or MKV, or remove the sample",
    )


def test_what_cannot_be_told_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    for content in (b"\x07" + _VALUES * 9, struct.pack(">I4s", 24, b"ftyp") + _VALUES):
        path.write_bytes(content)
        assert kind_of(path) is None
    assert kind_of(tmp_path / "missing.mp4") is None


def test_a_text_made_to_take_long(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"<!---->" * 600 + b"x")
    found = kind_of(path)
    assert found is not None
    assert found.what.startswith("is a text, not a video: ")
