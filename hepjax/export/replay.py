"""The model in JAX with the normal numbers given, to compare exported models with."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from hepjax.engine.workload import Workload
from hepjax.export.hosts import Arrays, Host
from hepjax.export.interpret import CALLS, called
from hepjax.export.program import servable
from hepjax.export.sizes import least

DRAWS = "_normal"
"""Name of the function of JAX that draws normal numbers."""


def drawn(workload: Workload[Any, Any], cfg: Any, state: Any) -> tuple[tuple[int, ...], ...]:
    """Shape for one event of each array of normal numbers that the model draws, in order."""
    return tuple(tuple(aval.shape[1:]) for aval in _draws(_traced(workload, cfg, state, 1).jaxpr))


def _traced(workload: Workload[Any, Any], cfg: Any, state: Any, batch: int) -> ClosedJaxpr:
    cfg = servable(cfg)
    model = workload.inputs(cfg)
    sizes = least(model, workload.name, batch)
    arrays = {f.name: jax.ShapeDtypeStruct(sizes.shape(f), f.dtype) for f in model.fields}
    keys = jax.ShapeDtypeStruct((batch,), jax.random.key(0).dtype)
    return jax.make_jaxpr(partial(workload.infer, cfg))(state, arrays, keys)


def _draws(program: Jaxpr) -> Iterator[Any]:
    for equation in program.eqns:
        if _is_draw(equation):
            yield equation.outvars[0].aval
            continue
        if equation.primitive.name in CALLS:
            yield from _draws(called(equation)[0])


def _is_draw(equation: Any) -> bool:
    keys = any(jnp.issubdtype(v.aval.dtype, jax.dtypes.prng_key) for v in equation.invars)
    return equation.params.get("name") == DRAWS and keys


def answers(
    workload: Workload[Any, Any], cfg: Any, host: Host
) -> Callable[[Any, Any, Any], Arrays]:
    """A compiled function of (state, arrays of the host, normal numbers) to outputs for the host.

    The normal numbers are those that the host does not give.
    """
    cfg = servable(cfg)
    names = [f.name for f in workload.inputs(cfg).fields]

    @jax.jit
    def answer(state: Any, arrays: Arrays, normals: list[jax.Array]) -> Arrays:
        asked, given = host.before(arrays)
        inputs = {name: asked[name] for name in names}
        keys = jax.random.split(jax.random.key(0), next(iter(inputs.values())).shape[0])
        infer = partial(workload.infer, cfg)
        program, out = jax.make_jaxpr(infer, return_shape=True)(state, inputs, keys)
        flat = [*jax.tree.leaves(state), *jax.tree.leaves(inputs), keys]
        made = _replayed(program.jaxpr, program.consts, flat, iter([*given, *normals]))
        return host.after(jax.tree.unflatten(jax.tree.structure(out), made), arrays)

    return answer


def _replayed(
    program: Jaxpr, constants: Any, arguments: list[Any], normals: Iterator[jax.Array]
) -> list[Any]:
    """Evaluate a program with normal numbers from an iterator in place of those it draws."""
    known: dict[Any, Any] = dict(zip(program.constvars, constants, strict=True))
    known |= dict(zip(program.invars, arguments, strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in program.eqns:
        values = [value(v) for v in equation.invars]
        if _is_draw(equation):
            made = [next(normals)]
        elif equation.primitive.name in CALLS:
            made = _replayed(*called(equation), values, normals)
        else:
            made = equation.primitive.bind(*values, **equation.params)
            made = made if equation.primitive.multiple_results else [made]
        known |= dict(zip(equation.outvars, made, strict=True))
    return [value(v) for v in program.outvars]
