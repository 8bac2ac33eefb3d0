"""``hepjax export``: a trained model as a file for other programs."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepjax.run import Run

FORMATS = ("onnx", "qonnx", "stablehlo", "triton")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``export``."""
    parser.add_argument("run_dir", metavar="RUN", type=Path, help="run directory")
    parser.add_argument(
        "--format", choices=FORMATS, required=True,
        help="ONNX; QONNX of a trigger network, for hls4ml; StableHLO by jax.export; or a model "
        "repository for Triton",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH",
        help="file to write, its description beside it; of triton the repository",
    )  # fmt: skip
    parser.add_argument(
        "--target", default="generic",
        choices=("generic", "par04", "ddml", "fastcalosim", "gaussino", "cmssw"),
        help="program that will run it: its inputs, units, axes; default: those of the run",
    )  # fmt: skip
    parser.add_argument("--opset", type=int, metavar="N", help="of ONNX, 16 to 23; default: 16")
    parser.add_argument(
        "--noise", choices=("outside", "inside"),
        help="normal numbers are an input, or drawn by the model; default: as the target wants it",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size", type=int, metavar="N",
        help="events at a time of the target generic; default: any number",
    )  # fmt: skip
    parser.add_argument(
        "--precision", choices=("float32", "float16", "int8"),
        help="float16: weights stored in 16 bits; int8: calibrated, where the scores of the report "
        "allow it; of --format onnx, target generic; default: that of the training, float32 or "
        "(model.quantise) int8",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PATH",
        help="events that calibrate and judge int8; default: those that judge the run",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, default=0.02, metavar="X",
        help="largest change of a score in int8; default: 0.02",
    )  # fmt: skip
    parser.add_argument(
        "--member", type=int, metavar="N", help="network of curve.costs, from 0; of --format qonnx"
    )
    parser.add_argument("--step", type=int, metavar="N", help="checkpoint; default: the best epoch")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Export, compare with the run, and say what was written."""
    from hepjax import InputError

    if args.batch_size is not None and args.batch_size < 1:
        raise InputError(f"--batch-size: expected at least 1, found {args.batch_size}")
    options = ("target", "opset", "noise", "batch_size")
    given = [o for o in options if getattr(args, o) not in (None, "generic")]
    if args.format in ("stablehlo", "qonnx") and given:
        raise InputError(
            f"--{given[0].replace('_', '-')}: expected --format onnx or triton with it, found "
            f"{args.format}"
        )
    if args.member is not None and args.format != "qonnx":
        raise InputError(f"--member: expected --format qonnx with it, found {args.format}")
    if args.batch_size is not None and (args.target != "generic" or args.format == "triton"):
        raise InputError("--batch-size: expected --format onnx for the target generic, found both")
    plain = args.format == "onnx" and args.target == "generic"
    if args.precision not in (None, "float32") and not plain:
        raise InputError(
            f"--precision {args.precision}: expected --format onnx for the target generic, found "
            f"{args.format} for {args.target}"
        )
    if not args.tolerance > 0:
        raise InputError(f"--tolerance: expected a positive number, found {args.tolerance}")
    if args.data and args.precision != "int8":
        raise InputError(
            f"--data: expected --precision int8 with it, found {args.precision or 'none'}"
        )
    _require_place(args)

    from hepjax.engine.progress import progress
    from hepjax.export.exported import OPSET
    from hepjax.export.onnx_file import onnx, require_opset
    from hepjax.run import load

    args.opset = OPSET if args.opset is None else args.opset
    if args.format not in ("stablehlo", "qonnx"):
        require_opset(args.opset)
        onnx()
    opened = load(args.run_dir, args.step)
    with progress(f"export and compare with {args.run_dir}", 0, "", quiet=args.quiet):
        about = _exported(args, opened)
    if args.json:
        print(json.dumps(about))
    else:
        print(_said(args, about))
    return 0


def _exported(args: argparse.Namespace, opened: "Run") -> dict[str, Any]:
    """Write the file in its format; what its description says."""
    from hepjax.export.exported import export_onnx
    from hepjax.export.stablehlo import export_stablehlo
    from hepjax.export.trigger import export_qonnx
    from hepjax.export.triton import export_triton

    if args.format == "qonnx":
        return export_qonnx(opened, args.out, args.member)
    if args.format == "stablehlo":
        return export_stablehlo(opened, args.out)
    how = {"target": args.target, "opset": args.opset, "noise": args.noise}
    if args.format == "triton":
        return export_triton(opened, args.out, **how)
    return export_onnx(
        opened, args.out, **how, batch=args.batch_size, precision=args.precision, data=args.data,
        tolerance=args.tolerance,
    )  # fmt: skip


def _require_place(args: argparse.Namespace) -> None:
    """The file can be written where it shall be."""
    from hepjax import InputError

    if args.format == "triton":
        if args.out.exists() and not args.out.is_dir():
            raise InputError(f"{args.out}: expected a folder or a new name, found a file")
        return
    if args.out.is_dir() or not args.out.resolve().parent.is_dir():
        found = "a folder" if args.out.is_dir() else "no such folder"
        raise InputError(
            f"{args.out}: expected the name of a file in an existing folder, found {found}"
        )
    if args.format in ("onnx", "qonnx") and args.out.suffix != ".onnx":
        raise InputError(f"--out: expected a file name that ends in .onnx, found {args.out}")
    if args.format == "stablehlo" and args.out.suffix == ".json":
        raise InputError(f"--out: expected another ending than .json, found {args.out}")


def _said(args: argparse.Namespace, about: dict) -> str:
    """What was written, for people."""
    parity = about["parity"]
    if args.format == "qonnx":
        return "\n".join([
            f"{args.out}: network {about['member']} of the task {about['task']}, epoch "
            f"{about['epoch']:g}",
            f"grids   {', '.join(about['grids'])}",
            f"sums    {', '.join(about['accumulators'])}",
            f"{parity['differ']} of {parity['compared']:,} sums differ from the run",
        ])  # fmt: skip
    ports = [
        f"{kind[:-1]:<7} {port['name']} {port['dtype']} [{', '.join(map(str, port['shape']))}]"
        f"{' ' + port['unit'] if port.get('unit', '1') != '1' else ''}"
        for kind in ("inputs", "outputs") for port in about.get(kind, [])
    ]  # fmt: skip
    settings = ", ".join(f"{k} {v}" for k, v in about["settings"].items())
    trained = about.get("int8", {}).get("trained", False)
    plain = trained or about.get("precision", "float32") == "float32"
    agrees = "agrees" if plain else "in float32 it agrees"
    what = "root mean square" if trained else "largest value"
    return "\n".join(
        [f"{args.out}: {about['workload']} for {about['target']}, epoch {about['epoch']:g}", *ports]
        + ([f"tell the host: {settings}"] if settings else [])
        + _quantised(about)
        + [f"{agrees} with the run to {parity['error']:.1e} of the {what} (gate {_gate(parity)})"]
    )  # fmt: skip


def _gate(parity: dict) -> str:
    """What the model had to agree to, and what rounding does where it is more."""
    gate = f"{parity['tolerance']:.2g}"
    if parity["error"] <= parity["tolerance"]:
        return gate
    return f"{gate}; rounding its inputs moves the run itself by {parity['rounding']:.1e}"


def _quantised(about: dict) -> list[str]:
    """Which layers are in int8, and what the scores are."""
    found = about.get("int8")
    if found is None:
        return []
    if "trained" in found:
        return [f"int8 as trained: {found['layers']} layers of integers"]
    floats = ", ".join(found["in_float"]) or "none"
    return [f"int8: {found['layers'] - len(found['in_float'])} of {found['layers']} layers, in "
            f"float {floats}"] + [
        f"  {name:<32}{before:.4f} in float32, {after:.4f} in int8"
        for name, (before, after) in found["scores"].items()
    ]  # fmt: skip
