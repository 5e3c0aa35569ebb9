"""Nets and tasks from options and sizes; sizes that are not set come from the data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.errors import UserError

OUTPUTS = (
    "num_classes",
    "n_classes",
    "num_outputs",
    "n_outputs",
    "out_features",
    "output_dim",
    "output_size",
    "out_dim",
    "num_labels",
)
INPUTS = (
    "in_features",
    "input_dim",
    "input_size",
    "in_dim",
    "n_features",
    "num_features",
    "n_inputs",
    "num_inputs",
)
CHANNELS = ("in_channels", "in_chans", "input_channels", "num_channels")
LINKED = {*OUTPUTS, *INPUTS, *CHANNELS}
"""Names of sizes in the constructors of third-party nets."""


def is_third_party(cls: Any) -> bool:
    """Return whether a class is not one of gdlightning."""
    return not str(cls.__module__).startswith("gdlightning.")


def third_party_sizes(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes of the data under the names that third-party nets use, too.

    Args:
        sizes: name → value, as ``DataModule.sizes`` returns them.
    """
    found = dict(sizes)
    inputs = sizes.get("features", sizes.get("channels"))
    if "numeric" in sizes and "cardinalities" in sizes:
        inputs = sizes["numeric"] + sum(sizes["cardinalities"])
    for names, value in (
        (OUTPUTS, sizes.get("outputs")),
        (INPUTS, inputs),
        (CHANNELS, sizes.get("channels")),
    ):
        found |= {name: value for name in names if value is not None and name not in sizes}
    return found


def construct(cls: Any, options: Mapping[str, Any], sizes: Mapping[str, Any], where: str) -> Any:
    """Return an instance of a net or task.

    Args:
        cls: its class.
        options: arguments that the config sets; None means not set.
        sizes: arguments that the data determines.
        where: section of the config, for messages.

    Raises:
        UserError: if an argument is missing, or the class raises an error.
    """
    arguments = dict(options)
    if is_third_party(cls):
        sizes = third_party_sizes(sizes)
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name in sizes and arguments.get(name) is None:
            arguments[name] = sizes[name]
        if name in ("self", "args", "kwargs") or arguments.get(name) is not None:
            continue
        if parameter.default is parameter.empty:
            raise UserError(
                f"{cls.__name__} needs {name} ({where}.{name}), which the data does not tell.\n"
                f"Set {where}.{name}, or choose another data module."
            )
        if name in LINKED:  # the data has no such size: the default of the class applies
            arguments.pop(name, None)
    try:
        return cls(**arguments)
    except (
        ValueError,
        TypeError,
        AssertionError,
        LookupError,
        ArithmeticError,
        RuntimeError,
        MemoryError,
    ) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{cls.__name__} can't be built ({where}): {first}") from error


class OneInput:
    """Forward pre-hook that joins the inputs of a table for a net with a single input.

    Numeric features [B, F] and codes [B, C] become one tensor [B, F + sum(cardinalities)], with
    each code as a one-hot vector.

    Args:
        cardinalities: number of categories of each categorical column.
    """

    def __init__(self, cardinalities: list[int]) -> None:
        self.cardinalities = cardinalities

    def __call__(self, net: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        """Return the joined input; other inputs stay as they are."""
        if len(inputs) != 2:
            return None
        numeric, codes = inputs
        parts = [F.one_hot(codes[:, k], c).to(numeric) for k, c in enumerate(self.cardinalities)]
        return torch.cat([numeric, *parts], dim=1) if parts else numeric


def adapt(net: nn.Module, sizes: Mapping[str, Any]) -> nn.Module:
    """Let a third-party net with a single input take the rows of a table.

    The names of its weights stay the same.

    Args:
        net: the net, changed in place.
        sizes: name → value, as ``DataModule.sizes`` returns them.
    """
    table = "numeric" in sizes and "cardinalities" in sizes
    hooked = any(isinstance(hook, OneInput) for hook in net._forward_pre_hooks.values())
    if table and not hooked and is_third_party(type(net)) and _required_inputs(net) == 1:
        net.register_forward_pre_hook(OneInput(list(sizes["cardinalities"])))
    return net


def _required_inputs(net: nn.Module) -> int:
    """Return the number of inputs without which ``forward`` cannot be called; -1 if any number."""
    parameters = inspect.signature(net.forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return -1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)
