"""LAMB and LARS for large batches: the step of each array in proportion to the array's own size.

optax transformations without a learning rate, as both depend on the epoch outside of them. The
constants are those published; arrays of one axis (biases, batch norm) take the plain step.
"""

from typing import Any

import jax
import optax

TRUST = 1e-3
"""LARS: size of a step over that of the array, at rate 1."""
MOMENTUM = 0.9


def lamb() -> optax.GradientTransformation:
    """Adam's step scaled to the norm of the array (You et al., arXiv:1904.00962), no weight decay.

    At rate r an array moves by r times its norm.
    """
    return optax.chain(
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-6),
        optax.masked(optax.scale_by_trust_ratio(), _matrices),
    )


def lars() -> optax.GradientTransformation:
    """The gradient scaled to the norm of the array, with momentum (You et al., arXiv:1708.03888).

    At rate r an array moves by ``TRUST`` times r times its norm, so rates are of the order of 1; no
    weight decay.
    """
    return optax.chain(
        optax.masked(optax.scale_by_trust_ratio(trust_coefficient=TRUST), _matrices),
        optax.trace(MOMENTUM),
    )


def _matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim > 1, params)


LAYERWISE = {"lamb": lamb, "lars": lars}
"""By the name in a configuration."""
