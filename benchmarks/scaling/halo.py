"""Collectives and memory of a periodic U-Net whose box is cut over devices: by halo exchange, and
as the compiler partitions ``jnp.pad(mode="wrap")`` by itself.

    python -m benchmarks.scaling.halo --devices 8 --cells 32
"""

import argparse
from collections import Counter
from functools import partial


def main() -> None:
    parser = argparse.ArgumentParser(description="A U-Net of three convolutions over devices.")
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--cells", type=int, default=32)
    args = parser.parse_args()

    import jax

    jax.config.update("jax_num_cpu_devices", args.devices)

    import jax.numpy as jnp
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    from benchmarks.scaling.collectives import collectives
    from hepjax.engine.config import MeshConfig, TrainConfig
    from hepjax.engine.mesh import DATA, MODEL, make_mesh
    from hepjax.ops.native import library_only
    from hepjax.workloads.fields import objective
    from hepjax.workloads.fields.config import FieldsConfig, ModelConfig
    from hepjax.workloads.fields.model import UNet, features

    cfg = FieldsConfig(
        model=ModelConfig(channels=(16,), full=8), train=TrainConfig(batch_size=1),
        mesh=MeshConfig("spatial", devices=args.devices, model_devices=args.devices),
    )  # fmt: skip
    mesh = make_mesh(cfg.mesh, 1)
    place = NamedSharding(mesh, P(DATA, MODEL))
    boxes = {
        name: jax.ShapeDtypeStruct((1, *(args.cells,) * 3, c), jnp.float32)
        for name, c in (("dark", 4), ("gas", 5))
    }
    params = jax.eval_shape(partial(objective.init, cfg), jax.random.key(0)).params

    def by_compiler(params, dark):
        return UNet(cfg.model).apply({"params": params}, features(dark))

    ways = {"halo exchange": partial(objective.predict, cfg), "the compiler": by_compiler}
    for name, forward in ways.items():

        def gradient(params, batch, forward=forward):
            def loss(params):
                return objective.losses(cfg, forward(params, batch["dark"]), batch["gas"]).mean()

            return jax.grad(loss)(params)

        # Native kernels would gather the box; the compiler is compared with its own convolution.
        with jax.set_mesh(mesh), library_only():
            for what, function, given in (
                ("forward", lambda p, b, f=forward: f(p, b["dark"]), boxes),
                ("gradient", gradient, boxes),
            ):
                program = jax.jit(function, in_shardings=(None, place)).lower(params, given)
                compiled = program.compile()
                found = collectives(compiled.as_text(), args.devices)
                kinds = ", ".join(f"{n} {k}" for k, n in Counter(c.kind for c in found).items())
                sent = sum(c.sent * c.times for c in found)
                memory = compiled.memory_analysis().temp_size_in_bytes
                print(
                    f"{name}, {what}: {len(found)} collectives ({kinds}), {sent / 1e3:.0f} kB "
                    f"sent by a device, {memory / 1e6:.2f} MB of temporary memory"
                )


if __name__ == "__main__":
    main()
