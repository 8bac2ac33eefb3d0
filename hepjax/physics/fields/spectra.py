"""Power spectra of periodic boxes and how well two boxes agree in phase, in pure JAX.

Wave numbers are in units of 2 pi over the edge of the box; the Nyquist frequency is half the cells
along it. A shell holds the modes of which the length rounds to its number. Modes of a real field
with their conjugates count twice.
"""

import jax
import jax.numpy as jnp
import numpy as np


def shells(cells: int) -> int:
    """Shells up to half the Nyquist frequency, from the first on."""
    return max(cells // 4, 1)


def sums(a: jax.Array, b: jax.Array) -> jax.Array:
    """(3, shells) of two fields (n, n, n): power of a, of b, and cross power, summed over modes.

    Divided by ``modes`` they are means; their ratios need no division.
    """
    n = a.shape[0]
    first, second = (jnp.fft.rfftn(x - x.mean()) for x in (a, b))
    kinds = jnp.stack([
        jnp.abs(first) ** 2, jnp.abs(second) ** 2, (first * jnp.conj(second)).real,
    ]).reshape(3, -1)  # fmt: skip
    shell, weight = (jnp.asarray(x) for x in _modes(n))
    added = jax.vmap(lambda k: jnp.bincount(shell, k * weight, length=n))(kinds)
    return added[:, 1 : shells(n) + 1] / n**3


def modes(cells: int) -> np.ndarray:
    """Number of modes (shells,) in each shell."""
    shell, weight = _modes(cells)
    counted: np.ndarray = np.bincount(shell, weight, minlength=cells)
    return counted[1 : shells(cells) + 1]


def ratios(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From ``sums`` (3, shells) of a prediction and the truth: P / P_true and r(k) of each shell.

    r is the cross power over the root of both powers: 1 for equal phases.
    """
    own, true, cross = np.asarray(total, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return own / true, cross / np.sqrt(own * true)


def _modes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The shell and the weight of each mode of ``rfftn``, flat."""
    whole, half = np.fft.fftfreq(n) * n, np.arange(n // 2 + 1)
    length = np.sqrt(whole[:, None, None] ** 2 + whole[:, None] ** 2 + half**2)
    weight = np.where((half == 0) | (2 * half == n), 1.0, 2.0) * np.ones_like(length)
    return np.rint(length).astype(np.int32).reshape(-1), weight.astype(np.float32).reshape(-1)
