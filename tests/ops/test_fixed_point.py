"""Fixed-point arithmetic in integers: rounding, saturation, widths, and what is refused."""

import numpy as np
import pytest

from hepjax import InputError
from hepjax.ops.fixed_point import (
    Dense,
    Grid,
    Network,
    accumulators,
    execute,
    fraction_of,
    on_grid,
    require_exact,
)


def tiny(weight=((1, -2), (3, 0)), after=None, inputs=None):
    inputs = inputs or Grid(2, 5, True)
    weight = np.array(weight)
    first = Dense(weight, Grid(1, 4, True), np.array([1, -1]), Grid(3, 3, True), after)
    return Network(inputs, (first,))


def test_a_grid_rounds_half_to_even_and_saturates():
    k, beyond = Grid(1, 3, True).of(np.array([0.25, 0.75, -0.25, 1.5, 1.76, -2.0, -9.0]))
    assert k.tolist() == [0, 2, 0, 3, 3, -4, -4]
    assert beyond == 2
    assert Grid(1, 3, False).of(np.array([-0.6, 3.5, 3.8]))[1] == 2
    assert Grid(4, 7, True).text == "ap_fixed<7,3>"
    assert Grid(5, 4, False).text == "ap_ufixed<4,-1>"


def test_sums_by_hand():
    network = tiny()
    x = np.array([[0.5, -1.25]])  # k 2 and -5
    value, overflow = execute(network, x)
    # 2 x 1/2 x 1/4 = .25, -5 x 3/8 = -1.875, bias 1/8; 2 x -2 / 8 = -.5, bias -1/8
    assert value.tolist() == [[-1.5, -0.625]]
    assert overflow == [0]


def test_a_hidden_layer_is_positive_and_saturates():
    first = tiny(after=Grid(1, 2, False)).layers[0]
    last = Dense(np.array([[1], [1]]), Grid(0, 2, True), np.array([0]), Grid(0, 1, True), None)
    network = Network(Grid(2, 5, True), (first, last))
    value, overflow = execute(network, np.array([[3.0, 3.0], [-1.0, -1.0]]))
    # 3/2 + 9/2 = 6.125 saturates at 1.5, -3.125 is 0; the second: -1.875 is 0, .875 is 1.
    assert value.tolist() == [[1.5], [1.0]]
    assert overflow == [0, 1]


def test_no_input_leaves_the_accumulator():
    rng = np.random.default_rng(0)
    network = tiny(rng.integers(-8, 8, (2, 2)))
    (grid,) = accumulators(network)
    low, high = network.inputs.ends
    corners = np.array([[a, b] for a in (low, high) for b in (low, high)]) * network.inputs.scale
    sums, _ = execute(network, corners)
    k = np.abs(sums * 2.0**grid.fraction)
    assert k.max() < 2 ** (grid.bits - 1)
    assert k.max() >= 2 ** (grid.bits - 3)  # not much wider than needed


def test_accumulators_that_float32_would_round_are_refused():
    wide = tiny(((2**12, 1), (2**12, 1)), inputs=Grid(2, 13, True))
    require_exact(tiny(), "here")
    with pytest.raises(InputError, match=r"here: expected accumulators of at most 24 bits .*found"):
        require_exact(wide, "here")


@pytest.mark.parametrize("scale", [0.3, 0.0, -0.5, float("nan"), float("inf"), 3.0])
def test_other_scales_than_powers_of_two_are_refused(scale):
    with pytest.raises(InputError, match="expected a scale that is a power of two, found"):
        fraction_of(scale, "node")


def test_powers_of_two_give_their_fraction():
    assert [fraction_of(2.0**-k, "node") for k in (-3, 0, 7)] == [-3, 0, 7]


def test_the_narrowest_grid():
    k, grid = on_grid(np.array([0.5, -3.0, 0.0]))
    assert (k.tolist(), grid) == ([1, -6, 0], Grid(1, 4, True))
    k, grid = on_grid(np.array([4.0, 8.0]))
    assert (k.tolist(), grid) == ([1, 2], Grid(-2, 3, True))
    assert on_grid(np.zeros(3))[1].bits == 1
    with pytest.raises(InputError, match="at most 24 fraction bits"):
        on_grid(np.array([2.0**-25]))
