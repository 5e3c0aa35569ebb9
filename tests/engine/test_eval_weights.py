"""Schedule-free optimizers evaluate other weights than they train."""

from __future__ import annotations

from typing import Any

import torch
from helpers import Run

SHORT = (
    "--trainer.max_epochs",
    "4",
    "--optimizer",
    "schedule-free-adamw",
    "--schedule",
    "constant",
)


def last(name: str) -> dict[str, Any]:
    path = f"runs/{name}/version_0/checkpoints/last.ckpt"
    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


def test_validation_does_not_change_the_run(fit: Run) -> None:
    fit("tabular", *SHORT, "--name", "often")
    fit("tabular", *SHORT, "--name", "never", "--trainer.limit_val_batches", "0")
    often, never = last("often"), last("never")
    for key in ("state_dict", "training_weights"):
        for name, weight in never[key].items():
            assert torch.equal(often[key][name], weight), (key, name)


def test_a_checkpoint_contains_the_evaluation_weights(fit: Run, gdl: Run) -> None:
    fit("tabular", *SHORT)
    from helpers import metrics

    found = last("tabular")
    name = "net.head.weight"
    evaluated, trained = found["state_dict"], found["training_weights"]
    assert not torch.equal(evaluated[name], trained[name])
    again = gdl("test", "runs/tabular", "--format", "json").json()
    assert again["test_loss"] == metrics("tabular")["test_loss"]
