"""Weights alone, in the safetensors format: tensors by name, which hold no code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gdlightning.errors import UserError, require
from gdlightning.storage.atomic_write import whole

SUFFIX = ".safetensors"


def write_weights(state: Mapping[str, Any], metadata: dict[str, str], path: Path) -> list[str]:
    """Write a state_dict whole or not at all; tied weights stand under each of their names.

    Returns:
        The names of entries that are no tensors, which the format can't hold.

    Raises:
        UserError: a tensor is of a kind that the format can't hold.
        StorageError: the file can't be written.
    """
    require("safetensors", "export", f"A {SUFFIX} file")
    from safetensors.torch import save

    tensors = {
        name: (value.to_dense() if value.is_sparse else value).detach().cpu().clone().contiguous()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    try:
        raw = save(tensors, metadata)
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}: a tensor does not fit the format: {error}") from error
    with whole(path) as stream:
        stream.write(raw)
    return [name for name in state if name not in tensors]


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a file.

    Raises:
        UserError: it is damaged, or no such file.
    """
    require("safetensors", "export", f"A {SUFFIX} file")
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(path)
    except Exception as error:  # of the format, of torch, of the system
        first = str(error).strip().split("\n")[0]
        raise UserError(f"The weights {path} can't be read: {first}") from error
    return found
