"""LAMB and LARS, layer-wise adaptive optimizers for large batches.

Both scale the step of an array to its norm (the trust ratio). They are optax transformations
without a learning rate, which the caller multiplies by its schedule. Constants are as published.
Arrays of one axis (biases, batch norm) take the plain step. There is no weight decay.
"""

from typing import Any

import jax
import optax

TRUST = 1e-3
"""Trust coefficient of LARS: norm of a step over the norm of the array, at rate 1."""
MOMENTUM = 0.9


def lamb() -> optax.GradientTransformation:
    """LAMB: Adam's step, scaled to the norm of the array (You et al., arXiv:1904.00962).

    At rate r an array moves by r times its norm.
    """
    return optax.chain(
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-6),
        optax.masked(optax.scale_by_trust_ratio(), _matrices),
    )


def lars() -> optax.GradientTransformation:
    """LARS: the gradient scaled to the norm of the array, then momentum (arXiv:1708.03888).

    At rate r an array moves by ``TRUST * r`` times its norm, so rates are of the order of 1.
    """
    return optax.chain(
        optax.masked(optax.scale_by_trust_ratio(trust_coefficient=TRUST), _matrices),
        optax.trace(MOMENTUM),
    )


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim > 1, params)


LAYERWISE = {"lamb": lamb, "lars": lars}
"""By the value of ``optimizer.name``."""
