"""Requests are checked before anything is allocated; a wrong one is told in one line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hepjax.serve.http_body import HEADER, parse, render
from hepjax.serve.refusal import Reason, Refusal
from hepjax.serve.request import Asked, Given, Wanted, checked
from hepjax.serve.signature import Signature, Tensor

X = Tensor("X", "FP32", (-1, 2), "1")
MASK = Tensor("elements", "BOOL", (-1,), "1")
RAGGED = Signature((X, MASK), (Tensor("y", "FP32", (-1,), "1"),))
ONE = Signature((Tensor("x", "FP32", (), "GeV"),), (Tensor("y", "FP32", (), "1"),))


def asked(**changes):
    values = np.arange(12, dtype=np.float32)
    given = Given("X", "FP32", [2, 3, 2], values.tobytes())
    mask = Given("elements", "BOOL", [2, 3], [True, True, False, True, False, False])
    return Asked([given._replace(**changes), mask])


def test_bytes_and_lists_become_arrays():
    work = checked(replace(asked(), parameters={"seed": 5, "timeout": 1500}), RAGGED, 8, 4)
    np.testing.assert_array_equal(work.inputs["X"].ravel(), np.arange(12))
    assert work.inputs["elements"].tolist() == [[True, True, False], [True, False, False]]
    assert (work.rows, work.length, work.seed, work.timeout) == (2, 3, 5, 0.0015)
    nested = Asked([Given("x", "FP32", [3], [1, 2.5, 3])])
    assert checked(nested, ONE, 8, 1).inputs["x"].dtype == np.float32


HUGE = 2**62
WRONG = {
    "name": {"name": "Y"},
    "no name": {"name": None},
    "datatype": {"datatype": "FP64"},
    "axes": {"shape": [2, 6]},
    "fixed axis": {"shape": [2, 2, 3]},
    "negative": {"shape": [-2, -3, 2]},
    "fraction": {"shape": [2.0, 3, 2]},
    "truth": {"shape": [True, 3, 2]},
    "no shape": {"shape": None},
    "no events": {"shape": [0, 3, 2], "data": b""},
    "too many events": {"shape": [9, 3, 2]},
    "overflow": {"shape": [HUGE, 4, 2]},
    "overflow inside": {"shape": [2, HUGE, 2]},
    "too long": {"shape": [2, 5, 2], "data": b"\0" * 80},
    "disagrees": {"shape": [3, 2, 2]},
    "few bytes": {"data": b"\0" * 47},
    "NaN": {"data": np.full(12, np.nan, np.float32).tobytes()},
    "infinity": {"data": [1e60] * 12},
    "ragged list": {"data": [[1, 2], [3]]},
    "texts": {"data": ["1"] * 12},
    "nothing": {"data": [None] * 12},
    "huge number": {"data": [10**400] * 12},
    "few numbers": {"data": [1.0] * 11},
    "other lists": {"data": [[1.0] * 6] * 2},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_input_is_refused_in_one_line(change):
    with pytest.raises(Refusal, match=r"expected .*, found") as caught:
        checked(asked(**change), RAGGED, 8, 4)
    assert caught.value.reason is Reason.INVALID
    assert "\n" not in str(caught.value)


def test_missing_and_doubled_inputs_outputs_and_parameters_are_refused():
    whole = asked()
    for wrong in (
        Asked(whole.inputs[:1]),
        Asked([*whole.inputs, whole.inputs[0]]),
        Asked([]),
        replace(whole, outputs=[Wanted("z")]),
        replace(whole, outputs=[Wanted(["y"])]),
        replace(whole, parameters={"seed": -1}),
        replace(whole, parameters={"seed": 2**31}),
        replace(whole, parameters={"timeout": "soon"}),
        replace(whole, parameters={"extrapolate": 1}),
        replace(whole, parameters={"sequence_id": 7}),
        Asked([whole.inputs[0], whole.inputs[1]._replace(data=b"\1\2\0\0\0\0")]),
    ):
        with pytest.raises(Refusal, match="expected"):
            checked(wrong, RAGGED, 8, 4)


def body(inputs, rest=b"", **fields):
    head = json.dumps({"inputs": inputs, **fields}).encode()
    return head + rest, str(len(head))


def test_binary_data_follow_the_json():
    numbers = np.array([1.5, 2.5], "<f4").tobytes()
    inputs = [
        {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
        {"name": "z", "shape": [1], "datatype": "FP32", "data": [3]},
    ]
    outputs = [{"name": "y", "parameters": {"binary_data": True}}, {"name": "w"}]
    content, head = body(inputs, numbers, id="7", outputs=outputs)
    found = parse(content, head)
    assert bytes(found.inputs[0].data) == numbers
    assert found.inputs[1].data == [3]
    assert found.outputs == [Wanted("y", True), Wanted("w", False)]
    assert found.id == "7"


SIZED = [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}}]
BODIES = {
    "empty": (b"", None),
    "no JSON": (b"{", None),
    "not UTF-8": (b"\xff\xfe{}", None),
    "a list": (b"[]", None),
    "brackets": (b"[" * 100_000, None),
    "NaN": (b'{"inputs": [{"data": [NaN]}]}', None),
    "inputs": (b'{"inputs": {}}', None),
    "no inputs": (b"{}", None),
    "numbers": (b'{"inputs": [1]}', None),
    "parameters": (b'{"inputs": [], "parameters": 3}', None),
    "id": (b'{"inputs": [], "id": 3}', None),
    "no data": (b'{"inputs": [{"name": "x"}]}', None),
    "long head": (body(SIZED, b"1234")[0], "99999"),
    "no number": (body(SIZED, b"1234")[0], "-1"),
    "many digits": (body(SIZED, b"1234")[0], "9" * 5000),
    "too few bytes": body(SIZED, b"123"),
    "too many bytes": body(SIZED, b"12345"),
    "no header": (body(SIZED, b"1234")[0], None),
    "negative size": body([SIZED[0] | {"parameters": {"binary_data_size": -4}}], b"1234"),
    "data twice": body([SIZED[0] | {"data": [1]}], b"1234"),
    "shared memory": body([SIZED[0] | {"parameters": {"shared_memory_region": "a"}}]),
}


@pytest.mark.parametrize("content", BODIES.values(), ids=BODIES)
def test_a_body_that_the_protocol_does_not_have_is_refused(content):
    with pytest.raises(Refusal, match="expected") as caught:
        parse(*content)
    assert caught.value.reason is Reason.INVALID


def test_answers_are_json_or_bytes_as_asked():
    answers = {"y": np.array([1.0, 2.0], np.float32)}
    content, headers = render(Asked([], id="7"), "m", "3", ONE.outputs, answers, {"seed": 4})
    assert json.loads(content) == {
        "model_name": "m", "model_version": "3", "id": "7", "parameters": {"seed": 4},
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}],
    }  # fmt: skip
    assert HEADER not in headers
    content, headers = render(Asked([], binary=True), "m", "3", ONE.outputs, answers, {})
    size = int(headers[HEADER])
    (output,) = json.loads(content[:size])["outputs"]
    assert output["parameters"] == {"binary_data_size": 8}
    assert content[size:] == answers["y"].tobytes()
