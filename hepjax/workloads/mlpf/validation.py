"""What is computed on the validation events after each epoch, and the score of the best epoch.

Sums over events go in and means come out, so they are exact over uneven batches and devices.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.workload import Batch, Metrics
from hepjax.formats.particleflow.columns import CLASSES, IDENTIFIERS, QUANTITIES
from hepjax.workloads.mlpf import objective
from hepjax.workloads.mlpf.config import MLPFConfig
from hepjax.workloads.mlpf.objective import State

SCORE = "loss"
RESOLUTIONS = {"charged_hadron": "pt", "neutral_hadron": "energy"}
"""Which quantity is judged on which class, both published."""
CLIP = 10.0
"""Largest |reco - gen| / gen that enters a resolution (published)."""


def eval_step(cfg: MLPFConfig, state: State, batch: Batch, key: jax.Array) -> Metrics:
    """Sums over a batch: loss terms, confusion matrix of the elements, resolutions, padding."""
    outputs = objective.answer(cfg, state, batch)
    events, elements = batch["mask"], batch["elements"]
    sums: Metrics = {}
    for name, (value, count) in objective.loss_sums(cfg, outputs, batch, events).items():
        sums |= {f"{name}_loss": value, f"{name}_count": count}

    target = objective.truth(batch["ygen"])
    found = jnp.argmax(outputs["logits"], axis=-1)
    weight = elements * events[:, None]
    one_hot = (jax.nn.one_hot(c, len(CLASSES)) for c in (target["class"], found))
    sums["confusion"] = jnp.einsum("nik,nil,ni->kl", *one_hot, weight)
    # Padding is class 0 in truth and, with logits of 0, in the answer: right by construction.
    sums["padding"] = ((~elements) * events[:, None]).sum()
    for name, quantity in RESOLUTIONS.items():
        label = IDENTIFIERS.index(name)
        true = target[quantity]
        both = weight * (target["class"] == label) * (found == label) * (true > 0)
        relative = (outputs[quantity] - true) / jnp.where(true > 0, true, 1.0)
        relative = jnp.clip(relative, -CLIP, CLIP)
        powers = jnp.stack([jnp.ones_like(relative), relative, relative**2])
        sums[f"{name}_{quantity}"] = jnp.einsum("pni,ni->p", powers, both)
    return sums


def summarise(cfg: MLPFConfig, sums: dict[str, Any]) -> dict[str, float]:
    """Mean losses, accuracies, efficiency and fake rate of each class, resolutions.

    ``accuracy`` counts elements; ``accuracy_padded`` is the published one, which counts padding as
    right. Efficiency: share of the true that are found; fake rate: share of the found that are not
    true, class 0 included in the truth. A resolution is the standard deviation of
    (reco - gen) / gen where both have the class, the mean is the ``bias``. Without a single element
    these are 0.
    """
    means = {
        name: float(sums[f"{name}_loss"]) / max(float(sums[f"{name}_count"]), 1.0)
        for name in QUANTITIES
    }
    scores = {SCORE: float(objective.total_loss(cfg, means))}
    scores |= {f"{name}_loss": mean for name, mean in means.items()}

    confusion = np.asarray(sums["confusion"], float)
    right, padding = np.trace(confusion), float(sums["padding"])
    scores["accuracy"] = right / max(confusion.sum(), 1.0)
    scores["accuracy_padded"] = (right + padding) / max(confusion.sum() + padding, 1.0)
    for label, name in enumerate(IDENTIFIERS[1:], start=1):
        true, found = confusion[label].sum(), confusion[:, label].sum()
        both = confusion[label, label]
        scores[f"{name}_efficiency"] = both / max(true, 1.0)
        scores[f"{name}_fake_rate"] = (found - both) / max(found, 1.0)
    for name, quantity in RESOLUTIONS.items():
        count, first, second = np.asarray(sums[f"{name}_{quantity}"], float)
        mean = first / max(count, 1.0)
        spread = np.sqrt(max(second / max(count, 1.0) - mean**2, 0.0))
        scores |= {f"{name}_{quantity}_bias": mean, f"{name}_{quantity}_resolution": spread}
    return {name: float(value) for name, value in scores.items()}
