"""Settings of graph tracking; the defaults are those of Exa.TrkX on the TrackML detector."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    FilePath,
    NotNegative,
    Positive,
    Rule,
)
from hepjax.engine.config import InputConfig, RunConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig
from hepjax.physics.tracking.graph import Cuts


@dataclass(frozen=True)
class ModelConfig:
    """The interaction network (Battaglia et al., arXiv:1612.00222), as Exa.TrkX uses it, and the
    networks before it."""

    kind: Literal["interaction", "filter", "embedding", "condensation"] = "interaction"
    """``interaction``: scores of edges. ``filter``: the same from each edge alone, for a first cut.
    ``embedding``: points of hits; those near each other are edges of the next stage.
    ``condensation``: an interaction network that gives hits points and weights instead."""
    hidden: Count = 64
    """Features of a hit and of an edge."""
    layers: Count = 2
    """Dense layers of each network, the last one included."""
    steps: Count = 8
    """Rounds of messages; each has weights of its own."""
    dimensions: Count = 8
    """Of the points of an embedding or a condensation."""
    radius: Positive = 0.1
    """Distance of points that belong together."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """Which edges count in the loss; all weights are of a binary cross-entropy."""

    min_pt: NotNegative = 1.0
    """GeV; true edges of softer particles count neither as true nor as false."""
    min_hits: Count = 3
    """Of a particle; true edges of shorter ones do not count either."""
    weight_false: Positive = 1.0
    """Weight of an edge, or of a pair of near points, that is not true; of the repulsion of a
    condensation."""
    queries: Count = 512
    """Hits of an event with which an embedding compares all of them in an update, or particles in
    the loss of a condensation."""


@dataclass(frozen=True)
class TracksConfig:
    """How tracks are made of the scores of edges."""

    cut: Annotated[float, Bound(least=0, most=1)] = 0.5
    """Smallest score of an edge that joins two hits; or weight of a hit that begins a track."""
    how: Literal["connected", "walk"] = "connected"
    """Connected components, or a walk-through: from inner hits on the longest path of good ones."""
    add: Annotated[float, Bound(least=0, most=1)] = 0.6
    """A walk goes on along the best edge above ``cut`` and along every further one above this."""


@dataclass(frozen=True)
class DataConfig:
    """Which events, their graphs, and the sizes to which graphs are padded."""

    files: tuple[FilePath, ...] = ("data/hits",)
    """Files ``event<number>-hits.csv[.gz]`` or folders of them. Sorted; the last events are for
    validation."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation events, if not the last part of ``files``."""
    validation_fraction: Annotated[float, Bound(above=0, below=1)] = 0.1
    """Share of the events for validation."""
    rotate: Fraction = 0.0
    """Takes validation events so far before the end, as of the other workloads."""
    graph: FilePath = ""
    """Run of an embedding or a filter that gives the edges; by default the cuts below do."""
    slope: Positive = Cuts().slope
    """rad / mm. The azimuths of an edge's hits differ by less than slope x dr + offset."""
    offset: Positive = Cuts().offset
    """rad."""
    z0: Positive = Cuts().z0
    """mm. The line through an edge's hits passes the centre within this distance along the
    beam."""
    hits: tuple[Count, ...] = (2048, 4096, 8192, 16384, 131072)
    """Sizes to which the hits of an event are padded; each that occurs is compiled once."""
    edges: tuple[Count, ...] = (8192, 24576, 65536, 196608, 4194304)
    """Sizes to which its edges are padded, as many as ``hits``."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.files) > 0, "files", "at least one file"
        rising = all(list(s) == sorted(set(s)) for s in (self.hits, self.edges))
        yield rising and len(self.hits) > 0, "hits", "increasing sizes, as many as data.edges"
        yield len(self.hits) == len(self.edges), "edges", "as many sizes as data.hits"

    @property
    def cuts(self) -> Cuts:
        """Those of the graph."""
        return Cuts(self.slope, self.offset, self.z0)


@dataclass(frozen=True)
class TrackingConfig(RunConfig):
    """Everything that defines a tracking run."""

    input: InputConfig = field(default_factory=lambda: InputConfig(window=64))
    """A small window: an event has up to millions of edges."""
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    tracks: TracksConfig = field(default_factory=TracksConfig)
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(learning_rate=2e-3))
    data: DataConfig = field(default_factory=DataConfig)

    def rules(self) -> Iterator[Rule]:
        """What must hold between the groups."""
        points = self.model.kind == "embedding"
        yield not (points and self.data.graph), "data.graph", "none with model.kind=embedding"
        parts = self.mesh.model_devices if self.mesh.layout == "spatial" else 1
        yield (
            all(edges % parts == 0 for edges in self.data.edges),
            "data.edges", f"multiples of mesh.model_devices ({parts}), which share them",
        )  # fmt: skip
