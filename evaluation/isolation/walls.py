"""The walls around a box, by name, and the order in which they go up.

What is asked for and what the machine offers are compared once (`obtainable`); a box raises what
its warm parent was told to raise, and does not start when one fails.
"""

from __future__ import annotations

import resource
from collections.abc import Collection, Mapping
from typing import Literal, get_args

from move37.evaluation.isolation import landlock, privileges, seccomp, view

Wall = Literal[
    "bubblewrap",
    "landlock",
    "seccomp",
    "capabilities",
    "environment",
    "memory",
    "cpu",
    "output",
    "descriptors",
]
WALLS: tuple[Wall, ...] = get_args(Wall)
# Those that a system may lack; the others are there wherever Python runs on Unix.
OPTIONAL: tuple[Wall, ...] = ("bubblewrap", "landlock", "seccomp")
CLEAN_ENVIRONMENT = "clean-environment"
OPEN_FILES = 64
NO_LIMIT = resource.RLIM_INFINITY


def missing(environment: Mapping[str, str]) -> dict[Wall, str]:
    """Return the walls that this machine cannot raise, each with the reason."""
    absent: dict[Wall, str] = {}
    if why := view.missing(environment):
        absent["bubblewrap"] = why
    if landlock.version() == 0:
        absent["landlock"] = "this kernel has no Landlock (Linux 5.13 or newer, switched on)"
    if not seccomp.supported():
        absent["seccomp"] = "no seccomp filter for this system and processor"
    return absent


def tier_name(raised: Collection[Wall]) -> str:
    """Return the name of a set of walls, as it is stamped into records."""
    return "+".join(wall for wall in OPTIONAL if wall in raised) or CLEAN_ENVIRONMENT


def pack(walls: frozenset[Wall]) -> int:
    """Turn names into the bits that travel to the warm parent."""
    return sum(1 << index for index, wall in enumerate(WALLS) if wall in walls)


def unpack(bits: int) -> frozenset[Wall]:
    """Turn the bits back into names."""
    return frozenset(wall for index, wall in enumerate(WALLS) if bits >> index & 1)


def raise_around(
    walls: frozenset[Wall], limits: tuple[int, int, int], *, cuda: bool = False
) -> None:
    """Put this process, which has one thread and no candidate yet, behind its walls.

    `limits` are bytes of address space, seconds of CPU and bytes of a file. With `cuda` the
    libraries of packages stay readable, the GPU's devices open, threads allowed, and the address
    space unlimited, because CUDA reserves far more than it uses.

    Raises:
        OSError: a wall cannot be raised.
    """
    memory, cpu, output = limits
    if "bubblewrap" in walls and not cuda:
        privileges.enter_empty_root(view.EMPTY_ROOT)
    if "capabilities" in walls:
        privileges.drop_capabilities()
        privileges.hide_from_peers()
        landlock.forbid_new_privileges()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, memory if "memory" in walls and not cuda else NO_LIMIT)
    _limit(resource.RLIMIT_CPU, cpu if "cpu" in walls else NO_LIMIT)
    _limit(resource.RLIMIT_FSIZE, output if "output" in walls else NO_LIMIT)
    if "descriptors" in walls:
        _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    if "landlock" in walls:
        landlock.restrict(*_cuda_paths() if cuda else ())
    if "seccomp" in walls:
        seccomp.restrict(threads=cuda)


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, value) if hard == NO_LIMIT else (min_limit(value, hard),) * 2)


def min_limit(value: int, hard: int) -> int:
    """Return the tighter of two limits, of which one may be infinite."""
    return hard if value == NO_LIMIT else min(value, hard)


def _cuda_paths() -> tuple[tuple[str, ...], tuple[str, ...]]:
    libraries = [str(path) for path in view.readable()]
    # The driver names its threads by writing below /proc when it starts.
    return ("/usr", "/sys", *libraries), ("/proc", *view.gpu_devices())
