"""Statistics of a data set: duplicates, leaks, constant inputs and the constant prediction."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

MAX_EXAMPLES = 20_000
"""Number of examples per split that are examined."""
MAX_BYTES = 64 * 2**20
"""Size of these examples above which no statistics are computed."""
MAX_CLASSES = 1000
"""Number of distinct integers above which a target is not treated as classes."""


def data_facts(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Compute statistics of examples in memory. Decoded or augmented examples are skipped.

    Args:
        splits: The examples of ``train``, ``val`` and ``test``, each with ``take(index)``.

    Returns:
        A dict with

        - ``examples``: the number of examples per split,
        - ``repeated``: the fraction of training examples that are duplicates, target included,
        - ``shared``: per other split, the fraction of its inputs that occur in the training split,
        - ``constant`` and ``features``: the number of constant input features and of all,
        - ``entropy`` of the classes in nats, or ``variance`` of the target: the loss of the best
          constant prediction.
    """
    found: dict[str, Any] = {"examples": {k: len(rows) for k, rows in splits.items()}}
    train = splits.get("train")
    if train is None or not getattr(train, "plain", False) or not len(train):
        return found
    batch = _first(train)
    if not isinstance(batch, tuple | list) or len(batch) < 2 or _size(batch) > MAX_BYTES:
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
    return rows.take(torch.arange(min(len(rows), MAX_EXAMPLES)))


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
    """Yield the bytes of each example."""
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
    if target.ndim > 1 or not 1 <= len(counts) <= MAX_CLASSES:
        return {}
    shares = [n / target.numel() for n in counts.values()]
    return {"classes": len(counts), "entropy": -sum(s * math.log(s) for s in shares)}
