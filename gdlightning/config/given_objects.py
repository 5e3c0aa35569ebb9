"""Python objects in place of settings: a model, a net, a loss or data that no file can store."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from gdlightning.config.settings import Setting, at
from gdlightning.errors import UserError, shown

PREFIX = "object:"
"""Begins the value that a config stores in place of a Python object."""
SECTIONS = ("model", "model.net", "data")
"""Named sections that an object may replace as a whole."""
ARGUMENTS = ("model.loss",)
"""Options that an object may replace."""


def object_name(value: Any) -> str:
    """Return what a config stores in place of an object, such as ``object:my_module.MyNet``."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{PREFIX}{named.__module__}.{named.__qualname__}"


def is_object_name(value: Any) -> bool:
    """Return whether a value of a config stands for an object."""
    return isinstance(value, str) and value.startswith(PREFIX)


def check_objects(merged: Mapping[str, Setting], objects: Mapping[str, Any]) -> None:
    """Check that every object that the settings name is there.

    Raises:
        UserError: if one is missing, with the call that provides it.
    """
    for key in (*(f"{s}.name" for s in SECTIONS), *ARGUMENTS):
        setting = merged.get(key)
        section = key.removesuffix(".name")
        if setting is None or not is_object_name(setting.value) or section in objects:
            continue
        argument = {"model.net": "model", "model.loss": "loss"}.get(section, section)
        what = str(setting.value).removeprefix(PREFIX)
        error = UserError(
            f"{section} is {shown(what)}, a Python object that the config cannot store.\n"
            f"Pass the same object from Python: gdl.fit(..., {argument}=...) to train or resume, "
            f"gdl.load(RUN, {argument}=...) to use the run."
        )
        raise at(error, setting)


class Objects(dict[str, Any]):
    """Python objects by dotted key.

    Args:
        values: the objects.
        copied: whether each use gets a copy of a module, as in a comparison of optimizers; a run
            trains the module itself.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, *, copied: bool = False) -> None:
        super().__init__(values or {})
        self.copied = copied
        self._initial: dict[str, Any] = {}

    def module(self, key: str) -> Any:
        """Return a module with the weights that it was given with, also after it was trained."""
        module = self[key]
        if self.copied:
            return copy.deepcopy(module)
        if key in self._initial:  # a rollback to the start
            module.load_state_dict(self._initial[key])
        else:
            self._initial[key] = copy.deepcopy(module.state_dict())
        return module
