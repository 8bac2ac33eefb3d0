"""Architecture and weights in one chromosome, within a padded network that holds all candidates.

The candidates have one or two convolutions of 1 to ``MOST_FILTERS`` filters, a hidden dense layer
or none, and one of three activations. Absent parts are there and masked, so that children of any
architecture are one program and one ``vmap``. Genes are numbers in the chromosome beside the
weights: a filter or a layer is there where its gene is positive. The activation stays that of the
parents: a trained network whose activation changes has lost what it learnt.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hepjax.studies import genetic
from hepjax.studies.genetic import Rates
from hepjax.studies.regressor import KERNEL, SIDE, STRIDE, convolved

MOST_FILTERS, HIDDEN, SECOND_KERNEL = 8, 16, 3
CELLS = (-(-SIDE // STRIDE)) ** 2
GENES = {"filters": MOST_FILTERS, "second": 1, "hidden": 1}
"""Name and size of each group of genes."""
ACTIVATIONS = ("ReLU", "tanh", "leaky ReLU")
GENE_RATE, GENE_POWER = 0.2, 1.0
"""Mutation of genes: they are few, and their sign is what counts."""
ALTERED = 0.125
"""Share of children whose genes mutate too: one of a brood of eight."""


def shapes() -> dict[str, tuple[int, ...]]:
    """Shape of each array of weights of the padded network."""
    return {
        "first": (KERNEL, KERNEL, 1, MOST_FILTERS), "first_bias": (MOST_FILTERS,),
        "second": (SECOND_KERNEL, SECOND_KERNEL, MOST_FILTERS, MOST_FILTERS),
        "direct": (CELLS * MOST_FILTERS, 1), "to_hidden": (CELLS * MOST_FILTERS, HIDDEN),
        "from_hidden": (HIDDEN, 1), "out_bias": (1,),
    }  # fmt: skip


def uniform(key: jax.Array, activation: int | jax.Array = 0, reach: float = 0.5) -> dict[str, Any]:
    """A random parent: weights and genes uniform, biases 0, one convolution and one dense layer.

    Layers come by mutation where they help (complexification, Stanley and Miikkulainen,
    Evolutionary Computation 10, 2002): a large network that is there from the first generation
    improves too slowly by point mutation, and is the elite all the same."""
    weights, genes = {}, {}
    for number, (name, shape) in enumerate(shapes().items()):
        drawn = jax.random.uniform(
            jax.random.fold_in(key, number), shape, minval=-reach, maxval=reach
        )
        weights[name] = jnp.zeros(shape) if "bias" in name else drawn
    for number, (name, size) in enumerate(GENES.items()):
        drawn = jax.random.fold_in(key, 100 + number)
        genes[name] = jax.random.uniform(drawn, (size,), minval=-1.0, maxval=1.0)
    for layer in ("second", "hidden"):
        genes[layer] = -jnp.abs(genes[layer])
    return {"weights": weights, "genes": genes, "activation": jnp.asarray(activation)}


def mutated(chromosome: dict[str, Any], key: jax.Array, rates: Rates) -> dict[str, Any]:
    """A child: point mutation of the weights with ``rates``, and in one of eight of the genes.

    What a gene adds begins without effect on the answer (``adapted``). Else the child of a trained
    parent would lose what the weights have learnt, and would never be better than its siblings.
    """
    of_weights, of_genes, which = jax.random.split(key, 3)
    genes = genetic.mutated(chromosome["genes"], of_genes, Rates(GENE_RATE, GENE_POWER))
    altered = jax.random.bernoulli(which, ALTERED)
    genes = jax.tree.map(lambda new, old: jnp.where(altered, new, old), genes, chromosome["genes"])
    weights = adapted(chromosome["weights"], chromosome["genes"], genes)
    weights = genetic.mutated(weights, of_weights, rates)
    return chromosome | {"weights": weights, "genes": genes}


def adapted(
    weights: dict[str, jax.Array], old: dict[str, jax.Array], new: dict[str, jax.Array]
) -> dict[str, jax.Array]:
    """Weights with which the network of genes ``new`` gives what that of genes ``old`` gave.

    A new filter has no outgoing weights; a new second convolution is the identity and the first
    unit of a new hidden layer the output, both exact with ReLU where numbers are positive. A hidden
    layer that goes leaves its product. Filters that go are not made good.
    """
    made = dict(weights)
    born = (filters(new) > 0) & (filters(old) == 0)
    rows = jnp.tile(born, CELLS)[:, None]
    middle = SECOND_KERNEL // 2
    same = jnp.zeros_like(weights["second"]).at[middle, middle].set(jnp.eye(MOST_FILTERS))
    second = jnp.where(born[:, None], 0.0, weights["second"])
    made["second"] = jnp.where((new["second"] > 0) & (old["second"] <= 0), same, second)
    made["direct"] = jnp.where(rows, 0.0, weights["direct"])
    made["to_hidden"] = jnp.where(rows, 0.0, weights["to_hidden"])
    grows = (new["hidden"] > 0) & (old["hidden"] <= 0)
    goes = (new["hidden"] <= 0) & (old["hidden"] > 0)
    product = made["to_hidden"] @ weights["from_hidden"]
    first = jnp.arange(HIDDEN) == 0
    made["to_hidden"] = jnp.where(grows & first, made["direct"], made["to_hidden"])
    alone = first[:, None].astype(jnp.float32)
    made["from_hidden"] = jnp.where(grows, alone, weights["from_hidden"])
    made["direct"] = jnp.where(goes, product, made["direct"])
    return made


def filters(genes: dict[str, jax.Array]) -> jax.Array:
    """Mask (MOST_FILTERS,) of the filters that are there: the first always is."""
    return jnp.concatenate([jnp.ones(1), (genes["filters"][1:] > 0).astype(jnp.float32)])


def regress(chromosome: dict[str, Any], image: jax.Array) -> jax.Array:
    """Energies (n,) in 100 GeV of images (n, 25, 25)."""
    weights, genes = chromosome["weights"], chromosome["genes"]
    there = filters(genes)

    def activated(x: jax.Array) -> jax.Array:
        forms = jnp.stack([jax.nn.relu(x), jnp.tanh(x), jax.nn.leaky_relu(x, 0.3)])
        return forms[chromosome["activation"]]

    x = activated(convolved(image[..., None], weights["first"], STRIDE) + weights["first_bias"])
    x = x * there
    x = jnp.where(genes["second"] > 0, activated(convolved(x, weights["second"], 1)) * there, x)
    flat = x.reshape(len(image), -1)
    through = activated(flat @ weights["to_hidden"]) @ weights["from_hidden"]
    direct = flat @ weights["direct"]
    return (jnp.where(genes["hidden"] > 0, through, direct) + weights["out_bias"])[:, 0]


def in_words(chromosome: dict[str, Any]) -> str:
    """The architecture that the genes say."""
    genes = jax.device_get(chromosome["genes"])
    parts = [f"{int(filters(genes).sum())} filters"]
    parts += ["a second convolution"] if genes["second"][0] > 0 else []
    parts += [f"a hidden layer of {HIDDEN}"] if genes["hidden"][0] > 0 else []
    return f"{', '.join(parts)}, {ACTIVATIONS[int(chromosome['activation'])]}"
