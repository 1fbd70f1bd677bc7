"""seccomp: the kernel refuses a box every system call that a mixer has no use for.

A list of what is refused rather than of what is allowed: torch and its drivers change, and the
view, Landlock and the limits stand behind this list. A refused call fails with an error number and
does not kill, so that honest libraries that only probe survive. The filter is classic BPF over
`struct seccomp_data` (seccomp(2)), assembled here for x86-64 and AArch64; the tests run on x86-64.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
PR_SET_SECCOMP, MODE_FILTER = 22, 2
PR_GET_SECCOMP = 21
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_MM = 1, 4, 35
CLONE_THREAD = 0x10000
X32 = 0x40000000

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24

# Name: (number on x86-64, on AArch64); None where that architecture has no such call.
PROCESSES = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "setpriority": (141, 140),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
}
NETWORK = {
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # Its requests never pass this filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
FILES = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "quotactl": (179, 60),
    "swapon": (167, 224),
}
KERNEL = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "acct": (163, 89),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "settimeofday": (164, 170),
    "adjtimex": (159, 171),
    "syslog": (103, 116),
}
CLONE, CLONE3, TGKILL, PRCTL = (56, 220), (435, 435), (234, 131), (157, 167)
SOCKET, PRLIMIT = (41, 198), (302, 261)
FCNTL, IOCTL = (72, 25), (16, 29)
# A descriptor can be told to send a signal of choice to any process when it becomes ready.
SIGNAL_BY_FCNTL = {"F_SETOWN": 8, "F_SETSIG": 10, "F_SETOWN_EX": 15}
SIGNAL_BY_IOCTL = {"FIOSETOWN": 0x8901, "SIOCSPGRP": 0x8902, "FIOASYNC": 0x5452}


def supported() -> bool:
    """Whether this kernel takes a filter and its architecture is known here."""
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        return False
    return int(ctypes.CDLL(None).prctl(PR_GET_SECCOMP, 0, 0, 0, 0)) >= 0


def restrict(*, threads: bool = False) -> None:
    """Refuse this process, for good, new processes, sockets, signals and the like.

    `threads` allows new threads, which CUDA needs. The caller has given up new privileges.

    Raises:
        OSError: the kernel refused the filter.
    """
    program = assemble(platform.machine(), os.getpid(), threads)
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    described = Program(len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(described), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def assemble(machine: str, pid: int, threads: bool) -> bytes:
    """Return the BPF program for a process of this id on this architecture."""
    audit, column = ARCHITECTURES[machine]
    code = [_op(LOAD, ARCHITECTURE), _op(EQUAL, audit, 1, 0), _op(RETURN, KILL)]
    code.append(_op(LOAD, NUMBER))
    if machine == "x86_64":
        # The same calls under other numbers.
        code += [_op(AT_LEAST, X32, 0, 1), _op(RETURN, KILL)]
    for table in (PROCESSES, NETWORK, FILES, KERNEL):
        for numbers in table.values():
            if (number := numbers[column]) is not None:
                code += [_op(EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    code += [_op(EQUAL, SOCKET[column], 0, 1), _refuse(errno.EAFNOSUPPORT)]
    # The C library falls back to clone, whose flags can be looked at.
    code += [_op(EQUAL, CLONE3[column], 0, 1), _refuse(errno.ENOSYS)]
    # A process may end itself, as abort() does, but signal no other one.
    code += _only(TGKILL[column], _op(EQUAL, pid, 1, 0))
    # Limits are asked for oneself only.
    code += _only(PRLIMIT[column], _op(EQUAL, 0, 1, 0))
    for option in (PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_MM):
        code += _only(PRCTL[column], _op(EQUAL, option, 0, 1))
    for command in SIGNAL_BY_FCNTL.values():
        code += _only(FCNTL[column], _op(EQUAL, command, 0, 1), SECOND_ARGUMENT)
    for request in SIGNAL_BY_IOCTL.values():
        code += _only(IOCTL[column], _op(EQUAL, request, 0, 1), SECOND_ARGUMENT)
    thread = _op(ANY_BIT, CLONE_THREAD, 1, 0) if threads else _op(ANY_BIT, 0, 1, 0)
    code += _only(CLONE[column], thread)
    return b"".join([*code, _op(RETURN, ALLOW)])


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _op(RETURN, ERRNO | number)


def _only(number: int, test: bytes, argument: int = FIRST_ARGUMENT) -> list[bytes]:
    """Look at one argument of one call; `test` jumps over the refusal or falls into it."""
    return [
        _op(EQUAL, number, 0, 4),
        _op(LOAD, argument),
        test,
        _refuse(errno.EPERM),
        _op(LOAD, NUMBER),
    ]
