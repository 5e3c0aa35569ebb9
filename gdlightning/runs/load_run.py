"""Rebuild a trained module and its data module from a checkpoint."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import lightning.pytorch as L
from lightning.fabric.utilities.apply_func import move_data_to_device
from lightning.fabric.utilities.exceptions import MisconfigurationException

from gdlightning.config.given_objects import Objects
from gdlightning.config.schema import Config, check
from gdlightning.config.settings import flatten
from gdlightning.data.data_module import DataModule
from gdlightning.errors import UserError
from gdlightning.runs.find_checkpoint import find_checkpoint, read_checkpoint, record_of
from gdlightning.storage.typed_rows import mismatch


def restore(where: str) -> tuple[L.LightningModule, Any]:
    """Return the module with its weights in evaluation mode, and the fitted data module.

    Raises:
        UserError: there is no checkpoint, it is damaged, or was not written by ``gdl fit``.
    """
    path = find_checkpoint(where)
    return rebuild(path, read_checkpoint(path))


def rebuild(
    path: Path, checkpoint: dict[str, Any], objects: Mapping[str, Any] | None = None
) -> tuple[L.LightningModule, Any]:
    """Return the module and the data module of a checkpoint, as ``restore`` does.

    Args:
        path: checkpoint file, for messages.
        checkpoint: content of the file.
        objects: Python objects that the config names but cannot store, by dotted key.

    Raises:
        UserError: if the checkpoint was not written by ``gdl fit``, or an object is missing.
    """
    from gdlightning.runs.build_run import build_data, build_module

    record = record_of(checkpoint, path)
    config = config_of(record, str(path), objects)
    module = build_module(config, record["sizes"])
    module.on_load_checkpoint(checkpoint)
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        first = str(error).strip().split("\n")[0]
        raise UserError(f"The weights in {path} do not fit its config: {first}") from error
    data = build_data(config)
    if data is not None:
        data.load_state_dict(record["fitted"])
    return module.eval(), data


class _Record(TypedDict):
    config: dict[str, Any]
    sizes: dict[str, Any]
    fitted: dict[str, Any]


def config_of(
    record: dict[str, Any], origin: str, objects: Mapping[str, Any] | None = None
) -> Config:
    """Return the config in a checkpoint's record, checked like any other.

    Args:
        record: what a checkpoint stores about its run.
        origin: where the config comes from, for messages.
        objects: Python objects that the config names but cannot store, by dotted key.

    Raises:
        UserError: if the config or the other metadata is invalid.
    """
    if wrong := mismatch(record, _Record, "its record"):
        raise UserError(f"{origin} was not written by gdl fit: {wrong}.")
    known = Objects({"model.loss": None} | dict(objects or {}))  # only training needs the loss
    return check({s.key: s for s in flatten(record["config"], origin)}, known)


def batches(module: L.LightningModule, data: Any, split: str, limit: int | None) -> list[Any]:
    """Return batches of a split, in the order of the loader, on the module's device.

    Args:
        module: module that determines the device.
        data: data module, or a module that defines loaders.
        split: ``train``, ``val`` or ``test``.
        limit: maximum number of batches; None for all.

    Raises:
        UserError: if there is no data, or the split is empty.
    """
    if data is None:
        raise UserError("The config of this run has no data section.")
    if not isinstance(data, DataModule):
        data.prepare_data()
    data.setup({"train": "fit", "val": "fit", "test": "test"}[split])
    try:
        loader = getattr(data, f"{split}_dataloader")()
    except MisconfigurationException:  # a data module without this loader
        loader = None
    found = list(itertools.islice(loader or (), limit))
    if not found:
        raise UserError(f"The {split} split of this run's data is empty.")
    return [move_data_to_device(batch, module.device) for batch in found]
