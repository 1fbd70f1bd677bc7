"""What this machine offers, asked of the system; torch is not imported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from move37.records import UserError, Value

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")
GPU_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
GPU_SECONDS = 10


class Gpu(Value):
    """One graphics card that the driver's own tool lists; memory in bytes."""

    name: str
    memory: int


def usable_cores() -> float:
    """Return the cores that this process may use, by affinity and by the control group's quota."""
    allowed = float(
        len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    )
    quota, _, period = _cgroup("cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        allowed = min(allowed, int(quota) / int(period))
    return allowed


def usable_memory() -> int:
    """Return the bytes of memory of this machine, or of the control group where that is less."""
    total = int(psutil.virtual_memory().total)
    limit = _cgroup("memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def _cgroup(name: str) -> str:
    """Return a file of this process's control group, version 2, or nothing."""
    try:
        place = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")
        folders = [CGROUP / place, CGROUP]
        found = next((f / name for f in folders if (f / name).is_file()), None)
        return found.read_text().strip() if found else ""
    except OSError:
        return ""


def gpus() -> list[Gpu]:
    """Return the cards that nvidia-smi lists; none where it is not there.

    Raises:
        UserError: it is there and does not answer.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        answer = subprocess.run(
            [tool, *GPU_QUERY], capture_output=True, text=True, timeout=GPU_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"nvidia-smi did not answer ({type(error).__name__})") from None
    rows = [line.rpartition(",") for line in answer.stdout.strip().splitlines()]
    return [
        Gpu(name=name.strip(), memory=int(size) * 2**20)
        for name, _, size in rows
        if size.strip().isdigit()
    ]
