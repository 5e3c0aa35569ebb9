"""Checkpoints: finding them, reading them without running code, starting from their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from gdlightning.callbacks.record import KEY
from gdlightning.errors import UserError, did_you_mean


def find_checkpoint(where: str) -> Path:
    """The checkpoint file of a path: a file, a run folder, or the folder of a run's versions.

    Raises:
        UserError: there is none.
    """
    path = Path(where)
    if path.is_file():
        return path
    if not path.exists():
        near = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"There is no run or checkpoint {where}.{did_you_mean(where, near)}")
    for folder in (path, *sorted(path.glob("version_*"), key=_number, reverse=True)):
        found = sorted((folder / "checkpoints").glob("*.ckpt"), key=lambda p: p.stat().st_mtime)
        last = [p for p in found if p.stem.startswith("last")]
        if last or found:
            return (last or found)[-1]
    raise UserError(f"{where} holds no checkpoint (looked for checkpoints/*.ckpt).")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content; only tensors and plain values are read, no code is run.

    Raises:
        UserError: it is damaged, or holds more than weights and plain values.
    """
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        raise UserError(f"The checkpoint {path} can't be read: {first}") from error
    if not isinstance(found, dict) or "state_dict" not in found:
        raise UserError(f"{path} is no checkpoint of a training: it has no state_dict.")
    return found


def record_of(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Config, sizes and preprocessing in a checkpoint.

    Raises:
        UserError: it was not written by gdlightning.
    """
    if KEY not in checkpoint:
        raise UserError(f"{path} was not written by gdl fit: it holds no config.")
    found: dict[str, Any] = checkpoint[KEY]
    return found


def init_from(module: L.LightningModule, where: str) -> None:
    """Start from a checkpoint's weights; those of another shape (a new head) stay fresh.

    Raises:
        UserError: no checkpoint is there, or none of its weights fits.
    """
    path = find_checkpoint(where)
    saved = read_checkpoint(path)["state_dict"]
    own = module.state_dict()
    fitting = {k: v for k, v in saved.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise UserError(
            f"init_from: no weight of {path} fits this model.\n"
            f"The model begins with {', '.join(list(own)[:3])}; the checkpoint with "
            f"{', '.join(list(saved)[:3])}."
        )
    module.load_state_dict(fitting, strict=False)
    fresh = [k for k in own if k not in fitting]
    print(f"Starting from {path}: {len(fitting)} of {len(own)} tensors", end="")
    print(f"; fresh: {', '.join(fresh[:4])}{', …' if len(fresh) > 4 else ''}." if fresh else ".")


def _number(path: Path) -> int:
    tail = path.name.rpartition("_")[2]
    return int(tail) if tail.isdigit() else -1
