"""A task from its checkpoint alone: net and sizes from the config that the checkpoint stores."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from gdlightning.errors import UserError
from gdlightning.storage.checkpoint_file import KEY
from gdlightning.tasks.catalogues import NETS, TASKS
from gdlightning.tasks.construct import adapt, construct, third_party_sizes


def task_class(checkpoint: Mapping[str, Any]) -> Any:
    """Return the class of the task in a checkpoint.

    Raises:
        UserError: if the checkpoint was not written by ``gdl fit``.
    """
    return TASKS.find(str(_model(checkpoint)["name"]))


def task_arguments(
    cls: Any, checkpoint: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments that a task in a checkpoint was built with.

    Args:
        cls: class of the task.
        checkpoint: content of the checkpoint.
        given: arguments that replace stored ones.

    Raises:
        UserError: if the checkpoint was not written by ``gdl fit``, or its net is a Python object.
    """
    model = _model(checkpoint)
    sizes: Mapping[str, Any] = checkpoint[KEY]["sizes"]
    options = {k: v for k, v in model.items() if k not in ("name", "net")} | dict(given)
    parameters = inspect.signature(cls.__init__).parameters
    if "net" in parameters and "net" not in given:
        options["net"] = _net(model, sizes)
    found = third_party_sizes(sizes)
    for name in parameters:
        if name in found and options.get(name) is None:
            options[name] = found[name]
    return {k: v for k, v in options.items() if k in parameters}


def _net(model: Mapping[str, Any], sizes: Mapping[str, Any]) -> Any:
    section = dict(model.get("net") or {})
    name = str(section.pop("name", ""))
    if not name or name.startswith("object:"):
        raise UserError(
            "The net of this run is a Python object, which its checkpoint cannot store.\n"
            "Pass it: load_from_checkpoint(PATH, net=...)."
        )
    return adapt(construct(NETS.find(name), section, sizes, "model.net"), sizes)


def _model(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    record = checkpoint.get(KEY)
    model = record["config"].get("model") if isinstance(record, Mapping) else None
    if not isinstance(model, dict) or "name" not in model:
        raise UserError("The checkpoint was not written by gdl fit: it stores no config.")
    return model
