"""Settings of the two-stage shower generators."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    FilePath,
    NotNegative,
    Positive,
    Rule,
)
from hepjax.engine.config import RunConfig
from hepjax.engine.optimizers import OptimizerConfig
from hepjax.formats.showers import calorimeters
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.described import Described
from hepjax.formats.showers.layout import Unit

CLIC_25 = Described(calorimeters.calorimeter("clic-25"))
LARGEST_FLOW = 1000
"""Cells up to which a coupling flow over all of them is allowed: its size grows with them."""


@dataclass(frozen=True)
class LayersConfig:
    """Stage 1: hits and energies of the layers and transverse moments, by a coupling flow."""

    moments: Annotated[int, Bound(least=0)] = 3
    """Groups of layers whose transverse moments are modelled, and imposed on the cells of stage 2;
    at most one for each layer; 0: hits and energies alone."""
    blocks: Count = 8
    """Coupling blocks."""
    hidden: tuple[Count, ...] = (128, 128)
    """Widths of the network in each block."""
    bins: Annotated[int, Bound(least=0)] = 8
    """Bins of the rational-quadratic splines; 0: affine blocks."""


@dataclass(frozen=True)
class CellsConfig:
    """Stage 2: cells given the layers, as margins and a copula."""

    copula: Literal["flow", "mix", "matching"] = "mix"
    """How the cells of a shower depend on one another: a coupling flow over all cells; or one
    normal number a cell, mixed over 3 x 3 neighbours, and in each layer a flow over the
    ``window``; or flow matching over all cells, by convolutions."""
    window: Annotated[int, Bound(least=0)] = 49
    """Cells of copula=mix nearest to the axis in each layer, which one flow for all layers makes
    dependent; 0: none."""
    hidden: tuple[Count, ...] = (256, 256)
    """Widths of the layers that see the results of stage 1."""
    token: Count = 64
    """Numbers a layer from which the margins of its cells are made."""
    blocks: Count = 6
    """Coupling blocks of the flow of cells."""
    flow_hidden: tuple[Count, ...] = (96, 96)
    """Widths of the network in each of them."""
    bins: Annotated[int, Bound(least=0)] = 0
    """Bins of their splines; 0: affine blocks."""
    channels: Count = 64
    """Width of the convolutions of copula=matching."""
    steps: Count = 8
    """Steps of the midpoint rule in which copula=matching generates, before it is distilled."""


@dataclass(frozen=True)
class ModelConfig:
    """The two stages."""

    layers: LayersConfig = field(default_factory=LayersConfig)
    cells: CellsConfig = field(default_factory=CellsConfig)


@dataclass(frozen=True)
class ObjectiveConfig:
    """Likelihood first; then, if asked for, a critic."""

    statistics: Count = 128
    """First updates, in which the tables of the normal scores are gathered and nothing is trained.
    Correlations, from the second half, need many more showers than stage 1 has components."""
    cells_every: Annotated[int, Bound(least=0)] = 1
    """Stage 2 learns from only one in so many showers of an update: each has many cells, and
    stage 1 needs more showers than it. 0: it does not learn."""
    symmetric: bool = True
    """Turn and mirror the showers of each update: by right angles in a square box, by sectors in a
    cylinder. False where the detector tells directions apart."""
    distil: bool = False
    """Teach one pass what copula=matching does in many, and generate with it. ``train.warm_start``
    brings the trained field."""
    critic_from: NotNegative = 0.0
    """Epoch from which a critic trains stage 2 (relativistic pairing loss, Huang et al.,
    arXiv:2501.05441) in the place of the likelihood; 0: never."""
    critic_channels: Count = 64
    """Width of the critic."""
    penalty: NotNegative = 1.0
    """Weight gamma of its zero-centred gradient penalties R1 and R2."""


@dataclass(frozen=True)
class DataConfig:
    """Which calorimeter and showers."""

    calorimeter: Described = CLIC_25
    """Cells of the showers: a name or a file, see [calorimeters.md](calorimeters.md)."""
    files: tuple[FilePath, ...] = ("data/showers",)
    """HDF5 files, folders of them, or packed sets. Sorted; the last events are for validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation showers, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.1
    """Share of the events for validation."""
    energy_range: tuple[float, float] | None = None
    """Incident energies kept, GeV, inclusive; showers are generated inside it. null: those of the
    calorimeter."""
    threshold: Positive | None = None
    """Cells below are set to 0, GeV; generated ones are above. null: that of the calorimeter."""
    unit: Unit = "auto"
    """Unit of the cells in the files."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        if self.energy_range is not None:
            low, high = self.energy_range
            yield 0 < low < high, "energy_range", "0 < low < high"
        yield len(self.files) > 0, "files", "at least one file"


def default_optimizer() -> OptimizerConfig:
    """Adam with a cosine schedule and a moving average of the parameters."""
    return OptimizerConfig("adam", 1e-3, cosine=True, clip=10.0, average=0.995)


@dataclass(frozen=True)
class CaloConfig(RunConfig):
    """Everything that defines a run of a two-stage generator."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=default_optimizer)
    data: DataConfig = field(default_factory=DataConfig)

    def resolved(self) -> "CaloConfig":
        """The same with what the calorimeter decides, which a later choice then leaves alone."""
        chosen: dict[str, Any] = {"energy_range": self.energies, "threshold": self.threshold}
        return dataclasses.replace(self, data=dataclasses.replace(self.data, **chosen))

    @property
    def calorimeter(self) -> Calorimeter:
        """What the showers are measured with."""
        return self.data.calorimeter.calorimeter

    @property
    def energies(self) -> tuple[float, float]:
        """Incident energies of the training, GeV."""
        return self.data.energy_range or self.calorimeter.energy

    @property
    def threshold(self) -> float:
        """Cells below count as empty, GeV."""
        own = self.calorimeter.threshold
        return own if self.data.threshold is None else self.data.threshold

    def rules(self) -> Iterator[Rule]:
        """What must hold between the groups."""
        known = self.calorimeter
        yield (
            known.normal, "data.calorimeter",
            "a calorimeter at normal incidence (angle 90 to 90 degrees)",
        )  # fmt: skip
        yield self.threshold > 0, "data.threshold", "a positive number of GeV"
        low, high = self.energies
        yield low < high, "data.energy_range", "low < high"
        few = known.voxels <= LARGEST_FLOW
        copula = self.model.cells.copula
        yield (
            copula != "flow" or few, "model.cells.copula",
            f"mix with {known.voxels} cells (flow: at most {LARGEST_FLOW})",
        )  # fmt: skip
        yield (
            copula != "matching" or known.box or known.regular is not None, "model.cells.copula",
            "mix or flow with layers that are not binned alike",
        )  # fmt: skip
        yield (
            self.objective.critic_from == 0 or copula == "mix",
            "objective.critic_from", f"0 with model.cells.copula={copula}",
        )  # fmt: skip
        yield (
            not self.objective.distil or copula == "matching",
            "objective.distil", f"false with model.cells.copula={copula}",
        )  # fmt: skip
        yield (
            not self.objective.distil or bool(self.train.warm_start),
            "train.warm_start", "the run of a trained field with objective.distil",
        )  # fmt: skip
