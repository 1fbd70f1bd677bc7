# does: reads the memory of the process that it was forked from
# expect: contained
# policy: refused
# run: check

import ctypes
import os

import torch


class Span(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def attack() -> None:
    libc = ctypes.CDLL(None)
    held = ctypes.create_string_buffer(16)
    here = Span(ctypes.addressof(held), 16)
    # A forked process has the same addresses as its parent.
    there = Span(id(torch), 16)
    for pid in {os.getppid(), 1, os.getpid() - 1} - {0, os.getpid()}:
        if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
            raise RuntimeError(f"BREACH read memory of process {pid}: {held.raw!r}")


class TokenMixer(Honest):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__(hidden_size, num_heads, layer_idx)
        attack()
