"""Callbacks in a config: of Lightning, of gdlightning, or your own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as L

from gdlightning.discovery import Catalogue, hyphenated
from gdlightning.errors import UserError, did_you_mean

EXCLUDED = {
    "BackboneFinetuning",
    "BaseFinetuning",
    "BasePredictionWriter",
    "BatchSizeFinder",
    "Callback",
    "Checkpoint",
    "GradientAccumulationScheduler",
    "LambdaCallback",
    "LearningRateFinder",
    "ModelCheckpoint",
    "ModelPruning",
    "OnExceptionCheckpoint",
    "ProgressBar",
    "RichModelSummary",
    "RichProgressBar",
    "SpikeDetection",
    "StochasticWeightAveraging",
    "TQDMProgressBar",
    "Timer",
}
"""Callbacks of Lightning that gdlightning replaces, or that a config cannot describe."""


def _lightning() -> dict[str, type]:
    """Return name → class of the callbacks of Lightning that a config can select."""
    import lightning.pytorch.callbacks as theirs

    return {
        hyphenated(name): getattr(theirs, name) for name in theirs.__all__ if name not in EXCLUDED
    }


CALLBACKS = Catalogue(
    "gdlightning.callbacks",
    "callback",
    base="lightning.pytorch:Callback",
    further=_lightning,
)


def names() -> dict[str, type]:
    """Return name → class of the callbacks that a config can select without a dotted path."""
    return CALLBACKS.classes()


def build_callbacks(given: Sequence[str | Mapping[str, Any]]) -> list[L.Callback]:
    """Create the callbacks of a config.

    Args:
        given: names, or mappings with ``name`` and options.

    Raises:
        UserError: if a name or option is unknown, or a value is invalid.
    """
    return [_one(c) for c in given]


def _one(given: str | Mapping[str, Any]) -> L.Callback:
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = str(options.pop("name", ""))
    try:
        cls = CALLBACKS.find(name)
    except UserError as error:
        raise error.within("callbacks") from error
    parameters = inspect.signature(cls.__init__).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in options:
        if key not in parameters and not open_ended:
            wanted = [p for p in parameters if p != "self"]
            raise UserError(
                f"callbacks: {name} has no option {key}.{did_you_mean(key, wanted)}\n"
                f"Available options: {', '.join(wanted) or 'none'}.",
                key="callbacks",
            )
    try:
        made: L.Callback = cls(**options)
    except Exception as error:  # raised by Lightning or by the user's class
        first = str(error).strip().split("\n")[0]
        raise UserError(f"callbacks: {name} cannot be created: {first}", key="callbacks") from error
    return made
