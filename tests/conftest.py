"""Fixtures that every test may use, and eight virtual devices for the tests of sharding."""

import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of third-party simulated data; tests that need it skip where it is absent."""
    folder = os.environ.get("HEPJAX_REFERENCE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("HEPJAX_REFERENCE_DATA is not set")
    return Path(folder)
