"""Growth of structure in the particle mesh: power and phases against linear theory, shell by shell.

python -m benchmarks.physics.particle_mesh --cells 32 --length 1600 --redshift 3 --steps 6
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.ops import boxes, cosmology, particle_mesh
from hepjax.physics.fields import spectra


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=32)
    parser.add_argument("--length", type=float, default=1600.0, help="Mpc/h")
    parser.add_argument("--redshift", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    n = args.cells
    setting = boxes.Setting(n, args.length, args.redshift, args.steps)
    plan = boxes.plan(setting)

    @jax.jit
    def run(key):
        field = particle_mesh.linear_field(jax.random.normal(key, (n, n, n)), plan.amplitudes)
        return field, particle_mesh.paint(particle_mesh.simulate(field, plan.schedule).position, n)

    field, density = jax.device_get(run(jax.random.key(args.seed)))
    whole, half = np.fft.fftfreq(n), np.arange(n // 2 + 1) / n
    k = whole[:, None, None], whole[:, None], half
    window = np.prod(np.broadcast_arrays(*(np.sinc(x) ** 2 for x in k)), axis=0)
    back = np.exp(2j * np.pi * particle_mesh.OFFSET * sum(k))
    grown = np.fft.irfftn(np.fft.rfftn(density - 1) / window * back, (n,) * 3, axes=(0, 1, 2))
    linear = cosmology.growth(setting.cosmology, 1 / (1 + args.redshift))[0] * field
    total = spectra.sums(jnp.asarray(grown, jnp.float32), jnp.asarray(linear))
    ratio, correlation = spectra.ratios(np.asarray(total))
    print("P / P linear", ratio.round(4))
    print("r           ", correlation.round(4))
    print(f"variance {density.var():.3g}, largest {density.max():.1f}, mean {density.mean():.7f}")


if __name__ == "__main__":
    main()
