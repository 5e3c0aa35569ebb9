"""``gdl predict``: predictions of a trained run for new rows, images, series or prompts."""

from __future__ import annotations

import argparse
import csv
import io
import json
from pathlib import Path
from typing import Any

from gdlightning.errors import UserError, require


def main(argv: list[str]) -> int:
    """Read new data, predict, write a file.

    Raises:
        UserError: run, input or output can't be used.
    """
    parser = argparse.ArgumentParser("gdl predict", description=__doc__.strip("`"))
    parser.add_argument("run", help="a run folder, or a checkpoint")
    parser.add_argument("--input", help="new data: a table, an image or folder, a text file")
    parser.add_argument(
        "--output", help="a .csv, .json, .jsonl or .parquet file; else the terminal"
    )
    parser.add_argument("--prompt", help="text for a language model to continue")
    parser.add_argument("--length", type=int, default=200, help="tokens to add to a prompt")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top_k", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=("csv", "json"), default="csv", help="in the terminal")
    given = parser.parse_args(argv)
    if (given.input is None) == (given.prompt is None):
        raise UserError("Give either --input FILE or --prompt TEXT.")
    suffix = Path(given.output).suffix if given.output else f".{given.format}"
    if suffix not in (".csv", ".json", ".jsonl", ".parquet"):
        raise UserError(f"--output {given.output}: write .csv, .json, .jsonl or .parquet.")
    if given.output and not Path(given.output).absolute().parent.is_dir():
        raise UserError(f"--output {given.output}: there is no such folder.")

    from gdlightning.runs.load_run import restore

    module, data = restore(given.run)
    if given.prompt is not None:
        generate = getattr(module, "generate", None)
        if generate is None:
            raise UserError(f"{type(module).__name__} continues no prompt; give --input FILE.")
        options = {"temperature": given.temperature, "top_k": given.top_k, "seed": given.seed}
        text = generate(given.prompt, given.length, **options)
        records = [{"prompt": given.prompt, "completion": text}]
        if given.output is None:
            print(given.prompt + text)
            return 0
    else:
        records = predict(module, data, Path(given.input))
    write(records, given.output, suffix)
    if given.output:
        print(f"Wrote {len(records):,} predictions to {given.output}")
    return 0


def predict(module: Any, data: Any, source: Path, batch_size: int = 256) -> list[dict[str, Any]]:
    """One record an example of ``source``, in its order."""
    import torch

    rows = data.read(source)
    if len(rows) == 0:
        raise UserError(f"{source} holds nothing to predict.")
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
                    "The net of this run can't take what its preprocessing makes of the input: "
                    f"{str(error).splitlines()[0]}."
                ) from error
    labels = getattr(rows, "labels", None)
    if labels is not None:
        records = [{"input": label} | r for label, r in zip(labels, records, strict=True)]
    return records


def write(records: list[dict[str, Any]], output: str | None, suffix: str) -> None:
    """Write records by suffix, whole or not at all; to the terminal without ``output``."""
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
    from gdlightning.storage.atomic_write import write_text

    write_text(Path(output), text)
