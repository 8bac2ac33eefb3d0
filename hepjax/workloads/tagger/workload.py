"""The taggers as the engine sees them: which files, which functions, which report."""

from pathlib import Path
from typing import Any

from hepjax.engine.workload import Sources
from hepjax.formats.source import Source
from hepjax.workloads.tagger import data, evaluation, objective, validation
from hepjax.workloads.tagger.config import TaggerConfig


class Tagger:
    """The end-to-end taggers; stateless, see engine/workload.py for what each function is for."""

    name = "tagger"
    Config = TaggerConfig
    score = validation.SCORE

    init = staticmethod(objective.init)
    prepare = staticmethod(objective.prepare)
    train_step = staticmethod(objective.train_step)
    eval_step = staticmethod(validation.eval_step)

    def summarise(self, cfg: TaggerConfig, sums: dict[str, Any]) -> dict[str, float]:
        """Validation metrics of one epoch."""
        return validation.summarise(sums)

    def failure(self, cfg: TaggerConfig, step: int, metrics: dict[str, float]) -> str | None:
        """All events have the same score: the network is dead and has no gradient left."""
        if metrics["spread"] == 0:
            return (
                "expected scores that differ between events, found one and the same for all of "
                "them (a dead network); lower optimizer.learning_rate or set data.scale"
            )
        return None

    def sources(self, cfg: TaggerConfig) -> Sources:
        """Training, validation and test events of the configuration."""
        return data.sources(cfg)

    def open(self, cfg: TaggerConfig, paths: list[Path]) -> Source:
        """All events of these files."""
        return data.open_jet_source(cfg, paths)

    evaluate = staticmethod(evaluation.evaluate)
    predict_table = staticmethod(evaluation.predict_table)


WORKLOAD = Tagger()
