"""``gdl export``: a trained run as one file that can be used without gdlightning."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gdlightning.cli.parsing.checkpoint_option import add_option
from gdlightning.errors import UserError

GROUP = "use"
SUMMARY = "Export the weights or the computation of a run to one file"
USAGE = "gdl export RUN --output FILE.safetensors"

FORMATS = {".safetensors": "safetensors", ".onnx": "onnx", ".pt2": "pt2"}


def main(argv: list[str]) -> int:
    """Write the weights, or the whole computation, of a run.

    Raises:
        UserError: the run or the output cannot be used, or the network cannot be exported.
    """
    parser = argparse.ArgumentParser("gdl export", description=f"{SUMMARY}.")
    parser.add_argument("run", help="a run folder, or a checkpoint")
    parser.add_argument(
        "--output", required=True, help="a .safetensors (weights), .pt2 or .onnx file"
    )
    add_option(parser)
    parser.add_argument(
        "--format", choices=sorted(FORMATS.values()), help="by default the suffix of --output"
    )
    given = parser.parse_args(argv)
    output = Path(given.output)
    kind = given.format or FORMATS.get(output.suffix)
    if kind is None:
        raise UserError(f"--output {output}: write {', '.join(FORMATS)}, or give --format.")
    if not output.absolute().parent.is_dir():
        raise UserError(f"--output {output}: the folder {output.parent} does not exist.")
    from gdlightning.runs.choose_checkpoint import choose_checkpoint, report
    from gdlightning.runs.export_run import export

    chosen = choose_checkpoint(given.run, given.checkpoint)
    report(chosen)
    for note in export(str(chosen.path), output, kind):
        print(note, file=sys.stderr)
    print(f"Wrote {output} ({output.stat().st_size:,} bytes).")
    return 0
