"""The current captions of all samples, kept up to date with what others add to the journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from videoprep.spec.current_captions import CaptionState, CurrentCaptions
from videoprep.spec.sample import Sample


class LiveCaptions:
    """What is known about the caption of each sample, as of the last `refresh`.

    Args:
        captions: those in the journal.
        samples: as the dataset writes them.
        clips: their keys in the journal; see `videoprep.spec.caption_journal.clip_key`.
    """

    def __init__(
        self, captions: CurrentCaptions, samples: Sequence[Sample], clips: Iterable[str]
    ) -> None:
        self.captions = captions
        self.states: list[CaptionState] = []
        """In the order of the samples."""
        self._written = samples
        self._positions: dict[str, int | list[int]] = {}  # copies of a file share their key
        for position, (sample, clip) in enumerate(zip(samples, clips, strict=True)):
            self.states.append(captions.state(sample, clip))
            if clip:
                self._add(clip, position)

    def positions(self, clip: str) -> Sequence[int]:
        """Return the positions of the samples that have a key; copies of a file share theirs."""
        found = self._positions.get(clip, [])
        return [found] if isinstance(found, int) else found

    def refresh(self) -> list[int]:
        """Read what was added to the journal, and return the positions of what changed."""
        changed = []
        for clip in self.captions.update():
            for position in self.positions(clip):
                self.states[position] = self.captions.state(self._written[position], clip)
                changed.append(position)
        return changed

    def _add(self, clip: str, position: int) -> None:
        known = self._positions.setdefault(clip, position)
        if isinstance(known, list):
            known.append(position)
        elif known != position:
            self._positions[clip] = [known, position]
