"""Two samples of showers reduced to per-event quantities, and those to one score per family.

Arrays in, numbers out; no plots, no files. Showers pass in chunks, so a sample of any size costs
the memory of its own array and little more.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.physics.calorimeter import metrics, observables

Sample = dict[str, np.ndarray]
"""Per-event quantities as ``quantities`` returns them; the leading axis is the event."""

CHUNK = 256
AXES = ("x", "y", "z")
MOMENT_ORDERS = 3

FAMILIES = {
    "sampling_fraction": "Sampling fraction: |difference of means| / mean (published MRE)",
    "ecal_sum": "Visible energy: Wasserstein distance / mean",
    "profile_x": "Profile along x: separation power of the mean profiles",
    "profile_y": "Profile along y: separation power of the mean profiles",
    "profile_z": "Profile along z (depth): separation power of the mean profiles",
    "moments": "Moments: |difference of means| / mean, 2 orders x 3 axes (published)",
    "shapes": "Shapes: |difference of mean profiles| / mean, all cells (published)",
    "hits": "Hits above 0.3 MeV: Wasserstein distance / mean",
    "cell_spectrum": "Cell energies: separation power of the log10 spectra",
    "sparsity": "Sparsity: area between the mean curves / area under the reference curve",
    "max_position": "Hottest cell: separation power of its position, mean of the axes",
    "ratios": "Longitudinal ratios R1-R3: |difference of means| / mean",
    "diversity": "Diversity: difference of the mean similarity of shower pairs",
    "correlation": "Correlations: mean |difference| over pairs of quantities (published)",
    "real_fake": "Discriminator: 2 |AUC - 0.5| of real against generated",
}
"""What each score is; 0 is perfect agreement."""


def quantities(showers: np.ndarray, energy: np.ndarray) -> Sample:
    """Everything the report needs of each shower except the shower itself.

    Args:
      showers: (n, x, y, z) cell energies, GeV.
      energy: (n,) incident energies, GeV.
    """
    parts = [
        {name: np.asarray(value)[:count] for name, value in _quantities(cells, incident).items()}
        for cells, incident, count in _chunks(showers, energy)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@jax.jit
def _quantities(showers: jax.Array, energy: jax.Array) -> dict[str, jax.Array]:
    along = dict(zip(AXES, observables.profiles(showers), strict=True))
    return {f"profile_{axis}": profile for axis, profile in along.items()} | {
        "energy": energy,
        "ecal_sum": observables.ecal_sum(showers),
        "sampling_fraction": observables.sampling_fraction(showers, energy),
        "moments": observables.moments(showers, MOMENT_ORDERS),
        "ratios": observables.longitudinal_ratios(showers),
        "hits": observables.hits(showers),
        "sparsity": observables.sparsity(showers),
        "cell_spectrum": observables.cell_spectrum(showers),
        "max_position": observables.max_position(showers),
        "correlated": observables.correlated(showers, energy),
    }


def mean_projections(
    showers: np.ndarray, energy: np.ndarray, bins: metrics.Bins
) -> tuple[np.ndarray, ...]:
    """Mean energy in GeV summed along one axis: (bins, x, y), (bins, x, z), (bins, y, z)."""
    sums = [
        _projection_sums(cells, metrics.in_bins(incident, bins))
        for cells, incident, _ in _chunks(showers, energy)
    ]
    count = np.maximum(np.asarray(metrics.in_bins(energy, bins)).sum(1), 1)[:, None, None]
    return tuple(np.sum([np.asarray(s[k]) for s in sums], axis=0) / count for k in range(3))


@jax.jit
def _projection_sums(showers: jax.Array, inside: jax.Array) -> tuple[jax.Array, ...]:
    weight = inside.astype(showers.dtype)
    return tuple(jnp.tensordot(weight, p, 1) for p in observables.projections(showers))


def similarity(showers: np.ndarray, energy: np.ndarray, bins: metrics.Bins) -> np.ndarray:
    """Mean similarity of shower pairs in each energy bin, (bins,); see ``metrics.mean_similarity``.

    The whole sample stands in only if there is no other bin: its energies alone make it diverse.
    """
    inside = np.asarray(metrics.in_bins(energy, bins[1:] or bins))
    picks = [np.flatnonzero(row)[: metrics.SIMILARITY_SHOWERS] for row in inside]
    return np.array([metrics.mean_similarity(showers[pick]) for pick in picks])


def _chunks(
    showers: np.ndarray, energy: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Chunks of one size, so that a function compiles once; the padding has energy 0."""
    for start in range(0, len(showers), CHUNK):
        cells, incident = showers[start : start + CHUNK], energy[start : start + CHUNK]
        missing = (0, CHUNK - len(cells))
        padded = np.pad(cells, (missing, *[(0, 0)] * 3)), np.pad(incident, missing)
        yield np.asarray(padded[0], np.float32), np.asarray(padded[1], np.float32), len(cells)


def select(sample: Sample, events: np.ndarray) -> Sample:
    """The events of a mask or an index array."""
    return {name: values[events] for name, values in sample.items()}


def halves(sample: Sample) -> tuple[Sample, Sample]:
    """Two halves of a sample with the same energies as far as possible: every other by energy."""
    order = np.argsort(sample["energy"], kind="stable")
    even = order[: len(order) // 2 * 2]
    return select(sample, even[::2]), select(sample, even[1::2])


def compare(reference: Sample, generated: Sample, bins: metrics.Bins) -> dict[str, Any]:
    """Scores of two samples in bins of incident energy and in the mean over the bins.

    Returns:
      ``families``: name to score, see ``FAMILIES`` (those that quantities alone give);
      ``moments_total``, ``shapes_total`` and ``moments_shapes_total``, their sum: the published
      optimisation metric; ``sampling_fraction_mre`` and its ``_error``: the published criterion of
      the best epoch; ``bins``: one record per bin. Bins with fewer than ``metrics.MIN_EVENTS``
      events in either sample are not ``used``: they have counts only and enter no mean.
    """
    inside_r, inside_g = (
        np.asarray(metrics.in_bins(s["energy"], bins)) for s in (reference, generated)
    )
    records = [
        _bin_record(span, select(reference, r), select(generated, g))
        for span, r, g in zip(bins, inside_r, inside_g, strict=True)
    ]
    mre, error = metrics.mean_relative_error(
        metrics.binned_sums(reference["sampling_fraction"], reference["energy"], bins),
        metrics.binned_sums(generated["sampling_fraction"], generated["energy"], bins),
    )
    used = [record["scores"] for record in records if record["used"]]
    means = {
        name: metrics.mean_over_bins([scores[name] for scores in used])
        for name in FAMILIES
        if used and name in used[0]
    }
    correlation = metrics.correlation_distance(
        *(observables.correlation_matrix(s["correlated"]) for s in (reference, generated))
    )
    return {
        "moments_shapes_total": means.get("moments", np.nan) + means.get("shapes", np.nan),
        "moments_total": means.get("moments", np.nan),
        "shapes_total": means.get("shapes", np.nan),
        "sampling_fraction_mre": mre,
        "sampling_fraction_mre_error": error,
        "families": {"sampling_fraction": mre} | means | {"correlation": correlation},
        "bins": records,
    }


def _bin_record(span: tuple[float, float], reference: Sample, generated: Sample) -> dict[str, Any]:
    counts = len(reference["energy"]), len(generated["energy"])
    record: dict[str, Any] = {
        "low": span[0], "high": span[1], "events_reference": counts[0],
        "events_generated": counts[1], "used": min(counts) >= metrics.MIN_EVENTS,
    }  # fmt: skip
    if not record["used"]:
        return record
    fractions = reference["sampling_fraction"], generated["sampling_fraction"]
    r, g = (values.mean(dtype=float) for values in fractions)
    error_r, error_g = (v.std(dtype=float) / np.sqrt(len(v)) for v in fractions)
    ratio = g / r
    return record | {
        "sampling_fraction_reference": r,
        "sampling_fraction_reference_error": error_r,
        "sampling_fraction_generated": g,
        "sampling_fraction_generated_error": error_g,
        "sampling_fraction_ratio": ratio,
        "sampling_fraction_ratio_error": float(np.hypot(error_g / r, ratio * error_r / r)),
        "ks_ecal_sum": metrics.kolmogorov(reference["ecal_sum"], generated["ecal_sum"]),
        "ks_hits": metrics.kolmogorov(reference["hits"], generated["hits"]),
        "scores": _scores(reference, generated),
    }


def _scores(reference: Sample, generated: Sample) -> dict[str, float]:
    r, g = reference, generated
    mean_r, mean_g = (
        {name: values.mean(0, dtype=float) for name, values in s.items()} for s in (r, g)
    )
    names = [f"profile_{axis}" for axis in AXES]
    positions = [
        metrics.separation(
            *(np.bincount(s["max_position"][:, k], minlength=r[n].shape[1]) for s in (r, g))
        )
        for k, n in enumerate(names)
    ]
    curves = mean_r["sparsity"], mean_g["sparsity"]
    return {
        "ecal_sum": metrics.wasserstein(r["ecal_sum"], g["ecal_sum"]),
        **{name: metrics.separation(mean_r[name], mean_g[name]) for name in names},
        "moments": metrics.moments_error(r["moments"], g["moments"]),
        "shapes": float(
            np.mean(metrics.shapes_error([r[n] for n in names], [g[n] for n in names]))
        ),
        "hits": metrics.wasserstein(r["hits"], g["hits"]),
        "cell_spectrum": metrics.separation(mean_r["cell_spectrum"], mean_g["cell_spectrum"]),
        "sparsity": float(np.abs(curves[0] - curves[1]).sum() / curves[0].sum()),
        "max_position": float(np.mean(positions)),
        "ratios": metrics.relative(mean_r["ratios"], mean_g["ratios"]),
    }
