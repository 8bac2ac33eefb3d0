"""Settings of the taggers; networks, optimizer and data default to the published top benchmark."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from hepjax.engine.bounds import (
    Bound,
    Count,
    FilePath,
    NotNegative,
    Rule,
)
from hepjax.engine.config import RunConfig
from hepjax.engine.optimizers import Fraction, OptimizerConfig

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
    """Which network. Image size and number of channels come from ``data``."""

    network: Literal["resnet15", "vgg"] = "resnet15"
    """ResNet-15 of jets, or the e/gamma reference with its two dense layers."""
    head: Literal["flatten", "global"] = "flatten"
    """End of the ResNet: local maximum and two sigmoids (Keras), or global maximum and one
    (PyTorch)."""
    granularity: Count = 1
    """Kernel 7g and stride 2g of its first convolution; 3 for images with pixels of a third."""
    dropout: Fraction = 0.0
    """Share of the inputs of the last dense layers set to 0; published: 0.2 for vgg."""
    quantise: Literal["none", "int8"] = "none"
    """``int8``: the network computes as 8-bit integers do (fake quantisation), so that it learns
    with the rounding, and ``hepjax export`` writes integers. Of its first and last layer the
    weights alone are in 8 bits. With ``train.warm_start`` a trained run goes on so."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        resnet = self.network == "resnet15"
        yield resnet or self.head == "flatten", "head", "flatten with model.network=vgg"


def published_optimizer() -> OptimizerConfig:
    """Adam at 5e-4, halved from epoch 9 on every ten epochs (Keras; PyTorch: from 10 on)."""
    return OptimizerConfig("adam", 5e-4, decay=0.5, decay_first=9.0, decay_every=10.0)


@dataclass(frozen=True)
class DataConfig:
    """Which events and channels, what the files mean, and what is done to pixels and weights."""

    files: tuple[FilePath, ...] = ("data/jets",)
    """Packed sets (``hepjax pack``, ``hepjax simulate jets``), or small files of another layout,
    which are read into memory. Divided by ``fractions``."""
    validation_files: tuple[FilePath, ...] = ()
    """Validation events, if not a part of ``files``."""
    test_files: tuple[FilePath, ...] = ()
    """Test events, if not a part of ``files``."""
    fractions: tuple[NotNegative, NotNegative, NotNegative] = (0.8, 0.1, 0.1)
    """Training, validation, test; jets of one event and label stay together."""
    rotate: Fraction = 0.0
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
    power: Annotated[float, Bound(above=0, most=1)] = 1.0
    """Absolute values are raised to this power after scaling, signs stay; 0.5 lifts soft pixels."""
    clip: NotNegative = 0.0
    """Largest absolute value after that; 0 means no limit."""
    weights: Literal["none", "balanced", "pt_flat"] = "none"
    """Weight of an event in the training loss: 1, or so that both classes count the same, or so
    that both have the same flat spectrum in pT."""
    flip: bool = False
    """Mirror training images in eta and phi at random; d0 and dz change sign as they should."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield len(self.files) > 0, "files", "at least one file"
        shares = self.fractions[0] > 0 and abs(sum(self.fractions) - 1) < 1e-6
        yield shares, "fractions", "three numbers that sum to 1, the first above 0"
        names = self.names
        yield len(set(names)) == len(names) > 0, "channels", "each channel once"
        known = sorted({*names, *GROUPS["all"]})
        for key in ("suppress", "scale"):
            pairs: PerChannel = getattr(self, key)
            yield {name for name, _ in pairs} <= {*known}, key, f"channels out of {known}"
            yield all(number > 0 for _, number in pairs), key, "numbers above 0"
        yield self.labels[0] != self.labels[1], "labels", "two names"

    @property
    def names(self) -> tuple[str, ...]:
        """The channels of the network, the groups spelt out."""
        return tuple(name for entry in self.channels for name in GROUPS.get(entry, (entry,)))


@dataclass(frozen=True)
class TaggerConfig(RunConfig):
    """Everything that defines the training of a tagger."""

    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=published_optimizer)
    data: DataConfig = field(default_factory=DataConfig)

    def rules(self) -> Iterator[Rule]:
        """What must hold between the groups."""
        least = 16 * self.model.granularity
        large = min(self.data.shape) >= least
        yield large, "data.shape", f"{least} or more pixels a side for this network"
