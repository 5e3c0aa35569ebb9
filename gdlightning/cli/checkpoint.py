"""Checkpoints by the path of a file or a run, and starting from their weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from torch import Tensor

from gdlightning.cli.folder import number
from gdlightning.errors import UserError, did_you_mean
from gdlightning.storage.checkpoint import KEY, candidates, read
from gdlightning.storage.weights import SUFFIX, read_weights


def find_checkpoint(where: str) -> Path:
    """The checkpoint file of a path: a file, a run folder, or the folder of a run's versions.

    Of a run it is the newest one that is whole; damaged ones are named.

    Raises:
        UserError: there is none.
    """
    path = Path(where)
    if path.is_file():
        return path
    if not path.exists():
        near = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"There is no run or checkpoint {where}.{did_you_mean(where, near)}")
    for folder in (path, *sorted(path.glob("version_*"), key=number, reverse=True)):
        found = newest_whole(folder / "checkpoints")
        if found is not None:
            return found
    raise UserError(f"{where} holds no whole checkpoint (looked for checkpoints/*.ckpt).")


def newest_whole(folder: Path) -> Path | None:
    """The newest checkpoint in a folder that is whole and can be read; others are named."""
    for path in candidates(folder):
        try:
            record_of(read(path), path)
            return path
        except UserError as error:
            print(f"Passing over {path}: {error}", file=sys.stderr)
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content; only tensors and plain values are read, no code is run.

    Raises:
        UserError: it is damaged, or holds more than weights and plain values.
    """
    return read(path)


def record_of(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Config, sizes and preprocessing in a checkpoint.

    Raises:
        UserError: it was not written by gdlightning.
    """
    record = checkpoint.get(KEY)
    if not isinstance(record, dict) or not {"config", "sizes", "fitted"} <= set(record):
        raise UserError(f"{path} was not written by gdl fit: it holds no config.")
    return record


def init_from(module: L.LightningModule, where: str) -> None:
    """Start from a checkpoint's weights; those of another shape (a new head) stay fresh.

    Args:
        module: the model.
        where: a checkpoint, a run, or a .safetensors file.

    Raises:
        UserError: no checkpoint is there, or none of its weights fits.
    """
    path = find_checkpoint(where)
    saved = read_weights(path) if path.suffix == SUFFIX else read_checkpoint(path)["state_dict"]
    own = module.state_dict()
    fitting = {k: v for k, v in saved.items() if isinstance(v, Tensor) and _fits(v, own.get(k))}
    if not fitting:
        raise UserError(
            f"init_from: no weight of {path} fits this model.\n"
            f"The model begins with {', '.join(list(own)[:3])}; the checkpoint with "
            f"{', '.join(map(str, list(saved)[:3]))}."
        )
    module.load_state_dict(fitting, strict=False)
    fresh = [k for k in own if k not in fitting]
    print(f"Starting from {path}: {len(fitting)} of {len(own)} tensors", end="")
    print(f"; fresh: {', '.join(fresh[:4])}{', …' if len(fresh) > 4 else ''}." if fresh else ".")


def _fits(saved: Tensor, own: object) -> bool:
    return isinstance(own, Tensor) and own.shape == saved.shape
