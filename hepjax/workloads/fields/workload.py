"""The map from dark matter to gas as the engine sees it."""

from hepjax.engine.workload import Benchmark, Workload
from hepjax.workloads.fields import answer, data, objective, validation
from hepjax.workloads.fields.config import FieldsConfig

WORKLOAD: Workload[FieldsConfig, objective.State] = Workload(
    name="fields",
    Config=FieldsConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_boxes,
    spec=data.spec,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    rows=answer.rows,
    evaluate=answer.evaluate,
    benchmark=Benchmark("fields/published", "boxes", events=32, complete=4096),
)
