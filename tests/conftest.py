"""Fixtures that every test may use, and eight virtual devices for the tests of sharding."""

import os
import signal
import tempfile
from pathlib import Path

import hypothesis
import jax
import pytest

from hepjax.engine import host_memory

jax.config.update("jax_num_cpu_devices", 8)

# Commands that tests run in this process must not change how it keeps its memory.
host_memory.keep_memory = lambda: False

# Under nohup the commands that tests start would be deaf to SIGHUP.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tests compile the same small programs again and again, also in the commands they start: one from
# the cache takes a quarter of the processor time, and keeping it a fiftieth.
_CACHE = tempfile.TemporaryDirectory(prefix="hepjax-tests-")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# What they compile runs a few times on a few events, so LLVM leaves it as it is: a third less
# processor time. tests/unchanged compiles as users do; with the variable at 0 all tests do.
_QUICK = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
jax.config.update("jax_disable_most_optimizations", _QUICK != "0")


# A test says nothing about time: a busy machine, or the first compilation, would fail it.
hypothesis.settings.register_profile("hepjax", deadline=None)
hypothesis.settings.load_profile("hepjax")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest set-up first, so that two processes end together."""
    items.sort(key=lambda item: "unchanged" not in item.nodeid)


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of third-party simulated data; tests that need it skip where it is absent."""
    folder = os.environ.get("HEPJAX_REFERENCE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("HEPJAX_REFERENCE_DATA is not set")
    return Path(folder)
