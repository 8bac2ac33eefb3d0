"""Builds the C++ kernels of this package with the system's compiler, once, into the user's cache.

The library's name carries hashes of the sources, of jaxlib and of the compiler, so nothing stale is
ever loaded. Each instruction set is a file compiled with its own flags and chosen at run time by
what the processor has: one cache serves all nodes of a cluster. Failure is a sentence, not an
exception.
"""

import hashlib
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import jax
import jaxlib

SOURCES = Path(__file__).parent / "kernels"
COMPILERS = ("c++", "g++", "clang++")
COMMON = ("-std=c++17", "-O3", "-fPIC", "-ffp-contract=fast", "-pthread")

_AVX2 = ("-mavx2", "-mfma")
_AVX512 = (
    *_AVX2,
    "-mavx512f",
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512vl",
    "-mprefer-vector-width=512",
)
_AMX = (*_AVX512, "-mavx512bf16", "-mamx-tile", "-mamx-bf16")
KERNEL_SETS = {
    "portable": ("direct.cc", ("-DHEPJAX_LANES=4", "-DHEPJAX_REGISTERS=16")),
    "avx2": ("direct.cc", (*_AVX2, "-DHEPJAX_LANES=8", "-DHEPJAX_REGISTERS=16")),
    "avx512": ("direct.cc", (*_AVX512, "-DHEPJAX_LANES=16", "-DHEPJAX_REGISTERS=32")),
}
"""Name of an instruction set -> source file and flags; all but the first are for x86-64."""


class BuildError(Exception):
    """Why there is no library, in a few words."""


def library() -> Path:
    """The compiled kernels, built now if need be.

    Raises:
      BuildError: no compiler, a failed compilation, or no private place to keep the result.
    """
    sources = _digest(
        *(p.read_bytes() for p in sorted(SOURCES.iterdir())), *map(repr_bytes, _key())
    )
    cache = _private_cache()
    compiler = find_compiler()
    if compiler is None:
        # Built where there is a compiler (a login node), used where there is none.
        ready = sorted(cache.glob(f"conv3d-{sources}-*.so"))
        if ready:
            return _own(ready[-1])
        raise BuildError("no C++ compiler found (set CXX, or install g++)")
    version = _run([*compiler, "--version"])
    path = cache / f"conv3d-{sources}-{_digest(' '.join(compiler).encode(), version.encode())}.so"
    if not path.exists():
        _build(compiler, path)
    return _own(path)


def find_compiler() -> list[str] | None:
    """``CXX`` if set, else the first C++ compiler on the path."""
    if os.environ.get("CXX"):
        command = os.environ["CXX"].split()
        return command if shutil.which(command[0]) else None
    return next(([name] for name in COMPILERS if shutil.which(name)), None)


def repr_bytes(value: object) -> bytes:
    return repr(value).encode()


def _key() -> tuple[object, ...]:
    return jaxlib.__version__, platform.machine(), COMMON, KERNEL_SETS


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _private_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = Path(base) / "hepjax"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"cannot write {cache} ({error.strerror})") from None
    return _own(cache)


def _own(path: Path) -> Path:
    """The path, if nobody else could have put code there."""
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
    """Compile all that this compiler can; several processes may do so at once, the last one stays."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="build-") as folder:
        sets = (
            KERNEL_SETS if platform.machine() == "x86_64" else {"portable": KERNEL_SETS["portable"]}
        )
        jobs = {
            name: subprocess.Popen(
                [
                    *compiler,
                    *COMMON,
                    *flags,
                    *set_flags(name),
                    "-c",
                    str(SOURCES / source),
                    "-o",
                    f"{folder}/{name}.o",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name, (source, flags) in sets.items()
        }
        built = [name for name, job in jobs.items() if job.wait() == 0]
        defines = [f"-DHEPJAX_{name.upper()}" for name in built]
        objects = [f"{folder}/{name}.o" for name in built]
        made = f"{folder}/library.so"
        headers = f"-I{jax.ffi.include_dir()}"
        _run(
            [
                *compiler,
                *COMMON,
                *defines,
                headers,
                "-shared",
                str(SOURCES / "ffi.cc"),
                *objects,
                "-o",
                made,
            ]
        )
        os.chmod(made, 0o600)
        os.replace(made, path)


def set_flags(name: str) -> list[str]:
    """The macros that name a kernel set and say when the processor can run it."""
    features = {"avx2": ("avx2", "fma"), "avx512": ("avx512f", "avx512bw", "avx512dq", "avx512vl")}
    checks = [f'__builtin_cpu_supports("{f}")' for f in features.get(name, ())]
    return [
        f"-DHEPJAX_SET={name}_kernels",
        f'-DHEPJAX_NAME="{name}"',
        f"-DHEPJAX_SUPPORTED=({' && '.join(checks) or 'true'})",
    ]
