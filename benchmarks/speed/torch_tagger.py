"""The ResNet-15 and its update in PyTorch, and the published Parquet loader: the other side.

The same formulas, loss and Adam as ``hepjax.workloads.tagger``, whose weights it takes;
tests/benchmarks compares the two. Not a second implementation for users.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset

from hepjax.workloads.tagger.config import TaggerConfig

Tree = dict[str, Any]
BLOCKS = ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (32, 1))
"""Features and stride."""


class JetDataset(Dataset[tuple[np.ndarray, float]]):
    """A row group a jet, turned into Python lists, as published (bjornburkle/QCD_Glu_Quark)."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, pq.ParquetFile(path)

    def __len__(self) -> int:
        return self._file.num_row_groups

    def __getitem__(self, index: int) -> tuple[np.ndarray, float]:
        row = self._file.read_row_group(index).to_pydict()
        return np.float32(row["X_jets"][0]), float(row["y"][0])

    def __reduce__(self) -> tuple[Any, ...]:
        return JetDataset, (self._path,)


def loader(path: Path, batch_size: int, workers: int) -> DataLoader[Any]:
    """Shuffled batches (n, channels, eta, phi), read by worker processes that stay."""
    return DataLoader(
        JetDataset(path),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers else None,  # jax has threads
    )


def parameters(params: Any) -> Tree:
    """Weights by the names that Flax gives them; kernels (out, in, height, width)."""

    def tensor(leaf: jax.Array) -> Tensor:
        a = torch.tensor(np.array(leaf))
        if a.ndim == 4:
            a = a.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        return a.requires_grad_()

    return jax.tree.map(tensor, params)


def apply(cfg: TaggerConfig, params: Tree, x: Tensor) -> Tensor:
    """Logits (n, outputs) of images (n, channels, eta, phi)."""
    names = iter(range(len(params)))
    pytorch, g = cfg.model.head == "global", cfg.model.granularity

    def conv(x: Tensor, stride: int, pad: int | None) -> Tensor:
        weights = params[f"Conv_{next(names)}"]
        kernel, bias = weights["kernel"], weights["bias"]
        if pad is None:  # as Keras pads: what is odd goes to the end
            for axis in (3, 2):
                size, k = x.shape[axis], kernel.shape[axis]
                more = max((-(-size // stride) - 1) * stride + k - size, 0)
                ends = [0, 0] * (3 - axis) + [more // 2, more - more // 2]
                x = F.pad(x, ends)
            pad = 0
        return F.conv2d(x, kernel, bias, stride, pad)

    x = F.max_pool2d(F.relu(conv(x, 2 * g, 1 if pytorch else None)), 2)
    around = 1 if pytorch else None
    for _, stride in BLOCKS:
        y = conv(F.relu(conv(x, stride, around)), 1, around)
        x = F.relu(y + (x if stride == 1 else conv(x, stride, 0)))
    x = x.amax((2, 3)) if pytorch else F.max_pool2d(x, 2).permute(0, 2, 3, 1).flatten(1)
    dense = params["Dense_0"]
    return x.float() @ dense["kernel"] + dense["bias"]


def loss_of(logits: Tensor, label: Tensor) -> Tensor:
    """Mean binary cross-entropy: of two sigmoids against the one-hot label, or of one."""
    target = F.one_hot(label.long(), 2)[:, 2 - logits.shape[1] :]
    return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))


def make_update(cfg: TaggerConfig, params: Any) -> Callable[[Tensor, Tensor], Tensor]:
    """A function that does one update with images and labels and returns the loss."""
    weights = parameters(params)
    o = cfg.optimizer
    adam = torch.optim.Adam(
        jax.tree.leaves(weights), o.learning_rate, eps=o.epsilon, foreach=True
    )  # fmt: skip
    device, half = torch.get_default_device().type, cfg.train.precision == "bfloat16"
    mixed = torch.autocast(device, torch.bfloat16, enabled=half)

    def update(image: Tensor, label: Tensor) -> Tensor:
        adam.zero_grad()
        with mixed:
            logits = apply(cfg, weights, image.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), label)
        loss.backward()
        adam.step()
        return loss.detach()

    return update
