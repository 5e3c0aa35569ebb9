"""Profiles, which set several options: ``full``, and ``fast`` without logs and checks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gdlightning.config.settings import put

FAST: dict[str, Any] = {
    "loggers": [],
    "trainer.enable_progress_bar": False,
    "guard.policy": "off",
    "monitor.every": 0,
    "watch.graph": False,
    "watch.samples": False,
}
"""Options that ``profile: fast`` sets unless the user did. It also disables training metrics."""


def apply(values: dict[str, Any], given: Collection[str]) -> None:
    """Set the options of the profile that the user did not give."""
    if values["profile"] == "fast":
        for key, value in FAST.items():
            if key not in given:
                put(values, key, value)
