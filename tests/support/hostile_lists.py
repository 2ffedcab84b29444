"""Lists as strangers write them: one dataset a class, and what has to be found in it.

Run as a script it writes them all, to try the command line on:

    python -m tests.support.hostile_lists /tmp/hostile
    videoprep validate /tmp/hostile/nul-captions
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import socket
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from videoprep.spec.text_file import MAX_LINE

Place = tuple[str, str, int | None]
Pair = tuple[str, str]

A, B, C = "a.mp4", "b.mp4", "c.mp4"
FINE = ((A, "one"), (B, "two"), (C, "three"))
CODES_OF = {
    "P": "prompt.txt",
    "V": "videos.txt",
    "T": "metadata.csv",
}


@dataclass(frozen=True)
class Hostile:
    """A dataset and what is to be said of it.

    Attributes:
        name: of the class.
        make: fills a folder, in which a.mp4, b.mp4 and c.mp4 are already.
        found: code, file and line of each finding.
        pairs: video and caption of each sample that is accepted.
        total: entries written down.
    """

    name: str
    make: Callable[[Path], object]
    found: tuple[Place, ...]
    pairs: tuple[Pair, ...]
    total: int


ALL: list[Hostile] = []


def _at(code: str, place: str) -> Place:
    """``P:2`` is line 2 of prompt.txt, ``V`` all of videos.txt, ``T:3`` line 3 of the table."""
    letter, _, line = place.partition(":")
    return code, CODES_OF.get(letter, letter), int(line) if line else None


def _add(
    name: str,
    make: Callable[[Path], object],
    found: str,
    pairs: tuple[Pair, ...] = (),
    total: int | None = None,
) -> None:
    """``found`` is such as ``VP003 P:2, VP005 V:1``."""
    places = tuple(_at(*item.split()) for item in found.split(",") if item)
    count = len(pairs) if total is None else total
    ALL.append(Hostile(name, make, places, pairs, count))


def lines(prompts: bytes | str, videos: bytes | str) -> Callable[[Path], None]:
    """The two line files, byte for byte."""

    def make(root: Path) -> None:
        for name, text in (("prompt.txt", prompts), ("videos.txt", videos)):
            (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return make


def table(data: bytes | str, name: str = "metadata.csv") -> Callable[[Path], None]:
    """A table, byte for byte."""
    return lambda root: (root / name).write_bytes(
        data if isinstance(data, bytes) else data.encode()
    )


def both(*makers: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for maker in makers:
            maker(root)

    return make


def prepare(root: Path) -> Path:
    """The folder with three files that are named like videos."""
    root.mkdir(parents=True, exist_ok=True)
    for name in (A, B, C):
        (root / name).write_bytes(name.encode())
    return root


V3 = "a.mp4\nb.mp4\nc.mp4\n"
P3 = "one\ntwo\nthree\n"
HEAD = "video,caption\n"
ROWS = "a.mp4,one\nb.mp4,two\nc.mp4,three\n"
ENDS = ((A, "one"), (C, "three"))

# Missing files, columns and lines.
_add("no-captions", lambda r: (r / "videos.txt").write_text(V3), "VP001 .")  # rm prompt.txt
_add("no-videos", lambda r: (r / "prompt.txt").write_text(P3), "VP001 .")  # rm videos.txt
_add("nothing", lambda r: None, "VP001 .")
_add("no-column", table("video,captoin\na.mp4,one\n"), "VP001 T")
_add("no-columns", table("x,y\na,b\n"), "VP001 T")
_add("many-columns", table(",".join(f"c{n}" for n in range(9000)) + "\n"), "VP001 T")
_add("fewer-captions", lines("one\ntwo\n", V3), "VP002 V:3", total=3)  # head -n 2
_add("fewer-videos", lines(P3, "a.mp4\n"), "VP002 P:2", total=3)
_add("blank-start", lines("\n" + P3, "a.mp4\n" + V3), "VP003 P:1", (  # sed -i 1i\\
    (A, "one"), (B, "two"), (C, "three")), 4)  # fmt: skip
_add("blank-middle", lines("one\n\nthree\n", V3), "VP003 P:2", ENDS, 3)  # sed -i '2s/.*//'
_add("blank-end", lines("one\ntwo\n\n", V3), "VP003 P:3", FINE[:2], 3)
_add("blank-spaces", lines("one\n \t\u3000\xa0\nthree\n", V3), "VP003 P:2", ENDS, 3)
_add("blank-videos", lines(P3, "a.mp4\n \r\nc.mp4\n"), "VP003 V:2,VP011 V", ENDS, 3)
_add("blank-extra", lines(P3 + "\n", V3), "VP002 P:4,VP003 P:4", total=4)  # echo >> prompt.txt
_add("empty-files", lines("", ""), "VP017 V")  # : > prompt.txt
_add("empty-captions", lines("", V3), "VP002 V:1", total=3)
_add("only-marks", lines(b"\xef\xbb\xbf", b"\xef\xbb\xbf"), "VP017 V,VP010 P:1,VP010 V:1")

# Encodings: the texts are also converted by the command that is proposed.
ENCODED: dict[str, tuple[bytes, str, str]] = {}
"""Bytes, the encoding to be named, and the text, by class."""


def _encoded(name: str, text: str, codec: str, named: str, mark: bytes = b"") -> None:
    """Each line that is not UTF-8 costs its sample; a byte order mark makes a file certain."""
    data = mark + text.encode(codec)
    ENCODED[name] = (data, named, text)
    videos = (A, B, C)[: text.count("\n")]
    captions = [line.strip() for line in text.splitlines()]
    all_pairs = tuple(zip(videos, captions, strict=True))
    if mark:
        found, pairs = "VP004 P:1", all_pairs
    elif codec.startswith("utf"):
        found, pairs = "VP004 P:1", ()
    else:
        bad = [at for at, line in enumerate(data.split(b"\n")) if not _is_utf8(line)]
        found = ",".join(f"VP004 P:{at + 1}" for at in bad)
        pairs = tuple(pair for at, pair in enumerate(all_pairs) if at not in bad)
    lists = lines(data, "".join(f"{video}\n" for video in videos))
    _add(name, lists, found, pairs, len(videos))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


_CAFE = "plain\nUn café très agréable\nEin Mädchen läuft\n"
_encoded("latin-1", _CAFE, "latin-1", "CP1252")  # iconv -f utf-8 -t latin1
_encoded("latin-1-short", "one\ntwo\ncafé\n", "latin-1", "CP1252")
_encoded("cp1252", "plain\nA cat’s “paw” – close…\nthree\n", "cp1252", "CP1252")
_encoded("latin-1-c1", "plain\ncaf\xe9 \x81\n", "latin-1", "ISO-8859-1")
_encoded("shift-jis", "猫がソファで寝ている\n海辺を走る犬\n東京タワー\n", "cp932", "CP932")
_encoded("shift-jis-kana", "plain\nソファ\n", "cp932", "CP932")
_encoded("euc-jp", "猫がソファで寝ている\n海辺を走る犬\n", "euc_jp", "EUC-JP")
_encoded("gb18030", "一只猫在沙发上睡觉\n海边奔跑的狗\n日落时的大海\n", "gb18030", "GB18030")
_encoded("gb18030-rare", "一只猫在沙发上睡觉\n㐀㐁海边奔跑的狗\n", "gb18030", "GB18030")
_encoded("big5", "一隻貓在沙發上睡覺\n海邊奔跑的狗\n日落時的大海\n", "big5", "BIG5")
_encoded("korean", "고양이가 소파에서 자고 있다\n해변을 달리는 개\n", "cp949", "CP949")
_encoded("cp1251", "Кошка спит на диване\nСобака бежит по пляжу\n", "cp1251", "CP1251")
_encoded("koi8-r", "Кошка спит на диване\nСобака бежит по пляжу\n", "koi8_r", "KOI8-R")
for _order, _mark in (("le", b"\xff\xfe"), ("be", b"\xfe\xff")):
    _wide = f"utf-16-{_order}"
    _encoded(f"{_wide}-mark", _CAFE, _wide, "UTF-16", _mark)  # iconv -t utf-16
    _encoded(_wide, _CAFE, _wide, f"UTF-16{_order.upper()}")  # iconv -t utf-16le
    _encoded(f"{_wide}-crlf", _CAFE.replace("\n", "\r\n"), _wide, "UTF-16", _mark)
    _encoded(f"{_wide}-cjk", "一只猫\n海边的狗\n", _wide, f"UTF-16{_order.upper()}")
    _32 = f"utf-32-{_order}"
    _encoded(_32, _CAFE, _32, f"UTF-32{_order.upper()}")
    _encoded(f"{_32}-mark", _CAFE, _32, "UTF-32", "\ufeff".encode(_32))
_add("utf-16-videos", lines("one\n", "a.mp4\n".encode("utf-16")), "VP004 V:1", FINE[:1])
_add("utf-16-both", lines(P3.encode("utf-16"), V3.encode("utf-16")), "VP004 P:1,VP004 V:1", FINE)
_add("utf-16-csv", table((HEAD + ROWS).encode("utf-16")), "VP004 T:1", FINE)
_add("utf-16le-csv", table((HEAD + ROWS).encode("utf-16-le")), "VP004 T:1", total=3)
_add("latin-1-csv", table((HEAD + "a.mp4,one\nb.mp4,caf\xe9\n").encode("latin-1")), "VP004 T:3",
     FINE[:1], 2)  # fmt: skip
_add("latin-1-header", table("vid\xe9o,caption\na.mp4,one\n".encode("latin-1")), "VP004 T")
_add("torn-utf-8", lines("é\nüö\n".encode() + b"th\xe2\x80\n", V3), "VP004 P:3",
     ((A, "é"), (B, "üö")), 3)  # fmt: skip
_add("cut-utf-8", lines("é\nüö\n".encode() + b"tw\xc3", V3), "VP004 P:3",
     ((A, "é"), (B, "üö")), 3)  # fmt: skip
_add("binary", lines(bytes(range(256)), V3), "VP014 P:1,VP011 P:2,VP012 P:2,VP004 P:2", total=3)

# Marks, line ends and other separators.
_add("mark", lines(b"\xef\xbb\xbf" + P3.encode(), V3), "VP010 P:1", FINE)
_add("mark-both", lines(*(b"\xef\xbb\xbf" + t.encode() for t in (P3, V3))), "VP010 P:1,VP010 V:1",
     FINE)  # fmt: skip
_add("mark-csv", table("\ufeff" + HEAD + ROWS), "VP010 T:1", FINE)
_add("mark-quoted", table('\ufeff"video","caption"\n' + ROWS), "VP010 T:1", FINE)
_add("crlf", lines(P3.replace("\n", "\r\n"), V3), "", FINE)  # unix2dos prompt.txt
_add("crlf-csv", table((HEAD + ROWS).replace("\n", "\r\n")), "", FINE)
_add("mixed-ends", lines("one\r\ntwo\nthree\r\n", V3), "VP011 P", FINE)
_add("cr", lines("one\rtwo\rthree\r", V3), "VP011 P:1", total=3)  # tr '\n' '\r'
_add("cr-open", lines("one\rtwo\rthree", V3), "VP011 P:1", total=3)
_add("cr-long", lines("caption\r" * 30_000, V3), "VP011 P:1", total=30_000)
_add("cr-csv", table((HEAD + ROWS).replace("\n", "\r")), "VP011 T:1", total=3)
_add("cr-inside", lines("one\nt\rwo\nthree\n", V3), "VP011 P:2", total=3)
_add("crcrlf", lines("one\r\r\ntwo\r\r\nthree\r\r\n", V3), "VP011 P:1", total=3)
_add("cr-inside-csv", table(HEAD + "a.mp4,one\nb.mp4,t\rwo\nc.mp4,x\n"), "VP011 T:3", FINE[:1], 3)
_add("cr-quoted-csv", table(HEAD + 'a.mp4,"o\rne"\nb.mp4,two\n'), "", ((A, "o\rne"), FINE[1]))
SEPARATORS = {"u2028": "\u2028", "u2029": "\u2029", "vt": "\v", "ff": "\f", "nel": "\x85",
              "fs": "\x1c", "gs": "\x1d", "rs": "\x1e"}  # fmt: skip
for _name, _char in SEPARATORS.items():
    _split = ((A, "one"), (B, f"t{_char}wo"), (C, "three"))
    _add(f"{_name}", lines(f"one\nt{_char}wo\nthree\n", V3), "VP012 P:2", _split)
    _add(f"{_name}-csv", table(f"{HEAD}a.mp4,one\nb.mp4,t{_char}wo\nc.mp4,three\n"), "VP012 T:3",
         _split)  # fmt: skip


# Videos.
def _named(name: str, video: str, found: str, make: Callable[[Path], object] | None = None) -> None:
    pairs = ((video, "two"),) if "V:2" not in found or "VP013" in found else ()
    makers = [lines("one\ntwo\n", f"a.mp4\n{video}\n"), *([make] if make else [])]
    _add(name, both(*makers), found, (FINE[0], *pairs), 2)


def _socket(root: Path) -> None:
    here = os.getcwd()
    os.chdir(root)  # the path of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind("s.mp4")
    finally:
        os.chdir(here)


def _outside(root: Path, name: str = "outside.mp4") -> Path:
    path = root.parent / name
    path.write_bytes(b"outside")
    return path


_named("again", A, "VP013 V:2")
_named("again-dot", "./a.mp4", "VP013 V:2")
_named("again-slashes", ".//.///a.mp4", "VP013 V:2")
_named("again-up", "x/../a.mp4", "VP013 V:2", lambda r: (r / "x").mkdir())
_named("again-link", "l.mp4", "VP013 V:2", lambda r: (r / "l.mp4").symlink_to(A))  # ln -s
_named("again-hard-link", "l.mp4", "VP013 V:2", lambda r: (r / "l.mp4").hardlink_to(r / A))  # ln
_named("outside-up", "../outside.mp4", "VP006 V:2", _outside)
_named("outside-up-missing", "../gone.mp4", "VP006 V:2")
_named("outside-through", "x/../../outside.mp4", "VP006 V:2",
       both(_outside, lambda r: (r / "x").mkdir()))  # fmt: skip
_named("outside-absolute", "/etc/passwd", "VP006 V:2")
_named("outside-absolute-missing", "/etc/gone.mp4", "VP006 V:2")
_named("outside-double-slash", "//etc/passwd", "VP006 V:2")
_named("outside-link", "l.mp4", "VP006 V:2", lambda r: (r / "l.mp4").symlink_to(_outside(r)))
_named("outside-link-missing", "l.mp4", "VP006 V:2",
       lambda r: (r / "l.mp4").symlink_to("/etc/gone.mp4"))  # fmt: skip
_named("outside-folder", "l/passwd", "VP006 V:2", lambda r: (r / "l").symlink_to("/etc"))
_named("outside-folder-missing", "l/gone", "VP006 V:2", lambda r: (r / "l").symlink_to("/etc"))
_named("device", "z.mp4", "VP006 V:2", lambda r: (r / "z.mp4").symlink_to("/dev/zero"))
_named("sibling", "../set-2/a.mp4", "VP006 V:2")
for _scheme in ("http://host/a.mp4", "https://host/a.mp4", "file:///etc/passwd", "s3://b/a.mp4",
                "file:/etc/passwd"):  # fmt: skip
    _named(_scheme.replace("/", "-"), _scheme, "VP006 V:2")
_named("folder", "d.mp4", "VP007 V:2", lambda r: (r / "d.mp4").mkdir())
_named("the-root", ".", "VP007 V:2")
_named("fifo", "f.mp4", "VP007 V:2", lambda r: os.mkfifo(r / "f.mp4"))
_named("socket", "s.mp4", "VP007 V:2", _socket)
_named("loop", "l.mp4", "VP007 V:2", lambda r: (r / "l.mp4").symlink_to("l.mp4"))
_named("loop-folder", "l/a.mp4", "VP007 V:2", lambda r: (r / "l").symlink_to("l"))
_named("overlong-name", "n" * 300 + ".mp4", "VP007 V:2")
_named("overlong-path", "d/" * 3000 + "a.mp4", "VP007 V:2")
_named("through-a-file", "a.mp4/b.mp4", "VP005 V:2")
_named("missing", "gone.mp4", "VP005 V:2")
_named("dangling-link", "l.mp4", "VP005 V:2", lambda r: (r / "l.mp4").symlink_to("gone.mp4"))
_named("drive", "C:\\videos\\b.mp4", "VP005 V:2")
_named("escapes", "\x1b]0;owned\x07\x1b[31m<script>alert(1)</script>.mp4", "VP005 V:2")
_named("odd-name", " - $(x) `y` é\u202e;&<b>.mp4".strip(), "",
       lambda r: (r / " - $(x) `y` é\u202e;&<b>.mp4".strip()).write_bytes(b"x"))  # fmt: skip
_named("undecodable-neighbour", "gone.mp4", "VP005 V:2",
       lambda r: Path(os.fsdecode(os.fsencode(r) + b"/\xff.mp4")).write_bytes(b"x"))  # fmt: skip
HINTS = {
    "hint-case": ("B.MP4", "b.mp4"),
    "hint-backslash": ("videos\\x.mp4", "videos/x.mp4"),
    "hint-backslash-case": ("Videos\\X.mp4", "videos/x.mp4"),
    "hint-folder-case": ("VIDEOS/x.mp4", "videos/x.mp4"),
    "hint-quotes": ('"b.mp4"', "b.mp4"),
    "hint-percent": ("videos/my%20cat.mp4", "videos/my cat.mp4"),
    "hint-folder": ("set/b.mp4", "b.mp4"),
    "hint-mark": ("\ufeffb.mp4", "b.mp4"),
    "hint-accent": ("cafe\u0301.mp4", "'caf\\xe9.mp4'"),
}
"""What is written and what is proposed, by class."""


def _hinted(root: Path) -> None:
    (root / "videos").mkdir()
    for name in ("videos/x.mp4", "videos/my cat.mp4", "caf\xe9.mp4"):
        (root / name).write_bytes(b"x")


for _name, (_written, _) in HINTS.items():
    _named(_name, _written, "VP005 V:2", _hinted)


# Lists that are no files of the folder.
def _link(name: str, target: str) -> Callable[[Path], None]:
    return lambda root: (root / name).symlink_to(target)


_add("list-outside", both(lambda r: (r / "videos.txt").write_text(V3),
     _link("prompt.txt", "/etc/passwd")), "VP006 P")  # fmt: skip
_add("table-outside", both(lambda r: _outside(r, "t.csv").write_text(HEAD + ROWS),
     _link("metadata.csv", "../t.csv")), "VP006 T")  # fmt: skip
_add(
    "list-inside", both(table(P3, "p"), table(V3, "videos.txt"), _link("prompt.txt", "p")), "", FINE
)
_add("list-device", both(table(V3, "videos.txt"), _link("prompt.txt", "/dev/zero")), "VP006 P")
_add("list-fifo", both(table(V3, "videos.txt"), lambda r: os.mkfifo(r / "prompt.txt")), "VP001 P")
_add("list-folder", both(table(V3, "videos.txt"), lambda r: (r / "prompt.txt").mkdir()), "VP001 P")
_add("list-loop", both(table(V3, "videos.txt"), _link("prompt.txt", "prompt.txt")), "VP001 .")

# NUL bytes and long lines.
_add("nul-captions", lines("one\nt\0\0wo\nthree\n", V3), "VP014 P:2", ENDS, 3)
_add("nul-videos", lines(P3, "a.mp4\nb.mp4\0.txt\nc.mp4\n"), "VP014 V:2", ENDS, 3)
_add("nul-tail", lines("one\ntwo\n" + "\0" * 999, V3), "VP014 P:3", FINE[:2], 3)
_add("nul-csv", table(HEAD + "a.mp4,one\nb.mp4,t\0wo\nc.mp4,three\n"), "VP014 T:3", ENDS, 3)
_add("nul-header", table("video,cap\0tion\n" + ROWS), "VP014 T:1", FINE)
_LONG = "word " * (MAX_LINE // 5 + 9)
_add("long-line", lines(f"one\n{_LONG}\nthree\n", V3), "VP008 P:2", total=3)
_add("long-enough", lines(f"one\n{_LONG[:MAX_LINE - 1]}x\nthree\n", V3), "",
     (FINE[0], (B, f"{_LONG[:MAX_LINE - 1]}x"), FINE[2]))  # fmt: skip
_add("long-row", table(f"{HEAD}a.mp4,one\nb.mp4,{_LONG}\n"), "VP008 T:3", total=2)
_add("no-newline", lines("x" * 3_000_000, V3), "VP008 P:1", total=3)
_add("no-newline-csv", table("video,caption," + "x" * 3_000_000), "VP008 T:1", total=1)


# Tables that are none.
def _zip(root: Path) -> None:  # zip metadata.csv list.txt
    with zipfile.ZipFile(root / "metadata.csv", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")


NO_TABLES: dict[str, bytes] = {
    "semicolons": b"video;caption\na.mp4;one\n",
    "tabs": b"video\tcaption\na.mp4\tone\n",
    "bars": b"video|caption\na.mp4|one\n",
    "no-header": ROWS.encode(),
    "one-column": b"a.mp4\nb.mp4\n",
    "empty-table": b"",
    "blank-table": b"\n \n\n",
    "comma-table": b" , \n",
    "xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "parquet": b"PAR1\x15\x04" + bytes(64) + b"PAR1",
    "gzip": gzip.compress((HEAD + ROWS).encode()),
    "html": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "json": json.dumps([{"video": A, "caption": "one"}]).encode(),
    "jsonl": b'{"video": "a.mp4", "caption": "one"}\n',
    "bad-header": b'"video"x,caption\na.mp4,one\n',
}
for _name, _data in NO_TABLES.items():
    _add(_name, table(_data), "VP015 T")
_add("xlsx", _zip, "VP015 T")
_add("commas-in-tsv", table(HEAD + ROWS, "metadata.tsv"), "VP015 metadata.tsv")
_add("header-only", table(HEAD), "VP017 T")
_add("same-columns", table("video,caption,caption\na.mp4,one,x\n"), "VP016 T")
_add("alike-columns", table("video,caption,Caption\na.mp4,one,x\n"), "VP016 T")
_add("other-same-columns", table("video,x,caption,x\na.mp4,,one,\n"), "VP016 T:1", FINE[:1])

# Rows.
_quoted = (("a.mp4", 'one,\n"two" <b>'), ("b.mp4", "x\r\ny"), FINE[2])
_text = io.StringIO(newline="")
csv.writer(_text).writerows([("video", "caption"), *_quoted])
_add("quoted", table(_text.getvalue()), "", _quoted)
_add("empty-video", table(HEAD + "a.mp4,one\n ,two\nc.mp4,three\n"), "VP009 T:3", ENDS, 3)
_add("empty-caption", table(HEAD + 'a.mp4,one\nb.mp4," "\nc.mp4,three\n'), "VP201 T:3", ENDS, 3)
_add("blank-tail", table(HEAD + ROWS + "\n\n  \n"), "", FINE)
_add("blank-rows", table(f"\n{HEAD}\na.mp4,one\n\nb.mp4,two\n\nc.mp4,three\n"), "", FINE)
_add("only-commas", table(HEAD + ROWS + ",\n,\n"), "VP009 T:5,VP009 T:6", FINE, 5)
_add("more-cells", table(HEAD + "a.mp4,one\nb.mp4,t,wo\nc.mp4,three\n"), "VP008 T:3", ENDS, 3)
_add("open-quote", table(HEAD + 'a.mp4,one\nb.mp4,"two\nc.mp4,three\n'), "VP008 T:3", FINE[:1], 3)
_add("text-after-quote", table(HEAD + 'a.mp4,one\nb.mp4,"two" x\nc.mp4,three\n'), "VP008 T:3",
     FINE[:1], 3)  # fmt: skip
_add("swallowed", table(HEAD + 'a.mp4,"one\nb.mp4,two"\nc.mp4,three\n'), "VP008 T:2", FINE[2:], 2)
_add("swallowed-by-next", table(HEAD + 'a.mp4,"one\nb.mp4,"two"\nc.mp4,three\n'), "VP008 T:2",
     total=3)  # fmt: skip
_add("swallowed-captions-first",
     table('caption,video\n"one,a.mp4\ntwo",b.mp4\nthree,c.mp4\n'), "VP008 T:2",
     FINE[2:], 2)  # fmt: skip
_add("swallowed-elsewhere",
     table('video,caption,note\na.mp4,one,"x\nb.mp4,two,y"\nc.mp4,three,z\n'), "VP008 T:2",
     FINE[2:], 2)  # fmt: skip
_add("swallowed-odd-ending",
     both(table(HEAD + 'a.y4m,"one\nb.y4m,two"\nc.mp4,three\n'), lambda r: (r / "a.y4m").touch()),
     "VP008 T:2", FINE[2:], 2)  # fmt: skip
_add("tsv", table("video\tcaption\na.mp4\tone, and\n", "x.tsv"), "", ((A, "one, and"),))
_add("hidden-tables", both(table(HEAD + ROWS), table(b"\0\5\x16\7", "._metadata.csv")), "", FINE)

# Columns beside video and caption: the column, and a cell in it that cannot be read.
VALUES: dict[str, tuple[str, str]] = {
    "time-word": ("start", "soon"),
    "time-comma": ("start", '"1,5"'),
    "time-negative": ("start", "-1"),
    "time-sign": ("start", "+1"),
    "time-nan": ("start", "nan"),
    "time-infinite": ("end", "inf"),
    "time-overflow": ("end", "1e400"),
    "time-huge": ("end", "9" * 5000),
    "time-arabic": ("start", "\u0661\u0662"),
    "time-wide": ("start", "\uff11"),
    "time-underscore": ("start", "1_000"),
    "time-hex": ("start", "0x10"),
    "time-exponent": ("start", "1e"),
    "clock-seconds": ("start", "1:75"),
    "clock-minutes": ("start", "1:75:00"),
    "clock-long": ("start", "1:1:1:1"),
    "clock-empty": ("start", "1:"),
    "clock-negative": ("start", "-0:01"),
    "end-zero": ("end", "0"),
    "frame-fraction": ("start_frame", "1.5"),
    "frame-clock": ("start_frame", "0:01"),
    "frame-negative": ("start_frame", "-1"),
    "frame-huge": ("end_frame", "9" * 20),
    "frame-arabic": ("end_frame", "\u0663"),
    "weight-word": ("weight", "high"),
    "weight-negative": ("weight", "-0.5"),
    "weight-nan": ("weight", "NaN"),
    "weight-infinite": ("weight", "-inf"),
    "weight-overflow": ("weight", "1e999"),
    "weight-exponent": ("weight", "1e99999"),
    "repeats-fraction": ("repeats", "1.5"),
    "repeats-negative": ("repeats", "-1"),
    "repeats-huge": ("repeats", "10001"),
    "split-long": ("split", "x" * 101),
    "split-lines": ("split", '"a\nb"'),
    "split-escape": ("split", "\x1b[31mtrain"),
    "split-override": ("split", "\u202eniart"),
    "split-separator": ("split", "a\u2029b"),
}
for _name, (_column, _cell) in VALUES.items():
    _found = "VP018 T:3" + (",VP012 T:3" if "\u2029" in _cell else "")
    _add(_name, table(f"video,caption,{_column}\na.mp4,one,\nb.mp4,two,{_cell}\nc.mp4,three,\n"),
         _found, ENDS, 3)  # fmt: skip
_RANGE = "video,caption,start,end\na.mp4,one,,\n{}c.mp4,three,,\n"
_add("end-before-start", table(_RANGE.format("b.mp4,two,2,1\n")), "VP018 T:3", ENDS, 3)
_add("end-at-start", table(_RANGE.format("b.mp4,two,0:01,1.0\n")), "VP018 T:3", ENDS, 3)
_add("two-bad-values", table(_RANGE.format("b.mp4,two,x,y\n")), "VP018 T:3,VP018 T:3", ENDS, 3)
_add("bad-value-later", table(_RANGE.format('b.mp4,"t\nwo",x,\n')), "VP018 T:3", ENDS, 3)
_add("seconds-and-frames", table("video,caption,start,end_frame\na.mp4,one,1,2\n"), "VP016 T")
_add("same-starts", table("video,caption,start,start\na.mp4,one,1,2\n"), "VP016 T")
_add("alike-starts", table("video,caption,start,Start\na.mp4,one,1,2\n"), "VP016 T")


def main(folder: str) -> None:
    """Writes all of them."""
    for hostile in ALL:
        hostile.make(prepare(Path(folder) / hostile.name))
        print(f"{hostile.name}: {', '.join(place[0].value for place in hostile.found) or 'clean'}")


if __name__ == "__main__":
    main(sys.argv[1])
