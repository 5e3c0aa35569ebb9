"""Training modes of modules that a result has put in evaluation mode, for the next run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

_MODES: WeakKeyDictionary[nn.Module, dict[str, bool]] = WeakKeyDictionary()


def remember_modes(values: Iterable[Any]) -> None:
    """Remember the modes of all modules among some values, before they are evaluated."""
    for module in values:
        if isinstance(module, nn.Module):
            _MODES.setdefault(module, {n: part.training for n, part in module.named_modules()})


def restore_modes(values: Iterable[Any]) -> None:
    """Put the modules among some values in the modes that they had before they were evaluated."""
    for module in values:
        modes = _MODES.pop(module, {}) if isinstance(module, nn.Module) else {}
        for name, part in module.named_modules() if modes else ():
            part.training = modes.get(name, part.training)
