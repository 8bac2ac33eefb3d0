"""Counters of energy: what is counted, what would count twice, and why some cannot be read."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from hepjax.engine import counters
from hepjax.engine.counters import nvml, rapl


def zone(root, name, label, microjoules=1_000_000, span=262_143_328_850):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{span}\n")
    return folder


@pytest.fixture
def powercap(tmp_path):
    """Two packages, memory of the first, and zones that would count twice."""
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core")
    zone(tmp_path, "intel-rapl:0:1", "dram", 250_000, 65_712_999_613)
    zone(tmp_path, "intel-rapl:1", "package-1")
    zone(tmp_path, "intel-rapl:2", "psys")
    zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def test_packages_and_their_memory_count_once(powercap):
    found = rapl(powercap)
    assert found.names == ("package-0", "dram-0", "package-1")
    assert [c.kind for c in found.counters] == ["cpu"] * 3
    assert [c.read() for c in found.counters] == [5.0, 0.25, 1.0]
    assert found.counters[1].span == pytest.approx(65_712.999613)
    assert (found.missing, found.load) == ("", None)


def test_processors_without_counters(tmp_path, powercap):
    assert rapl(tmp_path / "none").missing.startswith("RAPL: ")
    for name in ("intel-rapl:0", "intel-rapl:0:1", "intel-rapl:1"):
        (powercap / name / "name").write_text("psys\n")
    assert rapl(powercap).missing == f"RAPL: {powercap} has no package"


def test_counters_for_root_only(powercap, monkeypatch):
    def refused(zone):
        raise PermissionError(13, "Permission denied", str(zone / "energy_uj"))

    monkeypatch.setattr(counters, "joules", refused)  # root may read every file of a test
    found = rapl(powercap)
    assert found.counters == ()
    assert "intel-rapl:0/energy_uj: permission denied" in found.missing


def test_a_counter_that_is_no_number(powercap):
    (powercap / "intel-rapl:0" / "energy_uj").write_text("-\n")
    assert "cannot be read" in rapl(powercap).missing


class NVMLError(Exception):
    pass


class Library(ModuleType):
    """A stand-in for pynvml: boards by number, of which some refuse."""

    NVMLError = NVMLError

    def __init__(self, models=("H100", "H100"), millijoules=(7000, 9000), load=(40, 80)):
        super().__init__("pynvml")
        self.models, self.millijoules, self.load = models, list(millijoules), load
        self.broken = False

    def nvmlInit(self):  # noqa: N802
        if self.broken:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.models)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if not uuid.startswith("GPU-"):
            raise NVMLError("Not Found")
        return int(uuid.removeprefix("GPU-"))

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return self.models[handle]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        if self.broken:
            raise NVMLError("Not Supported")
        return self.millijoules[handle]

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        return SimpleNamespace(gpu=self.load[handle], memory=0)


@pytest.fixture
def library(monkeypatch):
    made = Library()
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


def test_gpus(library):
    found = nvml([0, 1], {})
    assert found.names == ("gpu-0", "gpu-1")
    assert [c.read() for c in found.counters] == [7.0, 9.0]
    assert [c.span for c in found.counters] == [None, None]
    assert found.load() == pytest.approx(0.6)
    library.broken = True
    with pytest.raises(OSError, match="Not Supported"):
        found.counters[0].read()


@pytest.mark.parametrize(("visible", "read"), [("1", 9.0), ("1,0", 9.0), ("GPU-1", 9.0), ("0", 7)])
def test_the_board_behind_a_visible_device(visible, read, library):
    assert nvml([0], {"CUDA_VISIBLE_DEVICES": visible}).counters[0].read() == read


def test_boards_that_cannot_be_told_apart_are_not_guessed(library):
    library.models = ("H100", "T4")
    assert "several models" in nvml([0], {}).missing
    assert nvml([0], {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}).names == ("gpu-0",)
    assert "has no device 1" in nvml([1], {"CUDA_VISIBLE_DEVICES": "0"}).missing
    assert nvml([0], {"CUDA_VISIBLE_DEVICES": "MIG-5"}).missing == "NVML: Not Found"


def test_no_library_and_no_driver(library, monkeypatch):
    library.broken = True
    assert nvml([0], {}).missing == "NVML: Driver Not Loaded"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml([0], {}).missing == "NVML: pip install 'hepjax[energy]'"


def test_the_devices_of_jax_say_what_is_asked(library, monkeypatch, powercap):
    monkeypatch.setattr(counters, "rapl", lambda: rapl(powercap))
    cpu = SimpleNamespace(platform="cpu", local_hardware_id=0)
    gpu = SimpleNamespace(platform="gpu", local_hardware_id=1)
    assert counters.of_devices([cpu])[1].missing == "NVML: jax uses no GPU"
    found = counters.of_devices([gpu])
    assert found[0].names == ("package-0", "dram-0", "package-1")
    assert found[1].counters[0].read() == 9.0
    unknown = SimpleNamespace(platform="gpu", local_hardware_id=None)
    assert "does not say which" in counters.of_devices([unknown])[1].missing
