"""Trigger networks as the engine sees them."""

from hepjax.engine.workload import Workload
from hepjax.workloads.trigger import answer, data, objective, validation
from hepjax.workloads.trigger.config import TriggerConfig

WORKLOAD: Workload[TriggerConfig, objective.State] = Workload(
    name="trigger",
    Config=TriggerConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_events,
    members=lambda cfg: cfg.members,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    rows=answer.rows,
    evaluate=answer.evaluate,
)
