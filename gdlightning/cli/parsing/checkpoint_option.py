"""The option ``--checkpoint`` of the verbs that read a run."""

from __future__ import annotations

import argparse


def add_option(parser: argparse.ArgumentParser, purpose: str = "weights to use") -> None:
    """Add ``--checkpoint`` to a verb.

    Args:
        parser: parser of the verb.
        purpose: what the checkpoint is for, for the help text.
    """
    parser.add_argument(
        "--checkpoint",
        metavar="best|last|PATH",
        help=f"{purpose}: best (default where a metric was monitored), last, or a file",
    )
