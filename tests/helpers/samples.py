"""Toy samples for the reports: showers, tagged jets, and particle-flow candidates."""

import numpy as np

from helpers.mlpf import event
from hepjax.formats.images import Channel, Grid
from hepjax.physics.jets import report as jets
from hepjax.physics.particleflow import metrics
from hepjax.physics.particleflow import report as particleflow


def showers(seed: int, n: int = 120, scale: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    energy = rng.uniform(97, 103, n).astype(np.float32)
    depth = np.exp(-0.5 * ((np.arange(25) - 10) / 4) ** 2)
    cells = rng.gamma(0.5, size=(n, 6, 6, 25)) * depth
    cells *= (scale * 0.02 * energy / cells.sum((1, 2, 3)))[:, None, None, None]
    return {"ecal": cells.astype(np.float32), "energy": energy}


GRID = Grid((10, 10), (Channel("pT", "GeV"), Channel("HCAL", "GeV", 5)))


def tagged(n: int = 400, shift: float = 2.0, **changes) -> jets.Sample:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, n)
    truth = rng.normal(0, 1, n) + shift * label
    planes = [[rng.uniform(size=shape) for shape in GRID.planes] for _ in range(2)]
    fields = {
        "score": 1 / (1 + np.exp(shift**2 / 2 - shift * truth)), "label": label,
        "classes": ("qcd", "top"), "pt": rng.uniform(400, 800, n), "grid": GRID,
        "images": planes, "saliency": planes,
        "baselines": {
            "jet mass": truth + rng.normal(0, 1, n), "tau3 / tau2": -truth + rng.normal(0, 3, n),
            "broken": np.where(np.arange(n) < 3, np.nan, 0.0),
        },
    }  # fmt: skip
    return jets.Sample(**(fields | changes))


def candidates(events: int = 12, elements: int = 200) -> particleflow.Sample:
    """Rule-based flow misses a tenth of the neutral hadrons and smears; MLPF is the truth."""
    rng = np.random.default_rng(0)
    truth = np.concatenate([event(elements, k)["ygen"] for k in range(events)])
    rule = truth.copy()
    rule[:, [2, 6]] *= rng.normal(1.0, 0.2, (len(rule), 1))
    neutral = np.flatnonzero(truth[:, 0] == 2)
    rule[neutral[::10]] = 0
    return particleflow.Sample(
        events=events, event=np.repeat(np.arange(events), elements), truth=truth,
        rule_based=rule, mlpf=truth,
        probability=np.eye(6, dtype=np.float32)[metrics.classes(truth)],
    )  # fmt: skip
