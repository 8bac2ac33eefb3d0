"""The command line: one file a verb, imported only when that verb is typed.

Each verb module has ``add_arguments(parser)`` and ``run(args) -> int`` (the exit code); it
imports jax inside ``run`` only, so that help starts at once.
"""

import argparse
import importlib
import os
import signal
import sys
import traceback
import warnings

from hepjax import HepjaxError, InputError, __version__
from hepjax.cli import console, jet_meaning, ranges
from hepjax.cli.examples import epilog
from hepjax.cli.parser import Formatter, OneLineParser, nearest_option
from hepjax.engine import platforms, signals
from hepjax.engine.paths import given
from hepjax.formats import access

VERBS = {
    "data": "public data sets by name: list them, fetch and check one",
    "simulate": "make showers, images or events, the embedded default data",
    "inspect": "recognise a file and print what is in it",
    "pack": "any layout into a packed set: sparse shards with a manifest",
    "train": "train a workload; the same command again resumes",
    "tune": "search for the settings of lowest score; the same command again resumes",
    "rates": "learning-rate finder: short trainings at many rates side by side",
    "repeat": "the same training with several seeds or folds; mean and spread",
    "active": "where a simulated value crosses a threshold, in few simulations",
    "evolve": "train the energy regressor by mutation and selection, beside RMSprop",
    "evaluate": "compare generated with reference data: report page and scores",
    "runs": "run directories side by side: scores, settings that differ, curves",
    "predict": "scores or candidates of a trained run for each event, as a table",
    "generate": "write generated showers to a file",
    "export": "a trained model as ONNX, StableHLO or a Triton repository, for other programs",
    "serve": "trained models as a service: Open Inference Protocol over HTTP and gRPC",
    "profile": "where the time of an update goes, and a trace for other tools",
    "bench": "train on fixed events, time it, report as hep-score wants it",
    "launch": "one training over several processes: here, SLURM, TPU VMs",
    "doctor": "versions, devices, kernels, and what is missing",
    "clean": "remove what killed commands left, and checkpoints that nothing needs",
    "completion": "a script that completes commands in a shell",
}

LONGEST = 1200
"""Characters of an error."""
HIDDEN = {"copies": "hepjax.bench.copies"}
"""Verbs for scripts that come with hepjax, and their modules."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code (listed in docs/reference/records.md).

    Without ``argv`` this is the whole process, which may be ended at once after a signal.
    """
    alone = argv is None
    held: BaseException | None = None
    if alone and not sys.warnoptions and "--debug" not in sys.argv:
        warnings.simplefilter("ignore")  # of libraries, to their developers
    with signals.caught():
        with console.attached() as streams:
            try:
                code = _command(sys.argv[1:] if argv is None else argv, streams)
            except KeyboardInterrupt as error:
                # Its frames hold half-built programs of jax; to free those can be a crash.
                code, held = _interrupted(), error
            finally:
                signals.enter(signals.State.STARTING)  # all is written: nothing is left to lose
        if signals.received:
            code = code or 128 + signals.received[0]
            if alone:
                _end_processes()
                os._exit(code)  # a shutdown beside threads that compile is a segmentation fault
    if alone:
        signals.default()
    del held
    return code


def _command(argv: list[str], streams: console.Console) -> int:
    """Parse and run; the exit code, with everything said that there is to say."""
    parser = _parser(argv)
    try:
        args, rest = parser.parse_known_args(argv)
    except SystemExit as ended:
        if ended.code != 0:
            raise
        return _shown(streams)
    if rest and hasattr(args, "overrides") and not any(word.startswith("-") for word in rest):
        # argparse ends a list of positionals at the first option; users write them after it too.
        args.overrides += rest
    elif rest:
        parser.prog = f"hepjax {args.verb or ''}".strip()
        near = nearest_option(parser, args.verb, rest[0])
        parser.error(f"{rest[0]!r}: expected an argument of {parser.prog}, found another{near}")
    if args.verb is None:
        parser.print_help()
        return 2
    try:
        ranges.check_seed(getattr(args, "seed", None))
        for name, value in vars(args).items():  # "~" after "=" or in quotes is left by shells
            setattr(args, name, given(value, f"--{name.replace('_', '-')}"))
        signals.enter(signals.State.WORKING)
        platforms.require_flags()
        from hepjax.formats.atomic import no_empty_folder  # with NumPy, which help does not need

        with no_empty_folder(getattr(args, "out", None)):
            code = args.execute(args)
        return streams.verdict(code, args.verb, getattr(args, "json", False))
    except HepjaxError as error:
        return _told(args, error, error.exit_code, _line(args.verb, error))
    except Exception as error:
        if signals.received:
            raise KeyboardInterrupt from error  # an exception of ours, as some library passes it on
        said = access.refusal(error) if isinstance(error, OSError) else platforms.unusable(error)
        if said is not None:
            return _told(args, error, InputError.exit_code, f"error: {said}")
        name = type(error).__name__
        return _told(args, error, 1, f"bug: {name}: {error}; --debug shows the traceback")


def _shown(streams: console.Console) -> int:
    """The exit code after help or the version."""
    try:
        return streams.verdict(0, "help", json=False)
    except InputError as error:
        print(f"hepjax: error: {error}", file=sys.stderr)
        return error.exit_code


def _line(verb: str, error: HepjaxError) -> str:
    """The message, or that its file may not be read, of which all others are consequences."""
    text = jet_meaning.worded(verb, " ".join(str(error).split()))
    path, colon, _ = text.partition(": ")
    unread = access.denied(path) if colon and isinstance(error, InputError) else None
    return f"error: {_short(unread or text)}"


def _short(text: str) -> str:
    """The beginning and the end, where the way out is, of a text that repeats what a file holds."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 300]} ... {text[-300:]}"


def _told(args: argparse.Namespace, error: Exception, code: int, line: str) -> int:
    if args.debug:
        traceback.print_exception(error)
    print(f"hepjax: {line}", file=sys.stderr)
    return code


def _interrupted() -> int:
    print("hepjax: interrupted", file=sys.stderr)
    return 128 + (signals.received or [signal.SIGINT])[0]


def _end_processes() -> None:
    """What ``multiprocessing`` does at the end of a process, if it was used."""
    if util := sys.modules.get("multiprocessing.util"):
        util._run_finalizers()


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = OneLineParser(prog="hepjax", description="Deep learning for HEP on JAX.")
    parser.add_argument("--version", action="version", version=f"hepjax {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for verb, summary in VERBS.items():
        sub = verbs.add_parser(
            verb, help=summary, description=summary[0].upper() + summary[1:] + ".",
            epilog=epilog(verb), formatter_class=Formatter,
        )  # fmt: skip
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if verb in argv[:1]:
            module = importlib.import_module(f"hepjax.cli.{verb}")
            module.add_arguments(sub)
            sub.set_defaults(execute=module.run)
    if argv[:1] and argv[0] in HIDDEN:
        sub, module = verbs.add_parser(argv[0]), importlib.import_module(HIDDEN[argv[0]])
        module.add_arguments(sub)
        sub.set_defaults(execute=module.run, debug=False)
    return parser
