"""Which form of the convolution a layer takes on an accelerator: a small table of measured times.

``conv_choices.json`` holds, for layers that were measured on a device, the milliseconds of each
form in each of the three passes: output, gradient to the input, gradient to the kernel. A layer
takes the fastest form of each pass of its own entry, or of the nearest one that is much like it:
same type, strides and flatness, and within a factor of two in taps and in either number of
channels. Where there is none, it takes the library's convolution. A network stays in blocks of
cells from its input to its pooling where all its layers are much like measured ones that are
faster in blocks.

``HEPJAX_CONV3D_CHOICES`` names another file, such as one that ``python -m benchmarks.speed.conv3d
--choices FILE`` wrote on the device at hand. A file that is damaged or of another device is refused
in one line on standard error, and the packaged table is used.
"""

import functools
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

VARIABLE = "HEPJAX_CONV3D_CHOICES"
PACKAGED = Path(__file__).with_name("conv_choices.json")
KIND = "hepjax convolution choices 1"
PASSES = ("output", "input_gradient", "kernel_gradient")
ALIKE = 2.0
"""Largest ratio of taps, or of channels, between a layer and the measured one it follows."""


class Form(NamedTuple):
    """A form by name, with its numbers of cells: ``blocks`` (2, 2, 2), ``bands`` (5,)."""

    name: str
    cells: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}:{'x'.join(map(str, self.cells))}" if self.cells else self.name


LIBRARY = Form("xla")
DEFAULT_CELLS = {"blocks": (2, 2, 2), "bands": (5,), "products": (), "xla": (), "jax": ()}
"""The forms in JAX and the numbers they take if none are given."""
FORMS = ", ".join(DEFAULT_CELLS)


class Layer(NamedTuple):
    """What a choice depends on."""

    dtype: str
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    channels: tuple[int, ...]


class Measured(NamedTuple):
    """A layer of the table and the form of each pass."""

    layer: Layer
    forms: tuple[Form, Form, Form]
    in_blocks: bool
    """Whether the blocks of ``Blocked`` beat the library's convolution in every pass."""


class Blocked(NamedTuple):
    """Networks that stay in blocks of cells from their input to their pooling."""

    block: tuple[int, int, int]
    dtypes: tuple[str, ...]


class Table(NamedTuple):
    """The choices for one kind of device."""

    path: Path
    platform: str
    device: str
    layers: tuple[Measured, ...]
    blocked: Blocked | None


def parse_form(text: str) -> Form:
    """``blocks:1x2x2``, ``bands:5``, or a name alone with its default numbers.

    Raises:
      ValueError: no such form, or numbers that it does not take.
    """
    name, _, numbers = text.partition(":")
    if name not in DEFAULT_CELLS:
        raise ValueError(f"one of {FORMS}, found {shown(text)}")
    parts = numbers.split("x") if numbers else list(map(str, DEFAULT_CELLS[name]))
    wanted = len(DEFAULT_CELLS[name])
    if len(parts) != wanted or not all(p.isascii() and p.isdigit() and int(p) for p in parts):
        raise ValueError(f"{name} with {wanted} positive numbers of cells, found {shown(text)}")
    return Form(name, tuple(map(int, parts)))


def shown(value: object) -> str:
    """A value for an error, cut short."""
    return repr(value)[:60]


def choose(table: Table, layer: Layer) -> tuple[Form, Form, Form]:
    """The form of each of the three passes; the library's where no measured layer is much alike."""
    near = _nearest(table, layer)
    return near.forms if near else (LIBRARY,) * 3


def blocks_for(table: Table, layers: Sequence[Layer]) -> tuple[int, int, int] | None:
    """The blocks in which a network of these layers stays, or None.

    It does if each layer is much like a measured one that is faster in blocks in every pass.
    """
    blocked = table.blocked
    if blocked is None or any(layer.dtype not in blocked.dtypes for layer in layers):
        return None
    near = [_nearest(table, layer) for layer in layers]
    return blocked.block if all(m is not None and m.in_blocks for m in near) else None


def _nearest(table: Table, layer: Layer) -> Measured | None:
    far = [(_distance(layer, measured.layer), measured) for measured in table.layers]
    distance, measured = min(far, key=lambda pair: pair[0], default=(math.inf, None))
    return measured if distance < math.inf else None


def _distance(a: Layer, b: Layer) -> float:
    """Sum of the logarithms by which two layers differ; infinite if they are not alike."""
    if (a.dtype, a.strides, a.kernel[0] == 1) != (b.dtype, b.strides, b.kernel[0] == 1):
        return math.inf
    pairs = [(math.prod(a.kernel), math.prod(b.kernel)), *zip(a.channels, b.channels, strict=True)]
    if any(max(p, q) > ALIKE * min(p, q) for p, q in pairs):
        return math.inf
    sizes = (math.prod(a.size), math.prod(b.size))
    return sum(abs(math.log(p / q)) for p, q in [*pairs, sizes])


def table() -> Table:
    """The table in use: the file that the variable names, if it fits, or the packaged one."""
    named = os.environ.get(VARIABLE)
    return _named(Path(named)) if named else packaged()


@functools.cache
def packaged() -> Table:
    """The table that comes with hepjax."""
    return read(PACKAGED)


@functools.cache
def _named(path: Path) -> Table:
    try:
        found = read(path)
        here = (jax.default_backend(), jax.devices()[0].device_kind)
        if (_platform(here[0]), here[1]) != (found.platform, found.device):
            raise ValueError(f"choices for {here[1]}, found {found.device}")
    except OSError as error:
        return _refused(path, f"a file of choices, found {error.strerror}")
    except ValueError as error:
        return _refused(path, str(error))
    return found


def _platform(backend: str) -> str:
    return "cuda" if backend == "gpu" else backend


def _refused(path: Path, why: str) -> Table:
    print(
        f"hepjax: {VARIABLE}: {path}: expected {why}; the packaged choices are used",
        file=sys.stderr,
    )
    return packaged()


def read(path: Path) -> Table:
    """The table of a file.

    Raises:
      OSError: it cannot be read. ValueError: it holds something else; the text says what was
        expected and found.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError):
        raise ValueError("choices as JSON, found something else") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ValueError(f"kind '{KIND}', found another or none")
    try:
        blocked = _blocked(content.get("blocked"))
        layers = tuple(_measured(entry, blocked) for entry in content["layers"])
        device = str(content["platform"]), str(content["device"])
        return Table(path, *device, layers, blocked)
    except KeyError as error:
        raise ValueError(f"the key {error}, found none") from None
    except (TypeError, AttributeError):
        raise ValueError("lists and tables as the packaged file has them, found others") from None


def _measured(entry: Mapping[str, Any], blocked: Blocked | None) -> Measured:
    sizes = ("size", "kernel", "strides", "channels")
    size, kernel, strides, channels = (_integers(name, entry[name]) for name in sizes)
    layer = Layer(str(entry["dtype"]), size, kernel, strides, channels)
    if tuple(map(len, layer[1:])) != (3, 3, 3, 2):
        raise ValueError(f"3, 3, 3 and 2 integers as {', '.join(sizes)}, found others")
    if "forms" in entry:  # taken over from a layer alike, without times of its own
        forms = tuple(parse_form(entry["forms"][name]) for name in PASSES)
        wins = LIBRARY not in forms
    else:
        times = entry["milliseconds"]
        forms = tuple(fastest(times, number) for number in range(len(PASSES)))
        wins = blocked is not None and _faster(times, str(Form("blocks", blocked.block)))
    return Measured(layer, forms, wins)  # type: ignore[arg-type]


def _faster(milliseconds: Mapping[str, Sequence[float | None]], form: str) -> bool:
    """Whether a form was measured in every pass, and is faster than the library in each."""
    ours, library = milliseconds.get(form), milliseconds.get(str(LIBRARY))
    if not ours or not library or len(ours) != len(PASSES):
        return False
    pairs = zip(ours, library, strict=False)
    return all(a is not None and (b is None or a < b) for a, b in pairs)


def _blocked(entry: Mapping[str, Any] | None) -> Blocked | None:
    if entry is None:
        return None
    block = _integers("block", entry["block"])
    if len(block) != 3:
        raise ValueError(f"three integers as block, found {shown(block)}")
    return Blocked(block, tuple(map(str, entry["dtypes"])))


def _integers(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(v, int) and v >= 1 for v in value):
        raise ValueError(f"positive integers as {name}, found {shown(value)}")
    return tuple(value)


def fastest(milliseconds: Mapping[str, Sequence[float | None]], number: int) -> Form:
    """The form with the least time in a pass; None stands for one that was not measured."""
    times: dict[str, float] = {}
    for name, passes in milliseconds.items():
        time = passes[number] if len(passes) == len(PASSES) else None
        if time is not None:
            times[name] = time + 0.0
    if not times or min(times.values()) <= 0:
        raise ValueError("a positive time of some form in each pass, found none")
    return parse_form(min(times, key=lambda name: times[name]))
