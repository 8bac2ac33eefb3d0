"""The waveform autoencoder as the engine sees it."""

from hepjax.engine.workload import Benchmark, Workload
from hepjax.workloads.waveforms import answer, data, objective, validation
from hepjax.workloads.waveforms.config import WaveformsConfig

WORKLOAD: Workload[WaveformsConfig, objective.State] = Workload(
    name="waveforms",
    Config=WaveformsConfig,
    score=validation.SCORE,
    init=objective.init,
    prepare=objective.prepare,
    train_step=objective.train_step,
    eval_step=validation.eval_step,
    summarise=validation.summarise,
    sources=data.sources,
    open=data.open_pulses,
    spec=data.spec,
    inputs=answer.inputs,
    infer=answer.infer,
    outputs=answer.outputs,
    evaluate=answer.evaluate,
    benchmark=Benchmark(
        "waveforms/demo",
        "waveforms",
        events=24000,
        complete=1_000_000,
        overrides=("data.test_files=[]",),
    ),
)
