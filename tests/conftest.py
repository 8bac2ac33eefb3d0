"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of third-party simulated data; tests that need it skip where it is absent."""
    folder = os.environ.get("HEPJAX_REFERENCE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("HEPJAX_REFERENCE_DATA is not set")
    return Path(folder)
