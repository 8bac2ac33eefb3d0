"""The taggers as the engine sees them."""

from hepjax.engine.workload import Benchmark, Workload
from hepjax.workloads.tagger import answer, data, objective, validation
from hepjax.workloads.tagger.config import TaggerConfig


def failure(cfg: TaggerConfig, step: int, metrics: dict[str, float]) -> str | None:
    """All events have the same score: the network is dead and has no gradient left."""
    if metrics["spread"] == 0:
        return (
            "expected scores that differ between events, found one and the same for all of "
            "them (a dead network); lower optimizer.learning_rate or set data.scale"
        )
    return None


WORKLOAD: Workload[TaggerConfig, objective.State] = Workload(
    name="tagger",
    Config=TaggerConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    failure=failure,
    sources=data.sources,
    open=data.open_jet_source,
    spec=answer.spec,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    rows=answer.rows,
    evaluate=answer.evaluate,
    # A hundredth of the published 2,560,000 jets; none of them are for tests.
    benchmark=Benchmark(
        "tagger/top", "jets", events=512, complete=25_600, validated=("data.fractions=[1,0,0]",)
    ),
)
