"""The table of forms: which layer takes which, and files that are refused by name."""

import itertools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from hepjax import InputError
from hepjax.ops import blocks_of_network, conv3d, conv_choices
from hepjax.ops.conv_choices import LIBRARY, Form, Layer, choose, fastest, parse_form

CUBE, STRIDE = (25, 25, 25), (1, 1, 1)


def layer(dtype="bfloat16", kernel=(5, 5, 5), strides=STRIDE, channels=(8, 8), size=CUBE):
    return Layer(dtype, size, kernel, strides, channels)


def names(found):
    return [str(form) for form in found]


def test_measured_layers_take_the_fastest_form_of_each_pass():
    packaged = conv_choices.packaged()
    bands, blocks = "bands:5", "blocks:2x2x2"
    assert names(choose(packaged, layer(channels=(1, 32)))) == [bands] * 3
    assert names(choose(packaged, layer(channels=(32, 8)))) == [bands, blocks, blocks]
    assert names(choose(packaged, layer(channels=(8, 8)))) == [bands, bands, blocks]


@pytest.mark.parametrize(
    "other",
    [
        layer(channels=(64, 64)),
        layer(kernel=(1, 3, 3)),
        layer(kernel=(2, 2, 2)),
        layer(strides=(2, 1, 1)),
        layer(dtype="float16"),
    ],
)
def test_a_layer_like_none_of_the_measured_takes_the_library(other):
    assert choose(conv_choices.packaged(), other) == (LIBRARY,) * 3


def test_a_layer_much_like_a_measured_one_follows_the_nearest():
    packaged = conv_choices.packaged()
    near = choose(packaged, layer(channels=(16, 8), size=(24, 24, 24)))
    assert near in (choose(packaged, layer(channels=(32, 8))), choose(packaged, layer()))
    assert choose(packaged, layer(channels=(24, 8))) == choose(packaged, layer(channels=(32, 8)))


def test_forms_are_read_as_they_are_written():
    for text in ("blocks:1x2x4", "bands:7", "products", "xla"):
        assert str(parse_form(text)) == text
    assert parse_form("blocks") == Form("blocks", (2, 2, 2))
    for text in ("tiles", "blocks:2x2", "bands:0", "bands:x", "products:2", "bands:-1"):
        with pytest.raises(ValueError, match="found"):
            parse_form(text)


def test_a_pass_without_a_time_does_not_count():
    times = {"xla": [2.0, 3.0, 1.0], "bands:5": [1.0, None, 4.0]}
    assert [str(fastest(times, i)) for i in range(3)] == ["bands:5", "xla", "xla"]
    with pytest.raises(ValueError, match="none"):
        fastest({"xla": [1.0, None, 1.0]}, 1)


def content(**changes):
    entry = {"dtype": "float32", "size": [4, 4, 4], "kernel": [3, 3, 3], "strides": [1, 1, 1],
             "channels": [2, 2],
             "milliseconds": {"xla": [2, 2, 2], "bands:3": [1, 3, 1]}}  # fmt: skip
    device = jax.devices()[0].device_kind
    good = {"kind": conv_choices.KIND, "platform": jax.default_backend(), "device": device}
    return json.dumps(good | {"layers": [entry | changes.pop("entry", {})]} | changes)


def test_the_named_file_is_used(monkeypatch, tmp_path):
    path = tmp_path / "choices.json"
    path.write_text(content(blocked={"block": [1, 2, 2], "dtypes": []}))
    monkeypatch.setenv("HEPJAX_CONV3D_CHOICES", str(path))
    table = conv_choices.table()
    assert table.blocked.block == (1, 2, 2)
    found = choose(table, Layer("float32", (4, 4, 4), (3, 3, 3), STRIDE, (2, 2)))
    assert names(found) == ["bands:3", "xla", "bands:3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "choices as JSON"),
        ("[" * 100_000, "choices as JSON"),
        ("[]", "kind"),
        ('{"kind": "hepjax convolution choices 0"}', "kind"),
        (content(device="NVIDIA H100 80GB HBM3", platform="cuda"), "NVIDIA H100"),
        (content(layers=3), "lists and tables"),
        (content(layers=[{}]), "key 'size'"),
        (content(entry={"kernel": [3, 3]}), "integers"),
        (content(entry={"kernel": [3, 3, 0]}), "positive integers as kernel"),
        (content(entry={"milliseconds": {"rows": [1, 1, 1]}}), "found 'rows'"),
        (content(entry={"milliseconds": {"xla": [1, 1]}}), "a positive time"),
        (content(entry={"milliseconds": {"xla": ["a", 1, 1]}}), "found others"),
        (content(entry={"milliseconds": {"xla": [0, 1, 1]}}), "a positive time"),
        (content(entry={"forms": {"output": "xla"}}), "key 'input_gradient'"),
        (content(blocked={"block": [2], "dtypes": []}), "three integers"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_damaged_or_foreign_is_refused_in_one_line(
    monkeypatch, tmp_path, capsys, text, words
):
    path = tmp_path / "choices.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("HEPJAX_CONV3D_CHOICES", str(path))
    for _ in range(2):
        assert conv_choices.table() is conv_choices.packaged()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"hepjax: HEPJAX_CONV3D_CHOICES: {path}: expected ")
    assert words in line
    assert "packaged choices" in line


def zeros(*shape):
    return jnp.zeros(shape)


def test_a_form_that_cannot_run_names_itself_the_shape_and_the_platform(monkeypatch):
    monkeypatch.setenv("HEPJAX_CONV3D", "bands:3")
    with pytest.raises(InputError, match="bands:3") as error:
        conv3d(zeros(1, 1, 6, 6, 2), zeros(1, 3, 3, 2, 2))
    assert "[1, 1, 6, 6, 2]" in str(error.value)
    assert f"platform {jax.default_backend()}" in str(error.value)


@pytest.mark.parametrize("value", ["fast", "blocks:2", "bands:none", "xla:3"])
def test_a_form_that_does_not_exist_is_one_line(monkeypatch, value):
    monkeypatch.setenv("HEPJAX_CONV3D", value)
    with pytest.raises(InputError, match=r"HEPJAX_CONV3D: expected .*, found") as error:
        conv3d(zeros(1, 3, 3, 3, 1), zeros(2, 2, 2, 1, 1))
    assert value in str(error.value)


def test_a_cpu_leaves_its_blocks_only_if_told_to(monkeypatch):
    monkeypatch.delenv("HEPJAX_CONV3D", raising=False)
    network = (CUBE, [(5, 5, 5)] * 4, (1, 32, 8, 8, 8))
    assert blocks_of_network("bfloat16", *network) is None
    monkeypatch.setenv("HEPJAX_CONV3D", "blocked")
    assert blocks_of_network("float32", *network) == (2, 2, 2)


@pytest.mark.parametrize(
    ("dtype", "kernel", "channels", "found"),
    [
        ("bfloat16", 5, (1, 32, 8, 8), (2, 2, 2)),
        ("float32", 5, (1, 16, 16), (2, 2, 2)),
        ("float16", 5, (1, 32), None),
        ("bfloat16", 3, (1, 32, 8, 8), None),
        ("bfloat16", 5, (1, 32, 32), None),
    ],
)
def test_a_network_stays_in_blocks_if_its_layers_are_like_measured_ones(
    dtype, kernel, channels, found
):
    pairs = itertools.pairwise(channels)
    network = [layer(dtype, (kernel,) * 3, channels=pair) for pair in pairs]
    assert conv_choices.blocks_for(conv_choices.packaged(), network) == found


@pytest.mark.parametrize(("blocks", "wins"), [([1, 1, 1], True), ([1, 3, 1], False)])
def test_blocks_have_to_win_in_every_pass(tmp_path, blocks, wins):
    path = tmp_path / "choices.json"
    times = {"xla": [2, 2, 2], "blocks:2x2x2": blocks, "bands:3": [1, 1, 1]}
    path.write_text(
        content(entry={"milliseconds": times}, blocked={"block": [2, 2, 2], "dtypes": ["float32"]})
    )
    table = conv_choices.read(path)
    network = [Layer("float32", (4, 4, 4), (3, 3, 3), STRIDE, (2, 2))]
    assert (conv_choices.blocks_for(table, network) is not None) == wins


ON_A_GPU = """
import jax, jax.numpy as jnp
from hepjax.ops import blocks_of_network, conv3d
jax.default_backend = lambda: "gpu"
x = jnp.zeros((2, 25, 25, 25, 8), "bfloat16")
w = jnp.zeros((5, 5, 5, 8, 8), "bfloat16")
text = jax.jit(conv3d).trace(x, w).lower(lowering_platforms=("cuda",)).as_text()
print(text.count("stablehlo.convolution"), "b, 0, 1, f" in text)
cube, kernels = (25, 25, 25), [(5, 5, 5)] * 2
for channels in ((1, 32, 8), (1, 128, 8)):
    print(blocks_of_network("bfloat16", cube, kernels, channels))
"""


def test_the_table_decides_for_a_gpu():
    done = subprocess.run(
        [sys.executable, "-c", ON_A_GPU], capture_output=True, text=True, check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.stdout.split("\n")[:3] == ["1 True", "(2, 2, 2)", "None"]
