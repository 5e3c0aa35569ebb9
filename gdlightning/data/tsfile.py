"""Read the ``.ts`` format of the UCR and UEA archives."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from gdlightning.errors import UserError, did_you_mean


def read_ts(
    path: str, key: str, channels: int | None = None
) -> tuple[list[Tensor], list[str] | None]:
    """Read series and their class labels.

    On each line, dimensions are separated by colons and values by commas; the class is last.
    Missing values (``?``) are NaN. Shorter dimensions are padded with NaN.

    Args:
        path: The file.
        key: The key of the path in error messages.
        channels: The number of channels of each series, by default that of the first one.

    Returns:
        The series, float64 of shape [T, C] each, and the class labels, or None if there are none.

    Raises:
        UserError: If the file does not exist or a line cannot be parsed.
    """
    file = Path(path)
    if not file.is_file():
        near = [str(p) for p in file.parent.glob("*.ts")] if file.parent.is_dir() else []
        raise UserError(f"{key}: there is no file {path}.{did_you_mean(path, near)}", key=key)
    series: list[Tensor] = []
    labels: list[str] = []
    labelled, inside = False, False
    for number, raw in enumerate(
        file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1
    ):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("@"):
            word = line.lower().split()
            labelled = labelled or (word[0] == "@classlabel" and word[1:2] == ["true"])
            inside = inside or word[0] == "@data"
            continue
        if not inside:
            raise UserError(
                f"{key}: {path}, line {number}: there are values before @data.", key=key
            )
        *parts, last = line.split(":")
        if labelled:
            labels.append(last.strip())
        else:
            parts.append(last)
        steps = _steps(parts, path, number, key)
        channels = channels or steps.shape[1]
        if steps.shape[1] != channels:
            raise UserError(
                f"{key}: {path}, line {number}: expected {channels} dimensions, got "
                f"{steps.shape[1]}.",
                key=key,
            )
        series.append(steps)
    if not series:
        raise UserError(f"{key}: {path} contains no series after @data.", key=key)
    return series, labels if labelled else None


def _steps(parts: list[str], path: str, number: int, key: str) -> Tensor:
    try:
        channels = [
            torch.tensor(
                [float("nan") if v.strip() in ("?", "") else float(v) for v in p.split(",")],
                dtype=torch.float64,
            )
            for p in parts
        ]
    except ValueError as error:
        raise UserError(f"{key}: {path}, line {number}: {error}.", key=key) from error
    if not channels:
        raise UserError(f"{key}: {path}, line {number} contains no values.", key=key)
    if any(c.isinf().any() for c in channels):
        raise UserError(
            f"{key}: {path}, line {number} contains an infinite value; write ? instead.", key=key
        )
    return torch.nn.utils.rnn.pad_sequence(channels, padding_value=float("nan"))
