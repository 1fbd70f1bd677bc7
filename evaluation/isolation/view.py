"""The view: bubblewrap gives the warm parent its own mounts, processes, network and host name.

Inside there is nothing but the interpreter, its packages and the system's libraries, all read
only, and an empty folder that each box makes its root before it sees a candidate. No folder can
be written, so a box can neither fill a disk nor leave anything behind. bubblewrap is asked for a
user namespace, so it works for root and for an ordinary user alike; it must not be installed
set-user-id. Nothing that a box could have written is ever mounted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

EMPTY_ROOT = "/empty"
TRIAL_SECONDS = 10
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
EXTRA = ("/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system/cpu")
NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
GPU_DEVICES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps")


def missing(environment: Mapping[str, str]) -> str:
    """Try the view out; return why it cannot be had, or nothing."""
    return _missing(tuple(sorted(environment.items())))


@cache
def _missing(environment: tuple[tuple[str, str], ...]) -> str:
    if sys.platform != "linux":
        return f"bubblewrap needs Linux, this is {sys.platform}"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    # -S leaves out the packages: what is tried is the view, not what stands in it.
    trial = command([sys.executable, "-I", "-S", "-c", "pass"])
    try:
        done = subprocess.run(
            trial, env=dict(environment), capture_output=True, timeout=TRIAL_SECONDS, text=True
        )
    except subprocess.TimeoutExpired:
        return "bubblewrap did not answer"
    said = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else f"status {done.returncode}")


def command(inner: Sequence[str]) -> list[str]:
    """Return the command line that runs `inner` as process 1 of its own view."""
    bwrap = shutil.which("bwrap") or "bwrap"
    mounts = [part for path in SYSTEM for part in _system(Path(path))]
    for path in (*EXTRA, *readable()):
        mounts += ["--ro-bind-try", str(path), str(path)]
    quiet = ["--proc", "/proc", "--dev", "/dev", "--size", "4096", "--tmpfs", "/dev/shm"]
    devices = [part for path in gpu_devices() for part in ("--dev-bind-try", path, path)]
    closed = ["--dir", EMPTY_ROOT, "--remount-ro", "/dev", "--remount-ro", "/"]
    identity = ["--uid", "65534", "--gid", "65534", "--hostname", "box"]
    # The one right that is left is for the empty root; each box gives it up there.
    rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SYS_CHROOT", "--as-pid-1", "--chdir", "/"]
    # torch asks for a folder for temporary files when it is imported, and never uses it.
    rights += ["--setenv", "TORCHINDUCTOR_CACHE_DIR", EMPTY_ROOT]
    return [bwrap, *NAMESPACES, *mounts, *quiet, *devices, *closed, *identity, *rights, *inner]


def _system(path: Path) -> list[str]:
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)] if path.is_dir() else []


def readable() -> list[Path]:
    """Folders that the interpreter needs: its own, those of packages, and this package's.

    An installation from a checkout is shown by its folders of code only: beside them stand `.env`
    and the runs.
    """
    prefixes = [Path(sys.base_prefix), Path(sys.prefix), Path(sys.executable).parent]
    packages = [Path(p) for p in sys.path if p.endswith(("site-packages", "dist-packages"))]
    ours = Path(str(resources.files("move37")))
    linked = [path.resolve() for path in ours.iterdir() if path.is_symlink()]
    found = [*prefixes, *packages, ours, *linked]
    outer = [p for p in dict.fromkeys(found) if p.exists() and not p.is_relative_to("/usr")]
    return sorted(outer, key=lambda path: len(path.parts))


def gpu_devices() -> list[str]:
    """Device files of CUDA, where there are any."""
    cards = [p.name for p in Path("/dev").glob("nvidia[0-9]*")]
    return [f"/dev/{n}" for n in (*GPU_DEVICES, *cards) if Path(f"/dev/{n}").exists()]
