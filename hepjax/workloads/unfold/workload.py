"""OmniFold as the engine sees it."""

from hepjax.engine.workload import Workload
from hepjax.workloads.unfold import answer, data, objective, state, validation
from hepjax.workloads.unfold.config import UnfoldConfig

WORKLOAD: Workload[UnfoldConfig, state.State] = Workload(
    name="unfold",
    Config=UnfoldConfig,
    score=validation.SCORE,
    init=state.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_events,
    spec=data.spec,
    members=lambda cfg: cfg.train.members,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    rows=answer.rows,
    evaluate=answer.evaluate,
)
