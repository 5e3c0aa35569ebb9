"""Predict new data with a trained run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import torch

from gdlightning.errors import UserError, require
from gdlightning.storage.atomic_write import write_text


def predict_file(
    module: Any, data: Any, source: Path, batch_size: int = 256
) -> list[dict[str, Any]]:
    """Return one record per example of ``source``, in its order.

    Raises:
        UserError: the file has no examples, or the network cannot use them.
    """
    rows = data.read(source)
    if len(rows) == 0:
        raise UserError(f"{source} has no examples to predict.")
    records: list[dict[str, Any]] = []
    module.eval()
    with torch.no_grad():
        for index in torch.arange(len(rows)).split(batch_size):
            batch = rows.take(index)
            try:
                records += module.predict_step(batch, 0)
            except RuntimeError as error:
                if "shapes cannot be multiplied" not in str(error):
                    raise
                raise UserError(
                    "The network of this run cannot use the preprocessed input: "
                    f"{str(error).splitlines()[0]}."
                ) from error
    labels = getattr(rows, "labels", None)
    if labels is not None:
        records = [{"input": label} | r for label, r in zip(labels, records, strict=True)]
    return records


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
