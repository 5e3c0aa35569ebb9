"""Data that is passed from Python: files, data frames, arrays, loaders, data modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from torch import Tensor

from gdlightning.config.given_objects import object_name
from gdlightning.data.given_loaders import GivenLoaders
from gdlightning.data.tables import READERS
from gdlightning.errors import UserError

KINDS = (
    "the name of a data module, the path of a table, a pandas DataFrame with target=NAME, arrays "
    "(X, y), a DataLoader, loaders (train, val), or a LightningDataModule"
)
SPLITS = ("train", "val", "test")


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas data frame, without importing pandas."""
    return type(value).__module__.split(".")[0] == "pandas" and hasattr(value, "columns")


def is_array(value: Any) -> bool:
    """Return whether a value is a numpy array, a tensor, a pandas series or a list."""
    return hasattr(value, "__array__") or isinstance(value, Tensor | list)


def is_table_path(value: Any) -> bool:
    """Return whether a value is the path of a table."""
    return isinstance(value, str | Path) and Path(value).suffix.lower() in READERS


def take_data(
    data: Any, target: str | None, model: str, problem: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings and the objects that data stands for.

    Args:
        data: what was passed as ``data``.
        target: column to predict.
        model: name of the task; empty if there is none, or an object.
        problem: ``classification``, ``regression`` or ``raw``, for arrays that are passed on.

    Raises:
        UserError: if the data is of none of the supported kinds.
    """
    settings: dict[str, Any] = {} if target is None else {"data.target": target}
    if hasattr(data, "to_pandas") and not is_frame(data):  # polars and others
        data = data.to_pandas()
    if isinstance(data, Mapping) and "name" in data:
        return settings | {"data": dict(data)}, {}
    if is_table_path(data):
        return {"data.name": "tabular", "data.path": str(data)} | settings, {}
    if isinstance(data, str):
        return {"data.name": data} | settings, {}
    if isinstance(data, type) and issubclass(data, L.LightningDataModule):
        return {"data.name": f"{data.__module__}.{data.__qualname__}"} | settings, {}
    if isinstance(data, L.LightningDataModule):
        return {"data.name": object_name(data)} | settings, {"data": data}
    if is_frame(data):
        if target is None:
            raise UserError(
                'data is a DataFrame: name the column to predict, such as target="price".'
            )
        return {"data.name": "data-frame"} | settings, {"data.frame": data}
    pair = isinstance(data, tuple | list) and len(data) == 2
    if pair and all(is_array(part) or is_frame(part) for part in data):
        return _arrays(data, model, problem)
    loaders = _loaders(data)
    if loaders is not None:
        return {"data.name": object_name(data)}, {"data": loaders}
    raise UserError(f"data of the type {type(data).__name__} is not supported.\nPass {KINDS}.")


def _arrays(data: Any, model: str, problem: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return arrays as they are, or as a table for the tasks on tables."""
    x, y = data
    shape = getattr(x, "shape", None)
    flat = is_frame(x) or len(shape if shape is not None else _shape(x)) == 2
    if flat and (not model or model.startswith("tabular")):
        from gdlightning.errors import require

        require("pandas", "data", "Training a task on tables with arrays")
        import numpy as np
        import pandas as pd

        frame = x.rename(columns=str) if is_frame(x) else array_frame(x)
        labels = np.asarray(y).reshape(len(y), -1)
        if len(frame) != len(labels) or labels.shape[1] != 1:
            raise UserError(
                f"data: X has {len(frame)} rows and y has the shape {np.asarray(y).shape}; y needs "
                "one value per row."
            )
        name = "target" if "target" not in frame.columns else "target_"
        frame = frame.assign(**{name: pd.Series(labels[:, 0], index=frame.index)})
        return {"data.name": "data-frame", "data.target": name}, {"data.frame": frame}
    settings = {"data.name": "arrays", "data.problem": problem or "auto"}
    return settings, {"data.arrays": (x, y)}


def array_frame(x: Any) -> Any:
    """Return an array [N, F] as a data frame with the columns x0, x1, …."""
    import numpy as np
    import pandas as pd

    values = np.asarray(x)
    return pd.DataFrame(values, columns=[f"x{k}" for k in range(values.shape[1])])


def _shape(x: Any) -> tuple[int, ...]:
    import numpy as np

    return np.asarray(x).shape


def _loaders(data: Any) -> GivenLoaders | None:
    """Return a data module of loaders; None if the data is something else."""
    if isinstance(data, Mapping) and set(data) <= set(SPLITS) and "train" in data:
        return GivenLoaders(**data)
    if isinstance(data, tuple | list):
        loaders = all(_is_loader(d) for d in data if d is not None)
        return GivenLoaders(*data) if loaders and 1 <= len(data) <= len(SPLITS) else None
    return GivenLoaders(data) if _is_loader(data) else None


def _is_loader(value: Any) -> bool:
    """Return whether a value can be iterated over again and again; a Dataset has no batches."""
    from torch.utils.data import DataLoader, Dataset

    if isinstance(value, DataLoader):
        return True
    again = hasattr(value, "__iter__") and not hasattr(value, "__next__")
    return again and not isinstance(value, Dataset | str | bytes | Mapping | Tensor | list)
