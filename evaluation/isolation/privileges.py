"""What a box gives up of its own accord before it sees a candidate."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
CAPABILITY_VERSION = 0x20080522


def die_with_parent() -> None:
    """End this process when the one that forked it ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_from_peers() -> None:
    """Keep other processes of the same user from reading this one's memory and files."""
    _prctl(PR_SET_DUMPABLE, 0)


def enter_empty_root(folder: str) -> None:
    """Make an empty folder the root.

    Raises:
        OSError: the right to do so is missing.
    """
    os.chroot(folder)
    os.chdir("/")


def drop_capabilities() -> None:
    """Give up every capability, for root too.

    Raises:
        OSError: the kernel refused.
    """
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(ctypes.byref(header), ctypes.byref(nothing)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
