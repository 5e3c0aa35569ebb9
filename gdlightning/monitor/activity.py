"""Measure the scale of activations and the dead ReLU units in a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RELU_FUNCTIONS = {torch.relu, torch.relu_, F.relu, F.relu_, torch.Tensor.relu, torch.Tensor.relu_}


class Activity(TorchFunctionMode):
    """Context manager that measures one forward pass of a module.

    A unit is a channel of an activation: dimension 1 of a convolution's [B, C, H, W], the last
    dimension otherwise. It is dead if it is 0 for all examples and positions of the batch.

    Args:
        module: The module that is evaluated within ``with Activity(module):``.

    Attributes:
        dead: The fraction of dead ReLU units by submodule, each of shape [].
        scale: The root mean square of the output by submodule with weights, each of shape [].
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.dead: dict[str, Tensor] = {}
        self.scale: dict[str, Tensor] = {}
        self._names: list[str] = []
        self._handles: list[Any] = []

    def __enter__(self) -> Activity:
        for name, part in self.module.named_modules():
            if part is self.module:
                continue
            self._handles.append(part.register_forward_pre_hook(self._entered(name)))
            self._handles.append(part.register_forward_hook(self._left(name), always_call=True))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()
        self._handles, self._names = [], []

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in RELU_FUNCTIONS and isinstance(found, Tensor):
            self._count_dead(found.detach())
        return found

    def _count_dead(self, output: Tensor) -> None:
        if output.ndim < 2:
            return
        units = 1 if output.ndim == 4 else output.ndim - 1
        others = [d for d in range(output.ndim) if d != units]
        name = self._names[-1] if self._names else "net"
        key, number = name, 2
        while key in self.dead:  # a submodule may apply ReLU twice
            key, number = f"{name} ({number})", number + 1
        self.dead[key] = (output.amax(others) == 0).float().mean()

    def _entered(self, name: str) -> Callable[..., None]:
        return lambda *_: self._names.append(name)

    def _left(self, name: str) -> Callable[..., None]:
        def left(part: nn.Module, inputs: Any, output: Any) -> None:
            self._names.pop()
            weighted = next(part.parameters(recurse=False), None) is not None
            if weighted and isinstance(output, Tensor) and output.is_floating_point():
                wide = torch.promote_types(output.dtype, torch.float32)
                norm = torch.linalg.vector_norm(output.detach(), dtype=wide)
                self.scale[name] = norm / max(1, output.numel()) ** 0.5

        return left
