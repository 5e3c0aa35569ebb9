"""Checkpoints by the path of a file or a run, and starting from their weights."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from torch import Tensor

from gdlightning.callbacks.checkpoints import EXACT
from gdlightning.config.expand_paths import expand
from gdlightning.errors import UserError, did_you_mean
from gdlightning.runs.run_folder import versions
from gdlightning.storage.checkpoint_file import KEY, DamagedCheckpointError, candidates, read
from gdlightning.storage.weights import SUFFIX, read_weights


def find_checkpoint(where: str) -> Path:
    """Find the checkpoint file of a path: a file, a run folder, or the folder of its versions.

    Of a run it is the newest one that is whole; damaged ones are named.

    Raises:
        UserError: there is none, or none that can be read.
    """
    path = Path(expand(where, "The path"))
    if path.is_file():
        return path
    if not path.exists():
        near = [str(p) for p in path.parent.glob("*")] if path.parent.is_dir() else []
        raise UserError(f"There is no run or checkpoint {where}.{did_you_mean(where, near)}")
    for folder in (path, *versions(path)):
        found = newest_whole(folder / "checkpoints", to_resume=False)
        if found is not None:
            return found
    raise UserError(f"{where} holds no whole checkpoint (looked for checkpoints/*.ckpt).")


def newest_whole(folder: Path, to_resume: bool = True) -> Path | None:
    """Find the newest checkpoint in a folder that is whole; damaged ones are named.

    It is ``last.ckpt`` or one of those before it, or the best one if that was saved after it, at a
    later step. One that may be good but cannot be read now, such as after an I/O error, is never
    passed over: a run that resumes from an older one would overwrite it.

    Args:
        folder: of a run's checkpoints.
        to_resume: whether it must hold the state of the run, not its weights alone.

    Returns:
        The file; None only where there is no checkpoint at all.

    Raises:
        UserError: all are damaged, or the newest that may be good cannot be read now.
    """
    found = candidates(folder)
    for position, path in enumerate(found):
        older = found[position + 1 :]
        step = _whole_step(path, to_resume, older[0] if older else None)
        if step is None:
            continue
        for later in older:
            if _may_be_later(later, path, step):
                best = _whole_step(later, to_resume, path, exact=True)
                if best is not None and best > step:
                    return later
        return path
    if not found:
        return None
    raise UserError(
        f"None of the {len(found)} checkpoints in {folder} can be used; they were left as they are."
        "\nPut a good copy there, or start a new run."
    )


def _whole_step(path: Path, to_resume: bool, older: Path | None, exact: bool = False) -> int | None:
    """Return the step of a checkpoint; a damaged one is named.

    Args:
        path: the file.
        to_resume: whether it must hold the state of the run, not its weights alone.
        older: the one to use instead, for the message.
        exact: return None, too, for one that was saved within an accumulation window: optimizers
            that evaluate the loss several times per step do not resume there exactly.

    Returns:
        The number of optimizer steps, -1 if it is not known; None if the checkpoint is damaged.

    Raises:
        UserError: it may be good, but cannot be read now.
    """
    try:
        content = read(path)
        record_of(content, path)
        if to_resume:
            check_resumable(content, path)
    except DamagedCheckpointError as error:
        print(f"Passing over {path}: {error}", file=sys.stderr)
        return None
    except UserError as error:
        if older is None:
            raise
        flag = "--resume " if to_resume else ""
        raise type(error)(
            f"{error}\nTo use the checkpoint before it all the same, name it: {flag}{older}"
        ) from error
    if exact and _within_window(content):
        return None
    step = content.get("global_step")
    return step if isinstance(step, int) else -1


def _within_window(content: dict[str, Any]) -> bool:
    """Return whether gradients were accumulated when a checkpoint was saved."""
    try:
        return any(rank["gradients"] for rank in content[EXACT]["ranks"])
    except (LookupError, TypeError):  # another program's
        return False


def _may_be_later(path: Path, than: Path, step: int) -> bool:
    """Return whether a checkpoint was saved after another, at a later step, by time and name.

    The time tells it from one of steps that were left out when the run resumed from before them.
    """
    named = re.search(r"step=(\d+)", path.name)
    later = named is not None and int(named[1]) > step
    return later and path.lstat().st_mtime > than.lstat().st_mtime


def check_resumable(content: dict[str, Any], path: Path) -> None:
    """Refuse a checkpoint of weights alone.

    Raises:
        DamagedCheckpointError: it lacks the state of the optimizer or of the loops.
    """
    whole = {"optimizer_states", "loops"} <= set(content)
    if not whole or not isinstance(content.get("global_step"), int):
        raise DamagedCheckpointError(
            f"{path} holds weights alone, not the state of a run.\n"
            "Start from them with --init_from."
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content: tensors and plain values only, so no code is run.

    Raises:
        UserError: it is damaged, or holds more than weights and plain values.
    """
    return read(path)


def record_of(checkpoint: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return config, sizes and preprocessing in a checkpoint.

    Raises:
        DamagedCheckpointError: it was not written by gdlightning.
    """
    record = checkpoint.get(KEY)
    if not isinstance(record, dict) or not {"config", "sizes", "fitted"} <= set(record):
        raise DamagedCheckpointError(f"{path} was not written by gdl fit: it holds no config.")
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
            f"{', '.join(map(str, list(saved)[:3]))}.",
            key="init_from",
        )
    module.load_state_dict(fitting, strict=False)
    fresh = [k for k in own if k not in fitting]
    print(f"Starting from {path}: {len(fitting)} of {len(own)} tensors", end="")
    print(f"; fresh: {', '.join(fresh[:4])}{', …' if len(fresh) > 4 else ''}." if fresh else ".")


def _fits(saved: Tensor, own: object) -> bool:
    return isinstance(own, Tensor) and own.shape == saved.shape
