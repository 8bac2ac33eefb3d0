"""Growth, spectra, mass and forces of the particle mesh, against what is known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hepjax.ops import boxes, cosmology, particle_mesh
from hepjax.ops.cosmology import Cosmology
from hepjax.physics.fields import spectra

LARGE = boxes.Setting(cells=32, length=1600.0, redshift=3.0, steps=4)
QUIET = LARGE._replace(cosmology=Cosmology(sigma8=0.01))
"""A universe in which everything grows linearly."""


def test_matter_alone_grows_as_the_scale_factor():
    flat = Cosmology(omega_m=1.0)
    for a in (0.1, 0.5):
        growth, rate = cosmology.growth(flat, a)
        assert growth == pytest.approx(a, rel=1e-4)
        assert rate == pytest.approx(1.0, rel=1e-4)
        second, its_rate = cosmology.second_order(flat, a)
        assert second == pytest.approx(-3 / 7 * a**2, rel=1e-4)
        assert its_rate == pytest.approx(2.0)


def test_growth_in_a_universe_with_a_constant():
    # 0.7789 of that of matter alone for 0.3, Carroll, Press and Turner's fit within 0.1 %.
    known = Cosmology(omega_m=0.3)
    early = cosmology.growth(known, 0.001)[0] / 0.001
    assert 1 / early == pytest.approx(0.779, rel=2e-3)
    assert cosmology.growth(known, 1.0)[1] == pytest.approx(0.3**0.55, rel=0.01)


def test_the_rate_is_the_slope_of_the_growth():
    known, a, step = Cosmology(), 0.4, 1e-3
    low, high = (cosmology.growth(known, a + s)[0] for s in (-step, step))
    slope = a * (high - low) / (2 * step) / cosmology.growth(known, a)[0]
    assert cosmology.growth(known, a)[1] == pytest.approx(slope, rel=1e-4)


def test_power_has_its_sigma8_and_its_slope():
    known = Cosmology(sigma8=0.9)
    k = np.geomspace(1e-4, 50, 4000)
    x = 8 * k
    window = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    variance = np.trapezoid(
        k**3 * cosmology.power(known, k) * window**2 / (2 * np.pi**2), np.log(k)
    )
    assert np.sqrt(variance) == pytest.approx(0.9, rel=1e-3)
    ratio = cosmology.power(known, np.array([2e-4, 1e-4]))
    assert np.log2(ratio[0] / ratio[1]) == pytest.approx(known.n_s, abs=0.02)
    assert cosmology.power(known, np.zeros(1)) == 0


def test_kicks_and_drifts_tend_to_their_integrals():
    """Matter alone, E = a^-1.5: of 1.5 / (a^2 E) and 1 / (a^3 E) they are 3 sqrt(a) and
    -2 / sqrt(a)."""
    plan = cosmology.schedule(Cosmology(omega_m=1.0), np.linspace(0.25, 0.64, 101))
    assert plan.drifts.sum() == pytest.approx(2 * (1 / 0.5 - 1 / 0.8), rel=1e-4)
    assert plan.kicks.sum() == pytest.approx(3 * (0.8 - 0.5), rel=1e-4)


@pytest.fixture(scope="module")
def evolve():
    """A function of a setting: linear field of today, density, particles."""

    @jax.jit
    def run(key, plan):
        n = LARGE.cells
        field = particle_mesh.linear_field(jax.random.normal(key, (n, n, n)), plan.amplitudes)
        particles = particle_mesh.simulate(field, plan.schedule)
        return field, particle_mesh.paint(particles.position, n), particles

    return lambda setting: jax.device_get(run(jax.random.key(3), boxes.plan(setting)))


@pytest.fixture(scope="module")
def evolved(evolve):
    return evolve(LARGE)


def grown(particles):
    """Minus the divergence of displacements, which in linear theory is the overdensity."""
    n = LARGE.cells
    moved = particles.position - np.asarray(particle_mesh.lattice(n))
    moved = ((moved + n / 2) % n - n / 2).reshape(n, n, n, 3)
    k = [2 * np.pi * f for f in (np.fft.fftfreq(n), np.fft.fftfreq(n), np.fft.rfftfreq(n))]
    waves = k[0][:, None, None], k[1][:, None], k[2]
    modes = sum(-1j * wave * np.fft.rfftn(moved[..., i]) for i, wave in enumerate(waves))
    return np.fft.irfftn(modes, (n, n, n), axes=(0, 1, 2))


def test_structure_grows_linearly_at_low_k_within_a_percent(evolve):
    """Against the linear field of the same modes, from a = 0.1 to redshift 3."""
    field, _, particles = evolve(QUIET)
    growth = cosmology.growth(QUIET.cosmology, 0.25)[0]
    made = jnp.asarray(grown(particles) / growth, jnp.float32)
    ratio, correlation = spectra.ratios(np.asarray(spectra.sums(made, jnp.asarray(field))))
    assert np.abs(ratio[:2] - 1).max() < 0.01
    assert correlation[:2].min() > 0.9999


def test_the_density_is_that_of_the_displacements(evolved):
    """The painted density of the lowest modes, without the window of the clouds, in phase."""
    field, density, _ = evolved
    n = LARGE.cells
    whole, half = np.fft.fftfreq(n), np.arange(n // 2 + 1) / n
    k = whole[:, None, None], whole[:, None], half
    window = np.prod(np.broadcast_arrays(*(np.sinc(x) ** 2 for x in k)), axis=0)
    # Particle i begins half a cell beyond cell i.
    back = np.exp(2j * np.pi * particle_mesh.OFFSET * sum(k))
    painted = np.fft.irfftn(np.fft.rfftn(density - 1) / window * back, (n,) * 3, axes=(0, 1, 2))
    linear = cosmology.growth(LARGE.cosmology, 0.25)[0] * jnp.asarray(field)
    total = spectra.sums(jnp.asarray(painted, jnp.float32), linear)
    ratio, correlation = spectra.ratios(np.asarray(total))
    assert np.abs(ratio[:4] - 1).max() < 0.01
    assert correlation[:4].min() > 0.999


def test_mass_is_conserved_exactly(evolved):
    _, density, particles = evolved
    assert density.sum(dtype=float) == pytest.approx(density.size, rel=1e-6)
    assert particles.position.min() >= 0
    assert particles.position.max() <= LARGE.cells
    # Gravity within a periodic box moves no centre of mass.
    drift = particles.momentum.mean(0, dtype=float)
    assert np.abs(drift).max() < 1e-4 * np.abs(particles.momentum).max()


def test_a_particle_is_shared_by_the_cells_around_it():
    place = jnp.array([[0.25, 3.5, 1.0]])
    made = jax.jit(lambda x: particle_mesh.paint(x, 4))(place)
    expected = np.zeros((4, 4, 4))
    for x, a in ((0, 0.75), (1, 0.25)):
        for y, b in ((3, 0.5), (0, 0.5)):  # over the face of the box
            expected[x, y, 1] = a * b
    np.testing.assert_allclose(made, expected, atol=1e-7)
    at = jax.jit(particle_mesh.read)(jnp.asarray(expected, jnp.float32)[..., None], place)
    assert float(at[0, 0]) == pytest.approx((expected**2).sum())


def test_the_force_of_a_plane_wave():
    n, wave = 8, 2 * np.pi / 8
    x = np.arange(n)
    field = jnp.asarray(np.broadcast_to(np.cos(wave * x)[:, None, None], (n, n, n)), jnp.float32)
    force = jax.jit(lambda x: particle_mesh.gradients(jnp.fft.rfftn(x), n))(field)
    # phi = -cos(k x) / k^2, and the force -dphi/dx = -sin(k x) / k.
    np.testing.assert_allclose(force[:, 2, 5, 0], -np.sin(wave * x) / wave, atol=1e-5)
    np.testing.assert_allclose(force[..., 1:], 0, atol=1e-5)


def test_second_order_of_two_crossed_waves():
    """phi = a cos(kx) + b cos(ky) has the source k^4 a b cos(kx) cos(ky), and no other term."""
    n, wave, a, b = 8, 2 * np.pi / 8, 0.3, -0.2
    x, y = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    phi = a * np.cos(wave * x) + b * np.cos(wave * y)
    field = np.broadcast_to((-(wave**2) * phi)[..., None], (n, n, n))
    only_second = cosmology.Schedule(
        np.array([0, 1, 0, 0], np.float32), np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    )
    moved = jax.jit(particle_mesh.start)(jnp.asarray(field, jnp.float32), only_second).position
    moved = np.asarray(moved).reshape(n, n, n, 3)[:, :, 0, 0]
    shift = (moved - x - particle_mesh.OFFSET + n / 2) % n - n / 2
    # x displacement = d phi2 / dx with phi2 = -source / (2 k^2).
    phi2_slope = wave**4 * a * b * np.sin(wave * x) * np.cos(wave * y) * wave / (2 * wave**2)
    np.testing.assert_allclose(shift, phi2_slope, atol=1e-5)
