"""What a request to a server is made of."""

from __future__ import annotations

import os
import subprocess
import sys

_HASH = """
import hashlib
from fractions import Fraction
from videoprep.captions.chat_request import video_file
from videoprep.demo.scenes import pictures, scenes

for scene in scenes():
    frames = list(pictures(scene, range(scene.frames)))
    print(hashlib.sha256(video_file(frames, Fraction(8))).hexdigest())
"""


def test_every_process_sends_the_same_video() -> None:
    def sent(filler: int) -> str:
        # The C library fills memory that it hands out: who reads what nobody wrote, reads that.
        environment = {**os.environ, "MALLOC_PERTURB_": str(filler)}
        command = [sys.executable, "-c", _HASH]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    first = sent(85)
    assert first
    assert sent(170) == first
