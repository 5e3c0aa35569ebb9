"""``gdl predict``: predictions of a trained run for new rows, images, series or prompts."""

from __future__ import annotations

import argparse
from pathlib import Path

from gdlightning.cli.parsing.checkpoint_option import add_option
from gdlightning.errors import UserError

GROUP = "use"
SUMMARY = "Predict new data with a run"
USAGE = "gdl predict RUN --input FILE [--output FILE]"


def main(argv: list[str]) -> int:
    """Read new data, predict, and write or print the predictions.

    Raises:
        UserError: the run, the input or the output cannot be used.
    """
    parser = argparse.ArgumentParser("gdl predict", description=f"{SUMMARY}.")
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
    from gdlightning.runs.choose_checkpoint import choose_checkpoint, report

    chosen = choose_checkpoint(given.run, given.checkpoint)
    if given.input is not None and given.prompt is not None:
        raise UserError("Give either --input FILE or --prompt TEXT.")
    suffix = Path(given.output).suffix if given.output else f".{given.format}"
    if suffix not in (".csv", ".json", ".jsonl", ".parquet"):
        raise UserError(f"--output {given.output}: write .csv, .json, .jsonl or .parquet.")
    if given.output and not Path(given.output).absolute().parent.is_dir():
        raise UserError(f"--output {given.output}: the folder does not exist.")

    from gdlightning.runs.load_run import rebuild
    from gdlightning.runs.predict_run import predict_loaders, predict_source, write_records
    from gdlightning.runs.quiet import quiet

    quiet()
    module, data = rebuild(chosen.path, chosen.content)
    report(chosen)
    if given.prompt is not None:
        generate = getattr(module, "generate", None)
        if generate is None:
            raise UserError(f"{type(module).__name__} cannot continue a prompt; give --input FILE.")
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
    write_records(records, given.output, suffix)
    if given.output:
        print(f"Wrote {len(records):,} predictions to {given.output}")
    return 0
