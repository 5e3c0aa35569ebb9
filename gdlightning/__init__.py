"""gdlightning: train any PyTorch model with any optimizer.

The public names below are imported when they are first used, so that ``import gdlightning`` costs
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gdlightning import moved_modules

if TYPE_CHECKING:
    from gdlightning.api.compared_runs import compare
    from gdlightning.api.fitted_run import FittedRun, fit
    from gdlightning.api.loaded_run import LoadedRun, load
    from gdlightning.api.lr_search import lr_find
    from gdlightning.api.run_verbs import diagnose, predict, test
    from gdlightning.callbacks.step_logger import Watch
    from gdlightning.data.data_module import DataModule
    from gdlightning.engine.optimization import Optimization, optimize
    from gdlightning.errors import UserError
    from gdlightning.optimizers.build import build
    from gdlightning.optimizers.choice import Choice
    from gdlightning.optimizers.groups import Grouping, Rule
    from gdlightning.optimizers.registry import register
    from gdlightning.schedules import Schedule
    from gdlightning.study.train_many import Trained, Variation, train_many
    from gdlightning.tasks.supervised import Classification, Regression
    from gdlightning.tasks.task import Task

_HOMES = {
    "Choice": "optimizers.choice",
    "Classification": "tasks.supervised",
    "DataModule": "data.data_module",
    "FittedRun": "api.fitted_run",
    "Grouping": "optimizers.groups",
    "LoadedRun": "api.loaded_run",
    "Optimization": "engine.optimization",
    "Regression": "tasks.supervised",
    "Rule": "optimizers.groups",
    "Schedule": "schedules",
    "Task": "tasks.task",
    "Trained": "study.train_many",
    "UserError": "errors",
    "Variation": "study.train_many",
    "Watch": "callbacks.step_logger",
    "build": "optimizers.build",
    "compare": "api.compared_runs",
    "diagnose": "api.run_verbs",
    "fit": "api.fitted_run",
    "load": "api.loaded_run",
    "lr_find": "api.lr_search",
    "optimize": "engine.optimization",
    "predict": "api.run_verbs",
    "register": "optimizers.registry",
    "test": "api.run_verbs",
    "train_many": "study.train_many",
}

__all__ = [
    "Choice",
    "Classification",
    "DataModule",
    "FittedRun",
    "Grouping",
    "LoadedRun",
    "Optimization",
    "Regression",
    "Rule",
    "Schedule",
    "Task",
    "Trained",
    "UserError",
    "Variation",
    "Watch",
    "build",
    "compare",
    "diagnose",
    "fit",
    "load",
    "lr_find",
    "optimize",
    "predict",
    "register",
    "test",
    "train_many",
]

moved_modules.install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
