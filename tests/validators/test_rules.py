"""Each rule about captions and the plan, with one case that breaks it and one that does not.

Rules about lists are tested in tests/spec, rules about media in tests/media, on real files.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import videoprep as vp
from docs.make_rules import FOLDER, pages
from tests.index.test_placement import media, policy
from tests.support.assets import write_lists, write_video
from videoprep.errors import Code
from videoprep.index.bucket import Bucket
from videoprep.index.placement import place
from videoprep.media.timestamps import Timestamps
from videoprep.reporting.failure_reasons import REASONS
from videoprep.spec.sample import Extras, Location, Sample
from videoprep.validators.overview import Overview
from videoprep.validators.protocol import (
    DatasetValidator,
    Finding,
    ReaderRule,
    Severity,
    Subject,
    Validator,
)
from videoprep.validators.registry import built_in

RULES = built_in()


def sample(caption: str = "a caption", line: int = 7, name: str = "videos/a.mp4") -> Sample:
    return Sample(name, caption, Path("root"), Location("videos.txt", line), "prompt.txt")


def check(code: Code, subject: Subject, **options) -> list[Finding]:
    rule = RULES[code.value]
    assert issubclass(rule, Validator)
    return list(rule(rule.Options(**options)).check(subject))


def clip(width: int, height: int, frames: int, **options) -> Subject:
    info, rules = media(width, height, frames), policy(**options)
    return Subject(sample(), rules, _media=info, _plan=place(info, rules))


BUCKETS = {"reshape": "center-crop", "height_buckets": (64,), "width_buckets": (96,)}


@pytest.mark.parametrize(
    ("code", "failing", "passing", "options"),
    [
        (Code.SIZE_NOT_DIVISIBLE, (720, 480, 49), (704, 480, 49), {}),
        (Code.SIZE_NOT_DIVISIBLE, (480, 270, 49), (720, 480, 49), {"profile": "cogvideox"}),
        (Code.FRAME_COUNT, (64, 64, 390), (64, 64, 389), {}),
        (Code.TOO_SMALL, (95, 64, 9), (96, 64, 9), BUCKETS),
        (Code.TOO_SHORT, (64, 64, 9), (64, 64, 17), {"frame_buckets": (17,)}),
        (
            Code.NO_EXACT_BUCKET,
            (64, 96, 9),
            (96, 64, 9),
            {"height_buckets": (64,), "width_buckets": (96,)},
        ),
        (Code.CROP_LOSS, (96, 160, 9), (96, 72, 9), BUCKETS),
        (
            Code.SHRUNK,
            (704, 416, 9),
            (704, 480, 9),
            {"reshape": "center-crop", "buckets": ("9x160x256", "9x448x640")},
        ),
        (Code.FEW_PIXELS, (95, 64, 9), (96, 64, 9), {**BUCKETS, "min_pixels": 6144}),
        (Code.ENLARGED, (48, 64, 9), (96, 64, 9), {**BUCKETS, "allow_upscale": True}),
        (Code.FRAMES_UNUSED, (96, 64, 100), (96, 64, 97), {"reshape": "center-crop"}),
        (
            Code.FRAMES_UNUSED,
            (96, 64, 400),
            (96, 64, 40),
            {"reshape": "center-crop", "clip_mode": "chunk", "clips_per_video": 3},
        ),
    ],
)
def test_failing_and_passing(code: Code, failing, passing, options) -> None:
    (finding,) = check(code, clip(*failing, **options))
    assert finding.code == code.value
    assert finding.severity is RULES[code.value].severity
    assert finding.message
    assert finding.remedy
    assert (finding.file, finding.line, finding.video) == ("videos.txt", 7, "videos/a.mp4")
    assert check(code, clip(*passing, **options)) == []


@pytest.mark.parametrize(
    ("code", "failing", "passing"),
    [
        (Code.EMPTY_CAPTION, ["\u200b\u200b", "...", "—", "\x07"], ["7", "🐈", "猫", "a"]),
        (
            Code.MOJIBAKE,
            ["a clock in a caf\u00c3\u00a9", "\u00ff\u00feA dog runs", "a dog\ufffds bone"],
            ["a clock in a café", "A dog", "猫", "naïve – “quoted”"],
        ),
        (
            Code.NOT_ENGLISH,
            [
                "Ein Hund läuft langsam am Strand entlang.",
                "一只猫在沙发上睡觉",
                "Кот спит на диване",
            ],
            ["A dog.", "sks dog", 'A sign that says "Bonjour le monde"', "Tokyo"],
        ),
        (
            Code.CONTROL_CHARACTER,
            ["a \x1b[31mred car", "a \u202egnp.exe", "a\ufffdb", "a \ue000"],
            ["naïve café", "👩\u200d🚀 in space", "tab\there", "क्\u200dष"],
        ),
        (
            Code.PLACEHOLDER_CAPTION,
            ["nan", "NaN", "None", '"null"', "N/A", "TODO."],
            ["nana sings", "none of them", "A caption", "nan bread"],
        ),
        (
            Code.MARKUP,
            ["<b>A cat</b>", "cats &amp; dogs", "**A cat** runs", "see https://x.org", "{{who}}"],
            ["5 < 6 > 4", "AT&T; tower", "a*b*c", "a {cat}", "<3", "I <3 you > me"],
        ),
    ],
)
def test_captions(code: Code, failing: list[str], passing: list[str]) -> None:
    for caption in failing:
        (finding,) = check(code, Subject(sample(caption), policy()))
        assert finding.code == code.value
        assert (finding.file, finding.line) == ("prompt.txt", 7), "it points to the caption"
        assert finding.message.isprintable()
    for caption in passing:
        assert check(code, Subject(sample(caption), policy())) == [], caption


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({**BUCKETS, "frame_buckets": (17, 33)}, "9 frames are fewer than the 17 of 17×64×96,"),
        ({"reshape": "center-crop", "frame_buckets": (33,)}, "the 33 of 33×64×96,"),
        (
            {"reshape": "center-crop", "buckets": ("5x640x640", "33x64x96", "17x32x64")},
            "the 17 of 17×32×64, the smallest bucket that the clip fits",
        ),
    ],
)
def test_a_short_clip_is_told_the_smallest_bucket(options, words: str) -> None:
    (finding,) = check(Code.TOO_SHORT, clip(96, 64, 9, **options))
    assert words in finding.message
    option = "buckets" if "buckets" in options else "frame_buckets"
    assert f"add a smaller bucket with `{option}`" in finding.remedy


def test_a_short_clip_is_told_the_smallest_bucket_that_was_chosen() -> None:
    info = media(96, 64, 9)
    chosen = policy(reshape="center-crop", frame_buckets=(17, 33)).with_buckets(
        [Bucket(33, 64, 96), Bucket(49, 32, 64)]
    )
    (finding,) = check(
        Code.TOO_SHORT, Subject(sample(), chosen, _media=info, _plan=place(info, chosen))
    )
    assert "9 frames are fewer than the 33 of 33×64×96," in finding.message


def test_tokens_are_compared_with_the_models_limit() -> None:
    def subject(tokens: int | None) -> Subject:
        return Subject(sample(), policy(), tokens, 226)

    (finding,) = check(Code.CAPTION_TOO_LONG, subject(227))
    assert finding.message == "227 tokens, the model takes 226: the last 1 are cut"
    assert check(Code.CAPTION_TOO_LONG, subject(226)) == []
    assert check(Code.CAPTION_TOO_LONG, subject(None)) == []


def test_a_rate_above_the_files_own_is_a_warning() -> None:
    (finding,) = check(Code.FRAMES_REPEATED, clip(64, 64, 9, target_fps=16))
    assert finding.severity is Severity.WARNING
    assert "8 of 17 frames repeat the one before" in finding.message
    for rate in (None, 4, 8):
        assert check(Code.FRAMES_REPEATED, clip(64, 64, 9, target_fps=rate)) == []


def test_a_rate_far_above_the_target_is_a_warning() -> None:
    (finding,) = check(Code.RATE_FAR_FROM_TARGET, clip(64, 64, 90, target_fps=1))
    assert finding.message == "8 frames a second, 8.0 times the target"
    assert check(Code.RATE_FAR_FROM_TARGET, clip(64, 64, 90, target_fps=2)) == []
    assert check(Code.RATE_FAR_FROM_TARGET, clip(64, 64, 90, target_fps=1), factor=9) == []
    assert check(Code.RATE_FAR_FROM_TARGET, clip(64, 64, 90)) == []


def test_a_size_names_the_nearest_and_who_accepts_it() -> None:
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, clip(720, 480, 49))
    assert "704×480, 736×480" in finding.remedy
    accepting = "`profile='cogvideox' or 'cogvideox1.5' or 'hunyuan-video' or 'wan'` accepts it"
    assert accepting in finding.remedy
    assert finding.data["nearest"] == [[704, 480], [736, 480]]
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, clip(1920, 1020, 49))
    assert "`profile" not in finding.remedy


def test_with_consent_a_size_is_a_note_of_what_is_cut() -> None:
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, clip(720, 480, 49, reshape="center-crop"))
    assert finding.severity is Severity.NOTE
    assert "16 columns and 0 rows (2.2%) will be cut" in finding.message
    (finding,) = check(Code.SIZE_NOT_DIVISIBLE, clip(368, 240, 49, reshape="resize"))
    assert "368×240 scaled to 352×224" in finding.message


def test_with_consent_a_count_is_a_note_of_what_is_left_over() -> None:
    (finding,) = check(Code.FRAME_COUNT, clip(64, 64, 390, reshape="center-crop"))
    assert finding.severity is Severity.NOTE
    assert "49 will be used, 341 of 390 (87.4%) will not" in finding.message


def overview(*captions: str, identities: list[int] | None = None) -> Overview:
    samples = [sample(text, line, f"{line}.mp4") for line, text in enumerate(captions, start=1)]
    inodes = identities or list(range(len(samples)))
    pairs = np.array([[1, inode] for inode in inodes], dtype=np.uint64).reshape(-1, 2)
    made = Overview("videos.txt", len(samples), samples, pairs)
    for one in samples:
        made.add(one, None, None)
    return made


def check_dataset(code: Code, over: Overview, **options) -> list[Finding]:
    rule = RULES[code.value]
    assert issubclass(rule, DatasetValidator)
    return list(rule(rule.Options(**options)).check_dataset(over))


def test_a_caption_of_several_samples() -> None:
    found = check_dataset(Code.DUPLICATE_CAPTION, overview("A cat.", "A dog.", "a  CAT.", "A cat."))
    assert [finding.line for finding in found] == [3, 4]
    assert "the same caption as in line 1; 3 samples have it" in found[0].message
    assert check_dataset(Code.DUPLICATE_CAPTION, overview("A cat.", "A dog.")) == []


def test_samples_with_several_captions_are_counted() -> None:
    over = overview("A cat.", "A dog.", "A bird.")
    over.samples = [replace(over.samples[0], further=("x", "y")), *over.samples[1:]]
    (finding,) = check_dataset(Code.SEVERAL_CAPTIONS, over)
    assert "1 of 3 samples have several captions, up to 3 each" in finding.message
    assert check_dataset(Code.SEVERAL_CAPTIONS, overview("A cat.", "A dog.")) == []


@pytest.mark.parametrize(
    ("code", "files", "words", "severity"),
    [
        ("VP019", {"a.mp4": "v", "a.txt": "one", "still.png": "x"}, "still.png", "warning"),
        ("VP019", {"a.mp4": "v", "a.txt": "one", "notes.md": "x"}, "notes.md", "note"),
        (
            "VP020",
            {"a.mp4": "v", "list.csv": "video,caption,music\na.mp4,one,a.wav\n"},
            "'music' looks like sound",
            "warning",
        ),
        (
            "VP021",
            {
                "a.mp4": "v",
                "videoprep-list.csv": "video,caption\na.mp4,one\n",
                "videoprep.yaml": "dataset_file: videoprep-list.csv\n",
            },
            "an earlier version",
            "warning",
        ),
    ],
)
def test_what_readers_remark(
    tmp_path: Path, code: str, files: dict[str, str], words: str, severity: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    report = vp.validate(tmp_path, select=["VP0"])
    (finding,) = report.findings
    assert (finding.code, finding.severity) == (code, severity)
    assert words in finding.message
    assert finding.remedy
    for name in ("still.png", "notes.md"):
        (tmp_path / name).unlink(missing_ok=True)
    if code == "VP019":
        assert not vp.validate(tmp_path, select=["VP0"]).findings


def test_a_file_of_several_samples() -> None:
    found = check_dataset(Code.DUPLICATE_VIDEO, overview("a", "b", "a", identities=[5, 6, 5]))
    (finding,) = found
    assert finding.message == "the same file as in line 1 (1.mp4), with the same caption"
    assert check_dataset(Code.DUPLICATE_VIDEO, overview("a", "b")) == []


def test_parts_of_one_file_are_no_duplicates() -> None:
    over = overview("a", "b", "c", identities=[5, 5, 5])
    parts = (Extras(start=0, end=2), Extras(start=2, end=4), Extras(start=0, end=2))
    over.samples = [replace(s, extras=e) for s, e in zip(over.samples, parts, strict=True)]
    (finding,) = check_dataset(Code.DUPLICATE_VIDEO, over)
    assert finding.line == 3


def test_a_time_range_that_is_not_in_the_video() -> None:
    info, rules = media(64, 64, 80, fps=8), policy()
    for end, count in ((10.4, 0), (12.0, 1)):
        extras = Extras(start=8.0, end=end)
        plan = place(info, rules, extras)
        subject = Subject(replace(sample(), extras=extras), rules, _media=info, _plan=plan)
        found = check(Code.RANGE_OUTSIDE, subject)
        assert len(found) == count
    assert "the time range 8 to 12 (seconds) is not in the video, which has 10.00 s" in (
        found[0].message
    )


def test_a_bucket_smaller_than_a_batch() -> None:
    over = overview("a")
    over.buckets = Counter({Bucket(9, 64, 96): 3, Bucket(5, 64, 96): 4})
    (finding,) = check_dataset(Code.SMALL_BUCKET, over, batch_size=4)
    assert finding.data["clips"] == 3
    assert (finding.file, finding.line) == ("videos.txt", None)
    assert check_dataset(Code.SMALL_BUCKET, over) == []


def of_rates(*rates: tuple[Fraction | int, int], **options) -> Overview:
    """An overview of clips at such rates, of so many frames each."""
    over, rules = overview(), policy(**options)
    for rate, frames in rates:
        times = Timestamps(np.arange(frames, dtype=np.int64), 1 / Fraction(rate))
        info = media(64, 64, frames, fps=Fraction(rate), timestamps=times)
        over.add(sample(), info, place(info, rules))
    return over


def test_clips_of_one_bucket_that_last_differently() -> None:
    (finding,) = check_dataset(Code.RATES_DIFFER, of_rates((24, 17), (24, 17), (60, 17)))
    assert "17×64×64 last from 0.28 s, at 60 frames a second, to 0.71 s, at 24" in finding.message
    assert finding.data["clips_by_rate"] == {"24": 2, "60": 1}
    assert "`target_fps=24`" in finding.remedy


@pytest.mark.parametrize(
    ("rates", "options"),
    [
        ([(24, 17), (60, 33)], {}),  # no bucket has both
        ([(Fraction(30000, 1001), 17), (30, 17)], {}),
        ([(24, 17), (25, 17)], {}),
        ([(24, 17), (60, 17)], {"target_fps": 12, "frame_buckets": (5,)}),
        ([(24, 1), (60, 1)], {}),  # nothing moves
        ([(24, 50), (60, 80)], {"clip_mode": "all-frames-stride", "frame_buckets": (17,)}),
    ],
)
def test_clips_that_last_equally_long(rates, options) -> None:
    assert check_dataset(Code.RATES_DIFFER, of_rates(*rates, **options)) == []


def test_a_clip_of_which_no_chosen_bucket_keeps_enough() -> None:
    info = media(854, 480, 9)
    chosen = policy(buckets="auto", num_buckets=1).with_buckets([Bucket(9, 224, 320)])
    plan = place(info, chosen)
    (finding,) = check(Code.LITTLE_KEPT, Subject(sample(), chosen, _media=info, _plan=plan))
    assert "of 854×480" in finding.message
    assert "320×224, would keep 18%" in finding.message
    lenient = policy(buckets="auto", min_kept=0.1).with_buckets([Bucket(9, 224, 320)])
    plan = place(info, lenient)
    assert check(Code.LITTLE_KEPT, Subject(sample(), lenient, _media=info, _plan=plan)) == []


def test_a_share_of_the_dataset_that_is_lost() -> None:
    over = overview(*"abcdefghij")
    over.buckets, over.left_out = Counter({Bucket(9, 64, 96): 8}), Counter({"VP302": 1})
    over.planned = 8
    (finding,) = check_dataset(Code.DATASET_LOSS, over)
    assert "2 of 10 samples (20%) are skipped: VP302 1×, not usable as they are listed 1×" in (
        finding.message
    )
    assert check_dataset(Code.DATASET_LOSS, over, share=0.2) == []


def test_rules_describe_themselves() -> None:
    for code, rule in RULES.items():
        assert code == rule.code == Code(code).value
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
        assert rule.summary.endswith(".")
        for text in (rule.__doc__, rule.why, rule.example, rule.remedy):
            assert text
            assert text.strip()
        assert rule.needs
        assert issubclass(rule, Validator | DatasetValidator | ReaderRule)
        for option in rule.Options.model_fields.values():
            assert option.description
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


def test_every_code_has_a_rule_or_belongs_to_encoding() -> None:
    of_encoding = [reason.code for reason in REASONS]
    assert of_encoding == [
        "VP401",
        "VP402",
        "VP403",
        "VP404",
        "VP405",
        "VP406",
        "VP407",
        "VP408",
        "VP409",
    ]
    assert {code.value for code in Code} - set(RULES) == set(of_encoding)


def test_the_pages_about_rules_are_up_to_date() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert there == pages(), "run: python docs/make_rules.py"


def test_a_file_that_is_cut_off_is_told_with_its_frames() -> None:
    for announced, more in ((49, ", its header announces 49"), (0, "")):
        info = replace(media(96, 64, 30), cut_off=True, header_frames=announced)
        [finding] = check(Code.TRUNCATED, Subject(sample(), policy(), _media=info))
        assert finding.message == f"the file is cut off after 30 frames{more}"


def test_what_is_advised_begins_in_lower_case() -> None:
    for rule in (cls() for cls in built_in().values()):
        remedy = rule.finding("list.txt", "wrong").remedy
        assert not remedy or remedy[0].islower() or remedy[1:2].isupper() or remedy[0] == "`"


def test_what_quiets_a_crop_is_advised(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", width=64, height=96)
    write_lists(tmp_path, ["a"], ["a.mp4"])
    options: dict[str, Any] = {"reshape": "center-crop", "buckets": ("1x32x64",)}
    [finding] = [f for f in vp.validate(tmp_path, **options).findings if f.code == "VP306"]
    share = float(finding.remedy.partition("'share': ")[2].partition("}")[0])
    quiet = {"VP306": {"share": share}}
    report = vp.validate(tmp_path, **options, rule_options=quiet)
    assert "VP306" not in report.by_code


def test_a_picture_that_fits_no_bucket_is_not_called_smaller(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", width=32, height=256)
    write_lists(tmp_path, ["a"], ["a.mp4"])
    report = vp.validate(tmp_path, reshape="center-crop", buckets=("1x64x64",))
    [finding] = [f for f in report.findings if f.code == "VP301"]
    assert finding.message == "32×256 fits no bucket without being enlarged"
