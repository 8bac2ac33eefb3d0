"""Calorimeter showers: their physics as array functions, comparisons, figures, inspector."""

from hepjax.physics.calorimeter.observables import (
    cell_spectrum,
    correlated,
    correlation_matrix,
    ecal_sum,
    hits,
    longitudinal_ratios,
    max_position,
    measured_angle,
    moments,
    profiles,
    projections,
    published_sampling_fraction,
    sampling_fraction,
    sparsity,
)

__all__ = [
    "cell_spectrum",
    "correlated",
    "correlation_matrix",
    "ecal_sum",
    "hits",
    "longitudinal_ratios",
    "max_position",
    "measured_angle",
    "moments",
    "profiles",
    "projections",
    "published_sampling_fraction",
    "sampling_fraction",
    "sparsity",
]
