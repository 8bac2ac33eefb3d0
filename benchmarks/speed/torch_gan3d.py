"""The fixed-angle 3DGAN and its published update in PyTorch, the other side of the benchmarks.

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
from hepjax.workloads.gan3d.config import Gan3DConfig, ModelConfig
from hepjax.workloads.gan3d.objective import ENERGY_UNIT, FAKE, REAL, Network, State, total_loss

LAYOUT = torch.channels_last_3d
"""Of weights and activations, the faster one on a CPU."""
Batch = dict[str, Tensor]


def leaky(x: Tensor) -> Tensor:
    """LeakyReLU with the slope of Keras."""
    return F.leaky_relu(x, LEAKY_SLOPE)


def batch_norm(channels: int) -> nn.Module:
    """Keras says which share of the old average stays, PyTorch which share of the new one enters.

    PyTorch also multiplies the variance that enters by n / (n - 1), n = batch x cells.
    """
    return nn.BatchNorm3d(channels, BATCH_NORM["epsilon"], 1 - BATCH_NORM["momentum"])


class Generator(nn.Module):
    """Latent (n, cfg.latent) -> cells (n, 1, 25, 25, 25), type of the latent."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        self.seed_channels = cfg.seed_channels
        a, b, c = cfg.generator_filters
        self.dense_0 = nn.Linear(cfg.latent, 7 * 7 * 8 * cfg.seed_channels)
        self.conv3d_0 = nn.Conv3d(cfg.seed_channels, a, (6, 6, 8))
        self.conv3d_1 = nn.Conv3d(a, b, (6, 5, 8), padding=(2, 2, 0))
        self.conv3d_2 = nn.Conv3d(b, c, (3, 3, 8), padding=(1, 0, 3))
        self.conv3d_3 = nn.Conv3d(c, 1, (2, 2, 2), bias=False)
        self.batchnorm_0, self.batchnorm_1 = batch_norm(a), batch_norm(b)

    def forward(self, latent: Tensor) -> Tensor:
        # As in Keras the block is filled with the channels innermost.
        x = self.dense_0(latent).view(-1, 7, 7, 8, self.seed_channels).permute(0, 4, 1, 2, 3)
        x = F.pad(x, (3, 4, 2, 3, 2, 3))  # last axis first
        x = self.batchnorm_0(leaky(self.conv3d_0(x)))
        x = F.interpolate(x, scale_factor=(2, 2, 2), mode="nearest")
        x = self.batchnorm_1(leaky(self.conv3d_1(x)))
        x = F.interpolate(x, scale_factor=(2, 2, 3), mode="nearest")
        x = leaky(self.conv3d_2(x))
        return F.relu(self.conv3d_3(x)).to(latent.dtype)


class Discriminator(nn.Module):
    """Cells (n, 1, 25, 25, 25) -> logit, energy / 100 GeV and visible energy, each (n,)."""

    def __init__(self, cfg: ModelConfig) -> None:
        super().__init__()
        k = cfg.discriminator_kernel
        self.pool, self.dropout = cfg.discriminator_pool, cfg.dropout
        channels = (1, *cfg.discriminator_filters)
        size = 25
        for layer in range(4):
            pad = k // 2 - (layer == 3)
            conv = nn.Conv3d(channels[layer], channels[layer + 1], k, padding=pad)
            self.add_module(f"conv3d_{layer}", conv)
            size = (size + 2 * pad - k + 1) // (self.pool if layer == 0 else 1)
            if layer > 0:
                self.add_module(f"batchnorm_{layer - 1}", batch_norm(channels[layer + 1]))
        features = channels[4] * (size // 2) ** 3
        self.generation, self.auxiliary = nn.Linear(features, 1), nn.Linear(features, 1)

    def forward(self, showers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = showers
        for layer in range(4):
            x = leaky(self.get_submodule(f"conv3d_{layer}")(x))
            if layer > 0:
                x = self.get_submodule(f"batchnorm_{layer - 1}")(x)
            if self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            if layer == 0 and self.pool > 1:
                x = F.avg_pool3d(x, self.pool)
        x = F.avg_pool3d(x, 2).permute(0, 2, 3, 4, 1).flatten(1).to(showers.dtype)
        with torch.autocast(x.device.type, enabled=False):
            logit, energy = (head(x)[:, 0] for head in (self.generation, self.auxiliary))
        return logit, energy, showers.sum(dim=(1, 2, 3, 4))


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


def loss_of(
    cfg: Gan3DConfig, outputs: tuple[Tensor, ...], labels: Tensor, energy: Tensor, total: Tensor
) -> tuple[Tensor, Batch]:
    """The weighted loss and its three terms, means over events."""
    logit, regressed, visible = outputs
    terms = {
        "bce": F.binary_cross_entropy_with_logits(logit, labels),
        "energy": mape(energy, regressed).mean(),
        "sum": mape(total, visible).mean(),
    }
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
    generator = load(Generator(cfg.model), state.generator)
    discriminator = load(Discriminator(cfg.model), state.discriminator)

    def discriminator_loss(shower: Tensor, *conditions: Tensor) -> tuple[Tensor, Batch]:
        return loss_of(cfg, discriminator(shower), *conditions)

    def generator_loss(inputs: Tensor, *conditions: Tensor) -> tuple[Tensor, Batch]:
        return loss_of(cfg, discriminator(generator(inputs)), *conditions)

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


def conditions(cfg: Gan3DConfig, batch: Batch) -> tuple[Tensor, Tensor]:
    """Incident energies (100 GeV) and visible energies (GeV x scale) at which fakes are made."""
    if cfg.objective.conditions == "batch":
        return batch["energy"], batch["sum"]
    low, high = cfg.data.energy_range
    e = (low + (high - low) * torch.rand_like(batch["energy"])) / ENERGY_UNIT
    visible = e * (2.21 + e * (-0.28 + e * (0.11 + e * (-0.023 + e * 0.0018))))  # published fit
    return e, visible * cfg.data.scale


def latent(cfg: Gan3DConfig, energy: Tensor) -> Tensor:
    """Generator input (n, latent)."""
    return energy[:, None] * torch.randn(len(energy), cfg.model.latent)


def flip_labels(cfg: Gan3DConfig, label: float, n: int) -> Tensor:
    """(n,) labels, each wrong with the configured probability."""
    return (torch.full((n,), label) - (torch.rand(n) < cfg.objective.label_flip).float()).abs()


def train_discriminator(
    gan: Gan, shower: Tensor, labels: Tensor, energy: Tensor, total: Tensor
) -> Batch:
    """One update of the discriminator on showers that are all real or all fake."""
    gan.discriminator_optimizer.zero_grad()
    with mixed_precision(gan.cfg):
        loss, terms = gan.discriminator_loss(shower, labels, energy, total)
    loss.backward()
    gan.discriminator_optimizer.step()
    return {name: term.detach() for name, term in terms.items()} | {"loss": loss.detach()}


def train_generator(gan: Gan, inputs: Tensor, energy: Tensor, total: Tensor) -> Batch:
    """One update of the generator through the discriminator, whose parameters stay."""
    gan.generator_optimizer.zero_grad()
    # Without this PyTorch would compute the gradients of the discriminator's weights too.
    gan.discriminator.requires_grad_(False)
    with mixed_precision(gan.cfg):
        loss, terms = gan.generator_loss(inputs, torch.full_like(energy, REAL), energy, total)
    loss.backward()
    gan.discriminator.requires_grad_(True)
    gan.generator_optimizer.step()
    return {name: term.detach() for name, term in terms.items()} | {"loss": loss.detach()}


def train_step(gan: Gan, batch: Batch) -> list[Batch]:
    """The published update; ``batch`` as of ``prepare``, showers (n, 1, 25, 25, 25)."""
    cfg, n = gan.cfg, len(batch["energy"])
    energy, total = conditions(cfg, batch)
    gan.generator.eval()
    with torch.no_grad(), mixed_precision(cfg):
        fake = gan.make_showers(latent(cfg, energy))
    gan.generator.train()
    real_labels, fake_labels = flip_labels(cfg, REAL, n), flip_labels(cfg, FAKE, n)
    metrics = [
        train_discriminator(gan, batch["shower"], real_labels, batch["energy"], batch["sum"]),
        train_discriminator(gan, fake, fake_labels, energy, total),
    ]
    for _ in range(2):
        energy, total = conditions(cfg, batch)
        metrics.append(train_generator(gan, latent(cfg, energy), energy, total))
    return metrics


def make_generate(
    cfg: Gan3DConfig, network: Network, *, compiled: bool = False
) -> Callable[[Tensor], Tensor]:
    """A function from energies (n,) GeV to showers (n, 1, 25, 25, 25) in GeV, noise included."""
    generator = load(Generator(cfg.model), network).eval().requires_grad_(False)
    if cfg.train.precision == "bfloat16":
        # Once here; autocast would convert the weights in every call.
        for module in generator.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                module.to(torch.bfloat16)

    def showers(energy: Tensor) -> Tensor:
        cells = generator(latent(cfg, energy / ENERGY_UNIT)) / cfg.data.scale
        return torch.where(cells < cfg.data.threshold, 0.0, cells)

    run = torch.compile(showers, dynamic=False) if compiled else showers

    def generate(energy: Tensor) -> Tensor:
        with torch.inference_mode(), mixed_precision(cfg):
            return run(energy)

    return generate


def export_onnx(cfg: Gan3DConfig, network: Network, path: Path) -> None:
    """Write the generator, float32, latent (n, cfg.latent) -> cells (n, 1, 25, 25, 25)."""
    generator = load(Generator(cfg.model), network).eval()
    torch.onnx.export(
        generator, (torch.zeros(2, cfg.model.latent),), path, dynamo=True, verbose=False,
        input_names=["latent"], output_names=["cells"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
    )  # fmt: skip
