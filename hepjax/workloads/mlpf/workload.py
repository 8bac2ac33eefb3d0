"""MLPF as the engine sees it: which files, which functions, which report."""

from pathlib import Path

from hepjax.engine.workload import Sources
from hepjax.formats.source import Source
from hepjax.workloads.mlpf import data, evaluation, objective, validation
from hepjax.workloads.mlpf.config import MLPFConfig


class MLPF:
    """Particle flow by graph networks; see engine/workload.py for what each function is for."""

    name = "mlpf"
    Config = MLPFConfig
    score = validation.SCORE

    init = staticmethod(objective.init)
    prepare = staticmethod(objective.prepare)
    train_step = staticmethod(objective.train_step)
    eval_step = staticmethod(validation.eval_step)
    summarise = staticmethod(validation.summarise)

    def failure(self, cfg: MLPFConfig, step: int, metrics: dict[str, float]) -> str | None:
        """Nothing but non-finite losses, which the engine sees, ends a run."""
        return None

    def open(self, cfg: MLPFConfig, paths: list[Path]) -> Source:
        """Events of these files, padded to the lengths of the configuration."""
        return data.open_events(cfg.data, paths)

    def sources(self, cfg: MLPFConfig) -> Sources:
        """Training and validation events: separate files, or the last part of the sorted files."""
        return data.sources(cfg.data)

    evaluate = staticmethod(evaluation.evaluate)
    predict_table = staticmethod(evaluation.predict_table)


WORKLOAD = MLPF()
