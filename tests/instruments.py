"""Artificial rows of ``instruments.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def lines(losses: Sequence[float], every: int = 10, **measured: Any) -> list[dict[str, Any]]:
    """Return the rows of a run with three layers and the given measurements."""
    start = {
        "layers": ["a", "b", "c"],
        "steps": len(losses),
        "warmup": 0,
        "clip": "NormClip",
        "data": measured.pop("data", {}),
        "decayed": measured.pop("decayed", []),
    }
    found: list[dict[str, Any]] = [{"step": 0, "start": start}]
    for step in range(0, len(losses), every):
        part = [None if not math.isfinite(v) else v for v in losses[step : step + every]]
        row = {
            "step": step,
            "loss": part[0],
            "losses": part,
            "gain": 0.8,
            "promised": -0.01,
            "examples": 32,
            "grad_norm": 1.0,
            "update_ratio": 1e-3,
            "lr": 0.1,
            "clipped": 0.1,
            "grads": [1.0, 1.0, 1.0],
            "weights": [10.0, 10.0, 10.0],
            "updates": [0.01] * 3,
            "dead": {},
            "scale": {"a": 1.0, "b": 1.0, "c": 1.0},
        }
        found.append(row | {k: v(step) if callable(v) else v for k, v in measured.items()})
    return found


FALLING = [2.0 * 0.985**k + 0.1 for k in range(300)]
"""Return the loss of a healthy run."""
