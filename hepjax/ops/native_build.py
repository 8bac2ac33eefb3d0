"""Build the C++ kernels with the system's compiler, once, into the user's cache.

The name of the library carries hashes of the sources, jaxlib and the compiler, so a stale build is
never loaded. Each instruction set is compiled with its own flags and chosen at run time by what the
processor supports, so one cache serves all nodes of a cluster. A failure becomes one sentence
(``BuildError``).
"""

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jaxlib

SOURCES = Path(__file__).parent / "kernels"
COMPILERS = ("c++", "g++", "clang++")
COMMON = ("-std=c++17", "-O3", "-fPIC", "-ffp-contract=fast", "-pthread")

_AVX2 = ("-mavx2", "-mfma")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")
_BF16 = (*_AVX512, "-mavx512bf16", "-mprefer-vector-width=512", "-DHEPJAX_PAIRS")
_AMX = (*_AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16")


class KernelSet(NamedTuple):
    """One source, compiled for one instruction set.

    ``lanes`` is the number of floats in a vector, or 0 if the source fixes it.
    """

    source: str
    flags: tuple[str, ...]
    lanes: int
    registers: int
    features: tuple[str, ...]


KERNEL_SETS = {
    "portable": KernelSet("direct.cc", (), 4, 16, ()),
    "avx2": KernelSet("direct.cc", _AVX2, 8, 16, ("avx2", "fma")),
    "avx512": KernelSet(
        "direct.cc",
        (*_AVX512, "-mprefer-vector-width=512"),
        16,
        32,
        ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
    ),
    "bf16": KernelSet("direct.cc", _BF16, 16, 32, ("avx512f", "avx512bf16")),
    "amx": KernelSet("tiles.cc", _AMX, 0, 0, ("avx512bf16", "amx-tile", "amx-bf16")),
}
KERNEL_SETS |= {
    f"layer_{name}": KERNEL_SETS[name]._replace(source="layer.cc")
    for name in ("portable", "avx2", "avx512")
}
"""Those that need features are for x86-64. "bf16" and "amx" call "avx512" for float32."""


class BuildError(Exception):
    """Why no library could be built, in a few words."""


def compiled() -> Path:
    """Path of the compiled kernels; builds them if they are not in the cache.

    Raises:
      BuildError: no compiler, a failed compilation, or no private place to keep the result.
    """
    settings = repr((jaxlib.__version__, platform.machine(), COMMON, KERNEL_SETS))
    sources = _digest(settings, *(p.read_text() for p in sorted(SOURCES.iterdir())))
    cache = _private_cache()
    compiler = find_compiler()
    if compiler is None:
        # A login node with a compiler may have built what this node without one can use.
        ready = sorted(cache.glob(f"kernels-{sources}-*.so"))
        if ready:
            return _own(ready[-1])
        raise BuildError("no C++ compiler found (set CXX, or install g++)")
    version = _run([*compiler, "--version"])
    path = cache / f"kernels-{sources}-{_digest(*compiler, version)}.so"
    if not path.exists():
        _build(compiler, path)
    return _own(path)


def find_compiler() -> list[str] | None:
    """The command in ``CXX`` if it is set, else the first C++ compiler on the path."""
    if os.environ.get("CXX"):
        command = os.environ["CXX"].split()
        return command if shutil.which(command[0]) else None
    return next(([name] for name in COMPILERS if shutil.which(name)), None)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _private_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = Path(base) / "hepjax"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"cannot write {cache} ({error.strerror})") from None
    return _own(cache)


def _own(path: Path) -> Path:
    """Return the path if only this user can write to it.

    Raises:
      BuildError: others could have put code there.
    """
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BuildError(f"{path} can be written by others (chmod go-w, or set XDG_CACHE_HOME)")
    return path


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command[0]} does not run ({error})") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise BuildError(f"{command[0]} failed: {lines[0].strip()[:200]}")
    return done.stdout


def _build(compiler: list[str], path: Path) -> None:
    """Compile every kernel set that this compiler supports, and link them into ``path``.

    Several processes may build at once; the last rename wins.
    """
    everywhere = [name for name, kernels in KERNEL_SETS.items() if not kernels.features]
    names = list(KERNEL_SETS) if platform.machine() == "x86_64" else everywhere
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="build-") as folder:
        jobs = {
            name: subprocess.Popen(
                [*compiler, *kernel_flags(name), "-c", "-o", f"{folder}/{name}.o"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in names
        }
        built = [name for name, job in jobs.items() if job.wait() == 0]
        if "avx512" not in built:
            built = [name for name in built if name not in ("bf16", "amx")]
        made = f"{folder}/library.so"
        defines = [f"-DHEPJAX_{name.upper()}" for name in built]
        objects = [f"{folder}/{name}.o" for name in built]
        calls = [str(path) for path in sorted(SOURCES.glob("*_ffi.cc"))]
        link = [*COMMON, *defines, f"-I{jax.ffi.include_dir()}", "-shared", *calls, *objects]
        _run([*compiler, *link, "-o", made])
        os.chmod(made, 0o600)
        os.replace(made, path)


def kernel_flags(name: str) -> list[str]:
    """Compiler flags and source of a kernel set, with its test of what the processor supports."""
    kernels = KERNEL_SETS[name]
    checks = [f'__builtin_cpu_supports("{feature}")' for feature in kernels.features]
    return [
        *COMMON,
        *kernels.flags,
        f"-DHEPJAX_SET={name}_kernels",
        f'-DHEPJAX_NAME="{name}"',
        f"-DHEPJAX_LANES={kernels.lanes}",
        f"-DHEPJAX_REGISTERS={kernels.registers}",
        f"-DHEPJAX_SUPPORTED=({' && '.join(checks) or 'true'})",
        str(SOURCES / kernels.source),
    ]
