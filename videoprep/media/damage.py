"""Which frames of a video are damaged, told from what the decoder complains of.

Decoders conceal damage: they copy lost blocks from elsewhere, and mark only some of the frames.
What they complain of belongs to a packet; frames that are decoded later refer to its frame, up to
the next key frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import av
import av.logging

_LogLine = tuple[int, str, str]

# What decoders complain of although every pixel is right: messages that lie beside the picture.
_BESIDE_THE_PICTURE = (
    "SEI type", "Invalid SEI", "unable to decode APP fields",
    "mmco: unref short failure",  # a picture is no longer needed that never was there
)  # fmt: skip

# Key frames that are remembered, of those that come out of the decoder after others that are shown
# later: more than any decoder holds back.
_KEYS = 64


class DecoderLog:
    """What FFmpeg says of errors in this thread, while `listening`."""

    def __init__(self) -> None:
        self._lines: list[_LogLine] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Collect what is said meanwhile; repetitions, too, whichever file was the first."""
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture() as lines:
                try:
                    yield
                finally:
                    self._lines += lines
        finally:
            av.logging.set_level(None)

    def take(self) -> list[str]:
        """Return the errors so far and forget them: a hostile file says them without end."""
        texts = [text.strip() for level, _, text in self._lines if level <= av.logging.ERROR]
        self._lines.clear()
        return [text for text in texts if not text.startswith(_BESIDE_THE_PICTURE)]


class DamageTracker:
    """Follows packets in the order of decoding, and knows which frames complaints concern.

    A complaint concerns the frame of its packet and all that are decoded after it, until a key
    frame without one. Frames that are shown before that key frame but decoded after it may still
    refer to what lies before, and no others refer to them. For example, with packets ``I0 P4 B2 I8
    B6 P12``, whose numbers are times, and a complaint at ``P4``, the frames 4, 2 and 6 are damaged,
    and 8 and 12 are not.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._before: str | None = None
        self._key: int | None = None
        self._at_key = False
        self._frames: dict[int, str] = {}
        self._untimed: str | None = None
        self._keys: deque[int] = deque(maxlen=_KEYS)
        self._marked: int | None = None

    def restart(self, tick: int) -> None:
        """Forget what is decoded so far: decoding begins again at the key frame of this time."""
        self._reason = self._before = self._untimed = None
        self._key, self._at_key = tick, True
        self._marked = None
        self._keys.append(tick)
        self._frames.clear()

    def add(
        self, tick: int | None, is_key: bool, complaints: Sequence[str], *, lost: bool = False
    ) -> None:
        """Take a packet that was just given to the decoder.

        Args:
            tick: its presentation time; None if it has none.
            is_key: whether it holds a key frame to which all that follow may refer.
            complaints: what was said of it.
            lost: whether bytes are missing where it lies: then what follows is wrong, too.
        """
        leads = self._leads(tick)
        if complaints and leads and not lost:
            self._before = complaints[0]
        elif complaints:
            self._reason = complaints[0]
        elif is_key and tick is not None and tick != self._key:
            self._pass_key(tick)
        reason = self._before if leads and self._reason is None else self._reason
        if reason is not None and tick is not None:
            self._frames[tick] = reason
        elif reason is not None and not leads:
            self._untimed = reason

    def of(self, tick: int | None, is_corrupt: bool) -> str | None:
        """Return the complaint that concerns a frame that came out of the decoder, or None.

        Args:
            tick: when it is shown.
            is_corrupt: whether the decoder has marked it.
        """
        found = self._frames.pop(tick, None) if tick is not None else None
        if is_corrupt:
            self._marked = tick
            return found or "a frame is damaged"
        if found is None and self._marked is not None and tick is not None:
            if not any(self._marked < key <= tick for key in self._keys):
                return "it refers to a damaged frame"
            self._marked = None
        return found or self._untimed

    def _leads(self, tick: int | None) -> bool:
        """Whether a frame is shown before the last key frame.

        Containers in which time begins at 0 have no time for those before it: they follow the key
        frame directly.
        """
        if self._key is None:
            return False
        if tick is None:
            return self._at_key
        self._at_key = self._at_key and tick <= self._key
        return tick < self._key

    def _pass_key(self, tick: int) -> None:
        previous = self._key
        if previous is not None:  # what was never shown is not kept
            self._frames = {at: why for at, why in self._frames.items() if at >= previous}
        self._before, self._reason, self._untimed = self._reason, None, None
        self._key, self._at_key = tick, True
        self._keys.append(tick)
