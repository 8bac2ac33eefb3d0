"""Calorimeters as data: the public ones, YAML, XML, and what is refused."""

import pytest
import yaml

from hepjax import InputError
from hepjax.formats.showers.calorimeters import (
    as_yaml,
    by_shape,
    calorimeter,
    names,
    read_xml,
    read_yaml,
)

SANDWICH = """
cells: [5, 7]
cell: 10
layers: [{repeat: 3, slabs: [{lead: 5.6}, {scintillator: 5, active: true}]}]
"""


@pytest.mark.parametrize(
    ("name", "shape", "regular"),
    [
        ("clic-25", (25, 25, 25), None),
        ("clic-51", (51, 51, 25), None),
        ("lead-scintillator", (21, 21, 20), None),
        ("atlas-photons", (368,), None),
        ("atlas-pions", (533,), None),
        ("par04", (6480,), (45, 16, 9)),
        ("par04-fine", (40500,), (45, 50, 18)),
    ],
)
def test_public_calorimeters(name, shape, regular):
    found = calorimeter(name)
    assert (found.shape, found.regular) == (shape, regular)
    assert found.stack
    assert read_yaml(yaml.safe_dump(as_yaml(found)), name) == found


def test_published_offsets_of_atlas():
    assert calorimeter("atlas-photons").offsets == (0, 8, 168, 358, 363, 368)
    assert calorimeter("atlas-pions").offsets == (0, 8, 108, 208, 213, 363, 523, 533)


def test_clic_keeps_the_published_thirds_and_depth():
    clic = calorimeter("clic-25")
    assert clic.thirds == ((0, 8), (8, 16), (16, 25))
    depth = sum(slab.mm / slab.constants.x0_mm for slab in clic.stack)
    assert depth == pytest.approx(22.7, abs=0.2)  # radiation lengths


def test_shapes_name_their_calorimeter():
    assert all(by_shape(calorimeter(name).shape) for name in names() if name != "lead-scintillator")
    assert by_shape((3, 3, 3)) is None


def test_yaml_of_a_box():
    box = read_yaml(SANDWICH, "mine.yaml")
    assert box.name == "mine"
    assert box.shape == (5, 7, 3)
    assert box.cell_mm == (10.0, 10.0)
    assert [slab.material for slab in box.stack] == ["lead", "scintillator"] * 3
    assert box.normal


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("lead", "led"), "found 'led'"),
        (("active: true", "active: 1"), "active: true"),
        ((", active: true", ""), "active: true"),
        (("5.6", "-5.6"), "positive thickness"),
        (("5.6", ".nan"), "a number"),
        (("cells: [5, 7]", "cell_count: [5, 7]"), "cell_count"),
        (("cells: [5, 7]", ""), "rings"),
        (("cells: [5, 7]", "cells: [5.5, 7]"), "whole number"),
        (("cells: [5, 7]", "cells: [0, 7]"), "at least 1"),
        (("repeat: 3", "repeat: 0"), "repeat"),
        (("repeat: 3", "rings: [0, 1]"), "both"),
        (("cell: 10", "angle: [60, 30]"), "angle"),
        (("cell: 10", "energy: [0, 10]"), "energy"),
        (("cell: 10", "particle: muon"), "muon"),
        (("layers: [{", "layers: {"), "expected YAML"),
        (("cell: 10", "cells: [3, 3]"), "twice"),
    ],
)
def test_a_description_that_is_none_is_one_line(change, said):
    with pytest.raises(InputError, match=r"^mine") as caught:
        read_yaml(SANDWICH.replace(*change), "mine.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_are_none():
    with pytest.raises(InputError, match="did you mean clic-25"):
        calorimeter("clic25")
    with pytest.raises(InputError, match=r"absent\.yaml"):
        calorimeter("absent.yaml")


BINNING = b"""<Bins>
<Bin pid="22" etaMin="20" etaMax="25" name="photon">
<Layer id="0" r_edges="0,5,10" n_bin_alpha="1" />
<Layer id="1" r_edges="0,2,4,6" n_bin_alpha="10" />
<Layer id="2" r_edges="0" n_bin_alpha="0" />
</Bin></Bins>"""


def test_binning_xml():
    binning = read_xml(BINNING, "binning.xml")
    assert binning.offsets == (0, 2, 32)
    assert [layer.number for layer in binning.layers] == [0, 1]
    assert binning.particle == "photon"
    with pytest.raises(InputError, match="expected slabs"):
        binning.require_stack()


def test_the_binning_of_a_public_calorimeter_brings_its_slabs():
    known = calorimeter("atlas-photons")
    layers = "".join(
        f'<Layer id="{layer.number}" r_edges="{",".join(f"{edge:g}" for edge in layer.rings)}" '
        f'n_bin_alpha="{layer.sectors}"/>'
        for layer in known.layers
    )
    text = f'<Bins><Bin pid="22" name="photon">{layers}</Bin></Bins>'
    assert read_xml(text.encode(), "binning.xml") == known
    other = read_xml(text.replace("30,50,100", "30,60,100").encode(), "binning.xml")
    assert other.shape == known.shape
    assert other.name == "binning"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"<Bins", "expected XML"),
        (b"<Bins/>", "no Layer"),
        (BINNING.replace(b"0,2,4,6", b"0,2,x"), "Layer 1"),
        (BINNING.replace(b"0,2,4,6", b"0,4,2"), "rising"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + BINNING, "entities"),
    ],
)
def test_a_binning_xml_that_is_none_is_one_line(text, said):
    with pytest.raises(InputError, match=said):
        read_xml(text, "binning.xml")
