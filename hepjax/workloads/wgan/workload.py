"""FastCaloGAN as the engine sees it."""

from hepjax.engine.workload import Workload
from hepjax.workloads.wgan import answer, data, objective, score, step, validation
from hepjax.workloads.wgan.config import WganConfig

WORKLOAD: Workload[WganConfig, objective.State] = Workload(
    name="wgan",
    Config=WganConfig,
    score=score.NAME,
    init=objective.init,
    prepare=objective.prepare,
    train_step=step.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_events,
    spec=data.spec,
    members=lambda cfg: cfg.members,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    conditions=answer.conditions,
    ranges=answer.ranges,
    evaluate=answer.evaluate,
)
