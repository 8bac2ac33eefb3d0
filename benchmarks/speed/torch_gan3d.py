"""The 3DGAN and its published update in PyTorch, the other side of the benchmarks.

The same networks, losses, frozen discriminator and RMSprop as ``hepjax.workloads.gan3d``, whose
weights it takes; tests/benchmarks compares the two. Not a second implementation for users.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from hepjax.nn.keras import BATCH_NORM, LEAKY_SLOPE
from hepjax.workloads.gan3d.config import Gan3DConfig
from hepjax.workloads.gan3d.geometry import image
from hepjax.workloads.gan3d.layers import ONE, Layer, shapes
from hepjax.workloads.gan3d.objective import (
    ENERGY_UNIT,
    FAKE,
    REAL,
    Network,
    State,
    noise_size,
    total_loss,
)

LAYOUT = torch.channels_last_3d
"""Of weights and activations, the faster one on a CPU."""
Batch = dict[str, Tensor]


def leaky(x: Tensor) -> Tensor:
    """LeakyReLU with the slope of Keras."""
    return F.leaky_relu(x, LEAKY_SLOPE)


def batch_norm(channels: int, epsilon: float) -> nn.Module:
    """Keras says which share of the old average stays, PyTorch which share of the new one enters.

    PyTorch also multiplies the variance that enters by n / (n - 1), n = batch x cells.
    """
    return nn.BatchNorm3d(channels, epsilon, 1 - BATCH_NORM["momentum"])


class Walk(nn.Module):
    """A list of layers, with the names that Flax gives them: conv3d_0, batchnorm_0, dense_0."""

    def __init__(self, layers: tuple[Layer, ...], first: tuple[int, ...], cfg: Gan3DConfig) -> None:
        super().__init__()
        self.layers, self.dropout = layers, 0.0
        numbers = {"dense": 0, "conv3d": 0, "batchnorm": 0}
        self.names: list[dict[str, str]] = []
        after = shapes(layers, first, "layers")
        for layer, before, shape in zip(layers, (first, *after), after, strict=False):
            made: dict[str, nn.Module] = {}
            if layer.dense:
                made["dense"] = nn.Linear(int(np.prod(before)), int(np.prod(layer.dense)))
            if layer.filters:
                made["conv3d"] = nn.Conv3d(
                    before[3], layer.filters, layer.kernel, bias=layer.bias
                )  # fmt: skip
            if layer.norm:
                made["batchnorm"] = batch_norm(shape[-1], cfg.model.norm_epsilon)
            names = {}
            for kind, module in made.items():
                names[kind] = f"{kind}_{numbers[kind]}"
                numbers[kind] += 1
                self.add_module(names[kind], module)
            self.names.append(names)
        self.features = int(np.prod(after[-1]))

    def walk(self, x: Tensor) -> Tensor:
        """Boxes only: no azimuth."""
        for layer, names in zip(self.layers, self.names, strict=True):
            if layer.dense:
                x = self.get_submodule(names["dense"])(x)
                if len(layer.dense) > 1:
                    # As in Keras the block is filled with the channels innermost.
                    x = x.view(-1, *layer.dense).permute(0, 4, 1, 2, 3)
            if layer.upsample != ONE:
                x = F.interpolate(x, scale_factor=layer.upsample, mode="nearest")
            if layer.filters:
                conv, pads = self.get_submodule(names["conv3d"]), layer.pads()
                if all(a == b for a, b in pads):
                    conv.padding = tuple(a for a, _ in pads)
                else:  # last axis first
                    x = F.pad(x, tuple(n for pair in reversed(pads) for n in pair))
                x = conv(x)
            x = {"leaky": leaky, "relu": F.relu, "linear": lambda x: x}[layer.activation](x)
            if layer.norm:
                x = self.get_submodule(names["batchnorm"])(x)
            if self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            if layer.pool != ONE:
                x = F.avg_pool3d(x, layer.pool)
        return x


class Generator(Walk):
    """Latent (n, cfg.model.latent) -> cells (n, 1, x, y, z), type of the latent."""

    def __init__(self, cfg: Gan3DConfig) -> None:
        super().__init__(cfg.model.generator, (cfg.model.latent,), cfg)
        self.energy_power = cfg.model.energy_power

    def forward(self, latent: Tensor) -> Tensor:
        cells = self.walk(latent).to(latent.dtype)
        if self.energy_power:
            return cells * latent[:, :1, None, None, None] ** self.energy_power
        return cells


class Discriminator(Walk):
    """Cells (n, 1, x, y, z) -> the answers of its Flax twin but the counts, each (n,)."""

    def __init__(self, cfg: Gan3DConfig) -> None:
        super().__init__(cfg.model.discriminator, (*image(cfg.calorimeter), 1), cfg)
        self.dropout, self.heads, self.power = cfg.model.dropout, cfg.model.heads, cfg.data.power
        self.generation = nn.Linear(self.features, 1)
        self.auxiliary = nn.Linear(self.features, 1)

    def forward(self, showers: Tensor) -> Batch:
        x = self.walk(showers).permute(0, 2, 3, 4, 1).flatten(1).to(showers.dtype)
        with torch.autocast(x.device.type, enabled=False):
            found = {"real": self.generation(x)[:, 0], "energy": self.auxiliary(x)[:, 0]}
            # The gradient of a power that is no whole number is not finite at 0 in PyTorch.
            cells = showers if self.power == 1 else positive_power(showers, 1 / self.power)
            if "angle" in self.heads:
                found["angle"] = measured_angle(cells[:, 0])
            if "sum" in self.heads:
                found["sum"] = cells.sum(dim=(1, 2, 3, 4))
        return found


def positive_power(x: Tensor, power: float) -> Tensor:
    """x to the power, 0 where x is 0 with gradient 0."""
    some = x > 0
    return torch.where(some, torch.where(some, x, 1.0) ** power, 0.0)


def measured_angle(showers: Tensor) -> Tensor:
    """As ``hepjax.physics.calorimeter.observables.measured_angle``, showers (n, x, y, z)."""
    x, y, z = (
        torch.arange(n, dtype=showers.dtype, device=showers.device) + 0.5 for n in showers.shape[1:]
    )
    xz, yz = showers.sum(2), showers.sum(1)
    by_layer = xz.sum(1)
    total = by_layer.sum(1)
    layer_x = share(torch.einsum("nxz,x->nz", xz, x), by_layer)
    layer_y = share(torch.einsum("nyz,y->nz", yz, y), by_layer)
    x0, y0 = (share((m * by_layer).sum(1), total)[:, None] for m in (layer_x, layer_y))
    z0 = share(by_layer @ z, total)[:, None]
    squared = (layer_x - x0) ** 2 + (z - z0) ** 2
    slope = (layer_y - y0) / squared.clamp(min=1e-14).sqrt()
    angle = torch.pi / 2 - torch.arctan(torch.where(z < z0, -slope, slope))
    weight = torch.where(by_layer > 0, z, 0.0)
    return torch.where(total > 0, share((weight * angle).sum(1), weight.sum(1)), 100.0)


def share(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, 0 where there is no whole."""
    some = whole > 0
    return torch.where(some, part / torch.where(some, whole, 1.0), 0.0)


def load(module: nn.Module, network: Network) -> nn.Module:
    """Fill ``module`` with the parameters and batch statistics of its Flax twin."""
    names = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    names |= {"mean": "running_mean", "var": "running_var"}
    for tree in (network.params, network.stats):
        for layer, leaves in tree.items():
            for name, leaf in leaves.items():
                array = np.array(leaf)
                # (x, y, z, in, out) -> (out, in, x, y, z) and (in, out) -> (out, in)
                array = np.moveaxis(array, (-1, -2), (0, 1)) if name == "kernel" else array
                target = getattr(module.get_submodule(layer.lower()), names[name])
                target.data.copy_(torch.tensor(array))
    return module.to(memory_format=LAYOUT)


def mape(truth: Tensor, prediction: Tensor) -> Tensor:
    """Absolute percentage error of each event, the Keras formula with its floor of 1e-7."""
    return 100.0 * (truth - prediction).abs() / truth.abs().clamp(min=1e-7)


def loss_of(cfg: Gan3DConfig, answers: Batch, labels: Tensor, truth: Batch) -> tuple[Tensor, Batch]:
    """The weighted loss and its terms, means over events."""
    terms = {"bce": F.binary_cross_entropy_with_logits(answers["real"], labels)}
    for name in ("energy", "sum"):
        if name in answers:
            terms[name] = mape(truth[name], answers[name]).mean()
    if "angle" in answers:
        terms["angle"] = (truth["angle"] - answers["angle"]).abs().mean()
    return total_loss(cfg, terms), terms


@dataclass(frozen=True)
class Gan:
    """Both networks with their optimizers, and the two losses, perhaps compiled."""

    cfg: Gan3DConfig
    generator: nn.Module
    discriminator: nn.Module
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    make_showers: Callable[[Tensor], Tensor]
    discriminator_loss: Callable[..., tuple[Tensor, Batch]]
    generator_loss: Callable[..., tuple[Tensor, Batch]]


def make_gan(cfg: Gan3DConfig, state: State, *, compiled: bool = False) -> Gan:
    """The PyTorch twin of ``state``, before the first update, float32 or bfloat16 as in ``cfg``."""
    generator = load(Generator(cfg), state.generator)
    discriminator = load(Discriminator(cfg), state.discriminator)

    def discriminator_loss(shower: Tensor, *given: Any) -> tuple[Tensor, Batch]:
        return loss_of(cfg, discriminator(shower), *given)

    def generator_loss(inputs: Tensor, *given: Any) -> tuple[Tensor, Batch]:
        return loss_of(cfg, discriminator(generator(inputs)), *given)

    functions: list[Any] = [generator.forward, discriminator_loss, generator_loss]
    if compiled:
        functions = [torch.compile(function, dynamic=False) for function in functions]
    rms = {"lr": cfg.optimizer.learning_rate, "alpha": cfg.optimizer.beta2}
    rms["eps"] = cfg.optimizer.epsilon  # PyTorch adds it after the root, as Keras does
    optimizers = (
        torch.optim.RMSprop(network.parameters(), foreach=True, **rms)
        for network in (generator, discriminator)
    )
    return Gan(cfg, generator, discriminator, *optimizers, *functions)


def mixed_precision(cfg: Gan3DConfig) -> torch.autocast:
    """PyTorch's own bfloat16 training, or nothing."""
    device, half = torch.get_default_device().type, cfg.train.precision == "bfloat16"
    return torch.autocast(device, torch.bfloat16, enabled=half)


def truth_of(batch: Batch) -> Batch:
    """What is known of each event beside its cells."""
    return {name: values for name, values in batch.items() if name != "shower"}


def conditions(cfg: Gan3DConfig, batch: Batch) -> Batch:
    """The truth with which fakes are made."""
    if cfg.objective.conditions == "batch":
        return truth_of(batch)
    low, high = cfg.energies
    e = (low + (high - low) * torch.rand_like(batch["energy"])) / ENERGY_UNIT
    visible = e * (2.21 + e * (-0.28 + e * (0.11 + e * (-0.023 + e * 0.0018))))  # published fit
    return {"energy": e, "sum": visible * cfg.data.scale}


def latent(cfg: Gan3DConfig, truth: Batch) -> Tensor:
    """Generator input (n, latent)."""
    energy = truth["energy"][:, None]
    noise = torch.randn(len(energy), noise_size(cfg))
    if cfg.model.inputs == "product":
        return energy * noise
    if cfg.with_angle:
        return torch.cat([energy, truth["theta"][:, None], noise], dim=1)
    return torch.cat([energy * (ENERGY_UNIT / cfg.energies[1]), noise], dim=1)


def flip_labels(cfg: Gan3DConfig, label: float, n: int) -> Tensor:
    """(n,) labels, each wrong with the configured probability."""
    return (torch.full((n,), label) - (torch.rand(n) < cfg.objective.label_flip).float()).abs()


def train_discriminator(gan: Gan, shower: Tensor, labels: Tensor, truth: Batch) -> Batch:
    """One update of the discriminator on showers that are all real or all fake."""
    gan.discriminator_optimizer.zero_grad()
    with mixed_precision(gan.cfg):
        loss, terms = gan.discriminator_loss(shower, labels, truth)
    loss.backward()
    gan.discriminator_optimizer.step()
    return {name: term.detach() for name, term in terms.items()} | {"loss": loss.detach()}


def train_generator(gan: Gan, inputs: Tensor, truth: Batch) -> Batch:
    """One update of the generator through the discriminator, whose parameters stay."""
    gan.generator_optimizer.zero_grad()
    # Without this PyTorch would compute the gradients of the discriminator's weights too.
    gan.discriminator.requires_grad_(False)
    with mixed_precision(gan.cfg):
        labels = torch.full_like(truth["energy"], REAL)
        loss, terms = gan.generator_loss(inputs, labels, truth)
    loss.backward()
    gan.discriminator.requires_grad_(True)
    gan.generator_optimizer.step()
    return {name: term.detach() for name, term in terms.items()} | {"loss": loss.detach()}


def train_step(gan: Gan, batch: Batch) -> list[Batch]:
    """The published update; ``batch`` as of ``prepare``, showers (n, 1, x, y, z)."""
    cfg, n = gan.cfg, len(batch["energy"])
    asked = conditions(cfg, batch)
    gan.generator.eval()
    with torch.no_grad(), mixed_precision(cfg):
        fake = gan.make_showers(latent(cfg, asked))
    gan.generator.train()
    real_labels, fake_labels = flip_labels(cfg, REAL, n), flip_labels(cfg, FAKE, n)
    metrics = [
        train_discriminator(gan, batch["shower"], real_labels, truth_of(batch)),
        train_discriminator(gan, fake, fake_labels, asked),
    ]
    for _ in range(2):
        asked = conditions(cfg, batch)
        metrics.append(train_generator(gan, latent(cfg, asked), asked))
    return metrics


def make_generate(
    cfg: Gan3DConfig, network: Network, *, compiled: bool = False
) -> Callable[..., Tensor]:
    """From energies (n,) GeV, and polar angles (n,) rad where they are an input, to showers
    (n, 1, x, y, z) in GeV, noise included."""
    generator = load(Generator(cfg), network).eval().requires_grad_(False)
    if cfg.train.precision == "bfloat16":
        # Once here; autocast would convert the weights in every call.
        for module in generator.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                module.to(torch.bfloat16)

    def showers(**truth: Tensor) -> Tensor:
        truth["energy"] = truth["energy"] / ENERGY_UNIT
        images = generator(latent(cfg, truth))
        cells = (images if cfg.data.power == 1 else images ** (1 / cfg.data.power)) / cfg.data.scale
        return torch.where(cells < cfg.threshold, 0.0, cells)

    run = torch.compile(showers, dynamic=False) if compiled else showers

    def generate(**truth: Tensor) -> Tensor:
        with torch.inference_mode(), mixed_precision(cfg):
            return run(**truth)

    return generate


def export_onnx(cfg: Gan3DConfig, network: Network, path: Path) -> None:
    """Write the generator, float32, latent (n, latent) -> cells (n, 1, x, y, z)."""
    generator = load(Generator(cfg), network).eval()
    torch.onnx.export(
        generator, (torch.zeros(2, cfg.model.latent),), path, dynamo=True, verbose=False,
        input_names=["latent"], output_names=["cells"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
    )  # fmt: skip
