"""From the arguments of a Python call to the settings of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as L
from torch import nn

from gdlightning.api.given_data import take_data
from gdlightning.config.given_objects import Objects, object_name
from gdlightning.config.schema import Config
from gdlightning.config.settings import PYTHON, Setting, aliased, flatten, read_yaml
from gdlightning.errors import UserError
from gdlightning.runs.load_config import resolve

SHORT = {
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "warmup": "schedule.warmup",
    "batch_size": "data.batch_size",
    "max_epochs": "trainer.max_epochs",
    "max_steps": "trainer.max_steps",
    "accelerator": "trainer.accelerator",
    "devices": "trainer.devices",
    "precision": "trainer.precision",
    "progress": "trainer.enable_progress_bar",
}
"""Arguments that name an option without its section."""
PROBLEMS = ("classification", "regression")
"""Tasks that say what the target of arrays is."""


@dataclass
class Arguments:
    """Arguments of ``gdl.fit`` and its relatives.

    Attributes:
        config: a YAML file, several, or a mapping as in one.
        model: a task, a LightningModule, or a plain network.
        data: data of any kind; see ``take_data``.
        target: column to predict.
        task: task of a plain network.
        loss: loss of a plain network.
        optimizer: a name, or a mapping with a name.
        schedule: a name, or a mapping with a name.
        clip: a name, a mapping, or a maximal norm.
        settings: further settings by key.
    """

    config: Any = None
    model: Any = None
    data: Any = None
    target: str | None = None
    task: str | None = None
    loss: str | Callable[..., Any] | None = None
    optimizer: Any = None
    schedule: Any = None
    clip: Any = None
    settings: Mapping[str, Any] | None = None

    def resolve(self, *, copied: bool = False) -> Config:
        """Return the checked config.

        Args:
            copied: whether modules that were passed are copied each time they are used.

        Raises:
            UserError: whatever is wrong with the arguments, before anything is built.
        """
        settings, file = self._from_config()
        named = {s.key: s.value for s in settings}
        objects: dict[str, Any] = {}
        tree = self._model(objects, named)
        if self.data is not None:
            model = tree.get("model.name", named.get("model.name", ""))
            problem = "auto"
            if "model.name" in tree:
                problem = str(model) if model in PROBLEMS else "raw"
            found, given = take_data(self.data, self.target, str(model), problem)
            objects |= given
            tree |= found
            if not model:
                tree["model.name"] = self._table_task(found, given)
        elif self.target is not None:
            tree["data.target"] = self.target
        for key in ("optimizer", "schedule", "clip"):
            if (value := getattr(self, key)) is not None:
                tree[key] = dict(value) if isinstance(value, Mapping) else value
        for key, value in (self.settings or {}).items():
            tree[_key(key)] = value
        settings += [s for key, value in tree.items() for s in flatten({key: value}, PYTHON)]
        return resolve(settings, file, Objects(objects, copied=copied))

    def _from_config(self) -> tuple[list[Setting], str]:
        """Return the settings of the config, and the file that names the run."""
        if self.config is None:
            return [], ""
        if isinstance(self.config, Mapping):
            return list(flatten(self.config, PYTHON)), ""
        many = isinstance(self.config, list | tuple)
        files = [str(f) for f in (self.config if many else [self.config])]
        settings = [s for file in files for s in flatten(read_yaml(file), file)]
        return settings, files[-1]

    def _model(self, objects: dict[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of the model; objects are added to ``objects``."""
        model, task, loss = self.model, self.task, self.loss
        if task is not None and loss is not None and task != "custom-loss":
            raise UserError(
                f"task is {task} and loss is {_shown(loss)}; a task has its own loss.\n"
                "Leave one of them out."
            )
        if loss is not None:
            task = "custom-loss"
        tree: dict[str, Any] = {}
        if isinstance(model, type) and issubclass(model, nn.Module):
            plain = not issubclass(model, L.LightningModule)
            if plain and task is None:
                raise UserError(_no_task(model.__name__))
            model = f"{model.__module__}.{model.__qualname__}"
        if isinstance(model, Mapping):
            tree["model"] = dict(model)
        elif isinstance(model, L.LightningModule):
            if task is not None:
                raise UserError(
                    f"task and loss are for plain networks, but {type(model).__name__} is a "
                    "LightningModule with its own loss.\nLeave them out."
                )
            objects["model"], tree["model.name"] = model, object_name(model)
        elif isinstance(model, nn.Module):
            if task is None:
                raise UserError(_no_task(type(model).__name__))
            tree["model.name"] = task
            objects["model.net"], tree["model.net.name"] = model, object_name(model)
        elif isinstance(model, str):
            tree |= (
                {"model.name": model}
                if task is None
                else {
                    "model.name": task,
                    "model.net.name": model,
                }
            )
        elif model is not None:
            raise UserError(
                f"model is of type {type(model).__name__}.\nPass the name of a task, a "
                "LightningModule, or a torch.nn.Module with task=... or loss=...."
            )
        elif task is not None:
            tree["model.name"] = task
        if isinstance(loss, str):
            tree["model.loss"] = loss
        elif loss is not None:
            objects["model.loss"], tree["model.loss"] = loss, object_name(loss)
        return tree

    def _table_task(self, found: Mapping[str, Any], given: Mapping[str, Any]) -> str:
        """Return the task on a table whose target is a class or a number.

        Raises:
            UserError: if the data is not a table.
        """
        from gdlightning.data.tables import column, read_table
        from gdlightning.data.tabular import is_class

        frame = given.get("data.frame")
        if frame is None and found.get("data.name") == "tabular":
            frame = read_table(found["data.path"])
        target = found.get("data.target") or (self.settings or {}).get("data.target")
        if frame is None or target is None:
            raise UserError(
                "model is missing: name a task (gdl list model), or pass a LightningModule or a "
                "network."
            )
        values = column(frame.rename(columns=str), str(target), "target", "the data")
        return f"tabular-{'classification' if is_class(values) else 'regression'}"


def _key(key: str) -> str:
    """Return the dotted key of an argument: ``lr``, ``optimizer__lr`` and ``optimizer.lr``."""
    return SHORT.get(key) or aliased(key.replace("__", "."))


def _no_task(name: str) -> str:
    return (
        f"model {name} is a plain network, which has no loss.\n"
        'Pass task="classification" or task="regression", or a loss: loss="mse", or a function '
        "loss(outputs, targets)."
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)
