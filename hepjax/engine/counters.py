"""Counters of energy that this machine lets us read: RAPL of processors, NVML of NVIDIA GPUs.

RAPL counts whole processor packages and their memory, whatever runs on them. NVML counts the
boards of the GPUs that jax uses.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
CPU, GPU = "cpu", "gpu"


@dataclass(frozen=True)
class Counter:
    """One counter of energy that only grows, until it wraps around."""

    kind: str
    """``cpu`` or ``gpu``."""
    name: str
    read: Callable[[], float]
    """Joules; an ``OSError`` if it cannot be read any more."""
    span: float | None = None
    """Joules at which it begins again at 0; None: never."""


@dataclass(frozen=True)
class Found:
    """What can be read of one kind of device."""

    counters: tuple[Counter, ...] = ()
    load: Callable[[], float] | None = None
    """Share of the time in which kernels ran lately, mean over the GPUs; raises ``OSError``."""
    missing: str = ""
    """Why there are no counters."""
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(counter.name for counter in self.counters))


def rapl(root: Path = POWERCAP) -> Found:
    """Packages and memory of the processors; ``psys`` and parts of a package would count twice."""
    zones = sorted(root.glob("intel-rapl:*")) if root.is_dir() else []
    if not zones:
        return Found(missing=f"RAPL: {root} has no counters of processors")
    counters = []
    for zone in zones:
        package = re.fullmatch(r"intel-rapl:(\d+)", zone.name)
        part = re.fullmatch(r"intel-rapl:(\d+):\d+", zone.name)
        try:
            name = (zone / "name").read_text().strip()
            if not ((package and name.startswith("package")) or (part and name == "dram")):
                continue
            span = 1e-6 * int((zone / "max_energy_range_uj").read_text())
            joules(zone)
        except PermissionError:
            return Found(missing=f"RAPL: {zone}/energy_uj: permission denied; root can read it")
        except (OSError, ValueError) as error:
            return Found(missing=f"RAPL: {zone} cannot be read ({error})")
        label = name if package else f"dram-{part[1] if part else ''}"
        counters.append(Counter(CPU, label, partial(joules, zone), span))
    if not counters:
        return Found(missing=f"RAPL: {root} has no package")
    return Found(tuple(counters))


def joules(zone: Path) -> float:
    """The counter of a zone of powercap."""
    text = (zone / "energy_uj").read_text()
    try:
        return 1e-6 * int(text)
    except ValueError:
        raise OSError(f"{zone}: expected a number, found {text[:20]!r}") from None


def nvml(positions: Sequence[int], environment: Mapping[str, str] = os.environ) -> Found:
    """The GPUs that jax numbers so, through the package ``nvidia-ml-py``.

    Args:
      positions: ``local_hardware_id`` of each, a position among the visible ones.
    """
    try:
        import pynvml
    except ImportError:
        return Found(missing="NVML: pip install 'hepjax[energy]'")
    try:
        pynvml.nvmlInit()
        handles = [_handle(pynvml, position, environment) for position in positions]
        for handle in handles:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (pynvml.NVMLError, LookupError, ValueError) as error:
        return Found(missing=f"NVML: {error}")

    def asked(question: Callable[[Any], Any], handle: Any) -> Any:
        try:
            return question(handle)
        except pynvml.NVMLError as error:
            raise OSError(str(error)) from None

    def energy(handle: Any) -> float:
        return 1e-3 * float(asked(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle))

    def load() -> float:
        rates = [asked(pynvml.nvmlDeviceGetUtilizationRates, handle).gpu for handle in handles]
        return 0.01 * sum(rates) / len(rates)

    counters = tuple(
        Counter(GPU, f"gpu-{position}", partial(energy, handle))
        for position, handle in zip(positions, handles, strict=True)
    )
    return Found(counters, load if handles else None)


def _handle(pynvml: Any, position: int, environment: Mapping[str, str]) -> Any:
    """The board behind a visible device of CUDA.

    Raises:
      LookupError: it cannot be told which one that is.
    """
    visible = [x.strip() for x in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if x]
    if visible:
        if position >= len(visible):
            raise LookupError(f"CUDA_VISIBLE_DEVICES has no device {position}")
        if not visible[position].isdigit():
            return pynvml.nvmlDeviceGetHandleByUUID(visible[position])
        position = int(visible[position])
    # CUDA puts the fastest first and NVML goes by the bus: that is one order if all are alike.
    count = pynvml.nvmlDeviceGetCount()
    models = {
        str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(i))) for i in range(count)
    }
    if len(models) > 1 and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise LookupError("GPUs of several models; set CUDA_DEVICE_ORDER=PCI_BUS_ID to tell them")
    return pynvml.nvmlDeviceGetHandleByIndex(position)


def of_devices(devices: Sequence[Any]) -> tuple[Found, Found]:
    """Counters of the processors, and of the GPUs among these devices of jax."""
    positions = [d.local_hardware_id for d in devices if d.platform == "gpu"]
    if not positions:
        return rapl(), Found(missing="NVML: jax uses no GPU")
    if None in positions:
        return rapl(), Found(missing="NVML: jax does not say which GPUs it uses")
    return rapl(), nvml(positions)
