"""Neural simulation-based inference as the engine sees it."""

from hepjax.engine.workload import Workload
from hepjax.workloads.nsbi import answer, data, objective, validation
from hepjax.workloads.nsbi.config import NsbiConfig

WORKLOAD: Workload[NsbiConfig, objective.State] = Workload(
    name="nsbi",
    Config=NsbiConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_events,
    members=lambda cfg: cfg.train.members,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    rows=answer.rows,
    evaluate=answer.evaluate,
)
