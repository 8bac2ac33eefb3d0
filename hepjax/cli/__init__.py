"""The command line: one file a verb, imported only when that verb is typed.

Each verb module has ``add_arguments(parser)`` and ``run(args) -> int`` (the exit code); it
imports jax inside ``run`` only, so that help starts at once.
"""

import argparse
import importlib
import os
import sys
import traceback

from hepjax import HepjaxError, __version__
from hepjax.engine.paths import given

VERBS = {
    "simulate": "make showers, images or events, the embedded default data",
    "inspect": "recognise a file and print what is in it",
    "pack": "any layout into a packed set: sparse shards with a manifest",
    "train": "train a workload; the same command again resumes",
    "evaluate": "compare generated with reference data: report page and scores",
    "predict": "scores or candidates of a trained run for each event, as a table",
    "generate": "write generated showers to a file",
    "bench": "train on fixed events, time it, report as hep-score wants it",
    "launch": "one training over several processes: here, SLURM, TPU VMs",
    "doctor": "versions, devices, kernels, and what is missing",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code (listed in the README)."""
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser(argv)
    args, rest = parser.parse_known_args(argv)
    if rest and hasattr(args, "overrides") and not any(word.startswith("-") for word in rest):
        # argparse ends a list of positionals at the first option; users write them after it too.
        args.overrides += rest
    elif rest:
        parser.error(f"{rest[0]}: unknown argument; see hepjax {args.verb or ''} --help")
    if args.verb is None:
        parser.print_help()
        return 2
    try:
        for name, value in vars(args).items():  # "~" after "=" or in quotes is left by shells
            setattr(args, name, given(value, f"--{name.replace('_', '-')}"))
        return args.execute(args)
    except HepjaxError as error:
        if args.debug:
            traceback.print_exc()
        print(f"hepjax: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("hepjax: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; nothing is wrong with us.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        print(
            f"hepjax: bug: {type(error).__name__}: {error}; --debug shows the traceback",
            file=sys.stderr,
        )
        return 1


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hepjax", description="Deep learning for HEP on JAX.")
    parser.add_argument("--version", action="version", version=f"hepjax {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for verb, summary in VERBS.items():
        sub = verbs.add_parser(
            verb, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if verb in argv[:1]:
            module = importlib.import_module(f"hepjax.cli.{verb}")
            module.add_arguments(sub)
            sub.set_defaults(execute=module.run)
    return parser
