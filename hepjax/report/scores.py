"""Scores as a JSON file that any program can read: plain numbers, no NaN, never half-written."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np


def write_scores(path: Path, scores: dict[str, Any]) -> None:
    """Write ``scores`` under a temporary name, then rename.

    Arrays become lists, NumPy numbers plain ones, and NaN or infinity null.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(plain(scores), indent=2, allow_nan=False) + "\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """The same content in types that JSON has."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
