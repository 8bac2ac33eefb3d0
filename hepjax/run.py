"""Run directories: made by ``train``, opened for use by ``load``."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml
from numpy.typing import ArrayLike

from hepjax import InputError
from hepjax.engine import compilation, population, provenance, records, rundir, weights
from hepjax.engine import train as training
from hepjax.engine.bounds import require_seed
from hepjax.engine.checkpoint import (
    best_first,
    complete_steps,
    read_manifest,
    restore,
    restore_first,
)
from hepjax.engine.group import processes
from hepjax.engine.inference import HostBatch, Placed, mesh_config, place
from hepjax.engine.mesh import request_devices
from hepjax.engine.paths import expand, expand_one
from hepjax.engine.progress import progress
from hepjax.engine.same_data import require_same_data
from hepjax.engine.settings import (
    find_config,
    override,
    put,
    read_settings,
    to_settings,
    with_paths,
)
from hepjax.engine.step import init_state
from hepjax.engine.train import Outcome
from hepjax.engine.workload import About, Detail, Model, Workload
from hepjax.formats.source import Source
from hepjax.workloads import table

BATCH = 256
"""Events at a time where nobody says otherwise."""


@dataclass(frozen=True)
class Run:
    """A trained model and where it came from. Made by :func:`load`."""

    directory: Path
    workload: Workload[Any, Any]
    cfg: Any
    step: int
    """The update whose checkpoint this is."""
    epoch: float
    model: Model[Any, Any]

    @property
    def state(self) -> Any:
        """What was trained."""
        return self.model.placed.state

    def generate(
        self, seed: int = 0, batch_size: int = 64, *, extrapolate: bool = False,
        **conditions: ArrayLike,
    ) -> np.ndarray:  # fmt: skip
        """Events at given conditions: ``energy`` (n,) in GeV, and polar angles ``theta`` (n,), or
        one for all, in rad where the model has them.

        The same seed gives the same events, to rounding, whatever the batch size and the number of
        devices.

        Args:
          extrapolate: allow conditions that the model was not trained on.
        Returns:
          (n, ...) as the workload's ``outputs`` say; for gan3d (n, *calorimeter.shape) float32,
          cell energies in GeV; of a box the axes are x, y, z (depth).
        Raises:
          InputError: conditions that the workload does not have, or values out of range.
        """
        require_seed("seed", seed)
        asked = {name: np.atleast_1d(np.asarray(a)) for name, a in conditions.items()}
        batches = self.generated_batches(asked, seed, batch_size, extrapolate=extrapolate)
        return np.concatenate(list(batches))

    def generated_batches(
        self, conditions: dict[str, np.ndarray], seed: int, batch_size: int, *,
        extrapolate: bool = False,
    ) -> Iterator[np.ndarray]:  # fmt: skip
        """The events of ``generate``, ``batch_size`` at a time, for more than memory holds.

        Raises:
          InputError: see ``generate``; or a workload that does not simulate events.
        """
        self.require_simulation()
        assert self.workload.conditions is not None
        inputs = self.workload.conditions(self.cfg, conditions)
        if not extrapolate:
            self._require_trained_on(inputs)
        (name,) = self.workload.outputs(self.cfg).spec.names
        answers = replace(self.model, seed=seed).given(inputs, batch_size)
        return (made[name] for made in answers)

    def _require_trained_on(self, inputs: HostBatch) -> None:
        """Refuse conditions outside of the ranges of the training."""
        for name, (low, high, unit) in self.workload.ranges(self.cfg).items():
            values = inputs[name]
            # What single precision makes of a number is the number.
            slack = 1e-6 * max(abs(low), abs(high))
            outside = int(((values < low - slack) | (values > high + slack)).sum())
            if outside:
                raise InputError(
                    f"{name}: expected {low:.4g} to {high:.4g} {unit} as {self.directory} was "
                    f"trained on, found {values.min():.4g} to {values.max():.4g} ({outside} of "
                    f"{len(values)} outside); extrapolate=True (--extrapolate) allows it"
                )

    def require_simulation(self) -> None:
        """Refuse a run of a workload that does not simulate events.

        Raises:
          InputError: it does not.
        """
        table_of_answers = self.workload.outputs(self.cfg).kind == "table"
        if self.workload.conditions is None or table_of_answers:
            raise InputError(
                f"{self.directory}: expected a run that simulates events, "
                f"found one of {self.workload.name}"
            )

    def predict(
        self, paths: list[Path], batch_size: int = BATCH, *, quiet: bool = True
    ) -> Iterator[dict[str, np.ndarray]]:
        """What the model says of the events of ``paths``, as rows of a table, piece by piece.

        Returns:
          columns (rows,), the same in every piece; what a row is depends on the workload.
        Raises:
          InputError: unusable files, or a workload that judges no events.
        """
        answer = self.workload.outputs(self.cfg)
        if answer.kind != "table":
            raise InputError(
                f"{self.directory}: expected a run that judges events, "
                f"found one of {self.workload.name}; use hepjax generate"
            )
        with progress("open the data", 0, "", quiet=quiet):
            source = self.workload.open(self.cfg, paths)
        return self._rows(source, min(batch_size, answer.at_once), quiet)

    def _rows(
        self, source: Source, batch_size: int, quiet: bool
    ) -> Iterator[dict[str, np.ndarray]]:
        first, rows = 0, self.workload.rows or _one_an_event
        with progress("predict", len(source), "events", quiet=quiet) as advance:
            for events, answers in self.model.over(source, batch_size, advance=advance):
                yield rows(self.cfg, events, answers, first)
                first += len(next(iter(answers.values())))

    def evaluate(
        self, paths: list[Path], out: Path, *, seed: int = 0, quiet: bool = True,
        detail: Detail | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Write the report page on the events of ``paths`` into ``out``; return its scores.

        Without paths the test events of the run are used, or its validation events if it has no
        others.

        Args:
          detail: all plots one by one, or slow metrics, for workloads that have them.
        Raises:
          InputError: unusable events, or details that this workload does not have.
        """
        require_seed("seed", seed)
        if detail is not None and self.workload.evaluate_in_detail is None:
            raise InputError(
                f"{self.directory}: expected a workload with all plots (--plots) and slow metrics "
                f"(--metrics), found {self.workload.name}; for showers compare files with "
                "--reference and --generated"
            )
        with progress("open the data", 0, "", quiet=quiet):
            source, part = self.judged(paths)
        about = About(
            yaml.safe_dump(to_settings(self.cfg), sort_keys=False),
            {
                "run": str(self.directory), "step": self.step, "epoch": self.epoch, "seed": seed,
                "data": [str(p) for p in paths] or f"{part} events of the run",
            } | provenance.provenance(),
            records.read(self.directory / "metrics.jsonl"),
            partial(progress, quiet=quiet),
        )  # fmt: skip
        model = replace(self.model, seed=seed, quiet=quiet)
        if detail is not None and self.workload.evaluate_in_detail is not None:
            return self.workload.evaluate_in_detail(self.cfg, model, source, out, about, detail)
        if self.workload.evaluate is not None:
            return self.workload.evaluate(self.cfg, model, source, out, about)
        return _validated(model, source, out, about)

    def conditions_like(self, paths: list[Path], most: int = 1000) -> dict[str, np.ndarray]:
        """Conditions of the first events that an evaluation would take, as ``generate`` has them.

        Raises:
          InputError: a workload that does not simulate events.
        """
        self.require_simulation()
        source = self.judged(paths)[0]
        events = source[np.arange(min(most, len(source)))]
        return {name: events[name] for name in self.workload.inputs(self.cfg).names}

    def judged(self, paths: list[Path]) -> tuple[Source, str]:
        """The events of an evaluation, and what they are."""
        if paths:
            return self.workload.open(self.cfg, paths), "files"
        self._require_data()
        sources = self.workload.sources(self.cfg)
        require_same_data(self.directory, sources, "give the events with --data")
        if sources.test is None:
            return sources.validation, "validation"
        return sources.test, "test"

    def _require_data(self) -> None:
        """Refuse to judge the run on its own data when they are not where they were."""

        def there(path: str, key: str) -> list[str]:
            part_of_a_set = (Path(path).parent / "dataset_info.json").is_file()  # a split of TFDS
            if key.startswith("data.") and not (os.path.exists(path) or part_of_a_set):
                raise InputError(
                    f"{self.directory}: expected its {key} at {path}, found none of this name; "
                    "give the events with --data"
                )
            return [path]

        with_paths(self.cfg, there)


def load(run_dir: str | Path, step: int | None = None, member: int | None = None) -> Run:
    """Open a run directory: verified restore on the devices that are here, however many.

    ``pretrained/NAME`` opens a model that comes with the package.

    Args:
      step: the checkpoint wanted; by default the best of the last epochs (by the score that the
        workload names), as published, or the next best with a warning if that one is damaged.
      member: of a population, whose best epoch is wanted.
    Raises:
      InputError: no run directory, no such checkpoint, or none that verifies.
    """
    compilation.use_cache()
    directory = Path(expand_one(str(run_dir), "RUN"))
    if (package := weights.packaged(directory)) is not None:
        return _pretrained(directory, package, step, member)
    settings = rundir.read_settings(directory)
    base = table.get(settings["workload"])
    cfg = rundir.configuration(directory, base.Config, settings)
    workload = population.of(base, cfg)
    folder = directory / "checkpoints"
    known = complete_steps(folder)
    if not known or step not in (None, *known):
        wanted = "checkpoints" if step is None else f"a checkpoint of step {step}"
        raise InputError(f"{folder}: expected {wanted}, found {known or 'none; train first'}")
    members = workload.members(cfg)
    if member is not None and not 0 <= member < members:
        raise InputError(f"member: expected 0 to {members - 1}, found {member}")
    serving = replace(cfg, mesh=mesh_config(cfg.mesh, len(jax.devices())))
    mesh, abstract = place(serving, jax.eval_shape(lambda: init_state(workload, cfg)))
    try:
        if step is not None:
            chosen, state = step, restore(folder, step, abstract)
        else:
            chosen, state = restore_first(folder, best_first(folder, member), abstract) or (0, None)
    except InputError as error:
        raise InputError(f"{error}{provenance.written_by(directory)}") from error
    trained = state.model
    if member is not None and members > 1:
        each = trained if workload is base else trained.each
        trained, workload = jax.tree.map(lambda x: x[member], each), base
    epoch = float(read_manifest(folder, chosen)["epoch"])
    options = compilation.options(mesh.devices.flat[0].platform, workload.compiler_options)
    model = Model(workload, serving, Placed(mesh, trained, options))
    return Run(directory, workload, cfg, chosen, epoch, model)


def _pretrained(directory: Path, package: Path, step: int | None, member: int | None) -> Run:
    """Open a model that comes with the package."""
    if step is not None or member is not None:
        raise InputError(
            f"{'step' if step is not None else 'member'}: expected none with {directory}, which "
            "has one state, found one"
        )
    settings = rundir.read_settings(package)
    workload = table.get(settings["workload"])
    cfg = rundir.configuration(package, workload.Config, settings)
    serving = replace(cfg, mesh=mesh_config(cfg.mesh, len(jax.devices())))
    abstract = jax.eval_shape(lambda: workload.init(cfg, jax.random.key(0)))
    mesh, placed = place(serving, abstract)
    state = weights.load(package / weights.FILE, placed)
    options = compilation.options(mesh.devices.flat[0].platform, workload.compiler_options)
    model = Model(workload, serving, Placed(mesh, state, options))
    return Run(directory, workload, cfg, 0, 0.0, model)


def configured(
    config: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | list[str]
) -> tuple[Workload[Any, Any], Any]:
    """The workload and the checked configuration of a name, a YAML file, or nested settings.

    Args:
      overrides: ``key.path=value`` texts, or a mapping of ``key.path`` to values.
    Raises:
      InputError: unknown names, wrong types, bad values.
    """
    texts = overrides if isinstance(overrides, list) else []
    if isinstance(config, Mapping):
        settings = {k: dict(v) if isinstance(v, Mapping) else v for k, v in config.items()}
    else:
        settings = read_settings(find_config(str(config)), texts)
    for key, value in overrides.items() if isinstance(overrides, Mapping) else ():
        put(settings, key, value)
    workload, cfg = table.configure(settings)
    return population.of(workload, cfg), cfg


def stored(run_dir: str | Path, overrides: list[str]) -> tuple[Workload[Any, Any], Any]:
    """The workload and the configuration of a run directory, its data where they are now.

    Args:
      overrides: ``key.path=value`` texts.
    Raises:
      InputError: no run directory, unknown names, wrong types, bad values.
    """
    directory = Path(expand_one(str(run_dir), "RUN"))
    settings = rundir.read_settings(directory)
    override(settings, overrides)
    workload = table.get(settings["workload"])
    cfg = rundir.configuration(directory, workload.Config, settings)
    return population.of(workload, cfg), with_paths(cfg, expand)


def train(
    workload: Workload[Any, Any],
    cfg: Any,
    run_dir: Path,
    *,
    quiet: bool = True,
    group: int = 1,
    received: list[int] | None = None,
    watch: Callable[[int], object] = lambda step: None,
) -> Outcome:
    """Make or resume a run directory; what ``hepjax train`` and ``hepjax.train`` do.

    Args:
      group: number of processes of the group that this process has joined.
      received: signals of this process; the first one ends training after a checkpoint.
      watch: called after each update, before anything is saved; what it raises ends training.
    Raises:
      InputError, TrainingError: see ``engine.train.train``; or the directory cannot be used.
    """
    workload = population.of(workload, cfg)
    run_dir = Path(expand_one(str(run_dir), "--run"))
    request_devices(-(-cfg.mesh.devices // group))
    compilation.use_cache(cfg.train.keep_compiled)
    settings = rundir.stored_settings(workload.name, cfg)
    with contextlib.ExitStack() as stack:
        with processes.together():
            if jax.process_index() == 0:
                stack.enter_context(rundir.gone_if_refused(run_dir))
                stack.enter_context(rundir.locked(run_dir))
                rundir.open_for_training(run_dir, settings, cfg)
        with processes.together():
            rundir.require_shared(run_dir)
        heard = processes.interruption([] if received is None else received)

        def interrupted(step: int) -> int | None:
            watch(step)
            return heard(step)

        return training.train(
            workload, cfg, run_dir, quiet=quiet, interrupted=interrupted,
            accepted=partial(rundir.save_settings, run_dir, settings),
        )  # fmt: skip


def _one_an_event(
    cfg: Any, events: HostBatch, answers: HostBatch, first: int
) -> dict[str, np.ndarray]:
    """``index`` and the answers (n,), the rows of a workload that says nothing else."""
    count = len(next(iter(answers.values())))
    columns = {name: values for name, values in answers.items() if values.ndim == 1}
    return {"index": first + np.arange(count)} | columns


def _validated(model: Model[Any, Any], source: Source, out: Path, about: About) -> dict[str, Any]:
    """The report of a workload without pages of its own: its validation metrics in a table."""
    from hepjax.report import document, page
    from hepjax.report.curves import LOSS, validation

    scores = training.validated(model, source)
    rows = [(name, f"{value:.6g}") for name, value in scores.items() if np.ndim(value) == 0]
    sections = [("Scores", [page.table((f"on {len(source):,} events", ""), rows)])]
    name, score = model.workload.name, model.workload.score
    found = document.Report(
        name, f"{len(source):,} events", f"{score}: {scores[score]:.6g}", scores, sections,
        curves=(LOSS, validation(score, (score,))),
    )  # fmt: skip
    return document.write_report(found, out, **about._asdict())
