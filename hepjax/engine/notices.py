"""Says why something is slow, where the reason is known: once, in a line on standard error.

That kernels are missing (no C++ compiler) is told where they are asked for, in ``ops.native``.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hepjax.engine.progress import say

PATIENCE = 30.0
"""Seconds of compilation after which a line says that it is still going on."""
NETWORK = ("nfs", "nfs4", "lustre", "gpfs", "cifs", "smb3", "afs", "beegfs", "ceph", "fuse.sshfs",
           "fuse.eosxd", "fuse.xrootdfs", "9p")  # fmt: skip
"""Types of file systems that lie behind a network."""
GPUS = ("/dev/nvidia0", "/dev/kfd")
"""Devices of NVIDIA and AMD."""


@contextmanager
def compiling(quiet: bool, patience: float = PATIENCE) -> Iterator[None]:
    """Say that the compiler is still at work if the block lasts longer than ``patience``."""
    after = threading.Timer(
        patience, say, (
            f"hepjax: still compiling after {patience:.0f} s; the next start of the same training "
            "finds the program in the cache (train.keep_compiled)",
        ),
    )  # fmt: skip
    after.daemon = True
    if not quiet:
        after.start()
    try:
        yield
    finally:
        after.cancel()


def at_start(platform: str, folders: list[Path]) -> list[str]:
    """What makes a training slow that begins here.

    Args:
      platform: of the devices that jax uses.
      folders: that are read or written all the time, by what they are for: the run directory first.
    """
    found = [_idle_gpu()] if platform == "cpu" else []
    for folder in folders:
        if (kind := file_system(folder)) in NETWORK:
            found.append(
                f"{folder} lies on a network file system ({kind}): checkpoints and records take "
                "longer there than on a local disk"
            )
    return list(filter(None, found))


def _idle_gpu() -> str:
    if not any(map(os.path.exists, GPUS)) or os.environ.get("JAX_PLATFORMS"):
        return ""
    return (
        "this machine has a GPU that jax does not use; pip install 'hepjax[cuda]' brings the "
        "package, hepjax doctor says what is missing"
    )


def file_system(path: Path, mounts: str = "/proc/mounts") -> str:
    """Type of the file system that a path lies on, as Linux names it; empty if unknown."""
    try:
        lines = Path(mounts).read_text().splitlines()
        place = os.path.realpath(path)
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        where = fields[1].replace("\\040", " ")
        inside = place == where or place.startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(best):
            best, kind = where, fields[2]
    return kind
