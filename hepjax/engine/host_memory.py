"""Memory of the host in training: kept by the process, not given back and taken anew each step.

XLA takes the temporaries of a step on a CPU from malloc, and glibc maps and unmaps the large ones:
their page faults cost a tagger at x3 a tenth of its update (benchmarks/speed/jet_input.py).
"""

import ctypes

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Parameters of mallopt(3), from malloc.h of glibc."""


def keep_memory() -> bool:
    """One heap that grows to the largest need and stays, or False where there is no glibc.

    Call it at the start of a process that trains, before jax starts its threads. A process that
    does more than that may not want it: other memory between the temporaries can tear holes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc: musl, macOS, Windows
        return False
    wanted = ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, -1))  # -1: never
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)
