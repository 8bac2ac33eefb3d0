"""Calorimeters by name, from a YAML file, from a binning XML, or by the shape of their showers."""

import difflib
import xml.etree.ElementTree as ElementTree
from functools import lru_cache
from pathlib import Path
from typing import Any

from hepjax import InputError
from hepjax.formats import strict_yaml
from hepjax.formats.access import refusal
from hepjax.formats.packaged import configs
from hepjax.formats.showers.calorimeter import Calorimeter, Layer, Particle, Slab
from hepjax.formats.showers.materials import MATERIALS

FOLDER = "calorimeters"
BY_SHAPE = {
    (25, 25, 25): "clic-25",
    (51, 51, 25): "clic-51",
    (368,): "atlas-photons",
    (533,): "atlas-pions",
    (6480,): "par04",
    (40500,): "par04-fine",
}
"""Shapes of the showers of public data sets, and whose they are."""
KEYS = (
    *("name", "particle", "energy", "angle", "cells", "cell"),
    *("threshold", "hit", "divided_by", "medium", "sampling", "layers"),
)
LAYER_KEYS = ("repeat", "slabs", "periods", "rings", "sectors", "number")


def names() -> list[str]:
    """Calorimeters that come with hepjax."""
    return sorted(path.stem for path in (configs() / FOLDER).glob("*.yaml"))


def calorimeter(name: str) -> Calorimeter:
    """The calorimeter of a name, of a YAML file, or of a binning XML.

    Args:
      name: such as ``clic-25``; or a path that ends in .yaml, .yml or .xml.
    Raises:
      InputError: no such name or file, or a description that is not one.
    """
    if name in names():
        return _packaged(name)
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return read_yaml(_bytes(path), str(path))
    if path.suffix == ".xml":
        return read_xml(_bytes(path), str(path))
    near = difflib.get_close_matches(name, names(), 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise InputError(
        f"{name}: expected a YAML file, a binning XML, or one of {', '.join(names())}, "
        f"found neither{hint}"
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(refusal(error)) from None


@lru_cache
def _packaged(name: str) -> Calorimeter:
    path = configs() / FOLDER / f"{name}.yaml"
    return read_yaml(path.read_bytes(), name)


def by_shape(shape: tuple[int, ...]) -> Calorimeter | None:
    """The public calorimeter whose showers have this shape, or None."""
    known = BY_SHAPE.get(tuple(shape))
    return None if known is None else _packaged(known)


def unknown(shape: tuple[int, ...]) -> Calorimeter:
    """A box of cells about which nothing is known but their number along x, y and depth."""
    x, y, z = shape
    return Calorimeter("unknown", tuple(Layer(number=i) for i in range(z)), cells=(x, y))


def read_yaml(text: str | bytes, where: str) -> Calorimeter:
    """The calorimeter that a YAML text describes (docs/reference/calorimeters.md).

    Args:
      where: the file or name, for errors.
    Raises:
      InputError: not YAML, keys that are missing or unknown, values of another kind.
    """
    given = strict_yaml.read(text, where)
    _check_keys(given, KEYS, ("layers",), where)
    layers: list[Layer] = []
    for number, entry in enumerate(_list(given["layers"], f"{where}: layers")):
        layers += _layers(entry, len(layers), f"{where}: layers[{number}]")
    fields: dict[str, Any] = {}
    for key in ("energy", "angle"):
        if key in given:
            fields[key] = _pair(given[key], f"{where}: {key}")
    if "cells" in given:
        fields["cells"] = _pair(given["cells"], f"{where}: cells", int)
    if "cell" in given:
        fields["cell_mm"] = _pair(given["cell"], f"{where}: cell")
    for key in ("threshold", "hit", "divided_by", "sampling"):
        if key in given:
            fields[key] = _number(given[key], f"{where}: {key}")
    if "medium" in given:
        fields["medium"] = _number(given["medium"], f"{where}: medium", int)
    if "particle" in given:
        if given["particle"] not in ("electron", "photon", "pion"):
            raise InputError(
                f"{where}: particle: expected electron, photon or pion, found {given['particle']!r}"
            )
        fields["particle"] = given["particle"]
    name = given.get("name", Path(where).stem)
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: name: expected a text, found {name!r}")
    return Calorimeter(name, tuple(layers), **fields)


def _layers(entry: Any, first: int, where: str) -> list[Layer]:
    _check_keys(entry, LAYER_KEYS, (), where)
    repeat, periods, sectors = (
        _number(entry.get(key, 1), f"{where}: {key}", int)
        for key in ("repeat", "periods", "sectors")
    )
    if not 1 <= repeat <= 10_000:
        raise InputError(f"{where}: repeat: expected 1 to 10000, found {repeat}")
    if "number" in entry and repeat > 1:
        raise InputError(f"{where}: number: expected no number in repeated layers, found one")
    slabs = tuple(
        _slab(slab, f"{where}: slabs[{i}]")
        for i, slab in enumerate(_list(entry.get("slabs", []), f"{where}: slabs"))
    )
    rings = tuple(
        _number(edge, f"{where}: rings")
        for edge in _list(entry.get("rings", []), f"{where}: rings")
    )
    numbers = [_number(entry.get("number", first), f"{where}: number", int)]
    numbers = numbers if repeat == 1 else list(range(first, first + repeat))
    return [Layer(slabs, periods, rings, sectors, number) for number in numbers]


def _slab(entry: Any, where: str) -> Slab:
    """``{tungsten: 2.4}`` or ``{silicon: 0.5, active: true}``."""
    materials = [key for key in entry if key != "active"] if isinstance(entry, dict) else []
    active = entry.get("active", False) if isinstance(entry, dict) else False
    if len(materials) != 1 or not isinstance(active, bool):
        raise InputError(
            f"{where}: expected {{MATERIAL: THICKNESS_MM}} with or without 'active: true', "
            f"found {entry!r}"
        )
    if materials[0] not in MATERIALS:
        raise InputError(
            f"{where}: expected one of {', '.join(sorted(MATERIALS))}, found {materials[0]!r}"
        )
    return Slab(materials[0], _number(entry[materials[0]], f"{where}: {materials[0]}"), active)


def read_xml(text: bytes, where: str) -> Calorimeter:
    """Rings and sectors of a CaloChallenge binning XML; the first particle that it lists.

    A binning that comes with hepjax brings everything else with it: slabs, range, threshold.

    Raises:
      InputError: not such an XML.
    """
    if b"<!ENTITY" in text:
        raise InputError(f"{where}: expected a binning XML without entities, found some")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{where}: expected XML, found: {error}") from None
    bins = root.find(".//Layer/..")
    if bins is None:
        raise InputError(f"{where}: expected a binning XML with layers, found no Layer")
    layers: list[Layer] = []
    for element in bins.findall("Layer"):
        edges = (element.get("r_edges") or "").split(",")
        try:
            rings = tuple(float(edge) for edge in edges)
            sectors = int(element.get("n_bin_alpha", "1"))
            number = int(element.get("id", str(len(layers))))
        except ValueError:
            raise InputError(
                f"{where}: Layer {element.get('id')}: expected numbers in r_edges, n_bin_alpha "
                f"and id, found {dict(element.attrib)}"
            ) from None
        # The experiment's unused layers have a single edge.
        if len(rings) > 1:
            layers.append(Layer((), 1, rings, max(1, sectors), number))
    name = bins.get("name", "")
    kind: Particle = "photon" if name == "photon" else "pion" if name == "pion" else "electron"
    read = Calorimeter(Path(where).stem, tuple(layers), particle=kind)
    known = by_shape(read.shape)
    return known if known is not None and _binning(known) == _binning(read) else read


def _binning(calorimeter: Calorimeter) -> list[tuple[Any, ...]]:
    return [(layer.number, layer.sectors, layer.rings) for layer in calorimeter.layers]


def as_yaml(calorimeter: Calorimeter) -> dict[str, Any]:
    """The description as plain values, such that ``read_yaml`` of them gives it back."""
    said: dict[str, Any] = {
        "name": calorimeter.name, "particle": calorimeter.particle,
        "energy": list(calorimeter.energy), "angle": list(calorimeter.angle),
        "threshold": calorimeter.threshold, "hit": calorimeter.hit,
        "divided_by": calorimeter.divided_by, "medium": calorimeter.medium,
        "sampling": calorimeter.sampling,
    }  # fmt: skip
    if calorimeter.cells is not None:
        said |= {"cells": list(calorimeter.cells), "cell": list(calorimeter.cell_mm)}
    said["layers"] = [_as_yaml(layer) for layer in calorimeter.layers]
    return said


def _as_yaml(layer: Layer) -> dict[str, Any]:
    slabs = [
        {slab.material: slab.mm} | ({"active": True} if slab.active else {}) for slab in layer.slabs
    ]
    said: dict[str, Any] = {"number": layer.number, "periods": layer.periods, "slabs": slabs}
    if layer.rings:
        said |= {"rings": list(layer.rings), "sectors": layer.sectors}
    return said


def _check_keys(given: Any, known: tuple[str, ...], needed: tuple[str, ...], where: str) -> None:
    if not isinstance(given, dict):
        raise InputError(f"{where}: expected a mapping with {', '.join(known)}, found {given!r}")
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{where}: expected {', '.join(known)}, found {key!r}{hint}")
    for key in needed:
        if key not in given:
            raise InputError(f"{where}: expected {key}, found no such key")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where}: expected a list, found {value!r}")
    return value


def _number(value: Any, where: str, kind: type[int] | type[float] = float) -> Any:
    fine = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    if not fine or not abs(value) < 1e12:
        expected = "a whole number" if kind is int else "a number"
        raise InputError(f"{where}: expected {expected}, found {value!r}")
    return kind(value)


def _pair(value: Any, where: str, kind: type[int] | type[float] = float) -> tuple[Any, Any]:
    """Two numbers; one number stands for both."""
    values = value if isinstance(value, list) else [value, value]
    if len(values) != 2:
        raise InputError(f"{where}: expected two numbers, found {value!r}")
    return _number(values[0], where, kind), _number(values[1], where, kind)
