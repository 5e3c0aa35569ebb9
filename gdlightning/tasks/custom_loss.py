"""Any net with any loss function of outputs and targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from gdlightning.discovery import import_path
from gdlightning.errors import UserError, did_you_mean
from gdlightning.tasks.supervised import Supervised

__all__ = ["CustomLoss"]

INDEXED = ("cross_entropy", "nll_loss", "multi_margin_loss", "gaussian_nll_loss", "ctc_loss")
"""Losses whose targets do not have the shape and type of the outputs."""


class CustomLoss(Supervised):
    """Any net with any loss of outputs and targets; logs the loss alone.

    Args:
        net: network from inputs to outputs.
        loss: a function of ``torch.nn.functional`` with or without ``_loss``, such as mse,
            cross_entropy or huber, or the path of your own, such as my_module.my_loss.
    """

    problem = "raw"

    def __init__(self, net: nn.Module, loss: str | Callable[[Any, Any], Tensor] = "mse") -> None:
        super().__init__(net)
        self.loss_name = loss if isinstance(loss, str) else ""
        self.loss_function = _find_loss(loss) if isinstance(loss, str) else loss

    def loss(self, batch: Any) -> Tensor:
        """Return the loss of a batch ``(inputs, targets)``.

        Raises:
            UserError: if an elementwise loss gets outputs and targets of different shapes, which
                torch would broadcast.
        """
        outputs, targets = self.outputs(batch), batch[1]
        if self.loss_name and self.loss_function.__name__ not in INDEXED:
            if outputs.shape == (*targets.shape, 1):
                outputs = outputs.squeeze(-1)
            if outputs.shape != targets.shape:
                raise UserError(
                    f"model.loss {self.loss_name}: the net's outputs have shape "
                    f"{tuple(outputs.shape)}, the targets {tuple(targets.shape)}.\n"
                    "Return outputs of the shape of the targets, or use loss cross_entropy for "
                    "class numbers."
                )
            targets = targets.to(outputs.dtype)
        return self.loss_function(outputs, targets)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> list[dict[str, Any]]:
        """Return a record per example with the outputs of the net."""
        outputs = self.outputs(batch).detach().cpu().double()
        return output_records(outputs)


def output_records(outputs: Tensor) -> list[dict[str, Any]]:
    """Return a record per example: ``prediction``, or ``prediction_0``, … of several outputs.

    Args:
        outputs: outputs [B], [B, 1] or [B, ...].
    """
    flat = outputs.reshape(len(outputs), -1)
    if flat.shape[1] == 1:
        return [{"prediction": value} for value in flat[:, 0].tolist()]
    return [{f"prediction_{k}": v for k, v in enumerate(row)} for row in flat.tolist()]


def _find_loss(name: str) -> Callable[[Any, Any], Tensor]:
    """Return a loss function by name or path.

    Raises:
        UserError: if there is none.
    """
    if name.startswith("object:"):
        return _missing
    if "." in name:
        found = import_path(name, "model.loss")
        if isinstance(found, type) and issubclass(found, nn.Module):
            found = found()
    else:
        found = getattr(F, name, None) or getattr(F, f"{name}_loss", None)
    if not callable(found) or not (name.endswith("loss") or "." in name or _is_loss(found)):
        known = sorted(n.removesuffix("_loss") for n in dir(F) if n.endswith("_loss"))
        known += ["cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits"]
        raise UserError(
            f"model.loss: there is no loss {name}.{did_you_mean(name, known)}\n"
            f"There are {', '.join(sorted(known))}; or give a path such as my_module.my_loss."
        )
    loss: Callable[[Any, Any], Tensor] = found
    return loss


def _is_loss(found: Any) -> bool:
    name = getattr(found, "__name__", "")
    return name.endswith("_loss") or "cross_entropy" in name


def _missing(outputs: Any, targets: Any) -> Tensor:
    raise UserError(
        "The loss of this run is a Python object that its config cannot store.\n"
        "Pass it: gdl.load(RUN, loss=...)."
    )
