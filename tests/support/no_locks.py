"""Runs a program on a kernel that has no file locks.

``python -m tests.support.no_locks ENOLCK PROGRAM …``

So do some network file systems answer. A filter of system calls answers `flock` and the locks of
`fcntl` for the program and all that it starts.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import struct
import sys

_NUMBERS = {"x86_64": (72, 73), "aarch64": (25, 32)}
"""Of the system calls `fcntl` and `flock`."""

_SET_SECCOMP, _FILTER, _NO_NEW_PRIVILEGES = 22, 2, 38
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_CALL, _COMMAND = 0, 24  # where the filter finds the call and its second argument
_OFD_LOCK = 37


def is_possible() -> bool:
    """Whether this machine's system calls can be answered."""
    return sys.platform == "linux" and platform.machine() in _NUMBERS


def forbid_locks(number: int) -> None:
    """Lets every lock fail with an error, from now on and for good."""
    control, flock = _NUMBERS[platform.machine()]
    steps = (
        (_LOAD, 0, 0, _CALL),
        (_EQUAL, 5, 0, flock),
        (_EQUAL, 0, 3, control),
        (_LOAD, 0, 0, _COMMAND),
        (_EQUAL, 2, 0, fcntl.F_SETLK),
        (_EQUAL, 1, 0, _OFD_LOCK),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | number),
    )
    program = b"".join(struct.pack("=HBBI", *step) for step in steps)
    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(steps), ctypes.addressof(code))
    library = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, described, 0, 0)):
        if library.prctl(*call):
            raise OSError(ctypes.get_errno(), "system calls cannot be filtered")


if __name__ == "__main__":
    forbid_locks(getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
