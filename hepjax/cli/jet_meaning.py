"""What users say of files that do not: channels, labels and shape of images, unit of showers."""

import argparse
import re
from typing import Any

from hepjax import InputError

SETTINGS = {
    "channels": "data.stored_channels", "labels": "data.labels", "shape": "data.shape",
}  # fmt: skip
"""What ``hepjax train`` and ``profile`` have in place of each option."""
OF_SHOWERS = {
    "unit": {
        **dict.fromkeys(("inspect", "pack"), "--unit UNIT"),
        **dict.fromkeys(("train", "profile"), "data.unit=UNIT"),
        "evaluate": "--reference-unit or --generated-unit UNIT of two samples",
    },
    "geometry": {
        **dict.fromkeys(("inspect", "pack"), "--geometry NAME|FILE"),
        **dict.fromkeys(("train", "profile"), "data.calorimeter=NAME|FILE"),
        "evaluate": "--geometry NAME|FILE of two samples",
    },
}
"""How each verb is told what a shower file does not say."""


def add_meaning(parser: argparse.ArgumentParser) -> None:
    """The options of verbs that read jet images."""
    group = parser.add_argument_group("jet images whose files do not say it")
    group.add_argument(
        "--channels", metavar="NAME,NAME,...",
        help="channels in stored order, with units if known: pT:GeV,d0:mm,dz:mm",
    )  # fmt: skip
    group.add_argument("--labels", metavar="ID=NAME,...", help="meaning of the labels: 0=qcd,1=top")
    group.add_argument("--shape", metavar="ROWS,COLUMNS", help="pixels, for flat images")


def add_unit(parser: argparse.ArgumentParser) -> None:
    """The options of verbs that look into showers."""
    parser.add_argument(
        "--geometry", metavar="NAME|FILE",
        help="calorimeter of showers, if the files do not say it: name, .yaml, binning .xml",
    )  # fmt: skip
    parser.add_argument(
        "--unit", metavar="UNIT",
        help="of the cells of showers, if the files do not say it: GeV, 0.02 GeV, MeV, keV",
    )  # fmt: skip


def parse_unit(args: argparse.Namespace) -> dict[str, Any]:
    """``unit`` and ``calorimeter`` as ``formats.showers.open_showers`` takes them, if given.

    Raises:
      InputError: no unit of energy, no calorimeter.
    """
    from hepjax.formats.showers.calorimeters import calorimeter
    from hepjax.formats.units import ENERGY, named

    found = {} if args.geometry is None else {"calorimeter": calorimeter(args.geometry)}
    if args.unit is None:
        return found
    unit = named(args.unit, ENERGY)
    if unit is None:
        raise InputError(f"--unit: expected one of {', '.join(ENERGY)}, found {args.unit!r}")
    return found | {"unit": unit}


def parse_meaning(args: argparse.Namespace) -> dict[str, Any]:
    """``channels``, ``labels`` and ``shape`` as ``formats.jets.open_jets`` takes them, if given.

    Raises:
      InputError: text of another form.
    """
    found: dict[str, Any] = {}
    if args.channels is not None:
        found["channels"] = tuple(name.strip() for name in args.channels.split(","))
    if args.labels is not None:
        pairs = [entry.partition("=") for entry in args.labels.split(",")]
        labels = {n.strip(): name.strip() for n, _, name in pairs}
        if len(labels) < len(pairs) or not all(n.isdigit() and k for n, k in labels.items()):
            raise InputError(f"--labels: expected for example 0=qcd,1=top, found {args.labels!r}")
        found["labels"] = {int(number): name for number, name in labels.items()}
    if args.shape is not None:
        sides = args.shape.split(",")
        if len(sides) != 2 or not all(side.strip().isdigit() for side in sides):
            raise InputError(f"--shape: expected ROWS,COLUMNS, found {args.shape!r}")
        found["shape"] = tuple(map(int, sides))
    return found


def worded(verb: str, text: str) -> str:
    """The text of an error with the options above as that verb spells them.

    A training has settings in their place. What a run predicts on or is evaluated on is read with
    the settings of the run, so another meaning can only be written into the files.
    """
    text = _worded_of_showers(verb, text)
    if verb in ("train", "profile"):
        for option, setting in SETTINGS.items():
            text = text.replace(f"leave --{option} out", f"leave {setting} out")
        text = re.sub(r"--channels ([^\s;|]+)", r"'data.stored_channels=[\1]'", text)
        text = re.sub(r"--shape ([^\s;|]+)", r"'data.shape=[\1]'", text)
        text = re.sub(r"--labels \d+=(\w+),\d+=(\w+)", r"'data.labels=[\1,\2]'", text)
        for option, setting in SETTINGS.items():
            text = text.replace(f"--{option}", setting)
    elif verb in ("predict", "evaluate", "generate", "bench", "doctor"):
        found = [option for option in SETTINGS if f"--{option}" in text]
        if found:
            text = re.sub(r"--(channels|labels|shape)", r"\1", text)
            text += f"; hepjax pack has --{', --'.join(found)} and writes files that say it"
    return text


def _worded_of_showers(verb: str, text: str) -> str:
    """The hints about unit and calorimeter, of which each verb has its own form or none."""
    from hepjax.formats.showers.layout import GEOMETRY_HINT, UNIT_HINT

    for option, hint in (("unit", UNIT_HINT), ("geometry", GEOMETRY_HINT)):
        own = OF_SHOWERS[option].get(verb)
        ways = [f"say it: {own}"] if own else []
        if own is None or verb == "evaluate":
            ways.append(f"hepjax pack has --{option} and writes files that say it")
        text = text.replace(hint, "; ".join(ways))
    return text
