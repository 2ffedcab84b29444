"""Every command that a finding prints is pasted: the finding is gone, and the picture is right."""

# ruff: noqa: E501 (a table: one command a line)
from __future__ import annotations

import inspect
import json
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

import videoprep as vp
from tests.conftest import REPOSITORY, need
from tests.support.assets import write_lists
from tests.support.known_colours import cube
from videoprep.fs.mirror import local_path
from videoprep.media.commands import SCALED_DOWN, TIMED_ANEW, for_file
from videoprep.validators.registry import built_in

Frames = NDArray[np.uint8]
Times = list[Fraction]

ALL_STEPS = {f"VP11{number}" for number in (1, 3, 4, 5, 6, 7, 8, 9)}
OF_MEDIA = ["VP10", "VP11", "VP120", "VP121", "VP127", "VP131", "VP132"]
"""Rules that a file has to keep once it is mended. A new rule need not be among them."""
FOLDER = "a dataset's videos"
_COMMAND = re.compile(r": (ffmpeg .*)")


@dataclass(frozen=True)
class Case:
    """A file with a finding.

    Attributes:
        make: FFmpeg's arguments; ``@`` stands for the folder.
        code: the finding.
        bound: by how many levels pixels may be off in the mean; 0: they are the same.
        like: the file that shows what the picture should be; by default this one.
        planes: whether stored samples are compared, instead of their colours.
    """

    make: str
    code: str
    bound: float
    like: str | None = None
    planes: bool = False


_MOVING = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=0.4"
_LARGE = "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=0.08"
_SOUND = "-f lavfi -i sine=duration=0.4"
_SMOOTH = "-f lavfi -i color=gray:size=160x96:rate=25:duration=0.2,format=rgb24,geq=r=X:g=Y*2:b=128"
_HALF = "-f lavfi -i color=0xff000080:size=160x96:rate=25:duration=0.2,format=rgba"
_TAGS = "-colorspace bt709 -color_primaries bt709 -color_trc bt709"
_X264 = "-c:v libx264 -qp 0 -pix_fmt yuv420p"
_X265 = "-c:v libx265 -x265-params log-level=error:pools=1:lossless=1"
_FFV1 = "-c:v ffv1 -pix_fmt"
_SDR = "zscale=t=linear:npl=203,format=gbrpf32le,"  # ITU-R BT.2408: SDR white is at 203 nits
_INTERLACED = "-vf setfield=tff,{} -flags +ilme+ildct"


def _from_sdr(transfer: str, pixels: str, options: str = "p=bt2020:m=bt2020nc") -> str:
    return f"-i @sdr.mkv -vf {_SDR}zscale={options}:t={transfer}:r=tv:npl=203,format={pixels}"


def _setparams(space: str, primaries: str, transfer: str) -> str:
    return f"setparams=colorspace={space}:color_primaries={primaries}:color_trc={transfer}"


# Pictures that others are made of, without a finding of their own.
_SIDE = 8
ORIGINALS = {
    "one.ts": f"{_SMOOTH.replace('0.2', '1.2')} {_X264} {_TAGS}",
    "pink.mkv": f"-f lavfi -i color=0xff8080:size=160x96:rate=25:duration=0.2 {_FFV1} bgr0",
    "red.mkv": f"-f lavfi -i color=red:size=4000x96:rate=25:duration=0.2 {_FFV1} bgr0",
    "tall.mkv": f"{_SMOOTH} -vf scale=160:144:out_color_matrix=bt709,format=yuv444p {_FFV1} yuv444p {_TAGS}",
    "square.mkv": f"{_SMOOTH} -vf scale=out_color_matrix=bt709,format=yuv444p {_FFV1} yuv444p {_TAGS}",
}

CASES = {
    # --- no matrix is named ---------------------------------------------------------------
    "untagged.mp4": Case(f"{_MOVING} {_X264}", "VP117", 0),
    "untagged.mov": Case(f"{_MOVING} {_SOUND} {_X264} -c:a pcm_s16le", "VP117", 0),
    "untagged.mkv": Case(f"{_MOVING} {_X264}", "VP117", 0),
    "untagged.ts": Case(f"{_MOVING} {_SOUND} {_X264} -c:a aac", "VP117", 0),
    "untagged.flv": Case(f"{_MOVING} {_X264}", "VP117", 0),
    "untagged.h264": Case(f"{_MOVING} {_X264}", "VP117", 0),
    "untagged.avi": Case(f"{_MOVING} {_X264} -bf 0", "VP117", 1.5),
    "hevc.mp4": Case(f"{_MOVING} {_X265} -pix_fmt yuv420p", "VP117", 0),
    "av1.mp4": Case(f"{_MOVING} -c:v libsvtav1 -preset 12 -pix_fmt yuv420p", "VP117", 0),
    "vp9.webm": Case(f"{_MOVING} -c:v libvpx-vp9 -deadline realtime -pix_fmt yuv420p", "VP117", 0),
    "mpeg2.ts": Case(f"{_MOVING} -c:v mpeg2video -q:v 4", "VP117", 0),
    "mpeg2.mpg": Case(f"{_MOVING} -c:v mpeg2video -q:v 4 -f vob", "VP117", 1.5),
    "mpeg4.mp4": Case(f"{_MOVING} -c:v mpeg4 -q:v 4", "VP117", 0),
    "mpeg4.avi": Case(f"{_MOVING} -c:v mpeg4 -bf 2 -q:v 4", "VP117", 1.5),
    "prores.mov": Case(f"{_MOVING} -c:v prores_ks -profile:v 1", "VP117", 2),
    "h263.3gp": Case(f"{_MOVING} -vf scale=176:144,setsar=1 -c:v h263 -q:v 4", "VP117", 0),
    "ffv1.mp4": Case(f"{_MOVING} {_FFV1} yuv420p -f mov", "VP117", 0),
    "ffv1.mkv": Case(f"{_MOVING} {_FFV1} yuv420p", "VP117", 0),
    "theora.ogv": Case(f"{_MOVING} -c:v libtheora -q:v 7", "VP117", 1.5),
    "wmv2.wmv": Case(f"{_MOVING} {_SOUND} -c:v wmv2 -q:v 4 -c:a wmav2", "VP117", 1.5),
    "large.mp4": Case(f"{_LARGE} {_X264}", "VP117", 0, planes=True),
    "called-mp4.mp4": Case(f"{_MOVING} {_X264} -f matroska", "VP117", 0),
    # --- more than 8 bits, or HDR ---------------------------------------------------------
    "hlg.mp4": Case(f"{_from_sdr('arib-std-b67', 'yuv444p10le')} {_X265}", "VP116", 2, "sdr.mkv"),
    "pq.mp4": Case(f"{_from_sdr('smpte2084', 'yuv444p10le')} {_X265}", "VP116", 2, "sdr.mkv"),
    "pq-half.mkv": Case(f"{_from_sdr('smpte2084', 'yuv420p10le')} {_X265}", "VP116", 5, "sdr.mkv"),
    "hlg-8-bit.mkv": Case(
        f"{_from_sdr('arib-std-b67', 'yuv444p', 'p=bt709:m=bt709')} {_FFV1} yuv444p",
        "VP116",
        3,
        "sdr.mkv",
    ),
    "pq-untagged.mkv": Case(
        f"{_from_sdr('smpte2084', 'yuv444p10le')},{_setparams('unknown', 'unknown', 'smpte2084')}"
        f" {_FFV1} yuv444p10le",
        "VP116",
        2,
        "sdr.mkv",
    ),
    "pq-again.mp4": Case(f"{_from_sdr('smpte2084', 'yuv444p10le')} {_X265}", "VP118", 2, "sdr.mkv"),
    "ten-bit.mp4": Case(f"-i @square.mkv -c:v libx264 -pix_fmt yuv420p10le {_TAGS}", "VP116", 2),
    "ten-bit-full.mkv": Case(f"{_MOVING} {_FFV1} yuv422p10le -color_range pc {_TAGS}", "VP116", 2),
    "ten-bit-rgb.mkv": Case(f"{_MOVING} {_FFV1} gbrp10le", "VP116", 2),
    "grey-16-bit.mkv": Case(f"{_MOVING} {_FFV1} gray16le", "VP116", 2),
    "prores-alpha.mov": Case(
        f"{_MOVING} -vf {_setparams('bt709', 'bt709', 'bt709')} -c:v prores_ks -profile:v 4444"
        " -pix_fmt yuva444p10le",
        "VP116",
        2,
    ),
    # --- unusual colours ------------------------------------------------------------------
    **{
        f"{name}.mkv": Case(
            f"-i @muted.mkv -vf zscale={options},format={pixels} {_FFV1} {pixels}",
            "VP118",
            bound,
            "muted.mkv",
        )
        for name, options, pixels, bound in (
            ("display-p3", "p=smpte432:t=bt709:m=bt709:r=tv", "yuv444p10le", 2),
            ("p3-srgb", "p=smpte432:t=iec61966-2-1:m=bt709:r=tv", "yuv444p10le", 2),
            # Some versions of zimg keep the greenish white of cinemas.
            ("dci-p3", "p=smpte431:t=bt709:m=bt709:r=tv", "yuv444p10le", 8),
            ("bt2020", "p=bt2020:t=bt2020-10:m=bt2020nc:r=tv", "yuv420p", 5),
            ("constant", "p=bt2020:t=bt2020-10:m=bt2020c:r=tv", "yuv444p10le", 2),
            ("240m", "p=240m:t=bt709:m=smpte2400m:r=tv", "yuv444p", 3),
            ("ycgco", "p=bt709:t=bt709:m=ycgco:r=tv", "yuv444p", 3),
            ("rgb-p3", "p=smpte432:t=bt709:m=gbr:r=pc", "gbrp", 3),
        )
    },
    "p3-untagged.mkv": Case(
        "-i @muted.mkv -vf zscale=p=smpte432:t=bt709:m=bt709:r=tv,"
        f"{_setparams('bt709', 'smpte432', 'unknown')} {_FFV1} yuv444p",
        "VP118",
        3,
        "muted.mkv",
    ),
    "240m.mp4": Case(
        "-i @muted.mkv -vf zscale=p=240m:t=bt709:m=smpte2400m:r=tv,"
        f"{_setparams('smpte240m', 'smpte240m', 'smpte240m')} -c:v libx264 -qp 0 -pix_fmt yuv444p",
        "VP118",
        3,
        "muted.mkv",
    ),
    "no-rgb.mkv": Case(
        f"{_MOVING} -vf {_setparams('gbr', 'bt709', 'bt709')} {_FFV1} yuv420p",
        "VP118",
        0,
        planes=True,
    ),
    # --- shapes ---------------------------------------------------------------------------
    "narrow.mkv": Case(
        f"-i @square.mkv -vf scale=120:96,setsar=4/3 {_FFV1} yuv420p", "VP113", 2, "square.mkv"
    ),
    "narrow.mp4": Case(
        f"-i @square.mkv -vf scale=120:96,setsar=4/3 {_X264} {_TAGS}", "VP113", 2, "square.mkv"
    ),
    "wide.mkv": Case(
        f"-i @tall.mkv -vf scale=160:96,setsar=2/3 {_FFV1} yuv444p10le", "VP113", 2, "tall.mkv"
    ),
    "odd.mp4": Case(
        f"{_MOVING} -vf scale=97:63,setsar=1 -c:v libx264 -pix_fmt yuv444p {_TAGS}", "VP114", 2
    ),
    "odd.mkv": Case(f"{_MOVING} -vf scale=97:64,setsar=1 {_FFV1} yuv420p {_TAGS}", "VP114", 2),
    "odd-rgb.mkv": Case(f"{_MOVING} -vf scale=96:63,setsar=1 {_FFV1} bgr0", "VP114", 2),
    "odd-10-bit.mkv": Case(
        f"-i @square.mkv -vf scale=97:63,setsar=1 {_FFV1} yuv420p10le", "VP116", 2
    ),
    "interlaced.mp4": Case(
        f"-i @square.mkv {_INTERLACED.format('format=yuv420p')} -x264opts tff=1 {_X264} {_TAGS}",
        "VP115",
        2,
    ),
    "interlaced.ts": Case(
        f"-i @square.mkv {_SOUND} {_INTERLACED.format('format=yuv420p')} -c:v mpeg2video -q:v 1"
        f" -top 1 {_TAGS} -c:a mp2",
        "VP115",
        2,
    ),
    "interlaced.mov": Case(
        f"-i @square.mkv {_INTERLACED.format(_setparams('bt709', 'bt709', 'bt709'))}"
        " -c:v prores_ks -profile:v 3 -pix_fmt yuv422p10le",
        "VP115",
        2,
    ),
    "interlaced-narrow.mp4": Case(
        f"-i @square.mkv {_INTERLACED.format('scale=120:96,setsar=4/3,format=yuv420p')}"
        f" -x264opts tff=1 {_X264} {_TAGS}",
        "VP113",
        2,
        "square.mkv",
    ),
    # --- transparency: half of red over white ---------------------------------------------
    "alpha.mov": Case(f"{_HALF} -c:v png -pix_fmt rgba", "VP119", 2, "pink.mkv"),
    "alpha.mp4": Case(f"{_HALF} -c:v qtrle -pix_fmt argb -f mov", "VP119", 2, "pink.mkv"),
    "alpha.apng": Case(f"{_HALF} -pix_fmt rgba", "VP119", 2, "pink.mkv"),
    "alpha-prores.mov": Case(
        f"{_HALF} -c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le", "VP119", 4, "pink.mkv"
    ),
    "alpha.webm": Case(
        f"{_HALF} -c:v libvpx-vp9 -deadline realtime -pix_fmt yuva420p -auto-alt-ref 0",
        "VP119",
        4,
        "pink.mkv",
    ),
    "alpha-vp8.webm": Case(
        f"{_HALF} -c:v libvpx -deadline realtime -pix_fmt yuva420p -auto-alt-ref 0",
        "VP119",
        4,
        "pink.mkv",
    ),
    # --- what does not open ---------------------------------------------------------------
    "giant.mkv": Case(
        "-f lavfi -i color=red:size=8448x64:rate=25:duration=0.2 -vf scale=out_color_matrix=bt709"
        f" {_FFV1} yuv420p {_TAGS}",
        "VP121",
        2,
        "red.mkv",
    ),
    "giant.gif": Case(
        "-f lavfi -i color=red:size=8448x64:rate=25:duration=0.2", "VP121", 2, "red.mkv"
    ),
    "one-time.mkv": Case(
        "-f lavfi -i color=red:size=160x96:rate=25:duration=0.2 -vf setpts=0"
        f" -vsync passthrough {_FFV1} bgr0",
        "VP103",
        2,
        "red.mkv",
    ),
    "joined.ts": Case("cat @one.ts @one.ts", "VP103", 2, "one.ts"),
    # --- times ----------------------------------------------------------------------------
    "variable.mp4": Case(
        f"{_MOVING} -vf select='not(eq(mod(n\\,5)\\,3))' -vsync vfr {_X264} {_TAGS}", "VP111", 2
    ),
    "variable.mkv": Case(
        f"{_MOVING} -vf select='not(eq(mod(n\\,5)\\,3))' -vsync vfr {_FFV1} bgr0", "VP111", 2
    ),
    "odd-variable.mkv": Case(
        f"{_MOVING} -vf scale=97:64,setsar=1,select='not(eq(mod(n\\,5)\\,3))' -vsync vfr"
        f" {_FFV1} yuv420p {_TAGS}",
        "VP114",
        2,
    ),
}


@pytest.fixture(scope="session")
def mended(shared_folder: Path) -> Path:
    """A folder with all cases; beside each what came out, and a list of what was found; read it."""
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    folder = shared_folder / FOLDER
    with FileLock(f"{folder}.lock"):
        if not (folder / "outcomes.json").exists():
            _mend_all(folder)
    return folder


def _mend_all(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    # Tone mapping compresses what is next to white, and other gamuts have no room for all colours.
    colours = cube(144, 96, _SIDE)
    _write(folder / "sdr.mkv", np.minimum(colours, 240))
    _write(folder / "muted.mkv", colours // 2 + 64)
    for name, make in ORIGINALS.items():
        _make(folder, name, make)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: _make(folder, _place(name), CASES[name].make), CASES))
        before = _found(folder, [_place(name) for name in CASES])
        commands = {name: _command(before[_place(name)].get(CASES[name].code)) for name in CASES}
        after = dict(zip(CASES, pool.map(_paste, commands.values()), strict=True))
    made = [str(Path(one["file"]).relative_to(folder)) for one in after.values() if one["made"]]
    found = _found(folder, made)
    for name, one in after.items():
        one["before"] = before[_place(name)]
        one["after"] = found[str(Path(one["file"]).relative_to(folder))] if one["made"] else None
    (folder / "outcomes.json").write_text(json.dumps(after))


def _command(remedy: str | None) -> str | None:
    """The command in a remedy, at its end."""
    found = _COMMAND.search(remedy or "")
    return found and found[1]


def _paste(command: str | None) -> dict[str, Any]:
    """Runs a command in a shell; what it made, and what it said."""
    if command is None:
        return {"made": False, "file": None, "said": "no command"}
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    file = shlex.split(command)[-1]  # the original's own name
    return {"made": not ran.returncode, "file": file, "said": f"{command}\n{ran.stderr[-800:]}"}


def _make(folder: Path, name: str, make: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    words = [word.replace("@", f"{folder}/") for word in shlex.split(make)]
    if words[0] == "cat":
        (folder / name).write_bytes(b"".join(Path(word).read_bytes() for word in words[1:]))
        return
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", *words]
    done = subprocess.run([*command, f"{folder}/{name}"], capture_output=True, text=True)
    assert done.returncode == 0, (shlex.join(command), done.stderr)


def _write(path: Path, picture: Frames) -> None:
    raw = "ffmpeg -v error -y -f rawvideo -pix_fmt rgb24 -video_size 144x96 -framerate 25 -i -"
    how = f"-vf format=bgr0,{_setparams('gbr', 'bt709', 'bt709')} -c:v ffv1"
    command = [*f"{raw} {how}".split(), str(path)]
    subprocess.run(command, input=picture.tobytes() * 3, check=True)


def _place(name: str) -> str:
    """A folder for each ending."""
    return f"{Path(name).suffix[1:]}/{name}"


def _found(folder: Path, names: list[str]) -> dict[str, dict[str, str]]:
    """The remedies of each file's findings by code."""
    write_lists(folder, [f"A clip named {name}." for name in names], names)
    report = vp.validate(folder, select=OF_MEDIA, ignore=["VP101", "VP102"])
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for finding in report.findings:
        found[str(finding.video)][finding.code] = finding.remedy
    return found


def _frames(path: Path, planes: bool) -> tuple[list[Frames], Times]:
    """All pictures, and when each is shown."""
    with av.open(str(path)) as container:
        shown = list(container.decode(container.streams.best("video")))
    pictures = [f.to_ndarray() if planes else f.to_ndarray(format="rgb24") for f in shown]
    base = cast(Fraction, shown[0].time_base)
    if any(frame.pts is None for frame in shown):
        return pictures, [Fraction(number, 25) for number in range(len(shown))]
    return pictures, [cast(int, f.pts) * base - cast(int, shown[0].pts) * base for f in shown]


@pytest.mark.parametrize("name", CASES)
def test_the_command_mends_it(name: str, mended: Path) -> None:
    case = CASES[name]
    outcome = json.loads((mended / "outcomes.json").read_text())[name]
    before, after = outcome["before"], outcome["after"]
    assert case.code in before, before
    assert outcome["made"], outcome["said"]
    assert case.code not in after, after
    opened = case.code not in ("VP103", "VP121")  # else nothing more was known of it
    assert not opened or set(after) <= set(before), "no new finding"
    like = mended / (case.like or f"{_place(name)}.orig")
    _require_same_pictures(like, Path(outcome["file"]), case)


def _require_same_pictures(source: Path, made: Path, case: Case) -> None:
    frames, times = _frames(source, case.planes)
    fixed, fixed_times = _frames(made, case.planes)
    if case.code == "VP111":
        shown = np.searchsorted([float(t) for t in times], [float(t) + 1e-3 for t in fixed_times])
        pairs = [(frames[at - 1], picture) for at, picture in zip(shown, fixed, strict=True)]
    else:
        pairs = [(frames[at % len(frames)], picture) for at, picture in enumerate(fixed)]
        assert len(fixed) > 1
        if case.like is None:
            assert len(fixed) == len(frames)
            untimed = made.suffix in (".avi", ".h264", ".mpg")
            assert untimed or fixed_times == pytest.approx(times, abs=0.0011)
    for frame, picture in pairs:
        height, width = picture.shape[:2]
        off = np.abs(picture.astype(int) - frame[:height, :width])
        if case.like in ("sdr.mkv", "muted.mkv"):
            off = off[_SIDE // 2 :: _SIDE, _SIDE // 2 :: _SIDE]  # within each patch
        assert off.mean() <= case.bound, (source, off.mean(), off.max())


@pytest.mark.parametrize("name", CASES)
def test_all_findings_of_a_file_have_one_command(name: str, mended: Path) -> None:
    """But for VP111, which most need not follow: it does the rest, too."""
    before = json.loads((mended / "outcomes.json").read_text())[name]["before"]
    own = set(before) & (ALL_STEPS - {"VP111"})
    assert len({_command(before[code]) for code in own}) <= 1, before
    if "VP111" in before and len(before) > 1:
        assert "; the command also " in before["VP111"]


def test_fields_are_put_together_before_pixels_are_scaled(tmp_path: Path) -> None:
    """A moving bar in DV's shape; two commands in the other order would leave combs for good."""
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    moving = "nullsrc=size=720x480:rate=50:duration=0.4,format=gray,"
    moving += "geq=lum='255*between(X\\,N*40\\,N*40+100)'"
    fields = "tinterlace=interleave_top,setsar=8/9,format=yuv420p,setfield=tff"
    tags = "-flags +ilme+ildct -x264opts tff=1"
    _make(tmp_path, "dv.mp4", f"-f lavfi -i {moving} -vf {fields} {tags} {_X264}")
    found = _found(tmp_path, ["dv.mp4"])["dv.mp4"]
    assert found.keys() == {"VP113", "VP115", "VP117"}
    commands = {_command(remedy) for remedy in found.values()}
    assert len(commands) == 1
    assert "tags it as BT.601" in found["VP113"]
    assert _combed(tmp_path / "dv.mp4") > 0.01
    outcome = _paste(commands.pop())
    assert outcome["made"], outcome["said"]
    assert _found(tmp_path, ["dv.mp4"]) == {"dv.mp4": {}}
    frames, _ = _frames(tmp_path / "dv.mp4", planes=False)
    assert frames[0].shape == (540, 720, 3)
    assert _combed(tmp_path / "dv.mp4") < 0.001


def _combed(path: Path) -> float:
    """The share of pixels that differ from both lines beside them, which are alike."""
    frames, _ = _frames(path, planes=False)
    rows = np.stack(frames)[..., 1].astype(int)
    above, here, below = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
    stands_out = (np.abs(here - above) > 100) & (np.abs(above - below) < 30)
    return float(stands_out[2:-2].mean())  # the first and last frames lack a neighbour


def test_the_original_is_replaced_and_kept_and_the_dataset_stays_whole(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    _make(tmp_path, "a.avi", f"{_MOVING} -vf setsar=4/3 {_X264} -bf 0")
    (tmp_path / "a.txt").write_text("A clip.")
    options: dict[str, Any] = {"select": [*OF_MEDIA, "VP20"], "ignore": ["VP101", "VP102"]}
    before, original = vp.validate(tmp_path, **options), (tmp_path / "a.avi").read_bytes()
    command = next(_command(f.remedy) for f in before.findings if f.code == "VP113")
    assert _paste(command)["made"]
    after = vp.validate(tmp_path, **options)
    assert (after.total, after.findings) == (1, ())
    assert (tmp_path / "a.avi.orig").read_bytes() == original
    fixed = (tmp_path / "a.avi").read_bytes()
    _paste(command)  # once more
    assert (tmp_path / "a.avi.orig").read_bytes() == original
    assert (tmp_path / "a.avi").read_bytes() == fixed
    again = vp.validate(tmp_path, **options)
    assert (again.total, again.findings) == (1, ())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.mp4", "a/b.mp4"),
        ("a/it's b.mp4", "a/it's b.mp4"),
        ("-y.mp4", "./-y.mp4"),
        ("pipe:1.mp4", "./pipe:1.mp4"),
        ("a/pipe:1.mp4", "a/pipe:1.mp4"),
        ("a/$(x) `y`", "a/$(x) `y`"),
    ],
)
def test_names_in_a_command(path: str, name: str) -> None:
    words = shlex.split(for_file(TIMED_ANEW, path))
    fixed, kept = f"{name}.fixed", f"{name}.orig"
    assert words[3] == name
    end = ["-f", "matroska", fixed, "&&", "mv", "-n", name, kept, "&&", "mv", "-n", fixed, name]
    assert words[-len(end) :] == end


def test_a_remote_file_is_named_as_it_is_called_once_it_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOPREP_MIRRORS", str(tmp_path))
    folder = local_path("s3://bucket/data")
    assert "-i b.mp4 " in for_file(TIMED_ANEW, folder / "videos/b.mp4")


def test_the_names_in_an_error_are_not_remembered_with_the_contents(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        need("ffmpeg")
    _make(tmp_path, "a.mkv", f"-f lavfi -i color=size=8448x64:rate=25:duration=0.1 {_FFV1} gray")
    remedies = []
    for name in ("a.mkv", "it's moved.mkv"):
        shutil.move(next(tmp_path.glob("*.mkv")), tmp_path / name)
        remedies.append(_found(tmp_path, [name])[name]["VP121"])
    assert [_command(text) for text in remedies] == [
        for_file(SCALED_DOWN, tmp_path / name) for name in ("a.mkv", "it's moved.mkv")
    ]


def test_every_rule_with_a_command_has_a_case() -> None:
    """And commands are written in one place, which the cases cover."""
    modules = {rule: inspect.getmodule(rule) for rule in built_in().values()}
    with_command = {rule.code for rule, module in modules.items() if hasattr(module, "remedy_for")}
    assert with_command == {case.code for case in CASES.values()} - {"VP103", "VP121"}


def test_no_command_is_written_elsewhere() -> None:
    made_here = ("remedies.py", "commands.py")
    of_other_media = ("control.md", "masks.md")  # how such media may be made: nothing is mended
    files = [*REPOSITORY.glob("videoprep/**/*"), *REPOSITORY.glob("docs/**/*.md")]
    texts = [file for file in files if file.suffix in (".py", ".md", ".j2", ".js")]
    found = {
        file.name
        for file in [*texts, REPOSITORY / "README.md"]
        if re.search(r"\bffmpeg\s[^`\n]*-i\b", file.read_text(encoding="utf-8"))
    }
    assert found - {*made_here, *of_other_media} == set()
