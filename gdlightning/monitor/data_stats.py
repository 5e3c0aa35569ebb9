"""Plain facts of a data set that explain trainings: repeats, leaks, constant inputs, base rates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

MOST = 20_000
"""Examples of a split that are looked at."""
BYTES = 64 * 2**20
FEW = 1000
"""Classes, at most, for whole numbers to be taken for classes."""


def data_facts(splits: Mapping[str, Any]) -> dict[str, Any]:
    """What can be told of examples in memory; nothing of those that are decoded or augmented.

    Args:
        splits: ``train``, ``val``, ``test`` → examples with ``take(index)``.

    Returns:
        ``examples`` of each split; ``repeated``, the share of training examples that occur before,
        target included; ``shared``, split → share of its inputs that are inputs of the training
        split; ``constant``, how many of ``features`` have one value only; ``entropy`` in nats of
        the classes, or ``variance`` of the target: the loss of the best constant prediction.
    """
    found: dict[str, Any] = {"examples": {k: len(rows) for k, rows in splits.items()}}
    train = splits.get("train")
    if train is None or not getattr(train, "plain", False) or not len(train):
        return found
    batch = _first(train)
    if not isinstance(batch, tuple | list) or len(batch) < 2 or _size(batch) > BYTES:
        return found
    inputs, target = batch[0], batch[-1]
    keys = list(_keys(inputs))
    whole = [a + b for a, b in zip(keys, _keys(target), strict=True)]
    found["repeated"] = 1 - len(set(whole)) / len(whole)
    known = set(keys)
    found["shared"] = {
        name: sum(k in known for k in others) / len(others)
        for name, rows in splits.items()
        if name != "train" and len(rows) and getattr(rows, "plain", False)
        for others in [list(_keys(_first(rows)[0]))]
    }
    return found | _constant(inputs) | _base(target)


def _first(rows: Any) -> Any:
    return rows.take(torch.arange(min(len(rows), MOST)))


def _tensors(nested: Any) -> list[Tensor]:
    if isinstance(nested, Tensor):
        return [nested]
    if isinstance(nested, Mapping):
        nested = tuple(nested.values())
    if isinstance(nested, tuple | list):
        return [t for part in nested for t in _tensors(part)]
    return []


def _size(nested: Any) -> int:
    return sum(t.numel() * t.element_size() for t in _tensors(nested))


def _keys(nested: Any) -> Iterator[bytes]:
    """The bytes of each example."""
    parts = [t.detach().cpu().contiguous() for t in _tensors(nested)]
    rows = [p.reshape(len(p), -1).numpy() for p in parts]
    for k in range(len(rows[0])):
        yield b"".join(r[k].tobytes() for r in rows)


def _constant(inputs: Any) -> dict[str, Any]:
    real = [t.reshape(len(t), -1) for t in _tensors(inputs) if t.is_floating_point() and t.ndim > 1]
    if not real or not all(t.shape[1] for t in real) or len(real[0]) < 2:
        return {}
    same = [(t == t[:1]).all(0) for t in real]
    return {"constant": int(sum(s.sum() for s in same)), "features": sum(len(s) for s in same)}


def _base(target: Any) -> dict[str, Any]:
    if not isinstance(target, Tensor):
        return {}
    if target.is_floating_point():
        return {"variance": float(target.var(correction=0))}
    counts = Counter(target.flatten().tolist())
    if target.ndim > 1 or not 1 <= len(counts) <= FEW:
        return {}
    shares = [n / target.numel() for n in counts.values()]
    return {"classes": len(counts), "entropy": -sum(s * math.log(s) for s in shares)}
