"""Files of pulses: simulated, recognised, read and looked into."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepjax import InputError

SAMPLES = 32
"""Samples of a pulse."""
SUFFIX = ".pulses.npz"


def simulate(out: Path, events: int, seed: int, advance: Callable[[int], object]) -> None:
    """Gaussian pulses of random height (1 to 10) and time on white noise, in one file."""
    rng = np.random.default_rng(seed)
    height = rng.uniform(1, 10, events).astype(np.float32)
    time = rng.uniform(10, 22, events)[:, None]
    shape = np.exp(-(((np.arange(SAMPLES) - time) / 3) ** 2) / 2)
    pulse = height[:, None] * shape + 0.1 * rng.normal(size=(events, SAMPLES))
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / f"pulses_{seed}{SUFFIX}", pulse=pulse.astype(np.float32), height=height)
    advance(events)


def is_pulses(path: Path) -> bool:
    """Whether a path is a file of pulses or a folder with one."""
    return path.name.endswith(SUFFIX) or (path.is_dir() and any(path.glob(f"*{SUFFIX}")))


class Pulses:
    """The pulses of some files, a ``Source``: ``pulse`` (n, 32) and ``height`` (n,) float32."""

    def __init__(self, paths: Sequence[Path]) -> None:
        files = sorted(f for p in paths for f in (p.glob(f"*{SUFFIX}") if p.is_dir() else [p]))
        if not files:
            raise InputError(f"{paths[0]}: expected files *{SUFFIX}, found none")
        try:
            parts = [dict(np.load(file)) for file in files]
        except (OSError, ValueError) as error:
            raise InputError(f"{files[0]}: expected a file of pulses, found: {error}") from None
        self.columns = {k: np.concatenate([p[k] for p in parts]) for k in ("pulse", "height")}
        self.files = files

    @property
    def blocks(self) -> np.ndarray:
        """Blocks of 16 events: everything is in memory, so any will do."""
        return np.unique([*range(0, len(self), 16), len(self)])

    def __len__(self) -> int:
        return len(self.columns["height"])

    def __getitem__(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values[indices] for name, values in self.columns.items()}


def inspect(paths: Sequence[Path], plot: Path | None = None, **ignored: Any) -> dict[str, Any]:
    """What ``hepjax inspect`` prints."""
    pulses = Pulses(list(paths))
    height = pulses.columns["height"]
    return {
        "layout": "pulses", "events": len(pulses), "files": [str(f) for f in pulses.files],
        "height": {"min": float(height.min()), "max": float(height.max())},
        "checks": {"cells_not_finite": int((~np.isfinite(pulses.columns["pulse"])).sum())},
    }  # fmt: skip


def text(report: dict[str, Any]) -> Iterator[str]:
    """The same as lines for people."""
    yield f"layout                {report['layout']}"
    yield f"events                {report['events']:,}"
    yield f"heights               {report['height']['min']:.3g} to {report['height']['max']:.3g}"
