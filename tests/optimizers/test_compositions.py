"""Combined optimizers: assignment of parameters, and the contract for each combination."""

from __future__ import annotations

import copy
import io
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

import gdlightning as gdl
from gdlightning.engine.in_backward_checks import check_trainer
from gdlightning.optimizers.build import Context, build
from gdlightning.optimizers.choice import Choice
from gdlightning.optimizers.groups import Grouping, Rule

EMBEDDED = {"pattern": "words.*", "name": "adagrad", "lr": 0.01}
COMPOSITIONS: dict[str, dict[str, Any]] = {
    "companion": {"name": "soap", "lr": 3e-3, "companion": {"name": "adamw", "lr": 1e-3}},
    "companion of muon": {"name": "muon", "companion": "lion"},
    "parts": {"name": "adamw", "parts": [EMBEDDED]},
    "sparse part": {"name": "lion", "parts": [{"pattern": "words.*", "name": "sparse-adam"}]},
    "parts and companion": {"name": "muon", "companion": "sgd", "parts": [EMBEDDED]},
    "lookahead": {"name": "adamw", "wrappers": [{"name": "lookahead", "k": 2}]},
    "cautious": {"name": "adamw", "wrappers": ["cautious"]},
    "centralize": {"name": "sgd", "wrappers": ["centralize"]},
    "all three": {"name": "lion", "wrappers": ["lookahead", "cautious", "centralize"]},
    "wrapped chain": {"name": "muon", "wrappers": ["lookahead", "cautious"], "parts": [EMBEDDED]},
    "wrapped schedule-free": {"name": "schedule-free-adamw", "wrappers": ["centralize"]},
    "wrapped sam": {"name": "sam", "base": "adamw", "wrappers": ["lookahead", "centralize"]},
    "in backward": {"name": "adamw", "in_backward": True},
    "chain in backward": {"name": "muon", "in_backward": True, "parts": [EMBEDDED]},
    "wrapped in backward": {
        "name": "sgd",
        "in_backward": True,
        "wrappers": ["lookahead", "cautious"],
    },
}
SPARSE = {"sparse part"}


class Tiny(L.LightningModule):
    """Module with a parameter of each kind, a convolution and a frozen layer."""

    def __init__(self, sparse: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(5, 4, sparse=sparse)
        self.convolution = nn.Conv1d(4, 4, 3, padding=1)
        self.hidden = nn.Linear(4, 6)
        self.frozen = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)
        self.output = nn.Linear(6, 3)

    def loss(self, words: Tensor, classes: Tensor) -> Tensor:
        seen = self.convolution(self.words(words).mT).mean(dim=2)
        hidden = self.norm(self.frozen(torch.tanh(self.hidden(seen))))
        return nn.functional.cross_entropy(self.output(hidden), classes)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss(*batch)


FROZEN = Grouping(freeze=["frozen.*"])
WORDS = torch.arange(8 * 4 * 3).reshape(-1, 3) * 7 % 5
CLASSES = WORDS.sum(1) % 3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # tests run in parallel


def made(
    name: str, lr_factor: float = 1.0, module: Tiny | None = None
) -> tuple[Tiny, Optimizer, Choice]:
    module = module or Tiny(sparse=name in SPARSE)
    choice = Choice.of(COMPOSITIONS[name])
    optimizer, _ = build(choice, module, FROZEN, Context())
    for group in optimizer.param_groups:
        group["lr"] *= lr_factor
    if hasattr(optimizer, "train"):
        optimizer.train()
    return module, optimizer, choice


def advance(module: Tiny, optimizer: Optimizer, count: int) -> list[float]:
    losses = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = module.loss(WORDS, CLASSES)
        loss.backward()
        return loss

    for _ in range(count):
        loss: Any = optimizer.step(closure)  # type: ignore[arg-type]
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("name", COMPOSITIONS)
class TestContract:
    """Contract for every combination."""

    def test_trains_under_lightning(self, name: str) -> None:
        module = Tiny(sparse=name in SPARSE)
        before = {k: v.clone() for k, v in module.state_dict().items()}
        trainer = L.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        gdl.optimize(module, COMPOSITIONS[name], groups=FROZEN, schedule="cosine")
        trainer.fit(module, DataLoader(TensorDataset(WORDS, CLASSES), batch_size=4))
        assert trainer.global_step == 8
        still = {k for k, v in module.state_dict().items() if torch.equal(before[k], v)}
        assert still == {"frozen.weight", "frozen.bias"}
        assert trainer.optimizers[0].param_groups[0]["lr"] < 1e-4  # end of the schedule

    def test_learns(self, name: str) -> None:
        module, optimizer, _ = made(name)
        losses = advance(module, optimizer, 40)
        assert losses[-1] < losses[0] - 0.01

    def test_resume_is_bitwise_identical(self, name: str) -> None:
        module, optimizer, _ = made(name)
        advance(module, optimizer, 5)
        stream = io.BytesIO()
        torch.save(optimizer.state_dict(), stream)
        stream.seek(0)
        other, resumed, _ = made(name, module=copy.deepcopy(module))
        resumed.load_state_dict(torch.load(stream, weights_only=True))
        assert advance(module, optimizer, 10) == advance(other, resumed, 10)
        for a, b in zip(module.parameters(), other.parameters(), strict=True):
            assert torch.equal(a, b)

    def test_follows_the_learning_rate(self, name: str) -> None:
        moved = []
        for factor in (1.0, 2.0, 0.0):
            module, optimizer, _ = made(name, factor)
            before = [p.detach().clone() for p in module.parameters()]
            advance(module, optimizer, 2)
            now = [p.detach() for p in module.parameters()]
            moved.append(float(nn.utils.get_total_norm(torch._foreach_sub(now, before))))
        assert 1.5 < moved[1] / moved[0] < 2.5
        assert moved[2] < 1e-6

    def test_every_parameter_is_in_one_optimizer(self, name: str) -> None:
        module, optimizer, choice = made(name)
        _, parts = build(choice, module, FROZEN, Context())
        names = [n for part in parts for g in part.groups for n in g.names]
        assert sorted(names) == sorted(n for n, p in module.named_parameters() if p.requires_grad)
        assert sum(len(g["params"]) for g in optimizer.param_groups) == len(names)


def places(given: dict[str, Any], module: nn.Module | None = None, **rules: Any) -> dict[str, str]:
    """Return the name of the optimizer of each parameter."""
    module = module or Tiny()
    _, parts = build(Choice.of(given), module, Grouping(**rules), Context())
    return {n: p.optimizer for p in parts for g in p.groups for n in g.names}


def test_companion_trains_all_but_the_hidden_matrices() -> None:
    found = places({"name": "soap", "companion": "adamw"})
    mine = {"convolution.weight", "hidden.weight", "frozen.weight"}
    assert {n for n, o in found.items() if o == "soap"} == mine
    assert set(found.values()) == {"soap", "adamw"}
    muons = {n for n, o in places({"name": "muon"}).items() if o == "muon"}
    assert muons == mine  # a convolution kernel counts as a matrix
    flat = {n for n, o in places({"name": "spectral-sphere"}).items() if o == "spectral-sphere"}
    assert flat == {"hidden.weight", "frozen.weight"}  # two dimensions only, no convolutions
    assert set(places({"name": "soap"}).values()) == {"soap"}


def test_first_matching_pattern_applies() -> None:
    parts = [{"pattern": "*.bias", "name": "sgd"}, {"pattern": "hidden.*", "name": "lion"}]
    found = places({"name": "muon", "companion": "adam", "parts": parts})
    wanted = {
        "hidden.bias": "sgd",
        "hidden.weight": "lion",
        "frozen.weight": "muon",
        "words.weight": "adam",
        "norm.bias": "sgd",
        "norm.weight": "adam",
    }
    assert {k: found[k] for k in wanted} == wanted


def test_weight_decay_is_per_optimizer_and_rules_apply_to_all() -> None:
    given = {
        "name": "muon",
        "weight_decay": 0.3,
        "companion": {"name": "adamw", "lr": 1e-4},
        "parts": [{"pattern": "output.*", "name": "lion", "weight_decay": 0.7}],
    }
    rules = [Rule("norm.weight", weight_decay=0.2), Rule("convolution.weight", lr=0.5)]
    module = Tiny()
    optimizer, _ = build(Choice.of(given), module, Grouping(rules=rules), Context())
    found = {
        n: (g["lr"], g["weight_decay"])
        for n, p in module.named_parameters()
        for g in optimizer.param_groups
        if any(p is q for q in g["params"])
    }
    assert found["hidden.weight"] == (0.02, 0.3)
    assert found["convolution.weight"] == (0.5, 0.3)
    assert found["output.weight"][1] == 0.7
    assert found["output.bias"][1] == 0.0
    assert found["norm.weight"] == (1e-4, 0.2)
    assert found["hidden.bias"] == (1e-4, 0.0)


def test_companion_has_no_decay_if_the_main_optimizer_has_none() -> None:
    module = Tiny(sparse=True)
    optimizer, _ = build(Choice.of("sparse-adam"), module, Grouping(), Context())
    decays = {
        n: g.get("weight_decay")
        for n, p in module.named_parameters()
        for g in optimizer.param_groups
        if any(p is q for q in g["params"])
    }
    assert decays["hidden.bias"] == 0.0
    assert decays["hidden.weight"] == 0.01


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize(
    ("part", "sparse"), [("sparse-adam", True), ("adagrad", True), ("lion", False)]
)
def test_gradients_are_sparse_if_their_optimizer_accepts_them(part: str, sparse: bool) -> None:
    module = Tiny(sparse=True)
    given = {"name": "lion", "parts": [{"pattern": "words.*", "name": part}]}
    optimizer, _ = build(Choice.of(given), module, Grouping(), Context())
    module.loss(torch.tensor([[1, 2]]), torch.tensor([0])).backward()
    assert module.words.weight.grad is not None
    assert module.words.weight.grad.is_sparse is sparse
    before = module.words.weight.detach().clone()
    optimizer.step()
    moved = (module.words.weight != before).any(dim=1).nonzero().flatten().tolist()
    assert moved == [1, 2]


def test_first_wrapper_is_the_outermost() -> None:
    optimizer: Any = made("all three")[1]
    names = []
    while hasattr(optimizer, "base"):
        names.append(type(optimizer).__name__)
        optimizer = optimizer.base
    assert names == ["Lookahead", "Cautious", "Centralize"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"companion": "adamv"}, ["optimizer.companion", "adamv", "adam"]),
        ({"companion": {"name": "adamw", "lrr": 1}}, ["optimizer.companion.lrr", "mean lr"]),
        ({"companion": "sam"}, ["optimizer.companion: sam cannot be used as a companion"]),
        (
            {"companion": {"name": "adamw", "wrappers": ["cautious"]}},
            ["a companion does not support wrappers (optimizer.companion.wrappers)"],
        ),
        (
            {"parts": [{"pattern": "wrods.*", "name": "lion"}]},
            ["optimizer.parts: the pattern wrods.* matches no", "words.weight"],
        ),
        ({"parts": [{"pattern": "words.*", "name": "adagrda"}]}, ["optimizer.parts", "adagrad"]),
        (
            {"parts": [{"pattern": "words.*", "name": "lion", "lrr": 1}]},
            ["optimizer.parts.lrr", "mean lr"],
        ),
        (
            {"parts": [{"pattern": "words.*", "name": "lion", "lr": -1}]},
            ["optimizer.parts.lr must"],
        ),
        (
            {"parts": [{"patern": "words.*", "name": "lion"}]},
            ["Did you mean pattern instead of patern?"],
        ),
        ({"parts": [{"pattern": "words.*"}]}, ["optimizer.parts must have a name"]),
        ({"parts": ["lion"]}, ["Each entry of optimizer.parts must have a pattern"]),
        ({"parts": 3}, ["optimizer.parts must be a list (got 3)"]),
        (
            {"parts": [{"pattern": "norm.*", "name": "muon"}]},
            ["muon only accepts matrices", "norm.weight (norm.*) is not"],
        ),
        (
            {"parts": [{"pattern": "words.*", "name": "sparse-adam"}]},
            ["only accepts sparse gradients"],
        ),
        (
            {"parts": [{"pattern": "words.*", "name": "lbfgs"}]},
            ["lbfgs cannot be used as a part"],
        ),
        ({"parts": [{"pattern": "*", "name": "lion"}]}, ["optimizer.parts leaves none"]),
        ({"wrappers": ["lookahed"]}, ["optimizer.wrappers", "lookahed", "lookahead"]),
        ({"wrappers": [{"name": "cautious", "flor": 1}]}, ["flor", "mean floor"]),
        ({"wrappers": 3}, ["optimizer.wrappers must be a list (got 3)"]),
        (
            {"name": "schedule-free-sgd", "wrappers": ["lookahead"]},
            ["optimizer.wrappers is not supported for schedule-free-sgd", "different weights"],
        ),
        ({"name": "sam", "parts": [EMBEDDED]}, ["optimizer.parts is not supported for sam"]),
        ({"name": "sam", "in_backward": True}, ["optimizer.in_backward is not supported for sam"]),
        ({"name": "prodigy", "in_backward": True}, ["estimates one learning rate"]),
        ({"in_backward": "yes"}, ["optimizer.in_backward must be true or false (got yes)"]),
    ],
)
def test_invalid_combinations_are_an_error(given: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(gdl.UserError) as error:
        gdl.optimize(Tiny(), {"name": "adamw"} | given)
    for word in words:
        assert word in str(error.value), error.value
    assert len(str(error.value).splitlines()) <= 4


# Optimizer steps in the backward pass


def test_steps_in_backward_equal_steps_after_it() -> None:
    found = []
    for given in ({"name": "adamw"}, {"name": "adamw", "in_backward": True}):
        module = Tiny().double()
        optimizer, _ = build(Choice.of(given), module, FROZEN, Context())
        advance(module, optimizer, 10)
        found.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    assert torch.allclose(found[0], found[1], rtol=0, atol=1e-12)


def test_at_most_two_gradients_are_in_memory() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(*[nn.Linear(32, 32) for _ in range(10)])
    most = []
    for in_backward in (True, False):
        given = {"name": "sgd", "in_backward": in_backward}
        optimizer, _ = build(Choice.of(given), module, Grouping(), Context())
        held: list[int] = []

        def count(_: Any, held: list[int] = held) -> None:
            held.append(sum(p.grad is not None for p in module.parameters()))

        handles = [p.register_post_accumulate_grad_hook(count) for p in module.parameters()]

        def closure(optimizer: Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = module(torch.ones(4, 32)).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)  # type: ignore[arg-type]
        for handle in handles:
            handle.remove()
        most.append(max(held))
        assert len(held) == 20
    assert most[0] <= 2
    assert most[1] == 20


def test_gradients_accumulate_outside_of_steps() -> None:
    module, optimizer, _ = made("in backward")
    advance(module, optimizer, 1)
    assert all(p.grad is None for p in module.parameters() if p.requires_grad)
    before = module.hidden.weight.detach().clone()
    module.loss(WORDS, CLASSES).backward()
    assert module.hidden.weight.grad is not None
    assert torch.equal(module.hidden.weight, before)
    with pytest.raises(RuntimeError, match="closure"):
        optimizer.step()


def test_tied_weights_are_stepped_once() -> None:
    found = []
    for in_backward in (False, True):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)).double()
        module[1].weight = module[0].weight
        given = {"name": "sgd", "in_backward": in_backward}
        optimizer, _ = build(Choice.of(given), module, Grouping(), Context())

        def closure(optimizer: Optimizer = optimizer, module: nn.Module = module) -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(torch.arange(5)), torch.arange(5))
            loss.backward()
            return loss

        for _ in range(5):
            optimizer.step(closure)  # type: ignore[arg-type]
        found.append(next(module.parameters()).detach())
    assert torch.allclose(found[0], found[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ({"accumulate_grad_batches": 2}, "accumulated over 2 batches"),
        ({"devices": 2}, "averaged over 2 processes"),
    ],
)
def test_trainer_that_needs_all_gradients_is_an_error(trainer: dict[str, Any], words: str) -> None:
    module = gdl.optimize(Tiny(), {"name": "sgd", "in_backward": True})
    made = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=1,
        **trainer,
    )
    with pytest.raises(gdl.UserError, match=words):
        check_trainer(made)
    if "devices" not in trainer:
        with pytest.raises(gdl.UserError, match=words):
            made.fit(module, DataLoader(TensorDataset(WORDS, CLASSES), batch_size=4))


def test_clipping_in_backward_is_an_error() -> None:
    with pytest.raises(gdl.UserError, match=r"clip is not supported with optimizer\.in_backward"):
        gdl.optimize(Tiny(), {"name": "sgd", "in_backward": True}, clip=1.0)
