"""Run directories of earlier versions: settings that have other names now.

On 27 November 2026 the optimizers of all workloads became one group. Its defaults for what did not
exist before are what was done before, so a setting that is missing in an older run is its default.
"""

from typing import Any

RENAMED = {
    "optimizer.first_halving": "it is optimizer.decay_first now, with optimizer.decay=0.5",
    "optimizer.halve_every": "it is optimizer.decay_every now, with optimizer.decay=0.5",
    "optimizer.decay_rate": "it is optimizer.decay now",
    "optimizer.decay_steps": "it is optimizer.decay_every now, with optimizer.decay_unit=updates",
    "optimizer.per_event": "it is optimizer.reference_batch=1 now",
}
"""What became of a setting, for users who still give it."""


def translated(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run directory of any version under their present names."""
    optimizer = settings.get("optimizer")
    translate = OPTIMIZERS.get(str(settings.get("workload")))
    if translate is None or not isinstance(optimizer, dict):
        return settings
    return settings | {"optimizer": translate(dict(optimizer))}


def _gan3d(old: dict[str, Any]) -> dict[str, Any]:
    if "beta2" not in old and "decay" in old:
        old["beta2"] = old.pop("decay")  # of the squared gradients of RMSprop
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
