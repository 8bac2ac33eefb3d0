"""From what the graph layers know of each element to its candidate: class, charge and momentum.

Every output is (n, i) float32, ``logits`` (n, i, 6); energies and momenta in GeV.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hepjax.formats.particleflow.columns import CLASSES, Element
from hepjax.nn.dense import Network
from hepjax.nn.int8 import around_last
from hepjax.nn.keras import GLOROT, LAYER_NORM_EPSILON
from hepjax.workloads.mlpf.config import ModelConfig

Outputs = dict[str, jax.Array]
SHARPNESS = 100.0
"""Of the softmax that picks the energy of the most probable class (published)."""
ETA_LIMIT = 8.0
"""Largest |eta| at which an energy is turned into a transverse momentum (published)."""
LOG_LIMIT = 10.0
"""Largest |logarithm| of the factor on a measured energy: no overflow from an untrained head."""


def scaled(measured: jax.Array, correction: jax.Array) -> jax.Array:
    """The measured momentum or energy (n, i) times exp(correction)."""
    return measured * jnp.exp(jnp.clip(correction, -LOG_LIMIT, LOG_LIMIT))


class Heads(nn.Module):
    """The six networks of the dense models."""

    cfg: ModelConfig
    dtype: jnp.dtype = jnp.float32

    def head(
        self, name: str, hidden: int, outputs: int, *parts: jax.Array, zero: bool = False
    ) -> jax.Array:
        """Hidden layers that halve in width, then the outputs in float32, at first 0 if wanted."""
        widths = tuple(self.cfg.head_width // 2**k for k in range(hidden))
        last = nn.initializers.zeros if zero else GLOROT
        kind = around_last(self.cfg.quantise, False, False)
        network = Network(widths, outputs, self.dtype, last, (kind, kind), name=name)
        return network(*parts).astype(jnp.float32)

    @nn.compact
    def __call__(
        self, X: jax.Array, common: tuple[jax.Array, ...], energy: tuple[jax.Array, ...]
    ) -> Outputs:
        """``common`` and ``energy``: what the two stacks know of each element, side by side."""
        slips, concat = self.cfg.published_slips, self.cfg.variant == "concat"
        known = nn.LayerNorm(epsilon=LAYER_NORM_EPSILON, dtype=jnp.float32, name="norm")(
            jnp.concatenate(common, axis=-1).astype(jnp.float32)
        ).astype(self.dtype)
        logits = self.head("class", 4, len(CLASSES), known)
        charge = self.head("charge", 2, 1, known)[..., 0]

        fixed = jax.lax.stop_gradient(logits).astype(self.dtype)
        both = (known, fixed, *energy)
        if slips:
            both = (known, fixed, *(e for e in energy for _ in range(1 + concat)), fixed)
        gates = slips and concat
        # Directions begin as those of the element: a correction that is 0 before it is learnt.
        eta = self.head("eta", 3, 1 + gates, known, fixed, zero=not slips)
        phi = self.head("phi", 3, 2 * (1 + gates), known, fixed, zero=not slips)
        eta, sin, cos = eta[..., -1], phi[..., phi.shape[-1] // 2 - 1], phi[..., -1]
        eta = X[..., Element.ETA] + eta
        decode = self.per_class if concat else self.corrected
        pt, e = decode(X, logits, eta, both)
        return {
            "logits": logits, "charge": charge, "pt": pt, "eta": eta,
            "sin_phi": X[..., Element.SIN_PHI] + sin, "cos_phi": X[..., Element.COS_PHI] + cos,
            "energy": e,
        }  # fmt: skip

    def per_class(
        self, X: jax.Array, logits: jax.Array, eta: jax.Array, parts: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """pt and energy of the concat model: an energy for each class; pt by eta, corrected."""
        chosen = jax.lax.stop_gradient(jax.nn.softmax(SHARPNESS * logits))
        energy = (chosen * self.head("energy", 3, len(CLASSES), *parts)).sum(-1)
        gate, correction = jnp.moveaxis(self.head("pt", 3, 2, *parts), -1, 0)
        if self.cfg.inputs == "log":
            energy = scaled(X[..., Element.ENERGY], energy)
            return scaled(X[..., Element.PT], jax.nn.sigmoid(gate) * correction), energy
        massless = energy / jnp.cosh(jnp.clip(eta, -ETA_LIMIT, ETA_LIMIT))
        return jax.lax.stop_gradient(massless) + jax.nn.sigmoid(gate) * correction, energy

    def corrected(
        self, X: jax.Array, logits: jax.Array, eta: jax.Array, parts: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, jax.Array]:
        """pt and energy of the additive model: a correction of the measured energy, pt as it is."""
        energy = self.head("energy", 3, 1, *parts)[..., 0]
        pt = self.head("pt", 3, 1 + self.cfg.published_slips, *parts)[..., 0]
        if self.cfg.inputs == "log":
            return scaled(X[..., Element.PT], pt), scaled(X[..., Element.ENERGY], energy)
        return jnp.abs(pt), jnp.abs(X[..., Element.ENERGY] + energy)
