"""CosmoFlow as the engine sees it."""

from hepjax.engine.workload import Benchmark, Workload
from hepjax.workloads.cosmoflow import answer, data, objective, validation
from hepjax.workloads.cosmoflow.config import CosmoflowConfig

WORKLOAD: Workload[CosmoflowConfig, objective.State] = Workload(
    name="cosmoflow",
    Config=CosmoflowConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_samples,
    spec=data.spec,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    rows=answer.rows,
    evaluate=answer.evaluate,
    benchmark=Benchmark(
        "cosmoflow/published", "universes", events=64, complete=4096,
        overrides=("data.cells=64", "train.batch_size=16"),
    ),
)  # fmt: skip
