"""Stacked runs equal separate runs, and unsupported cases are an error."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn

import gdlightning as gdl
from gdlightning.data.tabular import SklearnTabular
from gdlightning.nets.mlp import MLP
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.registry import entries, installed
from gdlightning.study.stacked_optimizer import accepted
from gdlightning.study.train_many import Trained, Variation, train_many
from gdlightning.tasks.tabular import TabularClassification

STEPS = 50
SUPPORTED = (
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "lion",
    "momentum",
    "nadam",
    "radam",
    "rmsprop",
    "sgd",
)
"""Optimizers that must support stacking; others are found by trial."""


def data() -> SklearnTabular:
    made = SklearnTabular(dataset="iris", batch_size=16)
    made.setup()
    return made


def task() -> TabularClassification:
    return TabularClassification(MLP(4, [], 3, hidden=[8]), outputs=3).double()


def one_by_one(
    made: Callable[[], Any], variation: Variation, optimizer: str, **options: Any
) -> dict[str, Tensor]:
    """Return the weights of a run with a Trainer."""
    L.seed_everything(variation.seed, verbose=False)
    module, own = made(), data()
    own.seed = variation.seed
    given = {"lr": variation.lr, "weight_decay": variation.weight_decay}
    settings = {"name": optimizer} | {k: v for k, v in given.items() if v is not None}
    gdl.optimize(module, settings, **options)
    trainer = L.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        precision="64-true",
        limit_val_batches=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, datamodule=own)
    return dict(module.state_dict())


class Doubled(SklearnTabular):
    """Iris in float64."""

    def load(self) -> Any:
        from gdlightning.data.loader import Subset

        found = super().load()
        for rows in found.values():
            inner: Any = rows.rows if isinstance(rows, Subset) else rows
            inner.tensors = _double(inner.tensors)
        return found


def _double(tensors: Any) -> Any:
    if isinstance(tensors, Tensor):
        return tensors.double() if tensors.is_floating_point() else tensors
    return tuple(_double(t) for t in tensors)


def at_once(
    made: Callable[[], Any], variations: list[Variation], optimizer: str, **options: Any
) -> list[Trained]:
    own = Doubled(dataset="iris", batch_size=16)
    return train_many(made, own, variations, steps=STEPS, optimizer=optimizer, **options)


def check(found: list[Trained], optimizer: str, made: Callable[[], Any], **options: Any) -> None:
    for one in found:
        alone = one_by_one(made, one.variation, optimizer, **options)
        for name, weight in one.state_dict.items():
            assert torch.allclose(weight, alone[name], rtol=1e-6, atol=1e-8), (
                one.variation,
                name,
                float((weight - alone[name]).abs().max()),
            )


def everyone() -> list[str]:
    """Return the optimizers that support stacking."""
    found = []
    for entry in entries():
        if entry.refused or entry.device or not installed(entry) or ":" in entry.name:
            continue
        try:
            accepted(Choice.of(entry.name))
        except gdl.UserError:
            continue
        found.append(entry.name)
    return found


@pytest.mark.parametrize("optimizer", everyone())
def test_supported_optimizers_take_the_same_steps(optimizer: str) -> None:
    lr = Choice.of(optimizer).value("lr")
    decays = Choice.of(optimizer).value("weight_decay") is not None
    variations = [
        Variation(lr=lr * f, weight_decay=0.05 * f if decays else None) for f in (0.3, 1.0, 2.0)
    ]
    check(at_once(task, variations, optimizer), optimizer, task)


def test_common_optimizers_are_supported() -> None:
    assert set(SUPPORTED) <= set(everyone())


def test_seeds_set_weights_and_order() -> None:
    variations = [Variation(seed=s, lr=lr) for s in (0, 3) for lr in (1e-3, 1e-2)]
    check(at_once(task, variations, "adamw"), "adamw", task)


@pytest.mark.parametrize("schedule", ["cosine", {"name": "linear", "warmup": 10}])
def test_schedule_clipping_and_groups(schedule: Any) -> None:
    options = {"schedule": schedule, "clip": 0.3, "groups": gdl.Grouping(layer_decay=0.5)}
    variations = [Variation(lr=lr, weight_decay=0.1) for lr in (1e-3, 1e-1)]
    check(at_once(task, variations, "adamw", **options), "adamw", task, **options)


def test_frozen_weights_do_not_change() -> None:
    options = {"groups": gdl.Grouping(freeze=["net.layers.*"])}
    variations = [Variation(lr=lr) for lr in (1e-3, 1e-1)]
    check(at_once(task, variations, "adamw", **options), "adamw", task, **options)


def dropping() -> TabularClassification:
    net = MLP(4, [], 3, hidden=[8, 8], dropout=0.3)
    return TabularClassification(net, outputs=3).double()


@pytest.mark.parametrize("trace", [False, True])
def test_dropout_equals_a_run_with_the_same_seed(trace: bool) -> None:
    variations = [Variation(lr=lr) for lr in (1e-3, 1e-2)]
    check(at_once(dropping, variations, "sgd", trace=trace), "sgd", dropping)


class Normed(gdl.Classification):
    """Task with running statistics per copy."""

    def __init__(self) -> None:
        net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
        super().__init__(net.double(), outputs=3)

    def forward(self, *inputs: Tensor) -> Tensor:
        found: Tensor = self.net(inputs[0])
        return found


@pytest.mark.parametrize("trace", [False, True])
def test_running_statistics(trace: bool) -> None:
    variations = [Variation(lr=lr) for lr in (1e-3, 1e-2)]
    check(at_once(Normed, variations, "sgd", trace=trace), "sgd", Normed)


def test_validation_loss_equals_that_of_the_weights() -> None:
    found = at_once(task, [Variation(lr=lr) for lr in (1e-3, 1e-1)], "adamw")
    own = Doubled(dataset="iris", batch_size=16)
    own.setup()
    for one in found:
        module = task().eval()
        module.load_state_dict(one.state_dict)
        (batch,) = own.val_dataloader()
        assert one.val_loss == pytest.approx(float(module.loss(batch).detach()))
        assert len(one.losses) == STEPS
        assert one.losses[-1] < one.losses[0]


@pytest.mark.parametrize("optimizer", ["lamb", "muon", "sam", "prodigy", "lbfgs", "rprop"])
def test_unsupported_optimizers_are_an_error(optimizer: str) -> None:
    with pytest.raises(gdl.UserError, match=f"{optimizer} cannot train stacked copies"):
        at_once(task, [Variation(lr=1e-3)], optimizer)


class Recurrent(gdl.Classification):
    """LSTM over one step."""

    def __init__(self) -> None:
        super().__init__(nn.LSTM(4, 3, batch_first=True).double(), outputs=3)

    def forward(self, *inputs: Tensor) -> Tensor:
        found: Tensor = self.net(inputs[0].unsqueeze(1))[0][:, -1]
        return found


@pytest.mark.parametrize("trace", [False, True])
def test_recurrent_nets(trace: bool) -> None:
    variations = [Variation(lr=lr) for lr in (1e-3, 1e-2)]
    check(at_once(Recurrent, variations, "adamw", trace=trace), "adamw", Recurrent)


def test_unsupported_nets_are_an_error() -> None:
    class Chooses(Recurrent):
        def forward(self, *inputs: Tensor) -> Tensor:
            found = super().forward(*inputs)
            return found + found[found > 0].mean()

    with pytest.raises(gdl.UserError, match="The net cannot be trained as stacked copies"):
        at_once(Chooses, [Variation(lr=1e-3), Variation(lr=1e-2)], "adamw")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "reduce-on-plateau"}, "schedule reduce.on.plateau"),
        ({"clip": -1.0}, "max_norm"),
        ({"groups": gdl.Grouping(rules=[gdl.Rule("net.*", lr=1.0)])}, "groups.rules"),
    ],
)
def test_unsupported_options_are_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(gdl.UserError, match=message):
        at_once(task, [Variation(lr=1e-3)], "adamw", **options)
