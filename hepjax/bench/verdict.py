"""One sentence on what bounds an update, from the table of where its time goes."""

from typing import Any

from hepjax.bench.operations import CONVOLUTIONS, IDLE, INPUT, LAYOUT, PRODUCTS, REST, SUMS

NOTABLE = 0.2
"""Share of waiting from which it is named before what computes."""
NAMES = {
    CONVOLUTIONS: "Convolutions bound",
    PRODUCTS: "Matrix products bound",
    SUMS: "Sums over devices bound",
    LAYOUT: "Layout conversions bound",
    REST: "Element-wise operations and reductions bound",
}


def bound(report: dict[str, Any]) -> str:
    """The sentence for a report of ``profiled.profile``."""
    times: dict[str, float] = report["time_ms"]
    total = sum(times.values())
    if total <= 0:
        return "Nothing ran."
    share = {name: ms / total for name, ms in times.items()}
    if share[INPUT] >= NOTABLE and share[INPUT] >= share[IDLE]:
        return (
            f"Input bounds the update: devices wait for events {share[INPUT]:.0%} of the time; "
            "keep them in memory (input.resident=true) or read with more input.threads."
        )
    if share[IDLE] >= NOTABLE:
        return (
            f"Launches bound the update: nothing runs {share[IDLE]:.0%} of the time between "
            f"{report['kernels_per_update']:,.0f} kernels; take a larger train.batch_size."
        )
    kind = max(NAMES, key=lambda name: share[name])
    top = next((k for k in report["top"] if k["class"] == kind), None)
    most = ""
    if top is not None:
        where = source(top["source"]) or top["kernel"]
        most = f", {top['ms'] / total:.0%} in one kernel of {where}"
    return f"{NAMES[kind]} the update: {share[kind]:.0%} of its time{most}."


def source(name: str) -> str:
    """The layer that an operation belongs to, or the operation itself outside of a model.

    ``jit(step)/transpose(jvp(Generator))/Conv3D_1/cond/ffi_call`` becomes
    ``Generator/Conv3D_1, gradient``, and ``jit(step)/jit(_where)/select_n`` becomes ``select_n``.
    """
    gradient = "transpose(" in name
    parts = [part.replace("transpose(", "").replace("jvp(", "") for part in name.split("/")]
    layers = [part.rstrip(")") for part in parts[:-1] if part[:1].isupper()]
    return ("/".join(layers) or parts[-1]) + (", gradient" if layers and gradient else "")
