"""Graph tracking as the engine sees it."""

from hepjax.engine.workload import Benchmark, Workload
from hepjax.workloads.tracking import answer, data, objective, validation
from hepjax.workloads.tracking.config import TrackingConfig

WORKLOAD: Workload[TrackingConfig, objective.State] = Workload(
    name="tracking",
    Config=TrackingConfig,
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
    ranges=answer.ranges,
    rows=answer.rows,
    evaluate=answer.evaluate,
    benchmark=Benchmark("tracking/published", "hits", events=16, complete=1000),
)
