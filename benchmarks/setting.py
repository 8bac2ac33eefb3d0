"""What benchmarks find around them: this checkout for child processes, and reference data."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """Variables of a child process that finds ``benchmarks`` and ``hepjax`` from any folder."""
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([known] if known else [])])}


def reference_data() -> Path:
    """The folder of third-party simulated data; where it is not named, one line and the end."""
    folder = os.environ.get("HEPJAX_REFERENCE_DATA")
    if not folder or not Path(folder).is_dir():
        sys.exit("needs HEPJAX_REFERENCE_DATA, the folder of third-party simulated data")
    return Path(folder)
