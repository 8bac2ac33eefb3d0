"""What is fixed in each benchmark: the configuration that trains, and how many events."""

from typing import Any

from hepjax import InputError
from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Benchmark, Workload
from hepjax.workloads import table

SEED = 1234
"""Of the published benchmark; the simulated events always come from it."""
PRECISIONS = {"f32": "float32", "bf16": "bfloat16"}


def benchmark(name: str) -> Benchmark:
    """The fixed work of a workload.

    Raises:
      InputError: no such workload, or one without a benchmark.
    """
    found = table.get(name).benchmark
    if found is None:
        known = [w for w in table.names() if table.get(w).benchmark is not None]
        raise InputError(
            f"{name}: expected a workload with a benchmark ({', '.join(known)}), found none for it"
        )
    return found


def settings(
    fixed: Benchmark, files: list[str], validation_files: list[str], *, batch_size: int | None,
    epochs: int, devices: int, precision: str, seed: int,
) -> tuple[Workload[Any, Any], Any]:  # fmt: skip
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
    overrides = [*fixed.overrides, *(fixed.validated if validation_files else ())]
    given = read_settings(find_config(fixed.config), overrides)
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
    given |= {"mesh": {"devices": devices}, "checkpoint": {"keep": 2}}
    return table.configure(given)


def require_range(option: str, value: int | None, least: int, most: int) -> None:
    """Refuse a value of a command-line option out of range; None was not given."""
    if value is not None and not least <= value <= most:
        raise InputError(f"--{option}: expected {least} to {most}, found {value}")
