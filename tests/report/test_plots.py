"""What is drawn: contents and errors of the histograms, and figures that can be written."""

import numpy as np
import pytest

pytest.importorskip("mplhep")

from hepjax.report import layout, maps, plots

EDGES = np.array([0.0, 1.0, 2.0, 4.0])


def test_distribution_is_a_share_with_its_counting_error():
    drawn = plots.distribution(np.array([0.5, 0.5, 1.5, 9.0]), EDGES)
    np.testing.assert_allclose(drawn.values(), [0.5, 0.25, 0])
    np.testing.assert_allclose(np.sqrt(drawn.variances()), [np.sqrt(2) / 4, 0.25, 0])


def test_profile_is_a_mean_with_its_error_and_nan_without_events():
    position, values = np.array([0.5, 0.5, 3.0, -1.0]), np.array([1.0, 3.0, 5.0, 100.0])
    drawn = plots.profile(position, values, EDGES)
    np.testing.assert_allclose(drawn.values(), [2, np.nan, 5])
    np.testing.assert_allclose(drawn.variances(), [0.5, np.nan, 0])


def test_profile_counts_the_upper_edge():
    """The most energetic event of a sample lies exactly there."""
    drawn = plots.profile(np.array([4.0]), np.array([7.0]), EDGES)
    assert drawn.values()[-1] == 7


def test_mean_of_rows():
    drawn = plots.mean_of(np.array([[1, 2, 3], [3, 2, 1]]), EDGES)
    np.testing.assert_allclose(drawn.values(), [2, 2, 2])
    np.testing.assert_allclose(drawn.variances(), [0.5, 0, 0.5])


@pytest.mark.parametrize("scale", ["linear", "log", "zoom"])
def test_overlay_draws_samples_with_empty_and_missing_bins(scale):
    panels = [
        plots.Panel("a", "x", plots.distribution(np.array([0.5]), EDGES),
                    plots.distribution(np.array([]), EDGES), "note"),
        plots.Panel("b", "x", plots.profile(np.array([0.5]), np.array([1.0]), EDGES),
                    plots.profile(np.array([3.0]), np.array([2.0]), EDGES)),
    ]  # fmt: skip
    with layout.style():
        figure = plots.overlay(panels, ("MC", "GAN"), "share", "text", scales=(scale,))
        picture = layout.png(figure)
    assert picture.startswith(b"\x89PNG")
    assert len(figure.axes) == 4
    assert figure.axes[1].get_ylabel() == "ratio"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "MC (band: stat. error)", "GAN",
    ]  # fmt: skip


def test_ratio_panel_widens_with_the_difference():
    sample = np.repeat([0.5, 1.5, 3.0], 4000)
    reference = plots.distribution(sample, EDGES)

    def ratio_range(scale: float) -> tuple[float, float]:
        other = plots.from_values(EDGES, reference.values() * scale, reference.variances())
        with layout.style():
            figure = plots.overlay([plots.Panel("", "x", reference, other)], ("a", "b"), "y", "")
        return figure.axes[1].get_ylim()

    assert ratio_range(1.0) == pytest.approx((0.95, 1.05))
    assert ratio_range(1.3) == pytest.approx((0.5, 1.5))
    assert ratio_range(5.0) == pytest.approx((0, 2))


def test_pictures_of_empty_arrays_do_not_fail():
    blank = np.zeros((3, 4))
    with layout.style():
        figure = maps.pictures(
            [[blank, blank]], ["row"], ["a", "b"], [("x", "y")] * 2, "GeV", "text"
        )
        assert layout.png(figure).startswith(b"\x89PNG")


def test_matrices_write_their_values_in_percent():
    with layout.style():
        figure = maps.matrices([np.array([[1.0, -0.25], [-0.001, 1.0]])], ["m"], ["a", "b"], "text")
    assert [t.get_text() for t in figure.axes[0].texts] == ["100", "-25", "0", "100"]
