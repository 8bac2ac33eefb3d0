"""The two-stage generators as the engine sees them."""

from hepjax.engine.workload import Workload
from hepjax.workloads.calo import answer, data, objective, validation
from hepjax.workloads.calo.config import CaloConfig

WORKLOAD: Workload[CaloConfig, objective.State] = Workload(
    name="calo",
    Config=CaloConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_events,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    conditions=answer.conditions,
    ranges=answer.ranges,
    evaluate=answer.evaluate,
)
