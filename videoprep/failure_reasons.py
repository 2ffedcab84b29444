"""The reasons for which clips fail or are skipped once a plan is made: VP401 and on.

They come up where clips are encoded, exported or imported, not where a dataset is validated; so
they are no rules. `videoprep rules CODE` explains both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from videoprep.errors import Code
from videoprep.shell import command_line


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, explained.

    Attributes:
        code: ``VP`` and three digits.
        name: a short name in words, joined by hyphens.
        summary: what happened, in one sentence.
        why: how it comes.
        remedy: what to do next.
    """

    code: str
    name: str
    summary: str
    why: str
    remedy: str

    @property
    def page(self) -> str:
        """The reason as a page of Markdown."""
        return (
            f"# {self.code} {self.name}\n\n{self.summary}\n\n## Why\n\n{self.why}\n\n"
            f"## Remedy\n\n{self.remedy}\n"
        )


def _reason(code: Code, summary: str, why: str, remedy: str) -> Reason:
    return Reason(code.value, code.name.lower().replace("_", "-"), summary, why, remedy)


_RETRY = "the same command with `retry_failed=True` takes up again what failed."

_ALLOW = "run the same command with `allow_damaged=True`."

REASONS = (
    _reason(
        Code.DECODE_FAILED,
        "Frames of the clip are missing or do not decode.",
        "The file is damaged further in than its first frame, or ends before the clip does. "
        "`videoprep validate` looks at every frame only with `select=['default', 'damaged']`.",
        "Copy the file again or re-encode it, and run the same command again: a changed file is"
        " planned again. If the file is intact, for example because a network drive was offline: "
        + _RETRY,
    ),
    _reason(
        Code.NOT_FINITE,
        "The model gave values that are not finite for this clip.",
        "An encoder overflowed in the chosen dtype, mostly in float16. An encoder that does so "
        "with everything is refused before the first clip.",
        "Encode with `dtype='bf16'` or `dtype='fp32'`, or with `text_encoder_dtype='fp32'` "
        "where it is the text encoder; another dtype is another recipe, so the rest is made "
        "anew, too.",
    ),
    _reason(
        Code.SOURCE_CHANGED,
        "The video is gone, or is not the one that was planned any more.",
        "It was moved, deleted or written to after `videoprep index`. Without "
        "`on_missing='skip'` this stops the run, and no clip is listed.",
        "Plan anew: run `videoprep index` or `videoprep encode` on the dataset. Where the whole"
        " dataset was moved, `data_root` says where it is.",
    ),
    _reason(
        Code.OUT_OF_MEMORY,
        "The device's memory does not suffice for this clip, not even alone and in tiles.",
        "The bucket is too large for the device, or another program holds its memory.",
        "Free the device; or plan smaller buckets (`max_pixels`, `max_num_frames`). For a "
        "large text encoder: `text_encoder_dtype='bf16'` or `text_encoder_dtype='int8'`. Then: "
        + _RETRY,
    ),
    _reason(
        Code.KILLS_ITS_PROCESS,
        "The process died again and again while it worked on this clip.",
        "Something ended the process without a word: mostly the kernel for lack of host memory "
        "(`dmesg` says `Out of memory`), a driver that crashed, or a job's memory limit.",
        "Look into the system's log, give the job more memory or, to encode, fewer "
        "`decode_workers`. Then: " + _RETRY,
    ),
    _reason(
        Code.NOT_IMPORTABLE,
        "A clip's precomputed files are missing, damaged, or not what their trainer reads.",
        "`videoprep import` takes only what it can check: shape, type and finite values of each"
        " tensor, and that each file belongs to one clip.",
        "Precompute the clip again there, or encode it here; the reason names the file.",
    ),
    _reason(
        Code.DAMAGED_FRAMES,
        "Frames of the clip are damaged.",
        "Bytes of the file are wrong. Decoders conceal that with smears and blocks, and complain "
        "in their log. All frames that refer to a damaged one count as damaged, up to the next key "
        "frame.",
        "Copy or download the file again, and run the same command again. To take damaged frames "
        "all the same: " + _ALLOW,
    ),
    _reason(
        Code.CHANGES_MIDWAY,
        "Frames of the clip differ in size, format or colour tags from the first of the video.",
        "A recording was switched to another size on the way, or two files were joined. The plan "
        "holds for frames like the first.",
        "Cut the video where it changes, or choose a range before that, and plan again. Retrying "
        "without a change fails again.",
    ),
    _reason(
        Code.DAMAGED_SOUND,
        "The sound of the clip is damaged, or does not span the clip.",
        "Bytes of the file are wrong, or packets of its sound are missing. Decoders give silence "
        "or noise for them, and complain in their log. Where a model is trained with sound, sound "
        "that lacks more than 0.1 s at its ends counts as damaged.",
        "Copy or download the file again, and run the same command again. To take damaged sound "
        "all the same: " + _ALLOW + " To export pictures alone: "
        f"`{command_line('export', '…', to='media', sound=False)}`.",
    ),
)
"""All of them, in the order of their codes."""


_REPLACE = (
    "clips that do not decode need another file: copy or download it again, or re-encode it, "
    "and run the same command again"
)

# What helps if a retry without a change fails again.
_HELPS: dict[str, str] = {
    Code.DECODE_FAILED: _REPLACE,
    Code.UNREADABLE: _REPLACE,
    Code.DECODER_CRASH: _REPLACE,
    Code.DAMAGED_FRAMES: "clips with damaged frames are taken with `allow_damaged=True`; "
    "it is better to copy or download the files again",
    Code.DAMAGED_SOUND: "clips with damaged sound are taken with `allow_damaged=True`; it is "
    "better to copy or download the files again",
    Code.CHANGES_MIDWAY: "a video that changes midway has to be cut where it changes, and planned "
    "again",
    Code.NOT_FINITE: "clips whose values are not finite need another dtype, such as `dtype='fp32'`",
}


def what_helps(codes: Iterable[str]) -> Iterator[str]:
    """Say in sentences what helps clips that failed for these reasons."""
    found = set(codes)
    left = found - _HELPS.keys()
    yield from dict.fromkeys(advice for code, advice in _HELPS.items() if code in found)
    if left:
        what = "what" if left == found else "what else"
        yield f"{what} failed is tried again with `retry_failed=True`"


def reason_of(name: str) -> Reason | None:
    """The reason of a code or name, or None."""
    known = (r for r in REASONS if name.upper() == r.code or name.lower() == r.name)
    return next(known, None)
