"""Cases of unfolding whose answer is known at every iteration, to test programs against.

With infinitely many events and perfect classifiers OmniFold is expectation maximisation. Of
Gaussians it stays Gaussian; of one observable it is iterative Bayesian unfolding
(Lucy-Richardson, D'Agostini) with the exact response.
"""

import numpy as np


def gaussian_recursion(
    start: tuple[float, float], truth: tuple[float, float], smearing: float, iterations: int
) -> np.ndarray:
    """(iterations, 2) mean and width after 1, 2, ... iterations on a Gaussian.

    With K = s_k^2 / (s_k^2 + sigma^2): mu_{k+1} = mu_k + K (mu_d - mu_k) and
    s_{k+1}^2 = s_k^2 (1 - K) + K^2 (s_d^2 + sigma^2). Independent axes follow it each.

    Args:
      start: mean and width of the simulated truth. truth: those of the true events in the data.
      smearing: width of the Gaussian resolution.
    """
    mean, width, found = *start, []
    for _ in range(iterations):
        gain = width**2 / (width**2 + smearing**2)
        mean = mean + gain * (truth[0] - mean)
        variance = width**2 * (1 - gain) + gain**2 * (truth[1] ** 2 + smearing**2)
        width = float(np.sqrt(variance))
        found.append((mean, width))
    return np.array(found)


def expectation_maximisation(
    response: np.ndarray, simulated: np.ndarray, measured: np.ndarray, iterations: int,
    *, fakes: np.ndarray | None = None, keep: bool = False,
) -> np.ndarray:  # fmt: skip
    """(iterations, t) true events in bins after 1, 2, ... iterations.

    Args:
      response: (t, r) probability that a true event of bin t is reconstructed in bin r; the sum
        over r is the efficiency.
      simulated: (t,) simulated true events. measured: (r,) measured events.
      fakes: (r,) simulated events that are reconstructed and not in the phase space.
      keep: whether what fails the reconstruction keeps its number, see ``unfold.acceptance``.
    """
    efficiency = response.sum(axis=1)
    now, found = np.asarray(simulated, float), []
    for _ in range(iterations):
        expected = now @ response + (0.0 if fakes is None else fakes)
        factor = np.divide(measured, expected, out=np.zeros_like(expected), where=expected > 0)
        pulled = response @ factor
        if keep:
            now = now * (pulled + 1.0 - efficiency)
        else:
            now = now * np.divide(pulled, efficiency, out=np.ones_like(now), where=efficiency > 0)
        found.append(now)
    return np.array(found)
