"""Read and write weights in the safetensors format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gdlightning.errors import UserError, require
from gdlightning.storage.atomic_write import open_atomic

SUFFIX = ".safetensors"


def write_weights(state: Mapping[str, Any], metadata: dict[str, str], path: Path) -> list[str]:
    """Write a state dict atomically. Tied weights are stored under each of their names.

    Args:
        state: The state dict.
        metadata: Strings that are stored in the header of the file.
        path: The ``.safetensors`` file.

    Returns:
        The names of entries that are not tensors, which the format does not support.

    Raises:
        UserError: If the format does not support a tensor.
        StorageError: If the file cannot be written.
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
        raise UserError(f"{path}: safetensors does not support a tensor: {error}") from error
    with open_atomic(path) as stream:
        stream.write(raw)
    return [name for name in state if name not in tensors]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file.

    Raises:
        UserError: If the file is damaged or does not exist.
    """
    require("safetensors", "export", f"A {SUFFIX} file")
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(path)
    except Exception as error:  # safetensors, torch and the system raise different errors
        first = str(error).strip().split("\n")[0]
        raise UserError(f"The weights {path} cannot be read: {first}") from error
    return found
