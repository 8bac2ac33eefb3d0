"""Two samples of showers reduced to per-event quantities, and those to one score per family.

Arrays in, numbers out; no plots, no files. samples.py lets showers pass through it in chunks.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.formats.showers.calorimeters import by_shape, unknown
from hepjax.physics.calorimeter import (
    features,
    grids,
    layers,
    metrics,
    observables,
    response,
)

Sample = dict[str, np.ndarray]
"""Per-event quantities as ``quantities_of_chunk`` returns them; the leading axis is the event."""

MOMENT_ORDERS = 3
RESAMPLES = 20
"""Of the bootstrap: a standard deviation from as many has an error of its own of 16 %."""

FAMILIES = {
    "sampling_fraction": "Sampling fraction: |difference of means| / mean (published MRE)",
    "ecal_sum": "Visible energy: Wasserstein distance / mean",
    "response": "Visible over incident energy: Wasserstein distance / mean",
    "energy_fit": "Fitted response: |difference of the curves| / reference",
    "resolution": "Fitted energy resolution: |difference of the curves| / reference",
    "profile_x": "Profile along x: separation power of the mean profiles",
    "profile_y": "Profile along y: separation power of the mean profiles",
    "profile_r": "Profile along r: separation power of the mean profiles",
    "profile_alpha": "Profile along alpha: separation power of the mean profiles",
    "profile_z": "Profile along z (depth): separation power of the mean profiles",
    "moments": "Moments: |difference of means| / mean, 2 orders x 3 axes (published)",
    "shapes": "Shapes: |difference of mean profiles| / mean, all cells (published)",
    "hits": "Hits above the threshold: Wasserstein distance / mean",
    "cell_spectrum": "Cell energies: separation power of the log10 spectra",
    "sparsity": "Sparsity: area between the mean curves / area under the reference curve",
    "max_position": "Hottest cell: separation power of its position, mean of the axes",
    "ratios": "Longitudinal ratios R1-R3: |difference of means| / mean",
    "peak_share": "Share of the hottest cell: Wasserstein distance / mean",
    "tail_share": "Share outside the core: Wasserstein distance / mean",
    "layers": "Layer by layer: separation power of energies, centres, widths, sparsity (published)",
    "angle": "Measured angle: |difference of means| / mean (published)",
    "diversity": "Diversity: difference of the mean similarity of shower pairs",
    "ssim": "Diversity: difference of the mean structural similarity (SSIM) of shower pairs",
    "gromov_wasserstein": "Diversity: lower bound of the Gromov-Wasserstein distance / mean",
    "correlation": "Correlations: mean |difference| over pairs of quantities (published)",
    "slices": "Correlations of slices: mean squared difference of arctanh (published)",
    "auxiliary": "Energy that the discriminator regresses: Wasserstein distance / mean",
    "real_fake": "Discriminator: 2 |AUC - 0.5| of real against generated",
}
"""What each score is; 0 is perfect agreement."""


def described(shape: tuple[int, ...]) -> Calorimeter:
    """What is known of a detector whose showers have this shape: a public one, or a box."""
    return by_shape(shape) or unknown(shape)


@partial(jax.jit, static_argnums=3)
def quantities_of_chunk(
    showers: jax.Array, energy: jax.Array, theta: jax.Array | None, calorimeter: Calorimeter
) -> dict[str, jax.Array]:
    """Everything the report needs of each shower except the shower itself.

    Args:
      showers: (n, ``*calorimeter.shape``) cell energies, GeV.
      energy: (n,) incident energies, GeV.
      theta: (n,) polar angles, rad, if they vary.
    """
    grid = grids.on_grid(showers, calorimeter)
    cells = showers if calorimeter.box else showers[:, :, None, None]
    total = observables.ecal_sum(cells)
    moments = observables.moments(grid, MOMENT_ORDERS)
    ratios = observables.longitudinal_ratios(grid, calorimeter.thirds)
    hits = observables.hits(cells, calorimeter.hit)
    flat = cells.reshape(len(cells), -1)
    found = {
        f"profile_{axis}": profile
        for axis, profile in zip(grids.axes(calorimeter), observables.profiles(grid), strict=True)
    } | {
        "energy": energy,
        "ecal_sum": total,
        "sampling_fraction": observables.sampling_fraction(cells, energy),
        "moments": moments,
        "ratios": ratios,
        "hits": hits,
        "sparsity": observables.sparsity(cells),
        "cell_spectrum": observables.cell_spectrum(cells),
        "max_position": jnp.asarray(grids.places(calorimeter))[flat.argmax(1)],
        "peak_share": observables.peak_share(cells),
        "tail_share": observables.tail_share(grid, core(calorimeter)),
        "correlated": observables.correlated_columns(moments, total, energy, hits, ratios, theta),
        "features": features.high_level(showers, energy, calorimeter),
    }
    if theta is not None:
        found["theta"] = theta
        if calorimeter.box:
            found["measured_angle"] = observables.measured_angle(grid)
    return found


def core(calorimeter: Calorimeter) -> tuple[slice, slice]:
    """Columns of cells that ``tail_share`` leaves out: the middle fifth of a box along x and y.

    Of a cylinder the inner half of the common rings.
    """
    a, b, _ = grids.grid_shape(calorimeter)
    if not calorimeter.box:
        return slice(0, max(1, a // 2)), slice(0, b)
    half_a, half_b = max(1, a // 10), max(1, b // 10)
    return slice(a // 2 - half_a, a // 2 + half_a + 1), slice(b // 2 - half_b, b // 2 + half_b + 1)


def select(sample: Sample, events: np.ndarray) -> Sample:
    """The events of a mask or an index array."""
    return {name: values[events] for name, values in sample.items()}


def halves(sample: Sample) -> tuple[Sample, Sample]:
    """Two halves of a sample with the same energies as far as possible: every other by energy."""
    order = np.argsort(sample["energy"], kind="stable")
    even = order[: len(order) // 2 * 2]
    return select(sample, even[::2]), select(sample, even[1::2])


def axes_of(sample: Sample) -> tuple[str, ...]:
    """The axes whose profiles a sample has; the last is the depth."""
    return ("x", "y", "z") if "profile_x" in sample else ("r", "alpha", "z")


def with_layers(
    reference: Sample, generated: Sample, calorimeter: Calorimeter
) -> tuple[Sample, Sample, layers.Axes]:
    """Both samples with the bins of their high-level features as ``layer_bins``, and those bins."""
    events = min(len(reference["energy"]), len(generated["energy"]))
    axes = layers.axes(reference["features"], events, calorimeter)
    r, g = (
        s | {"layer_bins": layers.codes(s["features"], axes, calorimeter)}
        for s in (reference, generated)
    )
    return r, g, axes


def compare(
    reference: Sample, generated: Sample, bins: metrics.Bins, axes: layers.Axes
) -> dict[str, Any]:
    """Scores of two samples in bins of incident energy and in the mean over the bins.

    Args:
      reference, generated, axes: see ``with_layers``.
    Returns:
      ``families``: name to score, see ``FAMILIES`` (those that quantities alone give);
      ``moments_total``, ``shapes_total`` and ``moments_shapes_total``, their sum: the published
      optimisation metric; ``sampling_fraction_mre`` and its ``_error``: the published criterion of
      the best epoch; ``separation``: of the high-level features, by group; ``bins``: one record
      per bin. Bins with fewer than ``metrics.MIN_EVENTS`` events in either sample are not
      ``used``: they have counts only and enter no mean.
    """
    scores = totals(reference, generated, bins, axes)
    return scores | {
        "bins": [
            _bin_record(span, *samples)
            for span, samples in zip(bins, _binned(reference, generated, bins), strict=True)
        ]
    }


def totals(
    reference: Sample, generated: Sample, bins: metrics.Bins, axes: layers.Axes
) -> dict[str, Any]:
    """``compare`` without the record of each bin."""
    used = [
        _scores(r, g)
        for r, g in _binned(reference, generated, bins)
        if min(len(r["energy"]), len(g["energy"])) >= metrics.MIN_EVENTS
    ]
    mre, error = metrics.mean_relative_error(
        metrics.binned_sums(reference["sampling_fraction"], reference["energy"], bins),
        metrics.binned_sums(generated["sampling_fraction"], generated["energy"], bins),
    )
    means = {
        name: metrics.mean_over_bins([scores[name] for scores in used])
        for name in FAMILIES
        if used and name in used[0]
    }
    separation = layers.separations(
        layers.counts(reference["layer_bins"]), layers.counts(generated["layer_bins"]), axes
    )
    energy_fit, resolution = response.distances(
        *((s["sampling_fraction"], s["energy"]) for s in (reference, generated))
    )
    whole = {
        "layers": separation.pop("layers"),
        "energy_fit": energy_fit,
        "resolution": resolution,
        "correlation": metrics.correlation_distance(
            *(observables.correlation_matrix(s["correlated"]) for s in (reference, generated))
        ),
        "slices": metrics.fisher_distance(
            *(observables.correlation_matrix(_with_slices(s)) for s in (reference, generated))
        ),
    }
    return {
        "moments_shapes_total": means.get("moments", np.nan) + means.get("shapes", np.nan),
        "moments_total": means.get("moments", np.nan),
        "shapes_total": means.get("shapes", np.nan),
        "sampling_fraction_mre": mre,
        "sampling_fraction_mre_error": error,
        "families": {"sampling_fraction": mre} | means | whole,
        "separation": separation,
    }


def errors(
    reference: Sample, generated: Sample, bins: metrics.Bins, axes: layers.Axes, *,
    resamples: int = RESAMPLES, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Statistical errors of ``totals`` by the bootstrap: its spread over resampled showers.

    Samples at the same energies are resampled together, so that the energies stay the same.

    Returns:
      ``families``, ``separation`` and the totals, as in ``totals``; NaN without resamples.
    """
    rng = np.random.default_rng(seed)
    r, g = reference["energy"], generated["energy"]
    paired = len(r) == len(g) and bool((r == g).all())
    found = []
    for _ in range(resamples):
        one = rng.integers(0, len(r), len(r))
        other = one if paired else rng.integers(0, len(g), len(g))
        found.append(totals(select(reference, one), select(generated, other), bins, axes))

    def spread(*path: str) -> float:
        values = found
        for key in path:
            values = [scores.get(key, np.nan) for scores in values]
        return float(np.std(np.array(values, float), ddof=1)) if len(values) > 1 else np.nan

    names = ("moments_shapes_total", "moments_total", "shapes_total", "sampling_fraction_mre")
    first = found[0] if found else {"families": {}, "separation": {}}
    return {name: spread(name) for name in names} | {
        key: {name: spread(key, name) for name in first[key]} for key in ("families", "separation")
    }


def _binned(
    reference: Sample, generated: Sample, bins: metrics.Bins
) -> Iterator[tuple[Sample, Sample]]:
    inside = [np.asarray(metrics.in_bins(s["energy"], bins)) for s in (reference, generated)]
    for r, g in zip(*inside, strict=True):
        yield select(reference, r), select(generated, g)


def _with_slices(sample: Sample) -> np.ndarray:
    """Quantities of the correlation matrix and, behind them, sums over inner slices of the axes."""
    slices = [sample[f"profile_{axis}"][:, 2:-2] for axis in axes_of(sample)]
    return np.concatenate([sample["correlated"], *slices], axis=1)


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
    names = [f"profile_{axis}" for axis in axes_of(r)]
    positions = [
        metrics.separation(
            *(np.bincount(s["max_position"][:, k], minlength=r[n].shape[1]) for s in (r, g))
        )
        for k, n in enumerate(names)
    ]
    curves = mean_r["sparsity"], mean_g["sparsity"]
    name = "measured_angle"
    angle = {"angle": metrics.relative(mean_r[name], mean_g[name])} if name in mean_r else {}
    return {
        "ecal_sum": metrics.wasserstein(r["ecal_sum"], g["ecal_sum"]),
        "response": metrics.wasserstein(r["sampling_fraction"], g["sampling_fraction"]),
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
        **{name: metrics.wasserstein(r[name], g[name]) for name in ("peak_share", "tail_share")},
        **angle,
    }
