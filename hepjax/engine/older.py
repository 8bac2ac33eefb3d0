"""Run directories of earlier versions: settings that have other names now.

On 27 November 2026 the optimizers of all workloads became one group; later the networks of the
3DGAN became lists of layers. Defaults of what did not exist before are what was done before, so a
setting that is missing in an older run is its default.
"""

from typing import Any

RENAMED = {
    "optimizer.first_halving": "it is optimizer.decay_first now, with optimizer.decay=0.5",
    "optimizer.halve_every": "it is optimizer.decay_every now, with optimizer.decay=0.5",
    "optimizer.decay_rate": "it is optimizer.decay now",
    "optimizer.decay_steps": "it is optimizer.decay_every now, with optimizer.decay_unit=updates",
    "optimizer.per_event": "it is optimizer.reference_batch=1 now",
    "model.seed_channels": "it is the last number of model.generator[0].dense now",
    "model.generator_filters": "they are filters of the layers in model.generator now",
    "model.discriminator_filters": "they are filters of the layers in model.discriminator now",
    "model.discriminator_kernel": "it is kernel of the layers in model.discriminator now",
    "model.discriminator_pool": "it is pool of the layers in model.discriminator now",
}
"""What became of a setting, for users who still give it."""


FORMER_3DGAN: dict[str, Any] = {
    "seed_channels": 8,
    "generator_filters": [64, 6, 6],
    "discriminator_filters": [32, 8, 8, 8],
    "discriminator_kernel": 5,
    "discriminator_pool": 1,
}
"""Settings of the networks of the 3DGAN before they were lists of layers, with their defaults."""


def translated(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run directory of any version under their present names."""
    settings = networks(settings)
    optimizer = settings.get("optimizer")
    translate = OPTIMIZERS.get(str(settings.get("workload")))
    if translate is None or not isinstance(optimizer, dict):
        return settings
    return settings | {"optimizer": translate(dict(optimizer))}


def networks(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run directory or a configuration with the networks of gan3d as lists.

    The numbers that were settings before are still understood, each with its former default. What
    cannot be one of them stays, and is refused as any unknown setting.
    """
    model = settings.get("model")
    if settings.get("workload") != "gan3d" or not isinstance(model, dict):
        return settings
    numbers = FORMER_3DGAN | {key: model[key] for key in FORMER_3DGAN if key in model}
    lengths = {"generator_filters": 3, "discriminator_filters": 4}
    sound = all(
        isinstance(value, int) if key not in lengths
        else isinstance(value, list) and len(value) == lengths[key]
        for key, value in numbers.items()
    )  # fmt: skip
    lists = {"generator", "discriminator"} & set(model)
    if lists or not sound or not FORMER_3DGAN.keys() & model.keys():
        return settings
    rest = {key: value for key, value in model.items() if key not in FORMER_3DGAN}
    return settings | {"model": rest | _gan3d_networks(dict(numbers))}


def _gan3d(old: dict[str, Any]) -> dict[str, Any]:
    if "beta2" not in old and "decay" in old:
        old["beta2"] = old.pop("decay")  # of the squared gradients of RMSprop
    return old


def _gan3d_networks(old: dict[str, Any]) -> dict[str, Any]:
    """The networks of the fixed angle, of which numbers were settings, as lists of layers."""
    a, b, c = old.pop("generator_filters")
    he = {"init": "he_uniform", "activation": "leaky"}
    old["generator"] = [
        {"dense": [7, 7, 8, old.pop("seed_channels")]},
        {"filters": a, "kernel": [6, 6, 8], "norm": True} | he,
        {"filters": b, "kernel": [6, 5, 8], "padding": [2, 2, 0], "upsample": [2, 2, 2],
         "norm": True} | he,
        {"filters": c, "kernel": [3, 3, 8], "padding": [1, 0, 3], "upsample": [2, 2, 3]} | he,
        {"filters": 1, "kernel": [2, 2, 2], "padding": [0, 0, 0], "bias": False,
         "init": "glorot_normal", "activation": "relu"},
    ]  # fmt: skip
    k, pool = old.pop("discriminator_kernel"), old.pop("discriminator_pool")
    old["discriminator"] = discriminator = [
        {"filters": n, "kernel": [k] * 3, "activation": "leaky", "norm": number > 0}
        for number, n in enumerate(old.pop("discriminator_filters"))
    ]
    discriminator[0]["pool"] = [pool] * 3
    discriminator[-1] |= {"pool": [2] * 3, "padding": [k // 2 - 1] * 3}
    return old


def _tagger(old: dict[str, Any]) -> dict[str, Any]:
    if "halve_every" in old:
        first = old.pop("first_halving", 9.0)
        old |= {"decay": 0.5, "decay_first": first, "decay_every": old.pop("halve_every")}
        if first == 0 and old["decay_every"] and "learning_rate" in old:
            old["learning_rate"] /= 2  # halved from the beginning on; decay_first=0 means later
    return old


def _mlpf(old: dict[str, Any]) -> dict[str, Any]:
    if "decay_rate" in old:
        old |= {
            "decay": old.pop("decay_rate"), "decay_every": old.pop("decay_steps", 10_000),
            "decay_unit": "updates", "reference_batch": int(bool(old.pop("per_event", False))),
        }  # fmt: skip
    return old


OPTIMIZERS = {"gan3d": _gan3d, "tagger": _tagger, "mlpf": _mlpf}
