"""How training scales: published curves reproduced by a model, ours predicted, beside measured.

    python -m benchmarks.scaling.ahead --target v3:2x2 --events 16 --json ahead.json
    python -m benchmarks.scaling.measured --json measured.json
    python -m benchmarks.scaling.published --ahead ahead.json --measured measured.json --figure scaling.png

The model is benchmarks/scaling/model.py.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.scaling import model as model
from benchmarks.scaling.model import Machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ahead", type=Path, required=True, help="JSON of ahead.py, replicated")
    parser.add_argument("--measured", type=Path, help="JSON of measured.py, to draw too")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", type=Path, help="also write all numbers to this file")
    args = parser.parse_args()

    published, ours = published_machines(), our_machines(*gradients(args.ahead))
    rows = reproduced(published)
    print("| run | devices | published s/epoch | modelled | ratio |\n" + "|---" * 5 + "|")
    for row in rows:
        print("| {run} | {n} | {published:.1f} | {modelled:.1f} | {ratio:.3f} |".format(**row))
    predictions = predicted(ours)
    print("\n| ours, predicted | devices | s/epoch | efficiency |\n" + "|---" * 4 + "|")
    for row in predictions:
        print("| {run} | {n} | {modelled:.1f} | {efficiency:.3f} |".format(**row))
    content: dict[str, Any] = {"reproduced": rows, "predicted": predictions}
    content["machines"] = [asdict(m) for m in (*published.values(), *ours.values())]
    if args.figure:
        measured = json.loads(args.measured.read_text()) if args.measured else None
        draw(published, ours, measured, args.figure)
    if args.json:
        args.json.write_text(json.dumps(content, indent=1) + "\n")


def gradients(path: Path) -> tuple[float, int]:
    """Bytes and number of the sums over devices in an update of the published 3DGAN."""
    for row in json.loads(path.read_text()):
        if row.get("config") == "gan3d/published" and row["layout"] == "replicated":
            found = row["collectives"]["all-reduce"]
            return found["payload_bytes"], found["count"]
    sys.exit(
        f"{path}: expected a row of gan3d/published, replicated; run benchmarks/scaling/ahead.py"
    )


def published_machines() -> dict[str, Machine]:
    """The runs that were published, rate and latency fitted to them, the rest as published."""
    node = Machine(
        "2S Xeon node, 2018", model.FIXED_16, rate=1.0, events=32,
        payload=4 * 2 * (1_042_528 + 174_866), collectives=4, link=12.5e9, latency=0.0,
        network="ring",
        sources="published: 4 workers of 8 events a node, 1,042,528 + 174,866 parameters summed "
        "twice an update; assumed: Omni-Path 100 Gbit/s, one sum each (Horovod fusion); fitted: "
        "rate to 149 s on 128 nodes at 94 %, latency to the 94 %",
    )  # fmt: skip
    old = at(node, 128, model.NODES_2018[128], 0.94)
    new = at(replace(
        node, name="2S Xeon node, 256 nodes",
        sources=node.sources.replace("149 s on 128 nodes at 94 %, latency to the 94 %",
                                     "29 s on 256 nodes at 98 %, latency to the 98 %"),
    ), 256, model.NODES[256], 0.98)  # fmt: skip
    v100 = model.fitted(
        Machine(
            "V100, variable angle", model.ANGLE, rate=1.0, events=96,
            payload=4 * 2 * (1_365_047 + 87_402), collectives=4, link=12.5e9, latency=0.0,
            network="ring",
            sources="published: 96 events a GPU, 125,000 showers, parameters; assumed: link of "
            "100 Gbit/s; fitted to the seven epochs: rate, and latency, which here stands for "
            "waiting for the slowest and for input as well",
        ),
        model.V100, model.ANGLE_SHOWERS,
    )  # fmt: skip
    return {m.name: m for m in (old, new, v100)}


def at(machine: Machine, n: int, seconds: float, share: float) -> Machine:
    """``machine`` with the rate and latency at which ``n`` have that epoch and efficiency."""
    single = n * seconds * share
    machine = replace(machine, rate=machine.gflop * model.TRAINING_SHOWERS / single)
    return replace(machine, latency=model.latency_at(machine, n, share))


def reproduced(machines: dict[str, Machine]) -> list[dict[str, Any]]:
    """Published epochs beside modelled ones."""
    runs = [
        ("2S Xeon node, 2018", {1: 18_000.0} | model.NODES_2018, model.TRAINING_SHOWERS),
        ("2S Xeon node, 256 nodes", {1: 6_480.0, 128: 53.0} | model.NODES, model.TRAINING_SHOWERS),
        ("V100, variable angle", model.V100, model.ANGLE_SHOWERS),
    ]
    rows = []
    for name, epochs, events in runs:
        for n, seconds in epochs.items():
            modelled = model.epoch_seconds(machines[name], n, events)
            rows.append({"run": name, "n": n, "published": seconds, "modelled": modelled,
                         "ratio": modelled / seconds})  # fmt: skip
    return rows


def our_machines(payload: float, collectives: int) -> dict[str, Machine]:
    """What our update would need: bytes and sums from the compiled program, rates from others."""
    core = model.fitted_rate(model.ANGLE, model.ANGLE_SHOWERS, 8, model.TPU_V3_CORES[8], 1.0)
    v100 = published_machines()["V100, variable angle"].rate

    def machine(name: str, rate: float, link: float, network: Any, sources: str) -> Machine:
        return Machine(
            name, model.FIXED, rate, 128, payload, collectives, link,
            1e-6 if network == "torus" else 5e-6, network,
            sources + "; latency of a hop assumed; bytes and sums from the compiled program",
        )  # fmt: skip

    found = (
        machine("TPU v3 core", core, 41.5e9, "torus",
                "rate: that of the published TF2 code on v3-8 (416 s, 125,000 showers); link: "
                "all-reduce of a pod, 340 TB/s over 1,024 chips of four links, 83 GB/s, which two "
                "cores share (cloud.google.com/tpu/docs/v3)"),
        machine("TPU v5e chip", core / 61.5 * 197, 50e9, "torus",
                "rate: assumed the same share of the bfloat16 peak as v3 (61.5 a core, 197 TFLOP/s "
                "a chip); link: 1,600 Gbit/s a chip over four links "
                "(cloud.google.com/tpu/docs/v5e)"),
        machine("H200", v100 / 15.7 * 67, 50e9, "tree",
                "rate: assumed the share of the float32 peak that the V100 reached (15.7, 67 "
                "TFLOP/s); link: 400 Gbit/s for each GPU between nodes assumed"),
    )  # fmt: skip
    return {m.name: m for m in found}


def predicted(machines: dict[str, Machine]) -> list[dict[str, Any]]:
    """Epochs of 180,000 showers with our program; none of it was run."""
    sizes = {"TPU v3 core": (1, 8, 32), "TPU v5e chip": (1, 256), "H200": (1, 8, 64, 256)}
    return [
        {"run": name, "n": n, "efficiency": model.efficiency(machines[name], n),
         "modelled": model.epoch_seconds(machines[name], n, model.TRAINING_SHOWERS)}
        for name, counts in sizes.items() for n in counts
    ]  # fmt: skip


def draw(
    published: dict[str, Machine],
    ours: dict[str, Machine],
    measured: dict[str, Any] | None,
    path: Path,
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3 if measured else 2, figsize=(15 if measured else 10, 4.6))
    counts = [2**i for i in range(9)]
    points = {
        "2S Xeon node, 2018": model.NODES_2018,
        "2S Xeon node, 256 nodes": model.NODES,
        "V100, variable angle": model.V100,
    }
    for colour, (name, m) in enumerate(published.items()):
        events = model.ANGLE_SHOWERS if "angle" in name else model.TRAINING_SHOWERS
        style = {"color": f"C{colour}"}
        axes[0].plot(counts, [model.epoch_seconds(m, n, events) for n in counts],
                     label=f"{name}: model, fitted", **style)  # fmt: skip
        axes[0].plot(*zip(*points[name].items(), strict=True), "o", label=f"{name}: published",
                     **style)  # fmt: skip
    axes[0].plot([1, 128], [6480, 53], "s", color="C1", mfc="none",
                 label="same runs: published, not fitted")  # fmt: skip
    for colour, (name, m) in enumerate(ours.items(), start=3):
        axes[1].plot(
            counts, [model.epoch_seconds(m, n, model.TRAINING_SHOWERS) for n in counts],
            "--", color=f"C{colour}", label=f"hepjax on {name}: predicted",
        )  # fmt: skip
    axes[1].axhline(29, color="grey", lw=1, label="29 s: 256 nodes, published")
    for ax, title in zip(axes, ("Published runs", "hepjax, not run: model only"), strict=False):
        ax.set(xscale="log", yscale="log", xlabel="devices or nodes", ylabel="seconds an epoch")
        ax.set_title(title)
        ax.legend(fontsize=7)
    if measured:
        draw_measured(measured, axes[2])
    figure.tight_layout()
    part = path.with_name(path.stem + ".part.png")
    figure.savefig(part, dpi=110)
    part.replace(path)


def draw_measured(measured: dict[str, Any], axis: Any) -> None:
    """Efficiency against devices, with the range over rounds."""
    devices = {"cpu": "processes of one core each"}.get(measured["kind"], measured["kind"])
    labels = {
        "weak": f"{devices}, weak", "strong": f"{devices}, strong",
        "virtual": "virtual devices: processor time",
    }  # fmt: skip
    for marker, (what, label) in zip("osD", labels.items(), strict=True):
        rows = [row for row in measured["rows"] if row["what"] == what]
        middle = [row["efficiency"] for row in rows]
        errors = [
            [m - row["least"] for m, row in zip(middle, rows, strict=True)],
            [row["most"] - m for m, row in zip(middle, rows, strict=True)],
        ]
        axis.errorbar([row["devices"] for row in rows], middle, errors, marker=marker, capsize=2,
                      label=f"{label}, measured")  # fmt: skip
    axis.axhline(1, color="grey", lw=1)
    axis.set(xscale="log", xlabel="devices", ylabel="over one device", ylim=(0, None))
    counts = sorted({row["devices"] for row in measured["rows"]})
    axis.set_xticks(counts, map(str, counts))
    axis.minorticks_off()
    axis.set_title("Measured on one machine")
    axis.legend(fontsize=7)


if __name__ == "__main__":
    main()
