"""The 3DGAN as the engine sees it."""

from hepjax.engine.workload import Benchmark, Tournament, Workload
from hepjax.workloads.gan3d import answer, data, objective, validation
from hepjax.workloads.gan3d.config import Gan3DConfig

EMPTY_SHOWERS = 100.0
"""MAPE of the visible energy when every generated shower is empty: the generator is dead."""


def failure(cfg: Gan3DConfig, step: int, metrics: dict[str, float]) -> str | None:
    """The published abort: after ten updates all generated showers are empty."""
    if step > 10 and abs(metrics.get("gen_sum", 0.0) - EMPTY_SHOWERS) < 1e-4:
        return (
            "expected generated showers with energy, found a dead generator (all are empty); take "
            "another train.seed or a lower optimizer.learning_rate in another --run"
        )
    return None


WORKLOAD: Workload[Gan3DConfig, objective.State] = Workload(
    name="gan3d",
    Config=Gan3DConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    failure=failure,
    tournament=Tournament(("generator",), (validation.SCORE, "moments", "shapes")),
    sources=data.sources,
    open=data.open_events,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    conditions=answer.conditions,
    ranges=answer.ranges,
    evaluate=answer.evaluate,
    evaluate_in_detail=answer.evaluate,
    # 16,000 showers of 25 x 25 x 25 cells in float32 are 1 GB.
    benchmark=Benchmark("gan3d/published", "showers", events=256, complete=16_000),
)
