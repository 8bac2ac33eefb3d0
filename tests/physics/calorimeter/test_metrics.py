"""Validation metrics: known answers, zero for equal samples, published criteria."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hepjax.formats.showers.calorimeters import unknown
from hepjax.physics.calorimeter import comparison, metrics, samples


def toy_showers(
    seed: int, n: int = 300, low: float = 10.0, high: float = 100.0
) -> comparison.Sample:
    """Blurred lines in depth; the visible energy is 2 % of the incident one, give or take 5 %."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(low, high, n).astype(np.float32)
    cells = rng.gamma(0.3, size=(n, 5, 5, 25)).astype(np.float32)
    visible = 0.02 * energy * rng.normal(1, 0.05, n)
    cells *= (visible / cells.sum((1, 2, 3)))[:, None, None, None].astype(np.float32)
    return {"ecal": cells, "energy": energy}


BOX = unknown((5, 5, 25))


def quantities(ecal, energy, theta=None, calorimeter=BOX) -> comparison.Sample:
    sample = samples.of_arrays(ecal, energy, theta)
    inside = np.ones((1, len(energy)), bool)
    return samples.reduce(sample, calorimeter, inside, np.zeros(0, int)).sample


def toy_quantities(seed: int) -> comparison.Sample:
    showers = toy_showers(seed)
    return quantities(showers["ecal"], showers["energy"])


def compare(reference, generated, bins):
    return comparison.compare(*with_bins(reference, generated, bins))


def with_bins(reference, generated, bins):
    r, g, axes = comparison.with_layers(reference, generated, BOX)
    return r, g, bins, axes


def test_published_bins_for_the_published_range():
    assert metrics.energy_bins(10, 500, 20_000) == (
        (10, 500), (45, 55), (95, 105), (195, 205), (295, 305), (395, 405), (495, 505),
    )  # fmt: skip


def test_bins_of_a_narrow_range_lie_inside_it():
    bins = metrics.energy_bins(10, 100, 4854)
    assert bins == ((10, 100), (15, 25), (35, 45), (55, 65), (75, 85), (95, 105))


@given(
    st.floats(1, 400), st.floats(0, 400), st.integers(1, 10**6)
)  # fmt: skip
@settings(max_examples=50)
def test_bins_never_overlap_and_touch_the_sample(low, span, events):
    bins = metrics.energy_bins(low, low + span, events)
    assert bins[0] == (low, low + span)
    for (_, end), (start, _) in itertools.pairwise(bins[1:]):
        assert end <= start + 1e-9
    for start, end in bins[1:]:
        assert low <= (start + end) / 2 <= low + span


def test_binned_sums_ignore_masked_events_and_add_up():
    values, energy = np.array([1.0, 2.0, 3.0]), np.array([50.0, 51.0, 200.0])
    bins = ((0.0, 500.0), (45.0, 55.0))
    sums = metrics.binned_sums(values, energy, bins, mask=np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(sums, [[2, 4, 10], [1, 1, 1]])


def test_mean_relative_error_and_its_published_error():
    """Means 2 and 3, spreads 1 and 0, 100 events: 50 % with sqrt(((0/2)^2 + (1/3)^2) / 100)."""
    reference, generated = np.array([[100, 200, 500.0]]), np.array([[100, 300, 900.0]])
    error, uncertainty = metrics.mean_relative_error(reference, generated)
    assert error == pytest.approx(0.5)
    assert uncertainty == pytest.approx(1 / 30)


def test_bins_with_few_events_enter_no_mean():
    sums = np.array([[100, 200, 400.0], [2, 200, 40000.0]])
    assert metrics.mean_relative_error(sums, sums * [1, 1.1, 1.21])[0] == pytest.approx(0.1)
    assert np.isnan(metrics.mean_relative_error(sums[1:], sums[1:])[0])


def test_bins_of_a_small_sample_are_joined_until_one_has_enough_events():
    sums = np.array([[9, 9, 9.0], [3, 6, 12.0], [8, 8, 8.0], [15, 30, 60.0], [2, 2, 2.0]])
    real, fake = metrics.joined(sums, 2 * sums, min_events=20)
    np.testing.assert_allclose(real, [[12, 15, 21], [23, 38, 68], [2, 2, 2]])
    np.testing.assert_allclose(fake, 2 * real)
    enough, _ = metrics.joined(sums, sums, min_events=15)
    np.testing.assert_allclose(enough, sums)
    never, _ = metrics.joined(sums, sums, min_events=1000)
    assert len(never) == 2
    np.testing.assert_allclose(never.sum(0), sums.sum(0))


def test_best_epoch_is_the_lowest_of_the_last_ten():
    assert metrics.select_epoch([0.01] + [0.5] * 6 + [0.2] + [0.5] * 4) == 7
    assert metrics.select_epoch([None, float("nan"), 0.3, 0.4]) == 2
    assert metrics.select_epoch([None, float("nan")]) == 1


def test_moments_error_counts_once():
    """One of six means is off by 60 %: 10 % on average."""
    reference = np.ones((40, 3, 3))
    generated = reference.copy()
    generated[:, 0, 2] = 1.6
    assert metrics.moments_error(reference, generated) == pytest.approx(0.1)


def test_shapes_error_leaves_out_empty_cells():
    reference = [np.array([[2.0, 0.0, 4.0]])] * 3
    generated = [np.array([[3.0, 5.0, 4.0]])] * 3
    assert metrics.shapes_error(reference, generated) == pytest.approx((0.25, 0.25, 0.25))


def test_separation_of_equal_and_of_disjoint_histograms():
    assert metrics.separation([1, 2, 3], [10, 20, 30]) == 0
    assert metrics.separation([1, 0], [0, 7]) == 1
    assert metrics.separation([1, 0], [0, 0]) == 1


def test_wasserstein_of_a_shift_is_the_relative_shift():
    values = np.linspace(50, 150, 30)
    assert metrics.wasserstein(values, values + 10) == pytest.approx(0.1)


def test_correlation_distance_counts_each_pair_once():
    """Of the three pairs one is off by 0.6."""
    reference, generated = np.eye(3), np.eye(3)
    generated[0, 2] = generated[2, 0] = 0.6
    assert metrics.correlation_distance(reference, generated) == pytest.approx(0.2)


def test_discriminator_that_cannot_tell_and_one_that_can():
    outputs = np.linspace(0, 1, 20)
    assert metrics.real_fake_distance(outputs, outputs) == pytest.approx(0)
    assert metrics.real_fake_distance(outputs + 2, outputs) == pytest.approx(1)


def test_similarity_of_copies_and_of_disjoint_showers():
    copies = np.ones((5, 2, 2, 2), np.float32) * np.arange(1, 6)[:, None, None, None]
    assert metrics.mean_similarity(copies) == pytest.approx(1, abs=1e-5)
    assert metrics.mean_similarity(np.eye(8).reshape(8, 2, 2, 2)) == pytest.approx(0, abs=1e-5)
    assert np.isnan(metrics.mean_similarity(np.zeros((3, 2, 2, 2))))


def test_p_values_see_a_shift():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=400), rng.normal(size=400)
    edges = np.linspace(-4, 5, 20)
    counts = [np.histogram(v, edges)[0] for v in (first, second, second + 1)]
    assert metrics.kolmogorov(first, second) > 0.01
    assert metrics.kolmogorov(first, second + 1) < 1e-10
    assert metrics.chi_squared(counts[0], counts[1]) > 0.01
    assert metrics.chi_squared(counts[0], counts[2]) < 1e-10
    assert np.isnan(metrics.chi_squared(counts[0], np.zeros(19)))


def test_equal_samples_have_no_distance_in_any_family():
    sample = toy_quantities(0)
    scores = compare(sample, sample, metrics.energy_bins(10, 100, 300))
    assert all(value == pytest.approx(0, abs=1e-7) for value in scores["families"].values())
    assert scores["moments_shapes_total"] == 0
    others = {
        "diversity",
        "ssim",
        "gromov_wasserstein",
        "real_fake",
        "auxiliary",
        "angle",
        "profile_r",
        "profile_alpha",
    }
    assert set(scores["families"]) == set(comparison.FAMILIES) - others


def test_a_scale_of_ten_per_cent_is_found_where_it_belongs():
    """All cells 10 % up: the sampling fraction sees it, moments and ratios cannot."""
    showers = toy_showers(0)
    reference = quantities(showers["ecal"], showers["energy"])
    generated = quantities(1.1 * showers["ecal"], showers["energy"])
    scores = compare(reference, generated, metrics.energy_bins(10, 100, 300))
    assert scores["sampling_fraction_mre"] == pytest.approx(0.1, rel=1e-3)
    assert scores["shapes_total"] == pytest.approx(0.1, rel=1e-3)
    assert scores["moments_total"] == pytest.approx(0, abs=1e-4)
    assert scores["families"]["ratios"] == pytest.approx(0, abs=1e-4)
    used = [r["sampling_fraction_ratio"] for r in scores["bins"] if r["used"]]
    assert used
    assert used == pytest.approx([1.1] * len(used), rel=1e-3)


def test_empty_showers_are_wholly_wrong_not_an_error():
    """What a dead generator makes."""
    showers = toy_showers(0)
    reference = quantities(showers["ecal"], showers["energy"])
    dead = quantities(np.zeros_like(showers["ecal"]), showers["energy"])
    scores = compare(reference, dead, metrics.energy_bins(10, 100, 300))
    assert scores["sampling_fraction_mre"] == pytest.approx(1)
    assert scores["sampling_fraction_mre_error"] == np.inf
    assert scores["shapes_total"] == pytest.approx(1)
    assert scores["families"]["cell_spectrum"] == 1


def test_samples_without_a_filled_bin_have_no_totals():
    sample = comparison.select(toy_quantities(0), np.arange(5))
    scores = compare(sample, sample, metrics.energy_bins(10, 100, 5))
    assert np.isnan(scores["moments_shapes_total"])
    assert not any(record["used"] for record in scores["bins"])


def test_halves_have_the_same_energies():
    first, second = comparison.halves(toy_quantities(1))
    assert len(first["energy"]) == len(second["energy"]) == 150
    assert abs(first["energy"].mean() - second["energy"].mean()) < 0.7


def test_mean_projections_average_each_bin():
    showers = np.zeros((3, 5, 5, 25), np.float32)
    showers[0, 1, 2, 3], showers[1, 1, 2, 3], showers[2, 0, 0, 0] = 1.0, 3.0, 8.0
    energy = np.array([50.0, 50.0, 90.0])
    inside = np.asarray(metrics.in_bins(energy, ((0.0, 100.0), (45.0, 55.0), (10.0, 20.0))))
    reduced = samples.reduce(samples.of_arrays(showers, energy), BOX, inside, np.array([2, 0]))
    xy, xz, yz = reduced.projections
    np.testing.assert_allclose(xy[:, 1, 2], [4 / 3, 2, 0], rtol=1e-6)
    assert (xz[1, 1, 3], yz[1, 2, 3]) == (2, 2)
    np.testing.assert_array_equal(reduced.picked, showers[[2, 0]])


def test_batches_of_any_size_give_the_same(monkeypatch):
    """A sample that streams in odd batches is reduced as one that is in memory."""
    monkeypatch.setattr(samples, "CHUNK", 64)
    toy = toy_showers(3, n=150)
    bins = metrics.energy_bins(10, 100, 150)
    inside = np.asarray(metrics.in_bins(toy["energy"], bins))
    similar = samples.similar_showers(toy["energy"], bins)

    def batches():
        yield from np.split(toy["ecal"], [1, 90, 91, 140])

    whole = samples.of_arrays(toy["ecal"], toy["energy"])
    streamed = samples.Showers(toy["energy"], whole.shape, batches)
    one, other = (
        samples.reduce(s, BOX, inside, np.array([149, 0]), similar=similar, keep=100)
        for s in (whole, streamed)
    )
    for name, values in one.sample.items():
        np.testing.assert_array_equal(values, other.sample[name])
    parts = [[*s.projections, *s.pictures, s.alike, s.picked, s.cells] for s in (one, other)]
    for a, b in zip(*parts, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.cells.shape == (100, 625)
    picks = np.flatnonzero(inside[1])[: metrics.SIMILARITY_SHOWERS]
    assert one.alike[0, 0] == pytest.approx(metrics.mean_similarity(toy["ecal"][picks]), rel=1e-4)


def test_discrete_energies_are_bins_and_decades_get_equal_ratios():
    discrete = np.repeat(2.0 ** np.arange(8, 12) / 1e3, 30)
    bins = metrics.bins_of(discrete, 120)
    assert len(bins) == 5
    assert np.asarray(metrics.in_bins(discrete, bins)).sum(1).tolist() == [120, 30, 30, 30, 30]
    wide = np.geomspace(1, 1000, 500)
    edges = 10 ** (np.arange(7) / 2)
    np.testing.assert_allclose(
        metrics.bins_of(wide, 500)[1:], np.stack([edges[:-1], edges[1:]], axis=1)
    )
    assert metrics.bins_of(np.linspace(10, 500, 900), 900) == metrics.energy_bins(10, 500, 900)


def test_published_angle_bins():
    assert metrics.angle_bins(None) == ()
    assert metrics.angle_bins(np.full(50, 1.5)) == ()
    spans = metrics.angle_bins(np.radians(np.linspace(60, 120, 50)))
    assert np.degrees(np.mean(spans, axis=1)) == pytest.approx([62, 90, 118])


def test_holm_multiplies_by_what_is_left():
    """The textbook case: 0.01, 0.04, 0.03, 0.005 of four tests."""
    adjusted = metrics.holm([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, np.nan, 0.06, 0.02])


def test_hotelling_is_exact_for_normal_vectors():
    """p-values of equal samples are uniform, however correlated the points; a shift is found."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(6, 6))
    p = [
        metrics.same_means(*(5 + rng.normal(size=(n, 6)) @ mix for n in (80, 60)))
        for _ in range(200)
    ]
    assert 0.4 < np.mean(p) < 0.6
    assert (np.array(p) < 0.05).sum() < 22
    first, second = (5 + rng.normal(size=(80, 6)) @ mix for _ in range(2))
    assert metrics.same_means(first, second + 0.8 * mix[0]) < 1e-4
    assert np.isnan(metrics.same_means(first[:10], second))


def test_bootstrap_gives_the_error_of_a_mean():
    """Of visible over incident energy, spread 5 %, in 300 showers of each sample."""
    pair = [toy_quantities(seed) for seed in (4, 5)]
    bins = metrics.energy_bins(10, 100, 300)[:1]
    found = comparison.errors(*with_bins(*pair, bins), resamples=40)
    reference = pair[0] | {"energy": pair[0]["energy"] + 1}  # off the same energies
    shifted = comparison.errors(*with_bins(reference, pair[1], bins), resamples=2)
    assert set(found["families"]) == set(shifted["families"])
    scaled = pair[0] | {"sampling_fraction": 1.5 * pair[0]["sampling_fraction"]}
    error = comparison.errors(*with_bins(pair[1], scaled, bins), resamples=40)
    expected = 0.05 * np.sqrt(1.5**2 + 1.5**2) / np.sqrt(300)
    assert error["families"]["sampling_fraction"] == pytest.approx(expected, rel=0.4)
