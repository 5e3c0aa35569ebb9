"""How much a training shows of itself: everything, or as little as makes it fastest."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gdlightning.config.settings import put

FAST: dict[str, Any] = {
    "loggers": [], "trainer.enable_progress_bar": False, "guard.policy": "off",
    "monitor.every": 0, "watch.graph": False, "watch.samples": False,
}  # fmt: skip
"""What ``profile: fast`` sets where the user did not; training metrics are left out besides."""


def apply(values: dict[str, Any], given: Collection[str]) -> None:
    """Set what a profile stands for, where it is not given by itself."""
    if values["profile"] == "fast":
        for key, value in FAST.items():
            if key not in given:
                put(values, key, value)
