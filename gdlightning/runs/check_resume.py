"""The self-check of ``gdl fit --check_resume N``: does this very training resume exactly?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from gdlightning.config.schema import Config
from gdlightning.errors import UserError
from gdlightning.runs.run_folder import plain
from gdlightning.storage.checkpoint_file import read

IGNORED = ("log_ends", "best_path", "best_score_path")
"""Keys of a checkpoint that hold paths or sizes of files, which differ between two runs."""
PARTS = {
    "state_dict": "the weights and buffers of the model",
    "optimizer_states": "the state of the optimizer",
    "lr_schedulers": "the state of the learning-rate schedule",
    "callbacks": "the state of a callback",
    "loops": "the counters of Lightning's loops",
    "exact": "random states, metrics or the position of the data",
}
"""What a part of a checkpoint holds, by its key."""
SHOWN = 5
"""Differences that are named."""


def check_resume(config: Config, steps: int) -> int:
    """Train twice as many steps in one go and in two processes, and compare all bits.

    Three processes are started in a temporary folder, which is removed: one trains ``2 * steps``
    optimizer steps; one stops after ``steps`` and saves; one restores that and trains on. Each
    tensor and value of their last checkpoints is compared.

    Args:
        config: What is trained; nothing is written to its run folder.
        steps: Optimizer steps until the save, and again after it.

    Returns:
        The exit code: 0 where all bits are the same, 1 where some differ.

    Raises:
        UserError: ``steps`` is not positive, or one of the processes failed.
    """
    if steps < 1:
        raise UserError(
            f"check_resume is {steps}; write the number of steps, 1 or more.", key="check_resume"
        )
    with tempfile.TemporaryDirectory(prefix="gdl-check-resume-") as place:
        folder = Path(place)
        print(f"Training {2 * steps:,} steps without interruption …", flush=True)
        whole = _train(config, folder, "whole", 2 * steps)
        print(f"Training {steps:,} steps, then saving …", flush=True)
        _train(config, folder, "parts", steps)
        print("Resuming in a new process …", flush=True)
        parts = _train(config, folder, "parts", steps)
        found = differences(whole, parts)
        reached = whole["global_step"]
    if not found:
        print(f"Exact: after {reached:,} steps all {_count(whole):,} values of the checkpoint are "
              "the same, bit by bit.")  # fmt: skip
        return 0
    print(f"Not exact: {len(found)} values differ after {reached:,} steps.")
    for path in found[:SHOWN]:
        print(f"  {path}: {PARTS.get(path.partition('.')[0], 'a value of the checkpoint')}")
    if len(found) > SHOWN:
        print(f"  and {len(found) - SHOWN} more")
    print("The first to differ is often the cause: see the page about resuming, reliability.md.")
    return 1


def _train(config: Config, folder: Path, name: str, steps: int) -> dict[str, Any]:
    """Train in a process of its own, and return the last checkpoint.

    Raises:
        UserError: It ended otherwise than by its end or the limit of steps.
    """
    values = plain(config.values) | {
        "name": name, "run_root": str(folder / "runs"), "resume": "auto", "loggers": [],
        "stop_after": steps, "check_resume": None, "max_time": None, "overwrite": False,
    }  # fmt: skip
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    command = [sys.executable, "-m", "gdlightning", "fit", "--config", str(file),
               "--trainer.enable_progress_bar", "false"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode not in (0, 75):
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise UserError(
            f"check_resume: the run ended with exit code {done.returncode}: "
            f"{lines[-1] if lines else 'no message'}",
            key="check_resume",
        )
    for line in done.stderr.splitlines():
        if line.startswith("Note:") and name == "whole":
            print(line)
    return read(folder / "runs" / name / "version_0" / "checkpoints" / "last.ckpt")


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the paths of all values in which two checkpoints differ, in a fixed order."""
    ours, theirs = dict(_values(one)), dict(_values(other))
    return [path for path in dict.fromkeys((*ours, *theirs))
            if path not in ours or path not in theirs or ours[path] != theirs[path]]  # fmt: skip


def _values(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    order = [*PARTS, *(k for k in content if k not in PARTS and k != "gdlightning")]
    for key in order:
        if key in content:
            yield from _flat(content[key], key)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each leaf with its path, tensors as their bytes."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in IGNORED:
                yield from _flat(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        yield f"{path}.length", len(value)
        for k, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{k}]")
    elif isinstance(value, torch.Tensor):
        yield path, (str(value.dtype), tuple(value.shape), _bytes(value))
    elif isinstance(value, np.ndarray | np.generic):
        yield path, (str(value.dtype), value.shape, value.tobytes())
    else:
        yield path, json.dumps(value) if isinstance(value, float) else repr(value)


def _bytes(value: torch.Tensor) -> bytes:
    dense = value.to_dense() if value.layout != torch.strided else value
    return dense.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _count(content: Mapping[str, Any]) -> int:
    return sum(1 for _ in _values(content))
