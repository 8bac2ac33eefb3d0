"""Settings of the taggers; networks, optimizer and data default to the published top benchmark."""

from dataclasses import dataclass, field
from typing import Literal

from hepjax.engine.config import CheckpointConfig, InputConfig, MeshConfig, TrainConfig, require

GROUPS = {
    "tracks": ("pT", "d0", "dz"),
    "calo": ("ECAL", "HCAL"),
    "pixels": ("BPIX1", "BPIX2", "BPIX3"),
    "all": ("pT", "d0", "dz", "ECAL", "HCAL", "BPIX1", "BPIX2", "BPIX3"),
}
"""Names that stand for several channels."""

PerChannel = tuple[tuple[str, float], ...]
"""``[[pT, 0.1], [ECAL, 0.5]]``: a number for each channel that is named."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network; image size and number of channels come from ``data``."""

    network: Literal["resnet15", "vgg"] = "resnet15"
    """ResNet-15 of jets, or the e/gamma reference with its two dense layers."""
    head: Literal["flatten", "global"] = "flatten"
    """Of the ResNet: local maximum, two sigmoids (Keras), or global maximum, one (PyTorch)."""
    granularity: int = 1
    """Kernel 7g and stride 2g of its first convolution; 3 for images with pixels of a third."""
    dropout: float = 0.0
    """Share of the inputs of the last dense layers set to 0; published: 0.2 for vgg."""

    def __post_init__(self) -> None:
        require(self.granularity >= 1, "model.granularity", "at least 1", self.granularity)
        require(0 <= self.dropout < 1, "model.dropout", "0 up to 1", self.dropout)
        require(
            self.network == "resnet15" or self.head == "flatten",
            "model.head", "flatten with model.network=vgg", self.head,
        )  # fmt: skip


@dataclass(frozen=True)
class OptimizerConfig:
    """Which optimizer, the published halvings, warm-up and linear scaling, all of which act."""

    name: Literal["adam", "novograd", "lamb", "lars"] = "adam"
    """Published: Adam and NovoGrad; LAMB and LARS as in ops/layerwise.py, with rates of their own.
    """
    learning_rate: float = 5e-4
    reference_batch: int = 0
    """Events an update at which the rate holds, it grows with the batch; 0: it does not."""
    warmup_epochs: float = 0.0
    """Epochs over which the rate climbs from ``learning_rate`` to its scaled value."""
    first_halving: float = 9.0
    """Epoch from which the rate is half; published: 9 (Keras), 10 (PyTorch)."""
    halve_every: float = 10.0
    """Epochs between halvings after that; 0 means no halving at all."""
    epsilon: float = 1e-8
    """Adam and NovoGrad: added to the root."""

    def __post_init__(self) -> None:
        for key in ("learning_rate", "epsilon"):
            require(getattr(self, key) > 0, f"optimizer.{key}", "above 0", getattr(self, key))
        for key in ("reference_batch", "warmup_epochs", "first_halving", "halve_every"):
            require(getattr(self, key) >= 0, f"optimizer.{key}", "0 or more", getattr(self, key))


@dataclass(frozen=True)
class DataConfig:
    """Which events and channels, what the files mean, and what is done to pixels and weights."""

    files: tuple[str, ...] = ("data/jets",)
    """Packed sets (``hepjax pack``, ``hepjax simulate jets``), or small files of another layout,
    which are read into memory. Divided by ``fractions`` unless the next two are given."""
    validation_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Training, validation, test; jets of one event and label stay together."""
    rotate: float = 0.0
    """Turns the division, 0 up to 1: with the test share or a multiple of it others are tested."""
    shape: tuple[int, int] = (125, 125)
    """Pixels of an image, eta and phi."""
    channels: tuple[str, ...] = ("all",)
    """What the network sees, in this order: names of channels, or tracks, calo, pixels, all."""
    labels: tuple[str, str] = ("qcd", "top")
    """Names of background and signal; of the labels 0 and 1 in files that do not say theirs."""
    stored_channels: tuple[str, ...] = ()
    """Names of the channels in their order, or ``name:unit``, for files that do not say them."""
    suppress: PerChannel = ()
    """Pixels with a smaller absolute value are set to 0; so d0 and dz keep their sign."""
    scale: PerChannel = ()
    """Factors of the channels; 1 for those not named."""
    power: float = 1.0
    """Absolute values are raised to this power after scaling, signs stay; 0.5 lifts soft pixels."""
    clip: float = 0.0
    """Largest absolute value after that; 0 means no limit."""
    weights: Literal["none", "balanced", "pt_flat"] = "none"
    """Weight of an event in the training loss: 1, or so that both classes count the same, or so
    that both have the same flat spectrum in pT."""
    flip: bool = False
    """Mirror training images in eta and phi at random; d0 and dz change sign as they should."""

    def __post_init__(self) -> None:
        require(len(self.files) > 0, "data.files", "at least one file", self.files)
        require(
            self.fractions[0] > 0 and min(self.fractions) >= 0
            and abs(sum(self.fractions) - 1) < 1e-6,
            "data.fractions", "three numbers that sum to 1, the first above 0", self.fractions,
        )  # fmt: skip
        require(0 <= self.rotate < 1, "data.rotate", "0 up to 1", self.rotate)
        names = self.names
        require(len(set(names)) == len(names) > 0, "data.channels", "each channel once", names)
        known = {*names, *GROUPS["all"]}
        for key in ("suppress", "scale"):
            pairs: PerChannel = getattr(self, key)
            for name, number in pairs:
                require(name in known, f"data.{key}", f"channels out of {sorted(known)}", name)
                require(number > 0, f"data.{key}", "numbers above 0", number)
        require(self.labels[0] != self.labels[1], "data.labels", "two names", self.labels)
        require(0 < self.power <= 1, "data.power", "above 0, at most 1", self.power)
        require(self.clip >= 0, "data.clip", "0 or more", self.clip)

    @property
    def names(self) -> tuple[str, ...]:
        """The channels of the network, the groups spelt out."""
        return tuple(name for entry in self.channels for name in GROUPS.get(entry, (entry,)))


@dataclass(frozen=True)
class TaggerConfig:
    """Everything that defines the training of a tagger."""

    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    input: InputConfig = field(default_factory=InputConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        least = 16 * self.model.granularity
        require(
            min(self.data.shape) >= least,
            "data.shape", f"{least} or more pixels a side for this network", self.data.shape,
        )  # fmt: skip
