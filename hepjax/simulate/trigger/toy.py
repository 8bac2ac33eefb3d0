"""The toys: points of normal mixtures, whose best possible accuracy is known."""

import numpy as np

from hepjax.formats.trigger.tables import Events
from hepjax.formats.trigger.tasks import mixture


def points(name: str, count: int, rng: np.random.Generator) -> Events:
    """Points of a toy, classes in equal parts and mixed order."""
    known = mixture(name)
    label = rng.permutation(np.arange(count) % len(known.mean)).astype(np.int32)
    normal = rng.normal(size=(count, known.mean.shape[1]))
    x = known.mean[label] + np.einsum("nij,nj->ni", known.spread[label], normal)
    return Events(x.astype(np.float32), label)
