"""llama.cpp's own server for one GGUF file on the loopback, as long as whoever started it lives.

`python -m benchmarks.local_server FILE.gguf` prints its address on one line and ends when its
standard input does. The package is the extra `local`.
"""

from __future__ import annotations

import os
import sys

import xllamacpp

# What SmolLM2 was trained for; a prompt beyond it is refused.
CONTEXT = 8_192
# A second limit beside the client's: small models repeat themselves until the context is full.
LONGEST_ANSWER = 2_048


def main() -> None:
    """Serve until standard input ends."""
    told = xllamacpp.CommonParams()
    told.model.path = sys.argv[1]
    told.model_alias = {"local"}
    told.hostnames, told.port = ["127.0.0.1"], 0
    told.n_ctx, told.n_predict, told.n_parallel, told.n_gpu_layers = CONTEXT, LONGEST_ANSWER, 1, 0
    told.use_jinja, told.offline, told.ui = True, True, False
    # Without it small models fill half their answers with one line again and again.
    told.sampling.penalty_repeat = 1.1
    for processor in (told.cpuparams, told.cpuparams_batch):
        # Two threads that spin while they wait are ten times slower on a busy machine.
        processor.n_threads, processor.poll = 1, 0
    server = xllamacpp.Server(told)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    # The server's own end waits for the request under way, which nobody waits for any more.
    os._exit(0)


if __name__ == "__main__":
    main()
