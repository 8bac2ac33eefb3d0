"""Small rewrites of a finished graph, so that hosts that optimise nothing run it well.

Batch norm at inference is x - mean, times a factor, plus a shift: it becomes one factor and one
shift. A shift behind a convolution becomes its bias. What no output needs goes.
"""

import numpy as np

from hepjax.export.graph import Graph, Node

OUT = {"Conv": 0, "ConvTranspose": 1}
"""Axis of a kernel along which the channels are that come out."""


def tidy(graph: Graph, outputs: list[str]) -> None:
    """Rewrite the nodes and constants of ``graph`` in place."""
    _without_identities(graph, set(outputs))
    _scale_and_shift(graph, set(outputs))
    _biases(graph, set(outputs))
    _needed(graph, outputs)


def _without_identities(graph: Graph, outputs: set[str]) -> None:
    """Let the node before an Identity write the output itself."""
    made = {name: node for node in graph.nodes for name in node.outputs}
    for node in [n for n in graph.nodes if n.op == "Identity"]:
        (source,), (name,) = node.inputs, node.outputs
        if source not in made or source in outputs:
            continue
        for other in graph.nodes:
            other.inputs = [name if i == source else i for i in other.inputs]
        made[source].outputs = [name if o == source else o for o in made[source].outputs]
        graph.nodes.remove(node)
        outputs.add(name)


def _users(graph: Graph, outputs: set[str]) -> dict[str, int]:
    count = dict.fromkeys(outputs, 1)
    for node in graph.nodes:
        for name in node.inputs:
            count[name] = count.get(name, 0) + 1
    return count


def _constant_of(graph: Graph, node: Node) -> tuple[str, np.ndarray] | None:
    """Of an operation on a tensor and a constant: both."""
    first, second = node.inputs
    if second in graph.constants and first not in graph.constants:
        return first, graph.constants[second]
    if first in graph.constants and second not in graph.constants and node.op != "Sub":
        return second, graph.constants[first]
    return None


def _scale_and_shift(graph: Graph, outputs: set[str]) -> None:
    """x - a, then times b, then + c: x times b, + (c - a b)."""
    users, made = _users(graph, outputs), {n.outputs[0]: n for n in graph.nodes}
    for add in [n for n in graph.nodes if n.op == "Add"]:
        end = _constant_of(graph, add)
        times = made.get(end[0]) if end else None
        if end is None or times is None or times.op != "Mul" or users[times.outputs[0]] != 1:
            continue
        middle = _constant_of(graph, times)
        minus = made.get(middle[0]) if middle else None
        if middle is None or minus is None or minus.op != "Sub" or users[minus.outputs[0]] != 1:
            continue
        begin = _constant_of(graph, minus)
        if begin is None or begin[1].dtype != np.float32:
            continue
        factor, wide = middle[1], np.float64
        shift = end[1].astype(wide) - begin[1].astype(wide) * factor.astype(wide)
        times.inputs = [begin[0], graph.constant(factor)]
        add.inputs = [times.outputs[0], graph.constant(shift.astype(np.float32))]
        graph.nodes.remove(minus)


def _biases(graph: Graph, outputs: set[str]) -> None:
    """A convolution plus one number a channel: the number is its bias."""
    users, made = _users(graph, outputs), {n.outputs[0]: n for n in graph.nodes}
    for add in [n for n in graph.nodes if n.op == "Add"]:
        found = _constant_of(graph, add)
        before = made.get(found[0]) if found else None
        if found is None or before is None or len(before.inputs) != 2 or before.op not in OUT:
            continue
        channels, bias = graph.constants[before.inputs[1]].shape[OUT[before.op]], found[1]
        wanted = (1, channels, *(1,) * (graph.constants[before.inputs[1]].ndim - 2))
        if users[before.outputs[0]] != 1 or bias.shape != wanted:
            continue
        before.inputs.append(graph.constant(bias.reshape(channels)))
        before.outputs = add.outputs
        graph.nodes.remove(add)


def _needed(graph: Graph, outputs: list[str]) -> None:
    """Keep the nodes and constants that the outputs depend on."""
    wanted, kept = set(outputs), []
    for node in reversed(graph.nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs)
    graph.nodes = kept[::-1]
    graph.constants = {k: v for k, v in graph.constants.items() if k in wanted}
