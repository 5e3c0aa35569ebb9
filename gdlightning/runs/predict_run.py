"""Predictions of a run's module for new examples, or for its own ``predict_dataloader``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from gdlightning.data.data_module import DataModule
from gdlightning.data.loader import Rows
from gdlightning.errors import UserError, require
from gdlightning.storage.atomic_write import write_text
from gdlightning.tasks.custom_loss import output_records

Records = list[dict[str, Any]]


def reads_files(data: Any) -> bool:
    """Return whether a data module can read new examples."""
    if isinstance(data, DataModule):
        return type(data).read is not DataModule.read
    return callable(getattr(data, "read", None))


def has_predict_loader(module: L.LightningModule, data: Any) -> bool:
    """Return whether the module or its data module defines ``predict_dataloader``."""
    own = is_overridden("predict_dataloader", module)
    return own or (data is not None and is_overridden("predict_dataloader", data))


def can_predict(module: L.LightningModule) -> bool:
    """Return whether the module defines ``predict_step``, or ``forward``, which it calls."""
    return is_overridden("predict_step", module) or is_overridden("forward", module)


def predict_hint(module: L.LightningModule, data: Any) -> str:
    """Return the arguments of ``gdl predict RUN`` that work for a module; empty if none do."""
    if not can_predict(module):
        return ""
    if callable(getattr(module, "generate", None)) and isinstance(data, DataModule):
        return "--prompt TEXT"
    if reads_files(data):
        return "--input FILE --output predictions.csv"
    return "--output predictions.csv" if has_predict_loader(module, data) else ""


def predict_source(module: Any, data: Any, source: Any, batch_size: int = 256) -> Records:
    """Return one record per example of a source, in its order.

    Args:
        module: the module, with its weights.
        data: its data module, with its preprocessing.
        source: path of new examples, or what else the data module reads.
        batch_size: examples per batch.

    Raises:
        UserError: if the data module reads no new examples, or the source holds none.
    """
    check_can_predict(module)
    if not reads_files(data):
        name = "The run has no data module, so it" if data is None else type(data).__name__
        raise UserError(
            f"{name} cannot read new examples from a file: it has no method read(path).\n"
            + (
                "Leave --input out to predict the batches of predict_dataloader."
                if has_predict_loader(module, data)
                else "Define read(path) or predict_dataloader, or predict in Python: "
                "gdl.load(RUN).predict(batch)."
            )
        )
    rows = data.read(Path(source) if isinstance(source, str) else source)
    if len(rows) == 0:
        raise UserError(f"{source} has no examples to predict.")
    records = predict_rows(module, rows, batch_size)
    labels = getattr(rows, "labels", None)
    if labels is not None:
        records = [{"input": label} | r for label, r in zip(labels, records, strict=True)]
    return records


def predict_rows(module: Any, rows: Rows, batch_size: int = 256) -> Records:
    """Return one record per row."""
    records: Records = []
    module.eval()
    with torch.no_grad():
        for index in torch.arange(len(rows)).split(batch_size):
            batch = rows.take(index)
            try:
                records += as_records(module.predict_step(batch, 0))
            except RuntimeError as error:
                if "shapes cannot be multiplied" not in str(error):
                    raise
                raise UserError(
                    "The network of this run cannot use the preprocessed input: "
                    f"{str(error).splitlines()[0]}."
                ) from error
    return records


def predict_loaders(module: L.LightningModule, data: Any) -> Records:
    """Return the predictions for the batches of ``predict_dataloader``.

    Raises:
        UserError: if neither the module nor its data module defines one.
    """
    check_can_predict(module)
    if not has_predict_loader(module, data):
        names = [type(o).__name__ for o in (module, data) if o is not None]
        raise UserError(
            f"{' and '.join(names)} {'have' if len(names) > 1 else 'has'} no predict_dataloader.\n"
            + (
                "Give new examples: --input FILE."
                if reads_files(data)
                else "Define one, or predict in Python: gdl.load(RUN).predict(batch)."
            )
        )
    trainer = plain_trainer()
    own = None if data is None or not is_overridden("predict_dataloader", data) else data
    outputs = trainer.predict(module, datamodule=own, return_predictions=True) or []
    return [record for batch in _batches(outputs) for record in as_records(batch)]


def plain_trainer() -> L.Trainer:
    """Return a Trainer that evaluates and writes nothing."""
    return L.Trainer(
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def check_can_predict(module: L.LightningModule) -> None:
    """Check that a module makes predictions.

    Raises:
        UserError: if it defines neither ``predict_step`` nor ``forward``.
    """
    if not can_predict(module):
        raise UserError(
            f"{type(module).__name__} cannot predict: it defines neither predict_step nor forward."
        )


def as_records(outputs: Any) -> Records:
    """Return the output of a ``predict_step`` as one record per example.

    Args:
        outputs: a list of records; a tensor [B, ...]; or a mapping or tuple of tensors [B, ...].
    """
    if isinstance(outputs, list) and all(isinstance(o, dict) for o in outputs):
        return outputs
    if isinstance(outputs, Tensor):
        plain = outputs.detach().cpu()
        return output_records(plain if plain.ndim else plain.reshape(1))
    if isinstance(outputs, Mapping):
        named = dict(outputs)
    elif isinstance(outputs, tuple | list):
        named = {f"output_{k}": value for k, value in enumerate(outputs)}
    else:
        return [{"prediction": outputs}]
    columns = {str(k): _column(v) for k, v in named.items()}
    if len({len(column) for column in columns.values()}) != 1:
        return [{"prediction": str(outputs)}]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(value: Any) -> list[Any]:
    if isinstance(value, Tensor):
        found: Any = value.detach().cpu().tolist()
        return found if isinstance(found, list) else [found]
    return list(value) if isinstance(value, tuple | list) else [value]


def _batches(outputs: Any) -> list[Any]:
    """Return the outputs of all batches, of one loader or of several."""
    several = outputs and all(isinstance(o, list) for o in outputs)
    nested = several and not all(isinstance(r, dict) for o in outputs for r in o)
    return [batch for loader in outputs for batch in loader] if nested else list(outputs)


def write_records(records: list[dict[str, Any]], output: str | None, suffix: str) -> None:
    """Write records in the format of ``suffix``, atomically; print them without ``output``."""
    if suffix == ".parquet" and output:
        require("pyarrow", "data", "A .parquet file")
        import pyarrow
        import pyarrow.parquet

        temporary = Path(output).with_suffix(".parquet.tmp")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), temporary)
        temporary.replace(output)
        return
    if suffix == ".csv":
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        text = stream.getvalue()
    elif suffix == ".jsonl":
        text = "".join(json.dumps(r) + "\n" for r in records)
    else:
        text = json.dumps(records, indent=2) + "\n"
    if output is None:
        print(text, end="")
        return
    write_text(Path(output), text)
