"""A profile: which sizes and frame counts are legal. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from videoprep.families.component import (
    CONTROL_LATENTS,
    IMAGE_LATENTS,
    REFERENCE_LATENTS,
    VIDEO_LATENTS,
    ComponentSpec,
    prompt_embeds,
    whole_clips,
)
from videoprep.families.moments import MOMENTS, PosteriorForm

_PLAIN_STYLE = (
    "One paragraph of plain, concrete prose in the present tense: the subject and what it looks "
    "like, what it does, then the surroundings, the light and the camera."
)


@dataclass(frozen=True, slots=True)
class FrameRule:
    """Clips of ``step × k + offset`` frames, and how many latent frames the VAE makes of them.

    ``FrameRule(4, 1)`` is 4k+1 frames, of which k+1 are made: the first frame is alone in its own.
    ``FrameRule(17, 5, 5, 2)`` is 17k+5 frames, of which 5k+2 are made.
    """

    step: int
    offset: int
    latent_step: int = 1
    """Latent frames of ``step`` frames."""
    latent_offset: int | None = None
    """Latent frames of ``offset`` frames; None: one if there is an offset."""

    def accepts(self, frames: int) -> bool:
        """Whether ``frames`` is of this form."""
        return frames >= 1 and frames % self.step == self.offset % self.step

    def latent_frames(self, frames: int) -> int:
        """Return how many latent frames the VAE makes of a count that the rule accepts."""
        return self.latent_step * ((frames - self.offset) // self.step) + self._latent_offset

    def groups(self, frames: int) -> tuple[int, ...]:
        """Return how many frames go into each latent frame of a count that the rule accepts.

        Of 4k+1 frames the first is alone: 1, 4, 4 …; of 4k frames 4 go into each. A VAE that makes
        several latent frames of ``step`` frames takes these together from the beginning on: of
        17k+5 frames, of which 5k+2 are made, 1, 4, 4, 4, 4 of each 17, then 1, 4 of the 5.
        """
        rest = self._groups_of(self.offset, self._latent_offset)
        steps = self._groups_of(self.step, self.latent_step) * ((frames - self.offset) // self.step)
        return (*rest, *steps) if self.latent_step == 1 else (*steps, *rest)

    def _groups_of(self, frames: int, latent_frames: int) -> tuple[int, ...]:
        """All but the first have equally many; the first has what they leave."""
        each = -(-self.step // self.latent_step)
        further = max(0, latent_frames - 1)
        return (frames - further * each, *[each] * further) if latent_frames else ()

    def frames_of(self, latent_frames: int) -> int | None:
        """Return the count of which so many latent frames are made; None if there is none."""
        steps, rest = divmod(latent_frames - self._latent_offset, self.latent_step)
        frames = self.step * steps + self.offset
        return frames if not rest and steps >= 0 and frames >= 1 else None

    @property
    def _latent_offset(self) -> int:
        return int(self.offset > 0) if self.latent_offset is None else self.latent_offset

    def __str__(self) -> str:
        return f"{self.step}k+{self.offset}" if self.offset else f"{self.step}k"


@dataclass(frozen=True, slots=True)
class Profile:
    """Which clips are legal.

    Attributes:
        name: how it is asked for.
        divisor: width and height are multiples of it, in pixels.
        frame_rules: a frame count must keep one of them. They say how many latent frames there are.
        compression: pixels a side of a latent pixel.
        patch: latent pixels a side of a token.
        latent_channels: of a latent; moments have twice as many.
        fps: frames a second that the model was trained at; None: any.
        num_frames: frames of a clip that the model makes by default; None: any.
        models: the models that it is meant for, as their users call them.
        components: what models of the family make, those for captions first.
        of_some_families: what models of only some of the families make that keep to it, of media
            beside videos.
        stills: whether the family trains on still images, too, as clips of one frame.
        prominence: how many people train the models, roughly: 3 for those that the bundled trainer
            trains, 2 for many, 0 for few. Lists of profiles begin with the highest.
        caption_style: how the captions read that the models were trained on, as an instruction to a
            language model.
    """

    name: str
    divisor: int
    frame_rules: tuple[FrameRule, ...]
    compression: int = 8
    patch: int = 2
    latent_channels: int = 16
    fps: float | None = None
    num_frames: int | None = None
    models: str = ""
    components: tuple[ComponentSpec, ...] = (
        prompt_embeds(226, 4096),
        VIDEO_LATENTS,
        IMAGE_LATENTS,
    )
    of_some_families: tuple[ComponentSpec, ...] = ()
    stills: bool = False
    prominence: int = 0
    caption_style: str = _PLAIN_STYLE

    @property
    def frame_step(self) -> int:
        """Frames that become one latent frame, after the first."""
        rule = self.frame_rules[0]
        return max(1, rule.step // rule.latent_step)

    def accepts_size(self, width: int, height: int) -> bool:
        """Whether both sides are positive multiples of the divisor."""
        return all(side > 0 and side % self.divisor == 0 for side in (width, height))

    def accepts_frames(self, frames: int) -> bool:
        """Whether the count keeps one of the frame rules; one frame may be a still image."""
        if self.stills and frames == 1:
            return True
        return any(rule.accepts(frames) for rule in self.frame_rules)

    def size_within(self, width: int, height: int) -> tuple[int, int] | None:
        """The largest legal ``(width, height)`` not above the given one."""
        within = (width - width % self.divisor, height - height % self.divisor)
        return within if all(within) else None

    def is_like(self, other: Profile) -> bool:
        """Return whether a plan for one is a plan for the other: the same clips, at the same rate.

        ``cogvideox`` and ``cogvideox1.5`` accept the same sizes and lengths, but the models were
        trained at 8 and 16 frames a second: a plan for one would show the other half speed.
        """
        return (self.divisor, self.frame_rules, self.fps) == (
            other.divisor, other.frame_rules, other.fps
        )  # fmt: skip

    def nearest_sizes(self, width: int, height: int) -> list[tuple[int, int]]:
        """The legal sizes around ``(width, height)``: both sides down, and both up."""
        down = self.size_within(width, height)
        up = (width + -width % self.divisor, height + -height % self.divisor)
        return [size for size in dict.fromkeys((down, up)) if size is not None]

    def frames_within(self, frames: int) -> int | None:
        """The largest legal count not above ``frames``."""
        return next((n for n in range(frames, 0, -1) if self.accepts_frames(n)), None)

    def nearest_frames(self, frames: int) -> list[int]:
        """The legal counts next below and next above."""
        above = frames + 1
        while not self.accepts_frames(above):
            above += 1
        below = self.frames_within(frames - 1)
        return [above] if below is None else [below, above]

    def latent_frames(self, frames: int) -> int:
        """Return how many latent frames a clip has; a single frame, which is an image, has one.

        Raises:
            ValueError: the count breaks the frame rules.
        """
        return 1 if frames == 1 else self._rule_of(frames).latent_frames(frames)

    def frame_groups(self, frames: int) -> tuple[int, ...]:
        """Return how many frames of a clip go into each of its latent frames, by the frame rules.

        Raises:
            ValueError: the count breaks the frame rules.
        """
        return (1,) if frames == 1 else self._rule_of(frames).groups(frames)

    def _rule_of(self, frames: int) -> FrameRule:
        for rule in self.frame_rules:
            if rule.accepts(frames):
                return rule
        raise ValueError(f"{frames} frames are not {self.frame_rule()}, as {self.name!r} takes")

    def frames_of(self, latent_frames: int) -> int | None:
        """Return the smallest legal count that has so many latent frames; None if there is none."""
        found = (rule.frames_of(latent_frames) for rule in self.frame_rules)
        return min((frames for frames in found if frames is not None), default=None)

    def latent_tokens(self, frames: int, height: int, width: int) -> int:
        """How many tokens the transformer sees of a clip of that many pixels."""
        side = self.compression * self.patch
        return self.latent_frames(frames) * (height // side) * (width // side)

    @property
    def whole_clips(self) -> ComponentSpec:
        """The component of the latents of whole clips; the usual one if the profile names none."""
        return whole_clips(self.components) or VIDEO_LATENTS

    def moments_shape(
        self, frames: int, height: int, width: int, form: PosteriorForm = MOMENTS
    ) -> tuple[int, int, int, int]:
        """Shape ``(2 × C, F', H', W')`` of what is stored of a clip of that many pixels.

        A form without a spread has C channels.
        """
        sides = height // self.compression, width // self.compression
        return form.tensors * self.latent_channels, self.latent_frames(frames), *sides

    def frame_rule(self) -> str:
        """The frame rules in words, for instance ``4k or 4k+1``."""
        return " or ".join(str(rule) for rule in self.frame_rules)

    def breach(self, frames: int) -> str:
        """Say of a count that breaks the frame rules that it does."""
        rules = list(map(str, self.frame_rules))
        said = f"neither {' nor '.join(rules)}" if len(rules) > 1 else f"not {rules[0]}"
        return f"{frames} frames are {said}"

    def describe(self) -> str:
        """Describe the profile in a line: its models, sides, frames and rate."""
        parts = [f"sides divisible by {self.divisor}", f"{self.frame_rule()} frames"]
        parts += [f"{self.num_frames} by default"] if self.num_frames is not None else []
        parts += [f"{self.fps:g} fps"] if self.fps is not None else []
        rules = ", ".join(parts)
        return f"{self.models}: {rules}" if self.models else rules


DEFAULT = Profile(
    "default",
    divisor=32,
    frame_rules=(FrameRule(4, 0), FrameRule(4, 1)),
    models="the documented rule of the dataset format",
    of_some_families=(CONTROL_LATENTS, REFERENCE_LATENTS),
    stills=True,
)
"""The documented rule of the dataset format: sides divisible by 32; 4k or 4k+1 frames."""
