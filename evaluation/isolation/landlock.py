"""Landlock: the kernel forbids this process files, TCP, abstract sockets and foreign signals.

Needs no privilege and no helper program (Linux 5.13 or newer; see landlock(7)). The rules bind the
calling thread and what it starts, so they are set while a box still has one thread. Not covered
by any version of it: UDP, MPTCP, Unix sockets with a path, and `stat`; those are seccomp's and
the view's.
"""

from __future__ import annotations

import ctypes
import os
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38
READ_FILE, READ_DIR, WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
IOCTL_DEVICE = 1 << 15
# Rights on a path that is no folder: execute, write, read, truncate, device control.
FILE_RIGHTS = 1 | WRITE_FILE | READ_FILE | 1 << 14 | IOCTL_DEVICE


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return the version that this kernel offers, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _syscall(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION))


def restrict(readable: tuple[str, ...] = (), devices: tuple[str, ...] = ()) -> None:
    """Forbid this process every file but reading below `readable` and using `devices`.

    What is open already stays open.

    Raises:
        OSError: the kernel refused; nothing is restricted then.
    """
    abi = version()
    handled = _file_rights(abi)
    attributes = _Ruleset(handled, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _checked(_syscall(CREATE_RULESET, ctypes.byref(attributes), size, 0))
    try:
        for path in readable:
            _allow(ruleset, path, (READ_FILE | READ_DIR) & handled)
        for path in devices:
            _allow(ruleset, path, (READ_FILE | WRITE_FILE | IOCTL_DEVICE) & handled)
        forbid_new_privileges()
        _checked(_syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def forbid_new_privileges() -> None:
    """Let no program that this process starts gain rights by set-user-id or file capabilities."""
    _checked(_libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _file_rights(abi: int) -> int:
    rights = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        rights |= (1 << bit) if abi >= since else 0
    return rights


def _allow(ruleset: int, path: str, rights: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        kept = rights if os.path.isdir(path) else rights & FILE_RIGHTS  # noqa: PTH112
        rule = _PathBeneath(kept, folder)
        _checked(_syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(folder)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(*arguments: object) -> int:
    result: int = _libc().syscall(*arguments)
    return result


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
