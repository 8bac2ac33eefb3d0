"""Compare simulated electrons and photons with full Monte Carlo (EGSnrc) in the same crystals.

    HEPJAX_REFERENCE_DATA=... python -m benchmarks.physics.photon_model [--events N] [--out DIR]

Nothing is tuned on them. Prints the means of each class and the area under the ROC curve of each
quantity, and writes photon_model.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import rankdata

from benchmarks import setting
from hepjax.simulate.photons.photons import SEED, TILT, crystal_images

FILE = "egamma_ecal32.parquet"
ENERGY = (40.0, 60.0)  # GeV
AT_A_TIME = 64
NAMES = {
    "response": "sum / energy",
    "e1_e9": "E1 / E9",
    "r9": "R9 = E9 / sum",
    "width_bending": "width, bending plane (crystals)",
    "width_other": "width, other plane (crystals)",
    "crystals": "crystals above 10 MeV",
}


def quantities(images: np.ndarray, energy: np.ndarray) -> dict[str, np.ndarray]:
    """Shower shapes (n,) of images (n, 32, 32) in GeV; rows run along the bending plane."""
    total = images.sum((1, 2), dtype=np.float64)
    near = slice(SEED - 1, SEED + 2)
    nine = images[:, near, near].sum((1, 2))
    at = np.arange(images.shape[1])
    widths = []
    for axis in (2, 1):
        share = images.sum(axis, dtype=np.float64) / total[:, None]
        widths.append(np.sqrt(share @ at**2 - (share @ at) ** 2))
    return {
        "response": total / energy,
        "e1_e9": images[:, SEED, SEED] / nine,
        "r9": nine / total,
        "width_bending": widths[0],
        "width_other": widths[1],
        "crystals": (images > 0.01).sum((1, 2)).astype(float),
    }


def area(values: np.ndarray, electron: np.ndarray) -> float:
    """Area under the ROC curve of electrons against photons; 0.5 or more, whichever is higher."""
    rank = rankdata(values)
    n1, n0 = electron.sum(), (~electron).sum()
    auc = (rank[electron].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
    return float(max(auc, 1 - auc))


def summary(images: np.ndarray, energy: np.ndarray, electron: np.ndarray) -> dict[str, list[float]]:
    """Of each quantity: mean of electrons, its error, mean of photons, its error, and area."""
    result = {}
    for name, values in quantities(images, energy).items():
        classes = values[electron], values[~electron]
        means = [x for v in classes for x in (v.mean(), v.std() / np.sqrt(len(v)))]
        result[name] = [*map(float, means), area(values, electron)]
    return result


def simulated(events: int) -> dict[str, list[float]]:
    """The same of simulated events, as many electrons as photons."""
    images, energies = [], []
    electron = np.arange(AT_A_TIME) % 2 == 0
    for start in range(0, events, AT_A_TIME):
        rng = np.random.default_rng([0, start])
        energies.append(rng.uniform(*ENERGY, AT_A_TIME))
        tilt = rng.uniform(-TILT, TILT, AT_A_TIME)
        images.append(crystal_images(electron, energies[-1], tilt, rng))
    return summary(np.concatenate(images), np.concatenate(energies), np.tile(electron, len(images)))


def reference(path: Path) -> dict[str, list[float]]:
    """The same of the Monte Carlo events."""
    table = pq.read_table(path)
    images = table["X"].combine_chunks().flatten().flatten().flatten().to_numpy()
    images = images.reshape(-1, 32, 32)
    return summary(images, table["energy"].to_numpy(), table["y"].to_numpy() == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=12_800, help="simulated")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results = {"EGSnrc": reference(setting.reference_data() / FILE)}
    began = time.process_time()
    results["hepjax"] = simulated(args.events)
    print(f"{(time.process_time() - began) / args.events * 1e3:.2f} ms of CPU an event")
    print("| quantity | who | electrons | photons | AUC |\n|---|---|---|---|---|")
    for quantity, title in NAMES.items():
        for who, result in results.items():
            electron, e_error, photon, p_error, auc = result[quantity]
            first = title if who == "EGSnrc" else ""
            means = f"{electron:.4g} ± {e_error:.1g} | {photon:.4g} ± {p_error:.1g}"
            print(f"| {first} | {who} | {means} | {auc:.3f} |")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "photon_model.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
