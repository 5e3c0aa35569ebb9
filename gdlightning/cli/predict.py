"""``gdl predict``: predictions of a trained run for new rows, images, series or prompts."""

from __future__ import annotations

import argparse
import csv
import io
import json
from pathlib import Path
from typing import Any

from gdlightning.cli.checkpoint_option import add_option
from gdlightning.errors import UserError, require


def main(argv: list[str]) -> int:
    """Read new data, predict, write a file.

    Raises:
        UserError: run, input or output can't be used.
    """
    parser = argparse.ArgumentParser("gdl predict", description=__doc__.strip("`"))
    parser.add_argument("run", help="a run folder, or a checkpoint")
    add_option(parser)
    parser.add_argument(
        "--input",
        help="new data: a table, an image or folder, a text file; by default the batches of "
        "predict_dataloader",
    )
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
    if given.input is not None and given.prompt is not None:
        raise UserError("Give either --input FILE or --prompt TEXT.")
    suffix = Path(given.output).suffix if given.output else f".{given.format}"
    if suffix not in (".csv", ".json", ".jsonl", ".parquet"):
        raise UserError(f"--output {given.output}: write .csv, .json, .jsonl or .parquet.")
    if given.output and not Path(given.output).absolute().parent.is_dir():
        raise UserError(f"--output {given.output}: there is no such folder.")

    from gdlightning.runs.choose_checkpoint import choose_checkpoint, report
    from gdlightning.runs.load_run import rebuild
    from gdlightning.runs.predict_run import predict_loaders, predict_source
    from gdlightning.runs.quiet import quiet

    quiet()
    chosen = choose_checkpoint(given.run, given.checkpoint)
    module, data = rebuild(chosen.path, chosen.content)
    report(chosen)
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
    elif given.input is None:
        records = predict_loaders(module, data)
        if not records:
            raise UserError(f"{type(module).__name__} made no predictions.")
    else:
        records = predict_source(module, data, given.input)
    write(records, given.output, suffix)
    if given.output:
        print(f"Wrote {len(records):,} predictions to {given.output}")
    return 0


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
