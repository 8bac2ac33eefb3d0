"""A network as a list of layers: what each computes, and the shapes that follow from the list.

The published fixed-angle networks are here, as the defaults of the settings; every other list is in
a configuration. model.py walks the lists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hepjax import InputError
from hepjax.engine.bounds import Count, CountOrNone, Rule
from hepjax.formats.showers.calorimeter import Calorimeter
from hepjax.workloads.gan3d.geometry import closed, image

Triple = tuple[Count, Count, Count]
Shape = tuple[int, ...]
"""Of one event inside a network: (x, y, z, channels), or (features,)."""
ONE: tuple[int, int, int] = (1, 1, 1)


@dataclass(frozen=True)
class Layer:
    """One layer. What is given is done in this order: dense, or upsampling and convolution; then
    activation, batch norm, dropout (discriminator only, ``model.dropout``) and pooling."""

    dense: tuple[Count, ...] = ()
    """A dense layer that makes this shape, [x, y, z, channels] or [features]."""
    upsample: Triple = ONE
    """Times that each cell is repeated along x, y and z."""
    filters: CountOrNone = 0
    """Features of a convolution; 0: no convolution."""
    kernel: Triple = ONE
    """Cells of its kernel along x, y and z."""
    padding: tuple[CountOrNone, CountOrNone, CountOrNone] | None = None
    """Zeros on both sides, counted after upsampling; null: as many as keep the size ("same"), of
    which an even kernel has one more at the end. An azimuth has its other end there, not zeros."""
    bias: bool = True
    """Whether the convolution adds a constant to each feature."""
    init: Literal["he_uniform", "glorot_uniform", "glorot_normal"] = "glorot_uniform"
    """Initial weights."""
    activation: Literal["linear", "relu", "leaky"] = "linear"
    """``leaky`` has slope 0.3 below 0."""
    norm: bool = False
    """Batch norm."""
    pool: Triple = ONE
    """Cells along x, y and z that are averaged; a rest is cut."""

    def rules(self) -> Iterator[Rule]:
        """What must hold between the fields."""
        yield not (self.dense and self.filters), "dense", "no filters beside it"
        yield len(self.dense) in (0, 1, 4), "dense", "[x, y, z, channels] or [features]"

    def pads(self) -> tuple[tuple[int, int], ...]:
        """Zeros before and after along x, y and z."""
        if self.padding is None:
            return tuple(((k - 1) // 2, k // 2) for k in self.kernel)
        return tuple((p, p) for p in self.padding)


def shapes(layers: Sequence[Layer], first: Shape, key: str) -> list[Shape]:
    """The shape after each layer.

    Args:
      first: shape that goes into the first one.
      key: name of the list, for errors.
    Raises:
      InputError: a layer that does not fit what goes into it.
    """
    found, shape = [], first
    for number, layer in enumerate(layers):
        shape = _after(layer, shape, f"{key}[{number}]")
        found.append(shape)
    return found


def _after(layer: Layer, shape: Shape, key: str) -> Shape:
    if layer.dense:
        shape = layer.dense
    elif layer.filters or layer.upsample != ONE:
        _require_cells(shape, key)
        cells = tuple(n * r for n, r in zip(shape, layer.upsample, strict=False))
        channels = shape[3]
        if layer.filters:
            padded = [n + a + b for n, (a, b) in zip(cells, layer.pads(), strict=True)]
            if any(n < k for n, k in zip(padded, layer.kernel, strict=True)):
                raise InputError(
                    f"{key}: expected a kernel that fits {in_words(padded)} cells (padding "
                    f"counted), found one of {in_words(layer.kernel)}"
                )
            cells = tuple(n - k + 1 for n, k in zip(padded, layer.kernel, strict=True))
            channels = layer.filters
        shape = (*cells, channels)
    if layer.pool != ONE:
        _require_cells(shape, key)
        pooled = tuple(n // p for n, p in zip(shape, layer.pool, strict=False))
        if min(pooled) < 1:
            raise InputError(
                f"{key}: expected a pool of at most {in_words(shape[:3])} cells, "
                f"found one of {in_words(layer.pool)}"
            )
        shape = (*pooled, shape[3])
    return shape


def _require_cells(shape: Shape, key: str) -> None:
    if len(shape) != 4:
        raise InputError(
            f"{key}: expected an input of cells (x, y, z, channels), found {shape[0]} features; "
            "give the dense layer before it four sizes"
        )


def in_words(sizes: Sequence[int]) -> str:
    """25 x 25 x 25."""
    return " x ".join(map(str, sizes))


def require_shower(layers: Sequence[Layer], latent: int, calorimeter: Calorimeter) -> None:
    """Refuse a generator that does not end with the cells of the calorimeter.

    Raises:
      InputError: naming the layer that is wrong.
    """
    key = "model.generator"
    if not layers[0].dense:
        raise InputError(f"{key}[0]: expected a dense layer, found none")
    found = shapes(layers, (latent,), key)[-1]
    cells = image(calorimeter)
    wanted = (*cells, 1) if len(cells) == 3 else cells
    last = f"{key}[{len(layers) - 1}]"
    if found[: len(cells)] != cells or len(found) != len(wanted):
        size = found[:3] if len(found) == 4 else found
        raise InputError(
            f"{last}: expected an output of {in_words(cells)}, the cells of {calorimeter.name}, "
            f"found {in_words(size)}; change the layers, or data.calorimeter, or take networks "
            "that fit with model.generator=[] and model.discriminator=[]"
        )
    if found != wanted:
        raise InputError(f"{last}: expected 1 filter, the energy of a cell, found {found[3]}")


def _convolution(
    filters: int, kernel: Sequence[int], padding: Triple | None = None, **more: Any
) -> Layer:
    a, b, c = kernel
    return Layer(filters=filters, kernel=(a, b, c), padding=padding, **more)


HE: dict[str, Any] = {"init": "he_uniform"}
LEAKY: dict[str, Any] = {"activation": "leaky"}

PUBLISHED_GENERATOR = (
    Layer(dense=(7, 7, 8, 8)),
    _convolution(64, (6, 6, 8), **HE, **LEAKY, norm=True),
    _convolution(6, (6, 5, 8), (2, 2, 0), upsample=(2, 2, 2), **HE, **LEAKY, norm=True),
    _convolution(6, (3, 3, 8), (1, 0, 3), upsample=(2, 2, 3), **HE, **LEAKY),
    _convolution(1, (2, 2, 2), (0, 0, 0), bias=False, init="glorot_normal", activation="relu"),
)
"""Of the fixed angle, latent 200; 872,948 parameters. Source: svalleco/3Dgan, branch Energy-gan."""
PUBLISHED_DISCRIMINATOR = (
    _convolution(32, (5, 5, 5), **LEAKY),
    _convolution(8, (5, 5, 5), **LEAKY, norm=True),
    _convolution(8, (5, 5, 5), **LEAKY, norm=True),
    _convolution(8, (5, 5, 5), (1, 1, 1), **LEAKY, norm=True, pool=(2, 2, 2)),
)
"""73,450 parameters with its two dense heads."""


def small_generator(calorimeter: Calorimeter) -> tuple[Layer, ...]:
    """A small generator for any calorimeter: at most 16 filters, kernels of 3 cells.

    Two upsamplings and a last kernel that cuts what is too much; an azimuth has nothing to cut.
    """
    cells = image(calorimeter)
    if len(cells) == 1:
        return (
            Layer(dense=(128,), **HE, **LEAKY, norm=True),
            Layer(dense=(256,), **HE, **LEAKY, norm=True),
            Layer(dense=cells, activation="relu"),
        )
    steps = [_upsampling(n, closed(calorimeter) and axis == 0) for axis, n in enumerate(cells)]
    seeds = [-(-n // (a * b)) for n, (a, b) in zip(cells, steps, strict=True)]
    last = [s * a * b - n + 1 for s, n, (a, b) in zip(seeds, cells, steps, strict=True)]
    first, second = ([step[k] for step in steps] for k in range(2))
    return (
        Layer(dense=(*seeds, 8)),
        _convolution(16, (3, 3, 3), **HE, **LEAKY, norm=True),
        _convolution(8, (3, 3, 3), upsample=tuple(first), **HE, **LEAKY, norm=True),
        _convolution(8, (3, 3, 3), upsample=tuple(second), **HE, **LEAKY),
        _convolution(1, last, (0, 0, 0), bias=False, init="glorot_normal",
                     activation="relu"),
    )  # fmt: skip


def _upsampling(cells: int, whole: bool) -> tuple[int, int]:
    """Two factors along an axis; ``whole``: their product divides it."""
    if not whole:
        return (2, 2) if cells >= 6 else (1, 1)
    return (2, 2) if cells % 4 == 0 else (2, 1) if cells % 2 == 0 else (1, 1)


def small_discriminator(calorimeter: Calorimeter) -> tuple[Layer, ...]:
    """A small discriminator for any calorimeter, as that of gan3d/small."""
    cells = image(calorimeter)
    if len(cells) == 1:
        return tuple(Layer(dense=(n,), **HE, **LEAKY) for n in (256, 128))
    pool = tuple(2 if n >= 4 else 1 for n in cells)
    again = tuple(2 if n // p >= 2 else 1 for n, p in zip(cells, pool, strict=True))
    return (
        _convolution(8, (3, 3, 3), **LEAKY, pool=pool),
        _convolution(16, (3, 3, 3), **LEAKY, norm=True),
        _convolution(16, (3, 3, 3), **LEAKY, norm=True, pool=again),
    )
