"""The three MLPF networks and their update in PyTorch, the other side of the benchmark.

The same formulas, losses and Adam as ``hepjax.workloads.mlpf``, whose weights it takes;
tests/benchmarks compares the two. Written as one would: gathers by index, batched matrix products,
inputs concatenated. Not a second implementation for users, and without the slips of the sparse
model.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from hepjax.formats.particleflow.columns import CLASSES, ELEMENT_TYPES, QUANTITIES, Element
from hepjax.nn.keras import LAYER_NORM_EPSILON
from hepjax.ops.lsh import DEGREE_LIMIT, FLOOR
from hepjax.workloads.mlpf.config import MLPFConfig, ModelConfig
from hepjax.workloads.mlpf.heads import ETA_LIMIT, SHARPNESS
from hepjax.workloads.mlpf.objective import ANGLES, SMALLEST, State, total_loss
from hepjax.workloads.mlpf.sparse_model import AROUND

Tree = dict[str, Any]


def parameters(state: State) -> tuple[Tree, Tree]:
    """Weights and random directions by the names that Flax gives them, as tensors."""

    def tensors(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), tree["inner"])

    return tensors(state.params), tensors(state.codebooks)


def encode(X: Tensor) -> Tensor:
    kind = F.one_hot(X[..., 0].long(), len(ELEMENT_TYPES)).to(X.dtype)
    return torch.cat([kind, X[..., 1:]], -1)


def dense(p: Tree, x: Tensor) -> Tensor:
    return x @ p["kernel"] + p["bias"]


def network(p: Tree, x: Tensor) -> Tensor:
    for k in range(len(p) - 1):
        x = F.elu(dense(p[f"Dense_{k}"], x))
    return dense(p[f"Dense_{len(p) - 1}"], x)


def sort_by_code(
    cfg: ModelConfig, z: Tensor, codebook: Tensor, mask: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Order of the bins and its inverse, (n, i)."""
    bins = torch.full_like(mask[:, 0], z.shape[1] // size, dtype=torch.long)
    if not cfg.published_slips:
        bins = (mask.sum(1) + size - 1) // size
    columns = codebook.shape[1]
    valid = torch.arange(columns) < (bins // 2).clamp(1, columns)[:, None, None]
    along = z.detach() @ codebook
    both = torch.cat(
        [along.masked_fill(~valid, -torch.inf), (-along).masked_fill(~valid, -torch.inf)], -1
    )
    codes = both.argmax(-1).masked_fill(~mask, 2 * columns)
    order = torch.argsort(codes, dim=1, stable=True)
    return order, torch.argsort(order, dim=1)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` (n, k) of ``x`` (n, i, ...)."""
    return x[torch.arange(len(x))[:, None], index]


def distances(z: Tensor) -> Tensor:
    square = z.square().sum(-1)
    product = z @ z.transpose(-1, -2)
    return (square[..., None] - 2 * product + square[..., None, :]).clamp(min=FLOOR).sqrt()


def normalisation(degree: Tensor, mask: Tensor) -> Tensor:
    return (degree.clamp(0, DEGREE_LIMIT) + FLOOR) ** -0.5 * mask


def gated_convolution(p: Tree, x: Tensor, propagate: Callable[[Tensor], Tensor]) -> Tensor:
    gate = torch.sigmoid(x @ p["w_t"] + p["b_t"])
    return F.elu(gate * propagate(x @ p["theta"]).to(x.dtype) + (1 - gate) * (x @ p["w_h"]))


def graph_layer(
    cfg: ModelConfig, p: Tree, codebook: Tensor, x: Tensor, mask: Tensor, size: int
) -> Tensor:
    z = network(p["Network_0"], x).to(codebook.dtype)
    order, inverse = sort_by_code(cfg, z, codebook, mask, size)

    def binned(a: Tensor) -> Tensor:
        return take(a, order).unflatten(1, (-1, size))

    inside = binned(mask)
    with torch.autocast(x.device.type, enabled=False):
        pairs = inside[..., None] & inside[..., None, :]
        weights = torch.exp(-cfg.distance_scale * distances(binned(z))) * pairs
        norm = normalisation(weights.sum(-1), inside)[..., None]

    def propagate(a: Tensor) -> Tensor:
        return take((norm * (weights @ (norm * binned(a)))).flatten(1, 2), inverse)

    return gated_convolution(p["GatedConvolution_0"], x, propagate) * mask[..., None]


def dense_model(
    cfg: ModelConfig, p: Tree, codebooks: Tree, X: Tensor, mask: Tensor, size: int
) -> dict[str, Tensor]:
    concat = cfg.variant == "concat"
    encoded = x = encode(X)
    if not concat:
        for k in range(2):
            x = F.gelu(dense(p[f"encoding_{k}"], x))

    def stack(name: str) -> list[Tensor]:
        h, outputs = x, []
        for k in range(cfg.layers):
            codebook = codebooks[f"{name}_{k}"]["Binning_0"]["codebook"]
            out = graph_layer(cfg, p[f"{name}_{k}"], codebook, h, mask, size)
            h = out if concat else h + out
            outputs.append(out)
        return outputs if concat else [h]

    common, energy = stack("common"), stack("energy")
    return heads(cfg, p["heads"], X, [encoded, *common] if concat else common, energy)


def heads(
    cfg: ModelConfig, p: Tree, X: Tensor, common: list[Tensor], energy: list[Tensor]
) -> dict[str, Tensor]:
    slips, concat = cfg.published_slips, cfg.variant == "concat"
    known = torch.cat(common, -1)
    norm = p["norm"]
    known = F.layer_norm(known, known.shape[-1:], norm["scale"], norm["bias"], LAYER_NORM_EPSILON)
    logits, charge = network(p["class"], known), network(p["charge"], known)[..., 0]
    fixed = logits.detach()
    with_class = torch.cat([known, fixed], -1)
    twice = [e for e in energy for _ in range(1 + (slips and concat))]
    both = torch.cat([with_class, *twice, *[fixed] * slips], -1)
    eta, phi = network(p["eta"], with_class), network(p["phi"], with_class)
    eta = X[..., Element.ETA] + eta[..., -1]
    e, c = network(p["energy"], both), network(p["pt"], both)
    if concat:
        e = ((SHARPNESS * logits).softmax(-1).detach() * e).sum(-1)
        massless = (e / torch.cosh(eta.clamp(-ETA_LIMIT, ETA_LIMIT))).detach()
        pt = massless + torch.sigmoid(c[..., 0]) * c[..., 1]
    else:
        e, pt = (X[..., Element.ENERGY] + e[..., 0]).abs(), c[..., 0].abs()
    return {
        "logits": logits, "charge": charge, "pt": pt, "eta": eta, "energy": e,
        "sin_phi": X[..., Element.SIN_PHI] + phi[..., phi.shape[-1] // 2 - 1],
        "cos_phi": X[..., Element.COS_PHI] + phi[..., -1],
    }  # fmt: skip


def sparse_model(
    cfg: ModelConfig, p: Tree, codebooks: Tree, X: Tensor, mask: Tensor, size: int
) -> dict[str, Tensor]:
    """Dropout as in training if it is not 0."""
    encoded = encode(X)

    def drop(x: Tensor) -> Tensor:
        return F.dropout(x, cfg.dropout, torch.is_grad_enabled()) if cfg.dropout else x

    z = drop(F.elu(dense(p["distance"], encoded)))
    order, inverse = sort_by_code(cfg, z, codebooks["Binning_0"]["codebook"], mask, size)
    encoded, mask, z = (take(a, order) for a in (encoded, mask, z))
    inside = mask.unflatten(1, (-1, size))
    far = ~(inside[..., None] & inside[..., None, :])
    distance = distances(z.unflatten(1, (-1, size))).masked_fill(far, torch.inf)
    near, index = distance.topk(min(cfg.neighbours, size), largest=False)
    first = torch.arange(0, X.shape[1], size)[:, None, None]
    senders = (index + first).flatten(1, 2)  # (n, i, k)
    valid = near.isfinite().flatten(1, 2)

    def neighbours(a: Tensor) -> Tensor:
        return take(a, senders.flatten(1)).unflatten(1, senders.shape[1:])

    weight = torch.exp(-cfg.distance_scale * near).flatten(1, 2)[..., None]
    ends = [encoded[:, :, None].expand(-1, -1, weight.shape[2], -1), neighbours(encoded)]
    weight = network(p["edge"], torch.cat([*ends, weight], -1))[..., 0] * valid
    norm = normalisation(weight.abs().sum(-1), mask)

    def propagate(a: Tensor) -> Tensor:
        return norm[..., None] * torch.einsum(
            "nik,nikf->nif", weight, neighbours(norm[..., None] * a)
        )

    def stream(name: str, x: Tensor) -> Tensor:
        for k in range(AROUND):
            x = drop(F.elu(dense(p[f"{name}_before_{k}"], x)))
        for k in range(cfg.layers):
            x = gated_convolution(p[f"{name}_{k}"], x, propagate)
        for k in range(AROUND):
            x = drop(F.elu(dense(p[f"{name}_after_{k}"], x)))
        return x

    known = torch.cat([encoded, stream("class", encoded)], -1)
    logits, charge = network(p["class_head"], known), network(p["charge_head"], known)[..., 0]
    scored = torch.cat([encoded, logits], -1)
    momentum = network(p["momentum_head"], torch.cat([scored, stream("momentum", scored)], -1))
    names = ("pt", "eta", "sin_phi", "cos_phi", "energy")
    outputs = dict(zip(names, momentum.unbind(-1), strict=True))
    outputs |= {"logits": logits, "charge": charge}
    return {name: take(value, inverse) for name, value in outputs.items()}


def apply(
    cfg: ModelConfig, p: Tree, codebooks: Tree, X: Tensor, elements: Tensor
) -> dict[str, Tensor]:
    """Outputs (n, i) of each element, ``inputs`` raw; masked elements 0."""
    size = min(cfg.bin_size, X.shape[1])
    more = -X.shape[1] % size
    X_all, mask = F.pad(X, (0, 0, 0, more)), F.pad(elements, (0, more))
    model = sparse_model if cfg.variant == "sparse" else dense_model
    outputs = model(cfg, p, codebooks, X_all, mask, size)
    keep = {True: elements, False: elements[..., None]}
    return {k: v[:, : X.shape[1]] * keep[v.ndim == 2] for k, v in outputs.items()}


def loss_of(cfg: MLPFConfig, outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> Tensor:
    """The weighted loss of dense and sparse models, masked elements left out."""
    target = dict(zip(QUANTITIES, batch["ygen"].unbind(-1), strict=True))
    label = target["class"].long()
    if cfg.model.published_slips and cfg.model.variant != "sparse":
        chosen = (outputs["logits"].softmax(-1) * F.one_hot(label, len(CLASSES))).sum(-1)
        terms = {"class": -chosen.clamp(SMALLEST, 1 - SMALLEST).log()}
    else:
        terms = {
            "class": F.cross_entropy(outputs["logits"].movedim(-1, 1), label, reduction="none")
        }
    terms["charge"] = (outputs["charge"] - target["charge"]).square()
    c = cfg.objective
    for name in QUANTITIES[2:]:
        if c.regression == "mse":
            terms[name] = (outputs[name] - target[name]).square()
        else:
            delta = c.delta_angle if name in ANGLES else c.delta_energy
            terms[name] = F.huber_loss(outputs[name], target[name], reduction="none", delta=delta)
    elements = batch["elements"]
    means = {}
    for name, term in terms.items():
        weight = elements if name == "class" else elements & (label != 0)
        count = weight.numel() if cfg.model.published_slips else weight.sum()
        means[name] = (term * weight).sum() / count
    return total_loss(cfg, means)


def make_update(
    cfg: MLPFConfig, state: State, batch: dict[str, Tensor], *, compiled: bool = False
) -> Callable[[], Tensor]:
    """A function that does one update on ``batch`` and returns the loss."""
    weights, codebooks = parameters(state)
    leaves = jax.tree.leaves(weights)
    for leaf in leaves:
        leaf.requires_grad_()
    o = cfg.optimizer
    adam = torch.optim.Adam(leaves, o.learning_rate, (o.beta1, o.beta2), o.epsilon, foreach=True)
    device, half = torch.get_default_device().type, cfg.train.precision == "bfloat16"
    mixed = torch.autocast(device, torch.bfloat16, enabled=half)

    def forward() -> Tensor:
        return loss_of(
            cfg, apply(cfg.model, weights, codebooks, batch["X"], batch["elements"]), batch
        )

    run = torch.compile(forward, dynamic=False) if compiled else forward

    def update() -> Tensor:
        adam.zero_grad()
        with mixed:
            loss = run()
        loss.backward()
        adam.step()
        return loss.detach()

    return update


def make_inference(
    cfg: MLPFConfig, state: State, batch: dict[str, Tensor], *, compiled: bool = False
) -> Callable[[], dict[str, Tensor]]:
    """A function that applies the network to ``batch``."""
    weights, codebooks = parameters(state)
    device, half = torch.get_default_device().type, cfg.train.precision == "bfloat16"
    mixed = torch.autocast(device, torch.bfloat16, enabled=half)

    def forward() -> dict[str, Tensor]:
        return apply(cfg.model, weights, codebooks, batch["X"], batch["elements"])

    run = torch.compile(forward, dynamic=False) if compiled else forward

    def infer() -> dict[str, Tensor]:
        with torch.no_grad(), mixed:
            return run()

    return infer
