"""Puts the weights of a trained run into the package, as ``pretrained/NAME``.

    python -m benchmarks.physics.pretrained RUN NAME

Writes hepjax/pretrained/NAME/config.yaml and weights.npz, networks in half precision and tables as
they are; card.md, which says what the model was trained on and how it scores, is written by hand
from the ladder (benchmarks/physics/ladder.py).
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import yaml

import hepjax
from benchmarks.setting import ROOT
from hepjax.engine import weights
from hepjax.engine.settings import to_settings
from hepjax.workloads.calo.config import DataConfig
from hepjax.workloads.calo.objective import trained
from hepjax.workloads.calo.scores import TABLES


def main() -> None:
    """Read a run, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("name")
    args = parser.parse_args()
    run = hepjax.load(args.run)
    folder = ROOT / "hepjax" / weights.FOLDER / args.name
    folder.mkdir(parents=True, exist_ok=True)
    # The averaged parameters are the parameters, and the files of the training are not here.
    plain = replace(
        run.cfg,
        optimizer=replace(run.cfg.optimizer, average=0.0),
        train=replace(run.cfg.train, warm_start=""),
        data=replace(run.cfg.data, files=DataConfig().files, validation_files=()),
        objective=replace(run.cfg.objective, critic_from=0.0),
    )
    settings = {"workload": run.workload.name} | to_settings(plain)
    text = f"# hepjax {hepjax.__version__}\n{yaml.safe_dump(settings, sort_keys=False)}"
    (folder / "config.yaml").write_text(text)
    weights.save(folder / weights.FILE, needed(trained(run.cfg, run.state), run.state.stats))
    size = sum(path.stat().st_size for path in Path(folder).iterdir())
    print(f"{folder}: {size / 2**20:.2f} MiB")


def needed(params: Any, stats: Any) -> dict[str, Any]:
    """What an answer needs: networks in half precision, tables and profiles as they are."""
    half = jax.tree.map(lambda p: p.astype(jnp.float16), params)
    tables = {name: stats["scores"][name] for name in TABLES}
    return {
        "params": half, "stats": {"scores": tables, "hit": stats["hit"], "value": stats["value"]}
    }  # fmt: skip


if __name__ == "__main__":
    main()
