"""What a generator of FastCaloGAN has learnt after so many updates, against its training showers.

    python -m benchmarks.physics.wgan_course wgan/demo 'data.files=[data/photons]' --updates 2000

One member of the first slice trains on random batches. Columns: chi2 over degrees of freedom of the
total energy (``hepjax/workloads/wgan/score.py``); mean and spread of the total energy over the
incident energy, generated over real; voxels above 1e-6 of the incident energy, generated over real;
and the loss of the critic, whose negative is near the Wasserstein distance.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hepjax.engine.settings import find_config, read_settings
from hepjax.engine.workload import Batch, Clock
from hepjax.workloads import table
from hepjax.workloads.wgan import objective, score
from hepjax.workloads.wgan.config import WganConfig
from hepjax.workloads.wgan.workload import WORKLOAD

AT_ONCE = 100
HIT = 1e-6


def main() -> None:
    """Train, print a line each so many updates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="as for hepjax train")
    parser.add_argument("overrides", nargs="*", metavar="key.path=value")
    parser.add_argument("--updates", type=int, default=2000, metavar="N")
    parser.add_argument("--every", type=int, default=500, metavar="N", help=f"in {AT_ONCE}s")
    args = parser.parse_args()
    settings = read_settings(find_config(args.config), [*args.overrides, "replicas=1"])
    cfg: Any = table.configure(settings)[1]
    source = WORKLOAD.sources(cfg).train
    raw = {name: jnp.asarray(x) for name, x in source[np.arange(len(source))].items()}
    batch = objective.prepare(cfg, WORKLOAD.spec(cfg, source), raw)
    one = jax.jit(lambda: objective.born(cfg, jax.random.key(cfg.train.seed)))()
    train, look = (
        jax.jit(lambda *x: trained(cfg, batch, *x)),
        jax.jit(lambda *x: seen(cfg, batch, *x)),
    )
    print("| updates | chi2/ndf | mean | width | hits | critic loss |\n" + "|---" * 6 + "|")
    for done in range(0, args.updates, AT_ONCE):
        key = jax.random.fold_in(jax.random.key(7), done)
        one, loss = train(one, key, jnp.float32(done))
        if (done + AT_ONCE) % args.every == 0 or done == 0:
            found = [f"{float(x):.3g}" for x in look(one, jax.random.key(1))]
            print(f"| {done + AT_ONCE} | {' | '.join(found)} | {float(loss):.3g} |", flush=True)


def trained(
    cfg: WganConfig, batch: Batch, one: objective.Networks, key: jax.Array, done: jax.Array
) -> tuple[objective.Networks, jax.Array]:
    """The member after ``AT_ONCE`` updates, and the mean loss of its critic in them."""
    voxels, energy = batch["voxels"][:, 0], batch["energy"][:, 0]

    def step(one: objective.Networks, number: jax.Array) -> tuple[objective.Networks, jax.Array]:
        k_rows, k_step = jax.random.split(jax.random.fold_in(key, number))
        rows = jax.random.randint(k_rows, (cfg.train.batch_size,), 0, len(voxels))
        clock = Clock(jnp.float32(0), done + number)
        one, told = objective.member_step(cfg, one, voxels[rows], energy[rows], k_step, clock)
        return one, told["critic_loss"]

    one, losses = jax.lax.scan(step, one, jnp.arange(AT_ONCE))
    return one, losses.mean()


def seen(
    cfg: WganConfig, batch: Batch, one: objective.Networks, key: jax.Array
) -> tuple[jax.Array, ...]:
    """Score, mean, width and hits."""
    weights = objective.generators(cfg, one)
    made = score.made(cfg, jax.tree.map(lambda x: x[None], weights), batch, key)
    real, energy = batch["voxels"][:, 0], batch["energy"][:, 0]
    showers = objective.generated(cfg, weights, energy, objective.noise_of(cfg, key, len(energy)))
    chi2 = score.reduced(batch["histograms"].sum(1)[:1], made.histograms)[0]
    totals = showers.sum(-1), real.sum(-1)
    hits = (showers > HIT).mean() / (real > HIT).mean()
    return chi2, totals[0].mean() / totals[1].mean(), totals[0].std() / totals[1].std(), hits


if __name__ == "__main__":
    main()
