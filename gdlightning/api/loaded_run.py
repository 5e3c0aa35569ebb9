"""A trained run in Python: its module, its preprocessing, and predictions."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from gdlightning.api.given_data import array_frame, is_array, is_frame, take_data
from gdlightning.api.module_modes import remember_modes
from gdlightning.config.given_objects import Objects, is_object_name
from gdlightning.data.arrays import Arrays, to_tensor
from gdlightning.data.data_module import DataModule
from gdlightning.data.tabular import TableModule
from gdlightning.errors import UserError
from gdlightning.runs.choose_checkpoint import Chosen, choose_checkpoint, report
from gdlightning.runs.evaluate_run import evaluate_module
from gdlightning.runs.find_checkpoint import record_of
from gdlightning.runs.load_run import rebuild
from gdlightning.runs.predict_run import (
    Records,
    as_records,
    check_can_predict,
    predict_loaders,
    predict_source,
)
from gdlightning.runs.quiet import quiet as silence
from gdlightning.runs.run_folder import run_of
from gdlightning.tasks.task import Task


class LoadedRun:
    """A trained module with its preprocessing.

    Attributes:
        folder: run folder.
        checkpoint: checkpoint file that the weights are from; None for weights in memory.
        module: module with these weights, in evaluation mode.
        data: data module with its fitted preprocessing; None if the run has none.
        config: config of the run, as nested values.
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Path | None,
        module: L.LightningModule,
        data: Any,
        config: Mapping[str, Any],
    ) -> None:
        self.folder, self.checkpoint, self.module = folder, checkpoint, module
        self.data, self.config = data, config

    def __repr__(self) -> str:
        return (
            f"LoadedRun({str(self.folder)!r}, {type(self.module).__name__}, "
            f"checkpoint={self.checkpoint.name if self.checkpoint else None!r})"
        )

    def predict(self, source: Any = None, *, probabilities: bool = False) -> Any:
        """Return predictions for new examples, preprocessed as in training.

        Args:
            source: a pandas DataFrame; an array of inputs; a path that the data module reads; a
                DataLoader; or None for the module's own ``predict_dataloader``.
            probabilities: return class probabilities for an array, [N, classes].

        Returns:
            A data frame with the index of a data frame; a numpy array for an array; otherwise a
            data frame with one row per example.

        Raises:
            UserError: if the module or its data module cannot take the source.
        """
        if source is None:
            return _table(predict_loaders(self.module, self.data))
        if hasattr(source, "to_pandas") and not is_frame(source):
            source = source.to_pandas()
        if is_frame(source):
            return _table(self._labelled(self._predict_frame(source)), source.index)
        if isinstance(source, str | Path):
            return _table(self._labelled(predict_source(self.module, self.data, source)))
        if is_array(source):
            return self._array(self._labelled(self._predict_array(source)), probabilities)
        if hasattr(source, "__iter__") and not isinstance(source, tuple | Mapping):
            check_can_predict(self.module)
            return _table([r for batch in source for r in self._predict_batch(batch)])
        return _table(self._predict_batch(source))

    def test(self) -> dict[str, float]:
        """Return the metrics on the test split, by name.

        Raises:
            UserError: if there is no test split or no ``test_step``.
        """
        if self.data is None and is_object_name(self.config.get("data", {}).get("name")):
            raise UserError(
                "The data of this run is a Python object: pass it, gdl.load(RUN, data=...)."
            )
        return evaluate_module(self.module, self.data)

    def _predict_frame(self, frame: Any) -> Records:
        if isinstance(self.data, TableModule):
            return predict_source(self.module, self.data, frame)
        if isinstance(self.data, Arrays) or not isinstance(self.data, DataModule):
            return self._predict_array(frame.to_numpy())
        with tempfile.TemporaryDirectory() as folder:  # texts and series are read from files
            path = Path(folder) / "input.parquet"
            frame.to_parquet(path)
            return predict_source(self.module, self.data, path)

    def _predict_array(self, source: Any) -> Records:
        if isinstance(self.data, Arrays):
            return predict_source(self.module, self.data, source)
        if isinstance(self.data, TableModule):
            frame, columns = array_frame(source), _columns(self.data)
            missing = [name for name in columns if name not in frame.columns]
            if missing:
                raise UserError(
                    "The run was trained on named columns: pass a DataFrame with "
                    f"{', '.join(columns[:6])}{', …' if len(columns) > 6 else ''}."
                )
            return predict_source(self.module, self.data, frame)
        check_can_predict(self.module)
        batch = source if isinstance(source, Tensor) else to_tensor(source, "The input")
        return self._predict_batch((batch,) if isinstance(self.module, Task) else batch)

    def _predict_batch(self, batch: Any) -> Records:
        check_can_predict(self.module)
        self.module.eval()
        with torch.no_grad():
            on_device = self.module.transfer_batch_to_device(batch, self.module.device, 0)
            return as_records(self.module.predict_step(on_device, 0))

    def _array(self, records: Records, probabilities: bool) -> Any:
        """Return records as an array: [N], or [N, outputs] of several."""
        import numpy as np

        if probabilities:
            keys = [k for k in records[0] if k.startswith("probability_")]
            if not keys:
                raise UserError(f"{type(self.module).__name__} predicts no probabilities.")
            return np.array([[r[k] for k in keys] for r in records])
        if "prediction" not in records[0]:
            return np.array([list(r.values()) for r in records])
        return np.array([r["prediction"] for r in records])

    def _labelled(self, records: Records) -> Records:
        """Return records whose predicted classes have the type of the target."""
        fitted = getattr(self.data, "fitted", None) or {}
        classes = fitted.get("classes") or []
        labels = dict(zip(classes, fitted.get("labels") or map(_label, classes), strict=True))
        for record in records if labels else ():
            if "prediction" in record:
                record["prediction"] = labels.get(record["prediction"], record["prediction"])
        return records


def _label(name: str) -> Any:
    """Return a class as the target holds it: a whole number, a truth value, or text."""
    if name in ("True", "False"):
        return name == "True"
    return int(name) if name.removeprefix("-").isdecimal() else name


def load(
    run: Any,
    checkpoint: str | None = None,
    *,
    model: Any = None,
    data: Any = None,
    loss: Any = None,
    quiet: bool = False,
) -> LoadedRun:
    """Load a run: its module with trained weights, and its preprocessing.

    >>> run = gdl.load("runs/tabular")  # doctest: +SKIP
    >>> run.predict(frame)  # doctest: +SKIP

    Args:
        run: a run folder, the folder of its versions, a checkpoint file, or the result of
            ``gdl.fit``.
        checkpoint: ``best``, ``last`` or a file; by default the best weights if the run monitored
            a metric, otherwise the last.
        model: the module or network, for a run that was trained with a Python object.
        data: the data, for a run that was trained with Python objects; only ``test`` needs it.
        loss: the loss function, for a run that was trained with one.
        quiet: whether not to print which checkpoint is used.

    Raises:
        UserError: if there is no such run, or an object is missing.
    """
    silence()
    where = getattr(run, "folder", run)
    chosen = choose_checkpoint(str(where), checkpoint)
    if not quiet:
        report(chosen)
    config = record_of(chosen.content, chosen.path)["config"]
    return load_chosen(chosen, _objects(config, model, data, loss))


def load_chosen(chosen: Chosen, objects: Mapping[str, Any]) -> LoadedRun:
    """Load a checkpoint with the Python objects that its run was trained with."""
    config = record_of(chosen.content, chosen.path)["config"]
    named = config.get("data") or {}
    known = dict(objects)
    if is_object_name(named.get("name")):
        known.setdefault("data", None)  # predictions need no data
    remember_modes(known.values())
    module, found = rebuild(chosen.path, chosen.content, Objects(known))
    return LoadedRun(run_of(chosen.path), chosen.path, module, found, config)


def _objects(config: Mapping[str, Any], model: Any, data: Any, loss: Any) -> dict[str, Any]:
    """Return the objects under the keys that the config of a run has for them."""
    found: dict[str, Any] = {}
    section = config.get("model") or {}
    if model is not None:
        whole = is_object_name(section.get("name"))
        if not whole and not is_object_name((section.get("net") or {}).get("name")):
            raise UserError(
                "model was passed, but the config of this run rebuilds its own.\nLeave it out."
            )
        found["model" if whole else "model.net"] = model
    if data is not None:
        named = config.get("data") or {}
        problem = str(named.get("problem", "raw"))
        _, given = take_data(data, named.get("target"), str(section.get("name", "")), problem)
        found |= given
    if loss is not None:
        found["model.loss"] = loss
    return found


def _columns(data: TableModule) -> list[str]:
    return [c["name"] for key in ("numeric", "categorical") for c in data.fitted[key]]


def _table(records: Records, index: Any = None) -> Any:
    """Return records as a data frame; as they are if pandas is not installed."""
    import importlib.util

    if importlib.util.find_spec("pandas") is None:
        return records
    import pandas as pd

    return pd.DataFrame(records, index=index)
