"""What is fixed in each benchmark: the configuration that trains, and how many events."""

from dataclasses import dataclass
from typing import Any

from hepjax import InputError
from hepjax.engine.config import find_config, read_settings
from hepjax.engine.workload import Workload
from hepjax.workloads import table

SEED = 1234
"""Of the published benchmark; the simulated events always come from it."""
PRECISIONS = {"f32": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Benchmark:
    """One workload of the suite."""

    name: str
    config: str
    """Packaged configuration, that of the published model."""
    events: int
    """Training events unless said otherwise: a few minutes on a few cores."""
    complete: int
    """Training events of the complete benchmark."""
    overrides: tuple[str, ...] = ()
    """Settings that differ from those of ``config``."""


BENCHMARKS = {
    # 1,100 events are those of the GPU benchmark of HEPiX, 0.8 GB when padded.
    "mlpf": Benchmark("mlpf", "mlpf/benchmark", events=20, complete=1100),
    # 16,000 showers of 25 x 25 x 25 cells in float32 are 1 GB.
    "gan3d": Benchmark("gan3d", "gan3d/published", events=256, complete=16_000),
    # A hundredth of the published 2,560,000 jets.
    "tagger": Benchmark("tagger", "tagger/top", events=512, complete=25_600),
}


def settings(
    benchmark: Benchmark, files: list[str], validation_files: list[str], *, batch_size: int | None,
    epochs: int, devices: int, precision: str, seed: int,
) -> tuple[Workload, Any]:  # fmt: skip
    """The workload of a benchmark and its configuration.

    Args:
      files: training events; their last part is for validation if ``validation_files`` is empty.
      batch_size: training events an update over all devices together; None: as published.
      epochs: the first is dropped, so 2 at least.
      devices: 0 means all.
      precision: a key of ``PRECISIONS``.
    Raises:
      InputError: a value out of range.
    """
    given = read_settings(find_config(benchmark.config), list(benchmark.overrides))
    train, data = given.setdefault("train", {}), given.setdefault("data", {})
    train |= {
        "seed": seed,
        "epochs": epochs,
        "precision": PRECISIONS[precision],
        "record_every": 2**30,  # one record an epoch: the mean losses of all its updates
    }
    if batch_size is not None:
        train["batch_size"] = batch_size
    data |= {"files": files}
    if validation_files:
        data |= {"validation_files": validation_files}
        if benchmark.name == "tagger":
            data["fractions"] = [1.0, 0.0, 0.0]  # no test events
    given |= {"mesh": {"devices": devices}, "checkpoint": {"keep": 2}}
    return table.configure(given)


def require_range(option: str, value: int | None, least: int, most: int) -> None:
    """Refuse a value of a command-line option out of range; None was not given."""
    if value is not None and not least <= value <= most:
        raise InputError(f"--{option}: expected {least} to {most}, found {value}")
