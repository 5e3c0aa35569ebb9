"""Over 30 optimizers equal references from their papers for 20 steps, to within 1e-10.

Everything is in float64, including the scalars of the libraries. The learning rate is halved after
ten steps and ε is large, so that their exact position in the formulas matters. All kinds of
parameters have weight decay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from reference import (
    accumulated,
    adam,
    adam_later,
    factored,
    layerwise,
    lr_free,
    matrix,
    momentum,
    schedule_free,
    second_order,
    sharpness,
    sign,
)
from reference.base import Reference, Rule, Tensorwise, Weights
from torch import Tensor, nn

from gdlightning.optimizers.build import Choice, Context, build
from gdlightning.optimizers.groups import KINDS, Grouping
from gdlightning.optimizers.registry import find

STEPS, HALVED = 20, 10
CLOSE = 1e-10
EPS = 1e-3


@dataclass(frozen=True, eq=False)
class Row:
    """Optimizer and its reference.

    Args:
        name: name of the entry.
        reference: factory of the reference: a rule per tensor, or a whole Reference.
        options: options of both.
        switches: options of the reference that reproduce the library's deviation from the paper.
        package: options of the optimizer alone.
        own: options of the reference alone that are not a deviation.
        widths: widths of the layers of the net.
        case: distinguishes several rows of one optimizer.
    """

    name: str
    reference: Callable[..., Rule | Reference]
    options: Mapping[str, Any]
    switches: Mapping[str, Any] = field(default_factory=dict)
    package: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    widths: tuple[int, int, int, int] = (4, 6, 5, 3)
    case: str = ""


def muon(**settings: Any) -> Reference:
    """Return Muon for the hidden matrices with AdamW as companion."""
    decay = settings["weight_decay"] and 0.01  # default of the companion

    def make(name: str) -> Rule:
        if name in ("0.weight", "2.weight"):
            return matrix.Muon(**settings)
        return adam.AdamW(lr=1e-3, weight_decay=decay, decay_by_rate=True)

    return Tensorwise(make)


def sam(base: type[Rule], rho: float, **settings: Any) -> Reference:
    return sharpness.SAM(Tensorwise(lambda name: base(**settings)), rho)


RATE = {"rate_outside": True}
ADAM = {"lr": 0.02, "eps": EPS}
MOVING = {"lr": 0.1, "momentum": 0.9}
LAMB = {"correct_outside": True, "decay_outside": True, "eps_in_ratio": True, "limit": 10.0}
SOAP = {"eps_outside": True, "sort": True, "float32_qr": True}
ROWS = (
    Row("gd", momentum.GradientDescent, {"lr": 0.1}),
    Row("momentum", momentum.HeavyBall, MOVING, RATE),
    Row("sgd", momentum.Nesterov, MOVING, RATE),
    Row("adagrad", accumulated.Adagrad, {"lr": 0.05, "eps": EPS}),
    Row(
        "rmsprop",
        accumulated.RMSprop,
        {"lr": 0.01},
        {"eps": EPS, "alpha": 0.99},
        package={"eps": EPS},
    ),
    Row("adadelta", accumulated.Adadelta, {"lr": 1.0, "eps": EPS}),
    Row("adam", adam.Adam, ADAM),
    Row("adamw", adam.AdamW, ADAM, {"decay_by_rate": True}),
    Row("nadam", adam.NAdam, ADAM, {"constant_average": True}),
    Row("radam", adam.RAdam, {"lr": 0.02}, {"eps": EPS, "threshold": 5.0}, package={"eps": EPS}),
    Row("adamax", adam.Adamax, {"lr": 0.02}, {"eps": EPS}, package={"eps": EPS}),
    Row(
        "amsgrad",
        adam.AMSGrad,
        {"lr": 0.02, "betas": (0.9, 0.9)},
        {"eps": EPS, "correct": True},
        package={"eps": EPS},
    ),
    Row("lion", sign.Lion, {"lr": 0.01}),
    Row("lamb", layerwise.LAMB, {"lr": 0.002, "eps": EPS}, LAMB),
    Row(
        "lamb", layerwise.LAMB, {"lr": 0.002, "eps": EPS}, LAMB, widths=(4, 400, 3, 3), case="large"
    ),
    Row(
        "lars",
        layerwise.LARS,
        {"lr": 0.1, "trust_coefficient": 0.1},
        {**RATE, "vectors_apart": True},
    ),
    Row("adafactor", factored.Adafactor, {"lr": 0.05, "eps": (0.01, 0.3)}, {"eps_as_floor": True}),
    Row("adabelief", adam.AdaBelief, ADAM),
    Row("adan", adam_later.Adan, ADAM, {"correct": True}),
    Row("adopt", adam_later.ADOPT, ADAM, {"clip_ahead": True}),
    Row("ademamix", adam_later.AdEMAMix, ADAM, {"decay_in_gradient": True}),
    Row(
        "ademamix",
        adam_later.AdEMAMix,
        {**ADAM, "t_alpha_beta3": 15},
        package={"weight_decouple": True},
        case="as-in-the-paper",
    ),
    Row("muon", muon, {"lr": 0.02}, {"scale_tall": True, "normalised": True}),
    Row(
        "soap",
        matrix.SOAP,
        {"lr": 0.02, "eps": EPS, "precondition_frequency": 3},
        SOAP,
        widths=(4, 4, 4, 4),
        case="square",
    ),
    # With a non-square first gradient, rounding determines part of the basis of the longer side.
    Row(
        "soap",
        matrix.SOAP,
        {"lr": 0.02, "eps": EPS, "precondition_frequency": 3, "max_precondition_dim": 4},
        SOAP,
        widths=(4, 6, 3, 5),
        case="one-sided",
    ),
    Row("shampoo", matrix.Shampoo, {"lr": 0.05, "matrix_eps": EPS}),
    Row(
        "sophia-h",
        second_order.SophiaH,
        {"lr": 0.5, "eps": 1e-4, "update_period": 3},
        {"bounded_ratio": True},
        package={"p": 0.05},
        own={"gamma": 0.05},
    ),
    Row("prodigy", lr_free.Prodigy, {"lr": 1.0, "d0": 0.01, "eps": EPS}, {"eps_by_new_d": True}),
    Row(
        "schedule-free-sgd",
        schedule_free.ScheduleFreeSGD,
        {"lr": 0.2},
        {"largest_rate": True},
        own={"beta": 0.9},
    ),
    Row(
        "schedule-free-adamw",
        schedule_free.ScheduleFreeAdamW,
        ADAM,
        {"largest_rate": True, "correct_moment": True},
    ),
    Row(
        "mars",
        adam_later.MARS,
        {**ADAM, "gamma": 0.2, "lr_1d": 0.01, "weight_decay_1d": 0.2},
        {"stale": True, "from_zero": True, "vectors_apart": True, "eps_before_correction": True},
    ),
    Row(
        "laprop",
        adam_later.LaProp,
        ADAM,
        {"eps_before_correction": True, "averaged_rate": True, "float32_correction": True},
        own={"floor": 1e-15},
    ),
    Row("stable-adamw", adam.StableAdamW, {**ADAM, "betas": (0.9, 0.95)}),
    Row(
        "sam",
        functools.partial(sam, momentum.GradientDescent),
        {"lr": 0.1, "rho": 0.2},
        package={"base": "gd"},
    ),
    Row(
        "sam",
        functools.partial(sam, momentum.Nesterov),
        {"lr": 0.1, "rho": 0.2},
        own=RATE,
        case="on-sgd",
    ),  # RATE is a deviation of the base, not of SAM
)
"""One row per reference."""

DECAYS = (0.0, 0.1)
CASES = [
    pytest.param(row, decay, id="-".join(filter(None, (row.name, row.case, "decay" * bool(decay)))))
    for row in ROWS
    for decay in DECAYS
]


class Net:
    """Smooth, non-convex loss that changes with the batch; a ``Problem`` of the references."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        torch.default_generator.manual_seed(0)
        first, second, third, out = widths
        self.module = nn.Sequential(
            nn.Linear(first, second),
            nn.Tanh(),
            nn.Linear(second, third),
            nn.Tanh(),
            nn.Linear(third, out),
        )
        self.inputs, self.targets = torch.randn(3, 8, first), 3 * torch.randn(3, 8, out)
        self.shapes = {name: p.shape for name, p in self.module.named_parameters()}

    def loss(self, step: int, weights: Mapping[str, Tensor]) -> Tensor:
        batch = step % len(self.inputs)
        out: Tensor = torch.func.functional_call(self.module, dict(weights), (self.inputs[batch],))
        return (out - self.targets[batch]).square().add(1.0).log().mean()

    def gradient(self, weights: Weights, step: int) -> Weights:
        at = _tensors(weights)
        return _arrays(at, torch.autograd.grad(self.loss(step, at), list(at.values())))

    def curvature(self, weights: Weights, direction: Weights, step: int) -> Weights:
        at = _tensors(weights)
        slope = torch.autograd.grad(self.loss(step, at), list(at.values()), create_graph=True)
        along = [torch.from_numpy(direction[name]) for name in at]
        return _arrays(at, torch.autograd.grad(slope, list(at.values()), along))

    def noise(self, step: int) -> Weights:
        """Return noise in the order in which the optimizer draws it, group by group."""
        torch.default_generator.manual_seed(step)
        drawn = {name: torch.randn(self.shapes[name]).numpy() for name in self.order()}
        return {name: drawn[name] for name in self.shapes}

    def order(self) -> list[str]:
        """Return parameter names in the order of ``groups``: matrices, vectors, output weight."""
        vectors = [name for name, shape in self.shapes.items() if len(shape) == 1]
        return ["0.weight", "2.weight", *vectors, "4.weight"]

    def weights(self) -> Weights:
        return {n: p.detach().numpy().copy() for n, p in self.module.named_parameters()}


def _tensors(weights: Weights) -> dict[str, Tensor]:
    return {n: torch.from_numpy(w.copy()).requires_grad_() for n, w in weights.items()}


def _arrays(names: Mapping[str, Any], tensors: tuple[Tensor, ...]) -> Weights:
    return {n: t.numpy() for n, t in zip(names, tensors, strict=True)}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@functools.cache
def modes(row: Row) -> bool:
    return "modes" in find(row.name).needs


@functools.cache
def library_path(row: Row, decay: float) -> list[Weights]:
    """Return the weights after each step of the optimizer, including evaluation weights if any."""
    net, needs = Net(row.widths), find(row.name).needs
    settings = {"name": row.name, "weight_decay": decay, **row.options, **row.package}
    if row.name == "muon" and not decay:
        settings["companion"] = {"name": "adamw", "weight_decay": 0.0}
    optimizer: Any = build(Choice.of(settings), net.module, Grouping(decay=KINDS), Context())[0]
    params = dict(net.module.named_parameters())
    path = []
    for step in range(1, STEPS + 1):
        if step == HALVED + 1:
            for group in optimizer.param_groups:
                group["lr"] /= 2

        def closure(step: int = step) -> Tensor:
            loss = net.loss(step, params)
            slopes = torch.autograd.grad(
                loss, list(params.values()), create_graph="second-order" in needs
            )
            for parameter, slope in zip(params.values(), slopes, strict=True):
                parameter.grad = slope
            return loss

        torch.default_generator.manual_seed(step)
        if "closure" in needs:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        path.append(net.weights())
        if modes(row):
            optimizer.eval()
            path.append(net.weights())
            optimizer.train()
    return path


def reference_path(row: Row, settings: Mapping[str, Any]) -> list[Weights]:
    """Return the weights after each step of the reference, which evaluates the loss itself."""
    net, make = Net(row.widths), functools.partial(row.reference, **settings)
    whole = not (isinstance(row.reference, type) and issubclass(row.reference, Rule))
    reference: Any = make() if whole else Tensorwise(lambda name: make())  # type: ignore[arg-type,return-value]
    weights, path = net.weights(), []
    for step in range(1, STEPS + 1):
        weights = reference.step(weights, net, 0.5 if step > HALVED else 1.0)
        path.append(weights)
        if modes(row):
            path.append(dict(reference.evaluation(weights)))
    return path


def difference(row: Row, decay: float, without: str = "", **changes: Any) -> float:
    """Return the largest difference of a weight in any step; one switch can be left out."""
    switches = {k: v for k, v in row.switches.items() if k != without}
    settings = {"weight_decay": decay, **row.options, **row.own, **switches, **changes}
    return max(
        float(np.abs(ours[name] - theirs[name]).max())
        for ours, theirs in zip(
            library_path(row, decay), reference_path(row, settings), strict=True
        )
        for name in ours
    )


@pytest.mark.parametrize(("row", "decay"), CASES)
def test_steps_equal_the_reference(row: Row, decay: float) -> None:
    assert difference(row, decay) < CLOSE


@pytest.mark.parametrize(("row", "decay"), CASES)
def test_a_different_learning_rate_is_detected(row: Row, decay: float) -> None:
    assert difference(row, decay, lr=row.options["lr"] * 1.001) > 100 * CLOSE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_different_weight_decay_is_detected(row: Row) -> None:
    assert difference(row, DECAYS[1], weight_decay=DECAYS[1] * 1.01) > 100 * CLOSE


@pytest.mark.parametrize(
    ("name", "switch"), sorted({(row.name, switch) for row in ROWS for switch in row.switches})
)
def test_each_switch_is_needed(name: str, switch: str) -> None:
    """Each switch is needed: with the form of the paper, the steps differ."""
    rows = [row for row in ROWS if row.name == name and switch in row.switches]
    assert max(difference(row, DECAYS[1], without=switch) for row in rows) > CLOSE


@pytest.mark.parametrize("name", sorted({row.name for row in ROWS}))
def test_entries_describe_deviations(name: str) -> None:
    deviates = any(row.switches for row in ROWS if row.name == name)
    assert bool(find(name).deviation) == deviates


def test_more_than_thirty_optimizers_are_tested() -> None:
    assert len({row.name for row in ROWS}) > 30
