"""Mutated environments: each case starts a Python of its own with other variables.

Most look into a file, ask for help or for the doctor; one in twelve trains a linear fit.
"""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.faults.fuzz_child import Ended, Said, finished
from benchmarks.setting import environment

SECONDS = 60.0
"""Of processor time: without the usual cache folder the native kernels are compiled, 20 s alone."""
WORDS = (
    "", " ", "0", "1", "-1", "2", "4", "abc", "true", "false", "é", "1" * 40, "1.5", "none", "/",
    "/none", "/dev/null", "/proc", "a=b", "*", "~", "\t", "\n", "x" * 3000, "1,2", "cpu", "cuda",
    "tpu", "gpu,cpu", ",", "localhost", "127.0.0.1:1", ":", "99999", "node[1-", "node[1-3]",
    "node1",
)  # fmt: skip
VARIABLES: dict[str, tuple[str, ...]] = {
    "SLURM_JOB_ID": (), "SLURM_NTASKS": (), "SLURM_PROCID": (), "SLURM_LOCALID": (),
    "SLURM_STEP_ID": (), "SLURM_STEP_NUM_TASKS": ("1", "0"), "SLURM_STEP_NODELIST": (),
    "SLURM_JOB_NODELIST": (), "SLURM_NNODES": (), "SLURM_NODEID": (), "SLURM_CPUS_PER_TASK": (),
    "SLURM_GPUS_ON_NODE": (), "SLURM_MEM_PER_NODE": (),
    "HEPJAX_PROCESSES": ("1", "0"), "HEPJAX_PROCESS": ("0",), "HEPJAX_COORDINATOR": (),
    "HEPJAX_JOIN_SECONDS": ("1", "0.5"), "HEPJAX_HEARTBEAT_SECONDS": (), "HEPJAX_CACHE": (),
    "HEPJAX_CONV3D": (), "HEPJAX_REFERENCE_DATA": (), "HEPJAX_CXX": (), "CXX": (), "CC": (),
    "JAX_PLATFORMS": (), "JAX_PLATFORM_NAME": (), "JAX_NUM_CPU_DEVICES": (), "JAX_ENABLE_X64": (),
    "JAX_DEBUG_NANS": (), "JAX_DISABLE_JIT": (), "JAX_COMPILATION_CACHE_DIR": (),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": (), "JAX_DEFAULT_MATMUL_PRECISION": (),
    "JAX_LOG_COMPILES": (), "JAX_TRACEBACK_FILTERING": (), "JAX_DEFAULT_PRNG_IMPL": ("rbg",),
    "JAX_NUMPY_DTYPE_PROMOTION": ("strict",), "JAX_ENABLE_COMPILATION_CACHE": (),
    "XLA_FLAGS": (
        "--xla_nonsense=1", "--xla_force_host_platform_device_count=2",
        "--xla_force_host_platform_device_count=abc", "nonsense", "--xla_cpu_enable_fast_math=true",
    ),
    "LIBTPU_INIT_ARGS": (), "TF_CPP_MIN_LOG_LEVEL": (), "CUDA_VISIBLE_DEVICES": (),
    "HOME": (), "TMPDIR": (), "XDG_CACHE_HOME": (), "USER": (), "SHELL": (), "PATH": (),
    "LANG": ("C", "de_DE.UTF-8"), "LC_ALL": ("C", "POSIX", "tr_TR.UTF-8"), "TERM": ("dumb",),
    "COLUMNS": (), "LINES": (), "NO_COLOR": (), "FORCE_COLOR": (), "TZ": ("Nowhere/City",),
    "PYTHONIOENCODING": ("ascii", "utf-16", "latin-1:strict"), "PYTHONUTF8": ("0",),
    "PYTHONHASHSEED": ("0",), "PYTHONOPTIMIZE": ("2",), "PYTHONDONTWRITEBYTECODE": (),
    "PYTHONWARNINGS": ("error", "default"), "PYTHONUNBUFFERED": (), "PYTHONSAFEPATH": (),
    "OMP_NUM_THREADS": (), "OPENBLAS_NUM_THREADS": (), "MKL_NUM_THREADS": (),
    "HDF5_USE_FILE_LOCKING": ("FALSE", "BEST_EFFORT"), "HDF5_PLUGIN_PATH": (),
    "HDF5_VDS_PREFIX": (), "MPLBACKEND": ("TkAgg", "nonsense"), "MPLCONFIGDIR": (),
    "OMPI_COMM_WORLD_SIZE": ("2",), "OMPI_COMM_WORLD_RANK": ("0",), "PMI_SIZE": ("2",),
    "TPU_WORKER_ID": (), "TPU_WORKER_HOSTNAMES": (), "http_proxy": (), "GLOG_minloglevel": (),
}  # fmt: skip
"""Variables, and values of their own beside ``WORDS``."""
PYTHON = ("PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS")
"""Of these Python itself refuses most values before hepjax begins, so they take their own alone."""
VERBS = (
    ("doctor",), ("inspect", "data", "--json"), ("inspect", "jets.npz", "--quiet"),
    ("train", "--help"), ("--version",),
    ("launch", "local", "-n", "2", "--dry-run", "--", "doctor"),
    ("pack", "data", "--out", "new", "--quiet"), ("train", "mlpf/demo", "--run", "new"),
    ("simulate", "events", "--toy", "--events", "1", "--pileup", "0", "--format", "pkl", "--out",
     "new"), ("generate", "none", "--events", "1", "--out", "new.h5"),
)  # fmt: skip
TRAINING = ("train", "line.yaml", "--run", "new", "--quiet")
WITH_LINE = """
import sys
from importlib.metadata import EntryPoint
from hepjax import cli
from hepjax.workloads import table
point = EntryPoint("line", "benchmarks.faults.line:WORKLOAD", table.GROUP)
table.entry_points = lambda group: [point]
sys.exit(cli.main())
"""
"""The command where a package has added the linear fit; it is imported when it is asked for."""


class Environments:
    """The cases on environments."""

    def __init__(self, work: Path, seed: int) -> None:
        self.work, self.seed = work, seed
        self.ground = work / "ground"
        self.ground.mkdir()
        (self.ground / "data").mkdir()
        write = "from pathlib import Path; from benchmarks.faults.line import write_data as write"
        # The parent stays small: what it takes at a fork counts for its children.
        command = [sys.executable, "-c", f"{write}; write(Path())"]
        subprocess.run(command, cwd=self.ground / "data", env=environment(), check=True)
        np.savez(self.ground / "jets.npz", X=np.ones((4, 9, 9, 1), "f4"), y=np.arange(4) % 2)
        (self.ground / "line.yaml").write_text(
            "workload: line\ndata: {files: [data]}\ntrain: {epochs: 1}\n"
        )

    def play(self, number: int) -> tuple[str, str, Ended]:
        """Case ``number`` of the seed: its subject, what was done, and how it ended."""
        draw = random.Random(f"{self.seed}/environments/{number}")
        argv = TRAINING if draw.random() < 1 / 12 else draw.choice(VERBS)
        changes: dict[str, str | None] = {}
        for _ in range(draw.choice([1, 1, 2, 3, 6])):
            name = draw.choice(sorted(VARIABLES))
            own = VARIABLES[name]
            value = draw.choice([*own, *own, *WORDS] if name not in PYTHON else own)
            changes[name] = None if draw.random() < 0.1 else value
        folder = self.work / f"case-{number}"
        shutil.copytree(self.ground, folder)
        ended = self._run(argv, changes, folder)
        shutil.rmtree(folder)
        said = ", ".join(f"no {k}" if v is None else f"{k}={v!r:.60}" for k, v in changes.items())
        return f"hepjax {argv[0]}", f"{said}: {' '.join(argv)}", ended

    def _run(self, argv: tuple[str, ...], changes: dict[str, str | None], folder: Path) -> Ended:
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        env = environment() | {"JAX_PLATFORMS": "cpu", "HOME": str(self.work)}
        env |= {"XDG_CACHE_HOME": cache}
        for name, value in changes.items():
            env.pop(name, None)
            if value is not None:
                env[name] = value
        start = ["-c", WITH_LINE] if argv == TRAINING else ["-m", "hepjax"]
        streams = [self.work / name for name in ("out", "err")]
        with streams[0].open("wb") as out, streams[1].open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, *start, *argv], cwd=folder, env=env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        code, wrong, usage = finished(process.pid, SECONDS)
        process.returncode = code  # so that Popen does not wait for it again
        spoken = "utf-16" if changes.get("PYTHONIOENCODING") == "utf-16" else None
        said = Said(code, *(path.read_text(spoken, errors="replace") for path in streams))
        wrong = wrong or said.wrong()
        if not wrong and said.code == 0 and not said.out.strip():
            wrong = "exit code 0 without a word"
        left = [p.name for p in (folder / "new", folder / "new.h5") if p.exists()]
        if not wrong and said.code == 2 and left and argv[0] != "train":
            wrong = f"left behind: {left}"
        last = (said.err.strip().splitlines() or [""])[-1]
        seconds = usage.ru_utime + usage.ru_stime
        return Ended(
            "refused" if said.code == 2 else "read", wrong, seconds, usage.ru_maxrss * 1024, last
        )
