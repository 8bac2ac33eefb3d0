"""Compiling: what a workload asks the compiler of a platform for, and the cache of its programs.

Programs are kept in the user's cache folder, so that a second start compiles nothing.

``HEPJAX_COMPILATION_CACHE`` names another folder, or is ``off``; whoever sets the variables or
options of jax itself is left alone. Several processes may share the cache. A folder that cannot be
written or locked, such as a read-only home, means no cache and no message.
"""

import hashlib
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import jax

import hepjax
from hepjax.engine.locks import can_lock

Options = dict[str, bool | int | str]

VARIABLE = "HEPJAX_COMPILATION_CACHE"
LARGEST_BYTES = 4 * 2**30
"""Size at which jax removes the programs that were not used for longest."""
SHORTEST_SECONDS = 1.0
"""Programs that compile faster are not kept."""
AUTOTUNED = "xla_gpu_per_fusion_autotune_cache_dir"
"""Name that jax has for this cache and for its folder."""


def options(platform: str, own: Mapping[str, Options]) -> Options | None:
    """What the programs of a workload are compiled with; None: nothing but the defaults.

    What ``XLA_FLAGS`` sets is left to it.

    Args:
      platform: of the devices, as jax names it.
      own: the options of the workload by platform.
    """
    named = re.findall(r"--(\w+)", os.environ.get("XLA_FLAGS", ""))
    wanted = own.get(platform, {})
    return {name: value for name, value in wanted.items() if name not in named} or None


def use_cache(wanted: bool = True) -> Path | None:
    """Let jax keep compiled programs, if ``wanted``; return their folder, None without a cache."""
    named = os.environ.get(VARIABLE, "")
    if not wanted or named.lower() in ("off", "0", "false", "no"):
        return None
    if already := jax.config.values["jax_compilation_cache_dir"]:
        return Path(already)
    try:
        root = Path(named) if named else _user_cache() / "hepjax" / "compiled"
        folder = root / _machine()
        folder.mkdir(parents=True, exist_ok=True)
        usable = can_lock(folder)  # without locks jax waits 10 s for each program
    except (OSError, RuntimeError):  # no home at all
        return None
    if not usable:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", LARGEST_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST_SECONDS)
    # On GPUs the choices that XLA made by timing kernels (autotuning) are kept as well: they serve
    # other programs with the same layers. XLA wants the folder to be there.
    (folder / AUTOTUNED).mkdir(exist_ok=True)
    jax.config.update("jax_persistent_cache_enable_xla_caches", AUTOTUNED)
    return folder


def _user_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return Path(home) if home else Path.home() / ".cache"


def _machine() -> str:
    """A name for what a program for a CPU depends on and jax does not ask: one home may serve
    nodes of several kinds, and our kernels are called by name."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        flags = text.partition("flags")[2].partition("\n")[0]
    except OSError:
        flags = platform.processor()
    digest = hashlib.sha256(f"{platform.machine()} {flags} {hepjax.__version__}".encode())
    for source in sorted((Path(hepjax.__file__).parent / "ops" / "kernels").iterdir()):
        digest.update(source.read_bytes())
    return f"{jax.__version__}-{digest.hexdigest()[:12]}"
