"""Traces of CPUs and GPUs, and what is said of them; planes here have the form of ProfileData."""

from types import SimpleNamespace

import pytest

from hepjax.bench import profiled, traces
from hepjax.bench.intervals import Ran
from hepjax.bench.operations import (
    CONVOLUTIONS,
    IDLE,
    INPUT,
    LAYOUT,
    PRODUCTS,
    REST,
    Operation,
)
from hepjax.bench.verdict import bound, source

MS = 1_000_000


def event(name, start, length, **stats):
    return SimpleNamespace(
        name=name, start_ns=start * MS, duration_ns=length * MS, stats=stats.items()
    )


def plane(name, **lines):
    made = [SimpleNamespace(name=line, events=events) for line, events in lines.items()]
    return SimpleNamespace(name=name, lines=made)


KNOWN = {
    "cudnn-conv.3": Operation(
        "custom-call", frozenset({"custom-call", "__cudnn$convForward"}),
        "jit(step)/jvp(Net)/Conv_0/conv_general_dilated",
    ),
    "loop_add_fusion.1": Operation("fusion", frozenset({"fusion", "add"})),
    "while.2": Operation("while", frozenset({"while", "dot"})),
    "dot.4": Operation("dot", frozenset({"dot"})),
}  # fmt: skip
HOST = plane(
    "/host:CPU",
    python=[
        event(traces.UPDATES, 100, 20),
        event(traces.FETCH, 101, 2),
        event(traces.FETCH, 111, 1),
        event("cudnn-conv.3", 50, 1),  # no operation ran: no name of one beside it
    ],
)
GPU = plane(
    "/device:GPU:0",
    **{
        "Stream #13(Compute)": [
            event("void nchwToNhwcKernel<float>", 104, 1, hlo_op="cudnn-conv.3"),
            event("sm90_xmma_fprop", 105, 4, hlo_op="cudnn-conv.3"),
            event("loop_add_fusion_1", 109, 1),
            event("sm90_xmma_fprop", 114, 4, hlo_op="cudnn-conv.3"),
            event("loop_add_fusion_1", 118, 1),
        ],
        "Stream #14(MemcpyH2D)": [event("MemcpyH2D", 110, 1)],
        "XLA Modules": [event("jit_step", 100, 20)],
    },
)


def test_a_gpu():
    trace = traces.gather([HOST, GPU], KNOWN)
    assert trace.window == (100 * MS, 120 * MS)
    assert trace.fetches == [(101 * MS, 103 * MS), (111 * MS, 112 * MS)]
    counted = profiled._count(trace, KNOWN, 2)
    assert {name: ms for name, ms in counted["time_ms"].items() if ms} == {
        INPUT: 2.0,  # 3 ms of waiting and 1 ms of copies in 2 updates
        CONVOLUTIONS: 4.0,
        LAYOUT: 0.5,
        REST: 1.0,
        IDLE: 2.5,
    }
    assert sum(counted["time_ms"].values()) == 10
    assert counted["kernels_per_update"] == 3
    assert counted["top"][0] == {
        "ms": 4.0, "calls": 1.0, "class": CONVOLUTIONS, "kernel": "sm90_xmma_fprop",
        "source": KNOWN["cudnn-conv.3"].source,
    }  # fmt: skip


def test_two_devices_count_as_their_mean():
    second = plane("/device:GPU:1", Stream=[event("loop_add_fusion_1", 100, 20)])
    counted = profiled._count(traces.gather([HOST, GPU, second], KNOWN), KNOWN, 2)
    assert sum(counted["time_ms"].values()) == 10
    assert counted["time_ms"][CONVOLUTIONS] == 2
    assert counted["time_ms"][REST] == 5.5


def test_a_cpu_with_two_devices_and_a_loop():
    first, second = {"device_ordinal": 0}, {"device_ordinal": 1}
    threads = [
        event("while.2", 100, 10, hlo_op="while.2", **first),
        event("dot.4", 102, 4, hlo_op="dot.4", **first),
        event("dot.4", 110, 10, hlo_op="dot.4", **second),
    ]
    trace = traces.gather([HOST, plane("/host:CPU", worker=threads)], KNOWN)
    assert sorted(trace.devices) == [0, 1]
    assert trace.devices[0][0] == Ran(100 * MS, 110 * MS, "while.2/while.2", True)
    counted = profiled._count(trace, KNOWN, 1)
    assert counted["time_ms"][PRODUCTS] == 10


def report(top=(), kernels=3.0, **times):
    names = {"layout": LAYOUT, "sums": "sums over devices"}
    whole = dict.fromkeys(
        (INPUT, CONVOLUTIONS, PRODUCTS, "sums over devices", LAYOUT, REST, IDLE), 0
    )
    whole |= {names.get(name, name): ms for name, ms in times.items()}
    return {"time_ms": whole, "top": list(top), "kernels_per_update": kernels}


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"input": 4, "convolutions": 6}, "Input bounds the update: devices wait for events 40%"),
        ({"idle": 3, "input": 1, "rest": 6}, "Launches bound the update: nothing runs 30%"),
        ({"idle": 1, "input": 1, "products": 8}, "Matrix products bound the update: 80% of its"),
        ({"rest": 5, "convolutions": 4}, "Element-wise operations and reductions bound"),
        ({"layout": 5, "convolutions": 4}, "Layout conversions bound the update: 56%"),
        ({"sums": 5, "convolutions": 4}, "Sums over devices bound the update"),
        ({}, "Nothing ran."),
    ],
)
def test_what_bounds_is_one_sentence(times, said):
    sentence = bound(report(**times))
    assert sentence.startswith(said)
    assert sentence.endswith(".")


def test_the_largest_kernel_of_the_class_is_named():
    place = "jit(step)/transpose(jvp(Generator))/Conv3D_1/cond/ffi_call"
    top = [
        {"ms": 3.0, "class": REST, "kernel": "add", "source": ""},
        {"ms": 2.0, "class": CONVOLUTIONS, "kernel": "conv", "source": place},
    ]
    sentence = bound(report(top, rest=3, convolutions=7))
    assert sentence == (
        "Convolutions bound the update: 70% of its time, 20% in one kernel of "
        "Generator/Conv3D_1, gradient."
    )


def test_places():
    assert source("jit(step)/jvp(ResNet15)/Conv_0/cond/branch_0_fun/ffi_call") == "ResNet15/Conv_0"
    assert source("jit(step)/jit(_where)/select_n") == "select_n"
    assert source("") == ""
