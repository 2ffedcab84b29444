"""The reasons for which clips are set aside or left out once a plan is made: VP401 and on.

They come up where clips are encoded, exported or imported, not where a dataset is validated; so
they are no rules. `videoprep rules CODE` explains both.
"""

from __future__ import annotations

from dataclasses import dataclass

from videoprep.errors import Code


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


_RETRY = "`videoprep encode … --retry-failed` takes up again what was set aside."

REASONS = (
    Reason(
        Code.DECODE_FAILED.value,
        "decode-failed",
        "Frames of the clip are missing or do not decode.",
        "The file is damaged further in than its first frame, or ends before the clip does; or "
        "its pictures change their size on the way. `videoprep validate` looks at every frame "
        "only with `--select default,damaged`.",
        "Copy the file again or re-encode it, and run the same command again: a changed file is"
        " planned anew. If the file is sound, for instance because a network drive was away: "
        + _RETRY,
    ),
    Reason(
        Code.NOT_FINITE.value,
        "not-finite",
        "The model gave values that are not finite for this clip.",
        "An encoder overflowed in the chosen dtype, mostly in float16. An encoder that does so "
        "with everything is refused before the first clip.",
        "Encode with `--dtype bf16` or `--dtype fp32`, or with `--text-encoder-dtype fp32` "
        "where it is the text encoder; another dtype is another recipe, so the rest is made "
        "anew, too.",
    ),
    Reason(
        Code.SOURCE_CHANGED.value,
        "source-changed",
        "The video is gone, or is not the one that was planned any more.",
        "It was moved, deleted or written to after `videoprep index`. Without `--on-missing "
        "skip` this stops the run, and no clip is listed.",
        "Plan anew: run `videoprep index` or `videoprep encode` on the dataset. Where the whole"
        " dataset was moved, `--data-root` says where it is.",
    ),
    Reason(
        Code.OUT_OF_MEMORY.value,
        "out-of-memory",
        "The device's memory does not suffice for this clip, not even alone and in tiles.",
        "The bucket is too large for the device, or another program holds its memory.",
        "Free the device; or plan smaller buckets (`--max-pixels`, `--max-num-frames`). For a "
        "large text encoder: `--text-encoder-dtype bf16` or `int8`. Then: " + _RETRY,
    ),
    Reason(
        Code.KILLS_ITS_PROCESS.value,
        "kills-its-process",
        "The encoding process died again and again while it worked on this clip.",
        "Something ended the process without a word: mostly the kernel for lack of host memory "
        "(`dmesg` says `Out of memory`), a driver that crashed, or a job's memory limit.",
        "Look into the system's log, give the job more memory or fewer `--decode-workers`. "
        "Then: " + _RETRY,
    ),
    Reason(
        Code.NOT_IMPORTABLE.value,
        "not-importable",
        "A clip's precomputed files are missing, damaged, or not what their trainer reads.",
        "`videoprep import` takes only what it can check: shape, type and finite values of each"
        " tensor, and that each file belongs to one clip.",
        "Precompute the clip again there, or encode it here; the reason names the file.",
    ),
)
"""All of them, in the order of their codes."""


def reason_of(name: str) -> Reason | None:
    """The reason of a code or name, or None."""
    known = (r for r in REASONS if name.upper() == r.code or name.lower() == r.name)
    return next(known, None)
